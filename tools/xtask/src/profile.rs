//! The kernel's profiles, and the configuration in the names that user-level builds expect.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{Arch, paths::Workspace};

// The kernel's build reads profiles by the same code.
#[path = "../../../kernel/config/inherit.rs"]
mod inherit;

/// A file of `kernel/profiles/`; what the options mean is said there.
#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the options are explained in the profiles themselves")]
pub struct Profile {
    pub debug: bool,
    pub hardware_debug: bool,
    pub benchmark: Benchmark,
    pub root_cnode_size_bits: u32,
    pub num_domains: u32,
    pub num_domain_schedules: u32,
    pub max_num_nodes: u32,
    pub fpu: String,
    pub retype_fan_out_limit: u64,
    pub reset_chunk_bits: u32,
    pub max_num_work_units_per_preemption: u32,
    pub max_num_bootinfo_untyped_caps: u32,
    pub boot_thread_time_slice_ms: u64,
    pub set_tls_base_self: bool,
    pub check_invariants_every: u64,
    pub measure_latency: bool,
}

/// Which benchmark system calls a kernel has; see kernel/config/README.md.
#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the options are explained there")]
pub enum Benchmark {
    None,
    Generic,
    TrackUtilisation,
    TrackKernelEntries,
}

impl Benchmark {
    /// The name, as profiles and configurations have it.
    pub fn name(self) -> &'static str {
        match self {
            Benchmark::None => "none",
            Benchmark::Generic => "generic",
            Benchmark::TrackUtilisation => "track_utilisation",
            Benchmark::TrackKernelEntries => "track_kernel_entries",
        }
    }
}

impl Profile {
    /// Reads a profile by its name.
    pub fn load(ws: &Workspace, name: &str) -> Result<Self> {
        let path = ws.join("kernel/profiles").join(format!("{name}.toml"));
        if !path.is_file() {
            let known = Self::names(ws)?.join(", ");
            bail!(
                "there is no kernel profile `{name}`\n  to mend it: choose one of {known}, or write {}",
                path.display()
            );
        }
        Self::read(&ws.join("kernel/profiles"), name)
    }

    fn read(folder: &Path, name: &str) -> Result<Self> {
        let options = inherit::read(folder, name, |_| ()).map_err(anyhow::Error::msg)?;
        let text: String = options.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        toml::from_str(&text).with_context(|| format!("cannot understand the profile {name}"))
    }

    /// The names of all profiles, sorted.
    pub fn names(ws: &Workspace) -> Result<Vec<String>> {
        let dir = ws.join("kernel/profiles");
        let mut names = Vec::new();
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "toml") {
                names.extend(path.file_stem().map(|s| s.to_string_lossy().into_owned()));
            }
        }
        names.sort();
        Ok(names)
    }

    /// The configuration in the names and form that user-level builds of this ABI expect: every option that is on,
    /// with its value as text. An option that is absent is off.
    pub fn config(&self, arch: Arch) -> BTreeMap<String, String> {
        let of_arch = match arch {
            Arch::X86_64 => FIXED_X86_64,
            Arch::AArch64 => FIXED_AARCH64,
        };
        let mut config: BTreeMap<String, String> =
            FIXED.iter().chain(of_arch).map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let mut set = |name: &str, value: String| config.insert(format!("CONFIG_{name}"), value);
        if arch == Arch::X86_64 {
            let xsave = self.fpu == "xsave";
            set(if xsave { "XSAVE" } else { "FXSAVE" }, "1".into());
            set("KERNEL_X86_FPU", if xsave { "XSAVE" } else { "FXSAVE" }.into());
            // Legacy area, header and upper halves of the 256-bit registers; their bits in XCR0.
            set("XSAVE_SIZE", if xsave { "832" } else { "512" }.into());
            set("XSAVE_FEATURE_SET", if xsave { "7" } else { "0" }.into());
        }
        set("ROOT_CNODE_SIZE_BITS", self.root_cnode_size_bits.to_string());
        set("NUM_DOMAINS", self.num_domains.to_string());
        set("NUM_DOMAIN_SCHEDULES", self.num_domain_schedules.to_string());
        set("MAX_NUM_NODES", self.max_num_nodes.to_string());
        set("RETYPE_FAN_OUT_LIMIT", self.retype_fan_out_limit.to_string());
        set("RESET_CHUNK_BITS", self.reset_chunk_bits.to_string());
        set("MAX_NUM_WORK_UNITS_PER_PREEMPTION", self.max_num_work_units_per_preemption.to_string());
        set("MAX_NUM_BOOTINFO_UNTYPED_CAPS", self.max_num_bootinfo_untyped_caps.to_string());
        set("BOOT_THREAD_TIME_SLICE", self.boot_thread_time_slice_ms.to_string());
        if self.max_num_nodes > 1 {
            set("ENABLE_SMP_SUPPORT", "1".into());
        }
        if self.set_tls_base_self {
            set("SET_TLS_BASE_SELF", "1".into());
        }
        if self.hardware_debug {
            set("HARDWARE_DEBUG_API", "1".into());
        }
        set("KERNEL_BENCHMARK", self.benchmark.name().into());
        if self.benchmark == Benchmark::None {
            set("NO_BENCHMARKS", "1".into());
        } else {
            set("ENABLE_BENCHMARKS", "1".into());
            set(&format!("BENCHMARK_{}", self.benchmark.name().to_uppercase()), "1".into());
        }
        if self.benchmark == Benchmark::TrackKernelEntries {
            set("KERNEL_LOG_BUFFER", "1".into());
        }
        if self.debug {
            set("DEBUG_BUILD", "1".into());
            set("PRINTING", "1".into());
        }
        config
    }
}

