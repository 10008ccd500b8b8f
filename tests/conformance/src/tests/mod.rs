//! The tests, by kind of object.

use pecan_abi::{Error, Label};

pub use self::deletion::Way;
use crate::Env;

/// A test.
pub struct Test {
    /// What it shows.
    pub name: &'static str,
    /// Panics if it does not hold.
    pub body: fn(&Env),
    /// The cells of the matrix (invocation, error) that it covers.
    pub covers: &'static [(Label, Error)],
    /// The state of an object that it deletes in all ways, if it is one of those tests.
    pub state: Option<State>,
}

/// An object's state at deletion, and the ways in which capabilities to the object go in the test of it.
pub struct State {
    /// What kind of object it is.
    pub object: &'static str,
    /// Its state.
    pub state: &'static str,
    /// The ways.
    pub ways: &'static [Way],
}

/// The tests of one kind of object.
pub struct Module {
    /// Its name, which is the first part of the names of its tests.
    pub name: &'static str,
    /// The tests.
    pub tests: &'static [Test],
    /// The benchmark system calls that the kernel must have for them, see [`crate::runner::benchmark`]; `None` if that does
    /// not matter.
    pub benchmark: Option<&'static str>,
}

/// The table of a module's tests: the function, and the cells `Label / Error` that it covers.
macro_rules! tests {
    ($($body:ident $(: $($label:ident / $error:ident),+)?;)+) => {
        /// The tests of this module.
        pub const TESTS: &[$crate::tests::Test] = &[$($crate::tests::Test {
            name: stringify!($body),
            body: $body,
            covers: &[$($((pecan_abi::Label::$label, pecan_abi::Error::$error)),+)?],
            state: None,
        }),+];
    };
}

/// The table of tests of objects' states at deletion: the function, the kind of object and its state, and the ways in
/// which its capabilities go.
macro_rules! states {
    ($($body:ident: $object:literal $state:literal, $ways:expr;)+) => {
        /// The tests of this module.
        pub const TESTS: &[$crate::tests::Test] = &[$($crate::tests::Test {
            name: stringify!($body),
            body: |env| $crate::tests::deletion::in_all_ways(env, $ways, $body),
            covers: &[],
            state: Some($crate::tests::State { object: $object, state: $state, ways: $ways }),
        }),+];
    };
}

mod deletion;

macro_rules! modules {
    ($($module:ident $(for $benchmark:literal)? $(if $exists:expr)?),+ $(,)?) => {
        $(mod $module;)+
        /// All modules, in the order in which they run. One that tests what the configuration lacks is empty.
        pub const MODULES: &[Module] = &[$(Module {
            name: stringify!($module),
            tests: if true $(&& $exists)? { $module::TESTS } else { &[] },
            benchmark: [$(Some($benchmark),)? None][0],
        }),+];
    };
}

modules! {
    any_object, untyped, cnode, tcb, ipc, notification, ioport, irq, msi, sched, budget, domain, vspace, fault, boot, state,
    delete_thread, delete_message, delete_time, delete_memory, delete_device,
    message, transfer, resolve, stale, ceiling, exhaustion,
    register, preempt, latency, debug, benchmark,
    utilisation for "track_utilisation", entries for "track_kernel_entries", breakpoint if pecan_abi::HARDWARE_DEBUG,
    step if pecan_abi::HARDWARE_DEBUG,
}

/// Gives the whole processor back to the first domain.
pub fn reset_domains() {
    domain::reset();
}
