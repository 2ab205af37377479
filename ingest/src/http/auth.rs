//! Who may call: bearer tokens with roles, and what keeps a browser from being tricked into calling.

use axum::Json;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::config::{ConfigError, HttpConfig};
use super::secret::{Secret, from_env};

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Send events.
    Ingest,
    /// See views, alerts, metrics and the page.
    Read,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Ingest => "ingest",
            Role::Read => "read",
        }
    }
}

/// The rule that guards every route, for the binary's own routes too.
///
/// Without tokens (loopback only) whoever reaches the socket may do all, provided that Host names this machine.
/// With tokens each request needs one whose roles include what it asks for.
#[derive(Debug)]
pub struct Authorizer {
    tokens: Vec<Token>,
    hosts: Vec<String>,
    origins: Vec<String>,
}

/// A token's digest: the text itself is not kept.
#[derive(Debug)]
struct Token {
    digest: [u8; 32],
    ingest: bool,
    read: bool,
}

impl Authorizer {
    /// Reads the tokens through `env`.
    pub fn resolve(
        config: &HttpConfig,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut tokens = Vec::new();
        for token in &config.tokens {
            let secret = Secret::new(from_env(&token.env, env)?.into_bytes(), &token.env)?;
            if !secret.expose().iter().all(u8::is_ascii_graphic) {
                return Err(ConfigError::TokenCharacters { env: token.env.clone() });
            }
            if token.roles.is_empty() {
                return Err(ConfigError::NoRoles { env: token.env.clone() });
            }
            tokens.push(Token {
                digest: Sha256::digest(secret.expose()).into(),
                ingest: token.roles.contains(&Role::Ingest),
                read: token.roles.contains(&Role::Read),
            });
        }
        Ok(Authorizer { tokens, hosts: config.hosts.clone(), origins: config.origins.clone() })
    }

    /// Lets a request with these headers act as `role`, or says why not.
    pub fn authorize(&self, headers: &HeaderMap, role: Role) -> Result<(), Denied> {
        self.check_browser(headers)?;
        if self.tokens.is_empty() {
            return Ok(());
        }
        self.authorize_token(bearer(headers).ok_or(Denied::NoToken)?, role)
    }

    /// As [`Authorizer::authorize`] for a token that came another way (a browser's WebSocket cannot set headers).
    ///
    /// Looks at every token whatever the answer, and compares digests, so that time tells neither length nor prefix.
    pub fn authorize_token(&self, token: &str, role: Role) -> Result<(), Denied> {
        if self.tokens.is_empty() {
            return Ok(());
        }
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let (mut known, mut allowed) = (Choice::from(0), Choice::from(0));
        for candidate in &self.tokens {
            let equal = candidate.digest.ct_eq(&digest);
            let permits = match role {
                Role::Ingest => candidate.ingest,
                Role::Read => candidate.read,
            };
            known |= equal;
            allowed |= equal & Choice::from(u8::from(permits));
        }
        match (bool::from(known), bool::from(allowed)) {
            (_, true) => Ok(()),
            (true, false) => Err(Denied::Role(role)),
            (false, false) => Err(Denied::UnknownToken),
        }
    }

    /// Whether callers need a token.
    pub fn requires_token(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Refuses what only a browser led astray would send: a foreign Origin, or, while there are no tokens, a Host that
    /// is not this machine (DNS rebinding). A WebSocket's handshake is checked with this too.
    pub fn check_browser(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        if self.tokens.is_empty() && !host.is_some_and(|host| self.names_this_machine(host)) {
            return Err(Denied::Host);
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        if origins.all(|origin| origin.to_str().is_ok_and(|o| self.is_friendly(o, host))) {
            return Ok(());
        }
        Err(Denied::Origin)
    }

    fn names_this_machine(&self, host: &str) -> bool {
        let name = without_port(host);
        ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| name.eq_ignore_ascii_case(own))
            || self.hosts.iter().any(|own| name.eq_ignore_ascii_case(own))
    }

    fn is_friendly(&self, origin: &str, host: Option<&str>) -> bool {
        let authority = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
        let own = match (authority, host) {
            (Some(authority), Some(host)) => authority.eq_ignore_ascii_case(host),
            _ => false,
        };
        own || self.origins.iter().any(|friend| friend.eq_ignore_ascii_case(origin))
    }
}

/// The token of an `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn without_port(host: &str) -> &str {
    match (host.starts_with('['), host.find(']')) {
        (true, Some(end)) if matches!(host.as_bytes().get(end + 1), None | Some(b':')) => {
            &host[..=end]
        }
        (true, _) => host,
        (false, _) => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

/// Why a caller was turned away. Retrying the same request does not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("this server needs a token; send `Authorization: Bearer TOKEN`")]
    NoToken,
    #[error("the token is not known here; ask the operator for a current one")]
    UnknownToken,
    #[error("the token lacks the role `{}`; ask the operator for one that has it", .0.name())]
    Role(Role),
    #[error(
        "Host does not name this machine; use localhost, or have the operator list the name in http.hosts"
    )]
    Host,
    #[error("pages of this Origin may not call here; have the operator list it in http.origins")]
    Origin,
}

impl Denied {
    pub fn status(self) -> StatusCode {
        match self {
            Denied::NoToken | Denied::UnknownToken => StatusCode::UNAUTHORIZED,
            Denied::Role(_) | Denied::Host | Denied::Origin => StatusCode::FORBIDDEN,
        }
    }

    /// A constant word for programs.
    pub fn kind(self) -> &'static str {
        match self {
            Denied::NoToken => "token_missing",
            Denied::UnknownToken => "token_unknown",
            Denied::Role(_) => "role_missing",
            Denied::Host => "host_foreign",
            Denied::Origin => "origin_foreign",
        }
    }

    /// What RFC 6750 wants said, where a token would have helped.
    pub(super) fn challenge(self) -> Option<(HeaderName, HeaderValue)> {
        let challenge = match self {
            Denied::NoToken => "Bearer realm=\"highwater\"",
            Denied::UnknownToken => "Bearer realm=\"highwater\", error=\"invalid_token\"",
            Denied::Role(Role::Ingest) => {
                "Bearer realm=\"highwater\", error=\"insufficient_scope\", scope=\"ingest\""
            }
            Denied::Role(Role::Read) => {
                "Bearer realm=\"highwater\", error=\"insufficient_scope\", scope=\"read\""
            }
            Denied::Host | Denied::Origin => return None,
        };
        Some((WWW_AUTHENTICATE, HeaderValue::from_static(challenge)))
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.kind(), "message": self.to_string() });
        let mut response = (self.status(), Json(body)).into_response();
        response.headers_mut().extend(self.challenge());
        response
    }
}
