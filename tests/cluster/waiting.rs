//! Until all processes are there, the views are as they were: readable, and untouched.

use std::fs;
use std::path::Path;

use super::center::{Center, Cluster, unchanged};
use super::node::Node;
use crate::sim::random::Random;

const WAITS: &str = "waiting for the other processes";
const ANOTHER: &str = "a process has another version";

/// The bytes of the view database and of what lies beside it, but for the readers' shared memory.
fn bytes(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(dir.join("data0"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("views.sqlite"))
        .filter(|path| !path.to_string_lossy().ends_with("-shm"))
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        // An empty log says nothing.
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect();
    all.sort();
    all
}

#[test]
fn nothing_is_written_before_all_are_there_and_what_was_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let center = Center::new(53);
    let mut random = Random::new(53);
    let mut cluster = Cluster::new(dir.path(), 2);
    cluster.start(&[]);
    for (n, body) in center.bodies(&mut random).iter().enumerate() {
        cluster.deliver_to(n % 2, body);
    }
    cluster.close();
    let shown = cluster.shown();
    cluster.stop();
    let before = bytes(dir.path());

    // Other settings, which would make other rows: the other process does not have them.
    let config = dir.path().join("process0.toml");
    let text = fs::read_to_string(&config).unwrap();
    let other = text.replace("[queries]", "[queries]\nrolling_s = 900");
    assert_ne!(text, other);
    fs::write(&config, other).unwrap();
    cluster.start(&[]);
    cluster.nodes[0].says(ANOTHER);
    let asked = |head: &str| cluster.nodes[0].ask(head, "").unwrap();
    let (status, answer) = asked("GET /v1/views/queue_interval?limit=5");
    assert!(status == 200 && answer.contains("sales"), "{answer}");
    let (status, answer) = asked("GET /v1/status");
    assert!(status == 200 && answer.contains(r#""catching_up":true"#), "{answer}");
    let (status, answer) = asked("GET /readyz");
    assert!(status == 503 && answer.contains(WAITS), "{answer}");
    assert_eq!(asked("GET /healthz").0, 200);
    let (status, answer) = asked("POST /v1/events");
    assert!(status == 503 && answer.contains("retry-after"), "nobody is told to give up: {answer}");
    let (status, answer) = cluster.nodes[1].ask("GET /v1/views/queue_now", "").unwrap();
    assert!(status == 503 && answer.contains(WAITS), "who has the views is not known: {answer}");
    assert_eq!(cluster.nodes[1].ask("GET /readyz", "").unwrap().0, 503);
    assert!(bytes(dir.path()) == before, "the view database was written");
    cluster.nodes.iter_mut().for_each(Node::kill);
    assert!(bytes(dir.path()) == before, "the view database was written");

    // With the same settings again all is as it was.
    fs::write(&config, text).unwrap();
    cluster.start(&[]);
    cluster.nodes[0].serves();
    unchanged(&shown, &cluster.shown(), "after settings that did not fit");
    cluster.stop();
}
