//! Cells in and out of SQLite, and the total order of keys.

use std::cmp::Ordering;

use highwater_dataflow::view::{Kind, Row, Value, View};
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// The key cells of a row, ordered as SQLite orders them: null, numbers, text by bytes.
#[derive(Clone, Debug)]
pub struct Key(pub Vec<Value>);

impl Key {
    pub fn of(view: &View, row: &Row) -> Key {
        Key(row[..view.key].to_vec())
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_cells(&self.0, &other.0).then(self.0.len().cmp(&other.0.len()))
    }
}
impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Key {}

/// The order of two rows' keys.
pub(crate) fn compare_keys(view: &View, a: &Row, b: &Row) -> Ordering {
    compare_cells(&a[..view.key], &b[..view.key])
}

/// The order of the first cells that differ.
fn compare_cells(a: &[Value], b: &[Value]) -> Ordering {
    let mut orders = a.iter().zip(b).map(|(a, b)| compare(a, b));
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// A column holds one kind, so only null meets another kind here.
fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Int(_) => 1,
        Value::Real(_) => 2,
        Value::Text(_) => 3,
    };
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Real(a), Value::Real(b)) => a.total_cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

/// The row as the table will hold it, so that what is compared later is what was written: a real column holds
/// reals, and neither NaN (SQLite stores null) nor a negative zero (SQLite drops the sign).
pub(crate) fn normal(view: &View, mut row: Row) -> Row {
    normalise(view, &mut row);
    row
}

/// Makes the row [`normal`].
pub(crate) fn normalise(view: &View, row: &mut Row) {
    assert_eq!(row.len(), view.columns.len(), "a row of view {} has all its columns", view.name);
    for (value, column) in row.iter_mut().zip(view.columns) {
        match (column.kind, &*value) {
            (Kind::Real, Value::Int(n)) => *value = Value::Real(*n as f64),
            (Kind::Real, Value::Real(x)) if x.is_nan() => *value = Value::Null,
            (Kind::Real, Value::Real(x)) => *value = Value::Real(x + 0.0),
            _ => {}
        }
    }
}

/// A cell on its way into a statement.
pub(crate) struct Bound<'a>(pub(crate) &'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Int(n) => ValueRef::Integer(*n),
            Value::Real(x) => ValueRef::Real(*x),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// A cell of a stored row; bytes that are not UTF-8 (nobody here writes them) come out with replacement marks.
pub(crate) fn read_cell(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Value> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => Value::Int(n),
        ValueRef::Real(x) => Value::Real(x),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Value::Text(String::from_utf8_lossy(bytes).into())
        }
    })
}

pub(crate) fn read_row(row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Row> {
    (0..columns).map(|column| read_cell(row, column)).collect()
}
