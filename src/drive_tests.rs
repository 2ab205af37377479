//! Tests of driving: against a real journal, with a source and a clock that the test makes.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};

use highwater_dataflow::{FOREVER, Signal};
use highwater_ingest::journal::{Committed, Follower, Journal, Options, PartitionSpec};
use highwater_ingest::source::SourceError;
use tempfile::TempDir;

use super::*;

/// Advances by a second each time it is asked, so that nothing waits for the wall.
struct Ticking(AtomicI64, Instant);

impl Clock for Ticking {
    fn now_ms(&self) -> EventTime {
        self.0.fetch_add(1_000, Ordering::Relaxed)
    }
    fn instant(&self) -> Instant {
        self.1 + Duration::from_millis(self.0.load(Ordering::Relaxed) as u64)
    }
}

/// Plays what it was given, one step a poll.
struct Script {
    steps: VecDeque<Step>,
    position: u64,
}

enum Step {
    /// Event times on a partition.
    Events(usize, Vec<EventTime>),
    Nothing,
    Fail(io::ErrorKind),
}

impl Source for Script {
    type Config = Vec<Step>;

    fn partitions(_: &Vec<Step>) -> Vec<String> {
        vec!["left".into(), "right".into()]
    }

    fn open(steps: Vec<Step>, _: &[Option<u64>]) -> Result<Self, SourceError> {
        Ok(Script { steps: steps.into(), position: 0 })
    }

    fn poll(&mut self, now: EventTime, out: &mut Vec<Intake>) -> Result<Polled, SourceError> {
        let polled = |partition, next| Ok(Polled { partition, received_at: now, next });
        match self.steps.pop_front() {
            None => polled(0, Next::Done),
            Some(Step::Nothing) => polled(0, Next::At(now)),
            Some(Step::Fail(kind)) => {
                Err(SourceError::Read { path: "events.jsonl".into(), source: kind.into() })
            }
            Some(Step::Events(partition, times)) => {
                for at in times {
                    self.position += 1;
                    out.push(event(self.position, at));
                }
                polled(partition, Next::Ready)
            }
        }
    }

    fn position(&self, _: usize) -> u64 {
        self.position
    }
}

fn event(position: u64, at: EventTime) -> Intake {
    let raw = format!(
        r#"{{"event_type":"AgentStateChange","event_id":"e{position}","timestamp":"{}","agent_id":"A1","previous_state":"dancing","new_state":"on_call","colour":"red"}}"#,
        highwater_model::format_ms(at)
    );
    let intake = Intake::native(raw.into_bytes(), position);
    assert!(intake.decoded.is_ok(), "{:?}", intake.decoded);
    intake
}

struct Rig {
    road: Road,
    follower: Follower,
    partitions: Vec<PartitionId>,
    _dir: TempDir,
}

#[expect(clippy::disallowed_methods, reason = "an origin, from which only steps count")]
fn rig_of(spec: fn(&'static str, &'static str) -> PartitionSpec) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(Ticking(AtomicI64::new(1_000_000), Instant::now()));
    let journal = Journal::open(dir.path(), Options::default(), clock.clone()).unwrap();
    let (writer, follower) = journal.start(0, JournalWriter::abort_on_fatal()).unwrap();
    let register = |name: &&'static str| writer.register_partition(spec(name, "script"));
    let partitions = ["left", "right"].iter().map(register).collect();
    let heard = Arc::new(Heard::new(clock.clone()));
    Rig {
        road: Road {
            writer,
            clock,
            heard,
            stop: Stop::default(),
            idle_after: Duration::from_secs(3),
            answered: Arc::new(|| Epoch::MAX),
        },
        follower,
        partitions,
        _dir: dir,
    }
}

fn rig() -> Rig {
    rig_of(PartitionSpec::recorded)
}

impl Rig {
    fn drive(&self, steps: Vec<Step>) -> Result<Driven> {
        let mut script = Script::open(steps, &[]).unwrap();
        drive(&mut script, &self.partitions, false, &self.road, |_| Ok(()))
    }

