//! The `webhook` channel: an HTTP POST per message, signed by Standard Webhooks.
//!
//! At least once, under the `webhook-id` `alert_id#revision`, the same on every retry. No redirects are followed and
//! inside addresses are refused after name resolution, so a URL leads where it says and nowhere else.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use highwater_dataflow::{EventTime, Step};
use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url, redirect};
use serde::Deserialize;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::address::{Denied, Guard, check};
use super::format::Format;
use super::signature::{Keys, header_id};
use super::{Channel, ChannelError, Message, Outcome, Retry, all_steps};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    pub name: String,
    /// Where to; or `url_env`, for URLs that are themselves a secret.
    #[serde(default)]
    pub url: Option<String>,
    /// The environment variable that holds the URL.
    #[serde(default)]
    pub url_env: Option<String>,
    #[serde(default)]
    pub format: Format,
    /// The environment variable that holds the signing secret: `whsec_…` or at least 24 bytes; two of them,
    /// separated by a space, while one replaces the other. Unsigned unless given.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// The environment variable that holds PagerDuty's routing key.
    #[serde(default)]
    pub routing_key_env: Option<String>,
    /// The steps this channel wants; all unless given.
    #[serde(default = "all_steps")]
    pub steps: Vec<Step>,
    /// Lets the URL lead to loopback and private addresses, and be plain `http`.
    #[serde(default)]
    pub allow_private: bool,
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// For the whole exchange.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// Requests under way at once, of different alerts.
    #[serde(default = "in_flight")]
    pub in_flight: usize,
    #[serde(default)]
    pub retry: Retry,
}

fn connect_timeout_ms() -> u64 {
    5_000
}
fn timeout_ms() -> u64 {
    15_000
}
fn in_flight() -> usize {
    8
}

pub(super) struct Webhook {
    config: WebhookConfig,
    url: Url,
    keys: Option<Keys>,
    routing_key: String,
    client: Client,
    runtime: Runtime,
}

impl Webhook {
    pub(super) fn open(
        config: &WebhookConfig,
        secret: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Webhook, ChannelError> {
        let wrong = |reason: String| ChannelError::Config { channel: config.name.clone(), reason };
        let lookup = |variable: &String| {
            secret(variable).ok_or_else(|| ChannelError::MissingSecret {
                channel: config.name.clone(),
                variable: variable.clone(),
            })
        };
        let text = match (&config.url, &config.url_env) {
            (Some(url), None) => url.clone(),
            (None, Some(variable)) => lookup(variable)?,
            _ => return Err(wrong("give either url or url_env".into())),
        };
        let url = target(&text, config.allow_private).map_err(wrong)?;
        let keys = match &config.secret_env {
            None => None,
            Some(variable) => {
                let keys = Keys::parse(&lookup(variable)?);
                Some(keys.map_err(|reason| ChannelError::WeakSecret {
                    channel: config.name.clone(),
                    variable: variable.clone(),
                    reason,
                })?)
            }
        };
        let routing_key = match (&config.routing_key_env, config.format) {
            (Some(variable), _) => lookup(variable)?,
            (None, Format::Pagerduty) => {
                return Err(wrong("PagerDuty needs its routing key: give routing_key_env".into()));
            }
            (None, _) => String::new(),
        };
        if config.in_flight == 0 {
            return Err(wrong("in_flight must be at least 1".into()));
        }
        let client = Client::builder()
            .user_agent(concat!("highwater/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Guard { allow_private: config.allow_private })
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            .timeout(Duration::from_millis(config.timeout_ms))
            .build()
            .map_err(|error| wrong(error.without_url().to_string()))?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| wrong(error.to_string()))?;
        Ok(Webhook { config: config.clone(), url, keys, routing_key, client, runtime })
    }

    fn request(&self, message: &Message, now: EventTime) -> reqwest::RequestBuilder {
        let body = self.config.format.body(message, &self.routing_key).to_string();
        let id = header_id(&message.dedup_key);
        let timestamp = now.div_euclid(1000);
        let mut request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp);
        if let Some(keys) = &self.keys {
            let signature = keys.sign(&id, timestamp, body.as_bytes());
            request = request.header("webhook-signature", signature);
        }
        request.body(body)
    }
}

/// The URL, if it is one we may post to.
fn target(text: &str, allow_private: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("the URL is not one: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        "http" => {
            return Err("plain http is for receivers inside your network: use https, or set \
                        allow_private = true"
                .into());
        }
        scheme => return Err(format!("the URL is {scheme}, use https")),
    }
    // Names are checked when they are resolved; addresses never pass the resolver.
    let host = url.host_str().unwrap_or_default();
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        check(address, allow_private).map_err(|denied| denied.to_string())?;
    }
    Ok(url)
}

impl Channel for Webhook {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn wants(&self, step: Step) -> bool {
        self.config.steps.contains(&step)
    }

    fn width(&self) -> usize {
        self.config.in_flight
    }

    fn retry(&self) -> Retry {
        self.config.retry
    }

    fn deliver(&mut self, messages: &[Message], now: EventTime) -> Vec<Outcome> {
        let requests: Vec<_> = messages.iter().map(|message| self.request(message, now)).collect();
        let lost = || Outcome::Retry {
            reason: "the request was cut short".into(),
            after: None,
            everybody: false,
        };
        let mut outcomes: Vec<Outcome> = messages.iter().map(|_| lost()).collect();
        self.runtime.block_on(async {
            let mut running = JoinSet::new();
            for (n, request) in requests.into_iter().enumerate() {
                running.spawn(async move { (n, outcome(request.send().await)) });
            }
            while let Some(done) = running.join_next().await {
                if let Ok((n, outcome)) = done {
                    outcomes[n] = outcome;
                }
            }
        });
        outcomes
    }
}

/// What a response means. The body is not read: only the status counts.
fn outcome(answer: Result<reqwest::Response, reqwest::Error>) -> Outcome {
    let response = match answer {
        Ok(response) => response,
        Err(error) => {
            // The URL may hold a token: it stays out of logs and of the outbox.
            let error = error.without_url();
            let reason = chain(&error);
            let denied = sources(&error).any(<dyn Error>::is::<Denied>);
            return if denied || error.is_builder() {
                Outcome::Refused { reason }
            } else {
                Outcome::Retry { reason, after: None, everybody: true }
            };
        }
    };
    let status = response.status();
    let reason = format!("answered {status}");
    let after = response.headers().get(RETRY_AFTER).and_then(seconds);
    match status {
        status if status.is_success() => Outcome::Delivered,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Outcome::Retry { reason, after, everybody: true }
        }
        StatusCode::REQUEST_TIMEOUT => Outcome::Retry { reason, after, everybody: false },
        status if status.is_server_error() => Outcome::Retry { reason, after, everybody: false },
        _ => Outcome::Refused { reason },
    }
}

/// `Retry-After` in seconds, at most an hour; its date form is left to the usual backoff.
fn seconds(value: &HeaderValue) -> Option<Duration> {
    let seconds: u64 = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(3600)))
}

fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn chain(error: &(dyn Error + 'static)) -> String {
    sources(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
