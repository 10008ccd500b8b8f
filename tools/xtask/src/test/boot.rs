//! Boots that a root task cannot test on itself: several machines, and what the kernel says to bad input.
//!
//! They count among the conformance tests, under names that start with `boot::`, as those of that suite's module `boot` do.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{Length, Tally, leave_out};
use crate::{
    Arch,
    build::{self, Kernel},
    debugger::{self, Debugger},
    doctor,
    paths::Workspace,
    qemu::{Board, Boot, Machine, Session, Wait},
    toolchain::Toolchain,
};

/// How the names of these tests start.
const PREFIX: &str = "boot::";

/// How long one boot may take.
const TIME: Duration = Duration::from_secs(60);

/// The root task that is booted, and its last words.
const ROOT_TASK: (&str, &str) = ("hello", "All done.");

/// Where the ELF header says which kind of machine the file is for.
const E_MACHINE: usize = 18;
/// Where the ELF header says whether the file is position-independent.
const E_TYPE: usize = 16;

/// Percent of the machine's memory that must be user level's.
const LEAST_MEMORY: f64 = 99.5;
/// Bytes of the page below a stack that is not mapped.
const GUARD: u64 = 4096;

/// What is made of the root task's file.
type Spoil = fn(Vec<u8>) -> Option<Vec<u8>>;

/// A boot and how it must go.
struct Case {
    name: &'static str,
    machine: (Board, &'static str, &'static str),
    command_line: &'static str,
    spoil: Spoil,
    /// How a line of the console must start.
    expected: &'static str,
    /// Functions of the kernel that it must come to, one after the other, and the guard page that lies right below the
    /// stack pointer as it goes on from there.
    overflow: &'static [(&'static str, Option<&'static str>)],
}

/// A boot that goes well.
const PLAIN: Case = Case {
    name: "",
    machine: (Board::Pc, "max", "1G"),
    command_line: "",
    spoil: Some,
    expected: ROOT_TASK.1,
    overflow: &[],
};

const fn good(name: &'static str, board: Board, cpu: &'static str, memory: &'static str) -> Case {
    Case { name, machine: (board, cpu, memory), ..PLAIN }
}

const fn small(name: &'static str, memory: &'static str, expected: &'static str) -> Case {
    Case { name, machine: (Board::Pc, "max", memory), expected, ..PLAIN }
}

const fn bad(name: &'static str, expected: &'static str, spoil: Spoil) -> Case {
    Case { name, spoil, expected, ..PLAIN }
}

/// A machine on which the kernel cannot run.
const fn lacks(name: &'static str, board: Board, cpu: &'static str, expected: &'static str) -> Case {
    Case { name, machine: (board, cpu, "1G"), expected, ..PLAIN }
}

const fn told(name: &'static str, cpu: &'static str, command_line: &'static str) -> Case {
    Case { name, machine: (Board::Pc, cpu, "1G"), command_line, ..PLAIN }
}

const fn overflow(
    name: &'static str,
    cpu: &'static str,
    overflow: &'static [(&'static str, Option<&'static str>)],
) -> Case {
    // A double fault: there was no stack left to take the page fault on.
    Case { name, machine: (Board::Pc, cpu, "1G"), expected: "KERNEL PANIC: exception 8,", overflow, ..PLAIN }
}

/// Of the cases, which stand in groups of a kind, a quick run plays each so many-th.
const QUICK_STEP: usize = 4;

