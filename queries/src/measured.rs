//! Measured: everything that counts for a queue, each thing at the instant it counts at.
//!
//! in   told (Queue, (event time, Told))   queue profiles over time   agents' spells
//! out  (Queue, (instant, Measures))

use highwater_dataflow::window::Closed;
use highwater_dataflow::{Millis, Point, Table};
use highwater_model::QueueId;

use crate::attribution::{Attribute, Attribution, prorated};
use crate::contacts::{Outcome, Told};
use crate::input::Inputs;
use crate::measures::{Measures, Promise};
use crate::occupancy::{Spells, spells};
use crate::settings::Settings;

/// What queue views are sums of.
pub struct Measured<'s> {
    /// Each outcome at its own event time, whatever the attribution.
    pub by_event: Table<'s, (QueueId, (i64, Measures))>,
    /// Each outcome where the deployment's attribution puts it; without what is spread over time.
    pub attributed: Table<'s, (QueueId, (i64, Measures))>,
    pub told: Table<'s, (QueueId, (i64, Told))>,
    spells: Spells<'s>,
    prorated: bool,
}

/// Outcomes held against what the queue promised at their time, and agents' time.
pub(crate) fn measured<'s>(
    input: &Inputs<'s>,
    told: Table<'s, (QueueId, (i64, Told))>,
    settings: &Settings,
) -> Measured<'s> {
    let attribution = settings.attribution;
    let promises = input
        .queue_profiles()
        .map_values(|_, point| Point {
            at: point.at,
            value: Promise::from(&point.value),
            seq: point.seq,
        })
        .intervals("promises", input.correction);
    let judged = told
        .clone()
        .filter(|(_, (_, t))| !matches!(t.outcome, Outcome::Waiting | Outcome::InProgress))
        .as_of_join("promise", promises, input.correction, |queue, at, told, promise| {
            (queue.clone(), (at, (*told, promise.copied().unwrap_or_default())))
        });
    let by_event = judged
        .clone()
        .map(|(queue, (at, (told, promise)))| (queue, (at, Measures::of(&told.outcome, promise))));
    let attributed = if attribution == Attribution::default() {
        by_event.clone()
    } else {
        judged.flat_map(move |(queue, (at, (told, promise)))| {
            let parts = attribution.place(at, &told, promise);
            parts.map(move |part| (queue.clone(), part))
        })
    };
    let prorated = attribution.handle_time == Attribute::Prorated;
    Measured { by_event, attributed, told, spells: spells(input), prorated }
}

impl<'s> Measured<'s> {
    /// All of it, what is spread over time cut at the steps of a clock.
    pub(crate) fn per(
        &self,
        name: &str,
        step: Millis,
        closed: Closed,
    ) -> Table<'s, (QueueId, (i64, Measures))> {
        let all = self.attributed.clone().concat(self.spells.measured(name, step, closed));
        if !self.prorated {
            return all;
        }
        let told = self.told.clone();
        all.concat(prorated(told, &format!("{name} prorated"), step, closed))
    }
}
