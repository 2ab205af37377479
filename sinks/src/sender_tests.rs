//! Delivery end to end over the outbox: a receiver that deduplicates by key ends in the computed state.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use highwater_dataflow::view::Commit;
use highwater_dataflow::{EventTime, Step};
use rand::seq::IndexedRandom;

use super::*;
use crate::channel::Status;
use crate::channel::tests::notification;
use crate::reader::ViewReader;
use crate::sqlite::tests::commit;
use crate::writer::Wiring;
use crate::writer::tests::{TestClock, replay, started, wiring};

/// A receiver that fails as it is told, and remembers keys.
#[derive(Default)]
struct Receiver {
    /// Outcomes in order, before it works.
    script: Vec<Outcome>,
    /// Fails at random while above zero.
    trouble: u32,
    random: Option<SmallRng>,
    /// Every key once, in order of first receipt, with the state it brought.
    log: Vec<(String, u32, Status)>,
    /// Keys that came again.
    doubled: u32,
    asked: u32,
}

struct Fake(Arc<Mutex<Receiver>>, usize);

impl Fake {
    fn channel(receiver: &Arc<Mutex<Receiver>>) -> Vec<Box<dyn Channel>> {
        vec![Box::new(Fake(receiver.clone(), 4))]
    }
}

fn retry(reason: &str, everybody: bool) -> Outcome {
    Outcome::Retry { reason: reason.into(), after: None, everybody }
}

impl Channel for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }
    fn wants(&self, step: Step) -> bool {
        step != Step::Amended
    }
    fn width(&self) -> usize {
        self.1
    }
    fn retry(&self) -> Retry {
        Retry::default()
    }
    fn deliver(&mut self, messages: &[Message], _: EventTime) -> Vec<Outcome> {
        let mut receiver = self.0.lock().unwrap();
        let mut outcome = |message: &Message| {
            receiver.asked += 1;
            let mut answer = Outcome::Delivered;
            if !receiver.script.is_empty() {
                answer = receiver.script.remove(0);
            } else if receiver.trouble > 0 {
                receiver.trouble -= 1;
                let answers = [
                    Outcome::Delivered,
                    retry("answered 500", false),
                    retry("connection refused", true),
                    retry("timed out after it got through", false),
                ];
                answer = answers.choose(receiver.random.as_mut().unwrap()).unwrap().clone();
            }
            let arrived = match &answer {
                Outcome::Delivered => true,
                Outcome::Retry { reason, .. } => reason.contains("got through"),
                Outcome::Refused { .. } => false,
            };
            if arrived {
                let entry = (message.alert_id.clone(), message.revision, message.status);
                if receiver.log.contains(&entry) {
                    receiver.doubled += 1;
                } else {
                    receiver.log.push(entry);
                }
            }
            answer
        };
        messages.iter().map(&mut outcome).collect()
    }
}

fn alerts(epoch: u64, steps: &[(&str, u32, Step)]) -> Commit {
    let notifications = steps.iter().map(|(alert, revision, step)| {
        let mut notification = notification(alert, *revision, *step);
        notification.epoch = epoch;
        notification
    });
    Commit { notifications: notifications.collect(), ..commit(epoch, &[]) }
}

fn run(path: &Path, receiver: &Arc<Mutex<Receiver>>, commits: &[Commit]) {
    let clock = TestClock::at(1_000);
    let wiring = Wiring { channels: Fake::channel(receiver), ..wiring(&clock) };
    let (send, handle) = started(path, wiring);
    for commit in commits {
        send.send(commit.clone()).unwrap();
    }
    // Waits take no time here, but an exit does not wait: stay until nothing is pending.
    let control = handle.control();
    let last = commits.last().map_or(0, |commit| commit.epoch);
    if commits.iter().all(|commit| commit.stamps.replay) {
        control.caught_up(last);
    }
    while control.status().epoch != Some(last) || states(path).contains_key("pending") {
        std::thread::yield_now();
    }
    drop(send);
    handle.join().unwrap();
}

fn states(path: &Path) -> BTreeMap<String, u64> {
    let reader = ViewReader::open(path, TestClock::at(0)).unwrap();
    reader.deliveries().unwrap().remove("fake").unwrap_or_default()
}

const OPENED: Step = Step::Opened;
const RESOLVED: Step = Step::Resolved;

