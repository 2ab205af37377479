//! What the page shows, as data: the current rows of its views, and every row's last change.
//!
//! A client is only a number here: the sequence it has seen. What it lacks are the rows whose last change is
//! newer, so a client that falls behind costs nothing and is conflated by construction. State shrinks with the
//! row caps and horizons of [`Shown`]; rows that went leave a tombstone until [`TOMBSTONES_MAX`] newer ones exist.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use highwater_dataflow::view::{Changes, Commit, Kind, Row, Value, View};
use highwater_dataflow::{BEGINNING, EventTime, FOREVER, Notification};

use super::correction::{self, Correction};
use super::shown::Shown;

/// JSON text, shared: a row or a key is encoded once, however many clients it goes to.
pub(super) type Text = Arc<str>;

/// Removals that are remembered per view. A client older than the oldest of them gets a snapshot.
const TOMBSTONES_MAX: usize = 10_000;
/// Alert steps kept for clients that connect or lag.
const NOTICES_MAX: usize = 100;
/// Corrections kept for clients that connect or lag.
const CORRECTIONS_MAX: usize = 60;

pub(super) struct Board {
    /// Counts updates from 1; 0 is the empty board.
    pub(super) seq: u64,
    pub(super) watermark: EventTime,
    pub(super) tables: Vec<Table>,
    notices: VecDeque<(u64, Notification)>,
    corrections: VecDeque<(u64, Correction)>,
}

/// What one update is made of, taken out of the board so that it can be encoded without holding it.
pub(super) struct Extract {
    pub(super) seq: u64,
    pub(super) watermark: EventTime,
    /// Per table: the rows that came or changed, and the keys that went.
    pub(super) tables: Vec<Part>,
    pub(super) notices: Vec<Notification>,
    pub(super) corrections: Vec<Correction>,
}

pub(super) struct Part {
    pub(super) view: &'static View,
    pub(super) come: Vec<Text>,
    pub(super) gone: Vec<Text>,
    /// The cap kept rows from being shown.
    pub(super) truncated: bool,
}

impl Board {
    pub(super) fn new(tables: Vec<Table>) -> Self {
        Board {
            seq: 0,
            watermark: BEGINNING,
            tables,
            notices: VecDeque::new(),
            corrections: VecDeque::new(),
        }
    }

