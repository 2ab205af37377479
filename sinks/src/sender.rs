//! A thread per channel: takes what is pending, delivers it, and reports to the writer, the one who writes.
//!
//! Woken by the commit that posts a message, or by the end of a wait after a failure. An alert's messages go one at
//! a time, the next when the outbox says that the one before is settled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use highwater_dataflow::Clock;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rusqlite::Connection;
use tracing::{info, warn};

use crate::channel::{Channel, Message, Outcome, Retry};
use crate::error::SinkError;
use crate::inbox::{Inbox, Order};
use crate::moment::{Moment, Reached, tell};
use crate::outbox::{Settled, heads};
use crate::sqlite::opened_read_only;
use crate::writer::Sleeper;

/// Messages delivered whose confirmation is not committed yet, and alerts that wait after a failure: at most this
/// many of each are kept in memory.
const UNCONFIRMED_MAX: usize = 1_024;
/// Until the outbox is looked at again when it could not be read.
const LOCKED_WAIT: Duration = Duration::from_secs(1);

/// How the writer reaches a sender.
#[derive(Default)]
pub(crate) struct Bell {
    state: Mutex<Rung>,
    changed: Condvar,
}

#[derive(Default)]
struct Rung {
    new: bool,
    confirmed: Vec<(String, u32)>,
    /// Deliver what is due until then, and end.
    until: Option<Instant>,
}

impl Bell {
    /// There is something new in the outbox, or `confirmed` messages are marked there.
    pub(crate) fn ring(&self, confirmed: Vec<(String, u32)>) {
        self.change(|state| state.confirmed.extend(confirmed));
    }

    /// No more will come: deliver what is due, at most until then.
    pub(crate) fn finish(&self, until: Instant) {
        self.change(|state| state.until = Some(until));
    }

    fn change(&self, change: impl FnOnce(&mut Rung)) {
        let mut state = self.state.lock().expect("nobody panics with the lock");
        change(&mut state);
        state.new = true;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for a ring, at most `at_most`; returns what was confirmed since, and when to end.
    fn wait(&self, at_most: Option<Duration>) -> (Vec<(String, u32)>, Option<Instant>) {
        let state = self.state.lock().expect("nobody panics with the lock");
        let mut state = match at_most {
            None => {
                let waited = self.changed.wait_while(state, |state| !state.new);
                waited.expect("nobody panics with the lock")
            }
            Some(limit) => {
                let waited = self.changed.wait_timeout_while(state, limit, |state| !state.new);
                waited.expect("nobody panics with the lock").0
            }
        };
        state.new = false;
        (std::mem::take(&mut state.confirmed), state.until)
    }
}

/// Failures of one alert's first message, or of the channel.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    attempts: u32,
    refusals: u32,
    until: Instant,
}

pub(crate) struct Sender {
    pub(crate) index: usize,
    pub(crate) channel: Box<dyn Channel>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sleeper: Arc<dyn Sleeper>,
    pub(crate) reached: Option<Reached>,
}

/// Reports the end of the thread, also of one that panicked.
struct Farewell(Arc<Inbox>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.order(Order::SenderGone);
    }
}

impl Sender {
    /// Runs until told to finish. A database that cannot be read is the writer's to report: the thread ends.
    pub(crate) fn run(self, database: &Path) {
        let _farewell = Farewell(self.inbox.clone());
        let name = self.channel.name().to_owned();
        if let Err(error) = self.deliver_all(database) {
            tracing::error!(channel = name, %error, "alert channel stopped; restart to resume it");
        }
    }

    fn deliver_all(self, database: &Path) -> Result<(), SinkError> {
        let conn = opened_read_only(database)?;
        let retry = self.channel.retry();
        let seed = self.clock.now_ms() as u64 ^ self.index as u64;
        let mut sending = Sending {
            retry,
            random: SmallRng::seed_from_u64(seed),
            unconfirmed: BTreeSet::new(),
            waiting: BTreeMap::new(),
            receiver: None,
        };
        let Sender { index, mut channel, bell, inbox, clock, sleeper, reached } = self;
        let mut finish: Option<Instant> = None;
        loop {
            let now = clock.instant();
            if finish.is_some_and(|until| until <= now) {
                return Ok(());
            }
            let (due, locked) = match sending.due(&conn, &*channel, now) {
                Err(error) if error.retry() => (Vec::new(), true),
                due => (due?, false),
            };
            if due.is_empty() {
                if finish.is_some() && (locked || sending.unconfirmed.is_empty()) {
                    return Ok(());
                }
                let wait = match finish {
                    Some(until) => Some(until.saturating_duration_since(now)),
                    None if locked => Some(sleeper.plan(LOCKED_WAIT)),
                    None => sending.next(now).map(|wait| sleeper.plan(wait)),
                };
                let (confirmed, until) = bell.wait(wait);
                for key in confirmed {
                    sending.unconfirmed.remove(&key);
                }
                finish = finish.or(until);
                continue;
            }
            tell(reached.as_ref(), Moment::BeforeDelivery);
            let outcomes = channel.deliver(&due, clock.now_ms());
            tell(reached.as_ref(), Moment::AfterDelivery);
            assert_eq!(outcomes.len(), due.len(), "a channel tells the outcome of every message");
            let at = clock.instant();
            for (message, outcome) in due.into_iter().zip(outcomes) {
                let settled = sending.outcome(channel.name(), message, outcome, at);
                if let Some((message, attempts, refused)) = settled {
                    let Message { alert_id, revision, epoch, .. } = message;
                    sending.unconfirmed.insert((alert_id.clone(), revision));
                    let channel = index;
                    inbox.order(Order::Settle(Settled {
                        channel,
                        alert_id,
                        revision,
                        epoch,
                        refused,
                        attempts,
                        at,
                    }));
                }
            }
        }
    }
}

