//! What a process serves that does not have the views: probes, and the way to the one that has them.

use axum::Router;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::waiting::WAITS;

/// What a process has to say of itself: `own` answers it.
const OWN: [&str; 5] = ["/healthz", "/readyz", "/metrics", "/v1/status", "/v1/latency"];

/// Answers reads with 307 to the same path of `owner`, as `http://host:port`, but for what a process says of itself.
///
/// Paths and queries go along; whoever follows sends its token again or not, as it trusts the owner.
/// Before the owner is known (`None`), whoever asks is told to come again.
pub(crate) fn router(owner: Option<String>, own: &Router) -> Router {
    let redirect = move |method: Method, uri: Uri| {
        let owner = owner.clone();
        async move {
            match owner {
                Some(owner) => answer(&method, &uri, &owner),
                None => (StatusCode::SERVICE_UNAVAILABLE, format!("{WAITS}\n")).into_response(),
            }
        }
    };
    // A router is taken as a route only when it is a plain service.
    let answers = |router: Router, path| {
        router.route_service(path, own.clone().into_service::<axum::body::Body>())
    };
    OWN.into_iter().fold(Router::new(), answers).fallback(redirect)
}

fn answer(method: &Method, uri: &Uri, owner: &str) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return (StatusCode::NOT_FOUND, "there is nothing at this path\n").into_response();
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let to = format!("{owner}{path}");
    let text = format!("the views are served at {to}\n");
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_routes_can_be_served() {
        drop(router(Some("http://127.0.0.1:1".to_owned()), &Router::new()));
        drop(router(None, &Router::new()));
    }
}
