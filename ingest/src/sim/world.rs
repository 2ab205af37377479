//! The discrete-event simulation: a clock, a heap of timers, and the center they act on.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use highwater_dataflow::{EventTime, Millis};
use highwater_model::{
    Activity, AgentState, AgentStateChange, ContactArrival, ContactId, Event, Name,
};

use super::config::SimConfig;
use super::delivery::{Delivery, Lane};
use super::demand::Demand;
use super::floor::{Line, Waiting};
use super::random::Chance;
use super::reference::date;
use super::roster::Absence;
use super::staff::{Staff, hire};

/// A contact center at work.
///
/// State: one entry per agent and queue, waiting contacts (capped), and timers: a few per agent and queue, one per
/// patient contact. Nothing grows with the days.
pub(super) struct World {
    pub(super) config: SimConfig,
    pub(super) staff: Staff,
    pub(super) demand: Demand,
    pub(super) chance: Chance,
    pub(super) feed: Delivery,
    pub(super) now: EventTime,
    pub(super) day: i64,
    pub(super) workers: Vec<Worker>,
    pub(super) lines: Vec<Line>,
    /// Contacts so far; their numbers are in order of arrival.
    pub(super) contacts: u64,
    contact_prefix: String,
    timers: BinaryHeap<Reverse<Timer>>,
    timers_set: u64,
    /// Before this only reference data are told.
    silent_until: EventTime,
}

/// An agent at work, or not.
#[derive(Default)]
pub(super) struct Worker {
    pub state: WorkerState,
    /// Counts how often the agent became available.
    pub turn: u32,
    pub call: Option<Call>,
    /// Where the agent goes once free, and which planned absence follows.
    pub departure: Option<(Absence, Option<usize>)>,
    pub absences: Vec<Absence>,
    /// Today's schedule in its latest version.
    pub activities: Vec<Activity>,
    pub version: i64,
}

#[derive(Clone, Copy)]
pub(super) struct WorkerState {
    pub is: AgentState,
    pub was: AgentState,
    pub since: EventTime,
    pub reason: Option<&'static str>,
}

impl Default for WorkerState {
    fn default() -> Self {
        let offline = AgentState::Offline;
        Self { is: offline, was: offline, since: 0, reason: None }
    }
}

/// A contact with its agent.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub contact: u64,
    pub queue: usize,
    pub arrived_at: EventTime,
    pub answered_at: EventTime,
    pub talk_ms: Millis,
    pub hold_ms: Millis,
    pub acw_ms: Millis,
    pub held: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    at: EventTime,
    order: u64,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Midnight: the `day`-th day begins.
    Day {
        day: i64,
    },
    /// The schedules of a day are published, from that agent on.
    Publish {
        day: i64,
        agent: usize,
    },
    Login {
        agent: usize,
    },
    /// A planned absence is due.
    Depart {
        agent: usize,
        absence: usize,
    },
    /// An absence is over; the planned one after it, if it was planned.
    Back {
        agent: usize,
        next: Option<usize>,
    },
    /// An available agent looks for work.
    Offer {
        agent: usize,
        turn: u32,
    },
    /// The next part of an agent's call.
    Phase {
        agent: usize,
    },
    Arrival {
        queue: usize,
    },
    HangUp {
        queue: usize,
        contact: u64,
    },
    Snapshot {
        queue: usize,
    },
    /// A team leaves its queues.
    Drift,
    /// The planners accept what a team did.
    Excuse {
        team: usize,
        from_at: EventTime,
        to_at: EventTime,
    },
    Edit,
    Storm {
        site: usize,
    },
    /// The silence ends.
    Tell,
}

impl World {
    pub(super) fn new(config: SimConfig, resume: &[Option<u64>]) -> Self {
        let staff = hire(&config);
        let mut skilled = vec![0; staff.queues.len()];
        for agent in &staff.agents {
            for queue in &agent.skills {
                skilled[*queue] += 1;
            }
        }
        let mut world = Self {
            demand: Demand::new(&config, &staff),
            chance: Chance::new(config.seed, &[7]),
            feed: Delivery::new(&config, resume),
            now: config.midnight_at,
            day: 0,
            workers: staff.agents.iter().map(|_| Worker::default()).collect(),
            lines: skilled.into_iter().map(Line::new).collect(),
            contacts: 0,
            contact_prefix: date(config.midnight_at + super::config::DAY / 2),
            timers: BinaryHeap::new(),
            timers_set: 0,
            silent_until: config.history_from.unwrap_or(config.midnight_at),
            staff,
            config,
        };
        world.timer(world.now, What::Day { day: 0 });
        for queue in 0..world.lines.len() {
            // Spread, as queues do not report in chorus.
            let offset = world.config.snapshot_every_ms * queue as i64 / world.lines.len() as i64;
            world.timer(world.now + offset, What::Snapshot { queue });
        }
        if world.now < world.silent_until {
            world.timer(world.silent_until, What::Tell);
        }
        world.plan_drift();
        world.plan_edit();
        world
    }

