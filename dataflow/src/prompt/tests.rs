//! What timely gets to know of the epochs that a lone worker closes.

use std::sync::{Arc, Mutex};

use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::first_open;
use crate::edge::Direct;
use crate::graph::Graph;
use crate::runtime::{Batch, Options, Runtime};
use crate::signal::Signal;
use crate::time::{Epoch, EventTime};
use crate::view::{Commit, Stamps};

/// How the frontier of the input moved, as an operator behind it sees.
type Moves = Arc<Mutex<Vec<Epoch>>>;

/// Numbers come in; differential gets those from 100 on.
struct Bench {
    runtime: Runtime<u32>,
    commits: std::sync::mpsc::Receiver<Commit>,
    moves: Moves,
    /// The greatest number from 100 on, as it changes.
    greatest: Arc<Mutex<Vec<(u32, Epoch, isize)>>>,
}

impl Bench {
    fn start() -> Self {
        let (moves, greatest) = (Moves::default(), Arc::default());
        let (seen, said) = (Arc::clone(&moves), Arc::clone(&greatest));
        let build = move |graph: &mut Graph<'_, u32>| {
            let large = graph.input().filter(|number| *number >= 100).map(|number| ((), number));
            let largest = large.reduce("greatest", |(), numbers, out: &mut Vec<(u32, isize)>| {
                out.extend(numbers.last().map(|(number, _)| (**number, 1)));
            });
            let said: Arc<Mutex<Vec<(u32, Epoch, isize)>>> = Arc::clone(&said);
            graph.observe("greatest", largest.map(|((), number)| number), move |_, changes| {
                said.lock().unwrap().extend_from_slice(changes);
            });
            let rows = graph.input().stream();
            let mut builder = OperatorBuilder::new("Witness".to_owned(), rows.scope());
            let edge = Direct::from(&rows);
            let mut input = builder.new_input(rows, edge);
            let seen = Arc::clone(&seen);
            builder.build(move |_| {
                move |frontiers| {
                    input.for_each(|_, rows| rows.clear());
                    let (open, mut seen) = (first_open(frontiers), seen.lock().unwrap());
                    if seen.last() != Some(&open) {
                        seen.push(open);
                    }
                }
            });
        };
        let (runtime, commits) = Runtime::start(Options::default(), build);
        Bench { runtime, commits, moves, greatest }
    }

    /// An epoch of one number, closed.
    fn send(&self, epoch: Epoch, number: u32) {
        self.runtime.send(Batch {
            epoch,
            events: vec![number],
            signals: vec![Signal::Bound { partition: 0, bound: epoch as EventTime }],
            stamps: Arc::new(Stamps::default()),
        });
        let commit = self.commits.recv().expect("the worker lives");
        assert_eq!((commit.epoch, commit.watermark), (epoch, epoch as EventTime));
    }

    fn last_move(&self) -> Epoch {
        *self.moves.lock().unwrap().last().expect("it runs once at the start")
    }

    /// What was said of the greatest number since this was asked last.
    fn said(&self) -> Vec<(u32, Epoch, isize)> {
        std::mem::take(&mut *self.greatest.lock().unwrap())
    }
}

#[test]
fn timely_hears_of_the_epochs_in_which_differential_gets_rows() {
    let bench = Bench::start();
    for epoch in 1..=500 {
        bench.send(epoch, 7);
    }
    // At the start it hears, for constants, of as much as was fed by then.
    assert!(bench.last_move() <= 2, "of calm epochs nothing: {:?}", bench.moves);
    assert_eq!(bench.said(), []);

    bench.send(501, 100);
    assert_eq!(bench.last_move(), 502, "it had to know that the epoch is over");
    assert_eq!(bench.said(), [(100, 501, 1)]);

    for epoch in 502..=1_000 {
        bench.send(epoch, 8);
    }
    assert_eq!(bench.last_move(), 502, "calm again");
    bench.send(2_000, 200);
    bench.send(2_001, 150);
    assert_eq!(bench.last_move(), 2_002);
    assert_eq!(bench.said(), [(100, 2_000, -1), (200, 2_000, 1)]);
    assert!(bench.moves.lock().unwrap().len() < 20, "{:?}", bench.moves);
    bench.runtime.finish();
    assert_eq!(bench.commits.iter().count(), 0);
}

#[test]
fn what_waits_for_frontiers_closes_when_the_input_ends() {
    let bench = Bench::start();
    for epoch in 1..=3 {
        bench.send(epoch, 7);
    }
    let Bench { runtime, commits, moves, greatest } = bench;
    // Nobody waits for these: they close on the way out.
    for (epoch, number) in [(4, 300), (5, 7), (9, 400)] {
        let (signals, stamps) = (Vec::new(), Arc::new(Stamps::default()));
        runtime.send(Batch { epoch, events: vec![number], signals, stamps });
    }
    runtime.finish();
    assert_eq!(commits.iter().map(|commit| commit.epoch).collect::<Vec<_>>(), [4, 5, 9]);
    let mut said = std::mem::take(&mut *greatest.lock().unwrap());
    said.sort_by_key(|(_, epoch, diff)| (*epoch, *diff));
    assert_eq!(said, [(300, 4, 1), (300, 9, -1), (400, 9, 1)]);
    assert_eq!(moves.lock().unwrap().last(), Some(&Epoch::MAX));
}
