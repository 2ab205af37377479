//! The command line: what can be asked, with help that teaches.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Real-time workforce management for contact centers: every answer kept right, late events included.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Try it:\n  highwater demo                         a simulated center, alive at http://127.0.0.1:8080\n  \
        highwater check --config highwater.toml   what a configuration would do\n  \
        highwater run --config highwater.toml     the service\n\n\
        RUST_LOG sets what is logged (error, warn, info, debug); info for services, warn for the rest."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Run(Run),
    /// Tells what a configuration would do, and touches nothing.
    Check(Run),
    /// Tells what a start with a configuration would change in the views: rows added, changed and removed.
    Plan(Run),
    Replay(Replay),
    Views(Views),
    #[command(subcommand)]
    Dlq(Dlq),
    #[command(subcommand)]
    Journal(Journal),
    Latency(Latency),
    Why(Why),
    #[command(subcommand)]
    Bench(crate::bench::args::Bench),
}

/// Shows a simulated contact center live: queues, adherence and alerts that correct themselves.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  highwater demo\n  \
    highwater demo --agents 200 --speed 60          an hour a minute\n  \
    highwater demo --data /tmp/center --seed 3      kept, and continued by the next start\n\n\
    Send it an event of your own while it runs:\n  \
    curl -H 'content-type: application/json' http://127.0.0.1:8080/v1/events -d '{\"event_id\":\"e-1\",...}'")]
pub(crate) struct Demo {
    /// Where to listen; only addresses of this machine, for the demo asks nobody for a token.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// How many agents work there.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub(crate) agents: u32,
    /// Simulated seconds in a second.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) speed: f64,
    /// Another seed is another day.
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// Keep journal and views here, and continue them; otherwise they are gone when the demo ends.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// Runs the service.
#[derive(Debug, Args)]
#[command(
    after_help = "Ctrl-C or SIGTERM finishes what was accepted and exits 0; a second one exits at once.\n\
    Either way nothing that was answered 202 is lost: the next start continues from the journal."
)]
pub(crate) struct Run {
    /// The configuration (TOML); relative paths in it start at its own directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Processes of the cluster; instead of `cluster.processes`.
    #[arg(long, value_name = "N")]
    pub(crate) processes: Option<usize>,
    /// Which process this is, from 0; instead of `cluster.process`.
    #[arg(long, value_name = "I")]
    pub(crate) process: Option<usize>,
    /// HOST:PORT of each process, one a line; instead of `cluster.hosts`.
    #[arg(long, value_name = "FILE")]
    pub(crate) hosts: Option<PathBuf>,
    /// Dataflow worker threads of each process; instead of `service.workers`.
    #[arg(long, value_name = "W")]
    pub(crate) workers: Option<usize>,
    /// Also read the journal in this data directory, of a process that there is no more; may be given again.
    #[arg(long, value_name = "DIR")]
    pub(crate) adopt: Vec<PathBuf>,
    /// Do not start again by itself: something else does (systemd, Kubernetes).
    #[arg(long)]
    pub(crate) no_supervisor: bool,
}

/// Runs recorded input through the whole path at full speed, until every answer is final.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    highwater replay --source anonymous-bank calls_february.tsv --views feb.sqlite --interval 6m --closed right\n  \
    highwater replay --source file events.jsonl --views day.sqlite --query queue_interval\n  \
    highwater views --db feb.sqlite queue_interval --limit 20\n\n\
    A stretch of a deployment's own journal, beside the running service:\n  \
    highwater replay --data data --from 2026-03-01T00:00:00Z --to 2026-03-02T00:00:00Z \\\n    \
    --query queue_interval --into day.sqlite")]
pub(crate) struct Replay {
    /// What the files are.
    #[arg(long, value_enum, required_unless_present_any = ["from", "to"])]
    pub(crate) source: Option<Recorded>,
    /// From this instant of event time on, of the journal in --data or of --config.
    #[arg(long, value_name = "TIME", conflicts_with = "source")]
    pub(crate) from: Option<String>,
    /// Up to this instant of event time; every row is final then.
    #[arg(long, value_name = "TIME", conflicts_with = "source")]
    pub(crate) to: Option<String>,
    /// The configuration whose journal and queries are meant, instead of --data.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "data"])]
    pub(crate) config: Option<PathBuf>,
    /// The recordings, in the order of their times.
    #[arg(required_unless_present_any = ["from", "to"], value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The view database to make, or to bring to what the recordings say.
    #[arg(long, value_name = "DB", visible_alias = "into")]
    pub(crate) views: PathBuf,
    /// Length of the intervals of queue_interval: 90s, 15m, 1h.
    #[arg(long, default_value = "15m", value_parser = seconds)]
    pub(crate) interval: i64,
    /// Which end of an interval belongs to it.
    #[arg(long, value_enum, default_value_t = Closed::Left)]
    pub(crate) closed: Closed,
    /// Only this query or rule; may be given again. All unless given.
    #[arg(long = "query", value_name = "NAME")]
    pub(crate) queries: Vec<String>,
    /// Dataflow worker threads; answers do not depend on it.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: u16,
    /// Also write every change of every view to this file, as JSON lines.
    #[arg(long, value_name = "FILE")]
    pub(crate) changelog: Option<PathBuf>,
    /// Keep the journal here; otherwise it is gone when the replay ends.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Recorded {
    /// Native events, a JSON object a line, plain or gzip.
    File,
    /// The call log of an anonymous bank, tab-separated; its local times are taken as UTC.
    AnonymousBank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Closed {
    /// `[start, end)`
    Left,
    /// `(start, end]`
    Right,
}

/// Lists the views, or prints one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  highwater views --data data\n  \
    highwater views --data data queue_now\n  \
    highwater views --db views.sqlite queue_interval --key billing --format csv")]
pub(crate) struct Views {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The view database itself.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "config"])]
    pub(crate) db: Option<PathBuf>,
    /// The view to print; a list of all unless given.
    pub(crate) name: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// Only rows whose key begins with these values, in the order of the key's columns.
    #[arg(long, num_args = 1.., value_name = "VALUE")]
    pub(crate) key: Vec<String>,
    /// At most so many rows.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns aligned, for people.
    Table,
    /// RFC 4180, with a header.
    Csv,
    /// An array of objects.
    Json,
}

