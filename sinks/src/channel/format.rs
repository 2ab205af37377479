//! The bodies that receivers expect, each a pure function of the message.

use highwater_dataflow::Step;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Message, Status};

/// The shape of a webhook's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Our own: every field of the message.
    #[default]
    Highwater,
    /// PagerDuty Events API v2.
    Pagerduty,
    /// Prometheus Alertmanager webhook, version 4.
    Alertmanager,
    /// Slack incoming webhook.
    Slack,
    /// Teams workflow with an adaptive card.
    Teams,
}

/// PagerDuty's limits, in characters.
const DEDUP_KEY_MAX: usize = 255;
const SUMMARY_MAX: usize = 1024;

impl Format {
    /// The body for `message`; `routing_key` addresses a PagerDuty service.
    pub(super) fn body(self, message: &Message, routing_key: &str) -> Value {
        match self {
            Format::Highwater => json!(message),
            Format::Pagerduty => pagerduty(message, routing_key),
            Format::Alertmanager => alertmanager(message),
            Format::Slack => slack(message),
            Format::Teams => teams(message),
        }
    }
}

/// One incident per alert: later steps of the same alert update or resolve it.
fn pagerduty(message: &Message, routing_key: &str) -> Value {
    let dedup_key = match message.alert_id.chars().count() {
        0..=DEDUP_KEY_MAX => message.alert_id.clone(),
        _ => fingerprint(&message.alert_id, 64),
    };
    let action = match message.step {
        Step::Opened | Step::Amended => "trigger",
        Step::Resolved | Step::Retracted => "resolve",
    };
    json!({
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": dedup_key,
        "payload": {
            "summary": message.summary.chars().take(SUMMARY_MAX).collect::<String>(),
            "source": "highwater",
            "severity": "warning",
            "timestamp": message.from,
            "component": message.scope,
            "class": message.rule,
            "custom_details": {
                "key": message.dedup_key,
                "step": message.step,
                "value": message.value,
                "threshold": message.threshold,
                "from": message.from,
                "to": message.to,
                "members": message.members,
                "causes": message.causes,
            },
        },
    })
}

fn alertmanager(message: &Message) -> Value {
    let status = match message.status {
        Status::Open => "firing",
        Status::Resolved | Status::Retracted => "resolved",
    };
    let labels = json!({ "alertname": message.rule, "scope": message.scope });
    let annotations = json!({
        "summary": message.summary,
        "step": message.step,
        "value": message.value.to_string(),
        "threshold": message.threshold.to_string(),
        "members": message.members.join(", "),
        "causes": message.causes.join(", "),
    });
    // Alertmanager's way to say that the end is not known.
    let ends_at = match (&message.to, message.status) {
        (Some(to), _) => to.clone(),
        (None, Status::Retracted) => message.from.clone().unwrap_or_default(),
        (None, _) => "0001-01-01T00:00:00Z".to_owned(),
    };
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{{alertname={:?},scope={:?}}}", message.rule, message.scope),
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "highwater",
        "groupLabels": labels,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [{
            "status": status,
            "labels": labels,
            "annotations": annotations,
            "startsAt": message.from,
            "endsAt": ends_at,
            "generatorURL": "",
            "fingerprint": fingerprint(&message.alert_id, 16),
        }],
    })
}

fn slack(message: &Message) -> Value {
    // Slack reads these three as markup; names of teams and queues come from outside.
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let head = match message.step {
        Step::Opened => ":warning: *Open*",
        Step::Amended => ":pencil2: *Changed*",
        Step::Resolved => ":white_check_mark: *Resolved*",
        Step::Retracted => ":leftwards_arrow_with_hook: *Retracted*",
    };
    let summary = escape(&message.summary);
    let detail = format!("{head} `{}`\n{summary}", escape(&message.rule));
    json!({
        "text": summary,
        "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": detail } }],
    })
}

fn teams(message: &Message) -> Value {
    let fact = |title: &str, value: String| json!({ "title": title, "value": value });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": [
                    {
                        "type": "TextBlock",
                        "size": "Medium",
                        "weight": "Bolder",
                        "wrap": true,
                        "text": message.summary,
                    },
                    {
                        "type": "FactSet",
                        "facts": [
                            fact("Status", message.status.name().to_owned()),
                            fact("Value / limit", format!("{} / {}", message.value, message.threshold)),
                            fact("Members", message.members.join(", ")),
                        ],
                    },
                ],
            },
        }],
    })
}

/// The first `digits` hexadecimal digits of the alert's SHA-256.
fn fingerprint(alert_id: &str, digits: usize) -> String {
    let mut text = format!("{:x}", Sha256::digest(alert_id.as_bytes()));
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::{notification, resolve};
    use super::*;

    fn body(format: Format, step: Step) -> Value {
        format.body(&Message::of(&notification("drift/T0042/1", 3, step), &resolve()), "R0")
    }

    #[test]
    fn pagerduty_triggers_and_resolves_one_incident() {
        let opened = body(Format::Pagerduty, Step::Opened);
        assert_eq!(opened["event_action"], "trigger");
        assert_eq!(opened["routing_key"], "R0");
        for step in [Step::Resolved, Step::Retracted] {
            let closed = body(Format::Pagerduty, step);
            assert_eq!(closed["event_action"], "resolve");
            assert_eq!(closed["dedup_key"], opened["dedup_key"]);
        }
    }

    #[test]
    fn pagerduty_keys_fit_and_stay_distinct() {
        let long = |end: &str| {
            let alert = format!("{}{end}", "x".repeat(300));
            Format::Pagerduty.body(&Message::of(&notification(&alert, 1, Step::Opened), &resolve()), "")
                ["dedup_key"]
                .clone()
        };
        assert!(long("a").as_str().is_some_and(|key| key.len() <= DEDUP_KEY_MAX));
        assert_ne!(long("a"), long("b"));
    }

    #[test]
    fn alertmanager_fires_then_resolves_with_an_end() {
        let firing = body(Format::Alertmanager, Step::Amended);
        assert_eq!(firing["status"], "firing");
        assert_eq!(firing["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");
        let resolved = body(Format::Alertmanager, Step::Resolved);
        assert_eq!(resolved["alerts"][0]["status"], "resolved");
        assert_eq!(resolved["alerts"][0]["endsAt"], "2026-05-15T10:12:31.250Z");
        assert_eq!(resolved["alerts"][0]["fingerprint"], firing["alerts"][0]["fingerprint"]);
    }

    #[test]
    fn slack_markup_is_escaped() {
        let mut odd = notification("a", 1, Step::Opened);
        odd.incident.scope = "<!channel> & co".into();
        let body = Format::Slack.body(&Message::of(&odd, &resolve()), "");
        let text = body["text"].as_str().unwrap_or_default();
        assert!(text.contains("&lt;!channel&gt; &amp; co"), "{text}");
    }

    #[test]
    fn every_format_carries_the_sentence() {
        for format in [
            Format::Highwater,
            Format::Pagerduty,
            Format::Alertmanager,
            Format::Slack,
            Format::Teams,
        ] {
            assert!(body(format, Step::Opened).to_string().contains("4 of its agents"));
        }
    }
}
