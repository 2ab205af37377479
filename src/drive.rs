//! Drives a source: asks it for events when they are due and hands them to the journal, one delivery at a time.
//!
//! The next delivery is made only when the one before is durable, so that the position a restart resumes from never
//! lies behind something that was refused. A journal that is busy or full slows the source down; nothing is dropped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use highwater_dataflow::{Clock, Epoch, EventTime, Millis, PartitionId};
use highwater_ingest::intake::{Delivery, Intake};
use highwater_ingest::journal::{JournalWriter, Refused};
use highwater_ingest::source::{Next, Polled, Source};
use tracing::{debug, warn};

use crate::engine::Engine;
use crate::heard::{Heard, Note};
use crate::stop::Stop;

/// Of several partitions of a recording, one that has nothing for so long while others speak does not hold the
/// watermark.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// The first wait after a failure; it doubles up to the longest.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// Where deliveries go, and what paces them.
#[derive(Clone)]
pub(crate) struct Road {
    pub(crate) writer: JournalWriter,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) heard: Arc<Heard>,
    pub(crate) stop: Stop,
    /// How long a live source must have had nothing to be idle.
    pub(crate) idle_after: Duration,
    /// The newest epoch that was answered.
    pub(crate) answered: Arc<dyn Fn() -> Epoch + Send + Sync>,
}

impl Road {
    /// The road to `engine`.
    pub(crate) fn to(engine: &Engine, clock: &Arc<dyn Clock>, idle_after: Duration) -> Road {
        Road {
            writer: engine.writer.clone(),
            clock: clock.clone(),
            heard: Arc::new(Heard::new(clock.clone())),
            stop: Stop::default(),
            idle_after,
            answered: engine.answered(),
        }
    }
}

/// The event time that one delivery may span, ms: what is read at full speed closes its windows hour by hour, and no
/// event is judged by the watermark of one that came days after it.
const SPAN_MS: Millis = 3_600_000;

/// How driving came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driven {
    /// The source has no more; its partitions are still open.
    Done,
    /// We were told to stop.
    Stopped,
}

/// Drives `source` until it has no more, or until it is told to stop. `partitions` are the journal's numbers, in the
/// source's order; `silence_counts`: it is live, so that having nothing means that nothing
/// happens. `delivered` hears of every durable delivery.
///
/// Errors: the source failed for good, or the journal takes nothing more.
pub(crate) fn drive(
    source: &mut impl Source,
    partitions: &[PartitionId],
    silence_counts: bool,
    road: &Road,
    mut delivered: impl FnMut(&Road) -> Result<()>,
) -> Result<Driven> {
    let mut silence = Silence::new(partitions, silence_counts, road);
    let mut failures = 0;
    let mut past = Past::Telling(0);
    // Of what a source was never asked before, the journal has heard nothing.
    let new = |id: &PartitionId| road.writer.resume_position(*id).is_none();
    let new: Vec<bool> = partitions.iter().map(new).collect();
    while !road.stop.said() {
        let now = road.clock.now_ms();
        let mut items = Vec::new();
        let polled = match source.poll(now, &mut items) {
            Ok(polled) => polled,
            Err(error) => {
                let again = error.retry();
                let error = anyhow::Error::from(error);
                for id in partitions {
                    road.heard.failed(*id, &format!("{error:#}"));
                }
                if !again {
                    return Err(error);
                }
                let wait = RETRY_LONGEST.min(RETRY_FIRST * (1 << failures));
                failures = (failures + 1).min(16);
                warn!(
                    error = format!("{error:#}"),
                    wait_ms = wait.as_millis(),
                    "source failed, trying again"
                );
                road.stop.wait(wait);
                continue;
            }
        };
        failures = 0;
        let Polled { partition, received_at, next } = polled;
        if !items.is_empty() {
            let now = road.clock.instant();
            silence.spoke(partition, now);
            let received = past.is_answered(road).then_some(now);
            let history = new[partition] && matches!(past, Past::Telling(_));
            let partition = partitions[partition];
            for items in pieces(items) {
                let delivery = Delivery { partition, items, received, received_at, history };
                let Some(epoch) = deliver(delivery, road)? else { return Ok(Driven::Stopped) };
                past.told(epoch);
                delivered(road)?;
            }
        }
        match next {
            Next::Ready => {}
            Next::Done => return Ok(Driven::Done),
            Next::At(at) => {
                past.ends();
                silence.declare(road);
                let ms = u64::try_from(at - now).unwrap_or(0);
                road.stop.wait(Duration::from_millis(ms));
            }
        }
    }
    Ok(Driven::Stopped)
}

