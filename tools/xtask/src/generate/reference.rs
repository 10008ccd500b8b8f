//! `docs/abi.md`: the reference tables of the interface.

use std::fmt::Write;

use pecan_abi::{
    Direction, Error, INVOCATIONS, Invocation, Label, LookupFailureKind, Object, ObjectType, Syscall,
    UserContext, benchmark, boot,
    boot::BootInfoId,
    constants, extension,
    fault::{FaultTag, Holds},
    ipc,
    label::{Configuration, Setting},
};

use super::stubs::rust_type;

/// The text of `docs/abi.md`.
pub fn text() -> String {
    let mut out = String::from(
        "# The kernel interface: reference tables\n\n\
         Generated from `abi/` by `cargo xtask generate`; do not edit.\n\n\
         The interface is that of seL4 16.0 (MCS, 64-bit); this page is its x86_64 form without \
         multiple cores, IOMMU and virtual machines. Hardware breakpoints and single-stepping are there in profiles \
         with `hardware_debug`; their invocations shift the labels after them, which then are those in brackets.\n",
    );
    system_calls(&mut out);
    messages(&mut out);
    errors(&mut out);
    objects(&mut out);
    invocations(&mut out);
    faults(&mut out);
    differences(&mut out);
    boot_information(&mut out);
    benchmark(&mut out);
    extensions(&mut out);
    out
}

fn benchmark(out: &mut String) {
    use benchmark::{EntryPath, LOG_BITS, LOG_ENTRY_WORDS, utilisation as u};
    table(out, 2, "Benchmark system calls", &["call", "rdi", "rdi afterwards"]);
    const REFUSED: &str = "0, or `IllegalOperation`";
    for (call, parameter, answer) in [
        (Syscall::BenchmarkFlushCaches, "", "as before"),
        (
            Syscall::BenchmarkResetLog,
            "",
            "0, or `IllegalOperation` if there is to be a log and it has no buffer",
        ),
        (Syscall::BenchmarkFinalizeLog, "", "number of entries in the log"),
        (Syscall::BenchmarkSetLogBuffer, "large frame, of memory and writable", REFUSED),
        (Syscall::BenchmarkNullSyscall, "", "as before"),
        (Syscall::BenchmarkGetThreadUtilisation, "TCB", REFUSED),
        (Syscall::BenchmarkResetThreadUtilisation, "TCB", REFUSED),
        (Syscall::BenchmarkDumpAllThreadsUtilisation, "", "0"),
        (Syscall::BenchmarkResetAllThreadsUtilisation, "", "0"),
    ] {
        writeln!(out, "| `{call:?}` | {parameter} | {answer} |").unwrap();
    }
    out.push_str(
        "\nProfiles with `benchmark = \"generic\"` have the first five, those with `\"track_kernel_entries\"`, too; those with \
         `\"track_utilisation\"` have all, the last two of them if they are debug kernels. What others do not have is an \
         unknown system call. Tracking begins with `BenchmarkResetLog` and ends with `BenchmarkFinalizeLog`; neither counts \
         itself. Times are in ticks of the time-stamp counter.\n",
    );
    table(out, 3, "Words of a utilisation", &["message word in the IPC buffer", "holds"]);
    for (word, holds) in [
        (u::TCB.to_string(), "time for which the thread was the one that runs"),
        (u::TCB_SCHEDULES.to_string(), "how often it was switched to"),
        (u::TCB_KERNEL.to_string(), "time in the kernel, of entries from the thread"),
        (u::TCB_KERNEL_ENTRIES.to_string(), "entries into the kernel from the thread"),
        (
            format!("{} and {}", u::IDLE_LOCAL, u::IDLE_TCB),
            "time of the idle thread, on this core and the thread's",
        ),
        (
            format!("{} to {}", u::IDLE_SCHEDULES, u::IDLE_KERNEL_ENTRIES),
            "the same of the idle thread as 1 to 3",
        ),
        (u::TOTAL.to_string(), "time since tracking began"),
        (
            format!("{} to {}", u::TOTAL_SCHEDULES, u::TOTAL_KERNEL_ENTRIES),
            "the same of all threads as 1 to 3",
        ),
    ] {
        writeln!(out, "| {word} | {holds} |").unwrap();
    }
    table(out, 3, "An entry of the log", &["bytes", "bits", "hold"]);
    for (bytes, bits, hold) in [
        ("0 to 7", "", "time of the entry"),
        ("8 to 11", "", "for how long the kernel ran, in ticks; at most all ones"),
        ("12", "0 to 2", "why it was entered"),
        ("13 to 16", "0 to 3", "of a system call: its number, without the sign"),
        ("", "4 to 8", "the type of the capability that it names, as `DebugCapIdentify` says it"),
        ("", "9", "the fast path has done it"),
        ("", "10 to 28", "the label of its message"),
        ("13 to 16", "0 to 2", "of anything else: the core"),
        ("", "3 to 28", "the detail"),
        ("17 to 23", "", "0"),
    ] {
        writeln!(out, "| {bytes} | {bits} | {hold} |").unwrap();
    }
    table(out, 3, "Why the kernel was entered", &["number", "path", "detail"]);
    for path in EntryPath::ALL {
        let detail = match path {
            EntryPath::Interrupt => "the interrupt",
            EntryPath::UnknownSyscall => "low 26 bits of the number",
            EntryPath::UserLevelFault => "number of the exception",
            EntryPath::DebugFault => "1 for a breakpoint instruction",
            EntryPath::VMFault => "1 for an instruction fetch",
            EntryPath::Unknown | EntryPath::Syscall => "",
        };
        writeln!(out, "| {} | `{}` | {detail} |", path.word(), path.name()).unwrap();
    }
    writeln!(
        out,
        "\nThe buffer has 2^{LOG_BITS} bytes, so that {} entries fit; what comes after them is lost. The kernel keeps a copy of \
         its capability: the frame is in use until it is revoked, and then there is no log.",
        (1usize << LOG_BITS) / (8 * LOG_ENTRY_WORDS),
    )
    .unwrap();
}

