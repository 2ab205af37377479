//! Signed requests: HMAC-SHA256 over the bytes as they came, with a time, and with more than one valid secret.
//!
//! Senders differ in header names, in what they sign and in how they write the tag, so all of that is data; what does
//! not differ is that the tag is compared in constant time and that a stale time is refused.

use axum::http::{HeaderMap, HeaderName};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, Mac};
use serde::Deserialize;
use sha2::Sha256;

use highwater_dataflow::{EventTime, Millis};
use highwater_model::parse_ms;

use super::secret::Secret;

/// Most tags looked at in one header: rotation needs two, and each costs a hash of the body.
const TAGS_MAX: usize = 8;

/// Base64 as senders write it, padded or not.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a sender signs.
#[derive(Clone, Debug)]
pub(super) struct Scheme {
    /// Carries the tags, separated by spaces.
    pub(super) signature_header: HeaderName,
    /// Comes before each tag; tags with another one are of another version and are passed over.
    pub(super) prefix: String,
    pub(super) encoding: Encoding,
    pub(super) signed: Template,
    /// Furthest the sender's time may be from ours, ms, to either side.
    pub(super) tolerance: Millis,
}

/// How a tag is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    Hex,
    Base64,
}

/// What is signed: literals and parts of the request, in order.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Id(HeaderName),
    Timestamp(HeaderName),
    Body,
}

impl Template {
    /// Reads `{id}.{timestamp}.{body}` and the like; the headers are needed where the text names them.
    pub(super) fn parse(
        text: &str,
        id: Option<HeaderName>,
        timestamp: Option<HeaderName>,
    ) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let close = rest[open..].find('}').ok_or("`signed` has a `{` without its `}`")? + open;
            if open > 0 {
                parts.push(Part::Literal(rest[..open].to_owned()));
            }
            parts.push(match &rest[open + 1..close] {
                "body" => Part::Body,
                "id" => Part::Id(id.clone().ok_or("`signed` uses {id}: set id_header")?),
                "timestamp" => Part::Timestamp(
                    timestamp.clone().ok_or("`signed` uses {timestamp}: set timestamp_header")?,
                ),
                other => {
                    return Err(format!(
                        "`signed` knows no {{{other}}}; use {{id}}, {{timestamp}}, {{body}}"
                    ));
                }
            });
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        if parts.iter().filter(|part| **part == Part::Body).count() != 1 {
            return Err(
                "`signed` must contain {body} once: what is not signed can be forged".to_owned()
            );
        }
        Ok(Template(parts))
    }

    pub(super) fn covers_time(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Timestamp(_)))
    }
}

/// Checks one sender's signatures.
#[derive(Clone, Debug)]
pub(super) struct Verifier {
    scheme: Scheme,
    /// Every one is valid: during a rotation the old and the new.
    secrets: Vec<Secret>,
}

impl Verifier {
    pub(super) fn new(scheme: Scheme, secrets: Vec<Secret>) -> Self {
        Verifier { scheme, secrets }
    }

    /// Accepts the body if some secret made some of its tags and its time, where one is signed, is near `now`.
    pub(super) fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: EventTime,
    ) -> Result<(), Mismatch> {
        let Scheme { signature_header, prefix, encoding, signed, tolerance } = &self.scheme;
        let tags: Vec<Vec<u8>> = text(headers, signature_header)?
            .split_ascii_whitespace()
            .filter_map(|tag| tag.strip_prefix(prefix.as_str()))
            .take(TAGS_MAX)
            .filter_map(|tag| encoding.decode(tag))
            .collect();

        let mut pieces: Vec<&[u8]> = Vec::with_capacity(signed.0.len());
        for part in &signed.0 {
            pieces.push(match part {
                Part::Literal(literal) => literal.as_bytes(),
                Part::Id(header) => text(headers, header)?.as_bytes(),
                Part::Timestamp(header) => {
                    let sent = text(headers, header)?;
                    let sent_at = instant(sent)
                        .ok_or_else(|| Mismatch::Unreadable { header: header.clone() })?;
                    if now.abs_diff(sent_at) > tolerance.unsigned_abs() {
                        let (header, tolerance_s) = (header.clone(), tolerance / 1000);
                        return Err(Mismatch::Stale { header, tolerance_s });
                    }
                    sent.as_bytes()
                }
                Part::Body => body,
            });
        }

        if tags.is_empty() {
            return Err(Mismatch::Unreadable { header: signature_header.clone() });
        }
        // A key takes any length, so making the HMAC cannot fail; were it to, the secret would match nothing.
        let matches = |secret: &Secret| {
            Hmac::<Sha256>::new_from_slice(secret.expose()).is_ok_and(|mut mac| {
                for piece in &pieces {
                    mac.update(piece);
                }
                tags.iter().any(|tag| mac.clone().verify_slice(tag).is_ok())
            })
        };
        if self.secrets.iter().any(matches) { Ok(()) } else { Err(Mismatch::Tag) }
    }
}

impl Encoding {
    fn decode(self, tag: &str) -> Option<Vec<u8>> {
        match self {
            Encoding::Base64 => BASE64.decode(tag).ok(),
            Encoding::Hex => {
                let digits: Option<Vec<u8>> =
                    tag.chars().map(|c| Some(c.to_digit(16)? as u8)).collect();
                let (pairs, odd) = digits.as_ref()?.as_chunks::<2>();
                odd.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
            }
        }
    }
}

/// A header that must be there, once and as text: two would leave open which one was signed.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, Mismatch> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(Mismatch::Missing { header: name.clone() }),
        (Some(value), None) => {
            value.to_str().map_err(|_| Mismatch::Unreadable { header: name.clone() })
        }
        (Some(_), Some(_)) => Err(Mismatch::Unreadable { header: name.clone() }),
    }
}

/// Unix seconds, Unix milliseconds (12 digits and more) or RFC 3339, as ms UTC.
fn instant(text: &str) -> Option<EventTime> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        return if text.len() >= 12 { Some(number) } else { number.checked_mul(1000) };
    }
    parse_ms(text)
}

/// Why a signature was not accepted. Never holds a tag or a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mismatch {
    #[error("header {header} is missing")]
    Missing { header: HeaderName },
    #[error(
        "header {header} cannot be read; look at its format, its prefix and that it comes once"
    )]
    Unreadable { header: HeaderName },
    #[error(
        "{header} is more than {tolerance_s} s from this server's clock; sign anew, or set the clock"
    )]
    Stale { header: HeaderName, tolerance_s: i64 },
    #[error(
        "no configured secret makes this tag for these bytes; look at the secret and that the body is unchanged"
    )]
    Tag,
}
