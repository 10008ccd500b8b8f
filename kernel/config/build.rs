//! Turns `kernel/profiles/$PECAN_PROFILE.toml` into typed constants.

mod inherit;

use std::{env, fs, path::PathBuf};

/// Key, type and documentation of each option, in the order in which they are written out.
const OPTIONS: &[(&str, &str, &str)] = &[
    ("debug", "bool", "Debug system calls and kernel assertions are compiled in."),
    ("hardware_debug", "bool", "Hardware breakpoints and single-stepping exist."),
    ("root_cnode_size_bits", "usize", "Slots of the initial CNode, log2."),
    ("num_domains", "usize", "Scheduling domains."),
    ("num_domain_schedules", "usize", "Entries of the domain schedule."),
    ("max_num_nodes", "usize", "Processor cores the kernel uses at most."),
    ("retype_fan_out_limit", "u64", "Objects that one `Untyped_Retype` may create."),
    ("reset_chunk_bits", "u32", "Bytes of an untyped zeroed between two preemption points, log2."),
    (
        "max_num_work_units_per_preemption",
        "usize",
        "Steps of a long operation between two looks for an interrupt.",
    ),
    ("max_num_bootinfo_untyped_caps", "usize", "Untyped capabilities that the boot information can list."),
    ("boot_thread_time_slice_ms", "u64", "Budget and period of the initial thread, in milliseconds."),
    (
        "check_invariants_every",
        "u64",
        "Entries into the kernel between two checks of its invariants; 0 for never.",
    ),
    ("set_tls_base_self", "bool", "The `SetTLSBase` system call exists."),
    ("measure_latency", "bool", "The kernel measures how long it keeps interrupts off, and its stack."),
];

/// Options that do not become a constant as they are.
const OTHER_OPTIONS: &[&str] = &["fpu", "benchmark"];

fn main() {
    println!("cargo:rerun-if-env-changed=PECAN_PROFILE");
    println!("cargo:rerun-if-changed=inherit.rs");
    println!("cargo:rerun-if-changed=build.rs");
    let name = env::var("PECAN_PROFILE").unwrap_or_else(|_| "default".into());
    let dir = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"))
        .join("../profiles");
    let changed = |path: &std::path::Path| println!("cargo:rerun-if-changed={}", path.display());
    let options = inherit::read(&dir, &name, changed).unwrap_or_else(|why| panic!("{why}"));
    let known = |key: &str| OPTIONS.iter().any(|o| o.0 == key) || OTHER_OPTIONS.contains(&key);
    if let Some(key) = options.keys().find(|key| !known(key)) {
        panic!("profile `{name}` sets `{key}`, which is no option of the kernel");
    }
    let value = |key: &str| -> String {
        options.get(key).cloned().unwrap_or_else(|| panic!("profile `{name}` does not set `{key}`"))
    };
    let mut out = format!("/// Name of the profile.\npub const PROFILE: &str = {name:?};\n");
    for (key, ty, doc) in OPTIONS {
        out += &format!("/// {doc}\npub const {}: {ty} = {};\n", key.to_uppercase(), value(key));
    }
    let xsave = match value("fpu").as_str() {
        "\"xsave\"" => true,
        "\"fxsave\"" => false,
        other => panic!("profile `{name}`: fpu is {other}, not \"fxsave\" or \"xsave\""),
    };
    out += &format!(
        "/// Vector state is saved with XSAVE where the processor has it.\npub const FPU_XSAVE: bool = {xsave};\n\
         /// Bytes of vector state in a TCB.\npub const XSAVE_SIZE: usize = {};\n\
         /// State components (XCR0) that are saved.\npub const XSAVE_FEATURE_SET: u64 = {};\n",
        if xsave { 832 } else { 512 },
        if xsave { 7 } else { 0 },
    );
    let benchmark = value("benchmark");
    let benchmark = benchmark.trim_matches('"');
    if !["none", "generic", "track_utilisation", "track_kernel_entries"].contains(&benchmark) {
        panic!(
            "profile `{name}`: benchmark is {benchmark}, which is none of those in kernel/config/README.md"
        );
    }
    out += &format!(
        "/// The benchmark system calls exist.\npub const BENCHMARK: bool = {};\n\
         /// The kernel tracks how much of the processor threads use.\npub const TRACK_UTILISATION: bool = {};\n\
         /// The kernel keeps a log of its entries.\npub const TRACK_KERNEL_ENTRIES: bool = {};\n",
        benchmark != "none",
        benchmark == "track_utilisation",
        benchmark == "track_kernel_entries",
    );
    fs::write(PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("profile.rs"), out)
        .expect("OUT_DIR is writable");
}
