//! The tests, by kind of object.

use pecan_abi::{Error, Label};

use crate::Env;

/// A test.
pub struct Test {
    /// What it shows.
    pub name: &'static str,
    /// Panics if it does not hold.
    pub body: fn(&Env),
    /// The cells of the matrix (invocation, error) that it covers.
    pub covers: &'static [(Label, Error)],
}

/// The tests of one kind of object.
pub struct Module {
    /// Its name, which is the first part of the names of its tests.
    pub name: &'static str,
    /// The tests.
    pub tests: &'static [Test],
}

/// The table of a module's tests: the function, and the cells `Label / Error` that it covers.
macro_rules! tests {
    ($($body:ident $(: $($label:ident / $error:ident),+)?;)+) => {
        /// The tests of this module.
        pub const TESTS: &[$crate::tests::Test] = &[$($crate::tests::Test {
            name: stringify!($body),
            body: $body,
            covers: &[$($((pecan_abi::Label::$label, pecan_abi::Error::$error)),+)?],
        }),+];
    };
}

macro_rules! modules {
    ($($module:ident $(if $exists:expr)?),+ $(,)?) => {
        $(mod $module;)+
        /// All modules, in the order in which they run. One that tests what the configuration lacks is empty.
        pub const MODULES: &[Module] = &[$(Module {
            name: stringify!($module),
            tests: if true $(&& $exists)? { $module::TESTS } else { &[] },
        }),+];
    };
}

modules! {
    any_object, untyped, cnode, tcb, ipc, notification, ioport, irq, msi, sched, budget, domain, vspace, fault, boot, state,
    register, preempt, latency, debug, breakpoint if pecan_abi::HARDWARE_DEBUG,
    step if pecan_abi::HARDWARE_DEBUG,
}

/// Gives the whole processor back to the first domain.
pub fn reset_domains() {
    domain::reset();
}
