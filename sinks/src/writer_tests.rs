//! The writer as a whole: commits in, views, listeners, restarts.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use highwater_dataflow::view::Stamps;

use super::*;
use crate::reader::{Select, ViewReader};
use crate::sqlite::tests::{SCORES, commit, score};

/// A clock that moves only when told, or by a step at every look.
pub(crate) struct TestClock {
    base: Instant,
    elapsed_us: AtomicU64,
    step: Duration,
}

impl TestClock {
    pub(crate) fn at(ms: i64) -> Arc<TestClock> {
        TestClock::ticking(ms, Duration::ZERO)
    }

    #[expect(clippy::disallowed_methods, reason = "an origin, from which only steps count")]
    pub(crate) fn ticking(ms: i64, step: Duration) -> Arc<TestClock> {
        let elapsed_us = AtomicU64::new(ms as u64 * 1000);
        Arc::new(TestClock { base: Instant::now(), elapsed_us, step })
    }

    fn look(&self) -> u64 {
        self.elapsed_us.fetch_add(self.step.as_micros() as u64, Ordering::SeqCst)
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> EventTime {
        self.look() as i64 / 1000
    }

    fn instant(&self) -> Instant {
        self.base + Duration::from_micros(self.look())
    }
}

/// A wait moves the clock and takes no time.
impl Sleeper for TestClock {
    fn plan(&self, wait: Duration) -> Duration {
        self.elapsed_us.fetch_add(wait.as_micros() as u64, Ordering::SeqCst);
        Duration::ZERO
    }
}

pub(crate) fn wiring(clock: &Arc<TestClock>) -> Wiring {
    let wiring = Wiring::new(clock.clone(), Arc::default());
    Wiring { sleeper: clock.clone(), ..wiring }
}

pub(crate) fn started(path: &Path, wiring: Wiring) -> (SyncSender<Commit>, Handle) {
    let (send, receive) = sync_channel(16);
    let handle = SinkWriter::spawn(&Config::at(path), &[&SCORES], receive, wiring).unwrap();
    (send, handle)
}

pub(crate) fn replay(commit: &Commit) -> Commit {
    let stamps = Arc::new(Stamps { replay: true, ..Stamps::default() });
    Commit { stamps, ..commit.clone() }
}

fn rows(path: &Path) -> Vec<highwater_dataflow::view::Row> {
    let reader = ViewReader::open(path, TestClock::at(0)).unwrap();
    reader.rows("scores", &Select::default()).unwrap()
}

/// Passes on what it hears.
struct Ear(std::sync::mpsc::Sender<Heard>);

#[derive(Debug, PartialEq)]
enum Heard {
    CaughtUp(usize),
    Committed(Epoch, Vec<(highwater_dataflow::view::Row, i8)>),
}

impl Listener for Ear {
    fn caught_up(&mut self, desired: &Desired, _: &[Reconciled]) {
        let rows = desired.views().map(|(_, rows)| rows.len()).sum();
        let _ = self.0.send(Heard::CaughtUp(rows));
    }

    fn committed(&mut self, batch: &CommittedBatch<'_>) {
        let rows = batch.changes.iter().flat_map(|changes| changes.rows.clone()).collect();
        let _ = self.0.send(Heard::Committed(batch.epoch, rows));
    }
}

#[test]
fn commits_become_rows_and_listeners_hear_of_each() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let (ear, heard) = std::sync::mpsc::channel();
    let clock = TestClock::at(1_000);
    let wiring = Wiring { listeners: vec![Box::new(Ear(ear))], ..wiring(&clock) };
    let (send, handle) = started(&path, wiring);
    send.send(commit(1, &[(score("a", 1, 0.5), 1)])).unwrap();
    assert_eq!(heard.recv().unwrap(), Heard::CaughtUp(0));
    assert_eq!(heard.recv().unwrap(), Heard::Committed(1, vec![(score("a", 1, 0.5), 1)]));
    assert_eq!(rows(&path), [score("a", 1, 0.5)], "visible when the listener hears of it");
    send.send(commit(2, &[(score("a", 1, 0.5), -1)])).unwrap();
    assert_eq!(heard.recv().unwrap(), Heard::Committed(2, vec![(score("a", 1, 0.5), -1)]));
    drop(send);
    let control = handle.control();
    handle.join().unwrap();
    assert!(rows(&path).is_empty());
    assert_eq!(control.status().health, Health::Stopped);
    assert_eq!(control.status().epoch, Some(2));
}

