//! An allocator that counts.

#![allow(unsafe_code, reason = "an allocator can't be written without; it only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

/// Counts for each thread by itself, so that tests side by side don't disturb each other.
pub(crate) struct Counting;

/// Allocations and reallocations that this thread made so far.
pub(crate) fn allocations() -> u64 {
    COUNT.get()
}

/// Bytes that this thread allocated less those that it freed.
pub(crate) fn live() -> i64 {
    LIVE.get()
}

fn note(count: u64, bytes: i64) {
    // A thread that ends has no counters any more.
    let _ = COUNT.try_with(|c| c.set(c.get() + count));
    let _ = LIVE.try_with(|l| l.set(l.get() + bytes));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: the caller keeps to `GlobalAlloc::alloc`, which asks the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        note(0, -(layout.size() as i64));
        // SAFETY: `at` came from `alloc` above, that is from the system's allocator.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, size as i64 - layout.size() as i64);
        // SAFETY: as for `dealloc`; `size` is the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}
