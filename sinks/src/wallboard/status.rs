//! The state of the running service as the page, `/v1/status` and the probes show it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use highwater_dataflow::{Epoch, EventTime, Millis};
use serde::Serialize;

use super::Site;

/// Says what the service is doing now; called a few times a second at most per client, so it must be cheap.
pub type StatusFn = Arc<dyn Fn() -> Status + Send + Sync>;

/// What the service is doing. Times are ms UTC; `None` is "not known yet".
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Wall-clock time of this status.
    pub now_ms: EventTime,
    /// Last closed epoch.
    pub epoch: Epoch,
    /// No event before it is expected; `None` before the first event and after the last.
    pub watermark_ms: Option<EventTime>,
    /// Greatest event time seen.
    pub event_time_ms: Option<EventTime>,
    /// How far the views are behind the journal's end.
    pub lag_ms: Millis,
    /// True while what was journaled before the start is being worked off.
    pub catching_up: bool,
    /// Why `/readyz` says no; `None` is ready. For the operator: a sentence that says what to do.
    pub not_ready: Option<String>,
    pub sources: Vec<SourceStatus>,
    /// Totals by name: events, duplicates, late, dead letters.
    pub counts: BTreeMap<String, u64>,
}

/// One source as the page's header shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SourceStatus {
    pub name: String,
    /// Event time of its newest event.
    pub last_event_ms: Option<EventTime>,
    /// Wall-clock time at which it last delivered one.
    pub last_received_ms: Option<EventTime>,
    /// It has nothing to say at present and does not hold the watermark.
    pub idle: bool,
    /// It will say nothing more.
    pub ended: bool,
    /// The last failure, while it lasts.
    pub error: Option<String>,
    pub events: u64,
}

pub(super) async fn status(State(site): State<Arc<Site>>) -> Json<Status> {
    Json((site.status)())
}

/// The process serves requests: nothing more is claimed.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// 200 when the views are current and can be relied upon, 503 with the reason otherwise.
pub(super) async fn readyz(State(site): State<Arc<Site>>) -> Response {
    let status = (site.status)();
    match status.not_ready {
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
        None if status.catching_up => {
            let lag = status.lag_ms;
            let body = format!("catching up with the journal, {lag} ms behind: try again soon\n");
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
        None => "ready\n".into_response(),
    }
}
