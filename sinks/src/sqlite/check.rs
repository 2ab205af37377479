//! Is the view database whole? Asked after it was not closed, and answered before it is used or beside its use.
//!
//! SQLite survives the end of a process at any moment by itself. What is looked for here is what a disk, or somebody,
//! made of the file meanwhile, and that takes as long as the file is large: some 20 s for a gigabyte. So a small one is
//! checked before it is used, and a large one by a thread of its own once the views are level. What is found damaged
//! is condemned: a note beside the file, synced, by which the next start sets it aside, whatever else happened.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, ErrorCode};
use tracing::{error, info, warn};

use super::open::opened_read_only;
use crate::error::SinkError;

/// Steps of SQLite's machine between two looks at whether the check is still wanted.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// What is wrong with it, if anything is: structure, order of keys, checks and types; not whether a value is the one
/// that was written, which only the journal can tell.
pub(super) fn fault(conn: &Connection) -> Result<Option<String>, SinkError> {
    let found: rusqlite::Result<String> =
        conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match found {
        Ok(found) => Ok((found != "ok").then_some(found)),
        Err(error) if is_damage(&error) => Ok(Some(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// SQLite met something that no writer leaves behind.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Notes that the database at `path` is not to be used again.
pub(crate) fn condemn(path: &Path, what: &str) -> Result<(), SinkError> {
    let note = note(path);
    let write = || {
        let mut file = File::create(&note)?;
        writeln!(file, "{what}")?;
        file.sync_all()?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(SinkError::io(&note))
}

/// Why it is not to be used, where that was noted.
pub(super) fn condemned(path: &Path) -> Option<String> {
    let note = note(path);
    let noted = note.exists().then(|| std::fs::read_to_string(&note).unwrap_or_default());
    noted.map(|what| what.trim_end().to_owned())
}

/// Forgets the note, once what it speaks of is out of the way.
pub(super) fn pardon(path: &Path) -> Result<(), SinkError> {
    let note = note(path);
    match std::fs::remove_file(&note) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(SinkError::io(&note)(error))
        }
        _ => Ok(()),
    }
}

fn note(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push("-damaged");
    PathBuf::from(name)
}

/// A check beside the use of the database. Ends early when it is dropped.
pub(crate) struct Checking {
    unwanted: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checking {
    /// Checks the database at `path` as of now. `done` hears what is wrong with it, if anything; or nothing, when the
    /// check was cut short.
    ///
    /// While it lasts, it reads at the pace of the disk, and what is committed meanwhile stays in the write-ahead log.
    pub(crate) fn start(
        path: &Path,
        done: impl FnOnce(Option<String>) + Send + 'static,
    ) -> Checking {
        let unwanted = Arc::new(AtomicBool::new(false));
        let (path, told) = (path.to_owned(), unwanted.clone());
        let run = move || match checked(&path, &told) {
            Ok(fault) => {
                if fault.is_none() {
                    info!(path = %path.display(), "view database checked: it is whole");
                }
                done(fault);
            }
            Err(_) if told.load(Ordering::Relaxed) => {}
            Err(error) => {
                warn!(%error, "view database not checked; the next start tries again");
            }
        };
        let thread = thread::Builder::new().name("view-check".into()).spawn(run);
        Checking { unwanted, thread: Some(thread.expect("the system gives us a thread")) }
    }
}

impl Drop for Checking {
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            error!("the thread that checks the view database failed");
        }
    }
}

fn checked(path: &Path, unwanted: &Arc<AtomicBool>) -> Result<Option<String>, SinkError> {
    let mut conn = opened_read_only(path)?;
    let told = unwanted.clone();
    let handler = move || told.load(Ordering::Relaxed);
    conn.progress_handler(STEPS_BETWEEN_LOOKS, Some(handler))?;
    fault(&conn)
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
