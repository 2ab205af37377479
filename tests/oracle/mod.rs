//! Batch oracles: what every view must hold after an epoch, from first principles.
//!
//! Each oracle is plain Rust over the list of everything that was let in so far: loops and maps, nothing of the
//! dataflow, no definitions shared with the queries. Only the door, the watermark and windows that are final
//! depend on the order in which epochs came, and carry that much over from one epoch to the next.

pub(crate) mod accrual;
pub(crate) mod adherence;
pub(crate) mod adherence_interval;
pub(crate) mod adherence_now;
pub(crate) mod agent_sessions;
pub(crate) mod agent_states;
pub(crate) mod agent_stuck;
pub(crate) mod aht_spike;
pub(crate) mod alarms;
pub(crate) mod consumer_lag;
pub(crate) mod contact_record;
pub(crate) mod contacts;
pub(crate) mod dead_letter_rate;
pub(crate) mod dead_letters;
pub(crate) mod feed_silent;
pub(crate) mod forecast_refresh;
pub(crate) mod late_events;
pub(crate) mod mapping_missing;
pub(crate) mod payroll_hours;
pub(crate) mod progress;
pub(crate) mod queue_interval;
pub(crate) mod queue_now;
pub(crate) mod queue_overflow;
pub(crate) mod queue_reconciliation;
pub(crate) mod queue_rolling;
pub(crate) mod reforecast;
pub(crate) mod reforecast_accuracy;
pub(crate) mod rules;
pub(crate) mod source_lag;
pub(crate) mod spent;
pub(crate) mod staffing;
pub(crate) mod sums;
pub(crate) mod team_drift;
pub(crate) mod unmapped_states;
pub(crate) mod volume_surge;
pub(crate) mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use highwater_dataflow::view::{Row, Value};
use highwater_dataflow::{EventTime, Signal};
use highwater_model::{AgentId, Envelope};
use highwater_queries::registry::views;
use highwater_queries::settings::ClosedSide;
use highwater_queries::{Entry, Settings};

use alarms::Stretch;
use consumer_lag::Arrived;

/// One epoch of input.
#[derive(Clone, Debug)]
pub(crate) struct Epoch {
    pub(crate) number: u64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) signals: Vec<Signal>,
}

/// The rows of every view, by view and key.
pub(crate) type Contents = BTreeMap<&'static str, BTreeMap<String, Row>>;

/// What must be so after an epoch.
pub(crate) struct Expected {
    pub(crate) watermark: EventTime,
    /// All views but `alerts`, whose rows also tell how they came to be known.
    pub(crate) views: Contents,
    /// What the rules must claim, no more and no less, sorted.
    pub(crate) alarms: Vec<Stretch>,
    /// What time alone did to agents, by the records it follows from.
    pub(crate) passed: BTreeMap<AgentId, BTreeSet<u64>>,
}

/// All oracles, fed epoch by epoch.
pub(crate) struct Oracle {
    settings: Settings,
    progress: progress::Progress,
    door: late_events::Door,
    arrived: Vec<Arrived>,
    intervals: queue_interval::Intervals,
    rolling: queue_rolling::Rolling,
    adherence: adherence_interval::Adherence,
    payroll: payroll_hours::Payroll,
    reconciliation: queue_reconciliation::Reconciliation,
    lag: source_lag::Lag,
    days: reforecast::Days,
}

impl Oracle {
    pub(crate) fn new(settings: &Settings) -> Self {
        Oracle {
            settings: settings.clone(),
            progress: progress::Progress::default(),
            door: late_events::Door::new(settings),
            arrived: Vec::new(),
            intervals: queue_interval::Intervals::new(settings),
            rolling: queue_rolling::Rolling::new(settings),
            adherence: adherence_interval::Adherence::new(settings),
            payroll: payroll_hours::Payroll::new(settings),
            reconciliation: queue_reconciliation::Reconciliation::new(settings),
            lag: source_lag::Lag::new(settings),
            days: reforecast::Days::new(settings),
        }
    }

    /// All that was let in so far.
    pub(crate) fn known(&self) -> &[Envelope] {
        &self.door.known
    }

