//! What operations spend their instructions, stores, cache lines and estimated cycles on.
//!
//! Every instruction belongs to a *step*: the innermost function of the portable kernel in whose source it was written,
//! or the outermost one of the port that this calls. The symbolizer of LLVM tells them from the line tables, with what
//! was inlined where. Instructions of the entry and exit stubs are told apart by what they do.

use std::{collections::BTreeMap, fs, path::Path as FilePath, process::Command};

use anyhow::{Context, Result};
use iced_x86::Mnemonic;
use serde::{Deserialize, Serialize};

use super::{
    cycles::{self, PROCESSORS, is_system},
    lines::Lines,
    trace::{Run, Step},
};
use crate::{doctor, paths::Workspace, process};

/// The row whose lines are rows of their own.
pub const ROUND_TRIP: &str = "roundtrip";

/// What following an operation shows of the kernel's part of it.
#[derive(Serialize, Debug, Default, Clone, PartialEq, Eq)]
pub struct Path {
    /// Writes to memory.
    pub stores: u64,
    /// Distinct cache lines of code.
    pub lines_code: u64,
    /// Distinct cache lines of data.
    pub lines_data: u64,
    /// Instructions that the estimate leaves out: see [`is_system`].
    pub system: u64,
    /// Estimated cycles without those, by processor; none where there is no `llvm-mca`.
    pub cycles: Option<BTreeMap<&'static str, u64>>,
}

/// Cycles of the steps of a run, for each processor.
type Cycles = [Vec<u64>; PROCESSORS.len()];

/// The paths of the rows that were followed.
pub struct Paths {
    /// Whose models the cycles come from.
    pub by: Option<String>,
    /// By the rows' ids.
    pub rows: BTreeMap<String, Path>,
    /// Cycles by the rows' ids, of all steps of their runs; empty where they could not be estimated.
    pub steps: BTreeMap<String, Cycles>,
}

impl Paths {
    /// Measures what was followed. Where cycles cannot be estimated, a line says why.
    pub fn of(ws: &Workspace, traces: &BTreeMap<String, Vec<Run>>) -> Paths {
        let runs: Vec<&[Step]> = traces.values().flatten().map(Vec::as_slice).collect();
        let (by, steps) = match cycles::estimate(ws, &runs) {
            Ok(estimated) => {
                let mut runs = estimated.runs.into_iter();
                let of =
                    |(id, own): (&String, &Vec<Run>)| (id.clone(), joined(runs.by_ref().take(own.len())));
                (Some(estimated.by), traces.iter().map(of).collect())
            }
            Err(why) => {
                println!("cycles are not estimated: {why:#}");
                (None, BTreeMap::new())
            }
        };
        let path =
            |(id, runs): (&String, &Vec<Run>)| (id.clone(), Path::of(runs.iter().flatten(), steps.get(id)));
        Paths { by, rows: traces.iter().map(path).collect(), steps }
    }

    /// The rows of a round trip's cache lines.
    pub fn round_trip_lines(&self) -> BTreeMap<String, u64> {
        let lines = self.rows.get(ROUND_TRIP).map(|path| [path.lines_code, path.lines_data]);
        lines.into_iter().flat_map(|n| super::LINE_ROWS.map(String::from).into_iter().zip(n)).collect()
    }
}

/// The steps of several runs in a row.
fn joined(runs: impl Iterator<Item = Cycles>) -> Cycles {
    runs.fold(Cycles::default(), |mut all, run| {
        all.iter_mut().zip(run).for_each(|(all, run)| all.extend(run));
        all
    })
}

impl Path {
    fn of<'a>(steps: impl Iterator<Item = &'a Step> + Clone, cycles: Option<&Cycles>) -> Path {
        let lines: Lines = steps.clone().collect();
        let cycles =
            cycles.map(|c| PROCESSORS.into_iter().zip(c.iter().map(|steps| steps.iter().sum())).collect());
        Path {
            stores: steps.clone().map(|s| s.stores as u64).sum(),
            lines_code: lines.code(),
            lines_data: lines.data(),
            system: steps.filter(|s| is_system(&s.instruction)).count() as u64,
            cycles,
        }
    }
}

