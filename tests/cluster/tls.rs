//! A cluster whose processes encrypt what they tell each other, and those who are not let in.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::center::{Center, Cluster};
use super::certificates::{Authority, NOW, PAST, Span};
use super::node::Node;
use crate::sim::random::Random;

/// Gives process `process` a certificate and the table that names it.
fn encrypt(dir: &Path, process: usize, authority: &Authority, span: Span) {
    authority.write(&dir.join(format!("tls{process}")), &["127.0.0.1"], span);
    let path = dir.join(format!("process{process}.toml"));
    let mut config = OpenOptions::new().append(true).open(path).unwrap();
    let table = format!(
        "\n[cluster.tls]\ncertificate = \"tls{process}/certificate.pem\"\nkey = \"tls{process}/key.pem\"\n\
         ca = \"tls{process}/ca.pem\"\n"
    );
    config.write_all(table.as_bytes()).unwrap();
}

#[test]
fn an_encrypted_cluster_shows_what_one_process_does() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("highwater test");
    let mut cluster = Cluster::new(dir.path(), 2);
    (0..2).for_each(|process| encrypt(dir.path(), process, &authority, NOW));
    let center = Center::new(21);
    let mut random = Random::new(21);
    cluster.start(&[]);
    cluster.nodes.iter().for_each(Node::serves);
    let bodies = center.bodies(&mut random);
    for (n, body) in bodies.iter().enumerate() {
        cluster.deliver_to(n % 2, body);
        match n {
            5 => cluster.nodes[1].signal("-KILL"),
            10 => cluster.proxies[0].cut(),
            15 => no_plain_text_and_nobody_without_a_certificate(&cluster, dir.path()),
            _ => {}
        }
    }
    assert!(bodies.len() > 15, "everything was tried");
    cluster.close();
    center.check(&cluster.shown(), 2, "encrypted");
    cluster.stop();
}

fn no_plain_text_and_nobody_without_a_certificate(cluster: &Cluster, dir: &Path) {
    let port = cluster.nodes[0].port;
    let connect = || {
        let stream = TcpStream::connect(port).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    let mut plain = connect();
    plain.write_all(b"hwclus02 and whatever a process without encryption would say").unwrap();
    let mut answer = Vec::new();
    // It may end with a reset: not all was read.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.windows(6).any(|it| it == b"hwclus"), "plain text was answered");

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("tls0/ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), "127.0.0.1".try_into().unwrap());
    let mut nobody = StreamOwned::new(session.unwrap(), connect());
    let refused = nobody.read(&mut [0; 40]).unwrap_err().to_string();
    assert!(refused.contains("CertificateRequired"), "{refused}");
}

#[test]
fn who_has_the_secret_and_another_authority_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(dir.path(), 2);
    encrypt(dir.path(), 0, &Authority::new("ours"), NOW);
    encrypt(dir.path(), 1, &Authority::new("theirs"), NOW);
    cluster.start(&[]);
    cluster.nodes[1].says("no encrypted connection to a process");
    cluster.nodes[1].says("let one authority sign those of all processes");
    cluster.nodes[0].says("turned a stranger away from the cluster port");
    cluster.nodes.iter_mut().for_each(Node::kill);
}

#[test]
fn who_does_not_encrypt_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(dir.path(), 2);
    encrypt(dir.path(), 1, &Authority::new("ours"), NOW);
    cluster.start(&[]);
    cluster.nodes[1].says("it does not speak TLS; give all processes the same [cluster.tls]");
    cluster.nodes[0].says("it speaks TLS, and this process does not");
    cluster.nodes.iter_mut().for_each(Node::kill);
}

#[test]
fn a_certificate_that_has_ended_stops_the_start_and_check_says_what_is_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::new(dir.path(), 2);
    encrypt(dir.path(), 0, &Authority::new("ours"), NOW);
    encrypt(dir.path(), 1, &Authority::new("ours"), PAST);
    let late = cluster.nodes[1].command(&[]).output().unwrap();
    let said = String::from_utf8_lossy(&late.stderr);
    assert_eq!(late.status.code(), Some(2), "{said}");
    assert!(said.contains("ended at 2021-01-01T00:00:00.000Z; renew it"), "{said}");
    let check = cluster.nodes[0].check();
    assert!(check.contains("encrypted (TLS 1.3, certificates of both)"), "{check}");
}
