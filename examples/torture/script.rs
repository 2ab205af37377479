//! What is sent, as a function of its number: a team that drifts off its schedule now and then, and calls.

use highwater_model::{
    Activity, AgentProfile, AgentState, AgentStateChange, Channel, ContactArrival, ContactComplete,
    Envelope, Event, EventKey, ScheduleUpdate, encode,
};

/// 2 June 2025, 08:00 UTC.
const START: i64 = 1_748_851_200_000;
const AGENTS: u64 = 6;
/// Event time between two events, ms.
const STEP: i64 = 5_000;
const DAY: i64 = 86_400_000;

/// A generator of numbers (SplitMix64): the same for the same seed.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Draw {
        Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }
}

pub(crate) fn id(n: u64) -> String {
    format!("torture-{n}")
}

/// The event with this number, as it is sent.
pub(crate) fn event(n: u64) -> String {
    let mut draw = Draw::new(n);
    let base = START + n as i64 * STEP;
    // Some come late, by event time.
    let late = if draw.below(50) == 0 { draw.below(600_000) } else { draw.below(4_000) };
    let at = base - late as i64;
    let agent = format!("agent-{}", draw.below(AGENTS));
    let queue = ["sales", "service"][draw.below(2) as usize];
    let event = match n {
        0..AGENTS => Event::AgentProfile(AgentProfile {
            agent: format!("agent-{n}").as_str().into(),
            name: None,
            team: "team".into(),
            site: "site".into(),
            skills: Vec::new(),
        }),
        _ if n < 2 * AGENTS => shift(n - AGENTS, 1, START),
        _ if n.is_multiple_of(5_000) => shift(n / 5_000 % AGENTS, n as i64, base),
        _ => match draw.below(10) {
            0..4 => Event::ContactArrival(ContactArrival {
                contact: format!("contact-{}", n / 10).as_str().into(),
                queue: queue.into(),
                channel: Channel::Voice,
                estimated_handle_s: None,
            }),
            4..7 => Event::ContactComplete(ContactComplete {
                contact: format!("contact-{}", n / 10).as_str().into(),
                queue: queue.into(),
                agent: agent.as_str().into(),
                handle_ms: 60_000,
                talk_ms: 60_000,
                hold_ms: 0,
                acw_ms: 0,
                disposition: None,
                transfer: false,
                wait_ms: Some(5_000),
            }),
            _ => Event::AgentStateChange(AgentStateChange {
                agent: agent.as_str().into(),
                previous: AgentState::Unknown,
                new: if draw.below(2) == 0 { AgentState::OnQueue } else { AgentState::Break },
                reason: None,
                queue: None,
                contact: None,
                source: None,
            }),
        },
    };
    encode(&Envelope { seq: 0, key: EventKey::default(), at, event }, &id(n))
}

/// On queue for a week.
fn shift(agent: u64, version: i64, from: i64) -> Event {
    Event::ScheduleUpdate(ScheduleUpdate {
        agent: format!("agent-{agent}").as_str().into(),
        shift: "shift".into(),
        version,
        activities: vec![Activity {
            start_at: from - DAY,
            end_at: from + 7 * DAY,
            code: "on-queue".into(),
        }],
    })
}
