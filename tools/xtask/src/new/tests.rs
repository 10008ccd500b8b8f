use super::*;

/// The names of a component, in any tree.
fn target(root: &Path, kind: Kind, name: &str) -> Target {
    Target {
        root: root.to_path_buf(),
        folders: [format!("{}/{name}", kind.folder()), format!("os/programs/{}", template::client(name))],
        description: root.join("systems/x.toml"),
        scenarios: "tests/scenarios",
        system: Some("x".into()),
        outside: false,
    }
}

/// A folder that is removed with this.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("pecan-new-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Every file below it with what it says.
    fn files(&self) -> Plan {
        fn collect(folder: &Path, files: &mut Plan) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    files.insert(path.clone(), "a folder".into());
                    collect(&path, files);
                } else {
                    files.insert(path.clone(), fs::read_to_string(&path).unwrap());
                }
            }
        }
        let mut files = Plan::new();
        collect(&self.0, &mut files);
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MANIFEST: &str = "# Ours.\n[workspace]\nmembers = [\n    \"os/programs/a\", # the first\n    \"os/programs/z\",\n    \"tools\",\n]\n\n[profile.dev] # quick\nopt-level = 1\n";
const DESCRIPTION: &str = "# What runs.\nroot = \"pecan-init\" # first\nchannel = [\n    { from = \"a.b\", to = \"c.d\" }, # why\n]\n\n[[component]]\nname = \"a\" # short\n";

#[test]
fn files_are_changed_as_little_as_can_be() {
    let text = edit::members(MANIFEST, &[&"os/programs/m".into(), &"os/servers/s".into()]).unwrap();
    let expected = MANIFEST
        .replace("    \"os/programs/z\"", "    \"os/programs/m\",\n    \"os/programs/z\"")
        .replace("    \"tools\",\n", "    \"tools\",\n    \"os/servers/s\",\n");
    assert_eq!(text, expected);
    let more = "[[channel]]\nfrom = \"m.console\"\nto = \"console.clients\"\n\n[[component]]\nname = \"m\"\npackage = \"m\"\n";
    let text = edit::description(DESCRIPTION, more, |_| Some("there".into())).unwrap();
    let expected = DESCRIPTION
        .replace("# why\n]", "# why\n    { from = \"m.console\", to = \"console.clients\" },\n]")
        + "\n[[component]]\nname = \"m\"\npackage = \"m\"\npath = \"there\"\n";
    assert_eq!(text, expected);
    let text = edit::description("root = \"pecan-init\"\n", more, |_| None).unwrap();
    assert_eq!(text, format!("root = \"pecan-init\"\n\n{more}"));
    assert!(edit::description("channel = 3\n", more, |_| None).is_err());
    assert!(edit::members("[package]\nname = \"x\"\n", &[]).is_err());
}

#[test]
fn every_kind_is_planned_with_its_test_and_no_mark_is_left() {
    let folder = Folder::new("plan");
    for kind in [Kind::Program, Kind::Service, Kind::Driver, Kind::C] {
        let target = target(&folder.0, kind, "two-words");
        let mut plan = Plan::new();
        plan.insert(folder.0.join("Cargo.toml"), MANIFEST.into());
        plan.insert(folder.0.join("systems/x.toml"), DESCRIPTION.into());
        fill(&target, kind, "two-words", &mut plan).unwrap();
        let scenario = &plan[&folder.0.join("tests/scenarios/two-words.txt")];
        assert!(scenario.contains("\n\nsystem x\n\npecan> "), "{scenario}");
        for (path, text) in &plan {
            let mark = text.split('@').nth(1).filter(|mark| mark.chars().all(|c| c.is_ascii_alphanumeric()));
            assert_eq!(mark, None, "{}", path.display());
        }
        let steps = next_steps(&target, kind, "two-words", Some(Path::new("../x")));
        assert!(steps.len() <= 5, "{steps:?}");
        // The page that is named is one of the book.
        assert!(Workspace::find().unwrap().join(kind.page()).is_file());
    }
    assert_eq!(relative("os/programs/try-x", "os/servers/x"), "../../servers/x");
    assert_eq!(relative("try-x", "x"), "../x");
}

#[test]
fn names_that_cannot_be_are_refused() {
    let ws = Workspace::find().unwrap();
    for name in ["probe", "a", "a1-b2", "eighteen-letters-x"] {
        name::check(&ws, Kind::Program, name).unwrap();
    }
    for name in [
        "",
        "Probe",
        "1a",
        "a_b",
        "-a",
        "a-",
        "a--b",
        "ä",
        "a b",
        "a/b",
        "..",
        "nineteen-letters-xy",
        "init",
        "self",
        "core",
        "serde",
        "pecan-hello",
    ] {
        let error = name::check(&ws, Kind::Program, name).unwrap_err().to_string();
        assert!(error.contains("to mend it: "), "{error}");
    }
    assert!(name::check(&ws, Kind::Program, "caller").is_ok());
    assert!(name::check(&ws, Kind::Service, "caller").is_err());
    assert!(name::check(&ws, Kind::Service, "fifteen-letters").is_err());
}

#[test]
fn a_failure_leaves_everything_as_it_was() {
    let folder = Folder::new("undo");
    fs::write(folder.0.join("old"), "old").unwrap();
    fs::create_dir(folder.0.join("taken")).unwrap();
    let before = folder.files();
    let plan: Plan = [("a/b/new", "n"), ("old", "changed"), ("taken", "a folder is here")]
        .map(|(path, text)| (folder.0.join(path), text.to_string()))
        .into();
    let error = write(&folder.0, &plan).unwrap_err().to_string();
    assert!(error.contains("as it was"), "{error}");
    assert_eq!(folder.files(), before);
    let plan: Plan = plan.into_iter().filter(|(path, _)| !path.ends_with("taken")).collect();
    write(&folder.0, &plan).unwrap();
    assert_eq!(fs::read_to_string(folder.0.join("old")).unwrap(), "changed");
    assert_eq!(fs::read_to_string(folder.0.join("a/b/new")).unwrap(), "n");
}

#[test]
fn a_repository_is_made_in_an_empty_folder_only() {
    let ws = Workspace::find().unwrap();
    let folder = Folder::new("repository");
    let (target, plan) = repository(&ws, &folder.0, "probe").unwrap();
    assert!(target.outside && plan.contains_key(&folder.0.join(".cargo/config.toml")));
    assert!(plan[&folder.0.join("Cargo.toml")].contains("os/system/component\""));
    fs::write(folder.0.join("mine"), "").unwrap();
    assert!(repository(&ws, &folder.0, "probe").is_err());
    assert!(repository(&ws, &ws.join("inside"), "probe").is_err());
    // What is written from within Pecan's tree need not lie there.
    let beside = resolved(&ws.join("os/../../beside/./x")).unwrap();
    assert_eq!(beside, ws.root().parent().unwrap().join("beside/x"));
    assert!(repository(&ws, &beside, "probe").is_ok());
}
