//! Opening: settings, version checks, and what happens to a database that is damaged.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use highwater_dataflow::{Epoch, EventTime};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use tracing::{error, warn};

use super::check::{condemn, condemned, fault, is_damage, pardon};
use super::schema::{APPLICATION_ID, FORMAT, OWN_TABLES};
use crate::error::SinkError;

/// SQLite before 3.51.3 can lose committed rows when a checkpoint meets a write.
pub(crate) fn assert_version() {
    assert!(
        rusqlite::version_number() >= 3_051_003,
        "SQLite {} can lose committed rows; build with 3.51.3 or newer",
        rusqlite::version()
    );
}

/// The database, opened for its one writer.
pub(super) struct Opened {
    pub(super) conn: Connection,
    /// Where a damaged one was set aside; an empty one took its place, and a replay of the journal fills it.
    pub(super) aside: Option<PathBuf>,
    /// It was not closed, and is too large to be checked before it is used.
    pub(super) unchecked: bool,
}

/// Opens it. One that was not closed is checked, unless it has more than `first` bytes; one that is damaged, or was
/// found so by the run before, is set aside.
pub(super) fn opened(path: &Path, now: EventTime, first: u64) -> Result<Opened, SinkError> {
    assert_version();
    let opened = match condemned(path) {
        Some(what) => Err(what),
        None => match try_open(path, first) {
            Ok((conn, unchecked)) => Ok(Opened { conn, aside: None, unchecked }),
            Err(SinkError::Sqlite(damage)) if is_damage(&damage) => {
                condemn(path, &damage.to_string())?;
                Err(damage.to_string())
            }
            Err(error) => return Err(error),
        },
    };
    match opened {
        Ok(opened) => Ok(opened),
        Err(what) => {
            let aside = set_aside(path, now)?;
            pardon(path)?;
            error!(
                path = %path.display(), aside = %aside.display(), error = what,
                "view database damaged; set aside and rebuilt from the journal"
            );
            let (conn, unchecked) = try_open(path, first)?;
            Ok(Opened { conn, aside: Some(aside), unchecked })
        }
    }
}

/// Opens it for reading alone; the connection cannot write, whatever it is asked.
pub(crate) fn opened_read_only(path: &Path) -> Result<Connection, SinkError> {
    assert_version();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    settings(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// The marker: every epoch up to it is in the views. `None` before the first, or when there is no database that will be
/// used.
pub fn marker(path: &Path) -> Result<Option<Epoch>, SinkError> {
    if !path.exists() || condemned(path).is_some() {
        return Ok(None);
    }
    read_marker(&opened_read_only(path)?)
}

pub(super) fn read_marker(conn: &Connection) -> Result<Option<Epoch>, SinkError> {
    let marker: Option<Option<i64>> = conn
        .query_row("SELECT epoch FROM _progress WHERE id = 1", [], |row| row.get(0))
        .optional()?;
    Ok(marker.flatten().map(|epoch| epoch as Epoch))
}

/// The `Wiring::definition` that the rows are of, as far as the tables are those of the views.
pub(super) fn read_definition(conn: &Connection) -> Result<Option<String>, SinkError> {
    let sql = "SELECT fingerprint FROM _definition";
    Ok(conn.query_row(sql, [], |row| row.get(0)).optional()?)
}

/// The connection, and whether a check is still due.
fn try_open(path: &Path, first: u64) -> Result<(Connection, bool), SinkError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    settings(&conn)?;
    ours(&conn, path)?;
    // Left over WAL content is made durable before anything builds on it.
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
    conn.execute_batch(&format!("BEGIN IMMEDIATE; {OWN_TABLES} COMMIT;"))?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", FORMAT)?;
    let clean: bool = conn.query_row("SELECT clean FROM _progress", [], |row| row.get(0))?;
    let unchecked = !clean && first < bytes(&conn)?;
    if unchecked {
        warn!(path = %path.display(), "view database was not closed; checked once it is level");
    } else if !clean {
        warn!(path = %path.display(), "view database was not closed; checking it");
        if let Some(found) = fault(&conn)? {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(SinkError::Sqlite(rusqlite::Error::SqliteFailure(code, Some(found))));
        }
    }
    conn.execute("UPDATE _progress SET clean = 0, state = 'catching_up'", [])?;
    Ok((conn, unchecked))
}

fn bytes(conn: &Connection) -> Result<u64, SinkError> {
    let number = |name| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    Ok((number("page_count")? * number("page_size")?).unsigned_abs())
}

fn settings(conn: &Connection) -> Result<(), SinkError> {
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.set_prepared_statement_cache_capacity(256);
    Ok(())
}

/// Refuses a database of something else, or of a newer program, rather than write into it.
fn ours(conn: &Connection, path: &Path) -> Result<(), SinkError> {
    let number = |name| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i32>(0));
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let foreign = |reason: String| SinkError::Foreign { path: path.into(), reason };
    match (number("application_id")?, number("user_version")?) {
        (APPLICATION_ID, format) if format > FORMAT => Err(foreign(format!(
            "has format {format} and this program knows formats up to {FORMAT}; use a newer program"
        ))),
        (APPLICATION_ID, _) => Ok(()),
        _ if tables == 0 => Ok(()),
        _ => Err(foreign("is not a Highwater view database; name another file".into())),
    }
}

fn set_aside(path: &Path, now: EventTime) -> Result<PathBuf, SinkError> {
    let with = |path: &Path, end: &str| {
        let mut name = OsString::from(path);
        name.push(end);
        PathBuf::from(name)
    };
    let aside = with(path, &format!(".damaged-{now}"));
    for end in ["", "-wal", "-shm"] {
        let from = with(path, end);
        if from.exists() {
            std::fs::rename(&from, with(&aside, end)).map_err(SinkError::io(&from))?;
        }
    }
    Ok(aside)
}
