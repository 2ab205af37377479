//! The results in figures: a table for people, JSON for programs, and HdrHistogram's percentile files for plotters.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use highwater_dataflow::latency;
use serde::Serialize;

use super::feed::Shot;
use super::join::{Held, Joined, STEPS, Stage, Way, histogram_of};
use crate::commands::latency::time;

/// Percentiles that tables show.
const SHOWN: [f64; 4] = [50.0, 90.0, 99.0, 99.9];
/// Events shown one by one: the slowest.
const EXEMPLARS: usize = 5;

/// A histogram with what it is of. Microseconds.
pub(super) struct Line {
    pub(super) path: &'static str,
    pub(super) stage: &'static str,
    pub(super) histogram: Histogram<u64>,
    pub(super) budget: Option<Duration>,
}

impl Line {
    /// Named as its file is.
    pub(super) fn file(&self) -> String {
        format!("{}_{}.hgrm", self.path, self.stage)
    }

    fn within(&self) -> Option<bool> {
        let budget = u64::try_from(self.budget?.as_micros()).unwrap_or(u64::MAX);
        (!self.histogram.is_empty()).then(|| self.histogram.value_at_percentile(99.9) <= budget)
    }

    pub(super) fn figures(&self) -> Figures {
        let at = |percentile| self.histogram.value_at_percentile(percentile);
        Figures {
            path: self.path,
            stage: self.stage,
            count: self.histogram.len(),
            p50_us: at(50.0),
            p90_us: at(90.0),
            p99_us: at(99.0),
            p999_us: at(99.9),
            max_us: self.histogram.max(),
            budget_us: self.budget.map(|budget| budget.as_micros() as u64),
            p999_within: self.within(),
        }
    }
}

/// A line in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    path: &'static str,
    stage: &'static str,
    count: u64,
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    p999_us: u64,
    max_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p999_within: Option<bool>,
}

/// One slow event and when it got where, microseconds after it was to be sent.
#[derive(Debug, Serialize)]
pub(super) struct Exemplar {
    path: &'static str,
    event_id: String,
    /// When it was to be sent, microseconds after the measurement began.
    due_us: u64,
    stages_us: Vec<(&'static str, u64)>,
}

/// Events posted as fast as they were acknowledged.
#[derive(Debug, Serialize)]
pub(super) struct Flood {
    pub(super) batch: usize,
    pub(super) connections: usize,
    pub(super) events: usize,
    pub(super) events_per_s: f64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) p999_us: u64,
}

/// What was run.
#[derive(Debug, Serialize)]
pub(super) struct Setting {
    pub(super) machine: String,
    pub(super) agents: u32,
    pub(super) seed: u64,
    pub(super) via: &'static str,
    pub(super) rate: u32,
    pub(super) batch: u32,
    pub(super) workers: u16,
    pub(super) warm_up_s: u32,
    pub(super) measured_s: u32,
    pub(super) lasting_s: u32,
    /// Events a second the simulated center makes by itself; its time ran `rate / natural_rate` times as fast.
    pub(super) natural_rate: f64,
    /// Profiles, schedules and states sent before the load.
    pub(super) preloaded: usize,
    pub(super) preload_s: f64,
    pub(super) start_to_serving_ms: f64,
    pub(super) cpu_s: f64,
    pub(super) peak_bytes: Option<u64>,
}

/// Everything that was found.
pub(super) struct Report {
    pub(super) setting: Setting,
    /// Per path and stage.
    pub(super) lines: Vec<Line>,
    /// Where the time goes, over all paths.
    pub(super) steps: Vec<Line>,
    /// Waiting for event time, and what came after it.
    pub(super) held: Vec<Line>,
    pub(super) floods: Vec<Flood>,
    pub(super) exemplars: Vec<Exemplar>,
    pub(super) alerts: usize,
    pub(super) duplicates: usize,
    pub(super) lost: usize,
}

