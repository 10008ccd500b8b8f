//! Changes to files that people write: as small as they can be, comments and all else as they were.

use anyhow::{Context, Result, ensure};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

/// A workspace's `Cargo.toml` with members more.
pub fn members(text: &str, new: &[&String]) -> Result<String> {
    let mut manifest: DocumentMut = text.parse()?;
    let members = manifest.get_mut("workspace").and_then(|w| w.get_mut("members"));
    let members = members.and_then(Item::as_array_mut).context("it has no list `workspace.members`")?;
    for member in new {
        let folder =
            |path: &str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_string());
        let known: Vec<String> = members.iter().map(|m| m.as_str().unwrap_or_default().to_string()).collect();
        // Among those of its folder, in order; behind all others if it is the first there.
        let neighbour =
            known.iter().rposition(|m| folder(m) == folder(member) && m.as_str() < member.as_str());
        let first = known.iter().position(|m| folder(m) == folder(member));
        let at = neighbour.map(|n| n + 1).or(first).unwrap_or(known.len());
        insert(members, at, Value::from(member.as_str()));
    }
    Ok(manifest.to_string())
}

/// Puts a value into a list, on a line of its own.
fn insert(list: &mut Array, at: usize, value: Value) {
    // What stands in the line of the value before, behind its comma, belongs to whatever comes next: it stays in its line.
    let behind = match list.get(at) {
        Some(next) => next.decor().prefix(),
        None => Some(list.trailing()),
    };
    let behind = behind.and_then(|text| text.as_str()).unwrap_or_default();
    let (line, rest) = behind.split_once('\n').unwrap_or((behind.trim_end(), ""));
    let (prefix, rest) = (format!("{line}\n    "), format!("\n{rest}"));
    match list.get_mut(at) {
        Some(next) => next.decor_mut().set_prefix(rest),
        None => list.set_trailing(rest),
    }
    list.insert_formatted(at, value.decorated(prefix, ""));
    // What stood behind the last value, without a comma, is the end of its line.
    if let Some(last) = at.checked_sub(1).and_then(|before| list.get_mut(before)) {
        last.decor_mut().set_suffix("");
    }
    list.set_trailing_comma(true);
}

/// A description with what another text in that form has; `path` says what is to be the key `path` of a component made of a
/// package.
pub fn description(text: &str, more: &str, path: impl Fn(&str) -> Option<String>) -> Result<String> {
    let mut old: DocumentMut = text.parse()?;
    let more: DocumentMut = more.parse()?;
    for (key, item) in more.iter() {
        let tables = item.as_array_of_tables().context("a template has lists of tables")?;
        for table in tables.iter() {
            let mut table = table.clone();
            let package = table.get("package").and_then(Item::as_str).unwrap_or_default();
            if let Some(path) = path(package).filter(|_| key == "component") {
                table = with_path(&table, &path);
            }
            table.decor_mut().set_prefix("\n");
            table.set_position(None);
            let list = old.entry(key).or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
            match list {
                Item::ArrayOfTables(list) => list.push(table),
                Item::Value(Value::Array(list)) => {
                    insert(list, list.len(), Value::InlineTable(inline(&table)));
                }
                _ => anyhow::bail!("its key `{key}` is not a list"),
            }
        }
    }
    let text = old.to_string();
    ensure!(text.parse::<DocumentMut>().is_ok(), "what would be written is not TOML");
    Ok(text)
}

/// A component's table with its `path`, behind `package`.
fn with_path(table: &Table, path: &str) -> Table {
    let mut new = Table::new();
    for (key, item) in table.iter() {
        new.insert(key, item.clone());
        if key == "package" {
            new.insert("path", toml_edit::value(path));
        }
    }
    new
}

/// A table as one of a list in brackets.
fn inline(table: &Table) -> InlineTable {
    let mut new = InlineTable::new();
    for (key, item) in table.iter() {
        if let Some(value) = item.as_value() {
            let mut value = value.clone();
            value.decor_mut().clear();
            new.insert(key, value);
        }
    }
    new.fmt();
    new
}
