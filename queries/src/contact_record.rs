//! Contact record: every completed contact with its agent and its queue as they were at that time.
//!
//! in   completions   roster (Agent, profile over time)   queue profiles over time
//! out  contact_record   one row per contact, queue and agent: a leg of the contact
//!
//! An event is told once, by its id; a leg has one record, by its contact, queue and agent. A leg that is completed again
//! under another event id (a correction, a resend by a system that lost its ids) replaces the record by the completion
//! that happened last. Profiles are as of the completion's event time: a late edit of one corrects the records it
//! covers, whenever either comes within the correction horizon. State: legs, and the profiles they are joined with, for
//! two correction horizons; a leg that is told again after that gets a record of its own in place of the old one.

use highwater_dataflow::Table;
use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_model::{
    AgentId, AgentProfile, Channel, ContactId, Envelope, Event, Name, QueueId, QueueProfile,
    ServiceLevel, SiteId, TeamId,
};
use serde::{Deserialize, Serialize};

use crate::input::Inputs;

/// A row of `contact_record`. A center has more contacts than anything else: it holds what is shown and no more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContactRecord {
    pub at: i64,
    pub agent: AgentId,
    pub profile: Option<Profile>,
    pub handled: Handled,
}

/// A leg as its queue had it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Handled {
    pub queue: QueueId,
    pub promise: Option<Promise>,
    pub leg: Told,
}

/// What was told of a leg.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Told {
    pub contact: ContactId,
    pub completion: Completion,
    /// How many completions were told of it.
    pub completions: i64,
}

/// What a `ContactComplete` says beside which leg it is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Completion {
    pub handle_ms: i64,
    pub talk_ms: i64,
    pub hold_ms: i64,
    pub acw_ms: i64,
    pub disposition: Option<Name>,
    pub transfer: bool,
    pub wait_ms: Option<i64>,
}

/// Of an agent's profile what is shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Profile {
    pub name: Option<Name>,
    pub team: TeamId,
    pub site: SiteId,
    /// Joined by commas.
    pub skills: Name,
}

/// Of a queue's profile what is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Promise {
    pub target_ppm: i64,
    pub threshold_ms: i64,
    pub channel: Channel,
    pub service_level: ServiceLevel,
}

impl ViewRow for ContactRecord {
    const VIEW: &'static View = &View {
        name: "contact_record",
        doc: "Every completed contact with its agent and its queue as they were when it was completed.",
        key: 3,
        columns: &[
            Column::text("contact_id", "the contact"),
            Column::text("queue_id", "the queue it came through"),
            Column::text("agent_id", "who handled it"),
            Column::int("completed_ms", "when it was completed, ms UTC"),
            Column::int("handle_ms", "handling time, ms"),
            Column::int("talk_ms", "of that talking, ms"),
            Column::int("hold_ms", "of that on hold, ms"),
            Column::int("acw_ms", "of that after-call work, ms"),
            Column::int("wait_ms", "time in queue, ms, where the source tells it"),
            Column::text("disposition", "as the source tells it"),
            Column::int("transferred", "1 if it went on to somebody else"),
            Column::int("completions", "completions told of it; above 1 this is the last of them"),
            Column::text("agent_name", "as in the agent's profile of that time"),
            Column::text("team_id", "the agent's team then"),
            Column::text("site_id", "the agent's site then"),
            Column::text("skills", "queues the agent was skilled for then, comma separated"),
            Column::text("channel", "as in the queue's profile of that time"),
            Column::real("target_pct", "what the queue promised then"),
            Column::int("threshold_ms", "within which time, ms"),
            Column::text("service_level_definition", "by which definition"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        let Told { contact, completion, completions } = &self.handled.leg;
        let (profile, promise) = (self.profile.as_ref(), self.handled.promise.as_ref());
        row.extend([
            Value::from(contact.0.clone()),
            self.handled.queue.0.clone().into(),
            self.agent.0.clone().into(),
            self.at.into(),
            completion.handle_ms.into(),
            completion.talk_ms.into(),
            completion.hold_ms.into(),
            completion.acw_ms.into(),
            completion.wait_ms.into(),
            completion.disposition.clone().into(),
            i64::from(completion.transfer).into(),
            (*completions).into(),
            profile.and_then(|profile| profile.name.clone()).into(),
            profile.map(|profile| profile.team.0.clone()).into(),
            profile.map(|profile| profile.site.0.clone()).into(),
            profile.map(|profile| profile.skills.clone()).into(),
            promise.map(|promise| promise.channel.name()).into(),
            promise.map(|promise| promise.target_ppm as f64 / 10_000.0).into(),
            promise.map(|promise| promise.threshold_ms).into(),
            promise.map(|promise| promise.service_level.name()).into(),
        ]);
    }
}

pub fn contact_record<'s>(input: &Inputs<'s>) -> Table<'s, ContactRecord> {
    let horizon = input.correction;
    // As long as a record can be replaced, what it was joined with is there to take it back.
    let kept = 2 * horizon;
    let queues = input.queue_profiles().intervals("queue profiles", horizon);
    let promises = queues.map_values(|_, span| {
        let promise = Promise::of(&span.value);
        span.with(promise)
    });
    let profiles = input.roster().map_values(|_, span| {
        let profile = Profile::of(&span.value);
        span.with(profile)
    });
    input
        .contact_events()
        .flat_map(completion)
        .gather(
            "legs",
            move |told: &[(i64, Completion)]| {
                told.last().map_or(0, |(at, _)| at.saturating_add(kept))
            },
            |(contact, queue, agent), told, _, out| {
                let last = told.last().map(|(at, completion)| {
                    let completions = told.len() as i64;
                    let (contact, completion) = (contact.clone(), completion.clone());
                    let told = Told { contact, completion, completions };
                    (queue.clone(), (*at, (agent.clone(), told)))
                });
                out.extend(last);
            },
        )
        .as_of_join("queue then", promises, kept, |queue, at, (agent, leg), promise| {
            let (queue, leg) = (queue.clone(), leg.clone());
            (agent.clone(), (at, Handled { queue, promise: promise.copied(), leg }))
        })
        .as_of_join("agent then", profiles, kept, |agent, at, handled, profile| {
            let (agent, profile) = (agent.clone(), profile.cloned());
            ContactRecord { at, agent, profile, handled: handled.clone() }
        })
}

impl Profile {
    fn of(profile: &AgentProfile) -> Profile {
        let skills: Vec<&str> = profile.skills.iter().map(QueueId::as_str).collect();
        Profile {
            name: profile.name.clone(),
            team: profile.team.clone(),
            site: profile.site.clone(),
            skills: skills.join(",").into(),
        }
    }
}

impl Promise {
    fn of(profile: &QueueProfile) -> Promise {
        let QueueProfile { target_ppm, threshold_ms, channel, service_level, .. } = *profile;
        Promise { target_ppm, threshold_ms, channel, service_level }
    }
}

type Leg = (ContactId, QueueId, AgentId);

fn completion(envelope: Envelope) -> Option<(Leg, (i64, Completion))> {
    let Event::ContactComplete(told) = envelope.event else { return None };
    let completion = Completion {
        handle_ms: told.handle_ms,
        talk_ms: told.talk_ms,
        hold_ms: told.hold_ms,
        acw_ms: told.acw_ms,
        disposition: told.disposition,
        transfer: told.transfer,
        wait_ms: told.wait_ms,
    };
    Some(((told.contact, told.queue, told.agent), (envelope.at, completion)))
}
