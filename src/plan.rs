//! The plan: a configuration with its paths, secrets and references resolved. What can fail before anything is touched
//! has failed here.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use highwater_ingest::http::HttpPlan;
use highwater_ingest::journal::Options as JournalOptions;
use highwater_ingest::source::POLL_MAX;
use highwater_ingest::{anonymous_bank, file};
use highwater_queries::{Settings, registry};
use highwater_sinks::changelog::ChangelogConfig;
use highwater_sinks::channel::ChannelConfig;
use highwater_sinks::wallboard;
use jiff::tz::TimeZone;

use crate::base::base_in;
use crate::checkpoints::Keeping;
use crate::cluster::Cluster;
use crate::config::{Config, Journal, Source};
use crate::sources::{SourcePlan, What};

/// What `run` and `demo` do.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) data_dir: PathBuf,
    pub(crate) workers: usize,
    /// `None`: there is one process.
    pub(crate) cluster: Option<Cluster>,
    /// Data directories of processes that there are no more.
    pub(crate) adopt: Vec<PathBuf>,
    pub(crate) journal: JournalOptions,
    pub(crate) checkpoints: Keeping,
    pub(crate) http: HttpPlan,
    /// Events over HTTP further than this ahead of the clock are dead letters, ms; `None`: no limit.
    pub(crate) http_future_ms: Option<i64>,
    pub(crate) wallboard: wallboard::Config,
    pub(crate) settings: Settings,
    pub(crate) sinks: highwater_sinks::Config,
    pub(crate) changelog: Option<ChangelogConfig>,
    pub(crate) alerts: Vec<ChannelConfig>,
    pub(crate) sources: Vec<SourcePlan>,
}

const HTTP_FUTURE_MS: i64 = 600_000;

impl Plan {
    /// Where the journal is.
    pub(crate) fn journal_dir(&self) -> PathBuf {
        journal_in(&self.data_dir)
    }

