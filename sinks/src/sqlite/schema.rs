//! Tables: the DDL and statements of a view, generated from its definition, and the tables of our own.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use highwater_dataflow::view::{Column, Kind, View};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use crate::error::SinkError;

/// Goes up when the tables below change their meaning; an older program refuses a newer database.
pub(crate) const FORMAT: i32 = 1;

/// "HWTR": tells a view database from any other SQLite file.
pub(crate) const APPLICATION_ID: i32 = 0x4857_5452;

/// The tables that are ours. `_progress` holds the marker: every epoch up to `epoch` is in the views, none after.
/// `_definition` says of which definition of the views the rows are, where the program has a name for it.
pub(crate) const OWN_TABLES: &str = "
CREATE TABLE IF NOT EXISTS _progress (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  epoch INTEGER,
  watermark_ms INTEGER,
  committed_at_ms INTEGER,
  state TEXT NOT NULL CHECK (state IN ('catching_up', 'live')),
  clean INTEGER NOT NULL CHECK (clean IN (0, 1))
) STRICT;
INSERT OR IGNORE INTO _progress (id, state, clean) VALUES (1, 'catching_up', 1);
CREATE TABLE IF NOT EXISTS _definition (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  fingerprint TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS _views (
  name TEXT PRIMARY KEY,
  doc TEXT NOT NULL,
  key INTEGER NOT NULL,
  columns TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _outbox (
  seq INTEGER PRIMARY KEY,
  alert_id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  step TEXT NOT NULL CHECK (step IN ('opened', 'amended', 'resolved', 'retracted')),
  rule TEXT NOT NULL,
  scope TEXT NOT NULL,
  payload TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  written_at_ms INTEGER NOT NULL,
  UNIQUE (alert_id, revision)
) STRICT;
CREATE TABLE IF NOT EXISTS _delivery (
  channel TEXT NOT NULL,
  alert_id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'suppressed', 'dead')),
  attempts INTEGER NOT NULL DEFAULT 0,
  reason TEXT,
  settled_at_ms INTEGER,
  PRIMARY KEY (alert_id, revision, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS _delivery_head ON _delivery (channel, alert_id, revision) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS _delivery_pending ON _delivery (channel, seq) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS _outbox_age ON _outbox (written_at_ms);
";

/// A view's statements.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) view: &'static View,
    pub(crate) create: String,
    /// Takes all columns.
    pub(crate) upsert: String,
    /// Takes the key columns.
    pub(crate) delete: String,
    /// All columns, by key.
    pub(crate) select: String,
    pub(crate) drop: String,
}

impl Table {
    /// The statement that made the table of this name in a database; `None` where there is none.
    pub(super) fn stored(&self, conn: &Connection) -> Result<Option<String>, SinkError> {
        let sql = "SELECT sql FROM sqlite_schema WHERE name = ?1";
        Ok(conn.query_row(sql, [self.view.name], |row| row.get(0)).optional()?)
    }

    pub(crate) fn of(view: &'static View) -> Table {
        assert!(view.key <= view.columns.len(), "the key of {} is made of its columns", view.name);
        assert!(!view.name.starts_with('_'), "names that begin with _ are the program's own");
        let name = quoted(view.name);
        let (key, rest) = view.columns.split_at(view.key);
        let keys = list(key, |column| quoted(column.name));
        let columns = list(view.columns, |column| quoted(column.name));
        let marks = numbered(1, view.columns.len());
        let sets = list(rest, |column| format!("{0} = excluded.{0}", quoted(column.name)));
        let order = if view.key == 0 { String::new() } else { format!(" ORDER BY {keys}") };
        let conflict = match (view.key, rest) {
            (0, _) => format!("(_one) DO UPDATE SET {sets}"),
            (_, []) => format!("({keys}) DO NOTHING"),
            _ => format!("({keys}) DO UPDATE SET {sets}"),
        };
        let (into, values) = match view.key {
            0 => (format!("_one, {columns}"), format!("1, {marks}")),
            _ => (columns.clone(), marks),
        };
        let terms = key.iter().enumerate();
        let terms = terms.map(|(n, column)| format!("{} = ?{}", quoted(column.name), n + 1));
        let matched = match view.key {
            0 => "_one = 1".to_owned(),
            _ => terms.collect::<Vec<_>>().join(" AND "),
        };
        Table {
            view,
            create: create(view),
            upsert: format!("INSERT INTO {name} ({into}) VALUES ({values}) ON CONFLICT {conflict}"),
            delete: format!("DELETE FROM {name} WHERE {matched}"),
            select: format!("SELECT {columns} FROM {name}{order}"),
            drop: format!("DROP TABLE IF EXISTS {name}"),
        }
    }
}

/// A view without a key has one row; a single integer key is the rowid; any other key is the table's own b-tree.
fn create(view: &View) -> String {
    let mut sql = format!("CREATE TABLE {} (", quoted(view.name));
    if view.key == 0 {
        sql.push_str("_one INTEGER PRIMARY KEY CHECK (_one = 1), ");
    }
    for (n, column) in view.columns.iter().enumerate() {
        let kind = match column.kind {
            Kind::Int => "INTEGER",
            Kind::Real => "REAL",
            Kind::Text => "TEXT",
        };
        let null = if n < view.key { " NOT NULL" } else { "" };
        let _ = write!(sql, "{} {kind}{null}, ", quoted(column.name));
    }
    let rowid = view.key == 0 || (view.key == 1 && view.columns[0].kind == Kind::Int);
    if view.key > 0 {
        let keys = list(&view.columns[..view.key], |column| quoted(column.name));
        let _ = write!(sql, "PRIMARY KEY ({keys}), ");
    }
    sql.truncate(sql.len() - 2);
    sql.push_str(if rowid { ") STRICT" } else { ") STRICT, WITHOUT ROWID" });
    sql
}

/// An SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn list(columns: &[Column], each: impl Fn(&Column) -> String) -> String {
    columns.iter().map(each).collect::<Vec<_>>().join(", ")
}

