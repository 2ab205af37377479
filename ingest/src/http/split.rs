//! A body cut into events, each with its own bytes untouched: what the journal keeps is what the sender wrote.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::refusal::Refusal;

/// Deepest nesting of an event; no event has more than four levels, and recursion must have an end.
const DEPTH_MAX: usize = 64;

/// How events are put together in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One object, or an array.
    Json,
    /// One value on each line; an array is taken for what it is.
    Lines,
}

/// Cuts `body` into at most `events_max` events.
///
/// Of lines only the cut is checked: a line that is no JSON is one bad event among its siblings.
pub(super) fn split(body: &[u8], form: Form, events_max: usize) -> Result<Vec<&[u8]>, Refusal> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match (body.trim_ascii_start().first(), form) {
        (None, _) => Err(Refusal::NotJson("it is empty".to_owned())),
        (Some(b'['), _) => array(body, events_max),
        (Some(_), Form::Lines) => lines(body, events_max),
        (Some(b'{'), Form::Json) => object(body),
        (Some(_), Form::Json) => {
            Err(Refusal::NotJson("it begins neither with { nor with [".to_owned()))
        }
    }
}

/// Where `raw` stops being JSON, if it does.
pub(super) fn flaw(raw: &[u8]) -> Option<String> {
    serde_json::from_slice::<&RawValue>(raw).err().map(|error| error.to_string())
}

/// Whether `raw` nests deeper than [`DEPTH_MAX`].
pub(super) fn too_deep(raw: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in raw {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

fn object(body: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    let error = match serde_json::from_slice::<&RawValue>(body) {
        Ok(raw) => return Ok(vec![raw.get().as_bytes()]),
        Err(error) => error,
    };
    let mut said = error.to_string();
    if flaw_after_first_value(body, &error) {
        said.push_str("; several events on lines of their own are application/x-ndjson");
    }
    Err(Refusal::NotJson(said))
}

/// Lines sent as `application/json` fail at the second one: the commonest mistake deserves its own hint.
fn flaw_after_first_value(body: &[u8], error: &serde_json::Error) -> bool {
    error.is_syntax()
        && serde_json::Deserializer::from_slice(body)
            .into_iter::<&RawValue>()
            .next()
            .is_some_and(|first| first.is_ok())
}

fn lines(body: &[u8], events_max: usize) -> Result<Vec<&[u8]>, Refusal> {
    let mut events = Vec::new();
    for line in body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        if line.is_empty() {
            continue;
        }
        if events.len() == events_max {
            return Err(Refusal::TooMany { limit: events_max });
        }
        events.push(line);
    }
    Ok(events)
}

fn array(body: &[u8], events_max: usize) -> Result<Vec<&[u8]>, Refusal> {
    let too_many = Cell::new(false);
    let mut json = serde_json::Deserializer::from_slice(body);
    let events = Elements { events_max, too_many: &too_many }.deserialize(&mut json);
    match events.and_then(|events| json.end().map(|()| events)) {
        Ok(events) => Ok(events),
        Err(_) if too_many.get() => Err(Refusal::TooMany { limit: events_max }),
        Err(error) => Err(Refusal::NotJson(error.to_string())),
    }
}

/// The elements of an array as raw bytes; stops at the limit, not after holding a million of them.
struct Elements<'a> {
    events_max: usize,
    too_many: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = Vec<&'de [u8]>;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = Vec<&'de [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        while let Some(raw) = elements.next_element::<&RawValue>()? {
            if events.len() == self.events_max {
                self.too_many.set(true);
                return Err(A::Error::custom("too many events"));
            }
            events.push(raw.get().as_bytes());
        }
        Ok(events)
    }
}
