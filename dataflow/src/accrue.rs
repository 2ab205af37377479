//! Accrue: what spans amount to in each window of time, growing with the watermark.
//!
//! A span that is still open adds to its window as time passes, and is split where windows meet. Rows are told on the
//! beat of [`Pace::every`], not at every step of the watermark: at watermark `w` each row counts the time before
//! `floor(w / every) * every`, whatever happened later. So a change ahead of the beat costs no row, a late one costs
//! the windows whose amount it changes, and the beat costs the windows that are filling.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{Out, closed_with_side, route};
use crate::keyed::Keyed;
use crate::multiset::{fit, room_behind};
use crate::table::Table;
use crate::time::{BEGINNING, Epoch, EventTime, FOREVER, Millis, Span};
use crate::window::{Group, RowStatus, Window};

/// When rows are told, and for how long they are corrected.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The beat, ms: choose it so that windows begin on it.
    pub every: Millis,
    /// How long after its end a window is corrected; then it is final.
    pub horizon: Millis,
    /// How far back a leap of the watermark fills windows: bounds what one outlier in the past can cost.
    pub reach: Millis,
}

/// What the spans of a key amount to in a window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Accrual<M> {
    pub window: Window,
    /// As known now.
    pub value: M,
    /// As it was told when the window first closed; `None` while it is open, and where there was nothing to tell.
    pub published: Option<M>,
    pub status: RowStatus,
}

/// A closed window whose amount turned out otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Correction<M> {
    pub window: Window,
    /// The epoch that corrected it.
    pub epoch: Epoch,
    pub before: M,
    pub after: M,
    /// The greatest journal position among the spans in the window that are of records not seen there before;
    /// `None` if there are none, as when a span moved to another key.
    pub cause: Option<u64>,
}

/// The two outputs of [`Table::accrue`].
pub struct Accrued<'s, K: Datum, M: Datum> {
    /// `(K, Accrual<M>)`, one per window that holds anything or did when it closed.
    pub rows: Table<'s, (K, Accrual<M>)>,
    /// `(K, Correction<M>)`: insertions only, at most one per window and epoch.
    pub corrections: Table<'s, (K, Correction<M>)>,
}

impl<'s, K: Datum, V: Datum> Table<'s, (K, Span<V>)> {
    /// Adds up `rate` of the spans over time: a window's value is the sum over its milliseconds of the rates of all
    /// spans that cover them. Spans of a key may overlap.
    ///
    /// `windows` names the window of a key that holds an instant; a key's windows follow each other without gaps. Once
    /// the beat is `horizon` past a window's end it is final: later changes do not reach it. An input that has ended
    /// makes every window final as it is; how long open spans would have gone on, nobody says. State per key: the
    /// windows that hold anything and are not final, the sum of the rates in force, and rate changes ahead.
    pub fn accrue<M: Group + Datum>(
        self,
        name: &str,
        pace: Pace,
        windows: impl Fn(&K, EventTime) -> Window + 'static,
        rate: impl Fn(&V) -> M + 'static,
    ) -> Accrued<'s, K, M> {
        assert!(pace.every > 0, "rows are told on a beat of at least a millisecond");
        let state =
            Accounts { keyed: Keyed::<K, Account<M>>::new(), reached: BEGINNING, over: false };
        let mut edges: Vec<(EventTime, M)> = Vec::new();
        let mut touched: Vec<u32> = Vec::new();
        let (rows, corrections) = closed_with_side(
            self,
            name,
            |(key, _)| route(key),
            state,
            move |Accounts { keyed, reached, over }, now, rows, out, side| {
                if *over {
                    return;
                }
                *over = now.watermark == FOREVER;
                let told = *reached;
                keyed.group(rows, |slot, key, account, changes| {
                    for (span, diff) in changes.filter(|(span, _)| span.from < span.to) {
                        let rate = rate(&span.value);
                        account.heard.push(Heard {
                            from: span.from,
                            to: span.to,
                            seq: span.seq,
                            came: diff > 0,
                        });
                        let mut change = |at, times| {
                            let mut delta = M::zero();
                            delta.add(&rate, times);
                            edges.push((at, delta));
                        };
                        change(span.from, diff);
                        if span.to < FOREVER {
                            change(span.to, -diff);
                        }
                    }
                    account.settle(&mut edges, told, pace, &|at| windows(key, at));
                    touched.push(slot);
                });
                if now.watermark > BEGINNING && !*over {
                    let beat = now.watermark.div_euclid(pace.every) * pace.every;
                    *reached = told.max(beat);
                }
                let (reached, over) = (*reached, *over);
                let mut tell = Tell { told, epoch: now.epoch, out, side };
                if reached > told || over {
                    touched.clear();
                    keyed.retain(|key, account| {
                        account.advance(told, reached, pace, &|at| windows(key, at));
                        account.close(reached, over, pace);
                        tell.flush(key, account);
                        fit(&mut account.ahead);
                        fit(&mut account.bins);
                        account.in_use()
                    });
                }
                for slot in touched.drain(..) {
                    let (key, account) = keyed.get(slot);
                    tell.flush(key, account);
                }
            },
        );
        Accrued { rows, corrections }
    }
}

