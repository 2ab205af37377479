//! The sink port: what a view is, what its rows are, and the changes a closed epoch makes.

use std::sync::Arc;
use std::time::Instant;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::alert::Notification;
use crate::time::Epoch;

/// A published table: its name, columns and key. One constant per query output.
#[derive(Debug, PartialEq, Eq)]
pub struct View {
    /// Table name, `snake_case`.
    pub name: &'static str,
    /// One sentence for `docs/views.md` and `highwater views`.
    pub doc: &'static str,
    /// The first `key` columns identify a row.
    pub key: usize,
    pub columns: &'static [Column],
}

/// A column; its unit is the suffix of its name (`_ms`, `_pct`) or stated in `doc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    pub doc: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int,
    Real,
    Text,
}

impl Column {
    pub const fn int(name: &'static str, doc: &'static str) -> Self {
        Column { name, kind: Kind::Int, doc }
    }
    pub const fn real(name: &'static str, doc: &'static str) -> Self {
        Column { name, kind: Kind::Real, doc }
    }
    pub const fn text(name: &'static str, doc: &'static str) -> Self {
        Column { name, kind: Kind::Text, doc }
    }

    /// The columns of several lists, one after the other: for views that have columns in common.
    pub const fn join<const N: usize>(lists: &[&[Column]]) -> [Column; N] {
        let mut all = [Column::int("", ""); N];
        let (mut list, mut n) = (0, 0);
        while list < lists.len() {
            let mut at = 0;
            while at < lists[list].len() {
                all[n] = lists[list][at];
                (n, at) = (n + 1, at + 1);
            }
            list += 1;
        }
        assert!(n == N, "N is the number of all columns");
        all
    }
}

/// A cell. Undefined stays undefined: `Null`, never 0 or 100.
#[derive(Clone, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Null,
    Int(i64),
    Real(f64),
    Text(CompactString),
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Value::Int(n)
    }
}
impl From<f64> for Value {
    fn from(x: f64) -> Self {
        Value::Real(x)
    }
}
impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Value::Int(b.into())
    }
}
impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Value::Text(s.into())
    }
}
impl From<CompactString> for Value {
    fn from(s: CompactString) -> Self {
        Value::Text(s)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(x: Option<T>) -> Self {
        x.map_or(Value::Null, Into::into)
    }
}

/// A row: one value per column, in the view's order.
pub type Row = Vec<Value>;

/// A typed row of a view. Equality and order are the typed row's; derived figures (rates, means) are made in `cells`.
pub trait ViewRow: crate::Datum {
    const VIEW: &'static View;
    /// Appends one value per column of [`Self::VIEW`].
    fn cells(&self, row: &mut Row);
}

/// The net change of one view in one closed epoch: at most one row gone and one come per key.
#[derive(Clone, Debug)]
pub struct Changes {
    pub view: &'static View,
    /// `(row, +1 | -1)`, retractions before insertions.
    pub rows: Vec<(Row, i8)>,
}

/// Everything a closed epoch says to the outside. Sent for every epoch in order, also when nothing changed.
#[derive(Clone, Debug)]
pub struct Commit {
    pub epoch: Epoch,
    pub changes: Vec<Changes>,
    /// Alert life-cycle messages, in a deterministic order.
    pub notifications: Vec<Notification>,
    /// The watermark after this epoch, ms UTC.
    pub watermark: i64,
    pub stamps: Arc<Stamps>,
}

/// When the events of an epoch passed the stages before the dataflow: for latency histograms only, never data.
#[derive(Debug, Default)]
pub struct Stamps {
    /// `(path, received, how many events)`.
    pub received: Vec<(crate::latency::Path, Instant, u32)>,
    /// When the epoch's frame was durable in the journal; `None` on replay.
    pub durable: Option<Instant>,
    /// True while the journal is being replayed after a start: the outside has mostly seen this before.
    pub replay: bool,
}
