//! What is covered: the table of invocations and the errors they document, and that of objects' states at deletion.

use pecan_abi::{Error, INVOCATIONS, Label};

use crate::{
    print, println,
    tests::{Module, State},
};

/// Documented errors that cannot occur, and why.
const REASONS: &[(Label, Error, &str)] = &[
    (
        Label::IrqIssueIrqHandler,
        Error::DeleteFirst,
        "with an IOAPIC the call is refused before it looks at a slot",
    ),
    (
        Label::IrqIssueIrqHandler,
        Error::FailedLookup,
        "with an IOAPIC the call is refused before it looks at a slot",
    ),
    (
        Label::IrqIssueIrqHandler,
        Error::RangeError,
        "with an IOAPIC the call is refused whatever the interrupt",
    ),
    (
        Label::IrqIssueIrqHandler,
        Error::RevokeFirst,
        "with an IOAPIC the call is refused whatever the interrupt",
    ),
    (
        Label::IrqIssueIrqHandler,
        Error::NoError,
        "with an IOAPIC the call is always refused: interrupts come from its pins or as messages",
    ),
    (
        Label::TcbConfigureSingleStepping,
        Error::InvalidArgument,
        "the processor steps without a breakpoint, so that its number does not matter",
    ),
    (
        Label::X86PdptMap,
        Error::FailedLookup,
        "no structure is needed above it; a VSpace without ASID is InvalidCapability",
    ),
];

/// Prints a line for each invocation and error, with the tests that cover it, or why none can; and one for each state of
/// an object, with the ways in which capabilities to it go in the test.
pub fn print(modules: &[Module]) {
    for invocation in INVOCATIONS.iter().filter(|i| i.label.exists()) {
        let errors = core::iter::once(&Error::NoError).chain(invocation.errors);
        for error in errors {
            print!(
                "cell {}.{} {}:",
                invocation.object.name(),
                invocation.method.trim_end_matches('_'),
                error.name()
            );
            let cell = (invocation.label, *error);
            for module in modules {
                for test in module.tests.iter().filter(|t| t.covers.contains(&cell)) {
                    print!(" {}::{}", module.name, test.name);
                }
            }
            for (.., why) in REASONS.iter().filter(|(label, error, _)| (*label, *error) == cell) {
                print!(" -- {why}");
            }
            println!();
        }
    }
    for module in modules {
        for test in module.tests {
            let Some(State { object, state, ways }) = &test.state else { continue };
            print!("state {object} | {state} |");
            for way in *ways {
                print!(" {}", way.name());
            }
            println!(" | {}::{}", module.name, test.name);
        }
    }
}