/// What outlives an epoch.
#[derive(Serialize, Deserialize)]
#[serde(bound = "K: Datum, M: Datum")]
struct Accounts<K, M> {
    keyed: Keyed<K, Account<M>>,
    /// The beat: rows count the time before it.
    reached: EventTime,
    /// The input has ended.
    over: bool,
}

/// One key's spans, as far as they still matter.
#[derive(Serialize, Deserialize)]
#[serde(bound = "M: Datum")]
struct Account<M> {
    /// The sum of the rates in force where the beat is.
    level: Option<M>,
    /// By how much it changes, after the beat; ascending.
    ahead: VecDeque<(EventTime, M)>,
    /// Windows that are not final, ascending.
    bins: VecDeque<Bin<M>>,
    /// Windows that this epoch changed, as they were told before.
    #[serde(skip)]
    old: Vec<(EventTime, Option<Accrual<M>>)>,
    /// The spans that came and went in this epoch.
    #[serde(skip)]
    heard: Vec<Heard>,
}

#[derive(Serialize, Deserialize)]
#[serde(bound = "M: Datum")]
struct Bin<M> {
    window: Window,
    value: M,
    published: Published<M>,
    status: RowStatus,
    /// It is in the list of what this epoch changed; between epochs none is.
    noted: bool,
}

/// What was told when the window closed. Mostly nothing comes late, and one value is enough.
#[derive(Serialize, Deserialize)]
#[serde(bound = "M: Datum")]
enum Published<M> {
    Nothing,
    /// What is known now.
    Same,
    Other(Box<M>),
}

struct Heard {
    from: EventTime,
    to: EventTime,
    seq: u64,
    came: bool,
}

impl<M> Default for Account<M> {
    fn default() -> Self {
        Account {
            level: None,
            ahead: VecDeque::new(),
            bins: VecDeque::new(),
            old: Vec::new(),
            heard: Vec::new(),
        }
    }
}

impl<M: Group + Datum> Bin<M> {
    /// The row it is told as: nothing while it amounts to nothing, unless that is news.
    fn row(&self) -> Option<Accrual<M>> {
        let published = match &self.published {
            Published::Nothing => None,
            Published::Same => Some(self.value.clone()),
            Published::Other(value) => Some((**value).clone()),
        };
        (self.value != M::zero() || published.is_some()).then(|| Accrual {
            window: self.window,
            value: self.value.clone(),
            published,
            status: self.status,
        })
    }

    fn add(&mut self, rate: &M, time: Millis) {
        if matches!(self.published, Published::Same) {
            self.published = Published::Other(Box::new(self.value.clone()));
        }
        self.value.add(rate, time as isize);
    }

    fn note(&mut self, old: &mut Vec<(EventTime, Option<Accrual<M>>)>) {
        if !self.noted {
            self.noted = true;
            old.push((self.window.start, self.row()));
        }
    }
}

impl<M: Group + Datum> Account<M> {
    fn in_use(&self) -> bool {
        self.level.is_some() || !self.ahead.is_empty() || !self.bins.is_empty()
    }

    fn raise(&mut self, delta: &M) {
        let mut level = self.level.take().unwrap_or_else(M::zero);
        level.add(delta, 1);
        self.level = Some(level).filter(|level| *level != M::zero());
    }

    /// Notes a rate change ahead.
    fn expect(&mut self, at: EventTime, delta: M) {
        match self.ahead.binary_search_by_key(&at, |(ahead, _)| *ahead) {
            Ok(place) => {
                let ahead = &mut self.ahead[place].1;
                ahead.add(&delta, 1);
                if *ahead == M::zero() {
                    self.ahead.remove(place);
                }
            }
            Err(place) if delta != M::zero() => {
                room_behind(&mut self.ahead);
                self.ahead.insert(place, (at, delta));
            }
            Err(_) => {}
        }
    }

    /// Takes in rate changes; what they change before `told` is made good there.
    fn settle(
        &mut self,
        edges: &mut Vec<(EventTime, M)>,
        told: EventTime,
        pace: Pace,
        windows: &impl Fn(EventTime) -> Window,
    ) {
        edges.sort_unstable_by_key(|(at, _)| *at);
        let mut running = M::zero();
        // Everything before this window is final.
        let oldest = edges
            .first()
            .filter(|(at, _)| *at < told)
            .map(|_| windows(told.saturating_sub(pace.horizon)).start);
        let mut instants = edges.chunk_by(|a, b| a.0 == b.0).peekable();
        while let Some(instant) = instants.next() {
            let at = instant[0].0;
            let mut delta = M::zero();
            for (_, change) in instant {
                delta.add(change, 1);
            }
            if at > told {
                self.expect(at, delta);
                continue;
            }
            running.add(&delta, 1);
            let until = instants.peek().map_or(told, |next| next[0].0.min(told));
            if let Some(oldest) = oldest
                && running != M::zero()
            {
                self.add(at.max(oldest), until, &running, told, windows);
            }
        }
        self.raise(&running);
        edges.clear();
    }