    fn drive_live(&self, steps: Vec<Step>) -> Result<Driven> {
        let mut script = Script::open(steps, &[]).unwrap();
        drive(&mut script, &self.partitions, true, &self.road, |_| Ok(()))
    }

    fn journaled(&mut self) -> Vec<Committed> {
        self.road.writer.close();
        let mut frames = Vec::new();
        while !self.follower.ended() {
            frames.extend(self.follower.next(Duration::from_secs(10)).unwrap());
        }
        frames
    }
}

#[test]
fn a_source_is_driven_to_its_end() {
    let mut rig = rig();
    let steps = vec![
        Step::Events(0, vec![1_000, 2_000]),
        Step::Nothing,
        Step::Fail(io::ErrorKind::Interrupted),
        Step::Events(1, vec![3_000]),
    ];
    assert_eq!(rig.drive(steps).unwrap(), Driven::Done);
    end(&rig.partitions, &rig.road).unwrap();
    assert_eq!(rig.road.heard.events(), 3);
    assert_eq!(rig.road.writer.resume_position(rig.partitions[1]), Some(3));
    let frames = rig.journaled();
    let at: Vec<_> = frames.iter().flat_map(|it| &it.envelopes).map(|it| it.at).collect();
    assert_eq!(at, [1_000, 2_000, 3_000]);
    let ended = |signal: &&Signal| matches!(signal, Signal::Bound { bound: FOREVER, .. });
    assert_eq!(frames.iter().flat_map(|it| &it.signals).filter(ended).count(), 2);
}

/// The clock moves a second each time it is asked: with three seconds of patience the failures alone would do.
#[test]
fn a_live_source_is_idle_when_it_was_asked_at_its_head_and_not_while_it_fails() {
    let idle = |steps: Vec<Step>| {
        let mut rig = rig();
        rig.drive_live(steps).unwrap();
        let frames = rig.journaled();
        let signals: Vec<Signal> = frames.into_iter().flat_map(|it| it.signals).collect();
        signals.iter().filter(|signal| matches!(signal, Signal::Idle { .. })).count()
    };
    let fails = || Step::Fail(io::ErrorKind::Interrupted);
    assert_eq!(idle(vec![Step::Events(0, vec![1_000]), fails(), fails()]), 0);
    let silent = vec![Step::Events(0, vec![1_000]), Step::Nothing, Step::Nothing, Step::Nothing];
    assert_eq!(idle(silent), 2, "both of its partitions");
}

/// What a source tells of the time before it was asked is no latency of ours, and neither is what waits behind it.
#[test]
fn history_and_what_waits_behind_it_are_not_stamped() {
    let told = |answered: fn() -> Epoch| {
        let mut rig = rig();
        rig.road.answered = Arc::new(answered);
        let history = vec![Step::Events(0, vec![1_000]), Step::Nothing];
        let steps = history.into_iter().chain([Step::Events(0, vec![2_000])]);
        rig.drive(steps.collect()).unwrap();
        let stamped = |frame: &Committed| !frame.stamps.received.is_empty();
        let frames = rig.journaled();
        let events = |frame: &Committed| {
            let stamped = stamped(frame);
            frame.envelopes.iter().map(|it| (it.at, stamped)).collect::<Vec<_>>()
        };
        frames.iter().flat_map(events).collect::<Vec<(EventTime, bool)>>()
    };
    assert_eq!(told(|| Epoch::MAX), [(1_000, false), (2_000, true)]);
    assert_eq!(told(|| 0), [(1_000, false), (2_000, false)], "not answered yet");
}

