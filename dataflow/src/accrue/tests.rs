//! What accrual promises, on a beat of 5 and windows of 10.

use super::*;
use crate::testing::Bench;

const PACE: Pace = Pace { every: 5, horizon: 40, reach: 1_000 };

fn tens(at: EventTime) -> Window {
    let start = at.div_euclid(10) * 10;
    Window { start, end: start + 10 }
}

type Amount = (EventTime, i64, Option<i64>, RowStatus);

const OPEN: RowStatus = RowStatus::Open;
const CLOSING: RowStatus = RowStatus::Closing;
const FINAL: RowStatus = RowStatus::Final;

fn bench(workers: usize) -> Bench<(u64, Span<i64>), Amount> {
    Bench::start(workers, |spans| {
        let accrued = spans.accrue("time", PACE, |_, at| tens(at), |rate| *rate);
        accrued.rows.map(|(_, row)| (row.window.start, row.value, row.published, row.status))
    })
}

fn span(from: EventTime, to: EventTime, seq: u64) -> (u64, Span<i64>) {
    (7, Span { from, to, value: 1, seq })
}

#[test]
fn an_open_span_grows_on_the_beat_and_is_split_where_windows_meet() {
    for workers in [1, 2] {
        let mut bench = bench(workers);
        assert_eq!(bench.add([span(3, FOREVER, 1)]), []);
        assert_eq!(bench.watermark(9), [((0, 2, None, OPEN), 1)]);
        // Between two beats nothing is told.
        assert_eq!(bench.watermark(9), []);
        bench.watermark(26);
        let closed = (0, 7, Some(7), CLOSING);
        let rows = vec![closed, (10, 10, Some(10), CLOSING), (20, 5, None, OPEN)];
        assert_eq!(bench.rows(), rows);
        bench.finish();
    }
}

#[test]
fn a_late_end_corrects_what_was_published_and_keeps_it() {
    let mut bench = bench(1);
    bench.add([span(3, FOREVER, 1)]);
    bench.watermark(25);
    let told = bench.change([(span(3, FOREVER, 1), -1), (span(3, 12, 1), 1)]);
    assert_eq!(
        told,
        [
            ((10, 2, Some(10), CLOSING), 1),
            ((10, 10, Some(10), CLOSING), -1),
            ((20, 5, None, OPEN), -1)
        ]
    );
    // An end ahead of the beat costs no row.
    bench.change([(span(3, 12, 1), -1), (span(3, 28, 1), 1)]);
    assert_eq!(bench.change([(span(3, 28, 1), -1), (span(3, 27, 1), 1)]), []);
    bench.watermark(30);
    assert_eq!(bench.rows()[2], (20, 7, Some(7), CLOSING));
    bench.finish();
}

#[test]
fn final_windows_stay_and_the_end_of_input_ends_the_count() {
    let mut bench = bench(1);
    bench.add([span(3, 8, 1), span(55, FOREVER, 2)]);
    bench.watermark(50);
    assert_eq!(bench.rows(), [(0, 5, Some(5), FINAL)]);
    assert_eq!(bench.remove([span(3, 8, 1)]), []);
    bench.watermark(58);
    assert_eq!(bench.watermark(FOREVER), []);
    bench.finish();
    let mut bench = self::bench(1);
    bench.add([span(50, FOREVER, 2)]);
    bench.watermark(58);
    bench.watermark(FOREVER);
    assert_eq!(bench.rows(), [(50, 5, Some(5), FINAL)]);
    bench.finish();
}

#[test]
fn a_leap_of_the_watermark_fills_no_more_than_its_reach() {
    let mut bench = bench(1);
    bench.add([span(0, FOREVER, 1)]);
    bench.watermark(1_000_000);
    assert_eq!(bench.rows().len(), 100);
    bench.finish();
}

#[test]
fn overlapping_spans_add_up_and_nothing_leaves_no_row() {
    let mut bench = bench(2);
    bench.add([span(0, 10, 1), span(5, 10, 2)]);
    bench.watermark(10);
    assert_eq!(bench.rows(), [(0, 15, Some(15), CLOSING)]);
    bench.remove([span(0, 10, 1), span(5, 10, 2)]);
    assert_eq!(bench.rows(), [(0, 0, Some(15), CLOSING)]);
    bench.finish();
}

#[test]
fn corrections_name_the_record_that_came() {
    let mut bench: Bench<(u64, Span<i64>), (EventTime, i64, i64, Option<u64>)> =
        Bench::start(1, |spans: Table<'_, (u64, Span<i64>)>| {
            let accrued = spans.accrue("time", PACE, |_, at| tens(at), |rate| *rate);
            accrued.corrections.map(|(_, c)| (c.window.start, c.before, c.after, c.cause))
        });
    bench.add([span(3, FOREVER, 1)]);
    assert_eq!(bench.watermark(25), []);
    let off = |from, to, seq| (7, Span { from, to, value: 0, seq });
    let told =
        bench.change([(span(3, FOREVER, 1), -1), (span(3, 12, 1), 1), (off(12, FOREVER, 9), 1)]);
    assert_eq!(told, [((10, 10, 2, Some(9)), 1)]);
    bench.finish();
}

#[test]
fn rows_are_the_same_for_any_cut_into_epochs() {
    let spans: Vec<_> = (0..40).map(|n| span(n * 7 % 90, n * 7 % 90 + n, n as u64)).collect();
    let run = |size: usize, workers| {
        let mut bench = bench(workers);
        for (nth, part) in spans.chunks(size).enumerate() {
            bench.add(part.to_vec());
            bench.watermark((nth * size / 4) as EventTime);
        }
        bench.watermark(35);
        let rows: Vec<_> = bench.rows().into_iter().map(|row| (row.0, row.1)).collect();
        bench.finish();
        rows
    };
    assert_eq!(run(1, 1), run(13, 2));
}
