//! The days: schedules, logins and absences, and what upsets them.

use highwater_dataflow::EventTime;
use highwater_model::AgentState;

use super::config::{DAY, HOUR, MINUTE, SECOND};
use super::delivery::Lane;
use super::reference;
use super::roster::{Absence, carve, workday};
use super::world::{What, World};

/// Schedules published at once; the rest follows some seconds later.
const PUBLISHED_AT_ONCE: usize = 200;

impl World {
    /// Whether the center is open, half an hour before and after included.
    pub(super) fn open(&self) -> bool {
        let minute = (self.now - self.config.midnight_at).rem_euclid(DAY) / MINUTE;
        (self.config.opens_min - 30..self.config.closes_min + 30).contains(&minute)
    }

    pub(super) fn begin_day(&mut self, day: i64) {
        self.day = day;
        if day == 0 {
            let standing = reference::standing(&self.config, &self.staff);
            for event in standing {
                self.tell(Lane::Wfm, event);
            }
            self.publish_schedules(0, 0..self.workers.len());
            self.publish_forecasts(0);
        }
        self.demand.begin_day(&self.config, day);
        for agent in 0..self.workers.len() {
            let today = workday(&self.config, &self.staff, day, agent);
            let worker = &mut self.workers[agent];
            worker.activities = today.activities;
            worker.version = 1;
            // Someone who never left yesterday is not to be sent home by today's plan.
            if worker.state.is == AgentState::Offline {
                worker.absences = today.absences;
                if let Some(login_at) = today.login_at {
                    self.timer(login_at, What::Login { agent });
                }
            }
        }
        for queue in 0..self.lines.len() {
            self.plan_arrival(queue);
        }
        for site in 0..self.staff.sites.len() {
            if self.chance.happens(self.config.storms) {
                let at = self.chance.between(0, self.config.open_ms());
                self.timer(self.now + self.config.opens_min * MINUTE + at, What::Storm { site });
            }
        }
        self.timer(self.now + 18 * HOUR, What::Publish { day: day + 1, agent: 0 });
        self.timer(self.now + DAY, What::Day { day: day + 1 });
    }

    pub(super) fn publish(&mut self, day: i64, agent: usize) {
        if agent == 0 {
            self.publish_forecasts(day);
        }
        let end = self.workers.len().min(agent + PUBLISHED_AT_ONCE);
        self.publish_schedules(day, agent..end);
        if end < self.workers.len() {
            self.timer(self.now + 2 * SECOND, What::Publish { day, agent: end });
        }
    }

    fn publish_schedules(&mut self, day: i64, agents: std::ops::Range<usize>) {
        for agent in agents {
            let activities = workday(&self.config, &self.staff, day, agent).activities;
            if !activities.is_empty() {
                let event =
                    reference::schedule(&self.config, &self.staff, day, agent, 1, activities);
                self.tell(Lane::Wfm, event);
            }
        }
    }

    fn publish_forecasts(&mut self, day: i64) {
        for event in reference::forecasts(&self.config, &self.staff, &self.demand, day) {
            self.tell(Lane::Wfm, event);
        }
    }

    pub(super) fn log_in(&mut self, agent: usize) {
        if self.workers[agent].state.is == AgentState::Offline {
            self.free(agent, Some("login"));
            self.plan_absence(agent, 0);
        }
    }

    fn plan_absence(&mut self, agent: usize, absence: usize) {
        if let Some(planned) = self.workers[agent].absences.get(absence) {
            let leave_at = planned.leave_at;
            self.timer(leave_at, What::Depart { agent, absence });
        }
    }

    /// A planned absence is due: at once for an idle agent, after the contact or the other absence else.
    pub(super) fn depart(&mut self, agent: usize, absence: usize) {
        let worker = &mut self.workers[agent];
        let Some(planned) = worker.absences.get(absence).copied() else { return };
        let next = Some(absence + 1);
        if worker.state.is == AgentState::Available {
            self.leave(agent, planned, next);
        } else {
            worker.departure = Some((planned, next));
        }
    }

    /// Leaves for an absence that may have been due earlier: nobody goes for less than two minutes.
    pub(super) fn leave(&mut self, agent: usize, absence: Absence, next: Option<usize>) {
        self.change(agent, absence.state, Some(absence.reason), None);
        if let Some(back_at) = absence.back_at {
            let shortest = if absence.state == AgentState::Offline { 0 } else { 2 * MINUTE };
            self.timer(back_at.max(self.now + shortest), What::Back { agent, next });
        }
    }

