//! An agent's day: the shift as scheduled, and what the agent makes of it.

use highwater_dataflow::{EventTime, Millis};
use highwater_model::{Activity, AgentState};

use super::config::{DAY, MINUTE, SECOND, SimConfig};
use super::random::Chance;
use super::staff::Staff;

/// A day's work of one agent.
pub(super) struct Workday {
    /// As scheduled, without gaps; empty on a day off.
    pub activities: Vec<Activity>,
    /// When the agent logs in; `None`: never does.
    pub login_at: Option<EventTime>,
    /// Absences in order of time; the last is the logout.
    pub absences: Vec<Absence>,
}

/// A planned departure from the queues.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absence {
    pub leave_at: EventTime,
    /// `None`: the day is over.
    pub back_at: Option<EventTime>,
    pub state: AgentState,
    pub reason: &'static str,
}

/// The workday of `agent` on the `day`-th day: a function of the seed, so that it need not be kept.
pub(super) fn workday(config: &SimConfig, staff: &Staff, day: i64, agent: usize) -> Workday {
    let team = staff.agents[agent].team;
    let mut team_chance = Chance::new(config.seed, &[2, day as u64, team as u64]);
    let mut chance = Chance::new(config.seed, &[3, day as u64, agent as u64]);
    if chance.happens(0.06) {
        return Workday { activities: Vec::new(), login_at: None, absences: Vec::new() };
    }
    let activities = schedule(config, staff, day, agent, &mut team_chance, &mut chance);
    if chance.happens(0.025) {
        return Workday { activities, login_at: None, absences: Vec::new() };
    }
    let (login_at, absences) = conduct(config, &activities, &mut chance);
    Workday { activities, login_at: Some(login_at), absences }
}

fn schedule(
    config: &SimConfig,
    staff: &Staff,
    day: i64,
    agent: usize,
    team_chance: &mut Chance,
    chance: &mut Chance,
) -> Vec<Activity> {
    let agent = &staff.agents[agent];
    let team = &staff.teams[agent.team];
    let start_at = config.midnight_at + day * DAY + team.starts_min * MINUTE;
    let length_min = if agent.part_time { team.length_min.min(5 * 60) } else { team.length_min };
    let end_at = start_at + length_min * MINUTE;
    let mut activities = vec![Activity { start_at, end_at, code: "on-queue".into() }];
    // On a five-minute grid, spread over the team so that a queue is never left alone.
    let mut pause = |from_min: i64, to_min: i64, minutes: i64, code: &str| {
        let from_at = start_at + chance.between(from_min / 5, to_min / 5) * 5 * MINUTE;
        carve_on_queue(&mut activities, from_at, from_at + minutes * MINUTE, code);
    };
    pause(90, 135, 15, "break");
    if length_min > 6 * 60 {
        pause(195, 275, 30, "lunch");
        pause(360, 420, 15, "break");
    }
    if team_chance.happens(0.3) {
        let from_at = start_at + team_chance.between(9, length_min / 15 - 3) * 15 * MINUTE;
        carve_on_queue(&mut activities, from_at, from_at + 30 * MINUTE, "meeting");
    }
    if chance.happens(0.04) {
        let from_at = start_at + chance.between(4, length_min / 15 - 5) * 15 * MINUTE;
        carve_on_queue(&mut activities, from_at, from_at + 60 * MINUTE, "training");
    }
    activities
}

/// Puts an activity into time that is wholly on queue; leaves the schedule alone elsewhere.
fn carve_on_queue(
    activities: &mut Vec<Activity>,
    from_at: EventTime,
    to_at: EventTime,
    code: &str,
) {
    let free = activities.iter().any(|activity| {
        activity.code.as_str() == "on-queue"
            && activity.start_at <= from_at
            && to_at <= activity.end_at
    });
    if free {
        carve(activities, from_at, to_at, code);
    }
}

