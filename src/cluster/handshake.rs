//! Two processes prove to each other that they know the cluster's secret, and then introduce themselves.
//!
//! ```text
//! answering                         dialing
//!   magic, nonce            ->
//!                           <-        magic, from, to, line, nonce, proof of the secret
//!   proof of the secret     ->
//!                           <-        introduction, sealed
//!   introduction, sealed    ->
//! ```
//!
//! Proofs are HMAC-SHA256 over everything said so far, so neither can be replayed or sent back to its maker. Who
//! answers proves nothing to somebody who has proved nothing: a stranger gets 40 random bytes. All sizes are bounded,
//! and everything is said before one deadline.
//!
//! With `[cluster.tls]` a TLS handshake comes first, and what it leaves both ends with is part of everything said: who
//! stands between two sessions cannot pass the proofs of one on to the other.

use std::io;
use std::time::{Duration, Instant};

use highwater_dataflow::{Clock, Epoch};
use highwater_ingest::http::Secret;
use hmac::{Hmac, Mac};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::begins::Begins;
use super::link::Link;
use super::tls::{self, Tls};

/// A handshake takes no longer.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

const MAGIC: [u8; 8] = *b"hwclus02";
/// How a TLS handshake begins.
const TLS_HELLO: [u8; 2] = [0x16, 0x03];
const NONCE: usize = 32;
const PROOF: usize = 32;
const HEAD: usize = 8 + 2 + 2 + 1;
const INTRODUCTION_MAX: u32 = 64 << 10;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The engine's.
    Data = 0,
    /// Agreement, and signs of life.
    Control = 1,
}

/// What a process says of itself, once for all its connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Introduction {
    pub(super) process: usize,
    pub(super) processes: usize,
    /// Of everything that answers depend on, workers per process included.
    pub(super) config: String,
    /// Another one after every start.
    pub(super) run: String,
    /// The journals it brings, with their last epochs.
    pub(super) journals: Vec<(u8, Epoch)>,
    /// The journals it knows to exist.
    pub(super) known: Vec<u8>,
    /// The epochs of which it has whole checkpoints.
    pub(super) checkpoints: Vec<Epoch>,
    /// After which epochs each of its journals can be read, in the order of `journals`.
    pub(super) begins: Vec<Begins>,
    /// The last epoch it has shown to anybody.
    pub(super) shown: Epoch,
    /// Its clock, as an epoch.
    pub(super) now: Epoch,
    /// Where readers reach it.
    pub(super) url: String,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Whoever is there is not one of us.
    #[error("{0}")]
    Stranger(&'static str),
    /// There is no agreement on encryption; it says who has to do what.
    #[error("{0}")]
    Tls(String),
}

/// Both ends, with what they need.
pub(super) struct Handshake<'a> {
    pub(super) secret: &'a Secret,
    pub(super) own: &'a Introduction,
    pub(super) tls: Option<&'a Tls>,
    pub(super) clock: &'a dyn Clock,
}