    pub(super) fn back(&mut self, agent: usize, next: Option<usize>) {
        let was_offline = self.workers[agent].state.is == AgentState::Offline;
        self.free(agent, was_offline.then_some("login"));
        if let Some(next) = next {
            self.plan_absence(agent, next);
        }
    }

    pub(super) fn plan_drift(&mut self) {
        if self.config.drift_every_ms != 0 {
            let gap = self.chance.exponential(self.config.drift_every_ms as f64) as i64;
            self.timer(self.now + gap, What::Drift);
        }
    }

    /// Most of a team goes to a meeting that nobody planned; half the time somebody plans it afterwards.
    pub(super) fn drift(&mut self) {
        self.plan_drift();
        let team = self.chance.index(self.staff.teams.len());
        let agents = self.staff.teams[team].agents.clone();
        let working = |state: AgentState| {
            use AgentState::{Acw, Available, Hold, OnCall};
            matches!(state, Available | OnCall | Hold | Acw)
        };
        if agents.clone().filter(|agent| working(self.workers[*agent].state.is)).count() < 4 {
            return;
        }
        let (from_at, length) = (self.now, self.chance.between(5 * MINUTE, 16 * MINUTE));
        for agent in agents {
            let state = self.workers[agent].state.is;
            if !working(state) || !self.chance.happens(0.7) {
                continue;
            }
            let absence = Absence {
                leave_at: from_at,
                back_at: Some(from_at + length + self.chance.between(0, 90 * SECOND)),
                state: AgentState::Meeting,
                reason: "unplanned",
            };
            if state == AgentState::Available {
                self.leave(agent, absence, None);
            } else if self.workers[agent].departure.is_none() {
                self.workers[agent].departure = Some((absence, None));
            }
        }
        if self.chance.happens(0.5) {
            let to_at = (from_at + length).div_euclid(MINUTE) * MINUTE + 5 * MINUTE;
            let from_at = from_at.div_euclid(MINUTE) * MINUTE;
            let when = to_at + self.chance.between(2 * MINUTE, 40 * MINUTE);
            self.timer(when, What::Excuse { team, from_at, to_at });
        }
    }

    pub(super) fn excuse(&mut self, team: usize, from_at: EventTime, to_at: EventTime) {
        for agent in self.staff.teams[team].agents.clone() {
            self.amend(agent, from_at, to_at, "meeting");
        }
    }

    /// Schedules something else for an agent over a time, past or to come, and publishes the shift again.
    fn amend(&mut self, agent: usize, from_at: EventTime, to_at: EventTime, code: &str) {
        let worker = &mut self.workers[agent];
        let covers = worker.activities.iter().any(|activity| {
            activity.start_at < to_at && from_at < activity.end_at && activity.code.as_str() != code
        });
        if !covers {
            return;
        }
        carve(&mut worker.activities, from_at, to_at, code);
        worker.version += 1;
        let (version, activities) = (worker.version, worker.activities.clone());
        let event =
            reference::schedule(&self.config, &self.staff, self.day, agent, version, activities);
        self.tell(Lane::Wfm, event);
    }

    pub(super) fn plan_edit(&mut self) {
        let per_day = self.config.edits_per_agent * self.workers.len() as f64;
        if 0.0 < per_day {
            let gap = self.chance.exponential(DAY as f64 / per_day) as i64;
            self.timer(self.now + gap, What::Edit);
        }
    }

    /// A planner edits a shift: half of the edits explain the past, up to three hours back.
    pub(super) fn edit(&mut self) {
        self.plan_edit();
        let agent = self.chance.index(self.workers.len());
        let quarter = |at: EventTime| at.div_euclid(15 * MINUTE) * 15 * MINUTE;
        let from_at = if self.chance.happens(0.5) {
            quarter(self.now - self.chance.between(30 * MINUTE, 3 * HOUR))
        } else {
            quarter(self.now + self.chance.between(30 * MINUTE, 3 * HOUR))
        };
        self.amend(agent, from_at, from_at + 30 * MINUTE, "coaching");
    }

    /// A site loses its connection: whoever is idle there is logged out, and back within two minutes.
    pub(super) fn storm(&mut self, site: usize) {
        for agent in 0..self.workers.len() {
            let here = self.staff.teams[self.staff.agents[agent].team].site == site;
            if here && self.workers[agent].state.is == AgentState::Available {
                let back_at = self.now + self.chance.between(15 * SECOND, 2 * MINUTE);
                let absence = Absence {
                    leave_at: self.now,
                    back_at: Some(back_at),
                    state: AgentState::Offline,
                    reason: "connection lost",
                };
                self.leave(agent, absence, None);
            }
        }
    }
}
