//! Standard Webhooks signatures: HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Shorter keys can be guessed, and the standard forbids them.
const KEY_BYTES_MIN: usize = 24;

/// One or more signing keys; several while one replaces another.
pub(super) struct Keys(Vec<Vec<u8>>);

impl Keys {
    /// Keys separated by spaces, each `whsec_` and base64, or as it is. Errors say what is wrong, never the secret.
    pub(super) fn parse(text: &str) -> Result<Keys, &'static str> {
        let keys = text.split_whitespace().map(|key| match key.strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| "is not base64 after whsec_"),
            None => Ok(key.as_bytes().to_vec()),
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err("is empty");
        }
        if keys.iter().any(|key| key.len() < KEY_BYTES_MIN) {
            return Err("is shorter than 24 bytes; generate a longer one");
        }
        Ok(Keys(keys))
    }

    /// The `webhook-signature` header: `v1,<base64>` for every key. `timestamp` is in seconds.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let sign = |key: &Vec<u8>| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        };
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}

/// The message key as a header value without the separator `.`: other bytes are percent-encoded.
pub(super) fn header_id(key: &str) -> String {
    use std::fmt::Write as _;

    let mut id = String::new();
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_/#:".contains(&byte) {
            id.push(byte.into());
        } else {
            let _ = write!(id, "%{byte:02X}");
        }
    }
    id
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    /// The vector of the Standard Webhooks libraries.
    #[test]
    fn published_vector() {
        let keys = Keys::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_keys_give_two_signatures() {
        let old = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let new = "a raw secret".replace(' ', "-").repeat(3);
        let both = Keys::parse(&format!("{new} {old}")).unwrap().sign("id", 1, b"{}");
        let one = Keys::parse(old).unwrap().sign("id", 1, b"{}");
        assert_eq!(both.split(' ').count(), 2);
        assert!(both.ends_with(&one));
    }

    #[test]
    fn weak_or_broken_secrets_are_refused() {
        for secret in ["", "short", "whsec_c2hvcnQ=", "whsec_!!!!"] {
            assert!(Keys::parse(secret).is_err(), "{secret}");
        }
    }

    #[test]
    fn ids_are_headers_without_dots() {
        assert_eq!(header_id("team_drift/T.1 é/5#2"), "team_drift/T%2E1%20%C3%A9/5#2");
    }
}
