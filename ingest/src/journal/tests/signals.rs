//! What is said of event time: bounds, idleness, quiet time, ends, and events from the future.

use std::time::Duration;

use highwater_dataflow::{BEGINNING, FOREVER, Signal};

use super::super::assemble::Input;
use super::super::*;
use super::rig::*;

const S: i64 = 1_000;

fn bound(partition: u32, bound: i64) -> Signal {
    Signal::Bound { partition, bound }
}

#[test]
fn a_bound_is_the_greatest_time_less_the_disorder_and_never_falls() {
    let dir = scratch();
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let a = rig.register(PartitionSpec { disorder_ms: 30 * S, ..PartitionSpec::live("a", "t") });
    assert_eq!(rig.append(a, 3, START).unwrap().signals, [bound(a, START + 2 * S - 30 * S)]);
    assert_eq!(rig.append(a, 1, START - 60 * S).unwrap().signals, []);
    assert_eq!(rig.append(a, 1, START + 2 * S).unwrap().signals, []);
    assert_eq!(rig.append(a, 1, START + 3 * S).unwrap().signals, [bound(a, START - 27 * S)]);
    // Nor after a restart with more disorder.
    drop(rig);
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let a = rig.register(PartitionSpec { disorder_ms: 60 * S, ..PartitionSpec::live("a", "t") });
    assert_eq!(rig.append(a, 1, START + 32 * S).unwrap().signals, []);
    assert_eq!(rig.append(a, 1, START + 34 * S).unwrap().signals, [bound(a, START - 26 * S)]);
}

