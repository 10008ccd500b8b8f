//! A kernel in the host's memory, for tests of everything above this crate.

extern crate std;

use core::{
    ops::{Deref, DerefMut, Range},
    ptr::NonNull,
};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

use pecan_arch::{PhysAddr, Pte, host, phys_to_virt};

use crate::{
    ArchControl, AsidPool, Cap, Control, Kernel, Link, NewCap, PageTable, Slot,
    cap::arch::ArchState,
    derivation,
    retype::{ObjectKind, create},
    state::State,
};

/// A capability out of nothing: to build states that only a long history would lead to. That there is such an object is
/// the test's business.
pub fn forge(cap: Cap) -> NewCap {
    NewCap(cap.pack())
}

/// The capability to an authority that only this architecture has.
pub fn initial(control: ArchControl) -> NewCap {
    NewCap::control(Control::Arch(control))
}

/// Writes a forged capability to a slot, whatever is there, and leaves its place in the derivation list alone.
pub fn set_cap(slot: &Slot, cap: Cap) {
    slot.set_words(cap.pack());
}

/// Writes to a page table, whatever its level and whatever may be there.
pub fn set_entry(table: &PageTable, index: usize, pte: Pte) {
    table.set_entry(index, pte);
}

/// Makes a table the root of the address space with this ASID in a pool, whatever it is.
pub fn set_root(pool: &AsidPool, asid: u16, root: Option<Link<PageTable>>) {
    pool.set_root(asid, root);
}

/// Makes an ASID pool that of the range with this number.
pub fn set_pool(k: &Kernel, number: usize, pool: Option<Link<AsidPool>>) {
    k.global().asid_pools[number].set(pool);
}

/// Puts a forged capability into an empty slot, as a child of the one in `parent`.
pub fn insert_new(k: &Kernel, parent: Link<Slot>, dest: Link<Slot>, cap: Cap) {
    assert!(derivation::insert_after(k, cap.pack(), parent, dest, true), "the slot is not empty");
}

/// Physical memory of a [`Machine`] in bytes, log2.
pub const MEMORY_BITS: u32 = 24;
/// Physical memory below this address is the machine's own; the rest is free.
pub const FREE_START: u64 = 1 << 20;

/// Bytes of the kernel's own state, which lies at physical address 0 of a [`Machine`].
pub const STATE_BYTES: u64 = size_of::<State>() as u64;

/// Bytes of a line of memory.
pub const LINE: u64 = 64;
/// Words of a line.
const WORDS: usize = LINE as usize / 8;

/// True if all words are zero.
fn is_zero(words: &[u64]) -> bool {
    // In large steps that the compiler makes wide.
    let mut blocks = words.chunks_exact(4 * WORDS);
    let any = |words: &[u64]| words.iter().fold(0, |all, word| all | word) != 0;
    !blocks.by_ref().any(any) && !any(blocks.remainder())
}

/// Memory that was saved, and which of it is zero: most of it is, and comparing with that is quicker.
#[derive(Default)]
pub struct Saved {
    words: std::vec::Vec<u64>,
    runs: std::vec::Vec<Run>,
}

/// Lines next to one another.
struct Run {
    lines: Range<u32>,
    /// They are all zero.
    zero: bool,
}

impl Saved {
    /// Saves the memory in use of a machine.
    pub fn save(&mut self, machine: &Machine) {
        machine.save(&mut self.words);
        self.runs.clear();
        for (line, words) in (0..).zip(self.words.chunks(WORDS)) {
            let zero = is_zero(words);
            match self.runs.last_mut() {
                Some(run) if run.zero == zero => run.lines.end = line + 1,
                _ => self.runs.push(Run { lines: line..line + 1, zero }),
            }
        }
    }

    /// Saves these lines anew, which are in order and the only ones in which the memory differs.
    pub fn update(&mut self, machine: &Machine, lines: &[u32]) {
        let (now, mut run) = (machine.words(), 0);
        assert_eq!(self.words.len(), now.len(), "saved with more or fewer boot objects");
        for &line in lines {
            let words = line as usize * WORDS..(line as usize + 1) * WORDS;
            self.words[words.clone()].copy_from_slice(&now[words]);
            while self.runs[run].lines.end <= line {
                run += 1;
            }
            self.runs[run].zero = false;
        }
    }
}

/// An emulated machine of this host thread, with a fresh kernel in its memory: only the idle thread exists.
pub struct Machine {
    base: *mut u8,
    kernel: Kernel,
    layout: Layout,
    /// Where the next boot object can lie, and the end of the memory for them.
    next: u64,
    end: u64,
}

