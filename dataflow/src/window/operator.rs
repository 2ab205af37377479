//! The window operator: folds an epoch's rows into windows, fires triggers, expires what is over.
//!
//! Within an epoch rows come first, judged by the watermark of the epoch before; then processing-time deadlines;
//! then the watermark advances. The order of rows within the epoch never shows.

use std::collections::BTreeMap;

use differential_dataflow::consolidation::consolidate_updates;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::Datum;
use crate::closed::{Now, Out};
use crate::keep::{State, put, take};
use crate::table::Change;
use crate::time::{BEGINNING, EventTime, Millis};

use super::aggregate::Aggregate;
use super::assign::WindowFn;
use super::filling::Assigned;
use super::plain::{Plain, beginning};
use super::state::{Keyed, Live, NO_ALARM, Pending, Placed, Slice, Stage};
use super::sums::Total;
use super::trigger::{Machine, Moment, TriggerState};
use super::{
    Accumulation, Behavior, LateElement, LateReason, Pane, PaneInfo, Plan, TimestampCombiner,
    Timing, Window,
};

/// A row of the input.
pub(crate) type Row<K, V> = (K, (EventTime, V));

/// Index of a key in [`Operator::keys`].
pub(crate) type KeyId = u32;

#[allow(clippy::struct_excessive_bools, reason = "what the plan amounts to, worked out once")]
pub(crate) struct Operator<K, V, W, A: Aggregate<V>> {
    pub(crate) windows: W,
    pub(crate) aggregate: A,
    pub(crate) plan: Plan,
    pub(crate) machine: Machine,
    pub(crate) watermark: EventTime,
    pub(crate) now: Millis,
    pub(crate) ids: FxHashMap<K, KeyId>,
    pub(crate) keys: Vec<Keyed<K, A::Acc, A::Output>>,
    pub(crate) free: Vec<KeyId>,
    /// Keys with changes in this epoch.
    touched: Vec<KeyId>,
    /// Windows whose triggers have to be asked, and where they were in their key's list.
    pub(crate) dirty: Vec<(KeyId, Window, usize)>,
    /// Watermarks at which windows end or expire.
    pub(crate) ends: BTreeMap<EventTime, Vec<(KeyId, Window)>>,
    /// Processing times for which triggers wait.
    alarms: BTreeMap<Millis, Vec<(KeyId, Window)>>,
    /// Keys that may have lost their last window.
    pub(crate) idle: Vec<KeyId>,
    pub(crate) any_refused: bool,
    /// Rows of windows that are gone because all their elements were deleted.
    pub(crate) orphans: Vec<(KeyId, Pane<A::Output>)>,
    pub(crate) assigned: Assigned,
    pub(crate) shares_slices: bool,
    /// What becomes of a trigger that is first asked at the end of its window, where that is all a window needs to
    /// remember besides its slices.
    pub(crate) told: Option<TriggerState>,
    /// Nobody asks about a window before its end, so only its slices need to know what comes.
    lazy: bool,
    merging: bool,
    pub(crate) discarding: bool,
    pub(crate) retracting: bool,
}

/// What an operator says: panes.
pub(crate) type PaneOut<K, O> = Out<(K, Pane<O>)>;

impl<K: Datum, V: Datum, W: WindowFn, A: Aggregate<V>> Operator<K, V, W, A> {
    pub(crate) fn new(windows: W, aggregate: A, plan: Plan) -> Self {
        let discarding = plan.accumulation == Accumulation::Discarding;
        let merging = windows.is_merging();
        let machine = Machine::new(&plan.trigger, merging);
        let lazy =
            machine.ignores_early_elements() && plan.timestamps == TimestampCombiner::EndOfWindow;
        let shares_slices = windows.shares_slices() && !discarding && !merging;
        Operator {
            told: (lazy && shares_slices).then(|| machine.after_first_word()).flatten(),
            lazy,
            machine,
            shares_slices,
            merging,
            discarding,
            retracting: plan.accumulation == Accumulation::AccumulatingRetracting,
            windows,
            aggregate,
            plan,
            watermark: BEGINNING,
            now: Millis::MIN,
            ids: FxHashMap::default(),
            keys: Vec::new(),
            free: Vec::new(),
            touched: Vec::new(),
            dirty: Vec::new(),
            ends: BTreeMap::new(),
            alarms: BTreeMap::new(),
            idle: Vec::new(),
            any_refused: false,
            orphans: Vec::new(),
            assigned: Assigned::new(),
        }
    }

