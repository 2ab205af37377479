//! Reforecast accuracy: errors of all that was said at full hours, against what is known now.

use highwater_dataflow::view::{Row, Value};

use super::reforecast::{Days, METHODS};
use super::sums::percent;

pub(crate) fn rows(days: &Days) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, queue) in days.queues() {
        for ((minute, method), [intervals, absolute, error, actual]) in queue.errors() {
            rows.push(vec![
                Value::Text(name.0.clone()),
                Value::Text(METHODS[method].into()),
                Value::Int(minute),
                Value::Int(intervals),
                percent(absolute, actual),
                percent(error, actual),
                Value::Real(absolute as f64 / 1000.0),
                Value::Real(error as f64 / 1000.0),
                Value::Int(actual / 1000),
            ]);
        }
    }
    rows
}