/// Replaces whatever is scheduled over `[from_at, to_at)`, within the shift.
pub(super) fn carve(
    activities: &mut Vec<Activity>,
    from_at: EventTime,
    to_at: EventTime,
    code: &str,
) {
    let (Some(first), Some(last)) = (activities.first(), activities.last()) else { return };
    let (from_at, to_at) = (from_at.max(first.start_at), to_at.min(last.end_at));
    if to_at <= from_at {
        return;
    }
    let mut carved = Vec::with_capacity(activities.len() + 2);
    for activity in activities.drain(..) {
        if activity.start_at < from_at {
            carved.push(Activity { end_at: activity.end_at.min(from_at), ..activity.clone() });
        }
        if to_at < activity.end_at {
            carved.push(Activity { start_at: activity.start_at.max(to_at), ..activity });
        }
    }
    carved.push(Activity { start_at: from_at, end_at: to_at, code: code.into() });
    carved.sort_by_key(|activity| activity.start_at);
    *activities = carved;
}

/// Login and absences: near the schedule, seldom on it, some days far from it.
fn conduct(
    config: &SimConfig,
    activities: &[Activity],
    chance: &mut Chance,
) -> (EventTime, Vec<Absence>) {
    let noise = config.adherence_noise;
    let bad_day = chance.happens((0.04 * noise).min(1.0));
    let stray = |chance: &mut Chance, seconds: f64| {
        (chance.normal() * seconds * noise * SECOND as f64) as Millis
    };
    let start_at = activities.first().map_or(0, |activity| activity.start_at);
    let end_at = activities.last().map_or(0, |activity| activity.end_at);
    let late = if chance.happens((0.05 * noise).min(1.0)) || bad_day {
        chance.between(4 * MINUTE, 18 * MINUTE)
    } else {
        0
    };
    let login_at = start_at - 10 * SECOND + stray(chance, 35.0) + late;

    let mut absences = Vec::with_capacity(6);
    for activity in activities {
        let (state, reason) = match activity.code.as_str() {
            "break" => (AgentState::Break, "scheduled"),
            "lunch" => (AgentState::Lunch, "scheduled"),
            "meeting" => (AgentState::Meeting, "scheduled"),
            "training" => (AgentState::Training, "scheduled"),
            _ => continue,
        };
        let overrun = if chance.happens((0.07 * noise).min(1.0)) || bad_day {
            chance.between(2 * MINUTE, 9 * MINUTE)
        } else {
            0
        };
        absences.push(Absence {
            leave_at: activity.start_at + stray(chance, 30.0),
            back_at: Some(activity.end_at + stray(chance, 30.0) + overrun),
            state,
            reason,
        });
    }
    if chance.happens((0.4 * noise).min(1.0)) {
        let leave_at = chance.between(start_at + 20 * MINUTE, end_at - 20 * MINUTE);
        let back_at = Some(leave_at + chance.between(2 * MINUTE, 7 * MINUTE));
        absences.push(Absence { leave_at, back_at, state: AgentState::Away, reason: "personal" });
    }
    absences.sort_by_key(|absence| absence.leave_at);
    let early = if chance.happens((0.03 * noise).min(1.0)) {
        chance.between(3 * MINUTE, 15 * MINUTE)
    } else {
        0
    };
    // One thing after the other, whatever chance made of the times.
    let mut free_at = login_at + MINUTE;
    absences.retain_mut(|absence| {
        absence.leave_at = absence.leave_at.max(free_at);
        let back_at = absence.back_at.map_or(0, |back_at| back_at.max(absence.leave_at + MINUTE));
        absence.back_at = Some(back_at);
        let fits = back_at + MINUTE < end_at;
        if fits {
            free_at = back_at + MINUTE;
        }
        fits
    });
    let leave_at = (end_at + 15 * SECOND + stray(chance, 35.0) - early).max(free_at);
    absences.push(Absence {
        leave_at,
        back_at: None,
        state: AgentState::Offline,
        reason: "logout",
    });
    (login_at, absences)
}
