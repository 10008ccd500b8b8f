//! The boot information: a frame that says which capabilities are where, and pages with what the firmware and
//! the boot loader told.

use core::mem::{offset_of, size_of};

use pecan_abi::boot::{
    BootInfo, BootInfoHeader, BootInfoId, MAX_BOOT_INFO_UNTYPED_CAPS, SlotRegion, UntypedDesc,
};
use pecan_arch::{BootData, ChunkWriter};
use pecan_config::{MAX_NUM_BOOTINFO_UNTYPED_CAPS, ROOT_CNODE_SIZE_BITS};
use pecan_mem::{Cap, Kernel, Words};

use crate::boot::{Builder, Layout, PAGE};

/// Untypeds that can be listed.
pub(super) const MAX_UNTYPED: usize = if MAX_NUM_BOOTINFO_UNTYPED_CAPS < MAX_BOOT_INFO_UNTYPED_CAPS {
    MAX_NUM_BOOTINFO_UNTYPED_CAPS
} else {
    MAX_BOOT_INFO_UNTYPED_CAPS
};

/// Which slots hold what.
#[derive(Default)]
pub(super) struct Regions {
    pub empty: SlotRegion,
    pub user_image_frames: SlotRegion,
    pub user_image_paging: SlotRegion,
    pub extra_bi_pages: SlotRegion,
    pub sched_control: SlotRegion,
    pub untyped: SlotRegion,
}

/// Writes both.
pub(super) fn write(
    k: &Kernel,
    b: &mut Builder,
    boot: &BootData,
    layout: &Layout,
    regions: &Regions,
    frame: Words,
) {
    // The frame is zero, and so is all that is not written here: node 0, no I/O page tables, domain 0.
    let mut word = |offset: usize, value: u64| b.memory.write(frame, offset, &value.to_ne_bytes());
    word(offset_of!(BootInfo, extra_len), layout.end - layout.extra);
    word(offset_of!(BootInfo, num_nodes), 1);
    word(offset_of!(BootInfo, ipc_buffer), layout.ipc_buffer);
    word(offset_of!(BootInfo, init_thread_cnode_size_bits), ROOT_CNODE_SIZE_BITS as u64);
    word(offset_of!(BootInfo, init_thread_domain), k.core().domain.get() as u64);
    for (offset, region) in [
        (offset_of!(BootInfo, empty), regions.empty),
        (offset_of!(BootInfo, user_image_frames), regions.user_image_frames),
        (offset_of!(BootInfo, user_image_paging), regions.user_image_paging),
        (offset_of!(BootInfo, extra_bi_pages), regions.extra_bi_pages),
        (offset_of!(BootInfo, sched_control), regions.sched_control),
        (offset_of!(BootInfo, untyped), regions.untyped),
    ] {
        word(offset + offset_of!(SlotRegion, start), region.start);
        word(offset + offset_of!(SlotRegion, end), region.end);
    }
    for (i, index) in (regions.untyped.start..regions.untyped.end).enumerate() {
        if let Cap::Untyped { base, bits, device, .. } = b.slot(index).get(k).cap() {
            let at = offset_of!(BootInfo, untyped_list) + i * size_of::<UntypedDesc>();
            b.memory.write(frame, at + offset_of!(UntypedDesc, paddr), &base.0.to_ne_bytes());
            b.memory.write(frame, at + offset_of!(UntypedDesc, size_bits), &[bits]);
            b.memory.write(frame, at + offset_of!(UntypedDesc, is_device), &[device as u8]);
        }
    }
    write_extra(k, b, boot, layout, regions.extra_bi_pages);
}

/// Writes one chunk after the other into the pages of the extra boot information.
struct Writer<'w, 'm, 'a> {
    k: &'w Kernel,
    b: &'w mut Builder<'m, 'a>,
    pages: SlotRegion,
    at: usize,
}

impl Writer<'_, '_, '_> {
    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (page, offset) = (self.at / PAGE as usize, self.at % PAGE as usize);
            let (now, later) = bytes.split_at(bytes.len().min(PAGE as usize - offset));
            let frame = self.b.slot(self.pages.start + page as u64).get(self.k).words();
            self.b.memory.write(frame, offset, now);
            self.at += now.len();
            bytes = later;
        }
    }
}

impl ChunkWriter for Writer<'_, '_, '_> {
    fn chunk(&mut self, id: BootInfoId, len: usize) {
        self.bytes(&(id as u64).to_ne_bytes());
        self.bytes(&(len as u64).to_ne_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.put(bytes);
    }

    fn zeros(&mut self, count: usize) {
        // The pages are zero.
        self.at += count;
    }
}

fn write_extra(k: &Kernel, b: &mut Builder, boot: &BootData, layout: &Layout, pages: SlotRegion) {
    let mut w = Writer { k, b, pages, at: 0 };
    boot.extras.write(&mut w);
    // What is left of the last page is a chunk of its own, if it is large enough for one.
    let rest = (layout.end - layout.extra) as usize - w.at;
    if rest >= size_of::<BootInfoHeader>() {
        w.chunk(BootInfoId::Padding, rest);
    }
}
