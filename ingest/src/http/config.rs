//! The HTTP source's configuration: parsed without I/O, then resolved against the environment.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde::Deserialize;

use super::auth::{Authorizer, Role};
use super::secret::SECRET_BYTES_MIN;
use super::webhook::{Webhook, WebhookConfig};

/// The `[http]` table. Every field has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Where to listen; 127.0.0.1:8080. Any address that is not loopback needs `tokens`.
    pub listen: SocketAddr,
    /// Bearer tokens; none. Once there is one, every route but the signed webhooks needs one.
    pub tokens: Vec<TokenConfig>,
    /// Names, without port, by which this server may be addressed while there are no tokens, besides `localhost`,
    /// `127.0.0.1` and `[::1]`; none. What a DNS-rebinding page sends as Host is none of them.
    pub hosts: Vec<String>,
    /// Origins (`https://wallboard.example`) whose pages may call, besides the server's own; none.
    pub origins: Vec<String>,
    /// Names a sender may give in `X-Highwater-Source` to be tracked as a source of its own; none.
    pub sources: Vec<String>,
    /// Signed webhooks by the NAME in `/v1/webhooks/NAME`; none.
    pub webhooks: BTreeMap<String, WebhookConfig>,
    /// Largest body as sent, bytes; 1 MiB.
    pub body_bytes_max: usize,
    /// Largest body once inflated, bytes; 8 MiB.
    pub inflated_bytes_max: usize,
    /// Most events in one request; 10,000.
    pub events_max: usize,
    /// Most requests in work at once, signed and unsigned apart; 256.
    pub requests_max: usize,
    /// Most bytes of bodies in work at once, signed and unsigned apart; 64 MiB.
    pub in_flight_bytes_max: usize,
    /// Most open connections; further ones wait to be taken; 1,024.
    pub connections_max: usize,
    /// Time to send a request's head, and to stay idle between requests, ms; 10,000.
    pub header_timeout_ms: u64,
    /// Time to send a request's body, ms; 10,000.
    pub body_timeout_ms: u64,
    /// Longest wait for the journal before the sender is told to send again, ms; 30,000.
    pub ack_timeout_ms: u64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            tokens: Vec::new(),
            hosts: Vec::new(),
            origins: Vec::new(),
            sources: Vec::new(),
            webhooks: BTreeMap::new(),
            body_bytes_max: 1 << 20,
            inflated_bytes_max: 8 << 20,
            events_max: 10_000,
            requests_max: 256,
            in_flight_bytes_max: 64 << 20,
            connections_max: 1024,
            header_timeout_ms: 10_000,
            body_timeout_ms: 10_000,
            ack_timeout_ms: 30_000,
        }
    }
}

/// One bearer token: the text is in the environment, never in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// The environment variable that holds the token.
    pub env: String,
    /// What its bearer may do.
    pub roles: Vec<Role>,
}

/// The configuration with its secrets read and its references checked: all that can fail has not.
#[derive(Debug)]
pub struct HttpPlan {
    pub config: HttpConfig,
    /// Shared with the routes that read, so that one rule guards all of them.
    pub authorizer: Arc<Authorizer>,
    pub(super) webhooks: BTreeMap<String, Webhook>,
}

impl HttpConfig {
    /// Reads secrets through `env` and checks everything that does not need a socket.
    pub fn resolve(self, env: &dyn Fn(&str) -> Option<String>) -> Result<HttpPlan, ConfigError> {
        check_exposure(self.listen, &self.tokens)?;
        self.check_limits()?;
        for name in self.sources.iter().chain(self.webhooks.keys()) {
            check_name(name)?;
        }
        let authorizer = Authorizer::resolve(&self, env)?;
        let webhooks = self
            .webhooks
            .iter()
            .map(|(name, webhook)| Ok((name.clone(), Webhook::resolve(name, webhook, env)?)))
            .collect::<Result<_, ConfigError>>()?;
        Ok(HttpPlan { authorizer: Arc::new(authorizer), webhooks, config: self })
    }

    fn check_limits(&self) -> Result<(), ConfigError> {
        let at_least_one = [
            ("body_bytes_max", self.body_bytes_max),
            ("events_max", self.events_max),
            ("requests_max", self.requests_max),
            ("connections_max", self.connections_max),
            ("header_timeout_ms", self.header_timeout_ms as usize),
            ("body_timeout_ms", self.body_timeout_ms as usize),
            ("ack_timeout_ms", self.ack_timeout_ms as usize),
        ];
        for (field, value) in at_least_one {
            if value == 0 {
                return Err(ConfigError::Limit { field, need: "at least 1" });
            }
        }
        if self.inflated_bytes_max < self.body_bytes_max {
            let need = "at least body_bytes_max: a body is never smaller inflated";
            return Err(ConfigError::Limit { field: "inflated_bytes_max", need });
        }
        if self.in_flight_bytes_max < self.body_bytes_max + self.inflated_bytes_max {
            let need = "at least body_bytes_max + inflated_bytes_max, or the largest body could never come in";
            return Err(ConfigError::Limit { field: "in_flight_bytes_max", need });
        }
        if self.in_flight_bytes_max > 1 << 40 {
            return Err(ConfigError::Limit { field: "in_flight_bytes_max", need: "at most 1 TiB" });
        }
        Ok(())
    }
}

/// Refuses to listen where strangers can connect without a token to tell friends from them.
pub fn check_exposure(listen: SocketAddr, tokens: &[TokenConfig]) -> Result<(), ConfigError> {
    if listen.ip().to_canonical().is_loopback() || !tokens.is_empty() {
        return Ok(());
    }
    Err(ConfigError::Exposed { listen })
}

/// Names become metric labels, paths and partition names.
fn check_name(name: &str) -> Result<(), ConfigError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(ConfigError::Name { name: name.to_owned() });
    }
    Ok(())
}

/// The configuration cannot be used. No retry helps; each message says what to change. Never holds a secret's text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "{listen} is reachable from other machines and no bearer token is configured; add a [[http.tokens]] \
         entry, or listen on 127.0.0.1"
    )]
    Exposed { listen: SocketAddr },
    #[error(
        "environment variable {env} is not set; put the secret there, or remove what refers to it"
    )]
    MissingSecret { env: String },
    #[error(
        "the secret in {env} has {bytes} bytes; use at least {SECRET_BYTES_MIN} from a random source, such as \
         `openssl rand -base64 32`"
    )]
    WeakSecret { env: String, bytes: usize },
    #[error(
        "the secret in {env} is not base64; give it as the sender shows it, with or without `whsec_`"
    )]
    SecretNotBase64 { env: String },
    #[error(
        "the token in {env} has characters a header cannot carry; use letters, digits and -._~+/="
    )]
    TokenCharacters { env: String },
    #[error("the token in {env} has no roles; give it `ingest`, `read` or both")]
    NoRoles { env: String },
    #[error("{name:?} cannot name a source; use 1 to 64 letters, digits and -_.")]
    Name { name: String },
    #[error("webhook {webhook}: {problem}")]
    Webhook { webhook: String, problem: String },
    #[error("{field} must be {need}")]
    Limit { field: &'static str, need: &'static str },
}
