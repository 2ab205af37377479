//! `highwater bench latency`: the real service under a load that does not wait for it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use highwater_dataflow::Clock;
use highwater_ingest::journal::Scan;
use highwater_sinks::Listener;
use highwater_sinks::channel::ChannelConfig;
use serde::Deserialize;

use super::args::{Latency, Via};
use super::feed::Feed;
use super::join::{Notes, histogram_of, join};
use super::load::{self, Schedule, Sent};
use super::page::Page;
use super::probe::{Log, Probe};
use super::receiver::Receiver as Alerts;
use super::report::{Flood, Report, Setting, hgrm};
use super::{plot, process};
use crate::clock::WallClock;
use crate::commands::print;
use crate::config::{self, Config};
use crate::plan::{Plan, journal_in};
use crate::service;
use crate::stop::Stop;
use crate::web;

/// How far events may be out of order without being late: what the service's own simulation has.
const DISORDER_MS: u32 = 2_000;
/// Events in a request of the preload.
const PRELOAD: usize = 200;
/// Connections of the floods: batches of a hundred, and single posts.
const FLOODS: [(usize, usize); 2] = [(100, 4), (1, 32)];
/// A service that does not come up, or does not catch up, is given up after this.
const PATIENCE: Duration = Duration::from_mins(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Time between the load's making and its first event.
const BREATH: Duration = Duration::from_millis(200);

pub(crate) fn latency(args: &Latency) -> Result<()> {
    let (rate, batch) = (args.rate as usize, args.batch as usize);
    let warm_up = (rate * args.warm_up as usize).div_ceil(batch) * batch;
    let paced = warm_up + rate * args.seconds as usize;
    let flooded = args.flood as usize * usize::from(args.via == Via::Http);
    // Every flood has its own events; single posts are a tenth as many, for they take ten times as long.
    let singles = flooded.div_ceil(10);
    let mut feed = Feed::make(args, WallClock.now_ms(), paced + flooded + singles)?;
    let floods = feed.shots.split_off(paced);

    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let data = scratch.path().join("data");
    let followed = scratch.path().join("events.jsonl");
    File::create(&followed).context("cannot make the file to follow")?;
    let (alerts, alerts_at) = Alerts::start()?;
    let service = Service::start(args, &data, &followed, alerts_at)?;
    let page = Page::open(service.address)?;

    let began = WallClock.instant();
    let mut file = OpenOptions::new().append(true).open(&followed)?;
    let past: Vec<&[u8]> = feed.past.iter().map(Vec::as_slice).collect();
    match args.via {
        Via::Http => {
            let requests: Vec<_> = past.chunks(PRELOAD).map(load::request).collect();
            // One connection: reference data come in their order.
            load::flood(service.address, &requests, 1)?;
        }
        Via::File => file.write_all(&load::lines(&past)).context("cannot write the file")?,
    }
    service.wait_until_level(past.len() as u64)?;
    let preload_s = seconds(WallClock.instant() - began);

    let events: Vec<&[u8]> = feed.shots.iter().map(|shot| shot.raw.as_slice()).collect();
    let body = match args.via {
        Via::Http => load::request,
        Via::File => load::lines,
    };
    let bodies: Vec<Vec<u8>> = events.chunks(batch).map(body).collect();
    let every = Duration::from_nanos(1_000_000_000 * batch as u64 / rate as u64);
    process::forget_peak();
    let cpu = process::cpu_time();
    let schedule = Schedule { begins: WallClock.instant() + BREATH, every };
    let requests = match args.via {
        Via::Http => load::paced(service.address, &bodies, &schedule)?,
        Via::File => load::paced_file(&mut file, &bodies, &schedule)?,
    };
    if let Some(refused) = requests.iter().find(|it| it.status != 202) {
        bail!(
            "the service answered {} under this load; try a lower --rate: what is refused has no latency",
            refused.status
        );
    }
    service.wait_until_level((past.len() + paced) as u64)?;
    let cpu = process::cpu_time().saturating_sub(cpu);
    let peak_bytes = process::peak_bytes();

    let (hundreds, ones) = floods.split_at(flooded);
    let floods = [hundreds, ones]
        .into_iter()
        .zip(FLOODS)
        .filter(|(shots, _)| !shots.is_empty())
        .map(|(shots, (batch, width))| {
            let events: Vec<&[u8]> = shots.iter().map(|shot| shot.raw.as_slice()).collect();
            flood(service.address, &events, batch, width)
        })
        .collect::<Result<Vec<_>>>()?;

    let start_to_serving_ms = service.took.as_secs_f64() * 1e3;
    let log = service.stop()?;
    let sent: Vec<Sent> =
        requests.iter().flat_map(|it| std::iter::repeat_n(*it, batch)).take(paced).collect();
    let notes = Notes {
        shots: &feed.shots,
        sent: &sent,
        measured_from: warm_up,
        passed: log.take(),
        updates: page.updates(),
        delivered: alerts.delivered(),
    };
    let mut scan = Scan::open(&journal_in(&data), 0).context("cannot read the journal")?;
    let mut failed = None;
    let frames = std::iter::from_fn(|| {
        scan.next_frame().unwrap_or_else(|error| {
            failed = Some(error);
            None
        })
    });
    let joined = join(&notes, frames);
    if let Some(error) = failed {
        return Err(error).context("cannot read the journal");
    }
    let setting = Setting {
        machine: process::machine(),
        agents: args.agents,
        seed: args.seed,
        via: match args.via {
            Via::Http => "http",
            Via::File => "file",
        },
        rate: args.rate,
        batch: args.batch,
        workers: args.workers,
        warm_up_s: args.warm_up,
        measured_s: args.seconds,
        lasting_s: args.lasting,
        natural_rate: feed.natural_rate,
        preloaded: past.len(),
        preload_s,
        start_to_serving_ms,
        cpu_s: seconds(cpu),
        peak_bytes,
    };
    let report = Report::new(setting, &joined, &feed.shots, floods);
    write(&report, &args.out)?;
    print(&format!(
        "{}\nwritten to {}: report.html, summary.json, *.hgrm\n",
        report.text(),
        args.out.display()
    ))
}

fn flood(to: SocketAddr, events: &[&[u8]], batch: usize, width: usize) -> Result<Flood> {
    let requests: Vec<Vec<u8>> = events.chunks(batch).map(load::request).collect();
    let began = WallClock.instant();
    let sent = load::flood(to, &requests, width)?;
    let took = WallClock.instant() - began;
    let waits = sent.iter().filter_map(|it| Some(it.answered?.saturating_duration_since(it.due)));
    let histogram = histogram_of(waits);
    Ok(Flood {
        batch,
        connections: width,
        events: events.len(),
        events_per_s: events.len() as f64 / seconds(took).max(1e-9),
        p50_us: histogram.value_at_percentile(50.0),
        p99_us: histogram.value_at_percentile(99.0),
        p999_us: histogram.value_at_percentile(99.9),
    })
}

fn write(report: &Report, out: &Path) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let write = |name: &str, text: &str| {
        let path = out.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    for line in report.lines.iter().chain(&report.held).filter(|it| !it.histogram.is_empty()) {
        write(&line.file(), &hgrm(&line.histogram))?;
    }
    write("summary.json", &report.json())?;
    write("report.html", &plot::html(report))
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// The service under load, on a thread of its own.
struct Service {
    address: SocketAddr,
    /// From the start to being served.
    took: Duration,
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
    fn start(args: &Latency, data: &Path, followed: &Path, alerts: SocketAddr) -> Result<Service> {
        let mut plan = plan(args, data, followed, alerts)?;
        // The center's clock runs ahead of the wall's.
        plan.http_future_ms = None;
        let began = WallClock.instant();
        let stop = Stop::default();
        let (ready, wait) = sync_channel(1);
        let (heard, log) = sync_channel(1);
        let told = stop.clone();
        let run = move || {
            let watch = |page: &highwater_sinks::wallboard::Wallboard| {
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
    fn wait_until_level(&self, events: u64) -> Result<()> {
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

    fn stop(self) -> Result<Log> {
        self.stop.say();
        self.thread.join().expect("the service does not panic")?;
        Ok(self.log)
    }
}

fn receive<T>(from: &Receiver<T>) -> Result<T, RecvTimeoutError> {
    from.recv_timeout(PATIENCE)
}

/// The service as configured by default, on a free port, with one webhook and a rule of drift.
fn plan(args: &Latency, data: &Path, followed: &Path, alerts: SocketAddr) -> Result<Plan> {
    let channel = format!(
        "kind = \"webhook\"\nname = \"bench\"\nurl = \"http://{alerts}/\"\nallow_private = true\n"
    );
    let channel: ChannelConfig = toml::from_str(&channel).context("the channel is well formed")?;
    let mut config = Config { alerts: vec![channel], ..Config::default() };
    data.clone_into(&mut config.service.data_dir);
    config.service.workers = Some(args.workers.into());
    config.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let patience = format!("team_drift.parameters.lasting_s = {}", args.lasting);
    config.queries.rules = toml::from_str(&patience).context("the rule is well formed")?;
    if args.via == Via::File {
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
