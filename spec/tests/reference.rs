//! `docs/spec.md` is made from the model: its files in reading order with what each function does, and a table of
//! all operations. Here it is compared; `PECAN_BLESS=1 cargo test -p pecan-spec --test reference` writes it anew.

use std::{collections::BTreeSet, env, fmt::Write, fs, path::Path};

use pecan_abi::{INVOCATIONS, Label};
use pecan_spec::{
    coverage::{Coverage, Operation},
    families::FAMILIES,
};

/// States of each family that are looked at to see which operations succeed in it.
const STATES: usize = 300;

/// The files of the model, in reading order.
const FILES: &[&str] = &[
    "mod",
    "state",
    "cspace",
    "derivation",
    "cnode",
    "delete",
    "stop",
    "untyped",
    "ipc",
    "notification",
    "thread",
    "registers",
    "schedule",
    "sched_context",
    "time",
    "domain",
    "fault",
    "vspace",
    "asid",
    "interrupts",
    "ports",
];

/// The file and the function that say what an operation does.
fn place(operation: Operation) -> (&'static str, &'static str) {
    use Label::*;
    match operation {
        Operation::Invocation(label) => match label {
            UntypedRetype => ("untyped", "untyped"),
            TcbReadRegisters => ("registers", "read_registers"),
            TcbWriteRegisters => ("registers", "write_registers"),
            TcbCopyRegisters => ("registers", "copy_registers"),
            TcbConfigure => ("thread", "configure_thread"),
            TcbSetPriority | TcbSetMcPriority => ("thread", "checked_priority"),
            TcbSetSchedParams => ("thread", "set_sched_params"),
            TcbSetTimeoutEndpoint => ("thread", "handler"),
            TcbSetIpcBuffer => ("thread", "checked_buffer"),
            TcbSetSpace => ("thread", "set_space"),
            TcbSuspend => ("thread", "suspend"),
            TcbResume => ("thread", "resume"),
            TcbBindNotification => ("thread", "bind_notification"),
            TcbUnbindNotification => ("notification", "unbind_notification_of"),
            TcbSetTlsBase | TcbSetFlags => ("thread", "thread_method"),
            CNodeRevoke => ("delete", "revoke"),
            CNodeDelete => ("delete", "delete"),
            CNodeCancelBadgedSends => ("cnode", "cancel_badged_sends"),
            CNodeCopy | CNodeMint | CNodeMove | CNodeMutate => ("cnode", "copy_or_move"),
            CNodeRotate => ("cnode", "rotate"),
            IrqIssueIrqHandler | X86IrqIssueIrqHandlerIoapic | X86IrqIssueIrqHandlerMsi => {
                ("interrupts", "irq_control")
            }
            IrqAckIrq | IrqSetIrqHandler | IrqClearIrqHandler => ("interrupts", "irq_handler"),
            DomainSetSet => ("domain", "set_domain"),
            DomainScheduleConfigure => ("domain", "configure_schedule"),
            DomainScheduleSetStart => ("domain", "start_schedule"),
            SchedControlConfigureFlags => ("sched_context", "sched_control"),
            SchedContextBind => ("sched_context", "bind"),
            SchedContextUnbind => ("sched_context", "unbind_all"),
            SchedContextUnbindObject => ("sched_context", "unbind_object"),
            SchedContextConsumed => ("sched_context", "answer_consumed"),
            SchedContextYieldTo => ("sched_context", "yield_to"),
            X86PdptMap | X86PageDirectoryMap | PageTableMap => ("vspace", "map_table"),
            X86PdptUnmap | X86PageDirectoryUnmap | PageTableUnmap => ("vspace", "unmap_structure"),
            PageMap => ("vspace", "map_frame"),
            PageUnmap => ("vspace", "unmap_frame"),
            PageGetAddress => ("vspace", "vspace"),
            AsidControlMakePool => ("asid", "asid_control"),
            AsidPoolAssign => ("asid", "asid_pool"),
            X86IoPortControlIssue => ("ports", "port_control"),
            X86IoPortIn8 | X86IoPortIn16 | X86IoPortIn32 => ("ports", "port"),
            X86IoPortOut8 | X86IoPortOut16 | X86IoPortOut32 => ("ports", "port"),
            _ => ("", ""),
        },
        Operation::Call(_) => ("mod", "system_call"),
        Operation::Fault(_) => ("fault", "raise"),
        Operation::Interrupt => ("interrupts", "interrupt"),
        Operation::Tick => ("time", "pass"),
    }
}

fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/model/{file}.rs"));
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The name of what a line begins, if that is a function or a type.
fn item(line: &str) -> Option<(&str, bool)> {
    let line = line.trim_start();
    let line = line.strip_prefix("pub(super) ").or_else(|| line.strip_prefix("pub(crate) ")).unwrap_or(line);
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let (is_function, rest) = match line.strip_prefix("fn ") {
        Some(rest) => (true, rest),
        None => (false, line.strip_prefix("struct ").or_else(|| line.strip_prefix("enum "))?),
    };
    Some((rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?, is_function))
}

/// What the comments of a file say: of the file, and of each function and type in it.
fn describe(file: &str) -> String {
    let (text, mut out, mut comment) = (source(file), String::new(), vec![]);
    let head: Vec<&str> = text.lines().map_while(|l| l.strip_prefix("//!")).map(str::trim).collect();
    let mut paragraphs = vec![String::new()];
    for line in head {
        match line {
            "" => paragraphs.push(String::new()),
            line => *paragraphs.last_mut().expect("there is one") += &format!("{line} "),
        }
    }
    let _ = writeln!(out, "### `model/{file}.rs`\n");
    for paragraph in paragraphs {
        let _ = writeln!(out, "{}\n", paragraph.trim_end());
    }
    for line in text.lines() {
        if let Some(words) = line.trim_start().strip_prefix("///") {
            comment.push(words.trim());
        } else if !line.trim_start().starts_with("#[") {
            if let Some((name, is_function)) = item(line)
                && !comment.is_empty()
            {
                let call = if is_function { "()" } else { "" };
                let _ = writeln!(out, "- `{name}{call}`: {}", comment.join(" "));
            }
            comment.clear();
        }
    }
    out
}

fn name(operation: Operation) -> String {
    match operation {
        Operation::Invocation(label) => {
            let i = INVOCATIONS.iter().find(|i| i.label == label).expect("it is in the table");
            format!("`{}.{}`", i.object.name(), i.method.trim_end_matches('_'))
        }
        Operation::Call(call) => format!("system call `{call:?}`"),
        Operation::Fault(fault) => fault.into(),
        Operation::Interrupt => "an interrupt".into(),
        Operation::Tick => "time passes".into(),
    }
}

fn reference() -> String {
    let coverage = Coverage::of(&FAMILIES, STATES);
    let mut out = String::from(
        "# What the kernel does\n\n\
         <!-- Made from spec/src/model by spec/tests/reference.rs: change the comments there. -->\n\n\
         The executable model in `spec/src/model` is the reference of what the kernel does: `step(state, event)` says \
         for\nevery state what a system call, an invocation, a fault, an interrupt or the passing of time makes of it. \
         The kernel\nis checked against it step by step; [spec/README.md](../spec/README.md) says how, and what that \
         establishes. This page\nleads through its files in reading order, and says where each operation is and in \
         which families of small systems it\nis checked. Sections are those of the seL4 reference manual.\n\n\
         ## Operations\n\n| operation | says what it does | succeeds in the families |\n| --- | --- | --- |\n",
    );
    for operation in Operation::all() {
        let (file, function) = place(operation);
        let families: BTreeSet<&str> =
            coverage.operations.get(&operation).into_iter().flatten().copied().collect();
        let families: Vec<&str> = families.into_iter().collect();
        let shown = match families.len() {
            0..=4 => families.join(", "),
            n => format!("{}, and {} more", families[..3].join(", "), n - 3),
        };
        let _ = writeln!(out, "| {} | `{function}` in `{file}.rs` | {shown} |", name(operation));
    }
    let _ = writeln!(out, "\n## The model, in reading order\n");
    FILES.iter().for_each(|file| out += &format!("{}\n", describe(file)));
    out.trim_end().to_string() + "\n"
}

#[test]
fn every_operation_has_a_place_in_the_model_and_a_family() {
    let coverage = Coverage::of(&FAMILIES, STATES);
    for operation in Operation::all() {
        let (file, function) = place(operation);
        assert!(!file.is_empty(), "{operation:?} has no place in the model");
        assert!(source(file).contains(&format!("fn {function}(")), "{function} is not in {file}.rs");
        assert!(coverage.operations.contains_key(&operation), "{operation:?} succeeds in no family");
    }
}

#[test]
fn all_files_of_the_model_are_in_the_reference() {
    let listed: BTreeSet<String> = FILES.iter().map(|f| f.to_string()).collect();
    let dir =
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/model")).expect("the folder is there");
    let there =
        dir.filter_map(|e| e.ok()?.file_name().into_string().ok()?.strip_suffix(".rs").map(String::from));
    assert_eq!(there.collect::<BTreeSet<_>>(), listed);
}

#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/spec.md");
    let text = reference();
    if env::var_os("PECAN_BLESS").is_some() {
        fs::write(&path, &text).expect("docs/spec.md can be written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == text,
        "docs/spec.md is stale: PECAN_BLESS=1 cargo test -p pecan-spec --test reference writes it anew"
    );
}
