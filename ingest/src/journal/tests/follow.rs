//! The follower hands out every frame once, in order, wherever it has to get it from.

use std::time::Duration;

use super::super::*;
use super::rig::*;

const SOON: Duration = Duration::from_secs(30);

fn start(dir: &std::path::Path, options: Options, after: u64) -> (JournalWriter, Follower) {
    let journal = Journal::open(dir, options, FakeClock::new()).unwrap();
    journal.start(after, JournalWriter::abort_on_fatal()).unwrap()
}

fn drain(follower: &mut Follower) -> Vec<Committed> {
    std::iter::from_fn(|| follower.next(Duration::ZERO).unwrap()).collect()
}

#[test]
fn a_lagging_follower_gets_every_frame_once_in_order() {
    let dir = scratch();
    // Room for two frames in memory, segments of a few frames, queue of one frame at a time.
    let options = Options { outlet_frames: 2, segment_bytes: 4_000, frame_events: 1, ..options() };
    let (writer, mut follower) = start(dir.path(), options, 0);
    let http = writer.register_partition(PartitionSpec::live("http", "test"));
    let mut got = vec![];
    let mut n = 0;
    // The follower falls behind by ever more, catches up in part, and falls behind again.
    for burst in [1_u64, 2, 3, 10, 1, 40, 2, 100, 1] {
        for _ in 0..burst {
            n += 1;
            let item = if n % 7 == 0 { garbage(n) } else { intake(n, START + n as i64) };
            writer.append(delivery(http, vec![item])).unwrap();
        }
        for _ in 0..=burst / 2 {
            got.extend(follower.next(Duration::ZERO).unwrap());
        }
    }
    got.extend(drain(&mut follower));
    assert!(writer.status().overflowed > 50);
    let seqs: Vec<u64> = got.iter().map(|committed| committed.meta.first_seq).collect();
    assert_eq!(seqs, (1..=n).collect::<Vec<_>>());
    assert!(got.windows(2).all(|pair| pair[1].meta.prev_epoch == pair[0].meta.epoch));
    for committed in &got {
        let seq = committed.meta.first_seq;
        assert_eq!(committed.envelopes.len() + committed.dead_letters.len(), 1);
        assert!(committed.envelopes.iter().all(|envelope| envelope.seq == seq));
        assert!(
            committed.dead_letters.iter().all(|dead| dead.seq == seq && dead.partition == "http")
        );
        assert!(!committed.stamps.replay);
        assert!(committed.stamps.durable.is_some(), "latency counts when it is worst");
    }
    // The same frames come again after a restart, as replay, then live ones.
    writer.close();
    assert!(follower.ended());
    drop((writer, follower));
    let (writer, mut follower) = start(dir.path(), super::rig::options(), 0);
    let again = drain(&mut follower);
    assert_eq!(again.len(), got.len());
    for (before, after) in got.iter().zip(&again) {
        assert_eq!(
            (before.meta, &before.signals, &before.envelopes, &before.dead_letters),
            (after.meta, &after.signals, &after.envelopes, &after.dead_letters)
        );
        assert!(after.stamps.replay && after.stamps.received.is_empty());
    }
    writer.register_partition(PartitionSpec::live("http", "test"));
    writer.append(delivery(http, vec![intake(1, START)])).unwrap();
    let live = follower.next(SOON).unwrap().unwrap();
    assert_eq!((live.meta.first_seq, live.stamps.replay), (n + 1, false));
    assert_eq!(live.stamps.received.len(), 1);
}