    /// Takes the changes of closed epochs as one update; true when the page has something new to show.
    pub(super) fn apply<'a>(&mut self, commits: impl IntoIterator<Item = &'a Commit>) -> bool {
        let seq = self.seq + 1;
        let before = self.watermark;
        let mut changed = false;
        for commit in commits {
            self.watermark = commit.watermark;
            for changes in &commit.changes {
                let Some(table) = self.tables.iter_mut().find(|t| t.view == changes.view) else {
                    continue;
                };
                for found in correction::find(changes, table.shown.corrections, commit.watermark) {
                    push_bounded(&mut self.corrections, (seq, found), CORRECTIONS_MAX);
                }
                table.apply(changes, seq);
                changed = true;
            }
            for notice in &commit.notifications {
                push_bounded(&mut self.notices, (seq, notice.clone()), NOTICES_MAX);
                changed = true;
            }
        }
        if changed {
            for table in &mut self.tables {
                table.forget(seq, self.watermark);
            }
        }
        changed |= self.watermark != before;
        if changed {
            self.seq = seq;
        }
        changed
    }

    /// Takes in the whole contents of views, as one update.
    pub(super) fn load<'a, R: IntoIterator<Item = &'a Row>>(
        &mut self,
        views: impl IntoIterator<Item = (&'static View, R)>,
        watermark: Option<EventTime>,
    ) {
        self.seq += 1;
        self.watermark = watermark.unwrap_or(self.watermark);
        for (view, rows) in views {
            let Some(table) = self.tables.iter_mut().find(|table| table.view == view) else {
                continue;
            };
            for row in rows {
                table.insert(json(&row[..view.key]), row, self.seq);
            }
            table.forget(self.seq, self.watermark);
        }
    }

    /// All current rows.
    pub(super) fn snapshot(&self) -> Extract {
        let table = |table: &Table| Part {
            view: table.view,
            come: table.rows.values().filter_map(|entry| entry.row.clone()).collect(),
            gone: Vec::new(),
            truncated: table.truncated,
        };
        self.extract(0, self.tables.iter().map(table).collect())
    }

    /// What changed after `since`; `None` when the board no longer knows, so that only a snapshot helps.
    pub(super) fn since(&self, since: u64) -> Option<Extract> {
        if since > self.seq || self.tables.iter().any(|table| since < table.floor) {
            return None;
        }
        let tables = self.tables.iter().map(|table| table.since(since));
        let tables = tables.filter(|p| !p.come.is_empty() || !p.gone.is_empty()).collect();
        Some(self.extract(since, tables))
    }

    fn extract(&self, since: u64, tables: Vec<Part>) -> Extract {
        let newer = |seq: u64| since < seq;
        Extract {
            seq: self.seq,
            watermark: self.watermark,
            tables,
            notices: self.notices.iter().filter(|n| newer(n.0)).map(|n| n.1.clone()).collect(),
            corrections: self
                .corrections
                .iter()
                .filter(|c| newer(c.0))
                .map(|c| c.1.clone())
                .collect(),
        }
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, max: usize) {
    if queue.len() == max {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// The current rows of one view.
pub(super) struct Table {
    pub(super) view: &'static View,
    pub(super) shown: Shown,
    /// Index of the column rows are aged by.
    time: Option<usize>,
    /// Rows with this value in this column are not aged out.
    pinned: Option<(usize, &'static str)>,
    /// Live rows and tombstones by key; ordered, so that snapshots of the same rows are the same.
    rows: BTreeMap<Text, Entry>,
    live: usize,
    /// Live rows by last change, tombstones by removal, unpinned live rows by age.
    changed: BTreeSet<(u64, Text)>,
    gone: BTreeSet<(u64, Text)>,
    aged: BTreeSet<(EventTime, Text)>,
    /// Removals up to this sequence are forgotten.
    floor: u64,
    truncated: bool,
}

struct Entry {
    row: Option<Text>,
    seq: u64,
    /// Its place in `aged`, when it has one.
    at: Option<EventTime>,
}

impl Table {
    pub(super) fn new(view: &'static View, shown: Shown) -> Self {
        let column = |name: &str| view.columns.iter().position(|c| c.name == name);
        Table {
            view,
            time: shown
                .aged_by
                .and_then(column)
                .filter(|&index| view.columns[index].kind == Kind::Int),
            pinned: shown.keeps.and_then(|(name, value)| Some((column(name)?, value))),
            shown,
            rows: BTreeMap::new(),
            live: 0,
            changed: BTreeSet::new(),
            gone: BTreeSet::new(),
            aged: BTreeSet::new(),
            floor: 0,
            truncated: false,
        }
    }

    fn apply(&mut self, changes: &Changes, seq: u64) {
        for (row, diff) in &changes.rows {
            let key = json(&row[..self.view.key]);
            if *diff < 0 {
                self.remove(&key, seq);
            } else {
                self.insert(key, row, seq);
            }
        }
    }

    fn insert(&mut self, key: Text, row: &Row, seq: u64) {
        let at = match self.time.map(|index| &row[index]) {
            Some(Value::Int(at)) if !self.pins(row) => Some(*at),
            _ => None,
        };
        let shown = self.unlink(&key);
        if self.live == self.shown.rows_max && !self.make_room(at, seq) {
            self.truncated = true;
            if shown {
                self.bury(key, seq);
            }
            return;
        }
        self.changed.insert((seq, key.clone()));
        if let Some(at) = at {
            self.aged.insert((at, key.clone()));
        }
        self.rows.insert(key, Entry { row: Some(json(row)), seq, at });
        self.live += 1;
    }

    fn remove(&mut self, key: &Text, seq: u64) {
        if self.rows.get(key).is_some_and(|entry| entry.row.is_some()) {
            self.unlink(key);
            self.bury(key.clone(), seq);
        }
    }

    /// Takes a key out of every index, and out of the rows; true when clients may know it.
    fn unlink(&mut self, key: &Text) -> bool {
        let Some(entry) = self.rows.remove(key) else { return false };
        let at_seq = (entry.seq, key.clone());
        if entry.row.is_none() {
            self.gone.remove(&at_seq);
            return true;
        }
        self.changed.remove(&at_seq);
        if let Some(at) = entry.at {
            self.aged.remove(&(at, key.clone()));
        }
        self.live -= 1;
        true
    }

    /// Leaves a tombstone, so that clients that had the row learn that it went.
    fn bury(&mut self, key: Text, seq: u64) {
        self.gone.insert((seq, key.clone()));
        self.rows.insert(key, Entry { row: None, seq, at: None });
    }

    /// Drops the oldest row in favour of one that happened at `at`; false when that would be the oldest itself.
    fn make_room(&mut self, at: Option<EventTime>, seq: u64) -> bool {
        let Some((oldest, key)) = self.aged.first().cloned() else { return false };
        if at.is_some_and(|at| at <= oldest) {
            return false;
        }
        self.remove(&key, seq);
        true
    }

    /// Drops rows that are past the horizon, and tombstones above their bound.
    ///
    /// Once per update: within one, a changed row is a tombstone until its new version comes.
    fn forget(&mut self, seq: u64, watermark: EventTime) {
        self.age_out(seq, watermark);
        while TOMBSTONES_MAX < self.gone.len() {
            let (seq, key) = self.gone.pop_first().expect("there are too many");
            self.rows.remove(&key);
            self.floor = seq;
        }
    }

    fn age_out(&mut self, seq: u64, watermark: EventTime) {
        let (Some(horizon), Some((newest, _))) = (self.shown.horizon_ms, self.aged.last()) else {
            return;
        };
        // The newest row bounds the present as well: at the end of a replay the watermark is the end of time.
        let now = if watermark == FOREVER { *newest } else { watermark.min(*newest) };
        while let Some((at, key)) = self.aged.first().cloned() {
            if now.saturating_sub(horizon) <= at {
                break;
            }
            self.remove(&key, seq);
        }
    }

    fn since(&self, since: u64) -> Part {
        let after = (since + 1, Text::from(""));
        let row = |(_, key): &(u64, Text)| self.rows[key].row.clone().expect("it is live");
        Part {
            view: self.view,
            come: self.changed.range(after.clone()..).map(row).collect(),
            gone: self.gone.range(after..).map(|(_, key)| key.clone()).collect(),
            truncated: self.truncated,
        }
    }

    fn pins(&self, row: &Row) -> bool {
        self.pinned.is_some_and(
            |(index, value)| matches!(&row[index], Value::Text(text) if text.as_str() == value),
        )
    }
}

/// Cells as a JSON array; what is not a number becomes `null`.
pub(super) fn json(cells: &[Value]) -> Text {
    serde_json::to_string(cells).expect("cells are plain values").into()
}
