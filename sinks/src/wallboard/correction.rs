//! Corrections: counts that changed although the watermark had passed their interval.

use std::collections::BTreeMap;

use highwater_dataflow::EventTime;
use highwater_dataflow::view::{Changes, Row, Value, View};
use serde::Serialize;

/// One figure that a late event put right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Correction {
    pub(super) view: &'static str,
    pub(super) key: Vec<Value>,
    pub(super) column: &'static str,
    pub(super) was: Value,
    pub(super) now: Value,
    /// What the row's status was when it was corrected: `closing` or `final`.
    pub(super) status: Value,
    /// The watermark at which the correction became known.
    pub(super) known_ms: EventTime,
}

/// Corrections among the changes of one epoch, for the named columns.
///
/// A row counts once its status has left `open`. A contact that was in progress when its interval ended and is
/// settled now is no correction: it moves between columns and the sum stays.
pub(super) fn find(
    changes: &Changes,
    columns: &[&'static str],
    watermark: EventTime,
) -> Vec<Correction> {
    let view = changes.view;
    let Some(status) = index(view, "status").filter(|_| !columns.is_empty()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut before: BTreeMap<String, &Row> = BTreeMap::new();
    for (row, diff) in &changes.rows {
        let key = super::board::json(&row[..view.key]).to_string();
        if *diff < 0 {
            before.insert(key, row);
            continue;
        }
        let Some(was) = before.remove(&key) else { continue };
        if !matches!(&was[status], Value::Text(text) if matches!(text.as_str(), "closing" | "final"))
        {
            continue;
        }
        if settles(view, was, row) {
            continue;
        }
        for &column in columns {
            let Some(index) = index(view, column) else { continue };
            if was[index] != row[index] {
                found.push(Correction {
                    view: view.name,
                    key: row[..view.key].to_vec(),
                    column,
                    was: was[index].clone(),
                    now: row[index].clone(),
                    status: was[status].clone(),
                    known_ms: watermark,
                });
            }
        }
    }
    found
}

/// True when contacts only moved from in progress to answered or abandoned.
fn settles(view: &View, was: &Row, now: &Row) -> bool {
    let read = |row: &Row, column| match index(view, column).map(|index| &row[index]) {
        Some(Value::Int(n)) => Some(*n),
        _ => None,
    };
    let total =
        |row| Some(read(row, "answered")? + read(row, "abandoned")? + read(row, "in_progress")?);
    let moved = |column| read(was, column) != read(now, column);
    total(was).is_some() && total(was) == total(now) && moved("in_progress") && !moved("arrivals")
}

fn index(view: &View, column: &str) -> Option<usize> {
    view.columns.iter().position(|c| c.name == column)
}
