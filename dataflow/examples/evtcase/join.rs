//! Temporal joins: each left row with the right version valid at its time, said once the watermark has passed the row.
//!
//! ```text
//! {"left": [{"ts","v","k"?}]}   {"right": [{"ts","v","k"?,"op"?}]}   {"watermark": t}   {"watermarks": [left, right]}
//!     ──►  {"k", "ts", "left", "right", "right_ts", "retract"}
//! ```
//!
//! A right row with `op` (or `kind`) `delete`, or without a value, ends the version before it; `update_before` says
//! nothing that the update itself does not. Rows without a version are said with `right: null` if the join is outer.

use highwater_dataflow::testing::Bench;
use highwater_dataflow::window::{Accumulation, Collect, FixedWindows};
use highwater_dataflow::{BEGINNING, EventTime, Millis, Point, Signal, Table};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::case::{Datum, instant, write_instant};
use super::run::{Outcome, key};

/// A row of either side. A right row without a value ends its predecessor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Row {
    Left(String, EventTime, Datum),
    Right(String, EventTime, Option<Datum>),
}

/// Key, time and value of the left row; time and value of the version.
type Joined = (String, EventTime, Datum, Option<(EventTime, Datum)>);

/// Cases are short: nothing need be forgotten.
const HORIZON: Millis = Millis::MAX / 4;

pub(crate) fn run(case: &Value) -> Result<Outcome, String> {
    let outer = is_outer(&case["config"]);
    let mut bench = Bench::start(1, move |rows| joined(rows, outer));
    // A side that has not spoken holds the watermark.
    bench.step(Vec::new(), bounds(BEGINNING, BEGINNING));
    let mut outcome = Outcome { steps: Vec::new(), dropped: 0 };
    for step in case["steps"].as_array().ok_or("steps is not a list")? {
        let mut said = Vec::new();
        for (name, given) in step.as_object().ok_or("a step is not an object")? {
            match name.as_str() {
                "left" => bench.step(rows(given, left)?, Vec::new()),
                "right" => bench.step(rows(given, right)?, Vec::new()),
                "watermark" | "watermarks" => {
                    let (left, right) = watermarks(given)?;
                    bench.step(Vec::new(), bounds(left, right))
                }
                expectation if expectation.starts_with("expect") => continue,
                other => return Err(format!("step {other:?} is not known")),
            };
            said.extend(bench.emitted().iter().map(|(row, diff)| show(row, *diff < 0)));
        }
        outcome.steps.push(said);
    }
    bench.finish();
    Ok(outcome)
}

fn joined(rows: Table<'_, Row>, outer: bool) -> Table<'_, Joined> {
    let left = rows.clone().flat_map(|row| match row {
        Row::Left(key, at, value) => Some((key, (at, value))),
        Row::Right(..) => None,
    });
    let versions = rows.flat_map(|row| match row {
        Row::Right(key, at, value) => {
            Some((key, Point { at, value: value.map(|value| (at, value)), seq: 0 }))
        }
        Row::Left(..) => None,
    });
    // A window of one instant holds rows back until the watermark has passed them.
    let complete = left
        .window_into("complete", FixedWindows::of(1))
        .accumulation(Accumulation::Discarding)
        .allowed_lateness(HORIZON)
        .aggregate(Collect)
        .panes
        .flat_map(|(key, pane)| {
            let at = pane.window.start;
            pane.value.into_iter().map(move |value| (key.clone(), (at, value)))
        });
    let versions = versions.intervals("versions", HORIZON);
    complete
        .as_of_join("as of", versions, HORIZON, |key, at, left, right| {
            (key.clone(), at, left.clone(), right.cloned().flatten())
        })
        .filter(move |(_, _, _, right)| outer || right.is_some())
}

fn is_outer(config: &Value) -> bool {
    let named = ["join", "join_type", "type"].iter().filter_map(|field| config[field].as_str());
    let flagged = ["outer", "left_outer", "is_left_outer", "left_join"];
    flagged.iter().any(|field| config[field] == true)
        || named.into_iter().any(|name| name.contains("left") || name.contains("outer"))
}

fn bounds(left: EventTime, right: EventTime) -> Vec<Signal> {
    vec![Signal::Bound { partition: 0, bound: left }, Signal::Bound { partition: 1, bound: right }]
}

fn watermarks(given: &Value) -> Result<(EventTime, EventTime), String> {
    let (left, right) = match given {
        Value::Array(both) if both.len() == 2 => (&both[0], &both[1]),
        Value::Object(both) => (
            both.get("left").ok_or("watermarks without left")?,
            both.get("right").ok_or("watermarks without right")?,
        ),
        both => (both, both),
    };
    Ok((instant(left)?, instant(right)?))
}

fn rows(
    given: &Value,
    row: impl Fn(&Value) -> Result<Option<Row>, String>,
) -> Result<Vec<(Row, isize)>, String> {
    let given = match given {
        Value::Array(rows) => rows.as_slice(),
        single => std::slice::from_ref(single),
    };
    let rows: Result<Vec<Option<Row>>, String> = given.iter().map(row).collect();
    Ok(rows?.into_iter().flatten().map(|row| (row, 1)).collect())
}

fn left(row: &Value) -> Result<Option<Row>, String> {
    Ok(Some(Row::Left(key(row), instant(&row["ts"])?, Datum::read(&row["v"]))))
}

fn right(row: &Value) -> Result<Option<Row>, String> {
    let operation = row["op"].as_str().or(row["kind"].as_str()).unwrap_or("insert");
    let value = match operation {
        "update_before" | "-U" => return Ok(None),
        "delete" | "-D" | "retract" => None,
        _ if row["v"].is_null() => None,
        _ => Some(Datum::read(&row["v"])),
    };
    Ok(Some(Row::Right(key(row), instant(&row["ts"])?, value)))
}

fn show((key, at, left, right): &Joined, retract: bool) -> Value {
    json!({
        "k": key,
        "ts": write_instant(*at),
        "left": left.write(),
        "right": right.as_ref().map(|(_, value)| value.write()),
        "right_ts": right.as_ref().map(|(at, _)| write_instant(*at)),
        "retract": retract,
    })
}
