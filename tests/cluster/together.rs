//! Without any faults: two processes are as good as one.

use std::process::Command;

use super::center::{Center, Cluster, unchanged};
use super::node::Node;
use crate::sim::random::Random;

#[test]
fn two_processes_show_what_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let center = Center::new(7);
    let mut random = Random::new(7);
    let mut cluster = Cluster::new(dir.path(), 2);
    cluster.start(&[]);
    for (n, body) in center.bodies(&mut random).iter().enumerate() {
        cluster.deliver_to(n % 2, body);
        if n % 5 == 0 {
            // Told again, and to the other.
            cluster.deliver_to((n + 1) % 2, body);
        }
    }
    cluster.close();
    let shown = cluster.shown();
    center.check(&shown, 2, "two processes");
    assert!(!shown["duplicate_counts"].is_empty(), "duplicates are found across processes");

    let (status, answer) = cluster.nodes[1].ask("GET /v1/views/queue_now?limit=1", "").unwrap();
    let owner =
        format!("location: http://{}/v1/views/queue_now?limit=1\r\n", cluster.nodes[0].http);
    assert!(status == 307 && answer.contains(&owner), "{answer}");
    assert_eq!(cluster.nodes[1].ask("GET /healthz", "").unwrap().0, 200);

    cluster.stop();
    cluster.start(&["--workers", "2"]);
    cluster.nodes[0].serves();
    unchanged(&shown, &cluster.shown(), "after a restart with two workers each");
    cluster.stop();
}

/// What the program says about the data directory of a process, and whether all is well.
fn tool(cluster: &Cluster, process: usize, arguments: &[&str]) -> (bool, String) {
    let data = cluster.dir.join(format!("data{process}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    let output = command.args(arguments).arg("--data").arg(data).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn what_another_process_has_is_found_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(dir.path(), 2);
    cluster.start(&[]);
    cluster.nodes.iter().for_each(Node::serves);
    let body = r#"{"event_id":"no-event-at-all"}"#;
    let (_, answer) = cluster.nodes[1].ask("POST /v1/events", body).unwrap();
    // The first record of journal 1, as the view numbers it.
    let number = (1_u64 << 48 | 1).to_string();
    let (well, listed) = tool(&cluster, 1, &["dlq", "list"]);
    assert!(well && listed.contains(&number), "{answer}: {listed}");
    let (well, shown) = tool(&cluster, 1, &["dlq", "show", &number]);
    assert!(well && shown.contains("no-event-at-all"), "{shown}");
    let (well, elsewhere) = tool(&cluster, 0, &["dlq", "show", &number]);
    assert!(!well && elsewhere.contains("in the journal of process 1"), "{elsewhere}");
    let (well, elsewhere) = tool(&cluster, 1, &["dlq", "show", "1"]);
    assert!(!well && elsewhere.contains("in the journal of process 0"), "{elsewhere}");
    let (well, elsewhere) = tool(&cluster, 1, &["views"]);
    assert!(!well && elsewhere.contains("process 0 has the views"), "{elsewhere}");
    cluster.stop();
}

#[test]
fn the_second_supervisor_of_a_data_directory_exits() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(dir.path(), 2);
    cluster.start(&[]);
    cluster.nodes.iter().for_each(Node::serves);
    let second = cluster.nodes[0].command(&[]).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another supervisor has"), "{said}");
    // Without a supervisor it comes further, and the port or the journal turns it away.
    let third = cluster.nodes[0].command(&["--no-supervisor"]).output().unwrap();
    assert_eq!(third.status.code(), Some(1), "{}", String::from_utf8_lossy(&third.stderr));
    assert_eq!(cluster.nodes[0].lives(), 1, "the first goes on");
    cluster.stop();
}
