//! What must hold of a directory that a killed engine left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use highwater_dataflow::Epoch;
use highwater_ingest::checkpoint;
use highwater_ingest::journal::{self, Scan};
use highwater_model::EventKey;
use highwater_queries::Settings;
use highwater_sinks::Desired;
use rusqlite::{Connection, OpenFlags};
use serde::Deserialize;

use crate::base::Beginning;
use crate::child::alerts;
use crate::engine::{Engine, views};
use crate::rerun::{Rerun, Stretch};
use crate::{child, script};

/// O1 and O4 always (`end`: the last whole frame of the journal); with `whole` the engine is also run to its end, and
/// O2, O3 and O5 are checked.
pub(crate) fn check(
    dir: &Path,
    end: Epoch,
    acknowledged: &BTreeSet<u64>,
    whole: bool,
) -> Result<()> {
    let journal_dir = dir.join("journal");
    let marker = highwater_sinks::marker(&dir.join("views.sqlite"))?;
    ensure!(marker <= Some(end), "O4: marker {marker:?} beyond {end}");
    for found in checkpoint::list(&dir.join("checkpoints"))? {
        let epoch = found.read().context("a checkpoint that has its name is whole")?.about.epoch;
        ensure!(marker >= Some(epoch), "checkpoint {epoch} lies beyond the views at {marker:?}");
    }
    if !whole {
        return Ok(());
    }
    let mut known: BTreeMap<u128, u32> = BTreeMap::new();
    let mut scan = Scan::open(&journal_dir, 0)?;
    while let Some(frame) = scan.next_frame()? {
        ensure!(frame.dead_letters.is_empty(), "what was sent decodes");
        for envelope in frame.envelopes {
            *known.entry(envelope.key.0).or_default() += 1;
        }
    }
    for n in acknowledged {
        let key = EventKey::of(&script::id(*n)).0;
        ensure!(known.contains_key(&key), "O1: event {n} was acknowledged and is not journaled");
    }
    settle(dir)?;
    let duplicates: u32 = known.values().map(|copies| copies - 1).sum();
    compare(dir, i64::from(duplicates))?;
    delivered(dir)
}

/// Runs the engine over what is there, to its end.
fn settle(dir: &Path) -> Result<()> {
    let every = std::time::Duration::from_hours(1);
    let parts = child::parts(dir, journal::Options::default(), every, crate::engine::real_disk)?;
    Engine::start(parts)?.finish()
}

/// O2 and O3: the views against a replay of everything.
fn compare(dir: &Path, duplicates: i64) -> Result<()> {
    let journal_dir = dir.join("journal");
    let beginning = Beginning::of(&journal_dir, &dir.join("base"))?;
    let rerun = Rerun {
        journal_dir: &journal_dir,
        beginning: &beginning,
        settings: Settings::default(),
        only: Vec::new(),
        workers: 1,
        stretch: Stretch::ALL,
    };
    let (desired, _) = rerun.run(|commits| {
        let mut desired = Desired::of(&views(&[]));
        for commit in commits {
            desired.absorb(&commit);
        }
        Ok(desired)
    })?;
    let path = dir.join("views.sqlite");
    for view in highwater_sinks::plan(&path, &desired)? {
        ensure!(view.is_level(), "O3: the views are not what a replay gives: {view:?}");
    }
    let views = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let counted: i64 = views.query_row(
        "SELECT coalesce(sum(duplicates), 0) FROM duplicate_counts",
        [],
        |row| row.get(0),
    )?;
    ensure!(counted == duplicates, "O2: {counted} duplicates counted of {duplicates}");
    Ok(())
}

#[derive(Deserialize)]
struct Line {
    alert_id: String,
    revision: u32,
    step: String,
    to: Option<String>,
}

impl Line {
    /// Where the alert stands after it, as the view says it.
    fn status(&self) -> &str {
        match (self.step.as_str(), &self.to) {
            ("retracted", _) => "retracted",
            (_, Some(_)) => "resolved",
            (_, None) => "open",
        }
    }
}

/// O5: the last message of every alert says what the view says; nothing confirmed came again.
fn delivered(dir: &Path) -> Result<()> {
    let text = std::fs::read_to_string(alerts(dir)).context("cannot read the alert file")?;
    let mut last: BTreeMap<String, Line> = BTreeMap::new();
    let mut seen: BTreeMap<(String, u32), u32> = BTreeMap::new();
    for line in text.lines() {
        // A kill may have cut a line short; it was not confirmed and came again.
        let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
        *seen.entry((line.alert_id.clone(), line.revision)).or_default() += 1;
        let newest = last.get(&line.alert_id).is_none_or(|last| last.revision <= line.revision);
        if newest {
            last.insert(line.alert_id.clone(), line);
        }
    }
    let views =
        Connection::open_with_flags(dir.join("views.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let pending: i64 =
        views.query_row("SELECT count(*) FROM _delivery WHERE state = 'pending'", [], |row| {
            row.get(0)
        })?;
    ensure!(pending == 0, "O5: {pending} messages are forgotten in the outbox");
    let mut alerts = views.prepare("SELECT alert_id, revision, status FROM alerts")?;
    let rows = alerts.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for row in rows {
        let (alert, revision, status): (String, u32, String) = row?;
        let told = last.get(&alert).with_context(|| format!("O5: {alert} was never told"))?;
        ensure!(
            (told.revision, told.status()) == (revision, status.as_str()),
            "O5: {alert} is {status} in revision {revision}, and was told {} in {}",
            told.status(),
            told.revision
        );
    }
    Ok(())
}
