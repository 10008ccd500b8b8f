//! The kernel's decoders: a type for each part of what invocations take, made from a message that is long enough.

use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

use pecan_abi::{Direction, Invocation, Param, ParamType, aarch64, riscv64, x86_64};

/// Where the decoders are written.
const FOLDER: &str = "kernel/core/src/invoke/args";

/// What every file of them begins with, behind what it says of itself.
const HEAD: &str = "\
    //!\n\
    //! Each type is what the kernel asks of a message at once; `decode` fails with `TruncatedMessage` where that is more \
    than\n\
    //! there is. A parameter that has a word to itself is that word, whatever the width of the parameter: what is too \
    great for\n\
    //! it can be refused.\n\
    #![allow(dead_code, reason = \"what an invocation takes, whether or not the kernel looks at it\")]\n";

/// The decoders of an architecture by their names, each as it was first met.
type Decoders = BTreeMap<&'static str, (usize, Decoder)>;

/// The files of decoders: those that every architecture has, and those that each has of its own.
pub fn files() -> Vec<(PathBuf, String)> {
    let all = [
        ("aarch64", of(aarch64::INVOCATIONS)),
        ("riscv64", of(riscv64::INVOCATIONS)),
        ("x86_64", of(x86_64::INVOCATIONS)),
    ];
    let is_everywhere = |name: &str, decoder: &Decoder| {
        let same = |(_, decoders): &(&str, Decoders)| {
            decoders
                .get(name)
                .is_some_and(|(_, other)| other.places() == decoder.places() && other.need == decoder.need)
        };
        all.iter().all(same)
    };
    let mut files = Vec::new();
    let common = "//! What invocations take. Generated from `abi/` by `cargo xtask generate`; do not edit.\n";
    let modules: String = all.iter().map(|(name, _)| format!("pub mod {name};\n")).collect();
    let (_, decoders) = &all[2];
    let shared = decoders.iter().filter(|(name, (_, decoder))| is_everywhere(name, decoder));
    files.push((PathBuf::from(FOLDER).join("mod.rs"), text(common, &modules, shared.map(|(_, of)| of))));
    for (name, decoders) in &all {
        let head = format!(
            "//! What invocations of {name} take. Generated from `abi/` by `cargo xtask generate`; do not edit.\n"
        );
        let own = decoders.iter().filter(|(name, (_, decoder))| !is_everywhere(name, decoder));
        files
            .push((PathBuf::from(FOLDER).join(format!("{name}.rs")), text(&head, "", own.map(|(_, of)| of))));
    }
    files
}

/// The decoders of these invocations.
fn of<L>(invocations: &[Invocation<L>]) -> Decoders {
    let mut known = Decoders::new();
    for decoder in invocations.iter().flat_map(decoders) {
        let (name, place) = (decoder.name, known.len());
        let (_, first) = known.entry(name).or_insert((place, decoder));
        let places = first.places();
        let again = invocations.iter().flat_map(decoders).filter(|other| other.name == name);
        again.for_each(|other| {
            assert_eq!(places, other.places(), "{name}: what shares a decoder is at the same place")
        });
    }
    known
}

/// The text of one file.
fn text<'d>(head: &str, modules: &str, decoders: impl Iterator<Item = &'d (usize, Decoder)>) -> String {
    let mut decoders: Vec<&(usize, Decoder)> = decoders.collect();
    decoders.sort_by_key(|(place, _)| *place);
    let uses = |ty: &str| decoders.iter().any(|(_, d)| d.fields.iter().any(|field| field.ty.contains(ty)));
    let rights = if uses("CapRights") { "use pecan_abi::CapRights;\n" } else { "" };
    let slots =
        if uses("Slot") { "use pecan_mem::{Kernel, Link, Slot};\n" } else { "use pecan_mem::Kernel;\n" };
    let own = if uses("Rest") {
        "use crate::{\n    base::error::Decoded,\n    invoke::invocation::{Invocation, Rest},\n};"
    } else {
        "use crate::{base::error::Decoded, invoke::invocation::Invocation};"
    };
    let mut out = format!("{head}{HEAD}");
    if !modules.is_empty() {
        write!(out, "\n{modules}").unwrap();
    }
    write!(out, "\n{rights}{slots}\n{own}\n").unwrap();
    decoders.iter().for_each(|(_, decoder)| decoder.write(&mut out));
    out
}