#[test]
fn a_follower_starts_after_a_checkpoint() {
    let dir = scratch();
    let small = Options { segment_bytes: 2_000, ..options() };
    let mut rig = Rig::open(dir.path(), small.clone()).unwrap();
    let http = rig.live("http");
    let epochs: Vec<u64> =
        (0..40).map(|i| rig.append(http, 5, START + i).unwrap().meta.epoch).collect();
    drop(rig);
    for (at, &epoch) in epochs.iter().enumerate() {
        let (_writer, mut follower) = start(dir.path(), small.clone(), epoch);
        let rest: Vec<u64> = drain(&mut follower).iter().map(|c| c.meta.epoch).collect();
        assert_eq!(rest, epochs[at + 1..]);
    }
    let (writer, follower) = start(dir.path(), small.clone(), 0);
    let whole = files::list(dir.path()).unwrap();
    let going = whole.windows(2).filter(|pair| pair[1].first_seq <= 100).count();
    assert!(going > 1);
    assert_eq!(writer.drop_before(100).unwrap(), going);
    drop((writer, follower));
    let journal = Journal::open(dir.path(), small.clone(), FakeClock::new()).unwrap();
    let gone = journal.start(epochs[2], JournalWriter::abort_on_fatal()).err().unwrap();
    assert!(matches!(gone, JournalError::Gone { .. }), "{gone}");
    // From the beginning means from what is retained.
    let (_writer, mut follower) = start(dir.path(), small, 0);
    let first = follower.next(SOON).unwrap().unwrap();
    assert!(first.meta.prev_epoch > 0 && first.stamps.replay);
    assert_eq!(drain(&mut follower).last().unwrap().meta.epoch, epochs[39]);
}

#[test]
fn frames_flow_while_the_writer_runs_at_full_speed() {
    let dir = scratch();
    let options = Options { outlet_frames: 3, segment_bytes: 50_000, ..options() };
    let (writer, mut follower) = start(dir.path(), options, 0);
    let http = writer.register_partition(PartitionSpec::live("http", "test"));
    let feeder = std::thread::spawn(move || {
        for n in 0..400_u64 {
            let items = (0..5).map(|i| intake(n * 5 + i, START)).collect();
            writer
                .submit(delivery(http, items), Box::new(|outcome| drop(outcome.unwrap())))
                .unwrap();
        }
        writer.close();
    });
    let mut seqs = vec![];
    while !follower.ended() {
        if let Some(committed) = follower.next(Duration::from_millis(50)).unwrap() {
            seqs.extend(committed.envelopes.iter().map(|envelope| envelope.seq));
        }
    }
    feeder.join().unwrap();
    assert_eq!(seqs, (1..=2_000).collect::<Vec<u64>>());
}

#[test]
fn a_record_that_no_longer_decodes_is_a_dead_letter_on_replay() {
    let dir = scratch();
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let http = rig.live("http");
    rig.append(http, 2, START).unwrap();
    drop(rig);
    let stricter = Options { decode: |_, _| Err("no longer".into()), ..options() };
    let (_writer, mut follower) = start(dir.path(), stricter, 0);
    let committed = follower.next(SOON).unwrap().unwrap();
    assert!(committed.envelopes.is_empty());
    assert_eq!(committed.dead_letters.len(), 2);
    assert_eq!(committed.dead_letters[1].reason, "no longer");
}

/// Whoever follows, from memory or from the segments, hears of each record whether it was told as it happened.
#[test]
fn what_is_recorded_stays_known_as_that() {
    let dir = scratch();
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let (http, tape) = (rig.live("http"), rig.register(PartitionSpec::recorded("tape", "test")));
    let items = |from: u64, n: u64| (from..from + n).map(|i| intake(i, START)).collect::<Vec<_>>();
    let mut history = deliver(http, items(6, 2));
    if let super::super::assemble::Input::Delivery(queued) = &mut history {
        queued.delivery.history = true;
    }
    let inputs = vec![
        deliver(http, items(1, 1)),
        deliver(tape, items(2, 2)),
        deliver(http, items(4, 2)),
        history,
        deliver(tape, vec![garbage(8)]),
    ];
    let (mut committed, _) = rig.commit(inputs).unwrap().unwrap();
    let recorded: Vec<u64> = (0..=9).filter(|seq| committed.recorded.holds(*seq)).collect();
    assert_eq!(recorded, [2, 3, 6, 7, 8]);
    drop(rig);
    let (_writer, mut follower) = start(dir.path(), options(), 0);
    let again = drain(&mut follower).remove(0);
    assert_eq!(again.recorded, committed.recorded);
    committed.recorded.renumber(|seq| seq + 100);
    let moved: Vec<u64> = (1..=200).filter(|seq| committed.recorded.holds(*seq)).collect();
    assert_eq!(moved, [102, 103, 106, 107, 108]);
}
