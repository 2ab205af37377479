//! What happens in a small contact center: twelve agents in three teams, three queues, two hours.

use highwater_model::{
    AbandonStage, Activity, ActivityMapping, AgentId, AgentProfile, AgentState, AgentStateChange,
    Channel, ContactAbandoned, ContactArrival, ContactComplete, ContactId, Event, ForecastRefresh,
    ForecastUpdate, Opening, QueueId, QueueProfile, QueueUpdate, RuleParameter, RuleUpdate,
    ScheduleUpdate, ServiceLevel, Verdict,
};

use super::instants;
use super::random::Random;

/// Monday, 2 June 2025, 08:00 UTC.
pub(crate) const START: i64 = 1_748_851_200_000;
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const LENGTH: i64 = 120 * MINUTE;

/// Something that happened, and when it is told if nothing goes wrong on the way.
pub(crate) struct Happening {
    pub(crate) at: i64,
    pub(crate) told_at: i64,
    pub(crate) event: Event,
}

/// How much may be changed after the fact.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edits {
    /// Schedules up to three hours back, teams and promises up to an hour.
    Past,
    /// All reference data is known before anything else and stays.
    None,
}

pub(crate) const STATES: &[AgentState] = &[
    AgentState::Available,
    AgentState::Available,
    AgentState::OnQueue,
    AgentState::Acw,
    AgentState::NotResponding,
    AgentState::Break,
    AgentState::Break,
    AgentState::Lunch,
    AgentState::Meeting,
    AgentState::Training,
    AgentState::Offline,
    AgentState::Away,
    AgentState::Unknown,
];
const CODES: &[&str] = &[
    "on-queue", "on-queue", "onqueue", "break", "lunch", "meal", "meeting", "training", "project",
];
const AGENTS: i64 = 12;
const QUEUES: i64 = 3;

/// Words that are said of a rule: its name, the parameter that is told most, scopes, and other parameters.
type Words = (&'static str, &'static str, &'static [&'static str], &'static [(&'static str, i64)]);

const RULES: &[Words] = &[
    ("team_drift", "agents_out_min", &["team-0", "team-1"], &[("lasting_s", 90)]),
    ("queue_overflow", "waiting_max", &["sales", "service"], &[("lasting_s", 120)]),
    ("agent_stuck", "break_s", &["agent-01", "agent-02"], &[("acw_s", 100)]),
    ("feed_silent", "silent_s", &["QueueUpdate", "ContactArrival"], &[]),
    ("consumer_lag", "lag_max_s", &["AgentStateChange"], &[("lasting_s", 20)]),
    ("dead_letter_rate", "letters_max", &["sim"], &[]),
    ("no_such_rule", "limit", &["anywhere"], &[]),
];

/// Said after everything else has happened.
const RULES_OF_QUEUES: &[Words] = &[
    ("aht_spike", "min_contacts", &["sales", "service"], &[("history_min", 3), ("lasting_s", 45)]),
    ("volume_surge", "above_pct", &["sales", "service"], &[("dispersion", 2), ("sigmas", 1)]),
];

const RULES_OF_PAIRS: &[Words] = &[(
    "mapping_missing",
    "agents_min",
    &["project/available", "on-queue/unknown"],
    &[("lasting_s", 60)],
)];

struct World<'r> {
    random: &'r mut Random,
    edits: Edits,
    all: Vec<Happening>,
}

/// Everything that happens, in no order.
pub(crate) fn happenings(random: &mut Random, edits: Edits) -> Vec<Happening> {
    let mut world = World { random, edits, all: Vec::new() };
    world.queues();
    world.mapping();
    for agent in 0..AGENTS {
        world.profiles(agent);
        world.shifts(agent);
        world.states(agent);
    }
    world.rules(RULES);
    for contact in 0..130 {
        world.contact(contact);
    }
    world.forecasts();
    world.rules(RULES_OF_QUEUES);
    world.rules(RULES_OF_PAIRS);
    let mut all = world.all;
    instants::retell(random, &mut all);
    all
}

fn agent_id(n: i64) -> AgentId {
    AgentId::from(format!("agent-{n:02}").as_str())
}

fn queue_id(n: i64) -> QueueId {
    QueueId::from(["sales", "service", "unprofiled"][n as usize])
}

