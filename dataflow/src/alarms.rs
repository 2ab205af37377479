//! Alarms: stretches of event time over which a level is beyond what the terms in force at the time allow.
//!
//! ```text
//! levels (G, Span<V>)  ─┐
//!                       ├─ judged instant by instant ──► stretches ── long enough? ──► alarms (G, Alarm<V>)
//! terms  (G, Span<P>)  ─┘
//! ```
//!
//! Terms are data like the levels: each instant is judged by the terms in force then, so that new ones change nothing
//! about the past, and terms that are told late change exactly what they were in force for.

use std::mem::take;

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{Out, closed2, route};
use crate::diff::difference;
use crate::keyed::Keyed;
use crate::multiset::put;
use crate::overlay::Revision;
use crate::table::Table;
use crate::time::{EventTime, FOREVER, Millis, Span};

/// What the terms say of the levels at some instant: the condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The level, in the rule's unit, and what it is held against.
    pub value: i64,
    pub threshold: i64,
    /// The condition is an alarm once it still holds this long after it began, ms; 0: at once.
    pub lasting: Millis,
    /// A condition of another kind begins anew.
    pub kind: i64,
}

/// A maximal stretch `[from, to)` of alarm.
///
/// `from` is when the condition began; or, where terms changed while it held, when it became an alarm again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Alarm<V> {
    pub from: EventTime,
    /// `FOREVER` while it lasts.
    pub to: EventTime,
    /// The greatest value during it, and what that was held against.
    pub value: i64,
    pub threshold: i64,
    /// Every level during it, sorted, each once.
    pub levels: Vec<V>,
    /// Journal positions of the records that brought it about, sorted.
    pub causes: Vec<u64>,
    pub end: End,
}

/// Why an alarm ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum End {
    /// It has not, or the condition did.
    Condition,
    /// Other terms came into force under which it is none.
    TermsChanged,
    /// No terms are in force any more.
    TermsEnded,
}

/// The two outputs of [`Table::alarms`].
pub struct Alarms<'s, G: Datum, V: Datum> {
    pub alarms: Table<'s, (G, Alarm<V>)>,
    /// `(G, Revision)`: insertions only, the levels and terms that were new when a group's alarms changed.
    pub revisions: Table<'s, (G, Revision)>,
    /// `(G, Revision)`: insertions only, the terms that had waited for as long as they ask, where nothing else but time
    /// added what they judge to an alarm.
    pub matured: Table<'s, (G, Revision)>,
}

impl<'s, G: Datum, V: Datum> Table<'s, (G, Span<V>)> {
    /// When the levels of a group are beyond what its `terms` allow.
    ///
    /// `judge` gets the terms in force and the levels that hold at an instant, in order of their start; without terms or
    /// without levels there is nothing to judge. An alarm shows at once, also ahead of the watermark, unless its
    /// condition is still open and has yet to last: then once the watermark has come so far.
    ///
    /// A change rewrites the stretches it touches and no others. State per group: levels, terms and stretches that end
    /// within `horizon` of the watermark or later. Cost of a change: linear in those.
    pub fn alarms<P: Datum>(
        self,
        name: &str,
        terms: Table<'s, (G, Span<P>)>,
        horizon: Millis,
        judge: impl Fn(&P, &[&V]) -> Option<Finding> + 'static,
    ) -> Alarms<'s, G, V> {
        let (mut due, mut news) = (Vec::new(), Vec::new());
        let mut touched: Vec<(u32, EventTime)> = Vec::new();
        let (alarms, revisions) = closed2(
            self,
            |(group, _)| route(group),
            terms,
            |(group, _)| route(group),
            name,
            Keyed::<G, Group<V, P>>::new(),
            move |groups, now, levels, terms, out, revised: &mut Out<(G, (Revision, bool))>| {
                let oldest = now.watermark.saturating_sub(horizon);
                touched.clear();
                news.clear();
                groups.group(levels, |slot, _, group, rows| {
                    let changed = take_in(&mut group.levels, rows, |revision| {
                        news.push((slot, revision));
                    });
                    touched.push((slot, changed));
                });
                groups.group(terms, |slot, _, group, rows| {
                    // Terms of a group that is only now heard of are no news.
                    let known = !group.terms.is_empty();
                    let changed = take_in(&mut group.terms, rows, |revision| {
                        if known {
                            news.push((slot, revision));
                        }
                    });
                    touched.push((slot, changed));
                });
                due.clear();
                groups.due(now.watermark, &mut due);
                touched.extend(due.iter().map(|&slot| (slot, FOREVER)));
                touched.sort_unstable();
                touched.dedup_by_key(|(slot, _)| *slot);
                for &(slot, changed) in &touched {
                    let (key, group) = groups.get(slot);
                    let mut any = false;
                    let matured = group.rewrite(changed, now.watermark, &judge, |alarm, diff| {
                        any = true;
                        out.give((key.clone(), alarm), diff);
                    });
                    if any {
                        for (_, revision) in news.iter().filter(|(of, _)| *of == slot) {
                            revised.give((key.clone(), (revision.clone(), false)), 1);
                        }
                        for revision in matured {
                            revised.give((key.clone(), (revision, true)), 1);
                        }
                    }
                    let wake = group.forget(oldest, now.watermark, horizon);
                    groups.wake(slot, wake);
                }
            },
        );
        let of = |which: bool| {
            let of = revisions.clone().filter(move |(_, (_, matured))| *matured == which);
            of.map(|(group, (revision, _))| (group, revision))
        };
        Alarms { alarms, revisions: of(false), matured: of(true) }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(bound = "V: Datum, P: Datum")]
