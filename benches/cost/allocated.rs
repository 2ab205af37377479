//! What is allocated and not freed, counted by the allocator itself: exact where resident memory is rounded and lags.
//!
//! Counting begins with [`count`]. Until then an allocation costs one load more, so that the runs which measure time are
//! not disturbed.
#![allow(unsafe_code, reason = "an allocator cannot be had without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ON: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicIsize = AtomicIsize::new(0);
static BLOCKS: AtomicIsize = AtomicIsize::new(0);

/// Bytes and blocks allocated and not freed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allocated {
    pub(crate) bytes: isize,
    pub(crate) blocks: isize,
}

impl std::ops::Sub for Allocated {
    type Output = Allocated;
    fn sub(self, other: Allocated) -> Allocated {
        Allocated { bytes: self.bytes - other.bytes, blocks: self.blocks - other.blocks }
    }
}

/// Begins to count.
pub(crate) fn count() {
    ON.store(true, Ordering::Relaxed);
}

/// What is allocated now, less what was when counting began.
pub(crate) fn allocated() -> Allocated {
    Allocated { bytes: BYTES.load(Ordering::Relaxed), blocks: BLOCKS.load(Ordering::Relaxed) }
}

#[inline]
fn note(bytes: isize, blocks: isize) {
    if ON.load(Ordering::Relaxed) {
        BYTES.fetch_add(bytes, Ordering::Relaxed);
        BLOCKS.fetch_add(blocks, Ordering::Relaxed);
    }
}

// SAFETY: the system's allocator does the work; what is counted beside it touches no memory of the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize, 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize, 1);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        note(-(layout.size() as isize), -1);
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size as isize - layout.size() as isize, 0);
        unsafe { System.realloc(memory, layout, size) }
    }
}
