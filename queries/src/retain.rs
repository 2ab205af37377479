//! What of the input still matters once the journal before it is gone: the base that a replay begins with.
//!
//! A restart goes on from a checkpoint; the base is for what has none: another program, other settings, a query that
//! is new. It is folded forward by what retention drops, and keeps
//!
//! - events whose time lies within the longest reach that any query states for their kind ([`NEEDS`]),
//! - the last of each key before that: an agent's state changes of one instant, a queue's snapshot, a shift's highest
//!   version,
//! - everything of contacts that are still open.
//!
//! Everything here is a pure function of what was folded in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use highwater_dataflow::watermark::Progress;
use highwater_dataflow::{EventTime, Millis, Signal};
use highwater_model::{Envelope, Event, EventKey, decode, encode};

use crate::aht_spike;
use crate::contacts::LOST_AFTER;
use crate::input::{Entry, is_reference};
use crate::settings::Settings;

/// A kind of event, as far as retention tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    AgentState,
    Contact,
    QueueUpdate,
    AgentProfile,
    Schedule,
    Mapping,
    QueueProfile,
    Forecast,
    Rule,
}

/// How far behind the watermark a query looks at events of one kind.
pub struct Need {
    pub query: &'static str,
    pub kind: Kind,
    pub reach: fn(&Settings) -> Millis,
}

const DAY: Millis = 86_400_000;

/// What queries need beyond the correction horizon, a line each. The longest reach of a kind counts.
#[rustfmt::skip]
pub const NEEDS: &[Need] = &[
    Need { query: "queue_interval", kind: Kind::Contact, reach: |o| o.interval() + o.allowed_lateness() },
    Need { query: "queue_rolling", kind: Kind::Contact, reach: |o| o.rolling_s * 1000 + o.allowed_lateness() },
    Need { query: "aht_spike", kind: Kind::Contact, reach: aht_spike::reach },
    Need { query: "contact_record", kind: Kind::Contact, reach: |o| 2 * o.correction() },
    Need { query: "contact_record", kind: Kind::AgentProfile, reach: |o| 2 * o.correction() },
    Need { query: "contact_record", kind: Kind::QueueProfile, reach: |o| 2 * o.correction() },
    // Today's so far; the months that a calibration learns from are in checkpoints alone.
    Need { query: "reforecast", kind: Kind::Contact, reach: |o| o.correction() + DAY },
    Need { query: "reforecast", kind: Kind::Forecast, reach: |o| o.correction() + DAY },
    Need { query: "adherence_interval", kind: Kind::AgentState, reach: |o| o.correction() + 2 * DAY },
    Need { query: "adherence_interval", kind: Kind::AgentProfile, reach: |o| o.correction() + 2 * DAY },
    Need { query: "adherence_interval", kind: Kind::Schedule, reach: |o| o.correction() + 2 * DAY },
    Need { query: "payroll_hours", kind: Kind::AgentState, reach: |o| o.correction() + 2 * DAY },
    Need { query: "payroll_hours", kind: Kind::AgentProfile, reach: |o| o.correction() + 2 * DAY },
    Need { query: "adherence_now", kind: Kind::AgentState, reach: |o| o.correction() + 7 * DAY },
    Need { query: "adherence_now", kind: Kind::Schedule, reach: |o| o.correction() + 7 * DAY },
];

/// How far back events of `kind` are kept: the longest reach of any query, and a day beyond the correction horizon at
/// least, so that no interval is cut in two that can still be corrected.
pub fn reach(kind: Kind, settings: &Settings) -> Millis {
    let stated = NEEDS.iter().filter(|need| need.kind == kind).map(|need| (need.reach)(settings));
    stated.fold(settings.correction() + DAY, Millis::max)
}

/// Compacted input; see the file's head.
#[derive(Debug, Default)]
pub struct Base {
    progress: Progress,
    /// By journal position.
    events: BTreeMap<u64, Envelope>,
    /// Those of them that were told from recordings, or as history.
    recorded: BTreeSet<u64>,
}

