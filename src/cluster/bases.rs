//! Which bases every process has, as they tell each other: what retention may rely on.
//!
//! ```text
//! one has old segments: Fold(e) ──► every process folds its journal up to e ──► each: Folded(e)
//! heard of all, twice:  what the older of the two bases says may go from the journal, and so may bases before it
//! ```
//!
//! What was said is said again until it is known to all, so that no word has to arrive. A base that was announced stays
//! until two newer ones are known to be everywhere: whatever anybody has concluded from it stays true.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use highwater_dataflow::{Epoch, Word};

/// How many bases this process may have beyond the newest that all have, before it waits for the others.
const AHEAD: usize = 4;

/// What is known of everybody's bases. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Bases {
    process: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Per process the epochs of its bases.
    had: Vec<BTreeSet<Epoch>>,
    /// The epochs as of which everybody is to fold.
    called: BTreeSet<Epoch>,
    say: VecDeque<Word>,
}

impl Bases {
    /// Of process `process`; `had`: what each brings.
    pub(crate) fn new(process: usize, had: Vec<BTreeSet<Epoch>>) -> Bases {
        let state = State { had, called: BTreeSet::new(), say: VecDeque::new() };
        Bases { process, state: Arc::new(Mutex::new(state)) }
    }

    /// Hears a word of any process.
    pub(crate) fn hear(&self, word: Word) {
        let mut state = self.lock();
        match word {
            Word::Fold { epoch } => {
                state.called.insert(epoch);
            }
            Word::Folded { process, epoch } => {
                // Whatever a stranger may be, it is none of us.
                if let Some(had) = state.had.get_mut(process) {
                    had.insert(epoch);
                }
            }
        }
    }

    /// The epochs as of which this process is to fold its journal, ascending: asked for, not done, and not after `until`.
    pub(crate) fn wanted(&self, until: Epoch) -> Vec<Epoch> {
        let state = self.lock();
        let had = &state.had[self.process];
        state.called.range(..=until).filter(|epoch| !had.contains(epoch)).copied().collect()
    }

    /// This process has folded its journal as of `epoch`, durably.
    pub(crate) fn folded(&self, epoch: Epoch) {
        self.lock().had[self.process].insert(epoch);
    }

    /// Whether everybody may be asked to fold once more.
    pub(crate) fn may_call(&self) -> bool {
        let state = self.lock();
        let newest = state.common().last().copied().unwrap_or(0);
        state.had[self.process].range(newest + 1..).count() < AHEAD
    }

    /// Asks everybody, this process included, to fold as of `epoch`.
    pub(crate) fn call(&self, epoch: Epoch) {
        self.lock().called.insert(epoch);
    }

    /// The bases that everybody has: the last two of them, the older one first; `None` while there are not so many.
    pub(crate) fn kept(&self) -> Option<[Epoch; 2]> {
        let common = self.lock().common();
        common.last_chunk().copied()
    }

    /// Forgets the bases before `older`, which are gone.
    pub(crate) fn forget(&self, older: Epoch) {
        for had in &mut self.lock().had {
            *had = had.split_off(&older);
        }
    }

    /// Says, with the next pulses, everything that is not known to be known: once for each call of this.
    pub(crate) fn say(&self) {
        let state = &mut *self.lock();
        let newest = state.common().last().copied();
        state.called.retain(|epoch| newest < Some(*epoch));
        let ours = state.had[self.process].iter();
        let folded = ours.map(|epoch| Word::Folded { process: self.process, epoch: *epoch }).rev();
        // A base that others lack is asked for again: they may have started since.
        let lacking = state.had[self.process].range(newest.map_or(0, |it| it + 1)..);
        let wanted: BTreeSet<Epoch> = state.called.iter().chain(lacking).copied().collect();
        let fold = wanted.into_iter().rev().map(|epoch| Word::Fold { epoch });
        state.say = fold.chain(folded).collect();
    }

    /// The next word to say.
    pub(crate) fn next_word(&self) -> Option<Word> {
        self.lock().say.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the lock")
    }
}

impl State {
    /// The bases that everybody has, ascending.
    fn common(&self) -> Vec<Epoch> {
        let Some((first, others)) = self.had.split_first() else { return Vec::new() };
        let all = |epoch: &&Epoch| others.iter().all(|had| had.contains(epoch));
        first.iter().filter(all).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bases: &Bases) -> Vec<Word> {
        bases.say();
        std::iter::from_fn(|| bases.next_word()).collect()
    }

    /// Two processes; what one says the other hears, and so does it itself.
    fn talk(all: &[Bases]) {
        for from in all {
            for word in said(from) {
                for to in all {
                    to.hear(word);
                }
            }
        }
    }

    #[test]
    fn what_all_have_twice_may_be_relied_upon() {
        let all = [0, 1].map(|process| Bases::new(process, vec![BTreeSet::new(); 2]));
        for epoch in [10, 20] {
            all[1].call(epoch);
            talk(&all);
            for bases in &all {
                assert_eq!(bases.wanted(9), [] as [Epoch; 0]);
                assert_eq!(bases.wanted(99), [epoch]);
                assert_eq!(bases.kept(), None, "nobody has {epoch}");
            }
            all[0].folded(epoch);
            talk(&all);
            assert_eq!(all[0].wanted(99), [] as [Epoch; 0]);
            assert_eq!(all[1].kept(), None, "one has not");
            all[1].folded(epoch);
            talk(&all);
        }
        assert!(all.iter().all(|bases| bases.kept() == Some([10, 20])));
    }

    #[test]
    fn a_process_that_starts_again_is_asked_again() {
        let has = |epochs: &[Epoch]| epochs.iter().copied().collect::<BTreeSet<_>>();
        // The call for 30 was heard by process 0 alone before both started again.
        let had = vec![has(&[10, 20, 30]), has(&[10, 20])];
        let all = [0, 1].map(|process| Bases::new(process, had.clone()));
        assert_eq!(all[0].kept(), Some([10, 20]));
        talk(&all);
        assert_eq!(all[1].wanted(99), [30]);
        all[1].folded(30);
        talk(&all);
        assert_eq!(all[0].kept(), Some([20, 30]));
        all[0].forget(20);
        assert_eq!(said(&all[0]).len(), 2, "what is left of it is told; nothing is asked for");
    }

    #[test]
    fn nobody_runs_away_from_the_others() {
        let bases = Bases::new(0, vec![BTreeSet::new(); 2]);
        for epoch in 1..=AHEAD as Epoch {
            assert!(bases.may_call());
            bases.folded(epoch);
        }
        assert!(!bases.may_call(), "process 1 has none of them");
        bases.hear(Word::Folded { process: 1, epoch: 2 });
        assert!(bases.may_call());
        bases.hear(Word::Folded { process: 7, epoch: 2 });
    }
}
