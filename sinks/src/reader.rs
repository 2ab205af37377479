//! Reading views: connections that cannot write, queries that end after five seconds.
//!
//! A reader sees one committed epoch at a time, and holds back the write-ahead log while it looks; hence the limit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use highwater_dataflow::view::{Row, Value};
use highwater_dataflow::{Clock, Epoch, EventTime};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params_from_iter};
use serde::Serialize;

use crate::error::SinkError;
use crate::outbox;
use crate::sqlite::{Bound, Catalogued, catalog, opened_read_only, quoted, read_row};

const QUERY_SECONDS: u64 = 5;
/// SQLite asks whether to go on after so many steps of its machine: some tens of microseconds.
const STEPS_BETWEEN_CHECKS: i32 = 1_000;

/// Which rows of a view: those whose first key columns equal `prefix`, by key, at most `limit`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Select {
    /// Texts will do for numbers: the column's type decides.
    pub prefix: Vec<Value>,
    pub limit: Option<usize>,
}

/// Up to where the views are right, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Every epoch up to this one is in the views; none before the first.
    pub epoch: Option<Epoch>,
    pub watermark_ms: Option<EventTime>,
    pub committed_at_ms: Option<EventTime>,
    /// The writer has started and is still reading the journal: the views show the state before the start.
    pub catching_up: bool,
}

/// A view's definition, rows and progress as of one epoch.
#[derive(Clone, Debug)]
pub struct Reading {
    pub view: Catalogued,
    pub rows: Vec<Row>,
    pub progress: Progress,
}

/// One read-only connection.
pub struct ViewReader {
    conn: Connection,
    clock: Arc<dyn Clock>,
    deadline: Arc<Mutex<Option<Instant>>>,
}

impl ViewReader {
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<ViewReader, SinkError> {
        let mut conn = opened_read_only(path)?;
        let deadline = Arc::new(Mutex::new(None::<Instant>));
        let (limit, time) = (deadline.clone(), clock.clone());
        let handler = move || {
            let limit = *limit.lock().expect("nobody panics with the lock");
            limit.is_some_and(|limit| limit < time.instant())
        };
        conn.progress_handler(STEPS_BETWEEN_CHECKS, Some(handler))?;
        Ok(ViewReader { conn, clock, deadline })
    }

    /// All views, by name.
    pub fn views(&self) -> Result<Vec<Catalogued>, SinkError> {
        self.limited(|conn| Ok(catalog(conn)?.into_values().collect()))
    }

    /// A view's definition. Errors: `NoSuchView`.
    pub fn view(&self, name: &str) -> Result<Catalogued, SinkError> {
        self.limited(|conn| found(conn, name))
    }

    pub fn progress(&self) -> Result<Progress, SinkError> {
        self.limited(progress)
    }

    /// Errors: `NoSuchView`; `Interrupted` when it took longer than five seconds.
    pub fn rows(&self, name: &str, select: &Select) -> Result<Vec<Row>, SinkError> {
        Ok(self.read(name, select)?.rows)
    }

    /// Definition, rows and progress, all as of the same epoch.
    pub fn read(&self, name: &str, select: &Select) -> Result<Reading, SinkError> {
        self.limited(|conn| {
            let view = found(conn, name)?;
            let rows = rows(conn, &view, select)?;
            Ok(Reading { view, rows, progress: progress(conn)? })
        })
    }

