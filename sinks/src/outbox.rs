//! The outbox: alert messages written in the views' own transaction, and how far each channel got with them.
//!
//! A message is identified by `(alert_id, revision)` and written once. Its state per channel: `pending`, then
//! `delivered`, or `dead` after the receiver refused it, or `suppressed` when it was old news.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use highwater_dataflow::{Epoch, EventTime, Notification, Step};
use rusqlite::{Connection, OptionalExtension};

use crate::channel::{Message, Resolve, Status};
use crate::error::SinkError;

/// What the writer knows of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

/// A channel's last word on a message.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    /// Which of the writer's channels.
    pub(crate) channel: usize,
    pub(crate) alert_id: String,
    pub(crate) revision: u32,
    pub(crate) epoch: Epoch,
    /// `None`: delivered. Otherwise why it was given up.
    pub(crate) refused: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) at: Instant,
}

/// Writes a message for every channel that wants its step; one that is there already stays as it is.
pub(crate) fn post(
    conn: &Connection,
    channels: &[Listed],
    message: &Message,
    pending: bool,
    now: EventTime,
) -> Result<(), SinkError> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO _outbox (alert_id, revision, step, rule, scope, payload, epoch, written_at_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (alert_id, revision) DO NOTHING",
    )?;
    let payload = serde_json::to_string(message).expect("a message is JSON");
    let new = insert.execute((
        &message.alert_id,
        message.revision,
        message.step.name(),
        &message.rule,
        &message.scope,
        payload,
        message.epoch as i64,
        now,
    ))?;
    if new == 0 {
        return Ok(());
    }
    let seq = conn.last_insert_rowid();
    let mut deliver = conn.prepare_cached(
        "INSERT INTO _delivery (channel, alert_id, revision, seq, state, reason, settled_at_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let (state, reason, settled) = if pending {
        ("pending", None, None)
    } else {
        ("suppressed", Some("it was over before this message was first known"), Some(now))
    };
    for channel in channels.iter().filter(|channel| channel.steps.contains(&message.step)) {
        let (alert, revision) = (&message.alert_id, message.revision);
        deliver.execute((&channel.name, alert, revision, seq, state, reason, settled))?;
    }
    Ok(())
}

pub(crate) fn settle(
    conn: &Connection,
    channels: &[Listed],
    settled: &Settled,
    now: EventTime,
) -> Result<(), SinkError> {
    let mut update = conn.prepare_cached(
        "UPDATE _delivery SET state = ?4, attempts = ?5, reason = ?6, settled_at_ms = ?7 \
         WHERE channel = ?1 AND alert_id = ?2 AND revision = ?3 AND state = 'pending'",
    )?;
    let state = if settled.refused.is_some() { "dead" } else { "delivered" };
    update.execute((
        &channels[settled.channel].name,
        &settled.alert_id,
        settled.revision,
        state,
        settled.attempts,
        &settled.refused,
        now,
    ))?;
    Ok(())
}

/// Messages for channels that are no longer configured will not be sent; should the channel come back, it starts
/// with what is new.
pub(crate) fn retire_channels(
    conn: &Connection,
    channels: &[Listed],
    now: EventTime,
) -> Result<(), SinkError> {
    let mut named =
        conn.prepare("SELECT DISTINCT channel FROM _delivery WHERE state = 'pending'")?;
    let named = named.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    for channel in named.iter().filter(|name| channels.iter().all(|listed| listed.name != **name)) {
        conn.execute(
            "UPDATE _delivery SET state = 'suppressed', reason = 'the channel was removed', \
             settled_at_ms = ?2 WHERE channel = ?1 AND state = 'pending'",
            (channel, now),
        )?;
    }
    Ok(())
}

