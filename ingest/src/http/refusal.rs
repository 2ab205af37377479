//! Requests that are not taken: each with its status, what went wrong, and what to do about it.

use axum::Json;
use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::auth::Denied;
use super::port::NotDurable;
use super::signature::Mismatch;

/// Why nothing of a request was accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the body is not JSON: {0}; nothing was stored, send it again corrected")]
    NotJson(String),
    #[error("the body is not gzip, or is cut short; nothing was stored")]
    NotGzip,
    #[error("the body ended before it was complete; nothing was stored, send it again")]
    CutShort,
    #[error("`outcome` may be `events` or `summary`")]
    Outcome,
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("the signature was not accepted: {0}")]
    Signature(#[from] Mismatch),
    #[error("X-Highwater-Source is not one of the operator's http.sources")]
    Source,
    #[error("no webhook of this name is configured in http.webhooks")]
    Webhook,
    #[error("the body did not arrive within {seconds} s; nothing was stored, send it again")]
    Slow { seconds: u64 },
    #[error("the body is larger than {limit} bytes; send fewer events at a time")]
    TooLarge { limit: usize },
    #[error("the body inflates to more than {limit} bytes; send fewer events at a time")]
    TooLargeInflated { limit: usize },
    #[error("the body holds more than {limit} events; send fewer at a time")]
    TooMany { limit: usize },
    #[error("send Content-Type application/json or application/x-ndjson")]
    ContentType,
    #[error("send Content-Encoding gzip, or none")]
    ContentEncoding,
    #[error("too much is in work already; nothing was stored, send it again after Retry-After")]
    Busy,
    #[error("{0}; send it again after Retry-After: events are counted once by event_id")]
    Journal(NotDurable),
    #[error("{0}; nothing was stored, send fewer events at a time")]
    TooLargeForJournal(NotDurable),
    #[error(
        "the journal did not answer in time, so this may or may not be stored; send it again after Retry-After: \
         events are counted once by event_id"
    )]
    Unanswered,
    #[error("this is a defect of the server; send it again, and tell the operator")]
    Defect,
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Refusal::NotJson(_) | Refusal::NotGzip | Refusal::CutShort | Refusal::Outcome => {
                StatusCode::BAD_REQUEST
            }
            Refusal::Denied(denied) => denied.status(),
            Refusal::Signature(_) => StatusCode::UNAUTHORIZED,
            Refusal::Source => StatusCode::FORBIDDEN,
            Refusal::Webhook => StatusCode::NOT_FOUND,
            Refusal::Slow { .. } => StatusCode::REQUEST_TIMEOUT,
            Refusal::TooLarge { .. }
            | Refusal::TooLargeInflated { .. }
            | Refusal::TooMany { .. }
            | Refusal::TooLargeForJournal(_)
            | Refusal::Journal(NotDurable::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::ContentType | Refusal::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::Busy | Refusal::Journal(NotDurable::Overloaded) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Refusal::Journal(NotDurable::Full | NotDurable::Failing) | Refusal::Unanswered => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Refusal::Defect => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A constant word for programs.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Refusal::NotJson(_) => "not_json",
            Refusal::NotGzip => "not_gzip",
            Refusal::CutShort => "cut_short",
            Refusal::Outcome => "outcome_unknown",
            Refusal::Denied(denied) => denied.kind(),
            Refusal::Signature(_) => "signature",
            Refusal::Source => "source_unknown",
            Refusal::Webhook => "webhook_unknown",
            Refusal::Slow { .. } => "body_slow",
            Refusal::TooLarge { .. } => "body_too_large",
            Refusal::TooLargeInflated { .. } => "inflated_too_large",
            Refusal::TooMany { .. } => "too_many_events",
            Refusal::ContentType => "content_type",
            Refusal::ContentEncoding => "content_encoding",
            Refusal::Busy | Refusal::Journal(NotDurable::Overloaded) => "overloaded",
            Refusal::TooLargeForJournal(_) | Refusal::Journal(NotDurable::TooLarge { .. }) => {
                "too_large_for_journal"
            }
            Refusal::Journal(NotDurable::Full) => "journal_full",
            Refusal::Journal(NotDurable::Failing) => "journal_failing",
            Refusal::Unanswered => "journal_silent",
            Refusal::Defect => "defect",
        }
    }

    /// When to come back, seconds, where the same request may succeed then.
    fn retry_after(&self) -> Option<HeaderValue> {
        match self {
            Refusal::Busy | Refusal::Journal(NotDurable::Overloaded) => {
                Some(HeaderValue::from_static("1"))
            }
            Refusal::Journal(NotDurable::Full | NotDurable::Failing) | Refusal::Unanswered => {
                Some(HeaderValue::from_static("5"))
            }
            _ => None,
        }
    }
}

impl From<NotDurable> for Refusal {
    fn from(not: NotDurable) -> Self {
        match not {
            NotDurable::TooLarge { .. } => Refusal::TooLargeForJournal(not),
            NotDurable::Overloaded | NotDurable::Full | NotDurable::Failing => {
                Refusal::Journal(not)
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.kind(), "message": self.to_string() });
        let mut response = (self.status(), Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, seconds);
        }
        match self {
            Refusal::Denied(denied) => headers.extend(denied.challenge()),
            // RFC 9110 wants a challenge with every 401; this scheme's name only says which headers to look at.
            Refusal::Signature(_) => {
                let challenge = HeaderValue::from_static("Signature realm=\"highwater\"");
                headers.insert(axum::http::header::WWW_AUTHENTICATE, challenge);
            }
            // The rest of the body may still be on its way: the connection cannot be used again.
            Refusal::Slow { .. } | Refusal::CutShort => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
