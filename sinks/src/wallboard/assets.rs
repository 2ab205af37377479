//! The page itself, compiled in: plain HTML, CSS and JavaScript modules, no build step, nothing fetched elsewhere.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// `(path, content type, content)`.
const FILES: [(&str, &str, &str); 10] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/app.js", SCRIPT, include_str!("page/app.js")),
    ("/feed.js", SCRIPT, include_str!("page/feed.js")),
    ("/format.js", SCRIPT, include_str!("page/format.js")),
    ("/queues.js", SCRIPT, include_str!("page/queues.js")),
    ("/forecast.js", SCRIPT, include_str!("page/forecast.js")),
    ("/alerts.js", SCRIPT, include_str!("page/alerts.js")),
    ("/adherence.js", SCRIPT, include_str!("page/adherence.js")),
    ("/header.js", SCRIPT, include_str!("page/header.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Nothing inline and nothing foreign: there is no place for injected script to come from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

/// The page's files. They hold no data, so they need no token.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, content)| {
        let serve =
            move || async move { ([(header::CONTENT_TYPE, kind)], content).into_response() };
        router.route(path, get(serve))
    })
}

/// Headers of every answer of the wallboard.
pub(super) async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CACHE_CONTROL, "no-store");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    response
}