const CASES: &[Case] = &[
    good("pc_with_the_oldest_processor", Board::Pc, "qemu64", "1G"),
    good("q35_with_the_oldest_processor", Board::Q35, "qemu64", "1G"),
    good("q35_with_the_newest_processor", Board::Q35, "max", "1G"),
    good("pc_with_64_mib", Board::Pc, "max", "64M"),
    good("q35_with_64_mib", Board::Q35, "qemu64", "64M"),
    good("q35_with_512_mib", Board::Q35, "max", "512M"),
    good("pc_with_4_gib", Board::Pc, "max", "4G"),
    good("q35_with_4_gib", Board::Q35, "qemu64", "4G"),
    good("pc_with_8_gib", Board::Pc, "qemu64", "8G"),
    good("q35_with_16_gib", Board::Q35, "max", "16G"),
    good("pc_with_an_x87_unit_that_forgets_nothing", Board::Pc, "max,tcg-cpuid=off", "1G"),
    good("pc_without_no_execute", Board::Pc, "max,-nx", "1G"),
    lacks("no_64_bit_mode", Board::Pc, "max,-lm", "Pecan cannot start: this processor has no 64-bit mode"),
    lacks("no_local_apic", Board::Pc, "max,-apic", "Pecan cannot start: this processor lacks apic"),
    lacks("no_system_calls", Board::Pc, "max,-syscall", "Pecan cannot start: this processor lacks syscall"),
    lacks("no_sse2", Board::Pc, "max,-sse2", "Pecan cannot start: this processor lacks sse2"),
    lacks("no_fxsave", Board::Pc, "max,-fxsr", "Pecan cannot start: this processor lacks fxsr"),
    lacks("no_conditional_moves", Board::Pc, "max,-cmov", "Pecan cannot start: this processor lacks cmov"),
    lacks(
        "several_things_missing",
        Board::Q35,
        "qemu64,-apic,-sse,-sse2,-syscall",
        "Pecan cannot start: this processor lacks apic, sse, sse2, syscall",
    ),
    lacks("no_ioapic", Board::Isa, "max", "Pecan cannot start: this machine has no I/O APIC"),
    lacks("no_clock", Board::PcWithoutPit, "max", "Pecan cannot start: no clock of known speed"),
    told("all_measures_against_side_channels", "max", "mitigations=all"),
    told("no_measures_against_side_channels", "Nehalem", "mitigations=off"),
    overflow("a_kernel_stack_that_overflows", "max", &[("pecan_syscall", Some("pecan_stack_guard"))]),
    overflow(
        "a_kernel_stack_that_overflows_where_user_level_has_a_window",
        "Nehalem",
        &[("pecan_syscall", Some("pecan_stack_guard"))],
    ),
    overflow(
        "the_stack_for_double_faults_overflows",
        "max",
        &[
            ("pecan_syscall", Some("pecan_stack_guard")),
            ("pecan_kernel_exception", Some("pecan_fault_stack_guard")),
            // Again, at the top of the same stack.
            ("pecan_kernel_exception", None),
        ],
    ),
    bad("no_root_task", "Pecan cannot start: no root task", |_| None),
    bad(
        "a_root_task_that_is_cut_off",
        "Pecan cannot start: cannot load the root task: its file is cut off",
        |mut f| {
            f.truncate(3000);
            Some(f)
        },
    ),
    bad(
        "a_root_task_without_a_whole_header",
        "Pecan cannot start: cannot load the root task: its file is cut off",
        |mut f| {
            f.truncate(20);
            Some(f)
        },
    ),
    bad(
        "a_root_task_for_another_machine",
        "Pecan cannot start: cannot load the root task: it is for ELF machine 183",
        |mut f| {
            f[E_MACHINE] = 183;
            Some(f)
        },
    ),
    bad(
        "a_root_task_without_a_fixed_address",
        "Pecan cannot start: cannot load the root task: it is position-independent",
        |mut f| {
            f[E_TYPE] = 3;
            Some(f)
        },
    ),
    bad("a_root_task_that_is_a_text", "Pecan cannot start: the boot module is not an ELF file", |_| {
        Some(b"#!/bin/sh\n".repeat(1000))
    }),
    small(
        "too_little_memory_for_the_kernel",
        "1200K",
        "Pecan cannot start: too little memory for the kernel",
    ),
    small(
        "too_little_memory_for_the_file_of_the_root_task",
        "1500K",
        "Pecan cannot start: the root task's file lies outside the memory",
    ),
    Case {
        name: "too_little_memory_for_the_root_task",
        machine: (Board::Pc, "max", "8M"),
        spoil: grow,
        expected: "Pecan cannot start: too little memory: the root task takes",
        ..PLAIN
    },
];

