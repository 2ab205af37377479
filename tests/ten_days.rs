//! Ten days of a center: what operators keep stays as large as after a few of them, late contacts are counted where
//! they belong inside the allowed lateness, and as late after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use highwater_dataflow::view::{Commit, Value};
use highwater_dataflow::window::{Behavior, Count, RowStatus, Sessions};
use highwater_dataflow::{Batch, EventTime, Graph, Millis, Options, Runtime, Signal, Trigger};
use highwater_model::{
    AbandonStage, Channel, ContactAbandoned, ContactArrival, Envelope, Event, EventKey,
};
use highwater_queries::{Entry, Settings, registry};

const MINUTE: Millis = 60_000;
const DAY: Millis = 24 * 60 * MINUTE;
/// 2026-03-02T00:00:00Z.
const START: EventTime = 1_772_409_600_000;
const DAYS: i64 = 10;
const QUEUES: i64 = 3;

/// A contact that arrived at `at` and gave up half a minute later.
fn contact(queue: i64, nth: i64, at: EventTime, seq: &mut u64) -> [Entry; 2] {
    let (name, queue) = (format!("c{queue}-{nth}"), format!("queue-{queue}"));
    let mut entry = |at, kind: &str, event| {
        *seq += 1;
        let key = EventKey::of(&format!("{name}-{kind}"));
        Entry::Event(Envelope { seq: *seq, key, at, event })
    };
    let arrival = Event::ContactArrival(ContactArrival {
        contact: name.as_str().into(),
        queue: queue.as_str().into(),
        channel: Channel::Voice,
        estimated_handle_s: None,
    });
    let abandoned = Event::ContactAbandoned(ContactAbandoned {
        contact: name.as_str().into(),
        queue: queue.as_str().into(),
        wait_ms: 30_000,
        stage: AbandonStage::Queue,
    });
    [entry(at, "arrived", arrival), entry(at + 30_000, "abandoned", abandoned)]
}

fn settings() -> Settings {
    Settings {
        allowed_lateness_s: 7_200,
        correction_s: 6 * 3_600,
        dedup_s: 6 * 3_600,
        ..Settings::default()
    }
}

/// Sessions by queue: how many contacts came no more than 20 minutes apart, and whether that is final.
type Bursts = Arc<Mutex<BTreeMap<(String, EventTime), (i64, RowStatus)>>>;

fn build(graph: &mut Graph<'_, Entry>, bursts: &Bursts) {
    let wanted = ["queue_interval", "queue_rolling", "late_events"];
    registry::build_only(graph, &settings(), |name| wanted.contains(&name));
    let arrivals = graph.input().flat_map(|entry| match entry {
        Entry::Event(Envelope { at, event: Event::ContactArrival(it), .. }) => {
            Some((it.queue.0.to_string(), (at, ())))
        }
        _ => None,
    });
    let each = || Trigger::repeatedly(Trigger::after_count(1));
    let sessions = arrivals
        .window_into("bursts", Sessions::with_gap(20 * MINUTE))
        .trigger(Trigger::after_watermark().late(each()))
        .allowed_lateness(120 * MINUTE)
        .closing_behavior(Behavior::FireAlways)
        .aggregate(Count);
    let bursts = Arc::clone(bursts);
    graph.observe("bursts seen", sessions.panes, move |_, changes| {
        let mut bursts = bursts.lock().unwrap();
        let gone = changes.iter().filter(|(_, _, diff)| *diff < 0);
        for ((queue, pane), ..) in gone {
            assert!(bursts.remove(&(queue.clone(), pane.window.start)).is_some());
        }
        for ((queue, pane), ..) in changes.iter().filter(|(_, _, diff)| *diff > 0) {
            bursts.insert((queue.clone(), pane.window.start), (pane.value, pane.status()));
        }
    });
}

/// The sum of a column over the rows of a view.
fn total(views: &BTreeMap<String, BTreeMap<String, Vec<Value>>>, view: &str, column: &str) -> i64 {
    let definition = registry::views().into_iter().find(|it| it.name == view).unwrap();
    let column = definition.columns.iter().position(|it| it.name == column).unwrap();
    let rows = &views[view];
    rows.values().map(|row| int(&row[column])).sum()
}

fn int(cell: &Value) -> i64 {
    let Value::Int(n) = cell else { panic!("no whole number: {cell:?}") };
    *n
}

