//! What a deployment may choose about the queries; times in seconds.

use std::collections::BTreeMap;

use highwater_dataflow::window::Closed;
use highwater_dataflow::{Horizons, Millis};
use highwater_model::{AgentState, Name};
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::attribution::{Attribute, Attribution};
use crate::registry::RULES;
use crate::rule::in_milli;
use crate::staffing::StaffingSettings;

/// The `[queries]` table of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Length of the interval of `queue_interval`, seconds. Default 900.
    pub interval_s: i64,
    /// Which end of an interval belongs to it: `left` is `[start, end)`, `right` is `(start, end]`. Default left.
    pub closed: ClosedSide,
    /// Length of the rolling window of `queue_rolling`, seconds. Default 300.
    pub rolling_s: i64,
    /// How often a rolling window starts, seconds. Default 30.
    pub rolling_every_s: i64,
    /// How far back goes what `aht_spike` takes for usual, seconds. Default: `correction_s`.
    pub aht_history_s: Option<i64>,
    /// How long after its end an interval still takes late events, seconds. Default 7,200.
    pub allowed_lateness_s: i64,
    /// How far back corrections of states, schedules and contacts reach, seconds. Default 86,400.
    pub correction_s: i64,
    /// How long an event's identity is remembered, seconds. Default 90,000: what is repeated later than `correction_s`
    /// is too late to count, and reference data that is repeated changes nothing.
    pub dedup_s: i64,
    /// Rows of `queue_interval` for intervals without contacts, within opening hours. Default true.
    pub empty_intervals: bool,
    /// In which interval contacts and their handling time count.
    pub attribution: Attribution,
    pub staffing: StaffingSettings,
    /// What rules are told unless an event says otherwise, by rule. Default: as documented per rule.
    pub rules: BTreeMap<String, RuleSettings>,
    pub adherence: AdherenceSettings,
    pub sites: SiteSettings,
    pub payroll: PayrollSettings,
}

/// How adherence is measured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdherenceSettings {
    /// Exceptions of at most this length are excused, seconds. Default 0: none is.
    pub grace_s: i64,
    /// What a longer exception counts: `whole` of it, or only the `excess` over the grace. Default whole.
    pub grace: Grace,
    /// How often the rows of running intervals are told, seconds of event time. Default 60.
    pub refresh_s: i64,
    /// How often the rows of running days are told, seconds of event time; divides 900. Default 300.
    pub day_refresh_s: i64,
}

/// What an exception longer than the grace counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grace {
    Whole,
    Excess,
}

/// Where sites are in time: whose midnight ends their business day.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SiteSettings {
    /// IANA time zone of sites that are not listed, and of agents without a site. Default UTC.
    pub time_zone: Name,
    /// IANA time zone by site id.
    pub time_zones: BTreeMap<Name, Name>,
}

/// What is paid.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PayrollSettings {
    /// States in which an agent is logged in and not paid. Default: lunch.
    pub unpaid_states: Vec<Name>,
}

impl Default for AdherenceSettings {
    fn default() -> Self {
        AdherenceSettings { grace_s: 0, grace: Grace::Whole, refresh_s: 60, day_refresh_s: 300 }
    }
}

impl Default for SiteSettings {
    fn default() -> Self {
        SiteSettings { time_zone: "UTC".into(), time_zones: BTreeMap::new() }
    }
}

impl Default for PayrollSettings {
    fn default() -> Self {
        PayrollSettings { unpaid_states: vec!["lunch".into()] }
    }
}

impl SiteSettings {
    /// The time zone of `site`.
    pub fn zone_of(&self, site: Option<&str>) -> &Name {
        site.and_then(|site| self.time_zones.get(site)).unwrap_or(&self.time_zone)
    }

    fn check(&self) -> Result<(), String> {
        let sites = self.time_zones.iter().map(|(site, zone)| (format!("s.{site}"), zone));
        for (key, zone) in sites.chain([(String::new(), &self.time_zone)]) {
            if TimeZone::get(zone).is_err() {
                return Err(format!(
                    "queries.sites.time_zone{key} is \"{zone}\"; use an IANA name such as \
                     \"Europe/Lisbon\""
                ));
            }
        }
        Ok(())
    }
}

impl PayrollSettings {
    /// The states that are logged in and not paid.
    pub fn unpaid(&self) -> Vec<AgentState> {
        self.unpaid_states.iter().filter_map(|name| AgentState::parse(name)).collect()
    }