/// Prints a table for each row.
pub fn print(
    ws: &Workspace,
    elf: &FilePath,
    traces: &BTreeMap<String, Vec<Run>>,
    paths: &Paths,
) -> Result<()> {
    let places = places(ws, elf, traces.values().flatten().flatten())?;
    for (id, runs) in traces {
        println!("\n{id}\n\n{}", table(&runs.concat(), paths.steps.get(id), &places, true));
    }
    Ok(())
}

/// The rows of `bench/path.md`, with headings.
const PAGE: [(&str, &str); 2] = [("call0", "Call"), ("replyrecv0", "ReplyRecv")];

/// The tables of `bench/path.md`, which leaves out the lines of source.
pub fn page(
    ws: &Workspace,
    elf: &FilePath,
    traces: &BTreeMap<String, Vec<Run>>,
    paths: &Paths,
) -> Result<String> {
    let mut page = String::new();
    for (id, heading) in PAGE {
        let runs = traces.get(id).with_context(|| format!("{id} was not followed"))?;
        let places = places(ws, elf, runs.iter().flatten())?;
        let table = table(&runs.concat(), paths.steps.get(id), &places, false);
        page += &format!("\n### {heading}\n\n{table}");
    }
    Ok(page + "\n")
}

/// A step that costs at least as many instructions is shown by the lines of its source, where lines are shown.
const LARGE: u64 = 10;

/// What a part of a row costs.
#[derive(Default, Clone)]
struct Sum {
    name: String,
    instructions: u64,
    stores: u64,
    system: u64,
    /// Lines of code and of data that nothing before has touched.
    lines: [u64; 2],
    cycles: [u64; PROCESSORS.len()],
}

impl Sum {
    fn add(&mut self, other: &Sum) {
        self.instructions += other.instructions;
        self.stores += other.stores;
        self.system += other.system;
        self.lines.iter_mut().zip(other.lines).for_each(|(sum, n)| *sum += n);
        self.cycles.iter_mut().zip(other.cycles).for_each(|(sum, n)| *sum += n);
    }

    /// Adds to the sum of that name, behind those that there are if it is new.
    fn add_to(sums: &mut Vec<Sum>, name: &str, one: &Sum) {
        match sums.iter_mut().find(|s| s.name == name) {
            Some(sum) => sum.add(one),
            None => sums.push(Sum { name: name.into(), ..one.clone() }),
        }
    }

    fn row(&self, name: &str, estimated: bool) -> String {
        let Sum { instructions, stores, lines: [code, data], system, .. } = self;
        let mut row = format!("| {name} | {instructions} | {stores} | {code} | {data} | {system} |");
        self.cycles.iter().for_each(|n| row += &format!(" {} |", super::number(estimated.then_some(*n))));
        row + "\n"
    }
}

/// A Markdown table of what steps cost, in the order in which they come first, and of their sum.
fn table(
    steps: &[Step],
    cycles: Option<&Cycles>,
    places: &BTreeMap<u64, Place>,
    lines_shown: bool,
) -> String {
    let (mut by_step, mut by_line, mut all) = (Vec::new(), Vec::new(), Sum::default());
    let mut lines = Lines::default();
    for (index, step) in steps.iter().enumerate() {
        let before = [lines.code(), lines.data()];
        lines.add(step);
        let mut one = Sum {
            instructions: 1,
            stores: step.stores as u64,
            system: u64::from(is_system(&step.instruction)),
            lines: [lines.code() - before[0], lines.data() - before[1]],
            ..Sum::default()
        };
        if let Some(cycles) = cycles {
            one.cycles.iter_mut().zip(cycles).for_each(|(own, steps)| *own = steps[index]);
        }
        let Some(place) = places.get(&step.instruction.ip()) else { continue };
        Sum::add_to(&mut by_step, &place.step, &one);
        Sum::add_to(&mut by_line, &format!("{}\n{}", place.step, place.line), &one);
        all.add(&one);
    }
    let mut table = "| step | instructions | stores | lines of code | lines of data | system |".to_string();
    PROCESSORS.iter().for_each(|p| table += &format!(" cycles, {p} |"));
    table += &format!("\n| --- |{}\n", " ---: |".repeat(5 + PROCESSORS.len()));
    let estimated = cycles.is_some();
    for sum in &by_step {
        table += &sum.row(&sum.name, estimated);
        let prefix = format!("{}\n", sum.name);
        let own = by_line.iter().filter_map(|l| Some((l.name.strip_prefix(&prefix)?, l)));
        let own: Vec<(&str, &Sum)> = own.collect();
        if lines_shown && sum.instructions >= LARGE && own.len() > 1 {
            own.iter().for_each(|(line, sum)| table += &sum.row(&format!("- {line}"), estimated));
        }
    }
    table + &all.row("**all**", estimated)
}

