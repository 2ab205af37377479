//! The call log of an anonymous bank (Technion, 1999): tab-separated rows into contact and agent events.
//!
//! Local times are taken as UTC. A month is small: it is read whole, sorted by event time, and handed over as
//! fast as it is asked for. Position: entries handed over so far, profiles included.

mod history;
mod row;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::PathBuf;

use highwater_dataflow::{BEGINNING, EventTime};
use highwater_model::{Envelope, EventKey, encode};
use serde::Deserialize;

use crate::intake::Intake;
use crate::source::{Next, POLL_MAX, Polled, Source, SourceError};
use history::Entry;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The log, `calls_february.tsv` for example.
    pub path: PathBuf,
}

/// The log as a source of one partition.
pub struct AnonymousBank {
    entries: Vec<Entry>,
    /// Entries handed over.
    position: usize,
    /// Greatest event time handed over: the clock of a replay.
    received_at: EventTime,
}

impl AnonymousBank {
    /// Entries in the whole log: what [`Source::position`] ends at.
    pub fn entries(&self) -> u64 {
        self.entries.len() as u64
    }
}

impl Source for AnonymousBank {
    type Config = Config;

    fn partitions(_: &Config) -> Vec<String> {
        vec!["anonymous-bank".to_owned()]
    }

    fn open(config: Config, resume: &[Option<u64>]) -> Result<Self, SourceError> {
        let path = config.path;
        let log = match fs::read(&path) {
            Ok(log) => log,
            Err(source) => return Err(SourceError::Open { path, source }),
        };
        let header =
            log.iter().position(|byte| *byte == b'\n').filter(|_| log.starts_with(b"vru+line\t"));
        let Some(header) = header else {
            let reason =
                "does not start with the header `vru+line<TAB>call_id…`: is it the call log?";
            return Err(SourceError::Format { path, reason: reason.to_owned() });
        };
        let entries = history::entries(&log[header + 1..]);
        let resumed = resume.first().copied().flatten().unwrap_or(0);
        let position = usize::try_from(resumed).ok().filter(|position| *position <= entries.len());
        let Some(position) = position else {
            let reason =
                format!("ends before entry {resumed}, where it was read to: is it another file?");
            return Err(SourceError::Format { path, reason });
        };
        let received_at = entries[..position].iter().filter_map(at).max().unwrap_or(BEGINNING);
        Ok(Self { entries, position, received_at })
    }

    fn poll(&mut self, now: EventTime, out: &mut Vec<Intake>) -> Result<Polled, SourceError> {
        let end = self.entries.len().min(self.position + POLL_MAX);
        for entry in &self.entries[self.position..end] {
            self.position += 1;
            self.received_at = self.received_at.max(at(entry).unwrap_or(BEGINNING));
            out.push(intake(entry, self.position as u64));
        }
        let next = if end < self.entries.len() { Next::Ready } else { Next::Done };
        // A log without one good row has no time of its own.
        let received_at = if self.received_at == BEGINNING { now } else { self.received_at };
        Ok(Polled { partition: 0, received_at, next })
    }

    fn position(&self, _: usize) -> u64 {
        self.position as u64
    }
}

fn at(entry: &Entry) -> Option<EventTime> {
    match entry {
        Entry::Event { at, .. } => Some(*at),
        Entry::Bad { .. } => None,
    }
}

fn intake(entry: &Entry, position: u64) -> Intake {
    match entry {
        Entry::Event { at, id, event } => {
            let envelope =
                Envelope { seq: 0, key: EventKey::default(), at: *at, event: event.clone() };
            Intake::native(encode(&envelope, id).into_bytes(), position)
        }
        Entry::Bad { line, reason } => Intake::rejected(line.clone(), position, reason.clone()),
    }
}
