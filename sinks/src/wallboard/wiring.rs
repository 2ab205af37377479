//! The wallboard's two ends in this crate: it hears of commits, and it reads views.

use highwater_dataflow::view::{Row, Value, View};

use super::feed::Wallboard;
use super::read::{ReadError, ReadViews};
use crate::reader::Select;
use crate::sqlite::Desired;
use crate::{CommittedBatch, Listener, Reconciled, SinkError, ViewReaders};

/// The page only ever shows rows that the views hold: nothing during a replay, everything once they are level.
impl Listener for Wallboard {
    fn shows(&self, view: &View) -> bool {
        Wallboard::shows(self, view)
    }

    fn caught_up(&mut self, desired: &Desired, _reconciled: &[Reconciled]) {
        let views = desired.views().map(|(view, rows)| (view, rows.values()));
        self.load(views, desired.watermark());
    }

    fn committed(&mut self, batch: &CommittedBatch<'_>) {
        self.apply(batch.commits);
    }
}

impl ReadViews for ViewReaders {
    fn read(
        &self,
        view: &'static View,
        prefix: &[Value],
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        let select = Select { prefix: prefix.to_vec(), limit: Some(limit) };
        self.with(|reader| reader.rows(view.name, &select)).map_err(|error| match error {
            SinkError::Interrupted { .. } | SinkError::Busy => ReadError::Interrupted,
            SinkError::NoSuchView(_) => ReadError::NotYet,
            error => ReadError::Failed(error.to_string()),
        })
    }
}