struct Group<V, P> {
    /// Sorted by start.
    levels: Vec<(Span<V>, isize)>,
    terms: Vec<(Span<P>, isize)>,
    stretches: Vec<Stretch<V>>,
}

impl<V, P> Default for Group<V, P> {
    fn default() -> Self {
        Group { levels: Vec::new(), terms: Vec::new(), stretches: Vec::new() }
    }
}

/// A maximal stretch `[from, to)` over which the condition held, alarming or not.
#[derive(Serialize, Deserialize)]
#[serde(bound = "V: Datum")]
struct Stretch<V> {
    from: EventTime,
    to: EventTime,
    end: End,
    /// What was found, each from its instant to the next.
    steps: Vec<(EventTime, Finding)>,
    /// As told.
    alarms: Vec<Alarm<V>>,
}

/// Applies an epoch's changes to a side, reports what is new in it and returns the first instant that differs.
fn take_in<T: Datum>(
    side: &mut Vec<(Span<T>, isize)>,
    rows: &mut dyn Iterator<Item = (&Span<T>, isize)>,
    mut new: impl FnMut(Revision),
) -> EventTime {
    // What begins is one thing, when it ends another: a span that merely got its end changes nothing at its start.
    let mut edges: Vec<((EventTime, Option<(T, u64)>), isize)> = Vec::new();
    for (span, diff) in rows {
        edges.push(((span.from, Some((span.value.clone(), span.seq))), diff));
        edges.push(((span.to, None), -diff));
        put(side, span, diff);
    }
    differential_dataflow::consolidation::consolidate(&mut edges);
    for ((at, start), diff) in &edges {
        if let (Some((_, seq @ 1..)), true) = (start, *diff > 0) {
            new(Revision { at: *at, seq: *seq });
        }
    }
    edges.first().map_or(FOREVER, |((at, _), _)| *at)
}

impl<V: Datum, P: Datum> Group<V, P> {
    /// Tells anew everything from `changed` on, and what the watermark has brought, and gives the difference. Returns the
    /// terms that nothing but the watermark brought.
    fn rewrite(
        &mut self,
        changed: EventTime,
        watermark: EventTime,
        judge: &impl Fn(&P, &[&V]) -> Option<Finding>,
        give: impl FnMut(Alarm<V>, isize),
    ) -> Vec<Revision> {
        let kept = self.stretches.partition_point(|stretch| stretch.to < changed);
        let start = self.stretches.get(kept).map_or(changed, |first| first.from.min(changed));
        let mut tail = self.stretches.split_off(kept);
        let told: Vec<Alarm<V>> = tail.iter_mut().flat_map(|s| take(&mut s.alarms)).collect();
        if changed < FOREVER {
            tail = self.sweep(start, judge);
        }
        let mut matured = Vec::new();
        for stretch in &mut tail {
            stretch.alarms = self.alarms(stretch, watermark);
            if changed == FOREVER {
                matured.extend(self.matured(stretch, &told));
            }
        }
        let tell: Vec<Alarm<V>> = tail.iter().flat_map(|s| s.alarms.iter().cloned()).collect();
        self.stretches.append(&mut tail);
        difference(&told, &tell, give);
        matured
    }

