//! A scenario as a script: events as JSON in the order in which they arrive, and what the views hold in the end.

use std::collections::BTreeMap;
use std::fmt::Write;

use highwater_dataflow::view::{Row, Value};
use highwater_dataflow::{EventTime, Signal};
use highwater_model::{decode, parse_ms};
use highwater_queries::registry::views;
use highwater_queries::{Entry, Settings};

use crate::oracle::Epoch;
use crate::sim::drive::{Sinks, difference, run};

/// ms UTC of an instant such as `2025-06-02T10:00:00Z`.
pub(super) fn ms(instant: &str) -> EventTime {
    parse_ms(instant).unwrap()
}

/// What was told so far.
pub(super) struct Script {
    settings: Settings,
    epochs: Vec<Epoch>,
    arrived: Vec<Entry>,
    seq: u64,
}

impl Script {
    pub(super) fn new(settings: Settings) -> Self {
        settings.check().unwrap();
        Script { settings, epochs: Vec::new(), arrived: Vec::new(), seq: 0 }
    }

    /// An event arrives; returns its place in the journal.
    pub(super) fn event(&mut self, json: &str) -> u64 {
        let mut envelope =
            decode(json.as_bytes()).unwrap_or_else(|e| panic!("{e:?}: {json}")).envelope;
        self.seq += 1;
        envelope.seq = self.seq;
        self.arrived.push(Entry::Event(envelope));
        self.seq
    }

    /// An agent's state change, with an identity made of what it says.
    pub(super) fn state(&mut self, agent: &str, at: &str, state: &str) -> u64 {
        self.event(&format!(
            r#"{{"event_type": "AgentStateChange", "event_id": "{agent} {at} {state}", "timestamp": "{at}",
            "agent_id": "{agent}", "new_state": "{state}"}}"#
        ))
    }

    pub(super) fn profile(&mut self, agent: &str, at: &str, team: &str, site: &str) -> u64 {
        self.event(&format!(
            r#"{{"event_type": "AgentProfile", "event_id": "profile {agent} {at}", "timestamp": "{at}",
            "agent_id": "{agent}", "team_id": "{team}", "site_id": "{site}", "skills": []}}"#
        ))
    }

    /// The version of a shift that is made of `(start, end, activity)`.
    pub(super) fn shift(
        &mut self,
        agent: &str,
        version: i64,
        activities: &[(&str, &str, &str)],
    ) -> u64 {
        let mut list = String::new();
        for (n, (start, end, code)) in activities.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            let _ = write!(
                list,
                r#"{comma}{{"start": "{start}", "end": "{end}", "activity_code": "{code}"}}"#
            );
        }
        self.event(&format!(
            r#"{{"event_type": "ScheduleUpdate", "event_id": "shift {agent} {version}", "version": {version},
            "timestamp": "2025-01-01T00:00:00Z", "agent_id": "{agent}", "shift_id": "{agent}",
            "activities": [{list}]}}"#
        ))
    }

    /// Nothing before `at` is expected any more; what arrived since the last time makes an epoch.
    pub(super) fn watermark(&mut self, at: &str) {
        let number = self.epochs.len() as u64 + 1;
        let signals = vec![Signal::Bound { partition: 0, bound: ms(at) }];
        self.epochs.push(Epoch { number, entries: std::mem::take(&mut self.arrived), signals });
    }

    /// What the views hold after the last watermark, for one worker and for two.
    pub(super) fn told(&self) -> Told {
        assert!(self.arrived.is_empty(), "a script ends with a watermark");
        let commits = run(&self.settings, &self.epochs, 1, true);
        let others = run(&self.settings, &self.epochs, 2, false);
        assert_eq!(difference(&commits, &others), None);
        let mut sinks = Sinks::default();
        for commit in &commits {
            sinks.apply(commit).unwrap();
        }
        Told(sinks)
    }
}

/// What views hold.
pub(super) struct Told(Sinks);

/// A row by column.
pub(super) type Cells = BTreeMap<&'static str, Value>;

impl Told {
    /// The rows of `view` whose first cells are `key`, in the order of their keys.
    pub(super) fn rows(&self, view: &str, key: &[&str]) -> Vec<Cells> {
        let columns = views().into_iter().find(|known| known.name == view).unwrap().columns;
        let matches =
            |row: &&Row| row.iter().zip(key).all(|(cell, key)| *cell == Value::Text((*key).into()));
        let rows = self.0.views.get(view).into_iter().flat_map(BTreeMap::values).filter(matches);
        rows.map(|row| columns.iter().map(|column| column.name).zip(row.iter().cloned()).collect())
            .collect()
    }

    /// The only such row.
    pub(super) fn row(&self, view: &str, key: &[&str]) -> Cells {
        let mut rows = self.rows(view, key);
        assert_eq!(rows.len(), 1, "{view} of {key:?}: {rows:?}");
        rows.remove(0)
    }
}

/// A whole number.
pub(super) fn int(cells: &Cells, column: &str) -> i64 {
    match &cells[column] {
        Value::Int(n) => *n,
        other => panic!("{column} is {other:?}"),
    }
}

pub(super) fn text<'c>(cells: &'c Cells, column: &str) -> &'c str {
    match &cells[column] {
        Value::Text(text) => text,
        other => panic!("{column} is {other:?}"),
    }
}

/// A percentage, in tenths of a percent and rounded to them; `None` where it is undefined.
pub(super) fn tenths(cells: &Cells, column: &str) -> Option<i64> {
    match &cells[column] {
        Value::Null => None,
        Value::Real(percent) => Some((percent * 10.0).round() as i64),
        other => panic!("{column} is {other:?}"),
    }
}