#[test]
fn a_restart_replays_converges_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let clock = TestClock::at(0);
    let history = [
        commit(1, &[(score("a", 1, 0.0), 1)]),
        commit(2, &[(score("b", 2, 0.0), 1)]),
        commit(3, &[(score("a", 1, 0.0), -1), (score("a", 3, 0.0), 1)]),
    ];
    // The first run stopped before epoch 3.
    let (send, handle) = started(&path, wiring(&clock));
    for commit in &history[..2] {
        send.send(commit.clone()).unwrap();
    }
    drop(send);
    handle.join().unwrap();

    let (ear, heard) = std::sync::mpsc::channel();
    let (send, handle) =
        started(&path, Wiring { listeners: vec![Box::new(Ear(ear))], ..wiring(&clock) });
    for commit in &history {
        send.send(replay(commit)).unwrap();
    }
    handle.control().caught_up(3);
    assert_eq!(heard.recv().unwrap(), Heard::CaughtUp(2));
    assert_eq!(rows(&path), [score("a", 3, 0.0), score("b", 2, 0.0)]);
    send.send(commit(4, &[(score("b", 2, 0.0), -1)])).unwrap();
    drop(send);
    let control = handle.control();
    handle.join().unwrap();
    assert_eq!(rows(&path), [score("a", 3, 0.0)]);
    let reconciled = control.status().reconciled;
    assert_eq!((reconciled[0].added, reconciled[0].changed, reconciled[0].removed), (0, 1, 0));
}

#[test]
fn a_replay_cut_short_leaves_the_views_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let clock = TestClock::at(0);
    let first = commit(1, &[(score("a", 1, 0.0), 1), (score("b", 1, 0.0), 1)]);
    let (send, handle) = started(&path, wiring(&clock));
    send.send(first).unwrap();
    drop(send);
    handle.join().unwrap();
    let (send, handle) = started(&path, wiring(&clock));
    send.send(replay(&commit(1, &[(score("a", 1, 0.0), 1)]))).unwrap();
    handle.control().caught_up(5);
    drop(send);
    handle.join().unwrap();
    assert_eq!(rows(&path).len(), 2);
}

#[test]
fn a_foreign_hand_on_the_marker_fails_the_writer_and_the_dataflow_hears_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let (ear, heard) = std::sync::mpsc::channel();
    let clock = TestClock::at(0);
    let (send, handle) =
        started(&path, Wiring { listeners: vec![Box::new(Ear(ear))], ..wiring(&clock) });
    send.send(commit(1, &[])).unwrap();
    heard.recv().unwrap();
    heard.recv().unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("UPDATE _progress SET epoch = 99", []).unwrap();
    // The first of these fails the writer; the channel closes behind it.
    let mut epoch = 1;
    while send
        .send(commit(
            {
                epoch += 1;
                epoch
            },
            &[],
        ))
        .is_ok()
    {}
    let control = handle.control();
    assert!(matches!(handle.join(), Err(SinkError::MarkerMoved { .. })));
    assert!(matches!(control.status().health, Health::Failed { .. }));
    assert!(matches!(control.backup(dir.path().join("x")), Err(SinkError::Stopped)));
}

