//! The life of a contact: arrival, waiting, an agent or the end of patience, talk, after-call work.

use highwater_model::{
    AbandonStage, AgentState, ContactAbandoned, ContactComplete, Event, QueueUpdate,
};

use super::config::{MINUTE, SECOND};
use super::delivery::Lane;
use super::floor::Waiting;
use super::staff::{HOLD_MS_MEDIAN, HOLD_SHARE, SIGMA};
use super::world::{Call, What, Worker, World};

/// Share of offers that the agent does not take.
const MISSED_SHARE: f64 = 0.003;

/// The turn of an agent that is available still.
fn current(workers: &[Worker]) -> impl Fn(usize) -> Option<u32> {
    |agent| {
        let worker = &workers[agent];
        (worker.state.is == AgentState::Available).then_some(worker.turn)
    }
}

impl World {
    pub(super) fn plan_arrival(&mut self, queue: usize) {
        let (day, now) = (self.day, self.now);
        let next = self.demand.next_arrival(&self.config, queue, day, now, &mut self.chance);
        if let Some(at) = next {
            self.timer(at, What::Arrival { queue });
        }
    }

    pub(super) fn arrival(&mut self, queue: usize) {
        self.plan_arrival(queue);
        self.contacts += 1;
        let waiting = Waiting { contact: self.contacts, arrived_at: self.now };
        self.lines[queue].so_far(self.now).arrivals += 1;
        let event = self.arrival_of(queue, waiting.contact);
        self.tell(Lane::Acd, event);

        while let Some(agent) = self.lines[queue].take_idle(current(&self.workers)) {
            if self.answer(agent, queue, waiting) {
                return;
            }
        }
        if !self.lines[queue].join(waiting) {
            self.abandon(queue, waiting);
        } else if let Some(mean) = self.staff.queues[queue].patience_ms_mean {
            let patience = self.chance.exponential(mean) as i64 + 1;
            let contact = waiting.contact;
            self.timer(self.now + patience, What::HangUp { queue, contact });
        }
    }

    pub(super) fn hang_up(&mut self, queue: usize, contact: u64) {
        if let Some(waiting) = self.lines[queue].hang_up(contact) {
            self.abandon(queue, waiting);
        }
    }

    fn abandon(&mut self, queue: usize, waiting: Waiting) {
        self.lines[queue].so_far(self.now).ended += 1;
        let event = Event::ContactAbandoned(ContactAbandoned {
            contact: self.contact_id(waiting.contact),
            queue: self.staff.queues[queue].id.clone(),
            wait_ms: self.now - waiting.arrived_at,
            stage: AbandonStage::Queue,
        });
        self.tell(Lane::Acd, event);
    }

    /// The agent has nothing to do: departs if it is time to, or waits for work.
    pub(super) fn free(&mut self, agent: usize, reason: Option<&'static str>) {
        if let Some((absence, next)) = self.workers[agent].departure.take() {
            self.leave(agent, absence, next);
            return;
        }
        self.change(agent, AgentState::Available, reason, None);
        let worker = &mut self.workers[agent];
        worker.turn = worker.turn.wrapping_add(1);
        let turn = worker.turn;
        // An ACD takes a moment to find a contact, and a telephone a moment to ring.
        let moment = self.chance.between(400, 2_500);
        self.timer(self.now + moment, What::Offer { agent, turn });
    }

    /// Serves the contact most overdue in the agent's queues, or queues the agent.
    pub(super) fn offer(&mut self, agent: usize, turn: u32) {
        if current(&self.workers)(agent) != Some(turn) {
            return;
        }
        let overdue = |queue: usize| {
            let waited = self.now - self.lines[queue].first()?.arrived_at;
            Some(waited * 1_000 / self.staff.queues[queue].threshold_ms)
        };
        let skills = &self.staff.agents[agent].skills;
        let most = skills
            .iter()
            .filter_map(|queue| Some((overdue(*queue)?, *queue)))
            // The agent's own queue comes first and wins a tie.
            .reduce(|best, other| if best.0 < other.0 { other } else { best });
        let Some((_, queue)) = most else {
            for queue in skills {
                self.lines[*queue].idle(agent, turn, current(&self.workers));
            }
            return;
        };
        if let Some(waiting) = self.lines[queue].serve()
            && !self.answer(agent, queue, waiting)
        {
            self.lines[queue].rejoin(waiting);
        }
    }

