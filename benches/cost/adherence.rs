//! Adherence and team drift as a plain program: vectors by agent and team, a heap of schedule boundaries.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use highwater_dataflow::{EventTime, FOREVER, Span};
use rustc_hash::FxHashSet;

use crate::center::{Event, HORIZON, TEAM, What, first, is_out, schedule, weight};

/// Agents of a team that must be out at once.
const OUT_MIN: i32 = 3;
/// Vectors are pruned when they are longer than this.
const PRUNE_ABOVE: usize = 64;

/// Lets each event in once: identities of the last one to two horizons.
#[derive(Default)]
pub(crate) struct Door {
    recent: FxHashSet<u128>,
    older: FxHashSet<u128>,
    turned: Option<EventTime>,
    watermark: EventTime,
}

impl Door {
    pub(crate) fn admits(&mut self, event: &Event) -> bool {
        self.watermark.saturating_sub(HORIZON) <= event.at
            && !self.older.contains(&event.id)
            && self.recent.insert(event.id)
    }

    pub(crate) fn advance(&mut self, watermark: EventTime) {
        self.watermark = watermark;
        let since = *self.turned.get_or_insert(watermark);
        if HORIZON <= watermark.saturating_sub(since) {
            self.older = std::mem::take(&mut self.recent);
            self.turned = Some(watermark);
        }
    }
}

/// A stretch `[from, to)` during which an agent was out, or was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    from: EventTime,
    to: EventTime,
    out: bool,
}

struct Agent {
    /// `(at, state)`, sorted; of several at one instant the last holds.
    points: Vec<(EventTime, u8)>,
    spans: [Span<u8>; 3],
    told: Vec<Stretch>,
}

#[derive(Default)]
struct Team {
    /// When somebody was out: `[from, to)`.
    spans: Vec<(EventTime, EventTime)>,
    /// When enough were.
    told: Vec<(EventTime, EventTime)>,
}

#[derive(Default)]
pub(crate) struct Adherence {
    door: Door,
    agents: Vec<Agent>,
    teams: Vec<Team>,
    boundaries: BinaryHeap<Reverse<(EventTime, u32)>>,
    watermark: EventTime,
    pub(crate) sum: u64,
    old: Vec<Stretch>,
    edges: Vec<(EventTime, i32)>,
}

impl Adherence {
    pub(crate) fn take(&mut self, event: &Event) {
        match event.what {
            What::Hire(agent) => {
                let spans = schedule(agent);
                let points = vec![(first(agent).at, first(agent).value)];
                self.agents.push(Agent { points, spans, told: Vec::new() });
                self.teams.resize_with((agent / TEAM) as usize + 1, Team::default);
                let edges = spans.iter().flat_map(|span| [span.from, span.to]);
                self.boundaries.extend(edges.map(|at| Reverse((at, agent))));
                self.retell(agent, 0);
            }
            What::State(agent, state) if self.door.admits(event) => {
                let points = &mut self.agents[agent as usize].points;
                let point = (event.at, state);
                points.insert(points.partition_point(|it| *it <= point), point);
                self.retell(agent, event.at);
            }
            _ => {}
        }
    }

    pub(crate) fn advance(&mut self, watermark: EventTime) {
        self.door.advance(watermark);
        self.watermark = watermark;
        let mut due = Vec::new();
        while let Some(Reverse((at, agent))) = self.boundaries.peek().copied()
            && at <= watermark
        {
            self.boundaries.pop();
            due.push((agent, at));
        }
        // An agent's history is told anew once, from the first of its boundaries on.
        due.sort_unstable();
        due.dedup_by_key(|(agent, _)| *agent);
        for (agent, at) in due {
            self.retell(agent, at);
        }
    }

    /// What ended before this is not looked at again. At the end of the input nothing is forgotten any more.
    fn oldest(&self) -> EventTime {
        if self.watermark == FOREVER { 0 } else { self.watermark.saturating_sub(HORIZON) }
    }

