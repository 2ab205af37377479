//! The wire shape of every event: one flat table of fields, filled in a single pass over borrowed text.
//!
//! Nothing is judged here: a field of the wrong type is kept as it came, so that the event type decides whether it
//! matters and the reason can name the field. Scalars are borrowed from the input; only text with escapes and the
//! few nested fields are copied.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::decode::Malformed;
use crate::json::{Json, JsonVisitor, Value};
use crate::reading::{Entry, Place};

macro_rules! fields {
    ($($variant:ident = $name:literal)*) => {
        /// Every field any event type knows, by its JSON name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Field { $($variant),* }

        const FIELDS: [Field; [$($name),*].len()] = [$(Field::$variant),*];
        const NAMES: [&str; FIELDS.len()] = [$($name),*];
    };
}

fields! {
    EventType = "event_type"
    EventId = "event_id"
    Timestamp = "timestamp"
    AgentId = "agent_id"
    PreviousState = "previous_state"
    NewState = "new_state"
    StateReason = "state_reason"
    QueueId = "queue_id"
    ContactId = "contact_id"
    Source = "source"
    Channel = "channel"
    Ani = "ani"
    IvrPath = "ivr_path"
    EstimatedHandleTime = "estimated_handle_time"
    HandleTimeMs = "handle_time_ms"
    TalkTimeMs = "talk_time_ms"
    HoldTimeMs = "hold_time_ms"
    AcwTimeMs = "acw_time_ms"
    Disposition = "disposition"
    Transfer = "transfer"
    WaitMs = "wait_ms"
    Stage = "stage"
    ContactsWaiting = "contacts_waiting"
    LongestWaitSeconds = "longest_wait_seconds"
    AgentsAvailable = "agents_available"
    AgentsOnCall = "agents_on_call"
    AgentsAcw = "agents_acw"
    AgentsAux = "agents_aux"
    ServiceLevelCurrent = "service_level_current"
    IntervalVolumeSoFar = "interval_volume_so_far"
    IntervalAhtSoFar = "interval_aht_so_far"
    ForecastVersion = "forecast_version"
    IntervalsUpdated = "intervals_updated"
    Trigger = "trigger"
    Method = "method"
    VolumeChangePct = "volume_change_pct"
    Confidence = "confidence"
    Name = "name"
    TeamId = "team_id"
    SiteId = "site_id"
    Skills = "skills"
    ShiftId = "shift_id"
    Version = "version"
    Activities = "activities"
    ActivityCode = "activity_code"
    State = "state"
    Verdict = "verdict"
    ServiceLevelTarget = "service_level_target"
    ServiceLevelThresholdS = "service_level_threshold_s"
    ShortAbandonS = "short_abandon_s"
    ServiceLevelDefinition = "service_level_definition"
    OverflowThreshold = "overflow_threshold"
    Opening = "opening"
    IntervalStart = "interval_start"
    IntervalEnd = "interval_end"
    Volume = "volume"
    AhtS = "aht_s"
    Rule = "rule"
    Scope = "scope"
    Enabled = "enabled"
    Parameters = "parameters"
}

// A field is one bit of a `u64`.
const _: () = assert!(FIELDS.len() <= 64);

impl Field {
    pub(crate) fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    fn bit(self) -> u64 {
        1 << self as u8
    }

    /// One multiplication and one comparison instead of a chain of fifty.
    fn named(name: &str) -> Option<Field> {
        let index = usize::from(BUCKETS[bucket(name.as_bytes())]);
        (*NAMES.get(index)? == name).then(|| FIELDS[index])
    }

    /// Only these keep what is nested in them.
    fn nested(self) -> bool {
        matches!(self, Field::Skills | Field::Activities | Field::Opening | Field::Parameters)
    }
}

/// Which field a name can only be, by its hash; `u8::MAX`: none.
static BUCKETS: [u8; 256] = {
    let mut buckets = [u8::MAX; 256];
    let mut field = 0;
    while field < NAMES.len() {
        let at = bucket(NAMES[field].as_bytes());
        assert!(buckets[at] == u8::MAX, "two fields share a bucket: choose another multiplier");
        buckets[at] = field as u8;
        field += 1;
    }
    buckets
};

/// A perfect hash of the field names (checked above): first byte, last two bytes and length.
const fn bucket(name: &[u8]) -> usize {
    let n = name.len();
    if n < 2 {
        return 0;
    }
    let word = u32::from_le_bytes([name[0], name[n - 2], name[n - 1], n as u8]);
    (word.wrapping_mul(0x7530_5db7) >> 24) as usize
}

/// A JSON object's known fields, as they came.
pub(crate) struct Wire<'a> {
    slots: [Slot<'a>; FIELDS.len()],
    kept: Vec<Json<'a>>,
    /// Fields present, and fields some reader asked for: the difference is unknown to the event's type.
    present: u64,
    asked: Cell<u64>,
    unknown: u32,
    twice: Option<Field>,
}