/// The decoder of one part of an invocation.
struct Decoder {
    /// The name of the type.
    name: &'static str,
    /// The invocation, as the documentation names it.
    of: String,
    /// It is all that the invocation takes.
    whole: bool,
    /// Words and extra capabilities that the message must have.
    need: (usize, usize),
    fields: Vec<Field>,
}

/// A field of a decoder.
struct Field {
    name: &'static str,
    ty: &'static str,
    /// The expression that takes it from the message.
    value: String,
}

/// The decoders of all parts of an invocation that have parameters.
fn decoders<L>(invocation: &Invocation<L>) -> Vec<Decoder> {
    let (mut from, mut parts) = (0, Vec::new());
    for part in invocation.parts {
        let to = from + part.params;
        let params = invocation.params[from..to].iter().enumerate().map(|(i, p)| (from + i, p));
        let fields: Vec<Field> = params.map(|(index, param)| field(invocation, index, param)).collect();
        if !fields.is_empty() {
            parts.push(Decoder {
                name: part.name,
                of: format!("{}.{}", invocation.object.name(), invocation.method.trim_end_matches('_')),
                whole: invocation.parts.len() == 1,
                need: (words(invocation, to), caps(invocation, to)),
                fields,
            });
        }
        from = to;
    }
    parts
}

/// Message words that the first `count` parameters take, the registers of a thread left out.
fn words<L>(invocation: &Invocation<L>, count: usize) -> usize {
    let registers = |p: &Param| p.ty == ParamType::UserContext;
    let end = |i: usize| invocation.bit_offset(Direction::In, i) + invocation.params[i].ty.bits();
    let in_words = |i: &usize| !invocation.params[*i].ty.is_cap() && !registers(&invocation.params[*i]);
    (0..count).filter(in_words).map(end).max().unwrap_or(0).div_ceil(64)
}

/// Extra capabilities among the first `count` parameters.
fn caps<L>(invocation: &Invocation<L>, count: usize) -> usize {
    invocation.params[..count].iter().filter(|p| p.ty.is_cap()).count()
}

fn field<L>(invocation: &Invocation<L>, index: usize, param: &Param) -> Field {
    let at = invocation.bit_offset(Direction::In, index);
    let word = format!("inv.word(k, {})", at / 64);
    let (ty, value) = match param.ty {
        ParamType::Cap => ("Link<Slot>", format!("inv.cap({})", caps(invocation, index))),
        ParamType::UserContext => ("Rest", format!("inv.rest({})", at / 64)),
        ParamType::Rights => ("CapRights", format!("CapRights({word})")),
        ParamType::Bool if shares_word(invocation, index) => {
            ("bool", format!("{word} & {:#x} != 0", 1u64 << (at % 64)))
        }
        ParamType::U8 if shares_word(invocation, index) => ("u8", format!("({word} >> {}) as u8", at % 64)),
        ParamType::U16 | ParamType::U32 if shares_word(invocation, index) => {
            unreachable!("no invocation has such a parameter beside another")
        }
        _ => ("u64", word),
    };
    Field { name: param.name, ty, value }
}

/// True if another parameter is in the same message word.
fn shares_word<L>(invocation: &Invocation<L>, index: usize) -> bool {
    let word = |i| invocation.bit_offset(Direction::In, i) / 64;
    let others = invocation.params.iter().enumerate().filter(|(i, p)| {
        *i != index && p.direction == Direction::In && !p.ty.is_cap() && p.ty != ParamType::UserContext
    });
    others.into_iter().any(|(i, _)| word(i) == word(index))
}

