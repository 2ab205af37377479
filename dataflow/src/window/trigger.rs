//! When a window speaks: triggers, and the state machine each window keeps for its own.
//!
//! A trigger is a tree. It is compiled once per operator; a window then carries only which nodes have finished and
//! one number per counting or waiting leaf.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// When the contents of a window are emitted as a pane. Composites follow Beam's state machines.
///
/// A trigger that finishes (all but `Default`, `Repeatedly`, `Always`, `Never` do, unless repeated) closes its
/// window: what comes after goes to the late output with the reason `Closed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// When the watermark passes the end of the window, and again for every late change.
    Default,
    /// When the watermark passes the end; before it each time `early` fires, after it each time `late` fires.
    /// Without `late` the window is closed by its on-time pane.
    AfterWatermark { early: Option<Box<Trigger>>, late: Option<Box<Trigger>> },
    /// Once, `delay` of processing time after the first element of the pane.
    AfterProcessingTime { delay: Millis },
    /// Once the pane has at least this many elements.
    AfterCount(u64),
    /// Each time the trigger fires, for ever.
    Repeatedly(Box<Trigger>),
    /// One after the other.
    AfterEach(Vec<Trigger>),
    /// Once the first of them fires.
    AfterAny(Vec<Trigger>),
    /// Once all of them have fired.
    AfterAll(Vec<Trigger>),
    /// As `main`, until `until` fires, which fires and finishes the whole.
    OrFinally { main: Box<Trigger>, until: Box<Trigger> },
    /// At every change.
    Always,
    /// Not before the window expires.
    Never,
}

impl Trigger {
    /// At the end of the window; see [`Trigger::early`] and [`Trigger::late`].
    pub fn after_watermark() -> Self {
        Trigger::AfterWatermark { early: None, late: None }
    }

    /// Adds speculative panes before the end of the window to an `AfterWatermark`; any other trigger becomes one
    /// that speaks early and at every late change.
    pub fn early(self, trigger: Trigger) -> Self {
        match self {
            Trigger::AfterWatermark { late, .. } => {
                Trigger::AfterWatermark { early: Some(Box::new(trigger)), late }
            }
            other => Trigger::AfterWatermark {
                early: Some(Box::new(trigger)),
                late: Some(Box::new(other)),
            },
        }
    }

    /// Adds corrections after the end of the window to an `AfterWatermark`; any other trigger becomes its early one.
    pub fn late(self, trigger: Trigger) -> Self {
        match self {
            Trigger::AfterWatermark { early, .. } => {
                Trigger::AfterWatermark { early, late: Some(Box::new(trigger)) }
            }
            other => Trigger::AfterWatermark {
                early: Some(Box::new(other)),
                late: Some(Box::new(trigger)),
            },
        }
    }

    /// Once, `delay` of processing time after the first element of the pane.
    pub fn after_processing_time(delay: Millis) -> Self {
        Trigger::AfterProcessingTime { delay }
    }

    /// Once the pane has `n` elements.
    pub fn after_count(n: u64) -> Self {
        Trigger::AfterCount(n)
    }

    /// `trigger` again and again.
    pub fn repeatedly(trigger: Trigger) -> Self {
        Trigger::Repeatedly(Box::new(trigger))
    }

    /// As this trigger, until `until` fires.
    pub fn or_finally(self, until: Trigger) -> Self {
        Trigger::OrFinally { main: Box::new(self), until: Box::new(until) }
    }
}

/// A leaf that waits for nothing yet.
const UNSET: i64 = i64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Default,
    EndOfWindow,
    Count(i64),
    Delay(Millis),
    Repeatedly,
    Each,
    Any,
    All,
    OrFinally,
    /// Children: early, then late if there is one.
    EarlyLate,
    Always,
    Never,
}

/// A node in preorder: its children are `id + 1`, then the `end` of each sibling, up to its own `end`.
#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    end: usize,
    /// Index of the leaf's number.
    slot: usize,
}

/// A compiled trigger.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    nodes: Vec<Node>,
    slots: usize,
    merging: bool,
    early: bool,
}

/// What one window remembers of its trigger.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct TriggerState {
    finished: u64,
    /// One number per leaf that counts or waits; empty until the first element.
    numbers: Vec<i64>,
}

/// What triggers look at besides their own state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The watermark has reached the end of the window.
    pub(crate) past_end: bool,
    /// Processing time.
    pub(crate) clock: Millis,
}

impl Machine {
    /// `merging`: windows of this operator may merge, which may revive triggers.
    pub(crate) fn new(trigger: &Trigger, merging: bool) -> Self {
        let mut machine = Machine { nodes: Vec::new(), slots: 0, merging, early: false };
        machine.compile(trigger);
        assert!(machine.nodes.len() <= 64, "a trigger has at most 64 parts");
        machine.early = machine.may_fire_early(0);
        machine
    }

