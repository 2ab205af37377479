//! Strangers at the cluster's port: scans, silence, garbage and wrong secrets do nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::center::{Center, Cluster};
use super::node::Node;
use crate::sim::random::Random;

const ATTEMPTS: usize = 1_000;

#[test]
fn a_thousand_strangers_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let center = Center::new(3);
    let mut random = Random::new(3);
    let mut cluster = Cluster::new(dir.path(), 2);
    cluster.start(&[]);
    cluster.nodes.iter().for_each(Node::serves);
    let ports: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.port).collect();

    let bodies = center.bodies(&mut random);
    let (during, after) = bodies.split_at(bodies.len() / 2);
    let mut during = during.iter();
    let mut silent = Vec::new();
    for n in 0..ATTEMPTS {
        let port = ports[random.within(0, 2) as usize];
        match n % 5 {
            0 => scan(port),
            1 => silent.push(TcpStream::connect(port).unwrap()),
            2 => garbage(port, &mut random),
            3 => wrong_secret(port, &mut random),
            _ => half(port, &mut random),
        }
        if n % 50 == 0
            && let Some(body) = during.next()
        {
            cluster.deliver_to(n / 50 % 2, body);
        }
    }
    for body in during.chain(after) {
        cluster.deliver_to(0, body);
    }
    // Silence holds nothing: a process that comes back is let in.
    cluster.nodes[1].signal("-KILL");
    cluster.close();
    center.check(&cluster.shown(), 2, "among strangers");
    assert_eq!(cluster.nodes[1].lives(), 2, "no stranger ended a process");
    drop(silent);
    cluster.stop();
}

fn scan(port: SocketAddr) {
    drop(TcpStream::connect(port).unwrap());
}

fn garbage(port: SocketAddr, random: &mut Random) {
    let mut stream = TcpStream::connect(port).unwrap();
    let bytes: Vec<u8> = (0..random.within(1, 4_000)).map(|_| random.next() as u8).collect();
    // It may have been turned away already.
    let _ = stream.write_all(&bytes);
}

/// Everything is right but the proof; nothing is answered to it.
fn wrong_secret(port: SocketAddr, random: &mut Random) {
    let mut stream = TcpStream::connect(port).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut challenge = [0; 40];
    if stream.read_exact(&mut challenge).is_err() {
        return;
    }
    let mut answer = challenge[..8].to_vec();
    answer.extend([1, 0, 0, 0, random.within(0, 2) as u8]);
    answer.extend((0..64).map(|_| random.next() as u8));
    let _ = stream.write_all(&answer);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty(), "a stranger was told {rest:?}");
}

/// Begins well, and then says nothing.
fn half(port: SocketAddr, random: &mut Random) {
    let mut stream = TcpStream::connect(port).unwrap();
    let mut challenge = [0; 40];
    if stream.read_exact(&mut challenge).is_ok() {
        let _ = stream.write_all(&challenge[..random.within(1, 40) as usize]);
    }
    // Left open for the port to end; the handle is the system's to close with the test.
    std::mem::forget(stream);
}
