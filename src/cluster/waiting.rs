//! What a process answers while it waits for the others: the views as they were, and to senders that it is not yet time.

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};

/// Why it is not ready.
pub(crate) const WAITS: &str = "waiting for the other processes of the cluster";

/// `page` for readers; everything else is asked to come again.
pub(crate) fn waiting(page: Router) -> Router {
    page.layer(from_fn(reads_alone))
}

async fn reads_alone(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let again = [(header::RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, again, format!("{WAITS}: try again\n")).into_response()
}
