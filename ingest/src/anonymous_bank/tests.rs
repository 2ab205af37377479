//! The whole of February 1999 against what others published about it.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use highwater_model::{AbandonStage, AgentState, Event};

use super::history::{Entry, entries};
use super::*;

/// Ms of 1999-02-01 00:00 UTC.
const FEBRUARY: i64 = 917_827_200_000;
const BIN_MS: i64 = 6 * 60_000;
const BINS: usize = 28 * 240;

/// The data folder; `None`, loudly, where there is none.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("HIGHWATER_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        // Past the capturing of test output: a skipped test is seen.
        let hint = "set HIGHWATER_DATA to the data folder";
        writeln!(std::io::stderr(), "SKIPPED: no data in {} ({hint})", folder.display()).unwrap();
        return None;
    }
    Some(folder)
}

fn february() -> Option<Vec<(i64, Event)>> {
    let log = fs::read(data()?.join("anonymous_bank_feb1999/calls_february.tsv")).unwrap();
    let header = log.iter().position(|byte| *byte == b'\n').unwrap();
    let events = entries(&log[header + 1..]).into_iter().map(|entry| match entry {
        Entry::Event { at, event, .. } => (at, event),
        Entry::Bad { reason, .. } => panic!("a row of the real log was refused: {reason}"),
    });
    Some(events.collect())
}

/// Counts per bin; every arrival of the log lies in February.
fn bins(events: &[(i64, Event)], bin: impl Fn(i64) -> i64) -> Vec<i64> {
    let mut counts = vec![0; BINS];
    for (at, event) in events {
        if let Event::ContactArrival(_) = event {
            counts[usize::try_from(bin(at - FEBRUARY)).unwrap()] += 1;
        }
    }
    counts
}

#[test]
fn arrivals_are_the_published_counts() {
    let Some(events) = february() else { return };
    let file = data().unwrap().join("anonymous_bank_1999_6min/callcenter_6min_1999.csv");
    let published: Vec<i64> = fs::read_to_string(file)
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("1999-02-"))
        .map(|line| line.rsplit(',').next().unwrap().trim().parse().unwrap())
        .collect();
    assert_eq!(published.len(), BINS);

    // (start, end], and midnight belongs to the first bin of its day.
    let right = bins(&events, |ms| {
        let (day, clock) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
        day * 240 + (clock - 1).max(0) / BIN_MS
    });
    assert_eq!(right.iter().sum::<i64>(), 33_344);
    assert!(right == published, "every right-closed bin equals the published count");

    let left = bins(&events, |ms| ms / BIN_MS);
    let differing = left.iter().zip(&published).filter(|(ours, theirs)| ours != theirs).count();
    assert_eq!(differing, 172, "[start, end) differs in exactly these bins");
}

#[test]
fn service_levels_are_the_measured_ones() {
    let Some(events) = february() else { return };
    let (mut answered, mut answered_in, mut abandoned, mut abandoned_in, mut short) =
        (0, 0, 0, 0, 0);
    let mut ivr = 0;
    for (_, event) in &events {
        match event {
            Event::ContactComplete(complete) => {
                answered += 1;
                answered_in += i64::from(complete.wait_ms.unwrap() <= 20_000);
            }
            Event::ContactAbandoned(gone) if gone.stage == AbandonStage::Queue => {
                abandoned += 1;
                abandoned_in += i64::from(gone.wait_ms <= 20_000);
                short += i64::from(gone.wait_ms <= 5_000);
            }
            Event::ContactAbandoned(_) => ivr += 1,
            _ => {}
        }
    }
    assert_eq!((answered, abandoned, ivr), (27_162, 3_963, 1_941 + 278));
    let offered = answered + abandoned;
    let percent = |part: i64, whole: i64| format!("{:.2}", part as f64 * 100.0 / whole as f64);
    assert_eq!(percent(answered_in, offered), "52.08");
    assert_eq!(percent(answered_in, answered), "59.68");
    assert_eq!(percent(answered_in + abandoned_in, offered), "56.12");
    assert_eq!(percent(answered_in, offered - abandoned_in), "54.27");
    assert_eq!(percent(answered_in, offered - short), "52.54");
}

