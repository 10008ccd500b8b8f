//! `cargo xtask graph`: a system as a picture: its components, the channels between them with their rights, the memory that
//! they share, and the devices of each. It is drawn from the description alone, which is all the authority there is.

use std::{fmt::Write, fs, path::PathBuf};

use anyhow::{Context, bail};
use layout::{
    backends::svg::SVGWriter,
    core::{
        base::Orientation,
        color::Color,
        geometry::Point,
        style::{LineStyleKind, StyleAttr},
    },
    std_shapes::{
        render::get_shape_size,
        shapes::{Arrow, Element, LineEndKind, ShapeKind},
    },
    topo::layout::VisualGraph,
};
use pecan_manifest::{INIT, IrqSource, Rights, Server, Start, System};

use crate::{Outcome, paths::Workspace, system, ui};

/// Options of `cargo xtask graph`.
#[derive(clap::Args)]
pub struct Args {
    /// The system: a file of systems/, without its `.toml`, or the path of a description.
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    system: String,
    /// The picture, or with .html the picture and who can reach whom, or with .dot what Graphviz takes.
    #[arg(long, value_name = "FILE.svg|.dot|.html")]
    out: PathBuf,
}

/// Draws a system.
pub fn run(ws: &Workspace, args: &Args) -> Outcome {
    let system = system::System::load(ws, &args.system)?;
    let picture = Picture::of(system.manifest());
    let text = match args.out.extension().and_then(|e| e.to_str()) {
        Some("svg") => picture.svg(),
        Some("dot") => picture.dot(),
        Some("html") => html(system.manifest(), &picture),
        _ => bail!(
            "cannot tell what to write into {}\n  to mend it: end its name with .svg, .dot or .html",
            args.out.display()
        ),
    };
    let path = crate::absolute(&args.out)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    ui::note(format!("wrote {}", args.out.display()));
    Ok(0)
}

/// What a box stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The initial task.
    Init,
    /// A component that is started with the system.
    Component,
    /// A program.
    Program,
    /// A device.
    Device,
}

impl Kind {
    /// The colour of the box.
    const fn fill(self) -> &'static str {
        match self {
            Self::Init => "lightgoldenrodyellow",
            Self::Component => "aliceblue",
            Self::Program => "white",
            Self::Device => "lightgray",
        }
    }
}

/// Boxes and arrows.
#[derive(Debug)]
struct Picture {
    name: String,
    boxes: Vec<(Kind, String)>,
    /// From which box to which, with what is written beside it, and whether it is authority over a device.
    arrows: Vec<(usize, usize, String, bool)>,
}

impl Picture {
    fn of(system: &System) -> Self {
        let mut picture = Self { name: system.name.clone(), boxes: Vec::new(), arrows: Vec::new() };
        for component in &system.components {
            let settings = &component.settings;
            let kind = if settings.start == Start::Boot { Kind::Component } else { Kind::Program };
            picture.boxes.push((
                kind,
                format!("{}\npriority {}, {}", settings.name, settings.priority, settings.memory),
            ));
        }
        let init = picture.boxes.len();
        picture.boxes.push((Kind::Init, format!("{INIT}\npriority 255")));
        for channel in &system.channels {
            let (_, server_role) = system.server_name(channel);
            let (to, page) = match channel.server {
                Server::Init => (init, None),
                Server::Component(n) => {
                    let serves = &system.components[usize::from(n)].interface.serves;
                    (usize::from(n), serves.values().nth(channel.server_role.into()).and_then(|s| s.page))
                }
            };
            let shared = |what: String, rights: Rights| {
                let [client, server] = rights.names();
                format!("\n{what}: client {client}, server {server}")
            };
            let page = page.map(|rights| shared("page".into(), rights)).unwrap_or_default();
            let ring = channel.ring.map(|r| shared(format!("ring {}", r.data), r.rights)).unwrap_or_default();
            let label = format!("{} to {server_role}\ncall{page}{ring}", system.client_role(channel));
            picture.arrows.push((channel.client.into(), to, label, false));
        }
        for (n, component) in system.components.iter().enumerate() {
            let settings = &component.settings;
            match system.log_writer() {
                Some(writer) if writer == n => {
                    picture.arrows.push((init, n, "what init has to say\nmemory rw, signal".into(), false));
                    picture.device(n, "serial port\nwhile nobody shows the system log".into(), "rw");
                }
                Some(writer) if settings.log => {
                    picture.arrows.push((writer, n, "system log\nmemory rw, signal".into(), false));
                }
                _ => {}
            }
            for ports in &settings.ports {
                let device = format!("{}\nI/O ports {:#x} to {:#x}", ports.name, ports.first, ports.last);
                picture.device(n, device, "rw");
            }
            for mmio in &settings.mmio {
                let device = format!("{}\nregisters {:#x} to {:#x}", mmio.name, mmio.address, mmio.end() - 1);
                picture.device(n, device, "rw");
            }
            for irq in &settings.irqs {
                let source = match irq.source() {
                    Some(IrqSource::Isa(isa)) => format!("ISA interrupt {isa}"),
                    Some(IrqSource::Pin { ioapic, pin }) => format!("I/O APIC {ioapic}, pin {pin}"),
                    None => continue,
                };
                picture.device(n, format!("{}\n{source}", irq.name), "wait, acknowledge");
            }
        }
        picture
    }

