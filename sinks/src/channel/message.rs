//! An alert message as receivers see it: our own JSON, and the source of every other format.

use std::sync::Arc;

use highwater_dataflow::{EventTime, FOREVER, Notification, Step};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Names the event at a journal position; `None` where the journal no longer knows it.
pub type Resolve = Arc<dyn Fn(u64) -> Option<String> + Send + Sync>;

/// More causes than this are counted, not listed: receivers limit the size of a message.
const CAUSES_MAX: usize = 100;

/// One step of an alert's life, in words and figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Stable over the alert's whole life.
    pub alert_id: String,
    /// Counts the messages of this alert from 1.
    pub revision: u32,
    /// `alert_id#revision`: the same over every retry of this message.
    pub dedup_key: String,
    pub step: Step,
    /// Where the alert stands after this step.
    pub status: Status,
    pub rule: String,
    pub scope: String,
    /// RFC 3339 with milliseconds, UTC; absent where unknown.
    pub from: Option<String>,
    /// Absent while the condition lasts.
    pub to: Option<String>,
    /// In the rule's unit.
    pub value: i64,
    pub threshold: i64,
    pub members: Vec<String>,
    /// Why it ended or was taken back, where the condition's own end is not why.
    pub reason: Option<String>,
    /// Ids of the events that made this step known; none where the passing of time did.
    pub causes: Vec<String>,
    /// All causes, also those not listed.
    pub causes_count: usize,
    /// One sentence for people.
    pub summary: String,
    /// The epoch in which this became known.
    pub epoch: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Open,
    Resolved,
    Retracted,
}

impl Status {
    pub fn of(step: Step) -> Status {
        match step {
            Step::Opened | Step::Amended => Status::Open,
            Step::Resolved => Status::Resolved,
            Step::Retracted => Status::Retracted,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Status::Open => "open",
            Status::Resolved => "resolved",
            Status::Retracted => "retracted",
        }
    }
}

impl Message {
    pub fn of(notification: &Notification, resolve: &Resolve) -> Message {
        let Notification { alert_id, revision, step, rule, incident, causes, epoch } = notification;
        let name = |&at: &u64| resolve(at).unwrap_or_else(|| format!("journal:{at}"));
        let listed: Vec<String> = causes.iter().take(CAUSES_MAX).map(name).collect();
        Message {
            alert_id: alert_id.to_string(),
            revision: *revision,
            dedup_key: key(alert_id, *revision),
            step: *step,
            status: Status::of(*step),
            rule: rule.to_string(),
            scope: incident.scope.to_string(),
            from: rfc3339(incident.from),
            to: rfc3339(incident.to),
            value: incident.value,
            threshold: incident.threshold,
            members: incident.members.iter().map(ToString::to_string).collect(),
            reason: Some(incident.reason.to_string()).filter(|reason| !reason.is_empty()),
            summary: summary(notification, &listed),
            causes: listed,
            causes_count: causes.len(),
            epoch: *epoch,
        }
    }
}

/// The idempotency key of a message.
pub(crate) fn key(alert_id: &str, revision: u32) -> String {
    format!("{alert_id}#{revision}")
}

/// RFC 3339 with milliseconds; `None` for an open end or beginning.
pub(crate) fn rfc3339(at: EventTime) -> Option<String> {
    let timestamp = Timestamp::from_millisecond(at).ok()?;
    Some(format!("{timestamp:.3}"))
}

/// One sentence: who, what, how much against which limit, since when, and how it ended.
fn summary(notification: &Notification, causes: &[String]) -> String {
    let incident = &notification.incident;
    let since = clock(incident.from).map_or(String::new(), |at| format!(" since {at}"));
    let what = finding(notification);
    let limit = format!("(limit {})", incident.threshold);
    match notification.step {
        Step::Opened => format!("{what}{since} {limit}"),
        Step::Amended => format!("Changed: {what}{since} {limit}"),
        Step::Resolved => {
            let at = clock(incident.to).map_or(String::new(), |at| format!(" at {at}"));
            let why = Some(&incident.reason).filter(|reason| !reason.is_empty());
            let why = why.map_or(String::new(), |reason| format!(", {reason}"));
            format!("Resolved{at}{why}: {what}{since} {limit}")
        }
        Step::Retracted => {
            let shown = match causes {
                [] => String::new(),
                [one] => format!("; shown by event {one}"),
                [first, rest @ ..] => format!("; shown by event {first} and {} more", rest.len()),
            };
            match incident.reason.strip_prefix("merged into ") {
                Some(other) => format!("Merged into {other}: {what}{since} {limit}{shown}"),
                None => format!("Retracted, it never was true: {what}{since} {limit}{shown}"),
            }
        }
    }
}