    pub(super) fn timer(&mut self, at: EventTime, what: What) {
        self.timers_set += 1;
        let at = at.max(self.now);
        self.timers.push(Reverse(Timer { at, order: self.timers_set, what }));
    }

    /// When something happens next.
    pub(super) fn next(&self) -> Option<EventTime> {
        self.timers.peek().map(|Reverse(timer)| timer.at)
    }

    /// Lives on to `until`, or until about `limit` events were sent; returns the instant up to which all is done.
    pub(super) fn run(&mut self, until: EventTime, limit: u64) -> EventTime {
        let enough = self.feed.tally.events + limit;
        while let Some(Reverse(timer)) = self.timers.peek().copied() {
            if until < timer.at {
                break;
            }
            if enough <= self.feed.tally.events {
                return timer.at - 1;
            }
            self.timers.pop();
            self.now = timer.at;
            self.act(timer.what);
        }
        until
    }

    fn act(&mut self, what: What) {
        match what {
            What::Day { day } => self.begin_day(day),
            What::Publish { day, agent } => self.publish(day, agent),
            What::Login { agent } => self.log_in(agent),
            What::Depart { agent, absence } => self.depart(agent, absence),
            What::Back { agent, next } => self.back(agent, next),
            What::Offer { agent, turn } => self.offer(agent, turn),
            What::Phase { agent } => self.phase(agent),
            What::Arrival { queue } => self.arrival(queue),
            What::HangUp { queue, contact } => self.hang_up(queue, contact),
            What::Snapshot { queue } => self.snapshot(queue),
            What::Drift => self.drift(),
            What::Excuse { team, from_at, to_at } => self.excuse(team, from_at, to_at),
            What::Edit => self.edit(),
            What::Storm { site } => self.storm(site),
            What::Tell => self.tell_all(),
        }
    }

    /// Sends an event that happens now.
    pub(super) fn tell(&mut self, lane: Lane, event: Event) {
        if lane == Lane::Wfm || self.silent_until <= self.now {
            self.feed.send(lane, self.now, self.now, event);
        }
    }

    /// Puts an agent into a state, with the call it has there.
    pub(super) fn change(
        &mut self,
        agent: usize,
        new: AgentState,
        reason: Option<&'static str>,
        call: Option<Call>,
    ) {
        self.count(agent, -1);
        let worker = &mut self.workers[agent];
        worker.state = WorkerState { is: new, was: worker.state.is, since: self.now, reason };
        worker.call = call;
        self.count(agent, 1);
        let event = self.state_change(agent);
        self.tell(Lane::Acd, event);
    }

    fn count(&mut self, agent: usize, by: i64) {
        let worker = &self.workers[agent];
        for queue in &self.staff.agents[agent].skills {
            let own_contact = worker.call.is_some_and(|call| call.queue == *queue);
            self.lines[*queue].count(worker.state.is, own_contact, by);
        }
    }

    fn state_change(&self, agent: usize) -> Event {
        let worker = &self.workers[agent];
        Event::AgentStateChange(AgentStateChange {
            agent: self.staff.agents[agent].id.clone(),
            previous: worker.state.was,
            new: worker.state.is,
            reason: worker.state.reason.map(Name::const_new),
            queue: worker.call.map(|call| self.staff.queues[call.queue].id.clone()),
            contact: worker.call.map(|call| self.contact_id(call.contact)),
            source: Some(Name::const_new("sim")),
        })
    }

    pub(super) fn contact_id(&self, contact: u64) -> ContactId {
        ContactId(format!("{}-{contact:06}", self.contact_prefix).into())
    }

    pub(super) fn arrival_of(&self, queue: usize, contact: u64) -> Event {
        let queue = &self.staff.queues[queue];
        // The source's guess knows the queue, not the contact.
        let guess_s = (queue.aht_ms() / 1_000.0) as i64 + (contact % 41) as i64 - 20;
        Event::ContactArrival(ContactArrival {
            contact: self.contact_id(contact),
            queue: queue.id.clone(),
            channel: queue.channel,
            estimated_handle_s: Some(guess_s.max(1)),
        })
    }

    /// Tells the state of the floor: the contacts in it, and every agent who is logged in, since when they are so.
    fn tell_all(&mut self) {
        let mut told: Vec<(EventTime, Event)> = Vec::new();
        for (queue, line) in self.lines.iter().enumerate() {
            let told_of =
                |waiting: &Waiting| (waiting.arrived_at, self.arrival_of(queue, waiting.contact));
            told.extend(line.waiting().map(told_of));
        }
        for (agent, worker) in self.workers.iter().enumerate() {
            if let Some(call) = worker.call {
                told.push((call.arrived_at, self.arrival_of(call.queue, call.contact)));
            }
            if worker.state.is != AgentState::Offline {
                told.push((worker.state.since, self.state_change(agent)));
            }
        }
        told.sort_by_key(|(at, _)| *at);
        for (at, event) in told {
            self.feed.send(Lane::Acd, self.now, at, event);
        }
    }

    /// Things kept, for bounds.
    pub(super) fn kept(&self) -> usize {
        let lines: usize = self.lines.iter().map(Line::len).sum();
        self.timers.len() + lines + self.feed.under_way()
    }
}
