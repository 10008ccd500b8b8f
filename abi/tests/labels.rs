//! The numbers of labels, in configurations of every architecture, and of what Pecan adds.

use std::collections::BTreeSet;

use pecan_abi::{
    Label, Syscall,
    constants::tcb_flag,
    extension,
    label::{ARCHITECTURES, Architecture, Configuration, Setting, X86_64},
};

/// See there.
const FACTS: &str = include_str!("labels.txt");

/// A configuration, with its labels from number 1 on.
struct Fact {
    architecture: Architecture,
    configuration: Configuration,
    labels: Vec<&'static str>,
}

/// As the facts name options.
fn setting(name: &str) -> Setting {
    let plain = |s: &str| s.replace('_', "").to_lowercase();
    *Setting::ALL.iter().find(|s| plain(&format!("{s:?}")) == plain(name)).expect("there is such an option")
}

fn facts() -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::new();
    for line in FACTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some((name, options)) = line.split_once(':') {
            let architecture = *ARCHITECTURES.iter().find(|a| a.name == name).expect("there is such a port");
            let configuration =
                options.split_whitespace().map(setting).fold(Configuration::NONE, |c, s| c.with(s));
            facts.push(Fact { architecture, configuration, labels: Vec::new() });
            continue;
        }
        let fact = facts.last_mut().expect("labels belong to a configuration");
        match line.trim().strip_prefix("= ") {
            Some(count) => assert_eq!(fact.labels.len(), count.parse().unwrap()),
            None => fact.labels.extend(line.split_whitespace()),
        }
    }
    facts
}

#[test]
fn labels_are_counted_as_the_interface_counts_them() {
    let facts = facts();
    assert!(facts.len() >= 10);
    for Fact { architecture, configuration, labels } in facts {
        let counted: Vec<_> = architecture.labels(configuration).collect();
        let expected: Vec<_> = labels.iter().copied().zip(1..).collect();
        assert_eq!(counted, expected, "{} {configuration:?}", architecture.name);
        for (label, number) in expected {
            assert_eq!(architecture.number(configuration, label), Some(number), "{label}");
            assert!(architecture.knows(label));
        }
    }
}

#[test]
fn labels_of_the_source_have_the_numbers_of_the_configuration() {
    for Fact { configuration, labels, .. } in facts().iter().filter(|f| f.architecture.name == X86_64.name) {
        for label in Label::ALL {
            let at = labels
                .iter()
                .position(|name| name.eq_ignore_ascii_case(label.abi_name()))
                .map(|i| i as u64 + 1);
            let expected = if *label == Label::InvalidInvocation { Some(0) } else { at };
            assert_eq!(label.word_in(*configuration), expected, "{}", label.abi_name());
        }
    }
}

#[test]
fn no_number_of_the_abi_depends_on_the_extensions() {
    for Fact { architecture, configuration, .. } in facts() {
        let (on, off) = (configuration.with(Setting::Extensions), configuration.without(Setting::Extensions));
        let without: Vec<_> = architecture.labels(off).collect();
        let with: Vec<_> = architecture.labels(on).collect();
        assert_eq!(with[..without.len()], without);
        assert_eq!(with[without.len()..], *extension::LABELS);
        assert!(without.iter().all(|(_, number)| !extension::LABEL_RANGE.contains(number)));
        for (label, number) in extension::LABELS {
            assert_eq!(architecture.number(on, label), Some(*number));
            assert_eq!(architecture.number(off, label), None);
        }
    }
}

#[test]
fn extensions_have_numbers_of_their_own() {
    let labels: BTreeSet<_> = extension::LABELS.iter().map(|(_, number)| *number).collect();
    assert_eq!(labels.len(), extension::LABELS.len());
    assert!(labels.iter().all(|number| extension::LABEL_RANGE.contains(number)));
    // Those that the kernel knows have their own number; the others mean nothing.
    for (name, number) in extension::LABELS {
        let known = Label::ALL.iter().find(|label| label.abi_name().eq_ignore_ascii_case(name));
        assert_eq!(Label::from_word(*number), known.copied(), "{name}");
    }

    let calls: BTreeSet<_> = extension::SYSCALLS.iter().map(|(_, number)| *number).collect();
    assert_eq!(calls.len(), extension::SYSCALLS.len());
    assert!(calls.iter().all(|number| extension::SYSCALL_RANGE.contains(number)));
    assert!(Syscall::ALL.iter().all(|call| !extension::SYSCALL_RANGE.contains(&call.number())));

    assert_eq!(tcb_flag::MASK & extension::FLAG_MASK, 0);
    for (_, flag) in extension::TCB_FLAGS {
        assert!(flag.is_power_of_two() && flag & extension::FLAG_MASK != 0);
    }
}