/// What no profile changes.
const FIXED: &[(&str, &str)] = &[
    ("CONFIG_WORD_SIZE", "64"),
    ("CONFIG_KERNEL_MCS", "1"),
    ("CONFIG_FASTPATH", "1"),
    ("CONFIG_HAVE_FPU", "1"),
    ("CONFIG_NUM_PRIORITIES", "256"),
    ("CONFIG_KERNEL_STATIC_MAX_PERIOD_US", "0"),
    ("CONFIG_KERNEL_WCET_SCALE", "1"),
    ("CONFIG_MAX_NUM_TRACE_POINTS", "0"),
    ("CONFIG_USER_STACK_TRACE_LENGTH", "16"),
    ("CONFIG_LIB_SEL4_FUNCTION_ATTRIBUTE", "inline"),
    ("CONFIG_LIB_SEL4_INLINE_INVOCATIONS", "1"),
    ("CONFIG_LIB_SEL4_PRINT_INVOCATION_ERRORS", "0"),
    ("CONFIG_LIB_SEL4_USE_THREAD_LOCALS", "1"),
];

/// What no profile changes on x86_64.
const FIXED_X86_64: &[(&str, &str)] = &[
    ("CONFIG_ARCH", "x86"),
    ("CONFIG_ARCH_X86", "1"),
    ("CONFIG_ARCH_X86_64", "1"),
    ("CONFIG_SEL4_ARCH", "x86_64"),
    ("CONFIG_PLAT", "pc99"),
    ("CONFIG_PLAT_PC99", "1"),
    ("CONFIG_CACHE_LN_SZ", "64"),
    ("CONFIG_PADDR_USER_DEVICE_TOP", "140737488355328"),
    ("CONFIG_HUGE_PAGE", "1"),
    ("CONFIG_SYSCALL", "1"),
    ("CONFIG_KERNEL_X86_SYSCALL", "syscall"),
    ("CONFIG_KERNEL_X86_MICRO_ARCH", "generic"),
    ("CONFIG_ARCH_X86_GENERIC", "1"),
    // Programs cannot count on the FSGSBASE instructions: they set their thread pointer by a system call.
    ("CONFIG_KERNEL_FSGS_BASE", "msr"),
    ("CONFIG_FSGSBASE_MSR", "1"),
    ("CONFIG_IRQ_IOAPIC", "1"),
    ("CONFIG_KERNEL_IRQ_CONTROLLER", "IOAPIC"),
    ("CONFIG_MAX_NUM_IOAPIC", "1"),
    ("CONFIG_MAX_VPIDS", "0"),
    ("CONFIG_MAX_RMRR_ENTRIES", "1"),
    ("CONFIG_PC99_TSC_FREQUENCY", "0"),
    ("CONFIG_MULTIBOOT1_HEADER", "1"),
    ("CONFIG_MULTIBOOT2_HEADER", "1"),
    ("CONFIG_MULTIBOOT_GRAPHICS_MODE_NONE", "1"),
];

