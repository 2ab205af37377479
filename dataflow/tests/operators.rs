//! Operators by the script: what each says step by step, late input and retractions included.

use highwater_dataflow::testing::{Bench, Step, run};
use highwater_dataflow::{FOREVER, Millis, Pattern, Point, Sequence, Table};

type Said = (u32, (i64, String));

/// At an instant, a letter.
fn point(at: i64, letter: &str) -> (u32, Point<String>) {
    (1, Point { at, value: letter.to_owned(), seq: 0 })
}

/// Who began a sequence and when, and when it ended.
type Found = (i64, i64);

/// A, then B within 10, without C between.
fn a_then_b(points: Table<'_, (u32, Point<String>)>) -> Table<'_, Found> {
    let pattern = Pattern::new(10, |it: &String| it == "a", |it: &String| it == "b");
    let pattern = pattern.unless(|it| it == "c");
    points
        .sequences("a then b", pattern, 100)
        .map(|(_, Sequence { first, then })| (first.at, then.at))
}

#[test]
fn a_sequence_is_this_then_that_soon_enough_and_nothing_forbidden_between() {
    run(
        2,
        a_then_b,
        [
            Step::Add(vec![point(0, "a"), point(11, "b"), point(20, "a"), point(30, "b")]),
            Step::Expect(vec![((20, 30), 1)]),
            // Earlier ends win, late as they come; those before the beginning and at its instant do not count.
            Step::Add(vec![point(20, "b"), point(19, "b")]),
            Step::Expect(vec![]),
            Step::Add(vec![point(25, "b")]),
            Step::Expect(vec![((20, 25), 1), ((20, 30), -1)]),
            // What is forbidden takes it back, and gives it back when it goes.
            Step::Add(vec![point(22, "c")]),
            Step::Expect(vec![((20, 25), -1)]),
            Step::Add(vec![point(23, "a")]),
            Step::Expect(vec![((23, 25), 1)]),
            Step::Remove(vec![point(22, "c")]),
            Step::Expect(vec![((20, 25), 1)]),
            // At the instant of either end it is not between them.
            Step::Add(vec![point(20, "c"), point(25, "c")]),
            Step::Expect(vec![]),
            Step::Remove(vec![point(20, "a")]),
            Step::Expect(vec![((20, 25), -1)]),
        ],
    );
}

#[test]
fn sequences_before_the_horizon_stay_and_leave_memory() {
    run(
        1,
        a_then_b,
        [
            Step::Add(vec![point(0, "a"), point(5, "b")]),
            Step::Expect(vec![((0, 5), 1)]),
            Step::Watermark(110),
            Step::Add(vec![point(3, "c")]),
            Step::Expect(vec![((0, 5), -1)]),
            Step::Remove(vec![point(3, "c")]),
            Step::Expect(vec![((0, 5), 1)]),
            Step::Watermark(116),
            Step::Add(vec![point(3, "c")]),
            Step::Remove(vec![point(0, "a")]),
            Step::Watermark(FOREVER),
            Step::Expect(vec![]),
            Step::Table(vec![(0, 5)]),
        ],
    );
}

#[test]
fn sequences_do_not_depend_on_arrival() {
    // All orders of arrival of a small history lead to the same rows.
    let history = [(0, "a"), (2, "c"), (4, "a"), (7, "b"), (9, "b"), (13, "b"), (21, "a")];
    let mut bench = Bench::start(1, a_then_b);
    bench.add(history.iter().map(|&(at, letter)| point(at, letter)));
    let whole = bench.rows();
    assert_eq!(whole, [(4, 7)]);
    bench.finish();
    for seed in 0..40_usize {
        let mut bench = Bench::start(1, a_then_b);
        let mut order: Vec<usize> = (0..history.len()).collect();
        order.sort_by_key(|nth| {
            (nth + 1).wrapping_mul(2 * seed + 3).wrapping_mul(0x9E37_79B9) % 1009
        });
        for nth in order {
            bench.add([point(history[nth].0, history[nth].1)]);
        }
        assert_eq!(bench.rows(), whole, "seed {seed}");
        bench.finish();
    }
}

const HORIZON: Millis = 50;

fn first_of_each(rows: Table<'_, Said>) -> Table<'_, (bool, Said)> {
    let (first, copies) = rows.dedup("first", HORIZON, |(id, (at, _))| (*id, *at));
    first.map(|row| (true, row)).concat(copies.map(|row| (false, row)))
}

#[test]
fn an_identity_counts_once_until_the_horizon_is_past() {
    let row = |id: u32, at: i64, text: &str| (id, (at, text.to_owned()));
    run(
        2,
        first_of_each,
        [
            // Of an epoch's rows the smallest is the first, whatever came first.
            Step::Add(vec![row(1, 10, "y"), row(1, 10, "x"), row(2, 10, "z")]),
            Step::Expect(vec![
                ((false, row(1, 10, "y")), 1),
                ((true, row(1, 10, "x")), 1),
                ((true, row(2, 10, "z")), 1),
            ]),
            Step::Watermark(59),
            Step::Add(vec![row(1, 10, "w"), row(3, 58, "v"), row(3, 58, "v")]),
            Step::Expect(vec![
                ((false, row(1, 10, "w")), 1),
                ((false, row(3, 58, "v")), 1),
                ((true, row(3, 58, "v")), 1),
            ]),
            Step::Watermark(60),
            Step::Add(vec![row(1, 70, "u")]),
            Step::Expect(vec![((true, row(1, 70, "u")), 1)]),
        ],
    );
}
