//! The watermark: the minimum over partitions of what they still expect, as a function of the epoch.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::vec::Broadcast;
use timely::dataflow::operators::{Capability, InputCapability};
use timely::progress::frontier::MutableAntichain;
use timely::progress::operate::FrontierInterest;

use serde::{Deserialize, Serialize};

use crate::edge::Direct;
use crate::keep::Keeper;
use crate::prompt::{Closing, Fed};
use crate::rows::Pump;
use crate::signal::{PartitionId, Signal};
use crate::table::Watermarks;
use crate::time::{BEGINNING, Epoch, EventTime, FOREVER};

/// Event-time progress of all partitions, folded into one monotone watermark.
///
/// State: one entry per partition ever seen (they are configuration, not data).
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    partitions: BTreeMap<PartitionId, Held>,
    clock: Option<EventTime>,
    watermark: Option<EventTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    bound: EventTime,
    idle: bool,
}

impl Progress {
    pub fn watermark(&self) -> EventTime {
        self.watermark.unwrap_or(BEGINNING)
    }

    /// Takes one statement in.
    pub fn apply(&mut self, signal: Signal) {
        match signal {
            Signal::Bound { partition, bound } => {
                let held = self.partitions.entry(partition).or_insert(Held { bound, idle: false });
                // One that had ended and speaks again is as good as new.
                held.bound = if held.bound == FOREVER { bound } else { held.bound.max(bound) };
                held.idle = false;
            }
            Signal::Idle { partition } => {
                let held = self
                    .partitions
                    .entry(partition)
                    .or_insert(Held { bound: BEGINNING, idle: true });
                held.idle = true;
            }
            Signal::Clock { bound } => {
                self.clock = Some(self.clock.map_or(bound, |clock| clock.max(bound)));
            }
            Signal::Tick => {}
        }
    }

    /// Advances the watermark to what the statements so far allow; `Some` if it moved.
    ///
    /// Speaking partitions decide by their minimum. When none speaks (all idle) the clock decides. A partition that
    /// returns behind the watermark does not move it back: its events are judged by allowed lateness.
    pub fn advance(&mut self) -> Option<EventTime> {
        let speaking = self.partitions.values().filter(|held| !held.idle);
        let running = speaking.clone().map(|held| held.bound).filter(|&b| b < EventTime::MAX).min();
        let ended = speaking.map(|held| held.bound).min();
        let candidate = running.or(match (ended, self.clock) {
            // All that still speak have ended; live ones may merely be idle, and then the clock goes on.
            (Some(end), None) if self.partitions.values().all(|held| !held.idle) => Some(end),
            (_, clock) => clock,
        })?;
        if candidate <= self.watermark() {
            return None;
        }
        self.watermark = Some(candidate);
        Some(candidate)
    }

    /// The partition that holds the watermark back, with its bound; `None` when nobody speaks.
    pub fn holding(&self) -> Option<(PartitionId, EventTime)> {
        let speaking = self.partitions.iter().filter(|(_, held)| !held.idle);
        speaking.map(|(&id, held)| (id, held.bound)).min_by_key(|&(id, bound)| (bound, id))
    }

    /// Statements that say the same as all that were taken in.
    pub fn signals(&self) -> Vec<Signal> {
        let mut signals = Vec::new();
        for (&partition, held) in &self.partitions {
            signals.push(Signal::Bound { partition, bound: held.bound });
            signals.extend(held.idle.then_some(Signal::Idle { partition }));
        }
        signals.extend(self.clock.map(|bound| Signal::Clock { bound }));
        signals
    }

    /// Every partition with its bound and whether it is idle.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionId, EventTime, bool)> + '_ {
        self.partitions.iter().map(|(&id, held)| (id, held.bound, held.idle))
    }
}

/// Gathers all signals at worker 0 and tells every worker how the watermark advances, epoch by epoch.
///
/// A tick repeats the current one, so that operators waiting for processing time are woken. Also says where the
/// watermark stands at the start: beyond `BEGINNING` where a graph goes on from what another one kept.
pub(crate) fn watermarks<'s>(
    signals: StreamVec<'s, Epoch, (Epoch, Signal)>,
    keeper: &Keeper,
    fed: Option<Fed>,
) -> (Watermarks<'s>, EventTime) {
    let kept = keeper.keep("Watermark", Progress::default());
    let start = kept.state.borrow().watermark();
    let closing = Closing::of(fed.clone());
    let mut builder = OperatorBuilder::new("Watermark".to_owned(), signals.scope());
    let (output, stream) = builder.new_output::<Vec<EventTime>>();
    let mut output: OutputBuilder<_, CapacityContainerBuilder<Vec<EventTime>>> =
        OutputBuilder::from(output);
    let waiting: Rc<RefCell<BTreeMap<Epoch, (Capability<Epoch>, Vec<Signal>)>>> = Rc::default();
    let came = Rc::clone(&waiting);
    let file = move |cap: &InputCapability<Epoch>, signals: &mut Vec<(Epoch, Signal)>| {
        let mut waiting = came.borrow_mut();
        for (epoch, signal) in signals.drain(..) {
            let at = waiting.entry(epoch);
            at.or_insert_with(|| (cap.delayed(&epoch, 0), Vec::new())).1.push(signal);
        }
    };
    let mut pump: Pump = if fed.is_some() {
        let edge = Direct::from(&signals);
        let mut input = builder.new_input(signals, edge);
        Box::new(move || input.for_each(|cap, signals| file(&cap, signals)))
    } else {
        let mut input = builder.new_input(signals, Exchange::new(|_: &(Epoch, Signal)| 0));
        Box::new(move || input.for_each(|cap, signals| file(&cap, signals)))
    };
    builder.set_notify_for(0, FrontierInterest::IfCapability);
    builder.build(move |_| {
        move |frontiers: &[MutableAntichain<Epoch>]| {
            pump();
            let from = closing.first_open(frontiers);
            let mut waiting = waiting.borrow_mut();
            while let Some(entry) = waiting.first_entry().filter(|entry| *entry.key() < from) {
                let (epoch, (capability, signals)) = entry.remove_entry();
                kept.before(epoch);
                let mut progress = kept.state.borrow_mut();
                let ticked = signals.contains(&Signal::Tick);
                for signal in signals {
                    progress.apply(signal);
                }
                if progress.advance().is_some() || ticked {
                    output.activate().session(&capability).give(progress.watermark());
                }
            }
        }
    });
    // Alone, the first worker has nobody to tell.
    let stream = if stream.scope().peers() > 1 { stream.broadcast() } else { stream };
    (Watermarks { stream, fed, keeper: keeper.clone() }, start)
}
