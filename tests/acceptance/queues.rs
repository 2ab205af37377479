//! Acceptance of queue figures and of what comes in: tests 7, 11 and 12 of the domain's facts. Tests 5 and 6, on the
//! February log, are in `tests/bank.rs`.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use highwater_dataflow::Signal;
use highwater_dataflow::view::{Value, ViewRow};
use highwater_model::{
    AgentState, AgentStateChange, Channel, ContactArrival, ContactComplete, Envelope, Event,
    EventKey, encode, format_ms,
};
use highwater_queries::{Attribute, Attribution, Entry, QueueInterval, Settings};
use hmac::{Hmac, Mac};
use rusqlite::{Connection, OpenFlags};
use sha2::Sha256;

use crate::crash::Service;
use crate::oracle::Epoch;
use crate::sim::drive::{Sinks, run};

/// Midnight of a Monday, UTC.
const MIDNIGHT: i64 = 1_748_822_400_000;
const MINUTE: i64 = 60_000;

fn at(hour: i64, minute: i64) -> i64 {
    MIDNIGHT + (hour * 60 + minute) * MINUTE
}

fn arrival(contact: &str, queue: &str) -> Event {
    Event::ContactArrival(ContactArrival {
        contact: contact.into(),
        queue: queue.into(),
        channel: Channel::Voice,
        estimated_handle_s: None,
    })
}

fn answer(contact: &str) -> Event {
    Event::AgentStateChange(AgentStateChange {
        agent: "a1".into(),
        previous: AgentState::Available,
        new: AgentState::OnCall,
        reason: None,
        queue: Some("sales".into()),
        contact: Some(contact.into()),
        source: None,
    })
}

fn completion(contact: &str, handle_ms: i64) -> Event {
    Event::ContactComplete(ContactComplete {
        contact: contact.into(),
        queue: "sales".into(),
        agent: "a1".into(),
        handle_ms,
        talk_ms: handle_ms,
        hold_ms: 0,
        acw_ms: 0,
        disposition: None,
        transfer: false,
        wait_ms: None,
    })
}

/// `(hour, minute)` of the half hours in which a column of `queue_interval` is not 0, with what it is.
fn half_hours(counts: Attribute, handle_time: Attribute, column: &str) -> Vec<((i64, i64), i64)> {
    let attribution = Attribution { counts, handle_time };
    let settings = Settings { interval_s: 1800, attribution, ..Settings::default() };
    settings.check().unwrap();
    let events = [
        (at(5, 22), arrival("long", "sales")),
        (at(5, 23), answer("long")),
        (at(6, 15), completion("long", 52 * MINUTE)),
        (at(7, 28), arrival("late", "sales")),
        (at(7, 32), answer("late")),
        (at(7, 40), completion("late", 8 * MINUTE)),
    ];
    let entry = |(n, (at, event)): (usize, (i64, Event))| {
        let key = EventKey(n as u128 + 1);
        Entry::Event(Envelope { seq: n as u64 + 1, key, at, event })
    };
    let epochs = [Epoch {
        number: 1,
        entries: events.into_iter().enumerate().map(entry).collect(),
        signals: vec![Signal::Bound { partition: 0, bound: at(9, 0) }],
    }];
    let mut sinks = Sinks::default();
    for commit in run(&settings, &epochs, 1, true) {
        sinks.apply(&commit).unwrap();
    }
    let columns = QueueInterval::VIEW.columns;
    let index = columns.iter().position(|known| known.name == column).unwrap();
    let rows = sinks.views[QueueInterval::VIEW.name].values();
    let cells = rows.map(|row| match (&row[1], &row[index]) {
        (Value::Int(start), Value::Int(n)) => {
            let minute = (start - MIDNIGHT) / MINUTE;
            ((minute / 60, minute % 60), *n)
        }
        other => panic!("{column} holds {other:?}"),
    });
    let mut cells: Vec<_> = cells.filter(|(_, n)| *n != 0).collect();
    cells.sort_unstable();
    cells
}

