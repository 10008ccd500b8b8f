//! The user-level stubs: one function for each invocation, which packs its parameters into a message.

use std::{fmt::Write, path::PathBuf};

use pecan_abi::{Direction, Invocation, Param, ParamType, aarch64, x86_64};

/// The invocations that can change the caller's own memory, registers or CSpace under its feet, and so are unsafe functions:
/// the names of their functions, and what the caller has to see to.
const UNSAFE: [(&[&str], &str); 4] = [
    (
        &[
            "tcb_write_registers",
            "tcb_copy_registers",
            "tcb_configure",
            "tcb_set_ipc_buffer",
            "tcb_set_space",
            "tcb_set_tls_base",
        ],
        "If the thread is one of this program's own, what it runs on afterwards must be what its code relies on.",
    ),
    (
        &["tcb_set_sched_params", "tcb_set_timeout_endpoint"],
        "If the thread is one of this program's own, whoever answers its faults must leave it what its code relies on.",
    ),
    (
        &["cnode_delete", "cnode_revoke", "cnode_move", "cnode_mutate", "cnode_rotate"],
        "No name of a capability that goes away is used afterwards, and no memory that goes with it.",
    ),
    (
        &["page_map", "page_unmap", "page_table_unmap", "page_directory_unmap", "pdpt_unmap"],
        "Memory that this program accesses by references stays where it is, and nobody else writes to it.",
    ),
];

/// What the caller of an unsafe function has to see to.
fn obligation(name: &str) -> Option<&'static str> {
    UNSAFE.iter().find(|(names, _)| names.contains(&name)).map(|(_, obligation)| *obligation)
}

/// Where the stubs of every architecture are written, and those of each.
const COMMON: &str = "user/pecan/src/raw/invocations.rs";
const OWN: &str = "user/pecan/src/arch";

/// What every file of them begins with, behind what it says of itself.
const HEAD: &str = "\
    //!\n\
    //! `service` is the capability that is invoked. Parameters are packed into message words in order, each\n\
    //! aligned to its own width; capabilities travel beside them. A function that acts on foreign objects only, whatever \
    it\n\
    //! is given, is safe.\n\
    #![allow(clippy::too_many_arguments)]\n";

/// The functions of an architecture: name and text of each.
type Functions = Vec<(String, String)>;

/// The files of stubs: those that every architecture has, and those that each of which there is a port has of its own.
pub fn files() -> Vec<(PathBuf, String)> {
    let all = [
        ("aarch64", of(aarch64::INVOCATIONS, aarch64::Label::name)),
        ("x86_64", of(x86_64::INVOCATIONS, x86_64::Label::name)),
    ];
    let is_everywhere = |function: &&(String, String)| all.iter().all(|(_, own)| own.contains(function));
    let common = "//! One function for each invocation. Generated from `abi/` by `cargo xtask generate`; do not edit.\n";
    let shared: String = all[0].1.iter().filter(is_everywhere).map(|(_, text)| text.as_str()).collect();
    let others = "pub use crate::arch::invocations::*;\n";
    let mut files = vec![(PathBuf::from(COMMON), text(common, others, &shared))];
    for (name, functions) in &all {
        let head = format!(
            "//! The invocations that {name} has of its own. Generated from `abi/` by `cargo xtask generate`; do not \
             edit.\n"
        );
        let own: String =
            functions.iter().filter(|f| !is_everywhere(f)).map(|(_, text)| text.as_str()).collect();
        files.push((PathBuf::from(OWN).join(name).join("invocations.rs"), text(&head, "", &own)));
    }
    files
}

/// The functions of these invocations.
fn of<L: Copy>(invocations: &[Invocation<L>], name: fn(L) -> &'static str) -> Functions {
    invocations
        .iter()
        .map(|invocation| {
            let mut out = String::new();
            function(&mut out, invocation, name(invocation.label));
            (function_name(invocation), out)
        })
        .collect()
}

