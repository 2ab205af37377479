//! The wallboard: the live page, its socket, the read API and metrics.
//!
//! Delivery: at most once per change, at least the latest state per row. The page is a view of committed rows;
//! what a client misses is conflated, never queued, and a snapshot always brings it back.
//!
//! ```text
//! commits ──> board (rows by key, sequence) ──> deltas shared by clients of the same sequence ──> sockets
//! ```
//!
//! Messages to the page, JSON text frames; long ones come in parts (`part` from 0, `more` until the last):
//!
//! ```text
//! {"type":"snapshot","seq":7,"part":0,"site":{..},<status>,"watermark":ms,"alerts":[..],"corrections":[..],
//!  "views":{"<name>":{"columns":[..],"key":2,"truncated":false,"rows":[[..]]}},"more":false}
//! {"type":"delta","seq":9,"part":0,"from":7,"watermark":ms,"alerts":[..],"corrections":[..],
//!  "changes":[{"view":"<name>","rows":[[-1,[key..]],[1,[row..]]]}],"more":false}
//! {"type":"status",<status>}      {"type":"auth_required"}
//! ```
//!
//! In a delta `[1, row]` sets the row of its key and `[-1, key]` removes it. A page whose sequence is not `from`
//! sends `{"type":"resync"}`. `<status>` are the fields of [`Status`].

mod assets;
mod board;
mod correction;
mod feed;
mod gate;
mod metrics;
mod read;
mod shown;
mod socket;
mod status;
#[cfg(test)]
mod tests;
mod why;
mod wire;
mod wiring;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use highwater_dataflow::latency::Latency;
use highwater_dataflow::view::View;
use serde::Deserialize;
use tokio::sync::Semaphore;

pub use feed::Wallboard;
pub use gate::{Access, Authorize, Role};
pub use metrics::{Line, Metric, MetricKind, MetricsFn, lines};
pub use read::{ReadError, ReadViews};
pub use shown::Shown;
pub use socket::Limits;
pub use status::{SourceStatus, Status, StatusFn};
pub use why::{Why, WhyFn};

/// The `[wallboard]` section of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Shown in the page's header.
    pub site_name: String,
    /// IANA name; the page renders times in it.
    pub time_zone: String,
    pub clients_max: usize,
    /// Rows the page keeps per view.
    pub rows_max: usize,
    /// Age of a source's last event above which the page calls it stale.
    pub stale_after_s: i64,
    /// Origins other than the page's own that may open its socket: `https://wall.example.com`.
    pub allowed_origins: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            site_name: "Contact center".into(),
            time_zone: "UTC".into(),
            clients_max: 1_000,
            rows_max: 20_000,
            stale_after_s: 60,
            allowed_origins: Vec::new(),
        }
    }
}

/// What the routes serve from.
pub struct Parts {
    pub config: Config,
    pub limits: Limits,
    pub wallboard: Wallboard,
    /// All views, also those that the page does not show.
    pub views: Vec<&'static View>,
    pub reader: Arc<dyn ReadViews>,
    pub status: StatusFn,
    pub why: WhyFn,
    pub metrics: MetricsFn,
    pub latency: Arc<Latency>,
    pub authorize: Authorize,
}

/// [`Parts`] behind the routes, with what bounds them.
struct Site {
    config: Config,
    limits: Limits,
    wallboard: Wallboard,
    views: Vec<&'static View>,
    reader: Arc<dyn ReadViews>,
    readers: Arc<Semaphore>,
    status: StatusFn,
    why: WhyFn,
    metrics: MetricsFn,
    latency: Arc<Latency>,
    authorize: Authorize,
}

/// All routes of the page and the read API, to be merged with the ingest routes.
///
/// Open are the page's own files and the probes, which hold no data. The socket judges origin and token itself,
/// because a browser cannot send headers with it. Everything else needs [`Role::Read`].
pub fn router(parts: Parts) -> Router {
    let Parts {
        config,
        limits,
        wallboard,
        views,
        reader,
        status,
        why,
        metrics,
        latency,
        authorize,
    } = parts;
    let readers = Arc::new(Semaphore::new(read::READERS));
    let site = Arc::new(Site {
        config,
        limits,
        wallboard,
        views,
        reader,
        readers,
        status,
        why,
        metrics,
        latency,
        authorize,
    });
    let guarded = Router::new()
        .route("/v1/views", get(read::list))
        .route("/v1/views/{name}", get(read::rows))
        .route("/v1/status", get(status::status))
        .route("/v1/why", get(why::why))
        .route("/v1/latency", get(metrics::latency))
        .route("/metrics", get(metrics::metrics))
        .route_layer(from_fn_with_state(site.clone(), gate::require_read));
    Router::new()
        .merge(guarded)
        .merge(assets::routes())
        .route("/ws", get(socket::upgrade))
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .layer(from_fn(assets::secure))
        .with_state(site)
}