#[test]
fn acceptance_7_attribution_completed_prorated_offered_event() {
    use Attribute::{Completed, Event, Offered, Prorated};
    let minutes = |handle_time| {
        let cells = half_hours(Event, handle_time, "handle_ms").into_iter();
        // The other contact, handled from 7:32 to 7:40, lies in one half hour whichever way.
        cells
            .filter(|((hour, _), _)| *hour < 7)
            .map(|(at, ms)| (at, ms / MINUTE))
            .collect::<Vec<_>>()
    };
    assert_eq!(minutes(Completed), [((6, 0), 52)]);
    assert_eq!(minutes(Event), [((6, 0), 52)]);
    assert_eq!(minutes(Prorated), [((5, 0), 7), ((5, 30), 30), ((6, 0), 15)]);
    assert_eq!(minutes(Offered), [((5, 0), 52)]);

    let seven = |counts, column| {
        let cells = half_hours(counts, Event, column).into_iter();
        cells.filter(|((hour, _), _)| *hour == 7).map(|(at, _)| at).collect::<Vec<_>>()
    };
    assert_eq!((seven(Event, "offered"), seven(Event, "answered")), (vec![(7, 0)], vec![(7, 30)]));
    for column in ["offered", "answered", "completed"] {
        assert_eq!(seven(Offered, column), [(7, 0)], "{column} by offer");
        assert_eq!(seven(Completed, column), [(7, 30)], "{column} by completion");
    }
    let counts = Attribution { counts: Prorated, handle_time: Event };
    let settings = Settings { attribution: counts, ..Settings::default() };
    assert!(settings.check().unwrap_err().contains("cannot be prorated"));
}

/// A service of its own in `dir`; `http` is added to its configuration.
fn service(dir: &Path, http: &str) -> Service {
    let config = dir.join("run.toml");
    let text =
        format!("[service]\ndata_dir = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n{http}\n");
    fs::write(&config, text).unwrap();
    Service::start_with(&config, &[("HIGHWATER_TEST_SECRET", SECRET)])
}

