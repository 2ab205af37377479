//! What the HTTP source counts, for the metrics page.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

/// Monotone counters since start; read them with [`HttpCounters::snapshot`].
#[derive(Debug, Default)]
pub struct HttpCounters {
    /// Requests answered.
    pub requests: AtomicU64,
    /// Events journaled as events.
    pub accepted: AtomicU64,
    /// Events journaled as dead letters.
    pub rejected: AtomicU64,
    /// Fields the decoder did not know, kept in the raw bytes.
    pub unknown_fields: AtomicU64,
    /// Enumeration values the decoder did not know, read as `Unknown`.
    pub unknown_values: AtomicU64,
    /// Bytes of bodies as sent.
    pub bytes_received: AtomicU64,
    /// Bytes of bodies once inflated.
    pub bytes_inflated: AtomicU64,
    /// Refusals by status.
    pub malformed: AtomicU64,
    pub unauthenticated: AtomicU64,
    pub forbidden: AtomicU64,
    pub not_found: AtomicU64,
    pub timed_out: AtomicU64,
    pub too_large: AtomicU64,
    pub unsupported_type: AtomicU64,
    pub overloaded: AtomicU64,
    pub internal: AtomicU64,
    pub unavailable: AtomicU64,
}

impl HttpCounters {
    /// Every counter with its name, refusals as `refused_STATUS`.
    pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
        [
            ("requests", &self.requests),
            ("accepted", &self.accepted),
            ("rejected", &self.rejected),
            ("unknown_fields", &self.unknown_fields),
            ("unknown_values", &self.unknown_values),
            ("bytes_received", &self.bytes_received),
            ("bytes_inflated", &self.bytes_inflated),
            ("refused_400", &self.malformed),
            ("refused_401", &self.unauthenticated),
            ("refused_403", &self.forbidden),
            ("refused_404", &self.not_found),
            ("refused_408", &self.timed_out),
            ("refused_413", &self.too_large),
            ("refused_415", &self.unsupported_type),
            ("refused_429", &self.overloaded),
            ("refused_500", &self.internal),
            ("refused_503", &self.unavailable),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
        .to_vec()
    }

    pub(super) fn answered(&self, status: StatusCode) {
        add(&self.requests, 1);
        let refused = match status.as_u16() {
            ..=399 => return,
            401 => &self.unauthenticated,
            403 => &self.forbidden,
            404 => &self.not_found,
            408 => &self.timed_out,
            413 => &self.too_large,
            415 => &self.unsupported_type,
            429 => &self.overloaded,
            503 => &self.unavailable,
            500.. => &self.internal,
            _ => &self.malformed,
        };
        add(refused, 1);
    }
}

pub(super) fn add(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}