/// What a sender remembers between deliveries; lost on a restart, when everything pending is tried afresh.
struct Sending {
    retry: Retry,
    random: SmallRng,
    unconfirmed: BTreeSet<(String, u32)>,
    /// By alert.
    waiting: BTreeMap<String, Waiting>,
    /// The receiver itself is unwell.
    receiver: Option<Waiting>,
}

impl Sending {
    /// The messages to deliver now: one while the receiver is unwell, else as many as the channel takes.
    fn due(
        &self,
        conn: &Connection,
        channel: &dyn Channel,
        now: Instant,
    ) -> Result<Vec<Message>, SinkError> {
        if self.receiver.is_some_and(|waiting| now < waiting.until)
            || self.unconfirmed.len() >= UNCONFIRMED_MAX
        {
            return Ok(Vec::new());
        }
        let limit = if self.receiver.is_some() { 1 } else { channel.width() };
        let crowded = self.waiting.len() >= UNCONFIRMED_MAX;
        let wanted = |alert_id: &str, revision: u32| {
            let waits = self.waiting.get(alert_id);
            waits.map_or(!crowded, |waiting| waiting.until <= now)
                && !self.unconfirmed.contains(&(alert_id.to_owned(), revision))
        };
        heads(conn, channel.name(), wanted, limit)
    }

    /// How long until something may be due that is not now.
    fn next(&self, now: Instant) -> Option<Duration> {
        if let Some(receiver) = self.receiver.filter(|receiver| now < receiver.until) {
            return Some(receiver.until - now);
        }
        let next = self.waiting.values().map(|waiting| waiting.until).min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Takes an outcome in; returns the message with its attempts and refusal if that was the last of it.
    fn outcome(
        &mut self,
        channel: &str,
        message: Message,
        outcome: Outcome,
        now: Instant,
    ) -> Option<(Message, u32, Option<String>)> {
        let before = self.waiting.get(&message.alert_id);
        let (attempts, refusals) = before.map_or((0, 0), |w| (w.attempts, w.refusals));
        let attempts = attempts + 1;
        match outcome {
            Outcome::Delivered => {
                if self.receiver.take().is_some() {
                    info!(channel, "alert receiver is back");
                }
                self.waiting.remove(&message.alert_id);
                Some((message, attempts, None))
            }
            Outcome::Refused { reason } if refusals + 1 >= self.retry.refusals_max => {
                warn!(channel, key = ?message.dedup_key, reason, "alert message given up");
                self.waiting.remove(&message.alert_id);
                Some((message, attempts, Some(reason)))
            }
            Outcome::Refused { reason } => {
                warn!(channel, key = ?message.dedup_key, reason, "alert message refused");
                let until = now + self.backoff(attempts);
                let waiting = Waiting { attempts, refusals: refusals + 1, until };
                self.waiting.insert(message.alert_id, waiting);
                None
            }
            Outcome::Retry { reason, after, everybody } => {
                warn!(channel, key = ?message.dedup_key, reason, "alert message not delivered yet");
                let tries = match (everybody, &self.receiver) {
                    (true, Some(receiver)) => receiver.attempts + 1,
                    (true, None) => 1,
                    (false, _) => attempts,
                };
                let wait = self.backoff(tries).max(after.unwrap_or_default());
                let until = now + wait;
                if everybody {
                    // Several messages of one delivery fail together: that is one failure of the receiver.
                    if self.receiver.is_none_or(|receiver| receiver.until <= now) {
                        self.receiver = Some(Waiting { attempts: tries, refusals: 0, until });
                    }
                } else {
                    let waiting = Waiting { attempts, refusals, until };
                    self.waiting.insert(message.alert_id, waiting);
                }
                None
            }
        }
    }

    /// Between half and all of `first · 2^(attempts-1)`, at most the longest.
    fn backoff(&mut self, attempts: u32) -> Duration {
        let doubled = self.retry.first_ms.saturating_mul(1 << (attempts - 1).min(30));
        let limit = doubled.min(self.retry.longest_ms);
        Duration::from_millis(self.random.random_range(limit / 2..=limit))
    }
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;
