//! `highwater why` asks a running service, and tells in sentences what a view waits for.

use std::process::{Command, Output};

use crate::crash::{Service, arrival, post};

fn why(service: &Service, words: &[&str]) -> Output {
    let url = format!("http://{}", service.address);
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    command.arg("why").args(words).args(["--url", &url]).output().unwrap()
}

#[test]
fn a_running_service_says_what_a_view_waits_for() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("highwater.toml");
    std::fs::write(&config, "[http]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let mut service = Service::start(&config);

    let before = String::from_utf8(why(&service, &["queue_now"]).stdout).unwrap();
    assert!(before.starts_with("queue_now follows every event at once"), "{before}");
    assert!(before.contains("No source has said anything yet"), "{before}");

    assert_eq!(post(service.address, &arrival(1, 1)).unwrap(), 202);
    let after = String::from_utf8(why(&service, &["queue_interval", "queue-1"]).stdout).unwrap();
    assert!(after.starts_with("queue_interval of queue-1: "), "{after}");

    let unknown = why(&service, &["queue_future"]);
    assert_eq!(unknown.status.code(), Some(1));
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(said.contains("there is no view `queue_future`"), "{said}");
    service.stop();
}