    fn device(&mut self, owner: usize, device: String, rights: &str) {
        self.boxes.push((Kind::Device, device));
        self.arrows.push((owner, self.boxes.len() - 1, rights.to_string(), true));
    }

    /// What Graphviz takes.
    fn dot(&self) -> String {
        let quoted = |text: &str| {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
        };
        let mut out = format!(
            "digraph {} {{\n    rankdir = LR;\n    node [shape = box, style = filled];\n",
            quoted(&self.name)
        );
        for (n, (kind, label)) in self.boxes.iter().enumerate() {
            // Writing to a string does not fail.
            let _ = writeln!(out, "    n{n} [label = {}, fillcolor = {}];", quoted(label), kind.fill());
        }
        for (from, to, label, device) in &self.arrows {
            let style = if *device { ", style = dashed" } else { "" };
            let _ = writeln!(out, "    n{from} -> n{to} [label = {}{style}];", quoted(label));
        }
        out + "}\n"
    }

    /// The picture. Graphviz need not be installed: `layout-rs` places boxes and arrows as that does.
    fn svg(&self) -> String {
        let direction = Orientation::LeftToRight;
        let mut graph = VisualGraph::new(direction);
        let boxes: Vec<_> = self
            .boxes
            .iter()
            .map(|(kind, label)| {
                let rounded = if *kind == Kind::Device { 0 } else { 8 };
                let look =
                    StyleAttr::new(Color::fast("black"), 1, Some(Color::fast(kind.fill())), rounded, 14);
                let shape = ShapeKind::new_box(label);
                let size = get_shape_size(direction, &shape, look.font_size, false);
                graph.add_node(Element::create(shape, look, direction, Point::new(size.x, size.y)))
            })
            .collect();
        for (from, to, label, device) in &self.arrows {
            let line = if *device { LineStyleKind::Dashed } else { LineStyleKind::Normal };
            let look = StyleAttr::new(Color::fast("black"), 1, None, 0, 12);
            let arrow = Arrow::new(LineEndKind::None, LineEndKind::Arrow, line, label, &look, &None, &None);
            graph.add_edge(arrow, boxes[*from], boxes[*to]);
        }
        let mut svg = SVGWriter::new();
        graph.do_it(false, false, false, &mut svg);
        svg.finalize()
    }
}

/// For each component, and the initial task behind them, whom it can reach: directly, and by way of others.
fn reach(system: &System) -> Vec<(Vec<usize>, Vec<usize>)> {
    let init = system.components.len();
    let direct = |n: usize| -> Vec<usize> {
        let servers = system.channels_of(n).map(|(_, channel)| match channel.server {
            Server::Init => init,
            Server::Component(server) => usize::from(server),
        });
        let mut servers: Vec<_> = servers.collect();
        servers.sort_unstable();
        servers.dedup();
        servers
    };
    let all = (0..=init).map(|n| {
        let first = direct(n);
        let mut known = first.clone();
        let mut next = 0;
        while let Some(here) = known.get(next).copied() {
            next += 1;
            let new: Vec<_> = direct(here).into_iter().filter(|there| !known.contains(there)).collect();
            known.extend(new);
        }
        known.retain(|there| *there != n && !first.contains(there));
        (first, known)
    });
    all.collect()
}