/// A heading, and the head of a table below it.
fn table(out: &mut String, level: usize, heading: &str, columns: &[&str]) {
    write!(out, "\n{} {heading}\n\n", "#".repeat(level)).unwrap();
    head(out, columns);
}

fn head(out: &mut String, columns: &[&str]) {
    writeln!(out, "| {} |", columns.join(" | ")).unwrap();
    writeln!(out, "|{}", " --- |".repeat(columns.len())).unwrap();
}

fn system_calls(out: &mut String) {
    table(out, 2, "System calls", &["number", "call"]);
    for call in Syscall::ALL {
        writeln!(out, "| {} | `{call:?}` |", call.number()).unwrap();
    }
    table(out, 3, "Registers (x86_64, `syscall`)", &["register", "holds"]);
    for (register, holds) in [
        ("rdx", "number, sign-extended"),
        ("rdi", "capability; afterwards the badge"),
        ("rsi", "message information, both ways"),
        ("r10, r8, r9, r15", "message words 0 to 3, both ways"),
        ("r12", "reply object of a call that receives; destination of `NBSendWait`"),
        ("r13", "destination of `NBSendRecv`, whose rdi is the source"),
        ("rbx", "the stack pointer, which the kernel does not keep otherwise"),
        ("rcx, r11", "overwritten"),
    ] {
        writeln!(out, "| {register} | {holds} |").unwrap();
    }
}