/// Makes the last segment take 16 MiB more of memory.
fn grow(mut file: Vec<u8>) -> Option<Vec<u8>> {
    const HEADERS: usize = 64;
    const HEADER: usize = 56;
    let count = usize::from(u16::from_le_bytes(file[56..58].try_into().ok()?));
    let vaddr = |at: usize| u64::from_le_bytes(file[at + 16..at + 24].try_into().unwrap_or_default());
    let loaded = |at: &usize| file[*at..*at + 4] == [1, 0, 0, 0];
    let last = (0..count).map(|i| HEADERS + i * HEADER).filter(loaded).max_by_key(|at| vaddr(*at))?;
    // Byte 3 of the size in memory.
    file[last + 43] += 1;
    Some(file)
}

/// Runs those whose name contains the filter.
pub fn run(
    ws: &Workspace,
    toolchain: &Toolchain,
    kernel: &Kernel,
    hardware_debug: bool,
    filter: Option<&str>,
    length: Length,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let chosen = |c: &&Case| filter.is_none_or(|f| format!("{PREFIX}{}", c.name).contains(f));
    let mut cases: Vec<&Case> = CASES.iter().filter(chosen).collect();
    if length == Length::Quick {
        let all = cases.len();
        cases = cases.into_iter().step_by(QUICK_STEP).collect();
        leave_out(&format!("{} of {all} tests of booting, all but every fourth", all - cases.len()));
    }
    let is_chosen = |name| filter.is_none_or(|f| format!("{PREFIX}{name}").contains(f));
    let special = SPECIAL.iter().filter(|(name, _)| is_chosen(name));
    if cases.is_empty() && special.clone().count() == 0 {
        return Ok(tally);
    }
    let (name, what) = (ROOT_TASK.0, format!("building {}", ROOT_TASK.0));
    let mut programs = build::root_tasks(ws, toolchain, &what, &[name], hardware_debug)?;
    let program = programs.remove(name).context("there is no root task to boot")?;
    let program = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    let mut note = |name: &str, failure: Option<String>| match failure {
        None => {
            println!("test {PREFIX}{name} ... ok");
            tally.passed += 1;
        }
        Some(why) => {
            println!("test {PREFIX}{name} ... FAILED: {why}");
            tally.fail(format!("conformance {PREFIX}{name}: {}", why.lines().next().unwrap_or_default()));
        }
    };
    for case in cases {
        note(case.name, play(ws, kernel, case, program.clone())?);
    }
    for (name, play) in special {
        note(name, play(ws, kernel, &program)?);
    }
    Ok(tally)
}

/// Boots with a root task's file; returns what went otherwise than it must, if anything.
type Play = fn(&Workspace, &Kernel, &[u8]) -> Result<Option<String>>;

/// Boots in which more is looked at than what the console says.
const SPECIAL: [(&str, Play); 4] = [
    ("aarch64_on_several_processors", play_aarch64),
    ("a_boot_loader_that_leaves_things_on", play_leftovers),
    ("a_clock_on_a_host_that_stops_the_machine", play_stops),
    ("the_kernel_does_not_see_its_boot_code_afterwards", play_boot_code),
];

/// Machines of AArch64 by processor and memory, whether there is a root task, and how a line of the console must start.
const AARCH64: [(&str, &str, bool, &str); 5] = [
    ("cortex-a53", "64M", true, ROOT_TASK.1),
    ("cortex-a57", "1G", true, ROOT_TASK.1),
    ("cortex-a72", "4G", true, ROOT_TASK.1),
    ("max", "1G", true, ROOT_TASK.1),
    ("cortex-a57", "1G", false, "Pecan cannot start: no root task"),
];

