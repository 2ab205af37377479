//! Events over HTTP: `POST /v1/events` for senders with a token, `POST /v1/webhooks/{name}` for senders that sign.
//!
//! The promise: a 202 is sent only once every event it names, good or bad, is durable in the journal. Anything else
//! means that nothing may be counted on, and that sending the same again is safe.
//!
//! | file | holds |
//! |---|---|
//! | `config` | the `[http]` table, its defaults, and what makes it unusable |
//! | `auth`, `secret` | bearer tokens, roles, Host and Origin; secrets that do not print |
//! | `webhook`, `signature` | who signs how; checking a signature |
//! | `events` | the road of a body, from bytes to the durable answer |
//! | `limits`, `split` | bounds on bodies; bodies cut into events |
//! | `outcome`, `refusal` | what is answered |
//! | `port` | the journal as seen from here |
//! | `counters`, `serve` | what is counted; the server loop |

mod auth;
mod config;
mod counters;
mod events;
mod limits;
mod outcome;
mod port;
mod refusal;
mod secret;
mod serve;
mod signature;
mod split;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::available_parallelism;

use axum::Router;
use axum::routing::post;
use highwater_dataflow::{Clock, PartitionId};
use tokio::sync::Semaphore;

pub use auth::{Authorizer, Denied, Role};
pub use config::{ConfigError, HttpConfig, HttpPlan, TokenConfig, check_exposure};
pub use counters::HttpCounters;
pub use port::{Appended, Journal, NotDurable, Placed, Receipt};
pub use secret::{SECRET_BYTES_MIN, Secret};
pub use serve::serve;
pub use signature::Encoding;
pub use webhook::{Preset, SecretEncoding, WebhookConfig};

/// The routes that take events, ready to be merged with others.
///
/// `partition_of` gives each source its partition, the same one after every restart. It is asked once for each of
/// `http`, `http:SOURCE` for the listed sources and `webhook:NAME` for the webhooks.
pub fn router(
    plan: HttpPlan,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    counters: Arc<HttpCounters>,
    mut partition_of: impl FnMut(&str) -> PartitionId,
) -> Router {
    let http = partition_of("http");
    let mut named =
        |prefix: &str, name: &String| (name.clone(), partition_of(&format!("{prefix}:{name}")));
    let sources = plan.config.sources.iter().map(|name| named("http", name)).collect();
    let webhooks = plan.webhooks.keys().map(|name| named("webhook", name)).collect();
    let ingress = Ingress {
        http,
        sources,
        webhooks,
        unsigned: limits::Gate::new(&plan.config),
        signed: limits::Gate::new(&plan.config),
        decoders: Semaphore::new(available_parallelism().map_or(1, usize::from)),
        plan,
        journal,
        clock,
        counters,
    };
    Router::new()
        .route("/v1/events", post(events::post))
        .route("/v1/webhooks/{name}", post(webhook::post))
        .with_state(Arc::new(ingress))
}

/// What every request needs.
struct Ingress {
    plan: HttpPlan,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    counters: Arc<HttpCounters>,
    /// The partition of requests that name no source.
    http: PartitionId,
    sources: BTreeMap<String, PartitionId>,
    webhooks: BTreeMap<String, PartitionId>,
    /// Apart, so that strangers who hammer a webhook cannot crowd out senders with a token.
    unsigned: limits::Gate,
    signed: limits::Gate,
    /// Large bodies being decoded at once: as many as there are cores.
    decoders: Semaphore,
}
