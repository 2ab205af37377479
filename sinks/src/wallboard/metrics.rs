//! `/metrics` in the Prometheus text format, and `/v1/latency` for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use highwater_dataflow::latency::{Latency, Path, Stage, budget};
use serde::Serialize;

use super::Site;
use super::feed::Wallboard;

/// Upper bounds of the latency buckets in microseconds; the budgets of the product are among them.
const BOUNDS_US: [u64; 17] = [
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
];

/// Reads the counters of the other parts of the process.
pub type MetricsFn = Arc<dyn Fn() -> Vec<Metric> + Send + Sync>;

/// One sample of a counter or gauge.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Full name with prefix and unit: `highwater_events_total`.
    pub name: &'static str,
    pub help: &'static str,
    pub kind: MetricKind,
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
}

impl Metric {
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Metric { name, help, kind: MetricKind::Counter, labels: Vec::new(), value: value as f64 }
    }

    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Metric { name, help, kind: MetricKind::Gauge, labels: Vec::new(), value }
    }

    /// The same sample with one label more.
    pub fn label(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.labels.push((name, value.into()));
        self
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(State(site): State<Arc<Site>>) -> Response {
    let mut samples = (site.metrics)();
    samples.extend(own(&site.wallboard));
    let status = (site.status)();
    samples.push(Metric::gauge(
        "highwater_catching_up",
        "1 while journaled events are being worked off after a start.",
        f64::from(u8::from(status.catching_up)),
    ));
    let text = to_text(&samples, &site.latency);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// `GET /v1/latency`: per path and stage in microseconds, with the budget where there is one.
pub(super) async fn latency(State(site): State<Arc<Site>>) -> Json<Vec<Line>> {
    Json(lines(&site.latency))
}

/// One path at one stage. Times are microseconds from the first byte received.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    pub path: &'static str,
    pub stage: &'static str,
    pub count: u64,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
    pub budget_us: Option<u64>,
    /// Whether the 99th percentile keeps the budget; `None` without a budget or without events.
    pub within: Option<bool>,
}

/// The latency table: every path and stage that has events or a budget.
pub fn lines(latency: &Latency) -> Vec<Line> {
    let cells = Path::ALL.into_iter().flat_map(|p| Stage::ALL.into_iter().map(move |s| (p, s)));
    let line = |(path, stage)| {
        let histogram = latency.histogram(path, stage);
        let budget_us =
            budget(path, stage).map(|d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX));
        if histogram.is_empty() && budget_us.is_none() {
            return None;
        }
        let at = |quantile| histogram.value_at_quantile(quantile);
        Some(Line {
            path: path.name(),
            stage: stage.name(),
            count: histogram.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max(),
            budget_us,
            within: budget_us.filter(|_| !histogram.is_empty()).map(|budget| at(0.99) <= budget),
        })
    };
    cells.filter_map(line).collect()
}

fn own(wallboard: &Wallboard) -> Vec<Metric> {
    let counts = wallboard.counts();
    let counter = |name, help, count: &std::sync::atomic::AtomicU64| {
        Metric::counter(name, help, count.load(Relaxed))
    };
    vec![
        Metric::gauge("highwater_page_clients", "Pages connected.", wallboard.clients() as f64),
        counter("highwater_page_frames_total", "Frames handed to pages.", &counts.frames),
        counter(
            "highwater_page_refused_total",
            "Pages turned away: origin, token, rate or number.",
            &counts.refused,
        ),
        counter(
            "highwater_page_stalled_total",
            "Pages cut because they took no data.",
            &counts.stalled,
        ),
        counter(
            "highwater_page_resyncs_total",
            "Snapshots that pages asked for after a gap.",
            &counts.resyncs,
        ),
        counter(
            "highwater_page_unmeasured_total",
            "Updates whose time to the page was not measured because too many were waiting.",
            &counts.unmeasured,
        ),
    ]
}

fn to_text(samples: &[Metric], latency: &Latency) -> String {
    let mut text = String::new();
    let mut families: BTreeMap<&str, Vec<&Metric>> = BTreeMap::new();
    for sample in samples {
        families.entry(sample.name).or_default().push(sample);
    }
    for (name, family) in families {
        let kind = match family[0].kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        };
        head(&mut text, name, family[0].help, kind);
        for sample in family {
            text.push_str(name);
            labels(&mut text, &sample.labels);
            line(&mut text, format_args!(" {}", sample.value));
        }
    }
    histograms(&mut text, latency);
    text
}

