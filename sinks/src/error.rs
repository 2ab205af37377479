//! What can go wrong between a closed epoch and its readers.

use std::path::PathBuf;

use highwater_dataflow::Epoch;

/// A failure of the view database or of a file beside it.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The disk is full; nothing was written, and the same write may succeed later.
    #[error("the disk of the view database is full; free some space and writing resumes by itself")]
    Full,
    /// Another connection holds the write lock.
    #[error("the view database is locked by another writer; close the tool that writes to it")]
    Busy,
    /// Somebody else moved the marker: two writers work on one database.
    #[error(
        "the view database's marker is not at {expected:?}: another process writes to it; \
         stop that process and start again"
    )]
    MarkerMoved { expected: Option<Epoch> },
    /// The file is a database, but of something else or of a newer version.
    #[error("{path} {reason}")]
    Foreign { path: PathBuf, reason: String },
    #[error("there is no view named {0:?}; `highwater views` lists them")]
    NoSuchView(String),
    #[error("the query was cut off after {seconds} s; narrow it by key or limit its rows")]
    Interrupted { seconds: u64 },
    /// Found while it was in use. The next start sets it aside and builds the views anew.
    #[error(
        "the view database is damaged: {0}; start again: the views are rebuilt from the journal"
    )]
    Damaged(String),
    #[error("the view writer has stopped")]
    Stopped,
    #[error("the view database failed: {0}")]
    Sqlite(#[source] rusqlite::Error),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
}

impl SinkError {
    /// Whether the same call may succeed later without anybody's doing.
    pub fn retry(&self) -> bool {
        matches!(self, SinkError::Full | SinkError::Busy)
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> SinkError {
        let path = path.into();
        move |source| SinkError::Io { path, source }
    }
}

impl From<rusqlite::Error> for SinkError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull};
        match error.sqlite_error_code() {
            Some(DiskFull) => SinkError::Full,
            Some(DatabaseBusy | DatabaseLocked) => SinkError::Busy,
            _ => SinkError::Sqlite(error),
        }
    }
}