    fn check(&self) -> Result<(), String> {
        match self.unpaid_states.iter().find(|name| AgentState::parse(name).is_none()) {
            None => Ok(()),
            Some(name) => {
                let known: Vec<_> = AgentState::ALL.iter().map(|state| state.name()).collect();
                Err(format!(
                    "queries.payroll.unpaid_states names \"{name}\"; use states of {}",
                    known.join(", ")
                ))
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedSide {
    Left,
    Right,
}

impl From<ClosedSide> for Closed {
    fn from(side: ClosedSide) -> Self {
        match side {
            ClosedSide::Left => Closed::Left,
            ClosedSide::Right => Closed::Right,
        }
    }
}

/// What one rule is told: `enabled`, and parameters by name, as in a `RuleUpdate`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleSettings {
    pub enabled: Option<bool>,
    pub parameters: BTreeMap<String, f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            interval_s: 900,
            closed: ClosedSide::Left,
            rolling_s: 300,
            rolling_every_s: 30,
            aht_history_s: None,
            allowed_lateness_s: 7_200,
            correction_s: 86_400,
            dedup_s: 90_000,
            empty_intervals: true,
            attribution: Attribution::default(),
            adherence: AdherenceSettings::default(),
            sites: SiteSettings::default(),
            payroll: PayrollSettings::default(),
            staffing: StaffingSettings::default(),
            rules: BTreeMap::new(),
        }
    }
}

/// How far ahead of the watermark events may lie: the future guard and the disorder of sources stay below it.
const DEDUP_MARGIN_S: i64 = 900;

impl Settings {
    pub fn interval(&self) -> Millis {
        self.interval_s * 1000
    }
    pub fn allowed_lateness(&self) -> Millis {
        self.allowed_lateness_s * 1000
    }
    /// The correction horizon that every stateful operator shares.
    pub fn correction(&self) -> Millis {
        self.correction_s * 1000
    }
    /// How far back goes what is usual of handle times.
    pub fn aht_history(&self) -> Millis {
        self.aht_history_s.unwrap_or(self.correction_s) * 1000
    }
    pub fn horizons(&self) -> Horizons {
        Horizons { dedup: self.dedup_s * 1000, correction: self.correction() }
    }

    /// What cannot work, told before anything starts.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("interval_s", self.interval_s),
            ("rolling_s", self.rolling_s),
            ("rolling_every_s", self.rolling_every_s),
            ("correction_s", self.correction_s),
            ("aht_history_s", self.aht_history_s.unwrap_or(self.correction_s)),
            ("dedup_s", self.dedup_s),
            ("adherence.refresh_s", self.adherence.refresh_s),
            ("adherence.day_refresh_s", self.adherence.day_refresh_s),
        ];
        for (name, value) in positive {
            if value <= 0 {
                return Err(format!("queries.{name} is {value}; it must be at least 1 second"));
            }
        }
        if self.rolling_s % self.rolling_every_s != 0 {
            return Err(format!(
                "queries.rolling_s ({}) must be a multiple of queries.rolling_every_s ({})",
                self.rolling_s, self.rolling_every_s
            ));
        }
        if self.dedup_s < self.correction_s + DEDUP_MARGIN_S {
            return Err(format!(
                "queries.dedup_s ({}) must exceed queries.correction_s ({}) by {DEDUP_MARGIN_S}, or an event from ahead of \
                 the watermark could count again",
                self.dedup_s, self.correction_s
            ));
        }
        if self.allowed_lateness_s < 0 || self.allowed_lateness_s > self.correction_s {
            return Err(format!(
                "queries.allowed_lateness_s ({}) must lie between 0 and queries.correction_s ({})",
                self.allowed_lateness_s, self.correction_s
            ));
        }
        if self.attribution.counts == Attribute::Prorated {
            return Err("queries.attribution.counts cannot be prorated: a contact counts once; \
                        choose event, offered or completed"
                .to_owned());
        }
        if self.adherence.grace_s < 0 {
            return Err("queries.adherence.grace_s must not be negative".to_owned());
        }
        let day_refresh_s = self.adherence.day_refresh_s;
        if 900 % day_refresh_s != 0 {
            return Err(format!(
                "queries.adherence.day_refresh_s ({day_refresh_s}) must divide 900: days begin on a quarter of an hour"
            ));
        }
        self.sites.check()?;
        self.payroll.check()?;
        for (name, rule) in &self.rules {
            let known = RULES.iter().map(|known| known.definition);
            let Some(definition) = known.clone().find(|known| known.name == name) else {
                let names: Vec<&str> = known.map(|known| known.name).collect();
                return Err(format!(
                    "queries.rules.{name}: no rule has this name; there are {}",
                    names.join(", ")
                ));
            };
            let parameters = rule.parameters.iter();
            let parameters = parameters.map(|(name, value)| (name.as_str(), in_milli(*value)));
            if let [fault, ..] = definition.read(rule.enabled, parameters).1.as_slice() {
                return Err(format!("queries.rules.{name}.parameters: {fault}"));
            }
        }
        self.staffing.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.check().expect_err("it cannot work")
    }

    #[test]
    fn what_cannot_work_is_told_with_its_key() {
        Settings::default().check().expect("the defaults work");
        let told = complaint(|s| s.sites.time_zone = "Atlantis".into());
        assert!(told.starts_with("queries.sites.time_zone is \"Atlantis\"; use an IANA name"));
        let told = complaint(|s| {
            s.sites.time_zones.insert("north".into(), "Mars/Olympus".into());
        });
        assert!(told.starts_with("queries.sites.time_zones.north is \"Mars/Olympus\""));
        let told = complaint(|s| s.payroll.unpaid_states.push("siesta".into()));
        assert!(told.contains("\"siesta\"; use states of unknown, offline"));
        let told = complaint(|s| s.adherence.day_refresh_s = 7);
        assert!(told.contains("day_refresh_s (7) must divide 900"));
        assert!(complaint(|s| s.adherence.grace_s = -1).contains("grace_s"));
    }
}