/// Where an instruction was written.
struct Place {
    step: String,
    /// The line of the step's source, with its text.
    line: String,
}

/// A function that an instruction was written in.
#[derive(Deserialize, Debug, Clone, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Frame {
    function_name: String,
    file_name: String,
    line: usize,
}

impl Frame {
    /// The function with its module, without what it is generic over.
    fn name(&self, folder: &str) -> String {
        let (_, path) = self.file_name.split_once(folder).unwrap_or_default();
        let module = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        // Its name may stand behind the path to it, which may be a type.
        let mut depth = 0;
        let plain = self.function_name.chars().filter(|&c| {
            depth += i32::from(c == '<');
            let keep = depth == 0;
            depth -= i32::from(c == '>');
            keep
        });
        let plain: String = plain.collect();
        let function = plain.trim_end_matches("::").rsplit("::").next().unwrap_or_default();
        format!("`{}::{function}`", module.replace('/', "::"))
    }
}

/// The step that an instruction belongs to, and the frame that gave it its name. Innermost frames come first.
fn step_of<'a>(step: &Step, frames: &'a [Frame]) -> (String, Option<&'a Frame>) {
    const CORE: &str = "kernel/core/";
    const ARCH: &str = "kernel/arch/";
    const MEM: &str = "kernel/mem/";
    let innermost = frames.iter().position(|f| f.file_name.contains(CORE));
    let below = &frames[..innermost.unwrap_or(frames.len())];
    if let Some(port) = below.iter().rfind(|f| f.file_name.contains(ARCH)) {
        return (port.name(ARCH), Some(port));
    }
    // A function of the kernel's memory that is not in line.
    let of_memory = frames.iter().rfind(|f| f.file_name.contains(MEM));
    let name = match innermost.map(|at| (&frames[at], CORE)).or(of_memory.map(|f| (f, MEM))) {
        Some((frame, folder)) => return (frame.name(folder), Some(frame)),
        None if frames.iter().any(|f| f.file_name.ends_with(".rs")) => "the image's handlers",
        None => match step.instruction.mnemonic() {
            Mnemonic::Push => "entry: registers saved",
            Mnemonic::Pop => "exit: registers restored",
            _ if frames.first().is_some_and(|f| f.function_name.contains("exit")) => "exit",
            _ => "entry",
        },
    };
    (name.into(), None)
}

/// The text of a line of source, short enough for a table.
fn source(ws: &Workspace, frame: &Frame) -> String {
    const LONGEST: usize = 70;
    let text = fs::read_to_string(ws.join(frame.file_name.trim_start_matches("./"))).unwrap_or_default();
    let line = text.lines().nth(frame.line.wrapping_sub(1)).unwrap_or_default().trim().replace('|', "\\|");
    let short: String = line.chars().take(LONGEST).collect();
    match (frame.line, short.is_empty()) {
        (0, _) => "no line of its own".into(),
        (n, true) => format!("line {n}"),
        (n, false) => format!("line {n}: `{short}`"),
    }
}