    fn compile(&mut self, trigger: &Trigger) {
        let id = self.nodes.len();
        let mut node = |kind| {
            let slot = self.slots;
            self.slots += usize::from(matches!(kind, Kind::Count(_) | Kind::Delay(_)));
            self.nodes.push(Node { kind, end: 0, slot });
        };
        match trigger {
            Trigger::Default => node(Kind::Default),
            Trigger::AfterWatermark { early: None, late: None } => node(Kind::EndOfWindow),
            Trigger::AfterWatermark { early, late } => {
                node(Kind::EarlyLate);
                self.compile(early.as_deref().unwrap_or(&Trigger::Never));
                if let Some(late) = late {
                    self.compile(late);
                }
            }
            Trigger::AfterProcessingTime { delay } => node(Kind::Delay(*delay)),
            Trigger::AfterCount(n) => node(Kind::Count((*n).max(1) as i64)),
            Trigger::Repeatedly(of) => {
                node(Kind::Repeatedly);
                self.compile(of);
            }
            Trigger::AfterEach(of) | Trigger::AfterAny(of) | Trigger::AfterAll(of) => {
                assert!(!of.is_empty(), "a composite trigger needs parts");
                node(match trigger {
                    Trigger::AfterEach(_) => Kind::Each,
                    Trigger::AfterAny(_) => Kind::Any,
                    _ => Kind::All,
                });
                for part in of {
                    self.compile(part);
                }
            }
            Trigger::OrFinally { main, until } => {
                node(Kind::OrFinally);
                self.compile(main);
                self.compile(until);
            }
            Trigger::Always => node(Kind::Always),
            Trigger::Never => node(Kind::Never),
        }
        self.nodes[id].end = self.nodes.len();
    }

    fn children(&self, id: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.nodes[id].end;
        let first = (id + 1 < end).then_some(id + 1);
        std::iter::successors(first, move |&child| Some(self.nodes[child].end).filter(|&c| c < end))
    }

    fn may_fire_early(&self, id: usize) -> bool {
        match self.nodes[id].kind {
            Kind::Default | Kind::EndOfWindow | Kind::Never => false,
            Kind::Count(_) | Kind::Delay(_) | Kind::Always => true,
            Kind::Repeatedly | Kind::Each | Kind::EarlyLate => self.may_fire_early(id + 1),
            Kind::Any | Kind::OrFinally => self.children(id).any(|c| self.may_fire_early(c)),
            Kind::All => self.children(id).all(|c| self.may_fire_early(c)),
        }
    }

    /// Whether a window may speak before its end: if not, only the watermark need look at it.
    pub(crate) fn speaks_early(&self) -> bool {
        self.early
    }

    /// Whether nothing that comes before the end of a window can make a difference to its trigger.
    pub(crate) fn ignores_early_elements(&self) -> bool {
        !self.early && !self.hears(0)
    }

    /// The state of a window that was first asked at its end, and fired: `None` where it would not fire, would close,
    /// or would count or wait from then on, so that each window needs a state of its own.
    pub(crate) fn after_first_word(&self) -> Option<TriggerState> {
        let mut state = TriggerState::default();
        let moment = Moment { past_end: true, clock: Millis::MIN };
        if !self.should_fire(&state, moment) {
            return None;
        }
        self.on_fire(&mut state, moment);
        (!state.is_finished() && state.numbers.is_empty()).then_some(state)
    }

    /// Whether the part counts or waits from the first element on.
    fn hears(&self, id: usize) -> bool {
        match self.nodes[id].kind {
            Kind::Default | Kind::EndOfWindow | Kind::Always | Kind::Never => false,
            Kind::Count(_) | Kind::Delay(_) => true,
            Kind::Each | Kind::EarlyLate if !self.merging => self.hears(id + 1),
            _ => self.children(id).any(|child| self.hears(child)),
        }
    }

    /// Takes in that `count` elements came.
    #[inline]
    pub(crate) fn on_element(&self, state: &mut TriggerState, moment: Moment, count: i64) {
        if self.slots > 0 {
            self.element(0, state, moment, count);
        }
    }

    fn element(&self, id: usize, state: &mut TriggerState, moment: Moment, count: i64) {
        match self.nodes[id].kind {
            Kind::Default | Kind::EndOfWindow | Kind::Always | Kind::Never => {}
            Kind::Count(_) => {
                let seen = self.number(id, state).unwrap_or(0);
                self.set(id, state, seen + count);
            }
            Kind::Delay(delay) => {
                if self.number(id, state).is_none() {
                    self.set(id, state, moment.clock.saturating_add(delay).min(UNSET - 1));
                }
            }
            Kind::Repeatedly | Kind::Any | Kind::OrFinally => {
                self.children(id).for_each(|c| self.element(c, state, moment, count));
            }
            Kind::All => {
                for child in self.children(id) {
                    if !state.has_finished(child) {
                        self.element(child, state, moment, count);
                    }
                }
            }
            Kind::Each | Kind::EarlyLate if self.merging => {
                // A merge may revive a part that had finished: all of them keep count.
                self.children(id).for_each(|c| self.element(c, state, moment, count));
            }
            Kind::Each | Kind::EarlyLate => {
                if let Some(child) = self.first_unfinished(id, state) {
                    self.element(child, state, moment, count);
                }
            }
        }
    }

