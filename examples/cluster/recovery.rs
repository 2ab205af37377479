//! A cluster that is killed, stopped, cut off and restarted, and how long it takes to come back.
//!
//! Every cycle is a cluster of its own, as it is run in earnest: processes with their supervisors, a proxy before the
//! port of each. Some of a seeded center's events are told; something happens to one process; the time runs until every
//! process has met all others again and takes events. Where it lasts (a process that is stopped, a network that swallows
//! what it is given), the others notice first, and the time runs from its end. Then the rest is told, and the views have
//! to be those that the independent oracles compute.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::rig::center::{Center, Cluster, now};
use crate::rig::node::Node;
use crate::rig::trouble::Trouble;
use crate::say;
use crate::sim::random::Random;

/// A cluster that takes longer to come back has failed.
const LONGEST: Duration = Duration::from_secs(30);
const COMPLETE: &str = "the cluster is complete";
const LOST: &str = "lost another process";

const EACH: [Trouble; 6] = [
    Trouble::Killed,
    Trouble::AllKilled,
    Trouble::Stopped,
    Trouble::Cut,
    Trouble::Swallowed,
    Trouble::Restarted,
];

/// Runs the cycles, and prints how long the recoveries took. Panics when an answer is wrong.
pub(crate) fn run(dir: &Path, processes: usize, cycles: u64, seed: u64) -> Result<()> {
    if processes < 2 {
        bail!("--processes {processes}: a cluster has 2 processes or more");
    }
    let mut took = Vec::new();
    for cycle in 0..cycles {
        let seed = seed.wrapping_add(cycle);
        let trouble = EACH[(seed % EACH.len() as u64) as usize];
        let dir = tempfile::tempdir_in(dir).context("cannot make a directory for a cycle")?;
        let recovery = one(dir.path(), processes, seed, trouble);
        say(&format!("seed {seed}: {trouble:?}, back after {} ms", recovery.as_millis()));
        took.push((recovery, seed, trouble));
    }
    took.sort_by_key(|(recovery, ..)| *recovery);
    let Some((longest, seed, trouble)) = took.last().copied() else { return Ok(()) };
    let middle = took[took.len() / 2].0;
    say(&format!(
        "{cycles} cycles, {processes} processes: answers equal the oracle's; recovery p50 {} ms, max {} ms",
        middle.as_millis(),
        longest.as_millis()
    ));
    if longest > LONGEST {
        bail!("seed {seed}, {trouble:?}: back after {longest:?}, and {LONGEST:?} is allowed");
    }
    Ok(())
}

fn one(dir: &Path, processes: usize, seed: u64, trouble: Trouble) -> Duration {
    let what = format!("seed {seed}, {processes} processes, {trouble:?}");
    let mut random = Random::new(seed);
    let center = Center::new(seed);
    let mut cluster = Cluster::new(dir, processes);
    cluster.start(&[]);
    cluster.nodes.iter().for_each(Node::serves);
    let mut bodies = center.bodies(&mut random);
    let cut = random.within(1, bodies.len() as i64) as usize;
    let late = bodies.split_off(cut);
    for (n, body) in bodies.iter().enumerate() {
        cluster.deliver_to(n % processes, body);
    }
    let most = if trouble.is_of_the_network() { processes - 1 } else { processes };
    let node = random.within(0, most as i64) as usize;
    let recovery = recover(&mut cluster, node, trouble, &late[0]);
    for (n, body) in late.iter().enumerate() {
        cluster.deliver_to(n % processes, body);
    }
    cluster.close();
    center.check(&cluster.shown(), processes, &what);
    cluster.stop();
    recovery
}

/// Lets it happen, and waits until everybody takes events again.
fn recover(cluster: &mut Cluster, node: usize, trouble: Trouble, body: &str) -> Duration {
    let count = |cluster: &Cluster, what| -> Vec<usize> {
        cluster.nodes.iter().map(|node| node.times(what)).collect()
    };
    let mut met = count(cluster, COMPLETE);
    let lost = count(cluster, LOST);
    let mut since = now();
    if trouble == Trouble::Restarted {
        cluster.stop();
        since = now();
        cluster.start(&["--workers", "2"]);
        met.fill(0);
    } else {
        trouble.begin(cluster, node, &mut "1");
    }
    if trouble == Trouble::AllKilled {
        met[node] = 0;
    }
    if trouble.lasts() {
        let others = cluster.nodes.iter().zip(&lost).enumerate().filter(|(n, _)| *n != node);
        others.for_each(|(_, (other, before))| other.says_times(LOST, before + 1));
        since = now();
        trouble.relent(cluster, node);
    }
    for (node, before) in cluster.nodes.iter().zip(&met) {
        node.says_times(COMPLETE, before + 1);
    }
    (0..cluster.nodes.len()).for_each(|node| cluster.deliver_to(node, body));
    since.elapsed()
}
