//! A database that was not closed: small ones are checked before they are used, large ones beside their use.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{channel, sync_channel};

use super::*;
use crate::sqlite::Store;
use crate::sqlite::tests::{SCORES, batch, commit, score};
use crate::writer::tests::{TestClock, replay, started, wiring};
use crate::{Config, Control, SinkWriter, Wiring};

/// Beyond so many bytes nothing is checked before it is used.
const NOTHING_FIRST: u64 = 0;

/// A database of some pages that was not closed.
fn unclosed(dir: &tempfile::TempDir) -> PathBuf {
    let path = dir.path().join("views.db");
    let (store, _) = Store::open(&path, &[&SCORES], 1, NOTHING_FIRST).unwrap();
    let many = (0..2_000).map(|n| (score(&format!("name {n}"), n, 0.0), 1)).collect::<Vec<_>>();
    store.apply(&batch(vec![commit(1, &many)]), 5, |_| Ok(())).unwrap();
    store.truncate_log().unwrap();
    path
}

/// Makes nonsense of a page with rows.
fn rot(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 64].fill(0xff);
    std::fs::write(path, bytes).unwrap();
}

fn opened(path: &Path) -> (Store, Option<PathBuf>) {
    Store::open(path, &[&SCORES], 2, NOTHING_FIRST).unwrap()
}

/// Starts the writer behind a replay that the views have already: nothing is read that a check would find.
fn resumed(
    path: &Path,
) -> (std::sync::mpsc::SyncSender<highwater_dataflow::view::Commit>, crate::Handle) {
    let (send, receive) = sync_channel(16);
    let config = Config { checked_first_mib: 0, ..Config::at(path) };
    let wiring = Wiring { resumed: Some(1), ..wiring(&TestClock::at(9_000)) };
    let handle = SinkWriter::spawn(&config, &[&SCORES], receive, wiring).unwrap();
    Control::caught_up(&handle.control(), 1);
    (send, handle)
}

#[test]
fn a_large_one_is_checked_beside_its_use_and_then_closed_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let path = unclosed(&dir);
    let (store, aside) = opened(&path);
    assert_eq!((store.marker(), aside), (Some(1), None));
    // Cut short, it is still due at the next start.
    drop(store.check(&path, |_| {}).expect("it was not closed"));
    store.close().unwrap();

    let (store, _) = opened(&path);
    let (done, found) = channel();
    let checking = store.check(&path, move |found| done.send(found).unwrap());
    assert_eq!(found.recv().unwrap(), None);
    drop(checking);
    store.is_whole();
    store.close().unwrap();
    assert!(opened(&path).0.check(&path, |_| {}).is_none(), "it was closed, and whole");
}

#[test]
fn what_the_check_finds_ends_the_writer_and_the_next_start_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = unclosed(&dir);
    rot(&path);
    let (send, handle) = resumed(&path);
    let error = handle.join().unwrap_err();
    assert!(matches!(error, SinkError::Damaged(_)), "{error}");
    assert!(error.to_string().contains("start again"), "{error}");
    drop(send);
    // Condemned, it is asked nothing any more, and whatever was to be resumed is not.
    assert_eq!(crate::marker(&path).unwrap(), None);

    let (send, handle) = started(&path, wiring(&TestClock::at(77)));
    let status = handle.status();
    assert_eq!(status.set_aside, Some(dir.path().join("views.db.damaged-77")));
    assert_eq!(status.epoch, None);
    handle.control().caught_up(1);
    send.send(replay(&commit(1, &[(score("a", 1, 0.5), 1)]))).unwrap();
    drop(send);
    handle.join().unwrap();
    assert_eq!(crate::marker(&path).unwrap(), Some(1));
    assert_eq!(condemned(&path), None);
}

#[test]
fn damage_that_the_writer_meets_condemns_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = unclosed(&dir);
    rot(&path);
    let (send, receive) = sync_channel(16);
    let config = Config { checked_first_mib: 0, ..Config::at(&path) };
    // A replay compares every row with what is stored, and so meets the page.
    let handle =
        SinkWriter::spawn(&config, &[&SCORES], receive, wiring(&TestClock::at(1))).unwrap();
    handle.control().caught_up(1);
    send.send(replay(&commit(1, &[(score("a", 1, 0.5), 1)]))).unwrap();
    handle.join().unwrap_err();
    assert!(condemned(&path).is_some());
    let (_, aside) = opened(&path);
    assert!(aside.is_some_and(|aside| aside.exists()));
}

#[test]
fn a_start_that_was_killed_while_it_set_one_aside_ends_that() {
    let dir = tempfile::tempdir().unwrap();
    let path = unclosed(&dir);
    condemn(&path, "a page was not as it should be").unwrap();
    std::fs::remove_file(&path).unwrap();
    let log = dir.path().join("views.db-wal");
    std::fs::write(&log, "left behind").unwrap();
    let (store, _) = opened(&path);
    assert_eq!(store.marker(), None);
    assert!(dir.path().join("views.db.damaged-2-wal").exists());
    assert_eq!(condemned(&path), None);
}