    /// The terms that came into force within `stretch` and whose part of it is in its alarms now, and was in none of `told`.
    fn matured(&self, stretch: &Stretch<V>, told: &[Alarm<V>]) -> Vec<Revision> {
        let holds = |alarms: &[Alarm<V>], at| alarms.iter().any(|it| it.from <= at && at < it.to);
        let mut matured = Vec::new();
        for (at, finding) in stretch.steps.iter().skip(1) {
            let from = stretch.from.saturating_add(finding.lasting).max(*at);
            if let Some(terms) = self.terms_at(*at)
                && (terms.from, terms.seq > 0) == (*at, true)
                && holds(&stretch.alarms, from)
                && !holds(told, from)
            {
                matured.push(Revision { at: *at, seq: terms.seq });
            }
        }
        matured
    }

    /// The stretches from `start` on, at which none is in progress.
    fn sweep(
        &self,
        start: EventTime,
        judge: &impl Fn(&P, &[&V]) -> Option<Finding>,
    ) -> Vec<Stretch<V>> {
        let levels = self.levels.iter().flat_map(|(span, _)| [span.from, span.to]);
        let terms = self.terms.iter().flat_map(|(span, _)| [span.from, span.to]);
        let mut instants: Vec<EventTime> = vec![start];
        instants.extend(levels.chain(terms).filter(|at| (start..FOREVER).contains(at)));
        instants.sort_unstable();
        instants.dedup();
        let mut swept: Vec<Stretch<V>> = Vec::new();
        let mut open = false;
        let (mut active, mut coming) = (Vec::new(), self.levels.iter().peekable());
        for at in instants {
            active.retain(|span: &&Span<V>| span.to > at);
            while let Some((span, copies)) = coming.next_if(|(span, _)| span.from <= at) {
                if span.to > at {
                    active.extend(std::iter::repeat_n(span, copies.unsigned_abs()));
                }
            }
            let found = |terms: Option<&Span<P>>| {
                let values: Vec<&V> = active.iter().map(|span| &span.value).collect();
                terms.filter(|_| !values.is_empty()).and_then(|t| judge(&t.value, &values))
            };
            let finding = found(self.terms_at(at));
            let same = |last: &Stretch<V>| {
                last.steps.last().zip(finding).is_some_and(|((_, was), is)| was.kind == is.kind)
            };
            if open && !swept.last().is_some_and(same) {
                let last = swept.last_mut().expect("one is open");
                last.to = at;
                if finding.is_none() && found(self.terms_before(at)).is_some() {
                    let over = self.terms_at(at).is_none();
                    last.end = if over { End::TermsEnded } else { End::TermsChanged };
                }
                open = false;
            }
            let Some(finding) = finding else { continue };
            if open {
                let last = swept.last_mut().expect("one is open");
                if last.steps.last().is_some_and(|(_, was)| *was != finding) {
                    last.steps.push((at, finding));
                }
            } else {
                swept.push(Stretch {
                    from: at,
                    to: FOREVER,
                    end: End::Condition,
                    steps: vec![(at, finding)],
                    alarms: Vec::new(),
                });
                open = true;
            }
        }
        swept
    }

    /// The terms in force at `at`: of several those that start last.
    fn terms_at(&self, at: EventTime) -> Option<&Span<P>> {
        let before = self.terms.partition_point(|(span, _)| span.from <= at);
        self.terms[..before].iter().rev().map(|(span, _)| span).find(|span| span.to > at)
    }

    /// The terms in force just before `at`.
    fn terms_before(&self, at: EventTime) -> Option<&Span<P>> {
        let before = self.terms.partition_point(|(span, _)| span.from < at);
        self.terms[..before].iter().rev().map(|(span, _)| span).find(|span| span.to >= at)
    }

