//! One life of the engine: goes on from what is there, takes events in, and is killed somewhere on the way.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Args;
use highwater_dataflow::latency::Latency;
use highwater_dataflow::{Clock, EventTime, Step as Alert};
use highwater_ingest::intake::{Delivery, Intake};
use highwater_ingest::journal::{Disk, Options, PartitionSpec};
use highwater_queries::Settings;
use highwater_sinks::channel::{ChannelConfig, FileConfig, Format, Retry, WebhookConfig};
use tracing_subscriber::EnvFilter;

use crate::aim::{self, Aim};
use crate::belongs::Belongs;
use crate::checkpoints::Keeping;
use crate::engine::{Engine, Parts};
use crate::script::{self, Draw};

/// What a life is told.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Order {
    /// Be one life in this directory; the parent's way to start it.
    #[arg(long = "child", hide = true)]
    pub(crate) directory: Option<PathBuf>,
    #[arg(long, hide = true, default_value_t = 0)]
    pub(crate) first: u64,
    /// Where to end; otherwise somebody else sees to it, or nobody.
    #[arg(long, hide = true)]
    pub(crate) aim: Option<Aim>,
    #[arg(long, hide = true, default_value_t = 0)]
    pub(crate) draw: u64,
    /// How far the clock is off, ms.
    #[arg(long, hide = true, default_value_t = 0, allow_hyphen_values = true)]
    pub(crate) ahead: i64,
    /// Where alerts are posted to.
    #[arg(long, hide = true)]
    pub(crate) hook: Option<String>,
}

impl Order {
    pub(crate) fn arguments(&self) -> Vec<String> {
        let directory = self.directory.as_deref().unwrap_or(Path::new("."));
        let mut arguments = vec![
            "--child".to_owned(),
            directory.display().to_string(),
            format!("--first={}", self.first),
            format!("--draw={}", self.draw),
            format!("--ahead={}", self.ahead),
        ];
        arguments.extend(self.aim.map(|aim| format!("--aim={aim}")));
        arguments.extend(self.hook.as_ref().map(|url| format!("--hook={url}")));
        arguments
    }
}

/// Events that a life sends when nothing kills it.
const EVENTS: u64 = 120;
/// The journal keeps what is younger: segments of earlier lives go, for every life begins an hour later.
const RETAIN_MS: i64 = 1_800_000;
/// The environment variable with the secret that alerts are signed with.
pub(crate) const SECRET: &str = "TORTURE_SECRET";

/// The system's clock, some way off.
pub(crate) struct Wall;

static AHEAD: AtomicI64 = AtomicI64::new(0);

#[expect(clippy::disallowed_methods, reason = "the one clock of this program")]
impl Clock for Wall {
    fn now_ms(&self) -> EventTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_millis() as EventTime + AHEAD.load(Ordering::Relaxed)
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// Where the file channel of a life writes.
pub(crate) fn alerts(dir: &Path) -> PathBuf {
    dir.join("alerts.jsonl")
}

fn retry() -> Retry {
    Retry { first_ms: 2, longest_ms: 20, refusals_max: u32::MAX }
}

/// The engine in `dir`, as the program runs it; `every` is the time between checkpoints, and everything is retained.
pub(crate) fn parts(
    dir: &Path,
    journal: Options,
    every: Duration,
    disk: fn() -> Box<dyn Disk>,
) -> Result<Parts> {
    let clock: Arc<dyn Clock> = Arc::new(Wall);
    let channel = ChannelConfig::File(FileConfig {
        name: "file".to_owned(),
        path: alerts(dir),
        steps: every_step(),
        retry: retry(),
    });
    Ok(Parts {
        belongs: Belongs::default(),
        journal_dir: dir.join("journal"),
        journal,
        dataflow: highwater_dataflow::Options::default(),
        settings: Settings::default(),
        only: Vec::new(),
        sinks: highwater_sinks::Config::at(dir.join("views.sqlite")),
        changelog: None,
        channels: vec![channel.open(&|_| None).context("cannot open the alert channel")?],
        listeners: Vec::new(),
        disk,
        reached: None,
        checkpoints: Some(Keeping {
            dir: dir.join("checkpoints"),
            every,
            base_dir: dir.join("base"),
            retain_ms: i64::MAX / 2,
        }),
        clock,
        latency: Arc::new(Latency::default()),
    })
}

fn every_step() -> Vec<Alert> {
    vec![Alert::Opened, Alert::Amended, Alert::Resolved, Alert::Retracted]
}

fn hook(url: String) -> ChannelConfig {
    ChannelConfig::Webhook(WebhookConfig {
        name: "hook".to_owned(),
        url: Some(url),
        url_env: None,
        format: Format::Highwater,
        secret_env: Some(SECRET.to_owned()),
        routing_key_env: None,
        steps: every_step(),
        allow_private: true,
        connect_timeout_ms: 5_000,
        timeout_ms: 15_000,
        in_flight: 4,
        retry: retry(),
    })
}

/// Logs to standard error what RUST_LOG asks for.
pub(crate) fn log() {
    let subscriber = tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env());
    subscriber.with_ansi(false).with_writer(io::stderr).init();
}

pub(crate) fn run(dir: &Path, order: &Order) -> Result<()> {
    log();
    AHEAD.store(order.ahead, Ordering::Relaxed);
    aim::take(order.aim);
    let mut draw = Draw::new(order.draw);
    // Small segments and logs, so that they rotate and are copied within a life.
    let options = Options { segment_bytes: 12_000, log_bytes: 60_000, ..Options::default() };
    let every = Duration::from_millis(draw.below(40));
    let mut parts = parts(dir, options, every, aim::disk)?;
    parts.reached = Some(aim::views());
    if let Some(keeping) = &mut parts.checkpoints {
        keeping.retain_ms = RETAIN_MS;
    }
    if let Some(url) = &order.hook {
        let secret = |name: &str| std::env::var(name).ok();
        parts.channels.push(hook(url.clone()).open(&secret).context("cannot open the hook")?);
    }
    let engine = Engine::start(parts)?;
    let mut out = io::stdout();
    if let Some(epoch) = engine.resumed {
        writeln!(out, "resumed {epoch}.")?;
    }
    let partition = engine.writer.register_partition(PartitionSpec::recorded("torture", "torture"));
    let mut next = order.first;
    while next < order.first + EVENTS {
        let to = next + 1 + draw.below(12);
        let item = |n: u64| Intake::native(script::event(n).into_bytes(), n);
        let items = (next..to).map(item).collect();
        let received = Some(Wall.instant());
        let received_at = Wall.now_ms();
        let delivery = Delivery { partition, items, received, received_at, history: false };
        engine.writer.append(delivery)?;
        writeln!(out, "acknowledged {next}..{to}.")?;
        out.flush()?;
        next = to;
    }
    engine.finish()?;
    aim::tell_memory();
    Ok(())
}
