//! The webhook against a real HTTP server on loopback.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use super::super::message::tests::{notification, resolve};
use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[derive(Debug)]
struct Request {
    head: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Answers each connection with the next of `answers`; an empty one closes the connection after reading, as a
/// receiver does that times out after it has done its work.
fn server(answers: Vec<&'static str>) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (send, requests) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut head = BTreeMap::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let Some((name, value)) = line.trim().split_once(": ") else {
                    if line.trim().is_empty() {
                        break;
                    }
                    continue;
                };
                head.insert(name.to_lowercase(), value.to_owned());
            }
            let mut body = vec![0; head["content-length"].parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            send.send(Request { head, body }).unwrap();
            if !answer.is_empty() {
                let close = "connection: close\r\ncontent-length: 0\r\n\r\n";
                write!(reader.get_mut(), "HTTP/1.1 {answer}\r\n{close}").unwrap();
            }
        }
    });
    (url, requests)
}

fn config(url: &str) -> WebhookConfig {
    serde_json::from_value(serde_json::json!({
        "name": "hook", "url": url, "secret_env": "SECRET", "allow_private": true,
    }))
    .unwrap()
}

fn open(config: &WebhookConfig) -> Result<Webhook, ChannelError> {
    Webhook::open(config, &|name| (name == "SECRET").then(|| SECRET.to_owned()))
}

fn message() -> Message {
    Message::of(&notification("drift/T0042/1", 1, Step::Opened), &resolve())
}

#[test]
fn posts_are_signed_and_keep_their_id_over_retries() {
    let (url, requests) = server(vec!["", "500 Internal Server Error", "204 No Content"]);
    let mut webhook = open(&config(&url)).unwrap();
    let now = 1_778_839_351_999;
    let first = webhook.deliver(&[message()], now);
    assert!(matches!(&first[0], Outcome::Retry { everybody: true, .. }), "{first:?}");
    let second = webhook.deliver(&[message()], now);
    assert!(matches!(&second[0], Outcome::Retry { everybody: false, .. }), "{second:?}");
    assert_eq!(webhook.deliver(&[message()], now), [Outcome::Delivered]);
    for _ in 0..3 {
        let request = requests.recv().unwrap();
        assert_eq!(request.head["webhook-id"], "drift/T0042/1#1");
        assert_eq!(request.head["webhook-timestamp"], "1778839351");
        let keys = Keys::parse(SECRET).unwrap();
        let signature = keys.sign("drift/T0042/1#1", 1_778_839_351, &request.body);
        assert_eq!(request.head["webhook-signature"], signature);
        let body: Message = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body, message());
    }
}

#[test]
fn answers_mean_what_they_say() {
    let cases: [(&str, fn(&Outcome) -> bool); 7] = [
        ("200 OK", |o| *o == Outcome::Delivered),
        ("429 Too Many Requests\r\nretry-after: 30", |o| {
            let wait = Some(Duration::from_secs(30));
            matches!(o, Outcome::Retry { after, everybody: true, .. } if *after == wait)
        }),
        ("503 Service Unavailable\r\nretry-after: 999999", |o| {
            let wait = Some(Duration::from_hours(1));
            matches!(o, Outcome::Retry { after, everybody: true, .. } if *after == wait)
        }),
        ("408 Request Timeout", |o| matches!(o, Outcome::Retry { everybody: false, .. })),
        ("400 Bad Request", |o| matches!(o, Outcome::Refused { .. })),
        ("410 Gone", |o| matches!(o, Outcome::Refused { .. })),
        // A redirect is not followed, wherever it leads.
        ("307 Temporary Redirect\r\nlocation: http://169.254.169.254/", |o| {
            matches!(o, Outcome::Refused { .. })
        }),
    ];
    let (url, _requests) = server(cases.iter().map(|(answer, _)| *answer).collect());
    let mut webhook = open(&config(&url)).unwrap();
    for (answer, expected) in cases {
        let outcomes = webhook.deliver(&[message()], 0);
        assert!(expected(&outcomes[0]), "{answer}: {outcomes:?}");
    }
}

#[test]
fn several_messages_go_at_once() {
    let (url, requests) = server(vec!["200 OK"; 5]);
    let mut webhook = open(&config(&url)).unwrap();
    let messages: Vec<_> = (0..5)
        .map(|n| Message::of(&notification(&format!("a{n}"), 1, Step::Opened), &resolve()))
        .collect();
    assert_eq!(webhook.deliver(&messages, 0), vec![Outcome::Delivered; 5]);
    let mut ids: Vec<_> = requests.iter().take(5).map(|r| r.head["webhook-id"].clone()).collect();
    ids.sort();
    assert_eq!(ids, ["a0#1", "a1#1", "a2#1", "a3#1", "a4#1"]);
}

#[test]
fn inside_addresses_are_refused_by_number_and_by_name() {
    let public = |url: &str| WebhookConfig { allow_private: false, ..config(url) };
    for url in [
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://10.0.0.8/",
        "https://169.254.169.254/",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://[::ffff:10.0.0.1]/",
        "http://example.com/",
        "file:///etc/passwd",
    ] {
        assert!(open(&public(url)).is_err(), "{url}");
    }
    assert!(open(&config("https://169.254.169.254/")).is_err(), "not even inside");
    // The name passes the configuration and fails where it leads.
    let mut webhook = open(&public("https://localhost:1/")).unwrap();
    let outcomes = webhook.deliver(&[message()], 0);
    assert!(
        matches!(&outcomes[0], Outcome::Refused { reason } if reason.contains("not a public address")),
        "{outcomes:?}"
    );
}

#[test]
fn secrets_stay_out_of_errors() {
    let url = "http://127.0.0.1:1/services/CANARY-TOKEN";
    let mut webhook = open(&config(url)).unwrap();
    let told = format!("{:?}", webhook.deliver(&[message()], 0));
    assert!(!told.contains("CANARY"), "{told}");
    let weak = Webhook::open(&config(url), &|_| Some("CANARY-weak".into()));
    let told = weak.map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("SECRET") && !told.contains("CANARY"), "{told}");
}

#[test]
fn mistakes_in_the_configuration_are_named() {
    let parse = |text: &str| serde_json::from_str::<super::super::ChannelConfig>(text);
    assert!(
        parse(r#"{"kind": "webhook", "name": "a", "url": "https://x", "fromat": "slack"}"#)
            .unwrap_err()
            .to_string()
            .contains("fromat")
    );
    let pagerduty = WebhookConfig { format: Format::Pagerduty, ..config("https://x.example/") };
    assert!(open(&pagerduty).map(|_| ()).unwrap_err().to_string().contains("routing_key_env"));
    let steps = parse(r#"{"kind": "log", "name": "l", "steps": ["opened", "retracted"]}"#).unwrap();
    let log = steps.open(&|_| None).unwrap();
    assert!(log.wants(Step::Retracted) && !log.wants(Step::Amended));
}