    /// The parts of a stretch that are alarms, as far as is known at the watermark.
    fn alarms(&self, stretch: &Stretch<V>, watermark: EventTime) -> Vec<Alarm<V>> {
        let mut parts: Vec<(EventTime, EventTime)> = Vec::new();
        for (i, (at, finding)) in stretch.steps.iter().enumerate() {
            let to = stretch.steps.get(i + 1).map_or(stretch.to, |(next, _)| *next);
            let matures = stretch.from.saturating_add(finding.lasting);
            let known = finding.lasting <= 0 || stretch.to < FOREVER || matures <= watermark;
            let from = matures.max(*at);
            if !known || from >= to {
                continue;
            }
            match parts.last_mut() {
                Some(last) if last.1 == from => last.1 = to,
                Some(_) => parts.push((from, to)),
                None => parts.push((stretch.from, to)),
            }
        }
        parts.into_iter().map(|(from, to)| self.alarm(stretch, from, to)).collect()
    }

    fn alarm(&self, stretch: &Stretch<V>, from: EventTime, to: EventTime) -> Alarm<V> {
        let ends = stretch.steps.iter().skip(1).map(|(at, _)| *at).chain([stretch.to]);
        let inside = stretch.steps.iter().zip(ends);
        let inside = inside.filter(|((at, _), end)| *at < to && *end > from);
        let peak = inside.map(|((_, finding), _)| finding).max_by_key(|finding| finding.value);
        let peak = peak.expect("an alarm is made of steps");
        let spans = self.levels.iter().map(|(span, _)| span);
        let spans = spans.filter(|span| span.from < to && span.to > from);
        let mut levels: Vec<V> = spans.clone().map(|span| span.value.clone()).collect();
        levels.sort_unstable();
        levels.dedup();
        let terms = self.terms_at(from).filter(|terms| terms.from == from).map(|t| t.seq);
        let causes = spans.filter(|span| span.from <= from).map(|span| span.seq).chain(terms);
        let mut causes: Vec<u64> = causes.filter(|seq| *seq > 0).collect();
        causes.sort_unstable();
        causes.dedup();
        let end = if to == stretch.to { stretch.end } else { End::TermsChanged };
        let (value, threshold) = (peak.value, peak.threshold);
        Alarm { from, to, value, threshold, levels, causes, end }
    }

    /// Drops what is final, and says when to look again.
    fn forget(&mut self, oldest: EventTime, watermark: EventTime, horizon: Millis) -> EventTime {
        self.stretches.retain(|stretch| stretch.to >= oldest);
        // What a stretch that may still change is made of stays as long as it does.
        let keep = self.stretches.first().map_or(oldest, |first| first.from.min(oldest));
        self.levels.retain(|(span, _)| span.to >= keep);
        self.terms.retain(|(span, _)| span.to >= keep);
        let ends = self.levels.iter().map(|(span, _)| span.to).filter(|&to| to < FOREVER);
        let shrink = ends.min().map_or(FOREVER, |end| {
            let end = end.max(oldest.saturating_add(SHRINK_SLACK));
            end.saturating_add(horizon).saturating_add(1)
        });
        let open = self.stretches.last().filter(|stretch| stretch.to == FOREVER);
        let matures = open.into_iter().flat_map(|stretch| {
            stretch.steps.iter().map(|(_, finding)| stretch.from.saturating_add(finding.lasting))
        });
        let matures = matures.filter(|&at| at > watermark).min().unwrap_or(FOREVER);
        shrink.min(matures)
    }
}

