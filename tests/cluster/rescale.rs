//! Other numbers of processes: the journals of those that are no more are given to others.

use std::process::Output;

use super::center::{Center, Cluster, unchanged};
use crate::sim::random::Random;

#[test]
fn fewer_and_more_processes_show_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let center = Center::new(11);
    let mut random = Random::new(11);
    let mut four = Cluster::new(dir.path(), 4);
    four.start(&[]);
    let bodies = center.bodies(&mut random);
    let (early, late) = bodies.split_at(bodies.len() / 2);
    for (n, body) in early.iter().enumerate() {
        four.deliver_to(n % 4, body);
    }
    four.stop();
    drop(four);
    let data = |n: usize| dir.path().join(format!("data{n}")).display().to_string();

    let mut two = Cluster::new(dir.path(), 2);
    // Without the journals of the other two it would be another history.
    let without: Vec<Output> = {
        let starts = two.nodes.iter().map(|node| node.command(&[]).spawn().unwrap());
        let starts: Vec<_> = starts.collect();
        starts.into_iter().map(|it| it.wait_with_output().unwrap()).collect()
    };
    for output in without {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("journal 2, 3 took part before"), "{said}");
    }
    two.nodes[0].start(&["--adopt", &data(3)]);
    two.nodes[1].start(&["--adopt", &data(2), "--workers", "1"]);
    for (n, body) in late.iter().enumerate() {
        two.deliver_to(n % 2, body);
    }
    // The partitions of those that are no more hold the watermark as long as they would have.
    two.stop();
    drop(two);

    let mut again = Cluster::new(dir.path(), 4);
    again.start(&["--workers", "2"]);
    again.close();
    let shown = again.shown();
    center.check(&shown, 4, "four, two, four");
    again.stop();
    drop(again);

    let mut one = Cluster::new(dir.path(), 1);
    one.nodes[0].start(&["--adopt", &data(1), "--adopt", &data(2), "--adopt", &data(3)]);
    one.nodes[0].serves();
    unchanged(&shown, &one.shown(), "one process with four journals");
    one.stop();
}
