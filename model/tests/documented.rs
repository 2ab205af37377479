//! The reference of events, `docs/events.md`, held to the decoder: every type, every field, whether it is required, and
//! every spelling.
//!
//! What the decoder knows is asked of it: a field that it counts as unknown, or misses, is no field of the type. The
//! names to ask for, and the spellings, are read from its sources.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;

use highwater_model::{
    AbandonStage, AgentState, Channel, Decoded, Malformed, ServiceLevel, Verdict, decode,
};
use serde_json::{Map, Value, json};

const DOCUMENT: &str = include_str!("../../docs/events.md");
const WIRE: &str = include_str!("../src/wire.rs");
const STATE: &str = include_str!("../src/state.rs");

/// Fields that every type has; the document tells them once.
const COMMON: [&str; 3] = ["event_type", "event_id", "timestamp"];
/// Marks a field that must be there, in a table's third column.
const REQUIRED: &str = "required";

/// What the document has under one `###` heading.
struct Section<'d> {
    heading: &'d str,
    /// The cells of its tables' rows.
    rows: Vec<Vec<&'d str>>,
    /// Its blocks of JSON.
    json: Vec<String>,
}

fn sections() -> Vec<Section<'static>> {
    let mut sections = vec![Section { heading: "", rows: Vec::new(), json: Vec::new() }];
    let mut block: Option<(&str, String)> = None;
    for line in DOCUMENT.lines() {
        let section = sections.last_mut().unwrap();
        match &mut block {
            Some((language, text)) => {
                if line != "```" {
                    text.push_str(line);
                    text.push('\n');
                } else if *language == "json" {
                    section.json.push(block.take().unwrap().1);
                } else {
                    block = None;
                }
            }
            None => {
                if let Some(language) = line.strip_prefix("```") {
                    block = Some((language, String::new()));
                } else if line.starts_with('#') {
                    let heading = line.trim_start_matches(['#', ' ']);
                    sections.push(Section { heading, rows: Vec::new(), json: Vec::new() });
                } else if let Some(row) = line.strip_prefix("| ") {
                    let row = row.trim_end_matches(['|', ' ']);
                    section.rows.push(row.split(" | ").map(str::trim).collect());
                }
            }
        }
    }
    assert!(block.is_none(), "a block is not closed");
    sections
}

fn section(heading: &str) -> Section<'static> {
    let found = sections().into_iter().find(|section| section.heading == heading);
    found.unwrap_or_else(|| panic!("docs/events.md has no section `{heading}`"))
}

/// The types that the decoder names when it is asked for one that is none.
fn event_types() -> Vec<String> {
    let odd = json!({"event_type": "?", "event_id": "e", "timestamp": "2026-05-15T14:32:07Z"});
    let Malformed(reason) = decode(odd.to_string().as_bytes()).unwrap_err();
    let (_, list) = reason.split_once("one of ").unwrap();
    let (list, _) = list.split_once(", not").unwrap();
    list.split(", ").map(str::to_owned).collect()
}

/// Every field name of the wire, whatever type has it.
fn wire_fields() -> Vec<&'static str> {
    let (_, list) = WIRE.split_once("\nfields! {\n").unwrap();
    let (list, _) = list.split_once("\n}").unwrap();
    list.lines().map(|line| line.split('"').nth(1).unwrap()).collect()
}

fn read(event: &Map<String, Value>) -> Result<Decoded, Malformed> {
    decode(serde_json::to_string(event).unwrap().as_bytes())
}

fn example(event_type: &str) -> Map<String, Value> {
    let json = section(event_type).json;
    assert_eq!(json.len(), 1, "{event_type}: one example");
    serde_json::from_str(&json[0]).unwrap_or_else(|error| panic!("{event_type}: {error}"))
}

/// A type's documented fields, each with whether it is required. Names of nested ones are paths.
fn documented(event_type: &str) -> Vec<(&'static str, bool)> {
    let rows = section(event_type).rows;
    let fields = rows.iter().filter(|row| row[0].starts_with('`'));
    fields.map(|row| (row[0].trim_matches('`'), row[2] == REQUIRED)).collect()
}

#[test]
fn every_example_is_an_event_of_its_type_with_nothing_unknown() {
    let types = event_types();
    assert_eq!(types.len(), 12);
    for section in sections() {
        for json in section.json {
            let heading = section.heading;
            let decoded = decode(json.as_bytes()).unwrap_or_else(|why| panic!("{why}\n{json}"));
            assert_eq!((decoded.unknown_fields, decoded.unknown_values), (0, 0), "{json}");
            assert_eq!(decoded.envelope.event.event_type(), heading, "{json}");
        }
    }
    for event_type in &types {
        example(event_type);
        assert!(documented(event_type).len() > 1, "{event_type} has a table of its fields");
    }
}

