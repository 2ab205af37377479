//! `POST /v1/events`, and the road every body takes from bytes to a durable answer.
//!
//! bytes -> inflate -> split -> decode -> journal -> wait until durable -> 202

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use highwater_dataflow::PartitionId;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::Ingress;
use super::auth::Role;
use super::counters::add;
use super::limits::{Pass, discard, inflate, read_body};
use super::outcome::{Detail, Outcome};
use super::port::Appended;
use super::refusal::Refusal;
use super::split::{Form, flaw, split, too_deep};
use crate::intake::{Delivery, Intake};

/// Names the source a request belongs to, out of the operator's list.
const SOURCE: HeaderName = HeaderName::from_static("x-highwater-source");

/// Above this size a body is worked on where it cannot hold up other connections, bytes.
const INLINE_BYTES_MAX: usize = 32 << 10;

/// Where a request comes from, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) partition: PartitionId,
    pub(super) received: Instant,
}

/// Takes events from whoever may send them.
pub(super) async fn post(State(ingress): State<Arc<Ingress>>, request: Request) -> Response {
    let taken = take(&ingress, request).await;
    answer(&ingress, taken)
}

async fn take(ingress: &Ingress, request: Request) -> Result<Response, Refusal> {
    let received = ingress.clock.instant();
    let (head, body) = request.into_parts();
    match ingress.admit(&head.headers) {
        Ok((partition, mut pass)) => {
            let bytes = read_body(body, &ingress.plan.config, &mut pass).await?;
            ingress.accept(&head, bytes, Source { partition, received }, pass).await
        }
        Err(refusal) => {
            discard(&head.headers, body, &ingress.plan.config).await;
            Err(refusal)
        }
    }
}

/// Counts and logs what a request came to.
pub(super) fn answer(ingress: &Ingress, taken: Result<Response, Refusal>) -> Response {
    let response = taken.unwrap_or_else(|refusal| {
        let (kind, status) = (refusal.kind(), refusal.status());
        if status.is_server_error() {
            warn!(kind, %refusal, "request not taken");
        } else {
            debug!(kind, "request refused");
        }
        refusal.into_response()
    });
    ingress.counters.answered(response.status());
    response
}

impl Ingress {
    /// All that can be decided before the body is there.
    fn admit(&self, headers: &HeaderMap) -> Result<(PartitionId, Pass), Refusal> {
        self.plan.authorizer.authorize(headers, Role::Ingest)?;
        form(headers)?;
        gzip(headers)?;
        Ok((self.partition(headers)?, self.unsigned.enter()?))
    }

    /// Takes a body whose sender is known to be allowed; answers once its events are durable.
    pub(super) async fn accept(
        &self,
        head: &Parts,
        bytes: Bytes,
        source: Source,
        mut pass: Pass,
    ) -> Result<Response, Refusal> {
        let form = form(&head.headers)?;
        let gzip = gzip(&head.headers)?;
        let detail = Detail::from_query(head.uri.query())?;
        let received_at = self.clock.now_ms();

        add(&self.counters.bytes_received, bytes.len());
        if gzip {
            pass.reserve(self.plan.config.inflated_bytes_max)?;
        }
        let work = Work {
            bytes,
            gzip,
            form,
            inflated_bytes_max: self.plan.config.inflated_bytes_max,
            events_max: self.plan.config.events_max,
        };
        let Decoded { items, bytes, unknown_fields, unknown_values } = self.decode(work).await?;
        pass.shrink_to(bytes);
        add(&self.counters.bytes_inflated, bytes);
        add(&self.counters.unknown_fields, unknown_fields);
        add(&self.counters.unknown_values, unknown_values);
        if items.is_empty() {
            return Ok(
                Outcome::of(Vec::new(), Appended { items: Vec::new() }, detail).into_response()
            );
        }

        let flaws: Vec<Option<String>> =
            items.iter().map(|item| item.decoded.as_ref().err().cloned()).collect();
        let Source { partition, received } = source;
        let received = Some(received);
        let delivery = Delivery { partition, items, received, received_at, history: false };
        let receipt = self.journal.submit(delivery)?;
        let patience = Duration::from_millis(self.plan.config.ack_timeout_ms);
        let appended = timeout(patience, receipt).await.map_err(|_| Refusal::Unanswered)??;
        let outcome = Outcome::of(flaws, appended, detail);
        add(&self.counters.accepted, outcome.accepted);
        add(&self.counters.rejected, outcome.rejected);
        Ok(outcome.into_response())
    }

