//! What waits for the writer: closed epochs up to a bound, and orders from the rest of the program.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use highwater_dataflow::view::Commit;
use highwater_dataflow::{Clock, Epoch};

use crate::error::SinkError;
use crate::outbox::Settled;

/// A commit and when it came.
pub(crate) struct Arrived {
    pub(crate) commit: Commit,
    pub(crate) at: Instant,
}

/// What else the writer is asked for.
pub(crate) enum Order {
    /// The replay ends with this epoch.
    CaughtUp(Epoch),
    Backup(PathBuf, SyncSender<Result<(), SinkError>>),
    /// A channel is done with a message.
    Settle(Settled),
    /// The view database was checked: what is wrong with it, if anything.
    Checked(Option<String>),
    /// A channel's thread has ended.
    SenderGone,
}

/// Taken by the writer in one go.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) commits: Vec<Arrived>,
    pub(crate) orders: Vec<Order>,
    /// The dataflow has ended and its last commit is among these or earlier ones.
    pub(crate) ended: bool,
}

#[derive(Default)]
struct State {
    commits: VecDeque<Arrived>,
    orders: Vec<Order>,
    /// Row changes waiting.
    rows: usize,
    ended: bool,
    /// The writer is gone: nothing will be taken any more.
    closed: bool,
}

/// A bounded queue of commits beside a short list of orders.
pub(crate) struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
    rows_max: usize,
}

impl Inbox {
    pub(crate) fn new(rows_max: usize) -> Arc<Inbox> {
        Arc::new(Inbox { state: Mutex::default(), changed: Condvar::new(), rows_max })
    }

    /// Moves commits from the dataflow's channel into the inbox, at most `rows_max` row changes ahead of the writer.
    pub(crate) fn pump(self: &Arc<Self>, commits: Receiver<Commit>, clock: Arc<dyn Clock>) {
        let inbox = self.clone();
        let pump = move || {
            for commit in commits {
                if !inbox.put(Arrived { commit, at: clock.instant() }) {
                    // Dropping the receiver tells the dataflow that nobody listens.
                    return;
                }
            }
            inbox.lock().ended = true;
            inbox.changed.notify_all();
        };
        thread::Builder::new()
            .name("view-inbox".into())
            .spawn(pump)
            .expect("the system gives us a thread");
    }

    pub(crate) fn order(&self, order: Order) {
        let mut state = self.lock();
        if !state.closed {
            state.orders.push(order);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for something to do, at most `at_most`, and takes up to `rows` row changes (at least one commit).
    /// With room for no rows it waits for orders alone.
    pub(crate) fn take(&self, rows: usize, at_most: Option<Duration>) -> Taken {
        let mut state = self.lock();
        let quiet = |state: &mut State| {
            state.orders.is_empty() && (rows == 0 || (state.commits.is_empty() && !state.ended))
        };
        state = match at_most {
            None => self.changed.wait_while(state, quiet).expect("nobody panics with the lock"),
            Some(limit) => {
                let waited = self.changed.wait_timeout_while(state, limit, quiet);
                waited.expect("nobody panics with the lock").0
            }
        };
        let mut taken = Taken::default();
        let mut room = rows;
        while room > 0 {
            let Some(arrived) = state.commits.pop_front() else { break };
            room = room.saturating_sub(weight(&arrived));
            state.rows -= weight(&arrived);
            taken.commits.push(arrived);
        }
        taken.orders = std::mem::take(&mut state.orders);
        taken.ended = state.ended && state.commits.is_empty();
        drop(state);
        self.changed.notify_all();
        taken
    }

    /// Row changes waiting.
    pub(crate) fn rows(&self) -> usize {
        self.lock().rows
    }

    /// No more is taken: the pump ends, and whoever waits for an answer learns that there is none.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.commits.clear();
        state.orders.clear();
        drop(state);
        self.changed.notify_all();
    }

    fn put(&self, arrived: Arrived) -> bool {
        let full = |state: &mut State| self.rows_max <= state.rows && !state.closed;
        let state = self.changed.wait_while(self.lock(), full);
        let mut state = state.expect("nobody panics with the lock");
        if state.closed {
            return false;
        }
        state.rows += weight(&arrived);
        state.commits.push_back(arrived);
        drop(state);
        self.changed.notify_all();
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the lock")
    }
}

/// An epoch without rows weighs something too, or a queue of them would have no bound.
fn weight(arrived: &Arrived) -> usize {
    let commit = &arrived.commit;
    1 + commit.notifications.len() + commit.changes.iter().map(|c| c.rows.len()).sum::<usize>()
}