/// Where each instruction was written.
fn places<'a>(
    ws: &Workspace,
    elf: &FilePath,
    steps: impl Iterator<Item = &'a Step>,
) -> Result<BTreeMap<u64, Place>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Symbolized {
        #[serde(default)]
        symbol: Vec<Frame>,
    }
    doctor::llvm()?;
    let steps: BTreeMap<u64, &Step> = steps.map(|s| (s.instruction.ip(), s)).collect();
    let questions = ws.bare().join("bench-addresses.txt");
    let text: String = steps.keys().map(|a| format!("{a:#x}\n")).collect();
    fs::write(&questions, text).with_context(|| format!("cannot write {}", questions.display()))?;
    let mut symbolizer = Command::new("llvm-symbolizer");
    symbolizer.arg("--obj").arg(elf).args(["--inlines", "--functions", "--output-style=JSON"]);
    symbolizer.arg(format!("@{}", questions.display()));
    let answers: Vec<Symbolized> = serde_json::from_str(&process::output(&mut symbolizer)?)
        .context("cannot understand llvm-symbolizer")?;
    let place = |((address, step), answer): ((u64, &Step), &Symbolized)| {
        let (step, frame) = step_of(step, &answer.symbol);
        (address, Place { step, line: frame.map_or(String::new(), |f| source(ws, f)) })
    };
    Ok(steps.into_iter().zip(&answers).map(place).collect())
}

#[cfg(test)]
mod tests {
    use super::{super::trace::tests::decoded, *};

    fn frame(function: &str, file: &str) -> Frame {
        Frame { function_name: function.into(), file_name: file.into(), line: 1 }
    }

    fn step(at: u64, code: &[u8], touched: &[(u64, usize)], stores: usize) -> Step {
        Step { instruction: decoded(at, code), touched: touched.to_vec(), stores }
    }

    #[test]
    fn instructions_belong_to_functions_of_the_portable_kernel_and_of_the_port() {
        let nop = step(0, &[0x90], &[], 0);
        let get = frame("get<u64>", "./kernel/mem/src/link.rs");
        let call = frame("pecan_core::ipc::fastpath::call::<false>", "./kernel/core/src/ipc/fastpath.rs");
        let image = frame("pecan_call", "./kernel/image/src/kernel.rs");
        let port = frame("switch", "./kernel/arch/src/x86_64/vspace.rs");
        let inner = frame("write_cr3", "./kernel/arch/src/x86_64/cpu.rs");
        let name = |frames: &[&Frame]| step_of(&nop, &frames.iter().copied().cloned().collect::<Vec<_>>()).0;
        assert_eq!(name(&[&get, &call, &image]), "`ipc::fastpath::call`");
        assert_eq!(name(&[&inner, &port, &call, &image]), "`x86_64::vspace::switch`");
        assert_eq!(
            name(&[&get, &frame("<a::B<C> as D>::place", "./kernel/mem/src/derivation.rs"), &image]),
            "`derivation::place`"
        );
        assert_eq!(name(&[&image]), "the image's handlers");
        assert_eq!(name(&[&frame("pecan_exit", "")]), "exit");
        let push = step(0, &[0x50], &[], 1);
        assert_eq!(step_of(&push, &[frame("pecan_syscall_save", "")]).0, "entry: registers saved");
    }

    #[test]
    fn steps_add_up() {
        let at = 1 << 63;
        let steps = [
            step(at, &[0x50], &[(at + 0x1000, 8)], 1),
            step(at + 1, &[0x90], &[], 0),
            step(at + 2, &[0x50], &[(at + 0x1008, 8)], 1),
        ];
        let place = |step: &str| Place { step: step.into(), line: String::new() };
        let places = [(at, place("a")), (at + 1, place("b")), (at + 2, place("a"))].into();
        let cycles = [vec![3, 0, 1], vec![2, 2, 2]];
        let head = "| step | instructions | stores | lines of code | lines of data | system | cycles, skylake | \
            cycles, znver3 |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
        let expected = "| a | 2 | 2 | 1 | 1 | 0 | 4 | 4 |\n| b | 1 | 0 | 0 | 0 | 0 | 0 | 2 |\n\
            | **all** | 3 | 2 | 1 | 1 | 0 | 4 | 6 |\n";
        assert_eq!(table(&steps, Some(&cycles), &places, true), format!("{head}{expected}"));
        assert!(table(&steps, None, &places, false).ends_with("| **all** | 3 | 2 | 1 | 1 | 0 | - | - |\n"));
        let path = Path::of(steps.iter(), Some(&cycles));
        assert_eq!((path.stores, path.lines_code, path.lines_data), (2, 1, 1));
        assert_eq!(path.cycles, Some([("skylake", 4), ("znver3", 6)].into()));
    }
}