fn messages(out: &mut String) {
    table(out, 2, "Messages", &["bits of the message information", "field"]);
    for (bits, field) in [
        ("0 to 6", "length in words"),
        ("7 to 8", "number of extra capabilities"),
        ("9 to 11", "which capabilities arrived as badges"),
        ("12 to 63", "label"),
    ] {
        writeln!(out, "| {bits} | {field} |").unwrap();
    }
    table(out, 3, "The IPC buffer", &["word", "holds"]);
    let last = ipc::buffer::USER_DATA - 1;
    for (word, holds) in [
        (ipc::buffer::TAG.to_string(), "message information, a note of user level"),
        (format!("{} to {last}", ipc::buffer::MSG), "message words; the first ones travel in registers"),
        (ipc::buffer::USER_DATA.to_string(), "the user's own word"),
        (
            format!("{} to {}", ipc::buffer::CAPS_OR_BADGES, ipc::buffer::RECEIVE_CNODE - 1),
            "capabilities to send; badges after a receive",
        ),
        (ipc::buffer::RECEIVE_CNODE.to_string(), "receive slot: root"),
        (ipc::buffer::RECEIVE_INDEX.to_string(), "receive slot: address"),
        (ipc::buffer::RECEIVE_DEPTH.to_string(), "receive slot: bits of the address"),
    ] {
        writeln!(out, "| {word} | {holds} |").unwrap();
    }
    writeln!(
        out,
        "\nA buffer has 2^{} bytes and is aligned to them. A message has at most {} words and {} extra capabilities.",
        ipc::IPC_BUFFER_BITS,
        ipc::MSG_MAX_LENGTH,
        ipc::MSG_MAX_EXTRA_CAPS
    )
    .unwrap();
}

fn errors(out: &mut String) {
    table(out, 2, "Errors", &["label", "error", "message words"]);
    for error in Error::ALL {
        let words = match error {
            Error::InvalidArgument => "index of the argument",
            Error::InvalidCapability => "index of the capability, 0 being the one invoked",
            Error::RangeError => "least value; greatest value",
            Error::FailedLookup => "1 for a source, 0 for a destination; failure; its details",
            Error::NotEnoughMemory => "bytes left",
            _ => "",
        };
        writeln!(out, "| {} | `{}` | {words} |", error.word(), error.name()).unwrap();
    }
    table(out, 3, "Lookup failures", &["number", "failure", "details"]);
    for kind in LookupFailureKind::ALL {
        let details: Vec<&str> = kind.words().iter().map(|holds| holds.text()).collect();
        writeln!(out, "| {} | `{}` | {} |", kind.word(), kind.name(), details.join("; ")).unwrap();
    }
}

fn objects(out: &mut String) {
    table(out, 2, "Objects", &["type", "object", "log2 of the size in bytes"]);
    for object in ObjectType::ALL {
        let size = match object {
            ObjectType::Untyped => {
                format!("the parameter, {} to {}", constants::MIN_UNTYPED_BITS, constants::MAX_UNTYPED_BITS)
            }
            ObjectType::Tcb => format!(
                "{}; {} when the FPU state takes 832 bytes or more",
                constants::tcb_bits(0),
                constants::tcb_bits(832)
            ),
            ObjectType::CNode => format!("the parameter (log2 of slots) + {}", constants::SLOT_BITS),
            ObjectType::SchedContext => format!("the parameter, from {}", constants::MIN_SCHED_CONTEXT_BITS),
            ObjectType::Endpoint => constants::ENDPOINT_BITS.to_string(),
            ObjectType::Notification => constants::NOTIFICATION_BITS.to_string(),
            ObjectType::Reply => constants::REPLY_BITS.to_string(),
            paging => paging.paging_bits().map_or(String::new(), |bits| bits.to_string()),
        };
        writeln!(out, "| {} | `{}` | {size} |", object.word(), object.name()).unwrap();
    }
    writeln!(
        out,
        "\nOne retype makes at most {} objects. A scheduling context takes {} bytes and {} for each refill beyond \
         the first two. An ASID pool takes 2^{} bytes. Addresses of user programs end at {:#x}.",
        constants::UNTYPED_RETYPE_MAX_OBJECTS,
        constants::CORE_SCHED_CONTEXT_BYTES,
        constants::REFILL_SIZE_BYTES,
        constants::ASID_POOL_BITS,
        constants::USER_TOP
    )
    .unwrap();
}

