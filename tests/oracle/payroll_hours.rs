//! Payroll hours: every agent's states cut at midnight of the agent's site and added up; corrections noted.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::EventTime;
use highwater_dataflow::view::{Row, Value};
use highwater_model::{AgentId, Envelope};
use highwater_queries::Settings;

use super::accrual::{Accruals, Amounts, date, day};
use super::adherence_interval::{placed, placements};
use super::agent_sessions::states;

/// `(agent, time zone)`.
type Key = (String, String);

/// A state in a place: `(agent, zone, from, to, journal position)` and whether it is paid and productive.
type Piece = (Key, EventTime, EventTime, u64, bool, bool);

pub(crate) struct Payroll {
    settings: Settings,
    days: Accruals<Key, 2>,
    pieces: BTreeSet<Piece>,
    ledger: Vec<Row>,
}

impl Payroll {
    pub(crate) fn new(settings: &Settings) -> Self {
        Payroll {
            settings: settings.clone(),
            days: Accruals::new(900, settings.correction_s),
            pieces: BTreeSet::new(),
            ledger: Vec::new(),
        }
    }

    /// Rows of `payroll_hours` and of `payroll_ledger`.
    pub(crate) fn rows(
        &mut self,
        epoch: u64,
        known: &[Envelope],
        watermark: EventTime,
    ) -> (Vec<Row>, Vec<Row>) {
        let pieces = pieces(known, &self.settings);
        let corrected = self.days.after(watermark, |reached| amounts(&pieces, reached));
        let came: Vec<&Piece> = pieces.difference(&self.pieces).collect();
        let gone: Vec<&Piece> = self.pieces.difference(&pieces).collect();
        for (key, start, end, before, after) in corrected {
            // The newest record that was not seen in this place before.
            let here = |piece: &&&Piece| piece.0 == key;
            let old: Vec<u64> = gone.iter().filter(here).map(|piece| piece.3).collect();
            let within = came.iter().filter(here).filter(|piece| piece.1 < end && start < piece.2);
            let cause = within.map(|piece| piece.3).filter(|seq| !old.contains(seq)).max();
            self.ledger.push(vec![
                Value::Text(key.0.as_str().into()),
                Value::Text(key.1.as_str().into()),
                Value::Int(start),
                Value::Int(epoch as i64),
                Value::Text(date(&key.1, start).as_str().into()),
                Value::Int(before[0]),
                Value::Int(after[0]),
                Value::Int(after[0] - before[0]),
                Value::Int(before[1]),
                Value::Int(after[1]),
                Value::Int(after[1] - before[1]),
                cause.map_or(Value::Null, |seq| Value::Int(seq as i64)),
            ]);
        }
        self.pieces = pieces;
        let rows = self.days.held.iter().map(|((key, start), held)| {
            // A day is published when it is over, whatever was known of it.
            let said = held.published.or((held.status != "open").then_some([0; 2]));
            let published = |n: usize| said.map_or(Value::Null, |p| Value::Int(p[n]));
            vec![
                Value::Text(key.0.as_str().into()),
                Value::Text(key.1.as_str().into()),
                Value::Int(*start),
                Value::Int(held.end),
                Value::Text(date(&key.1, *start).as_str().into()),
                Value::Int(held.amounts[0]),
                Value::Int(held.amounts[1]),
                published(0),
                published(1),
                Value::Text(held.status.into()),
            ]
        });
        (rows.collect(), self.ledger.clone())
    }
}

fn pieces(known: &[Envelope], settings: &Settings) -> BTreeSet<Piece> {
    let places = placements(known, settings);
    let mut pieces = BTreeSet::new();
    for (agent, states) in &states(known) {
        for &(from, to, state, seq) in states {
            let name = state.name();
            let unpaid = settings.payroll.unpaid_states.iter().any(|unpaid| unpaid == name);
            let productive = ["available", "on-call", "hold", "acw", "on-queue"].contains(&name);
            for (from, to, _, zone) in placed(&places, agent, settings, (from, to)) {
                let key = (AgentId::to_string(agent), zone);
                pieces.insert((key, from, to, seq, name != "offline" && !unpaid, productive));
            }
        }
    }
    pieces
}

fn amounts(pieces: &BTreeSet<Piece>, reached: EventTime) -> Amounts<Key, 2> {
    let mut all: Amounts<Key, 2> = BTreeMap::new();
    for (key, from, to, _, paid, productive) in pieces {
        let (mut at, to) = (*from, reached.min(*to));
        while at < to {
            let (start, end) = day(&key.1, at);
            let until = end.min(to);
            let (_, held) = all.entry((key.clone(), start)).or_insert((end, [0; 2]));
            held[0] += if *paid { until - at } else { 0 };
            held[1] += if *productive { until - at } else { 0 };
            at = until;
        }
    }
    all
}
