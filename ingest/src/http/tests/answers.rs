//! What `/v1/events` answers, and when.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::yield_now;

use super::*;

/// A request after which the connection stays open.
fn kept_alive(call: &Call) -> Vec<u8> {
    let text = String::from_utf8(call.bytes()).unwrap();
    text.replace("Connection: close\r\n", "").into_bytes()
}

#[tokio::test]
async fn nobody_is_told_accepted_before_the_journal_is_durable() {
    let mut server = Server::start(|_| {}).await;
    server.set(Mode::Held);
    let stream = Call::events(arrival("1")).begin(&server).await;
    let (delivery, durable) = server.held.recv().await.unwrap();

    // One thread runs both sides: every chance to answer too early is given here.
    for _ in 0..100 {
        yield_now().await;
    }
    assert_eq!(server.count("requests"), 0);
    let early = stream.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);

    durable.send(Ok(appended(&delivery, false))).unwrap();
    let answer = Answer::read(stream).await;
    assert_eq!(answer.counts(), (1, 0));
    assert_eq!(answer.body["events"][0]["seq"], 1);
    assert_eq!(answer.body["events"][0]["status"], "accepted");
    assert_eq!((delivery.partition, delivery.received_at), (1, NOW));
}

#[tokio::test]
async fn every_form_keeps_each_events_own_bytes() {
    let server = Server::start(|_| {}).await;
    let (a, b, c) = (arrival("a"), arrival("b"), arrival("c"));
    let each = [
        (Call::events(&a), 1),
        (Call::events(format!("  {a}\n")), 1),
        (Call::events(format!("[{a},\n {b} , {c}]")), 3),
        (Call::events(format!("\u{feff}[{a}]")), 1),
        (Call::events(format!("[{a},{b}]")).gzip(), 2),
        (Call::events(&a).lines(), 1),
        (Call::events(format!("{a}\n{b}\n")).lines(), 2),
        (Call::events(format!("{a}\r\n\r\n   \n{b}\r\n{c}")).lines(), 3),
        (Call::events(format!("[{a},{b}]")).lines(), 2),
        (Call::events(format!("{a}\n{b}")).lines().gzip(), 2),
        (Call::events(&a).with("Content-Type", "Application/JSON; charset=utf-8"), 1),
        (Call::events(&a).with("Content-Encoding", "identity"), 1),
    ];
    for (case, (call, events)) in each.iter().enumerate() {
        server.journal.taken.lock().unwrap().clear();
        assert_eq!(call.send(&server).await.counts(), (*events, 0), "case {case}");
        let expected: Vec<String> =
            [&a, &b, &c].into_iter().take(*events as usize).cloned().collect();
        assert_eq!(server.journal.raws(), expected, "case {case}");
    }
}

#[tokio::test]
async fn a_large_batch_is_one_delivery_in_order() {
    let server = Server::start(|_| {}).await;
    let events: Vec<String> = (0..2000).map(|n| arrival(&n.to_string())).collect();
    let call = Call::events(events.join("\n")).lines();
    assert_eq!(call.send(&server).await.counts(), (2000, 0));
    assert_eq!(server.journal.taken.lock().unwrap().len(), 1);
    assert_eq!(server.journal.raws(), events);
}

