//! A segment: one SQLite database with a stretch of the journal, one row per frame.
//!
//! The `meta` row ties it to the chain: its hash covers the previous segment's last hash and the ledger, and is
//! what the first frame links to.
//!
//! Its format is that of its frames, and rises with the first that needs a later one, in the same commit: a version that
//! cannot read such a frame says so by the segment's format, and one that need not read any goes on reading.

use std::path::{Path, PathBuf};
use std::time::Duration;

use highwater_dataflow::{Epoch, EventTime};
use rusqlite::backup::Backup;
use rusqlite::config::DbConfig;
use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Row as SqlRow, TransactionBehavior, params,
};
use sha2::{Digest, Sha256};

use super::disk::{Disk, Step};
use super::error::{JournalError, damage, name_of};
use super::files::{self, SegmentFile, sync_dir};
use super::frame::{Frame, Hash, link};
use super::store::Tip;

/// The newest format that this version writes and reads; it reads all before it.
pub(super) const FORMAT: i64 = 2;

/// The format that every segment begins with, and that its head's hash names.
const FIRST_FORMAT: i64 = 1;

/// A copy waits so long for whoever has locked the segment, and tries again.
const LOCKED: Duration = Duration::from_millis(5);

const SCHEMA: &str = "
CREATE TABLE meta (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  format INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  prev_epoch INTEGER NOT NULL,
  prev_hash BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  ledger BLOB NOT NULL,
  hash BLOB NOT NULL,
  sealed INTEGER NOT NULL
) STRICT;
CREATE TABLE frames (
  epoch INTEGER PRIMARY KEY,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  rejected INTEGER NOT NULL,
  prev_hash BLOB NOT NULL,
  hash BLOB NOT NULL,
  payload BLOB NOT NULL
) STRICT;
CREATE INDEX frames_rejected ON frames (epoch) WHERE rejected > 0;
";

/// The head of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub first_seq: u64,
    /// The last frame before this segment: epoch 0 at the journal's beginning.
    pub prev_epoch: Epoch,
    pub prev_hash: Hash,
    pub created_ms: EventTime,
    pub ledger: Vec<u8>,
    /// No more frames are written to it.
    pub sealed: bool,
}

impl Meta {
    /// Where the journal stands before the segment.
    pub(super) fn before(&self) -> Tip {
        Tip { epoch: self.prev_epoch, seq: self.first_seq - 1, hash: self.prev_hash }
    }

    /// What its first frame links to.
    pub(super) fn hash(&self) -> Hash {
        let mut sha = Sha256::new();
        sha.update(b"highwater segment");
        sha.update(FIRST_FORMAT.to_le_bytes());
        sha.update(self.first_seq.to_le_bytes());
        sha.update(self.prev_epoch.to_le_bytes());
        sha.update(self.prev_hash);
        sha.update(self.created_ms.to_le_bytes());
        sha.update(&self.ledger);
        sha.finalize().into()
    }
}

/// A frame as it lies in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredFrame {
    pub epoch: Epoch,
    pub first_seq: u64,
    pub last_seq: u64,
    pub rejected: u64,
    pub prev_hash: Hash,
    pub hash: Hash,
    pub payload: Vec<u8>,
}

impl StoredFrame {
    pub(super) fn new(frame: &Frame, tip: &Tip) -> Self {
        let payload = frame.encode();
        let (epoch, first_seq, last_seq) = (frame.epoch, frame.first_seq, frame.last_seq());
        StoredFrame {
            epoch,
            first_seq,
            last_seq,
            rejected: frame.rejected() as u64,
            prev_hash: tip.hash,
            hash: link(&tip.hash, epoch, first_seq, last_seq, &payload),
            payload,
        }
    }

    /// Where the chain stands after it.
    pub(super) fn tip(&self) -> Tip {
        Tip { epoch: self.epoch, seq: self.last_seq, hash: self.hash }
    }

