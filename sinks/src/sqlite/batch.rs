//! Closed epochs waiting for one transaction, coalesced per view and key: only the net change is written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use highwater_dataflow::view::{Changes, Commit, Row, View};
use highwater_dataflow::{Epoch, EventTime};

use super::cell::{compare_keys, normalise};

/// What a key was before the batch and is after it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Net<'a> {
    pub(crate) before: Option<&'a Row>,
    pub(crate) after: Option<&'a Row>,
}

impl<'a> Net<'a> {
    /// Of one key's changes in the order in which they came.
    fn of(changes: &[(&'a Row, i8)]) -> Net<'a> {
        let mut net: Option<Net<'a>> = None;
        for (row, diff) in changes {
            match &mut net {
                Some(net) if *diff < 0 => net.after = net.after.filter(|after| after != row),
                None if *diff < 0 => net = Some(Net { before: Some(row), after: None }),
                _ => net.get_or_insert_default().after = Some(row),
            }
        }
        net.unwrap_or_default()
    }

    pub(crate) fn is_news(&self) -> bool {
        self.before != self.after
    }
}

/// Commits in epoch order and their net effect. Empty again after [`Batch::clear`].
#[derive(Debug, Default)]
pub(crate) struct Batch {
    commits: Vec<Commit>,
    /// Which of each commit's changes are a view's.
    views: BTreeMap<&'static str, (&'static View, Vec<(u32, u32)>)>,
    rows: usize,
}

impl Batch {
    pub(crate) fn absorb(&mut self, mut commit: Commit) {
        assert!(self.epoch().is_none_or(|epoch| epoch < commit.epoch), "epochs close in order");
        let nth = self.commits.len() as u32;
        for (place, changes) in (0..).zip(&mut commit.changes) {
            let view = changes.view;
            changes.rows.iter_mut().for_each(|(row, _)| normalise(view, row));
            self.views.entry(view.name).or_insert((view, Vec::new())).1.push((nth, place));
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

    /// The net effect on each view's keys, keys ascending.
    pub(crate) fn nets(&self) -> impl Iterator<Item = (&'static View, Vec<Net<'_>>)> {
        self.views.values().map(|(view, places)| {
            let changes = |(commit, place): &(u32, u32)| {
                self.commits[*commit as usize].changes[*place as usize].rows.iter()
            };
            let rows = places.iter().flat_map(changes).map(|(row, diff)| (row, *diff));
            let mut rows: Vec<(&Row, i8)> = rows.collect();
            // Stable: of one key, what came first stays first.
            rows.sort_by(|(a, _), (b, _)| compare_keys(view, a, b));
            let runs = rows.chunk_by(|(a, _), (b, _)| compare_keys(view, a, b).is_eq());
            (*view, runs.map(Net::of).collect())
        })
    }

    /// The net changes, retractions before insertions; keys that ended as they began are left out.
    pub(crate) fn coalesced(&self) -> Cow<'_, [Changes]> {
        // A single commit is net as it is.
        if let [commit] = &self.commits[..] {
            return Cow::Borrowed(&commit.changes);
        }
        let mut all = Vec::new();
        for (view, nets) in self.nets() {
            let changed = || nets.iter().filter(|net| net.is_news());
            let gone = changed().filter_map(|net| net.before).map(|row| (row.clone(), -1));
            let come = changed().filter_map(|net| net.after).map(|row| (row.clone(), 1));
            let rows: Vec<(Row, i8)> = gone.chain(come).collect();
            if !rows.is_empty() {
                all.push(Changes { view, rows });
            }
        }
        Cow::Owned(all)
    }

    pub(crate) fn clear(&mut self) {
        self.commits.clear();
        self.views.values_mut().for_each(|(_, places)| places.clear());
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
        batch.coalesced().iter().flat_map(|changes| changes.rows.clone()).collect()
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