    /// Answers one closed epoch.
    pub(crate) fn epoch(
        &mut self,
        now: Now,
        rows: &mut Vec<Change<Row<K, V>>>,
        out: &mut PaneOut<K, A::Output>,
        late: &mut Out<(K, LateElement)>,
    ) {
        self.now = self.now.max((self.plan.clock)(now.epoch));
        if rows.iter().any(|(_, _, diff)| *diff < 0) {
            // A row that comes and goes within the epoch never was.
            consolidate_updates(rows);
        }
        self.fold(rows);
        self.apply();
        if self.any_refused {
            self.report(rows, late);
        }
        for (id, pane) in std::mem::take(&mut self.orphans) {
            out.give((self.keys[id as usize].key.clone(), pane), -1);
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        for (id, window, hint) in dirty.drain(..) {
            self.consider(id, window, hint, false, out);
        }
        self.dirty = dirty;
        while let Some(entry) = self.alarms.first_entry()
            && *entry.key() <= self.now
        {
            for (id, window) in entry.remove() {
                if let Ok(index) = self.keys[id as usize].find(window) {
                    self.keys[id as usize].windows[index].alarm = NO_ALARM;
                    self.consider(id, window, index, false, out);
                }
            }
        }
        if now.watermark > self.watermark {
            self.watermark = now.watermark;
            self.pass(out);
        }
        self.forget_idle();
    }

    /// Sums the epoch's rows up by key and slice.
    fn fold(&mut self, rows: &[Change<Row<K, V>>]) {
        let exact = self.plan.timestamps != TimestampCombiner::EndOfWindow;
        for ((key, (at, value)), _, diff) in rows {
            let id = self.id_of(key);
            let keyed = &mut self.keys[id as usize];
            if keyed.pending.is_empty() {
                self.touched.push(id);
            }
            let pending = keyed.pending_at(
                *at,
                || {
                    if exact {
                        Window { start: *at, end: at.saturating_add(1) }
                    } else {
                        self.windows.slice(*at)
                    }
                },
                || self.aggregate.zero(),
            );
            self.aggregate.add(&mut pending.acc, value, *diff);
            if *diff > 0 {
                pending.inserted += *diff as i64;
            } else {
                pending.deleted -= *diff as i64;
            }
        }
    }

    #[inline]
    fn id_of(&mut self, key: &K) -> KeyId {
        if let Some(&id) = self.ids.get(key) {
            return id;
        }
        let id = if let Some(id) = self.free.pop() {
            self.keys[id as usize] = Keyed::new(key.clone());
            id
        } else {
            self.keys.push(Keyed::new(key.clone()));
            KeyId::try_from(self.keys.len() - 1).expect("fewer than four billion live keys")
        };
        self.ids.insert(key.clone(), id);
        id
    }

    /// Puts what was summed up into the windows.
    fn apply(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        for &id in &touched {
            let mut pending = std::mem::take(&mut self.keys[id as usize].pending);
            if self.merging {
                self.merge_in(id, &mut pending);
            } else {
                for change in pending.drain(..) {
                    self.put(id, change);
                }
            }
            pending.clear();
            let keyed = &mut self.keys[id as usize];
            keyed.pending = pending;
            if keyed.windows.is_empty() {
                self.idle.push(id);
            }
        }
        self.touched = touched;
        self.touched.clear();
    }

    /// Puts the changes of one slice into its windows.
    fn put(&mut self, id: KeyId, pending: Pending<A::Acc>) {
        let (inserted, deleted) = (pending.inserted, pending.deleted);
        let keyed = &mut self.keys[id as usize];
        let mut slice = None;
        if self.shares_slices {
            let start = self.windows.slice(pending.slice.start).start;
            match keyed.find_slice(start) {
                Ok(index) if self.lazy && self.watermark < keyed.slices[index].quiet_until => {
                    // The common case: every window of the slice exists and is still filling.
                    let slice = &mut keyed.slices[index];
                    self.aggregate.merge(&mut slice.acc, &pending.acc);
                    slice.elements += inserted - deleted;
                    slice.changes += inserted + deleted;
                    return;
                }
                place => slice = Some((start, place)),
            }
        }
        let mut assigned = std::mem::replace(&mut self.assigned, Assigned::new());
        assigned.to(pending.slice.start, &self.windows);
        let quiet_until = assigned.quiet_until;
        if let Some((_, Err(place))) = slice
            && self.told.is_some()
            && self.watermark < quiet_until
            && !assigned.windows.is_empty()
        {
            self.begin(id, place, pending, &assigned);
            self.assigned = assigned;
            return;
        }
        let keyed = &mut self.keys[id as usize];
        let mut acc = Some(pending.acc);
        let mut taken = false;
        let mut next = usize::MAX;
        let count = assigned.windows.len();
        for (nth, window) in assigned.windows.iter().copied().enumerate() {
            let complete = self.windows.complete_at(window);
            let expires = complete.saturating_add(self.plan.allowed_lateness);
            if expires <= self.watermark {
                keyed.refused.push((pending.slice.start, window, LateReason::Expired));
                self.any_refused = true;
                continue;
            }
            let past_end = complete <= self.watermark;
            // Windows of a slice mostly lie side by side.
            let place = match keyed.windows.get(next) {
                Some(live) if live.window == window => Ok(next),
                _ => keyed.find(window),
            };
            let index = match place {
                Ok(index) => index,
                Err(index) => {
                    let due = if past_end { expires } else { complete };
                    self.ends.entry(due).or_default().push((id, window));
                    let placed = if self.told.is_some() && !past_end {
                        Placed::filling(window)
                    } else {
                        let mut live = Live::new(window);
                        live.passed = past_end;
                        Placed::new(live)
                    };
                    keyed.windows.insert(index, placed);
                    index
                }
            };
            next = index + 1;
            let known = place.is_ok() || self.told.is_some();
            if self.lazy && self.shares_slices && !past_end && known {
                // It fills, and its slices know.
                taken = true;
                continue;
            }
            let live = match &mut keyed.windows[index].stage {
                Stage::Own(live) => live,
                stage => {
                    let plain = Plain {
                        windows: &self.windows,
                        aggregate: &self.aggregate,
                        told: self.told.as_ref(),
                        retracting: self.retracting,
                    };
                    plain.own(window, stage, &keyed.slices)
                }
            };
            if live.closed {
                keyed.refused.push((pending.slice.start, window, LateReason::Closed));
                self.any_refused = true;
                continue;
            }
            taken = true;
            let came = inserted + deleted;
            if past_end || !self.lazy {
                let moment = Moment { past_end, clock: self.now };
                self.machine.on_element(&mut live.trigger, moment, came);
            }
            if !past_end {
                let last = complete - 1;
                let combiner = self.plan.timestamps;
                live.hold = held(combiner, live.hold, pending.slice.start, last, self.watermark);
            }
            match &mut live.acc {
                Some(mine) => {
                    self.aggregate.merge(mine, acc.as_ref().expect("kept until the last window"));
                }
                None if self.shares_slices => {}
                None if nth + 1 == count => live.acc = acc.take(),
                None => live.acc.clone_from(&acc),
            }
            if live.acc.is_some() {
                live.elements += inserted - deleted;
                live.changes += came;
            }
            if (past_end || self.machine.speaks_early()) && !live.dirty {
                live.dirty = true;
                self.dirty.push((id, window, index));
            }
        }
        self.assigned = assigned;
        let Some((start, place)) = slice.filter(|_| taken) else { return };
        let acc = acc.expect("windows of shared slices only borrow it");
        let (elements, changes) = (inserted - deleted, inserted + deleted);
        keyed.told.change(&self.aggregate, start, &acc, elements, changes);
        keyed.over.change(&self.aggregate, start, &acc, elements, changes);
        match place {
            Ok(index) => {
                let slice = &mut keyed.slices[index];
                self.aggregate.merge(&mut slice.acc, &acc);
                slice.elements += elements;
                slice.changes += changes;
            }
            Err(index) => {
                let slice = Slice { start, acc, elements, changes, quiet_until };
                keyed.slices.insert(index, slice);
            }
        }
    }

    /// Sends every element that a window refused to the late output.
    fn report(&mut self, rows: &[Change<Row<K, V>>], late: &mut Out<(K, LateElement)>) {
        self.any_refused = false;
        let exact = self.merging || self.plan.timestamps != TimestampCombiner::EndOfWindow;
        let mut keys = Vec::new();
        for ((key, (at, _)), _, diff) in rows {
            let Some(&id) = self.ids.get(key) else { continue };
            let keyed = &self.keys[id as usize];
            if keyed.refused.is_empty() {
                continue;
            }
            keys.push(id);
            let slice = if exact { *at } else { self.windows.slice(*at).start };
            for &(start, window, reason) in &keyed.refused {
                if start == slice {
                    let lateness = self.watermark.saturating_sub(*at).max(0);
                    let deletion = *diff < 0;
                    let element = LateElement { window, at: *at, lateness, reason, deletion };
                    late.give((key.clone(), element), diff.abs());
                }
            }
        }
        for id in keys {
            self.keys[id as usize].refused.clear();
        }
    }

    /// Asks a window's trigger, and fires if it says so. `crossing`: the watermark is just passing the end.
    pub(crate) fn consider(
        &mut self,
        id: KeyId,
        window: Window,
        hint: usize,
        crossing: bool,
        out: &mut PaneOut<K, A::Output>,
    ) {
        let keyed = &mut self.keys[id as usize];
        let Ok(index) = keyed.find_near(window, hint) else { return };
        let live = &mut keyed.windows[index];
        live.dirty = false;
        if live.closed {
            return;
        }
        let past_end = self.windows.complete_at(window) <= self.watermark;
        let moment = Moment { past_end, clock: self.now };
        if self.machine.should_fire(&live.trigger, moment) {
            self.machine.on_fire(&mut live.trigger, moment);
            let finished = live.trigger.is_finished();
            self.fire(id, index, finished, crossing, out);
            if finished {
                self.close(id, index);
            }
        }
        let live = &mut self.keys[id as usize].windows[index];
        let alarm = self.machine.deadline(&live.trigger, self.now);
        if alarm < live.alarm && !live.closed {
            live.alarm = alarm;
            self.alarms.entry(alarm).or_default().push((id, window));
        }
    }

    /// Emits a pane if there is reason to, and begins the next.
    pub(crate) fn fire(
        &mut self,
        id: KeyId,
        index: usize,
        finished: bool,
        crossing: bool,
        out: &mut PaneOut<K, A::Output>,
    ) {
        let keyed = &mut self.keys[id as usize];
        let live = &mut *keyed.windows[index];
        let complete = self.windows.complete_at(live.window);
        let timing = if live.settled_panes > 0 {
            Timing::Late
        } else if complete > self.watermark {
            Timing::Early
        } else if crossing || live.hold.is_some() {
            // Elements that came in time hold the pane's place, also when the trigger kept it waiting.
            Timing::OnTime
        } else {
            Timing::Late
        };
        if live.acc.is_none() && self.shares_slices {
            let from = beginning(live.window, complete);
            let sum = Total::of(&self.aggregate, &keyed.slices, from, complete);
            live.elements += sum.elements;
            live.changes += sum.changes;
            live.acc = Some(sum.acc);
        }
        let empty = live.changes == 0;
        let deserted = !self.discarding && live.elements <= 0;
        let needed = !empty
            || (timing == Timing::OnTime && self.plan.on_time == Behavior::FireAlways)
            || (finished && self.plan.closing == Behavior::FireAlways);
        let mut same = None;
        if needed {
            let shown = live.shown.take();
            if empty && !self.discarding && live.shown_before.is_empty() {
                // The last word of a window is mostly what it said before: its accumulator need not be looked at.
                same = shown.as_ref().map(|row| row.value.clone());
            }
            for row in shown.into_iter().chain(live.shown_before.drain(..)) {
                out.give((keyed.key.clone(), row), -1);
            }
        }
        if needed && !(deserted && (self.retracting || live.panes == 0)) {
            let early = timing == Timing::Early;
            let pane = Pane {
                window: live.window,
                value: match (same, &live.acc) {
                    (Some(same), _) => same,
                    (None, Some(acc)) => self.aggregate.output(acc),
                    (None, None) => self.aggregate.output(&self.aggregate.zero()),
                },
                at: live.hold.unwrap_or(complete - 1),
                info: PaneInfo {
                    timing,
                    index: live.panes,
                    non_speculative_index: if early { -1 } else { live.settled_panes },
                    first: live.panes == 0,
                    last: finished,
                },
            };
            live.panes += 1;
            live.settled_panes += i32::from(!early);
            if self.retracting && (self.merging || !finished) {
                live.shown = Some(pane.clone());
            }
            out.give((keyed.key.clone(), pane), 1);
        }
        live.hold = None;
        live.changes = 0;
        if self.discarding {
            live.acc = None;
            live.elements = 0;
        }
    }

    /// Ends a window whose trigger has finished. Until it expires it only refuses elements.
    fn close(&mut self, id: KeyId, index: usize) {
        let live = &mut self.keys[id as usize].windows[index];
        live.closed = true;
        live.acc = None;
        live.points = Vec::new();
        live.trigger = super::trigger::TriggerState::default();
    }

    /// How much is remembered: keys, windows, slices, points and wake-ups.
    #[cfg(test)]
    pub(crate) fn state_size(&self) -> usize {
        let keyed = self.keys.iter().map(|keyed| {
            let points = keyed.windows.iter().map(|placed| match &placed.stage {
                Stage::Own(live) => live.points.len(),
                Stage::Filling | Stage::Told => 0,
            });
            let points: usize = points.sum();
            keyed.windows.len() + keyed.slices.len() + keyed.pending.len() + points
        });
        let ends: usize = self.ends.values().map(Vec::len).sum();
        let alarms: usize = self.alarms.values().map(Vec::len).sum();
        self.ids.len() + keyed.sum::<usize>() + ends + alarms
    }

    /// Notes when to look at a window that appeared or changed its bounds.
    pub(crate) fn expect_end(&mut self, id: KeyId, window: Window) {
        let complete = self.windows.complete_at(window);
        let due = if complete <= self.watermark {
            complete.saturating_add(self.plan.allowed_lateness)
        } else {
            complete
        };
        self.ends.entry(due).or_default().push((id, window));
    }
}

/// What it was told is told again when the graph is built; what belongs to one epoch is empty.
impl<K: Datum, V: Datum, W: WindowFn, A: Aggregate<V>> State for Operator<K, V, W, A> {
    fn save(&self, out: &mut Vec<u8>) {
        put(out, &(self.watermark, self.now, &self.free, &self.ends, &self.alarms));
        put(out, &self.keys);
    }

    fn load(&mut self, saved: &mut &[u8]) -> Result<(), String> {
        (self.watermark, self.now, self.free, self.ends, self.alarms) = take(saved)?;
        self.keys = take(saved)?;
        let free: FxHashSet<KeyId> = self.free.iter().copied().collect();
        let ids = (0..).zip(&self.keys).filter(|(id, _)| !free.contains(id));
        self.ids = ids.map(|(id, keyed)| (keyed.key.clone(), id)).collect();
        Ok(())
    }
}

/// The event time held for a window's next pane after an element at `at` came that was not behind `watermark`, or
/// behind what is held already.
pub(crate) fn held(
    combiner: TimestampCombiner,
    hold: Option<EventTime>,
    at: EventTime,
    last: EventTime,
    watermark: EventTime,
) -> Option<EventTime> {
    let at = match combiner {
        TimestampCombiner::EndOfWindow => return Some(last),
        TimestampCombiner::Earliest | TimestampCombiner::Latest => at,
    };
    match hold {
        None => (at >= watermark).then_some(at),
        Some(hold) if at < watermark.min(hold) => Some(hold),
        Some(hold) if combiner == TimestampCombiner::Earliest => Some(hold.min(at)),
        Some(hold) => Some(hold.max(at)),
    }
}
