//! Signed webhooks, `POST /v1/webhooks/{name}`: whose scheme a name uses, and the handler.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::HeaderName;
use axum::response::Response;
use base64::Engine;
use highwater_dataflow::PartitionId;
use serde::Deserialize;
use tracing::warn;

use super::config::ConfigError;
use super::events::{Source, answer};
use super::limits::Pass;
use super::refusal::Refusal;
use super::secret::{Secret, from_env};
use super::signature::{BASE64, Encoding, Scheme, Template, Verifier};
use super::{Ingress, limits};

/// One signed sender. The preset says how it signs; every other field, where given, takes the preset's place.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// Whose scheme; `standard`.
    pub preset: Preset,
    /// Environment variables that hold the valid secrets: one, or two while rotating.
    pub secrets_env: Vec<String>,
    /// How the variable writes the key: `text` (its bytes are the key) or `base64`.
    pub secret_encoding: Option<SecretEncoding>,
    /// Header with the tags.
    pub signature_header: Option<String>,
    /// Header with the message's id.
    pub id_header: Option<String>,
    /// Header with the time of signing: Unix seconds or milliseconds, or RFC 3339.
    pub timestamp_header: Option<String>,
    /// What comes before each tag.
    pub prefix: Option<String>,
    /// How tags are written.
    pub encoding: Option<Encoding>,
    /// What is signed, of `{id}`, `{timestamp}`, `{body}` and literals.
    pub signed: Option<String>,
    /// Furthest the time of signing may be from ours, s; 300.
    pub tolerance_s: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Standard Webhooks 1.0.0: id, time and body are signed. The one to choose where there is a choice.
    #[default]
    Standard,
    /// Genesys Open Messaging: `X-Hub-Signature-256`, the body alone. A replay is caught by event id only.
    GenesysOpenMessaging,
    /// Zendesk: time and body, base64.
    Zendesk,
    /// Unverified: no official source describes this header. Compare with a real request before relying on it.
    XGenesysSignature,
    /// Unverified, as `x_genesys_signature`.
    XGcSignature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretEncoding {
    Text,
    Base64,
}

/// What a preset stands for.
struct Layout {
    signature: &'static str,
    id: Option<&'static str>,
    timestamp: Option<&'static str>,
    prefix: &'static str,
    encoding: Encoding,
    signed: &'static str,
    secret: SecretEncoding,
}

impl Preset {
    fn layout(self) -> Layout {
        let body_alone = |signature, prefix| Layout {
            signature,
            id: None,
            timestamp: None,
            prefix,
            encoding: Encoding::Base64,
            signed: "{body}",
            secret: SecretEncoding::Text,
        };
        match self {
            Preset::Standard => Layout {
                signature: "webhook-signature",
                id: Some("webhook-id"),
                timestamp: Some("webhook-timestamp"),
                prefix: "v1,",
                encoding: Encoding::Base64,
                signed: "{id}.{timestamp}.{body}",
                secret: SecretEncoding::Base64,
            },
            Preset::Zendesk => Layout {
                signature: "x-zendesk-webhook-signature",
                id: None,
                timestamp: Some("x-zendesk-webhook-signature-timestamp"),
                prefix: "",
                encoding: Encoding::Base64,
                signed: "{timestamp}{body}",
                secret: SecretEncoding::Text,
            },
            Preset::GenesysOpenMessaging => body_alone("x-hub-signature-256", "sha256="),
            Preset::XGenesysSignature => body_alone("x-genesys-signature", ""),
            Preset::XGcSignature => body_alone("x-gc-signature", ""),
        }
    }

    fn verified(self) -> bool {
        !matches!(self, Preset::XGenesysSignature | Preset::XGcSignature)
    }
}

/// A webhook ready to check requests.
#[derive(Debug)]
pub(super) struct Webhook {
    verifier: Verifier,
}

