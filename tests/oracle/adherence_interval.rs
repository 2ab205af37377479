//! Adherence per interval and day: every stretch of every agent's history cut at every boundary and added up.

use std::collections::BTreeMap;

use highwater_dataflow::view::{Row, Value};
use highwater_dataflow::{BEGINNING, EventTime, FOREVER};
use highwater_model::{AgentId, AgentProfile, AgentState, Envelope, Event};
use highwater_queries::Settings;
use highwater_queries::settings::{AdherenceSettings, Grace};

use super::accrual::{Accruals, Amounts, Held, date, day};
use super::adherence::Stretch;
use super::sums::percent;

/// `(scope, id, time zone)`.
type Scope = (&'static str, String, String);

// Places of the amounts, ms each.
const IN: usize = 0;
const OUT: usize = 1;
const EXCUSED: usize = 2;
const NEUTRAL: usize = 3;
const IGNORED: usize = 4;
const UNKNOWN: usize = 5;
const OUTSIDE: usize = 6;
const QUEUE_SCHEDULED: usize = 7;
const QUEUE_ACTUAL: usize = 8;
const CONNECT_SCHEDULED: usize = 9;
const CONNECT_ADHERENT: usize = 10;
const N: usize = 11;

pub(crate) struct Adherence {
    settings: Settings,
    intervals: Accruals<Scope, N>,
    days: Accruals<Scope, N>,
}

impl Adherence {
    pub(crate) fn new(settings: &Settings) -> Self {
        let AdherenceSettings { refresh_s, day_refresh_s, .. } = settings.adherence;
        let horizon = settings.correction_s;
        // Intervals end on their beat, whatever their length.
        let meets = |beat: &i64| refresh_s % beat == 0 && settings.interval_s % beat == 0;
        let intervals = (1..=refresh_s).rev().find(meets).unwrap();
        Adherence {
            settings: settings.clone(),
            intervals: Accruals::new(intervals, horizon),
            days: Accruals::new(day_refresh_s, horizon),
        }
    }

    /// Rows of `adherence_interval` and of `adherence_day`.
    pub(crate) fn rows(
        &mut self,
        known: &[Envelope],
        histories: &BTreeMap<AgentId, Vec<Stretch>>,
        watermark: EventTime,
    ) -> (Vec<Row>, Vec<Row>) {
        let settings = &self.settings;
        let size = settings.interval_s * 1000;
        let placements = placements(known, settings);
        self.intervals.after(watermark, |reached| {
            let bin = |_: &str, at: EventTime| {
                (at - at.rem_euclid(size), at - at.rem_euclid(size) + size)
            };
            amounts(histories, &placements, settings, (watermark, reached), bin)
        });
        self.days.after(watermark, |reached| {
            amounts(histories, &placements, settings, (watermark, reached), day)
        });
        (self.intervals.held.iter().map(row).collect(), self.days.held.iter().map(row).collect())
    }
}

/// `(from, to, team, site, zone)` of every agent that has a profile.
type Placements = BTreeMap<AgentId, Vec<(EventTime, EventTime, Option<(String, String)>, String)>>;

/// Where agents belonged when; nowhere before their first profile.
pub(crate) fn placements(known: &[Envelope], settings: &Settings) -> Placements {
    let mut profiles: BTreeMap<&AgentId, BTreeMap<EventTime, &AgentProfile>> = BTreeMap::new();
    for envelope in known {
        if let Event::AgentProfile(profile) = &envelope.event {
            let held = profiles.entry(&profile.agent).or_default().entry(envelope.at);
            let held = held.or_insert(profile);
            // Of two from the same instant on the greater place counts.
            if (&profile.team, &profile.site) > (&held.team, &held.site) {
                *held = profile;
            }
        }
    }
    let mut placements = Placements::new();
    for (agent, profiles) in profiles {
        let default = settings.sites.time_zone.to_string();
        let first = *profiles.keys().next().unwrap();
        let mut places = vec![(BEGINNING, first, None, default.clone())];
        for (&from, profile) in &profiles {
            let to = profiles.range(from + 1..).next().map_or(FOREVER, |(&next, _)| next);
            let zone = settings.sites.time_zones.get(profile.site.as_str());
            let zone = zone.map_or_else(|| default.clone(), ToString::to_string);
            let place = (profile.team.to_string(), profile.site.to_string());
            places.push((from, to, Some(place), zone));
        }
        placements.insert(agent.clone(), places);
    }
    placements
}

/// The pieces of `[from, to)` an agent spent in each place.
pub(crate) fn placed(
    placements: &Placements,
    agent: &AgentId,
    settings: &Settings,
    (from, to): (EventTime, EventTime),
) -> Vec<(EventTime, EventTime, Option<(String, String)>, String)> {
    let Some(places) = placements.get(agent) else {
        return vec![(from, to, None, settings.sites.time_zone.to_string())];
    };
    let pieces = places.iter().map(|(start, end, place, zone)| {
        (from.max(*start), to.min(*end), place.clone(), zone.clone())
    });
    pieces.filter(|(from, to, _, _)| from < to).collect()
}

fn amounts(
    histories: &BTreeMap<AgentId, Vec<Stretch>>,
    placements: &Placements,
    settings: &Settings,
    (watermark, reached): (EventTime, EventTime),
    bin: impl Fn(&str, EventTime) -> (EventTime, EventTime),
) -> Amounts<Scope, N> {
    let mut all = Amounts::new();
    for (agent, history) in histories {
        for (n, stretch) in history.iter().enumerate() {
            // The exception that a stretch belongs to reaches to the end of the last one that goes on with it.
            let run = history[n..]
                .iter()
                .take_while(|other| other.status == stretch.status && other.since == stretch.since);
            let end = run.last().unwrap().to;
            // An exception that lasts is as long as the watermark knows, ahead of the beat.
            let now = if end == FOREVER { watermark } else { end };
            let length = now.saturating_sub(stretch.since);
            for (from, to, place, zone) in
                placed(placements, agent, settings, (stretch.from, stretch.to.min(reached)))
            {
                let mut at = from;
                while at < to {
                    let (start, bin_end) = bin(&zone, at);
                    let until = to.min(bin_end);
                    let mut scopes = vec![("agent", agent.to_string(), zone.clone())];
                    if let Some((team, site)) = &place {
                        scopes.push(("team", team.clone(), zone.clone()));
                        scopes.push(("site", site.clone(), zone.clone()));
                    }
                    for scope in scopes {
                        let held = all.entry((scope, start)).or_insert((bin_end, [0; N]));
                        count(stretch, length, settings, (at, until), &mut held.1);
                    }
                    at = until;
                }
            }
        }
    }
    all
}

fn count(
    stretch: &Stretch,
    exception: i64,
    settings: &Settings,
    (from, to): (EventTime, EventTime),
    amounts: &mut [i64; N],
) {
    let time = to - from;
    let grace = settings.adherence.grace_s * 1000;
    let state = stretch.state.name();
    let working = ["available", "on-call", "hold", "acw", "on-queue"].contains(&state);
    match stretch.status {
        "in" => amounts[IN] += time,
        "out" => {
            let counts = match settings.adherence.grace {
                Grace::Whole if exception > grace => time,
                Grace::Whole => 0,
                Grace::Excess => (to - (stretch.since + grace).max(from)).max(0),
            };
            amounts[OUT] += counts;
            amounts[EXCUSED] += time - counts;
        }
        "neutral" => amounts[NEUTRAL] += time,
        "ignored" => amounts[IGNORED] += time,
        "unknown" => amounts[UNKNOWN] += time,
        _ if working => amounts[OUTSIDE] += time,
        _ => {}
    }
    if working {
        amounts[QUEUE_ACTUAL] += time;
    }
    let Some(activity) = &stretch.activity else { return };
    let queue = AgentState::parse(activity.as_str()) == Some(AgentState::OnQueue);
    if queue {
        amounts[QUEUE_SCHEDULED] += time;
    }
    if state == "unknown" || stretch.status == "ignored" {
        return;
    }
    amounts[CONNECT_SCHEDULED] += time;
    let productive_as_scheduled = queue && working;
    let aside_as_scheduled = !queue && !working && state != "offline" && state != "not-responding";
    if productive_as_scheduled || aside_as_scheduled {
        amounts[CONNECT_ADHERENT] += time;
    }
}

fn row(((scope, start), held): (&(Scope, EventTime), &Held<N>)) -> Row {
    let (kind, id, zone) = scope;
    let m = &held.amounts;
    let judged = |m: &[i64; N]| m[IN] + m[OUT] + m[EXCUSED] + m[NEUTRAL];
    let scheduled = |m: &[i64; N]| judged(m) + m[IGNORED] + m[UNKNOWN];
    let with_outside = |m: &[i64; N]| match judged(m) {
        0 => Value::Null,
        judged => percent(judged - m[OUT], judged + m[OUTSIDE]),
    };
    let rates = |m: &[i64; N]| {
        [
            percent(judged(m) - m[OUT], judged(m)),
            with_outside(m),
            percent(m[CONNECT_ADHERENT], m[CONNECT_SCHEDULED]),
            percent(m[QUEUE_ACTUAL], m[QUEUE_SCHEDULED]),
        ]
    };
    let mut row = vec![
        Value::Text((*kind).into()),
        Value::Text(id.as_str().into()),
        Value::Text(zone.as_str().into()),
        Value::Int(*start),
        Value::Int(held.end),
        Value::Text(date(zone, *start).as_str().into()),
        Value::Int(scheduled(m)),
    ];
    row.extend(
        [IN, OUT, EXCUSED, NEUTRAL, IGNORED, UNKNOWN, OUTSIDE, QUEUE_SCHEDULED, QUEUE_ACTUAL]
            .map(|n| Value::Int(m[n])),
    );
    row.extend(rates(m));
    match &held.published {
        None => row.extend([const { Value::Null }; 8]),
        Some(p) => {
            let times = [scheduled(p), p[OUT], p[OUTSIDE], p[QUEUE_ACTUAL]];
            row.extend(times.map(Value::Int));
            row.extend(rates(p));
        }
    }
    row.push(Value::Text(held.status.into()));
    row
}