    /// Connects a contact with an available agent; false if the agent does not take it.
    fn answer(&mut self, agent: usize, queue: usize, waiting: Waiting) -> bool {
        if self.chance.happens(MISSED_SHARE) {
            self.change(agent, AgentState::NotResponding, Some("missed"), None);
            let back_at = self.now + self.chance.between(20 * SECOND, 90 * SECOND);
            self.timer(back_at, What::Back { agent, next: None });
            return false;
        }
        let of = &self.staff.queues[queue];
        let talk_ms = self.chance.lognormal(of.talk_ms_median, SIGMA).min(45 * MINUTE);
        let acw_ms = self.chance.lognormal(of.acw_ms_median, SIGMA).min(10 * MINUTE);
        let hold_ms = if self.chance.happens(HOLD_SHARE) {
            self.chance.lognormal(HOLD_MS_MEDIAN, SIGMA).min(10 * MINUTE)
        } else {
            0
        };
        let in_time = self.now - waiting.arrived_at <= of.threshold_ms;
        let so_far = self.lines[queue].so_far(self.now);
        so_far.ended += 1;
        so_far.answered_in += i64::from(in_time);
        let Waiting { contact, arrived_at } = waiting;
        let answered_at = self.now;
        let call =
            Call { contact, queue, arrived_at, answered_at, talk_ms, hold_ms, acw_ms, held: false };
        self.change(agent, AgentState::OnCall, None, Some(call));
        let first_ms = if hold_ms == 0 { talk_ms } else { talk_ms / 2 };
        self.timer(self.now + first_ms, What::Phase { agent });
        true
    }

    /// The part of the call that was going on is over.
    pub(super) fn phase(&mut self, agent: usize) {
        let worker = &self.workers[agent];
        let Some(mut call) = worker.call else { return };
        let (new, length_ms) = match worker.state.is {
            AgentState::OnCall if call.hold_ms != 0 && !call.held => {
                call.held = true;
                (AgentState::Hold, call.hold_ms)
            }
            AgentState::Hold => (AgentState::OnCall, call.talk_ms - call.talk_ms / 2),
            AgentState::OnCall => (AgentState::Acw, call.acw_ms),
            _ => {
                self.complete(agent, call);
                self.free(agent, None);
                return;
            }
        };
        self.change(agent, new, None, Some(call));
        self.timer(self.now + length_ms, What::Phase { agent });
    }

    fn complete(&mut self, agent: usize, call: Call) {
        let handle_ms = call.talk_ms + call.hold_ms + call.acw_ms;
        let so_far = self.lines[call.queue].so_far(self.now);
        so_far.completed += 1;
        so_far.handled_ms += handle_ms;
        let dispositions = ["resolved", "resolved", "resolved", "callback", "escalated"];
        let event = Event::ContactComplete(ContactComplete {
            contact: self.contact_id(call.contact),
            queue: self.staff.queues[call.queue].id.clone(),
            agent: self.staff.agents[agent].id.clone(),
            handle_ms,
            talk_ms: call.talk_ms,
            hold_ms: call.hold_ms,
            acw_ms: call.acw_ms,
            disposition: Some(dispositions[self.chance.index(dispositions.len())].into()),
            transfer: self.chance.happens(0.05),
            wait_ms: Some(call.answered_at - call.arrived_at),
        });
        self.tell(Lane::Acd, event);
    }

    pub(super) fn snapshot(&mut self, queue: usize) {
        let every = self.config.snapshot_every_ms;
        // At night a queue says once a minute that nothing happens.
        let every = if self.open() { every } else { every.max(MINUTE) };
        self.timer(self.now + every, What::Snapshot { queue });
        let (now, line) = (self.now, &mut self.lines[queue]);
        let so_far = *line.so_far(now);
        let event = Event::QueueUpdate(QueueUpdate {
            queue: self.staff.queues[queue].id.clone(),
            contacts_waiting: line.waiting().len() as i64,
            longest_wait_s: line.first().map_or(0, |first| (now - first.arrived_at) / SECOND),
            agents_available: line.available,
            agents_on_call: line.on_call,
            agents_acw: line.acw,
            agents_aux: line.aux,
            service_level_ppm: (so_far.ended != 0)
                .then(|| so_far.answered_in * 1_000_000 / so_far.ended),
            interval_volume: Some(so_far.arrivals),
            interval_aht_ms: (so_far.completed != 0).then(|| so_far.handled_ms / so_far.completed),
        });
        self.tell(Lane::Queues, event);
    }
}
