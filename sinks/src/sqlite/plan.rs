//! Restart: what the views should hold, what they hold, and the difference between the two.

use std::collections::BTreeMap;
use std::path::Path;

use highwater_dataflow::view::{Commit, Row, Value, View};
use highwater_dataflow::{Epoch, EventTime};
use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;

use super::cell::{Key, normal, read_row};
use super::open::opened_read_only;
use super::schema::{Table, catalog, quoted};
use crate::error::SinkError;

/// The contents every view should have, built up from the commits of a replay.
///
/// Holds all rows of all views until the views are level with them, and is dropped then.
#[derive(Debug, Default)]
pub struct Desired {
    views: BTreeMap<&'static str, (&'static View, BTreeMap<Key, Row>)>,
    epoch: Option<Epoch>,
    watermark: Option<EventTime>,
    /// Rows of before this are not known to be complete here: those that are stored stay.
    vouched_from: Option<EventTime>,
}

impl Desired {
    pub fn of(views: &[&'static View]) -> Desired {
        let views = views.iter().map(|view| (view.name, (*view, BTreeMap::new())));
        Desired { views: views.collect(), ..Desired::default() }
    }

    /// For a replay that does not begin at the beginning: rows whose time lies before `from` were computed from more
    /// than it has. A stored one stays as it is, and none is added. The time of a row is the latest instant in it.
    pub fn vouched_from(self, from: Option<EventTime>) -> Desired {
        Desired { vouched_from: from, ..self }
    }

    pub fn absorb(&mut self, commit: &Commit) {
        for changes in &commit.changes {
            let (view, rows) = self.views.get_mut(changes.view.name).unwrap_or_else(|| {
                panic!("view {} is not among those the sink was opened with", changes.view.name)
            });
            for (row, diff) in &changes.rows {
                let row = normal(view, row.clone());
                let key = Key::of(view, &row);
                if *diff > 0 {
                    rows.insert(key, row);
                } else if rows.get(&key) == Some(&row) {
                    rows.remove(&key);
                }
            }
        }
        self.epoch = Some(commit.epoch);
        self.watermark = Some(commit.watermark);
    }

    /// What `view` holds in the database, in parts of `at_most` rows.
    pub(crate) fn stored(
        conn: &Connection,
        view: &'static View,
        watermark: Option<EventTime>,
        at_most: usize,
        mut each: impl FnMut(&Desired),
    ) -> Result<(), SinkError> {
        let table = Table::of(view);
        let mut statement = conn.prepare(&table.select)?;
        let mut rows = statement.query([])?;
        loop {
            let mut part = Desired { watermark, ..Desired::of(&[view]) };
            let (_, held) = part.views.get_mut(view.name).expect("it was made of this view");
            while held.len() < at_most
                && let Some(row) = rows.next()?
            {
                let row = read_row(row, view.columns.len())?;
                held.insert(Key::of(view, &row), row);
            }
            let more = held.len() == at_most;
            each(&part);
            if !more {
                return Ok(());
            }
        }
    }

    /// The last epoch taken in.
    pub fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    pub fn watermark(&self) -> Option<EventTime> {
        self.watermark
    }

    /// Every view with its rows in key order.
    pub fn views(&self) -> impl Iterator<Item = (&'static View, &BTreeMap<Key, Row>)> + use<'_> {
        self.views.values().map(|(view, rows)| (*view, rows))
    }
}

/// What making a view level with the journal changes in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    pub view: String,
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
    /// The columns changed, so the table is made anew; or the view is no longer defined, and it goes.
    pub rebuilt: bool,
}

impl Reconciled {
    pub fn is_level(&self) -> bool {
        !self.rebuilt && self.added + self.changed + self.removed == 0
    }
}

/// What a start with these views would change in the database at `path`, without changing it.
pub fn plan(path: &Path, desired: &Desired) -> Result<Vec<Reconciled>, SinkError> {
    let conn = if path.exists() { opened_read_only(path)? } else { Connection::open_in_memory()? };
    let tx = conn.unchecked_transaction()?;
    let steps = steps(&tx, desired)?;
    Ok(steps.iter().map(Step::report).collect())
}

/// What has to be done to one table.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// The table stands; these rows differ.
    Adjust { table: Table, upserts: Vec<&'a Row>, deletes: Vec<Key>, added: u64 },
    /// The table is missing, or has other columns and `lost` rows.
    Build { table: Table, rows: &'a BTreeMap<Key, Row>, lost: u64, existed: bool },
    /// Nobody defines the view any more.
    Drop { name: String, lost: u64 },
}

impl Step<'_> {
    pub(super) fn report(&self) -> Reconciled {
        match self {
            Step::Adjust { table, upserts, deletes, added } => Reconciled {
                view: table.view.name.into(),
                added: *added,
                changed: upserts.len() as u64 - added,
                removed: deletes.len() as u64,
                rebuilt: false,
            },
            Step::Build { table, rows, lost, existed } => Reconciled {
                view: table.view.name.into(),
                added: rows.len() as u64,
                changed: 0,
                removed: *lost,
                rebuilt: *existed,
            },
            Step::Drop { name, lost } => Reconciled {
                view: name.clone(),
                removed: *lost,
                rebuilt: true,
                ..Reconciled::default()
            },
        }
    }
}

/// Compares what is stored with what should be, table by table.
pub(super) fn steps<'a>(
    conn: &Connection,
    desired: &'a Desired,
) -> Result<Vec<Step<'a>>, SinkError> {
    let mut steps = Vec::new();
    for name in catalog(conn)?.into_keys() {
        if !desired.views.contains_key(name.as_str()) {
            let lost = stored_rows(conn, &name)?;
            steps.push(Step::Drop { name, lost });
        }
    }
    for (view, rows) in desired.views() {
        let table = Table::of(view);
        steps.push(match table.stored(conn)? {
            Some(sql) if sql == table.create => adjust(conn, table, rows, desired.vouched_from)?,
            None => Step::Build { table, rows, lost: 0, existed: false },
            Some(_) => {
                let lost = stored_rows(conn, view.name)?;
                Step::Build { table, rows, lost, existed: true }
            }
        });
    }
    Ok(steps)
}