/// What the views hold in the end, and by view how often a row that waited for what is late was told anew.
fn apply(
    commits: impl IntoIterator<Item = Commit>,
) -> (BTreeMap<String, BTreeMap<String, Vec<Value>>>, BTreeMap<String, i64>) {
    let mut views: BTreeMap<String, BTreeMap<String, Vec<Value>>> = BTreeMap::new();
    let mut corrections: BTreeMap<String, i64> = BTreeMap::new();
    let closing = Value::from("closing");
    for changes in commits.into_iter().flat_map(|commit| commit.changes) {
        let view = changes.view.name.to_owned();
        let rows = views.entry(view.clone()).or_default();
        let mut waited = BTreeSet::new();
        // Retractions come first.
        for (row, diff) in changes.rows {
            let key = format!("{:?}", &row[..changes.view.key]);
            let closing = row.last() == Some(&closing);
            if diff < 0 {
                assert_eq!(rows.remove(&key), Some(row));
                if closing {
                    waited.insert(key);
                }
            } else {
                if closing && waited.contains(&key) {
                    *corrections.entry(view.clone()).or_default() += 1;
                }
                assert_eq!(rows.insert(key, row), None);
            }
        }
    }
    (views, corrections)
}

#[test]
fn ten_days_leave_memory_flat_and_count_what_comes_late() {
    let bursts: Bursts = Arc::default();
    let shared = Arc::clone(&bursts);
    let options = Options { commits_waiting: 10_000, ..Options::default() };
    let (runtime, commits) = Runtime::start(options, move |graph| build(graph, &shared));
    let (mut seq, mut sizes, mut sent) = (0, Vec::new(), 0);
    let mut epoch = 0;
    for step in 0..DAYS * 144 {
        // Ten minutes: each queue has a contact every five, but for a quiet hour in every six.
        let now = START + step * 10 * MINUTE;
        let mut events = Vec::new();
        for queue in 0..QUEUES {
            if step % 36 < 30 {
                events.extend(contact(queue, step * 10, now, &mut seq));
                events.extend(contact(queue, step * 10 + 1, now + 5 * MINUTE, &mut seq));
                sent += 2;
            }
        }
        if step % 144 == 100 {
            // One 90 minutes late, and one four hours late.
            events.extend(contact(0, step * 10 + 2, now - 90 * MINUTE, &mut seq));
            events.extend(contact(0, step * 10 + 3, now - 240 * MINUTE, &mut seq));
            sent += 1;
        }
        epoch = (now + 10 * MINUTE) as u64 * 1_000;
        let signals = vec![Signal::Bound { partition: 0, bound: now + 9 * MINUTE }];
        runtime.send(Batch { epoch, events, signals, stamps: Arc::default() });
        if step % 144 == 143 {
            let mut keeping = runtime.keep(epoch);
            let kept = loop {
                match keeping.poll() {
                    Some(kept) => break kept,
                    None => std::thread::yield_now(),
                }
            };
            sizes.push(kept.workers.iter().flatten().map(|part| part.bytes.len()).sum::<usize>());
        }
    }
    let signals = vec![Signal::Bound { partition: 0, bound: START + (DAYS + 1) * DAY }];
    runtime.send(Batch { epoch: epoch + 1, events: Vec::new(), signals, stamps: Arc::default() });
    runtime.finish();

    assert_eq!(sizes.len() as i64, DAYS);
    println!("bytes kept, by day: {sizes:?}");
    let (third, most) = (sizes[2], *sizes.iter().max().unwrap());
    assert!(third > 0 && most <= third + third / 10, "bytes kept, by day: {sizes:?}");

    let (views, corrections) = apply(commits.iter());
    // A late contact arrives in ten rolling windows and gives up in an eleventh, all of them told before.
    assert_eq!(corrections["queue_interval"], DAYS);
    assert_eq!(corrections["queue_rolling"], DAYS * 11);
    let interval = &views["queue_interval"];
    let arrivals = total(&views, "queue_interval", "arrivals");
    assert_eq!(arrivals, sent, "those inside the lateness among them");
    let last = |row: &Vec<Value>| row.last() == Some(&Value::from("final"));
    assert!(interval.values().chain(views["queue_rolling"].values()).all(last));
    let late = |view: &str, each: i64| {
        let of_view = |row: &&Vec<Value>| row[0] == Value::from(view);
        let late: Vec<_> = views["late_elements"].values().filter(of_view).collect();
        let counted = late.iter().map(|row| int(&row[4])).sum::<i64>();
        assert_eq!(counted, DAYS * each, "{view} misses that many a day: {late:?}");
        late.len() as i64
    };
    // What is four hours late is missed once, arrival and abandonment, by its interval; and by its rolling windows.
    assert_eq!(late("queue_interval", 2), DAYS);
    assert_eq!(late("queue_rolling", 20), DAYS * 11);
    let bursts = bursts.lock().unwrap();
    // What is four hours late joins a burst that is still going on.
    assert_eq!(bursts.values().map(|(count, _)| count).sum::<i64>(), sent + DAYS);
    assert!(bursts.values().all(|(_, status)| *status == RowStatus::Final));
    // A quiet hour ends a burst: four a day and queue.
    assert_eq!(bursts.len() as i64, DAYS * QUEUES * 4);
}
