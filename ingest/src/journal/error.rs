//! What can go wrong between the journal and the disk, and whether trying again helps.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi;
use thiserror::Error;

use highwater_dataflow::Epoch;

/// Why the journal could not be opened, read or written.
#[derive(Debug, Error)]
pub enum JournalError {
    /// Another process holds the directory's lock.
    #[error(
        "another process has the journal in {} open\nhint: stop it, or give this one another data directory",
        dir.display()
    )]
    Locked { dir: PathBuf },

    /// A later version of the program wrote it.
    #[error(
        "journal segment {segment} has format {found}, this version reads up to {known}\n\
         hint: run the version that wrote it, or a later one; nothing was changed"
    )]
    Newer { segment: String, found: i64, known: i64 },

    /// Acknowledged records are missing or changed. Nothing was changed on disk by finding this out.
    #[error(
        "journal segment {segment} is damaged: acknowledged records {from} to {to} cannot be trusted: {what}\n\
         hint: restore the journal directory from a backup; `highwater journal verify` lists what is intact \
         and `highwater journal export` saves it"
    )]
    Damaged { segment: String, from: u64, to: u64, what: String },

    /// The witness file is absent or neither of its slots is whole.
    #[error(
        "the journal's witness file {} is unusable: {what}\nhint: restore the whole journal directory from \
         a backup, or export the segments and import them into a new directory",
        path.display()
    )]
    Witness { path: PathBuf, what: String },

    /// There is no journal here.
    #[error("there is no journal in {}\nhint: give the data directory that `highwater run` uses", dir.display())]
    Absent { dir: PathBuf },

    /// The frames after `after` have been dropped by retention.
    #[error(
        "the journal no longer holds what follows epoch {after}: it begins after epoch {begins_after}\n\
         hint: start from a newer checkpoint, or from the beginning of the retained journal"
    )]
    Gone { after: Epoch, begins_after: Epoch },

    /// No space left. The transaction is rolled back; the same append succeeds once there is room.
    #[error(
        "the disk that holds the journal is full\nhint: free space; the journal resumes by itself"
    )]
    Full,

    /// The operating system refused. Never retried: after a failed sync nobody knows what is on disk.
    #[error("{doing} {}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    /// SQLite refused.
    #[error("{doing} journal segment {segment}")]
    Sqlite {
        doing: &'static str,
        segment: String,
        #[source]
        source: rusqlite::Error,
    },

    /// The SQLite linked in can lose committed data when a checkpoint races a commit.
    #[error(
        "SQLite {found} can lose committed data; 3.51.3 or later is needed\n\
         hint: build with the bundled SQLite"
    )]
    OldSqlite { found: &'static str },

    /// An export that cannot be imported.
    #[error("line {line} of the export: {what}\nhint: export again; nothing usable was imported")]
    BadExport { line: u64, what: String },

    /// An import or a backup would overwrite a journal.
    #[error("{} already holds a journal\nhint: give a new directory", dir.display())]
    Occupied { dir: PathBuf },
}

impl JournalError {
    /// Whether the same call can succeed later without anybody mending anything but space or a lock.
    pub fn retry(&self) -> bool {
        matches!(self, JournalError::Full | JournalError::Locked { .. })
    }

    /// An error of a file operation: a full disk is told apart from all others.
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => JournalError::Full,
            _ => JournalError::Io { doing, path: path.to_owned(), source },
        }
    }

    /// An error of a statement.
    ///
    /// A failure to grow the shared-memory index is a full disk as well: it comes before anything is written to
    /// the log, so that rolling back is clean and no sync is repeated.
    pub(super) fn sqlite(doing: &'static str, path: &Path, source: rusqlite::Error) -> Self {
        if let rusqlite::Error::SqliteFailure(error, _) = &source
            && (error.code == ErrorCode::DiskFull
                || error.extended_code == ffi::SQLITE_IOERR_SHMSIZE)
        {
            return JournalError::Full;
        }
        JournalError::Sqlite { doing, segment: name_of(path), source }
    }
}

/// A segment as messages name it.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name()
        .map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}

/// True when `error` says that the file's content is wrong, not that it could not be read.
pub(super) fn damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(error, _) => matches!(
            error.code,
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::Unknown
                | ErrorCode::TypeMismatch
                | ErrorCode::SchemaChanged
                | ErrorCode::TooBig
                | ErrorCode::ReadOnly
        ),
        _ => true,
    }
}
