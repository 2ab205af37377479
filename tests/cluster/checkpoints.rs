//! A cluster goes on from the newest checkpoint that all processes have, and without a common one from its journals.

use std::fs;
use std::path::{Path, PathBuf};

use super::center::{Center, Cluster, unchanged};
use super::node::Node;
use crate::sim::random::Random;

const GOING_ON: &str = "going on from a checkpoint";

#[test]
fn a_start_goes_on_from_what_all_have_kept() {
    let dir = tempfile::tempdir().unwrap();
    let center = Center::new(31);
    let mut random = Random::new(31);
    let mut cluster = Cluster::new(dir.path(), 2);
    cluster.start(&[]);
    let bodies = center.bodies(&mut random);
    let (early, late) = bodies.split_at(bodies.len() / 2);
    for (n, body) in early.iter().enumerate() {
        cluster.deliver_to(n % 2, body);
    }
    // Told again until everybody has a checkpoint with all of it; what is told twice counts once.
    cluster.repeat_until(&early[0], |_| common(dir.path()).len() >= 2);
    cluster.nodes.iter_mut().for_each(Node::kill);
    cluster.start(&[]);
    cluster.nodes.iter().for_each(|node| node.says(GOING_ON));
    for (n, body) in late.iter().enumerate() {
        cluster.deliver_to(n % 2, body);
    }
    cluster.close();
    let shown = cluster.shown();
    center.check(&shown, 2, "from checkpoints");
    cluster.stop();

    // One damaged part: the checkpoint before it, or the journals.
    let newest = found(dir.path(), 1).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&newest, bytes).unwrap();
    cluster.start(&[]);
    cluster.nodes[1].says("checkpoint passed over");
    cluster.nodes[0].serves();
    unchanged(&shown, &cluster.shown(), "after a damaged part");
    cluster.stop();

    // Parts are of so many workers.
    cluster.start(&["--workers", "2"]);
    cluster.nodes[0].serves();
    assert!(!cluster.nodes[0].has_said(GOING_ON), "parts of one worker are not for two");
    unchanged(&shown, &cluster.shown(), "with two workers each");
    cluster.stop();

    // One process without any: all of them work off their journals.
    fs::remove_dir_all(dir.path().join("data1/checkpoints")).unwrap();
    cluster.start(&["--workers", "2"]);
    cluster.nodes[0].serves();
    assert!(!cluster.nodes[0].has_said(GOING_ON), "a part says nothing without the others");
    unchanged(&shown, &cluster.shown(), "without the checkpoints of one process");
    cluster.stop();
}

/// The checkpoints of a process, oldest first.
fn found(dir: &Path, process: usize) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir.join(format!("data{process}/checkpoints"))) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|it| it == "bin"));
    found.sort();
    found
}

/// The names of the checkpoints that both processes have.
fn common(dir: &Path) -> Vec<PathBuf> {
    let theirs: Vec<_> =
        found(dir, 1).iter().map(|it| it.file_name().unwrap().to_owned()).collect();
    let mut ours = found(dir, 0);
    ours.retain(|it| theirs.iter().any(|their| it.file_name() == Some(their)));
    ours
}
