//! Short sorted lists with copies: what one key holds.
//!
//! There is a list for every agent, contact or queue, most of them of one row or a few, so that what lists reserve for
//! more than they hold is a good part of all memory: they grow by half, and the first row takes room for one.

use std::collections::VecDeque;

/// Adds `diff` copies of `row`; a row with no copies left goes.
///
/// A retraction of a row that is not there is of one that left memory at the horizon: it is final, and stays.
pub(crate) fn put<T: Ord + Clone>(rows: &mut Vec<(T, isize)>, row: &T, diff: isize) {
    // Nearly always the newest: look at the end first.
    if diff > 0 && rows.last().is_none_or(|(last, _)| last < row) {
        room(rows);
        rows.push((row.clone(), diff));
        return;
    }
    match rows.binary_search_by(|(have, _)| have.cmp(row)) {
        Ok(at) => {
            rows[at].1 += diff;
            if rows[at].1 <= 0 {
                rows.remove(at);
            }
        }
        Err(at) if diff > 0 => {
            room(rows);
            rows.insert(at, (row.clone(), diff));
        }
        Err(_) => {}
    }
}

/// Makes room for one more, and for half as many as there are.
pub(crate) fn room<T>(rows: &mut Vec<T>) {
    if rows.len() == rows.capacity() {
        rows.reserve_exact(more(rows.len()));
    }
}

/// As [`room`], for lists that also lose rows at their front.
pub(crate) fn room_behind<T>(rows: &mut VecDeque<T>) {
    if rows.len() == rows.capacity() {
        rows.reserve_exact(more(rows.len()));
    }
}

/// Gives back the room of a list that has lost most of what it held.
pub(crate) fn fit<T>(rows: &mut VecDeque<T>) {
    if rows.capacity() > 32 && rows.len() < rows.capacity() / 4 {
        rows.shrink_to(2 * rows.len());
    }
}

fn more(len: usize) -> usize {
    len / 2 + 1
}