/// Builds the kernel and the root task for AArch64 and boots them there.
fn play_aarch64(ws: &Workspace, _: &Kernel, _: &[u8]) -> Result<Option<String>> {
    doctor::qemu_for(Arch::AArch64)?;
    let toolchain = doctor::toolchain(ws)?.for_arch(Arch::AArch64);
    let kernel = build::kernel(ws, &toolchain, "default")?.image;
    let program = build::root_task(ws, &toolchain, ROOT_TASK.0)?;
    for (cpu, memory, has_root_task, expected) in AARCH64 {
        let machine = Machine::of(Board::Virt, cpu, memory).for_arch(Arch::AArch64);
        let root_task = has_root_task.then_some(program.as_path());
        let boot = Boot { machine: &machine, kernel: &kernel, root_task, gdb: None };
        let mut session = boot.session(false, TIME)?;
        let starts = |l: &String| l.starts_with(expected);
        let wait = session.wait(|c| c.lines().iter().any(starts).then_some(()))?;
        if !matches!(wait, Wait::Found(())) {
            let why = session.failure(&wait, &format!("`{expected}`"));
            return Ok(Some(format!("{cpu} with {memory}: {why}")));
        }
    }
    Ok(None)
}

/// Stops a machine as it boots and at the first system call, and looks for the code that only boots.
fn play_boot_code(ws: &Workspace, kernel: &Kernel, program: &[u8]) -> Result<Option<String>> {
    const PAGE: usize = 4096;
    let root_task = ws.bare().join("boot-test.elf");
    fs::write(&root_task, program).with_context(|| format!("cannot write {}", root_task.display()))?;
    let port = debugger::free_port()?;
    let machine = Machine::default();
    let boot =
        Boot { machine: &machine, kernel: &kernel.image, root_task: Some(&root_task), gdb: Some(port) };
    let _session = boot.session(false, TIME)?;
    let mut machine = Debugger::connect(port)?;
    let [boot, first, syscall] =
        debugger::symbols(&kernel.elf, ["pecan_boot", "image_start", "pecan_syscall"])?;
    let [start, end] = debugger::symbols(&kernel.elf, ["kernel_start", "kernel_end"])?;
    machine.run_to(boot, 1).context("the loader does not come to the kernel")?;
    machine.memory(boot, 1).context("it is not there while it runs")?;
    machine.run_to(syscall, 1).context("the kernel makes no system call")?;
    let seen = (first..start).step_by(PAGE).find(|page| machine.memory(*page, 1).is_ok());
    let kept = [start, end - 1].into_iter().find(|at| machine.memory(*at, 1).is_err());
    Ok(match (seen, kept) {
        (Some(at), _) => Some(format!("the kernel still sees its boot code at {at:#x}")),
        (_, Some(at)) => Some(format!("the kernel does not see {at:#x} any more")),
        (None, None) => None,
    })
}

/// Conventional memory that no loader uses, for [`leave_on`].
const LEFTOVERS_AT: u32 = 0x8_0000;

/// What the loader leaves in the register that says where `sysenter` leads: its own segment of code.
const SYSENTER_CS: u64 = 8;

/// That register's value. QEMU's monitor does not show it, so the machine reads it where it stands.
fn sysenter_cs(machine: &mut Debugger) -> Result<u64> {
    const READ: [u8; 7] = [0xb9, 0x74, 0x01, 0, 0, 0x0f, 0x32]; // mov ecx, 0x174; rdmsr
    let [low, _, _, high, ..] = machine.execute(&READ)?.general;
    Ok(high << 32 | low)
}

