//! Restore drill: a backup taken from a running service, and one taken from a stopped one, against the live views.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use rusqlite::{Connection, OpenFlags};

use crate::crash::{Service, arrival, post};

const FROM_CHECKPOINT: &str = "going on from a checkpoint";

/// A configuration over the data in `data`, with the views at `views`.
fn configured(dir: &Path, name: &str, data: &Path, views: Option<&Path>) -> PathBuf {
    let sinks = views.map_or(String::new(), |it| format!("[sinks]\npath = '{}'\n", it.display()));
    let text = format!(
        "[service]\ndata_dir = '{}'\n[http]\nlisten = \"127.0.0.1:0\"\n{sinks}\
         [journal]\ncheckpoint_s = 1\n",
        data.display()
    );
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn highwater(arguments: &[&str]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_highwater")).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    said
}

fn back_up(data: &Path, to: &Path) {
    highwater(&[
        "journal",
        "backup",
        "--data",
        data.to_str().unwrap(),
        "--to",
        to.to_str().unwrap(),
    ]);
}

/// A replay of the configured journal, held against the configured views, row by row.
fn is_level(config: &Path) {
    let said = highwater(&["plan", "--config", config.to_str().unwrap()]);
    assert!(said.contains("Nothing would change"), "{said}");
}

fn arrivals(views: &Path) -> i64 {
    let views = Connection::open_with_flags(views, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sql = "SELECT coalesce(sum(arrivals), 0) FROM queue_interval";
    views.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn backup_and_replay_give_what_is_live() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let config = configured(dir.path(), "live.toml", &data, None);
    // The first life leaves a checkpoint, so that there is one to copy.
    let mut service = Service::start(&config);
    for n in 0..10 {
        assert_eq!(post(service.address, &arrival(0, n)).unwrap(), 202);
    }
    service.stop();

    let mut service = Service::start(&config);
    let (enough, accepted) = (AtomicBool::new(false), AtomicI64::new(10));
    let warm = dir.path().join("warm");
    let before = thread::scope(|scope| {
        scope.spawn(|| {
            while !enough.load(Ordering::SeqCst) {
                let n = accepted.load(Ordering::SeqCst);
                assert_eq!(post(service.address, &arrival(0, n)).unwrap(), 202);
                accepted.fetch_add(1, Ordering::SeqCst);
            }
        });
        while accepted.load(Ordering::SeqCst) < 40 {
            thread::yield_now();
        }
        let before = accepted.load(Ordering::SeqCst);
        back_up(&data, &warm);
        enough.store(true, Ordering::SeqCst);
        before
    });
    service.stop();
    let sent = accepted.load(Ordering::SeqCst);
    assert_eq!(arrivals(&data.join("views.sqlite")), sent);

    // Taken beside the running service: everything accepted before it began, and a start goes on from it.
    let restored = configured(dir.path(), "warm.toml", &warm, None);
    let mut service = Service::start(&restored);
    assert!(service.said.contains(FROM_CHECKPOINT), "{}", service.said);
    service.stop();
    is_level(&restored);
    let found = arrivals(&warm.join("views.sqlite"));
    assert!((before..=sent).contains(&found), "{found} of {before} before and {sent} in all");

    // Taken of the stopped one: a replay of its journal is what the live views hold, to the row.
    let cold = dir.path().join("cold");
    back_up(&data, &cold);
    let live = data.join("views.sqlite");
    is_level(&configured(dir.path(), "cold.toml", &cold, Some(&live)));
    // And from the journal alone.
    for lost in ["checkpoints", "views.sqlite"] {
        let lost = cold.join(lost);
        if lost.is_dir() { fs::remove_dir_all(lost) } else { fs::remove_file(lost) }.unwrap();
    }
    let restored = configured(dir.path(), "cold.toml", &cold, None);
    let mut service = Service::start(&restored);
    assert!(!service.said.contains(FROM_CHECKPOINT), "{}", service.said);
    service.stop();
    is_level(&restored);
    assert_eq!(arrivals(&cold.join("views.sqlite")), sent);
}