/// Forgets up to `limit` messages written before `before`, of alerts that have ended and have nothing pending.
/// Returns how many went. Left to itself SQLite would look at every message there is, each time.
pub(crate) fn prune(
    conn: &Connection,
    before: EventTime,
    limit: usize,
) -> Result<usize, SinkError> {
    let mut old = conn.prepare_cached(
        "SELECT o.alert_id, o.revision FROM _outbox o INDEXED BY _outbox_age WHERE o.written_at_ms < ?1 \
         AND NOT EXISTS (SELECT 1 FROM _delivery d WHERE d.alert_id = o.alert_id AND d.state = 'pending') \
         AND (SELECT l.step FROM _outbox l WHERE l.alert_id = o.alert_id ORDER BY l.revision DESC LIMIT 1) \
             IN ('resolved', 'retracted') \
         ORDER BY o.written_at_ms, o.seq LIMIT ?2",
    )?;
    let old = old.query_map((before, limit as i64), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let old = old.collect::<Result<Vec<(String, u32)>, _>>()?;
    for key in &old {
        conn.execute(
            "DELETE FROM _delivery WHERE alert_id = ?1 AND revision = ?2",
            (&key.0, key.1),
        )?;
        conn.execute("DELETE FROM _outbox WHERE alert_id = ?1 AND revision = ?2", (&key.0, key.1))?;
    }
    Ok(old.len())
}

/// The first pending message of every alert, oldest first, those that are `wanted`, at most `limit`. What an alert had
/// delivered before is not looked at: of one that was amended a thousand times that would be most of the work.
pub(crate) fn heads(
    conn: &Connection,
    channel: &str,
    mut wanted: impl FnMut(&str, u32) -> bool,
    limit: usize,
) -> Result<Vec<Message>, SinkError> {
    let mut statement = conn.prepare_cached(
        "SELECT d.alert_id, d.revision, d.seq FROM _delivery d \
         WHERE d.channel = ?1 AND d.state = 'pending' AND NOT EXISTS ( \
           SELECT 1 FROM _delivery e INDEXED BY _delivery_head WHERE e.channel = ?1 AND e.alert_id = d.alert_id \
           AND e.revision < d.revision AND e.state = 'pending') \
         ORDER BY d.seq",
    )?;
    let mut payload = conn.prepare_cached("SELECT payload FROM _outbox WHERE seq = ?1")?;
    let mut rows = statement.query([channel])?;
    let mut heads = Vec::new();
    while heads.len() < limit {
        let Some(row) = rows.next()? else { break };
        let alert_id = row.get_ref(0)?.as_str().unwrap_or_default();
        if !wanted(alert_id, row.get(1)?) {
            continue;
        }
        let text: String = payload.query_row([row.get::<_, i64>(2)?], |row| row.get(0))?;
        match serde_json::from_str(&text) {
            Ok(message) => heads.push(message),
            Err(error) => {
                tracing::error!(alert_id, %error, "a message in the outbox cannot be read; not sent");
            }
        }
    }
    Ok(heads)
}

/// How many messages each channel still has to deliver, and how many it gave up.
pub(crate) fn counts(
    conn: &Connection,
) -> Result<BTreeMap<String, BTreeMap<String, u64>>, SinkError> {
    let sql = "SELECT channel, state, count(*) FROM _delivery GROUP BY channel, state";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut counts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let n: i64 = row.get(2)?;
        counts.entry(row.get(0)?).or_default().insert(row.get(1)?, n as u64);
    }
    Ok(counts)
}

/// How long after its last message a closed alert is still told to receivers that may have missed it, in epochs
/// (microseconds): only where the outbox itself was lost.
const MISSED_US: u64 = 24 * 3600 * 1_000_000;

/// The notifications of a replay that the outbox does not have.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    missing: Vec<Notification>,
    /// The latest revision of every alert, stored ones included.
    latest: BTreeMap<String, u32>,
    seen: BTreeSet<(String, u32)>,
}

impl Replayed {
    pub(crate) fn absorb(
        &mut self,
        conn: &Connection,
        notification: &Notification,
    ) -> Result<(), SinkError> {
        let alert_id = notification.alert_id.to_string();
        let latest = self.latest.entry(alert_id.clone()).or_default();
        *latest = notification.revision.max(*latest);
        let mut stored =
            conn.prepare_cached("SELECT 1 FROM _outbox WHERE alert_id = ?1 AND revision = ?2")?;
        let key = (alert_id, notification.revision);
        if stored.query_row((&key.0, key.1), |_| Ok(())).optional()?.is_none()
            && self.seen.insert(key)
        {
            self.missing.push(notification.clone());
        }
        Ok(())
    }

    /// Posts them. Those after `marker` were never said: they are pending. Those up to it are news of the past (the
    /// rule's definition changed): only the latest of an alert that is still open is pending. Without a marker the
    /// outbox was lost, and what a receiver may still show as open is told once more: the latest of alerts that
    /// closed within a day of `last`, too.
    pub(crate) fn post(
        &self,
        conn: &Connection,
        channels: &[Listed],
        marker: Option<Epoch>,
        last: Option<Epoch>,
        resolve: &Resolve,
        now: EventTime,
    ) -> Result<(), SinkError> {
        for notification in &self.missing {
            let open = Status::of(notification.step) == Status::Open;
            let latest = self.latest.get(notification.alert_id.as_str());
            let latest = latest == Some(&notification.revision);
            let pending = match marker {
                Some(marker) if notification.epoch > marker => true,
                Some(_) => latest && open,
                None => {
                    let age = last.unwrap_or_default().saturating_sub(notification.epoch);
                    latest && (open || age <= MISSED_US)
                }
            };
            post(conn, channels, &Message::of(notification, resolve), pending, now)?;
        }
        Ok(())
    }
}
