//! `[cluster.tls]`: certificates, whom they are believed from, and what to do when they are not.
//!
//! Both ends show a certificate and ask for one. They are of one authority that signs for this cluster alone, so a
//! certificate says "one of us"; the one that answers has to name the host that was called. TLS 1.3 and nothing older,
//! no tickets: every connection is made once, at the start.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use highwater_dataflow::Clock;
use highwater_model::format_ms;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Connection, Error,
    RootCertStore, ServerConfig, ServerConnection,
};
use tracing::warn;

use super::handshake::Failed;
use super::link::Link;
use crate::clock::WallClock;
use crate::config;

/// A certificate that ends within this is told of at every start.
const RENEW_WITHIN: Duration = Duration::from_hours(14 * 24);

/// What a process shows to others, and what it believes.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    answers: Arc<ServerConfig>,
    dials: Arc<ClientConfig>,
    /// The name in every certificate; `None`: the host that is called.
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads the files, and makes sure that others would believe what they say. `host`: our line in `hosts`.
    ///
    /// Errors say which file is wrong and what would be right.
    pub(super) fn resolve(
        table: &config::ClusterTls,
        base: &Path,
        host: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Tls, String> {
        let certificate = base.join(&table.certificate);
        let chain = certificates(&certificate, "certificate")?;
        let key = key(table, base, env)?;
        let ca = base.join(&table.ca);
        let mut roots = RootCertStore::empty();
        for root in certificates(&ca, "ca")? {
            let added = roots.add(root);
            added.map_err(|error| format!("cluster.tls.ca: {}: {error}", ca.display()))?;
        }
        let name = table.name.as_deref().map(|name| server_name(name, "cluster.tls.name"));
        let name = name.transpose()?;
        let (roots, provider) = (Arc::new(roots), Arc::new(default_provider()));
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone());
        let verifier = verifier.build().map_err(|error| format!("cluster.tls.ca: {error}"))?;
        let own = match &name {
            Some(name) => name.clone(),
            None => server_name(host_of(host), "cluster.hosts")?,
        };
        let believed = |at: UnixTime| {
            verifier.verify_server_cert(&chain[0], &chain[1..], &own, &[], at).map(drop)
        };
        let now = Duration::from_millis(WallClock.now_ms().max(0) as u64);
        believed(UnixTime::since_unix_epoch(now)).map_err(|error| {
            let (path, what) = (certificate.display(), wrong(&error, "the others'"));
            format!("cluster.tls.certificate: {path}: nobody would believe it: {what}")
        })?;
        if let Err(error) = believed(UnixTime::since_unix_epoch(now + RENEW_WITHIN)) {
            let what = wrong(&error, "the others'");
            warn!(path = %certificate.display(), "within two weeks: {what}");
        }

        let asks = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
        let asks = asks.build().map_err(|error| format!("cluster.tls.ca: {error}"))?;
        let unfit = |error: Error| format!("cluster.tls.key: it is not the certificate's: {error}");
        let old = |error: Error| format!("cluster.tls: {error}");
        let mut answers = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(old)?
            .with_client_cert_verifier(asks)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(unfit)?;
        answers.send_tls13_tickets = 0;
        let dials = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(old)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(unfit)?;
        Ok(Tls { answers: Arc::new(answers), dials: Arc::new(dials), name })
    }

    /// Encrypts a connection that was made to `host`.
    pub(super) fn dial(
        &self,
        link: &mut Link,
        host: &str,
        until: Instant,
        clock: &dyn Clock,
    ) -> Result<(), Failed> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => server_name(host_of(host), "cluster.hosts").map_err(Failed::Tls)?,
        };
        let session = ClientConnection::new(self.dials.clone(), name);
        let session = session.map_err(|error| Failed::Tls(error.to_string()))?;
        link.seal(Connection::Client(session), until, clock).map_err(explain)
    }

    /// Encrypts a connection that somebody has made to us.
    pub(super) fn answer(
        &self,
        link: &mut Link,
        until: Instant,
        clock: &dyn Clock,
    ) -> Result<(), Failed> {
        let session = ServerConnection::new(self.answers.clone());
        let session = session.map_err(|error| Failed::Tls(error.to_string()))?;
        link.seal(Connection::Server(session), until, clock).map_err(explain)
    }
}

/// What an error of a connection means when it is one of encryption.
pub(super) fn explain(error: io::Error) -> Failed {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(inner) => Failed::Tls(wrong(inner, "its")),
        None => Failed::Io(error),
    }
}

/// What is wrong, and who has to do what. `whose` authority is meant.
fn wrong(error: &Error, whose: &str) -> String {
    match error {
        Error::InvalidCertificate(what) => match what {
            CertificateError::ExpiredContext { not_after, .. } => {
                let at = format_ms((not_after.as_secs() * 1_000) as i64);
                format!("the certificate ended at {at}; renew it, and start that process again")
            }
            CertificateError::Expired => {
                "the certificate has ended; renew it, and start that process again".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the certificate is not valid yet; set the machines' clocks".to_owned()
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "the certificate is of another authority than cluster.tls.ca; let one authority sign those of all \
                 processes"
                    .to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!(
                    "the certificate is for another name ({error}); give it the host of its line in `hosts` as a \
                     subject alternative name, or give all of them one name and say it in cluster.tls.name"
                )
            }
            _ => format!("the certificate is not believed: {error}"),
        },
        Error::NoCertificatesPresented => {
            "it has no certificate; give all processes the same [cluster.tls]".to_owned()
        }
        Error::InvalidMessage(_) => {
            "it does not speak TLS; give all processes the same [cluster.tls]".to_owned()
        }
        Error::AlertReceived(alert) => {
            let what = match alert {
                AlertDescription::CertificateExpired => {
                    "it has ended, or the clocks differ; renew it, and start this process again"
                }
                AlertDescription::UnknownCA | AlertDescription::DecryptError => {
                    "it is of another authority than the other's cluster.tls.ca; let one authority sign all"
                }
                AlertDescription::CertificateRequired => {
                    "there is none; give all processes the same [cluster.tls]"
                }
                _ => "see what the other process says",
            };
            format!("{whose} end does not believe our certificate ({alert:?}): {what}")
        }
        other => other.to_string(),
    }
}

fn certificates(path: &PathBuf, field: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let read: Vec<_> = read.map_err(|error| unreadable(path, field, &error))?;
    if read.is_empty() {
        return Err(format!(
            "cluster.tls.{field}: {} has no certificate; it begins with -----BEGIN CERTIFICATE-----",
            path.display()
        ));
    }
    Ok(read)
}

fn key(
    table: &config::ClusterTls,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<PrivateKeyDer<'static>, String> {
    let credential = env("CREDENTIALS_DIRECTORY").zip(table.key.file_name());
    let credential = credential.map(|(dir, name)| Path::new(&dir).join(name));
    let path = credential.filter(|path| path.exists()).unwrap_or_else(|| base.join(&table.key));
    PrivateKeyDer::from_pem_file(&path).map_err(|error| unreadable(&path, "key", &error))
}

fn unreadable(path: &Path, field: &str, error: &rustls::pki_types::pem::Error) -> String {
    format!("cluster.tls.{field}: cannot read {} as PEM: {error}", path.display())
}

fn server_name(name: &str, field: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.to_owned()).map_err(|_| {
        format!("{field}: {name:?} can be in no certificate; use a DNS name or an address")
    })
}

/// The host of `HOST:PORT`, without the brackets of an address.
fn host_of(host: &str) -> &str {
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() { bare } else { host }
}