#[test]
fn a_backup_is_a_database_of_one_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("views.db"), dir.path().join("copy.db"));
    let clock = TestClock::at(0);
    let (send, handle) = started(&path, wiring(&clock));
    let many = (0..30_000).map(|n| (score(&format!("name {n}"), n, 0.0), 1)).collect::<Vec<_>>();
    send.send(commit(1, &many)).unwrap();
    // Each of these changes every row's epoch-sum: a torn copy would not add up.
    let control = handle.control();
    let backup = std::thread::spawn({
        let copy = copy.clone();
        move || control.backup(copy)
    });
    for epoch in 2..40 {
        let n = epoch as i64;
        let moved = [
            (score("name 0", if n == 2 { 0 } else { n - 1 }, 0.0), -1),
            (score("name 0", n, 0.0), 1),
        ];
        send.send(commit(epoch, &moved)).unwrap();
    }
    backup.join().unwrap().unwrap();
    drop(send);
    handle.join().unwrap();
    let reader = ViewReader::open(&copy, TestClock::at(0)).unwrap();
    let reading = reader.read("scores", &Select::default()).unwrap();
    match reading.progress.epoch {
        None => assert!(reading.rows.is_empty()),
        Some(epoch) => {
            assert_eq!(reading.rows.len(), 30_000);
            let expected = if epoch == 1 { 0 } else { epoch as i64 };
            assert_eq!(reading.rows[0], score("name 0", expected, 0.0));
        }
    }
}

#[test]
fn stages_are_measured_for_live_epochs_alone() {
    use highwater_dataflow::latency::{Path as EventPath, Stage};

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let clock = TestClock::at(5_000);
    let latency = Arc::new(Latency::default());
    let (send, handle) = started(&path, Wiring { latency: latency.clone(), ..wiring(&clock) });
    let stamps = |replay| {
        let received = vec![(EventPath::Contact, clock.base, 3)];
        Arc::new(Stamps { received, durable: None, replay })
    };
    send.send(Commit { stamps: stamps(true), ..commit(1, &[]) }).unwrap();
    send.send(Commit { stamps: stamps(false), ..commit(2, &[]) }).unwrap();
    drop(send);
    handle.join().unwrap();
    for stage in [Stage::Closed, Stage::Committed] {
        assert_eq!(latency.histogram(EventPath::Contact, stage).len(), 3);
    }
}

#[test]
fn a_full_disk_makes_the_views_lag_and_space_lets_them_resume_unaided() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let (store, _) = Store::open(&path, &[&SCORES], 0, u64::MAX).unwrap();
    // A limit on the file's pages stands in for the disk; what fills it can be removed.
    let fill = "CREATE TABLE _filler (x); INSERT INTO _filler VALUES (zeroblob(4000000));";
    store.conn().execute_batch(fill).unwrap();
    let pages: i64 = store.conn().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = format!("PRAGMA max_page_count = {pages}");
    store.conn().query_row(&limit, [], |_| Ok(())).unwrap();

    let (send, receive) = sync_channel(16);
    let (waits, waiting) = sync_channel(0);
    let (go, gone_on) = sync_channel(1);
    let sleeper = Arc::new(Halting { waits, gone_on: Mutex::new(gone_on) });
    let wiring = Wiring { sleeper, ..wiring(&TestClock::at(7)) };
    let handle =
        SinkWriter::start(&Config::at(&path), &[&SCORES], receive, wiring, store, None).unwrap();
    let many = (0..5_000).map(|n| (score(&format!("name {n}"), n, 0.0), 1)).collect::<Vec<_>>();
    send.send(commit(1, &many)).unwrap();
    waiting.recv().unwrap();
    assert!(matches!(handle.status().health, Health::Lagging { since_ms: 7, .. }));
    send.send(commit(2, &[(score("last", 1, 0.0), 1)])).unwrap();
    go.send(()).unwrap();
    // Still full: it tries again and again.
    waiting.recv().unwrap();
    assert!(rows(&path).is_empty());
    rusqlite::Connection::open(&path).unwrap().execute_batch("DELETE FROM _filler").unwrap();
    go.send(()).unwrap();
    drop(send);
    let control = handle.control();
    handle.join().unwrap();
    assert_eq!(control.status().epoch, Some(2));
    assert_eq!(rows(&path).len(), 5_001);
}