impl World<'_> {
    fn happens(&mut self, at: i64, event: Event) {
        self.tell(at, at, event);
    }

    fn tell(&mut self, at: i64, told_at: i64, event: Event) {
        self.all.push(Happening { at, told_at, event });
    }

    fn queues(&mut self) {
        for n in 0..2 {
            let opening = (n == 1).then(|| Opening {
                time_zone: "Etc/GMT-2".into(),
                weekdays: 0b0001_1111,
                opens_min: 10 * 60 + self.random.within(0, 60),
                closes_min: 11 * 60 + self.random.within(0, 60),
            });
            let edits = if self.edits == Edits::Past { self.random.within(0, 4) } else { 0 };
            for edit in 0..=edits {
                let told_at = START + self.random.within(0, LENGTH);
                let back = self.random.within(0, 60) * MINUTE;
                let profile = QueueProfile {
                    queue: queue_id(n),
                    channel: Channel::Voice,
                    target_ppm: 800_000,
                    threshold_ms: self.random.within(10, 60) * 1000,
                    short_abandon_ms: self.random.within(2, 20) * 1000,
                    service_level: *self.random.pick(ServiceLevel::ALL),
                    overflow_threshold: (n == 0).then_some(5),
                    opening: opening.clone(),
                };
                let first = edit == 0;
                let at = if first { START - 90 * MINUTE } else { told_at - back };
                let told_at = if first { START - 60 * MINUTE } else { told_at };
                self.tell(at, told_at, Event::QueueProfile(profile));
            }
        }
        for n in 0..QUEUES {
            for _ in 0..12 {
                let at = START + self.random.within(0, LENGTH);
                let update = QueueUpdate {
                    queue: queue_id(n),
                    contacts_waiting: self.random.within(0, 9),
                    longest_wait_s: self.random.within(0, 300),
                    agents_available: self.random.within(0, 4),
                    agents_on_call: self.random.within(0, 4),
                    agents_acw: self.random.within(0, 4),
                    agents_aux: self.random.within(0, 4),
                    service_level_ppm: Some(self.random.within(0, 1_000_001)),
                    interval_volume: self.random.chance(80).then_some(7),
                    interval_aht_ms: self.random.chance(80).then_some(240_000),
                };
                self.happens(at, Event::QueueUpdate(update));
            }
            let refresh = ForecastRefresh {
                forecast_version: "v1".into(),
                queue: queue_id(n),
                intervals_updated: 8,
                trigger: "scheduled".into(),
                method: "ratio".into(),
                volume_change_mpct: 1200,
                confidence_ppm: 900_000,
            };
            let at = START + self.random.within(0, LENGTH);
            self.happens(at, Event::ForecastRefresh(refresh));
        }
    }

    /// Quarters of an hour of two queues and a few of the third, some forecast again.
    fn forecasts(&mut self) {
        for n in 0..QUEUES {
            for quarter in -4..12 {
                if n == 2 && quarter > 0 {
                    continue;
                }
                let versions = if self.edits == Edits::Past { self.random.within(1, 3) } else { 1 };
                for version in 1..=versions {
                    let told_at = match version {
                        1 => START - 60 * MINUTE,
                        _ => START + self.random.within(0, LENGTH),
                    };
                    let interval_start_at = START + quarter * 15 * MINUTE;
                    let update = ForecastUpdate {
                        queue: queue_id(n),
                        interval_start_at,
                        interval_end_at: interval_start_at + 15 * MINUTE,
                        volume_milli: self.random.within(0, 12_000),
                        aht_ms: self.random.within(60_000, 420_000),
                        version,
                    };
                    self.tell(told_at, told_at, Event::ForecastUpdate(update));
                }
            }
        }
    }

    /// Words on rules: for everywhere and for single scopes, some taken back, some that nobody understands.
    fn rules(&mut self, rules: &[Words]) {
        for (rule, parameter, scopes, others) in rules {
            for _ in 0..self.random.within(0, 4) {
                let mut at = START + self.random.within(0, LENGTH);
                let mut told_at = at + self.random.within(-5, 30) * MINUTE;
                if self.edits == Edits::None {
                    (at, told_at) = (at - 360 * MINUTE, START - 240 * MINUTE);
                }
                let value = match *rule {
                    "agent_stuck" => self.random.within(0, 6) * 100,
                    "feed_silent" | "consumer_lag" => self.random.within(0, 6) * 40,
                    _ => self.random.within(0, 5),
                };
                let mut parameters = vec![(*parameter, value * 1000)];
                if self.random.chance(30) {
                    parameters = others.iter().map(|(name, value)| (*name, value * 1000)).collect();
                }
                if self.random.chance(10) {
                    parameters.push(("no_such_parameter", 1500));
                }
                parameters.sort_unstable();
                let update = RuleUpdate {
                    rule: (*rule).into(),
                    scope: self.random.chance(50).then(|| (*self.random.pick(scopes)).into()),
                    enabled: self.random.chance(40).then(|| self.random.chance(50)),
                    parameters: parameters
                        .into_iter()
                        .map(|(name, value_milli)| RuleParameter { name: name.into(), value_milli })
                        .collect(),
                };
                self.tell(at, told_at, Event::RuleUpdate(update));
            }
        }
    }

    fn mapping(&mut self) {
        for _ in 0..5 {
            let cell = ActivityMapping {
                activity: (*self.random.pick(CODES)).into(),
                state: *self.random.pick(STATES),
                verdict: *self.random.pick(Verdict::ALL),
            };
            let early = self.edits == Edits::None || self.random.chance(50);
            let at = START + if early { -60 * MINUTE } else { self.random.within(0, LENGTH) };
            self.happens(at, Event::ActivityMapping(cell));
        }
    }

    fn profiles(&mut self, agent: i64) {
        let moves = if self.edits == Edits::Past { self.random.within(0, 3) } else { 0 };
        // One agent has no profile, unless one comes later.
        for nth in i64::from(agent == 11)..=moves {
            let told_at = START + self.random.within(0, LENGTH);
            let (at, told_at) = match nth {
                0 => (START - 60 * MINUTE, START - 60 * MINUTE),
                _ => (told_at - self.random.within(-5, 60) * MINUTE, told_at),
            };
            let team = if nth == 0 { agent % 3 } else { self.random.within(0, 3) };
            let skilled = self.random.within(0, 4);
            let skills = (0..skilled).map(|_| queue_id(self.random.within(0, QUEUES))).collect();
            let profile = AgentProfile {
                agent: agent_id(agent),
                name: self.random.chance(80).then(|| format!("Agent {agent}").as_str().into()),
                team: format!("team-{team}").as_str().into(),
                site: if team == 0 { "north" } else { "south" }.into(),
                skills,
            };
            self.tell(at, told_at, Event::AgentProfile(profile));
        }
    }

    fn shifts(&mut self, agent: i64) {
        let edits = if self.edits == Edits::Past { self.random.within(0, 5) } else { 0 };
        let mut activities = self.activities(START - 30 * MINUTE, START + LENGTH + 60 * MINUTE);
        for version in 1..=edits + 1 {
            let told_at = match version {
                1 => START - 60 * MINUTE,
                _ => START + self.random.within(0, LENGTH),
            };
            if version > 1 {
                match self.random.within(0, 8) {
                    0 => activities.clear(),
                    1..=3 if !activities.is_empty() => {
                        // One activity moves, starts later or becomes another.
                        let n = self.random.within(0, activities.len() as i64) as usize;
                        let by = self.random.within(-10, 10) * MINUTE;
                        activities[n].start_at += by;
                        activities[n].end_at += by;
                        activities[n].code = (*self.random.pick(CODES)).into();
                    }
                    _ => {
                        let from = START - self.random.within(0, 45) * MINUTE;
                        activities = self.activities(from, START + LENGTH + 30 * MINUTE);
                    }
                }
            }
            let update = ScheduleUpdate {
                agent: agent_id(agent),
                shift: "early".into(),
                version,
                activities: activities.clone(),
            };
            self.tell(told_at, told_at, Event::ScheduleUpdate(update));
        }
        if self.random.chance(25) {
            // An extra shift, across the other one.
            let from = START + self.random.within(0, 90) * MINUTE;
            let update = ScheduleUpdate {
                agent: agent_id(agent),
                shift: "extra".into(),
                version: 1,
                activities: self.activities(from, from + 40 * MINUTE),
            };
            let told_at = match self.edits {
                Edits::Past => START + self.random.within(0, LENGTH),
                Edits::None => START - 60 * MINUTE,
            };
            self.tell(told_at, told_at, Event::ScheduleUpdate(update));
        }
    }

    fn activities(&mut self, from: i64, to: i64) -> Vec<Activity> {
        let mut activities = Vec::new();
        let mut at = from;
        while at < to {
            let end_at = at + self.random.within(10, 50) * MINUTE;
            if self.random.chance(90) {
                let code = (*self.random.pick(CODES)).into();
                activities.push(Activity { start_at: at, end_at, code });
            }
            at = end_at;
        }
        activities
    }

    fn states(&mut self, agent: i64) {
        if agent == 5 {
            // Scheduled and never heard of.
            return;
        }
        let mut at = START - self.random.within(0, 10) * MINUTE;
        while at < START + LENGTH {
            let new = *self.random.pick(STATES);
            self.state(at, agent, new, None);
            at += self.random.within(10_000, 14 * MINUTE);
        }
    }

    fn state(&mut self, at: i64, agent: i64, new: AgentState, on: Option<(&QueueId, &ContactId)>) {
        let change = AgentStateChange {
            agent: agent_id(agent),
            previous: AgentState::Unknown,
            new,
            reason: None,
            queue: on.map(|(queue, _)| queue.clone()),
            contact: on.map(|(_, contact)| contact.clone()),
            source: None,
        };
        self.happens(at, Event::AgentStateChange(change));
    }

    fn contact(&mut self, n: i64) {
        let contact = ContactId::from(format!("contact-{n:03}").as_str());
        let queue = queue_id(self.random.within(0, QUEUES));
        // Some instants are the ends of intervals exactly.
        let mut at = START + self.random.within(0, LENGTH);
        if self.random.chance(10) {
            at -= at % (5 * MINUTE);
        }
        if self.random.chance(95) {
            let arrival = ContactArrival {
                contact: contact.clone(),
                queue: queue.clone(),
                channel: Channel::Voice,
                estimated_handle_s: None,
            };
            self.happens(at, Event::ContactArrival(arrival));
        }
        let wait_ms = self.random.within(0, 90_000);
        let fate = self.random.within(0, 100);
        if !(25..95).contains(&fate) {
            let stage = if fate < 8 { AbandonStage::Ivr } else { AbandonStage::Queue };
            let abandoned =
                ContactAbandoned { contact: contact.clone(), queue: queue.clone(), wait_ms, stage };
            self.happens(at + wait_ms, Event::ContactAbandoned(abandoned));
        }
        if fate < 25 {
            return;
        }
        let agent = self.random.within(0, AGENTS);
        if agent != 5 && self.random.chance(80) {
            let on = Some((&queue, &contact));
            self.state(at + wait_ms, agent, AgentState::OnCall, on);
            if self.random.chance(60) {
                // After-call work of that queue, unless something else comes in between.
                let after = *self.random.pick(&[AgentState::Hold, AgentState::Acw]);
                let at = at + wait_ms + self.random.within(5_000, 4 * MINUTE);
                self.state(at, agent, after, on);
            }
        }
        if fate < 85 {
            let handle_ms = self.random.within(10_000, 12 * MINUTE);
            let complete = ContactComplete {
                contact,
                queue,
                agent: agent_id(agent),
                handle_ms,
                talk_ms: handle_ms,
                hold_ms: 0,
                acw_ms: 0,
                disposition: None,
                transfer: false,
                wait_ms: self.random.chance(30).then_some(wait_ms),
            };
            let at = at + wait_ms + handle_ms;
            if self.edits == Edits::Past && self.random.chance(10) {
                // Told again under another identity: of the same leg, or of one that went on to somebody else.
                let mut again = complete.clone();
                again.transfer = self.random.chance(50);
                if again.transfer {
                    again.agent = agent_id(self.random.within(0, AGENTS));
                }
                again.handle_ms = self.random.within(10_000, 12 * MINUTE);
                let later = at + self.random.within(0, 5 * MINUTE);
                self.happens(later, Event::ContactComplete(again));
            }
            self.happens(at, Event::ContactComplete(complete));
        }
    }
}
