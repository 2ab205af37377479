//! The writer's thread: group commit, bounds, and answers only after both syncs.

use std::io;
use std::sync::{Arc, Mutex, mpsc};

use super::super::*;
use super::rig::*;

/// Stands still before each commit until told to go on.
struct Gate {
    waiting: mpsc::Sender<()>,
    go: mpsc::Receiver<()>,
}

impl Disk for Gate {
    fn reach(&mut self, step: Step) -> io::Result<()> {
        if step == Step::BeforeCommit {
            // A test that is over lets everything pass.
            let _ = self.waiting.send(());
            let _ = self.go.recv();
        }
        Ok(())
    }
}

struct Gated {
    writer: JournalWriter,
    follower: Follower,
    waiting: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
}

fn gated(dir: &std::path::Path, options: Options) -> Gated {
    let (waiting_tx, waiting) = mpsc::channel();
    let (go, go_rx) = mpsc::channel();
    let disk = Box::new(Gate { waiting: waiting_tx, go: go_rx });
    let journal = Journal::open_on(dir, options, FakeClock::new(), disk).unwrap();
    let (writer, follower) = journal.start(0, JournalWriter::abort_on_fatal()).unwrap();
    Gated { writer, follower, waiting, go }
}

#[test]
fn what_queues_during_a_commit_goes_into_the_next_one_together() {
    let dir = scratch();
    let Gated { writer, mut follower, waiting, go } = gated(dir.path(), options());
    let http = writer.register_partition(PartitionSpec::live("http", "test"));
    let answers = Arc::new(Mutex::new(Vec::new()));
    let submit = |n: u64| {
        let answers = answers.clone();
        let answer: Acknowledgement =
            Box::new(move |outcome| answers.lock().unwrap().push(outcome.unwrap().first_seq));
        writer.try_submit(delivery(http, vec![intake(n, START)]), answer).unwrap();
    };
    submit(1);
    waiting.recv().unwrap();
    (2..=2_500).for_each(submit);
    assert!(answers.lock().unwrap().is_empty(), "nothing is answered before it is durable");
    for _ in 0..4 {
        go.send(()).unwrap();
    }
    writer.close();
    assert_eq!(*answers.lock().unwrap(), (1..=2_500).collect::<Vec<u64>>());
    let sizes: Vec<usize> =
        std::iter::from_fn(|| follower.next(std::time::Duration::ZERO).unwrap())
            .map(|committed| committed.envelopes.len())
            .collect();
    assert_eq!(sizes, [1, 1_000, 1_000, 499]);
}

#[test]
fn a_full_queue_refuses_at_once_and_gives_the_delivery_back() {
    let dir = scratch();
    let options = Options { queue_events: 10, ..options() };
    let Gated { writer, waiting, go, .. } = gated(dir.path(), options);
    let http = writer.register_partition(PartitionSpec::live("http", "test"));
    let batch = |n: u64| delivery(http, (0..n).map(|i| intake(i, START)).collect());
    let quiet = || -> Acknowledgement { Box::new(|_| ()) };
    writer.try_submit(batch(1), quiet()).unwrap();
    waiting.recv().unwrap();
    writer.try_submit(batch(6), quiet()).unwrap();
    let refused = writer.try_submit(batch(5), quiet()).unwrap_err();
    assert_eq!(refused.refusal, Refusal::Overloaded);
    assert_eq!(refused.delivery.items.len(), 5);
    assert_eq!(writer.status().waiting_events, 6);
    writer.try_submit(batch(4), quiet()).unwrap();
    let refused = writer.try_submit(batch(11), quiet()).unwrap_err();
    assert!(matches!(refused.refusal, Refusal::TooLarge { max_events: 10, .. }));
    assert!(refused.refusal.retry_after().is_none());
    drop(go);
    writer.close();
    assert_eq!(writer.status().tip.seq, 11);
    assert_eq!(writer.try_submit(batch(1), quiet()).unwrap_err().refusal, Refusal::Failing);
}

#[test]
fn async_senders_wait_without_a_thread() {
    let dir = scratch();
    let journal = Journal::open(dir.path(), options(), FakeClock::new()).unwrap();
    let (writer, _follower) = journal.start(0, JournalWriter::abort_on_fatal()).unwrap();
    let http = writer.register_partition(PartitionSpec::live("http", "test"));
    let receiver = writer.try_append(delivery(http, vec![intake(1, START), garbage(2)])).unwrap();
    let appended = receiver.blocking_recv().unwrap().unwrap();
    assert_eq!((appended.first_seq, appended.rejected.len()), (1, 1));
    assert_eq!(writer.append(delivery(http, vec![])).unwrap().first_seq, 3);
    assert_eq!(writer.status().frames, 1, "an empty delivery needs no frame");
    assert_eq!(writer.status().dead_letters, 1);
    assert_eq!(writer.resume_position(http), Some(2));
    assert_eq!(writer.partitions()[0].name, "http");
}

#[test]
fn the_last_handle_closes_the_journal() {
    let dir = scratch();
    let journal = Journal::open(dir.path(), options(), FakeClock::new()).unwrap();
    let (writer, follower) = journal.start(0, JournalWriter::abort_on_fatal()).unwrap();
    let http = writer.register_partition(PartitionSpec::live("http", "test"));
    writer.append(delivery(http, vec![intake(1, START)])).unwrap();
    drop((writer, follower));
    let rig = Rig::open(dir.path(), options()).unwrap();
    assert_eq!(rig.journal.recovery().log_bytes, 0, "a clean close leaves no log");
    assert_eq!(rig.journal.tip().seq, 1);
}
