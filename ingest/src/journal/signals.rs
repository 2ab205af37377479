//! What the journal says of event time, and why: bounds, idleness and quiet time, computed from plain values.

use std::collections::BTreeMap;
use std::time::Duration;

use highwater_dataflow::{BEGINNING, EventTime, FOREVER, Millis, PartitionId, Signal};

use super::ledger::{Entry, Ledger};
use super::options::PartitionSpec;

/// How silence is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct SilencePolicy {
    pub idle_after: Duration,
    pub quiet_delay_ms: Millis,
}

/// Quiet time advances in steps of at least this, so that an idle system writes little.
const QUIET_STEP_MS: Millis = 1_000;

/// The bound that follows from the greatest event time of new records; `None` when it says nothing new.
///
/// A bound never falls, except that a partition that had ended speaks again. An idle partition that speaks always
/// says its bound: that is how it holds the watermark again.
pub(super) fn bound(
    entry: Option<&Entry>,
    greatest: EventTime,
    disorder: Millis,
) -> Option<EventTime> {
    let next = greatest.saturating_sub(disorder.max(0)).min(FOREVER - 1);
    match entry {
        None => Some(next),
        Some(entry) if entry.bound == FOREVER => Some(next),
        Some(entry) if entry.idle => Some(next.max(entry.bound)),
        Some(entry) => (next > entry.bound).then_some(next),
    }
}

/// Why an event is too far ahead of its source's clock to be believed.
///
/// One such event would push the watermark past everything that is still to come.
pub(super) fn from_the_future(
    at: EventTime,
    received_at: EventTime,
    limit: Option<Millis>,
) -> Option<String> {
    let ahead = at.saturating_sub(received_at);
    (ahead > limit?).then(|| {
        format!(
            "event time {at} is {ahead} ms ahead of the source's clock {received_at}; \
             at most {} ms are allowed",
            limit.unwrap_or_default()
        )
    })
}

/// What a look at the silence adds: partitions gone idle, and quiet time when nobody holds the watermark.
///
/// `silence`: how long each partition has said nothing; absent means that it has something waiting.
/// `spoke`: partitions with signals in this frame already. A partition that no source has registered since the
/// start has nobody to speak for it, and is treated as live.
pub(super) fn tick(
    ledger: &Ledger,
    specs: &BTreeMap<PartitionId, PartitionSpec>,
    silence: &BTreeMap<PartitionId, Duration>,
    spoke: &BTreeMap<PartitionId, Signal>,
    policy: SilencePolicy,
    now_ms: EventTime,
) -> Vec<Signal> {
    let mut signals = Vec::new();
    let mut all_released = true;
    for (&id, entry) in &ledger.partitions {
        let released = match spoke.get(&id) {
            Some(Signal::Bound { bound, .. }) => *bound == FOREVER,
            Some(_) => true,
            None => entry.released(),
        };
        let live = specs.get(&id).is_none_or(|spec| spec.live && !spec.polled);
        let silent = silence.get(&id).is_some_and(|silence| *silence >= policy.idle_after);
        if released {
            continue;
        }
        if live && silent && !spoke.contains_key(&id) {
            signals.push(Signal::Idle { partition: id });
        } else {
            all_released = false;
        }
    }
    // A partition that speaks for the first time in this very frame is not in the ledger yet.
    let newcomer = spoke.iter().any(|(id, signal)| {
        !ledger.partitions.contains_key(id)
            && matches!(signal, Signal::Bound { bound, .. } if *bound != FOREVER)
    });
    // Nor is a recording that was registered a moment ago.
    let held = specs.iter().any(|(id, spec)| {
        !spec.live && !ledger.partitions.contains_key(id) && !spoke.contains_key(id)
    });
    if all_released && !newcomer && !held && specs.values().any(|spec| spec.live) {
        let bound = now_ms.saturating_sub(policy.quiet_delay_ms);
        if ledger.clock_bound == BEGINNING
            || bound >= ledger.clock_bound.saturating_add(QUIET_STEP_MS)
        {
            signals.push(Signal::Clock { bound });
        }
    }
    signals
}
