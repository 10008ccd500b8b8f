//! Every mistake in `tools/xtask/mistakes` is shown as its file says.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{System, interface::Packages, rules::Rule, source::Reader};
use crate::paths::Workspace;

/// What begins the lines of what is shown, at the end of a file.
const SHOWN: &str = "#| ";

/// The packages that the descriptions here name.
fn packages() -> Packages {
    let component = |name: &str, interface: &str| {
        let text = format!("[package]\nname = \"{name}\"\n\n[package.metadata.component]\n{interface}\n");
        (name.to_string(), (PathBuf::from(format!("{name}/Cargo.toml")), text))
    };
    [
        component("p-init", "serves = { control = \"control\" }"),
        component("p-root", "serves = { instances = \"instances\" }"),
        component("p-supervisor", "uses = { instances = \"instances\" }"),
        component(
            "p-server",
            "serves = { listeners = { protocol = \"talk\", page = \"w\" }, singers = \"sing\" }",
        ),
        component("p-client", "uses = { control = \"control\", talker = \"talk\" }"),
        component("p-both", "serves = { in = \"talk\" }\nuses = { out = \"talk\" }"),
        component("p-plain", ""),
        component("p-reserved", "uses = { reply = \"talk\" }"),
        component("p-foreign", "serves = { them = { protocol = \"talk\", crate = \"elsewhere\" } }"),
        component(
            "p-source",
            "uses = { out = { protocol = \"pipe\", ring = \"produces\", buffer = \"1K\" }, plain = \"pipe\" }",
        ),
        component(
            "p-sink",
            "serves = { in = { protocol = \"pipe\", ring = \"consumes\", buffer = \"1K\" }, plain = \"pipe\", \
             large = { protocol = \"pipe\", ring = \"consumes\", buffer = \"2K\" }, \
             back = { protocol = \"pipe\", ring = \"produces\", buffer = \"1K\" } }",
        ),
        component("p-opens", "uses = { store = { protocol = \"talk\", sessions = true }, plain = \"talk\" }"),
        component(
            "p-holds",
            "serves = { guests = { protocol = \"talk\", sessions = true }, plain = \"talk\" }",
        ),
        component(
            "p-session-page",
            "serves = { in = { protocol = \"talk\", sessions = true, page = \"w\" } }",
        ),
        component("p-old-page", "serves = { in = { protocol = \"talk\", page = true } }"),
        component("p-no-buffer", "serves = { in = { protocol = \"talk\", ring = \"consumes\" } }"),
        component("p-misspelt", "use = { talker = \"talk\" }"),
    ]
    .into()
}

fn parse(path: &Path, text: &str) -> anyhow::Result<System> {
    let root = path.parent().unwrap_or(Path::new(""));
    System::parse(Reader::new(root), path, text.to_string(), "test", &packages())
}

#[test]
fn mistakes_are_shown_where_they_are_and_with_what_to_write_instead() {
    let folder = Workspace::find().unwrap().join("tools/xtask/mistakes");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
    files.sort();
    assert!(files.len() >= 30, "{files:?}");
    let mut different = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let (description, expected): (Vec<_>, Vec<_>) =
            text.lines().partition(|l| !l.starts_with(SHOWN.trim_end()));
        let description = description.join("\n") + "\n";
        let shown = match parse(&path, &description) {
            Ok(_) => "nothing is wrong".to_string(),
            Err(error) => error.to_string(),
        };
        let shown: Vec<_> =
            shown.trim_end().lines().map(|l| format!("{SHOWN}{l}").trim_end().to_string()).collect();
        if shown != expected {
            different.push(format!("{}:\n{}\n", path.display(), shown.join("\n")));
            // Whoever changes what is shown reads all of it once more.
            if std::env::var_os("PECAN_WRITE_MISTAKES").is_some() {
                fs::write(&path, format!("{}\n\n{}\n", description.trim_end(), shown.join("\n"))).unwrap();
            }
        }
    }
    assert!(different.is_empty(), "shown otherwise:\n{}", different.join("\n"));
}

const GOOD: &str = r#"
    root = "p-init"
    channel = [
        { from = "client.talker", to = "server.listeners" },
        { from = "client.control", to = "init.control" },
    ]
    [[component]]
    name = "server"
    package = "p-server"
    about = "serves"
    priority = 9
    memory = "512K"
    places = { listeners = 5, singers = 2 }
    [[component]]
    name = "client"
    package = "p-client"
    about = "asks"
    priority = 8
    memory = "1M"
"#;

#[test]
fn names_become_numbers() {
    let system = parse(Path::new("good.toml"), GOOD).unwrap().manifest;
    let talk = pecan_manifest::Channel {
        client: 1,
        client_role: 1,
        server: pecan_manifest::Server::Component(0),
        server_role: 0,
        ring: None,
    };
    assert_eq!(system.channels[0], talk);
    assert_eq!(system.client_role(&talk), "talker");
    assert_eq!(system.server_name(&talk), ("server", "listeners"));
    assert_eq!(system.server_name(&system.channels[1]), ("init", "control"));
    assert_eq!((&*system.components[0].places, system.components[0].first_place(1)), (&[5, 2][..], 5));
}

