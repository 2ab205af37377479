//! Journals that are missing, and journals that are brought twice.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;

#[test]
fn every_journal_that_took_part_is_needed_and_none_twice() {
    let known = BTreeSet::from([0, 1, 2]);
    let all = [0, 1, 2].map(Number);
    assert_eq!(check_single(&all, &known).unwrap(), known);
    let missing = check_single(&all[..2], &known).unwrap_err().to_string();
    assert!(missing.contains("journal 2"), "{missing}");
    let twice = check_single(&[Number(0), Number(1), Number(1)], &known).unwrap_err().to_string();
    assert!(twice.contains("journal 1"), "{twice}");
}

#[test]
fn a_checkpoint_counts_when_everybody_has_it() {
    let newest = |all: &[Vec<Epoch>]| common(all.iter());
    assert_eq!(newest(&[vec![30, 20], vec![20, 10]]), Some(20));
    assert_eq!(newest(&[vec![30, 20], vec![30, 20], vec![30]]), Some(30));
    assert_eq!(newest(&[vec![30, 20], vec![]]), None);
    assert_eq!(newest(&[vec![30], vec![20]]), None);
}
