//! Dead letters: input that was no event, one row each; the bytes are in the journal.
//!
//! in   rejected input
//! out  dead_letters   one row per dead letter

use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};

use crate::input::Rejected;

impl ViewRow for Rejected {
    const VIEW: &'static View = &View {
        name: "dead_letters",
        doc: "Input that could not be taken as an event, with the reason; `highwater dlq show` has the bytes.",
        key: 1,
        columns: &[
            Column::int("seq", "journal position"),
            Column::text("source", "where it came from"),
            Column::int("position", "its place in the source"),
            Column::int("received_ms", "when it came, ms UTC"),
            Column::text("reason", "what to mend"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        row.extend([
            Value::Int(self.seq as i64),
            self.source.clone().into(),
            Value::Int(self.position as i64),
            self.received_at.into(),
            self.reason.clone().into(),
        ]);
    }
}
