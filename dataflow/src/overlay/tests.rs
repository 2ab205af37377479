//! Overlay: which records its revisions name.

use super::*;
use crate::testing::{Step, run};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Row {
    Point(Point<i64>),
    Span(Span<i64>),
}

#[test]
fn what_is_taken_back_names_the_record_that_took_it_back() {
    let span = |from, to, seq| Row::Span(Span { from, to, value: 7, seq });
    let script = vec![
        Step::Add(vec![Row::Point(Point { at: 0, value: 1, seq: 1 }), span(10, 50, 2)]),
        Step::Watermark(100),
        // The first words of all, and what the second says once it is so: it begins and ends.
        Step::Table(vec![(0, 1), (10, 2), (10, 2), (50, 2)]),
        // Deleted at 90 by the fourth record; what it says holds nowhere.
        Step::Change(vec![(span(10, 50, 2), -1), (span(90, 90, 4), 1)]),
        Step::Table(vec![(0, 1), (10, 2), (10, 2), (10, 4), (50, 2)]),
        // The deletion is overruled: what takes its place speaks for itself.
        Step::Change(vec![(span(90, 90, 4), -1), (span(20, 40, 5), 1)]),
        Step::Table(vec![(0, 1), (10, 2), (10, 2), (10, 4), (20, 5), (50, 2)]),
        // Something ahead that is deleted was no word on what was told.
        Step::Add(vec![span(200, 300, 6)]),
        Step::Change(vec![(span(200, 300, 6), -1), (span(100, 100, 7), 1)]),
        Step::Table(vec![(0, 1), (10, 2), (10, 2), (10, 4), (20, 5), (50, 2)]),
    ];
    let judge = |_: Option<&i64>, span: Option<&i64>| Some(i64::from(span.is_some()));
    check(script, judge, Provenance::default());
}

#[test]
fn a_boundary_that_the_present_comes_to_names_the_record_of_its_span() {
    let point = |at, seq| Row::Point(Point { at, value: 1, seq });
    let span = |from, to, value, seq| Row::Span(Span { from, to, value, seq });
    let script = vec![
        Step::Add(vec![point(0, 1), span(10, 20, 7, 2), span(20, 30, 8, 3), span(30, 40, 8, 4)]),
        // Of nothing so far, nothing was said.
        Step::Table(vec![]),
        Step::Watermark(15),
        Step::Table(vec![(10, 2)]),
        // A point of the key goes ahead of the watermark: to where one span has followed the other.
        Step::Add(vec![point(25, 5)]),
        Step::Table(vec![(10, 2), (20, 3)]),
        // At 30 nothing changes; at 40 nothing is left.
        Step::Watermark(45),
        Step::Table(vec![(10, 2), (20, 3), (40, 4)]),
        // What had ended says no more.
        Step::Watermark(500),
        Step::Table(vec![(10, 2), (20, 3), (40, 4)]),
    ];
    let judge = |_: Option<&i64>, span: Option<&i64>| span.copied();
    check(script, judge, Provenance::default());
}

#[test]
fn what_turned_and_turned_back_in_one_epoch_is_named() {
    let point = |at, value, seq| Row::Point(Point { at, value, seq });
    let script = vec![
        Step::Add(vec![point(0, 1, 1)]),
        // Away and back, and then another value of the same class.
        Step::Add(vec![point(10, 0, 2), point(20, 1, 3), point(30, 2, 4)]),
        Step::Table(vec![(0, 1), (10, 2), (20, 3)]),
    ];
    let judge = |point: Option<&i64>, _: Option<&i64>| point.copied();
    check(script, judge, Provenance::default());
}

#[test]
fn what_another_record_made_of_a_span_names_that_record() {
    let span = |value| Row::Span(Span { from: 10, to: 50, value, seq: 2 });
    let script = vec![
        Step::Add(vec![Row::Point(Point { at: 0, value: 1, seq: 1 }), span(60)]),
        Step::Watermark(100),
        Step::Table(vec![(0, 1), (10, 2), (10, 2), (50, 2)]),
        // The seventieth record changes what the span amounts to.
        Step::Change(vec![(span(60), -1), (span(70), 1)]),
        Step::Table(vec![(0, 1), (10, 2), (10, 2), (10, 70), (50, 2)]),
        // What amounts to the same is no revision.
        Step::Change(vec![(span(70), -1), (span(79), 1)]),
        Step::Table(vec![(0, 1), (10, 2), (10, 2), (10, 70), (50, 2)]),
    ];
    let judge = |_: Option<&i64>, span: Option<&i64>| Some(span.map_or(0, |value| value / 10));
    let amended: fn(&i64, &i64) -> Vec<u64> = |_, is| vec![is.unsigned_abs()];
    check(script, judge, Provenance { amended, ..Provenance::default() });
}

#[test]
fn the_end_of_an_exact_value_is_a_revision_within_its_class() {
    let point = |at, value, seq| Row::Point(Point { at, value, seq });
    let script = vec![
        Step::Add(vec![point(0, 1, 1)]),
        Step::Add(vec![point(10, 2, 2)]),
        Step::Add(vec![point(20, 7, 3)]),
        Step::Add(vec![point(30, 8, 4)]),
        Step::Add(vec![point(40, 9, 5)]),
        // All of one class: only sevens and eights are followed to their end.
        Step::Table(vec![(0, 1), (20, 3), (30, 4), (40, 5)]),
    ];
    let judge = |point: Option<&i64>, _: Option<&i64>| point.copied();
    let exact: fn(&i64) -> bool = |value| [7, 8].contains(value);
    check(script, judge, Provenance { exact, ..Provenance::default() });
}

/// What the revisions are after each step, for one class of values.
fn check(
    script: Vec<Step<Row, (EventTime, u64)>>,
    judge: impl Fn(Option<&i64>, Option<&i64>) -> Option<i64> + Copy + Send + Sync + 'static,
    provenance: Provenance<i64, i64>,
) {
    let Provenance { amended, exact } = provenance;
    for workers in [1, 2] {
        run(
            workers,
            move |rows| {
                let points = rows.clone().flat_map(|row| match row {
                    Row::Point(point) => Some(("k".to_owned(), point)),
                    Row::Span(_) => None,
                });
                let spans = rows.flat_map(|row| match row {
                    Row::Span(span) => Some(("k".to_owned(), span)),
                    Row::Point(_) => None,
                });
                let provenance = Provenance { amended, exact };
                let class = |value: &i64| *value > 0;
                let overlay =
                    points.overlay_told_by("overlay", spans, 1_000, judge, class, provenance);
                overlay.revisions.map(|(_, revision)| (revision.at, revision.seq))
            },
            script.clone(),
        );
    }
}