impl Base {
    /// Takes in a frame: what the journal held after everything that was taken in before.
    ///
    /// What came behind the correction horizon had no effect then and stays out: the base is one epoch, before which
    /// there is no watermark to turn it away by.
    pub fn fold(
        &mut self,
        entries: impl IntoIterator<Item = Entry>,
        signals: &[Signal],
        settings: &Settings,
    ) {
        let oldest = self.progress.watermark().saturating_sub(settings.correction());
        let counted = |event: &Envelope| is_reference(&event.event) || oldest <= event.at;
        self.take(entries, counted, signals);
    }

    /// As [`Base::fold`], of one journal of several, where others say what came too late, or a second time: `refused`.
    pub fn fold_admitted(
        &mut self,
        entries: impl IntoIterator<Item = Entry>,
        signals: &[Signal],
        refused: impl Fn(u64) -> bool,
    ) {
        self.take(entries, |envelope| !refused(envelope.seq), signals);
    }

    fn take(
        &mut self,
        entries: impl IntoIterator<Item = Entry>,
        counts: impl Fn(&Envelope) -> bool,
        signals: &[Signal],
    ) {
        for entry in entries {
            let (envelope, recorded) = match entry {
                Entry::Event(envelope) | Entry::Kept(envelope) => (envelope, false),
                Entry::Recorded(envelope) => (envelope, true),
                Entry::Rejected(_) | Entry::Receipt(_) => continue,
            };
            if counts(&envelope) {
                if recorded {
                    self.recorded.insert(envelope.seq);
                }
                self.events.insert(envelope.seq, envelope);
            }
        }
        for signal in signals {
            self.progress.apply(*signal);
        }
        self.progress.advance();
    }

    /// Forgets what no longer matters to any query with these settings.
    pub fn compact(&mut self, settings: &Settings) {
        self.compact_at(self.progress.watermark(), settings);
    }

    /// As [`Base::compact`] where the watermark of all journals is `watermark`.
    pub fn compact_at(&mut self, watermark: EventTime, settings: &Settings) {
        let oldest =
            |envelope: &Envelope| watermark.saturating_sub(reach(kind(&envelope.event), settings));
        let mut last: BTreeMap<(Kind, String), (EventTime, u64)> = BTreeMap::new();
        let mut ended: BTreeSet<String> = BTreeSet::new();
        for (seq, envelope) in &self.events {
            // What is within reach does not say what was in force where the reach begins.
            if until(envelope) < oldest(envelope) {
                let rank = (rank(envelope), *seq);
                let newest = last.entry(key(&envelope.event)).or_insert(rank);
                *newest = rank.max(*newest);
            }
            if let Event::ContactComplete(_) | Event::ContactAbandoned(_) = &envelope.event {
                ended.insert(key(&envelope.event).1);
            }
        }
        self.events.retain(|seq, envelope| {
            if until(envelope) >= oldest(envelope) {
                return true;
            }
            let key = key(&envelope.event);
            match key.0 {
                // Its end may still come, and is then told with its beginning.
                Kind::Contact => {
                    let lost = watermark.saturating_sub(LOST_AFTER.max(settings.correction()));
                    !ended.contains(&key.1) && envelope.at >= lost
                }
                // What is over and superseded by nothing else has no say in what comes.
                Kind::Schedule | Kind::Forecast => false,
                // Which state holds is for all changes of an instant together to say.
                Kind::AgentState => last.get(&key).is_some_and(|(at, _)| *at == envelope.at),
                _ => last.get(&key) == Some(&(rank(envelope), *seq)),
            }
        });
        self.recorded.retain(|seq| self.events.contains_key(seq));
    }

