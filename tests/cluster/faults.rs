//! Killed, stopped and continued, cut off, swallowed, restarted with other numbers: the views are those of one process.

use super::center::{Center, Cluster, unchanged};
use super::trouble::Trouble;
use crate::sim::random::Random;

/// The seeds to run, from the environment or a few.
fn seeds() -> Vec<u64> {
    let text = std::env::var("HIGHWATER_CLUSTER_SEEDS").unwrap_or_else(|_| "0..3".to_owned());
    let parse = |text: &str| text.trim().parse::<u64>().ok();
    let range = text.split_once("..").and_then(|(from, to)| Some(parse(from)?..parse(to)?));
    range.unwrap_or_else(|| panic!("HIGHWATER_CLUSTER_SEEDS={text}; write it as 0..300")).collect()
}

#[test]
fn whatever_happens_to_processes_and_network_the_views_are_those_of_one() {
    for seed in seeds() {
        eprintln!("seed {seed}");
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random::new(seed);
        let processes = if seed % 3 == 2 { 4 } else { 2 };
        let center = Center::new(seed);
        let mut cluster = Cluster::new(dir.path(), processes);
        cluster.start(&[]);
        let mut happened = Vec::new();
        let mut workers = "1";
        // Who is stopped or cut off now, and for how many more deliveries.
        let mut lasting: Option<(Trouble, usize, i64)> = None;
        for body in center.bodies(&mut random) {
            if let Some((_, _, left)) = &mut lasting {
                *left -= 1;
                if *left <= 0 {
                    relent(&mut lasting, &cluster);
                }
            } else if random.chance(20) {
                let trouble = *random.pick(PICKED);
                let most = if trouble.is_of_the_network() { processes - 1 } else { processes };
                let node = random.within(0, most as i64) as usize;
                happened.push((trouble, node));
                trouble.begin(&mut cluster, node, &mut workers);
                lasting = trouble.lasts().then(|| (trouble, node, random.within(1, 6)));
            }
            let copies = if random.chance(10) { 2 } else { 1 };
            for _ in 0..copies {
                // Nobody takes events while all wait for one: then it is time for it to come back.
                cluster.deliver(&mut random, &body, |cluster| relent(&mut lasting, cluster));
            }
        }
        relent(&mut lasting, &cluster);
        let what = format!("seed {seed}, {processes} processes, {happened:?}");
        cluster.close();
        let shown = cluster.shown();
        center.check(&shown, processes, &what);
        cluster.stop();
        cluster.start(&["--workers", if seed % 2 == 0 { "2" } else { "1" }]);
        cluster.nodes[0].serves();
        unchanged(&shown, &cluster.shown(), &what);
        cluster.stop();
    }
}

/// What is picked from: a kill twice as often.
const PICKED: &[Trouble] = &[
    Trouble::Killed,
    Trouble::Killed,
    Trouble::AllKilled,
    Trouble::Stopped,
    Trouble::Cut,
    Trouble::Swallowed,
    Trouble::Restarted,
];

/// Ends what lasts.
fn relent(lasting: &mut Option<(Trouble, usize, i64)>, cluster: &Cluster) {
    if let Some((trouble, node, _)) = lasting.take() {
        trouble.relent(cluster, node);
    }
}