    /// Lets time pass from `told` to `to`.
    fn advance(
        &mut self,
        told: EventTime,
        to: EventTime,
        pace: Pace,
        windows: &impl Fn(EventTime) -> Window,
    ) {
        let due = self.ahead.front().is_some_and(|(at, _)| *at <= to);
        if to == told || (self.level.is_none() && !due) {
            return;
        }
        let oldest = windows(to.saturating_sub(pace.reach)).start;
        let mut at = told;
        while at < to {
            let next = self.ahead.pop_front_if(|(at, _)| *at <= to);
            let (until, delta) = next.map_or((to, None), |(until, delta)| (until, Some(delta)));
            if let Some(level) = self.level.clone() {
                self.add(at.max(oldest), until, &level, told, windows);
            }
            at = until;
            if let Some(delta) = delta {
                self.raise(&delta);
            }
        }
    }

    /// Adds `rate` over `[from, to)`.
    fn add(
        &mut self,
        from: EventTime,
        to: EventTime,
        rate: &M,
        told: EventTime,
        windows: &impl Fn(EventTime) -> Window,
    ) {
        let mut at = from;
        while at < to {
            let window = windows(at);
            assert!(window.start <= at && at < window.end, "a window holds its instants");
            let until = window.end.min(to);
            let place = self.bins.partition_point(|bin| bin.window.start < window.start);
            if self.bins.get(place).is_none_or(|bin| bin.window.start > window.start) {
                let status = if window.end <= told { RowStatus::Closing } else { RowStatus::Open };
                let bin = Bin {
                    window,
                    value: M::zero(),
                    published: Published::Nothing,
                    status,
                    noted: false,
                };
                room_behind(&mut self.bins);
                self.bins.insert(place, bin);
            }
            let bin = &mut self.bins[place];
            bin.note(&mut self.old);
            bin.add(rate, until - at);
            at = until;
        }
    }

    /// Closes the windows that end at or before the beat, and makes final those whose corrections are over.
    fn close(&mut self, reached: EventTime, over: bool, pace: Pace) {
        for bin in self.bins.iter_mut().rev() {
            if bin.status != RowStatus::Open {
                break;
            }
            if over || bin.window.end <= reached {
                bin.note(&mut self.old);
                bin.status = RowStatus::Closing;
                if bin.value != M::zero() {
                    bin.published = Published::Same;
                }
            }
        }
        for bin in &mut self.bins {
            if !over && bin.window.end.saturating_add(pace.horizon) > reached {
                break;
            }
            bin.note(&mut self.old);
            bin.status = RowStatus::Final;
        }
    }

    /// The record that a correction of `window` is owed to.
    fn cause(&self, window: Window) -> Option<u64> {
        let within = |heard: &&Heard| heard.from < window.end && heard.to > window.start;
        let gone = |seq| self.heard.iter().any(|heard| !heard.came && heard.seq == seq);
        let came = self.heard.iter().filter(|heard| heard.came).filter(within);
        came.map(|heard| heard.seq).filter(|&seq| !gone(seq)).max()
    }
}

/// Where an epoch's differences go.
struct Tell<'o, K, M> {
    told: EventTime,
    epoch: Epoch,
    out: &'o mut Out<(K, Accrual<M>)>,
    side: &'o mut Out<(K, Correction<M>)>,
}

impl<K: Clone, M: Group + Datum> Tell<'_, K, M> {
    fn flush(&mut self, key: &K, account: &mut Account<M>) {
        for (start, old) in std::mem::take(&mut account.old) {
            let place = account.bins.partition_point(|bin| bin.window.start < start);
            let bin = &mut account.bins[place];
            bin.noted = false;
            let (window, new) = (bin.window, bin.row());
            let done = new.is_none() || bin.status == RowStatus::Final;
            let after = bin.value.clone();
            let before = old.as_ref().map_or_else(M::zero, |old| old.value.clone());
            if window.end <= self.told && before != after {
                let cause = account.cause(window);
                let correction = Correction { window, epoch: self.epoch, before, after, cause };
                self.side.give((key.clone(), correction), 1);
            }
            if old != new {
                if let Some(old) = old {
                    self.out.give((key.clone(), old), -1);
                }
                if let Some(new) = new {
                    self.out.give((key.clone(), new), 1);
                }
            }
            if done {
                account.bins.remove(place);
            }
        }
        account.heard = Vec::new();
    }
}

#[cfg(test)]
mod tests;