impl Machine {
    /// Allocates the memory, makes it the one of the host port, and starts a kernel in it. Links into the memory
    /// of a machine are dead once it is dropped.
    #[expect(clippy::new_without_default, reason = "not a plain value")]
    pub fn new() -> Machine {
        const { assert!(STATE_BYTES <= FREE_START / 2) };
        Machine::with_memory(MEMORY_BITS, FREE_START / 2, FREE_START)
    }

    /// A machine of `2^bits` bytes, all of them for the kernel and its boot objects: for tests that save and
    /// load its memory very often.
    pub fn small(bits: u32) -> Machine {
        let start = STATE_BYTES.next_multiple_of(64);
        Machine::with_memory(bits, start, 1 << bits)
    }

    fn with_memory(bits: u32, next: u64, end: u64) -> Machine {
        let layout = Layout::from_size_align(1 << bits, 1 << 21).expect("a size that memory can have");
        assert!(STATE_BYTES <= next && next <= end && end <= 1 << bits);
        // SAFETY: the size is not 0.
        let base =
            NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        host::set_memory(base.as_ptr(), 1 << bits);
        // SAFETY: the memory is large enough, aligned, new, and there until `drop`.
        let kernel = unsafe { Kernel::boot(base.cast()) };
        let base = base.as_ptr();
        Machine { base, kernel, layout, next, end }
    }

    /// Makes an object outside of all untyped memory, as the kernel does while it boots. Panics when the
    /// machine's own memory is used up.
    pub fn boot_object(&mut self, kind: ObjectKind) -> Cap {
        let at = self.next.next_multiple_of(1 << kind.bits());
        self.next = at + (1 << kind.bits());
        assert!(self.next <= self.end, "no memory left for boot objects");
        // SAFETY: the memory is zero, and `next` only grows: nothing else is made of it.
        unsafe { create(kind, PhysAddr(at), false) }.cap()
    }

    /// Bytes of memory in use: the kernel and its boot objects, in whole lines of [`LINE`] bytes.
    pub fn used(&self) -> u64 {
        self.next.next_multiple_of(LINE)
    }

    /// Copies the memory in use, word by word, to `words`. What the host port knows besides is not in it.
    pub fn save(&self, words: &mut std::vec::Vec<u64>) {
        let count = (self.used() / 8) as usize;
        words.clear();
        words.reserve(count);
        // SAFETY: so much memory is there, aligned and initialised (it was zeroed at first); the vector has room
        // for it, and the two do not overlap.
        unsafe {
            core::ptr::copy_nonoverlapping(self.base.cast::<u64>(), words.as_mut_ptr(), count);
            words.set_len(count);
        }
    }

    /// Brings back memory that [`Machine::save`] copied from this very machine: links are addresses.
    pub fn load(&mut self, words: &[u64]) {
        assert_eq!(words.len() as u64, self.used() / 8, "saved with more or fewer boot objects");
        // SAFETY: so much memory is there; it held a kernel and its objects when it was copied, in the same
        // place, and `&mut self` says that no reference to them is alive.
        unsafe { core::ptr::copy_nonoverlapping(words.as_ptr(), self.base.cast::<u64>(), words.len()) }
    }

    /// The words of the memory in use.
    fn words(&self) -> &[u64] {
        // SAFETY: so much memory is there, aligned and initialised: it was zeroed at first. Nothing writes to it while
        // this module, the only one that gets this slice, looks at it.
        unsafe { core::slice::from_raw_parts(self.base.cast::<u64>(), (self.used() / 8) as usize) }
    }

    /// Sets `lines` to the numbers of the lines of [`LINE`] bytes in which the memory in use differs from `saved`,
    /// in order.
    pub fn changed(&self, saved: &Saved, lines: &mut std::vec::Vec<u32>) {
        let now = self.words();
        assert_eq!(saved.words.len(), now.len(), "saved with more or fewer boot objects");
        lines.clear();
        for run in &saved.runs {
            let words = run.lines.start as usize * WORDS..run.lines.end as usize * WORDS;
            let (now, then) = (&now[words.clone()], &saved.words[words]);
            let same = if run.zero { is_zero(now) } else { now == then };
            if !same {
                let (now, then) = (now.as_chunks::<WORDS>().0, then.as_chunks::<WORDS>().0);
                for (line, (now, then)) in run.lines.clone().zip(now.iter().zip(then)) {
                    let differ = (0..WORDS).fold(0, |all, i| all | now[i] ^ then[i]) != 0;
                    lines.extend(differ.then_some(line));
                }
            }
        }
    }

    /// Brings back memory that was saved, where `lines` have been changed since and nothing else has.
    pub fn load_lines(&mut self, saved: &Saved, lines: &[u32]) {
        assert_eq!(saved.words.len() as u64, self.used() / 8, "saved with more or fewer boot objects");
        for &line in lines {
            let at = line as usize * WORDS;
            let words: &[u64; WORDS] = saved.words[at..at + WORDS].try_into().expect("a line of words");
            // SAFETY: as in `load`; the slice has been taken from as many words as there are in use.
            unsafe { self.base.cast::<[u64; WORDS]>().add(line as usize).write(*words) }
        }
    }

