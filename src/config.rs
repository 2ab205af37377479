//! The configuration file: its tables as written, parsed without looking at the machine.
//!
//! Every table has a default and refuses fields it does not know. [`crate::plan`] turns it into a plan.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use highwater_ingest::http::HttpConfig;
use highwater_ingest::sim::SimConfig;
use highwater_queries::Settings;
use highwater_sinks::channel::ChannelConfig;
use highwater_sinks::wallboard;
use serde::Deserialize;

/// A whole file. An empty one is a service on 127.0.0.1:8080 that takes events over HTTP.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) service: Service,
    pub(crate) cluster: Cluster,
    pub(crate) journal: Journal,
    pub(crate) http: HttpConfig,
    pub(crate) wallboard: wallboard::Config,
    pub(crate) queries: Settings,
    pub(crate) sinks: Sinks,
    /// Where alert messages go; nowhere unless given.
    pub(crate) alerts: Vec<ChannelConfig>,
    /// What is read besides what comes over HTTP; nothing unless given.
    pub(crate) sources: Vec<Source>,
}

/// `[service]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Service {
    /// Where journal and views are kept; `data`, beside the configuration file.
    pub(crate) data_dir: PathBuf,
    /// Dataflow worker threads; one per core less one. Answers do not depend on it.
    pub(crate) workers: Option<usize>,
}

impl Default for Service {
    fn default() -> Self {
        Service { data_dir: "data".into(), workers: None }
    }
}

/// `[cluster]`: several processes as one service. The command line may say the same, and is heard first.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cluster {
    /// How many processes there are; 1.
    pub(crate) processes: usize,
    /// Which of them this is, from 0; process 0 has the views, the alerts and the page.
    pub(crate) process: usize,
    /// A file with HOST:PORT of each process, one a line, in the order of their numbers.
    pub(crate) hosts: Option<PathBuf>,
    /// Where this process takes connections of the others; its line in `hosts`.
    pub(crate) listen: Option<String>,
    /// The environment variable with the cluster's secret.
    pub(crate) secret_env: String,
    /// Encrypts what processes tell each other; needed to reach other machines.
    pub(crate) tls: Option<ClusterTls>,
    /// Let other machines be reached without encryption: only on a network that nobody else is on.
    pub(crate) insecure: bool,
    /// Where readers reach this process; the host of its line in `hosts` with the port of `http.listen`.
    pub(crate) url: Option<String>,
    /// A process silent for so long is given up, seconds; 10.
    pub(crate) silence_s: u64,
    /// Start the service again when it ends, from a process that does nothing else; true.
    pub(crate) supervise: bool,
    /// Data directories of processes that there are no more: their journals are read by this one.
    pub(crate) adopt: Vec<PathBuf>,
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster {
            processes: 1,
            process: 0,
            hosts: None,
            listen: None,
            secret_env: "HIGHWATER_CLUSTER_SECRET".to_owned(),
            tls: None,
            insecure: false,
            url: None,
            silence_s: 10,
            supervise: true,
            adopt: Vec::new(),
        }
    }
}

/// `[cluster.tls]`: every process shows a certificate and asks for one, all of the same authority. PEM files; they are
/// read at every start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterTls {
    /// The certificate of this process, and what leads from it to the authority.
    pub(crate) certificate: PathBuf,
    /// Its private key. A systemd credential with the name of this file comes first.
    pub(crate) key: PathBuf,
    /// The authority that has signed the certificates of all processes, and of nobody else.
    pub(crate) ca: PathBuf,
    /// The name in the certificate of every process; unless given, each has the host of its line in `hosts`.
    pub(crate) name: Option<String>,
}

/// `[journal]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Journal {
    /// A segment file is full at this many MiB, of which fractions are fine; 1,024.
    pub(crate) segment_mib: f64,
    /// Events that may wait for the disk before senders are told to wait; 32,768.
    pub(crate) queue_events: usize,
    /// Bytes that may wait for the disk, MiB; 64.
    pub(crate) queue_mib: usize,
    /// A live source that says nothing for so long no longer holds the watermark, seconds; 5.
    pub(crate) idle_after_s: u64,
    /// While all live sources are quiet, the watermark follows the clock this far behind, ms; 2,000.
    pub(crate) quiet_delay_ms: u64,
    /// How often a checkpoint is taken, so that a restart need not replay, seconds; 300.
    pub(crate) checkpoint_s: u64,
    /// Whole segments older than so many days go, once two checkpoints do not need them; fractions are fine; 7.
    pub(crate) retain_days: f64,
}