/// State past the horizon may stay this long, so that it is dropped in bulk.
const SHRINK_SLACK: Millis = 60_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Step, run};
    use crate::time::BEGINNING;

    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    enum Row {
        Level(Span<i64>),
        /// Minimum and duration.
        Terms(Span<(i64, i64)>),
    }

    type Told = (EventTime, EventTime, i64, i64, Vec<u64>, End);

    fn check(script: Vec<Step<Row, Told>>) {
        for workers in [1, 2] {
            run(
                workers,
                |rows| {
                    let levels = rows.clone().flat_map(|row| match row {
                        Row::Level(span) => Some(("q".to_owned(), span)),
                        Row::Terms(_) => None,
                    });
                    let terms = rows.flat_map(|row| match row {
                        Row::Terms(span) => Some(("q".to_owned(), span)),
                        Row::Level(_) => None,
                    });
                    let judge = |&(minimum, lasting): &(i64, i64), levels: &[&i64]| {
                        let value: i64 = levels.iter().copied().sum();
                        let finding = Finding { value, threshold: minimum, lasting, kind: 0 };
                        (value >= minimum).then_some(finding)
                    };
                    levels.alarms("alarms", terms, 1_000, judge).alarms.map(|(_, alarm)| {
                        let Alarm { from, to, value, threshold, causes, end, .. } = alarm;
                        (from, to, value, threshold, causes, end)
                    })
                },
                script.clone(),
            );
        }
    }

    fn level(from: i64, to: i64, value: i64, seq: u64) -> Row {
        Row::Level(Span { from, to, value, seq })
    }

    fn terms(from: i64, to: i64, minimum: i64, lasting: i64, seq: u64) -> Row {
        Row::Terms(Span { from, to, value: (minimum, lasting), seq })
    }

    #[test]
    fn new_terms_open_and_end_alarms_and_leave_the_past_alone() {
        let first = terms(BEGINNING, FOREVER, 5, 0, 0);
        check(vec![
            Step::Add(vec![first.clone(), level(10, FOREVER, 3, 1)]),
            Step::Table(vec![]),
            // Lowered at 20: open from then on, brought about by what holds and by the terms.
            Step::Change(vec![
                (first, -1),
                (terms(BEGINNING, 20, 5, 0, 0), 1),
                (terms(20, FOREVER, 3, 0, 9), 1),
            ]),
            Step::Table(vec![(20, FOREVER, 3, 3, vec![1, 9], End::Condition)]),
            // Raised at 30: over at 30, although the level still holds.
            Step::Change(vec![
                (terms(20, FOREVER, 3, 0, 9), -1),
                (terms(20, 30, 3, 0, 9), 1),
                (terms(30, FOREVER, 4, 0, 10), 1),
            ]),
            Step::Table(vec![(20, 30, 3, 3, vec![1, 9], End::TermsChanged)]),
            // What was in force from 30 on was to be nothing at all.
            Step::Remove(vec![terms(30, FOREVER, 4, 0, 10)]),
            Step::Table(vec![(20, 30, 3, 3, vec![1, 9], End::TermsEnded)]),
        ]);
    }

    #[test]
    fn a_condition_that_must_last_waits_for_the_watermark_and_tells_its_beginning() {
        check(vec![
            Step::Add(vec![terms(BEGINNING, FOREVER, 2, 50, 0), level(100, FOREVER, 2, 1)]),
            Step::Watermark(149),
            Step::Table(vec![]),
            Step::Watermark(150),
            Step::Table(vec![(100, FOREVER, 2, 2, vec![1], End::Condition)]),
            // It ended just when it would have become one.
            Step::Change(vec![(level(100, FOREVER, 2, 1), -1), (level(100, 150, 2, 1), 1)]),
            Step::Table(vec![]),
            // Two that follow each other are one condition; known once it is over.
            Step::Add(vec![level(150, 151, 3, 2)]),
            Step::Table(vec![(100, 151, 3, 2, vec![1], End::Condition)]),
        ]);
    }

    #[test]
    fn a_duration_that_changes_counts_from_the_beginning_of_the_condition() {
        check(vec![
            Step::Add(vec![
                terms(BEGINNING, 100, 1, 60, 0),
                terms(100, FOREVER, 1, 300, 9),
                level(0, FOREVER, 1, 1),
            ]),
            Step::Watermark(250),
            Step::Table(vec![(0, 100, 1, 1, vec![1], End::TermsChanged)]),
            Step::Watermark(300),
            Step::Table(vec![
                (0, 100, 1, 1, vec![1], End::TermsChanged),
                (300, FOREVER, 1, 1, vec![1], End::Condition),
            ]),
        ]);
    }
}
