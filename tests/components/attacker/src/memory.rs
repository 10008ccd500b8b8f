//! Memory that is not its own, or was somebody else's.

use pecan_component::{SUPERVISOR, pecan::Message, pecan::startup::GROW_LABEL, println};

const PAGE: u64 = 4096;
/// What it writes to memory.
const MARK: u64 = 0x5ec2_e75e_c2e7_5ec2;

/// Leaves its mark in the page that it shares with the console.
pub fn leave() {
    if let Some(page) = shared_page() {
        mark(page);
    }
}

/// Looks for the mark in that page, and in all memory behind it, up to where nothing is mapped; that ends it.
pub fn beyond() -> u64 {
    let Some(page) = shared_page() else { return 0 };
    println!("reading on and on");
    for page in (page..).step_by(PAGE as usize) {
        // SAFETY: the volatile reads change nothing. Where nothing is mapped, they fault.
        if words(page).any(|word| unsafe { word.read_volatile() } == MARK) {
            println!("the mark of another one is at {page:#x}");
            return super::WORKED;
        }
    }
    0
}

/// Where the page is that it shares with the console.
fn shared_page() -> Option<u64> {
    pecan_component::startup().memory("console").map(|(address, _)| address)
}

/// Asks for memory until there is no more, and looks at each page; returns how many of them `look` counts.
pub fn all_pages(look: fn(u64) -> bool) -> u64 {
    let mut count = 0;
    loop {
        let answer = SUPERVISOR.endpoint().call(&Message::new(GROW_LABEL, [64 * PAGE]));
        if answer.label() != 0 || answer.word(1) == 0 {
            return count;
        }
        let pages = answer.word(0)..answer.word(0) + answer.word(1);
        count += pages.step_by(PAGE as usize).filter(|page| look(*page)).count() as u64;
    }
}

/// The words of a page.
fn words(page: u64) -> impl Iterator<Item = *mut u64> {
    (0..PAGE / 8).map(move |n| core::ptr::with_exposed_provenance_mut((page + n * 8) as usize))
}

/// Fills a page.
pub fn mark(page: u64) -> bool {
    // SAFETY: the supervisor mapped it for this program, and nothing else of the program knows of it.
    words(page).for_each(|word| unsafe { word.write_volatile(MARK) });
    true
}

/// Whether somebody has left something in a page.
pub fn is_not_zero(page: u64) -> bool {
    // SAFETY: as above.
    words(page).any(|word| unsafe { word.read_volatile() } != 0)
}