impl Default for Journal {
    fn default() -> Self {
        Journal {
            segment_mib: 1_024.0,
            queue_events: 32_768,
            queue_mib: 64,
            idle_after_s: 5,
            quiet_delay_ms: 2_000,
            checkpoint_s: 300,
            retain_days: 7.0,
        }
    }
}

/// `[sinks]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sinks {
    /// The view database; `views.sqlite` in the data directory.
    pub(crate) path: Option<PathBuf>,
    /// A file that gets every change of every view as JSON lines; none unless given.
    pub(crate) changelog: Option<PathBuf>,
    /// Row changes in one transaction at most; 100,000.
    pub(crate) rows_per_commit_max: Option<usize>,
    /// Row changes that wait at most before the dataflow does; 400,000.
    pub(crate) queued_rows_max: Option<usize>,
    /// Messages of ended alerts are kept so many days; 30.
    pub(crate) outbox_days: Option<u32>,
    /// A view database that was not closed is checked before it is used up to so many MiB, and a larger one beside its
    /// use; 64.
    pub(crate) checked_first_mib: Option<u32>,
}

/// An entry of `[[sources]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Source {
    File(File),
    AnonymousBank(Bank),
    Sim(Sim),
}

impl Source {
    /// Which process of a cluster reads it.
    pub(crate) fn process(&self) -> usize {
        match self {
            Source::File(file) => file.process,
            Source::AnonymousBank(bank) => bank.process,
            Source::Sim(sim) => sim.process,
        }
    }
}

/// `kind = "file"`: native events, a JSON object a line.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// `file` unless given.
    #[serde(default = "file_name")]
    pub(crate) name: String,
    pub(crate) paths: Vec<PathBuf>,
    /// Event time per time of the clock; as fast as possible unless given.
    pub(crate) speed: Option<f64>,
    /// Whether the files go on growing.
    #[serde(default)]
    pub(crate) follow: bool,
    /// How far their events may be out of order without being late, ms; 5,000.
    #[serde(default = "file_disorder_ms")]
    pub(crate) disorder_ms: u32,
    /// Which process of a cluster reads it; 0.
    #[serde(default)]
    pub(crate) process: usize,
}

fn file_name() -> String {
    "file".to_owned()
}

fn file_disorder_ms() -> u32 {
    5_000
}

/// `kind = "anonymous-bank"`: a month of the bank's call log, as fast as it can be taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bank {
    /// `anonymous-bank` unless given.
    #[serde(default = "bank_name")]
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Which process of a cluster reads it; 0.
    #[serde(default)]
    pub(crate) process: usize,
}

fn bank_name() -> String {
    "anonymous-bank".to_owned()
}

/// `kind = "sim"`: a simulated contact center, at its own pace.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sim {
    #[serde(default = "sim_name")]
    pub(crate) name: String,
    /// How far its events may be out of order without being late, ms; 2,000: the rest corrects what was said.
    #[serde(default = "sim_disorder_ms")]
    pub(crate) disorder_ms: u32,
    /// The center. Without `midnight_at` and `start_at` it begins at the first start.
    #[serde(default)]
    pub(crate) center: toml::Table,
    /// Which process of a cluster reads it; 0.
    #[serde(default)]
    pub(crate) process: usize,
}

pub(crate) fn sim_name() -> String {
    "sim".to_owned()
}

pub(crate) fn sim_disorder_ms() -> u32 {
    2_000
}

impl Sim {
    /// The center, and whether the configuration places it in time.
    pub(crate) fn config(&self) -> Result<(SimConfig, bool), toml::de::Error> {
        let placed = ["midnight_at", "start_at"].iter().any(|key| self.center.contains_key(*key));
        Ok((self.center.clone().try_into()?, placed))
    }
}

/// Reads and parses a file.
///
/// Errors: it cannot be read; [`Unusable`] with line and column when it is not a configuration.
pub(crate) fn read(path: &Path) -> Result<Config> {
    let text = fs::read_to_string(path).with_context(|| {
        format!("cannot read the configuration {}; give its path with --config", path.display())
    })?;
    Ok(parse(&text).map_err(|error| Unusable::new(path, error))?)
}

/// Parses a configuration.
pub(crate) fn parse(text: &str) -> Result<Config, toml::de::Error> {
    toml::from_str(text)
}

/// The configuration cannot be used; the text says where and what to change.
#[derive(Debug)]
pub(crate) struct Unusable {
    path: PathBuf,
    what: String,
}

impl Unusable {
    pub(crate) fn new(path: &Path, what: impl fmt::Display) -> Unusable {
        Unusable { path: path.to_owned(), what: what.to_string().trim_end().to_owned() }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use the configuration {}: {}", self.path.display(), self.what)
    }
}

impl std::error::Error for Unusable {}
