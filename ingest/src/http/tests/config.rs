//! What a configuration may say, and what it is refused for.

use super::*;

fn parse(json: Value) -> Result<HttpConfig, String> {
    serde_json::from_value(json).map_err(|error| error.to_string())
}

fn refused(json: Value) -> ConfigError {
    parse(json).unwrap().resolve(&env).unwrap_err()
}

#[test]
fn nothing_said_is_loopback_with_bounds() {
    let plan = parse(serde_json::json!({})).unwrap().resolve(&env).unwrap();
    assert!(plan.config.listen.ip().is_loopback());
    assert!(!plan.authorizer.requires_token());
    assert_eq!((plan.config.body_bytes_max, plan.config.events_max), (1 << 20, 10_000));
}

#[test]
fn strangers_can_reach_it_only_with_tokens() {
    let tokens = [TokenConfig { env: "INGEST_TOKEN".to_owned(), roles: vec![Role::Ingest] }];
    for local in ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        assert_eq!(check_exposure(local.parse().unwrap(), &[]), Ok(()), "{local}");
    }
    for exposed in ["0.0.0.0:80", "10.0.0.1:80", "[::]:80", "[2001:db8::1]:80"] {
        let listen = exposed.parse().unwrap();
        assert_eq!(check_exposure(listen, &[]), Err(ConfigError::Exposed { listen }), "{exposed}");
        assert_eq!(check_exposure(listen, &tokens), Ok(()));
    }
}

#[test]
fn every_mistake_is_named() {
    use serde_json::json;
    let webhook = |config: Value| json!({ "webhooks": { "acd": config } });
    let token = |env: &str| json!({ "tokens": [{ "env": env, "roles": ["ingest"] }] });
    let cases = [
        (json!({ "listen": "0.0.0.0:8080" }), "reachable from other machines"),
        (token("ABSENT"), "ABSENT is not set"),
        (token("SHORT"), "12 bytes"),
        (token("SPACED"), "characters a header cannot carry"),
        (json!({ "tokens": [{ "env": "INGEST_TOKEN", "roles": [] }] }), "no roles"),
        (json!({ "sources": ["a b"] }), "cannot name a source"),
        (json!({ "events_max": 0 }), "events_max must be at least 1"),
        (json!({ "inflated_bytes_max": 10 }), "at least body_bytes_max"),
        (json!({ "in_flight_bytes_max": 10 }), "the largest body could never come in"),
        (webhook(json!({})), "secrets_env names no variable"),
        (webhook(json!({ "secrets_env": ["ABSENT"] })), "ABSENT is not set"),
        (webhook(json!({ "secrets_env": ["TEXT"] })), "is not base64"),
        (webhook(json!({ "secrets_env": ["SHORT"], "secret_encoding": "text" })), "12 bytes"),
        (webhook(json!({ "secrets_env": ["STANDARD"], "signed": "{id}" })), "{body} once"),
        (webhook(json!({ "secrets_env": ["STANDARD"], "signed": "{body" })), "without its `}`"),
        (webhook(json!({ "secrets_env": ["STANDARD"], "signed": "{url}{body}" })), "no {url}"),
        (webhook(json!({ "secrets_env": ["STANDARD"], "id_header": "a b" })), "not a header name"),
        (
            webhook(
                json!({ "preset": "zendesk", "secrets_env": ["TEXT"], "signed": "{id}{body}" }),
            ),
            "set id_header",
        ),
        (
            webhook(json!({
                "preset": "genesys_open_messaging", "secrets_env": ["TEXT"], "timestamp_header": "x-time"
            })),
            "an unsigned time proves nothing",
        ),
    ];
    for (config, said) in cases {
        let message = refused(config.clone()).to_string();
        assert!(message.contains(said), "{config}: {message}");
        assert!(!message.contains("canary"), "{message}");
    }
    for unknown in [
        json!({ "listn": "127.0.0.1:1" }),
        json!({ "tokens": [{ "env": "X", "roles": ["admin"] }] }),
        webhook(json!({ "secret": "in the file" })),
    ] {
        assert!(parse(unknown).is_err());
    }
}

#[test]
fn secrets_do_not_print() {
    let config = parse(serde_json::json!({
        "tokens": [{ "env": "BOTH_TOKEN", "roles": ["ingest", "read"] }],
        "webhooks": { "acd": { "preset": "zendesk", "secrets_env": ["TEXT"] } },
    }));
    let printed = format!("{:?}", config.unwrap().resolve(&env).unwrap());
    assert!(printed.contains("redacted"), "{printed}");
    assert!(!printed.contains("canary"), "{printed}");
    // Nor as the numbers of its bytes: "text-canary" begins 116, 101.
    assert!(!printed.contains("116, 101"), "{printed}");
}
