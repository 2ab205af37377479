//! Encrypted connections: both ways at once, and what is said when certificates do not fit.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use highwater_dataflow::Clock as _;
use highwater_dataflow::Link as _;

use super::super::link::Link;
use super::super::tls::Tls;
use crate::clock::WallClock;
use crate::config::ClusterTls;
use certificates::{Authority, NOW, PAST};

#[path = "../../tests/cluster/certificates.rs"]
mod certificates;

const PATIENCE: Duration = Duration::from_secs(30);

fn tls(dir: &Path) -> Result<Tls, String> {
    let at = |name: &str| dir.join(name);
    let (certificate, key, ca) = (at("certificate.pem"), at("key.pem"), at("ca.pem"));
    let table = ClusterTls { certificate, key, ca, name: None };
    Tls::resolve(&table, Path::new("."), "127.0.0.1:2101", &|_| None)
}

/// Both ends of a connection, or what each of them says.
fn meet(answering: Tls, dialing: &Tls) -> (Result<Link, String>, Result<Link, String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let answer = thread::spawn(move || {
        let mut link = Link::new(listener.accept().unwrap().0).unwrap();
        let until = WallClock.instant() + PATIENCE;
        let sealed = answering.answer(&mut link, until, &WallClock);
        sealed.map(|()| link).map_err(|failed| failed.to_string())
    });
    let mut link = Link::new(TcpStream::connect(address).unwrap()).unwrap();
    let until = WallClock.instant() + PATIENCE;
    let sealed = dialing.dial(&mut link, "127.0.0.1:2101", until, &WallClock);
    let sealed = sealed.map(|()| link).map_err(|failed| failed.to_string());
    (answer.join().unwrap(), sealed)
}

#[test]
fn both_ends_write_at_once_what_the_network_cannot_hold() {
    const BYTES: usize = 24 << 20;
    let dir = tempfile::tempdir().unwrap();
    Authority::new("ours").write(dir.path(), &["127.0.0.1"], NOW);
    let tls = tls(dir.path()).unwrap();
    let (near, far) = meet(tls.clone(), &tls);
    let (near, far) = (near.unwrap().release().unwrap(), far.unwrap().release().unwrap());
    assert_eq!(near.binding(), far.binding());
    assert_ne!(near.binding(), &[0; super::BINDING_BYTES]);
    let value = |n: usize, salt: usize| (n.wrapping_mul(31).wrapping_add(salt) >> 3) as u8;
    let ends = [(near, 1, 2), (far, 2, 1)].map(|(link, says, hears)| {
        let mut writes = link.try_clone().unwrap();
        let mut reads = link;
        let writer = thread::spawn(move || {
            let all: Vec<u8> = (0..BYTES).map(|n| value(n, says)).collect();
            // Writes of many sizes, as they come.
            let mut rest = &all[..];
            let mut size = 1;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(size));
                writes.write_all(now).unwrap();
                (rest, size) = (later, (size * 7 + 1) % 200_000);
            }
            writes.flush().unwrap();
            writes.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            reads.read_to_end(&mut all).unwrap();
            assert_eq!(all.len(), BYTES);
            assert!(all.iter().enumerate().all(|(n, byte)| *byte == value(n, hears)));
        });
        (writer, reader)
    });
    for (writer, reader) in ends {
        writer.join().unwrap();
        reader.join().unwrap();
    }
}

#[test]
fn a_cut_is_told_from_an_end() {
    let dir = tempfile::tempdir().unwrap();
    Authority::new("ours").write(dir.path(), &["127.0.0.1"], NOW);
    let tls = tls(dir.path()).unwrap();
    let (near, far) = meet(tls.clone(), &tls);
    let (near, mut far) = (near.unwrap(), far.unwrap());
    near.close();
    let error = far.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn what_does_not_fit_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let make = |name: &str, authority: &Authority, names: &[&str], span| {
        let dir = dir.path().join(name);
        authority.write(&dir, names, span);
        tls(&dir)
    };
    let good = make("good", &ours, &["127.0.0.1", "localhost"], NOW).unwrap();
    let strange = make("strange", &other, &["127.0.0.1"], NOW).unwrap();
    let (near, far) = meet(good.clone(), &strange);
    let (near, far) = (near.unwrap_err(), far.unwrap_err());
    assert!(far.contains("another authority than cluster.tls.ca"), "{far}");
    assert!(near.contains("does not believe our certificate"), "{near}");

    let old = make("old", &ours, &["127.0.0.1"], PAST).unwrap_err();
    assert!(old.contains("ended at 2021-01-01T00:00:00.000Z; renew it"), "{old}");
    let elsewhere = make("elsewhere", &ours, &["10.1.2.3"], NOW).unwrap_err();
    assert!(elsewhere.contains("subject alternative name"), "{elsewhere}");
    std::fs::remove_file(dir.path().join("good/key.pem")).unwrap();
    let keyless = tls(&dir.path().join("good")).unwrap_err();
    assert!(keyless.contains("cluster.tls.key: cannot read"), "{keyless}");
}
