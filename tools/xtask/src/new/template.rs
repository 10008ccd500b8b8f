//! What `cargo xtask new` makes: the files of tools/xtask/templates, with names put in.

use std::path::Path;

use anyhow::{Context, Result};

use super::Kind;
use crate::paths::Workspace;

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../templates/", $path))
    };
}

/// A file: its path in a package, and its text.
type File = (&'static str, &'static str);

const PROGRAM: [File; 4] = [
    ("Cargo.toml", template!("program/Cargo.toml")),
    ("README.md", template!("program/README.md")),
    ("build.rs", template!("build.rs")),
    ("src/main.rs", template!("program/main.rs")),
];
const SERVICE: [File; 5] = [
    ("Cargo.toml", template!("service/Cargo.toml")),
    ("README.md", template!("service/README.md")),
    ("build.rs", template!("build.rs")),
    ("src/lib.rs", template!("service/lib.rs")),
    ("src/main.rs", template!("service/main.rs")),
];
const DRIVER: [File; 5] = [
    ("Cargo.toml", template!("driver/Cargo.toml")),
    ("README.md", template!("driver/README.md")),
    ("build.rs", template!("build.rs")),
    ("src/lib.rs", template!("driver/lib.rs")),
    ("src/main.rs", template!("driver/main.rs")),
];
const C: [File; 5] = [
    ("Cargo.toml", template!("c/Cargo.toml")),
    ("README.md", template!("c/README.md")),
    ("build.rs", template!("c/build.rs")),
    ("src/main.rs", template!("c/main.rs")),
    ("src/main.c", template!("c/main.c")),
];
const SERVICE_CLIENT: [File; 4] = [
    ("Cargo.toml", template!("try_Cargo.toml")),
    ("README.md", template!("try_README.md")),
    ("build.rs", template!("build.rs")),
    ("src/main.rs", template!("service/try_main.rs")),
];
const DRIVER_CLIENT: [File; 4] = [
    ("Cargo.toml", template!("try_Cargo.toml")),
    ("README.md", template!("try_README.md")),
    ("build.rs", template!("build.rs")),
    ("src/main.rs", template!("driver/try_main.rs")),
];

/// Pecan's crates that components are written against, by their folders.
const CRATES: [(&str, &str); 5] = [
    ("pecan-build", "os/system/build"),
    ("pecan-c", "os/system/c"),
    ("pecan-component", "os/system/component"),
    ("pecan-runtime", "user/runtime"),
    ("pecan-service", "os/system/service"),
];

/// The files of a component's package.
pub fn component(kind: Kind) -> &'static [File] {
    match kind {
        Kind::Program => &PROGRAM,
        Kind::Service => &SERVICE,
        Kind::Driver => &DRIVER,
        Kind::C => &C,
    }
}

/// The files of the package of its client.
pub fn client_of(kind: Kind) -> &'static [File] {
    if kind == Kind::Driver { &DRIVER_CLIENT } else { &SERVICE_CLIENT }
}

/// What is added to a description.
pub fn description(kind: Kind) -> &'static str {
    match kind {
        Kind::Program => template!("program/system.toml"),
        Kind::Service => template!("service/system.toml"),
        Kind::Driver => template!("driver/system.toml"),
        Kind::C => template!("c/system.toml"),
    }
}

/// The test, of a system that it names if it is not the usual one.
pub fn scenario(kind: Kind, names: &Names, system: Option<&str>) -> String {
    let text = names.fill(match kind {
        Kind::Program => template!("program/scenario.txt"),
        Kind::Service => template!("service/scenario.txt"),
        Kind::Driver => template!("driver/scenario.txt"),
        Kind::C => template!("c/scenario.txt"),
    });
    match (system, text.split_once("\n\n")) {
        (Some(system), Some((title, rest))) => format!("{title}\n\nsystem {system}\n\n{rest}"),
        _ => text,
    }
}

/// The name of the program that calls a component.
pub fn client(name: &str) -> String {
    format!("try-{name}")
}

/// What stands for the names in a template.
pub struct Names([(&'static str, String); 5]);

impl Names {
    /// The names of a component; `path` leads from the folder of its client to its own.
    pub fn of(name: &str, path: &str) -> Self {
        let capitalised = |word: &str| word[..1].to_uppercase() + &word[1..];
        Self([
            ("@name@", name.to_string()),
            ("@crate@", name.replace('-', "_")),
            ("@ROLE@", name.replace('-', "_").to_uppercase()),
            ("@Trait@", name.split('-').map(capitalised).collect()),
            ("@path@", path.to_string()),
        ])
    }

    /// A template with the names put in.
    pub fn fill(&self, template: &str) -> String {
        self.0.iter().fold(template.to_string(), |text, (mark, name)| text.replace(mark, name))
    }
}

/// The files of a repository for components, from its top folder.
pub fn repository(ws: &Workspace, root: &Path) -> Result<Vec<(&'static str, String)>> {
    let pecan = path_between(root, ws.root());
    let pecan = pecan.to_str().context("the path of Pecan's tree is not UTF-8")?;
    let quoted = |text: String| toml_edit::Value::from(text).to_string();
    let dependencies: String = CRATES
        .iter()
        .map(|(name, folder)| format!("{name} = {{ path = {} }}\n", quoted(format!("{pecan}/{folder}"))))
        .collect();
    let manifest = template!("repository/Cargo.toml")
        .replace("@rust@", env!("CARGO_PKG_RUST_VERSION"))
        .replace("@dependencies@", &dependencies);
    let words =
        ["run", "--quiet", "--manifest-path", &format!("{pecan}/Cargo.toml"), "--package", "xtask", "--"];
    // Text where it can be: cargo cannot put a list together with the text in Pecan's own configuration, and reads both where
    // the folder lies within Pecan's.
    let command = if words.iter().any(|word| word.contains(char::is_whitespace)) {
        toml_edit::Array::from_iter(words).to_string()
    } else {
        quoted(words.join(" "))
    };
    let config = template!("repository/config.toml").replace("@xtask@", &command);
    Ok(vec![
        ("Cargo.toml", manifest),
        (".cargo/config.toml", config),
        (".gitignore", template!("repository/gitignore").to_string()),
        ("README.md", template!("repository/README.md").to_string()),
        ("system.toml", template!("repository/system.toml").to_string()),
    ])
}

/// The path from one folder to another: relative if they lie in the same part of the file system, so that both can be
/// moved together.
pub fn path_between(from: &Path, to: &Path) -> std::path::PathBuf {
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    if common < 2 {
        return to.to_path_buf();
    }
    let up = from.components().skip(common).map(|_| std::path::Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}
