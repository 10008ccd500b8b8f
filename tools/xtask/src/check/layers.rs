//! The layers of the portable kernel: a file of `kernel/core` uses only what stands before it in the list of
//! `tools/xtask/house.toml`.
//!
//! A *unit* of the list is a file, or a folder with all that is in it; what a folder's files need of one another is not
//! looked at then. What is listed as beside the layers may use all of them, and none of them uses it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::rules::File;

const ROOT: &str = "kernel/core/src/";
const LIST: &str = "[core_layers] in tools/xtask/house.toml";

/// The list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layers {
    /// Units from the lowest up, as paths without `.rs`.
    units: Vec<String>,
    /// What stands beside them: files or folders.
    beside: Vec<String>,
}

impl Layers {
    /// The place of the unit that a module path (`sched/budget`) or a path into it belongs to.
    fn place(&self, module: &str) -> Option<usize> {
        self.units.iter().position(|unit| is_in(module, unit))
    }

    fn is_beside(&self, module: &str) -> bool {
        self.beside.iter().any(|name| is_in(module, name))
    }
}

fn is_in(module: &str, unit: &str) -> bool {
    module.strip_prefix(unit).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Every use of one unit by another, and the line of the first.
type Uses = BTreeMap<(usize, usize), String>;

/// Files that use what stands behind them or beside the layers, files in no unit, and units without a file.
pub fn kept(layers: &Layers, files: &[File]) -> Vec<String> {
    let (wrong, _) = look(layers, files);
    wrong
}

/// The longest chain of units each of which uses the next, from the top down.
pub fn longest_chain<'a>(layers: &'a Layers, files: &[File]) -> Vec<&'a str> {
    let (_, uses) = look(layers, files);
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for unit in 0..layers.units.len() {
        let below = uses.keys().filter(|(user, used)| *user == unit && *used < unit);
        let mut chain = below.map(|&(_, used)| chains[used].clone()).max_by_key(Vec::len).unwrap_or_default();
        chain.insert(0, unit);
        chains.push(chain);
    }
    let longest = chains.into_iter().max_by_key(Vec::len).unwrap_or_default();
    longest.into_iter().map(|unit| layers.units[unit].as_str()).collect()
}

fn look(layers: &Layers, files: &[File]) -> (Vec<String>, Uses) {
    let (mut wrong, mut uses, mut seen) = (Vec::new(), Uses::new(), BTreeSet::new());
    for file in files.iter().filter(|f| !f.is_test()) {
        let Some(path) = file.path.strip_prefix(ROOT).and_then(|path| path.strip_suffix(".rs")) else {
            continue;
        };
        // A folder that only lists its files is no unit.
        let module = path.strip_suffix("/mod").unwrap_or(path);
        if module == "lib" || layers.is_beside(module) {
            continue;
        }
        let place = layers.place(path).or_else(|| layers.place(module));
        let used = file.source.paths_in_crate(module);
        let Some(place) = place else {
            if !path.ends_with("/mod") || !used.is_empty() {
                wrong.push(format!("{}: stands in no layer: see {LIST}", file.path));
            }
            continue;
        };
        seen.insert(place);
        for (line, target) in used {
            let at = format!("{}:{line}", file.path);
            if layers.is_beside(&target) {
                wrong.push(format!("{at}: uses `{target}`, which is beside the layers"));
                continue;
            }
            // A name of a folder's own file.
            let own = format!("{}/mod", target.split('/').next().unwrap_or_default());
            match layers.place(&target).or_else(|| layers.place(&own)) {
                Some(below) if below > place => {
                    wrong.push(format!(
                        "{at}: uses `{target}`, which stands behind `{}`",
                        layers.units[place]
                    ));
                }
                Some(below) => drop(uses.entry((place, below)).or_insert(at)),
                None => wrong.push(format!("{at}: uses `{target}`, which stands in no layer")),
            }
        }
    }
    let empty = (0..layers.units.len()).filter(|unit| !seen.contains(unit));
    wrong.extend(empty.map(|unit| format!("{LIST}: there is no {}", layers.units[unit])));
    (wrong, uses)
}

#[cfg(test)]
mod tests {
    use super::{super::source::Source, *};

    fn file(path: &str, text: &str) -> File {
        File { path: format!("{ROOT}{path}"), source: Source::new(text) }
    }

    fn layers() -> Layers {
        let owned = |names: &[&str]| names.iter().map(|n| n.to_string()).collect();
        Layers {
            units: owned(&["base/error", "sched/ready", "sched/wake", "delete"]),
            beside: owned(&["boot"]),
        }
    }

    #[test]
    fn a_use_of_what_stands_behind_is_found_in_every_form() {
        let fine = [
            file("lib.rs", "pub mod base;\n"),
            file("base/mod.rs", "pub mod error;\n"),
            file("base/error.rs", "pub struct E;\n"),
            file("sched/mod.rs", "pub mod ready;\npub mod wake;\n"),
            file(
                "sched/ready.rs",
                "use crate::base::error;\n#[cfg(test)]\nmod tests { use crate::delete; }\n",
            ),
            file("sched/wake.rs", "use super::ready::{self, f};\nfn a() { crate::base::error::b() }\n"),
            file("delete/mod.rs", "mod zombie;\nuse crate::{base::{error::E, error}, sched::wake};\n"),
            file("delete/zombie.rs", "use super::delete;\n"),
            file("boot/mod.rs", "use crate::delete;\n"),
        ];
        assert_eq!(kept(&layers(), &fine), [] as [String; 0]);
        assert_eq!(longest_chain(&layers(), &fine), ["delete", "sched/wake", "sched/ready", "base/error"]);
        for (path, text, line) in [
            ("base/error.rs", "\nuse crate::{\n    sched::{ready},\n};\n", 2),
            ("base/error.rs", "fn a() {\n    crate::sched::ready::b()\n}\n", 2),
            ("sched/ready.rs", "use super::wake;\n", 1),
            ("sched/ready.rs", "use super::super::delete::x;\n", 1),
            ("sched/wake.rs", "use crate::boot::info;\n", 1),
            ("sched/wake.rs", "use crate::fault;\n", 1),
        ] {
            let mut files: Vec<File> =
                fine.iter().map(|f| File { path: f.path.clone(), source: f.source.clone() }).collect();
            let changed = files.iter_mut().find(|f| f.path.ends_with(path)).unwrap();
            changed.source = Source::new(text);
            let wrong = kept(&layers(), &files);
            assert!(
                wrong.len() == 1 && wrong[0].starts_with(&format!("{ROOT}{path}:{line}: uses")),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn every_file_stands_in_a_layer_and_every_layer_has_a_file() {
        let files = [
            file("base/error.rs", ""),
            file("sched/ready.rs", ""),
            file("delete.rs", ""),
            file("odd.rs", ""),
        ];
        let wrong = kept(&layers(), &files);
        assert!(wrong[0].starts_with("kernel/core/src/odd.rs: stands in no layer"), "{wrong:?}");
        assert_eq!(wrong[1..], [format!("{LIST}: there is no sched/wake")]);
    }
}
