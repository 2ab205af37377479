//! The changelog: every change of every view, epoch by epoch, as JSON lines `{view, epoch, diff, row}`.
//!
//! Written after the epoch is committed, without coalescing. An epoch is written in one piece; on a restart the
//! replay fills in what is missing after the last epoch in the file, and what is there is not written again.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use highwater_dataflow::Epoch;
use highwater_dataflow::view::{Commit, View};
use serde::{Deserialize, Serialize};
use tracing::error;

use crate::error::SinkError;
use crate::render::JsonRow;
use crate::writer::{CommittedBatch, Listener};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangelogConfig {
    pub path: PathBuf,
}

/// The changelog file, as a listener of the writer.
pub struct Changelog {
    path: PathBuf,
    file: File,
    /// The last epoch in the file.
    last: Option<Epoch>,
    position: Position,
    /// Writing failed: nothing follows until a restart, so that there is no gap.
    broken: bool,
}

/// How far the changelog is, for whoever does not own it.
#[derive(Clone, Debug, Default)]
pub struct Position(Arc<AtomicU64>);

impl Position {
    /// The last epoch in the file; `None` before the first, or when writing failed and there is a gap to be filled.
    pub fn get(&self) -> Option<Epoch> {
        Some(self.0.load(Ordering::SeqCst)).filter(|epoch| *epoch > 0)
    }

    fn set(&self, epoch: Option<Epoch>) {
        self.0.store(epoch.unwrap_or(0), Ordering::SeqCst);
    }
}

#[derive(Serialize)]
struct Line<'a> {
    view: &'a str,
    epoch: Epoch,
    diff: i8,
    row: JsonRow<'a>,
}

#[derive(Deserialize)]
struct EpochOf {
    epoch: Epoch,
}

impl Changelog {
    /// Opens the file behind its last whole epoch; an epoch that a crash cut short is removed.
    pub fn open(config: &ChangelogConfig) -> Result<Changelog, SinkError> {
        let path = config.path.clone();
        let resume = || {
            let mut options = OpenOptions::new();
            let mut file = options.create(true).append(true).read(true).open(&path)?;
            let (end, last) = whole(&mut file)?;
            file.set_len(end)?;
            Ok((file, last))
        };
        let (file, last) = resume().map_err(SinkError::io(&path))?;
        let position = Position::default();
        position.set(last);
        Ok(Changelog { path, file, last, position, broken: false })
    }

    /// Where to look how far it is.
    pub fn position(&self) -> Position {
        self.position.clone()
    }

    fn write(&mut self, commit: &Commit) {
        if self.broken || self.last.is_some_and(|last| commit.epoch <= last) {
            return;
        }
        let mut lines = Vec::new();
        for changes in &commit.changes {
            let names: Vec<&str> = changes.view.columns.iter().map(|column| column.name).collect();
            for (row, diff) in &changes.rows {
                let row = JsonRow { names: &names, row };
                let line = Line { view: changes.view.name, epoch: commit.epoch, diff: *diff, row };
                serde_json::to_writer(&mut lines, &line).expect("names and cells are JSON");
                lines.push(b'\n');
            }
        }
        if lines.is_empty() {
            return;
        }
        match self.append(&lines) {
            Ok(()) => {
                self.last = Some(commit.epoch);
                self.position.set(self.last);
            }
            Err(error) => {
                self.broken = true;
                self.position.set(None);
                error!(
                    path = %self.path.display(), %error,
                    "changelog stopped; it continues where it is after a restart"
                );
            }
        }
    }

    /// All of it or, as far as the disk allows, nothing of it.
    fn append(&mut self, lines: &[u8]) -> std::io::Result<()> {
        let end = self.file.metadata()?.len();
        let written = self.file.write_all(lines);
        if written.is_err() {
            self.file.set_len(end)?;
        }
        written
    }
}

impl Listener for Changelog {
    fn shows(&self, _: &View) -> bool {
        false
    }

    fn replayed(&mut self, commit: &Commit) {
        self.write(commit);
    }

    fn committed(&mut self, batch: &CommittedBatch<'_>) {
        for commit in batch.commits {
            self.write(commit);
        }
    }
}

