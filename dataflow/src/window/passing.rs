//! What the watermark does to windows as it passes their ends, and the ends of their lateness.

use std::collections::VecDeque;

use crate::Datum;
use crate::time::{BEGINNING, EventTime};

use super::Window;
use super::aggregate::Aggregate;
use super::assign::WindowFn;
use super::operator::{KeyId, Operator, PaneOut};
use super::plain::beginning;
use super::state::{Placed, Stage};

impl<K: Datum, V: Datum, W: WindowFn, A: Aggregate<V>> Operator<K, V, W, A> {
    /// Deals with every window whose end or expiry the watermark has reached.
    pub(crate) fn pass(&mut self, out: &mut PaneOut<K, A::Output>) {
        // A window that ends says one thing, one that expires takes that back and says another.
        out.expect(2 * self.ends.range(..=self.watermark).map(|(_, due)| due.len()).sum::<usize>());
        // Windows that end together expire together.
        let (mut expiring, mut expiring_at) = (Vec::new(), BEGINNING);
        while let Some(entry) = self.ends.first_entry()
            && *entry.key() <= self.watermark
        {
            let due = entry.remove();
            self.roll(&due);
            for (id, window) in due {
                let keyed = &mut self.keys[id as usize];
                let Ok(index) = keyed.find(window) else { continue };
                let complete = self.windows.complete_at(window);
                let expires = complete.saturating_add(self.plan.allowed_lateness);
                let crossing = match &mut keyed.windows[index].stage {
                    Stage::Filling => true,
                    Stage::Told => false,
                    Stage::Own(live) => !std::mem::replace(&mut live.passed, true),
                };
                if expires <= self.watermark {
                    self.end(id, index, crossing, out);
                    self.expire(id, index);
                } else if crossing {
                    if expiring_at != expires {
                        let ended = std::mem::take(&mut expiring);
                        self.expect_expiry(expiring_at, ended);
                        expiring_at = expires;
                    }
                    expiring.push((id, window));
                    if !self.tell(id, index, out) {
                        self.consider(id, window, index, true, out);
                    }
                }
            }
        }
        self.expect_expiry(expiring_at, expiring);
    }

    fn expect_expiry(&mut self, at: EventTime, windows: Vec<(KeyId, Window)>) {
        if !windows.is_empty() {
            let known = self.ends.entry(at).or_default();
            if known.is_empty() {
                *known = windows;
            } else {
                known.extend(windows);
            }
        }
    }

    /// The last word of a window that expires.
    fn end(&mut self, id: KeyId, index: usize, crossing: bool, out: &mut PaneOut<K, A::Output>) {
        if matches!(self.keys[id as usize].windows[index].stage, Stage::Told) {
            self.repeat(id, index, out);
            return;
        }
        self.give_own(id, index);
        if !self.keys[id as usize].windows[index].closed {
            self.fire(id, index, true, crossing, out);
        }
    }

    fn expire(&mut self, id: KeyId, index: usize) {
        let keyed = &mut self.keys[id as usize];
        let Some(Placed { window, .. }) = keyed.windows.remove(index) else { return };
        match keyed.windows.front() {
            None => {
                keyed.forget_slices();
                self.idle.push(id);
            }
            Some(first) if self.shares_slices => {
                // The next sum is made of this one, from which its first slices are to be taken: they stay until that is
                // over, too.
                let begins = |window| beginning(window, self.windows.complete_at(window));
                let needed = begins(first.window).min(begins(window));
                while let Some(slice) = keyed.slices.pop_front_if(|slice| slice.start < needed) {
                    keyed.told.lose(&self.aggregate, &slice);
                    keyed.over.lose(&self.aggregate, &slice);
                }
            }
            Some(_) => {}
        }
    }

    pub(crate) fn forget_idle(&mut self) {
        while let Some(id) = self.idle.pop() {
            let keyed = &mut self.keys[id as usize];
            // A key is listed once per window lost; the first look forgets it.
            if keyed.windows.is_empty() && self.ids.get(&keyed.key) == Some(&id) {
                self.ids.remove(&keyed.key);
                keyed.forget_slices();
                keyed.windows = VecDeque::new();
                keyed.pending = Vec::new();
                self.free.push(id);
            }
        }
    }
}
