//! Placement: to which team and site every agent belongs when, and whose clock the site goes by.
//!
//! in   agent profiles (valid time)   agents heard of or scheduled   time zones by site
//! out  placements (Agent, Span<Placement>), without gaps from the beginning of time on

use std::cell::RefCell;
use std::collections::BTreeMap;

use highwater_dataflow::window::{CalendarDays, Window, WindowFn};
use highwater_dataflow::{BEGINNING, EventTime, Point, Span, Table};
use highwater_model::{AgentId, Event, Name, SiteId, TeamId};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::input::Inputs;
use crate::settings::{Settings, SiteSettings};

/// Where an agent belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Placement {
    /// `None` before the agent's first profile.
    pub team: Option<TeamId>,
    pub site: Option<SiteId>,
    /// IANA time zone of the site.
    pub zone: Name,
}

/// Every agent's placements. State: per agent one entry for ever, and placements back to the correction horizon.
pub(crate) fn placements<'s>(
    input: &Inputs<'s>,
    settings: &Settings,
) -> Table<'s, (AgentId, Span<Placement>)> {
    input.placements.get_or_init(|| placed(input, settings)).clone()
}

fn placed<'s>(input: &Inputs<'s>, settings: &Settings) -> Table<'s, (AgentId, Span<Placement>)> {
    let nowhere = placement(None, &settings.sites);
    let sites = settings.sites.clone();
    let scheduled = input.reference().flat_map(|envelope| match envelope.event {
        Event::ScheduleUpdate(update) => Some(update.agent),
        Event::AgentProfile(profile) => Some(profile.agent),
        _ => None,
    });
    let heard_of = input.agent_changes().map(|(agent, _)| agent);
    // The same point however often an agent is heard of: it comes once.
    let first = heard_of
        .concat(scheduled)
        .map(|agent| (agent, Point { at: BEGINNING, value: (), seq: 0 }))
        .latest_per_key("agents")
        .map_values(move |_, point| Point { at: point.at, value: nowhere.clone(), seq: point.seq });
    input
        .agent_profiles()
        .map_values(move |_, point| Point {
            at: point.at,
            value: placement(Some((point.value.team, point.value.site)), &sites),
            seq: point.seq,
        })
        .concat(first)
        .intervals("placements", input.correction)
}

fn placement(at: Option<(TeamId, SiteId)>, sites: &SiteSettings) -> Placement {
    let (team, site) = at.unzip();
    let zone = sites.zone_of(site.as_ref().map(SiteId::as_str)).clone();
    Placement { team, site, zone }
}

/// Business days of any time zone, from midnight to midnight.
#[derive(Default)]
pub(crate) struct Days {
    zones: RefCell<BTreeMap<Name, CalendarDays>>,
}

impl Days {
    /// The day of `zone` that holds `at`.
    pub(crate) fn day(&self, zone: &Name, at: EventTime) -> Window {
        let mut zones = self.zones.borrow_mut();
        if let Some(days) = zones.get(zone) {
            return days.slice(at);
        }
        let days = CalendarDays::in_zone(named(zone));
        zones.entry(zone.clone()).or_insert(days).slice(at)
    }
}

/// The civil date of `at` in `zone`, as `2025-10-26`.
pub(crate) fn date(zone: &str, at: EventTime) -> Option<String> {
    let instant = Timestamp::from_millisecond(at).ok()?;
    Some(instant.to_zoned(named(zone)).date().to_string())
}

/// The settings were checked: a zone nobody knows does not get here.
fn named(zone: &str) -> TimeZone {
    TimeZone::get(zone).unwrap_or(TimeZone::UTC)
}