#[test]
fn lives_of_contacts_and_agents_are_consistent() {
    let Some(events) = february() else { return };
    assert!(events.is_sorted_by_key(|(at, _)| *at));
    let mut open = BTreeSet::new();
    let mut agents: BTreeMap<&str, AgentState> = BTreeMap::new();
    let mut ended = 0;
    for (at, event) in &events {
        match event {
            Event::ContactArrival(arrival) => assert!(open.insert(&arrival.contact), "{arrival:?}"),
            Event::ContactComplete(end) => ended += usize::from(open.remove(&end.contact)),
            Event::ContactAbandoned(end) => ended += usize::from(open.remove(&end.contact)),
            Event::AgentStateChange(change) => {
                let before = agents.insert(change.agent.as_str(), change.new);
                assert_eq!(before.unwrap_or_default(), change.previous, "at {at}: {change:?}");
                assert_ne!(change.agent.as_str(), "NO_SERVER");
            }
            Event::QueueProfile(_) | Event::AgentProfile(_) => assert_eq!(*at, FEBRUARY),
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!((ended, open.len()), (33_344, 0), "every call ends once, after it began");
    assert_eq!(agents.len(), 24);
    assert!(agents.values().all(|state| *state == AgentState::Available));
}

#[test]
fn events_survive_the_wire() {
    let Some(folder) = data() else { return };
    let path = folder.join("anonymous_bank_feb1999/calls_february.tsv");
    let mut source = AnonymousBank::open(Config { path }, &[]).unwrap();
    let mut ids = BTreeSet::new();
    let mut out = Vec::new();
    loop {
        let polled = source.poll(0, &mut out).unwrap();
        assert!(out.len() <= POLL_MAX);
        for (intake, entry) in out.drain(..).zip(&source.entries[ids.len()..]) {
            let Entry::Event { at, event, .. } = entry else { panic!("{entry:?}") };
            let envelope = intake.decoded.unwrap();
            assert_eq!((envelope.at, &envelope.event), (*at, event));
            assert!(*at <= polled.received_at, "nothing comes from the future");
            assert!(ids.insert(envelope.key), "event ids are unique");
            assert_eq!(intake.position, ids.len() as u64);
        }
        if polled.next == Next::Done {
            break;
        }
    }
    assert_eq!(ids.len() as u64, source.entries());
}

fn written(content: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    file
}

const HEADER: &str = "vru+line\tcall_id\t…\tserver\t\r\n";

fn call(entry: &str, start: &str, end: &str) -> String {
    format!(
        "AA0101\t7\t0\t0\tPS\t990201\t{entry}\t{entry}\t0\t0:00:00\t0:00:00\t0\tAGENT\t{start}\t{end}\t9\tAGENT01\t\r\n"
    )
}

#[test]
fn a_malformed_row_is_a_dead_letter_and_its_siblings_go_on() {
    let log = format!(
        "{HEADER}{}garbage\r\n{}",
        call("7:00:00", "7:00:01", "7:00:10"),
        call("8:00:00", "8:00:01", "8:00:10")
    );
    let file = written(log.as_bytes());
    let config = Config { path: file.path().to_owned() };
    let mut source = AnonymousBank::open(config.clone(), &[]).unwrap();
    let mut out = Vec::new();
    assert_eq!(source.poll(0, &mut out).unwrap().next, Next::Done);
    let bad: Vec<&Intake> = out.iter().filter(|intake| intake.decoded.is_err()).collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].raw, b"garbage");
    assert_eq!(bad[0].decoded.as_ref().unwrap_err(), "row has 1 of 17 tab-separated fields");
    assert_eq!(out.len(), 2 + 1 + 2 * 4, "profiles, dead letter, two calls of four events");

    let mut resumed = AnonymousBank::open(config.clone(), &[Some(5)]).unwrap();
    let mut rest = Vec::new();
    resumed.poll(0, &mut rest).unwrap();
    assert_eq!(
        rest.iter().map(|intake| &intake.raw).collect::<Vec<_>>(),
        out[5..].iter().map(|intake| &intake.raw).collect::<Vec<_>>()
    );
    assert!(matches!(AnonymousBank::open(config, &[Some(99)]), Err(SourceError::Format { .. })));
}

#[test]
fn an_agent_in_two_services_is_available_after_the_last() {
    use AgentState::{Available, OnCall};
    let rows = [
        call("7:00:00", "7:00:00", "7:10:00"),
        call("7:05:00", "7:05:00", "7:08:00"),
        call("7:20:00", "7:20:00", "7:21:00"),
    ];
    let states: Vec<(i64, AgentState)> = entries(rows.concat().as_bytes())
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Event { at, event: Event::AgentStateChange(change), .. } => {
                Some(((at - FEBRUARY) / 60_000 - 7 * 60, change.new))
            }
            _ => None,
        })
        .collect();
    assert_eq!(states, [(0, OnCall), (5, OnCall), (10, Available), (20, OnCall), (21, Available)]);
}

#[test]
fn another_file_is_refused_with_a_hint() {
    let file = written(b"date,Day,Month\n");
    let error = AnonymousBank::open(Config { path: file.path().to_owned() }, &[]).err().unwrap();
    assert!(error.to_string().contains("header"), "{error}");
    assert!(!error.retry());
}