#[test]
fn two_boards_share_most_of_a_description() {
    let folder = std::env::temp_dir().join(format!("pecan-boards-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let common = GOOD
        .replace("root = \"p-init\"", "")
        .replace("\"1M\"", "\"${memory}\"")
        .replace("\"asks\"", "\"asks on ${board}\"");
    fs::write(
        folder.join("common.toml"),
        format!("parameters = {{ memory = \"1M\", board = \"\" }}\n{common}"),
    )
    .unwrap();
    let board = |parameters: &str| {
        let text = format!("root = \"p-init\"\ninclude = [\"common.toml\"]\n[parameters]\n{parameters}\n");
        parse(&folder.join("board.toml"), &text).map(|s| s.manifest.components[1].settings.clone())
    };
    let small = board("board = \"a\"").unwrap();
    assert_eq!((small.memory.0, &*small.about), (1 << 20, "asks on a"));
    let large = board("board = \"b\"\nmemory = \"4M\"").unwrap();
    assert_eq!((large.memory.0, &*large.about), (4 << 20, "asks on b"));
    let typo = board("bord = \"a\"").unwrap_err().to_string();
    assert!(typo.contains("nothing uses the parameter `bord`"), "{typo}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_component_has_so_many_capabilities() {
    let system = |count: u16| {
        let ports: String =
            (0..count).map(|n| format!("{{ name = \"p\", first = {n}, last = {n} }},")).collect();
        parse(
            Path::new("many.toml"),
            &GOOD.replacen("about = \"asks\"", &format!("about = \"\"\nports = [{ports}]"), 1),
        )
    };
    system(1000).unwrap();
    let error = system(1018).unwrap_err().to_string();
    assert!(error.contains("`client` has 1025 capabilities; the most is 1024"), "{}", &error[..400]);
}

#[test]
fn rules_have_the_names_that_descriptions_use() {
    for rule in Rule::ALL {
        let read: Rule = serde_json::from_str(&format!("\"{}\"", rule.name())).unwrap();
        assert_eq!(read, rule);
    }
}

/// The keys of a type that serde reads: it lists them when it is given another one.
fn keys<T: serde::de::DeserializeOwned + std::fmt::Debug>() -> Vec<String> {
    let error = toml::from_str::<T>("\"?\" = 1").unwrap_err();
    error.message().split('`').skip(3).step_by(2).map(str::to_string).collect()
}

#[test]
fn the_page_about_descriptions_lists_every_key() {
    use super::{
        description::{Edge, Machine, NOT_YET},
        source::{LISTS, OTHERS, SINGLE},
    };
    let page = fs::read_to_string(Workspace::find().unwrap().join("docs/systems.md")).unwrap();
    // The first column of each table, in the order of the page.
    let mut tables: Vec<Vec<String>> = Vec::new();
    for line in page.lines() {
        match line.strip_prefix("| ") {
            Some(row) if row.starts_with("key |") || row.starts_with("rule |") => tables.push(Vec::new()),
            Some(row) => {
                let key = row.split('`').nth(1).filter(|_| row.starts_with('`'));
                tables.last_mut().unwrap().extend(key.map(str::to_string));
            }
            None => {}
        }
    }
    let with_allow = |mut keys: Vec<String>| {
        keys.push("allow".into());
        keys
    };
    let all = SINGLE.into_iter().chain(LISTS).chain(OTHERS).map(str::to_string).collect();
    let known = [
        ["protocol", "crate", "page", "ring", "buffer", "sessions"].map(String::from).to_vec(),
        all,
        // The initial task is not told where a package is.
        with_allow([vec!["path".into()], keys::<pecan_manifest::Settings>()].concat()),
        keys::<pecan_manifest::BackOff>(),
        keys::<pecan_manifest::ChildrenTime>(),
        keys::<pecan_manifest::Mmio>(),
        keys::<pecan_manifest::Dma>(),
        keys::<pecan_manifest::File>(),
        keys::<pecan_manifest::Ports>(),
        keys::<pecan_manifest::Irq>(),
        with_allow(keys::<Edge>()),
        keys::<Machine>(),
        Rule::ALL.map(|r| r.name().to_string()).to_vec(),
    ];
    let sorted = |mut keys: Vec<String>| {
        keys.sort();
        keys
    };
    assert_eq!(tables.len(), known.len());
    for (table, known) in tables.into_iter().zip(known) {
        assert_eq!(sorted(table), sorted(known));
    }
    for (key, _) in NOT_YET {
        assert!(page.contains(&format!("`{key}`")), "{key} is not on the page");
    }
}
