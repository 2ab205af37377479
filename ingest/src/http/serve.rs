//! The server loop: bounded connections, deadlines for heads, and an end that lets requests in work finish.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::config::HttpConfig;

/// Longest wait for requests in work once the server is to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Wait after the system refused a connection (out of file descriptors, say) before taking the next.
const BREATH: Duration = Duration::from_millis(50);

/// Serves `router` on `listener` until `shutdown` resolves, then lets requests in work finish, for 10 s at most.
///
/// `axum::serve` has no deadline for a request's head and no bound on connections, so the loop is our own; upgrades
/// (WebSocket) work as usual and leave it. A failing connection ends alone: the loop itself does not fail.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: &HttpConfig,
    shutdown: impl Future<Output = ()> + Send,
) {
    let (stop, _) = watch::channel(());
    let connections = Arc::new(Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(config.header_timeout_ms))
        .max_buf_size(64 << 10);
    let service = TowerToHyperService::new(router);
    let mut shutdown = std::pin::pin!(shutdown);

    loop {
        let next = async {
            // The permit comes first: connections beyond the bound wait in the system's backlog.
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = &mut shutdown => break,
            next = next => next,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) if ended_by_peer(&error) => continue,
            Err(error) => {
                warn!(%error, "cannot take connections, trying again");
                sleep(BREATH).await;
                continue;
            }
        };
        // An answer is one small write: do not hold it back to fill a segment.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "connection ended early");
        }
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        let mut stopped = stop.subscribe();
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection.with_upgrades());
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                _ = stopped.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                debug!(%error, "connection ended");
            }
            drop((permit, stopped));
        });
    }

    drop(listener);
    info!(connections = stop.receiver_count(), "no longer taking requests");
    // Nobody listens when no connection is left; that is no failure.
    let _ = stop.send(());
    if timeout(DRAIN, stop.closed()).await.is_err() {
        warn!(seconds = DRAIN.as_secs(), "requests still in work were cut off");
    }
}

fn ended_by_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
