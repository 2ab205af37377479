//! Encoding: an event as the compact JSON that [`decode`](crate::decode()) reads.

use std::fmt::Write;

use crate::event::{Activity, Envelope, Event, Opening, RuleParameter};
use crate::ids::{ContactId, QueueId};
use crate::opening::{WEEKDAYS, push_clock};
use crate::timestamp::push_ms;

/// Writes `envelope` as one line of JSON, its identity spelled out as `event_id`.
///
/// Decoding gives the same event back, with `seq` 0 and the key of `event_id`. Fields come in the sources' order;
/// what is not known is `null` where the sources say so and left out elsewhere.
pub fn encode(envelope: &Envelope, event_id: &str) -> String {
    let mut json = Object::open(String::with_capacity(320));
    json.text("event_type", envelope.event.event_type());
    json.text("event_id", event_id);
    json.instant("timestamp", envelope.at);
    match &envelope.event {
        Event::AgentStateChange(event) => {
            json.text("agent_id", event.agent.as_str());
            json.text("previous_state", event.previous.name());
            json.text("new_state", event.new.name());
            json.text_or_null("state_reason", event.reason.as_deref());
            json.text_or_null("queue_id", event.queue.as_ref().map(QueueId::as_str));
            json.text_or_null("contact_id", event.contact.as_ref().map(ContactId::as_str));
            json.text_or_null("source", event.source.as_deref());
        }
        Event::ContactArrival(event) => {
            json.text("contact_id", event.contact.as_str());
            json.text("queue_id", event.queue.as_str());
            json.text("channel", event.channel.name());
            json.whole_if_some("estimated_handle_time", event.estimated_handle_s);
        }
        Event::ContactComplete(event) => {
            json.text("contact_id", event.contact.as_str());
            json.text("queue_id", event.queue.as_str());
            json.text("agent_id", event.agent.as_str());
            json.whole("handle_time_ms", event.handle_ms);
            json.whole("talk_time_ms", event.talk_ms);
            json.whole("hold_time_ms", event.hold_ms);
            json.whole("acw_time_ms", event.acw_ms);
            json.text_or_null("disposition", event.disposition.as_deref());
            json.raw("transfer", if event.transfer { "true" } else { "false" });
            json.whole_if_some("wait_ms", event.wait_ms);
        }
        Event::ContactAbandoned(event) => {
            json.text("contact_id", event.contact.as_str());
            json.text("queue_id", event.queue.as_str());
            json.whole("wait_ms", event.wait_ms);
            json.text("stage", event.stage.name());
        }
        Event::QueueUpdate(event) => {
            json.text("queue_id", event.queue.as_str());
            json.whole("contacts_waiting", event.contacts_waiting);
            json.whole("longest_wait_seconds", event.longest_wait_s);
            json.whole("agents_available", event.agents_available);
            json.whole("agents_on_call", event.agents_on_call);
            json.whole("agents_acw", event.agents_acw);
            json.whole("agents_aux", event.agents_aux);
            json.decimal_if_some("service_level_current", event.service_level_ppm, 6);
            json.whole_if_some("interval_volume_so_far", event.interval_volume);
            json.decimal_if_some("interval_aht_so_far", event.interval_aht_ms, 3);
        }
        Event::ForecastRefresh(event) => {
            json.text("forecast_version", &event.forecast_version);
            json.text("queue_id", event.queue.as_str());
            json.whole("intervals_updated", event.intervals_updated);
            json.text("trigger", &event.trigger);
            json.text("method", &event.method);
            json.decimal("volume_change_pct", event.volume_change_mpct, 3);
            json.decimal("confidence", event.confidence_ppm, 6);
        }
        Event::AgentProfile(event) => {
            json.text("agent_id", event.agent.as_str());
            json.text_if_some("name", event.name.as_deref());
            json.text("team_id", event.team.as_str());
            json.text("site_id", event.site.as_str());
            json.list("skills", &event.skills, |out, skill| push_text(out, skill.as_str()));
        }
        Event::ScheduleUpdate(event) => {
            json.text("agent_id", event.agent.as_str());
            json.text("shift_id", event.shift.as_str());
            json.whole("version", event.version);
            json.list("activities", &event.activities, push_activity);
        }
        Event::ActivityMapping(event) => {
            json.text("activity_code", event.activity.as_str());
            json.text("state", event.state.name());
            json.text("verdict", event.verdict.name());
        }
        Event::QueueProfile(event) => {
            json.text("queue_id", event.queue.as_str());
            json.text("channel", event.channel.name());
            json.decimal("service_level_target", event.target_ppm, 6);
            json.decimal("service_level_threshold_s", event.threshold_ms, 3);
            json.decimal("short_abandon_s", event.short_abandon_ms, 3);
            json.text("service_level_definition", event.service_level.name());
            json.whole_if_some("overflow_threshold", event.overflow_threshold);
            if let Some(opening) = &event.opening {
                json.name("opening");
                push_opening(&mut json.out, opening);
            }
        }
        Event::ForecastUpdate(event) => {
            json.text("queue_id", event.queue.as_str());
            json.instant("interval_start", event.interval_start_at);
            json.instant("interval_end", event.interval_end_at);
            json.decimal("volume", event.volume_milli, 3);
            json.decimal("aht_s", event.aht_ms, 3);
            json.whole("version", event.version);
        }
        Event::RuleUpdate(event) => {
            json.text("rule", &event.rule);
            json.text_if_some("scope", event.scope.as_deref());
            if let Some(enabled) = event.enabled {
                json.raw("enabled", if enabled { "true" } else { "false" });
            }
            json.name("parameters");
            push_parameters(&mut json.out, &event.parameters);
        }
    }
    json.close()
}