fn numbered(from: usize, to: usize) -> String {
    (from..=to).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ")
}

/// A view as the database describes it, for readers that do not share our constants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Catalogued {
    pub name: String,
    pub doc: String,
    /// The first `key` columns identify a row.
    pub key: usize,
    pub columns: Vec<CataloguedColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CataloguedColumn {
    pub name: String,
    /// `int`, `real` or `text`.
    pub kind: String,
    pub doc: String,
}

impl Catalogued {
    pub(crate) fn of(view: &View) -> Catalogued {
        let columns = view.columns.iter().map(|column| CataloguedColumn {
            name: column.name.into(),
            doc: column.doc.into(),
            kind: match column.kind {
                Kind::Int => "int",
                Kind::Real => "real",
                Kind::Text => "text",
            }
            .into(),
        });
        Catalogued {
            name: view.name.into(),
            doc: view.doc.into(),
            key: view.key,
            columns: columns.collect(),
        }
    }

    pub(crate) fn save(&self, conn: &Connection) -> Result<(), SinkError> {
        let columns = serde_json::to_string(&self.columns).expect("strings make JSON");
        let sql = "INSERT OR REPLACE INTO _views (name, doc, key, columns) VALUES (?1, ?2, ?3, ?4)";
        conn.execute(sql, (&self.name, &self.doc, self.key as i64, columns))?;
        Ok(())
    }
}

/// The views the database holds, by name.
pub(crate) fn catalog(conn: &Connection) -> Result<BTreeMap<String, Catalogued>, SinkError> {
    let present = "SELECT 1 FROM sqlite_schema WHERE name = '_views'";
    if conn.query_row(present, [], |_| Ok(())).optional()?.is_none() {
        return Ok(BTreeMap::new());
    }
    let mut statement = conn.prepare_cached("SELECT name, doc, key, columns FROM _views")?;
    let mut rows = statement.query([])?;
    let mut views = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let columns: String = row.get(3)?;
        let columns = serde_json::from_str(&columns).unwrap_or_default();
        let (name, key): (String, i64) = (row.get(0)?, row.get(2)?);
        let view = Catalogued { name, doc: row.get(1)?, key: key as usize, columns };
        views.insert(view.name.clone(), view);
    }
    Ok(views)
}