impl Handshake<'_> {
    /// Speaks first on a connection that was made to process `to`, which is reached at `host`.
    pub(super) fn dial(
        &self,
        link: &mut Link,
        (to, host): (usize, &str),
        line: Line,
    ) -> Result<Introduction, Failed> {
        let until = self.clock.instant() + DEADLINE;
        if let Some(tls) = self.tls {
            tls.dial(link, host, until, self.clock)?;
        }
        let mut challenge = [0; 8 + NONCE];
        link.read_by(&mut challenge, until, self.clock).map_err(tls::explain)?;
        if challenge[..8] != MAGIC {
            return Err(Failed::Stranger(
                "whatever listens there is not this version's cluster port",
            ));
        }
        let mut head = [0; HEAD + NONCE];
        head[..8].copy_from_slice(&MAGIC);
        head[8..10].copy_from_slice(&(self.own.process as u16).to_le_bytes());
        head[10..12].copy_from_slice(&(to as u16).to_le_bytes());
        head[12] = line as u8;
        head[HEAD..].copy_from_slice(&nonce()?);
        let said = [&challenge[..], &head[..], link.binding()].concat();
        link.write_by(&[&head[..], &self.proof(b"dial", &said)].concat(), until, self.clock)?;
        let mut proof = [0; PROOF];
        link.read_by(&mut proof, until, self.clock)?;
        check(self.secret.expose(), b"answer", &said, &proof)?;
        let key = self.proof(b"introductions", &said);
        self.introduce(link, &key, b"dial", until)?;
        let theirs = self.hear(link, &key, b"answer", until)?;
        if theirs.process != to {
            return Err(Failed::Stranger("the process there has another number"));
        }
        Ok(theirs)
    }

    /// Answers whoever has connected.
    pub(super) fn answer(&self, link: &mut Link) -> Result<(Introduction, Line), Failed> {
        let until = self.clock.instant() + DEADLINE;
        if let Some(tls) = self.tls {
            tls.answer(link, until, self.clock)?;
        }
        let challenge = [&MAGIC[..], &nonce()?].concat();
        link.write_by(&challenge, until, self.clock)?;
        let mut head = [0; HEAD + NONCE];
        // The magic alone tells most strangers apart, before there is anything to wait for.
        link.read_by(&mut head[..8], until, self.clock)?;
        if self.tls.is_none() && head[..2] == TLS_HELLO {
            return Err(Failed::Tls(
                "it speaks TLS, and this process does not: give all processes the same [cluster.tls]"
                    .to_owned(),
            ));
        }
        if head[..8] != MAGIC {
            return Err(Failed::Stranger("not one of us"));
        }
        link.read_by(&mut head[8..], until, self.clock)?;
        let mut proof = [0; PROOF];
        link.read_by(&mut proof, until, self.clock)?;
        let said = [&challenge[..], &head[..], link.binding()].concat();
        check(self.secret.expose(), b"dial", &said, &proof)?;
        let number = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
        let line = match head[12] {
            0 => Line::Data,
            1 => Line::Control,
            _ => return Err(Failed::Stranger("it wants a line that there is not")),
        };
        if number(10) != self.own.process {
            return Err(Failed::Stranger("it looks for another process"));
        }
        link.write_by(&self.proof(b"answer", &said), until, self.clock)?;
        let key = self.proof(b"introductions", &said);
        let theirs = self.hear(link, &key, b"dial", until)?;
        if theirs.process != number(8) || theirs.process == self.own.process {
            return Err(Failed::Stranger("it contradicts itself"));
        }
        self.introduce(link, &key, b"answer", until)?;
        Ok((theirs, line))
    }

    fn introduce(
        &self,
        link: &mut Link,
        key: &[u8],
        side: &[u8],
        until: Instant,
    ) -> Result<(), Failed> {
        let text = serde_json::to_vec(self.own).expect("an introduction is plain data");
        let length = u32::try_from(text.len()).expect("an introduction is short");
        let mut message = length.to_le_bytes().to_vec();
        message.extend_from_slice(&text);
        let seal = mac(key, side, &message);
        message.extend_from_slice(&seal.finalize().into_bytes());
        Ok(link.write_by(&message, until, self.clock)?)
    }

    fn hear(
        &self,
        link: &mut Link,
        key: &[u8],
        side: &[u8],
        until: Instant,
    ) -> Result<Introduction, Failed> {
        let mut length = [0; 4];
        link.read_by(&mut length, until, self.clock)?;
        let size = u32::from_le_bytes(length);
        if size > INTRODUCTION_MAX {
            return Err(Failed::Stranger("its introduction is too long"));
        }
        let mut message = length.to_vec();
        message.resize(4 + size as usize, 0);
        link.read_by(&mut message[4..], until, self.clock)?;
        let mut seal = [0; PROOF];
        link.read_by(&mut seal, until, self.clock)?;
        check(key, side, &message, &seal)?;
        serde_json::from_slice(&message[4..])
            .map_err(|_| Failed::Stranger("its introduction is another version's"))
    }

    fn proof(&self, label: &[u8], said: &[u8]) -> [u8; PROOF] {
        mac(self.secret.expose(), label, said).finalize().into_bytes().into()
    }
}

/// Random bytes that were never used before.
pub(super) fn nonce() -> io::Result<[u8; NONCE]> {
    let mut bytes = [0; NONCE];
    let read = getrandom(&mut bytes, GetRandomFlags::empty())?;
    // The system gives up to 256 bytes whole.
    if read == NONCE { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn mac(key: &[u8], label: &[u8], said: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(&(label.len() as u64).to_le_bytes());
    mac.update(label);
    mac.update(said);
    mac
}

fn check(key: &[u8], label: &[u8], said: &[u8], proof: &[u8]) -> Result<(), Failed> {
    let right = mac(key, label, said).verify_slice(proof);
    right.map_err(|_| Failed::Stranger("it does not know the secret"))
}
