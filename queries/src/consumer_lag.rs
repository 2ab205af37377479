//! Consumer lag: a feed whose events reach the journal long after they happened, even the promptest of them.
//!
//! in   slots of feeds (kind, lag)   terms (kind, Terms over time)
//! out  incidents, one per stretch of event time whose events came more than `lag_max_s` late; alerts follow them
//!
//! What is late among events that come in time is not the feed's lag: each slot of ten seconds is judged by its promptest
//! event, and holds until the next slot with one. Lag is the journal's clock less event time: a replay finds the same.
//! History is late by nature and counts for nothing here: recordings, and what a source held before it was first read.

use highwater_dataflow::{Alerts, Finding};

use crate::registry::Shared;
use crate::rule::{Definition, Parameter, incident, raise, terms};
use crate::settings::Settings;

pub const CONSUMER_LAG: Definition = Definition {
    name: "consumer_lag",
    scope: "kind of event",
    enabled: true,
    parameters: &[
        Parameter::seconds("lag_max_s", 120, "how late the promptest events of a feed may come"),
        Parameter::seconds("lasting_s", 60, "how long they must come later than that"),
    ],
};
const LAG_MAX: usize = 0;
const LASTING: usize = 1;

pub fn consumer_lag<'s>(shared: &Shared<'s>, settings: &Settings) -> Alerts<'s> {
    let horizon = shared.input.correction;
    let lags = shared.feeds.clone().intervals("lags of feeds", horizon);
    let kinds = lags.clone().keys("feeds that may lag");
    let told = terms(&CONSUMER_LAG, settings, shared.rules.clone(), kinds, None);
    let found = lags.alarms("lagging", told.terms, horizon, |terms, lags| {
        let (value, threshold) = (**lags.last()?, terms.count(LAG_MAX));
        let finding = Finding { value, threshold, lasting: terms.milli(LASTING), kind: 0 };
        (value > threshold).then_some(finding)
    });
    let incidents = found.alarms.map(|(kind, alarm)| incident(kind, alarm, Vec::new()));
    raise(&CONSUMER_LAG, incidents, found.revisions.concat(told.words), horizon)
}
