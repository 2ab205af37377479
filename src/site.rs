//! The page and the read API: they are there before the engine is, with the views as they were.

use std::sync::{Arc, OnceLock};

use axum::Router;
use highwater_dataflow::Clock;
use highwater_dataflow::latency::Latency;
use highwater_dataflow::view::View;
use highwater_ingest::http::Authorizer;
use highwater_sinks::ViewReaders;
use highwater_sinks::wallboard::{
    self, Config, Limits, Metric, ReadError, Status, Wallboard, Why, WhyFn,
};

use crate::cluster::WAITS;
use crate::gauges::Gauges;
use crate::read::authorize;

/// What the routes serve from. Clones share it.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) config: Config,
    pub(crate) wallboard: Wallboard,
    pub(crate) views: Vec<&'static View>,
    pub(crate) readers: Arc<ViewReaders>,
    pub(crate) latency: Arc<Latency>,
    pub(crate) authorizer: Arc<Authorizer>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The engine, once it runs.
    pub(crate) running: Arc<OnceLock<Running>>,
}

/// What is known of an engine that runs.
pub(crate) struct Running {
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) why: WhyFn,
}

impl Site {
    /// From now on the routes tell of an engine that runs.
    pub(crate) fn runs(&self, running: Running) {
        let set = self.running.set(running);
        assert!(set.is_ok(), "an engine is started once");
    }

    /// All routes. Until the engine runs they show the views as they were, and say that they are catching up.
    pub(crate) fn routes(&self) -> Router {
        let (status, metrics, why) = (self.clone(), self.clone(), self.clone());
        wallboard::router(wallboard::Parts {
            config: self.config.clone(),
            limits: Limits::default(),
            wallboard: self.wallboard.clone(),
            views: self.views.clone(),
            reader: self.readers.clone(),
            status: Arc::new(move || status.status()),
            why: Arc::new(move |view, key| match why.running.get() {
                Some(running) => (running.why)(view, key),
                None => Err::<Why, _>(ReadError::Failed(WAITS.to_owned())),
            }),
            metrics: Arc::new(move || metrics.metrics()),
            latency: self.latency.clone(),
            authorize: authorize(self.authorizer.clone()),
        })
    }

    fn status(&self) -> Status {
        match self.running.get() {
            Some(running) => running.gauges.status(),
            None => Status {
                now_ms: self.clock.now_ms(),
                catching_up: true,
                not_ready: Some(WAITS.to_owned()),
                ..Status::default()
            },
        }
    }

    fn metrics(&self) -> Vec<Metric> {
        self.running.get().map_or_else(Vec::new, |running| running.gauges.metrics())
    }
}
