//! The reference data the center's planners send.

use highwater_dataflow::EventTime;
use highwater_model::{
    Activity, ActivityMapping, AgentProfile, AgentState, Event, ForecastUpdate, Opening,
    QueueProfile, ScheduleUpdate, ServiceLevel, Verdict,
};

use super::config::{DAY, INTERVAL, MINUTE, SimConfig};
use super::demand::Demand;
use super::staff::Staff;

/// Profiles and mappings: sent once, at the first midnight.
pub(super) fn standing(config: &SimConfig, staff: &Staff) -> Vec<Event> {
    let mut events: Vec<Event> = mappings().map(Event::ActivityMapping).collect();
    events.extend(staff.queues.iter().map(|queue| {
        Event::QueueProfile(QueueProfile {
            queue: queue.id.clone(),
            channel: queue.channel,
            target_ppm: queue.target_ppm,
            threshold_ms: queue.threshold_ms,
            short_abandon_ms: 5_000,
            service_level: ServiceLevel::Offered,
            overflow_threshold: Some(queue.overflow),
            opening: Some(opening(config)),
        })
    }));
    events.extend(staff.agents.iter().map(|agent| {
        let team = &staff.teams[agent.team];
        Event::AgentProfile(AgentProfile {
            agent: agent.id.clone(),
            name: Some(agent.name.clone()),
            team: team.id.clone(),
            site: staff.sites[team.site].clone(),
            skills: agent.skills.iter().map(|queue| staff.queues[*queue].id.clone()).collect(),
        })
    }));
    events
}

/// The site's hours on the clock of UTC, wherever its midnight is.
fn opening(config: &SimConfig) -> Opening {
    let midnight_min = config.midnight_at.rem_euclid(DAY) / MINUTE;
    let minute = |local: i64| (midnight_min + local).rem_euclid(24 * 60);
    Opening {
        time_zone: "UTC".into(),
        weekdays: 0b111_1111,
        opens_min: minute(config.opens_min),
        closes_min: minute(config.closes_min),
    }
}

/// Every activity with every state. Finishing a contact is nobody's fault, an unknown state neither.
fn mappings() -> impl Iterator<Item = ActivityMapping> {
    let activities = ["on-queue", "break", "lunch", "meeting", "training", "coaching"];
    activities.into_iter().flat_map(|activity| {
        AgentState::ALL.iter().map(move |state| ActivityMapping {
            activity: activity.into(),
            state: *state,
            verdict: verdict(activity, *state),
        })
    })
}

fn verdict(activity: &str, state: AgentState) -> Verdict {
    use AgentState::{
        Acw, Available, Break, Coaching, Hold, Lunch, Meeting, NotResponding, OnCall, OnQueue,
        Training, Unknown,
    };
    match (activity, state) {
        (_, Unknown) => Verdict::Ignored,
        ("on-queue", Available | OnCall | Hold | Acw | OnQueue)
        | ("break", Break)
        | ("lunch", Lunch)
        | ("meeting", Meeting)
        | ("training", Training)
        | ("coaching", Coaching) => Verdict::In,
        ("on-queue", NotResponding)
        | ("meeting" | "training" | "coaching", Meeting | Training | Coaching)
        | ("break" | "lunch", Break | Lunch)
        | (_, OnCall | Hold | Acw) => Verdict::Neutral,
        _ => Verdict::Out,
    }
}

/// A shift as it stands in that version.
pub(super) fn schedule(
    config: &SimConfig,
    staff: &Staff,
    day: i64,
    agent: usize,
    version: i64,
    activities: Vec<Activity>,
) -> Event {
    let agent = staff.agents[agent].id.clone();
    let shift = format!("{agent}-{}", date(config.midnight_at + day * DAY + DAY / 2));
    Event::ScheduleUpdate(ScheduleUpdate {
        agent,
        shift: highwater_model::ShiftId(shift.into()),
        version,
        activities,
    })
}

/// What is expected of a day: every queue, every interval it is open, but for those that nothing is told of.
pub(super) fn forecasts(
    config: &SimConfig,
    staff: &Staff,
    demand: &Demand,
    day: i64,
) -> Vec<Event> {
    let opens_at = config.midnight_at + day * DAY + config.opens_min * MINUTE;
    let mut events = Vec::new();
    for (index, queue) in staff.queues.iter().enumerate() {
        for (interval, expected) in demand.forecast(index).iter().enumerate() {
            let interval_start_at = opens_at + interval as i64 * INTERVAL;
            if config.history_from.is_some_and(|from| interval_start_at + INTERVAL <= from) {
                continue;
            }
            events.push(Event::ForecastUpdate(ForecastUpdate {
                queue: queue.id.clone(),
                interval_start_at,
                interval_end_at: interval_start_at + INTERVAL,
                volume_milli: (expected * 1_000.0).round() as i64,
                aht_ms: queue.aht_ms() as i64,
                version: 1,
            }));
        }
    }
    events
}

/// `yymmdd` of an instant, in UTC.
pub(super) fn date(at: EventTime) -> String {
    // Days since 0000-03-01: leap days fall at the ends of years.
    let days = at.div_euclid(DAY) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{:02}{month:02}{day:02}", year.rem_euclid(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_cross_leap_days() {
        for (days, expected) in
            [(0, "700101"), (11_016, "000229"), (11_017, "000301"), (20_514, "260302")]
        {
            assert_eq!(date(days * DAY + 1), expected);
        }
    }
}