#[test]
fn several_deliveries_of_a_frame_make_one_bound() {
    let dir = scratch();
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let (a, b) = (rig.live("a"), rig.live("b"));
    let inputs = vec![
        deliver(a, vec![intake(1, START + 9 * S)]),
        deliver(b, vec![intake(1, START)]),
        deliver(a, vec![intake(2, START)]),
        deliver(b, vec![garbage(3)]),
    ];
    let (committed, answers) = rig.commit(inputs).unwrap().unwrap();
    assert_eq!(committed.signals, [bound(a, START + 4 * S), bound(b, START - 5 * S)]);
    assert_eq!(committed.envelopes.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(committed.dead_letters[0].seq, 4);
    let firsts: Vec<u64> = answers.iter().map(|(_, appended)| appended.first_seq).collect();
    assert_eq!(firsts, [1, 2, 3, 4]);
    assert_eq!(answers[3].1.rejected, [(0, "not JSON".to_string())]);
}

#[test]
fn silence_makes_a_live_partition_idle_and_speaking_undoes_it() {
    let dir = scratch();
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let (a, b) = (rig.live("a"), rig.live("b"));
    rig.append(a, 1, START).unwrap();
    rig.append(b, 1, START).unwrap();
    assert!(rig.tick(&[(a, 4_999), (b, 0)]).is_none());
    // One idle: the other holds the watermark alone; no quiet time yet.
    assert_eq!(rig.tick(&[(a, 5_000), (b, 0)]).unwrap().signals, [Signal::Idle { partition: a }]);
    assert!(rig.tick(&[(a, 9_000), (b, 0)]).is_none(), "said once");
    rig.clock.advance(10 * S);
    let quiet = rig.tick(&[(a, 15_000), (b, 10_000)]).unwrap().signals;
    assert_eq!(quiet, [Signal::Idle { partition: b }, Signal::Clock { bound: START + 8 * S }]);
    // At most once a second.
    rig.clock.advance(999);
    assert!(rig.tick(&[(a, 16_000), (b, 11_000)]).is_none());
    rig.clock.advance(1);
    let quiet = rig.tick(&[(a, 16_000), (b, 11_000)]).unwrap().signals;
    assert_eq!(quiet, [Signal::Clock { bound: START + 9 * S }]);
    // An old event still ends the idleness, without taking the bound back.
    assert_eq!(rig.append(a, 1, START - 60 * S).unwrap().signals, [bound(a, START - 5 * S)]);
    rig.clock.advance(5 * S);
    assert!(rig.tick(&[(a, 1_000), (b, 20_000)]).is_none());
    // All of it survives a restart.
    let before = rig.journal.book.lock().unwrap().ledger.clone();
    drop(rig);
    let rig = Rig::open(dir.path(), options()).unwrap();
    assert_eq!(rig.journal.book.lock().unwrap().ledger, before);
    assert!(before.partitions[&b].idle && !before.partitions[&a].idle);
}

#[test]
fn what_waits_in_the_queue_is_not_silence() {
    let dir = scratch();
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let a = rig.live("a");
    rig.append(a, 1, START).unwrap();
    assert!(rig.tick(&[]).is_none());
}

#[test]
fn recorded_input_is_never_idle_and_needs_no_clock() {
    let dir = scratch();
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let file = rig.register(PartitionSpec::recorded("file", "file"));
    let far = START + 365 * 86_400 * S;
    assert_eq!(rig.append(file, 1, far).unwrap().signals, [bound(file, far - 5 * S)]);
    assert!(rig.tick(&[(file, 1_000_000)]).is_none());
    let (ended, _) = rig.commit(vec![end(file)]).unwrap().unwrap();
    assert_eq!(ended.signals, [bound(file, FOREVER)]);
    assert!(rig.tick(&[(file, 1_000_000)]).is_none(), "nothing is live: no quiet time");
    // It grew after all.
    assert_eq!(rig.append(file, 1, far).unwrap().signals, [bound(file, far - 5 * S)]);
}

#[test]
fn a_recording_holds_the_watermark_before_it_speaks_and_quiet_time_until_it_ends() {
    let dir = scratch();
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let live = rig.live("http");
    let file = rig.register(PartitionSpec::recorded("file", "file"));
    rig.clock.advance(60 * S);
    assert!(rig.tick(&[(live, 60_000)]).is_none(), "quiet time waits for the recording");
    // The first frame, whoever speaks in it, says that the recording is still to come.
    let spoke = rig.append(live, 1, START + 60 * S).unwrap().signals;
    assert_eq!(spoke, [bound(live, START + 55 * S), bound(file, BEGINNING)]);
    assert_eq!(
        rig.append(live, 1, START + 61 * S).unwrap().signals,
        [bound(live, START + 56 * S)],
        "said once"
    );
    let idle = rig.tick(&[(live, 60_000), (file, 60_000)]).unwrap().signals;
    assert_eq!(idle, [Signal::Idle { partition: live }], "the clock does not take over");
    let old = START - 86_400 * S;
    assert_eq!(rig.append(file, 1, old).unwrap().signals, [bound(file, old - 5 * S)]);
    rig.commit(vec![end(file)]).unwrap().unwrap();
    let quiet = rig.tick(&[(live, 90_000), (file, 90_000)]).unwrap().signals;
    assert_eq!(quiet, [Signal::Clock { bound: START + 58 * S }]);
}

#[test]
fn a_polled_partition_is_idle_when_its_source_says_so_and_not_before() {
    let dir = scratch();
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let tail = rig.register(PartitionSpec { polled: true, ..PartitionSpec::live("tail", "file") });
    rig.append(tail, 1, START).unwrap();
    rig.clock.advance(600 * S);
    assert!(rig.tick(&[(tail, 600_000)]).is_none(), "it may be failing, or held back");
    let (said, _) = rig.commit(vec![Input::Idle(tail)]).unwrap().unwrap();
    assert_eq!(said.signals, [Signal::Idle { partition: tail }]);
    let quiet = rig.tick(&[(tail, 601_000)]).unwrap().signals;
    assert_eq!(quiet, [Signal::Clock { bound: START + 598 * S }]);
}

#[test]
fn a_partition_that_nobody_feeds_any_more_lets_go() {
    let dir = scratch();
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let old = rig.register(PartitionSpec::recorded("old", "file"));
    rig.append(old, 1, START).unwrap();
    drop(rig);
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let live = rig.live("live");
    rig.append(live, 1, START).unwrap();
    let said = rig.tick(&[(old, 6_000), (live, 0)]).unwrap().signals;
    assert_eq!(said, [Signal::Idle { partition: old }]);
}

#[test]
fn a_source_can_declare_itself_idle() {
    let dir = scratch();
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let a = rig.live("a");
    let inputs = vec![deliver(a, vec![intake(1, START)]), Input::Idle(a)];
    let (committed, _) = rig.commit(inputs).unwrap().unwrap();
    assert_eq!(committed.signals, [bound(a, START - 5 * S), Signal::Idle { partition: a }]);
    assert!(rig.commit(vec![Input::Idle(a)]).unwrap().is_none(), "said once");
    let (ticked, _) = rig.commit(vec![Input::Tick, Input::Tick]).unwrap().unwrap();
    assert_eq!(ticked.signals, [Signal::Tick]);
}

#[test]
fn an_event_from_the_future_is_a_dead_letter_and_moves_nothing() {
    let dir = scratch();
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let a = rig.live("a");
    let items = vec![intake(1, START + 600_000), intake(2, START + 600_001)];
    let (committed, answers) = rig.commit(vec![deliver(a, items)]).unwrap().unwrap();
    assert_eq!(committed.signals, [bound(a, START + 595_000)]);
    assert_eq!(committed.envelopes.len(), 1);
    let reason = &committed.dead_letters[0].reason;
    assert!(reason.contains("600001 ms ahead of the source's clock"), "{reason}");
    assert_eq!(answers[0].1.rejected, [(1, reason.clone())]);
    // The judgement is journaled: a later limit does not change it.
    let record = frames(dir.path())[0].records[1].clone();
    assert_eq!(record.rejected.as_ref(), Some(reason));
    let free = rig.register(PartitionSpec { max_future_ms: None, ..PartitionSpec::live("b", "t") });
    assert!(rig.append(free, 1, i64::MAX).unwrap().dead_letters.is_empty());
    assert!(rig.append(a, 1, i64::MIN).unwrap().dead_letters.is_empty());
}

#[test]
fn the_thread_looks_at_the_silence_by_the_clock_it_was_given() {
    let dir = scratch();
    let clock = FakeClock::new();
    let options = Options { tick_every: Duration::from_millis(1), ..options() };
    let journal = Journal::open(dir.path(), options, clock.clone()).unwrap();
    let (writer, mut follower) = journal.start(0, JournalWriter::abort_on_fatal()).unwrap();
    let a = writer.register_partition(PartitionSpec::live("a", "test"));
    writer.append(delivery(a, vec![intake(1, START)])).unwrap();
    let first = follower.next(Duration::from_secs(30)).unwrap().unwrap();
    assert_eq!(first.signals, [bound(a, START - 5 * S)]);
    clock.advance(5 * S);
    let quiet = follower.next(Duration::from_secs(30)).unwrap().unwrap();
    let idle = [Signal::Idle { partition: a }, Signal::Clock { bound: START + 3 * S }];
    assert_eq!(quiet.signals, idle);
    assert!(writer.end_partition(a).unwrap().rejected.is_empty());
    let ended = follower.next(Duration::from_secs(30)).unwrap().unwrap();
    assert_eq!(ended.signals, [bound(a, FOREVER)]);
}
