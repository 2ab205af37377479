//! The service under load, in this process, on a thread of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use highwater_dataflow::Clock;
use highwater_sinks::Listener;
use highwater_sinks::channel::ChannelConfig;
use highwater_sinks::wallboard::Wallboard;
use serde::Deserialize;

use super::probe::{Log, Probe};
use crate::clock::WallClock;
use crate::config::{self, Config};
use crate::plan::Plan;
use crate::service;
use crate::stop::Stop;
use crate::web;

/// How far events may be out of order without being late: what the service's own simulation has.
const DISORDER_MS: u32 = 2_000;
/// A service that does not come up, or does not catch up, is given up after this.
const PATIENCE: Duration = Duration::from_mins(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is to run.
pub(super) struct Target<'a> {
    pub(super) workers: u16,
    /// How long a team must drift before it is an alert, s of event time.
    pub(super) lasting_s: u32,
    pub(super) data: &'a Path,
    /// A file of events to follow.
    pub(super) followed: Option<&'a Path>,
    /// Where alerts are delivered.
    pub(super) alerts: SocketAddr,
}

/// The service under load, on a thread of its own.
pub(super) struct Service {
    pub(super) address: SocketAddr,
    /// From the start to being served.
    pub(super) took: Duration,
    log: Log,
    stop: Stop,
    thread: JoinHandle<Result<()>>,
}

/// What of `/v1/status` is asked for.
#[derive(Debug, Deserialize)]
struct Status {
    lag_ms: i64,
    counts: Counts,
}

#[derive(Debug, Deserialize)]
struct Counts {
    events: u64,
    dead_letters: u64,
}

impl Service {
    pub(super) fn start(target: &Target<'_>) -> Result<Service> {
        let mut plan = plan(target)?;
        // The center's clock runs ahead of the wall's.
        plan.http_future_ms = None;
        let began = WallClock.instant();
        let stop = Stop::default();
        let (ready, wait) = sync_channel(1);
        let (heard, log) = sync_channel(1);
        let told = stop.clone();
        let run = move || {
            let watch = |page: &Wallboard| {
                let (probe, log) = Probe::new(page);
                // Whoever started us waits for it.
                drop(heard.send(log));
                vec![Box::new(probe) as Box<dyn Listener>]
            };
            let ready = |address| {
                // As before.
                let _ = ready.send(address);
            };
            service::run_watched(plan, &told, watch, ready)
        };
        let thread = thread::Builder::new().name("service".into()).spawn(run)?;
        let came = wait.recv_timeout(PATIENCE).and_then(|address| Ok((address, receive(&log)?)));
        match came {
            Ok((address, log)) => {
                Ok(Service { address, took: WallClock.instant() - began, log, stop, thread })
            }
            Err(RecvTimeoutError::Timeout) => bail!("the service does not come up"),
            Err(RecvTimeoutError::Disconnected) => {
                thread.join().expect("the service does not panic")?;
                bail!("the service ended before it was up")
            }
        }
    }

    /// Waits until so many events are committed.
    pub(super) fn wait_until_level(&self, events: u64) -> Result<()> {
        let asked = web::Service::at(&format!("http://{}", self.address), None)?;
        let began = WallClock.instant();
        while WallClock.instant() - began < PATIENCE {
            let answer = asked.get("/v1/status")?;
            let status: Status = serde_json::from_slice(&answer.body)
                .context("the service does not tell its status")?;
            let taken = status.counts.events + status.counts.dead_letters;
            if events <= taken && status.lag_ms == 0 {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        bail!("the service does not catch up; try a lower --rate")
    }

    pub(super) fn stop(self) -> Result<Log> {
        self.stop.say();
        self.thread.join().expect("the service does not panic")?;
        Ok(self.log)
    }
}

fn receive<T>(from: &Receiver<T>) -> Result<T, RecvTimeoutError> {
    from.recv_timeout(PATIENCE)
}

/// The service as configured by default, on a free port, with one webhook and a rule of drift.
fn plan(target: &Target<'_>) -> Result<Plan> {
    let channel = format!(
        "kind = \"webhook\"\nname = \"bench\"\nurl = \"http://{}/\"\nallow_private = true\n",
        target.alerts
    );
    let channel: ChannelConfig = toml::from_str(&channel).context("the channel is well formed")?;
    let mut config = Config { alerts: vec![channel], ..Config::default() };
    target.data.clone_into(&mut config.service.data_dir);
    config.service.workers = Some(target.workers.into());
    config.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let patience = format!("team_drift.parameters.lasting_s = {}", target.lasting_s);
    config.queries.rules = toml::from_str(&patience).context("the rule is well formed")?;
    if let Some(followed) = target.followed {
        let paths: Vec<PathBuf> = vec![followed.to_owned()];
        config.sources.push(config::Source::File(config::File {
            name: "bench".into(),
            paths,
            speed: None,
            follow: true,
            disorder_ms: DISORDER_MS,
            process: 0,
        }));
    }
    Plan::resolve(config, Path::new(""), &|_| None).map_err(anyhow::Error::msg)
}
