//! Revised: which of a key's rows changed in an epoch, with the records that changed what had been said of the key.

use std::collections::{BTreeMap, BTreeSet};

use crate::Datum;
use crate::closed::{Out, closed2, route};
use crate::overlay::Revision;
use crate::table::Table;

impl<'s, K: Datum, V: Datum> Table<'s, (K, V)> {
    /// The key's revisions of an epoch, under the `scope` of every row that came or went in that epoch and that they bear
    /// on (`None`: they do not).
    ///
    /// For alerts whose levels are made of many records, or kept by another key than theirs: `(K, V)` are what a scope's
    /// incidents are made of, `revisions` the records that may have changed it. Insertions only. State: none; an epoch's
    /// own rows. Cost: the rows of a key that changed times its revisions.
    pub fn revised<L: Datum>(
        self,
        name: &str,
        revisions: Table<'s, (K, Revision)>,
        scope: impl Fn(&V, &Revision) -> Option<L> + 'static,
    ) -> Table<'s, (L, Revision)> {
        let (revised, _) = closed2(
            self,
            |(key, _)| route(key),
            revisions,
            |(key, _)| route(key),
            name,
            (),
            move |(), _, rows, revisions, out, _: &mut Out<()>| {
                let mut by_key: BTreeMap<&K, BTreeSet<&Revision>> = BTreeMap::new();
                for ((key, revision), _, _) in revisions.iter().filter(|(_, _, diff)| *diff > 0) {
                    by_key.entry(key).or_default().insert(revision);
                }
                let mut changes: BTreeMap<&(K, V), isize> = BTreeMap::new();
                for (row, _, diff) in
                    rows.iter().filter(|((key, _), _, _)| by_key.contains_key(key))
                {
                    *changes.entry(row).or_default() += diff;
                }
                let mut told: BTreeSet<(L, &Revision)> = BTreeSet::new();
                for ((key, value), _) in changes.into_iter().filter(|(_, diff)| *diff != 0) {
                    let bearing = by_key[key].iter();
                    told.extend(
                        bearing.filter_map(|&by| scope(value, by).map(|scope| (scope, by))),
                    );
                }
                for (scope, revision) in told {
                    out.give((scope, revision.clone()), 1);
                }
            },
        );
        revised
    }
}