/// Which deployment is meant.
#[derive(Debug, Default, Args)]
pub(crate) struct Place {
    /// The data directory.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(crate) data: Option<PathBuf>,
    /// The configuration that names the data directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Dead letters: input that could not be an event, kept with its bytes and the reason.
#[derive(Debug, Subcommand)]
pub(crate) enum Dlq {
    /// Lists them, oldest first.
    List {
        #[command(flatten)]
        place: Place,
        /// From this number on.
        #[arg(long, default_value_t = 0, value_name = "SEQ")]
        from: u64,
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: usize,
    },
    /// Shows one with its bytes.
    Show {
        seq: u64,
        #[command(flatten)]
        place: Place,
    },
    /// Takes them in again, under new numbers: after a decoder was mended, for instance. Events that were counted
    /// meanwhile are not counted again.
    Replay {
        #[arg(required_unless_present = "all")]
        seqs: Vec<u64>,
        /// Every dead letter.
        #[arg(long, conflicts_with = "seqs")]
        all: bool,
        #[command(flatten)]
        place: Place,
        /// Send them to the running service at this address: needed while it has the journal open.
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// The environment variable that holds a token with the role `ingest`.
        #[arg(long, value_name = "VARIABLE", requires = "url")]
        token_env: Option<String>,
    },
}

/// The journal: where every accepted event is.
#[derive(Debug, Subcommand)]
pub(crate) enum Journal {
    /// Checks every checksum, hash and link; changes nothing. Exits 1 when something is wrong.
    Verify {
        #[command(flatten)]
        place: Place,
    },
    /// Tells how much it holds, without reading it.
    Stat {
        #[command(flatten)]
        place: Place,
    },
    /// Writes it as JSON lines, also beside a running service.
    Export {
        #[command(flatten)]
        place: Place,
        /// The file to write; `-` is standard output.
        #[arg(long, value_name = "FILE", default_value = "-")]
        to: PathBuf,
    },
    /// Copies the data directory, also beside a running service: journal, base, checkpoints and views. A service
    /// that is started on the copy goes on from there.
    Backup {
        #[command(flatten)]
        place: Place,
        /// The directory to make.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Makes a new journal from an export.
    Import {
        #[command(flatten)]
        place: Place,
        /// The file to read; `-` is standard input.
        #[arg(long, value_name = "FILE", default_value = "-")]
        from: PathBuf,
    },
}

/// Prints the latency of a running service by event path and stage, held against the budgets.
#[derive(Debug, Args)]
#[command(
    after_help = "Stages: durable (answered 202), epoch_closed (computed), view_committed, alert_delivered, \
    page_pushed.\nTimes run from the first byte received."
)]
pub(crate) struct Latency {
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// The environment variable that holds a token with the role `read`.
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) token_env: Option<String>,
}

/// Says what the next result of a view waits for: which source, its last event, and when it comes by itself.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  highwater why queue_interval billing\n  \
    highwater why queue_rolling\n\nIt asks the running service, for only that knows who is silent at the moment.")]
pub(crate) struct Why {
    /// The view.
    pub(crate) view: String,
    /// The first values of the key, in the order of the key's columns: a queue, an agent. All rows unless given.
    pub(crate) key: Vec<String>,
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// The environment variable that holds a token with the role `read`.
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) token_env: Option<String>,
}

/// A length of time: `90s`, `6m`, `1h`, or seconds.
fn seconds(text: &str) -> Result<i64, String> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let unit = match unit {
        "h" => 3_600,
        "m" => 60,
        _ => 1,
    };
    let number: i64 =
        number.parse().map_err(|_| "a number with s, m or h, such as 15m".to_owned())?;
    number
        .checked_mul(unit)
        .filter(|s| *s > 0)
        .ok_or_else(|| "more than nothing, please: 15m".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lengths_of_time() {
        let lengths = [("6m", 360), ("90s", 90), ("1h", 3_600), ("45", 45)];
        for (text, expected) in lengths {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "m", "0m", "-5s", "6 m", "6d", "9223372036854775807h"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_replay_takes_files_and_queries() {
        let line = "highwater replay --source anonymous-bank jan.tsv feb.tsv --views v.sqlite --interval 6m \
                    --closed right --query queue_interval --query team_drift";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Replay(replay) = cli.command else { panic!("{cli:?}") };
        assert_eq!((replay.files.len(), replay.interval, replay.closed), (2, 360, Closed::Right));
        assert_eq!(replay.queries, ["queue_interval", "team_drift"]);
    }
}