    /// Everything kept, as input: all of it is one epoch, and no longer says when it came.
    pub fn input(&self) -> (Vec<Entry>, Vec<Signal>) {
        let entry = |envelope: &Envelope| {
            let recorded = self.recorded.contains(&envelope.seq);
            if recorded { Entry::Recorded(envelope.clone()) } else { Entry::Kept(envelope.clone()) }
        };
        (self.events.values().map(entry).collect(), self.progress.signals())
    }

    /// Rows whose time lies before this cannot all be computed again from the base and the journal after it.
    pub fn vouches_from(&self) -> EventTime {
        self.progress.watermark()
    }

    /// How many events it keeps.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// As text that later versions can read: a line per signal, then one per event in the sources' own form.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        for signal in self.progress.signals() {
            let _ = match signal {
                Signal::Bound { partition, bound } => writeln!(text, "bound {partition} {bound}"),
                Signal::Idle { partition } => writeln!(text, "idle {partition}"),
                Signal::Clock { bound } => writeln!(text, "clock {bound}"),
                Signal::Tick => Ok(()),
            };
        }
        for (seq, envelope) in &self.events {
            let word = if self.recorded.contains(seq) { "recorded" } else { "event" };
            let _ =
                writeln!(text, "{word} {seq} {:x} {}", envelope.key.0, encode(envelope, "base"));
        }
        text
    }

    /// Errors: the line that cannot be read.
    pub fn decode(text: &str) -> Result<Base, String> {
        let mut base = Base::default();
        for line in text.lines() {
            let read = || -> Option<Line> {
                let (word, rest) = line.split_once(' ')?;
                Some(match word {
                    "bound" => {
                        let (partition, bound) = rest.split_once(' ')?;
                        let partition = partition.parse().ok()?;
                        Line::Signal(Signal::Bound { partition, bound: bound.parse().ok()? })
                    }
                    "idle" => Line::Signal(Signal::Idle { partition: rest.parse().ok()? }),
                    "clock" => Line::Signal(Signal::Clock { bound: rest.parse().ok()? }),
                    "event" | "recorded" => {
                        let (seq, rest) = rest.split_once(' ')?;
                        let (key, json) = rest.split_once(' ')?;
                        // Earlier versions took it, and it never had an effect.
                        if json.contains(r#""activity_code":null"#) {
                            return Some(Line::Nothing);
                        }
                        let envelope = decode(json.as_bytes()).ok()?.envelope;
                        let key = EventKey(u128::from_str_radix(key, 16).ok()?);
                        let envelope = Envelope { seq: seq.parse().ok()?, key, ..envelope };
                        let known = Box::new(envelope);
                        if word == "event" { Line::Event(known) } else { Line::Recorded(known) }
                    }
                    _ => return None,
                })
            };
            match read().ok_or_else(|| format!("a line of it is not known: {line:.80}"))? {
                Line::Signal(signal) => base.progress.apply(signal),
                Line::Event(envelope) => drop(base.events.insert(envelope.seq, *envelope)),
                Line::Recorded(envelope) => {
                    base.recorded.insert(envelope.seq);
                    base.events.insert(envelope.seq, *envelope);
                }
                Line::Nothing => {}
            }
        }
        base.progress.advance();
        Ok(base)
    }
}

enum Line {
    Signal(Signal),
    Event(Box<Envelope>),
    Recorded(Box<Envelope>),
    Nothing,
}

fn kind(event: &Event) -> Kind {
    match event {
        Event::AgentStateChange(_) => Kind::AgentState,
        Event::ContactArrival(_) | Event::ContactComplete(_) | Event::ContactAbandoned(_) => {
            Kind::Contact
        }
        Event::QueueUpdate(_) => Kind::QueueUpdate,
        Event::AgentProfile(_) => Kind::AgentProfile,
        Event::ScheduleUpdate(_) => Kind::Schedule,
        Event::ActivityMapping(_) => Kind::Mapping,
        Event::QueueProfile(_) => Kind::QueueProfile,
        Event::ForecastRefresh(_) | Event::ForecastUpdate(_) => Kind::Forecast,
        Event::RuleUpdate(_) => Kind::Rule,
    }
}