/// Every wait lasts until the test says so.
struct Halting {
    waits: SyncSender<()>,
    gone_on: Mutex<Receiver<()>>,
}

impl Sleeper for Halting {
    fn plan(&self, _: Duration) -> Duration {
        self.waits.send(()).unwrap();
        self.gone_on.lock().unwrap().recv().unwrap();
        Duration::ZERO
    }
}

/// What a checkpoint's restart sends: commits after it, of which the views have some.
#[test]
fn commits_that_go_on_from_a_checkpoint_are_passed_over_or_applied() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let clock = TestClock::at(0);
    let named = |name: &str| Wiring { definition: Some(name.to_owned()), ..wiring(&clock) };
    let history = [
        commit(1, &[(score("a", 1, 0.0), 1), (score("final", 7, 0.0), 1)]),
        commit(2, &[(score("b", 2, 0.0), 1)]),
        commit(3, &[(score("a", 1, 0.0), -1), (score("a", 3, 0.0), 1)]),
    ];
    let (send, handle) = started(&path, named("one"));
    for commit in &history[..2] {
        send.send(commit.clone()).unwrap();
    }
    drop(send);
    handle.join().unwrap();

    let opened = SinkWriter::open(&Config::at(&path), &[&SCORES], 0).unwrap();
    assert_eq!(opened.marker(), Some(2));
    assert_eq!(opened.definition().unwrap().as_deref(), Some("one"));
    let (ear, heard) = std::sync::mpsc::channel();
    let listeners: Vec<Box<dyn Listener>> = vec![Box::new(Ear(ear))];
    let (send, commits) = sync_channel(16);
    let wiring = Wiring { listeners, resumed: Some(1), ..named("one") };
    let handle = opened.start(commits, wiring).unwrap();
    for commit in &history[1..] {
        send.send(replay(commit)).unwrap();
    }
    handle.control().caught_up(3);
    assert_eq!(heard.recv().unwrap(), Heard::CaughtUp(3), "all rows, those before it included");
    assert_eq!(rows(&path), [score("a", 3, 0.0), score("b", 2, 0.0), score("final", 7, 0.0)]);
    let reader = ViewReader::open(&path, TestClock::at(0)).unwrap();
    assert!(!reader.progress().unwrap().catching_up);
    send.send(commit(4, &[(score("b", 2, 0.0), -1)])).unwrap();
    assert_eq!(heard.recv().unwrap(), Heard::Committed(4, vec![(score("b", 2, 0.0), -1)]));
    drop(send);
    let control = handle.control();
    handle.join().unwrap();
    assert_eq!(rows(&path), [score("a", 3, 0.0), score("final", 7, 0.0)]);
    assert_eq!(control.status().epoch, Some(4));
}

#[test]
fn a_checkpoint_at_the_very_end_is_level_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let clock = TestClock::at(0);
    let (send, handle) = started(&path, wiring(&clock));
    send.send(commit(1, &[(score("a", 1, 0.0), 1)])).unwrap();
    drop(send);
    handle.join().unwrap();
    let opened = SinkWriter::open(&Config::at(&path), &[&SCORES], 0).unwrap();
    assert_eq!(opened.definition().unwrap(), None, "nobody gave the rows a name");
    let (ear, heard) = std::sync::mpsc::channel();
    let (send, commits) = sync_channel(16);
    let wiring = Wiring { listeners: vec![Box::new(Ear(ear))], resumed: Some(1), ..wiring(&clock) };
    let handle = opened.start(commits, wiring).unwrap();
    handle.control().caught_up(1);
    assert_eq!(heard.recv().unwrap(), Heard::CaughtUp(1));
    drop(send);
    handle.join().unwrap();
    assert_eq!(rows(&path), [score("a", 1, 0.0)]);
}
