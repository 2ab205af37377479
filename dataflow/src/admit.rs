//! The door of the dataflow: each event once, and none from before the correction horizon.

use rustc_hash::FxHashSet;

use serde::{Deserialize, Serialize};

use crate::Datum;
use crate::closed::{closed_with_side, route};
use crate::table::Table;
use crate::time::{BEGINNING, EventTime, Millis};

/// What the door needs to know of a row.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// The event's identity.
    pub id: u128,
    /// Its event time; `None` for reference data, which is valid whenever it comes.
    pub at: Option<EventTime>,
    /// Its journal position: of two events with one identity the first wins.
    pub seq: u64,
}

/// A row that was turned away, for the side output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Refused<E> {
    pub row: E,
    pub reason: Reason,
    /// How far behind the watermark its event time was, ms; 0 for duplicates.
    pub behind: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// Its identity was seen within the dedup horizon.
    Duplicate,
    /// Its event time lies before the watermark less the correction horizon.
    TooLate,
}

/// How long the door remembers, in event time.
#[derive(Clone, Copy, Debug)]
pub struct Horizons {
    /// Identities are remembered at least this long after they were admitted.
    pub dedup: Millis,
    /// Events older than the watermark less this change nothing any more.
    pub correction: Millis,
}

/// What the door remembers.
#[derive(Serialize, Deserialize)]
struct Door {
    recent: FxHashSet<u128>,
    older: FxHashSet<u128>,
    turned: Option<EventTime>,
    before: EventTime,
}

impl<'s, E: Datum> Table<'s, E> {
    /// Lets each identity in once, and no event from before the correction horizon.
    ///
    /// State: identities of the last one to two dedup horizons (17 to 34 bytes each); the older half is dropped each
    /// time the watermark has moved on by a horizon.
    pub fn admit(
        self,
        horizons: Horizons,
        admission: impl Fn(&E) -> Admission + Copy + 'static,
    ) -> (Table<'s, E>, Table<'s, Refused<E>>) {
        let door = Door {
            recent: FxHashSet::default(),
            older: FxHashSet::default(),
            turned: None,
            before: BEGINNING,
        };
        closed_with_side(
            self,
            "Admit",
            move |row| route(&admission(row).id),
            door,
            move |door, now, rows, out, refused| {
                let Door { recent, older, turned, before } = door;
                if now.advanced {
                    let since = *turned.get_or_insert(now.watermark);
                    if now.watermark.saturating_sub(since) >= horizons.dedup {
                        *older = std::mem::take(recent);
                        *turned = Some(now.watermark);
                    }
                }
                // One worker gets them in journal order already; the check is cheaper than the sort.
                if !rows.is_sorted_by_key(|(row, _, _)| admission(row).seq) {
                    rows.sort_by_key(|(row, _, _)| admission(row).seq);
                }
                // What came together is judged together: by the watermark before it.
                let watermark = std::mem::replace(before, now.watermark);
                let oldest = watermark.saturating_sub(horizons.correction);
                out.expect(rows.len());
                for (row, _, diff) in rows.drain(..) {
                    let Admission { id, at, .. } = admission(&row);
                    if at.is_some_and(|at| at < oldest) {
                        let behind = watermark.saturating_sub(at.unwrap_or(watermark));
                        refused.give(Refused { row, reason: Reason::TooLate, behind }, diff);
                    } else if older.contains(&id) || !recent.insert(id) {
                        let reason = Reason::Duplicate;
                        refused.give(Refused { row, reason, behind: 0 }, diff);
                    } else {
                        out.give(row, diff);
                    }
                }
            },
        )
    }
}
