//! Who may see the page's data: bearer tokens by role, and for browsers the host and origin of the request.
//!
//! Default deny: every route but the static page and the probes asks [`Authorize`], and a route that forgets to
//! is caught by the route matrix test.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Site;

/// What a token may be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends events.
    Ingest,
    /// Reads views, status and metrics.
    Read,
}

/// What a token is good for, for one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// No tokens are configured: the product listens on loopback only, and asks for none.
    Open,
    Granted,
    /// There is no such token, or none was given.
    Unknown,
    /// The token is known, for another role.
    Forbidden,
}

/// Judges a bearer token for a role, in constant time. Shared by all routes of the process.
pub type Authorize = Arc<dyn Fn(Role, Option<&str>) -> Access + Send + Sync>;

/// Guards the read routes.
pub(super) async fn require_read(
    State(site): State<Arc<Site>>,
    request: Request,
    next: Next,
) -> Response {
    let access = (site.authorize)(Role::Read, bearer(request.headers()));
    match access {
        Access::Granted => next.run(request).await,
        Access::Open if site.trusts_host(request.headers()) => next.run(request).await,
        Access::Open => (
            StatusCode::MISDIRECTED_REQUEST,
            "this host name is not trusted: use localhost or an IP address, or list its origin (https://name) in `http.origins`\n",
        )
            .into_response(),
        Access::Unknown => (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Bearer")],
            "send a token with the role `read`: Authorization: Bearer <token>\n",
        )
            .into_response(),
        Access::Forbidden => {
            (StatusCode::FORBIDDEN, "this token lacks the role `read`\n").into_response()
        }
    }
}

/// The token of an `Authorization: Bearer` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// True for names that no foreign site can point at this machine: IP addresses, localhost, and listed origins.
///
/// Without tokens this is what stands between the data and a page that rebinds its own name to loopback.
pub(super) fn host_trusted(host: &str, allowed_origins: &[String]) -> bool {
    let name = host_name(host);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok()
        || allowed_origins.iter().any(|origin| {
            let allowed = origin.split_once("://").map_or(origin.as_str(), |(_, rest)| rest);
            host_name(allowed).eq_ignore_ascii_case(name)
        })
}

/// True for the page's own origin and listed ones. Programs that are no browser send no `Origin` and pass.
pub(super) fn origin_allowed(origin: Option<&str>, host: &str, allowed: &[String]) -> bool {
    let Some(origin) = origin else { return true };
    let same = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
        .is_some_and(|authority| !host.is_empty() && authority.eq_ignore_ascii_case(host));
    same || allowed.iter().any(|listed| listed.trim_end_matches('/').eq_ignore_ascii_case(origin))
}

/// The host without its port and without the brackets of an IPv6 address.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.split(':').next().unwrap_or(host)
}

impl Site {
    pub(super) fn trusts_host(&self, headers: &HeaderMap) -> bool {
        host_trusted(host(headers), &self.config.allowed_origins)
    }
}

/// The request's host and port, empty when it names none.
pub(super) fn host(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