#[tokio::test]
async fn a_bad_event_is_a_dead_letter_and_its_siblings_are_accepted() {
    let server = Server::start(|_| {}).await;
    let good = arrival("1");
    let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
    let bad_elements = ["42", "null", "{}", r#"{"event_type":"Nonsense"}"#, "[]", deep.as_str()];
    for bad in bad_elements {
        server.journal.taken.lock().unwrap().clear();
        let answer = server.post(format!("[{good},{bad},{good}]")).await;
        assert_eq!(answer.counts(), (2, 1), "{bad}");
        let event = &answer.body["events"][1];
        assert_eq!((&event["index"], &event["status"]), (&1.into(), &"dead_letter".into()));
        assert_eq!(event["seq"], 2);
        assert!(!event["reason"].as_str().unwrap().is_empty());
        assert_eq!(server.journal.raws()[1], bad);
        assert!(server.journal.taken.lock().unwrap()[0].items[1].decoded.is_err());
    }
    // Of lines one may even be no JSON, or no text.
    for bad in [&b"{cut short"[..], b"\xff\xfe", b"hello"] {
        let body = [good.as_bytes(), bad, good.as_bytes()].join(&b'\n');
        assert_eq!(Call::events(body).lines().send(&server).await.counts(), (2, 1));
    }
    assert_eq!(server.count("rejected"), 9);
    assert_eq!(server.count("accepted"), 18);
}

#[tokio::test]
async fn what_the_journal_sets_aside_is_reported_too() {
    let server = Server::start(|_| {}).await;
    server.set(Mode::SetAside);
    let answer = server.post(arrival("1")).await;
    assert_eq!(answer.counts(), (0, 1));
    assert_eq!(answer.body["events"][0]["reason"], "too far ahead");
}

#[tokio::test]
async fn a_summary_gives_counts_alone() {
    let server = Server::start(|_| {}).await;
    let body = format!("[{},7]", arrival("1"));
    let answer = Call::to("/v1/events?outcome=summary", &body).send(&server).await;
    assert_eq!(answer.counts(), (1, 1));
    assert!(answer.body.get("events").is_none());
    assert_eq!(server.post("[]").await.counts(), (0, 0));
    let answer = Call::to("/v1/events?outcome=poem", &body).send(&server).await;
    assert_eq!((answer.status, answer.error()), (400, "outcome_unknown"));
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_and_nothing_is_journaled() {
    let server = Server::start(|config| {
        config.body_bytes_max = 2048;
        config.inflated_bytes_max = 4096;
        config.events_max = 3;
    })
    .await;
    let good = arrival("1");
    let trail = format!("{good}\n{good}");
    let many = format!("[{}]", [good.as_str(); 4].join(","));
    let zeros = " ".repeat(5000);
    let cases = [
        (Call::events(""), 400, "not_json"),
        (Call::events(" \n "), 400, "not_json"),
        (Call::events("hello"), 400, "not_json"),
        (Call::events("42"), 400, "not_json"),
        (Call::events("\"text\""), 400, "not_json"),
        (Call::events(&good[..40]), 400, "not_json"),
        (Call::events(format!("[{good},")), 400, "not_json"),
        (Call::events(format!("[{good}] x")), 400, "not_json"),
        (Call::events(b"[\"\xff\"]"), 400, "not_json"),
        (Call::events("[".repeat(2000)), 400, "not_json"),
        (Call::events(&trail), 400, "not_json"),
        (Call::events("").lines(), 400, "not_json"),
        (Call::events("\r\n\r\n").lines(), 400, "not_json"),
        (Call::events("time,agent\n1,2\n").lines(), 400, "not_json"),
        (Call::events(&good).with("Content-Encoding", "gzip"), 400, "not_gzip"),
        (Call::events(&good).with("Content-Type", ""), 415, "content_type"),
        (Call::events(&good).with("Content-Type", "text/plain"), 415, "content_type"),
        (Call::events(&good).with("Content-Encoding", "br"), 415, "content_encoding"),
        (Call::events(&good).with("Content-Encoding", "gzip, gzip"), 415, "content_encoding"),
        (Call::events(&good).with("Content-Length", "2049"), 413, "body_too_large"),
        (Call::events(&zeros).gzip(), 413, "inflated_too_large"),
        (Call::events(&many), 413, "too_many_events"),
        (Call::events([good.as_str(); 4].join("\n")).lines(), 413, "too_many_events"),
        (Call::events(&good).with("X-Highwater-Source", "stranger"), 403, "source_unknown"),
        (Call::to("/v1/webhooks/nobody", &good), 404, "webhook_unknown"),
    ];
    for (case, (call, status, error)) in cases.iter().enumerate() {
        let answer = call.send(&server).await;
        assert_eq!((answer.status, answer.error()), (*status, *error), "case {case}: {answer:?}");
        assert!(answer.body["message"].as_str().unwrap().len() > 20, "case {case}");
    }
    // A body cut short is no gzip either.
    let mut cut = Call::events(&good).gzip();
    cut.body.truncate(cut.body.len() - 9);
    assert_eq!(cut.send(&server).await.error(), "not_gzip");
    assert_eq!(server.journal.raws(), Vec::<String>::new());
    assert_eq!(server.count("accepted"), 0);
    assert_eq!(server.count("refused_413"), 4);
    assert_eq!(server.count("refused_415"), 4);

    let hint = Call::events(&trail).send(&server).await;
    assert!(hint.body["message"].as_str().unwrap().contains("line 2"), "{hint:?}");
    assert!(hint.body["message"].as_str().unwrap().contains("application/x-ndjson"));
}

#[tokio::test]
async fn a_chunked_body_is_bounded_as_well() {
    let server = Server::start(|config| config.body_bytes_max = 1024).await;
    let good = arrival("1");
    let chunked = |body: &str| {
        let body = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        Call::events(body).with("Transfer-Encoding", "chunked")
    };
    assert_eq!(chunked(&good).send(&server).await.counts(), (1, 0));
    let answer = chunked(&" ".repeat(1025)).send(&server).await;
    assert_eq!((answer.status, answer.error()), (413, "body_too_large"));
}

#[tokio::test]
async fn a_journal_that_cannot_is_told_apart_from_one_that_is_busy() {
    let cases = [
        (Mode::Refused(NotDurable::Overloaded), 429, "overloaded"),
        (Mode::Refused(NotDurable::Full), 503, "journal_full"),
        (Mode::Refused(NotDurable::Failing), 503, "journal_failing"),
        (Mode::Lost(NotDurable::Full), 503, "journal_full"),
        (Mode::Lost(NotDurable::Failing), 503, "journal_failing"),
    ];
    let server = Server::start(|_| {}).await;
    for (mode, status, error) in cases {
        server.set(mode);
        let answer = server.post(arrival("1")).await;
        assert_eq!((answer.status, answer.error()), (status, error));
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    assert_eq!(server.count("accepted"), 0);
}

#[tokio::test]
async fn what_can_never_fit_the_journal_is_413_and_not_to_be_tried_again() {
    let server = Server::start(|_| {}).await;
    server.set(Mode::Refused(NotDurable::TooLarge { max_events: 10, max_bytes: 1000 }));
    let answer = server.post(arrival("1")).await;
    assert_eq!((answer.status, answer.error()), (413, "too_large_for_journal"));
    assert!(answer.header("retry-after").is_none(), "{answer:?}");
    assert_eq!((server.count("accepted"), server.count("refused_413")), (0, 1));
}

#[tokio::test]
async fn a_silent_journal_ends_in_503_not_in_waiting() {
    let server = Server::start(|config| config.ack_timeout_ms = 1).await;
    server.set(Mode::Held);
    let answer = server.post(arrival("1")).await;
    assert_eq!((answer.status, answer.error()), (503, "journal_silent"));
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn a_slow_body_ends_in_408() {
    let server = Server::start(|config| config.body_timeout_ms = 1).await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let call = Call::events("{").with("Content-Length", "100");
    stream.write_all(&call.bytes()).await.unwrap();
    let answer = Answer::read(stream).await;
    assert_eq!((answer.status, answer.error()), (408, "body_slow"));
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn a_head_that_never_ends_is_hung_up_on() {
    let server = Server::start(|config| config.header_timeout_ms = 1).await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    stream.write_all(b"POST /v1/events HTTP/1.1\r\nHost: loc").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains("202"));
}

#[tokio::test]
async fn more_requests_or_bytes_than_allowed_in_work_are_429() {
    let mut server = Server::start(|config| config.requests_max = 1).await;
    server.set(Mode::Held);
    let first = Call::events(arrival("1")).begin(&server).await;
    let (delivery, durable) = server.held.recv().await.unwrap();
    let second = server.post(arrival("2")).await;
    assert_eq!((second.status, second.error()), (429, "overloaded"));
    assert_eq!(second.header("retry-after"), Some("1"));
    durable.send(Ok(appended(&delivery, false))).unwrap();
    assert_eq!(Answer::read(first).await.counts(), (1, 0));
    server.set(Mode::Durable);
    assert_eq!(server.post(arrival("2")).await.counts(), (1, 0));

    let mut server = Server::start(|config| {
        (config.body_bytes_max, config.inflated_bytes_max) = (4096, 4096);
        config.in_flight_bytes_max = 8192;
    })
    .await;
    server.set(Mode::Held);
    let wide = format!("{}{}", arrival("1"), " ".repeat(3500));
    let first = Call::events(&wide).begin(&server).await;
    let (delivery, durable) = server.held.recv().await.unwrap();
    // An inflating body needs room for the most it may become.
    assert_eq!(Call::events(arrival("2")).gzip().send(&server).await.status, 429);
    durable.send(Ok(appended(&delivery, false))).unwrap();
    assert_eq!(Answer::read(first).await.counts(), (1, 0));
    // Once it is known what became of one, what it did not need is free for the next.
    let first = Call::events(arrival("2")).gzip().begin(&server).await;
    let (delivery, durable) = server.held.recv().await.unwrap();
    server.set(Mode::Durable);
    assert_eq!(Call::events(arrival("3")).gzip().send(&server).await.counts(), (1, 0));
    durable.send(Ok(appended(&delivery, false))).unwrap();
    assert_eq!(Answer::read(first).await.counts(), (1, 0));
}

#[tokio::test]
async fn a_sender_of_much_reads_why_it_was_refused() {
    let mut server = Server::start(|config| config.requests_max = 1).await;
    server.set(Mode::Held);
    let first = Call::events(arrival("1")).begin(&server).await;
    let (delivery, durable) = server.held.recv().await.unwrap();
    let much = " ".repeat(1 << 20);
    // That the connection serves another request shows that the body was taken in, not cut off.
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    stream.write_all(&kept_alive(&Call::events(&much))).await.unwrap();
    stream.write_all(&kept_alive(&Call::to("/v1/webhooks/nobody", &much))).await.unwrap();
    stream.write_all(&Call::events("").bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text.matches("HTTP/1.1 429").count(), 2, "{text}");
    assert_eq!(text.matches("retry-after: 1").count(), 2);
    assert_eq!(text.matches("HTTP/1.1 404").count(), 1);
    durable.send(Ok(appended(&delivery, false))).unwrap();
    assert_eq!(Answer::read(first).await.counts(), (1, 0));
}

#[tokio::test]
async fn a_sender_that_asks_before_sending_is_answered_at_once() {
    let server = Server::start(|_| {}).await;
    let mut call = Call::events("").with("Content-Length", "1000").with("Expect", "100-continue");
    let refused = call.clone().with("Content-Type", "text/plain").send(&server).await;
    assert_eq!(refused.status, 415);
    call = call.with("Content-Length", &(2 << 20).to_string());
    assert_eq!(call.send(&server).await.status, 413);
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let server = Server::start(|_| {}).await;
    let refused = Call::events("nonsense");
    let both = [
        kept_alive(&Call::events(arrival("1"))),
        kept_alive(&refused),
        Call::events(arrival("2")).bytes(),
    ];
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    stream.write_all(&both.concat()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text.matches("HTTP/1.1 202").count(), 2, "{text}");
    assert_eq!(text.matches("HTTP/1.1 400").count(), 1);
}

#[tokio::test]
async fn stopping_lets_requests_in_work_finish() {
    let mut server = Server::start(|_| {}).await;
    server.set(Mode::Held);
    let stream = Call::events(arrival("1")).begin(&server).await;
    let (delivery, durable) = server.held.recv().await.unwrap();
    server.stop.send(()).unwrap();
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(TcpStream::connect(("127.0.0.1", server.port)).await.is_err());
    assert!(!server.running.is_finished());
    durable.send(Ok(appended(&delivery, false))).unwrap();
    assert_eq!(Answer::read(stream).await.counts(), (1, 0));
    server.running.await.unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_connections_without_a_request() {
    let server = Server::start(|_| {}).await;
    // Browsers open connections ahead of need; one that has been used stays open, too.
    let fresh = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let mut used = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    used.write_all(&kept_alive(&Call::events(arrival("1")))).await.unwrap();
    assert!(used.read(&mut [0; 1024]).await.unwrap() > 0);
    server.stop.send(()).unwrap();
    server.running.await.unwrap();
    drop((fresh, used));
}

#[tokio::test]
async fn a_sender_that_hangs_up_does_not_keep_its_place() {
    let mut server = Server::start(|config| config.requests_max = 1).await;
    server.set(Mode::Held);
    let stream = Call::events(arrival("1")).begin(&server).await;
    let (_, mut durable) = server.held.recv().await.unwrap();
    drop(stream);
    durable.closed().await;
    server.set(Mode::Durable);
    assert_eq!(server.post(arrival("2")).await.counts(), (1, 0));
}
