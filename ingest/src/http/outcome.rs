//! The answer to a delivery that is durable: what became of each event.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::port::Appended;
use super::refusal::Refusal;

/// How much of the outcome a sender wants to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// Every event; the default.
    Events,
    /// Counts only: `?outcome=summary`.
    Summary,
}

impl Detail {
    /// Reads a request's query; parameters of other names are none of ours.
    pub(super) fn from_query(query: Option<&str>) -> Result<Self, Refusal> {
        let asked = query
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.strip_prefix("outcome="))
            .next_back();
        match asked {
            None | Some("events") => Ok(Detail::Events),
            Some("summary") => Ok(Detail::Summary),
            Some(_) => Err(Refusal::Outcome),
        }
    }
}

/// The body of a 202.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) accepted: usize,
    pub(super) rejected: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) events: Option<Vec<EventOutcome>>,
}

/// What became of one event.
#[derive(Debug, Serialize)]
pub(super) struct EventOutcome {
    /// Its place in the request, from 0, blank lines not counted.
    pub(super) index: usize,
    pub(super) status: Status,
    /// Its place in the journal, which holds dead letters too.
    pub(super) seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Accepted,
    DeadLetter,
}

impl Outcome {
    /// The outcome of a delivery: what we found wrong with its items, and where the journal put them.
    pub(super) fn of(flaws: Vec<Option<String>>, appended: Appended, detail: Detail) -> Self {
        assert_eq!(flaws.len(), appended.items.len(), "the journal answers for every item");
        let events = flaws.into_iter().zip(appended.items).enumerate();
        let events = events.map(|(index, (flaw, placed))| {
            let reason = flaw.or(placed.refused);
            let status = if reason.is_some() { Status::DeadLetter } else { Status::Accepted };
            EventOutcome { index, status, seq: placed.seq, reason }
        });
        let events: Vec<EventOutcome> = events.collect();
        let rejected = events.iter().filter(|event| event.status == Status::DeadLetter).count();
        let accepted = events.len() - rejected;
        Outcome { accepted, rejected, events: (detail == Detail::Events).then_some(events) }
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self)).into_response()
    }
}
