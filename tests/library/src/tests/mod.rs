//! The tests, by topic.

mod float;
mod machine;
mod messages;
mod objects;
mod runtime;
mod threads;

use crate::Test;

/// Every test.
pub fn all() -> impl Iterator<Item = &'static Test> {
    [objects::TESTS, messages::TESTS, threads::TESTS, float::TESTS, machine::TESTS, runtime::TESTS]
        .into_iter()
        .flatten()
}
