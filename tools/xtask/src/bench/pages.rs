//! The tables of figures in `docs/` and `bench/`, written from what was measured.

use std::{collections::BTreeMap, fmt::Write, fs};

use anyhow::{Context, Result, bail};

use super::{Row, number};
use crate::paths::Workspace;

/// Comments around a table that is written here.
const MARKS: [&str; 2] = ["<!-- figures -->\n", "<!-- end of figures -->\n"];
/// What operations cost.
const COSTS: &str = "docs/costs.md";
/// What the window against Meltdown adds.
const SIDE_CHANNELS: &str = "docs/side-channels.md";
/// The picture of that page.
const PICTURE: &str = "docs/costs.svg";
/// What Call and ReplyRecv spend.
const PATH: &str = "bench/path.md";
/// Rows of the second page.
const WINDOW: [&str; 6] = ["null", "call0", "replyrecv0", "roundtrip", "fault", "irq"];

/// Whether docs/costs.md shows the figures of these rows.
pub fn agree(ws: &Workspace, rows: &[Row]) -> Result<bool> {
    let text = read(ws, COSTS)?;
    Ok(with_table(&text, &costs(rows)).context(COSTS)? == text)
}

/// Writes the tables and the picture. `window` are the figures where user level sees only a window of the kernel,
/// `spent` are the tables of bench/path.md.
pub fn write(
    ws: &Workspace,
    rows: &[Row],
    window: &BTreeMap<String, u64>,
    spent: &str,
    picture: &str,
) -> Result<()> {
    let tables = [(COSTS, costs(rows)), (SIDE_CHANNELS, beside(rows, window)), (PATH, spent.to_string())];
    for (path, table) in tables {
        let text = with_table(&read(ws, path)?, &table).context(path)?;
        fs::write(ws.join(path), text).with_context(|| format!("cannot write {path}"))?;
        println!("wrote {path}");
    }
    fs::write(ws.join(PICTURE), picture).with_context(|| format!("cannot write {PICTURE}"))?;
    println!("wrote {PICTURE}");
    Ok(())
}

fn read(ws: &Workspace, path: &str) -> Result<String> {
    fs::read_to_string(ws.join(path)).with_context(|| format!("cannot read {path}"))
}

/// The page with the table between its marks replaced.
fn with_table(page: &str, table: &str) -> Result<String> {
    let [begin, end] = MARKS;
    let parts = page.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let Some((before, after)) = parts else { bail!("no table between {begin:?} and {end:?}") };
    Ok(format!("{before}{begin}{table}{end}{after}"))
}

/// All rows beside seL4's.
fn costs(rows: &[Row]) -> String {
    let mut table =
        "| row | operation | ours | aim | seL4 16.0, MCS |\n| --- | --- | ---: | ---: | ---: |\n".to_string();
    for row in rows {
        let (ours, aim, sel4) = (number(row.instructions), number(row.aim), number(row.sel4));
        let _ = writeln!(table, "| `{}` | {} | {ours} | {aim} | {sel4} |", row.id, row.what);
    }
    table
}

/// Some rows without the window and with it.
fn beside(rows: &[Row], window: &BTreeMap<String, u64>) -> String {
    let mut table = "| operation | without | with |\n| --- | ---: | ---: |\n".to_string();
    for row in rows.iter().filter(|row| WINDOW.contains(&row.id.as_str())) {
        let (without, with) = (number(row.instructions), number(window.get(&row.id).copied()));
        let _ = writeln!(table, "| {} | {without} | {with} |", row.what);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_replaced_and_nothing_else() {
        let page = "before\n<!-- figures -->\nold\n<!-- end of figures -->\nafter\n";
        let row = |id: &str, n| Row {
            id: id.into(),
            what: format!("what {id} is"),
            instructions: Some(n),
            aim: Some(5),
            ..Row::default()
        };
        let rows = [row("null", 7), row("copy", 8)];
        let written = with_table(page, &costs(&rows)).unwrap();
        let expected = "before\n<!-- figures -->\n| row | operation | ours | aim | seL4 16.0, MCS |\n\
            | --- | --- | ---: | ---: | ---: |\n| `null` | what null is | 7 | 5 | - |\n\
            | `copy` | what copy is | 8 | 5 | - |\n<!-- end of figures -->\nafter\n";
        assert_eq!(written, expected);
        assert_eq!(with_table(&written, &costs(&rows)).unwrap(), written);
        assert!(with_table("no marks", "").is_err());
        let window = BTreeMap::from([("null".into(), 9), ("copy".into(), 9)]);
        assert!(beside(&rows, &window).ends_with("| ---: |\n| what null is | 7 | 9 |\n"));
    }
}