#[test]
fn failures_and_timeouts_after_success_end_in_the_computed_state() {
    for seed in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("views.db");
        let random = Some(SmallRng::seed_from_u64(seed));
        let receiver =
            Arc::new(Mutex::new(Receiver { trouble: 200, random, ..Receiver::default() }));
        let names: Vec<String> = (0..40).map(|n| format!("alert {n}")).collect();
        let step = |revision: u32, step| -> Vec<(&str, u32, Step)> {
            names.iter().map(|name| (name.as_str(), revision, step)).collect()
        };
        let commits = [
            alerts(1, &step(1, OPENED)),
            alerts(2, &step(2, Step::Amended)),
            alerts(3, &step(3, RESOLVED)),
            alerts(4, &step(4, OPENED)[..20]),
        ];
        run(&path, &receiver, &commits);
        let receiver = receiver.lock().unwrap();
        assert_eq!(receiver.log.len(), 100, "seed {seed}");
        for (n, name) in names.iter().enumerate() {
            let of: Vec<u32> =
                receiver.log.iter().filter(|(id, ..)| id == name).map(|(_, n, _)| *n).collect();
            let expected: &[u32] = if n < 20 { &[1, 3, 4] } else { &[1, 3] };
            assert_eq!(of, expected, "seed {seed}: in order, each once, no amendments");
        }
        assert!(receiver.doubled > 0, "seed {seed}: the timeouts were real");
    }
}

#[test]
fn nothing_confirmed_is_sent_again_after_a_restart_and_nothing_pending_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let history =
        [alerts(1, &[("a", 1, OPENED), ("b", 1, OPENED)]), alerts(2, &[("a", 2, RESOLVED)])];
    let receiver = Arc::default();
    run(&path, &receiver, &history);
    let conn = rusqlite::Connection::open(&path).unwrap();
    // As if the process had died before this confirmation was written.
    let back = "UPDATE _delivery SET state = 'pending' WHERE alert_id = 'b'";
    assert_eq!(conn.execute(back, []).unwrap(), 1);
    drop(conn);
    let replayed: Vec<Commit> =
        history.iter().chain(&[alerts(3, &[("b", 2, RESOLVED)])]).map(replay).collect();
    run(&path, &receiver, &replayed);
    let receiver = receiver.lock().unwrap();
    assert_eq!(receiver.asked, 5, "b's opening again, and b's end");
    assert_eq!((receiver.log.len(), receiver.doubled), (4, 1));
}

#[test]
fn news_of_the_past_is_suppressed_unless_it_is_still_true() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let receiver = Arc::default();
    run(&path, &receiver, &[alerts(1, &[]), alerts(9, &[])]);
    // A changed rule finds alerts in epochs that are long committed, and one after them.
    let found = [
        alerts(2, &[("over", 1, OPENED), ("open", 1, OPENED)]),
        alerts(3, &[("over", 2, RESOLVED), ("open", 3, OPENED)]),
        alerts(9, &[]),
        alerts(10, &[("new", 1, OPENED)]),
    ];
    run(&path, &receiver, &found.each_ref().map(replay));
    let log: Vec<_> =
        receiver.lock().unwrap().log.iter().map(|(id, n, _)| (id.clone(), *n)).collect();
    assert_eq!(log, [("open".to_owned(), 3), ("new".to_owned(), 1)]);
    assert_eq!(states(&path)["suppressed"], 3);
}

#[test]
fn a_lost_outbox_tells_receivers_the_latest_of_each_alert_once_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let receiver = Arc::default();
    let day = 24 * 3_600 * 1_000_000;
    let history = [
        alerts(1, &[("long over", 1, OPENED), ("open", 1, OPENED)]),
        alerts(2, &[("long over", 2, RESOLVED)]),
        alerts(3 + day, &[("over", 1, OPENED)]),
        alerts(4 + day, &[("over", 2, RESOLVED)]),
    ];
    run(&path, &receiver, &history.each_ref().map(replay));
    let log: Vec<_> =
        receiver.lock().unwrap().log.iter().map(|(id, n, _)| (id.clone(), *n)).collect();
    assert_eq!(log, [("open".to_owned(), 1), ("over".to_owned(), 2)]);
}

#[test]
fn a_message_refused_thrice_is_dead_and_the_next_of_its_alert_goes_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let refused = || Outcome::Refused { reason: "answered 400 Bad Request".into() };
    let script = vec![refused(), refused(), refused()];
    let receiver = Arc::new(Mutex::new(Receiver { script, ..Receiver::default() }));
    run(&path, &receiver, &[alerts(1, &[("a", 1, OPENED)]), alerts(2, &[("a", 2, RESOLVED)])]);
    assert_eq!(receiver.lock().unwrap().log, [("a".to_owned(), 2, Status::Resolved)]);
    let conn = rusqlite::Connection::open(&path).unwrap();
    let dead: (u32, String) = conn
        .query_row("SELECT attempts, reason FROM _delivery WHERE state = 'dead'", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(dead, (3, "answered 400 Bad Request".into()));
}

