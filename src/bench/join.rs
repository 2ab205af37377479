//! Puts together what the client, the journal, the probe, the page and the receiver noted: each event's way.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use highwater_dataflow::latency;
use highwater_dataflow::view::Stamps;
use highwater_dataflow::{Epoch, EventTime};
use highwater_ingest::journal::{Committed, Scan};
use highwater_model::EventKey;
use highwater_sinks::channel::Message;

use super::feed::Shot;
use super::load::Sent;
use super::probe::Passed;

/// Where an event gets to, in order; the clock runs from when it was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The client got it out: how late the load itself was.
    Sent,
    /// The service had its first byte.
    Received,
    /// In the journal, synced.
    Durable,
    /// The client had the answer.
    Acknowledged,
    /// Computed: the dataflow closed the epoch.
    Closed,
    /// The views' transaction was committed.
    Committed,
    /// A page client had the update.
    Pushed,
    /// The receiver had the alert that it brought about.
    Alerted,
}

impl Stage {
    pub(super) const ALL: [Stage; 8] = [
        Stage::Sent,
        Stage::Received,
        Stage::Durable,
        Stage::Acknowledged,
        Stage::Closed,
        Stage::Committed,
        Stage::Pushed,
        Stage::Alerted,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Stage::Sent => "sent",
            Stage::Received => "received",
            Stage::Durable => "durable",
            Stage::Acknowledged => "acknowledged",
            Stage::Closed => "epoch_closed",
            Stage::Committed => "view_committed",
            Stage::Pushed => "page_pushed",
            Stage::Alerted => "alert_delivered",
        }
    }
}

/// What the steps between the stages are: the first is named by what lies before it.
pub(super) const STEPS: [(Stage, Stage, &str); 5] = [
    (Stage::Sent, Stage::Received, "socket, request parsed"),
    (Stage::Received, Stage::Durable, "decoded, queued, journal synced"),
    (Stage::Durable, Stage::Closed, "exchanged, computed"),
    (Stage::Closed, Stage::Committed, "views committed"),
    (Stage::Committed, Stage::Pushed, "page told"),
];

/// One event's way. `None`: it did not get there, or nobody saw.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) shot: usize,
    pub(super) due: Instant,
    pub(super) at: [Option<Instant>; Stage::ALL.len()],
}

impl Way {
    pub(super) fn after(&self, stage: Stage) -> Option<Duration> {
        Some(self.at[stage as usize]?.saturating_duration_since(self.due))
    }
}

/// A result that had to wait for event time to pass before it could be said: the waiting that was chosen, and the
/// rest, which was not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) chosen: Duration,
    pub(super) after: Duration,
}

/// What was measured.
#[derive(Default)]
pub(super) struct Joined {
    pub(super) ways: Vec<Way>,
    /// Alerts that waited: for the end of a stretch of the schedule, or for the rule's own patience.
    pub(super) alerts_held: Vec<Held>,
    /// Rolling windows, which are told when the watermark passes their end.
    pub(super) windows_held: Vec<Held>,
    /// Alert messages that came while it was measured, repetitions excluded.
    pub(super) alerts: usize,
    /// Events that were not found in the journal: duplicates are left out of the count on purpose.
    pub(super) lost: usize,
    pub(super) duplicates: usize,
}

/// What everybody noted.
pub(super) struct Notes<'a> {
    pub(super) shots: &'a [Shot],
    /// Per event.
    pub(super) sent: &'a [Sent],
    /// Events before this one are warm-up.
    pub(super) measured_from: usize,
    pub(super) passed: Vec<Passed>,
    pub(super) updates: Vec<(u64, Instant)>,
    pub(super) delivered: Vec<(Instant, Message)>,
}

/// An event in the journal.
struct Placed {
    epoch: Epoch,
    received: Option<Instant>,
}