/// The text of one file, which exports `others` besides.
fn text(head: &str, others: &str, functions: &str) -> String {
    let mut uses = vec!["CPtr"];
    uses.extend(["CapRights", "Label", "UserContext"].iter().filter(|name| functions.contains(**name)));
    format!(
        "{head}{HEAD}\nuse pecan_abi::{{{}}};\n\n{others}use crate::{{Result, raw::invoke}};\n{functions}",
        uses.join(", ")
    )
}

/// `Tcb.read_registers` is `tcb_read_registers`.
pub fn function_name<L>(invocation: &Invocation<L>) -> String {
    let mut name = String::new();
    for c in invocation.object.name().chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(c.to_lowercase());
    }
    // `CNode` is one word.
    format!("{}_{}", name.replace("c_node", "cnode"), invocation.method.trim_end_matches('_'))
}

/// The Rust type of a parameter.
pub fn rust_type(ty: ParamType, direction: Direction) -> &'static str {
    match ty {
        ParamType::Cap => "CPtr",
        ParamType::Word | ParamType::Time | ParamType::VmAttributes => "u64",
        ParamType::Bool => "bool",
        ParamType::U8 => "u8",
        ParamType::U16 => "u16",
        ParamType::U32 => "u32",
        ParamType::Rights => "CapRights",
        ParamType::UserContext if direction == Direction::In => "&UserContext",
        ParamType::UserContext => "UserContext",
    }
}

fn function<L>(out: &mut String, invocation: &Invocation<L>, label: &str) {
    let of = |direction| invocation.params.iter().filter(move |p| p.direction == direction);
    let errors: Vec<String> = invocation.errors.iter().map(|e| format!("`{}`", e.name())).collect();
    writeln!(out, "\n/// {}\n///\n/// Errors: {}.", invocation.doc, errors.join(", ")).unwrap();
    let parameters: String =
        of(Direction::In).map(|p| format!(", {}: {}", p.name, rust_type(p.ty, p.direction))).collect();
    let results: Vec<&str> = of(Direction::Out).map(|p| rust_type(p.ty, p.direction)).collect();
    let result = match results[..] {
        [one] => one.to_string(),
        _ => format!("({})", results.join(", ")),
    };
    let name = function_name(invocation);
    let (safety, reason) = match obligation(&name) {
        Some(obligation) => {
            writeln!(out, "///\n/// # Safety\n/// {obligation}").unwrap();
            ("unsafe ", "the caller sees to it.")
        }
        None => ("", "it changes neither memory nor registers of this program."),
    };
    writeln!(out, "#[inline]\npub {safety}fn {name}(service: CPtr{parameters}) -> Result<{result}> {{")
        .unwrap();

    let caps: Vec<&str> = of(Direction::In).filter(|p| p.ty.is_cap()).map(|p| p.name).collect();
    let words = word_expressions(invocation);
    let words = match of(Direction::In).find(|p| p.ty == ParamType::UserContext) {
        Some(context) => {
            // The words before the registers, then the registers in order.
            writeln!(out, "    let mut words = [0; {}];", invocation.words(Direction::In)).unwrap();
            for (index, word) in words.iter().enumerate() {
                writeln!(out, "    words[{index}] = {word};").unwrap();
            }
            let first = words.len();
            writeln!(out, "    words[{first}..].copy_from_slice(&{}.to_words());", context.name).unwrap();
            "words".to_string()
        }
        None => format!("[{}]", words.join(", ")),
    };
    let call = format!("unsafe {{ invoke(service, Label::{}, [{}], {words}) }}?", label, caps.join(", "));
    writeln!(out, "    // SAFETY: {reason}").unwrap();
    let reads: Vec<String> = invocation
        .params
        .iter()
        .enumerate()
        .filter(|(_, p)| p.direction == Direction::Out)
        .map(|(index, p)| read(p, invocation.bit_offset(Direction::Out, index)))
        .collect();
    match &reads[..] {
        [] => writeln!(out, "    {call};\n    Ok(())\n}}").unwrap(),
        [one] => writeln!(out, "    let reply = {call};\n    Ok({one})\n}}").unwrap(),
        more => writeln!(out, "    let reply = {call};\n    Ok(({}))\n}}", more.join(", ")).unwrap(),
    }
}

