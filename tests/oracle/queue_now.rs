//! Queue now: the latest snapshot and profile of every queue heard of, its open contacts counted, and the row of
//! `queue_interval` that the watermark is in.

use std::collections::BTreeMap;

use highwater_dataflow::EventTime;
use highwater_dataflow::view::{Row, Value};
use highwater_model::{Envelope, Event, QueueId, QueueProfile, QueueUpdate};

use super::contacts::Outcome;

#[derive(Default)]
struct Now<'a> {
    profile: Option<(i64, &'a QueueProfile)>,
    update: Option<(i64, &'a QueueUpdate)>,
    waiting: i64,
    in_progress: i64,
    interval: Option<&'a Row>,
}

/// `intervals` are the rows of `queue_interval`; `shift` is how much later than they say they begin and end.
pub(crate) fn rows(
    known: &[Envelope],
    outcomes: &[(QueueId, i64, Outcome)],
    intervals: &[Row],
    shift: i64,
    watermark: EventTime,
) -> Vec<Row> {
    let present = intervals.iter().filter(|row| match row[..] {
        [_, Value::Int(start), Value::Int(end), ..] => {
            (start + shift..end + shift).contains(&watermark)
        }
        _ => panic!("no interval: {row:?}"),
    });
    let name = |row: &Row| match &row[0] {
        Value::Text(queue) => QueueId(queue.clone()),
        other => panic!("no queue: {other:?}"),
    };
    let present: Vec<(QueueId, &Row)> = present.map(|row| (name(row), row)).collect();
    let mut queues: BTreeMap<&QueueId, Now<'_>> = BTreeMap::new();
    for (queue, _, outcome) in outcomes {
        let now = queues.entry(queue).or_default();
        now.waiting += i64::from(*outcome == Outcome::Waiting);
        now.in_progress += i64::from(*outcome == Outcome::InProgress);
    }
    // A queue whose agents were busy for it was heard of, whether anybody called or not.
    let counted: Vec<QueueId> = intervals.iter().map(name).collect();
    for queue in &counted {
        queues.entry(queue).or_default();
    }
    for (queue, row) in &present {
        queues.entry(queue).or_default().interval = Some(row);
    }
    for envelope in known {
        match &envelope.event {
            Event::QueueProfile(profile) => {
                let now = queues.entry(&profile.queue).or_default();
                now.profile = now.profile.max(Some((envelope.at, profile)));
            }
            Event::QueueUpdate(update) => {
                let now = queues.entry(&update.queue).or_default();
                now.update = now.update.max(Some((envelope.at, update)));
            }
            _ => {}
        }
    }
    queues.into_iter().map(|(queue, now)| row(queue, &now)).collect()
}

fn row(queue: &QueueId, now: &Now<'_>) -> Row {
    let int = |n: Option<i64>| n.map_or(Value::Null, Value::Int);
    let share = |ppm: Option<i64>| ppm.map_or(Value::Null, |n| Value::Real(n as f64 / 10_000.0));
    let profile = now.profile.map(|(_, profile)| profile);
    let update = now.update.map(|(_, update)| update);
    let mut row = vec![
        Value::Text(queue.0.clone()),
        profile.map_or(Value::Null, |p| Value::Text(p.channel.name().into())),
        int(update.map(|u| u.contacts_waiting)),
        int(update.map(|u| u.longest_wait_s)),
        int(update.map(|u| u.agents_available)),
        int(update.map(|u| u.agents_on_call)),
        int(update.map(|u| u.agents_acw)),
        int(update.map(|u| u.agents_aux)),
        share(update.and_then(|u| u.service_level_ppm)),
        share(profile.map(|p| p.target_ppm)),
        int(profile.map(|p| p.threshold_ms)),
        int(profile.and_then(|p| p.overflow_threshold)),
        int(now.update.map(|(at, _)| at)),
        Value::Int(now.waiting),
        Value::Int(now.in_progress),
    ];
    match now.interval {
        Some(interval) => {
            row.push(interval[1].clone());
            row.extend_from_slice(&interval[3..interval.len() - 1]);
        }
        None => row.extend(std::iter::repeat_n(Value::Null, 26)),
    }
    row
}
