//! The picture of the figures: each operation beside other kernels.
//!
//! The colours follow what the reader's page prefers, light or dark; the picture brings its own background, so that it can
//! be read where nobody asks.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use svg::{
    Document, Node,
    node::element::{Group, Line, Rectangle, Style, Text},
};

use super::{IMAGE_ROWS, LINE_ROWS, Row};
use crate::paths::Workspace;

/// Another kernel, of `bench/peers.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    name: String,
    about: String,
    /// Instructions by the ids of rows.
    figures: BTreeMap<String, u64>,
}

/// Reads `bench/peers.toml`. Every figure must be of a row.
pub fn peers(ws: &Workspace, rows: &[&str]) -> Result<Vec<Peer>> {
    let path = ws.join("bench/peers.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text, rows).with_context(|| format!("cannot understand {}", path.display()))
}

fn parse(text: &str, rows: &[&str]) -> Result<Vec<Peer>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Peers {
        peer: Vec<Peer>,
    }
    let Peers { peer: peers } = toml::from_str(text)?;
    for Peer { name, figures, .. } in &peers {
        if let Some(id) = figures.keys().find(|id| !rows.contains(&id.as_str())) {
            bail!("{name} has a figure for {id}, which is no row of bench/budgets.toml");
        }
    }
    Ok(peers)
}

/// What the picture calls this kernel.
const OURS: &str = "Pecan";
const WIDTH: f64 = 860.0;
const MARGIN: f64 = 24.0;
/// Where bars begin, and how long they can be.
const BARS: f64 = 392.0;
const LENGTH: f64 = 350.0;
/// Distance from bar to bar, and a bar's height.
const PITCH: f64 = 22.0;
const HEIGHT: f64 = 14.0;

