//! The signature matrix: every way to be wrong is 401 before anything is parsed or journaled.

use base64::Engine;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::super::signature::BASE64;
use super::*;

const NOW_S: i64 = NOW / 1000;

fn webhook(preset: Preset, secrets: &[&str]) -> WebhookConfig {
    let secrets_env = secrets.iter().map(|s| (*s).to_owned()).collect();
    WebhookConfig { preset, secrets_env, ..WebhookConfig::default() }
}

fn mac(key: &[u8], parts: &[&str]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().to_vec()
}

fn base64(tag: &[u8]) -> String {
    BASE64.encode(tag)
}

fn hex(tag: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap();
    tag.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn standard_key(env_name: &str) -> Vec<u8> {
    BASE64.decode(env(env_name).unwrap().trim_start_matches("whsec_")).unwrap()
}

/// A request as a Standard Webhooks sender makes it.
fn standard(secret: &str, at_s: i64, body: &str) -> Call {
    let tag = mac(&standard_key(secret), &["msg_1", ".", &at_s.to_string(), ".", body]);
    Call::to("/v1/webhooks/acd", body)
        .with("webhook-id", "msg_1")
        .with("webhook-timestamp", &at_s.to_string())
        .with("webhook-signature", &format!("v1,{}", base64(&tag)))
}

async fn server(config: WebhookConfig) -> Server {
    Server::start(move |http| {
        http.webhooks.insert("acd".to_owned(), config);
    })
    .await
}

#[tokio::test]
async fn the_published_example_of_standard_webhooks_is_accepted() {
    let server = server(webhook(Preset::Standard, &["STANDARD"])).await;
    server.clock.0.store(1_614_265_330_000, Ordering::Relaxed);
    let call = Call::to("/v1/webhooks/acd", r#"{"test": 2432232314}"#)
        .with("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
        .with("webhook-timestamp", "1614265330")
        .with("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    // Signed well, though no event of ours: a dead letter.
    let answer = call.send(&server).await;
    assert_eq!(answer.counts(), (0, 1));
}

#[tokio::test]
async fn only_an_unchanged_fresh_body_signed_with_the_key_is_taken() {
    let server = server(webhook(Preset::Standard, &["STANDARD"])).await;
    let body = arrival("1");
    let good = standard("STANDARD", NOW_S, &body);
    let tag = good.headers.iter().find(|(name, _)| name == "webhook-signature").unwrap().1.clone();
    let key = standard_key("STANDARD");
    let signed = mac(&key, &["msg_1", ".", &NOW_S.to_string(), ".", &body]);
    let compact = serde_json::from_str::<Value>(&body).unwrap().to_string();
    assert_ne!(compact, body);

    let mut reserialised = good.clone();
    reserialised.body = compact.into_bytes();
    let mut extended = good.clone();
    extended.body.push(b' ');
    let mut unparsable = good.clone();
    unparsable.body = b"not json".to_vec();
    let wrong = [
        ("wrong key", standard("STANDARD_NEW", NOW_S, &body)),
        ("stale", standard("STANDARD", NOW_S - 301, &body)),
        ("ahead", standard("STANDARD", NOW_S + 301, &body)),
        ("re-serialised", reserialised),
        ("one byte more", extended),
        ("not even JSON", unparsable),
        (
            "fresh time, old tag",
            standard("STANDARD", NOW_S - 301, &body).with("webhook-timestamp", &NOW_S.to_string()),
        ),
        ("other id", good.clone().with("webhook-id", "msg_2")),
        ("no id", good.clone().with("webhook-id", "")),
        ("no time", good.clone().with("webhook-timestamp", "")),
        ("no tag", good.clone().with("webhook-signature", "")),
        ("two tag headers", good.clone().and("webhook-signature", &tag)),
        ("two times", good.clone().and("webhook-timestamp", "1")),
        ("time is no number", good.clone().with("webhook-timestamp", "soon")),
        ("time too long", good.clone().with("webhook-timestamp", &"9".repeat(40))),
        ("truncated", good.clone().with("webhook-signature", &tag[..tag.len() - 8])),
        ("empty tag", good.clone().with("webhook-signature", "v1,")),
        ("other version", good.clone().with("webhook-signature", &tag.replace("v1,", "v2,"))),
        ("no version", good.clone().with("webhook-signature", &tag.replace("v1,", ""))),
        ("hex", good.clone().with("webhook-signature", &format!("v1,{}", hex(&signed)))),
        ("a token instead", Call::to("/v1/webhooks/acd", &body).with("Authorization", "Bearer x")),
    ];
    for (case, call) in &wrong {
        let answer = call.send(&server).await;
        assert_eq!((answer.status, answer.error()), (401, "signature"), "{case}: {answer:?}");
        assert!(answer.header("www-authenticate").is_some());
        let tag = tag.trim_start_matches("v1,");
        assert!(!format!("{answer:?}").contains(tag), "{case} gives the tag away");
    }
    assert_eq!(server.journal.raws(), Vec::<String>::new());
    assert_eq!(server.count("refused_401"), wrong.len() as u64);

    let right = [
        good.clone(),
        standard("STANDARD", NOW_S - 300, &body),
        standard("STANDARD", NOW_S + 300, &body),
        good.clone().with("webhook-signature", &format!("v1a,xyz v1,AAAA {tag}")),
        good.clone().with("webhook-signature", tag.trim_end_matches('=')),
        good.clone().with("Host", "hooks.example"),
    ];
    for call in &right {
        assert_eq!(call.send(&server).await.counts(), (1, 0));
    }
    // The second partition: the first is that of /v1/events.
    assert!(server.journal.taken.lock().unwrap().iter().all(|delivery| delivery.partition == 2));
}

#[tokio::test]
async fn a_signed_body_is_handled_as_any_other() {
    let server = server(webhook(Preset::Standard, &["STANDARD"])).await;
    let batch = standard("STANDARD", NOW_S, &format!("[{},7]", arrival("1"))).send(&server).await;
    assert_eq!(batch.counts(), (1, 1));
    assert_eq!(standard("STANDARD", NOW_S, "nonsense").send(&server).await.status, 400);
    let typed = standard("STANDARD", NOW_S, &arrival("1")).with("Content-Type", "text/plain");
    assert_eq!(typed.send(&server).await.status, 415);

    // The signature is over the bytes as they travel.
    let packed = gzip(arrival("1").as_bytes());
    let mut signer = Hmac::<Sha256>::new_from_slice(&standard_key("STANDARD")).unwrap();
    signer.update(format!("msg_1.{NOW_S}.").as_bytes());
    signer.update(&packed);
    let tag = base64(&signer.finalize().into_bytes());
    let mut call = standard("STANDARD", NOW_S, "").with("Content-Encoding", "gzip");
    call.body = packed;
    let call = call.with("webhook-signature", &format!("v1,{tag}"));
    assert_eq!(call.send(&server).await.counts(), (1, 0));
}

#[tokio::test]
async fn while_secrets_rotate_both_are_valid_and_then_only_the_new() {
    let body = arrival("1");
    let both = server(webhook(Preset::Standard, &["STANDARD", "STANDARD_NEW"])).await;
    let new = server(webhook(Preset::Standard, &["STANDARD_NEW"])).await;
    for secret in ["STANDARD", "STANDARD_NEW"] {
        assert_eq!(standard(secret, NOW_S, &body).send(&both).await.counts(), (1, 0));
    }
    assert_eq!(standard("STANDARD", NOW_S, &body).send(&new).await.status, 401);
    assert_eq!(standard("STANDARD_NEW", NOW_S, &body).send(&new).await.counts(), (1, 0));
}

#[tokio::test]
async fn presets_follow_their_vendors() {
    let body = arrival("1");
    let key = env("TEXT").unwrap().into_bytes();
    let over_body = base64(&mac(&key, &[&body]));
    let to_acd = || Call::to("/v1/webhooks/acd", &body);

    let genesys = server(webhook(Preset::GenesysOpenMessaging, &["TEXT"])).await;
    let sign = |tag: &str| to_acd().with("X-Hub-Signature-256", tag);
    assert_eq!(sign(&format!("sha256={over_body}")).send(&genesys).await.counts(), (1, 0));
    for wrong in [
        over_body.clone(),
        format!("sha1={over_body}"),
        format!("sha256={}", hex(&mac(&key, &[&body]))),
    ] {
        assert_eq!(sign(&wrong).send(&genesys).await.status, 401, "{wrong}");
    }

    let zendesk = server(webhook(Preset::Zendesk, &["TEXT"])).await;
    let sign = |time: &str| {
        to_acd()
            .with("X-Zendesk-Webhook-Signature", &base64(&mac(&key, &[time, &body])))
            .with("X-Zendesk-Webhook-Signature-Timestamp", time)
    };
    assert_eq!(sign("2026-05-15T14:31:30Z").send(&zendesk).await.counts(), (1, 0));
    assert_eq!(sign("2026-05-15T14:26:59Z").send(&zendesk).await.status, 401);

    for (preset, header) in [
        (Preset::XGenesysSignature, "X-Genesys-Signature"),
        (Preset::XGcSignature, "X-GC-Signature"),
    ] {
        let server = server(webhook(preset, &["TEXT"])).await;
        assert_eq!(to_acd().with(header, &over_body).send(&server).await.counts(), (1, 0));
        assert_eq!(to_acd().with(header, "AAAA").send(&server).await.status, 401);
    }
}

#[tokio::test]
async fn a_relay_may_sign_in_its_own_way() {
    let body = arrival("1");
    let key = env("TEXT").unwrap().into_bytes();
    let server = server(WebhookConfig {
        signature_header: Some("X-Relay-Tag".to_owned()),
        timestamp_header: Some("X-Relay-Time".to_owned()),
        prefix: Some("hmac:".to_owned()),
        encoding: Some(Encoding::Hex),
        signed: Some("relay:{timestamp}:{body}".to_owned()),
        secret_encoding: Some(SecretEncoding::Text),
        tolerance_s: Some(10),
        ..webhook(Preset::Standard, &["TEXT"])
    })
    .await;
    let sign = |at_ms: i64, write: fn(&[u8]) -> String| {
        let at = at_ms.to_string();
        let tag = write(&mac(&key, &["relay:", &at, ":", &body]));
        Call::to("/v1/webhooks/acd", &body)
            .with("X-Relay-Time", &at)
            .with("X-Relay-Tag", &format!("hmac:{tag}"))
    };
    let upper = |tag: &[u8]| hex(tag).to_ascii_uppercase();
    // Thirteen digits are milliseconds.
    assert_eq!(sign(NOW - 10_000, hex).send(&server).await.counts(), (1, 0));
    assert_eq!(sign(NOW, upper).send(&server).await.counts(), (1, 0));
    assert_eq!(sign(NOW, base64).send(&server).await.status, 401);
    assert_eq!(sign(NOW - 10_001, hex).send(&server).await.status, 401);
    let odd = sign(NOW, hex).with("X-Relay-Tag", "hmac:abc");
    assert_eq!(odd.send(&server).await.status, 401);
}
