//! What must hold of a directory that a killed engine left behind, before anybody has mended anything in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use highwater_dataflow::Step;
use highwater_ingest::checkpoint;
use highwater_ingest::journal::{self, JournalError};
use highwater_model::EventKey;
use rusqlite::{Connection, OpenFlags};

use crate::oracle::Oracle;
use crate::receiver::{Key, Line, Mail};
use crate::script;

/// What is remembered of a channel from life to life.
#[derive(Default)]
pub(crate) struct Memory {
    /// Confirmed in the outbox, and how often it had come by then.
    confirmed: BTreeMap<Key, u32>,
    /// Older messages of a run whose outbox was never committed.
    suppressed: BTreeSet<Key>,
}

/// What a directory is held against.
pub(crate) struct Known<'a> {
    /// Numbers of the events that were acknowledged.
    pub(crate) acknowledged: &'a BTreeSet<u64>,
    /// What each channel's receiver has, and what is remembered of it.
    pub(crate) channels: &'a mut BTreeMap<&'static str, (Mail, Memory)>,
    /// The last life ended in order, and its receivers were well.
    pub(crate) settled: bool,
}

/// O1 to O5; the views as of their marker, whatever it is.
pub(crate) fn check(dir: &Path, oracle: &mut Oracle, known: Known<'_>) -> Result<()> {
    let journal_dir = dir.join("journal");
    match journal::verify(&journal_dir) {
        Ok(report) => {
            if let Some(problem) = report.problem {
                bail!("the journal would not open: {problem}");
            }
            if report.witness.is_some_and(|witness| witness.epoch > 0) {
                oracle.follow(&journal_dir)?;
            }
        }
        // Killed before there was one.
        Err(JournalError::Absent { .. }) => {}
        Err(_) if !journal_dir.exists() => {}
        Err(error) => return Err(error).context("the journal cannot be read"),
    }
    for n in known.acknowledged {
        let key = EventKey::of(&script::id(*n)).0;
        ensure!(oracle.has(key), "O1: event {n} was acknowledged and is not journaled");
    }
    let path = dir.join("views.sqlite");
    // A database that was killed while it was made has no marker.
    let had = oracle.marker.is_some();
    let marker = if had { highwater_sinks::marker(&path)? } else { marker_of_new(&path) };
    for found in checkpoint::list(&dir.join("checkpoints"))? {
        let epoch = found.read().context("a checkpoint that has its name is whole")?.about.epoch;
        ensure!(marker >= Some(epoch), "checkpoint {epoch} lies beyond the views at {marker:?}");
    }
    let Some(marker) = marker else {
        ensure!(!had, "the views lost their marker");
        return Ok(());
    };
    oracle.advance(marker)?;
    for view in highwater_sinks::plan(&path, &oracle.desired)? {
        ensure!(view.is_level(), "O3: not what the journal amounts to at {marker}: {view:?}");
    }
    let views = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    counts(&views, oracle)?;
    for (name, (mail, memory)) in known.channels.iter_mut() {
        let outbox = Outbox::of(&views, name)?;
        outbox.check(oracle, mail, memory, !had, known.settled).with_context(|| {
            format!("channel {name}, {} messages, {} received", outbox.states.len(), mail.len())
        })?;
    }
    Ok(())
}

fn marker_of_new(path: &Path) -> Option<u64> {
    highwater_sinks::marker(path).ok().flatten()
}

/// O2, counted by hand: each identity once, every further copy a duplicate.
fn counts(views: &Connection, oracle: &Oracle) -> Result<()> {
    let number = |sql: &str| -> Result<i64> { Ok(views.query_row(sql, [], |row| row.get(0))?) };
    let duplicates = number("SELECT coalesce(sum(duplicates), 0) FROM duplicate_counts")?;
    ensure!(
        duplicates == oracle.duplicates,
        "O2: {duplicates} duplicates counted of {}",
        oracle.duplicates
    );
    let completions = number("SELECT coalesce(sum(completions), 0) FROM contact_record")?;
    ensure!(
        completions == oracle.completions,
        "O2: {completions} completions of {}",
        oracle.completions
    );
    Ok(())
}

/// What the outbox says of one channel.
struct Outbox {
    states: BTreeMap<Key, String>,
}

impl Outbox {
    fn of(views: &Connection, channel: &str) -> Result<Outbox> {
        let sql = "SELECT alert_id, revision, state FROM _delivery WHERE channel = ?1";
        let mut statement = views.prepare(sql)?;
        let rows = statement
            .query_map([channel], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        Ok(Outbox { states: rows })
    }

    /// O5. `new`: the outbox was not there before this life.
    fn check(
        &self,
        oracle: &Oracle,
        mail: &Mail,
        memory: &mut Memory,
        new: bool,
        settled: bool,
    ) -> Result<()> {
        for key in oracle.alerts.keys() {
            ensure!(self.states.contains_key(key), "O5: {key:?} was forgotten by the outbox");
        }
        for (key, state) in &self.states {
            ensure!(oracle.alerts.contains_key(key), "O5: {key:?} was never computed");
            let came = mail.get(key).map_or(0, |(_, times)| *times);
            match state.as_str() {
                "pending" => ensure!(!settled, "O5: {key:?} is still pending after an orderly end"),
                "delivered" => ensure!(came > 0, "O5: {key:?} is confirmed and never came"),
                "suppressed" if new => drop(memory.suppressed.insert(key.clone())),
                "suppressed" => {
                    ensure!(memory.suppressed.contains(key), "O5: {key:?} was suppressed");
                }
                state => bail!("O5: {key:?} is {state}"),
            }
            if state == "delivered" {
                let before = *memory.confirmed.entry(key.clone()).or_insert(came);
                ensure!(before == came, "O5: {key:?} was confirmed, and was sent again");
            }
        }
        let mut last: BTreeMap<&str, &Line> = BTreeMap::new();
        for (key, (line, _)) in mail {
            let step = oracle
                .alerts
                .get(key)
                .with_context(|| format!("O5: {key:?} was sent before the views had it"))?;
            ensure!(
                (line.step.as_str(), line.status.as_str()) == (step.name(), status(*step)),
                "O5: {key:?} was told as {line:?}, and is {step:?}"
            );
            last.insert(&key.0, line);
        }
        self.ends(oracle, &last)
    }

    /// The receiver's last word on each alert is the computed one, unless more of it is pending.
    fn ends(&self, oracle: &Oracle, last: &BTreeMap<&str, &Line>) -> Result<()> {
        // Revisions rise within an alert, and so the last one stays.
        let computed: BTreeMap<&str, u32> =
            oracle.alerts.keys().map(|(alert, revision)| (alert.as_str(), *revision)).collect();
        for (alert, revision) in computed {
            let key = (alert.to_owned(), revision);
            if self.states[&key] == "pending" {
                continue;
            }
            let told = last.get(alert).map(|line| line.revision);
            ensure!(told == Some(revision), "O5: {alert} ends in {revision}, told was {told:?}");
        }
        Ok(())
    }
}

fn status(step: Step) -> &'static str {
    match step {
        Step::Opened | Step::Amended => "open",
        Step::Resolved => "resolved",
        Step::Retracted => "retracted",
    }
}
