//! Lists that are filled and emptied again in every epoch.

/// What a list may keep for the next epoch, bytes.
const KEPT: usize = 64 << 10;

/// Empties a list. Its memory stays for the next epoch, unless this one was a burst: the first epochs bring everybody in
/// at once, and what that needed in dozens of lists would never be needed again.
pub(crate) fn clear<T>(rows: &mut Vec<T>) {
    rows.clear();
    if rows.capacity() * size_of::<T>() > KEPT {
        *rows = Vec::new();
    }
}
