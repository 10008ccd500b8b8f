//! What the kernel does, as an executable model, and the checks of the kernel against it.
#![forbid(unsafe_code)]

mod abstraction;
pub mod bite;
pub mod coverage;
pub mod digest;
pub mod explore;
pub mod families;
pub mod frontier;
pub mod integrity;
pub mod lockstep;
pub mod map;
pub mod model;
pub mod properties;
pub mod random;
mod story;
pub mod system;
mod translate;

/// True for the fast form of the host suites (`PECAN_FAST`): it is about the kernel, and leaves out what takes seconds
/// and is about these checks.
#[cfg(test)]
fn is_fast() -> bool {
    std::env::var_os("PECAN_FAST").is_some()
}
