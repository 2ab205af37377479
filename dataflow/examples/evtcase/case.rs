//! The case format: configuration and steps, read from JSON.
//!
//! A field that is not known changes nothing and is named in the answer; a value that is not understood is an error,
//! never a guess.

use highwater_dataflow::window::{
    Accumulation, Behavior, FixedWindows, GlobalWindow, Sessions, SlidingWindows,
    TimestampCombiner, Trigger, WindowFn,
};
use highwater_dataflow::{BEGINNING, EventTime, FOREVER, Millis};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A value of a case: numbers exactly (in units of 10^-9), strings, and anything else as its JSON text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Datum {
    Number(i128),
    Text(String),
    Json(String),
}

const UNIT: i128 = 1_000_000_000;

impl Datum {
    pub(crate) fn read(value: &Value) -> Self {
        match value {
            Value::Number(number) => Datum::Number(number.as_i64().map_or_else(
                || (number.as_f64().unwrap_or(0.0) * UNIT as f64).round() as i128,
                |int| i128::from(int) * UNIT,
            )),
            Value::String(text) => Datum::Text(text.clone()),
            other => Datum::Json(other.to_string()),
        }
    }

    pub(crate) fn number(&self) -> i128 {
        match self {
            Datum::Number(number) => *number,
            Datum::Text(_) | Datum::Json(_) => 0,
        }
    }

    pub(crate) fn write(&self) -> Value {
        match self {
            Datum::Number(number) => write_number(*number),
            Datum::Text(text) => Value::from(text.as_str()),
            Datum::Json(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        }
    }
}

pub(crate) fn write_number(number: i128) -> Value {
    if number % UNIT == 0 {
        Value::from((number / UNIT) as i64)
    } else {
        Value::from(number as f64 / UNIT as f64)
    }
}

/// An instant: a number, `"+inf"` or `"-inf"`.
pub(crate) fn instant(value: &Value) -> Result<EventTime, String> {
    match value {
        Value::Number(number) => {
            whole(value).ok_or_else(|| format!("time {number} is not a whole number"))
        }
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "+inf" | "inf" | "+infinity" | "infinity" => Ok(FOREVER),
            "-inf" | "-infinity" => Ok(BEGINNING),
            other => Err(format!("time {other:?} is neither a number nor +inf")),
        },
        other => Err(format!("time {other} is neither a number nor +inf")),
    }
}

/// A whole number, also one written as `10.0`.
fn whole(value: &Value) -> Option<i64> {
    /// Beyond it not every whole number is a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = || value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT);
    value.as_i64().or_else(|| float().map(|float| float as i64))
}

pub(crate) fn write_instant(at: EventTime) -> Value {
    match at {
        BEGINNING => Value::from("-inf"),
        at if at >= FOREVER - 1 => Value::from("+inf"),
        at => Value::from(at),
    }
}

/// Which windows; made anew on each worker.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Windows {
    Fixed { size: Millis, offset: Millis },
    Sliding { size: Millis, period: Millis, offset: Millis },
    Sessions { gap: Millis },
    Global,
}