fn sending() -> Sending {
    Sending {
        retry: Retry::default(),
        random: SmallRng::seed_from_u64(1),
        unconfirmed: BTreeSet::new(),
        waiting: BTreeMap::new(),
        receiver: None,
    }
}

#[test]
fn waits_double_with_jitter_up_to_the_longest() {
    let mut sending = sending();
    for (attempt, longest) in [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (1_000, 300)] {
        let wait = sending.backoff(attempt);
        let longest = Duration::from_secs(longest);
        assert!(longest / 2 <= wait && wait <= longest, "{attempt}: {wait:?}");
    }
}

#[test]
fn a_receiver_that_asks_for_time_gets_it() {
    let mut sending = sending();
    let clock = TestClock::at(0);
    let now = clock.instant();
    let message = Message::of(&notification("a", 1, OPENED), &(Arc::new(|_| None) as _));
    let after = Some(Duration::from_secs(77));
    let busy = Outcome::Retry { reason: "answered 429".into(), after, everybody: true };
    assert!(sending.outcome("fake", message, busy, now).is_none());
    assert_eq!(sending.next(now), after);
}

/// A receiver over HTTP: it answers, fails, or does its work and hangs up without an answer.
fn http_receiver(seed: u64) -> (String, Arc<Mutex<Receiver>>) {
    use std::io::{BufRead, BufReader, Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/alerts", listener.local_addr().unwrap());
    let receiver: Arc<Mutex<Receiver>> = Arc::default();
    let state = receiver.clone();
    let mut random = SmallRng::seed_from_u64(seed);
    let serve = move |stream: std::net::TcpStream| -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let message: Message = serde_json::from_slice(&body).unwrap();
        let mut state = state.lock().unwrap();
        state.asked += 1;
        let luck = if state.asked > 150 { 9 } else { random.random_range(0..8) };
        let (does, answer) = match luck {
            0 => (false, "HTTP/1.1 500 Internal Server Error\r\n"),
            1 => (false, "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n"),
            2 => (false, ""),
            3 => (true, ""),
            4 => (true, "HTTP/1.1 502 Bad Gateway\r\n"),
            _ => (true, "HTTP/1.1 200 OK\r\n"),
        };
        if does {
            let entry = (message.alert_id, message.revision, message.status);
            if state.log.contains(&entry) {
                state.doubled += 1;
            } else {
                state.log.push(entry);
            }
        }
        if !answer.is_empty() {
            write!(reader.get_mut(), "{answer}connection: close\r\ncontent-length: 0\r\n\r\n")?;
        }
        Ok(())
    };
    std::thread::spawn(move || {
        let mut serve = serve;
        for stream in listener.incoming().flatten() {
            // A client that gave up is a client that comes again.
            let _ = serve(stream);
        }
    });
    (url, receiver)
}

#[test]
fn over_http_the_receiver_ends_in_the_computed_state_and_the_way_is_measured() {
    use highwater_dataflow::latency::{Latency, Path as EventPath, Stage};
    use highwater_dataflow::view::Stamps;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    let (url, receiver) = http_receiver(11);
    let config = serde_json::json!({
        "kind": "webhook", "name": "fake", "url": url, "allow_private": true, "in_flight": 3,
    });
    let config: crate::channel::ChannelConfig = serde_json::from_value(config).unwrap();
    let clock = TestClock::at(1_000);
    let latency = Arc::new(Latency::default());
    let channels = vec![config.open(&|_| None).unwrap()];
    let wiring = Wiring { channels, latency: latency.clone(), ..wiring(&clock) };
    let (send, handle) = started(&path, wiring);
    let names: Vec<String> = (0..20).map(|n| format!("alert {n}")).collect();
    for (revision, step) in [(1, OPENED), (2, Step::Amended), (3, Step::Retracted)] {
        let steps: Vec<_> = names.iter().map(|name| (name.as_str(), revision, step)).collect();
        let received = vec![(EventPath::AgentState, clock.instant(), 5)];
        let stamps = Arc::new(Stamps { received, durable: None, replay: false });
        send.send(Commit { stamps, ..alerts(revision.into(), &steps) }).unwrap();
    }
    let control = handle.control();
    while control.status().epoch != Some(3) || states(&path).contains_key("pending") {
        std::thread::yield_now();
    }
    drop(send);
    handle.join().unwrap();
    let receiver = receiver.lock().unwrap();
    assert_eq!(receiver.log.len(), 60);
    assert!(receiver.doubled > 0);
    for name in &names {
        let of: Vec<u32> =
            receiver.log.iter().filter(|(id, ..)| id == name).map(|(_, n, _)| *n).collect();
        assert_eq!(of, [1, 2, 3]);
    }
    assert_eq!(latency.histogram(EventPath::AgentState, Stage::Alerted).len(), 15);
}