/// What a loader is made to do before it enters the kernel, in machine code for 32 bits: turns five-level tables on and a
/// breakpoint on the kernel's first instruction of 64 bits, lets `sysenter` lead into the kernel, and has a table of local
/// descriptors. It keeps `eax` and `ebx`, which are for the kernel, puts `first` back where it came from, and goes there.
fn leave_on(entry: u32, boot_64: u32, first: [u8; 5]) -> Vec<u8> {
    const GDT: u32 = LEFTOVERS_AT + 0x100;
    const FIRST: u32 = LEFTOVERS_AT + 0x200;
    let mut code = Vec::new();
    let mut with = |opcode: &[u8], operand: u32| {
        code.extend(opcode);
        code.extend(operand.to_le_bytes());
    };
    with(&[0x89, 0xc5, 0xb9], 1 << 12); //      mov ebp, eax; mov ecx, LA57
    with(&[0x0f, 0x22, 0xe1, 0xb9], boot_64); // mov cr4, ecx; mov ecx, ...
    with(&[0x0f, 0x23, 0xc1, 0xb9], 0x402); //  mov dr0, ecx; mov ecx, "on"
    with(&[0x0f, 0x23, 0xf9, 0xb9], 0x174); //  mov dr7, ecx; mov ecx, SYSENTER_CS
    with(&[0x31, 0xd2, 0xb8], SYSENTER_CS as u32); // xor edx, edx; mov eax, SYSENTER_CS
    with(&[0x0f, 0x30, 0x0f, 0x01, 0x15], GDT + 0x40); // wrmsr; lgdt
    with(&[0xb9], 0x18); //                     mov ecx, 0x18
    with(&[0x0f, 0x00, 0xd1, 0xbe], FIRST); //  lldt cx; mov esi, ...
    with(&[0xbf], entry); //                    mov edi, entry
    with(&[0xb9], 5); //                        mov ecx, 5
    with(&[0xfc, 0xf3, 0xa4, 0x89, 0xe8, 0xba], entry); // cld; rep movsb; mov eax, ebp; mov edx, entry
    code.extend([0xff, 0xe2]); //               jmp edx
    code.resize((GDT - LEFTOVERS_AT) as usize, 0);
    let ldt = 0x0000_8200_0000_00ff | u64::from(LEFTOVERS_AT) << 16;
    for descriptor in [0, 0x00cf_9b00_0000_ffff, 0x00cf_9300_0000_ffff, ldt] {
        code.extend(descriptor.to_le_bytes());
    }
    code.resize((GDT + 0x40 - LEFTOVERS_AT) as usize, 0);
    code.extend(31u16.to_le_bytes());
    code.extend(GDT.to_le_bytes());
    code.resize((FIRST - LEFTOVERS_AT) as usize, 0);
    code.extend(first);
    code
}

