//! Decoding: bytes into an event, or the reason why they are none.
//!
//! Pure and total: every input gives one or the other, and the same one on every machine.

use std::fmt;

use crate::event::{
    AbandonStage, Activity, ActivityMapping, AgentProfile, AgentStateChange, ContactAbandoned,
    ContactArrival, ContactComplete, Envelope, Event, ForecastRefresh, ForecastUpdate,
    QueueProfile, QueueUpdate, RuleParameter, RuleUpdate, ScheduleUpdate,
};
use crate::ids::{ActivityCode, EventKey};
use crate::opening::opening;
use crate::reading::Entry;
use crate::state::{AgentState, Channel, ServiceLevel, Verdict};
use crate::wire::{Field, Wire};

/// An event as decoded, and how much of it we did not understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// With `seq` 0: the journal has not placed it yet.
    pub envelope: Envelope,
    /// Fields the event's type does not have, nested ones included. Their bytes stay in the journal.
    pub unknown_fields: u32,
    /// Enum values nobody knows; they decode to the enum's default.
    pub unknown_values: u32,
}

/// Why bytes are not an event, in words that tell the sender what to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

/// Default of `short_abandon_s`: contacts that give up this soon never meant to wait.
const SHORT_ABANDON_MS: i64 = 5000;
/// Bound of one scheduled activity or forecast interval: a leave of a year, not a slip of the century.
const SPAN_MS_MAX: i64 = 366 * 86_400_000;

/// Reads one event from one JSON object.
///
/// Fields may come in any order. Unknown fields and unknown enum values are counted, never refused. A known field of
/// the wrong type, out of range or sent twice makes the event malformed, unless its type has no such field. Whole
/// numbers may be written as floats; durations and amounts are rounded to the unit we keep.
pub fn decode(raw: &[u8]) -> Result<Decoded, Malformed> {
    let mut wire = Wire::new();
    wire.read(raw)?;
    let event_type = wire.get(Field::EventType).id_text()?;
    let key = EventKey::of(wire.get(Field::EventId).id_text()?);
    let at = wire.get(Field::Timestamp).instant()?;
    let mut unknown = Unknown::default();
    let event = match event_type {
        "AgentStateChange" => agent_state_change(&wire, &mut unknown),
        "ContactArrival" => contact_arrival(&wire, &mut unknown),
        "ContactComplete" => contact_complete(&wire),
        "ContactAbandoned" => contact_abandoned(&wire, &mut unknown),
        "QueueUpdate" => queue_update(&wire),
        "ForecastRefresh" => forecast_refresh(&wire),
        "AgentProfile" => agent_profile(&wire),
        "ScheduleUpdate" => schedule_update(&wire, &mut unknown),
        "ActivityMapping" => activity_mapping(&wire, &mut unknown),
        "QueueProfile" => queue_profile(&wire, &mut unknown),
        "ForecastUpdate" => forecast_update(&wire),
        "RuleUpdate" => rule_update(&wire),
        _ => return Err(wire.get(Field::EventType).not(EVENT_TYPES, event_type)),
    }
    .map_err(|Malformed(reason)| Malformed(format!("{event_type}: {reason}")))?;
    Ok(Decoded {
        envelope: Envelope { seq: 0, key, at, event },
        unknown_fields: wire.unknown_fields().saturating_add(unknown.fields),
        unknown_values: unknown.values,
    })
}

const EVENT_TYPES: &str = "one of AgentStateChange, ContactArrival, ContactComplete, \
    ContactAbandoned, QueueUpdate, ForecastRefresh, AgentProfile, ScheduleUpdate, ActivityMapping, \
    QueueProfile, ForecastUpdate, RuleUpdate";

/// What readers met and did not know.
#[derive(Default)]
pub(crate) struct Unknown {
    pub(crate) fields: u32,
    pub(crate) values: u32,
}

fn agent_state_change(wire: &Wire<'_>, unknown: &mut Unknown) -> Result<Event, Malformed> {
    Ok(Event::AgentStateChange(AgentStateChange {
        agent: wire.get(Field::AgentId).id()?,
        previous: wire
            .get(Field::PreviousState)
            .choice_or_default(AgentState::parse, &mut unknown.values)?,
        new: wire.get(Field::NewState).choice(AgentState::parse, &mut unknown.values)?,
        reason: wire.get(Field::StateReason).name_or_none()?,
        queue: wire.get(Field::QueueId).id_or_none()?,
        contact: wire.get(Field::ContactId).id_or_none()?,
        source: wire.get(Field::Source).name_or_none()?,
    }))
}

