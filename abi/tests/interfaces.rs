//! The interface of each architecture against a table that was written apart from it, whatever the build is for.

use pecan_abi::{
    Direction, Invocation, Object, ParamType, aarch64, fault::Holds, fault::vm_fault, label::Configuration,
    riscv64, x86_64,
};

/// See there.
const FACTS: &str = include_str!("interfaces.txt");

/// What is described of an architecture, in the form of the table.
struct Described {
    objects: Vec<String>,
    constants: Vec<String>,
    registers: String,
    /// Name, number of words, and what they hold.
    messages: [(&'static str, usize, &'static [Holds]); 4],
    invocations: Vec<String>,
}

/// As the facts write parameters.
fn letter(ty: ParamType) -> &'static str {
    match ty {
        ParamType::Cap => "c",
        ParamType::Word => "w",
        ParamType::Time => "t",
        ParamType::Bool => "b",
        ParamType::U8 => "8",
        ParamType::U16 => "16",
        ParamType::U32 => "32",
        ParamType::Rights => "r",
        ParamType::VmAttributes => "a",
        ParamType::UserContext => "u",
    }
}

/// A line of the table.
fn invocation<L>(invocation: &Invocation<L>, label: Option<u64>, name: &str) -> String {
    let of = |direction| {
        let params = invocation.params.iter().filter(|p| p.direction == direction);
        params.map(|p| letter(p.ty)).collect::<Vec<_>>().join(" ")
    };
    let mut errors: Vec<u64> = invocation.errors.iter().map(|error| error.word()).collect();
    errors.sort_unstable();
    let errors = errors.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
    let label = label.expect("the plain configuration has it");
    let line = format!(
        "invocation {label} {} | {} | {} | {errors}",
        name.to_uppercase(),
        of(Direction::In),
        of(Direction::Out)
    );
    line.trim_end().to_string()
}

macro_rules! described {
    ($arch:ident) => {{
        use $arch::{INVOCATIONS, ObjectType, UserContext, constants::*, fault};
        let objects = ObjectType::ALL.iter().filter_map(|object| {
            assert_eq!(ObjectType::from_word(object.word()), Some(*object));
            Some(format!("object {} {} {}", object.name(), object.word(), object.paging_bits()?))
        });
        let constants = [
            ("MAX_UNTYPED_BITS", u64::from(MAX_UNTYPED_BITS)),
            ("tcb_bits", tcb_bits(512).into()),
            ("USER_TOP", USER_TOP),
            ("ASID_POOL_BITS", ASID_POOL_BITS.into()),
            ("ASID_POOL_INDEX_BITS", ASID_POOL_INDEX_BITS.into()),
            ("NUM_ASID_POOLS_BITS", NUM_ASID_POOLS_BITS.into()),
            ("PAGE_TABLE_BITS", PAGE_TABLE_BITS.into()),
            ("VSPACE_BITS", VSPACE_BITS.into()),
            ("PADDR_USER_DEVICE_TOP", PADDR_USER_DEVICE_TOP),
        ];
        let words = core::array::from_fn(|i| i as u64 + 1);
        assert_eq!(UserContext::from_words(&words).to_words(), words);
        let of_all = INVOCATIONS.iter().filter_map(|i| {
            let plain = i.label.word_in(Configuration::PLAIN);
            plain.map(|_| invocation(i, plain, i.label.abi_name()))
        });
        Described {
            objects: objects.collect(),
            constants: constants.iter().map(|(name, value)| format!("constant {name} {value}")).collect(),
            registers: format!("registers {}", UserContext::NAMES.join(" ")),
            messages: [
                ("vm_fault", vm_fault::LENGTH, vm_fault::WORDS),
                ("unknown_syscall", fault::unknown_syscall::LENGTH, fault::unknown_syscall::WORDS),
                ("user_exception", fault::user_exception::LENGTH, fault::user_exception::WORDS),
                ("timeout_reply", fault::timeout_reply::LENGTH, fault::timeout_reply::WORDS),
            ],
            invocations: of_all.collect(),
        }
    }};
}

/// How the facts name what a word holds.
fn is_named(holds: Holds, name: &str) -> bool {
    match holds {
        Holds::Instruction => matches!(name, "FaultIP" | "IP"),
        Holds::StackPointer => matches!(name, "SP" | "RSP"),
        Holds::Flags => matches!(name, "FLAGS" | "SPSR" | "SPSR_EL1"),
        Holds::SyscallNumber => name == "Syscall",
        Holds::Vector => name == "Number",
        Holds::ErrorCode => matches!(name, "Code" | "FSR"),
        Holds::Address => name == "Addr",
        Holds::IsFetch => name == "PrefetchFault",
        Holds::Register("fs_base") => name == "TLS_BASE",
        // The link register.
        Holds::Register("x30" | "ra") => matches!(name, "LR" | "X30" | "RA"),
        Holds::Register(register) => register.eq_ignore_ascii_case(name),
        _ => false,
    }
}

#[test]
fn every_architecture_is_described_as_it_is() {
    for (name, described) in
        [("x86_64", described!(x86_64)), ("aarch64", described!(aarch64)), ("riscv64", described!(riscv64))]
    {
        let (_, facts) = FACTS.split_once(&format!("\n[{name}]\n")).expect("the table has the architecture");
        let facts: Vec<&str> = facts.lines().take_while(|line| !line.is_empty()).collect();
        let of = |kind: &str| -> Vec<String> {
            let lines = facts.iter().filter(|line| line.split(' ').next() == Some(kind));
            lines.map(|line| line.to_string()).collect()
        };
        assert_eq!(described.objects, of("object"), "{name}");
        assert_eq!(described.constants, of("constant"), "{name}");
        assert_eq!([described.registers], *of("registers"), "{name}");
        let messages = of("message");
        assert_eq!(messages.len(), described.messages.len());
        for (line, (message, length, words)) in messages.iter().zip(described.messages) {
            let names: Vec<&str> = line.split(' ').skip(2).collect();
            assert_eq!(line.split(' ').nth(1), Some(message));
            assert_eq!((names.len(), words.len()), (length, length), "{name}, {message}");
            for (holds, word) in words.iter().zip(names) {
                assert!(is_named(*holds, word), "{name}, {message}: {word} is {holds:?}");
            }
        }
        let invocations: Vec<String> = of("invocation")
            .iter()
            .map(|line| {
                let (head, rest) = line.split_once(" |").expect("a label, then parameters");
                let (number, label) = head.rsplit_once(' ').expect("a number, then a label");
                format!("{number} {} |{rest}", label.to_uppercase())
            })
            .collect();
        assert_eq!(described.invocations, invocations, "{name}");
    }
}

#[test]
fn every_object_has_invocations_somewhere() {
    fn has<L>(invocations: &[Invocation<L>], object: Object) -> bool {
        invocations.iter().any(|invocation| invocation.object == object)
    }
    for object in Object::ALL {
        let here = has(x86_64::INVOCATIONS, *object);
        let elsewhere = has(aarch64::INVOCATIONS, *object) || has(riscv64::INVOCATIONS, *object);
        assert!(here || elsewhere, "{object:?}");
    }
}
