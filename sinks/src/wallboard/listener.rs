//! The wallboard hears of commits: the page only ever shows rows that the views hold.

use super::feed::Wallboard;
use crate::sqlite::Desired;
use crate::{CommittedBatch, Listener, Reconciled};

impl Listener for Wallboard {
    fn caught_up(&mut self, desired: &Desired, _reconciled: &[Reconciled]) {
        let views = desired.views().map(|(view, rows)| (view, rows.values()));
        self.load(views, desired.watermark());
    }

    fn committed(&mut self, batch: &CommittedBatch<'_>) {
        self.apply(batch.commits);
    }
}
