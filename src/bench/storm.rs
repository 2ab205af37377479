//! `highwater bench storm`: a steady load, then many times as much for a while, then the steady load again.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use highwater_dataflow::Clock;
use highwater_model::Event;
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;

use super::args::Storm;
use super::feed::Feed;
use super::join::{self, Joined, Notes, Stage, Way, histogram_of};
use super::load::{self, Pace, Schedule, Sent};
use super::page::Page;
use super::process;
use super::receiver::Receiver as Alerts;
use super::report::{Figures, Line, save, table};
use super::target::{Service, Target};
use crate::clock::WallClock;
use crate::commands::print;
use crate::plan::{journal_in, views_in};

/// Before, during, after.
const PHASES: [&str; 3] = ["before", "storm", "after"];
const SHOWN: [Stage; 4] = [Stage::Acknowledged, Stage::Committed, Stage::Pushed, Stage::Alerted];

pub(crate) fn storm(args: &Storm) -> Result<()> {
    let batch = args.batch as usize;
    let requests_in = |rate: u32, seconds: u32| (rate as usize * seconds as usize).div_ceil(batch);
    let phases = [
        (args.rate, requests_in(args.rate, args.calm)),
        (args.rate * args.times, requests_in(args.rate * args.times, args.seconds)),
        (args.rate, requests_in(args.rate, args.calm)),
    ];
    let count = phases.iter().map(|(_, requests)| requests * batch).sum();
    let feed = Feed::make(&args.center, WallClock.now_ms(), count)?;

    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let data = scratch.path().join("data");
    let (alerts, alerts_at) = Alerts::start()?;
    let service = Service::start(&Target {
        workers: args.center.workers,
        lasting_s: 0,
        data: &data,
        followed: None,
        alerts: alerts_at,
    })?;
    let page = Page::open(service.address)?;
    let past: Vec<&[u8]> = feed.past.iter().map(Vec::as_slice).collect();
    load::preload(service.address, &past)?;
    service.wait_until_level(past.len() as u64)?;

    let events: Vec<&[u8]> = feed.shots.iter().map(|shot| shot.raw.as_slice()).collect();
    let bodies: Vec<Vec<u8>> = events.chunks(batch).map(load::request).collect();
    let every = |rate: u32| Duration::from_nanos(1_000_000_000 * batch as u64 / u64::from(rate));
    let pace = |(rate, count): (u32, usize)| Pace { every: every(rate), count };
    let begins = WallClock.instant() + load::BREATH;
    let schedule = Schedule { begins, paces: phases.map(pace).into() };
    process::forget_peak();
    let resident = process::resident_bytes();
    let cpu = process::cpu_time();
    let mut requests = load::paced(service.address, &bodies, &schedule)?;
    let refused = load::again(service.address, &bodies, &mut requests)?;
    if let Some(refused) = requests.iter().find(|it| it.status != 202) {
        bail!("the service answered {} to events of its own simulator", refused.status);
    }
    service.wait_until_level((past.len() + count) as u64)?;
    let cpu = process::cpu_time().saturating_sub(cpu);
    let peak = process::peak_bytes();
    let log = service.stop()?;

    let sent: Vec<Sent> = requests.iter().flat_map(|it| std::iter::repeat_n(*it, batch)).collect();
    let notes = Notes {
        shots: &feed.shots,
        sent: &sent,
        measured_from: 0,
        passed: log.take(),
        updates: page.updates(),
        delivered: alerts.delivered(),
    };
    let mut arrivals = HashSet::new();
    let joined = join::with_journal(&notes, &journal_in(&data), |frame| {
        let contacts = frame.envelopes.iter();
        let contacts = contacts.filter(|it| matches!(it.event, Event::ContactArrival(_)));
        arrivals.extend(contacts.map(|it| it.key));
    })?;
    let [before, during, after] = phases.map(|(_, requests)| requests * batch);
    let ends = [before, before + during, before + during + after];
    let over = schedule.due(ends[1] / batch);
    let found = Found {
        machine: process::machine(),
        agents: args.center.agents,
        seed: args.center.seed,
        workers: args.center.workers,
        rate: args.rate,
        times: args.times,
        storm_s: args.seconds,
        batch,
        events: count,
        refused_requests: refused,
        drained_s: drained(&joined, &ends, over).as_secs_f64(),
        not_in_journal: joined.lost,
        arrivals_journaled: arrivals.len() as u64,
        arrivals_in_views: arrivals_in(&views_in(&data))?,
        cpu_s: cpu.as_secs_f64(),
        resident_before_bytes: resident,
        peak_bytes: peak,
    };
    let lines = lines(&joined, &ends);
    let figures: Vec<Figures> = lines.iter().map(Line::figures).collect();
    let summary = serde_json::json!({ "storm": found, "latency": figures });
    save(&args.out, &lines, &[("summary.json", serde_json::to_string_pretty(&summary)?)])?;
    print(&found.text(&lines))?;
    if found.not_in_journal > 0 || found.arrivals_journaled != found.arrivals_in_views {
        bail!(
            "what was acknowledged is not all there; see above, and run it again with the same seed"
        );
    }
    Ok(())
}

