//! C's view of the heap. `tinyrlibc` has one, too, but its `calloc` and `malloc` take sizes that overflow for small ones.

use alloc::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use core::{ffi::c_void, ptr};

/// Before each block is its size, in as many bytes as every C type is aligned to.
const HEAD: usize = 16;

/// What is asked of the heap for a block of so many bytes; `None` if there is no such block.
fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.checked_add(HEAD)?, HEAD).ok()
}

fn new(bytes: Option<usize>, from: unsafe fn(Layout) -> *mut u8) -> *mut c_void {
    let Some((bytes, layout)) = bytes.and_then(|bytes| Some((bytes, layout(bytes)?))) else {
        return ptr::null_mut();
    };
    // SAFETY: the layout is not empty. The head is aligned, and part of the block.
    unsafe {
        let block = from(layout);
        if block.is_null() {
            return ptr::null_mut();
        }
        block.cast::<usize>().write(bytes);
        block.add(HEAD).cast()
    }
}

#[unsafe(no_mangle)]
extern "C" fn malloc(bytes: usize) -> *mut c_void {
    new(Some(bytes), alloc)
}

#[unsafe(no_mangle)]
extern "C" fn calloc(count: usize, bytes: usize) -> *mut c_void {
    new(count.checked_mul(bytes), alloc_zeroed)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(block: *mut c_void, bytes: usize) -> *mut c_void {
    let larger = malloc(bytes);
    if !block.is_null() && !larger.is_null() {
        // SAFETY: C says that it has the block from here and does not use it any more. Both have as many bytes.
        unsafe {
            let old = block.cast::<u8>().sub(HEAD).cast::<usize>().read();
            ptr::copy_nonoverlapping(block.cast::<u8>(), larger.cast(), old.min(bytes));
            free(block);
        }
    }
    larger
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: C says that it has the block from here and does not use it any more.
    unsafe {
        let start = block.cast::<u8>().sub(HEAD);
        let bytes = start.cast::<usize>().read();
        if let Some(layout) = layout(bytes) {
            dealloc(start, layout);
        }
    }
}
