//! How commits reach the disk: SQLite syncs its logs by `fdatasync`, which spares a write of metadata per commit.

use std::fs;
use std::process::Command;

use crate::crash::arrival;

#[test]
fn logs_are_synced_by_fdatasync() {
    let traced = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).status();
    if !traced.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: strace cannot be used here; which syncs are asked for was not seen");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let events: Vec<String> = (0..50).map(|n| arrival(0, n)).collect();
    fs::write(path("events.jsonl"), events.join("\n")).unwrap();
    let ran = Command::new("strace")
        .args(["-f", "-y", "-qqq", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(path("syncs"))
        .arg(env!("CARGO_BIN_EXE_highwater"))
        .args(["replay", "--source", "file"])
        .arg(path("events.jsonl"))
        .arg("--data")
        .arg(path("data"))
        .arg("--views")
        .arg(path("views.sqlite"))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let syncs = fs::read_to_string(path("syncs")).unwrap();
    let of = |file: &str| {
        let (file, at) = (file.to_owned(), "-wal>");
        syncs.lines().filter(move |line| line.contains(&file) && line.contains(at))
    };
    for file in ["journal/frames-", "views.sqlite"] {
        assert!(of(file).count() > 0, "{file} was never synced:\n{syncs}");
        assert!(of(file).all(|line| line.contains(" fdatasync(")), "{syncs}");
    }
    let witness = |line: &&str| line.contains("journal/witness>") && line.contains(" fdatasync(");
    assert!(syncs.lines().filter(witness).count() > 0, "{syncs}");
}
