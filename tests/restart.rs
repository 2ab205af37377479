//! Restarts: from a checkpoint, from a damaged one, after a change of settings, over a part of the journal; and that
//! whichever way it went, the views are what a replay of the journal gives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::{Connection, OpenFlags};

use crate::crash::{Service, arrival, post};

const CONFIG: &str = "[service]\ndata_dir = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
const FROM_CHECKPOINT: &str = "going on from a checkpoint";
const PASSED_OVER: &str = "checkpoint passed over";

/// A deployment in a directory of its own.
struct Deployment {
    dir: tempfile::TempDir,
    sent: i64,
}

impl Deployment {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("run.toml"), CONFIG).unwrap();
        Deployment { dir, sent: 0 }
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("run.toml")
    }

    fn start(&self) -> Service {
        Service::start(&self.config())
    }

    /// Sends `n` arrivals, the last one twice.
    fn send(&mut self, service: &Service, n: i64) {
        let events: Vec<String> = (self.sent..self.sent + n).map(|n| arrival(0, n)).collect();
        for batch in events.chunks(7) {
            assert_eq!(post(service.address, &batch.join("\n")).unwrap(), 202);
        }
        assert_eq!(post(service.address, events.last().unwrap()).unwrap(), 202);
        self.sent += n;
    }

    /// The checkpoints, oldest first.
    fn checkpoints(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("data/checkpoints")).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    fn views(&self) -> PathBuf {
        self.dir.path().join("data/views.sqlite")
    }

    /// What `highwater plan` says of the views as they are: a replay of the whole journal, held against them.
    fn plan(&self) -> String {
        ran(Command::new(env!("CARGO_BIN_EXE_highwater"))
            .args(["plan", "--config"])
            .arg(self.config()))
    }

    fn is_level(&self) {
        let said = self.plan();
        assert!(said.contains("Nothing would change"), "{said}");
        assert_eq!(arrivals(&self.views()), self.sent);
    }
}

fn ran(command: &mut Command) -> String {
    let ran = command.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    said
}

fn arrivals(views: &Path) -> i64 {
    let views = Connection::open_with_flags(views, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sql = "SELECT coalesce(sum(arrivals), 0) FROM queue_interval";
    views.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_restart_goes_on_from_a_checkpoint_whether_it_ended_or_was_killed() {
    let mut deployment = Deployment::new();
    let mut service = deployment.start();
    assert!(!service.said.contains(FROM_CHECKPOINT), "{}", service.said);
    deployment.send(&service, 40);
    service.stop();
    assert_eq!(deployment.checkpoints().len(), 1, "one is taken at the end");

    let mut service = deployment.start();
    assert!(service.said.contains(FROM_CHECKPOINT), "{}", service.said);
    deployment.send(&service, 30);
    service.kill();

    let mut service = deployment.start();
    assert!(service.said.contains(FROM_CHECKPOINT), "{}", service.said);
    deployment.send(&service, 20);
    service.stop();
    deployment.is_level();
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_older_one_and_then_to_the_journal() {
    let mut deployment = Deployment::new();
    for _ in 0..3 {
        let mut service = deployment.start();
        deployment.send(&service, 15);
        service.stop();
    }
    let checkpoints = deployment.checkpoints();
    assert_eq!(checkpoints.len(), 2, "two are kept");
    damage(&checkpoints[1]);
    let mut service = deployment.start();
    assert!(service.said.contains(PASSED_OVER), "{}", service.said);
    assert!(service.said.contains(FROM_CHECKPOINT), "{}", service.said);
    service.stop();
    deployment.is_level();

    deployment.checkpoints().iter().for_each(|path| damage(path));
    let mut service = deployment.start();
    assert!(!service.said.contains(FROM_CHECKPOINT), "{}", service.said);
    deployment.send(&service, 5);
    service.stop();
    deployment.is_level();
}

/// Restore drill: a backup of the journal alone gives the views back.
#[test]
fn lost_views_come_back_from_the_journal() {
    let mut deployment = Deployment::new();
    let mut service = deployment.start();
    deployment.send(&service, 40);
    service.stop();
    fs::remove_file(deployment.views()).unwrap();
    let mut service = deployment.start();
    assert!(!service.said.contains(FROM_CHECKPOINT), "{}", service.said);
    service.stop();
    deployment.is_level();
}

#[test]
fn a_change_of_settings_is_told_beforehand_and_applied() {
    let mut deployment = Deployment::new();
    let mut service = deployment.start();
    deployment.send(&service, 40);
    service.stop();
    fs::write(deployment.config(), format!("{CONFIG}[queries]\ninterval_s = 60\n")).unwrap();
    let said = deployment.plan();
    let line = said.lines().find(|line| line.starts_with("queue_interval")).unwrap();
    let figures: Vec<i64> =
        line.split_whitespace().skip(1).map(|figure| figure.parse().unwrap()).collect();
    // In the first minute of a quarter of an hour its row changes; in any other one takes its place.
    assert!(figures.iter().sum::<i64>() > 0, "the change is told: {said}");
    assert!(said.contains("would do this"), "{said}");
    assert_eq!(arrivals(&deployment.views()), 40, "a plan changes nothing");

    let mut service = deployment.start();
    assert!(!service.said.contains(FROM_CHECKPOINT), "{}", service.said);
    service.stop();
    deployment.is_level();
}

#[test]
fn a_query_runs_over_a_part_of_the_journal_beside_the_service() {
    let mut deployment = Deployment::new();
    let mut service = deployment.start();
    deployment.send(&service, 25);
    let into = deployment.dir.path().join("stretch.sqlite");
    let replay = |from: &str, to: &str| {
        ran(Command::new(env!("CARGO_BIN_EXE_highwater"))
            .args(["replay", "--from", from, "--to", to, "--query", "queue_interval", "--data"])
            .arg(deployment.dir.path().join("data"))
            .arg("--into")
            .arg(&into))
    };
    replay("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z");
    assert_eq!(arrivals(&into), 25);
    let views = Connection::open_with_flags(&into, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let open = "SELECT count(*) FROM queue_interval WHERE status <> 'final'";
    assert_eq!(views.query_row(open, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    drop(views);
    replay("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z");
    assert_eq!(arrivals(&into), 0, "it converges to the stretch asked for last");
    service.stop();
    deployment.is_level();
}
