//! The deployment examples: they parse, agree with each other, and the program understands their command lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::certificates::{Authority, NOW};
use crate::tidy::{read, root};

fn deploy(name: &str) -> PathBuf {
    root().join("docs/deploy").join(name)
}

/// Lets the program resolve a command line, with the configuration taken from the repository and certificates as it
/// asks for.
fn check(arguments: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("highwater.toml");
    for name in ["highwater.toml", "hosts"] {
        fs::copy(deploy(name), dir.path().join(name)).unwrap();
    }
    let hosts = read("docs/deploy/hosts");
    let hosts = hosts.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<&str> = hosts.map(|line| line.split_once(':').unwrap().0).collect();
    let tls = dir.path().join("tls");
    Authority::new("deployment").write(&tls, &names, NOW);
    for (made, asked) in
        [("certificate.pem", "tls.crt"), ("key.pem", "tls.key"), ("ca.pem", "ca.crt")]
    {
        fs::rename(tls.join(made), tls.join(asked)).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    command.arg("check");
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        command.arg(argument);
        if *argument == "--config" {
            let there = arguments.next().unwrap();
            assert_eq!(Path::new(there).file_name(), config.file_name(), "{there}");
            command.arg(&config);
        }
    }
    let secrets = ["HIGHWATER_INGEST_TOKEN", "HIGHWATER_READ_TOKEN", "HIGHWATER_CLUSTER_SECRET"];
    for (n, name) in secrets.iter().enumerate() {
        command.env(name, format!("{n}-a-secret-of-more-than-24-bytes"));
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    let plan = String::from_utf8_lossy(&output.stdout);
    assert!(plan.contains("process 2 of 3, listening on 0.0.0.0:2101"), "{plan}");
    assert_eq!(plan.matches("encrypted (TLS 1.3").count(), 2, "{plan}");
}

#[test]
fn the_unit_is_one_and_its_command_is_understood() {
    let text = read("docs/deploy/highwater@.service");
    let mut section = "";
    let mut entries = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else {
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{line}"));
            entries.push((section, key, value));
        }
    }
    let value = |section, key| {
        let found = entries.iter().find(|(s, k, _)| (*s, *k) == (section, key));
        found.unwrap_or_else(|| panic!("[{section}] {key}")).2
    };
    assert!(entries.iter().all(|(s, ..)| matches!(*s, "Unit" | "Service" | "Install")));
    // A lost peer ends the process with a code that must be followed by a start, however often.
    assert_eq!(value("Service", "Restart"), "always");
    assert_eq!(value("Unit", "StartLimitIntervalSec"), "0");
    assert_eq!(value("Service", "RestartPreventExitStatus"), "2");
    assert_eq!(value("Service", "KillSignal"), "SIGTERM");
    let credential = value("Service", "LoadCredential").split_once(':').unwrap();
    let key: toml::Table = read("docs/deploy/highwater.toml").parse().unwrap();
    let key = key["cluster"]["tls"]["key"].as_str().unwrap();
    assert_eq!(credential, ("tls.key", &*format!("/etc/highwater/{key}")));
    let command = value("Service", "ExecStart").replace("%i", "2");
    let words: Vec<&str> = command.split(' ').collect();
    assert_eq!(words[..2], ["/usr/bin/highwater", "run"]);
    assert!(words.contains(&"--no-supervisor"), "systemd is the supervisor");
    check(&words[2..]);
}

#[test]
fn the_stateful_set_agrees_with_the_configuration() {
    let text = read("docs/deploy/kubernetes.yaml");
    assert!(!text.contains('\t'), "YAML is indented with blanks");
    let documents: Vec<&str> = text.split("\n---\n").collect();
    let kind = |kind: &str| {
        let line = format!("kind: {kind}");
        let found = documents.iter().find(|it| it.lines().any(|l| l == line));
        *found.unwrap_or_else(|| panic!("no {kind}"))
    };
    let has = |document: &str, line: &str| {
        let found = document.lines().any(|it| it.trim().trim_start_matches("- ") == line);
        assert!(found, "{line} is missing");
    };
    let peers = documents[0];
    for line in ["kind: Service", "name: highwater-peers", "clusterIP: None"] {
        has(peers, line);
    }
    has(peers, "publishNotReadyAddresses: true");
    let set = kind("StatefulSet");
    for line in ["serviceName: highwater-peers", "podManagementPolicy: Parallel"] {
        has(set, line);
    }
    for line in ["path: /readyz", "containerPort: 8080", "containerPort: 2101"] {
        has(set, line);
    }
    has(kind("NetworkPolicy"), "port: 2101");
    for line in ["mountPath: /etc/highwater/tls", "secretName: highwater-tls"] {
        has(set, line);
    }

    let config: toml::Table = read("docs/deploy/highwater.toml").parse().unwrap();
    let processes = config["cluster"]["processes"].as_integer().unwrap();
    has(set, &format!("replicas: {processes}"));
    has(set, &format!("mountPath: {}", config["service"]["data_dir"].as_str().unwrap()));
    let hosts = read("docs/deploy/hosts");
    let hosts: Vec<&str> = hosts.lines().filter(|line| !line.starts_with('#')).collect();
    let named: Vec<String> =
        (0..processes).map(|n| format!("highwater-{n}.highwater-peers:2101")).collect();
    assert_eq!(hosts, named, "pods of the set, by the name of its service");

    let line = set.lines().find(|line| line.contains("exec highwater run")).unwrap();
    let (_, arguments) = line.split_once("exec highwater run ").unwrap();
    let arguments = arguments.replace("\"${HOSTNAME##*-}\"", "2");
    check(&arguments.split(' ').collect::<Vec<_>>());
}
