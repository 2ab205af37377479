//! The running service in figures: the status of the page and the probes, and the samples of `/metrics`.

use std::collections::BTreeMap;
use std::sync::Arc;

use highwater_dataflow::{BEGINNING, Clock, EventTime, FOREVER};
use highwater_ingest::http::HttpCounters;
use highwater_ingest::journal::{JournalWriter, PartitionStatus};
use highwater_sinks::wallboard::{Metric, Status};
use highwater_sinks::{Control, Health};

use crate::feed::Fed;
use crate::heard::Heard;

/// Where the figures are read.
pub(crate) struct Gauges {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) writer: JournalWriter,
    /// `None` in a process without views.
    pub(crate) control: Option<Control>,
    pub(crate) fed: Arc<Fed>,
    pub(crate) heard: Arc<Heard>,
    pub(crate) http: Arc<HttpCounters>,
}

impl Gauges {
    /// Every partition the journal knows, and the watermark that the views have come to.
    pub(crate) fn progress(&self) -> (Vec<PartitionStatus>, EventTime) {
        let watermark = self.sink().watermark_ms.unwrap_or(BEGINNING);
        (self.writer.partitions(), watermark)
    }

    fn sink(&self) -> highwater_sinks::Status {
        let none = highwater_sinks::Status {
            health: Health::Stopped,
            epoch: None,
            watermark_ms: None,
            queued_rows: 0,
            wal_bytes: 0,
            reconciled: Vec::new(),
            set_aside: None,
        };
        self.control.as_ref().map_or(none, Control::status)
    }

    pub(crate) fn status(&self) -> Status {
        let (journal, sink) = (self.writer.status(), self.sink());
        let epoch = sink.epoch.unwrap_or(0);
        let known = |at: &i64| *at != BEGINNING && *at != FOREVER;
        let not_ready = match &sink.health {
            Health::Lagging { reason, .. } => Some(format!("the views wait: {reason}")),
            Health::Failed { reason } => Some(format!("the views cannot be written: {reason}")),
            Health::CatchingUp | Health::Live | Health::Stopped => None,
        };
        let journal_fails = if journal.failed {
            Some("the journal failed; restart the service")
        } else if journal.full {
            Some("the journal's disk is full; free space and it resumes by itself")
        } else {
            None
        };
        let behind_us = journal.tip.epoch.saturating_sub(epoch);
        let counts = [
            ("journaled", journal.tip.seq),
            ("dead_letters", self.fed.dead_letters()),
            ("events", self.fed.events()),
        ];
        Status {
            now_ms: self.clock.now_ms(),
            epoch,
            watermark_ms: sink.watermark_ms.filter(known),
            event_time_ms: self.heard.newest(),
            // Epochs are microseconds of the journal's clock.
            lag_ms: if epoch == 0 { 0 } else { (behind_us / 1_000) as i64 },
            catching_up: sink.health == Health::CatchingUp,
            not_ready: not_ready.or(journal_fails.map(str::to_owned)),
            sources: self.heard.sources(&self.writer.partitions()),
            counts: counts
                .map(|(name, n)| (name.to_owned(), n))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
        }
    }

    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let (journal, sink) = (self.writer.status(), self.sink());
        let mut samples = vec![
            Metric::counter(
                "highwater_journal_records_total",
                "Records in the journal since it was made.",
                journal.tip.seq,
            ),
            Metric::counter(
                "highwater_journal_frames_total",
                "Group commits since the start.",
                journal.frames,
            ),
            Metric::counter(
                "highwater_journal_dead_letters_total",
                "Records set aside since the start.",
                journal.dead_letters,
            ),
            Metric::counter(
                "highwater_journal_read_back_total",
                "Frames the dataflow had to read back from disk.",
                journal.overflowed,
            ),
            Metric::gauge(
                "highwater_journal_waiting_events",
                "Events that wait to become durable.",
                journal.waiting_events as f64,
            ),
            Metric::gauge(
                "highwater_journal_waiting_bytes",
                "Bytes that wait to become durable.",
                journal.waiting_bytes as f64,
            ),
            Metric::gauge(
                "highwater_journal_full",
                "1 while the journal's disk is full.",
                flag(journal.full),
            ),
            Metric::counter(
                "highwater_fed_events_total",
                "Events handed to the dataflow since the start.",
                self.fed.events(),
            ),
            Metric::gauge(
                "highwater_epochs_behind_seconds",
                "How far the views are behind the journal's end.",
                journal.tip.epoch.saturating_sub(sink.epoch.unwrap_or(journal.tip.epoch)) as f64
                    / 1e6,
            ),
            Metric::gauge(
                "highwater_sink_queued_rows",
                "Row changes that wait to be committed.",
                sink.queued_rows as f64,
            ),
            Metric::gauge(
                "highwater_sink_wal_bytes",
                "Bytes in the view database's write-ahead log.",
                sink.wal_bytes as f64,
            ),
            Metric::gauge(
                "highwater_sink_live",
                "1 while the views are committed as they change.",
                flag(sink.health == Health::Live),
            ),
        ];
        if let Some(watermark) = sink.watermark_ms.filter(|at| *at != BEGINNING && *at != FOREVER) {
            let help = "Event time before which nothing more is expected, Unix seconds.";
            samples.push(Metric::gauge(
                "highwater_watermark_seconds",
                help,
                watermark as f64 / 1e3,
            ));
        }
        for source in self.heard.sources(&self.writer.partitions()) {
            let help = "Events a source handed over since the start.";
            let sample = Metric::counter("highwater_source_events_total", help, source.events);
            samples.push(sample.label("source", source.name.clone()));
            let help = "1 while a source's last attempt failed.";
            let sample =
                Metric::gauge("highwater_source_failing", help, flag(source.error.is_some()));
            samples.push(sample.label("source", source.name));
        }
        for (source, unknown) in self.heard.unknown() {
            let help = "What of a source's events the decoder did not know since the start.";
            for (kind, n) in [("fields", unknown.fields), ("values", unknown.values)] {
                let sample = Metric::counter("highwater_source_unknown_total", help, n);
                samples.push(sample.label("source", source.clone()).label("kind", kind));
            }
        }
        for (what, n) in self.http.snapshot() {
            let help = "What the HTTP source did since the start, by kind.";
            samples.push(Metric::counter("highwater_http_total", help, n).label("kind", what));
        }
        if let Some(bytes) = resident_bytes() {
            samples.push(Metric::gauge(
                "process_resident_memory_bytes",
                "Memory in use.",
                bytes as f64,
            ));
        }
        samples
    }
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

/// The memory of this process, where the system tells it as Linux does.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