fn histograms(text: &mut String, latency: &Latency) {
    const NAME: &str = "highwater_latency_seconds";
    let help = "Time from the first byte received to the stage, by event path.";
    head(text, NAME, help, "histogram");
    for path in Path::ALL {
        for stage in Stage::ALL {
            let histogram = latency.histogram(path, stage);
            let mut buckets = [0_u64; BOUNDS_US.len()];
            for value in histogram.iter_recorded() {
                // The cell's lower end: an event at exactly the bound belongs below it.
                let us = histogram.lowest_equivalent(value.value_iterated_to());
                let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
                if let Some(count) = buckets.get_mut(bucket) {
                    *count += value.count_at_value();
                }
            }
            let of = format!("path=\"{}\",stage=\"{}\"", path.name(), stage.name());
            let mut below = 0;
            for (bound, count) in BOUNDS_US.iter().zip(buckets) {
                below += count;
                let le = *bound as f64 / 1e6;
                line(text, format_args!("{NAME}_bucket{{{of},le=\"{le}\"}} {below}"));
            }
            let count = histogram.len();
            let sum = histogram.mean() * count as f64 / 1e6;
            line(text, format_args!("{NAME}_bucket{{{of},le=\"+Inf\"}} {count}"));
            line(text, format_args!("{NAME}_sum{{{of}}} {sum}"));
            line(text, format_args!("{NAME}_count{{{of}}} {count}"));
        }
    }
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    line(text, format_args!("# HELP {name} {}", help.replace('\\', "\\\\").replace('\n', "\\n")));
    line(text, format_args!("# TYPE {name} {kind}"));
}

fn labels(text: &mut String, labels: &[(&'static str, String)]) {
    if labels.is_empty() {
        return;
    }
    let quote = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<_> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", quote(value))).collect();
    write!(text, "{{{}}}", pairs.join(",")).expect("strings take everything");
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("strings take everything");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    #![allow(clippy::disallowed_methods, reason = "some instant to count from")]

    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn buckets_are_cumulative_and_an_event_at_the_bound_is_below_it() {
        let latency = Latency::default();
        let start = Instant::now();
        for ms in [1, 2_000, 2_001, 400_000] {
            let at = start + Duration::from_millis(ms);
            latency.record(Path::AgentState, Stage::Alerted, start, at, 1);
        }
        let text = to_text(&[], &latency);
        let value = |le: &str| {
            let head = format!(
                "highwater_latency_seconds_bucket{{path=\"agent_state\",stage=\"alert_delivered\",le=\"{le}\"}} "
            );
            text.lines().find_map(|line| line.strip_prefix(&head)).unwrap().to_owned()
        };
        assert_eq!(["0.0005", "0.001", "1", "300", "+Inf"].map(value), ["0", "1", "1", "3", "4"]);
    }

    #[test]
    fn samples_of_one_name_share_a_head_and_labels_are_escaped() {
        let of = |source: &str| {
            Metric::counter("highwater_events_total", "Events.", 2).label("source", source)
        };
        let text = to_text(
            &[of("a\"b\\"), Metric::gauge("highwater_x", "X.", 0.5), of("c")],
            &Latency::default(),
        );
        assert!(text.starts_with(
            "# HELP highwater_events_total Events.\n# TYPE highwater_events_total counter\n\
             highwater_events_total{source=\"a\\\"b\\\\\"} 2\nhighwater_events_total{source=\"c\"} 2\n\
             # HELP highwater_x X.\n# TYPE highwater_x gauge\nhighwater_x 0.5\n"
        ));
    }

    #[test]
    fn the_table_holds_percentiles_against_budgets() {
        let latency = Latency::default();
        let start = Instant::now();
        latency.record(Path::Contact, Stage::Pushed, start, start + Duration::from_secs(11), 1);
        let lines = lines(&latency);
        let line = lines.iter().find(|line| line.stage == "page_pushed" && line.path == "contact");
        assert_eq!(line.unwrap().within, Some(false));
        let empty = lines.iter().find(|line| line.path == "agent_state").unwrap();
        assert_eq!((empty.count, empty.within, empty.budget_us), (0, None, Some(2_000_000)));
    }
}