    /// Of the rows whose first key columns equal `prefix`, the smallest `time` for each text in `by`; both are columns.
    ///
    /// Errors: `NoSuchView`; `Interrupted` when it took longer than five seconds.
    pub fn earliest(
        &self,
        name: &str,
        prefix: &[Value],
        time: &str,
        by: &str,
    ) -> Result<Vec<(String, EventTime)>, SinkError> {
        self.limited(|conn| {
            let view = found(conn, name)?;
            let filter = where_prefix(&view, prefix.len());
            let (table, time, by) = (quoted(&view.name), quoted(time), quoted(by));
            let sql = format!("SELECT {by}, MIN({time}) FROM {table}{filter} GROUP BY {by}");
            let mut statement = conn.prepare_cached(&sql)?;
            let cells = prefix.iter().take(view.key).map(Bound);
            let rows = statement
                .query_map(params_from_iter(cells), |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Alert messages per channel and state (`pending`, `delivered`, `suppressed`, `dead`).
    pub fn deliveries(&self) -> Result<BTreeMap<String, BTreeMap<String, u64>>, SinkError> {
        self.limited(outbox::counts)
    }

    /// Runs within the time limit and one snapshot of the database.
    fn limited<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let until = self.clock.instant() + Duration::from_secs(QUERY_SECONDS);
        let limit = |until| *self.deadline.lock().expect("nobody panics with the lock") = until;
        limit(Some(until));
        let result = self.conn.unchecked_transaction().map_err(SinkError::from).and_then(|tx| {
            let result = read(&tx);
            limit(None);
            result
        });
        limit(None);
        match result {
            Err(SinkError::Sqlite(error))
                if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) =>
            {
                Err(SinkError::Interrupted { seconds: QUERY_SECONDS })
            }
            result => result,
        }
    }
}

fn found(conn: &Connection, name: &str) -> Result<Catalogued, SinkError> {
    catalog(conn)?.remove(name).ok_or_else(|| SinkError::NoSuchView(name.to_owned()))
}

fn rows(conn: &Connection, view: &Catalogued, select: &Select) -> Result<Vec<Row>, SinkError> {
    let name = |n: usize| quoted(&view.columns[n].name);
    let columns = (0..view.columns.len()).map(name).collect::<Vec<_>>().join(", ");
    let prefix = select.prefix.len().min(view.key);
    let filter = where_prefix(view, prefix);
    let keys = (0..view.key).map(name).collect::<Vec<_>>().join(", ");
    let order = if view.key == 0 { String::new() } else { format!(" ORDER BY {keys}") };
    let limit = select.limit.map_or(-1, |limit| limit as i64);
    let table = quoted(&view.name);
    let sql = format!("SELECT {columns} FROM {table}{filter}{order} LIMIT {limit}");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(select.prefix[..prefix].iter().map(Bound)))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(read_row(row, view.columns.len())?);
    }
    Ok(rows)
}

/// The condition that the first `prefix` key columns equal the parameters.
fn where_prefix(view: &Catalogued, prefix: usize) -> String {
    let term = |n: usize| format!("{} = ?{}", quoted(&view.columns[n].name), n + 1);
    match prefix.min(view.key) {
        0 => String::new(),
        prefix => format!(" WHERE {}", (0..prefix).map(term).collect::<Vec<_>>().join(" AND ")),
    }
}

fn progress(conn: &Connection) -> Result<Progress, SinkError> {
    let sql = "SELECT epoch, watermark_ms, committed_at_ms, state FROM _progress WHERE id = 1";
    let row = conn.query_row(sql, [], |row| {
        let epoch: Option<i64> = row.get(0)?;
        Ok(Progress {
            epoch: epoch.map(|epoch| epoch as Epoch),
            watermark_ms: row.get(1)?,
            committed_at_ms: row.get(2)?,
            catching_up: row.get::<_, String>(3)? == "catching_up",
        })
    });
    let none =
        Progress { epoch: None, watermark_ms: None, committed_at_ms: None, catching_up: true };
    Ok(row.optional()?.unwrap_or(none))
}

/// Readers for many threads: one that is free is used again, others are opened as needed.
pub struct ViewReaders {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    free: Mutex<Vec<ViewReader>>,
}

/// Readers kept open while nobody reads.
const FREE_MAX: usize = 8;

