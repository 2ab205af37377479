//! Closed epochs waiting for one transaction, coalesced per view and key: only the net change is written.

use std::collections::BTreeMap;

use highwater_dataflow::view::{Changes, Commit, Row, View};
use highwater_dataflow::{Epoch, EventTime};

use super::cell::{Key, normal};

/// What a key was before the batch and is after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Net {
    pub(crate) before: Option<Row>,
    pub(crate) after: Option<Row>,
}

/// Commits in epoch order and their net effect. Empty again after [`Batch::clear`].
#[derive(Debug, Default)]
pub(crate) struct Batch {
    commits: Vec<Commit>,
    views: BTreeMap<&'static str, (&'static View, BTreeMap<Key, Net>)>,
    rows: usize,
}

impl Batch {
    pub(crate) fn absorb(&mut self, commit: Commit) {
        assert!(self.epoch().is_none_or(|epoch| epoch < commit.epoch), "epochs close in order");
        for changes in &commit.changes {
            let view = changes.view;
            let (_, nets) = self.views.entry(view.name).or_insert_with(|| (view, BTreeMap::new()));
            for (row, diff) in &changes.rows {
                let row = normal(view, row.clone());
                let net = nets.entry(Key::of(view, &row));
                if *diff > 0 {
                    net.or_default().after = Some(row);
                    continue;
                }
                net.and_modify(|net| {
                    if net.after.as_ref() == Some(&row) {
                        net.after = None;
                    }
                })
                .or_insert_with(|| Net { before: Some(row), after: None });
            }
            self.rows += changes.rows.len();
        }
        self.commits.push(commit);
    }

    pub(crate) fn commits(&self) -> &[Commit] {
        &self.commits
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    /// Row changes taken in, before coalescing: what the batch costs to hold.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.commits.last().map(|commit| commit.epoch)
    }

    pub(crate) fn watermark(&self) -> Option<EventTime> {
        self.commits.last().map(|commit| commit.watermark)
    }

    pub(crate) fn views(
        &self,
    ) -> impl Iterator<Item = (&'static View, &BTreeMap<Key, Net>)> + use<'_> {
        self.views.values().map(|(view, nets)| (*view, nets))
    }

    /// The net changes, retractions before insertions; keys that ended as they began are left out.
    pub(crate) fn coalesced(&self) -> Vec<Changes> {
        let mut all = Vec::new();
        for (view, nets) in self.views() {
            let changed = || nets.values().filter(|net| net.before != net.after);
            let gone = changed().filter_map(|net| net.before.clone()).map(|row| (row, -1));
            let come = changed().filter_map(|net| net.after.clone()).map(|row| (row, 1));
            let rows: Vec<(Row, i8)> = gone.chain(come).collect();
            if !rows.is_empty() {
                all.push(Changes { view, rows });
            }
        }
        all
    }

    pub(crate) fn clear(&mut self) {
        self.commits.clear();
        self.views.values_mut().for_each(|(_, nets)| nets.clear());
        self.rows = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::store::tests::{SCORES, commit, score};

    fn net(commits: Vec<Commit>) -> Vec<(Row, i8)> {
        let mut batch = Batch::default();
        for commit in commits {
            batch.absorb(commit);
        }
        batch.coalesced().into_iter().flat_map(|changes| changes.rows).collect()
    }

    #[test]
    fn the_last_row_of_a_key_wins() {
        let rows = net(vec![
            commit(1, &[(score("a", 1, 0.0), 1)]),
            commit(2, &[(score("a", 1, 0.0), -1), (score("a", 2, 0.0), 1)]),
            commit(3, &[(score("a", 2, 0.0), -1), (score("a", 3, 0.0), 1)]),
        ]);
        assert_eq!(rows, [(score("a", 3, 0.0), 1)]);
    }

    #[test]
    fn come_and_gone_again_cancels() {
        let gone = net(vec![
            commit(1, &[(score("a", 1, 0.0), 1)]),
            commit(2, &[(score("a", 1, 0.0), -1)]),
        ]);
        assert!(gone.is_empty());
        let back = net(vec![
            commit(1, &[(score("a", 1, 0.0), -1)]),
            commit(2, &[(score("a", 1, 0.0), 1)]),
        ]);
        assert!(back.is_empty());
    }

    #[test]
    fn a_replacement_is_both_in_either_order() {
        let expected = [(score("a", 1, 0.0), -1), (score("a", 2, 0.0), 1)];
        assert_eq!(net(vec![commit(1, &expected)]), expected);
        assert_eq!(SCORES.key, 1);
    }
}