impl Event {
    /// The name of its type on the wire.
    pub fn event_type(&self) -> &'static str {
        match self {
            Event::AgentStateChange(_) => "AgentStateChange",
            Event::ContactArrival(_) => "ContactArrival",
            Event::ContactComplete(_) => "ContactComplete",
            Event::ContactAbandoned(_) => "ContactAbandoned",
            Event::QueueUpdate(_) => "QueueUpdate",
            Event::ForecastRefresh(_) => "ForecastRefresh",
            Event::AgentProfile(_) => "AgentProfile",
            Event::ScheduleUpdate(_) => "ScheduleUpdate",
            Event::ActivityMapping(_) => "ActivityMapping",
            Event::QueueProfile(_) => "QueueProfile",
            Event::ForecastUpdate(_) => "ForecastUpdate",
            Event::RuleUpdate(_) => "RuleUpdate",
        }
    }
}

fn push_activity(out: &mut String, activity: &Activity) {
    let mut json = Object::open(std::mem::take(out));
    json.instant("start", activity.start_at);
    json.instant("end", activity.end_at);
    json.text("activity_code", activity.code.as_str());
    *out = json.close();
}

fn push_parameters(out: &mut String, parameters: &[RuleParameter]) {
    out.push('{');
    for (index, parameter) in parameters.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_text(out, &parameter.name);
        out.push(':');
        push_decimal(out, parameter.value_milli, 3);
    }
    out.push('}');
}

fn push_opening(out: &mut String, opening: &Opening) {
    let mut json = Object::open(std::mem::take(out));
    json.text("time_zone", &opening.time_zone);
    let days: Vec<&str> =
        (0..7).filter(|day| opening.weekdays >> day & 1 == 1).map(|day| WEEKDAYS[day]).collect();
    json.list("weekdays", &days, |out, day| push_text(out, day));
    for (name, minutes) in [("opens", opening.opens_min), ("closes", opening.closes_min)] {
        json.name(name);
        json.out.push('"');
        push_clock(&mut json.out, minutes);
        json.out.push('"');
    }
    *out = json.close();
}

/// A JSON object being written at the end of `out`.
struct Object {
    out: String,
    empty: bool,
}

impl Object {
    fn open(mut out: String) -> Self {
        out.push('{');
        Object { out, empty: true }
    }

    fn close(mut self) -> String {
        self.out.push('}');
        self.out
    }

    /// Names are our own and need no escapes.
    fn name(&mut self, name: &str) {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.out.push_str(json);
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        push_text(&mut self.out, text);
    }

    fn text_if_some(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn text_or_null(&mut self, name: &str, text: Option<&str>) {
        match text {
            Some(text) => self.text(name, text),
            None => self.raw(name, "null"),
        }
    }

    fn instant(&mut self, name: &str, at: i64) {
        self.raw(name, "\"");
        push_ms(&mut self.out, at);
        self.out.push('"');
    }

    fn whole(&mut self, name: &str, value: i64) {
        self.decimal(name, value, 0);
    }

    fn whole_if_some(&mut self, name: &str, value: Option<i64>) {
        self.decimal_if_some(name, value, 0);
    }

    fn decimal_if_some(&mut self, name: &str, value: Option<i64>, digits: usize) {
        if let Some(value) = value {
            self.decimal(name, value, digits);
        }
    }

    /// `value` with its last `digits` digits after the point: exact, and no longer than need be.
    fn decimal(&mut self, name: &str, value: i64, digits: usize) {
        self.name(name);
        push_decimal(&mut self.out, value, digits);
    }

    fn list<T>(&mut self, name: &str, items: &[T], push: impl Fn(&mut String, &T)) {
        self.raw(name, "[");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            push(&mut self.out, item);
        }
        self.out.push(']');
    }
}

const STRING: &str = "a string takes all that is written";

fn push_decimal(out: &mut String, value: i64, digits: usize) {
    if value < 0 {
        out.push('-');
    }
    let unit = 10_u64.pow(digits as u32);
    let (whole, fraction) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
    write!(out, "{whole}").expect(STRING);
    if fraction > 0 {
        write!(out, ".{fraction:0digits$}").expect(STRING);
        out.truncate(out.trim_end_matches('0').len());
    }
}

fn push_text(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\')
    {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            byte @ (b'"' | b'\\') => out.extend(['\\', char::from(byte)]),
            byte => write!(out, "\\u{byte:04x}").expect(STRING),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}