/// What an event is about: of several about the same the last counts.
fn key(event: &Event) -> (Kind, String) {
    let about = match event {
        Event::AgentStateChange(e) => e.agent.to_string(),
        Event::ContactArrival(e) => format!("{}\n{}", e.queue, e.contact),
        Event::ContactComplete(e) => format!("{}\n{}", e.queue, e.contact),
        Event::ContactAbandoned(e) => format!("{}\n{}", e.queue, e.contact),
        Event::QueueUpdate(e) => e.queue.to_string(),
        Event::ForecastRefresh(e) => e.queue.to_string(),
        Event::AgentProfile(e) => e.agent.to_string(),
        Event::ScheduleUpdate(e) => format!("{}\n{}", e.agent, e.shift),
        Event::ActivityMapping(e) => format!("{:?}\n{:?}", e.activity, e.state),
        Event::QueueProfile(e) => e.queue.to_string(),
        Event::ForecastUpdate(e) => format!("{}\n{}", e.queue, e.interval_start_at),
        Event::RuleUpdate(e) => format!("{}\n{:?}", e.rule, e.scope),
    };
    (kind(event), about)
}

/// Of several events about the same, the one with the greatest rank is in force.
fn rank(envelope: &Envelope) -> i64 {
    match &envelope.event {
        Event::ScheduleUpdate(e) => e.version,
        Event::ForecastUpdate(e) => e.version,
        _ => envelope.at,
    }
}

