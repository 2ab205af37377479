//! Certificates for tests: an authority of our own, signed on the spot, whatever tools are installed.
//!
//! X.509 (RFC 5280) with Ed25519 keys (RFC 8410), in the few lines of DER that it takes.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// When certificates are valid, as UTCTime.
pub(crate) type Span = (&'static str, &'static str);
pub(crate) const NOW: Span = ("200101000000Z", "491231235959Z");
pub(crate) const PAST: Span = ("200101000000Z", "210101000000Z");

/// Somebody who signs.
pub(crate) struct Authority {
    name: &'static str,
    pair: Ed25519KeyPair,
    certificate: Vec<u8>,
}

impl Authority {
    pub(crate) fn new(name: &'static str) -> Authority {
        let (pair, _) = pair();
        let critical = tlv(0x01, &[0xff]);
        let is_authority = tlv(0x04, &sequence(std::slice::from_ref(&critical)));
        let extension = sequence(&[oid(&[0x55, 0x1d, 0x13]), critical, is_authority]);
        let certificate =
            certificate(name, name, pair.public_key().as_ref(), NOW, extension, &pair);
        Authority { name, pair, certificate }
    }

    /// Writes `ca.pem`, `certificate.pem` and `key.pem` of somebody with these names into `dir`.
    pub(crate) fn write(&self, dir: &Path, names: &[&str], span: Span) {
        let (pair, key) = pair();
        let named = names.iter().map(|name| match name.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => tlv(0x87, &ip.octets()),
            Ok(IpAddr::V6(ip)) => tlv(0x87, &ip.octets()),
            Err(_) => tlv(0x82, name.as_bytes()),
        });
        let named = sequence(&named.collect::<Vec<_>>());
        let extension = sequence(&[oid(&[0x55, 0x1d, 0x11]), tlv(0x04, &named)]);
        let public = pair.public_key().as_ref();
        let own = certificate(self.name, names[0], public, span, extension, &self.pair);
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("ca.pem"), pem("CERTIFICATE", &self.certificate)).unwrap();
        fs::write(dir.join("certificate.pem"), pem("CERTIFICATE", &own)).unwrap();
        fs::write(dir.join("key.pem"), pem("PRIVATE KEY", &key)).unwrap();
    }
}

fn pair() -> (Ed25519KeyPair, Vec<u8>) {
    let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
    let bytes = document.as_ref().to_vec();
    (Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes).unwrap(), bytes)
}

fn certificate(
    issuer: &str,
    subject: &str,
    public: &[u8],
    (from, to): Span,
    extension: Vec<u8>,
    signer: &Ed25519KeyPair,
) -> Vec<u8> {
    let algorithm = sequence(&[oid(&[0x2b, 0x65, 0x70])]);
    let time = |text: &str| tlv(0x17, text.as_bytes());
    let to_sign = sequence(&[
        tlv(0xa0, &tlv(0x02, &[2])),
        tlv(0x02, &[1]),
        algorithm.clone(),
        name(issuer),
        sequence(&[time(from), time(to)]),
        name(subject),
        sequence(&[algorithm.clone(), bits(public)]),
        tlv(0xa3, &sequence(&[extension])),
    ]);
    let signature = bits(signer.sign(&to_sign).as_ref());
    sequence(&[to_sign, algorithm, signature])
}

fn name(text: &str) -> Vec<u8> {
    let common = sequence(&[oid(&[0x55, 0x04, 0x03]), tlv(0x0c, text.as_bytes())]);
    sequence(&[tlv(0x31, &common)])
}

fn oid(bytes: &[u8]) -> Vec<u8> {
    tlv(0x06, bytes)
}

fn bits(bytes: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], bytes].concat())
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// Tag, length, value. Nothing here is longer than 65,535 bytes.
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    let head = match value.len() {
        0..128 => vec![tag, length[1]],
        128..256 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [head, value.to_vec()].concat()
}

fn pem(label: &str, bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