const STYLE: &str = "
    text { font: 12px system-ui, 'DejaVu Sans', sans-serif; fill: #1f2328; }
    .title { font-size: 15px; font-weight: 600; }
    .quiet { fill: #59636e; font-size: 11px; }
    .page { fill: #ffffff; }
    .ours { fill: #1a7f5a; }
    .peer { fill: #a9b4c0; }
    .mark { stroke: #59636e; stroke-width: 1; stroke-dasharray: 3 3; }
    @media (prefers-color-scheme: dark) {
        text { fill: #e6edf3; }
        .quiet { fill: #9198a1; }
        .page { fill: #0d1117; }
        .ours { fill: #3fb984; }
        .peer { fill: #57606a; }
        .mark { stroke: #9198a1; }
    }
";

/// Draws the picture.
pub fn draw(rows: &[Row], peers: &[Peer]) -> String {
    let mut picture = Picture { content: Group::new(), y: MARGIN };
    let common = rows.iter().filter(|row| peers.iter().any(|p| p.figures.contains_key(&row.id)));
    for (index, row) in common.enumerate() {
        picture.kernels(row, peers, index == 0);
    }
    picture.operations(rows);
    picture.finish()
}

struct Picture {
    content: Group,
    /// Where the next thing goes.
    y: f64,
}

impl Picture {
    /// An operation that several kernels have: one bar for each, the fastest first; `explained`, with what it is.
    fn kernels(&mut self, row: &Row, peers: &[Peer], explained: bool) {
        let mut bars: Vec<(&str, &str, u64)> = peers
            .iter()
            .filter_map(|p| Some((p.name.as_str(), p.about.as_str(), *p.figures.get(&row.id)?)))
            .collect();
        bars.extend(row.instructions.map(|n| (OURS, "capabilities and scheduling contexts", n)));
        bars.extend(row.sel4.map(|n| ("seL4", "seL4 16.0, MCS: capabilities and scheduling contexts", n)));
        bars.sort_by_key(|(.., n)| *n);
        let most = bars.last().map_or(1, |(.., n)| *n);
        let (first, rest) = row.what.split_at(row.what.char_indices().nth(1).map_or(0, |(at, _)| at));
        self.title(&format!("{}{rest}: instructions", first.to_uppercase()));
        for (name, about, instructions) in bars {
            let class = if name == OURS { "ours" } else { "peer" };
            let end = self.bar(name, class, instructions as f64 / most as f64);
            self.text(end + 6.0, &instructions.to_string(), "", "start");
            if explained {
                self.y += PITCH - 4.0;
                self.text(BARS, about, "quiet", "start");
            }
            self.y += PITCH;
        }
        self.y += PITCH / 2.0;
    }

    /// Each operation as a part of what it is on seL4.
    fn operations(&mut self, rows: &[Row]) {
        let shown = rows.iter().filter(|r| !IMAGE_ROWS.contains(&&*r.id) && !LINE_ROWS.contains(&&*r.id));
        let pairs: Vec<(&Row, u64, u64)> =
            shown.filter_map(|r| Some((r, r.instructions?, r.sel4.filter(|n| *n > 0)?))).collect();
        if pairs.is_empty() {
            return;
        }
        self.title("Each operation of Pecan: instructions / those of seL4 16.0 with MCS (the dashed line)");
        let top = self.y - HEIGHT;
        let most = pairs.iter().map(|(_, n, sel4)| *n as f64 / *sel4 as f64).fold(1.0, f64::max);
        for (row, ours, sel4) in pairs {
            self.bar(&row.what, "ours", ours as f64 / sel4 as f64 / most);
            self.text(BARS + LENGTH + 50.0, &ours.to_string(), "", "end");
            self.text(BARS + LENGTH + 56.0, &format!("/ {sel4}"), "quiet", "start");
            self.y += PITCH;
        }
        let at = BARS + LENGTH / most;
        let line = Line::new().set("class", "mark").set("x1", at).set("x2", at).set("y1", top);
        self.content.append(line.set("y2", self.y - HEIGHT));
    }

    fn title(&mut self, text: &str) {
        self.y += HEIGHT;
        self.text(MARGIN, text, "title", "start");
        self.y += PITCH * 1.3;
    }

    /// A bar with its name to the left; returns where it ends.
    fn bar(&mut self, name: &str, class: &str, length: f64) -> f64 {
        self.text(BARS - 10.0, name, "", "end");
        let width = (length * LENGTH * 10.0).round() / 10.0;
        let bar = Rectangle::new().set("class", class).set("x", BARS).set("y", self.y - HEIGHT + 2.0);
        self.content.append(bar.set("width", width).set("height", HEIGHT).set("rx", 2));
        BARS + width
    }

    fn text(&mut self, x: f64, text: &str, class: &str, anchor: &str) {
        let mut node = Text::new(text).set("x", x).set("y", self.y).set("text-anchor", anchor);
        if !class.is_empty() {
            node = node.set("class", class);
        }
        self.content.append(node);
    }

    fn finish(self) -> String {
        let height = self.y + MARGIN - PITCH / 2.0;
        let page = Rectangle::new().set("class", "page").set("width", WIDTH).set("height", height);
        let document = Document::new().set("viewBox", (0, 0, WIDTH, height)).set("width", WIDTH);
        let document = document.set("height", height).add(Style::new(STYLE)).add(page).add(self.content);
        document.to_string() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_peers_are_of_rows() {
        let text = "[[peer]]\nname = \"NOVA\"\nabout = \"portals\"\nfigures = { roundtrip = 282 }\n";
        assert_eq!(parse(text, &["roundtrip"]).unwrap()[0].figures["roundtrip"], 282);
        let wrong = parse(text, &["call0"]).err().unwrap().to_string();
        assert_eq!(wrong, "NOVA has a figure for roundtrip, which is no row of bench/budgets.toml");
    }

    #[test]
    fn the_picture_has_every_kernel_and_every_operation() {
        let row = |id: &str, ours, sel4| Row {
            id: id.into(),
            what: format!("{id} & more"),
            instructions: Some(ours),
            sel4: Some(sel4),
            ..Row::default()
        };
        let rows = [row("roundtrip", 250, 498), row("copy", 300, 900), row("text", 98000, 105472)];
        let peer = Peer {
            name: "NOVA".into(),
            about: "portals".into(),
            figures: [("roundtrip".into(), 282)].into(),
        };
        let picture = draw(&rows, &[peer]);
        for part in ["NOVA", "282", "Pecan", "498", "copy &amp; more", "/ 900", "prefers-color-scheme: dark"]
        {
            assert!(picture.contains(part), "{part} is missing in {picture}");
        }
        assert!(!picture.contains("98000"), "sizes are no instructions");
        // The bar of 300 of 900 is a third of the whole length.
        assert!(picture.contains("width=\"116.7\""), "{picture}");
    }
}