impl<'a> Wire<'a> {
    pub(crate) fn new() -> Self {
        Wire {
            slots: [Slot::Absent; FIELDS.len()],
            kept: Vec::new(),
            present: 0,
            asked: Cell::new(0),
            unknown: 0,
            twice: None,
        }
    }

    /// Reads one JSON object, to the end of `raw`, into an empty table: in place, because a table is over a kilobyte.
    ///
    /// A known field that appears twice is refused: parsers disagree on which one counts, so ours would be a guess.
    /// Nesting is bounded by `serde_json` where it is kept, and skipped without recursion where it is not.
    pub(crate) fn read(&mut self, raw: &'a [u8]) -> Result<(), Malformed> {
        let text = std::str::from_utf8(raw)
            .map_err(|error| Malformed(format!("not UTF-8 from byte {}", error.valid_up_to())))?;
        let mut parser = serde_json::Deserializer::from_str(text);
        parser.deserialize_map(&mut *self).and_then(|()| parser.end()).map_err(|error| {
            let kind = if error.is_data() { "not an event" } else { "not JSON" };
            Malformed(format!("{kind}: {error}"))
        })?;
        match self.twice {
            Some(field) => {
                Err(Malformed(format!("`{}` appears more than once; send it once", field.name())))
            }
            None => Ok(()),
        }
    }

    #[inline]
    pub(crate) fn get(&self, field: Field) -> Entry<'_> {
        self.ignore(field);
        let value = match self.slots[field as usize] {
            Slot::Absent => Value::Absent,
            Slot::Null => Value::Null,
            Slot::Bool(flag) => Value::Bool(flag),
            Slot::Int(n) => Value::Int(n),
            Slot::Float(x) => Value::Float(x),
            Slot::Text(text) => Value::Text(text),
            Slot::List => Value::List(&[]),
            Slot::Object => Value::Object(&[]),
            Slot::Kept(index) => self.kept[index].value(),
        };
        Entry { place: Place::field(field.name()), value }
    }

    /// The event's type knows `field` but we have no use for it; the journal keeps its bytes.
    pub(crate) fn ignore(&self, field: Field) {
        self.asked.set(self.asked.get() | field.bit());
    }

    /// Fields nobody asked for. Ask after the event is built.
    pub(crate) fn unknown_fields(&self) -> u32 {
        self.unknown + (self.present & !self.asked.get()).count_ones()
    }
}

/// A field's place in the flat table: `Copy`, so that a table of fifty costs nothing to drop.
#[derive(Clone, Copy)]
enum Slot<'a> {
    Absent,
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// A list or object in a field that keeps none: only its kind is known.
    List,
    Object,
    /// In `Wire::kept`.
    Kept(usize),
}

impl<'a> Visitor<'a> for &mut Wire<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one JSON object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(Key(field)) = map.next_key()? {
            let Some(field) = field else {
                map.next_value::<IgnoredAny>()?;
                self.unknown = self.unknown.saturating_add(1);
                continue;
            };
            if self.present & field.bit() != 0 {
                self.twice = Some(field);
            }
            self.present |= field.bit();
            let slot = &mut self.slots[field as usize];
            map.next_value_seed(SlotSeed { slot, kept: &mut self.kept, nested: field.nested() })?;
        }
        Ok(())
    }
}

struct Key(Option<Field>);

impl<'a> Deserialize<'a> for Key {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(Key(Field::named(name)))
            }
        }
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

/// Fills one place of the table, in place too: handed back by value, each slot costs a stalled load.
struct SlotSeed<'w, 'a> {
    slot: &'w mut Slot<'a>,
    kept: &'w mut Vec<Json<'a>>,
    nested: bool,
}

impl<'a> SlotSeed<'_, 'a> {
    fn fill(self, slot: Slot<'a>) {
        *self.slot = slot;
    }

    fn keep(self, json: Json<'a>) {
        *self.slot = Slot::Kept(self.kept.len());
        self.kept.push(json);
    }
}

impl<'a> DeserializeSeed<'a> for SlotSeed<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for SlotSeed<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.fill(Slot::Null);
        Ok(())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<(), E> {
        self.fill(Slot::Bool(flag));
        Ok(())
    }

    fn visit_i64<E>(self, n: i64) -> Result<(), E> {
        self.fill(Slot::Int(n));
        Ok(())
    }

    fn visit_u64<E>(self, n: u64) -> Result<(), E> {
        self.fill(i64::try_from(n).map_or(Slot::Float(n as f64), Slot::Int));
        Ok(())
    }

    fn visit_f64<E>(self, x: f64) -> Result<(), E> {
        self.fill(Slot::Float(x));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<(), E> {
        self.fill(Slot::Text(text));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.keep(Json::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut items: S) -> Result<(), S::Error> {
        if self.nested {
            let list = JsonVisitor.visit_seq(items)?;
            self.keep(list);
            return Ok(());
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.fill(Slot::List);
        Ok(())
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        if self.nested {
            let object = JsonVisitor.visit_map(map)?;
            self.keep(object);
            return Ok(());
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.fill(Slot::Object);
        Ok(())
    }
}
