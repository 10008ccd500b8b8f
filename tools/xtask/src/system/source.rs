//! The files of a description: read with what they include, with parameters put in, and each value with its place.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::problem::{File, Place, Problem, instead};

/// A value of a file.
#[derive(Clone, Debug)]
pub struct Node {
    file: usize,
    value: Spanned<DeValue<'static>>,
}

impl Node {
    /// Where it is.
    pub fn place(&self) -> Place {
        Place { file: self.file, span: self.value.span() }
    }

    fn table(&self) -> Option<&DeTable<'static>> {
        self.value.get_ref().as_table()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Node> {
        let (_, value) = self.table()?.iter().find(|(k, _)| k.get_ref() == key)?;
        Some(Node { file: self.file, value: value.clone() })
    }

    /// The values of an array.
    pub fn items(&self) -> Vec<Node> {
        let items = self.value.get_ref().as_array().into_iter().flat_map(|a| a.iter());
        items.map(|value| Node { file: self.file, value: value.clone() }).collect()
    }

    /// Where the value of a key is, or where it should be.
    pub fn at(&self, key: &str) -> Place {
        self.get(key).map_or_else(|| self.place(), |node| node.place())
    }

    /// Where a key itself is.
    pub fn key(&self, key: &str) -> Place {
        let found = self.table().and_then(|t| t.keys().find(|k| k.get_ref() == key));
        found.map_or_else(|| self.place(), |k| Place { file: self.file, span: k.span() })
    }

    /// The keys of a table.
    pub fn keys(&self) -> Vec<String> {
        self.table().into_iter().flat_map(|t| t.keys()).map(|k| k.get_ref().to_string()).collect()
    }

    /// Takes a key out.
    pub fn take(&mut self, key: &str) -> Option<Node> {
        let DeValue::Table(table) = self.value.get_mut() else { return None };
        let at = table.keys().find(|k| k.get_ref() == key)?.clone();
        let value = table.remove(&at)?;
        Some(Node { file: self.file, value })
    }

    /// The value as what it should be.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        T::deserialize(ValueDeserializer::from(self.value.clone())).map_err(|e| self.problem(&e))
    }

    /// What `toml` finds wrong, as a problem.
    fn problem(&self, error: &toml::de::Error) -> Problem {
        let span = error.span().filter(|span| !span.is_empty()).unwrap_or_else(|| self.value.span());
        wrong(Place { file: self.file, span }, error.message())
    }
}

/// What serde says, in words that name what to write instead.
fn wrong(place: Place, message: &str) -> Problem {
    let quoted =
        |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_string).collect() };
    let words = quoted(message);
    let known = words.iter().skip(1).map(String::as_str);
    match words.first() {
        Some(word) if message.starts_with("unknown field") => Problem::new(
            format!("there is no key `{word}` here"),
            place,
            "not a key",
        )
        .help(instead(word, "the keys here are", known)),
        Some(word) if message.starts_with("unknown variant") => Problem::new(
            format!("`{word}` cannot stand here"),
            place,
            "not one of the values",
        )
        .help(instead(word, "the values are", known)),
        Some(word) if message.starts_with("missing field") => {
            Problem::new(format!("the key `{word}` is missing"), place, "it belongs in this table")
                .help(format!("add a line `{word} = ...`"))
        }
        _ => {
            let (title, expected) = match message.split_once(", expected ") {
                Some((title, expected)) => (title, Some(expected)),
                None => (message, None),
            };
            let problem = Problem::new(title.trim(), place, "this");
            match expected {
                Some(expected) => problem.help(format!("write {expected}")),
                None => problem,
            }
        }
    }
}

/// The tables of a description, of all its files.
#[derive(Debug, Default)]
pub struct Tables {
    /// The value of each key of the file itself that is not a list.
    pub single: BTreeMap<&'static str, Node>,
    /// The tables of each list, those of included files first.
    pub lists: BTreeMap<&'static str, Vec<Node>>,
}