/// What a live source held when it was first asked is as old as it is. What it had to tell after a restart came late.
#[test]
fn only_what_came_before_a_source_was_ever_asked_is_history() {
    let told = |spec: fn(&'static str, &'static str) -> PartitionSpec| {
        let mut rig = rig_of(spec);
        let first = vec![
            Step::Events(0, vec![1_000]),
            Step::Nothing,
            Step::Events(0, vec![2_000]),
            // Another file of the source, of which nothing was heard yet.
            Step::Events(1, vec![3_000]),
        ];
        rig.drive_live(first).unwrap();
        rig.drive_live(vec![Step::Events(0, vec![4_000]), Step::Events(1, vec![5_000])]).unwrap();
        let frames = rig.journaled();
        let events = |frame: &Committed| {
            let recorded = |seq| frame.recorded.holds(seq);
            frame.envelopes.iter().map(|it| (it.at, recorded(it.seq))).collect::<Vec<_>>()
        };
        frames.iter().flat_map(events).collect::<Vec<(EventTime, bool)>>()
    };
    let live = told(PartitionSpec::live);
    let should = [(1_000, true), (2_000, false), (3_000, false), (4_000, false), (5_000, false)];
    assert_eq!(live, should);
    assert!(told(PartitionSpec::recorded).iter().all(|(_, it)| *it));
}

/// Whatever the source: fields and values that nobody knows are counted, and receipts tell how late what came was.
#[test]
fn what_nobody_knows_is_counted_and_receipts_are_written() {
    let mut rig = rig();
    rig.drive(vec![Step::Events(0, vec![1_000, 5_000]), Step::Events(1, vec![3_000])]).unwrap();
    let unknown = rig.road.heard.unknown();
    let counts: Vec<_> = unknown.iter().map(|(_, n)| (n.fields, n.values)).collect();
    assert_eq!(counts, [(2, 2), (1, 1)]);
    let frames = rig.journaled();
    let receipts: Vec<_> = frames.iter().flat_map(|frame| &frame.receipts).collect();
    let names: Vec<_> = receipts.iter().map(|it| it.partition.as_str()).collect();
    assert_eq!(names, ["left", "right"]);
    assert_eq!((receipts[0].events, receipts[0].newest), (2, Some(5_000)));
    // The first was asked for when the clock said so.
    let lags: Vec<_> =
        receipts[0].lags.iter().map(|(lag, n)| (receipts[0].received_at - lag, *n)).collect();
    assert_eq!(lags, [(5_000, 1), (1_000, 1)]);
}

#[test]
fn a_failure_that_no_retry_mends_ends_it() {
    let rig = rig();
    let failure = rig.drive(vec![Step::Fail(io::ErrorKind::InvalidData)]).unwrap_err();
    assert!(failure.to_string().contains("events.jsonl"), "{failure:#}");
}

#[test]
fn told_to_stop_it_stops() {
    let rig = rig();
    rig.road.stop.say();
    assert_eq!(rig.drive(vec![Step::Events(0, vec![1])]).unwrap(), Driven::Stopped);
    assert_eq!(rig.road.heard.events(), 0);
}

#[test]
fn a_closed_journal_ends_it() {
    let rig = rig();
    rig.road.writer.close();
    assert!(rig.drive(vec![Step::Events(0, vec![1])]).is_err());
}

/// A frame that spans days would have its first events judged by the watermark of its last.
#[test]
fn a_delivery_spans_an_hour_at_most() {
    let hour = SPAN_MS;
    let times = [0, 10, hour, hour + 1, 3 * hour, 2 * hour, 50 * hour];
    let items = times.iter().map(|at| event(1, *at)).collect();
    let cut: Vec<Vec<EventTime>> = pieces(items)
        .iter()
        .map(|piece| piece.iter().map(|item| item.decoded.as_ref().unwrap().at).collect())
        .collect();
    assert_eq!(cut, [vec![0, 10, hour], vec![hour + 1], vec![3 * hour, 2 * hour], vec![50 * hour]]);
    assert!(pieces(Vec::new()).is_empty());
}

#[test]
fn a_partition_is_idle_only_while_another_speaks() {
    let mut rig = rig();
    let mut steps = vec![Step::Events(0, vec![1_000]), Step::Events(1, vec![1_000])];
    steps.extend([Step::Nothing, Step::Events(1, vec![2_000]), Step::Nothing, Step::Nothing]);
    rig.drive(steps).unwrap();
    let idle: Vec<_> = rig
        .journaled()
        .iter()
        .flat_map(|frame| frame.signals.clone())
        .filter(|signal| matches!(signal, Signal::Idle { .. }))
        .collect();
    assert_eq!(idle, [Signal::Idle { partition: rig.partitions[0] }]);
}