/// Boots behind such a loader; returns what of it is still on, or what went otherwise than it must.
fn play_leftovers(ws: &Workspace, kernel: &Kernel, program: &[u8]) -> Result<Option<String>> {
    let root_task = ws.bare().join("boot-test.elf");
    fs::write(&root_task, program).with_context(|| format!("cannot write {}", root_task.display()))?;
    let port = debugger::free_port()?;
    let machine = Machine::default();
    let boot =
        Boot { machine: &machine, kernel: &kernel.image, root_task: Some(&root_task), gdb: Some(port) };
    let mut session = boot.session_with_monitor(TIME)?;
    let mut loader = Debugger::connect(port)?;
    let [entry, boot_64, window] = debugger::symbols(&kernel.elf, ["pecan_boot_entry", "boot_64", "WINDOW"])?;
    let (entry, boot_64) = (entry - window, boot_64 - window);
    loader.run_to(entry, 1).context("the loader does not come to the kernel")?;
    let first = loader.memory(entry, 5)?.try_into().ok().context("QEMU sends too few bytes")?;
    loader.write(LEFTOVERS_AT.into(), &leave_on(entry as u32, boot_64 as u32, first))?;
    // A jump there, from behind itself.
    let distance = LEFTOVERS_AT.wrapping_sub(entry as u32 + 5).to_le_bytes();
    loader.write(entry, &[&[0xe9], &distance[..]].concat())?;
    let [boot, syscall] = debugger::symbols(&kernel.elf, ["pecan_boot", "pecan_syscall"])?;
    loader.run_to(boot, 1).context("the kernel does not get to its boot code")?;
    if sysenter_cs(&mut loader)? != SYSENTER_CS {
        return Ok(Some("SYSENTER_CS is not what the loader has left".into()));
    }
    loader.run_to(syscall, 1).context("the kernel makes no system call")?;
    let sysenter_cs = sysenter_cs(&mut loader)?;
    loader.go_on()?;
    let done = |l: &String| l.starts_with(ROOT_TASK.1);
    let wait = session.wait(|c| c.lines().iter().any(done).then_some(()))?;
    if !matches!(wait, Wait::Found(())) {
        return Ok(Some(session.failure(&wait, ROOT_TASK.1).to_string()));
    }
    let registers = session.registers()?;
    let value = |name: &str| {
        let text = registers.split_once(name)?.1.split_whitespace().next()?;
        u64::from_str_radix(text, 16).ok()
    };
    let left = [("LDT=", 0xffff, 0), ("CR4=", 1 << 12, 0), ("DR7=", 0xff, 0)]
        .into_iter()
        .filter(|&(name, mask, off)| value(name).is_none_or(|value| value & mask != off))
        .map(|(name, ..)| name.trim_end_matches('='))
        .chain((sysenter_cs != 0).then_some("SYSENTER_CS"))
        .collect::<Vec<_>>();
    Ok((!left.is_empty()).then(|| format!("still on: {}", left.join(", "))))
}

/// Boots; returns what went otherwise than it must, if anything.
fn play(ws: &Workspace, kernel: &Kernel, case: &Case, program: Vec<u8>) -> Result<Option<String>> {
    let root_task: Option<PathBuf> = match (case.spoil)(program) {
        None => None,
        Some(bytes) => {
            let path = ws.bare().join("boot-test.elf");
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
            Some(path)
        }
    };
    let (board, cpu, memory) = case.machine;
    let machine = Machine::of(board, cpu, memory).with_command_line(case.command_line);
    let gdb = if case.overflow.is_empty() { None } else { Some(debugger::free_port()?) };
    let boot = Boot { machine: &machine, kernel: &kernel.image, root_task: root_task.as_deref(), gdb };
    let mut session = boot.session(false, TIME)?;
    if let Some(port) = gdb
        && let Err(why) = overflow_stacks(&kernel.elf, port, case.overflow)
    {
        return Ok(Some(format!("{why:#}")));
    }
    let expected = |l: &String| l.starts_with(case.expected);
    let wait = session.wait(|c| c.lines().iter().any(expected).then_some(()))?;
    Ok(match wait {
        Wait::Found(()) if case.expected == ROOT_TASK.1 => too_little_memory(session.console.lines()),
        Wait::Found(()) => None,
        other => Some(session.failure(&other, &format!("`{}`", case.expected)).to_string()),
    })
}

/// Stops the machine in these functions, and lets it go on with the stack pointer right above those pages.
fn overflow_stacks(kernel: &Path, port: u16, stops: &[(&str, Option<&str>)]) -> Result<()> {
    let mut machine = Debugger::connect(port)?;
    for (function, guard) in stops {
        let [address] = debugger::symbols(kernel, [function])?;
        machine.run_to(address, 1).with_context(|| format!("the kernel does not come to {function}"))?;
        if let Some(guard) = guard {
            let [guard] = debugger::symbols(kernel, [guard])?;
            machine.set_stack(guard + GUARD + 8)?;
        }
    }
    machine.go_on()
}

/// How long such a host lets it run, and stops it: the interval timer, by which the clock is measured, counts for 55 ms.
const RUN_AND_STOP: [Duration; 2] = [Duration::from_millis(25), Duration::from_millis(70)];
/// How often that is tried.
const STOPPED_BOOTS: usize = 4;

