//! Upkeep by the writer itself: checkpoints of the write-ahead log, and backups.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use tracing::{error, warn};

use super::open::opened_read_only;
use super::store::Store;
use crate::error::SinkError;
use crate::moment::{Moment, tell};

const PAGE: i64 = 4096;
const CHECKPOINT_BYTES: i64 = 16 << 20;
const WARN_BYTES: i64 = 64 << 20;
const ALARM_BYTES: i64 = 256 << 20;
/// Pages copied before the writer looks for commits again.
const BACKUP_PAGES: i32 = 256;

impl Store {
    /// Bytes in the write-ahead log that are not in the database file yet.
    pub(crate) fn wal_bytes(&self) -> i64 {
        let pages = i64::from(self.wal_pages.load(Ordering::Relaxed));
        if pages < self.moved_pages.get() {
            self.moved_pages.set(0);
        }
        (pages - self.moved_pages.get()) * PAGE
    }

    /// Moves the write-ahead log into the database each 16 MB, without waiting for readers. Returns whether it did.
    pub(crate) fn checkpoint_when_due(&self, last_bytes: i64) -> Result<Option<i64>, SinkError> {
        // A reader that pins the log must not make every commit try again: each try waits for 16 MB more.
        if self.wal_bytes() - last_bytes < CHECKPOINT_BYTES {
            return Ok(None);
        }
        let left = self.checkpoint("PASSIVE")?;
        if left > ALARM_BYTES {
            error!(bytes = left, "a long reader holds the write-ahead log; end it");
        } else if left > WARN_BYTES {
            warn!(bytes = left, "a long reader holds the write-ahead log");
        }
        Ok(Some(left))
    }

    /// Empties the log; for quiet moments.
    pub(crate) fn truncate_log(&self) -> Result<(), SinkError> {
        self.checkpoint("TRUNCATE").map(|_| ())
    }

    /// Returns the bytes that could not be moved.
    fn checkpoint(&self, mode: &str) -> Result<i64, SinkError> {
        tell(self.reached.as_ref(), Moment::BeforeLog);
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let (pages, moved): (i64, i64) =
            self.conn.query_row(&sql, [], |row| Ok((row.get(1)?, row.get(2)?)))?;
        // What was moved stays in the log, and is counted with what comes, until a moment without readers.
        self.wal_pages.store(i32::try_from(pages).unwrap_or(i32::MAX), Ordering::Relaxed);
        self.moved_pages.set(moved.min(pages));
        Ok(self.wal_bytes())
    }

    /// Copies the database to `to` while it is written, calling `between` after each piece; the copy is checked and
    /// synced before it gets its name.
    pub(crate) fn backup(
        &self,
        to: &Path,
        between: impl FnMut() -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        copy(&self.conn, to, BACKUP_PAGES, between)
    }
}

/// Copies the database at `path` to `to`, as of one moment, beside whoever writes it; checked and synced before it gets
/// its name. What the writer commits meanwhile stays in its log until the copy is done.
pub fn backup(path: &Path, to: &Path) -> Result<(), SinkError> {
    copy(&opened_read_only(path)?, to, -1, || Ok(()))
}

fn copy(
    from: &Connection,
    to: &Path,
    pages: i32,
    mut between: impl FnMut() -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    let mut part = OsString::from(to);
    part.push(".part");
    let part = PathBuf::from(part);
    if part.exists() {
        std::fs::remove_file(&part).map_err(SinkError::io(&part))?;
    }
    let mut copy = Connection::open(&part)?;
    {
        let backup = Backup::new(from, &mut copy)?;
        loop {
            match backup.step(pages)? {
                StepResult::Done => break,
                StepResult::Busy | StepResult::Locked => return Err(SinkError::Busy),
                _ => between()?,
            }
        }
    }
    // The copy is a database at rest: no write-ahead log, and nobody has it open.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    copy.execute("UPDATE _progress SET clean = 1", [])?;
    let found: String = copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(code, Some(found)).into());
    }
    copy.close().map_err(|(_, error)| error)?;
    File::open(&part).and_then(|file| file.sync_all()).map_err(SinkError::io(&part))?;
    std::fs::rename(&part, to).map_err(SinkError::io(to))?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(SinkError::io(folder))
}