    /// Small bodies here and now; large ones on the blocking pool, few at a time.
    async fn decode(&self, work: Work) -> Result<Decoded, Refusal> {
        if !work.gzip && work.bytes.len() <= INLINE_BYTES_MAX {
            return work.run();
        }
        let _turn = self.decoders.acquire().await.map_err(|_| Refusal::Defect)?;
        tokio::task::spawn_blocking(move || work.run()).await.map_err(|_| Refusal::Defect)?
    }

    /// The partition of an unsigned request.
    fn partition(&self, headers: &HeaderMap) -> Result<PartitionId, Refusal> {
        let Some(name) = headers.get(SOURCE) else { return Ok(self.http) };
        let name = name.to_str().map_err(|_| Refusal::Source)?;
        self.sources.get(name).copied().ok_or(Refusal::Source)
    }
}

/// A body and what is to be done with it.
struct Work {
    bytes: Bytes,
    gzip: bool,
    form: Form,
    inflated_bytes_max: usize,
    events_max: usize,
}

/// A body's events, good and bad, in order.
struct Decoded {
    items: Vec<Intake>,
    /// Size of the body once inflated.
    bytes: usize,
    unknown_fields: usize,
    unknown_values: usize,
}

impl Work {
    fn run(self) -> Result<Decoded, Refusal> {
        let inflated;
        let body: &[u8] = if self.gzip {
            inflated = inflate(&self.bytes, self.inflated_bytes_max)?;
            &inflated
        } else {
            &self.bytes
        };
        let pieces = split(body, self.form, self.events_max)?;
        let mut decoded =
            Decoded { items: Vec::new(), bytes: body.len(), unknown_fields: 0, unknown_values: 0 };
        decoded.items.reserve(pieces.len());
        for (index, raw) in pieces.iter().enumerate() {
            let position = index as u64;
            let item = if too_deep(raw) {
                let reason = "nests deeper than 64 levels".to_owned();
                Intake::rejected(raw.to_vec(), position, reason)
            } else {
                Intake::native(raw.to_vec(), position)
            };
            decoded.unknown_fields += item.unknown.fields as usize;
            decoded.unknown_values += item.unknown.values as usize;
            decoded.items.push(item);
        }
        // Lines of which not one is JSON are no batch with bad events in it, but another kind of body.
        if self.form == Form::Lines && decoded.items.iter().all(|item| item.decoded.is_err()) {
            let flaws: Option<Vec<String>> = pieces.iter().map(|raw| flaw(raw)).collect();
            if let Some(first) = flaws.and_then(|flaws| flaws.into_iter().next()) {
                return Err(Refusal::NotJson(format!("no line of it is, the first: {first}")));
            }
        }
        Ok(decoded)
    }
}

/// The form a request declares. A declaration is required: a page of another origin cannot make one of these without
/// the browser asking first.
fn form(headers: &HeaderMap) -> Result<Form, Refusal> {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = declared.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match essence.to_ascii_lowercase().as_str() {
        "application/json" => Ok(Form::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Form::Lines),
        _ => Err(Refusal::ContentType),
    }
}

fn gzip(headers: &HeaderMap) -> Result<bool, Refusal> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    let encoding = match (encodings.next(), encodings.next()) {
        (None, _) => return Ok(false),
        (Some(one), None) => one.to_str().unwrap_or_default().trim().to_ascii_lowercase(),
        (Some(_), Some(_)) => return Err(Refusal::ContentEncoding),
    };
    match encoding.as_str() {
        "gzip" | "x-gzip" => Ok(true),
        "identity" => Ok(false),
        _ => Err(Refusal::ContentEncoding),
    }
}
