//! `highwater bench latency`: the real service under a load that does not wait for it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use highwater_dataflow::Clock;

use super::args::{Latency, Via};
use super::feed::Feed;
use super::join::{self, Notes, histogram_of};
use super::load::{self, Schedule, Sent};
use super::page::Page;
use super::receiver::Receiver as Alerts;
use super::report::{Flood, Report, Setting, save};
use super::target::{Service, Target};
use super::{plot, process};
use crate::clock::WallClock;
use crate::commands::print;
use crate::plan::journal_in;

/// Connections of the floods: batches of a hundred, and single posts.
const FLOODS: [(usize, usize); 2] = [(100, 4), (1, 32)];

pub(crate) fn latency(args: &Latency) -> Result<()> {
    let (rate, batch) = (args.rate as usize, args.batch as usize);
    let warm_up = (rate * args.warm_up as usize).div_ceil(batch) * batch;
    let paced = warm_up + rate * args.seconds as usize;
    let flooded = args.flood as usize * usize::from(args.via == Via::Http);
    // Every flood has its own events; single posts are a tenth as many, for they take ten times as long.
    let singles = flooded.div_ceil(10);
    let mut feed = Feed::make(&args.center, WallClock.now_ms(), paced + flooded + singles)?;
    let floods = feed.shots.split_off(paced);

    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let data = scratch.path().join("data");
    let followed = scratch.path().join("events.jsonl");
    File::create(&followed).context("cannot make the file to follow")?;
    let (alerts, alerts_at) = Alerts::start()?;
    let service = Service::start(&Target {
        workers: args.center.workers,
        lasting_s: args.lasting,
        data: &data,
        followed: (args.via == Via::File).then_some(followed.as_path()),
        alerts: alerts_at,
    })?;
    let page = Page::open(service.address)?;

    let began = WallClock.instant();
    let mut file = OpenOptions::new().append(true).open(&followed)?;
    let past: Vec<&[u8]> = feed.past.iter().map(Vec::as_slice).collect();
    match args.via {
        Via::Http => load::preload(service.address, &past)?,
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
    let schedule = Schedule::steady(WallClock.instant() + load::BREATH, every);
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
    let joined = join::with_journal(&notes, &journal_in(&data), |_| {})?;
    let setting = Setting {
        machine: process::machine(),
        agents: args.center.agents,
        seed: args.center.seed,
        via: match args.via {
            Via::Http => "http",
            Via::File => "file",
        },
        rate: args.rate,
        batch: args.batch,
        workers: args.center.workers,
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
    let files = [("summary.json", report.json()), ("report.html", plot::html(&report))];
    save(&args.out, report.lines.iter().chain(&report.held), &files)?;
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

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