/// What no profile changes on AArch64.
const FIXED_AARCH64: &[(&str, &str)] = &[
    ("CONFIG_ARCH", "arm"),
    ("CONFIG_ARCH_ARM", "1"),
    ("CONFIG_ARCH_AARCH64", "1"),
    ("CONFIG_ARCH_ARM_V8A", "1"),
    ("CONFIG_SEL4_ARCH", "aarch64"),
    ("CONFIG_PLAT", "qemu-arm-virt"),
    ("CONFIG_ARM_PLAT", "qemu-arm-virt"),
    ("CONFIG_PLAT_QEMU_ARM_VIRT", "1"),
    ("CONFIG_ARM_CORTEX_A57", "1"),
    ("CONFIG_ARM_PA_SIZE_BITS_44", "1"),
    ("CONFIG_L1_CACHE_LINE_SIZE_BITS", "6"),
    ("CONFIG_ARM_ICACHE_VIPT", "1"),
    ("CONFIG_PADDR_USER_DEVICE_TOP", "1099511627776"),
    ("CONFIG_TIMER_FREQUENCY", "62500000"),
    ("CONFIG_AARCH64_USER_CACHE_ENABLE", "1"),
    // User level reads the clock by itself.
    ("CONFIG_EXPORT_VCNT_USER", "1"),
    ("CONFIG_ARM_TLS_REG", "tpidru"),
    ("CONFIG_ARM_TLS_REG_TPIDRU", "1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_understood() {
        let ws = Workspace::find().unwrap();
        let names = Profile::names(&ws).unwrap();
        assert!(names.contains(&"default".to_string()), "{names:?}");
        for name in names {
            let profile = Profile::load(&ws, &name).unwrap();
            assert!(profile.fpu == "xsave" || profile.fpu == "fxsave", "{name}: fpu is {}", profile.fpu);
        }
    }

    #[test]
    fn a_profile_has_what_it_does_not_set_from_the_one_it_inherits() {
        let ws = Workspace::find().unwrap();
        let folder = std::env::temp_dir().join(format!("pecan-xtask-profiles-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::copy(ws.join("kernel/profiles/default.toml"), folder.join("default.toml")).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(format!("{name}.toml")), text).unwrap();
        write("small", "inherits = \"default\"  # nearly\nnum_domains = 1\nfpu = \"fxsave\"\n");
        write("smaller", "inherits = \"small\"\nnum_domain_schedules = 2\nfpu = \"xsave\"\n");
        let smaller = Profile::read(&folder, "smaller").unwrap();
        assert_eq!((smaller.num_domains, smaller.num_domain_schedules), (1, 2));
        assert!(smaller.fpu == "xsave" && smaller.debug);

        for (name, text, why) in [
            ("misspelt", "inherits = \"default\"\nnum_domain = 1", "num_domain"),
            ("orphan", "inherits = \"nobody\"", "profile `orphan` inherits `nobody`, which cannot be read"),
            ("own", "inherits = \"own\"", "profile `own` inherits from itself: own -> own"),
            ("ring", "inherits = \"ring_b\"", "inherits from itself: ring -> ring_b -> ring"),
            ("ring_b", "inherits = \"ring\"", "inherits from itself: ring_b -> ring -> ring_b"),
            ("bare", "inherits = default", "`inherits` is default, not a name in quotes"),
            ("twice", "inherits = \"default\"\ndebug = true\ndebug = false", "line 3 sets again"),
            ("prose", "inherits = \"default\"\ndebug", "line 2 is not of the form"),
            ("little", "debug = true", "missing field"),
        ] {
            write(name, text);
            if name != "ring" {
                let error = format!("{:#}", Profile::read(&folder, name).unwrap_err());
                assert!(error.contains(why), "{name}: {error}");
            }
        }
        let error = Profile::read(&folder, "ring").unwrap_err().to_string();
        assert!(error.contains("ring -> ring_b -> ring"), "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_unknown_profile_names_the_known_ones() {
        let error = Profile::load(&Workspace::find().unwrap(), "nonesuch").unwrap_err().to_string();
        assert!(error.contains("release") && error.contains("sel4test"), "{error}");
    }

    #[test]
    fn the_configuration_follows_the_profile() {
        let ws = Workspace::find().unwrap();
        let suite = Profile::load(&ws, "sel4test").unwrap().config(Arch::X86_64);
        assert_eq!(suite["CONFIG_FXSAVE"], "1");
        assert_eq!(suite["CONFIG_XSAVE_SIZE"], "512");
        assert_eq!(suite["CONFIG_NUM_DOMAINS"], "1");
        assert_eq!(suite["CONFIG_DEBUG_BUILD"], "1");
        let release = Profile::load(&ws, "release").unwrap().config(Arch::X86_64);
        assert!(!release.contains_key("CONFIG_DEBUG_BUILD") && !release.contains_key("CONFIG_PRINTING"));
        assert!(release["CONFIG_KERNEL_BENCHMARK"] == "none" && release["CONFIG_NO_BENCHMARKS"] == "1");
        for (profile, kind) in
            [("bench", "GENERIC"), ("utilisation", "TRACK_UTILISATION"), ("entries", "TRACK_KERNEL_ENTRIES")]
        {
            let config = Profile::load(&ws, profile).unwrap().config(Arch::X86_64);
            assert_eq!(config["CONFIG_KERNEL_BENCHMARK"], kind.to_lowercase());
            assert_eq!(config[&format!("CONFIG_BENCHMARK_{kind}")], "1");
            assert_eq!(config["CONFIG_ENABLE_BENCHMARKS"], "1");
            assert!(!config.contains_key("CONFIG_NO_BENCHMARKS"));
            assert_eq!(config.contains_key("CONFIG_KERNEL_LOG_BUFFER"), profile == "entries");
        }
    }
}