    /// Takes an epoch in and says what must be so after it.
    pub(crate) fn after(&mut self, epoch: &Epoch) -> Expected {
        let before = self.progress.watermark;
        self.progress.hear(&epoch.signals);
        let watermark = self.progress.watermark;
        let news = self.door.known.len();
        self.door.admit(&epoch.entries, before);
        let known = &self.door.known;
        // What was not told as it happened did not come late.
        let live = |envelope: &&Envelope| {
            let told = |entry: &Entry| matches!(entry, Entry::Event(it) if it.seq == envelope.seq);
            epoch.entries.iter().any(told)
        };
        for envelope in known[news..].iter().filter(live) {
            if let (kind, false) = late_events::kind(&envelope.event) {
                let (at, seq) = (envelope.at, envelope.seq);
                self.arrived.push(Arrived { kind, at, seq, epoch: epoch.number });
            }
        }

        let told = contacts::told(known, watermark);
        let outcomes = contacts::outcomes(&told);
        let histories = adherence::histories(known, watermark);
        let mut views = Contents::new();
        for view in views_named() {
            views.entry(view).or_default();
        }
        let (intervals, late) = self.intervals.rows(known, &told, before, watermark);
        let shift = i64::from(self.settings.closed == ClosedSide::Right);
        let now = queue_now::rows(known, &outcomes, &intervals, shift, watermark);
        put(&mut views, "queue_now", now);
        put(&mut views, "queue_interval", intervals);
        put(&mut views, "late_elements", late);
        let (reconciled, late) = self.reconciliation.rows(known, &told, before);
        put(&mut views, "queue_reconciliation", reconciled);
        put(&mut views, "late_elements", late);
        let (lags, late) = self.lag.rows(&epoch.entries, before, watermark);
        put(&mut views, "source_lag", lags);
        put(&mut views, "late_elements", late);
        put(&mut views, "contact_record", contact_record::rows(known));
        let (rolling, late) = self.rolling.rows(known, &told, before, watermark);
        put(&mut views, "queue_rolling", rolling);
        put(&mut views, "late_elements", late);
        let surges = volume_surge::alarms(known, &outcomes, watermark, &self.settings);
        self.days.follow(known, &outcomes, &surges, watermark);
        put(&mut views, "reforecast", self.days.rows(known));
        put(&mut views, "staffing", staffing::rows(known, &self.days, &self.settings));
        put(&mut views, "forecast_refresh", forecast_refresh::rows(&self.days));
        put(&mut views, "reforecast_accuracy", reforecast_accuracy::rows(&self.days));
        put(&mut views, "adherence_now", adherence_now::rows(known, &histories, watermark));
        let (intervals, days) = self.adherence.rows(known, &histories, watermark);
        put(&mut views, "adherence_interval", intervals);
        put(&mut views, "adherence_day", days);
        put(&mut views, "unmapped_states", unmapped_states::rows(&histories));
        put(&mut views, "agent_sessions", agent_sessions::rows(known));
        let (hours, ledger) = self.payroll.rows(epoch.number, known, watermark);
        put(&mut views, "payroll_hours", hours);
        put(&mut views, "payroll_ledger", ledger);
        put(&mut views, "dead_letters", dead_letters::rows(&self.door.rejected));
        put(&mut views, "late_events", self.door.late_rows());
        put(&mut views, "duplicate_counts", self.door.duplicate_rows());
        put(&mut views, "rules", rules::rows(known, watermark, &self.settings));
        let (settings, arrived) = (&self.settings, &self.arrived);
        let mut alarms = team_drift::drifts(known, &histories, watermark, settings);
        alarms.extend(mapping_missing::alarms(known, &histories, watermark, settings));
        alarms.extend(surges);
        alarms.extend(aht_spike::alarms(known, watermark, settings));
        alarms.extend(queue_overflow::alarms(known, watermark, settings));
        alarms.extend(agent_stuck::alarms(known, watermark, settings));
        alarms.extend(feed_silent::alarms(known, arrived, watermark, settings));
        alarms.extend(consumer_lag::alarms(known, arrived, watermark, settings));
        alarms.extend(dead_letter_rate::alarms(known, &self.door.rejected, watermark, settings));
        alarms.sort();
        let passed = team_drift::passed(&known[..news], known, &histories, before);
        Expected { watermark, views, alarms, passed }
    }
}

fn views_named() -> impl Iterator<Item = &'static str> {
    views().into_iter().map(|view| view.name).filter(|name| *name != "alerts")
}

fn put(contents: &mut Contents, name: &'static str, rows: Vec<Row>) {
    let table = contents.get_mut(name).unwrap_or_else(|| panic!("no view is called {name}"));
    for row in rows {
        let twice = table.insert(key(name, &row), row.clone());
        assert!(twice.is_none(), "the oracle of {name} says a key twice: {row:?}");
    }
}

/// A row's key as text.
pub(crate) fn key(view: &str, row: &[Value]) -> String {
    static KEYS: OnceLock<BTreeMap<&str, usize>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| views().iter().map(|view| (view.name, view.key)).collect());
    let mut key = String::new();
    for cell in &row[..keys[view]] {
        match cell {
            Value::Int(n) => key.push_str(&n.to_string()),
            Value::Text(text) => key.push_str(text),
            other => panic!("{view} has a key of {other:?}"),
        }
        key.push('|');
    }
    key
}
