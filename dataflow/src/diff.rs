//! What changed between two short lists of rows.

/// Calls `give` with the rows only in `old` (-1) and only in `new` (+1).
///
/// Both lists are in the same order; equal heads and tails, the usual case, cost one comparison each.
pub(crate) fn difference<T: PartialEq + Clone>(
    old: &[T],
    new: &[T],
    mut give: impl FnMut(T, isize),
) {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    old[..old.len() - tail].iter().for_each(|row| give(row.clone(), -1));
    new[..new.len() - tail].iter().for_each(|row| give(row.clone(), 1));
}