impl Report {
    pub(super) fn new(
        setting: Setting,
        joined: &Joined,
        shots: &[Shot],
        floods: Vec<Flood>,
    ) -> Report {
        let mut lines = Vec::new();
        for path in latency::Path::ALL {
            for stage in Stage::ALL {
                let of_path = joined.ways.iter().filter(|way| shots[way.shot].path == path);
                let histogram = histogram_of(of_path.filter_map(|way| way.after(stage)));
                let budget = budget(path, stage);
                if !histogram.is_empty() || budget.is_some() {
                    lines.push(Line { path: path.name(), stage: stage.name(), histogram, budget });
                }
            }
        }
        let steps = STEPS.map(|(from, to, stage)| {
            let step = |way: &Way| {
                let (from, to) = (way.at[from as usize]?, way.at[to as usize]?);
                Some(to.saturating_duration_since(from))
            };
            let histogram = histogram_of(joined.ways.iter().filter_map(step));
            Line { path: "step", stage, histogram, budget: None }
        });
        let late = histogram_of(joined.ways.iter().filter_map(|way| way.after(Stage::Sent)));
        let late = Line { path: "step", stage: "load late", histogram: late, budget: None };
        let steps = std::iter::once(late).chain(steps).collect();
        let held = [("alerts", &joined.alerts_held), ("windows", &joined.windows_held)];
        let held =
            held.into_iter().filter(|(_, held)| !held.is_empty()).flat_map(|(path, held)| {
                let line = |stage, pick: fn(&Held) -> Duration| {
                    let histogram = histogram_of(held.iter().map(pick));
                    Line { path, stage, histogram, budget: None }
                };
                [line("held_by_choice", |it| it.chosen), line("after_that", |it| it.after)]
            });
        Report {
            setting,
            lines,
            steps,
            held: held.collect(),
            floods,
            exemplars: exemplars(joined, shots),
            alerts: joined.alerts,
            duplicates: joined.duplicates,
            lost: joined.lost,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let it = &self.setting;
        let mut text = format!(
            "{machine}\n{agents} agents, {rate} events a second in batches of {batch} via {via}, {workers} worker(s), \
             seed {seed}\nmeasured {measured} s after a warm-up of {warm_up} s, which is excluded; every latency runs \
             from the\ninstant at which the schedule, fixed beforehand, meant the event to be sent\n\
             {preloaded} profiles, schedules and states came before, in {preload:.1} s; CPU {cpu:.1} s while loaded{peak}\n\n",
            machine = it.machine,
            agents = it.agents,
            rate = it.rate,
            batch = it.batch,
            via = it.via,
            workers = it.workers,
            seed = it.seed,
            measured = it.measured_s,
            warm_up = it.warm_up_s,
            preloaded = it.preloaded,
            preload = it.preload_s,
            cpu = it.cpu_s,
            peak = it.peak_bytes.map_or(String::new(), |bytes| format!(
                ", memory at most {} MB with the load client",
                bytes >> 20
            )),
        );
        table("path", "stage", &self.lines, &mut text);
        text.push_str("\nwhere the time goes\n");
        table("", "step", &self.steps, &mut text);
        if !self.held.is_empty() {
            text.push_str(
                "\nwaiting for event time: windows for the watermark, alerts for the schedule or the rule's patience\n",
            );
            table("what", "", &self.held, &mut text);
        }
        if !self.floods.is_empty() {
            text.push_str("\nas fast as it is acknowledged\n");
        }
        for flood in &self.floods {
            let _ = writeln!(
                text,
                "batches of {:<4} on {:>2} connections  {:>9.0} events a second   p50 {}  p99 {}  p99.9 {}",
                flood.batch,
                flood.connections,
                flood.events_per_s,
                time(flood.p50_us),
                time(flood.p99_us),
                time(flood.p999_us)
            );
        }
        text.push_str("\nthe slowest to be committed, and to be alerted\n");
        for exemplar in &self.exemplars {
            let stages: Vec<String> = exemplar
                .stages_us
                .iter()
                .map(|(stage, us)| format!("{stage} {}", time(*us)))
                .collect();
            let _ = writeln!(
                text,
                "{} ({}, due at {:.3} s): {}",
                exemplar.event_id,
                exemplar.path,
                exemplar.due_us as f64 / 1e6,
                stages.join(", ")
            );
        }
        let _ = writeln!(
            text,
            "\n{} alert messages, {} events delivered twice (left out), {} not found in the journal",
            self.alerts, self.duplicates, self.lost
        );
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> String {
        let figures = |lines: &[Line]| lines.iter().map(Line::figures).collect::<Vec<_>>();
        let value = serde_json::json!({
            "setting": self.setting,
            "latency": figures(&self.lines),
            "steps": figures(&self.steps),
            "held": figures(&self.held),
            "floods": self.floods,
            "exemplars": self.exemplars,
            "alerts": self.alerts,
            "duplicates": self.duplicates,
            "lost": self.lost,
        });
        serde_json::to_string_pretty(&value).expect("plain data becomes JSON")
    }
}

/// The budget of a path at a stage, where the product's sources set one.
fn budget(path: latency::Path, stage: Stage) -> Option<Duration> {
    let stage = match stage {
        Stage::Committed => latency::Stage::Committed,
        Stage::Pushed => latency::Stage::Pushed,
        Stage::Alerted => latency::Stage::Alerted,
        Stage::Sent | Stage::Received | Stage::Durable | Stage::Acknowledged | Stage::Closed => {
            return None;
        }
    };
    latency::budget(path, stage)
}

fn exemplars(joined: &Joined, shots: &[Shot]) -> Vec<Exemplar> {
    let begins = joined.ways.iter().map(|way| way.due).min();
    let slowest = |stage: Stage| {
        let mut ways: Vec<&Way> =
            joined.ways.iter().filter(|way| way.after(stage).is_some()).collect();
        ways.sort_by_key(|way| std::cmp::Reverse(way.after(stage)));
        ways.truncate(EXEMPLARS);
        ways
    };
    let mut ways = slowest(Stage::Committed);
    ways.extend(slowest(Stage::Alerted));
    let exemplar = |way: &Way| {
        let stages = Stage::ALL.into_iter();
        let us = |duration: Duration| duration.as_micros() as u64;
        Exemplar {
            path: shots[way.shot].path.name(),
            event_id: event_id(&shots[way.shot].raw),
            due_us: begins.map_or(0, |begins| us(way.due.saturating_duration_since(begins))),
            stages_us: stages.filter_map(|it| Some((it.name(), us(way.after(it)?)))).collect(),
        }
    };
    ways.into_iter().map(exemplar).collect()
}

fn event_id(raw: &[u8]) -> String {
    let event: serde_json::Value = serde_json::from_slice(raw).unwrap_or_default();
    event["event_id"].as_str().unwrap_or_default().to_owned()
}

pub(super) fn table(path: &str, stage: &str, lines: &[Line], text: &mut String) {
    let _ = writeln!(
        text,
        "{path:<12}{stage:<32}{:>9}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}  p99.9 within",
        "events", "p50", "p90", "p99", "p99.9", "max", "budget"
    );
    for line in lines {
        let histogram = &line.histogram;
        let shown = SHOWN.map(|percentile| histogram.value_at_percentile(percentile));
        let figures = shown.into_iter().chain([histogram.max()]);
        let figures: Vec<String> = figures
            .map(|us| if histogram.is_empty() { String::new() } else { time(us) })
            .map(|figure| format!("{figure:>10}"))
            .collect();
        let figures = figures.concat();
        let budget = line.budget.map_or(String::new(), |it| time(it.as_micros() as u64));
        let within = match line.within() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        let path = if line.path == "step" { "" } else { line.path };
        let row = format!(
            "{path:<12}{:<32}{:>9}{figures}{budget:>10}  {within}",
            line.stage,
            histogram.len()
        );
        let _ = writeln!(text, "{}", row.trim_end());
    }
}

/// Writes the lines' histograms and these files to a directory, which is made where needed.
pub(super) fn save<'a>(
    out: &Path,
    lines: impl IntoIterator<Item = &'a Line>,
    files: &[(&str, String)],
) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let write = |name: &str, text: &str| {
        let path = out.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    for line in lines.into_iter().filter(|line| !line.histogram.is_empty()) {
        write(&line.file(), &hgrm(&line.histogram))?;
    }
    files.iter().try_for_each(|(name, text)| write(name, text))
}

/// HdrHistogram's percentile output, values in milliseconds.
fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut total = 0;
    for step in histogram.iter_quantiles(5) {
        total += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / 1e3;
        let quantile = step.quantile_iterated_to();
        let _ = write!(text, "{value:>12.3} {quantile:>14.12} {total:>10}");
        let _ = if quantile < 1.0 {
            writeln!(text, " {:>14.2}", 1.0 / (1.0 - quantile))
        } else {
            writeln!(text)
        };
    }
    let (mean, deviation) = (histogram.mean() / 1e3, histogram.stdev() / 1e3);
    let (max, count) = (histogram.max() as f64 / 1e3, histogram.len());
    let _ = writeln!(text, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
    let _ = writeln!(text, "#[Max     = {max:>12.3}, Total count    = {count:>12}]");
    let _ =
        writeln!(text, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", histogram.buckets(), 2048);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_files_end_at_all() {
        let histogram = histogram_of((1..=1_000).map(Duration::from_millis));
        let text = hgrm(&histogram);
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(rows[0][2], "1");
        let last = rows.last().expect("there are rows");
        assert_eq!((last[1], last[2], last.len()), ("1.000000000000", "1000", 3));
        assert!(text.contains("Total count    =         1000]"), "{text}");
    }
}
