//! Dead letters: one row each, as they came.

use highwater_dataflow::view::{Row, Value};
use highwater_queries::Rejected;

pub(crate) fn rows(rejected: &[Rejected]) -> Vec<Row> {
    let row = |letter: &Rejected| {
        vec![
            Value::Int(letter.seq as i64),
            Value::Text(letter.source.clone()),
            Value::Int(letter.position as i64),
            Value::Int(letter.received_at),
            Value::Text(letter.reason.clone()),
        ]
    };
    rejected.iter().map(row).collect()
}
