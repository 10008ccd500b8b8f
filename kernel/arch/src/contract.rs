//! The types of the items that every port provides. Nothing here is called: a port with a missing or different
//! item fails to compile at the line that names it.

use crate::*;

const _: fn(&UserContext, Reg) -> u64 = UserContext::get;
const _: fn(&UserContext, Reg, u64) = UserContext::set;
const _: fn(&UserContext, Reg, u64) = UserContext::set_user;
const _: fn() -> UserContext = UserContext::new;
const _: fn(&UserContext) = UserContext::start;
const _: fn(&UserContext) = UserContext::force_full_restore;
const _: () = register_file::<UserContext>();
const _: &[Reg] = &FRAME_REGISTERS;
const _: &[Reg] = &INTEGER_REGISTERS;
const _: &[Reg] = &SYSCALL_MESSAGE;
const _: &[Reg] = &EXCEPTION_MESSAGE;
const _: &[Reg] = &TIMEOUT_MESSAGE;
const _: fn(&UserContext, &UserContext) = context_switch;
const _: fn() -> bool = has_short_switch;
const _: fn(&UserContext, &UserContext) -> bool = short_context_switch;
const _: fn(&UserContext) = load_context;
const _: fn(&UserContext) = sync_context;
const _: fn(u64, u64, u64) -> Exception = decode_exception;
const _: fn(u64) -> bool = is_trap;

const _: fn(&UserContext, bool) = UserContext::set_single_step;
const _: fn(&UserContext) = UserContext::pass_breakpoint;
const _: fn(Breakpoint) -> bool = Breakpoint::is_possible;
const _: fn(&DebugRegisters, usize, Option<Breakpoint>) = DebugRegisters::set;
const _: fn(&DebugRegisters, usize) -> (Breakpoint, bool) = DebugRegisters::get;
const _: fn(&DebugRegisters, bool) = debug_load;
const _: fn(&DebugRegisters) -> DebugEvent = take_debug_event;

const _: fn() -> FpuState = FpuState::init;
const _: fn(&FpuState) = FpuState::start;
const _: fn(&FpuState) = fpu_save;
const _: fn(&FpuState) = fpu_load;
const _: fn() = fpu_enable;
const _: fn() = fpu_disable;
const _: fn() -> bool = fpu_is_enabled;

const _: fn(PhysAddr) -> usize = phys_to_virt;
const _: fn(usize) -> PhysAddr = virt_to_phys;
const _: fn(usize) -> bool = frame_level_supported;
const _: () = page_table_entry::<Pte>();
const _: fn(bool, u64) -> CacheAttr = CacheAttr::of_frame;
const _: CacheAttr = CacheAttr::WRITE_BACK;
const _: fn(usize) -> Pte = kernel_root_entry;
const _: [usize; 2] = KERNEL_ROOT_ENTRIES;
const _: unsafe fn(Space) = switch_vspace;
const _: fn() = switch_kernel_vspace;
const _: unsafe fn(PhysAddr, u16) -> Space = space;
const _: fn(u16, u64) = tlb_flush_page;
const _: fn(u16) = tlb_flush_asid;
const _: fn() = tlb_flush_asids;

const _: fn() -> u64 = now;
const _: fn(u64) = set_deadline;
const _: fn(u64) -> u64 = us_to_ticks;
const _: fn(u64) -> u64 = ticks_to_us;
const _: fn() -> u64 = max_us;
const _: fn() -> u64 = kernel_wcet_ticks;
const _: fn() -> u32 = tsc_mhz;

const _: [usize; 4] = [IRQ_USER_MIN, IRQ_USER_MAX, IRQ_TIMER, MAX_IRQ];
const _: fn(usize, bool) = irq_mask;
const _: fn(usize) = irq_ack;
const _: fn(usize, IrqRoute) = irq_route_ioapic;
const _: fn(usize) = irq_route_msi;
const _: fn() -> usize = num_ioapics;
const _: fn(usize) -> usize = ioapic_pins;
const _: fn() -> bool = irq_pending;
const _: fn() -> Option<usize> = take_pending_irq;

const _: fn() = flush_caches;
const _: unsafe fn(*mut u64, usize) = zero;
const _: fn() = forget_domain;
const _: fn(u16, u32) -> u32 = io_read;
const _: fn(u16, u32, u32) = io_write;
const _: fn(u8) = console_putc;
const _: fn() -> ! = halt;
const _: fn() = idle_wait;
const _: fn() = paint_stack;
const _: fn() -> usize = stack_used;
const _: fn(&mut Console) -> &mut dyn core::fmt::Write = |c| c;

const fn page_table_entry<E: PageTableEntry<Cache = CacheAttr>>() {}

const fn register_file<R: RegisterFile>() {}
