//! The one write connection: a batch, its marker and its alerts in one transaction, or nothing of them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use highwater_dataflow::view::{Row, View};
use highwater_dataflow::{BEGINNING, Epoch, EventTime};
use rusqlite::{Connection, Transaction, TransactionBehavior, params_from_iter};

use super::batch::Batch;
use super::cell::{Bound, Key};
use super::check::Checking;
use super::open::{Opened, opened, read_definition, read_marker};
use super::plan::{Desired, Reconciled, Step, steps};
use super::schema::{Catalogued, Table, quoted};
use crate::error::SinkError;
use crate::moment::{Moment, Reached, tell};

/// The view database, opened for writing.
pub(crate) struct Store {
    pub(super) conn: Connection,
    /// Pages in the write-ahead log, as of the last commit or checkpoint.
    pub(super) wal_pages: Arc<AtomicI32>,
    /// Those of them that the last checkpoint found in the database file; 0 once the log begins anew.
    pub(super) moved_pages: Cell<i64>,
    tables: BTreeMap<&'static str, Table>,
    marker: Cell<Option<Epoch>>,
    /// The views have reached the end of the replay.
    level: Cell<bool>,
    /// Every table was there, and is as its view defines it.
    fits: Cell<bool>,
    /// It was not closed, and nothing is known yet about what became of it.
    unchecked: Cell<bool>,
    /// Who is told of each moment; a test.
    pub(crate) reached: Option<Reached>,
}