/// What goes into each message word, registers of a thread left out.
fn word_expressions<L>(invocation: &Invocation<L>) -> Vec<String> {
    let mut words: Vec<Vec<String>> = Vec::new();
    for (index, param) in invocation.params.iter().enumerate() {
        let narrow = param.ty.bits();
        if param.direction != Direction::In || narrow == 0 || param.ty == ParamType::UserContext {
            continue;
        }
        let at = invocation.bit_offset(Direction::In, index);
        words.resize(words.len().max(at / 64 + 1), Vec::new());
        let value = match param.ty {
            ParamType::Rights => format!("{}.0", param.name),
            _ if narrow < 64 => format!("{} as u64", param.name),
            _ => param.name.to_string(),
        };
        words[at / 64].push(match at % 64 {
            0 => value,
            shift => format!("({value}) << {shift}"),
        });
    }
    words.iter().map(|parts| parts.join(" | ")).collect()
}

/// The expression that takes a result out of the reply, where it starts at bit `at`. Narrow results begin a word.
fn read(param: &Param, at: usize) -> String {
    let word = format!("reply.word({})", at / 64);
    match param.ty {
        ParamType::UserContext => "UserContext::from_words(&core::array::from_fn(|index| {\n        \
             if index < reply.info.length() { reply.word(index) } else { 0 }\n    }))"
            .to_string(),
        ParamType::Bool => format!("{word} & 1 != 0"),
        ty if ty.bits() == 64 => word,
        ty => format!("{word} as {}", rust_type(ty, param.direction)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pecan_abi::{INVOCATIONS, Label};

    fn find(label: Label) -> &'static Invocation {
        INVOCATIONS.iter().find(|i| i.label == label).unwrap()
    }

    #[test]
    fn narrow_parameters_share_a_word() {
        assert_eq!(
            word_expressions(find(Label::TcbCopyRegisters)),
            ["suspend_source as u64 | (resume_target as u64) << 1 | (transfer_frame as u64) << 2 | \
              (transfer_integer as u64) << 3 | (arch_flags as u64) << 8"]
        );
        assert_eq!(
            word_expressions(find(Label::TcbWriteRegisters)),
            ["resume_target as u64 | (arch_flags as u64) << 8", "count"]
        );
    }

    #[test]
    fn a_word_follows_a_narrow_parameter_in_the_next_word() {
        assert_eq!(
            word_expressions(find(Label::CNodeMint)),
            ["dest_index", "dest_depth as u64", "src_index", "src_depth as u64", "rights.0", "badge"]
        );
    }

    #[test]
    fn functions_are_named_after_object_and_method() {
        assert_eq!(function_name(find(Label::CNodeMove)), "cnode_move");
        assert_eq!(function_name(find(Label::X86IoPortControlIssue)), "io_port_control_issue");
    }

    #[test]
    fn results_begin_a_word_each() {
        for invocation in INVOCATIONS {
            for (index, _) in
                invocation.params.iter().enumerate().filter(|(_, p)| p.direction == Direction::Out)
            {
                assert_eq!(
                    invocation.bit_offset(Direction::Out, index) % 64,
                    0,
                    "{}",
                    invocation.label.name()
                );
            }
        }
    }

    #[test]
    fn what_is_listed_as_unsafe_exists() {
        let names: Vec<String> = INVOCATIONS.iter().map(function_name).collect();
        for name in UNSAFE.iter().flat_map(|(names, _)| *names) {
            assert!(names.iter().any(|n| n == name), "{name}");
        }
        let mut text = String::new();
        function(&mut text, find(Label::PageUnmap), "PageUnmap");
        assert!(text.contains("# Safety") && text.contains("pub unsafe fn page_unmap("), "{text}");
    }

    #[test]
    fn several_results_are_a_tuple() {
        let mut text = String::new();
        function(&mut text, find(Label::TcbGetBreakpoint), "TcbGetBreakpoint");
        assert!(text.contains("-> Result<(u64, u64, u64, u64, bool)>"), "{text}");
        assert!(text.contains("reply.word(3), reply.word(4) & 1 != 0"), "{text}");
    }
}
