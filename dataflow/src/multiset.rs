//! Short sorted lists with copies: what one key holds.

/// Adds `diff` copies of `row`; a row with no copies left goes.
///
/// A retraction of a row that is not there is of one that left memory at the horizon: it is final, and stays.
pub(crate) fn put<T: Ord + Clone>(rows: &mut Vec<(T, isize)>, row: &T, diff: isize) {
    // Nearly always the newest: look at the end first.
    if diff > 0 && rows.last().is_none_or(|(last, _)| last < row) {
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
        Err(at) if diff > 0 => rows.insert(at, (row.clone(), diff)),
        Err(_) => {}
    }
}