/// What was run and what it came to.
#[derive(Debug, Serialize)]
struct Found {
    machine: String,
    agents: u32,
    seed: u64,
    workers: u16,
    rate: u32,
    times: u32,
    storm_s: u32,
    batch: usize,
    events: usize,
    /// Requests answered 429 or 503, and sent again until taken.
    refused_requests: usize,
    /// From the storm's end on its schedule until views had all of it.
    drained_s: f64,
    not_in_journal: usize,
    arrivals_journaled: u64,
    /// Contacts counted by `queue_interval`, those too late for it included.
    arrivals_in_views: u64,
    cpu_s: f64,
    /// With the load client and everything it is going to send.
    resident_before_bytes: Option<u64>,
    peak_bytes: Option<u64>,
}

impl Found {
    fn text(&self, lines: &[Line]) -> String {
        let mib = |bytes: Option<u64>| {
            bytes.map_or("unknown".to_owned(), |bytes| format!("{} MB", bytes >> 20))
        };
        let mut text = format!(
            "{}\n{} agents, {} events a second in batches of {}, {} times that for {} s, {} worker(s), seed {}\n\
             every latency runs from the instant at which the schedule meant the event to be sent\n\n",
            self.machine,
            self.agents,
            self.rate,
            self.batch,
            self.times,
            self.storm_s,
            self.workers,
            self.seed
        );
        table("phase", "stage", lines, &mut text);
        let _ = writeln!(
            text,
            "\n{} events, {} requests refused and sent again; {} not found in the journal\n\
             {} contacts journaled, {} counted by queue_interval\n\
             drained {:.3} s after the storm's end\n\
             CPU {:.1} s; resident {} before (with all that was to be sent), {} at most",
            self.events,
            self.refused_requests,
            self.not_in_journal,
            self.arrivals_journaled,
            self.arrivals_in_views,
            self.drained_s,
            self.cpu_s,
            mib(self.resident_before_bytes),
            mib(self.peak_bytes)
        );
        text
    }
}

/// How long after `over` the last event of the storm was committed.
fn drained(joined: &Joined, ends: &[usize; 3], over: Instant) -> Duration {
    let storm = joined.ways.iter().filter(|way| phase(way, ends) == 1);
    let last = storm.filter_map(|way| way.at[Stage::Committed as usize]).max();
    last.map_or(Duration::ZERO, |at| at.saturating_duration_since(over))
}

/// Which phase an event was sent in; `ends`: the first event after each.
fn phase(way: &Way, ends: &[usize; 3]) -> usize {
    ends.partition_point(|end| *end <= way.shot)
}

fn lines(joined: &Joined, ends: &[usize; 3]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (nth, name) in PHASES.into_iter().enumerate() {
        for stage in SHOWN {
            let ways = joined.ways.iter().filter(|way| phase(way, ends) == nth);
            let histogram = histogram_of(ways.filter_map(|way| way.after(stage)));
            lines.push(Line { path: name, stage: stage.name(), histogram, budget: None });
        }
    }
    lines
}

fn arrivals_in(views: &Path) -> Result<u64> {
    let views = Connection::open_with_flags(views, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let sql = "SELECT (SELECT coalesce(sum(arrivals), 0) FROM queue_interval)
                    + (SELECT count(*) FROM late_events WHERE event_type = 'ContactArrival')";
    let count: i64 = views.query_row(sql, [], |row| row.get(0)).context("cannot count contacts")?;
    Ok(count.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_belongs_to_the_phase_that_it_was_sent_in() {
        let of =
            |shot| phase(&Way { shot, due: WallClock.instant(), at: [None; 8] }, &[10, 30, 40]);
        assert_eq!([0, 9, 10, 29, 30, 39].map(of), [0, 0, 1, 1, 2, 2]);
    }
}