impl Store {
    /// Opens or creates the database; tables of new views appear at once, empty. Also says where a damaged
    /// database was set aside. One that was not closed is checked here up to `first` bytes, and with more of them by
    /// [`Store::check`].
    pub(crate) fn open(
        path: &Path,
        views: &[&'static View],
        now: EventTime,
        first: u64,
    ) -> Result<(Store, Option<PathBuf>), SinkError> {
        let Opened { mut conn, aside, unchecked } = opened(path, now, first)?;
        let wal_pages = Arc::new(AtomicI32::new(0));
        let seen = wal_pages.clone();
        conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        let tables: BTreeMap<_, _> =
            views.iter().map(|view| (view.name, Table::of(view))).collect();
        assert_eq!(tables.len(), views.len(), "view names are distinct");
        let marker = Cell::new(read_marker(&conn)?);
        let (level, fits) = (Cell::new(false), Cell::new(true));
        let (unchecked, reached) = (Cell::new(unchecked), None);
        let moved_pages = Cell::new(0);
        let store =
            Store { conn, wal_pages, moved_pages, tables, marker, level, fits, unchecked, reached };
        store.create_missing()?;
        Ok((store, aside))
    }

    /// Every epoch up to here is in the views.
    pub(crate) fn marker(&self) -> Option<Epoch> {
        self.marker.get()
    }

    /// Of which definition the rows are; `None` when that is not known, or a table is not as its view defines it.
    pub(crate) fn definition(&self) -> Result<Option<String>, SinkError> {
        Ok(read_definition(&self.conn)?.filter(|_| self.fits.get()))
    }

    /// The views have reached the end of the replay: readers are told. Returns the watermark as of the marker.
    pub(crate) fn go_live(&self) -> Result<Option<EventTime>, SinkError> {
        self.level.set(true);
        let sql = "UPDATE _progress SET state = 'live' RETURNING watermark_ms";
        Ok(self.conn.query_row(sql, [], |row| row.get(0))?)
    }

    /// Starts the check that is still due; see [`Checking::start`].
    pub(crate) fn check(
        &self,
        path: &Path,
        done: impl FnOnce(Option<String>) + Send + 'static,
    ) -> Option<Checking> {
        self.unchecked.get().then(|| Checking::start(path, done))
    }

    /// The check has found nothing.
    pub(crate) fn is_whole(&self) {
        self.unchecked.set(false);
    }

    pub(crate) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// Writes the net changes and moves the marker to the batch's last epoch; `beside` writes what belongs to the
    /// same transaction. On any error nothing is written.
    pub(crate) fn apply(
        &self,
        batch: &Batch,
        now: EventTime,
        beside: impl FnOnce(&Connection) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let tx = self.begin()?;
        for (view, nets) in batch.nets() {
            let table = self.table(view);
            let mut delete = tx.prepare_cached(&table.delete)?;
            let gone = nets.iter().filter(|net| net.after.is_none()).filter_map(|net| net.before);
            for row in gone {
                delete.execute(params_from_iter(row[..view.key].iter().map(Bound)))?;
            }
            let mut upsert = tx.prepare_cached(&table.upsert)?;
            for row in nets.iter().filter(|net| net.is_news()).filter_map(|net| net.after) {
                upsert.execute(params_from_iter(row.iter().map(Bound)))?;
            }
        }
        beside(&tx)?;
        if let (Some(epoch), Some(watermark)) = (batch.epoch(), batch.watermark()) {
            self.move_marker(&tx, epoch, watermark, now)?;
        }
        self.commit(tx)?;
        if let Some(epoch) = batch.epoch() {
            self.marker.set(Some(epoch));
        }
        Ok(())
    }

    /// Makes every view equal to `desired` by writing the difference alone, with the marker, in one transaction.
    pub(crate) fn reconcile(
        &self,
        desired: &Desired,
        definition: Option<&str>,
        now: EventTime,
        beside: impl FnOnce(&Connection) -> Result<(), SinkError>,
    ) -> Result<Vec<Reconciled>, SinkError> {
        let tx = self.begin()?;
        let steps = steps(&tx, desired)?;
        for step in &steps {
            perform(&tx, step)?;
        }
        for (view, _) in desired.views() {
            Catalogued::of(view).save(&tx)?;
        }
        tx.execute("DELETE FROM _definition", [])?;
        if let Some(definition) = definition {
            tx.execute("INSERT INTO _definition (id, fingerprint) VALUES (1, ?1)", [definition])?;
        }
        self.level.set(true);
        beside(&tx)?;
        let epoch = desired.epoch().or(self.marker());
        match epoch {
            Some(epoch) => {
                let watermark = desired.watermark().unwrap_or(BEGINNING);
                self.move_marker(&tx, epoch, watermark, now)?;
            }
            None => {
                tx.execute("UPDATE _progress SET state = 'live'", [])?;
            }
        }
        self.commit(tx)?;
        self.marker.set(epoch);
        Ok(steps.iter().map(Step::report).collect())
    }

    /// A transaction without rows of views.
    pub(crate) fn write(
        &self,
        within: impl FnOnce(&Connection) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let tx = self.begin()?;
        within(&tx)?;
        Ok(tx.commit()?)
    }

    /// Closes it so that the next start need not check it, unless this one did not come to it.
    pub(crate) fn close(self) -> Result<(), SinkError> {
        if !self.unchecked.get() {
            self.conn.execute("UPDATE _progress SET clean = 1", [])?;
        }
        tell(self.reached.as_ref(), Moment::BeforeLog);
        self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.conn.close().map_err(|(_, error)| error.into())
    }

    /// A deferred transaction that turns into a writer fails at once when it meets another; this one waits.
    fn begin(&self) -> Result<Transaction<'_>, SinkError> {
        Ok(Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate)?)
    }

    fn commit(&self, tx: Transaction<'_>) -> Result<(), SinkError> {
        tell(self.reached.as_ref(), Moment::BeforeCommit);
        tx.commit()?;
        tell(self.reached.as_ref(), Moment::AfterCommit);
        Ok(())
    }

    fn move_marker(
        &self,
        tx: &Connection,
        epoch: Epoch,
        watermark: EventTime,
        now: EventTime,
    ) -> Result<(), SinkError> {
        let mut moved = tx.prepare_cached(
            "UPDATE _progress SET epoch = ?1, watermark_ms = ?2, committed_at_ms = ?3, state = ?5 \
             WHERE id = 1 AND epoch IS ?4",
        )?;
        let expected = self.marker();
        let state = if self.level.get() { "live" } else { "catching_up" };
        let at = expected.map(|epoch| epoch as i64);
        let rows = moved.execute((epoch as i64, watermark, now, at, state))?;
        if rows == 1 { Ok(()) } else { Err(SinkError::MarkerMoved { expected }) }
    }

    fn create_missing(&self) -> Result<(), SinkError> {
        self.write(|tx| {
            for table in self.tables.values() {
                let stored = table.stored(tx)?;
                if stored.as_ref() != Some(&table.create) {
                    self.fits.set(false);
                }
                if stored.is_none() {
                    tx.execute_batch(&table.create)?;
                    Catalogued::of(table.view).save(tx)?;
                }
            }
            Ok(())
        })
    }

    fn table(&self, view: &View) -> &Table {
        self.tables.get(view.name).unwrap_or_else(|| {
            panic!("view {} is not among those the sink was opened with", view.name)
        })
    }
}

fn perform(tx: &Connection, step: &Step<'_>) -> Result<(), SinkError> {
    let insert = |table: &Table, rows: &mut dyn Iterator<Item = &Row>| -> Result<(), SinkError> {
        let mut upsert = tx.prepare(&table.upsert)?;
        for row in rows {
            upsert.execute(params_from_iter(row.iter().map(Bound)))?;
        }
        Ok(())
    };
    match step {
        Step::Adjust { table, upserts, deletes, .. } => {
            let mut delete = tx.prepare(&table.delete)?;
            for Key(key) in deletes {
                delete.execute(params_from_iter(key.iter().map(Bound)))?;
            }
            insert(table, &mut upserts.iter().copied())
        }
        Step::Build { table, rows, .. } => {
            tx.execute_batch(&table.drop)?;
            tx.execute_batch(&table.create)?;
            insert(table, &mut rows.values())
        }
        Step::Drop { name, .. } => {
            tx.execute_batch(&format!("DROP TABLE IF EXISTS {}", quoted(name)))?;
            tx.execute("DELETE FROM _views WHERE name = ?1", [name])?;
            Ok(())
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
pub(crate) mod tests;