    /// Resolves a configuration. Relative paths start at `base`; `env` reads secrets.
    ///
    /// Errors say which field is wrong and what would be right.
    pub(crate) fn resolve(
        config: Config,
        base: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Plan, String> {
        let Config {
            service,
            cluster,
            journal,
            http,
            mut wallboard,
            queries,
            sinks,
            alerts,
            sources,
        } = config;
        let adopt = cluster.adopt.iter().map(|dir| base.join(dir)).collect();
        let cluster = Cluster::resolve(&cluster, base, env)?;
        let data_dir = base.join(service.data_dir);
        let cores = available_parallelism().map_or(1, usize::from);
        let workers = service.workers.unwrap_or(cores.saturating_sub(1).clamp(1, 8));
        if !(1..=256).contains(&workers) {
            return Err(format!("service.workers is {workers}; use 1 to 256"));
        }
        queries.check()?;
        let (process, processes) =
            cluster.as_ref().map_or((0, 1), |it| (it.process, it.hosts.len()));
        if let Some(other) = sources.iter().map(Source::process).find(|it| *it >= processes) {
            return Err(format!(
                "sources: there is no process {other}; use 0 to {}",
                processes - 1
            ));
        }
        let ours: Vec<bool> = sources.iter().map(|source| source.process() == process).collect();
        let sources = resolve_sources(sources, base, &data_dir)?;
        let every = Duration::from_secs(journal.checkpoint_s);
        let retain_ms = (journal.retain_days * 86_400_000.0) as i64;
        let journal = resolve_journal(&journal)?;
        let simulated = sources.iter().any(|it| matches!(it.what, What::Simulation { .. }));
        let sources: Vec<SourcePlan> = sources
            .into_iter()
            .zip(ours)
            .filter_map(|(source, ours)| ours.then_some(source))
            .collect();
        if TimeZone::get(&wallboard.time_zone).is_err() {
            return Err(format!(
                "wallboard.time_zone is {:?}; use an IANA name such as \"Europe/Lisbon\"",
                wallboard.time_zone
            ));
        }
        let http = http.resolve(env).map_err(|error| format!("http: {error}"))?;
        wallboard.allowed_origins.extend(http.config.origins.iter().cloned());
        let path = sinks.path.map_or(views_in(&data_dir), |path| base.join(path));
        let mut views = highwater_sinks::Config::at(path);
        views.rows_per_commit_max = sinks.rows_per_commit_max.unwrap_or(views.rows_per_commit_max);
        views.queued_rows_max = sinks.queued_rows_max.unwrap_or(views.queued_rows_max);
        views.outbox_days = sinks.outbox_days.unwrap_or(views.outbox_days);
        views.checked_first_mib = sinks.checked_first_mib.unwrap_or(views.checked_first_mib);
        if views.rows_per_commit_max == 0 || views.queued_rows_max < views.rows_per_commit_max {
            return Err("sinks.rows_per_commit_max must be at least 1, and sinks.queued_rows_max at least as much".to_owned());
        }
        let mut names = BTreeSet::new();
        for channel in &alerts {
            if !names.insert(channel.name()) {
                return Err(format!(
                    "two [[alerts]] are named {:?}; names must differ",
                    channel.name()
                ));
            }
        }
        let alerts = alerts.into_iter().map(|channel| placed(channel, base)).collect();
        let changelog = sinks.changelog.map(|path| ChangelogConfig { path: base.join(path) });
        let (dir, base_dir) = (checkpoints_in(&data_dir), base_in(&data_dir));
        let checkpoints = Keeping { dir, every, base_dir, retain_ms };
        Ok(Plan {
            checkpoints,
            data_dir,
            workers,
            cluster,
            adopt,
            journal,
            http,
            http_future_ms: (!simulated).then_some(HTTP_FUTURE_MS),
            wallboard,
            settings: queries,
            sinks: views,
            changelog,
            alerts,
            sources,
        })
    }
}

/// Where the journal is in a data directory.
pub(crate) fn journal_in(data_dir: &Path) -> PathBuf {
    data_dir.join("journal")
}

/// Where the checkpoints are in a data directory.
pub(crate) fn checkpoints_in(data_dir: &Path) -> PathBuf {
    data_dir.join("checkpoints")
}

/// Where the views are in a data directory, unless configured otherwise.
pub(crate) fn views_in(data_dir: &Path) -> PathBuf {
    data_dir.join("views.sqlite")
}

fn placed(channel: ChannelConfig, base: &Path) -> ChannelConfig {
    match channel {
        ChannelConfig::File(mut file) => {
            file.path = base.join(file.path);
            ChannelConfig::File(file)
        }
        other => other,
    }
}

fn resolve_journal(journal: &Journal) -> Result<JournalOptions, String> {
    let least = [
        ("queue_events", journal.queue_events as u64, POLL_MAX as u64),
        ("queue_mib", journal.queue_mib as u64, 16),
        ("idle_after_s", journal.idle_after_s, 1),
        ("checkpoint_s", journal.checkpoint_s, 1),
    ];
    for (field, value, least) in least {
        if value < least {
            return Err(format!("journal.{field} is {value}; it must be at least {least}"));
        }
    }
    for (field, value) in
        [("segment_mib", journal.segment_mib), ("retain_days", journal.retain_days)]
    {
        // Neither is a time or a size when it is no number, or beyond all of them.
        if !(value > 0.0 && value <= 1e9) {
            return Err(format!("journal.{field} is {value}; use a positive number"));
        }
    }
    let mib = |n: u64| n.checked_mul(1 << 20).ok_or("journal sizes are in MiB; use smaller ones");
    let delay =
        i64::try_from(journal.quiet_delay_ms).map_err(|_| "journal.quiet_delay_ms is too large")?;
    Ok(JournalOptions {
        segment_bytes: (journal.segment_mib * f64::from(1 << 20)) as u64,
        queue_events: journal.queue_events,
        queue_bytes: mib(journal.queue_mib as u64)? as usize,
        idle_after: Duration::from_secs(journal.idle_after_s),
        quiet_delay_ms: delay,
        ..JournalOptions::default()
    })
}

fn resolve_sources(
    sources: Vec<Source>,
    base: &Path,
    data_dir: &Path,
) -> Result<Vec<SourcePlan>, String> {
    let mut plans = Vec::new();
    let mut names = BTreeSet::new();
    for source in sources {
        let plan = match source {
            Source::File(file) if file.paths.is_empty() => {
                return Err(format!("sources: {}: name at least one file in paths", file.name));
            }
            Source::File(file) => SourcePlan {
                name: file.name,
                disorder_ms: file.disorder_ms.into(),
                what: What::Files(file::Config {
                    paths: file.paths.iter().map(|path| base.join(path)).collect(),
                    speed: file.speed,
                    follow: file.follow,
                }),
            },
            Source::AnonymousBank(bank) => SourcePlan {
                name: bank.name,
                // The decoder sorts the log by event time.
                disorder_ms: 0,
                what: What::AnonymousBank(anonymous_bank::Config { path: base.join(bank.path) }),
            },
            Source::Sim(sim) => {
                let (config, placed) = sim.config().map_err(|error| {
                    format!("sources: {}: center: {}", sim.name, error.message())
                })?;
                let day = (!placed).then(|| data_dir.join(format!("{}.day.json", sim.name)));
                SourcePlan {
                    name: sim.name,
                    disorder_ms: sim.disorder_ms.into(),
                    what: What::Simulation { config, day },
                }
            }
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if plan.name.is_empty() || plan.name.len() > 64 || !plan.name.chars().all(plain) {
            return Err(format!(
                "sources: {:?} cannot name a source; use letters, digits and -_.",
                plan.name
            ));
        }
        if plan.name == "http" || !names.insert(plan.name.clone()) {
            return Err(format!(
                "sources: the name {:?} is taken; give each source its own `name`",
                plan.name
            ));
        }
        plans.push(plan);
    }
    Ok(plans)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let http = &self.http.config;
        let line =
            |f: &mut fmt::Formatter<'_>, head: &str, rest: &str| writeln!(f, "{head:<12}{rest}");
        line(f, "listen", &format!("http://{}", http.listen))?;
        let tokens = http.tokens.len();
        let access = if self.http.authorizer.requires_token() {
            format!("{tokens} bearer token(s), roles as configured")
        } else {
            "open to this machine only (loopback, no tokens)".to_owned()
        };
        line(f, "access", &access)?;
        for name in http.webhooks.keys() {
            line(f, "webhook", &format!("POST /v1/webhooks/{name}, signed"))?;
        }
        line(f, "data", &self.data_dir.display().to_string())?;
        line(f, "journal", &self.journal_dir().display().to_string())?;
        line(f, "workers", &self.workers.to_string())?;
        if let Some(cluster) = &self.cluster {
            let (process, processes) = (cluster.process, cluster.hosts.len());
            line(
                f,
                "cluster",
                &format!("process {process} of {processes}, listening on {}", cluster.listen),
            )?;
            for (other, host) in cluster.hosts.iter().enumerate().filter(|(it, _)| *it != process) {
                let how = cluster.protection(other);
                line(f, "", &format!("process {other} at {host}, {how}"))?;
            }
        }
        for dir in &self.adopt {
            line(f, "adopts", &dir.display().to_string())?;
        }
        line(f, "source", "http: POST /v1/events")?;
        for source in &self.sources {
            line(f, "source", &format!("{}: {}", source.name, source.kind()))?;
            for path in source.paths() {
                line(f, "", &format!("  {}", path.display()))?;
            }
        }
        for query in registry::QUERIES {
            let views: Vec<_> = query.views.iter().map(|view| view.name).collect();
            line(f, "query", &format!("{} -> {}", query.name, views.join(", ")))?;
        }
        for rule in registry::RULES {
            let terms = rule.definition.configured(&self.settings);
            let state = if terms.enabled { "on" } else { "off" };
            let terms = terms.text(rule.definition);
            line(f, "rule", &format!("{} ({state}: {terms}) -> alerts", rule.name))?;
        }
        line(f, "views", &self.sinks.path.display().to_string())?;
        if let Some(changelog) = &self.changelog {
            line(f, "changelog", &changelog.path.display().to_string())?;
        }
        for channel in &self.alerts {
            let (kind, to) = match channel {
                ChannelConfig::Log(_) => ("log", String::new()),
                ChannelConfig::File(file) => ("file", file.path.display().to_string()),
                // A URL may hold a secret.
                ChannelConfig::Webhook(_) => ("webhook", String::new()),
            };
            line(f, "alerts to", format!("{}: {kind} {to}", channel.name()).trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