    /// The frame, if it is whole and follows `tip`.
    pub(super) fn check(&self, tip: &Tip) -> Result<Frame, &'static str> {
        if self.prev_hash != tip.hash || self.epoch <= tip.epoch || self.first_seq != tip.seq + 1 {
            return Err("a frame does not follow the one before it");
        }
        self.open()
    }

    /// The frame, if it is whole.
    pub(super) fn open(&self) -> Result<Frame, &'static str> {
        let hash = link(&self.prev_hash, self.epoch, self.first_seq, self.last_seq, &self.payload);
        if hash != self.hash {
            return Err("the hash of a frame is wrong");
        }
        let frame = Frame::decode(self.epoch, self.first_seq, &self.payload)?;
        if frame.last_seq() != self.last_seq || frame.rejected() as u64 != self.rejected {
            return Err("a frame does not hold what its row says");
        }
        Ok(frame)
    }
}

/// An open segment.
#[derive(Debug)]
pub(super) struct Segment {
    conn: Connection,
    path: PathBuf,
    /// The directory entries of its log are known to be durable.
    log_named: bool,
}

impl Segment {
    /// Makes a segment without frames. It gets its name only when it is whole and synced.
    ///
    /// Errors: `Full` when there is no room; nothing is left behind then.
    pub(super) fn create(dir: &Path, meta: &Meta) -> Result<SegmentFile, JournalError> {
        let file = SegmentFile::new(dir, meta.first_seq);
        let draft = file.draft();
        let fail = |e| JournalError::io("cannot create", &draft, e);
        files::remove(&draft).map_err(fail)?;
        let made = fill(&draft, meta)
            .map_err(|e| JournalError::sqlite("cannot create", &draft, e))
            .and_then(|()| {
                std::fs::File::open(&draft)
                    .and_then(|f| f.sync_all())
                    .and_then(|()| std::fs::rename(&draft, &file.path))
                    .and_then(|()| sync_dir(dir))
                    .map_err(fail)
            });
        if made.is_err() {
            // Best effort: the next start removes drafts too.
            let _ = files::remove(&draft);
        }
        made.map(|()| file)
    }

    /// Opens it for appending. Dropping it leaves its log as it is; `checkpoint` is explicit.
    pub(super) fn open(path: &Path) -> Result<Segment, JournalError> {
        let conn = connect(path).map_err(|e| JournalError::sqlite("cannot open", path, e))?;
        Ok(Segment { conn, path: path.to_owned(), log_named: false })
    }

    /// Opens it for reading beside the writer.
    pub(super) fn open_for_reading(path: &Path) -> Result<Segment, JournalError> {
        let segment = Segment::open(path)?;
        segment
            .conn
            .pragma_update(None, "query_only", true)
            .map_err(|e| JournalError::sqlite("cannot open", path, e))?;
        Ok(segment)
    }

    pub(super) fn name(&self) -> String {
        name_of(&self.path)
    }

    /// Its head.
    ///
    /// Errors: `Newer`; `Damaged` (with an open range) when it is not a whole segment.
    pub(super) fn meta(&self) -> Result<Meta, JournalError> {
        let format: i64 = self
            .conn
            .query_row("SELECT format FROM meta WHERE id = 1", [], |row| row.get(0))
            .map_err(|e| self.unreadable(e))?;
        if format > FORMAT {
            return Err(JournalError::Newer { segment: self.name(), found: format, known: FORMAT });
        }
        let (meta, hash) = self
            .conn
            .query_row(
                "SELECT first_seq, prev_epoch, prev_hash, created_ms, ledger, sealed, hash
                 FROM meta WHERE id = 1",
                [],
                |row| {
                    let meta = Meta {
                        first_seq: row.get::<_, i64>(0)?.cast_unsigned(),
                        prev_epoch: row.get::<_, i64>(1)?.cast_unsigned(),
                        prev_hash: row.get(2)?,
                        created_ms: row.get(3)?,
                        ledger: row.get(4)?,
                        sealed: row.get::<_, i64>(5)? != 0,
                    };
                    Ok((meta, row.get::<_, Hash>(6)?))
                },
            )
            .map_err(|e| self.unreadable(e))?;
        if format < FIRST_FORMAT || meta.first_seq == 0 || meta.hash() != hash {
            return Err(self.damaged("the hash of its head is wrong"));
        }
        Ok(meta)
    }

