//! The suite `fuzz`: random system calls on the target, briefly and with fixed seeds; `--long` makes many more.

use anyhow::Result;

use super::{Length, Tally, latency, leave_out};
use crate::{
    fuzz::{Fuzzer, Play},
    hostfuzz,
    paths::Workspace,
    toolchain::Toolchain,
};

/// A boot: its name, the kernel, the seed, and the calls of a usual and of a long run.
const CASES: [(&str, &str, u64, [u64; 2]); 4] = [
    ("fuzz::checked_kernel", CHECKED, 1, [60_000, 4_000_000]),
    ("fuzz::release_kernel", "release", 2, [150_000, 10_000_000]),
    ("fuzz::release_kernel_another_seed", "release", 3, [150_000, 10_000_000]),
    ("fuzz::kernel_that_measures_itself", latency::PROFILE, 4, [150_000, 10_000_000]),
];

/// So many of these are in a quick run.
const QUICK_CASES: usize = 2;

/// The kernel that looks after itself.
const CHECKED: &str = "fuzz";
/// Calls between two times that everything is made anew.
const ROUND: u64 = 20_000;
/// Of the invocations, so many of a hundred must succeed: what is always refused tests little.
const SHARE: u64 = 25;
/// What cannot succeed: this machine's interrupts come through an IOAPIC.
const NEVER: [&str; 1] = ["IrqControl.get"];

/// The fuzzer on the host: its name, and how many seconds a quick, a usual and a long run take.
const HOST: (&str, [u64; 3]) = ("fuzz::host_beside_the_model", [20, 120, 3600]);

/// Runs the fuzzer on the host, if the filter has it.
pub fn run_on_host(ws: &Workspace, filter: Option<&str>, length: Length) -> Result<Tally> {
    let (name, seconds) = HOST;
    let mut tally = Tally::default();
    if filter.is_some_and(|f| !name.contains(f)) {
        return Ok(tally);
    }
    let report = hostfuzz::play(ws, length.of(seconds), 1)?;
    println!("{report}");
    match report.found {
        None => {
            println!("test {name} ... ok");
            tally.passed += 1;
        }
        Some(why) => {
            println!("test {name} ... FAILED: {why}");
            tally.fail(format!("{name}: found a difference or a crash; see above"));
        }
    }
    Ok(tally)
}

/// Runs those whose name contains the filter. Another profile than the default one is used for all of them.
pub fn run(
    ws: &Workspace,
    toolchain: &Toolchain,
    profile: &str,
    filter: Option<&str>,
    length: Length,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let kernel = |own: &'static str| if profile == "default" { own } else { profile };
    let mut cases: Vec<_> = CASES.iter().filter(|c| filter.is_none_or(|f| c.0.contains(f))).collect();
    if length == Length::Quick && cases.len() > QUICK_CASES {
        let rest: Vec<&str> = cases.split_off(QUICK_CASES).into_iter().map(|c| c.0).collect();
        leave_out(&format!("{}; most of the time of {}", rest.join(", "), HOST.0));
    }
    if cases.is_empty() {
        return Ok(tally);
    }
    let profiles: Vec<&str> = cases.iter().map(|c| kernel(c.1)).collect();
    let fuzzer = Fuzzer::build(ws, toolchain, &profiles)?;
    for &(name, own, seed, calls) in cases {
        let play = Play {
            profile: kernel(own),
            seed,
            calls: length.of([calls[0], calls[0], calls[1]]),
            round: ROUND,
            real_time: false,
        };
        let why = match fuzzer.play(&play)? {
            Err(why) => Some(why),
            Ok(report) => {
                println!("{}", report.summary(&play));
                let over =
                    report.latency.map_or(Ok(Vec::new()), |figures| latency::over_budget(ws, figures))?;
                report.lacks(SHARE, &NEVER).or_else(|| over.into_iter().next())
            }
        };
        match why {
            None => {
                println!("test {name} ... ok");
                tally.passed += 1;
            }
            Some(why) => {
                println!("test {name} ... FAILED: {why}");
                tally.fail(format!("{name}: {}", why.lines().next().unwrap_or_default()));
            }
        }
    }
    Ok(tally)
}