/// A page with the picture and a table of who can reach whom.
fn html(system: &System, picture: &Picture) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let name = |n: usize| system.components.get(n).map_or(INIT, |c| &*c.settings.name);
    let names = |list: &[usize]| match list {
        [] => "nobody".to_string(),
        list => list.iter().map(|n| name(*n)).collect::<Vec<_>>().join(", "),
    };
    let mut rows = String::new();
    for (n, (direct, further)) in reach(system).iter().enumerate() {
        let about = system.components.get(n).map_or("the initial task", |c| &*c.settings.about);
        // Writing to a string does not fail.
        let _ = writeln!(
            rows,
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(name(n)),
            escaped(about),
            names(direct),
            names(further)
        );
    }
    let svg = picture.svg();
    let drawing = svg.find("<svg").map_or("", |at| &svg[at..]);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>The system {name}</title>\n\
         <style>body {{ font-family: sans-serif }} td, th {{ text-align: left; padding: 0 1em 0 0 }}</style>\n</head>\n\
         <body>\n<h1>The system {name}</h1>\n{drawing}\n<h2>Who can reach whom</h2>\n\
         <p>Every component can also tell {INIT} that it exits, and write lines into the system log.</p>\n\
         <table>\n<tr><th>component</th><th></th><th>calls</th><th>reaches by way of these</th></tr>\n{rows}</table>\n\
         </body>\n</html>\n",
        name = escaped(&system.name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default() -> system::System {
        system::System::load(&Workspace::find().unwrap(), "default").unwrap()
    }

    #[test]
    fn a_picture_has_every_component_channel_and_device() {
        let system = default();
        let manifest = system.manifest();
        let picture = Picture::of(manifest);
        let devices: usize =
            manifest.components.iter().map(|c| c.settings.ports.len() + c.settings.irqs.len()).sum();
        // The log has the serial port, too; and there are the two parts of the system log.
        let devices = devices + 1;
        assert_eq!(picture.boxes.len(), manifest.components.len() + 1 + devices);
        assert_eq!(picture.arrows.len(), manifest.channels.len() + devices + 2);
        let dot = picture.dot();
        assert!(dot.contains("label = \"console to clients\\ncall\\npage: client rw, server r\""), "{dot}");
        assert!(dot.contains("label = \"pit\\nI/O ports 0x40 to 0x43\""), "{dot}");
        assert_eq!(dot.matches(" -> ").count(), picture.arrows.len());
        let svg = picture.svg();
        for component in &manifest.components {
            assert!(svg.contains(&*component.settings.name), "{} is not drawn", component.settings.name);
        }
        assert!(svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn one_reaches_whom_one_calls_and_whom_they_call() {
        let system = default();
        let manifest = system.manifest();
        let number = |name: &str| manifest.components.iter().position(|c| *c.settings.name == *name).unwrap();
        let reach = reach(manifest);
        let (direct, further) = &reach[number("nap")];
        let mut expected = [number("console"), number("timer")];
        expected.sort();
        assert_eq!((&direct[..], further.len()), (&expected[..], 0));
        let init = manifest.components.len();
        assert!(reach[number("supervisor")].0.contains(&init), "the supervisor calls init");
        let (direct, further) = &reach[number("shell")];
        assert!(
            !direct.contains(&init) && further.contains(&init),
            "the shell does so through the supervisor"
        );
        assert!(html(manifest, &Picture::of(manifest)).contains("<th>shell</th>"));
    }

    #[test]
    fn quotes_do_not_end_a_label() {
        let picture = Picture {
            name: "a \"b\"".into(),
            boxes: vec![(Kind::Device, "x\\\"y\nz".into())],
            arrows: vec![(0, 0, "<&>".into(), true)],
        };
        assert!(picture.dot().contains(r#"digraph "a \"b\"" {"#));
        assert!(picture.dot().contains(r#"[label = "x\\\"y\nz", fillcolor"#));
        assert!(picture.svg().contains("&lt;&amp;&gt;"));
    }
}
