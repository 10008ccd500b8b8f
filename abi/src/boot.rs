//! The boot information that the root task finds in its first page, and its initial capabilities.

pub use crate::arch::boot::*;

/// Slots of the initial CNode that always mean the same. A slot whose object this machine or configuration
/// does not have is empty.
pub mod slot {
    /// Always empty.
    pub const NULL: u64 = 0;
    /// The initial thread.
    pub const INIT_THREAD_TCB: u64 = 1;
    /// The initial CNode itself.
    pub const INIT_THREAD_CNODE: u64 = 2;
    /// The top of the initial thread's page tables.
    pub const INIT_THREAD_VSPACE: u64 = 3;
    /// Authority over interrupts.
    pub const IRQ_CONTROL: u64 = 4;
    /// Authority to create ASID pools.
    pub const ASID_CONTROL: u64 = 5;
    /// The ASID pool of the initial thread.
    pub const INIT_THREAD_ASID_POOL: u64 = 6;
    /// Authority over I/O ports (x86).
    pub const IO_PORT_CONTROL: u64 = 7;
    /// Authority over I/O page tables (where there is an IOMMU).
    pub const IO_SPACE: u64 = 8;
    /// The frame of the boot information.
    pub const BOOT_INFO_FRAME: u64 = 9;
    /// The frame of the initial thread's IPC buffer.
    pub const INIT_THREAD_IPC_BUFFER: u64 = 10;
    /// Authority over domains.
    pub const DOMAIN: u64 = 11;
    /// Authority over SMMU streams (Arm).
    pub const SMMU_SID_CONTROL: u64 = 12;
    /// Authority over SMMU context banks (Arm).
    pub const SMMU_CB_CONTROL: u64 = 13;
    /// The scheduling context of the initial thread.
    pub const INIT_THREAD_SC: u64 = 14;
    /// Authority over secure monitor calls (Arm).
    pub const SMC: u64 = 15;
    /// How many slots are fixed.
    pub const NUM_INITIAL_CAPS: u64 = 16;
}

word_enum! {
    /// What a chunk of the extra boot information is.
    pub enum BootInfoId {
        /// Nothing; fills up to an alignment.
        Padding = 0,
        /// VESA BIOS information.
        X86Vbe = 1,
        /// The Multiboot memory map.
        X86MbMmap = 2,
        /// The ACPI root pointer.
        X86AcpiRsdp = 3,
        /// The frame buffer that the boot loader set up.
        X86Framebuffer = 4,
        /// The frequency of the time-stamp counter, in MHz.
        X86TscFreq = 5,
        /// A flattened device tree.
        Fdt = 6,
        /// Where interrupts of the ISA bus come in: a chunk of Pecan's own, as are all from 0x10000 on. Programs that do not
        /// know it pass over it by its length.
        X86IsaIrqs = 0x10000,
    }
}

/// How many untypeds the boot information can describe.
pub const MAX_BOOT_INFO_UNTYPED_CAPS: usize = 230;

/// A run of slots in the initial CNode.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotRegion {
    /// The first slot.
    pub start: u64,
    /// The slot after the last one.
    pub end: u64,
}

impl SlotRegion {
    /// The number of slots.
    #[inline]
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is no slot in it.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// What is behind one of the initial untypeds.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UntypedDesc {
    /// Physical address.
    pub paddr: u64,
    /// log2 of its size in bytes.
    pub size_bits: u8,
    /// 1 for device memory (never zeroed, only frames and untypeds can be made of it), 0 for RAM.
    pub is_device: u8,
    /// Zero.
    pub padding: [u8; 6],
}

/// The boot information proper; the kernel starts the root task with its address.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BootInfo {
    /// Bytes of extra boot information, which starts at the next page.
    pub extra_len: u64,
    /// Which node this is, from 0.
    pub node_id: u64,
    /// The number of nodes (cores).
    pub num_nodes: u64,
    /// Levels of I/O page tables; 0 without an IOMMU.
    pub num_io_pt_levels: u64,
    /// Address of the initial thread's IPC buffer.
    pub ipc_buffer: u64,
    /// Empty slots.
    pub empty: SlotRegion,
    /// Frames shared between nodes.
    pub shared_frames: SlotRegion,
    /// Frames of the root task's image, in the order of their addresses.
    pub user_image_frames: SlotRegion,
    /// Page tables of the root task, from the top level down.
    pub user_image_paging: SlotRegion,
    /// I/O spaces (Arm SMMU).
    pub io_space_caps: SlotRegion,
    /// Frames of the extra boot information.
    pub extra_bi_pages: SlotRegion,
    /// log2 of the number of slots of the initial CNode.
    pub init_thread_cnode_size_bits: u64,
    /// The domain of the initial thread.
    pub init_thread_domain: u64,
    /// A `SchedControl` capability for each node.
    pub sched_control: SlotRegion,
    /// The untypeds.
    pub untyped: SlotRegion,
    /// What is behind each of them, in the same order.
    pub untyped_list: [UntypedDesc; MAX_BOOT_INFO_UNTYPED_CAPS],
}

/// The head of a chunk of extra boot information.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BootInfoHeader {
    /// [`BootInfoId`], as a word.
    pub id: u64,
    /// Bytes of the chunk, this head included.
    pub len: u64,
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<SlotRegion>() == 16);
    assert!(size_of::<UntypedDesc>() == 16);
    assert!(offset_of!(UntypedDesc, size_bits) == 8);
    assert!(offset_of!(UntypedDesc, is_device) == 9);
    assert!(size_of::<BootInfoHeader>() == 16);
    assert!(size_of::<BootInfo>() == 3864);
    assert!(size_of::<BootInfo>() <= 1 << crate::constants::BOOT_INFO_FRAME_BITS);
    assert!(offset_of!(BootInfo, node_id) == 8);
    assert!(offset_of!(BootInfo, num_nodes) == 16);
    assert!(offset_of!(BootInfo, num_io_pt_levels) == 24);
    assert!(offset_of!(BootInfo, ipc_buffer) == 32);
    assert!(offset_of!(BootInfo, empty) == 40);
    assert!(offset_of!(BootInfo, shared_frames) == 56);
    assert!(offset_of!(BootInfo, user_image_frames) == 72);
    assert!(offset_of!(BootInfo, user_image_paging) == 88);
    assert!(offset_of!(BootInfo, io_space_caps) == 104);
    assert!(offset_of!(BootInfo, extra_bi_pages) == 120);
    assert!(offset_of!(BootInfo, init_thread_cnode_size_bits) == 136);
    assert!(offset_of!(BootInfo, init_thread_domain) == 144);
    assert!(offset_of!(BootInfo, sched_control) == 152);
    assert!(offset_of!(BootInfo, untyped) == 168);
    assert!(offset_of!(BootInfo, untyped_list) == 184);
};