/// Boots on a quiet host and on one that stops the machine; returns how the clocks differ, if they do. That the clock cannot
/// be measured is a good answer, too.
fn play_stops(ws: &Workspace, kernel: &Kernel, program: &[u8]) -> Result<Option<String>> {
    let root_task = ws.bare().join("boot-test.elf");
    fs::write(&root_task, program).with_context(|| format!("cannot write {}", root_task.display()))?;
    let machine = Machine::default();
    let boot = Boot { machine: &machine, kernel: &kernel.image, root_task: Some(&root_task), gdb: None };
    let right = match first_line(&mut boot.session(false, TIME)?)? {
        Ok(line) => mhz(&line).with_context(|| format!("no MHz in `{line}`"))?,
        Err(why) => return Ok(Some(why)),
    };
    for _ in 0..STOPPED_BOOTS {
        let mut session = boot.session(false, TIME)?;
        let (pid, is_over) = (session.pid().to_string(), AtomicBool::new(false));
        let line = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    for (time, signal) in RUN_AND_STOP.into_iter().zip(["-STOP", "-CONT"]) {
                        std::thread::sleep(time);
                        // A machine that has ended takes no signal.
                        let _ = Command::new("kill").args([signal, &pid]).stderr(Stdio::null()).status();
                    }
                }
            });
            let line = first_line(&mut session);
            is_over.store(true, Ordering::Relaxed);
            line
        })?;
        match line {
            Ok(line) if line.contains("the clock's speed cannot be measured") => {}
            Ok(line) => match mhz(&line) {
                Some(mhz) if mhz.abs_diff(right) <= right / 50 => {}
                _ => return Ok(Some(format!("{right} MHz on a quiet host, and on another `{line}`"))),
            },
            Err(why) => return Ok(Some(why)),
        }
    }
    Ok(None)
}

/// The first whole line that a machine prints, or why there is none.
fn first_line(session: &mut Session) -> Result<Result<String, String>> {
    let wait = session.wait(|c| c.lines().first().cloned())?;
    Ok(match wait {
        Wait::Found(line) => Ok(line),
        other => Err(session.failure(&other, "the kernel's first line").to_string()),
    })
}

/// The clock's MHz in the kernel's first line.
fn mhz(line: &str) -> Option<u64> {
    line.split_once(" MHz")?.0.rsplit(' ').next()?.parse().ok()
}

/// What the root task says of the machine's memory, if less of it is user level's than must be.
fn too_little_memory(lines: &[String]) -> Option<String> {
    let Some(line) = lines.iter().find(|l| l.starts_with("memory: ")) else {
        return Some("the root task says nothing of memory".into());
    };
    let percent = line.trim_end_matches(" %").rsplit(' ').next().and_then(|p| p.parse::<f64>().ok());
    if percent.is_some_and(|p| (LEAST_MEMORY..=100.0).contains(&p)) { None } else { Some(line.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_read_from_the_first_line() {
        let line =
            "Pecan 0.1.0 x86_64 (default): nx xapic apic-timer; 2595 MHz, 1023 MiB, 24 IOAPIC pins, 1 CPU";
        assert_eq!(mhz(line), Some(2595));
        assert_eq!(mhz("Pecan cannot start: no"), None);
    }

    #[test]
    fn memory_is_judged_by_what_the_root_task_says() {
        let lines = |percent: &str| {
            vec!["Hello.".into(), format!("memory: 9 bytes, 7 in untypeds, 1 in my objects: {percent} %")]
        };
        assert_eq!(too_little_memory(&lines("99.50")), None);
        assert_eq!(too_little_memory(&lines("100.00")), None);
        for wrong in ["99.49", "100.01", "many"] {
            assert!(too_little_memory(&lines(wrong)).unwrap().contains(wrong));
        }
        assert!(too_little_memory(&["Hello.".into()]).unwrap().contains("nothing"));
    }
}