/// Joins them with the journal in `dir`, and lets `look` see its frames.
pub(super) fn with_journal(
    notes: &Notes<'_>,
    dir: &Path,
    mut look: impl FnMut(&Committed),
) -> Result<Joined> {
    let mut scan = Scan::open(dir, 0).context("cannot read the journal")?;
    let mut failed = None;
    let frames = std::iter::from_fn(|| {
        let frame = scan.next_frame().unwrap_or_else(|error| {
            failed = Some(error);
            None
        });
        frame.inspect(&mut look)
    });
    let joined = join(notes, frames);
    match failed {
        Some(error) => Err(error).context("cannot read the journal"),
        None => Ok(joined),
    }
}

/// Joins them; `frames` are the journal's, in order.
fn join(notes: &Notes<'_>, frames: impl Iterator<Item = Committed>) -> Joined {
    let mut by_key: HashMap<EventKey, usize> = HashMap::with_capacity(notes.shots.len());
    let mut twice: HashSet<EventKey> = HashSet::new();
    for (index, shot) in notes.shots.iter().enumerate() {
        match by_key.entry(shot.key) {
            Entry::Vacant(first) => {
                first.insert(index);
            }
            Entry::Occupied(_) => {
                twice.insert(shot.key);
            }
        }
    }
    let passed: HashMap<Epoch, &Passed> = notes.passed.iter().map(|it| (it.epoch, it)).collect();
    let mut placed: Vec<Option<Placed>> = notes.shots.iter().map(|_| None).collect();
    let mut in_epoch: BTreeMap<Epoch, Vec<usize>> = BTreeMap::new();
    for frame in frames {
        let stamps = passed.get(&frame.meta.epoch).map(|passed| &*passed.stamps);
        let received = received(stamps, frame.envelopes.len());
        for (nth, envelope) in frame.envelopes.iter().enumerate() {
            let Some(&shot) = by_key.get(&envelope.key) else { continue };
            if placed[shot].is_none() {
                let received = received.get(nth).copied();
                placed[shot] = Some(Placed { epoch: frame.meta.epoch, received });
                in_epoch.entry(frame.meta.epoch).or_default().push(shot);
            }
        }
    }

    let mut joined = Joined { duplicates: twice.len(), ..Joined::default() };
    let mut way_of: HashMap<usize, usize> = HashMap::new();
    for (shot, place) in placed.iter().enumerate().skip(notes.measured_from) {
        if twice.contains(&notes.shots[shot].key) {
            continue;
        }
        let Some(place) = place else {
            joined.lost += 1;
            continue;
        };
        way_of.insert(shot, joined.ways.len());
        joined.ways.push(way(shot, &notes.sent[shot], place, &passed, &notes.updates));
    }
    alerts(notes, &by_key, &placed, &in_epoch, &passed, &way_of, &mut joined);
    windows(notes, &placed, &mut joined);
    joined
}

fn way(
    shot: usize,
    sent: &Sent,
    place: &Placed,
    passed: &HashMap<Epoch, &Passed>,
    updates: &[(u64, Instant)],
) -> Way {
    let mut way = Way { shot, due: sent.due, at: [None; Stage::ALL.len()] };
    let mut set = |stage: Stage, at: Option<Instant>| way.at[stage as usize] = at;
    set(Stage::Sent, Some(sent.at));
    set(Stage::Received, place.received);
    set(Stage::Acknowledged, sent.answered);
    if let Some(passed) = passed.get(&place.epoch) {
        set(Stage::Durable, passed.stamps.durable);
        set(Stage::Closed, Some(passed.closed));
        set(Stage::Committed, Some(passed.committed));
        let shown = passed.update.and_then(|update| {
            let first = updates.partition_point(|(seq, _)| *seq < update);
            updates.get(first).map(|(_, at)| *at)
        });
        set(Stage::Pushed, shown);
    }
    way
}

/// When each of a frame's events was received; empty where the stamps do not cover all of them.
///
/// The journal notes receptions delivery by delivery, in the order of the frame, with counts per path.
fn received(stamps: Option<&Stamps>, events: usize) -> Vec<Instant> {
    let Some(stamps) = stamps else { return Vec::new() };
    let each = stamps.received.iter();
    let each: Vec<Instant> =
        each.flat_map(|(_, at, n)| std::iter::repeat_n(*at, *n as usize)).collect();
    if each.len() == events { each } else { Vec::new() }
}

