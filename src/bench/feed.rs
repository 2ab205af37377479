//! The load, fixed before it runs: a simulated center's past, and the events that follow in the order they arrive.

use anyhow::{Context, Result};
use highwater_dataflow::EventTime;
use highwater_dataflow::latency::Path;
use highwater_ingest::intake::Intake;
use highwater_ingest::journal::path_of;
use highwater_ingest::sim::{SimConfig, Simulation};
use highwater_ingest::source::{Next, Source};
use highwater_model::{AgentId, Event, EventKey};

use super::args::Center;

/// How far ahead of the wall clock the center's clock is: should the load pause, the journal's quiet-time rule, which
/// goes by the wall clock, must not make late what is still to come.
const LEAD_MS: i64 = 15 * 60_000;
/// Events that travel together in the simulation, ms.
const STEP_MS: i64 = 20;
/// The hour at which the center's day is entered.
const START: (i64, i64) = (10, 20);

/// An event to be sent.
pub(super) struct Shot {
    pub(super) raw: Vec<u8>,
    pub(super) key: EventKey,
    pub(super) path: Path,
    pub(super) at: EventTime,
    /// Whose state or schedule it tells.
    pub(super) agent: Option<AgentId>,
}

/// What is sent.
pub(super) struct Feed {
    /// Profiles, schedules, and where everybody is when it begins: sent before the clock starts.
    pub(super) past: Vec<Vec<u8>>,
    pub(super) shots: Vec<Shot>,
    /// Events a second that this center makes by itself; another rate makes its time run faster or slower.
    pub(super) natural_rate: f64,
}

impl Feed {
    /// Simulates until there are `count` events. Equal arguments give equal events but for the day they are on.
    pub(super) fn make(args: &Center, now: EventTime, count: usize) -> Result<Feed> {
        let mut config = SimConfig {
            agents: args.agents as usize,
            queues: args.queues.map(|queues| queues as usize),
            seed: args.seed,
            // A team leaves its queues every few seconds: alerts are what is to be measured.
            drift_every_ms: 5_000,
            ..SimConfig::default()
        }
        .starting_at(now + LEAD_MS, START.0, START.1);
        config.history_from = Some(config.start_at);
        let start_at = config.start_at;
        let mut center = Simulation::open(config, &[]).context("cannot simulate a center")?;
        let mut items = Vec::new();
        drain(&mut center, start_at, &mut items)?;
        let past = items.drain(..).map(|item| item.raw).collect();
        let mut shots: Vec<Shot> = Vec::with_capacity(count);
        let mut now = start_at;
        while shots.len() < count {
            now += STEP_MS;
            drain(&mut center, now, &mut items)?;
            shots.extend(items.drain(..).filter_map(shot));
        }
        shots.truncate(count);
        let natural_rate = count as f64 * 1e3 / (now - start_at).max(1) as f64;
        Ok(Feed { past, shots, natural_rate })
    }
}

fn drain(center: &mut Simulation, now: EventTime, items: &mut Vec<Intake>) -> Result<()> {
    while center.poll(now, items).context("cannot simulate a center")?.next == Next::Ready {}
    Ok(())
}

fn shot(item: Intake) -> Option<Shot> {
    let envelope = item.decoded.ok()?;
    let path = path_of(&envelope.event);
    let agent = match envelope.event {
        Event::AgentStateChange(change) => Some(change.agent),
        Event::ScheduleUpdate(update) => Some(update.agent),
        _ => None,
    };
    Some(Shot { raw: item.raw, key: envelope.key, path, at: envelope.at, agent })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use clap::Parser;

    use super::*;
    use crate::bench::args::Bench;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        bench: Bench,
    }

    #[test]
    fn a_seed_gives_one_schedule() {
        let line = "bench latency --agents 40 --queues 3 --seed 5";
        let Bench::Latency(args) = Line::parse_from(line.split(' ')).bench else { panic!() };
        let feed = |now| Feed::make(&args.center, now, 500).unwrap();
        let (one, other) = (feed(1_772_409_600_000), feed(1_772_409_600_000));
        assert_eq!(one.past, other.past);
        assert!(one.shots.iter().map(|it| &it.raw).eq(other.shots.iter().map(|it| &it.raw)));
        assert!(one.shots.iter().any(|shot| shot.path == Path::AgentState && shot.agent.is_some()));
        assert!(one.shots.iter().any(|shot| shot.path == Path::Contact));
        assert!(0.0 < one.natural_rate);
    }
}