/// Cuts what was handed over into deliveries of [`SPAN_MS`], in order.
fn pieces(items: Vec<Intake>) -> Vec<Vec<Intake>> {
    let mut pieces: Vec<Vec<Intake>> = Vec::new();
    let mut times: Option<(EventTime, EventTime)> = None;
    for item in items {
        let at = item.decoded.as_ref().ok().map(|envelope| envelope.at);
        let with = match (times, at) {
            (Some((from, to)), Some(at)) => Some((from.min(at), to.max(at))),
            (times, at) => times.or(at.map(|at| (at, at))),
        };
        let fits = with.is_none_or(|(from, to)| to.saturating_sub(from) <= SPAN_MS);
        times = if fits { with } else { at.map(|at| (at, at)) };
        match pieces.last_mut() {
            Some(piece) if fits => piece.push(item),
            _ => pieces.push(vec![item]),
        }
    }
    pieces
}

/// Says that nothing follows in these partitions, so that they hold the watermark no longer.
pub(crate) fn end(partitions: &[PartitionId], road: &Road) -> Result<()> {
    for partition in partitions {
        road.writer.end_partition(*partition).context("cannot end a source in the journal")?;
    }
    Ok(())
}

/// Waits until a delivery is durable, and says its epoch; `None` when we are told to stop before it is.
fn deliver(mut delivery: Delivery, road: &Road) -> Result<Option<Epoch>> {
    let note = Note::of(&delivery);
    loop {
        match road.writer.append(delivery) {
            Ok(appended) => {
                road.heard.note(&note);
                road.heard.reached(note, appended.rejected.iter().map(|(item, _)| *item));
                return Ok(Some(appended.epoch));
            }
            Err(Refused { refusal, delivery: again }) => {
                let Some(wait) = refusal.retry_after() else { bail!(refusal) };
                debug!(%refusal, "source held back");
                if road.stop.wait(wait) {
                    return Ok(None);
                }
                delivery = again;
            }
        }
    }
}

/// The past that a source begins with: what it tells until it has once had nothing more for us.
///
/// Neither it nor what waits behind it is late by our doing, so that neither counts as latency. At the source's very first
/// start it is history; later it is what was missed while nobody asked, and that did come late.
#[derive(Clone, Copy)]
enum Past {
    /// Up to this epoch by now.
    Telling(Epoch),
    /// It ended with this epoch.
    Told(Epoch),
    Answered,
}

impl Past {
    fn told(&mut self, epoch: Epoch) {
        if let Past::Telling(last) = self {
            *last = epoch;
        }
    }

    fn ends(&mut self) {
        if let Past::Telling(last) = *self {
            *self = Past::Told(last);
        }
    }

    fn is_answered(&mut self, road: &Road) -> bool {
        if matches!(*self, Past::Told(last) if (road.answered)() >= last) {
            *self = Past::Answered;
        }
        matches!(self, Past::Answered)
    }
}

/// Which partitions have fallen silent: all of a live source may, of a recording those that others outlast.
struct Silence {
    lanes: Vec<(PartitionId, Instant, bool)>,
    live: bool,
    after: Duration,
}

impl Silence {
    fn new(partitions: &[PartitionId], live: bool, road: &Road) -> Silence {
        let now = road.clock.instant();
        let after = if live { road.idle_after } else { IDLE_AFTER };
        Silence { lanes: partitions.iter().map(|id| (*id, now, false)).collect(), live, after }
    }

    fn spoke(&mut self, partition: usize, now: Instant) {
        let (_, last, idle) = &mut self.lanes[partition];
        (*last, *idle) = (now, false);
    }

    /// Called when the source was asked at its head, and only then: one that fails, or that the journal holds back, has
    /// something to say. The partition of a recording that spoke last is never idle: with all of them idle the wall
    /// clock would move the watermark, and a recording's time is not the wall's.
    fn declare(&mut self, road: &Road) {
        let now = road.clock.instant();
        let Some(newest) = self.lanes.iter().map(|(_, last, _)| *last).max() else { return };
        for (partition, last, idle) in &mut self.lanes {
            let outlasted = self.live || *last < newest;
            if !*idle && outlasted && now.saturating_duration_since(*last) >= self.after {
                road.writer.declare_idle(*partition);
                *idle = true;
            }
        }
    }
}

#[cfg(test)]
#[path = "drive_tests.rs"]
mod tests;