/// Finds for each alert message the event that brought it about: the last one of its epoch that it names as a cause,
/// or that speaks of one of its members. Where there is none, the alert had waited for event time to pass.
fn alerts(
    notes: &Notes<'_>,
    by_key: &HashMap<EventKey, usize>,
    placed: &[Option<Placed>],
    in_epoch: &BTreeMap<Epoch, Vec<usize>>,
    passed: &HashMap<Epoch, &Passed>,
    way_of: &HashMap<usize, usize>,
    joined: &mut Joined,
) {
    let Some(begins) = notes.sent.get(notes.measured_from).map(|sent| sent.due) else { return };
    let Some(epochs) = measured(notes, placed) else { return };
    let mut seen = HashSet::new();
    let delivered = notes.delivered.iter();
    for (at, message) in delivered.filter(|(at, it)| begins <= *at && epochs.contains(&it.epoch)) {
        if !seen.insert(&message.dedup_key) {
            continue;
        }
        joined.alerts += 1;
        let named: HashSet<usize> =
            message.causes.iter().filter_map(|id| by_key.get(&EventKey::of(id)).copied()).collect();
        let about = |shot: &usize| {
            let agent = notes.shots[*shot].agent.as_ref();
            named.contains(shot)
                || agent.is_some_and(|agent| message.members.iter().any(|it| it == agent.as_str()))
        };
        let of_epoch = in_epoch.get(&message.epoch).map_or(&[][..], Vec::as_slice);
        if let Some(shot) = of_epoch.iter().rev().find(|shot| about(shot)) {
            if let Some(way) = way_of.get(shot) {
                // Of several alerts that one event brings about, the last counts.
                let alerted = &mut joined.ways[*way].at[Stage::Alerted as usize];
                *alerted = (*alerted).max(Some(*at));
            }
            continue;
        }
        let Some(released) = passed.get(&message.epoch).and_then(|it| entered(it)) else {
            continue;
        };
        let last = named.iter().filter(|it| placed[**it].is_some()).map(|it| notes.sent[*it].due);
        let chosen =
            last.max().map_or(Duration::ZERO, |due| released.saturating_duration_since(due));
        let after = at.saturating_duration_since(released);
        joined.alerts_held.push(Held { chosen, after });
    }
}

/// The epochs of the measured load: what other epochs say is none of its doing.
fn measured(notes: &Notes<'_>, placed: &[Option<Placed>]) -> Option<RangeInclusive<Epoch>> {
    let epochs = placed.get(notes.measured_from..)?.iter().flatten().map(|placed| placed.epoch);
    Some(epochs.clone().min()?..=epochs.max()?)
}

/// When the epoch that let a result go came in.
fn entered(passed: &Passed) -> Option<Instant> {
    passed.stamps.received.iter().map(|(_, at, _)| *at).min().or(passed.stamps.durable)
}

/// A window's wait: from when the first event after its end was to be sent, to the epoch whose watermark passed it.
fn windows(notes: &Notes<'_>, placed: &[Option<Placed>], joined: &mut Joined) {
    let Some(begins) = notes.sent.get(notes.measured_from).map(|sent| sent.due) else { return };
    let Some(epochs) = measured(notes, placed) else { return };
    // The greatest event time so far, by event: it only grows.
    let mut newest = EventTime::MIN;
    let reached: Vec<EventTime> = notes
        .shots
        .iter()
        .zip(placed)
        .map(|(shot, placed)| {
            if placed.is_some() && shot.path != latency::Path::Reference {
                newest = newest.max(shot.at);
            }
            newest
        })
        .collect();
    for passed in notes.passed.iter().filter(|passed| epochs.contains(&passed.epoch)) {
        let Some(released) = entered(passed).filter(|at| begins <= *at) else { continue };
        for end in &passed.windows {
            let first = reached.partition_point(|at| at < end);
            let Some(over) = notes.sent.get(first).map(|sent| sent.due) else { continue };
            let chosen = released.saturating_duration_since(over);
            let after = passed.committed.saturating_duration_since(released);
            joined.windows_held.push(Held { chosen, after });
        }
    }
}

/// An empty histogram of microseconds, three significant digits, up to an hour.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("the bounds are valid")
}