fn invocations(out: &mut String) {
    writeln!(
        out,
        "\n## Invocations\n\n\
         An invocation is a call whose label says what is asked. Capabilities travel as extra capabilities, in \
         order; other parameters are packed into message words in order, each aligned to its own width (a `bool` \
         takes one bit). A result is in the message words of the reply, whose label is the error."
    )
    .unwrap();
    // Other architectures have the rest.
    for object in Object::ALL.iter().filter(|object| INVOCATIONS.iter().any(|i| i.object == **object)) {
        table(out, 3, object.name(), &["label", "invocation", "what it does", "errors"]);
        for invocation in INVOCATIONS.iter().filter(|i| i.object == *object) {
            row(out, invocation);
        }
    }
    writeln!(
        out,
        "\n`{}` (label {}) asks for nothing and is always an error.\n\n\
         `UserContext` is the registers {}, a word each.",
        Label::InvalidInvocation.name(),
        Label::InvalidInvocation.word(),
        UserContext::NAMES.join(", ")
    )
    .unwrap();
}

/// The number of a label; in brackets that with hardware breakpoints, if it is another.
fn label(label: Label) -> String {
    let number =
        |configuration: Configuration| label.word_in(configuration.with(Setting::Extensions)).map(written);
    let with = number(Configuration::PLAIN.with(Setting::HardwareDebug)).unwrap_or_default();
    match number(Configuration::PLAIN) {
        Some(plain) if plain == with => plain,
        Some(plain) => format!("{plain} ({with})"),
        None => format!("({with})"),
    }
}

/// The number of a label: in hexadecimal if it is reserved, as in the list of extensions.
fn written(number: u64) -> String {
    if extension::LABEL_RANGE.contains(&number) { format!("{number:#x}") } else { number.to_string() }
}

/// What is reserved for additions to the ABI.
fn extensions(out: &mut String) {
    let (calls, labels) = (extension::SYSCALL_RANGE, extension::LABEL_RANGE);
    write!(
        out,
        "\n## Extensions\n\n\
         What Pecan adds to the interface has system calls from {} to {}, labels from {:#x} to {:#x}, and flags in the \
         bits of {:#x}: outside of what the ABI counts, so that none of its numbers depends on them. These are reserved; \
         of those that are not there yet system calls are unknown, invocations answer `IllegalOperation`, and flags stay \
         clear.\n\n",
        calls.start(),
        calls.end(),
        labels.start(),
        labels.end(),
        extension::FLAG_MASK,
    )
    .unwrap();
    head(out, &["number", "what", "is there"]);
    for (name, number) in extension::SYSCALLS {
        writeln!(out, "| {number} | system call `{name}` | in debug kernels |").unwrap();
    }
    for (name, number) in extension::LABELS {
        let there = if Label::from_word(*number).is_some() { "yes" } else { "no" };
        writeln!(out, "| {} | label `{name}` | {there} |", written(*number)).unwrap();
    }
    for (name, number) in extension::TCB_FLAGS {
        writeln!(out, "| {number:#x} | flag of threads `{name}` | no |").unwrap();
    }
}

fn row(out: &mut String, invocation: &Invocation) {
    let list = |direction| -> Vec<String> {
        invocation
            .params
            .iter()
            .filter(|p| p.direction == direction)
            .map(|p| format!("{}: {}", p.name, rust_type(p.ty, p.direction)))
            .collect()
    };
    let results = list(Direction::Out);
    let results = if results.is_empty() { String::new() } else { format!(" -> {}", results.join(", ")) };
    let errors: Vec<&str> = invocation.errors.iter().map(|e| e.name()).collect();
    writeln!(
        out,
        "| {} | `{}({}){results}` | {} | {} |",
        label(invocation.label),
        invocation.method.trim_end_matches('_'),
        list(Direction::In).join(", "),
        invocation.doc,
        errors.join(", ")
    )
    .unwrap();
}