/// Both sides are in key order, so one pass finds what is missing, wrong and too much.
fn adjust<'a>(
    conn: &Connection,
    table: Table,
    desired: &'a BTreeMap<Key, Row>,
    vouched_from: Option<EventTime>,
) -> Result<Step<'a>, SinkError> {
    let settled = |row: &Row| vouched_from.is_some_and(|from| time(table.view, row) < Some(from));
    let keyed = table.view.columns[..table.view.key].iter().any(|it| it.name.ends_with("_ms"));
    let old = |row: &Row| keyed && settled(row);
    let (mut upserts, mut deletes, mut added) = (Vec::new(), Vec::new(), 0);
    let mut desired = desired.iter().peekable();
    let mut statement = conn.prepare(&table.select)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let stored = read_row(row, table.view.columns.len())?;
        let key = Key::of(table.view, &stored);
        while let Some((_, row)) = desired.next_if(|(wanted, _)| **wanted < key) {
            if !old(row) {
                upserts.push(row);
                added += 1;
            }
        }
        match desired.next_if(|(wanted, _)| **wanted == key) {
            Some((_, row)) if *row != stored && !settled(&stored) => upserts.push(row),
            Some(_) => {}
            None if settled(&stored) => {}
            None => deletes.push(key),
        }
    }
    for (_, row) in desired.filter(|(_, row)| !old(row)) {
        upserts.push(row);
        added += 1;
    }
    drop(rows);
    drop(statement);
    Ok(Step::Adjust { table, upserts, deletes, added })
}

/// The latest instant in a row, ms UTC. Lengths of time end in `_ms` too, and are far below any instant.
fn time(view: &View, row: &Row) -> Option<EventTime> {
    const FIRST: EventTime = 100_000_000_000;
    let cells = view.columns.iter().zip(row).filter(|(column, _)| column.name.ends_with("_ms"));
    let instants = cells.filter_map(|(_, cell)| match cell {
        Value::Int(at) if *at >= FIRST => Some(*at),
        _ => None,
    });
    instants.max()
}

fn stored_rows(conn: &Connection, name: &str) -> Result<u64, SinkError> {
    let exists = "SELECT 1 FROM sqlite_schema WHERE name = ?1 AND type = 'table'";
    if conn.query_row(exists, [name], |_| Ok(())).optional()?.is_none() {
        return Ok(0);
    }
    let sql = format!("SELECT count(*) FROM {}", quoted(name));
    Ok(conn.query_row(&sql, [], |row| row.get::<_, i64>(0))? as u64)
}