    /// Whether a pane is due.
    pub(crate) fn should_fire(&self, state: &TriggerState, moment: Moment) -> bool {
        self.due(0, state, moment)
    }

    fn due(&self, id: usize, state: &TriggerState, moment: Moment) -> bool {
        match self.nodes[id].kind {
            Kind::Default | Kind::EndOfWindow => moment.past_end,
            Kind::Always => true,
            Kind::Never => false,
            Kind::Count(n) => self.number(id, state).is_some_and(|seen| seen >= n),
            Kind::Delay(_) => self.number(id, state).is_some_and(|until| moment.clock >= until),
            Kind::Repeatedly => self.due(id + 1, state, moment),
            Kind::Each => {
                self.first_unfinished(id, state).is_some_and(|c| self.due(c, state, moment))
            }
            Kind::Any => {
                self.children(id).any(|c| state.has_finished(c) || self.due(c, state, moment))
            }
            Kind::All => {
                self.children(id).all(|c| state.has_finished(c) || self.due(c, state, moment))
            }
            Kind::OrFinally => self.children(id).any(|c| self.due(c, state, moment)),
            Kind::EarlyLate => {
                if state.has_finished(id + 1) {
                    self.late(id).is_some_and(|late| self.due(late, state, moment))
                } else {
                    moment.past_end || self.due(id + 1, state, moment)
                }
            }
        }
    }

    /// Takes in that a pane fired.
    pub(crate) fn on_fire(&self, state: &mut TriggerState, moment: Moment) {
        self.fire(0, state, moment);
    }

    fn fire(&self, id: usize, state: &mut TriggerState, moment: Moment) {
        match self.nodes[id].kind {
            Kind::Default | Kind::Always | Kind::Never => {}
            Kind::EndOfWindow | Kind::Count(_) | Kind::Delay(_) => {
                self.clear(id, state);
                state.finish(id, true);
            }
            Kind::Repeatedly => {
                self.fire(id + 1, state, moment);
                if state.has_finished(id + 1) {
                    self.reset(id + 1, state);
                }
            }
            Kind::Each => {
                if let Some(child) = self.first_unfinished(id, state) {
                    self.fire(child, state, moment);
                }
                if self.merging {
                    self.children(id).for_each(|c| self.clear(c, state));
                }
                let finished = self.first_unfinished(id, state).is_none();
                state.finish(id, finished);
            }
            Kind::Any => {
                for child in self.children(id) {
                    if self.due(child, state, moment) {
                        self.fire(child, state, moment);
                    } else {
                        self.clear(child, state);
                    }
                }
                state.finish(id, true);
            }
            Kind::All => {
                self.children(id).for_each(|c| self.fire(c, state, moment));
                state.finish(id, true);
            }
            Kind::OrFinally => {
                let (main, until) = (id + 1, self.nodes[id + 1].end);
                if self.due(until, state, moment) {
                    self.fire(until, state, moment);
                    self.clear(main, state);
                } else {
                    // `until` keeps its count: it looks across panes.
                    self.fire(main, state, moment);
                }
                let finished = state.has_finished(main) || state.has_finished(until);
                state.finish(id, finished);
            }
            Kind::EarlyLate => self.fire_early_late(id, state, moment),
        }
    }

    fn fire_early_late(&self, id: usize, state: &mut TriggerState, moment: Moment) {
        let early = id + 1;
        if state.has_finished(early) {
            match self.late(id) {
                Some(late) => {
                    self.fire(late, state, moment);
                    self.reset(late, state);
                }
                None => state.finish(id, true),
            }
        } else if moment.past_end {
            self.reset(early, state);
            state.finish(early, true);
            match self.late(id) {
                // It ran alongside; from here on it counts for itself.
                Some(late) => self.clear(late, state),
                None => state.finish(id, true),
            }
        } else {
            self.fire(early, state, moment);
            self.reset(early, state);
        }
    }

    /// The state of a window made by merging `sources` into one. `own`: the state of the source that already was
    /// the merged window, if any.
    pub(crate) fn merge(
        &self,
        sources: &[&TriggerState],
        own: Option<&TriggerState>,
        moment: Moment,
    ) -> TriggerState {
        let finished = own.map_or(0, |own| own.finished);
        let mut merged = TriggerState { finished, numbers: Vec::new() };
        if !sources.is_empty() {
            self.merge_node(0, &mut merged, sources, moment);
        }
        merged
    }