fn contact_arrival(wire: &Wire<'_>, unknown: &mut Unknown) -> Result<Event, Malformed> {
    wire.ignore(Field::Ani);
    wire.ignore(Field::IvrPath);
    Ok(Event::ContactArrival(ContactArrival {
        contact: wire.get(Field::ContactId).id()?,
        queue: wire.get(Field::QueueId).id()?,
        channel: wire.get(Field::Channel).choice(Channel::parse, &mut unknown.values)?,
        estimated_handle_s: wire.get(Field::EstimatedHandleTime).scaled_or_none(1)?,
    }))
}

fn contact_complete(wire: &Wire<'_>) -> Result<Event, Malformed> {
    Ok(Event::ContactComplete(ContactComplete {
        contact: wire.get(Field::ContactId).id()?,
        queue: wire.get(Field::QueueId).id()?,
        agent: wire.get(Field::AgentId).id()?,
        handle_ms: wire.get(Field::HandleTimeMs).scaled(1)?,
        talk_ms: wire.get(Field::TalkTimeMs).scaled(1)?,
        hold_ms: wire.get(Field::HoldTimeMs).scaled(1)?,
        acw_ms: wire.get(Field::AcwTimeMs).scaled(1)?,
        disposition: wire.get(Field::Disposition).name_or_none()?,
        transfer: wire.get(Field::Transfer).flag_or_false()?,
        wait_ms: wire.get(Field::WaitMs).scaled_or_none(1)?,
    }))
}

fn contact_abandoned(wire: &Wire<'_>, unknown: &mut Unknown) -> Result<Event, Malformed> {
    Ok(Event::ContactAbandoned(ContactAbandoned {
        contact: wire.get(Field::ContactId).id()?,
        queue: wire.get(Field::QueueId).id()?,
        wait_ms: wire.get(Field::WaitMs).scaled(1)?,
        stage: wire
            .get(Field::Stage)
            .choice_or_default(AbandonStage::parse, &mut unknown.values)?,
    }))
}

fn queue_update(wire: &Wire<'_>) -> Result<Event, Malformed> {
    Ok(Event::QueueUpdate(QueueUpdate {
        queue: wire.get(Field::QueueId).id()?,
        contacts_waiting: wire.get(Field::ContactsWaiting).count()?,
        longest_wait_s: wire.get(Field::LongestWaitSeconds).scaled(1)?,
        agents_available: wire.get(Field::AgentsAvailable).count()?,
        agents_on_call: wire.get(Field::AgentsOnCall).count()?,
        agents_acw: wire.get(Field::AgentsAcw).count()?,
        agents_aux: wire.get(Field::AgentsAux).count()?,
        service_level_ppm: wire.get(Field::ServiceLevelCurrent).share_ppm_or_none()?,
        interval_volume: wire.get(Field::IntervalVolumeSoFar).count_or_none()?,
        interval_aht_ms: wire.get(Field::IntervalAhtSoFar).scaled_or_none(1000)?,
    }))
}

fn forecast_refresh(wire: &Wire<'_>) -> Result<Event, Malformed> {
    Ok(Event::ForecastRefresh(ForecastRefresh {
        forecast_version: wire.get(Field::ForecastVersion).name()?,
        queue: wire.get(Field::QueueId).id()?,
        intervals_updated: wire.get(Field::IntervalsUpdated).count()?,
        trigger: wire.get(Field::Trigger).name()?,
        method: wire.get(Field::Method).name()?,
        volume_change_mpct: wire.get(Field::VolumeChangePct).scaled_signed(1000)?,
        confidence_ppm: wire.get(Field::Confidence).share_ppm()?,
    }))
}

fn agent_profile(wire: &Wire<'_>) -> Result<Event, Malformed> {
    Ok(Event::AgentProfile(AgentProfile {
        agent: wire.get(Field::AgentId).id()?,
        name: wire.get(Field::Name).name_or_none()?,
        team: wire.get(Field::TeamId).id()?,
        site: wire.get(Field::SiteId).id()?,
        skills: wire.get(Field::Skills).list()?.map(Entry::id).collect::<Result<_, _>>()?,
    }))
}

fn schedule_update(wire: &Wire<'_>, unknown: &mut Unknown) -> Result<Event, Malformed> {
    Ok(Event::ScheduleUpdate(ScheduleUpdate {
        agent: wire.get(Field::AgentId).id()?,
        shift: wire.get(Field::ShiftId).id()?,
        version: wire.get(Field::Version).version()?,
        activities: wire
            .get(Field::Activities)
            .list()?
            .map(|item| activity(item, unknown))
            .collect::<Result<_, _>>()?,
    }))
}