impl ViewReaders {
    /// Opens nothing yet: the database may still have to be made.
    pub fn new(path: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> ViewReaders {
        ViewReaders { path: path.into(), clock, free: Mutex::default() }
    }

    /// Lends a reader. Blocks on the disk: from async code, call it where blocking is allowed.
    pub fn with<T>(
        &self,
        read: impl FnOnce(&ViewReader) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let free = || self.free.lock().expect("nobody panics with the lock");
        let free_one = free().pop();
        let reader = match free_one {
            Some(reader) => reader,
            None => ViewReader::open(&self.path, self.clock.clone())?,
        };
        let result = read(&reader);
        let mut free = free();
        if free.len() < FREE_MAX && !matches!(result, Err(SinkError::Sqlite(_))) {
            free.push(reader);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::sqlite::Store;
    use crate::sqlite::tests::{CELLS, SCORES, batch, cell, commit, score};
    use crate::writer::tests::TestClock;

    fn filled(dir: &Path) -> PathBuf {
        let path = dir.join("views.db");
        let (store, _) = Store::open(&path, &[&SCORES, &CELLS], 0, u64::MAX).unwrap();
        let mut cells = commit(7, &[(score("b", 2, 0.5), 1), (score("a", 1, 1.0), 1)]);
        cells.changes.push(highwater_dataflow::view::Changes {
            view: &CELLS,
            rows: (0..5).map(|n| (cell(n % 2, "k", n as f64), 1)).collect(),
        });
        store.apply(&batch(vec![cells]), 9, |_| Ok(())).unwrap();
        path
    }

    #[test]
    fn rows_come_by_key_and_by_prefix() {
        let dir = tempfile::tempdir().unwrap();
        let reader = ViewReader::open(&filled(dir.path()), TestClock::at(0)).unwrap();
        let all = reader.rows("scores", &Select::default()).unwrap();
        assert_eq!(all, [score("a", 1, 1.0), score("b", 2, 0.5)]);
        let select = |prefix: &str| Select { prefix: vec![prefix.into()], limit: None };
        assert_eq!(reader.rows("scores", &select("b")).unwrap(), [score("b", 2, 0.5)]);
        assert_eq!(reader.rows("scores", &select("'; DROP TABLE scores")).unwrap().len(), 0);
        // The column is an integer, the request had text.
        let some = reader.rows("cells", &select("1")).unwrap();
        assert_eq!(some, [cell(1, "k", 1.0), cell(1, "k", 3.0)]);
        let earliest = |prefix: &[Value]| reader.earliest("cells", prefix, "n", "k").unwrap();
        assert_eq!(earliest(&[]), [("k".to_owned(), 0)]);
        assert_eq!(earliest(&["1".into()]), [("k".to_owned(), 1)]);
        assert_eq!(earliest(&["7".into()]), []);
        let one = Select { limit: Some(1), ..Select::default() };
        assert_eq!(reader.rows("cells", &one).unwrap().len(), 1);
    }

    #[test]
    fn views_and_progress_are_described() {
        let dir = tempfile::tempdir().unwrap();
        let readers = ViewReaders::new(filled(dir.path()), TestClock::at(0));
        let names: Vec<_> =
            readers.with(ViewReader::views).unwrap().into_iter().map(|view| view.name).collect();
        assert_eq!(names, ["cells", "scores"]);
        let progress = readers.with(ViewReader::progress).unwrap();
        assert_eq!((progress.epoch, progress.committed_at_ms), (Some(7), Some(9)));
        let missing = readers.with(|reader| reader.view("nothing")).unwrap_err();
        assert!(matches!(missing, SinkError::NoSuchView(_)));
    }

    #[test]
    fn a_reader_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let reader = ViewReader::open(&filled(dir.path()), TestClock::at(0)).unwrap();
        assert!(reader.conn.execute("DELETE FROM scores", []).is_err());
    }

    #[test]
    fn a_long_query_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        // Every look at this clock is a second later than the one before.
        let clock = TestClock::ticking(0, Duration::from_secs(1));
        let reader = ViewReader::open(&filled(dir.path()), clock).unwrap();
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                       SELECT count(*) FROM n";
        let result = reader.limited(|conn| Ok(conn.query_row(endless, [], |_| Ok(()))?));
        assert!(matches!(result, Err(SinkError::Interrupted { seconds: 5 })), "{result:?}");
        // The reader still works.
        assert_eq!(reader.rows("scores", &Select::default()).unwrap().len(), 2);
    }
}