    /// Tells an agent's history anew from `changed` on, and what follows for the team.
    fn retell(&mut self, agent: u32, changed: EventTime) {
        let oldest = self.oldest();
        let it = &mut self.agents[agent as usize];
        let kept = it.told.partition_point(|told| told.to < changed);
        // A stretch may have begun before the oldest point that is kept.
        let began = it.told.get(kept).map_or(changed, |told| told.from.min(changed));
        let from = it.points.first().map_or(began, |point| point.0.min(changed).max(began));
        self.old.clear();
        self.old.extend(it.told.drain(kept..));
        let latest = it.points.last().map_or(0, |point| point.0);
        let present = self.watermark.max(latest);
        let mut at = Some(from);
        while let Some(from) = at.filter(|at| *at <= present) {
            let next_point = it.points.partition_point(|point| point.0 <= from);
            let covering = it.spans.iter().find(|span| span.from <= from && from < span.to);
            let edges = it.spans.iter().flat_map(|span| [span.from, span.to]);
            let edge = edges.filter(|edge| from < *edge).min();
            at = it.points.get(next_point).map(|point| point.0).into_iter().chain(edge).min();
            let to = at.filter(|at| *at <= present).unwrap_or(FOREVER);
            let Some((_, state)) = next_point.checked_sub(1).map(|index| it.points[index]) else {
                continue;
            };
            let out = is_out(state, covering.map(|span| span.value));
            match it.told.last_mut() {
                Some(last) if last.to == from && last.out == out => last.to = to,
                _ => it.told.push(Stretch { from, to, out }),
            }
        }
        if let Some(first) = it.told.get_mut(kept).filter(|first| first.from == from) {
            first.from = began;
        }
        self.edges.clear();
        let new = &it.told[kept.min(it.told.len())..];
        let team = &mut self.teams[(agent / TEAM) as usize];
        for (stretch, diff) in
            self.old.iter().map(|it| (it, -1)).chain(new.iter().map(|it| (it, 1)))
        {
            let both = if diff < 0 { new.contains(stretch) } else { self.old.contains(stretch) };
            if both {
                continue;
            }
            let row = (agent, stretch.from, stretch.to, stretch.out);
            self.sum = self.sum.wrapping_add(weight(row, i64::from(diff)));
            if stretch.out {
                self.edges.push((stretch.from, diff));
                self.edges.push((stretch.to, -diff));
                let span = (stretch.from, stretch.to);
                if diff > 0 {
                    team.spans.push(span);
                } else if let Some(at) = team.spans.iter().position(|it| *it == span) {
                    team.spans.swap_remove(at);
                }
            }
        }
        if it.points.len() > PRUNE_ABOVE {
            let gone = it.points.partition_point(|point| point.0 < oldest).saturating_sub(1);
            it.points.drain(..gone);
            it.told.retain(|told| oldest <= told.to);
        }
        self.drift(agent / TEAM);
    }

    /// Tells a team's episodes anew from the first edge that changed on.
    fn drift(&mut self, number: u32) {
        let edges = &mut self.edges;
        edges.sort_unstable();
        let changed = edges
            .chunk_by(|a, b| a.0 == b.0)
            .find(|at| at.iter().map(|edge| edge.1).sum::<i32>() != 0)
            .map(|at| at[0].0);
        let Some(changed) = changed else { return };
        let oldest = self.oldest();
        let edges = &mut self.edges;
        let team = &mut self.teams[number as usize];
        let kept = team.told.partition_point(|told| told.1 < changed);
        let start = team.told.get(kept).map_or(changed, |told| told.0.min(changed));
        let mut count = 0;
        edges.clear();
        for (from, to) in team.spans.iter().filter(|span| start <= span.1) {
            if *from < start {
                count += 1;
            } else {
                edges.push((*from, 1));
            }
            if *to < FOREVER {
                edges.push((*to, -1));
            }
        }
        edges.sort_unstable();
        let mut told = Vec::new();
        let mut running = None;
        for at in edges.chunk_by(|a, b| a.0 == b.0) {
            count += at.iter().map(|edge| edge.1).sum::<i32>();
            match running {
                None if OUT_MIN <= count => running = Some(at[0].0),
                Some(from) if count < OUT_MIN => {
                    told.push((from, at[0].0));
                    running = None;
                }
                _ => {}
            }
        }
        told.extend(running.map(|from| (from, FOREVER)));
        let rows = team.told[kept..].iter().map(|it| (it, -1)).chain(told.iter().map(|it| (it, 1)));
        for (episode, diff) in rows {
            self.sum = self.sum.wrapping_add(weight((number, episode.0, episode.1), diff));
        }
        team.told.truncate(kept);
        team.told.append(&mut told);
        if team.spans.len() > PRUNE_ABOVE {
            team.told.retain(|told| oldest <= told.1);
            let keep = team.told.first().map_or(oldest, |told| told.0.min(oldest));
            team.spans.retain(|span| keep <= span.1);
        }
    }
}