impl Windows {
    pub(crate) fn make(self) -> Box<dyn WindowFn> {
        match self {
            Windows::Fixed { size, offset } => Box::new(FixedWindows::of(size).offset(offset)),
            Windows::Sliding { size, period, offset } => {
                Box::new(SlidingWindows::of(size).every(period).offset(offset))
            }
            Windows::Sessions { gap } => Box::new(Sessions::with_gap(gap)),
            Windows::Global => Box::new(GlobalWindow),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Combine {
    Collect,
    Sum,
    Count,
}

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) windows: Windows,
    pub(crate) trigger: Trigger,
    pub(crate) accumulation: Accumulation,
    pub(crate) allowed_lateness: Millis,
    pub(crate) timestamps: TimestampCombiner,
    pub(crate) closing: Behavior,
    pub(crate) on_time: Behavior,
    pub(crate) combine: Combine,
    /// Fields that are not known.
    pub(crate) ignored: Vec<String>,
}

impl Config {
    pub(crate) fn read(config: &Value) -> Result<Self, String> {
        const KNOWN: [&str; 9] = [
            "window",
            "trigger",
            "accumulation",
            "allowed_lateness",
            "timestamp_combiner",
            "closing_behavior",
            "on_time_behavior",
            "combine",
            "notes",
        ];
        let fields = config.as_object().ok_or("config is not an object")?;
        let unknown = fields.keys().filter(|field| !KNOWN.contains(&field.as_str()));
        Ok(Config {
            ignored: unknown.map(|field| format!("config.{field}")).collect(),
            windows: windows(&config["window"])?,
            trigger: match &config["trigger"] {
                Value::Null => Trigger::Default,
                given if parts(given) > PARTS_MAX => {
                    return Err(format!("a trigger of more than {PARTS_MAX} parts"));
                }
                given => trigger(given)?,
            },
            accumulation: match text(config, "accumulation", "discarding")?.as_str() {
                "discarding" => Accumulation::Discarding,
                "accumulating" => Accumulation::Accumulating,
                "accumulating_retracting" => Accumulation::AccumulatingRetracting,
                other => return Err(format!("accumulation {other:?} is not known")),
            },
            allowed_lateness: match &config["allowed_lateness"] {
                Value::Null => 0,
                given => match instant(given)? {
                    lateness if lateness >= 0 => lateness,
                    negative => return Err(format!("allowed_lateness {negative} is negative")),
                },
            },
            timestamps: match text(config, "timestamp_combiner", "end_of_window")?.as_str() {
                "end_of_window" => TimestampCombiner::EndOfWindow,
                "earliest" => TimestampCombiner::Earliest,
                "latest" => TimestampCombiner::Latest,
                other => return Err(format!("timestamp_combiner {other:?} is not known")),
            },
            closing: behavior(config, "closing_behavior", "fire_if_non_empty")?,
            on_time: behavior(config, "on_time_behavior", "fire_always")?,
            combine: match text(config, "combine", "collect")?.as_str() {
                "collect" => Combine::Collect,
                "sum" => Combine::Sum,
                "count" => Combine::Count,
                other => return Err(format!("combine {other:?} is not known")),
            },
        })
    }
}

/// A word, in whatever case it is written.
fn text(config: &Value, field: &str, default: &str) -> Result<String, String> {
    match &config[field] {
        Value::Null => Ok(default.to_owned()),
        Value::String(text) => Ok(text.to_ascii_lowercase()),
        other => Err(format!("{field} {other} is not a string")),
    }
}

fn behavior(config: &Value, field: &str, default: &str) -> Result<Behavior, String> {
    match text(config, field, default)?.as_str() {
        "fire_always" => Ok(Behavior::FireAlways),
        "fire_if_non_empty" => Ok(Behavior::FireIfNonEmpty),
        other => Err(format!("{field} {other:?} is not known")),
    }
}

fn length(value: &Value, field: &str) -> Result<Millis, String> {
    whole(&value[field]).filter(|&n| n > 0).ok_or(format!("{field} is not a positive number"))
}

fn windows(window: &Value) -> Result<Windows, String> {
    let offset = match &window["offset"] {
        Value::Null => 0,
        given => whole(given).ok_or(format!("offset {given} is not a whole number"))?,
    };
    match name(window).as_deref() {
        Some("fixed") => Ok(Windows::Fixed { size: length(window, "size")?, offset }),
        Some("sliding") => Ok(Windows::Sliding {
            size: length(window, "size")?,
            period: length(window, "period")?,
            offset,
        }),
        Some("sessions") => Ok(Windows::Sessions { gap: length(window, "gap")? }),
        Some("global") => Ok(Windows::Global),
        _ => Err(format!("window {window} is not known")),
    }
}

/// What a window or a trigger is: its type, which one without further fields may also be given by alone.
fn name(node: &Value) -> Option<String> {
    node["type"].as_str().or(node.as_str()).map(str::to_ascii_lowercase)
}

/// Parts a trigger may have.
const PARTS_MAX: usize = 32;

/// How many parts a trigger has, counting every object.
fn parts(node: &Value) -> usize {
    match node {
        Value::Object(fields) => 1 + fields.values().map(parts).sum::<usize>(),
        Value::Array(nodes) => nodes.iter().map(parts).sum(),
        _ => 0,
    }
}

fn trigger(node: &Value) -> Result<Trigger, String> {
    let part = |field: &str| trigger(&node[field]).map(Box::new);
    let optional = |field: &str| match &node[field] {
        Value::Null => Ok(None),
        given => trigger(given).map(|given| Some(Box::new(given))),
    };
    let parts = || -> Result<Vec<Trigger>, String> {
        let of = node["of"].as_array().filter(|of| !of.is_empty());
        of.ok_or("a composite trigger needs `of`")?.iter().map(trigger).collect()
    };
    match name(node).as_deref() {
        Some("default") => Ok(Trigger::Default),
        Some("after_watermark") => {
            Ok(Trigger::AfterWatermark { early: optional("early")?, late: optional("late")? })
        }
        Some("after_count") => Ok(Trigger::AfterCount(length(node, "n")? as u64)),
        Some("after_processing_time") => Ok(Trigger::AfterProcessingTime {
            delay: whole(&node["delay"]).filter(|&d| d >= 0).ok_or("delay is not a number")?,
        }),
        Some("repeatedly") => Ok(Trigger::Repeatedly(part("of")?)),
        Some("after_any") => Ok(Trigger::AfterAny(parts()?)),
        Some("after_all") => Ok(Trigger::AfterAll(parts()?)),
        Some("after_each") => Ok(Trigger::AfterEach(parts()?)),
        Some("or_finally") => Ok(Trigger::OrFinally { main: part("main")?, until: part("until")? }),
        Some("always") => Ok(Trigger::Always),
        Some("never") => Ok(Trigger::Never),
        _ => Err(format!("trigger {node} is not known")),
    }
}