/// The histogram of some durations.
pub(super) fn histogram_of(durations: impl IntoIterator<Item = Duration>) -> Histogram<u64> {
    let mut histogram = histogram();
    for duration in durations {
        histogram.saturating_record((duration.as_micros() as u64).max(1));
    }
    histogram
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::sync::Arc;

    use highwater_dataflow::{Clock, Step};
    use highwater_ingest::journal::{FrameMeta, Recorded};
    use highwater_model::{Envelope, decode};
    use highwater_sinks::channel::Status;

    use super::*;
    use crate::clock::WallClock;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn message(epoch: Epoch, cause: &str, member: &str) -> Message {
        Message {
            alert_id: format!("a-{epoch}"),
            revision: 1,
            dedup_key: format!("a-{epoch}#1"),
            step: Step::Opened,
            status: Status::Open,
            rule: "team_drift".into(),
            scope: "T1".into(),
            from: None,
            to: None,
            value: 3,
            threshold: 3,
            members: vec![member.to_owned()],
            causes: vec![cause.to_owned()],
            causes_count: 1,
            reason: None,
            summary: String::new(),
            epoch,
        }
    }

    fn event(nth: u64) -> Envelope {
        let text = format!(
            r#"{{"event_type":"AgentStateChange","event_id":"e-{nth}","timestamp":"2026-05-15T14:32:07.123Z","agent_id":"A1","previous_state":"available","new_state":"break","state_reason":null,"source":"test"}}"#
        );
        Envelope { seq: nth, ..decode(text.as_bytes()).unwrap().envelope }
    }

    /// Two events in two epochs; the second epoch's alert names an event of the first.
    #[test]
    fn an_alert_without_an_event_of_its_epoch_was_held() {
        let begins = WallClock.instant();
        let shot = |nth: u64| Shot {
            raw: Vec::new(),
            key: EventKey::of(&format!("e-{nth}")),
            path: latency::Path::AgentState,
            at: nth as i64,
            agent: None,
        };
        let shots = [shot(1), shot(2)];
        let due = |nth: u64| begins + ms(10 * nth);
        let sent = |nth| Sent { due: due(nth), at: due(nth), answered: None, status: 202 };
        let passed = |nth: u64| Passed {
            epoch: nth,
            stamps: Arc::new(Stamps {
                received: vec![(latency::Path::AgentState, due(nth) + ms(1), 1)],
                durable: Some(due(nth) + ms(2)),
                replay: false,
            }),
            closed: due(nth) + ms(3),
            committed: due(nth) + ms(4),
            update: Some(nth),
            windows: Vec::new(),
        };
        let frame = |nth: u64| Committed {
            meta: FrameMeta {
                epoch: nth,
                prev_epoch: nth - 1,
                first_seq: nth,
                last_seq: nth,
                clock_ms: 0,
            },
            signals: Vec::new(),
            envelopes: vec![event(nth)],
            recorded: Recorded::default(),
            dead_letters: Vec::new(),
            receipts: Vec::new(),
            stamps: Arc::default(),
        };
        let notes = Notes {
            shots: &shots,
            sent: &[sent(1), sent(2)],
            measured_from: 0,
            passed: vec![passed(1), passed(2)],
            updates: vec![(2, due(2) + ms(5))],
            delivered: vec![
                (due(1) + ms(6), message(1, "e-1", "A1")),
                (due(2) + ms(6), message(2, "e-1", "A1")),
            ],
        };
        let joined = join(&notes, [frame(1), frame(2)].into_iter());
        assert_eq!((joined.ways.len(), joined.lost, joined.alerts), (2, 0, 2));
        assert_eq!(joined.ways[0].after(Stage::Alerted), Some(ms(6)));
        assert_eq!(joined.ways[1].after(Stage::Alerted), None);
        assert_eq!(joined.ways[0].after(Stage::Received), Some(ms(1)));
        // One update told the page of both.
        assert_eq!(joined.ways[0].after(Stage::Pushed), Some(ms(15)));
        let held = joined.alerts_held[0];
        assert_eq!((held.chosen, held.after), (ms(11), ms(5)));
    }
}
