//! `cargo xtask bench`: instructions per kernel operation, compared with the budgets.
//!
//! The package `bench` is a root task. On a machine whose clock advances by one nanosecond per instruction it times
//! each operation and prints `bench ID INSTRUCTIONS`, and `bench: done` at its end. What the rows are, and how many
//! instructions each may take, is in `bench/budgets.toml`.

mod cycles;
mod forbidden;
mod lines;
mod pages;
mod path;
mod plot;
mod trace;

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, bail};
use path::{Path, Paths};
use serde::{Deserialize, Serialize};

use crate::{
    Arch, Outcome, absolute, build,
    check::figures::Sizes,
    doctor,
    paths::Workspace,
    process,
    qemu::{Boot, Machine, Wait},
    toolchain::Toolchain,
};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Measure only rows whose id contains one of these words, in one run.
    #[arg(value_name = "FILTER", conflicts_with = "docs")]
    filters: Vec<String>,
    /// Processor architecture.
    #[arg(long, value_enum, default_value = "x86_64")]
    arch: Arch,
    /// Configuration of the kernel.
    #[arg(long, default_value = "bench")]
    profile: String,
    /// Write the figures to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the figures beside those of other kernels (bench/peers.toml).
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Write the figures into the tables and the picture of docs/, too.
    #[arg(long)]
    docs: bool,
    /// Show by source function and line what the rows spend instructions, stores, cache lines and cycles on.
    #[arg(long)]
    path: bool,
}

/// A row of `bench/budgets.toml`.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Budget {
    /// The operation, in words.
    what: String,
    /// Instructions that it may take; more is a failure.
    budget: u64,
    /// Instructions that we want it to take one day.
    aim: Option<u64>,
    /// Instructions that it takes on seL4.
    sel4: Option<u64>,
}

/// A row of the report.
#[derive(Serialize, Debug, Default, PartialEq, Eq)]
struct Row {
    id: String,
    what: String,
    instructions: Option<u64>,
    budget: Option<u64>,
    aim: Option<u64>,
    sel4: Option<u64>,
    #[serde(flatten)]
    path: Option<Path>,
}