/// One request; its status and body.
fn post(address: SocketAddr, path: &str, headers: &[(&str, String)], body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let more: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let more = more.concat();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{more}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the service has the real clock, so its senders do")]
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn native(id: &str, contact: &str, queue: &str) -> String {
    let event = arrival(contact, queue);
    encode(&Envelope { seq: 0, key: EventKey::default(), at: now_ms(), event }, id)
}

fn number(dir: &Path, sql: &str) -> i64 {
    let path = dir.join("data/views.sqlite");
    let views = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    views.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Every JSON file below `dir`, sorted.
fn fixtures(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fixtures(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "json") {
            found.push(path);
        }
    }
    found.sort();
}

#[test]
fn acceptance_11_odd_fixtures_are_accepted_or_dead_lettered_and_siblings_flow() {
    let Some(data) = crate::bank::data("payloads") else { return };
    let mut files = Vec::new();
    fixtures(&data, &mut files);
    let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    // What the facts name is among them.
    for odd in ["2021-04-2T", "\"AgentInfo\"", "\"agentInfo\"", "\"detail-type\""] {
        assert!(texts.iter().any(|text| text.contains(odd)), "{odd} is in no fixture");
    }
    let dir = tempfile::tempdir().unwrap();
    let mut service = service(dir.path(), "");
    let dated = native("dated", "c-dated", "siblings");
    let bad_day = dated.replace(&format_ms(now_ms())[..10], "2021-04-2");
    assert!(bad_day.contains("2021-04-2T"), "{bad_day}");
    let bodies = texts.iter().map(String::as_str).chain([bad_day.as_str()]);
    let (mut siblings, mut rejected) = (0, 0);
    for (n, odd) in bodies.enumerate() {
        let id = format!("sibling-{n}");
        let batch = format!("[{odd},{}]", native(&id, &id, "siblings"));
        let (status, body) = post(service.address, "/v1/events?outcome=summary", &[], &batch);
        assert_eq!(status, 202, "{body}");
        let outcome: serde_json::Value = serde_json::from_str(&body).unwrap();
        let count = |name: &str| outcome[name].as_i64().unwrap();
        assert_eq!(count("accepted") + count("rejected"), 2, "{body}");
        assert!(count("accepted") >= 1, "the sibling of {odd} flows: {body}");
        siblings += 1;
        rejected += count("rejected");
    }
    assert!(rejected > 0);
    service.stop();
    let flowed = "SELECT sum(waiting_by_events) FROM queue_now WHERE queue_id = 'siblings'";
    assert_eq!(number(dir.path(), flowed), siblings);
    assert_eq!(number(dir.path(), "SELECT count(*) FROM dead_letters"), rejected);
}

/// Of 32 bytes, as Standard Webhooks writes them.
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn sign(key: &[u8], signed: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(signed.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[test]
fn acceptance_12_signatures_and_two_queues_in_one_conversation() {
    let dir = tempfile::tempdir().unwrap();
    let webhook = |name: &str, encoding: &str| {
        format!(
            "[http.webhooks.{name}]\npreset = \"standard\"\n\
             secrets_env = [\"HIGHWATER_TEST_SECRET\"]\n{encoding}"
        )
    };
    let http = [webhook("acd", ""), webhook("hexed", "encoding = \"hex\"\n")].concat();
    let mut service = service(dir.path(), &http);
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
    let now_s = now_ms() / 1000;
    let base64 = |tag: &[u8]| format!("v1,{}", STANDARD.encode(tag));
    let hex = |tag: &[u8]| {
        let digits: Vec<String> = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("v1,{}", digits.concat())
    };
    let headers = |at_s: i64, tag: String| {
        vec![
            ("webhook-id", "msg_1".to_owned()),
            ("webhook-timestamp", at_s.to_string()),
            ("webhook-signature", tag),
        ]
    };
    let body = format!("[ {} ]", native("signed", "c-signed", "signed"));
    let tag = |at_s: i64, key: &[u8]| sign(key, &format!("msg_1.{at_s}.{body}"));
    let good = headers(now_s, base64(&tag(now_s, &key)));
    let compact = serde_json::from_str::<serde_json::Value>(&body).unwrap().to_string();
    assert_ne!(compact, body, "another serialisation of the same event");
    let mut unsigned = good.clone();
    unsigned.retain(|(name, _)| *name != "webhook-signature");
    let stale = now_s - 3600;
    let refused = [
        ("wrong key", headers(now_s, base64(&tag(now_s, &[7; 32]))), &body),
        ("stale timestamp", headers(stale, base64(&tag(stale, &key))), &body),
        ("re-serialised body", good.clone(), &compact),
        ("hex where base64 is agreed", headers(now_s, hex(&tag(now_s, &key))), &body),
        ("missing header", unsigned, &body),
    ];
    for (case, headers, body) in &refused {
        let (status, answer) = post(service.address, "/v1/webhooks/acd", headers, body);
        assert_eq!(status, 401, "{case}: {answer}");
    }
    let base64_for_hex = post(service.address, "/v1/webhooks/hexed", &good, &body);
    assert_eq!(base64_for_hex.0, 401, "{}", base64_for_hex.1);
    let (status, answer) = post(service.address, "/v1/webhooks/acd", &good, &body);
    assert_eq!(status, 202, "{answer}");
    let hexed = headers(now_s, hex(&tag(now_s, &key)));
    // The same event by another road: taken, and counted once.
    assert_eq!(post(service.address, "/v1/webhooks/hexed", &hexed, &body).0, 202);

    // One conversation in two queues at once: two events, told apart by their identities.
    let two = format!(
        "[{},{}]",
        native("conversation-1/billing", "conversation-1", "billing"),
        native("conversation-1/sales", "conversation-1", "sales")
    );
    for _ in 0..2 {
        assert_eq!(post(service.address, "/v1/events", &[], &two).0, 202);
    }
    service.stop();
    for queue in ["signed", "billing", "sales"] {
        let sql = format!("SELECT waiting_by_events FROM queue_now WHERE queue_id = '{queue}'");
        assert_eq!(number(dir.path(), &sql), 1, "{queue}");
    }
    let duplicates = "SELECT sum(duplicates) FROM duplicate_counts";
    assert_eq!(number(dir.path(), duplicates), 3);
}
