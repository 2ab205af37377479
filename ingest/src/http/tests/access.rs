//! Who may send: tokens and roles, Host and Origin, sources.

use axum::http::{HeaderMap, HeaderValue};

use super::*;

fn token(env: &str, roles: &[Role]) -> TokenConfig {
    TokenConfig { env: env.to_owned(), roles: roles.to_vec() }
}

fn with_tokens(config: &mut HttpConfig) {
    config.tokens = vec![
        token("INGEST_TOKEN", &[Role::Ingest]),
        token("READ_TOKEN", &[Role::Read]),
        token("BOTH_TOKEN", &[Role::Read, Role::Ingest]),
    ];
}

#[tokio::test]
async fn sending_needs_a_token_with_the_role() {
    let server = Server::start(with_tokens).await;
    let cases = [
        ("", 401, "token_missing", "bearer realm=\"highwater\""),
        ("Basic dXNlcjpwYXNz", 401, "token_missing", "bearer realm=\"highwater\""),
        ("Bearer", 401, "token_missing", "bearer realm=\"highwater\""),
        ("Bearer wrong", 401, "token_unknown", "error=\"invalid_token\""),
        ("Bearer ingest-canary-0123456789abcde", 401, "token_unknown", "invalid_token"),
        ("Bearer ingest-canary-0123456789abcdefg", 401, "token_unknown", "invalid_token"),
        ("Bearer read-canary-0123456789abcdef", 403, "role_missing", "insufficient_scope"),
    ];
    for (authorization, status, error, challenge) in cases {
        let call = Call::events(arrival("1")).with("Authorization", authorization);
        let answer = call.send(&server).await;
        assert_eq!((answer.status, answer.error()), (status, error), "{authorization}");
        assert!(answer.header("www-authenticate").unwrap().contains(challenge), "{answer:?}");
        assert!(!format!("{answer:?}").contains("canary"));
    }
    for token in ["Bearer ingest-canary-0123456789abcdef", "bearer  both-canary-0123456789abcdef"] {
        let call = Call::events(arrival("1")).with("Authorization", token);
        // With a token the name in Host does not matter: no browser sends one unasked.
        assert_eq!(call.with("Host", "wfm.example").send(&server).await.counts(), (1, 0));
    }
    assert_eq!((server.count("refused_401"), server.count("refused_403")), (6, 1));
}

#[test]
fn every_role_is_asked_for_by_name() {
    let mut config = HttpConfig::default();
    with_tokens(&mut config);
    let authorizer = Authorizer::resolve(&config, &env).unwrap();
    let cases = [
        ("INGEST_TOKEN", Role::Ingest, Ok(())),
        ("INGEST_TOKEN", Role::Read, Err(Denied::Role(Role::Read))),
        ("READ_TOKEN", Role::Ingest, Err(Denied::Role(Role::Ingest))),
        ("READ_TOKEN", Role::Read, Ok(())),
        ("BOTH_TOKEN", Role::Ingest, Ok(())),
        ("BOTH_TOKEN", Role::Read, Ok(())),
        ("TEXT", Role::Ingest, Err(Denied::UnknownToken)),
        ("TEXT", Role::Read, Err(Denied::UnknownToken)),
    ];
    for (name, role, expected) in cases {
        let text = env(name).unwrap();
        assert_eq!(authorizer.authorize_token(text.trim_end(), role), expected, "{name} {role:?}");
    }
    assert!(authorizer.requires_token());
    assert!(!format!("{authorizer:?}").contains("canary"));
}

#[test]
fn without_tokens_only_this_machine_may_be_addressed_and_only_by_its_own_pages() {
    let config = HttpConfig {
        hosts: vec!["wfm.local".to_owned()],
        origins: vec!["https://board.example".to_owned()],
        ..HttpConfig::default()
    };
    let authorizer = Authorizer::resolve(&config, &env).unwrap();
    let cases = [
        ("localhost:8080", None, Ok(())),
        ("LOCALHOST", None, Ok(())),
        ("127.0.0.1:8080", None, Ok(())),
        ("[::1]:8080", None, Ok(())),
        ("wfm.local:8080", None, Ok(())),
        ("", None, Err(Denied::Host)),
        ("evil.example", None, Err(Denied::Host)),
        ("localhost.evil.example", None, Err(Denied::Host)),
        ("127.0.0.1.evil.example:8080", None, Err(Denied::Host)),
        ("[::1]evil.example", None, Err(Denied::Host)),
        ("[::1", None, Err(Denied::Host)),
        ("localhost:8080", Some("http://localhost:8080"), Ok(())),
        ("localhost:8080", Some("https://localhost:8080"), Ok(())),
        ("localhost:8080", Some("https://board.example"), Ok(())),
        ("localhost:8080", Some("http://localhost:3000"), Err(Denied::Origin)),
        ("localhost:8080", Some("https://board.example.evil"), Err(Denied::Origin)),
        ("localhost:8080", Some("null"), Err(Denied::Origin)),
        ("evil.example", Some("http://evil.example"), Err(Denied::Host)),
    ];
    for (host, origin, expected) in cases {
        let mut headers = HeaderMap::new();
        if !host.is_empty() {
            headers.insert("host", HeaderValue::from_static(host));
        }
        if let Some(origin) = origin {
            headers.insert("origin", HeaderValue::from_static(origin));
        }
        assert_eq!(authorizer.authorize(&headers, Role::Read), expected, "{host} {origin:?}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_cannot_send() {
    let server = Server::start(|_| {}).await;
    let call = Call::events(arrival("1"));
    let foreign = call.clone().with("Origin", "https://evil.example").send(&server).await;
    assert_eq!((foreign.status, foreign.error()), (403, "origin_foreign"));
    let rebound = call.clone().with("Host", "evil.example").send(&server).await;
    assert_eq!((rebound.status, rebound.error()), (403, "host_foreign"));
    // What a form or a script may send without being asked is no type of ours.
    for simple in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        assert_eq!(call.clone().with("Content-Type", simple).send(&server).await.status, 415);
    }
    assert_eq!(server.journal.raws(), Vec::<String>::new());
}

#[tokio::test]
async fn each_listed_source_is_a_partition() {
    let server = Server::start(|config| {
        config.sources = vec!["acd-east".to_owned(), "acd-west".to_owned()];
    })
    .await;
    for source in ["", "acd-east", "acd-west"] {
        let call = Call::events(arrival("1")).with("X-Highwater-Source", source);
        assert_eq!(call.send(&server).await.counts(), (1, 0));
    }
    let taken = server.journal.taken.lock().unwrap();
    let partitions: Vec<PartitionId> = taken.iter().map(|delivery| delivery.partition).collect();
    assert_eq!(partitions, [1, 2, 3]);
}
