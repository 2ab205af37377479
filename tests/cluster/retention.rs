//! Retention: every process drops old segments of its journal, and what they said is still in every answer.

use std::fs;
use std::path::Path;

use super::center::{Center, Cluster, in_the_end};
use super::node::Node;
use crate::sim::random::Random;

const TRIMMED: &str = "journal trimmed";
const FROM_BASES: &str = "beginning with the base";
const GOING_ON: &str = "going on from a checkpoint";

/// A cluster whose segments are small and old soon.
fn forgetful(dir: &Path, processes: usize) -> Cluster {
    let cluster = Cluster::new(dir, processes);
    for process in 0..processes {
        let path = dir.join(format!("process{process}.toml"));
        let text = fs::read_to_string(&path).unwrap();
        let short = "checkpoint_s = 1\nsegment_mib = 0.01\nretain_days = 0.00001\n";
        let text = text.replace("checkpoint_s = 1\n", short);
        assert!(text.contains(short));
        fs::write(path, text).unwrap();
    }
    cluster
}

/// The epoch of a process's newest base.
fn newest_base(dir: &Path, process: usize) -> Option<String> {
    let entries = fs::read_dir(dir.join(format!("data{process}/base"))).ok()?;
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.contains("draft")).max()
}

/// Delivers each part, and goes on once every process has folded what was old then.
fn deliver(cluster: &Cluster, parts: &[&[String]]) {
    for part in parts {
        let all = 0..cluster.nodes.len();
        let before: Vec<_> =
            all.clone().map(|process| newest_base(&cluster.dir, process)).collect();
        for (n, body) in part.iter().enumerate() {
            cluster.deliver_to(n % cluster.nodes.len(), body);
        }
        cluster.repeat_until(&part[0], |cluster| {
            all.clone().all(|process| newest_base(&cluster.dir, process) > before[process])
        });
    }
}

#[test]
fn what_is_gone_from_every_journal_still_counts() {
    let dir = tempfile::tempdir().unwrap();
    let center = Center::new(41);
    let mut random = Random::new(41);
    let mut cluster = forgetful(dir.path(), 2);
    cluster.start(&[]);
    let bodies = center.bodies(&mut random);
    let parts: Vec<&[String]> = bodies.chunks(bodies.len().div_ceil(6)).collect();
    let (early, late) = parts.split_at(4);
    deliver(&cluster, early);
    cluster.repeat_until(&bodies[0], |it| it.nodes.iter().all(|node| node.has_said(TRIMMED)));
    cluster.nodes.iter_mut().for_each(Node::kill);

    // As it was: from checkpoints, whose journals need no beginning.
    cluster.start(&[]);
    cluster.nodes.iter().for_each(|node| node.says(GOING_ON));
    cluster.nodes[0].serves();
    cluster.nodes.iter_mut().for_each(Node::kill);

    // With other workers: from the bases, as of one epoch, and the journals after it.
    cluster.start(&["--workers", "2"]);
    cluster.nodes.iter().for_each(|node| node.says(FROM_BASES));
    for part in late {
        part.iter().enumerate().for_each(|(n, body)| cluster.deliver_to(n % 2, body));
    }
    cluster.close();
    let shown = cluster.shown();
    center.check(&shown, 2, "from bases");
    cluster.nodes.iter_mut().for_each(Node::kill);

    // A base tells at once what its journal told in its time: an alert is amended less often on the way to the same end.
    cluster.start(&["--workers", "1"]);
    cluster.nodes[1].says(FROM_BASES);
    cluster.nodes[0].serves();
    in_the_end(&shown, &cluster.shown(), "with one worker each, again");
    cluster.stop();

    // A new process has nothing to fold; the bases of the others do.
    drop(cluster);
    let mut three = forgetful(dir.path(), 3);
    three.start(&[]);
    three.nodes[0].serves();
    in_the_end(&shown, &three.shown(), "three processes");
    three.stop();
    drop(three);

    // One that has dropped its beginning cannot do without its bases, and says so. It changes nothing.
    fs::rename(dir.path().join("data1/base"), dir.path().join("away")).unwrap();
    let three = forgetful(dir.path(), 3);
    let starts = three.nodes.iter().map(|node| node.command(&["--workers", "3"]).spawn().unwrap());
    let starts: Vec<_> = starts.collect();
    for start in starts {
        let output = start.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("journal 1 begins with record"), "{said}");
        assert!(said.contains("restore the directory `base`"), "{said}");
    }
    drop(three);
    fs::rename(dir.path().join("away"), dir.path().join("data1/base")).unwrap();
    let mut three = forgetful(dir.path(), 3);
    three.start(&["--workers", "2"]);
    three.nodes[0].serves();
    in_the_end(&shown, &three.shown(), "with its bases again");
    three.stop();
}

#[test]
fn a_lone_process_that_has_dropped_its_beginning_becomes_one_of_two() {
    let dir = tempfile::tempdir().unwrap();
    let center = Center::new(43);
    let bodies = center.bodies(&mut Random::new(43));
    let parts: Vec<&[String]> = bodies.chunks(bodies.len().div_ceil(4)).collect();
    let (early, late) = parts.split_at(3);
    let mut one = forgetful(dir.path(), 1);
    one.start(&[]);
    deliver(&one, early);
    one.repeat_until(&bodies[0], |it| it.nodes[0].has_said(TRIMMED));
    one.stop();
    drop(one);

    let mut two = forgetful(dir.path(), 2);
    two.start(&["--workers", "2"]);
    two.nodes[0].says(FROM_BASES);
    for (n, body) in late.concat().iter().enumerate() {
        two.deliver_to(n % 2, body);
    }
    two.close();
    center.check(&two.shown(), 2, "one of two");
    two.stop();
}