impl Decoder {
    /// What must be the same where invocations share a decoder.
    fn places(&self) -> Vec<(&'static str, String)> {
        self.fields.iter().map(|f| (f.ty, f.value.clone())).collect()
    }

    fn write(&self, out: &mut String) {
        let Decoder { name, of, whole, need: (words, caps), fields } = self;
        let what = if *whole { "What" } else { "A part of what" };
        writeln!(out, "\n/// {what} `{of}` takes.\n#[derive(Clone, Copy)]\npub struct {name} {{").unwrap();
        for Field { name, ty, .. } in fields {
            writeln!(out, "    pub {name}: {ty},").unwrap();
        }
        let k = if fields.iter().any(|f| f.value.contains("(k,")) { "k" } else { "_k" };
        writeln!(
            out,
            "}}\n\nimpl {name} {{\n    #[inline(always)]\n    \
             pub fn decode({k}: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {{\n        \
             inv.need({words}, {caps})?;"
        )
        .unwrap();
        let values: Vec<String> = fields.iter().map(|f| format!("{}: {}", f.name, f.value)).collect();
        let line = format!("        Ok(Self {{ {} }})", values.join(", "));
        if line.len() <= super::MAX_WIDTH {
            writeln!(out, "{line}").unwrap();
        } else {
            writeln!(out, "        Ok(Self {{").unwrap();
            values.iter().for_each(|value| writeln!(out, "            {value},").unwrap());
            writeln!(out, "        }})").unwrap();
        }
        out.push_str("    }\n}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pecan_abi::{INVOCATIONS, Label};

    fn of_label(label: Label) -> Vec<Decoder> {
        decoders(INVOCATIONS.iter().find(|i| i.label == label).unwrap())
    }

    fn values(decoder: &Decoder) -> Vec<(&'static str, &str)> {
        decoder.fields.iter().map(|f| (f.name, f.value.as_str())).collect()
    }

    #[test]
    fn a_parameter_alone_in_its_word_is_the_word() {
        let [decoder] = &of_label(Label::TcbGetBreakpoint)[..] else { panic!("one part") };
        assert_eq!(values(decoder), [("bp_num", "inv.word(k, 0)")]);
    }

    #[test]
    fn parameters_that_share_a_word_are_taken_apart() {
        let [decoder] = &of_label(Label::TcbCopyRegisters)[..] else { panic!("one part") };
        assert_eq!(
            values(decoder),
            [
                ("source", "inv.cap(0)"),
                ("suspend_source", "inv.word(k, 0) & 0x1 != 0"),
                ("resume_target", "inv.word(k, 0) & 0x2 != 0"),
                ("transfer_frame", "inv.word(k, 0) & 0x4 != 0"),
                ("transfer_integer", "inv.word(k, 0) & 0x8 != 0"),
                ("arch_flags", "(inv.word(k, 0) >> 8) as u8"),
            ]
        );
        assert_eq!(decoder.need, (1, 1));
    }

    #[test]
    fn a_part_asks_for_what_comes_before_it_too() {
        let parts = of_label(Label::CNodeMint);
        let needs: Vec<_> = parts.iter().map(|d| (d.name, d.need)).collect();
        assert_eq!(needs, [("CNodeTarget", (2, 0)), ("CNodeSource", (4, 1)), ("CNodeMint", (6, 1))]);
        assert_eq!(values(&parts[1])[0], ("src_root", "inv.cap(0)"));
    }

    #[test]
    fn registers_are_what_is_left_of_the_message() {
        let [decoder] = &of_label(Label::TcbWriteRegisters)[..] else { panic!("one part") };
        assert_eq!(values(decoder)[3], ("regs", "inv.rest(2)"));
        assert_eq!(decoder.need, (2, 0));
    }

    #[test]
    fn nothing_is_decoded_of_what_takes_nothing() {
        assert!(of_label(Label::TcbSuspend).is_empty());
    }
}