    /// Frames after `after`, at most `rows` and, beyond the first, `bytes` of payload.
    pub(super) fn frames(
        &self,
        after: Epoch,
        rows: usize,
        bytes: usize,
    ) -> Result<Vec<StoredFrame>, JournalError> {
        let read = || -> rusqlite::Result<Vec<StoredFrame>> {
            let mut statement = self.conn.prepare_cached(
                "SELECT epoch, first_seq, last_seq, rejected, prev_hash, hash, payload
                 FROM frames WHERE epoch > ?1 ORDER BY epoch LIMIT ?2",
            )?;
            let mut found = statement.query(params![after.cast_signed(), rows as i64])?;
            let mut frames = Vec::new();
            let mut size = 0;
            while let Some(row) = found.next()? {
                let frame = stored(row)?;
                size += frame.payload.len();
                frames.push(frame);
                if size >= bytes {
                    break;
                }
            }
            Ok(frames)
        };
        read().map_err(|e| self.unreadable(e))
    }

    /// Its last frame that is not after `epoch`.
    pub(super) fn last_until(&self, epoch: Epoch) -> Result<Option<StoredFrame>, JournalError> {
        self.conn
            .query_row(
                "SELECT epoch, first_seq, last_seq, rejected, prev_hash, hash, payload
                 FROM frames WHERE epoch <= ?1 ORDER BY epoch DESC LIMIT 1",
                [i64::try_from(epoch).unwrap_or(i64::MAX)],
                stored,
            )
            .optional()
            .map_err(|e| self.unreadable(e))
    }

    /// The first frame at or after `epoch`: its epoch, first and last sequence number.
    pub(super) fn span_from(
        &self,
        epoch: Epoch,
    ) -> Result<Option<(Epoch, u64, u64)>, JournalError> {
        self.conn
            .prepare_cached(
                "SELECT epoch, first_seq, last_seq FROM frames WHERE epoch >= ?1
                 ORDER BY epoch LIMIT 1",
            )
            .and_then(|mut statement| {
                statement
                    .query_row([epoch.cast_signed()], |row| {
                        let number = |i| row.get::<_, i64>(i).map(i64::cast_unsigned);
                        Ok((number(0)?, number(1)?, number(2)?))
                    })
                    .optional()
            })
            .map_err(|e| self.unreadable(e))
    }

    /// Epochs of the frames after `after` that hold dead letters, at most `limit`.
    pub(super) fn rejected_after(
        &self,
        after: Epoch,
        limit: usize,
    ) -> Result<Vec<Epoch>, JournalError> {
        let read = || -> rusqlite::Result<Vec<Epoch>> {
            self.conn
                .prepare_cached(
                    "SELECT epoch FROM frames WHERE rejected > 0 AND epoch > ?1
                     ORDER BY epoch LIMIT ?2",
                )?
                .query_map(params![after.cast_signed(), limit as i64], |row| {
                    row.get::<_, i64>(0).map(i64::cast_unsigned)
                })?
                .collect()
        };
        read().map_err(|e| self.unreadable(e))
    }

