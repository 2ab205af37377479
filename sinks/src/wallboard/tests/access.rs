//! Who gets in: origins, hosts, tokens, roles, and what a client may send.

use std::net::SocketAddr;
use std::time::Duration;

use super::api::get;
use super::rig::*;
use crate::wallboard::gate::{host_trusted, origin_allowed};

async fn first_word(address: SocketAddr, headers: &[(&str, &str)]) -> Heard {
    page(address, headers).await.hear().await
}

#[test]
fn origins_and_hosts() {
    let listed = ["https://wall.example.com".to_owned()];
    let origin = |origin, host| origin_allowed(origin, host, &listed);
    assert!(origin(None, "localhost:8080"));
    assert!(origin(Some("http://localhost:8080"), "localhost:8080"));
    assert!(origin(Some("https://LOCALHOST:8080"), "localhost:8080"));
    assert!(origin(Some("https://wall.example.com"), "10.0.0.1:8080"));
    assert!(!origin(Some("http://localhost:3000"), "localhost:8080"));
    assert!(!origin(Some("http://evil.example"), "localhost:8080"));
    assert!(!origin(Some("null"), "localhost:8080"));
    assert!(!origin(Some("http://"), ""));
    assert!(!origin(Some("https://wall.example.com.evil.example"), "localhost:8080"));
    let host = |host| host_trusted(host, &listed);
    let trusted = ["localhost", "localhost:80", "127.0.0.1:80", "[::1]:80", "wall.example.com:443"];
    assert!(trusted.into_iter().all(host));
    assert!(
        !["evil.example", "localhost.evil.example", "127.0.0.1.nip.example:80", ""]
            .into_iter()
            .any(host)
    );
}

#[tokio::test]
async fn a_foreign_origin_is_closed_with_1008() {
    let mut rig = Rig::new(open());
    let address = rig.loopback().await;
    let own = format!("http://{address}");
    assert_eq!(first_word(address, &[("Origin", &own)]).await.json()["type"], "snapshot");
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        assert_eq!(first_word(address, &[("Origin", origin)]).await.code(), 1008, "{origin}");
    }
    // A name of a foreign site that was rebound to loopback is its own origin, and still no trusted host.
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let headers = [("Origin", "http://evil.example")];
    let mut rebound = Page::open(stream, "/ws", "evil.example", &headers).await;
    assert_eq!(rebound.hear().await.code(), 1008);
    let (status, ..) = get(address, "/v1/status", &[("Host", "evil.example")]).await;
    assert_eq!(status, 421);
}

#[tokio::test]
async fn a_token_comes_as_a_subprotocol_or_first_and_never_in_the_address() {
    let mut rig = Rig::new(Tokens::new().authorize());
    let address = rig.loopback().await;
    let protocol = |token: &'static str| [("Sec-WebSocket-Protocol", token)];
    let mut good = page(address, &protocol("highwater.v1, bearer.r")).await;
    assert_eq!(good.hear().await.json()["type"], "snapshot");
    assert!(!good.head.contains("bearer"), "the token is not sent back");
    for refused in ["bearer.wrong", "bearer.", "highwater.v1, bearer.i"] {
        assert_eq!(first_word(address, &protocol(refused)).await.code(), 1008, "{refused}");
    }
    for (first, admitted) in [
        (r#"{"type":"auth","token":"r"}"#, true),
        (r#"{"type":"auth","token":"i"}"#, false),
        (r#"{"type":"auth","token":"wrong"}"#, false),
        (r#"{"type":"resync"}"#, false),
        ("nonsense", false),
    ] {
        let mut page = page(address, &[]).await;
        assert_eq!(page.hear().await.json()["type"], "auth_required");
        page.say(first).await;
        match page.hear().await {
            Heard::Text(_) => assert!(admitted, "{first}"),
            closed => assert_eq!((closed.code(), admitted), (1008, false), "{first}"),
        }
    }
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let headers = protocol("bearer.r");
    let mut in_address = Page::open(stream, "/ws?token=r", "localhost", &headers).await;
    assert_eq!(in_address.hear().await.code(), 1008);
}

#[tokio::test(start_paused = true)]
async fn a_token_must_come_in_time_and_stay_good() {
    let tokens = Tokens::new();
    let mut rig = Rig::new(tokens.authorize());
    let pipes = rig.pipes();
    let mut silent = Page::open(pipes.connect(), "/ws", "localhost", &[]).await;
    silent.hear().await;
    let started = tokio::time::Instant::now();
    assert_eq!(silent.hear().await.code(), 1008);
    assert_eq!(started.elapsed(), Duration::from_secs(10));

    let headers = [("Sec-WebSocket-Protocol", "bearer.r")];
    let mut page = Page::open(pipes.connect(), "/ws", "localhost", &headers).await;
    page.next().await;
    let started = tokio::time::Instant::now();
    tokens.0.lock().unwrap().clear();
    let end = loop {
        match page.hear().await {
            Heard::Ping => page.say("{}").await,
            Heard::Text(_) => {}
            end => break end,
        }
    };
    assert_eq!(end.code(), 1008);
    assert_eq!(started.elapsed(), Duration::from_mins(30));
}

#[tokio::test]
async fn every_route_judges_the_role() {
    let mut rig = Rig::new(Tokens::new().authorize());
    let address = rig.loopback().await;
    let guarded = [
        "/v1/views",
        "/v1/views/queue_interval",
        "/v1/status",
        "/v1/why?view=queue_interval&key=q1",
        "/v1/latency",
        "/metrics",
    ];
    for path in guarded {
        for (authorization, status) in [
            (None, 401),
            (Some("Bearer wrong"), 401),
            (Some("Basic cjpy"), 401),
            (Some("Bearer i"), 403),
            (Some("Bearer r"), 200),
            (Some("bearer r"), 200),
        ] {
            let headers: Vec<_> =
                authorization.map(|value| ("Authorization", value)).into_iter().collect();
            assert_eq!(get(address, path, &headers).await.0, status, "{path} {authorization:?}");
        }
    }
    for path in ["/", "/app.js", "/style.css", "/healthz", "/readyz"] {
        assert_eq!(get(address, path, &[]).await.0, 200, "{path}");
    }
    assert_eq!(get(address, "/v1/other", &[]).await.0, 404);
}

#[tokio::test]
async fn a_page_may_not_say_much() {
    let mut rig = Rig::new(open());
    let address = rig.loopback().await;
    let mut large = page(address, &[]).await;
    large.next().await;
    large.say(&"x".repeat(70_000)).await;
    assert!(matches!(large.closed().await, Heard::Close(..) | Heard::End));
    let mut many = page(address, &[]).await;
    many.next().await;
    for _ in 0..121 {
        many.say("{}").await;
    }
    assert_eq!(many.closed().await.code(), 1008);
    assert_eq!(page(address, &[]).await.next().await["type"], "snapshot");
}
