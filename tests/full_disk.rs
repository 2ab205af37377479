//! A full disk under the journal: 503, reads go on, nothing acknowledged is lost, and it is over when there is room.
//!
//! The disk is a small tmpfs in a mount namespace of the service's own; where that is not permitted, the test says so.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::crash::{Service, arrival, post};

/// How often a sender tries again, and for how long it does at most: five seconds.
const TRY_EVERY: Duration = Duration::from_millis(100);
const TRIES: usize = 50;

#[test]
fn a_full_disk_refuses_and_resumes_within_five_seconds() {
    let permitted = Command::new("unshare").args(["-Urm", "true"]).status();
    if !permitted.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: mount namespaces are not permitted here; a full disk was not tried");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let config = dir.path().join("run.toml");
    let text = format!(
        "[service]\ndata_dir = \"disk\"\n[http]\nlisten = \"127.0.0.1:0\"\n[sinks]\npath = \"{}\"\n",
        dir.path().join("views.sqlite").display()
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new("unshare");
    command.args([
        "-Urm",
        "sh",
        "-c",
        "mount -t tmpfs -o size=12m tmpfs \"$1\" && shift && exec \"$@\"",
        "sh",
    ]);
    command.arg(&disk).arg(env!("CARGO_BIN_EXE_highwater")).args(["run", "--config"]).arg(&config);
    let mut service = Service::of(command);

    // What the service sees, seen from outside.
    let ballast = PathBuf::from(format!("/proc/{}/root", service.pid()))
        .join(disk.strip_prefix("/").unwrap())
        .join("ballast");
    fs::write(&ballast, vec![0; 9 << 20]).unwrap();
    let batch =
        |n: i64| (n * 50..(n + 1) * 50).map(|n| arrival(0, n)).collect::<Vec<_>>().join("\n");
    let mut acknowledged = 0;
    while post(service.address, &batch(acknowledged)).unwrap() == 202 {
        acknowledged += 1;
        assert!(acknowledged < 2_000, "it never filled up");
    }
    assert_eq!(post(service.address, &batch(acknowledged)).unwrap(), 503, "it goes on refusing");
    assert!(TcpStream::connect(service.address).is_ok(), "and it goes on serving");

    fs::remove_file(&ballast).unwrap();
    let accepted = (0..TRIES).any(|_| {
        thread::sleep(TRY_EVERY);
        post(service.address, &batch(acknowledged)).unwrap() == 202
    });
    assert!(accepted, "it takes events in again within five seconds, without help");
    acknowledged += 1;
    service.stop();

    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let views = Connection::open_with_flags(dir.path().join("views.sqlite"), flags).unwrap();
    let sql = "SELECT coalesce(sum(arrivals), 0) FROM queue_interval";
    let arrivals: i64 = views.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(arrivals, acknowledged * 50, "everything acknowledged, once");
}