/// Where the last whole epoch ends, and which it is. A file that ends in the middle of a line loses all lines of
/// that epoch: the replay brings them again.
fn whole(file: &mut File) -> std::io::Result<(u64, Option<Epoch>)> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut span = 64 << 10;
    loop {
        let from = length.saturating_sub(span);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut tail)?;
        if let Some((kept, last)) = whole_in(&tail, from == 0) {
            return Ok((from + kept as u64, last));
        }
        span *= 2;
    }
}

/// The same within the file's last bytes; `None` if they do not reach back far enough.
fn whole_in(tail: &[u8], from_start: bool) -> Option<(usize, Option<Epoch>)> {
    // Without the file's beginning the first line may be half a line.
    let first = if from_start { 0 } else { tail.iter().position(|byte| *byte == b'\n')? + 1 };
    let mut lines = Vec::new();
    let mut start = first;
    for (at, _) in tail.iter().enumerate().skip(first).filter(|(_, byte)| **byte == b'\n') {
        let epoch = serde_json::from_slice::<EpochOf>(&tail[start..at]).ok().map(|line| line.epoch);
        lines.push((start, epoch));
        start = at + 1;
    }
    let torn = start < tail.len();
    let Some(&(_, last)) = lines.last() else {
        return from_start.then_some((0, None));
    };
    if !torn {
        return Some((tail.len(), last));
    }
    let kept = lines.iter().rposition(|(_, epoch)| *epoch != last);
    match kept {
        Some(kept) => Some((lines[kept + 1].0, lines[kept].1)),
        None => from_start.then_some((0, None)),
    }
}

/// Reads the last epoch of a changelog without opening it for writing.
pub fn last_epoch(path: &Path) -> Result<Option<Epoch>, SinkError> {
    let read = || whole(&mut File::open(path)?);
    read().map(|(_, last)| last).map_err(SinkError::io(path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::sqlite::tests::{commit, score};

    fn open(path: &Path) -> Changelog {
        Changelog::open(&ChangelogConfig { path: path.into() }).unwrap()
    }

    fn commits() -> Vec<Commit> {
        vec![
            commit(1, &[(score("a", 1, 0.5), 1)]),
            commit(2, &[]),
            commit(3, &[(score("a", 1, 0.5), -1), (score("a", 2, 0.5), 1)]),
        ]
    }

    const TEXT: &str = r#"{"view":"scores","epoch":1,"diff":1,"row":{"name":"a","score":1,"share":0.5}}
{"view":"scores","epoch":3,"diff":-1,"row":{"name":"a","score":1,"share":0.5}}
{"view":"scores","epoch":3,"diff":1,"row":{"name":"a","score":2,"share":0.5}}
"#;

    #[test]
    fn every_change_is_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("changes.jsonl");
        let mut log = open(&path);
        for commit in &commits() {
            log.write(commit);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), TEXT);
        assert_eq!(last_epoch(&path).unwrap(), Some(3));
    }

    #[test]
    fn a_replay_writes_only_what_is_missing_wherever_the_file_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("changes.jsonl");
        // A cut behind the first line of an epoch looks whole: epochs are written in one piece, so it cannot be.
        let middle = TEXT.match_indices('\n').nth(1).unwrap().0 + 1;
        for cut in (0..=TEXT.len()).filter(|cut| *cut != middle) {
            std::fs::write(&path, &TEXT[..cut]).unwrap();
            let mut log = open(&path);
            for commit in &commits() {
                log.replayed(commit);
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), TEXT, "cut at {cut}");
        }
    }

    #[test]
    fn long_files_resume_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("changes.jsonl");
        let wide = (0..3_000).map(|n| (score(&format!("agent {n}"), n, 0.0), 1));
        let wide = commit(2, &wide.collect::<Vec<_>>());
        let mut log = open(&path);
        log.write(&commit(1, &[(score("a", 1, 0.5), 1)]));
        let first = std::fs::metadata(&path).unwrap().len();
        log.write(&wide);
        let length = std::fs::metadata(&path).unwrap().len();
        drop(log);
        assert_eq!(open(&path).last, Some(2));
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(length - 1).unwrap();
        assert_eq!(open(&path).last, Some(1));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), first);
    }
}
