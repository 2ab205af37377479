//! What the next result of a view waits for: what the view holds and what the sources said, put together.

use std::sync::Arc;

use highwater_dataflow::view::{Kind, Value, View, ViewRow};
use highwater_dataflow::{
    BEGINNING, EventTime, FOREVER, Millis, Situation, Voice, explain_frontier,
};
use highwater_ingest::journal::PartitionStatus;
use highwater_model::format_ms;
use highwater_queries::{ClosedSide, QueueInterval, QueueRolling, Settings};
use highwater_sinks::wallboard::{ReadError, SourceStatus, Why, WhyFn};
use highwater_sinks::{SinkError, ViewReaders};

use crate::gauges::Gauges;

/// What the explanations are made from.
pub(crate) struct Asked {
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) readers: Arc<ViewReaders>,
    pub(crate) settings: Settings,
    pub(crate) idle_after: Millis,
    pub(crate) quiet_delay: Millis,
}

impl Asked {
    pub(crate) fn why_fn(self) -> WhyFn {
        Arc::new(move |view, key| self.why(view, key))
    }

    fn why(&self, view: &'static View, key: &[Value]) -> Result<Why, ReadError> {
        let situation = self.situation();
        let unsettled = match columns(view) {
            None => Vec::new(),
            Some((end, status)) => {
                match self.readers.with(|reader| reader.earliest(view.name, key, end, status)) {
                    Ok(unsettled) => unsettled,
                    Err(SinkError::NoSuchView(_)) => Vec::new(),
                    Err(SinkError::Interrupted { .. } | SinkError::Busy) => {
                        return Err(ReadError::Interrupted);
                    }
                    Err(error) => return Err(ReadError::Failed(error.to_string())),
                }
            }
        };
        let steps = steps(view, &unsettled, situation.watermark, &self.settings);
        Ok(tell(view, key, steps, &situation))
    }

    fn situation(&self) -> Situation {
        let (partitions, watermark) = self.gauges.progress();
        Situation {
            now: self.gauges.clock.now_ms(),
            watermark,
            idle_after: self.idle_after,
            quiet_delay: self.quiet_delay,
            partitions: voices(&partitions, &self.gauges.heard.sources(&partitions)),
        }
    }
}

/// Partitions as the journal knows them, with what was heard of them.
fn voices(partitions: &[PartitionStatus], heard: &[SourceStatus]) -> Vec<Voice> {
    let voice = |it: &PartitionStatus| {
        let heard = heard.iter().find(|source| source.name == it.name);
        Voice {
            name: it.name.clone(),
            bound: it.bound,
            last_event: heard.and_then(|source| source.last_event_ms),
            disorder: it.disorder_ms,
            idle: it.idle,
            live: it.live,
            silent: it.silent.map(|it| it.as_millis().try_into().unwrap_or(Millis::MAX)),
            failure: heard.and_then(|source| source.error.clone()),
        }
    };
    partitions.iter().map(voice).collect()
}

/// The columns of a view's windows: their end, and their rows' status. `None`: it is told as events come.
fn columns(view: &'static View) -> Option<(&'static str, &'static str)> {
    let ends = |name: &str| name.ends_with("_end_ms");
    let end = view.columns.iter().find(|it| it.kind == Kind::Int && ends(it.name))?;
    let status = view.columns.iter().find(|it| it.kind == Kind::Text && it.name == "status")?;
    Some((end.name, status.name))
}

/// Something that is said when the watermark comes to `at`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    at: EventTime,
    what: String,
}

/// What the windows of a view say next. `unsettled`: the earliest end of its rows by status.
fn steps(
    view: &'static View,
    unsettled: &[(String, EventTime)],
    watermark: EventTime,
    settings: &Settings,
) -> Vec<Step> {
    if columns(view).is_none() || watermark == FOREVER {
        return Vec::new();
    }
    // A window that is closed right is complete when the watermark is past its end, not at it.
    let right = view.name == QueueInterval::VIEW.name && settings.closed == ClosedSide::Right;
    let complete = |end: EventTime| end + EventTime::from(right);
    let lateness = settings.allowed_lateness();
    let mut steps: Vec<Step> = unsettled
        .iter()
        .filter_map(|(status, end)| {
            let (at, what) = match status.as_str() {
                "open" => (complete(*end), "is complete"),
                "closing" => (complete(*end).saturating_add(lateness), "is final"),
                _ => return None,
            };
            Some(Step { at, what: format!("the window that ends at {} {what}", format_ms(*end)) })
        })
        .collect();
    let every = match view.name {
        name if name == QueueInterval::VIEW.name => Some(settings.interval()),
        name if name == QueueRolling::VIEW.name => Some(settings.rolling_every_s * 1_000),
        _ => None,
    };
    let filling = !unsettled.iter().any(|(status, _)| status == "open");
    if let Some(every) = every.filter(|_| filling && watermark != BEGINNING) {
        let end = watermark.saturating_sub(watermark.rem_euclid(every)).saturating_add(every);
        let what =
            format!("the window that ends at {}, if anything happened in it", format_ms(end));
        steps.push(Step { at: complete(end), what });
    }
    steps.sort_by_key(|step| step.at);
    steps
}

fn tell(view: &'static View, key: &[Value], steps: Vec<Step>, situation: &Situation) -> Why {
    let cells = key.iter().map(|cell| match cell {
        Value::Null => "null".to_owned(),
        Value::Int(n) => n.to_string(),
        Value::Real(x) => x.to_string(),
        Value::Text(text) => text.to_string(),
    });
    let of = cells.collect::<Vec<_>>().join(", ");
    let name = if of.is_empty() { view.name.to_owned() } else { format!("{} of {of}", view.name) };
    // What the watermark has passed already is on its way: the one after it is waited for.
    let passed = steps.iter().rev().find(|step| step.at <= situation.watermark);
    let Some(step) = steps.iter().find(|step| step.at > situation.watermark).or(passed) else {
        if columns(view).is_some() {
            let next = format!("{name}: no window is open; the next event begins one.");
            let next = if situation.watermark == FOREVER {
                format!("{name}: every row is final, for all input has ended.")
            } else {
                next
            };
            return Why { next, waits_for: None };
        }
        let next = format!(
            "{name} follows every event at once and waits for none but the next. What begins or ends by schedule or by \
             duration follows the watermark."
        );
        // The very next instant stands for whatever the watermark brings.
        let at = situation.watermark.saturating_add(1).max(BEGINNING + 1);
        let waits = (situation.watermark != FOREVER).then(|| explain_frontier(at, situation));
        return Why { next, waits_for: waits };
    };
    Why {
        next: format!("{name}: next, {}.", step.what),
        waits_for: Some(explain_frontier(step.at, situation)),
    }
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
