//! What `highwater bench` can be asked for.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Measures: latency under load, a storm, and throughput of a replay.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    Latency(Latency),
    Storm(Storm),
    Replay(Replay),
}

/// The simulated center that makes the load, and the service that takes it.
#[derive(Clone, Debug, Args)]
pub(crate) struct Center {
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub(crate) agents: u32,
    /// One per 70 agents, 3 to 40, unless given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) queues: Option<u32>,
    /// Another seed is another day.
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// Dataflow worker threads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: u16,
}

/// Loads the whole service on a fixed schedule and measures each event's way, from when it was to be sent.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  highwater bench latency\n  \
    highwater bench latency --agents 10000 --rate 5000 --seconds 60 --out bench-5000\n  \
    highwater bench latency --via file --rate 200\n\n\
    The service runs in this process with its own journal, views, page and alert receiver, all on loopback and in\n\
    a temporary directory. Warm-up is excluded. Results: a table, DIR/summary.json, DIR/report.html, and a .hgrm file\n\
    per path and stage for the plotters that read HdrHistogram's percentile format.")]
pub(crate) struct Latency {
    /// Events a second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub(crate) rate: u32,
    #[command(flatten)]
    pub(crate) center: Center,
    /// How long is measured.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(crate) seconds: u32,
    /// How long the same load runs before that, unmeasured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=600))]
    pub(crate) warm_up: u32,
    /// Events in a request, or in a write to the file.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) batch: u32,
    /// How events reach the service.
    #[arg(long, value_enum, default_value_t = Via::Http)]
    pub(crate) via: Via,
    /// A team must drift so many seconds of event time before it is an alert: waiting by choice, shown apart.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub(crate) lasting: u32,
    /// Events posted as fast as they are acknowledged, in hundreds and singly, after the measurement; 0 for none.
    #[arg(long, default_value_t = 20_000, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(0..=2_000_000))]
    pub(crate) flood: u32,
    /// Where the results go.
    #[arg(long, value_name = "DIR", default_value = "bench-latency")]
    pub(crate) out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// `POST /v1/events` over kept-alive connections.
    Http,
    /// A file that the service follows; it looks every 200 ms, and there is nobody to acknowledge to.
    File,
}

/// Loads the whole service steadily, then many times as much, then steadily again, and measures what that does.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  highwater bench storm\n  \
    highwater bench storm --rate 500 --seconds 60 --batch 10\n\n\
    The service runs in this process, as in `bench latency`. Each event has its time on a schedule that is fixed\n\
    beforehand; what is refused (429, 503) is sent again after the schedule's end, and has waited since its time.\n\
    At the end every event that was acknowledged is looked for in the journal, and every contact in the views.")]
pub(crate) struct Storm {
    /// Events a second before and after the storm.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) rate: u32,
    /// The storm's rate is so many times that.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=100))]
    pub(crate) times: u32,
    /// How long it lasts.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(crate) seconds: u32,
    /// How long the steady load lasts, before it and after it.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) calm: u32,
    /// Events in a request.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) batch: u32,
    #[command(flatten)]
    pub(crate) center: Center,
    /// Where the results go.
    #[arg(long, value_name = "DIR", default_value = "bench-storm")]
    pub(crate) out: PathBuf,
}

/// Measures the throughput of a journal or a file of events by stage, with memory and CPU time.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  highwater bench replay data/journal\n  \
    highwater bench replay events.jsonl --workers 2\n\n\
    Each pass goes as far as the next stage: reading and decoding, then the dataflow too, then committed views too\n\
    (and, of a file, the journal). A stage costs what its pass takes more than the one before. Nothing is changed.")]
pub(crate) struct Replay {
    /// A journal's directory, or a file of native events, a JSON object a line, plain or gzip.
    #[arg(value_name = "JOURNAL_DIR|FILE")]
    pub(crate) input: PathBuf,
    /// Dataflow worker threads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: u16,
    /// Also write the figures here, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}