fn activity(item: Entry<'_>, unknown: &mut Unknown) -> Result<Activity, Malformed> {
    let ([start, end, code], others) = item.object(["start", "end", "activity_code"])?;
    unknown.fields = unknown.fields.saturating_add(others);
    let (start_at, end_at) = span(start, end)?;
    Ok(Activity { start_at, end_at, code: activity_code(code)? })
}

/// Two instants, the second after the first by at most a year.
fn span(start: Entry<'_>, end: Entry<'_>) -> Result<(i64, i64), Malformed> {
    let (start_at, end_at) = (start.instant()?, end.instant()?);
    if end_at <= start_at {
        return Err(end.because(&format!("must be after {}", start.place)));
    }
    if end_at - start_at > SPAN_MS_MAX {
        return Err(end.because(&format!("must be at most 366 days after {}", start.place)));
    }
    Ok((start_at, end_at))
}

fn activity_code(entry: Entry<'_>) -> Result<ActivityCode, Malformed> {
    let code = ActivityCode::normalised(entry.id_text()?);
    if code.as_str().is_empty() {
        return Err(entry.because("must hold a letter or a digit"));
    }
    Ok(code)
}

fn activity_mapping(wire: &Wire<'_>, unknown: &mut Unknown) -> Result<Event, Malformed> {
    Ok(Event::ActivityMapping(ActivityMapping {
        activity: match wire.get(Field::ActivityCode) {
            entry if entry.null() => return Err(entry.because(NOTHING_SCHEDULED)),
            entry => activity_code(entry)?,
        },
        state: wire.get(Field::State).choice(AgentState::parse, &mut unknown.values)?,
        verdict: wire.get(Field::Verdict).choice(Verdict::parse, &mut unknown.values)?,
    }))
}

const NOTHING_SCHEDULED: &str = "must name an activity, not null: time in which nothing is scheduled is always \
    unscheduled, whatever the state; leave this mapping out";

fn queue_profile(wire: &Wire<'_>, unknown: &mut Unknown) -> Result<Event, Malformed> {
    let hours = wire.get(Field::Opening);
    Ok(Event::QueueProfile(QueueProfile {
        queue: wire.get(Field::QueueId).id()?,
        channel: wire.get(Field::Channel).choice(Channel::parse, &mut unknown.values)?,
        target_ppm: wire.get(Field::ServiceLevelTarget).share_ppm()?,
        threshold_ms: wire.get(Field::ServiceLevelThresholdS).scaled(1000)?,
        short_abandon_ms: wire
            .get(Field::ShortAbandonS)
            .scaled_or_none(1000)?
            .unwrap_or(SHORT_ABANDON_MS),
        service_level: wire
            .get(Field::ServiceLevelDefinition)
            .choice_or_default(ServiceLevel::parse, &mut unknown.values)?,
        overflow_threshold: wire.get(Field::OverflowThreshold).count_or_none()?,
        opening: if hours.unset() { None } else { Some(opening(hours, unknown)?) },
    }))
}

fn forecast_update(wire: &Wire<'_>) -> Result<Event, Malformed> {
    let (interval_start_at, interval_end_at) =
        span(wire.get(Field::IntervalStart), wire.get(Field::IntervalEnd))?;
    Ok(Event::ForecastUpdate(ForecastUpdate {
        queue: wire.get(Field::QueueId).id()?,
        interval_start_at,
        interval_end_at,
        volume_milli: wire.get(Field::Volume).scaled(1000)?,
        aht_ms: wire.get(Field::AhtS).scaled(1000)?,
        version: wire.get(Field::Version).version_or_zero()?,
    }))
}

fn rule_update(wire: &Wire<'_>) -> Result<Event, Malformed> {
    let given = wire.get(Field::Parameters);
    let mut parameters = Vec::new();
    if !given.unset() {
        for (name, value) in given.named_values()? {
            let value_milli = value.scaled_signed(1000).map_err(|Malformed(reason)| {
                // The sender looks for a name, not for the place it came in.
                let (place, named) = (value.place.to_string(), format!("`parameters.{name}`"));
                Malformed(reason.replacen(&place, &named, 1))
            })?;
            parameters.push(RuleParameter { name, value_milli });
        }
    }
    parameters.sort_unstable();
    Ok(Event::RuleUpdate(RuleUpdate {
        rule: wire.get(Field::Rule).id()?,
        scope: wire.get(Field::Scope).id_or_none()?,
        enabled: wire.get(Field::Enabled).flag_or_none()?,
        parameters,
    }))
}