impl Webhook {
    pub(super) fn resolve(
        name: &str,
        config: &WebhookConfig,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let problem = |problem: String| ConfigError::Webhook { webhook: name.to_owned(), problem };
        let layout = config.preset.layout();
        let header = |own: &Option<String>, preset: Option<&'static str>| match own {
            Some(text) => HeaderName::try_from(text.as_str())
                .map(Some)
                .map_err(|_| problem(format!("{text:?} is not a header name"))),
            None => Ok(preset.map(HeaderName::from_static)),
        };

        let signature_header = header(&config.signature_header, Some(layout.signature))?
            .unwrap_or(HeaderName::from_static(layout.signature));
        let id = header(&config.id_header, layout.id)?;
        let timestamp = header(&config.timestamp_header, layout.timestamp)?;
        let signed = config.signed.as_deref().unwrap_or(layout.signed);
        let signed = Template::parse(signed, id, timestamp).map_err(problem)?;
        if config.timestamp_header.is_some() && !signed.covers_time() {
            let unsigned = "timestamp_header is set but `signed` lacks {timestamp}: an unsigned time proves nothing";
            return Err(problem(unsigned.to_owned()));
        }
        if config.secrets_env.is_empty() {
            return Err(problem(
                "secrets_env names no variable; name the one with the secret".to_owned(),
            ));
        }
        let encoding = config.secret_encoding.unwrap_or(layout.secret);
        let secrets = config
            .secrets_env
            .iter()
            .map(|variable| secret(variable, encoding, env))
            .collect::<Result<_, _>>()?;
        if !config.preset.verified() {
            warn!(webhook = name, "signature preset is unverified, compare it with a real request");
        }
        let scheme = Scheme {
            signature_header,
            prefix: config.prefix.clone().unwrap_or_else(|| layout.prefix.to_owned()),
            encoding: config.encoding.unwrap_or(layout.encoding),
            signed,
            tolerance: i64::from(config.tolerance_s.unwrap_or(300)) * 1000,
        };
        Ok(Webhook { verifier: Verifier::new(scheme, secrets) })
    }
}

fn secret(
    variable: &str,
    encoding: SecretEncoding,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Secret, ConfigError> {
    let text = from_env(variable, env)?;
    let bytes = match encoding {
        SecretEncoding::Text => text.into_bytes(),
        SecretEncoding::Base64 => BASE64
            .decode(text.strip_prefix("whsec_").unwrap_or(&text))
            .map_err(|_| ConfigError::SecretNotBase64 { env: variable.to_owned() })?,
    };
    Secret::new(bytes, variable)
}

/// Takes a signed request: the signature over the bytes as sent (before inflating) stands in for a token.
pub(super) async fn post(
    State(ingress): State<Arc<Ingress>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let taken = take(&ingress, &name, request).await;
    answer(&ingress, taken)
}

async fn take(ingress: &Ingress, name: &str, request: Request) -> Result<Response, Refusal> {
    let received = ingress.clock.instant();
    let (head, body) = request.into_parts();
    match ingress.admit_signed(name) {
        Ok((webhook, partition, mut pass)) => {
            let bytes = limits::read_body(body, &ingress.plan.config, &mut pass).await?;
            webhook.verifier.verify(&head.headers, &bytes, ingress.clock.now_ms())?;
            ingress.accept(&head, bytes, Source { partition, received }, pass).await
        }
        Err(refusal) => {
            limits::discard(&head.headers, body, &ingress.plan.config).await;
            Err(refusal)
        }
    }
}

impl Ingress {
    /// All that can be decided before the body is there.
    fn admit_signed(&self, name: &str) -> Result<(&Webhook, PartitionId, Pass), Refusal> {
        let webhook = self.plan.webhooks.get(name).ok_or(Refusal::Webhook)?;
        let partition = *self.webhooks.get(name).ok_or(Refusal::Webhook)?;
        Ok((webhook, partition, self.signed.enter()?))
    }
}