    fn merge_node(&self, id: usize, to: &mut TriggerState, from: &[&TriggerState], moment: Moment) {
        match self.nodes[id].kind {
            Kind::Default | Kind::Always | Kind::Never => {}
            Kind::EndOfWindow => {
                let done = moment.past_end && from.iter().all(|source| source.has_finished(id));
                to.finish(id, done);
            }
            Kind::Count(_) => {
                if from.iter().any(|source| source.has_finished(id)) {
                    to.finish(id, true);
                    self.clear(id, to);
                } else {
                    let sum = from.iter().filter_map(|source| self.number(id, source)).sum();
                    self.set(id, to, sum);
                }
            }
            Kind::Delay(_) => {
                if to.has_finished(id) {
                    self.clear(id, to);
                } else if let Some(until) =
                    from.iter().filter_map(|source| self.number(id, source)).min()
                {
                    self.set(id, to, until);
                }
            }
            Kind::Repeatedly => self.merge_node(id + 1, to, from, moment),
            Kind::Any | Kind::OrFinally | Kind::All => {
                self.children(id).for_each(|c| self.merge_node(c, to, from, moment));
                let finished = if self.nodes[id].kind == Kind::All {
                    self.children(id).all(|c| to.has_finished(c))
                } else {
                    self.children(id).any(|c| to.has_finished(c))
                };
                to.finish(id, finished);
            }
            Kind::Each => {
                let mut prior_finished = true;
                for child in self.children(id) {
                    if prior_finished {
                        self.merge_node(child, to, from, moment);
                        prior_finished = to.has_finished(child);
                    } else {
                        self.clear(child, to);
                    }
                }
                let finished = self.first_unfinished(id, to).is_none();
                to.finish(id, finished);
            }
            Kind::EarlyLate => {
                let early = id + 1;
                let over = moment.past_end && from.iter().all(|source| source.has_finished(early));
                if over {
                    to.finish(early, true);
                    if let Some(late) = self.late(id) {
                        self.merge_node(late, to, from, moment);
                    }
                } else {
                    // Where it was over, pending elements of the others still have to have their on-time pane.
                    self.merge_node(early, to, from, moment);
                    to.finish(early, false);
                    if let Some(late) = self.late(id) {
                        self.reset(late, to);
                    }
                }
                to.finish(id, over && self.late(id).is_none());
            }
        }
    }

    /// The next processing time after `now` at which a pane may be due; `Millis::MAX` if none is awaited.
    pub(crate) fn deadline(&self, state: &TriggerState, now: Millis) -> Millis {
        if state.numbers.is_empty() {
            return UNSET;
        }
        let waiting = self.nodes.iter().filter(|node| matches!(node.kind, Kind::Delay(_)));
        let times = waiting.map(|node| state.numbers[node.slot]);
        times.filter(|&time| time > now).min().unwrap_or(UNSET)
    }

    fn late(&self, id: usize) -> Option<usize> {
        let late = self.nodes[id + 1].end;
        (late < self.nodes[id].end).then_some(late)
    }

    fn first_unfinished(&self, id: usize, state: &TriggerState) -> Option<usize> {
        self.children(id).find(|&child| !state.has_finished(child))
    }

    fn clear(&self, id: usize, state: &mut TriggerState) {
        if state.numbers.is_empty() {
            return;
        }
        for node in &self.nodes[id..self.nodes[id].end] {
            if matches!(node.kind, Kind::Count(_) | Kind::Delay(_)) {
                state.numbers[node.slot] = UNSET;
            }
        }
    }

    /// Makes the part as new.
    fn reset(&self, id: usize, state: &mut TriggerState) {
        (id..self.nodes[id].end).for_each(|part| state.finish(part, false));
        self.clear(id, state);
    }

    fn number(&self, id: usize, state: &TriggerState) -> Option<i64> {
        state.numbers.get(self.nodes[id].slot).copied().filter(|&number| number != UNSET)
    }

    fn set(&self, id: usize, state: &mut TriggerState, number: i64) {
        if state.numbers.is_empty() {
            state.numbers = vec![UNSET; self.slots];
        }
        state.numbers[self.nodes[id].slot] = number;
    }
}

impl TriggerState {
    /// Whether the window is closed.
    pub(crate) fn is_finished(&self) -> bool {
        self.has_finished(0)
    }

    fn has_finished(&self, id: usize) -> bool {
        self.finished & (1 << id) != 0
    }

    fn finish(&mut self, id: usize, finished: bool) {
        if finished {
            self.finished |= 1 << id;
        } else {
            self.finished &= !(1 << id);
        }
    }
}