/// The finding of each rule in words; a rule without words of its own is named.
fn finding(notification: &Notification) -> String {
    let (scope, value) = (&notification.incident.scope, notification.incident.value);
    match notification.rule.as_str() {
        "team_drift" => format!("Team {scope}: {value} of its agents are out of adherence"),
        "volume_surge" => format!("Queue {scope}: {value} arrivals, above the forecast"),
        "aht_spike" => format!("Queue {scope}: average handle time {value} s, above its usual"),
        "queue_overflow" => format!("Queue {scope}: {value} contacts are waiting"),
        "mapping_missing" => {
            let (activity, state) = scope.split_once('/').unwrap_or((scope, "this state"));
            format!("No mapping for {state} during {activity}: {value} agents are not judged")
        }
        "agent_stuck" => format!("Agent {scope}: {value} s in one state"),
        "feed_silent" => format!("No {scope} heard of for {value} s"),
        "consumer_lag" => format!("{scope} comes {value} s late"),
        "dead_letter_rate" => format!("Source {scope}: {value} dead letters within five minutes"),
        rule => format!("{rule} {scope}: {value}"),
    }
}

/// Time of day, UTC.
fn clock(at: EventTime) -> Option<String> {
    if at == FOREVER {
        return None;
    }
    let timestamp = Timestamp::from_millisecond(at).ok()?;
    Some(format!("{} UTC", timestamp.strftime("%H:%M:%S")))
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use highwater_dataflow::Incident;

    use super::*;

    pub(crate) fn notification(alert: &str, revision: u32, step: Step) -> Notification {
        Notification {
            alert_id: alert.into(),
            revision,
            step,
            rule: "team_drift".into(),
            incident: Incident {
                scope: "T0042".into(),
                from: 1_778_839_351_000,
                to: if step == Step::Resolved { 1_778_839_951_250 } else { FOREVER },
                value: 4,
                threshold: 3,
                members: vec!["A1".into(), "A2".into()],
                causes: vec![7, 8],
                reason: "".into(),
            },
            causes: vec![7, 8],
            epoch: 10,
        }
    }

    pub(crate) fn resolve() -> Resolve {
        Arc::new(|at| (at == 7).then(|| "evt-7".to_owned()))
    }

    #[test]
    fn every_step_is_a_sentence() {
        let say = |step| Message::of(&notification("a", 1, step), &resolve()).summary;
        let what = "Team T0042: 4 of its agents are out of adherence since 10:02:31 UTC (limit 3)";
        assert_eq!(say(Step::Opened), what);
        assert_eq!(say(Step::Amended), format!("Changed: {what}"));
        assert_eq!(say(Step::Resolved), format!("Resolved at 10:12:31 UTC: {what}"));
        assert_eq!(
            say(Step::Retracted),
            format!("Retracted, it never was true: {what}; shown by event evt-7 and 1 more")
        );
        let mut merged = notification("a", 1, Step::Retracted);
        merged.incident.reason = "merged into team_drift/T0042/5".into();
        assert_eq!(
            Message::of(&merged, &resolve()).summary,
            format!("Merged into team_drift/T0042/5: {what}; shown by event evt-7 and 1 more")
        );
    }

    #[test]
    fn open_ends_are_absent_and_unknown_causes_keep_their_position() {
        let message = Message::of(&notification("a", 2, Step::Opened), &resolve());
        assert_eq!(message.from.as_deref(), Some("2026-05-15T10:02:31.000Z"));
        assert_eq!(message.to, None);
        assert_eq!(message.causes, ["evt-7", "journal:8"]);
        assert_eq!(message.dedup_key, "a#2");
        let again: Message =
            serde_json::from_str(&serde_json::to_string(&message).unwrap()).unwrap();
        assert_eq!(again, message);
    }
}