impl Row {
    /// What is wrong with the figure, if anything.
    fn wrong(&self) -> Option<String> {
        match (self.instructions, self.budget) {
            (None, _) => Some(format!("{} was not measured", self.id)),
            (Some(n), Some(budget)) if n > budget => {
                Some(format!("{} takes {n}, its budget is {budget}", self.id))
            }
            _ => None,
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    arch: &'a str,
    commit: String,
    /// What built the kernel: another version may give other figures.
    compiler: String,
    /// Whose models the estimated cycles come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    cycles_by: Option<String>,
    rows: &'a [Row],
}

/// How long one run may take.
const TIME: Duration = Duration::from_secs(120);

/// Measures, prints the figures and fails if one is over its budget.
pub fn run(ws: &Workspace, args: &Args) -> Outcome {
    args.arch.only_pc("`cargo xtask bench`")?;
    if !ws.join("bench/Cargo.toml").is_file() {
        bail!("there is no benchmark yet: the package `bench` in the folder bench/ is still to be written");
    }
    let path = ws.join("bench/budgets.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut budgets = budgets(&text).with_context(|| format!("cannot understand {}", path.display()))?;
    let filter = Filter(&args.filters);
    if let Some(word) = filter.useless(&budgets) {
        let ids: Vec<_> = budgets.iter().map(|(id, _)| id.as_str()).collect();
        bail!("no row's id contains {word:?}; the rows are {}", ids.join(" "));
    }
    let ids: Vec<&str> = budgets.iter().map(|(id, _)| id.as_str()).collect();
    let peers = plot::peers(ws, &ids)?;
    budgets.retain(|(id, _)| filter.chooses(id));
    let bench = Bench::build(ws, args)?;
    let counted = bench.count(&filter)?;
    let traces = trace::follow(&bench.boot(&Machine::counting()), &followed(&counted, &filter))?;
    let paths = Paths::of(ws, &traces);
    let mut figures = paths.round_trip_lines();
    figures.extend(counted);
    if filter.chooses_any(&IMAGE_ROWS) {
        figures.extend(bench.image()?);
    }
    figures.retain(|id, _| filter.chooses(id));
    let rows = table(budgets, figures, &paths);
    print(&rows);
    println!("compiler: {}", bench.toolchain.version());
    if args.path {
        path::print(ws, &bench.kernel.elf, &traces, &paths)?;
    }
    if args.docs {
        let machine = Machine::counting().with_cpu(WINDOW_CPU);
        let spent = path::page(ws, &bench.kernel.elf, &traces, &paths)?;
        pages::write(ws, &rows, &run_once(&bench.boot(&machine))?, &spent, &plot::draw(&rows, &peers))?;
    } else if args.filters.is_empty() && !pages::agree(ws, &rows)? {
        println!("the tables in docs/ have other figures; `cargo xtask bench --docs` writes them");
    }
    if let Some(path) = &args.plot {
        let path = absolute(path)?;
        fs::write(&path, plot::draw(&rows, &peers))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &args.json {
        let path = absolute(path)?;
        let arch = args.arch.name();
        let compiler = bench.toolchain.version();
        let report = Report { arch, commit: commit(ws), compiler, cycles_by: paths.by, rows: &rows };
        fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let wrong: Vec<String> = rows.iter().filter_map(Row::wrong).collect();
    wrong.iter().for_each(|w| println!("OVER: {w}"));
    println!("{} figures, {} over budget", rows.len(), wrong.len());
    Ok(u8::from(!wrong.is_empty()))
}

/// A processor on which user level sees only a window of the kernel: it may be subject to Meltdown.
const WINDOW_CPU: &str = "max,vendor=GenuineIntel";

/// Which rows are wanted: those whose id contains one of the words; all, without words.
struct Filter<'a>(&'a [String]);

impl Filter<'_> {
    fn chooses(&self, id: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|word| id.contains(word.as_str()))
    }

    fn chooses_any(&self, ids: &[&str]) -> bool {
        ids.iter().any(|id| self.chooses(id))
    }

    /// A word that chooses nothing.
    fn useless(&self, budgets: &[(String, Budget)]) -> Option<&str> {
        let useless = |word: &&String| !budgets.iter().any(|(id, _)| id.contains(word.as_str()));
        self.0.iter().find(useless).map(String::as_str)
    }
}

/// Rows that are measured on the image of the release kernel.
const IMAGE_ROWS: [&str; 6] =
    ["text", "text-boot", "static-data", "indirect-branches", "vector-uses", "unmasked-indices"];
/// Rows that a system of components measures, and its name.
const SYSTEM_ROWS: [&str; 2] = ["component-start", "component-end"];
const SYSTEM: &str = "bench";
/// Rows that come from following a round trip.
const LINE_ROWS: [&str; 2] = ["lines-code", "lines-data"];

/// What is measured.
struct Bench<'a> {
    ws: &'a Workspace,
    toolchain: Toolchain,
    root_task: PathBuf,
    kernel: build::Kernel,
}

impl<'a> Bench<'a> {
    fn build(ws: &'a Workspace, args: &Args) -> Result<Bench<'a>> {
        let toolchain = doctor::toolchain(ws)?;
        doctor::qemu()?;
        let root_task = build::root_task(ws, &toolchain, "bench")?;
        let kernel = build::kernel(ws, &toolchain, &args.profile)?;
        Ok(Bench { ws, toolchain, root_task, kernel })
    }

    fn boot<'b>(&'b self, machine: &'b Machine) -> Boot<'b> {
        Boot { machine, kernel: &self.kernel.image, root_task: Some(&self.root_task), gdb: None }
    }

    /// Counts every row of the program, and those of the system if they are wanted.
    fn count(&self, filter: &Filter<'_>) -> Result<BTreeMap<String, u64>> {
        let machine = Machine::counting();
        let boot = self.boot(&machine);
        let mut figures = count_once_or_twice(&boot, filter)?;
        if filter.chooses_any(&SYSTEM_ROWS) {
            let system = crate::run::assemble(self.ws, &self.toolchain, SYSTEM, build::Form::Release)?;
            figures.extend(count_once_or_twice(&Boot { root_task: Some(&system), ..boot }, filter)?);
        }
        Ok(figures)
    }

    /// Figures of what products ship, without the system calls that only measurements need.
    fn image(&self) -> Result<BTreeMap<String, u64>> {
        let elf = build::kernel(self.ws, &self.toolchain, "release")?.elf;
        let sizes = Sizes::of(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
        let indirect = forbidden::indirect(&elf)?;
        indirect.iter().for_each(|function| println!("indirect jump or call in {function}"));
        let vector = forbidden::vector(&elf)?;
        vector.iter().for_each(|function| println!("floating-point or vector instruction in {function}"));
        let unmasked = forbidden::unmasked(&elf)?;
        unmasked.iter().for_each(|what| println!("no mask: {what}"));
        let [text, boot, data] = [sizes.text, sizes.boot_text, sizes.data + sizes.zeroed];
        let found = [indirect, vector, unmasked].map(|found| found.len() as u64);
        let figures = [text, boot, data].into_iter().chain(found);
        Ok(IMAGE_ROWS.map(String::from).into_iter().zip(figures).collect())
    }
}

/// Counts the rows of a root task. Without a filter they are counted twice, and both runs must agree.
fn count_once_or_twice(boot: &Boot<'_>, filter: &Filter<'_>) -> Result<BTreeMap<String, u64>> {
    let figures = run_once(boot)?;
    if filter.0.is_empty()
        && let Some(what) = difference(&figures, &run_once(boot)?)
    {
        bail!("two runs differ, so the figures mean nothing: {what}");
    }
    Ok(figures)
}

/// Those of the counted rows that are to be followed.
fn followed(counted: &BTreeMap<String, u64>, filter: &Filter<'_>) -> BTreeMap<String, u64> {
    let wanted = |id: &str| filter.chooses(id) || id == path::ROUND_TRIP && filter.chooses_any(&LINE_ROWS);
    // What does not enter the kernel has nothing to follow; of the others, user level is a part that is not known.
    let apart =
        |id: &str| ["ring-", "message-", "service-", "component-"].iter().any(|kind| id.starts_with(kind));
    counted.iter().filter(|(id, _)| wanted(id) && !apart(id)).map(|(id, n)| (id.clone(), *n)).collect()
}

/// The first figure that is not the same in both runs.
fn difference(first: &BTreeMap<String, u64>, second: &BTreeMap<String, u64>) -> Option<String> {
    let id = first.keys().chain(second.keys()).find(|id| first.get(*id) != second.get(*id))?;
    Some(format!("{id} {:?} and {:?}", first.get(id), second.get(id)))
}

fn run_once(boot: &Boot<'_>) -> Result<BTreeMap<String, u64>> {
    let mut session = boot.session(crate::ui::verbose(), TIME)?;
    let wait = session.wait(|c| c.lines().iter().any(|l| l == "bench: done").then_some(()))?;
    if !matches!(wait, Wait::Found(())) {
        return Err(session.failure(&wait, "the end of the benchmark"));
    }
    Ok(session.console.lines().iter().filter_map(|l| figure(l)).collect())
}

/// `bench ID INSTRUCTIONS`.
fn figure(line: &str) -> Option<(String, u64)> {
    let (id, instructions) = line.strip_prefix("bench ")?.trim().split_once(' ')?;
    Some((id.to_string(), instructions.trim().parse().ok()?))
}

/// The rows of `bench/budgets.toml`, in the file's order.
fn budgets(text: &str) -> Result<Vec<(String, Budget)>> {
    let table: toml::Table = toml::from_str(text)?;
    table.into_iter().map(|(id, row)| Ok((id, row.try_into()?))).collect()
}

/// The budgets' rows with their figures, then figures without a budget.
fn table(budgets: Vec<(String, Budget)>, mut figures: BTreeMap<String, u64>, paths: &Paths) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (id, Budget { what, budget, aim, sel4 }) in budgets {
        let (instructions, path) = (figures.remove(&id), paths.rows.get(&id).cloned());
        rows.push(Row { id, what, instructions, budget: Some(budget), aim, sel4, path });
    }
    for (id, instructions) in figures {
        let (what, path) = ("(not in bench/budgets.toml)".into(), paths.rows.get(&id).cloned());
        rows.push(Row { id, what, instructions: Some(instructions), path, ..Row::default() });
    }
    rows
}

fn number(n: Option<u64>) -> String {
    n.map_or("-".to_string(), |n| n.to_string())
}

fn print(rows: &[Row]) {
    let ratio = |row: &Row| match (row.instructions, row.sel4) {
        (Some(n), Some(sel4)) if sel4 > 0 => format!("{:.2}", n as f64 / sel4 as f64),
        _ => "-".into(),
    };
    println!(
        "ours, budget, aim, seL4: instructions, user and kernel together; bytes for text and data; else what the row counts"
    );
    println!(
        "budget: more than this fails; aim: what the project works towards; ratio: ours to seL4's; stores: writes to memory;"
    );
    println!("{}: cycles by a model of that processor", cycles::PROCESSORS.join(", "));
    print!("{:<16}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}", "id", "ours", "budget", "aim", "seL4", "ratio", "stores");
    cycles::PROCESSORS.iter().for_each(|processor| print!("{processor:>9}"));
    println!("  what");
    for row in rows {
        let (n, budget, aim, sel4) =
            (number(row.instructions), number(row.budget), number(row.aim), number(row.sel4));
        print!("{:<16}{n:>8}{budget:>8}{aim:>8}{sel4:>8}{:>8}", row.id, ratio(row));
        print!("{:>8}", number(row.path.as_ref().map(|p| p.stores)));
        for processor in cycles::PROCESSORS {
            let cycles = row.path.as_ref().and_then(|p| p.cycles.as_ref()?.get(processor).copied());
            print!("{:>9}", number(cycles));
        }
        println!("  {}", row.what);
    }
}

fn commit(ws: &Workspace) -> String {
    let mut git = Command::new("git");
    let described = process::output(git.current_dir(ws.root()).args(["describe", "--always", "--dirty"]));
    described.map_or_else(|_| "unknown".into(), |c| c.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_meet_their_budgets() {
        let budgets = budgets(
            "[yield]\nwhat = \"Yield\"\nbudget = 9\n[call]\nwhat = \"Call\"\nbudget = 200\nsel4 = 212\n",
        );
        let figures = ["bench call 201", "booted", "bench: done", "bench new 7"]
            .iter()
            .filter_map(|l| figure(l))
            .collect();
        let path = Path {
            stores: 38,
            lines_code: 14,
            lines_data: 9,
            system: 5,
            cycles: Some([("skylake", 60), ("znver3", 50)].into()),
        };
        let paths = Paths {
            by: Some("LLVM 14".into()),
            rows: [("call".to_string(), path)].into(),
            steps: BTreeMap::new(),
        };
        let rows = table(budgets.unwrap(), figures, &paths);
        let wrong: Vec<_> = rows.iter().filter_map(Row::wrong).collect();
        assert_eq!(wrong, ["yield was not measured", "call takes 201, its budget is 200"]);
        assert_eq!((rows[2].id.as_str(), rows[2].instructions, rows[2].budget), ("new", Some(7), None));
        let report = |rows| Report {
            arch: "x86_64",
            commit: "c".into(),
            compiler: "rustc 1".into(),
            cycles_by: paths.by.clone(),
            rows,
        };
        assert_eq!(
            serde_json::to_string(&report(&rows[1..2])).unwrap(),
            r#"{"arch":"x86_64","commit":"c","compiler":"rustc 1","cycles_by":"LLVM 14","rows":[{"id":"call","what":"Call","instructions":201,"budget":200,"aim":null,"sel4":212,"stores":38,"lines_code":14,"lines_data":9,"system":5,"cycles":{"skylake":60,"znver3":50}}]}"#
        );
        let plain = Report { cycles_by: None, ..report(&rows[..1]) };
        assert_eq!(
            serde_json::to_string(&plain).unwrap(),
            r#"{"arch":"x86_64","commit":"c","compiler":"rustc 1","rows":[{"id":"yield","what":"Yield","instructions":null,"budget":9,"aim":null,"sel4":null}]}"#
        );
    }

    #[test]
    fn words_choose_rows() {
        let budgets = budgets(
            "[copy]\nwhat = \"Copy\"\nbudget = 9\n[call0]\nwhat = \"Call\"\nbudget = 200\n[call10]\nwhat = \"Call\"\nbudget = 300\n",
        )
        .unwrap();
        let words = ["call".to_string(), "copies".to_string()];
        let all = Filter(&[]);
        assert!(all.chooses("copy") && all.chooses_any(&LINE_ROWS) && all.useless(&budgets).is_none());
        let some = Filter(&words);
        assert_eq!(["copy", "call0", "call10"].map(|id| some.chooses(id)), [false, true, true]);
        assert!(!some.chooses_any(&IMAGE_ROWS));
        assert_eq!(some.useless(&budgets), Some("copies"));
    }

    #[test]
    fn runs_that_differ_are_told_apart() {
        let run = |figures: &[(&str, u64)]| figures.iter().map(|(id, n)| (id.to_string(), *n)).collect();
        let (one, two, short) = (run(&[("a", 1), ("b", 2)]), run(&[("a", 1), ("b", 3)]), run(&[("a", 1)]));
        assert_eq!(difference(&one, &one), None);
        assert_eq!(difference(&one, &two).unwrap(), "b Some(2) and Some(3)");
        assert_eq!(difference(&short, &one).unwrap(), "b None and Some(2)");
    }
}