/// Keys of a file that are not lists.
pub const SINGLE: [&str; 2] = ["root", "machine"];
/// Keys of a file that are lists of tables.
pub const LISTS: [&str; 2] = ["channel", "component"];
/// What else a file can have.
pub const OTHERS: [&str; 2] = ["include", "parameters"];

impl Tables {
    /// The tables of a list.
    pub fn list(&self, key: &str) -> &[Node] {
        self.lists.get(key).map_or(&[], Vec::as_slice)
    }
}

/// Reads files.
#[derive(Debug, Default)]
pub struct Reader {
    /// What was read.
    pub files: Vec<File>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// The folder that paths are shown relative to.
    root: PathBuf,
    /// The files that are being read, each included by the one before.
    open: Vec<PathBuf>,
    /// What files will say that are not written yet.
    planned: BTreeMap<PathBuf, String>,
}

/// What begins the name of a file of Pecan's `systems/` where a file somewhere else includes it.
const OF_PECAN: &str = "pecan:";

/// The parameters in force: the value of each, and whether anything uses it.
type Parameters = BTreeMap<String, (Node, bool)>;

impl Reader {
    /// A reader that shows paths relative to a folder.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), ..Self::default() }
    }

    /// The same, to which some files say what they will say once they are written.
    pub fn with_planned(root: &Path, planned: BTreeMap<PathBuf, String>) -> Self {
        Self { planned, ..Self::new(root) }
    }

    /// What a file says.
    pub fn text(&self, path: &Path) -> io::Result<String> {
        self.planned.get(path).map_or_else(|| fs::read_to_string(path), |text| Ok(text.clone()))
    }

    /// The folder of the file in which something stands.
    pub fn folder(&self, place: &Place) -> &Path {
        self.files.get(place.file).and_then(|f| f.path.parent()).unwrap_or(Path::new(""))
    }

    /// Reads a file that was found, with what it includes.
    pub fn read(&mut self, path: &Path, text: String) -> Tables {
        let mut tables = Tables::default();
        self.file(path, text, &mut Parameters::new(), &mut tables);
        tables
    }

    /// Reads a file that is TOML; what it cannot understand is among the problems.
    pub fn table(&mut self, path: &Path, text: String) -> Option<Node> {
        let shown = path.strip_prefix(&self.root).unwrap_or(path).display().to_string();
        let file = self.files.len();
        // The values borrow from the text. This tool reads a handful of files, and then ends.
        let text: &'static str = text.leak();
        self.files.push(File { path: path.to_path_buf(), shown, text });
        let (root, errors) = DeTable::parse_recoverable(text);
        let end = text.len();
        for error in &errors {
            let span = error.span().unwrap_or(end..end);
            self.problems.push(wrong(Place { file, span }, error.message()));
        }
        let value = Spanned::new(0..end, DeValue::Table(root.into_inner()));
        errors.is_empty().then_some(Node { file, value })
    }

    fn file(&mut self, path: &Path, text: String, parameters: &mut Parameters, tables: &mut Tables) {
        let Some(mut root) = self.table(path, text) else { return };
        let file = root.file;
        let own = root.take("parameters");
        let mut known = Parameters::new();
        for key in own.iter().flat_map(Node::keys) {
            let given = parameters.get_mut(&key).map(|(value, used)| {
                *used = true;
                value.clone()
            });
            let default = own.as_ref().and_then(|own| own.get(&key));
            if let Some(value) = given.or(default) {
                known.insert(key, (value, false));
            }
        }
        self.open.push(path.to_path_buf());
        if let Some(include) = root.take("include") {
            self.include(path, &include, &mut known, tables);
        }
        self.open.pop();
        let before = self.problems.len();
        self.put_in(&mut root.value, file, &mut known);
        for (name, (_, used)) in &known {
            // One that was misspelt where it should be used is no second mistake.
            if let (false, Some(own), true) = (used, &own, before == self.problems.len()) {
                self.problems.push(
                    Problem::new(format!("nothing uses the parameter `{name}`"), own.key(name), "not used")
                        .help(format!(
                            "write \"${{{name}}}\" where its value is to stand, or take the line out"
                        )),
                );
            }
        }
        let keys = SINGLE.into_iter().chain(LISTS).chain(OTHERS);
        for key in root.keys() {
            let Some(value) = root.get(&key) else { continue };
            if let Some(single) = SINGLE.into_iter().find(|k| *k == key) {
                tables.single.insert(single, value);
            } else if let Some(list) = LISTS.into_iter().find(|k| *k == key) {
                tables.lists.entry(list).or_default().extend(value.items());
            } else {
                let problem =
                    Problem::new(format!("there is no key `{key}` here"), root.key(&key), "not a key");
                self.problems.push(problem.help(instead(&key, "the keys here are", keys.clone())));
            }
        }
    }

    fn include(&mut self, path: &Path, list: &Node, parameters: &mut Parameters, tables: &mut Tables) {
        let names: Vec<String> = match list.read() {
            Ok(names) => names,
            Err(problem) => return self.problems.push(problem),
        };
        for (name, node) in names.iter().zip(list.items()) {
            let other = match name.strip_prefix(OF_PECAN) {
                Some(name) => self.root.join("systems").join(name),
                None => path.with_file_name(name),
            };
            if self.open.contains(&other) {
                let problem = Problem::new("a file includes itself", node.place(), "this file is being read");
                self.problems.push(problem.help("take this out, here or in the file it names"));
                continue;
            }
            match self.text(&other) {
                Ok(text) => self.file(&other, text, parameters, tables),
                Err(error) => self.problems.push(
                    Problem::new(format!("cannot read `{name}`: {error}"), node.place(), "included here")
                        .help(format!(
                            "write the path of a file, from the folder of this one, or `{OF_PECAN}FILE` for one of Pecan's systems/"
                        )),
                ),
            }
        }
    }

    /// Puts the values of parameters where a text asks for them: as they are for `"${NAME}"`, as text within a longer one.
    fn put_in(&mut self, value: &mut Spanned<DeValue<'static>>, file: usize, parameters: &mut Parameters) {
        let span = value.span();
        match value.get_mut() {
            DeValue::Array(items) => {
                for item in items.iter_mut() {
                    self.put_in(item, file, parameters);
                }
            }
            DeValue::Table(table) => {
                for (_, item) in table.iter_mut() {
                    self.put_in(item, file, parameters);
                }
            }
            DeValue::String(text) if text.contains("${") => match replaced(text, parameters) {
                Ok(new) => *value = Spanned::new(span, new),
                Err(name) => {
                    let known = parameters.keys().map(String::as_str);
                    let help = match parameters.is_empty() {
                        true => format!("say its value in this file: `[parameters]`, and `{name} = ...`"),
                        false => instead(&name, "the parameters of this file are", known),
                    };
                    self.problems.push(
                        Problem::new(
                            format!("there is no parameter `{name}`"),
                            Place { file, span },
                            "used here",
                        )
                        .help(help),
                    );
                }
            },
            _ => {}
        }
    }
}

/// A text with its parameters replaced; the name of one that there is not.
fn replaced(text: &str, parameters: &mut Parameters) -> Result<DeValue<'static>, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}') else { return Err(after.to_string()) };
        let (value, used) = parameters.get_mut(name).ok_or_else(|| name.to_string())?;
        *used = true;
        let value = value.value.get_ref();
        if before.is_empty() && behind.is_empty() && out.is_empty() {
            return Ok(value.clone());
        }
        out.push_str(before);
        match value {
            DeValue::String(text) => out.push_str(text),
            DeValue::Integer(number) => out.push_str(&number.to_string()),
            DeValue::Boolean(yes) => out.push_str(if *yes { "true" } else { "false" }),
            _ => return Err(name.to_string()),
        }
        rest = behind;
    }
    out.push_str(rest);
    Ok(DeValue::String(out.into()))
}