#[test]
fn every_field_the_decoder_knows_is_documented_and_no_other() {
    let wire = wire_fields();
    assert!(wire.len() > 50, "the list of fields was not found");
    for event_type in event_types() {
        let example = example(&event_type);
        let told: BTreeSet<&str> = documented(&event_type).into_iter().map(|(f, _)| f).collect();
        for field in wire.iter().filter(|field| !COMMON.contains(field)) {
            let mut asked = example.clone();
            asked.insert((*field).to_owned(), Value::Null);
            // A required field is known as well: null is then an error.
            let known = read(&asked).map_or(true, |decoded| decoded.unknown_fields == 0);
            assert_eq!(told.contains(field), known, "{event_type}: `{field}`");
        }
        let plain = told.iter().filter(|field| !field.contains('.'));
        for field in plain {
            assert!(example.contains_key(*field), "{event_type}: `{field}` is not in the example");
        }
    }
    let common: Vec<(&str, bool)> = documented("What holds for all events");
    assert_eq!(common, COMMON.map(|field| (field, true)));
}

#[test]
fn fields_are_required_where_the_document_says_so() {
    for event_type in event_types() {
        let example = example(&event_type);
        let fields = documented(&event_type).into_iter().chain(COMMON.map(|field| (field, true)));
        for (field, required) in fields {
            let mut without = example.clone();
            remove(&mut without, field);
            let read = read(&without);
            assert_eq!(read.is_err(), required, "{event_type}: `{field}` left out: {read:?}");
            if let Err(Malformed(reason)) = read {
                let place = field.replace("[]", "[0]");
                assert!(reason.contains(&format!("`{place}`")), "{event_type}: {reason}");
            }
        }
        // What the example nests is documented, too.
        for (name, value) in &example {
            let (path, nested) = match value {
                Value::Object(_) if name == "parameters" => continue,
                Value::Object(nested) => (format!("{name}."), Some(nested)),
                Value::Array(items) => {
                    (format!("{name}[]."), items.first().and_then(Value::as_object))
                }
                _ => continue,
            };
            for inner in nested.into_iter().flat_map(Map::keys) {
                let path = format!("{path}{inner}");
                let told = documented(&event_type).iter().any(|(field, _)| *field == path);
                assert!(told, "{event_type}: `{path}`");
            }
        }
    }
}

/// Takes a field out, by its path: of a list's objects, out of the first.
fn remove(event: &mut Map<String, Value>, path: &str) {
    let removed = match path.split_once('.') {
        None => event.remove(path),
        Some((outer, inner)) => {
            let held = match outer.strip_suffix("[]") {
                Some(list) => &mut event[list][0],
                None => &mut event[outer],
            };
            held.as_object_mut().unwrap().remove(inner)
        }
    };
    assert!(removed.is_some(), "`{path}` is not in the example");
}

#[test]
fn spellings_are_read_as_documented_and_none_is_missing() {
    let mut told = BTreeSet::new();
    told.extend(spelled("Agent states", AgentState::ALL, AgentState::name, AgentState::parse));
    told.extend(spelled("Channels", Channel::ALL, Channel::name, Channel::parse));
    told.extend(spelled("Verdicts", Verdict::ALL, Verdict::name, Verdict::parse));
    let definitions = "Service level definitions";
    told.extend(spelled(definitions, ServiceLevel::ALL, ServiceLevel::name, ServiceLevel::parse));
    told.extend(spelled("Stages", AbandonStage::ALL, AbandonStage::name, AbandonStage::parse));

    let (_, list) = STATE.split_once("\nspellings! { AgentState:").unwrap();
    let (list, _) = list.split_once("\n/// Longest").unwrap();
    let known: BTreeSet<String> =
        list.split("b\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    assert!(known.len() > 50, "the list of spellings was not found");
    assert_eq!(told, known, "without separators");
}

/// All spellings of a table, without separators. Its rows are in the order of the values, which is that of
/// two at one instant.
fn spelled<T: Copy + PartialEq + std::fmt::Debug>(
    heading: &str,
    all: &[T],
    name: fn(T) -> &'static str,
    parse: fn(&str) -> Option<T>,
) -> Vec<String> {
    let rows = section(heading).rows;
    let rows: Vec<&Vec<&str>> = rows.iter().filter(|row| row[0].starts_with('`')).collect();
    let names: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    let expected: Vec<&str> = all.iter().map(|value| name(*value)).collect();
    assert_eq!(names, expected, "{heading}");
    let mut told = Vec::new();
    for (row, value) in rows.iter().zip(all) {
        let cells = row.iter().take(if heading.starts_with(['A', 'C']) { 2 } else { 1 });
        for text in cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
            assert_eq!(parse(text), Some(*value), "{heading}: {text}");
            told.push(text.chars().filter(char::is_ascii_alphanumeric).collect());
        }
    }
    told
}
