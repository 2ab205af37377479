//! Rows with the watermark of their epoch: for what is said of progress itself.

use crate::Datum;
use crate::closed::{closed, route};
use crate::table::Table;
use crate::time::EventTime;

impl<'s, D: Datum> Table<'s, D> {
    /// Each row with the watermark as of the epoch in which it came. Rows may only come. State: none.
    pub fn with_watermark(self, name: &str) -> Table<'s, (D, EventTime)> {
        closed(self, name, route, (), move |(), now, rows, out| {
            for (row, _, diff) in rows.drain(..) {
                assert!(diff > 0, "a row that goes has no watermark to go with");
                out.give((row, now.watermark), diff);
            }
        })
    }
}