    /// SQLite's own structural check; the hashes do not cover free pages, indexes and page links.
    pub(super) fn quick_check(&self) -> Result<(), JournalError> {
        let found: String = self
            .conn
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|e| self.unreadable(e))?;
        if found == "ok" { Ok(()) } else { Err(self.damaged(&found)) }
    }

    /// Commits frames, of which the newest is of `format`, as one, synced, with its log's directory entry.
    ///
    /// Errors: `Full`, and nothing of them remains; with any other nobody knows.
    pub(super) fn append(
        &mut self,
        frames: &[StoredFrame],
        format: i64,
        disk: &mut dyn Disk,
    ) -> Result<(), JournalError> {
        if let Some(pages) = disk.page_limit() {
            self.conn
                .pragma_update(None, "max_page_count", pages)
                .map_err(|e| JournalError::sqlite("cannot limit", &self.path, e))?;
        }
        let path = &self.path;
        let fail = |e| JournalError::sqlite("cannot write to", path, e);
        let tx =
            self.conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        if format > FIRST_FORMAT {
            tx.prepare_cached("UPDATE meta SET format = ?1 WHERE id = 1 AND format < ?1")
                .and_then(|mut statement| statement.execute([format]))
                .map_err(fail)?;
        }
        for frame in frames {
            tx.prepare_cached(
                "INSERT INTO frames (epoch, first_seq, last_seq, rejected, prev_hash, hash, payload)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    frame.epoch.cast_signed(),
                    frame.first_seq.cast_signed(),
                    frame.last_seq.cast_signed(),
                    frame.rejected.cast_signed(),
                    frame.prev_hash,
                    frame.hash,
                    frame.payload,
                ])
            })
            .map_err(fail)?;
        }
        let io = |e| JournalError::io("cannot write to", path, e);
        disk.reach(Step::BeforeCommit).map_err(io)?;
        tx.commit().map_err(fail)?;
        disk.reach(Step::AfterCommit).map_err(io)?;
        if !self.log_named {
            disk.reach(Step::BeforeDirectorySync).map_err(io)?;
            if let Some(dir) = path.parent() {
                sync_dir(dir).map_err(io)?;
            }
            self.log_named = true;
        }
        Ok(())
    }

    /// Copies the log into the database, as far as readers allow; returns whether all of it is there.
    pub(super) fn checkpoint(&self, mode: Checkpoint) -> Result<bool, JournalError> {
        let sql = match mode {
            Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
            Checkpoint::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
        };
        self.conn
            .query_row(sql, [], |row| Ok(row.get::<_, i64>(0)? == 0))
            .map_err(|e| JournalError::sqlite("cannot checkpoint", &self.path, e))
    }

    /// Marks it as complete.
    pub(super) fn seal(&self) -> Result<(), JournalError> {
        self.conn
            .execute("UPDATE meta SET sealed = 1 WHERE id = 1 AND sealed = 0", [])
            .map(drop)
            .map_err(|e| JournalError::sqlite("cannot seal", &self.path, e))
    }

    /// Copies it as of one moment, whoever writes to it, to a database at rest: one file, not yet synced.
    pub(super) fn copy(&self, to: &Path) -> Result<(), JournalError> {
        let copy = || -> rusqlite::Result<()> {
            let mut copy = Connection::open(to)?;
            // All pages in one step: what is committed meanwhile does not make it begin anew.
            Backup::new(&self.conn, &mut copy)?.run_to_completion(i32::MAX, LOCKED, None)?;
            copy.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
            copy.close().map_err(|(_, e)| e)
        };
        copy().map_err(|e| self.unreadable(e))
    }

    /// Full integrity check, indexes included: what `journal verify` adds.
    pub(super) fn integrity_check(&self) -> Result<(), JournalError> {
        let found: String = self
            .conn
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(|e| self.unreadable(e))?;
        if found == "ok" { Ok(()) } else { Err(self.damaged(&found)) }
    }

    fn unreadable(&self, error: rusqlite::Error) -> JournalError {
        if damage(&error) {
            self.damaged(&error.to_string())
        } else {
            JournalError::sqlite("cannot read", &self.path, error)
        }
    }

    /// Damage whose range the caller knows better.
    pub(super) fn damaged(&self, what: &str) -> JournalError {
        JournalError::Damaged { segment: self.name(), from: 0, to: 0, what: what.into() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checkpoint {
    Passive,
    Truncate,
}

fn stored(row: &SqlRow<'_>) -> rusqlite::Result<StoredFrame> {
    let number = |i| row.get::<_, i64>(i).map(i64::cast_unsigned);
    Ok(StoredFrame {
        epoch: number(0)?,
        first_seq: number(1)?,
        last_seq: number(2)?,
        rejected: number(3)?,
        prev_hash: row.get(4)?,
        hash: row.get(5)?,
        payload: row.get(6)?,
    })
}

fn fill(path: &Path, meta: &Meta) -> rusqlite::Result<()> {
    let mut conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(SCHEMA)?;
    tx.execute(
        "INSERT INTO meta (id, format, first_seq, prev_epoch, prev_hash, created_ms, ledger, hash, sealed)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)",
        params![
            FIRST_FORMAT,
            meta.first_seq.cast_signed(),
            meta.prev_epoch.cast_signed(),
            meta.prev_hash,
            meta.created_ms,
            meta.ledger,
            meta.hash(),
        ],
    )?;
    tx.commit()?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    // Closing the only connection removes the empty log: the draft is one file.
    conn.close().map_err(|(_, e)| e)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // A segment that is refused keeps its log as evidence; a good one is checkpointed by us, errors seen.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
    // The automatic checkpoint swallows the errors of its syncs.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(conn)
}
