//! Bounds: how many requests and bytes are in work at once, how long a body may take and how large it may get.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::EXPECT;
use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::config::HttpConfig;
use super::refusal::Refusal;

/// Longest time spent on a body that is not wanted.
const DISCARD: Duration = Duration::from_secs(1);

/// Lets a bounded number of requests, with a bounded number of bytes, be in work; refuses the rest at once.
///
/// Refusing beats queueing: a sender that is told 429 keeps its events, one that waits in line times out with them.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    requests: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
}

/// One request's share; given back when dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Gate,
    _request: OwnedSemaphorePermit,
    bytes: Option<OwnedSemaphorePermit>,
}

impl Gate {
    pub(super) fn new(config: &HttpConfig) -> Self {
        let permits = |n: usize| Arc::new(Semaphore::new(n.min(Semaphore::MAX_PERMITS)));
        Gate {
            requests: permits(config.requests_max),
            kibibytes: permits(config.in_flight_bytes_max >> 10),
        }
    }

    pub(super) fn enter(&self) -> Result<Pass, Refusal> {
        let request = Arc::clone(&self.requests).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        Ok(Pass { gate: self.clone(), _request: request, bytes: None })
    }
}

impl Pass {
    /// Sets `bytes` more of the budget aside for this request.
    pub(super) fn reserve(&mut self, bytes: usize) -> Result<(), Refusal> {
        let kibibytes = u32::try_from(bytes.div_ceil(1024)).map_err(|_| Refusal::Busy)?;
        let more = Arc::clone(&self.gate.kibibytes)
            .try_acquire_many_owned(kibibytes)
            .map_err(|_| Refusal::Busy)?;
        match &mut self.bytes {
            Some(bytes) => bytes.merge(more),
            None => self.bytes = Some(more),
        }
        Ok(())
    }

    /// Gives back all but `bytes` of what was reserved.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.bytes {
            let surplus = permit.num_permits().saturating_sub(bytes.div_ceil(1024));
            drop(permit.split(surplus));
        }
    }
}

/// Collects a body within its size and its time.
pub(super) async fn read_body(
    body: Body,
    config: &HttpConfig,
    pass: &mut Pass,
) -> Result<Bytes, Refusal> {
    let limit = config.body_bytes_max;
    let hint = body.size_hint();
    if hint.lower() > limit as u64 {
        return Err(Refusal::TooLarge { limit });
    }
    pass.reserve(hint.exact().map_or(limit, |bytes| bytes as usize))?;
    let deadline = Duration::from_millis(config.body_timeout_ms);
    match timeout(deadline, Limited::new(body, limit).collect()).await {
        Err(_) => Err(Refusal::Slow { seconds: deadline.as_secs() }),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge { limit }),
        Ok(Err(_)) => Err(Refusal::CutShort),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
    }
}

/// Takes in, and forgets, the body of a request that is refused already.
///
/// A sender in the midst of its megabyte would otherwise be cut off, and never read the Retry-After it was given.
pub(super) async fn discard(headers: &HeaderMap, body: Body, config: &HttpConfig) {
    // One that waits for our word sends nothing before it has the answer.
    if headers.contains_key(EXPECT) {
        return;
    }
    let mut rest = Limited::new(body, config.body_bytes_max);
    let all = async { while let Some(Ok(_)) = rest.frame().await {} };
    // Whether it came in time or not, the answer is the same.
    let _ = timeout(Duration::from_millis(config.body_timeout_ms).min(DISCARD), all).await;
}

/// Inflates a gzip body, stopping as soon as it turns out too large.
pub(super) fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, Refusal> {
    let mut inflated = Vec::new();
    MultiGzDecoder::new(body)
        .take(limit as u64 + 1)
        .read_to_end(&mut inflated)
        .map_err(|_| Refusal::NotGzip)?;
    if inflated.len() > limit {
        return Err(Refusal::TooLargeInflated { limit });
    }
    Ok(inflated)
}