    /// A digest of the memory in some ranges of physical addresses, in bytes, and of where they are: to tell
    /// quickly, and by 128 bits, whether it is what it was. They begin at multiples of 8; their lengths are multiples of 16.
    pub fn digest(&self, ranges: &[Range<u64>]) -> u128 {
        let fold = |a: u64, b: u64| {
            let product = a as u128 * b as u128;
            product as u64 ^ (product >> 64) as u64
        };
        let (mut low, mut high) = (0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93);
        for range in ranges {
            assert!(range.start <= range.end && range.end <= self.layout.size() as u64);
            assert!(range.start.is_multiple_of(8) && (range.end - range.start).is_multiple_of(16));
            low = fold(low ^ range.start, high ^ range.end);
            for at in (range.start..range.end).step_by(16) {
                // SAFETY: inside the memory, aligned, and initialised: it was zeroed at first.
                let [a, b] = unsafe { self.base.add(at as usize).cast::<[u64; 2]>().read() };
                low = fold(low ^ a, b ^ 0xa076_1d64_78bd_642f).wrapping_add(a);
                high = fold(high ^ b, a ^ 0xe703_7ed1_a0b4_28db).wrapping_add(b);
            }
        }
        (high as u128) << 64 | low as u128
    }

    /// The words in a range of physical addresses, in bytes, that are not zero: which in the range, and what is
    /// there. The ends are multiples of 64.
    pub fn nonzero(&self, range: Range<u64>, mut found: impl FnMut(usize, u64)) {
        assert!(range.start.is_multiple_of(64) && range.end.is_multiple_of(64));
        assert!(range.start <= range.end && range.end <= self.layout.size() as u64);
        for at in range.clone().step_by(64) {
            // SAFETY: inside the memory, aligned, and initialised: it was zeroed at first.
            let words = unsafe { self.base.add(at as usize).cast::<[u64; 8]>().read() };
            if words.iter().fold(0, |all, word| all | word) != 0 {
                let first = (at - range.start) as usize / 8;
                let words = words.iter().enumerate().filter(|(_, word)| **word != 0);
                words.for_each(|(i, &word)| found(first + i, word));
            }
        }
    }

    /// The word at a physical address.
    pub fn word(&self, at: u64) -> u64 {
        assert!(at.is_multiple_of(8) && at < self.layout.size() as u64);
        // SAFETY: inside the memory, aligned, and initialised: it was zeroed at first.
        unsafe { (phys_to_virt(PhysAddr(at)) as *const u64).read() }
    }

    /// The words in a range of physical addresses, in bytes. The ends are multiples of 8.
    pub fn words_in(&self, range: Range<u64>) -> std::vec::Vec<u64> {
        assert!(range.start.is_multiple_of(8) && range.end.is_multiple_of(8));
        assert!(range.start <= range.end && range.end <= self.layout.size() as u64);
        let count = (range.end - range.start) as usize / 8;
        // SAFETY: inside the memory, aligned, and initialised: it was zeroed at first. Nothing writes to it meanwhile.
        unsafe { core::slice::from_raw_parts(self.base.add(range.start as usize).cast(), count) }.to_vec()
    }

    /// What the kernel keeps of capabilities that only this architecture has, in words.
    pub fn words_of_arch(&self) -> std::vec::Vec<u64> {
        const WORDS: usize = size_of::<ArchState>() / size_of::<u64>();
        if WORDS == 0 {
            // Nor is it aligned to words then.
            return std::vec::Vec::new();
        }
        let kept = &raw const self.kernel.global().arch;
        // SAFETY: it is initialised, aligned to words, and nothing writes to it meanwhile.
        unsafe { core::slice::from_raw_parts(kept.cast(), WORDS) }.to_vec()
    }

    /// Writes to free memory, as user level does through a mapped frame.
    pub fn set_word(&mut self, at: u64, value: u64) {
        assert!(at.is_multiple_of(8) && (self.end..self.layout.size() as u64).contains(&at));
        // SAFETY: inside the memory and aligned; that no kernel object lies there is the test's business.
        unsafe { (phys_to_virt(PhysAddr(at)) as *mut u64).write(value) }
    }
}

impl Deref for Machine {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        &self.kernel
    }
}

impl DerefMut for Machine {
    fn deref_mut(&mut self) -> &mut Kernel {
        &mut self.kernel
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it with this layout.
        unsafe { dealloc(self.base, self.layout) }
    }
}
