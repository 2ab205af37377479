//! Timed state: keys that keep what they heard and speak at instants of event time, or when they hear more.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Datum;
use crate::closed::{closed, route};
use crate::keyed::Keyed;
use crate::table::Table;
use crate::time::EventTime;

/// What a key keeps and says. Must not depend on the order of rows within an epoch.
pub trait Timed<K, V>: 'static {
    type State: Default + Serialize + DeserializeOwned + 'static;
    type Out: Datum;

    /// Takes one change of the key's rows in; within an epoch, insertions come before retractions.
    fn hear(&self, key: &K, state: &mut Self::State, row: &V, diff: isize);

    /// Says what is new once an epoch's rows are heard and the watermark stands at `watermark`; returns the watermark
    /// at which it wants to be asked next though it hears nothing (`FOREVER`: never).
    fn speak(
        &self,
        key: &K,
        state: &mut Self::State,
        watermark: EventTime,
        out: &mut Vec<(Self::Out, isize)>,
    ) -> EventTime;
}

impl<'s, K: Datum, V: Datum> Table<'s, (K, V)> {
    /// Runs `logic` per key, at closed epochs in which the key has rows and when the watermark reaches the instant the
    /// key asked for: Beam's stateful processing with an event-time timer.
    ///
    /// State: one `T::State` per key, for ever; use it where keys are bounded (queues, agents), and let the logic say how
    /// its state shrinks.
    pub fn timed<T: Timed<K, V>>(self, name: &str, logic: T) -> Table<'s, T::Out> {
        let mut said: Vec<(T::Out, isize)> = Vec::new();
        closed(
            self,
            name,
            |(key, _)| route(key),
            Keyed::<K, T::State>::new(),
            move |keyed, now, rows, out| {
                let mut asked = Vec::new();
                keyed.group(rows, |slot, key, state, changes| {
                    for (row, diff) in changes {
                        logic.hear(key, state, row, diff);
                    }
                    asked.push(slot);
                });
                keyed.due(now.watermark, &mut asked);
                for slot in asked {
                    let (key, state) = keyed.get(slot);
                    let next = logic.speak(key, state, now.watermark, &mut said);
                    keyed.wake(slot, next);
                }
                out.give_net(&mut said);
            },
        )
    }
}