fn faults(out: &mut String) {
    table(out, 2, "Faults", &["label", "fault", "message words"]);
    for tag in FaultTag::ALL {
        writeln!(out, "| {} | `{}` | {} |", tag.word(), tag.name(), words(tag.words())).unwrap();
    }
    out.push_str("\nA single step has the first two words of a debug exception only.\n");
}

/// The words of a message with their indices.
fn words(words: &[Holds]) -> String {
    let words: Vec<String> =
        words.iter().enumerate().map(|(index, holds)| format!("{index}: {}", holds.text())).collect();
    words.join("; ")
}

/// What programs written for another kernel of this interface may notice.
fn differences(out: &mut String) {
    table(out, 2, "Where seL4 answers otherwise", &["where", "this kernel", "seL4 16.0"]);
    for [place, ours, theirs] in [
        [
            "`IOPortControl::issue`, port numbers above 0xffff",
            "`InvalidArgument`, with the number of the argument",
            "the low 16 bits count",
        ],
        ["`Page::map` where another page is mapped", "`DeleteFirst`", "the new mapping replaces the old one"],
        [
            "page fault of an instruction fetch",
            "word 2 is 1, and the error code has the bit of a fetch (0x10)",
            "word 2 is 0, and the bit is 0: pages can always be executed",
        ],
        [
            "`DomainSet::schedule_configure`, less than 40 us",
            "accepted; a turn takes 40 us, so that threads of the domain get something done",
            "accepted as it is",
        ],
    ] {
        writeln!(out, "| {place} | {ours} | {theirs} |").unwrap();
    }
}

fn boot_information(out: &mut String) {
    table(out, 2, "The initial CNode", &["slot", "capability"]);
    use boot::slot::*;
    for (slot, what) in [
        (NULL, "empty"),
        (INIT_THREAD_TCB, "initial thread"),
        (INIT_THREAD_CNODE, "the initial CNode itself"),
        (INIT_THREAD_VSPACE, "its address space"),
        (IRQ_CONTROL, "interrupts"),
        (ASID_CONTROL, "ASID pools"),
        (INIT_THREAD_ASID_POOL, "ASID pool of the initial thread"),
        (IO_PORT_CONTROL, "I/O ports"),
        (IO_SPACE, "I/O page tables, where there is an IOMMU"),
        (BOOT_INFO_FRAME, "frame of the boot information"),
        (INIT_THREAD_IPC_BUFFER, "frame of its IPC buffer"),
        (DOMAIN, "domains"),
        (SMMU_SID_CONTROL, "SMMU streams (Arm)"),
        (SMMU_CB_CONTROL, "SMMU context banks (Arm)"),
        (INIT_THREAD_SC, "scheduling context of the initial thread"),
        (SMC, "secure monitor calls (Arm)"),
    ] {
        writeln!(out, "| {slot} | {what} |").unwrap();
    }
    table(out, 2, "Extra boot information", &["id", "chunk"]);
    for id in BootInfoId::ALL {
        writeln!(out, "| {} | `{}` |", id.word(), id.name()).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_has_the_same_number_wherever_it_stands() {
        for (name, number) in extension::LABELS {
            assert!(text().contains(&format!("| {} | label `{name}` |", written(*number))));
            assert!(written(*number).starts_with("0x"), "{name} looks like a number of the ABI");
        }
        assert_eq!(written(45), "45");
    }

    #[test]
    fn every_invocation_and_error_is_in_the_reference() {
        let text = text();
        for invocation in INVOCATIONS {
            let start =
                format!("| {} | `{}(", label(invocation.label), invocation.method.trim_end_matches('_'));
            assert!(text.contains(&start), "{start}");
        }
        for error in Error::ALL {
            assert!(text.contains(&format!("| `{}` |", error.name())));
        }
    }
}
