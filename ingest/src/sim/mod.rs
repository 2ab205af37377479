//! A seeded contact center: agents, teams and queues at work, and a feed that misbehaves as real ones do.
//!
//! A discrete-event simulation, advanced only as far as it is asked: contacts wait in queues and are served by agents
//! with their skills, agents keep their shifts more or less. Three partitions: `sim-acd` (agents and contacts),
//! `sim-queues` (snapshots), `sim-wfm` (reference data). Position: events handed over on that partition; a restart
//! lives through the past again without handing it over.

mod config;
mod contacts;
mod delivery;
mod demand;
mod floor;
mod names;
mod random;
mod reference;
mod roster;
mod shifts;
mod staff;
#[cfg(test)]
mod tests;
mod world;

pub use config::SimConfig;
pub use delivery::Tally;

use highwater_dataflow::{EventTime, Millis};

use crate::intake::Intake;
use crate::source::{Next, POLL_MAX, Polled, Source, SourceError};
use delivery::Lane;
use world::World;

/// The least time between two polls, on the clock given to them: events of 20 ms travel together.
const POLL_EVERY: Millis = 20;

/// The most simulated time a restart lives through again.
const RESUME_MAX: Millis = 400 * config::DAY;

/// The center as a source of three partitions.
pub struct Simulation {
    world: World,
    /// All that happened up to here is on its way.
    done_to: EventTime,
    /// The reading of the given clock, and the simulated instant, of the first poll.
    anchor: Option<(EventTime, EventTime)>,
    /// The greatest simulated instant asked for: simulated time does not run back.
    asked: EventTime,
    start_at: EventTime,
}

impl Simulation {
    /// What the feed did so far.
    pub fn tally(&self) -> Tally {
        self.world.feed.tally
    }

    /// Timers, waiting contacts, idle agents and events on their way: what a long run must not let grow.
    pub fn kept(&self) -> usize {
        self.world.kept()
    }

    /// The simulated instant at `now`.
    pub fn simulated(&self, now: EventTime) -> EventTime {
        let (given, simulated) = self.anchor.unwrap_or((now, self.start_at));
        simulated + ((now - given) as f64 * self.world.config.speed) as i64
    }

    /// The reading of the given clock at which the simulated instant is reached.
    fn given(&self, simulated_at: EventTime) -> EventTime {
        let (given, simulated) = self.anchor.unwrap_or((simulated_at, simulated_at));
        given + ((simulated_at - simulated) as f64 / self.world.config.speed).ceil() as i64
    }
}

impl Source for Simulation {
    type Config = SimConfig;

    fn partitions(_: &SimConfig) -> Vec<String> {
        Lane::NAMES.map(str::to_owned).to_vec()
    }

    fn open(config: SimConfig, resume: &[Option<u64>]) -> Result<Self, SourceError> {
        config.check()?;
        let start_at = config.start_at;
        let mut world = World::new(config, resume);
        let mut done_to = world.now - 1;
        // Lives through what was handed over before the restart; the first poll goes on from there.
        while !world.feed.skip(done_to) {
            if start_at + RESUME_MAX < done_to {
                let reason =
                    "simulation: the position to resume from is not one of this seed and size";
                return Err(SourceError::Config(reason.to_owned()));
            }
            done_to = world.run(world.next().unwrap_or(done_to), POLL_MAX as u64);
        }
        Ok(Self { world, done_to, anchor: None, asked: start_at, start_at: start_at.max(done_to) })
    }

    fn poll(&mut self, now: EventTime, out: &mut Vec<Intake>) -> Result<Polled, SourceError> {
        self.anchor.get_or_insert((now, self.start_at));
        let until = self.simulated(now).max(self.asked);
        self.asked = until;
        loop {
            if let Some((arrives_at, lane)) = self.world.feed.next()
                && arrives_at <= self.done_to.min(until)
            {
                let due = self.done_to.min(until);
                let last = self.world.feed.take(lane, due, POLL_MAX, out);
                let received_at = last.unwrap_or(arrives_at);
                return Ok(Polled { partition: lane, received_at, next: Next::Ready });
            }
            if until <= self.done_to {
                break;
            }
            self.done_to = self.world.run(until, POLL_MAX as u64);
        }
        let arrival = self.world.feed.next().map(|(arrives_at, _)| arrives_at);
        let next = self.world.next().into_iter().chain(arrival).min().unwrap_or(until);
        let at = self.given(next).max(now + POLL_EVERY);
        Ok(Polled { partition: 0, received_at: until, next: Next::At(at) })
    }

    fn position(&self, partition: usize) -> u64 {
        self.world.feed.position(partition)
    }
}
