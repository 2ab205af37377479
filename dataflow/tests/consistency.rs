//! Internal consistency: money only moves, so at every closed epoch the balances add up to nothing, whatever is still
//! on its way.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use highwater_dataflow::view::Stamps;
use highwater_dataflow::window::{GlobalWindow, Sum};
use highwater_dataflow::{
    Batch, Epoch, EventTime, Graph, Options, Runtime, Signal, Table, Trigger,
};

const TRANSFERS: u64 = 100_000;
const ACCOUNTS: u64 = 10;
/// How long a transfer may be on its way, ms.
const DELAY: u64 = 10_000;

/// When, from which account, to which, and how much.
type Transfer = (EventTime, u32, u32, i64);

/// A small generator, so that seeds mean the same everywhere.
fn random(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
}

/// Transfers, one every 10 ms of event time, in the order of their arrival.
fn arrivals(seed: u64) -> Vec<(u64, Transfer)> {
    let mut state = seed;
    let mut arrivals: Vec<(u64, Transfer)> = (0..TRANSFERS)
        .map(|nth| {
            let at = nth * 10;
            let (from, to) = (random(&mut state, ACCOUNTS), random(&mut state, ACCOUNTS));
            let amount = random(&mut state, 1_000) as i64;
            let transfer = (at as EventTime, from as u32, to as u32, amount);
            (at + random(&mut state, DELAY + 1), transfer)
        })
        .collect();
    arrivals.sort_unstable();
    arrivals
}

/// What each account got, or gave: a sum that rides in the difference.
fn sums<'s>(name: &str, moves: Table<'s, (u32, (EventTime, i64))>) -> Table<'s, (u32, i64)> {
    let sums = moves.window_into(name, GlobalWindow).trigger(Trigger::Always).aggregate(Sum);
    sums.panes.map_values(|_, pane| pane.value)
}

#[derive(Default)]
struct Seen {
    balances: BTreeMap<u32, i64>,
    totals: Vec<(i64, isize)>,
    epochs: usize,
    changes: usize,
}

fn play(workers: usize, seed: u64) -> Seen {
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let shared = Arc::clone(&seen);
    let options = Options { workers, ..Options::default() };
    let (runtime, commits) = Runtime::start(options, move |graph: &mut Graph<'_, Transfer>| {
        // Every account is there from the beginning, with nothing moved.
        let opened = graph.constant((0..ACCOUNTS as u32).map(|account| (account, (0, 0))));
        let credits = graph.input().map(|(at, _, to, amount)| (to, (at, amount)));
        let debits = graph.input().map(|(at, from, _, amount)| (from, (at, amount)));
        let credits = sums("credits", opened.clone().concat(credits));
        let debits = sums("debits", opened.concat(debits));
        let balances = credits.join(debits, |account, got, gave| (*account, got - gave));
        let total = balances.clone().map(|(_, balance)| ((), balance)).reduce(
            "total",
            |(), balances, out: &mut Vec<(i64, isize)>| {
                let sum = balances.iter().map(|(balance, copies)| *balance * *copies as i64).sum();
                out.push((sum, 1));
            },
        );
        let seen = Arc::clone(&shared);
        graph.observe("balances", balances, move |epoch, changes| look(&seen, epoch, changes));
        // Every change of the total, also those that would cancel within an epoch.
        let seen = Arc::clone(&shared);
        let total = total.inspect(move |((), total), _, diff| {
            seen.lock().unwrap().totals.push((*total, diff));
        });
        graph.observe("total", total, |_, _| {});
    });
    let drained = std::thread::spawn(move || commits.iter().count());
    let (mut state, mut epoch) = (seed ^ 0x5EED, 0);
    let arrivals = arrivals(seed);
    let mut rest = arrivals.as_slice();
    while !rest.is_empty() {
        let count = (1 + random(&mut state, 700) as usize).min(rest.len());
        let (now, events) = rest.split_at(count);
        rest = events;
        epoch += 1_000;
        let bound = now[count - 1].0 as EventTime - DELAY as EventTime;
        runtime.send(Batch {
            epoch,
            events: now.iter().map(|(_, transfer)| *transfer).collect(),
            signals: vec![Signal::Bound { partition: 0, bound }],
            stamps: Arc::new(Stamps::default()),
        });
    }
    runtime.finish();
    assert_eq!(drained.join().unwrap() as u64, epoch / 1_000);
    std::mem::take(&mut *seen.lock().unwrap())
}

/// Applies an epoch's changes: every account keeps one balance, and together they are nothing.
fn look(seen: &Mutex<Seen>, epoch: Epoch, changes: &[((u32, i64), Epoch, isize)]) {
    let mut seen = seen.lock().unwrap();
    for ((account, balance), _, _) in changes.iter().filter(|(_, _, diff)| *diff < 0) {
        assert_eq!(seen.balances.remove(account), Some(*balance), "epoch {epoch}");
    }
    for ((account, balance), _, diff) in changes.iter().filter(|(_, _, diff)| *diff > 0) {
        assert_eq!(*diff, 1);
        assert_eq!(seen.balances.insert(*account, *balance), None, "epoch {epoch}");
    }
    assert_eq!(seen.balances.len() as u64, ACCOUNTS, "epoch {epoch}");
    assert_eq!(seen.balances.values().sum::<i64>(), 0, "epoch {epoch}");
    seen.epochs += 1;
    seen.changes += changes.len();
}

#[test]
fn balances_add_up_to_nothing_at_every_emitted_change() {
    let mut expected: BTreeMap<u32, i64> = (0..ACCOUNTS as u32).map(|it| (it, 0)).collect();
    for (_, (_, from, to, amount)) in arrivals(7) {
        *expected.get_mut(&from).unwrap() -= amount;
        *expected.get_mut(&to).unwrap() += amount;
    }
    for workers in [1, 2, 4] {
        let seen = play(workers, 7);
        assert!(seen.epochs > 100 && seen.changes > 1_000, "{} epochs", seen.epochs);
        assert_eq!(seen.balances, expected, "with {workers} workers");
        assert!(!seen.totals.is_empty());
        assert!(seen.totals.iter().all(|(total, _)| *total == 0), "with {workers} workers");
    }
}