/// Until when, in event time, an event says something.
fn until(envelope: &Envelope) -> EventTime {
    match &envelope.event {
        Event::ScheduleUpdate(e) => {
            e.activities.iter().map(|a| a.end_at).fold(envelope.at, EventTime::max)
        }
        Event::ForecastUpdate(e) => e.interval_end_at.max(envelope.at),
        _ => envelope.at,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use highwater_model::{AgentState, AgentStateChange, Channel, ContactArrival, ContactComplete};

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn state(seq: u64, agent: &str, at: i64) -> Envelope {
        let event = Event::AgentStateChange(AgentStateChange {
            agent: agent.into(),
            previous: AgentState::Unknown,
            new: AgentState::Break,
            reason: None,
            queue: None,
            contact: None,
            source: None,
        });
        Envelope { seq, key: EventKey(u128::from(seq) << 70), at, event }
    }

    fn arrival(seq: u64, contact: &str, at: i64) -> Envelope {
        let event = Event::ContactArrival(ContactArrival {
            contact: contact.into(),
            queue: "sales".into(),
            channel: Channel::Voice,
            estimated_handle_s: None,
        });
        Envelope { seq, key: EventKey(seq.into()), at, event }
    }

    fn complete(seq: u64, contact: &str, at: i64) -> Envelope {
        let event = Event::ContactComplete(ContactComplete {
            contact: contact.into(),
            queue: "sales".into(),
            agent: "a".into(),
            handle_ms: 1,
            talk_ms: 1,
            hold_ms: 0,
            acw_ms: 0,
            disposition: None,
            transfer: false,
            wait_ms: None,
        });
        Envelope { seq, key: EventKey(seq.into()), at, event }
    }

    fn fold(
        base: &mut Base,
        events: impl IntoIterator<Item = Envelope>,
        signals: &[Signal],
        settings: &Settings,
    ) {
        base.fold(events.into_iter().map(Entry::Event), signals, settings);
    }

    fn seqs(base: &Base) -> Vec<u64> {
        base.events.keys().copied().collect()
    }

    #[test]
    fn the_last_state_stays_and_recent_ones_do() {
        let settings = Settings::default();
        let now = 1_000 * DAY;
        let mut base = Base::default();
        let states = [state(1, "a", now - 300 * DAY), state(2, "a", now - 200 * DAY)];
        fold(&mut base, states, &[], &settings);
        fold(
            &mut base,
            [state(3, "b", now - 300 * DAY), state(4, "b", now - HOUR), state(5, "b", now)],
            &[Signal::Bound { partition: 1, bound: now }],
            &settings,
        );
        base.compact(&settings);
        assert_eq!(seqs(&base), [2, 3, 4, 5], "the last of before, and everything within reach");
    }

    #[test]
    fn of_the_last_instant_before_every_change_stays() {
        let settings = Settings::default();
        let now = 1_000 * DAY;
        let then = now - 200 * DAY;
        let mut base = Base::default();
        fold(
            &mut base,
            [state(1, "a", then), state(2, "a", then - 1), state(3, "a", then)],
            &[Signal::Bound { partition: 1, bound: now }],
            &settings,
        );
        base.compact(&settings);
        assert_eq!(seqs(&base), [1, 3], "which of them holds is for both to say");
    }

    #[test]
    fn a_mapping_of_no_activity_is_nothing() {
        let line = r#"event 7 1 {"event_type":"ActivityMapping","event_id":"e","timestamp":"2026-01-01T00:00:00Z","activity_code":null,"state":"away","verdict":"in"}"#;
        let base = Base::decode(&format!("bound 1 5\n{line}\n")).unwrap();
        assert!(base.is_empty());
    }

    #[test]
    fn contacts_stay_while_they_are_open() {
        let settings = Settings::default();
        let now = 1_000 * DAY;
        let mut base = Base::default();
        fold(
            &mut base,
            [
                arrival(1, "lost", now - 8 * DAY),
                arrival(2, "open", now - 5 * DAY),
                arrival(3, "over", now - 5 * DAY),
                complete(4, "over", now - 5 * DAY + HOUR),
                arrival(5, "new", now - HOUR),
            ],
            &[Signal::Bound { partition: 1, bound: now }],
            &settings,
        );
        base.compact(&settings);
        assert_eq!(seqs(&base), [2, 5]);
    }

    /// Judged by the watermark before its frame, as at the door.
    #[test]
    fn what_was_turned_away_stays_out() {
        let settings = Settings::default();
        let (now, correction) = (1_000 * DAY, settings.correction());
        let bound = |bound| [Signal::Bound { partition: 1, bound }];
        let mut base = Base::default();
        fold(&mut base, [arrival(1, "first", now - 2 * correction)], &bound(now), &settings);
        let too_late = complete(2, "first", now - correction - 1);
        let in_time = arrival(3, "second", now - correction);
        fold(&mut base, [too_late, in_time], &bound(now + correction), &settings);
        assert_eq!(seqs(&base), [1, 3]);
    }

    #[test]
    fn text_and_back() {
        let mut base = Base::default();
        let signals = [
            Signal::Bound { partition: 1, bound: 77 },
            Signal::Idle { partition: 1 },
            Signal::Bound { partition: 2, bound: 99 },
            Signal::Clock { bound: 50 },
        ];
        fold(
            &mut base,
            [state(3, "a", 5), arrival(9, "quoted \" \\n, \u{2028} not broken", 6)],
            &signals,
            &Settings::default(),
        );
        let recording = [Entry::Recorded(state(12, "b", 7))];
        base.fold(recording, &[], &Settings::default());
        let again = Base::decode(&base.encode()).unwrap();
        assert_eq!(again.events, base.events);
        assert_eq!(again.recorded, BTreeSet::from([12]));
        assert_eq!(again.input(), base.input());
        assert!(Base::decode("event 1 zz {}").is_err());
    }

    #[test]
    fn every_need_names_a_query_or_a_rule() {
        for need in NEEDS {
            let queries = crate::registry::QUERIES.iter().map(|query| query.name);
            let mut known = queries.chain(crate::registry::RULES.iter().map(|rule| rule.name));
            assert!(known.any(|name| name == need.query), "{}", need.query);
        }
    }
}
