//! Every loop of the kernel stands in `docs/latency.md`, with its bound or its preemption point.

use std::{collections::BTreeMap, fs};

use super::rules::File;
use crate::paths::Workspace;

const PAGE: &str = "docs/latency.md";
/// The crates that count, and their files that do not: what is only there in tests, at boot, or in debug or benchmark
/// kernels.
const CRATES: [&str; 2] = ["core", "mem"];
const APART: [&str; 8] =
    ["benchmark.rs", "boot", "debug.rs", "host.rs", "invariants", "latency.rs", "report.rs", "testing.rs"];

/// Files with more or fewer loops than the page has rows for them.
pub fn listed(ws: &Workspace, files: &[File]) -> Vec<String> {
    let Ok(page) = fs::read_to_string(ws.join(PAGE)) else { return vec![format!("{PAGE} is missing")] };
    let mut loops: BTreeMap<String, usize> = BTreeMap::new();
    for file in files.iter().filter(|f| !f.is_test()) {
        if let Some(name) = name(&file.path) {
            *loops.entry(name).or_default() += file.source.loops();
        }
    }
    let mut wrong = compare(&loops, &rows(&page));
    wrong.extend(unbounded(&page));
    wrong
}

/// Rows of the page's table that name no bound: neither a number nor a preemption point nor why none is needed.
fn unbounded(page: &str) -> Vec<String> {
    let is_bound = |text: &str| {
        let reasons = ["preemption point", "one ", "two ", "only for", "in the compiler"];
        text.contains(|c: char| c.is_ascii_digit()) || reasons.iter().any(|reason| text.contains(reason))
    };
    let mut wrong = vec![];
    for line in page.lines().filter_map(|line| line.strip_prefix("| ")) {
        let cells: Vec<&str> = line.trim_end_matches(" |").split(" | ").collect();
        if cells[0].ends_with(".rs") && !cells.get(2).is_some_and(|bound| is_bound(bound)) {
            wrong.push(format!("{PAGE} has no bound for {}", cells[..cells.len().min(2)].join(", ")));
        }
    }
    wrong
}

/// `core/vspace/map.rs` for `kernel/core/src/vspace/map.rs`, if its loops count.
fn name(path: &str) -> Option<String> {
    let (package, file) = path.strip_prefix("kernel/")?.split_once("/src/")?;
    let apart =
        file.ends_with("_tests.rs") || file.split('/').any(|part| APART.contains(&part) || part == "boot.rs");
    (CRATES.contains(&package) && !apart).then(|| format!("{package}/{file}"))
}

/// How many rows of the page's table begin with each file.
fn rows(page: &str) -> BTreeMap<String, usize> {
    let mut rows = BTreeMap::new();
    for line in page.lines() {
        let first = line.strip_prefix("| ").and_then(|l| l.split(" |").next()).unwrap_or_default();
        if first.ends_with(".rs") {
            *rows.entry(first.to_string()).or_default() += 1;
        }
    }
    rows
}

fn compare(loops: &BTreeMap<String, usize>, rows: &BTreeMap<String, usize>) -> Vec<String> {
    let count = |of: &BTreeMap<String, usize>, name: &str| of.get(name).copied().unwrap_or(0);
    let mut names: Vec<&String> = loops.keys().chain(rows.keys()).collect();
    names.sort();
    names.dedup();
    let wrong = names.into_iter().filter(|n| count(loops, n) != count(rows, n));
    wrong.map(|n| format!("{n} has {} loops, {PAGE} lists {}", count(loops, n), count(rows, n))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_is_not_listed_is_told() {
        let page = "| file | in | bound |\n| core/a.rs | `f` | 3 |\n| core/b.rs | `g` | 4 |\n";
        let loops = BTreeMap::from([("core/a.rs".to_string(), 2), ("core/c.rs".to_string(), 0)]);
        let wrong = compare(&loops, &rows(page));
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].starts_with("core/a.rs has 2 loops") && wrong[1].starts_with("core/b.rs has 0"));
    }

    #[test]
    fn a_loop_without_a_bound_is_told() {
        let page = "| file | in | bound |\n| core/a.rs | `f` | 3 |\n| core/b.rs | `g` | preemption point |\n\
                    | core/c.rs | `h` | |\n| core/d.rs | `i` | ends |\n| core/e.rs | `j` |\n";
        let wrong = unbounded(page);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].ends_with("core/c.rs, `h`") && wrong[1].ends_with("core/d.rs, `i`"));
    }

    #[test]
    fn only_what_runs_in_the_kernel_counts() {
        assert_eq!(name("kernel/core/src/sched/refill.rs").as_deref(), Some("core/sched/refill.rs"));
        for path in [
            "kernel/core/src/boot/mod.rs",
            "kernel/mem/src/boot.rs",
            "kernel/arch/src/lib.rs",
            "os/init/src/a.rs",
        ] {
            assert_eq!(name(path), None, "{path}");
        }
    }
}
