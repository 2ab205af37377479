//! Two machines, as far as one can have them: network namespaces with a cable between them, which is pulled once.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::center::{Center, Cluster};
use super::certificates::{Authority, NOW};
use super::node::{Node, configure};
use crate::sim::random::Random;

const TOKEN: &str = "a-token-of-the-namespaces-test";

/// Two namespaces, each with a cable to the tests and one to the other; gone when dropped.
struct Machines {
    names: [String; 2],
    /// The first two numbers of every address.
    net: String,
}

impl Machines {
    /// `None` where the system does not permit it.
    fn new() -> Option<Machines> {
        let id = std::process::id();
        let net = format!("10.{}", 60 + id % 190);
        let names = ["a", "b"].map(|end| format!("hw{id}{end}"));
        let machines = Machines { names, net };
        let laid = (0..2).all(|n| machines.lay(n)) && machines.join();
        laid.then_some(machines)
    }

    /// Where process `process` is reached by the tests.
    fn outside(&self, process: usize, port: u16) -> SocketAddr {
        format!("{}.{process}.1:{port}", self.net).parse().unwrap()
    }

    /// Where the processes reach each other.
    fn inside(&self, process: usize, port: u16) -> SocketAddr {
        format!("{}.9.{}:{port}", self.net, process + 1).parse().unwrap()
    }

    fn lay(&self, n: usize) -> bool {
        let (name, net) = (&self.names[n], &self.net);
        let (near, far) = (format!("{name}0"), format!("{name}1"));
        ip(&format!("netns add {name}"))
            && ip(&format!("link add {near} type veth peer name {far} netns {name}"))
            && ip(&format!("address add {net}.{n}.254/24 dev {near}"))
            && ip(&format!("link set {near} up"))
            && ip(&format!("-n {name} address add {net}.{n}.1/24 dev {far}"))
            && ip(&format!("-n {name} link set {far} up"))
            && ip(&format!("-n {name} link set lo up"))
    }

    fn join(&self) -> bool {
        let [a, b] = &self.names;
        let end = |n: usize| {
            let (name, net) = (&self.names[n], &self.net);
            ip(&format!("-n {name} address add {net}.9.{}/24 dev cable", n + 1))
                && ip(&format!("-n {name} link set cable up"))
        };
        ip(&format!("-n {a} link add cable type veth peer name cable netns {b}"))
            && end(0)
            && end(1)
    }

    /// Pulls the cable between them, or puts it back.
    fn cable(&self, state: &str) {
        assert!(ip(&format!("-n {} link set cable {state}", self.names[0])), "the cable is ours");
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&format!("netns delete {name}"));
        }
    }
}

fn ip(arguments: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(arguments.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn two_machines_with_a_cable_that_is_pulled_show_what_one_process_does() {
    let Some(machines) = Machines::new() else {
        eprintln!(
            "SKIPPED: network namespaces need root and `ip`; a cluster over two was not tried"
        );
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("two machines");
    let hosts = [0, 1].map(|process| machines.inside(process, 2101));
    let node = |process: usize| {
        let http = machines.outside(process, 8080);
        let config = configure(dir.path(), process, http, hosts[process], &hosts);
        let tls = format!("tls{process}");
        authority.write(&dir.path().join(&tls), &[&hosts[process].ip().to_string()], NOW);
        let text = format!(
            "\n[cluster.tls]\ncertificate = \"{tls}/certificate.pem\"\nkey = \"{tls}/key.pem\"\nca = \"{tls}/ca.pem\"\n\
             [[http.tokens]]\nenv = \"HIGHWATER_TEST_TOKEN\"\nroles = [\"ingest\", \"read\"]\n"
        );
        let mut file = OpenOptions::new().append(true).open(&config).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Node::new(config, http, hosts[process]).within(&machines.names[process], TOKEN)
    };
    let nodes = vec![node(0), node(1)];
    let mut cluster = Cluster { dir: dir.path().to_owned(), nodes, proxies: Vec::new() };
    let center = Center::new(41);
    let mut random = Random::new(41);
    cluster.start(&[]);
    cluster.nodes.iter().for_each(Node::serves);
    for (n, body) in center.bodies(&mut random).iter().enumerate() {
        if n == 6 {
            machines.cable("down");
            cluster.nodes.iter().for_each(|node| node.says("lost another process"));
            machines.cable("up");
        }
        if n == 12 {
            cluster.nodes[0].signal("-KILL");
        }
        cluster.deliver_to(n % 2, body);
    }
    cluster.close();
    center.check(&cluster.shown(), 2, "two machines");
    cluster.stop();
}
