//! From where all journals of a cluster can be worked off together, once retention has dropped their beginnings.
//!
//! A base says what a journal said up to an epoch. A replay needs it of every journal as of the same epoch: of some as
//! of a later one, the watermark would run ahead of what is still to come of the others.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::Epoch;
use serde::{Deserialize, Serialize};

use super::WrongJournals;

/// After which epochs a journal can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begins {
    /// Where the journal has its beginning: nothing in it is of this epoch or an earlier one.
    pub(crate) nothing_until: Option<Epoch>,
    /// Its first record.
    pub(crate) from: u64,
    /// The epochs as of which it has whole bases.
    pub(crate) bases: BTreeSet<Epoch>,
}

impl Begins {
    /// Whether everything up to `epoch` is in a base, or there is nothing.
    pub(crate) fn can(&self, epoch: Epoch) -> bool {
        self.nothing_until.is_some_and(|until| epoch <= until) || self.bases.contains(&epoch)
    }
}

/// The epoch after which all journals are read: 0 where they have their beginnings, else that of the newest bases that
/// all have. By the numbers of the journals.
///
/// Errors: there is none, and something has to be restored.
pub(crate) fn together(all: &BTreeMap<u8, Begins>) -> Result<Epoch, WrongJournals> {
    let everybody = |epoch: &Epoch| all.values().all(|begins| begins.can(*epoch));
    if everybody(&0) {
        return Ok(0);
    }
    let bases: BTreeSet<Epoch> = all.values().flat_map(|it| it.bases.iter().copied()).collect();
    bases.into_iter().rev().find(everybody).ok_or_else(|| {
        let told: Vec<String> = all.iter().map(|(number, begins)| tell(*number, begins)).collect();
        WrongJournals(format!(
            "retention has dropped what journals began with, and there are no bases of all of them as of one epoch: {}\n\
             hint: restore the directory `base` beside each of these journals, or whole data directories, from one backup",
            told.join("; ")
        ))
    })
}

fn tell(number: u8, begins: &Begins) -> String {
    let Begins { nothing_until, from, bases } = begins;
    let beginning = match nothing_until {
        Some(Epoch::MAX) => "is empty".to_owned(),
        Some(_) => "has its beginning".to_owned(),
        None => format!("begins with record {from}"),
    };
    let bases: Vec<String> = bases.iter().map(ToString::to_string).collect();
    let bases = if bases.is_empty() { "none".to_owned() } else { bases.join(", ") };
    format!("journal {number} {beginning} (bases: {bases})")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn whole(nothing_until: Epoch, bases: &[Epoch]) -> Begins {
        Begins {
            nothing_until: Some(nothing_until),
            from: 1,
            bases: bases.iter().copied().collect(),
        }
    }

    fn trimmed(bases: &[Epoch]) -> Begins {
        Begins { nothing_until: None, from: 900, bases: bases.iter().copied().collect() }
    }

    fn of(all: &[Begins]) -> Result<Epoch, String> {
        let all = (0..).zip(all.iter().cloned()).collect();
        together(&all).map_err(|error| error.to_string())
    }

    #[test]
    fn the_beginning_where_all_have_it_and_else_the_newest_base_of_all() {
        assert_eq!(of(&[whole(3, &[]), whole(9, &[7])]), Ok(0));
        assert_eq!(of(&[trimmed(&[20, 30]), trimmed(&[30, 40])]), Ok(30));
        assert_eq!(of(&[trimmed(&[20, 30]), trimmed(&[20, 30])]), Ok(30));
        assert_eq!(
            of(&[trimmed(&[20, 30]), whole(5, &[20])]),
            Ok(20),
            "its beginning is of no use"
        );
        assert_eq!(of(&[trimmed(&[20, 30]), whole(Epoch::MAX, &[])]), Ok(30), "it is new");
        assert_eq!(of(&[trimmed(&[20, 30]), whole(25, &[])]), Ok(20), "it came between");
    }

    #[test]
    fn without_one_that_all_have_it_is_said_who_lacks_what() {
        let refused = of(&[trimmed(&[20]), trimmed(&[]), whole(5, &[30])]).unwrap_err();
        for what in [
            "journal 0 begins with record 900 (bases: 20)",
            "journal 1 begins with record 900 (bases: none)",
            "journal 2 has its beginning (bases: 30)",
            "hint: restore",
        ] {
            assert!(refused.contains(what), "{refused}");
        }
    }
}
