//! The smallest root task: says what the kernel gave it, and tries a few things.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use pecan::{
    Cap, LongMessage, Result, SchedParams,
    alloc::Objects,
    boot::{self, BootInfo},
    cspace::CSpace,
    memory::{self, UntypedPool},
    thread::{Thread, ThreadParams},
    types::{Endpoint, Reply},
    vspace::OwnSpace,
};
use pecan_runtime::println;

pecan_runtime::root_task!(main);

/// Where this program maps things: far from its image and from what the kernel mapped beside it.
const FREE_ADDRESSES: core::ops::Range<u64> = 0x10_0000_0000..0x20_0000_0000;

fn main(boot: BootInfo) -> Result<()> {
    let info = boot.raw();
    println!("Hello from the root task.");
    println!("nodes {}, domain {}", info.num_nodes, info.init_thread_domain);
    println!("CNode of 2^{} slots, empty {:?}", info.init_thread_cnode_size_bits, info.empty);
    println!("image frames {:?}, paging {:?}", info.user_image_frames, info.user_image_paging);
    for chunk in boot.chunks() {
        println!("extra boot information {}: {} bytes", chunk.id, chunk.bytes.len());
    }
    if let Some(usable) = boot.usable_memory() {
        let (untyped, own) = (boot.untyped_memory(), boot.own_memory());
        let hundredths = (untyped + own) * 10_000 / usable.max(1);
        println!(
            "memory: {usable} bytes, {untyped} in untypeds, {own} in my objects: {}.{:02} %",
            hundredths / 100,
            hundredths % 100
        );
    }
    let untypeds: Vec<_> = boot.untypeds().collect();
    for (untyped, desc) in &untypeds {
        let kind = if desc.is_device != 0 { "device" } else { "RAM" };
        println!("{untyped:?} {:#x} 2^{} {kind}", desc.paddr, desc.size_bits);
    }

    let mut cspace = CSpace::new(boot::CNODE, info.empty);
    let mut pool = UntypedPool::new();
    pool.add_boot_untypeds(&boot);
    println!("{} KiB of RAM left", memory::available(&pool) / 1024);
    call_a_thread(&boot, &mut Objects::new(&mut cspace, &mut pool))?;
    println!("{} KiB of RAM left", memory::available(&pool) / 1024);
    println!("All done.");
    Ok(())
}

/// Starts a thread that answers calls, and calls it.
fn call_a_thread(boot: &BootInfo, objects: &mut Objects<'_>) -> Result<()> {
    // SAFETY: it is this program's own, and nothing else maps anything there.
    let mut space = unsafe { OwnSpace::new(boot::VSPACE, FREE_ADDRESSES.start, FREE_ADDRESSES.end) };
    let endpoint = objects.make::<Endpoint>()?;
    let reply = objects.make::<Reply>()?;
    let caps = [endpoint.cptr(), reply.cptr()];
    let priorities = pecan::Priorities { authority: boot::TCB, mcp: 255, priority: 255 };
    let cspace = pecan::CSpaceRoot::new(boot::CNODE);
    let params = ThreadParams::new(doubler, &raw const caps as usize, cspace, priorities)
        .with_time(boot.sched_control(0)?, SchedParams::round_robin(10_000));
    let thread = Thread::create(objects, &mut space, &params)?;
    thread.start()?;
    let mut question = LongMessage::new(1);
    for word in 1..=6 {
        question.push(word)?;
    }
    let mut answer = LongMessage::new(0);
    endpoint.call_long(&question, &mut answer);
    println!("doubled: {:?}", answer.words());
    // Its room could be another thread's now.
    thread.destroy().map(drop).map_err(|(error, _)| error)
}

/// Answers each message with twice its words.
extern "C" fn doubler(caps: usize) -> ! {
    // SAFETY: whoever made the thread waits for its answer, and keeps the array meanwhile. It holds the addresses of an
    // endpoint and a reply object.
    let (endpoint, reply) = unsafe {
        let [endpoint, reply] = *(caps as *const [u64; 2]);
        (Cap::<Endpoint>::new(endpoint), Cap::<Reply>::new(reply))
    };
    let (mut question, mut answer) = (LongMessage::new(0), LongMessage::new(0));
    endpoint.recv_long(reply, &mut question);
    loop {
        answer.reset(question.label());
        for word in question.words() {
            // It was as long when it came.
            let _ = answer.push(2 * word);
        }
        endpoint.reply_recv_long(reply, &answer, &mut question);
    }
}
