//! Runs a case: one epoch per step (per element where the case says so), one worker.

use highwater_dataflow::testing::Bench;
use highwater_dataflow::window::{Collect, Count, LateElement, Pane, Panes, Sum, Timing, over};
use highwater_dataflow::{EventTime, Table};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::case::{Combine, Config, Datum, instant, write_instant, write_number};
use super::join;

pub(crate) struct Outcome {
    /// The panes of each step.
    pub(crate) steps: Vec<Vec<Value>>,
    /// Element-window pairs that no window took.
    pub(crate) dropped: isize,
    /// Fields of the case that are not known, and so changed nothing.
    pub(crate) ignored: Vec<String>,
}

/// A row of the case: key, time and value.
pub(crate) type Element = (Datum, (EventTime, Datum));

/// Everything a pane may have to show; the case says which of it.
type Contents = (Vec<Datum>, i128, i64);

/// What the operator says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Said {
    Pane(Datum, Pane<Contents>),
    Late(Datum, LateElement),
}

pub(crate) fn run(case: &Value) -> Result<Outcome, String> {
    let steps = case["steps"].as_array().ok_or("steps is not a list")?;
    if case["kind"].as_str() == Some("temporal_join") {
        return join::run(case);
    }
    let config = Config::read(&case["config"])?;
    let elementwise = case["elementwise"].as_bool().unwrap_or(false);
    let combine = config.combine;
    let mut outcome = Outcome { steps: Vec::new(), dropped: 0, ignored: config.ignored.clone() };
    let mut bench = Bench::start(1, move |rows| said(rows, &config));
    let mut clock = 0;
    for step in steps {
        let mut panes = Vec::new();
        let mut note = |said: &[(Said, isize)]| {
            for (said, diff) in said {
                match said {
                    Said::Pane(key, pane) => panes.push(show(key, pane, combine, *diff < 0)),
                    Said::Late(..) => outcome.dropped += diff,
                }
            }
        };
        for (name, given) in actions(step, &mut outcome.ignored)? {
            match name {
                "add" if elementwise => {
                    for element in elements(given, combine)? {
                        bench.add([element]);
                        note(bench.emitted());
                    }
                    continue;
                }
                "add" => bench.add(elements(given, combine)?),
                "remove" => bench.remove(elements(given, combine)?),
                "watermark" => bench.watermark(instant(given)?),
                _ => {
                    let to = instant(given)?.clamp(0, EventTime::MAX / 2_000);
                    clock = to.max(clock);
                    bench.clock(clock)
                }
            };
            note(bench.emitted());
        }
        outcome.steps.push(panes);
    }
    bench.finish();
    Ok(outcome)
}

/// What a step does, in the order in which it does it. Expectations do nothing.
fn actions<'a>(
    step: &'a Value,
    ignored: &mut Vec<String>,
) -> Result<Vec<(&'static str, &'a Value)>, String> {
    const KNOWN: [&str; 4] = ["add", "remove", "watermark", "clock"];
    let fields = step.as_object().ok_or("a step is not an object")?;
    let mute = |name: &&String| !KNOWN.contains(&name.as_str()) && !name.starts_with("expect");
    ignored.extend(fields.keys().filter(mute).map(|name| format!("steps.{name}")));
    Ok(KNOWN.iter().filter_map(|&name| Some((name, fields.get(name)?))).collect())
}

/// The graph of a case: the operator, its panes and what it would not take.
fn said<'s>(rows: Table<'s, Element>, config: &Config) -> Table<'s, Said> {
    let Panes { panes, late } = rows
        .window_into("case", config.windows.make())
        .trigger(config.trigger.clone())
        .accumulation(config.accumulation)
        .allowed_lateness(config.allowed_lateness)
        .timestamp_combiner(config.timestamps)
        .closing_behavior(config.closing)
        .on_time_behavior(config.on_time)
        .aggregate((Collect, over(Datum::number, Sum), Count));
    let panes = panes.map(|(key, pane)| Said::Pane(key, pane));
    panes.concat(late.map(|(key, late)| Said::Late(key, late)))
}

/// The elements of an `add`, or its only one. Sums are over numbers only.
fn elements(given: &Value, combine: Combine) -> Result<Vec<Element>, String> {
    let element = |element: &Value| -> Result<Element, String> {
        let value = Datum::read(&element["v"]);
        if combine == Combine::Sum && !matches!(value, Datum::Number(_)) {
            return Err(format!("element {element} cannot be summed: v is not a number"));
        }
        Ok((key(element), (instant(&element["ts"])?, value)))
    };
    list(given).iter().map(element).collect()
}

pub(crate) fn list(given: &Value) -> &[Value] {
    given.as_array().map_or(std::slice::from_ref(given), Vec::as_slice)
}

pub(crate) fn key(element: &Value) -> Datum {
    match &element["k"] {
        Value::Null => Datum::Text("k".to_owned()),
        key => Datum::read(key),
    }
}

fn show(key: &Datum, pane: &Pane<Contents>, combine: Combine, retract: bool) -> Value {
    let (values, sum, count) = &pane.value;
    let timing = match pane.info.timing {
        Timing::Early => "EARLY",
        Timing::OnTime => "ON_TIME",
        Timing::Late => "LATE",
    };
    let mut shown = json!({
        "k": key.write(),
        "window": [write_instant(pane.window.start), write_instant(pane.window.end)],
        "ts": write_instant(pane.at),
        "timing": timing,
        "index": pane.info.index,
        "nonspec_index": pane.info.non_speculative_index,
        "first": pane.info.first,
        "last": pane.info.last,
        "count": count,
        "retract": retract,
    });
    match combine {
        Combine::Collect => shown["values"] = values.iter().map(Datum::write).collect(),
        Combine::Sum => shown["value"] = write_number(*sum),
        Combine::Count => shown["value"] = Value::from(*count),
    }
    shown
}
