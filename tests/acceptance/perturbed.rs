//! The reforecast on years that are not the one it was made on: the bank of 1999, bent in memory in many ways.

use std::collections::BTreeMap;

use highwater_queries::forecast::Method;
use highwater_queries::forecast::judge::{Score, Scores, judge};
use jiff::ToSpan;
use jiff::civil::{Date, Weekday, date};

use super::forecast::{CUTS, bank_of_1999};
use crate::sim::random::Random;

type Days = BTreeMap<Date, Vec<f64>>;

/// The sum of twelve uniform numbers less its mean: near enough to a normal one.
fn normal(random: &mut Random) -> f64 {
    (0..12).map(|_| random.within(0, 1_000_000) as f64 / 1e6).sum::<f64>() - 6.0
}

fn each(days: &Days, mut bend: impl FnMut(Date, &[f64]) -> Vec<f64>) -> Days {
    days.iter().map(|(&date, slots)| (date, bend(date, slots))).collect()
}

/// Every contact stays with a chance of `percent`.
fn thinned(days: &Days, percent: i64, random: &mut Random) -> Days {
    each(days, |_, slots| {
        let stay =
            |count: &f64| (0..*count as i64).filter(|_| random.chance(percent)).count() as f64;
        slots.iter().map(stay).collect()
    })
}

/// Open from `opens` to `closes` only, on weekdays.
fn office(days: &Days, opens: usize, closes: usize) -> Days {
    each(days, |date, slots| {
        let hour = slots.len() / 24;
        let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
        let open = |slot: usize| !weekend && (opens * hour..closes * hour).contains(&slot);
        slots.iter().enumerate().map(|(n, count)| if open(n) { *count } else { 0.0 }).collect()
    })
}

/// The year, bent; what each is called says how.
fn years(days: &Days) -> Vec<(&'static str, Days)> {
    let mut random = Random::new(9);
    let shifted = |days: &Days, hours: usize, later: bool| {
        each(days, |_, slots| {
            let (mut slots, by) = (slots.to_vec(), hours * slots.len() / 24);
            if later {
                slots.rotate_right(by);
            } else {
                slots.rotate_left(by);
            }
            slots
        })
    };
    let moved =
        days.iter().map(|(&date, slots)| (date.checked_add(3.days()).unwrap(), slots.clone()));
    let mut missing = days.clone();
    missing.retain(|_, _| random.chance(85));
    let mut levels = Random::new(10);
    let mut closed = Random::new(11);
    let mut clocks = Random::new(12);
    vec![
        ("as it was", days.clone()),
        ("a fiftieth of the calls", thinned(days, 2, &mut Random::new(1))),
        ("a tenth of the calls", thinned(days, 10, &mut Random::new(2))),
        ("a hundred times the calls", each(days, |_, s| s.iter().map(|n| n * 100.0).collect())),
        ("two hours later", shifted(days, 2, true)),
        ("three hours earlier", shifted(days, 3, false)),
        ("an office, eight to six", office(days, 8, 18)),
        ("an office, nine to four", office(days, 9, 16)),
        ("the week begins on another day", moved.collect()),
        ("one day in seven is missing", missing),
        (
            "one day in twelve nobody called",
            each(
                days,
                |_, slots| if closed.chance(8) { vec![0.0; slots.len()] } else { slots.to_vec() },
            ),
        ),
        (
            "days vary by a fifth more",
            each(days, |_, slots| {
                let level = (0.2 * normal(&mut levels)).exp();
                slots.iter().map(|count| count * level).collect()
            }),
        ),
        (
            "the clocks go forward and back",
            each(days, |date, slots| {
                let (mut slots, hour) = (slots.to_vec(), slots.len() / 24);
                if (date.month(), date.day()) == (3, 28) {
                    slots[2 * hour..3 * hour].fill(0.0);
                } else if (date.month(), date.day()) == (10, 31) {
                    slots[hour..2 * hour].iter_mut().for_each(|count| *count *= 2.0);
                }
                slots
            }),
        ),
        (
            "every interval is noisier",
            each(days, |_, slots| {
                slots
                    .iter()
                    .map(|count| (count * (1.0 + 0.3 * normal(&mut clocks))).max(0.0))
                    .collect()
            }),
        ),
    ]
}

/// Mornings that have nothing to do with their afternoons: there is nothing to learn, and not much may be lost.
fn mornings_that_mislead(days: &Days) -> Days {
    let mut random = Random::new(13);
    each(days, |_, slots| {
        let level = (0.2 * normal(&mut random)).exp();
        let noon = slots.len() / 2;
        let bent = |(n, count): (usize, &f64)| if n < noon { count * level } else { *count };
        slots.iter().enumerate().map(bent).collect()
    })
}

fn wape(scores: &Scores, cut: usize, method: Method) -> f64 {
    scores.get(&(cut, method)).map_or(0.0, Score::wape_pct)
}

#[test]
fn the_default_never_loses_to_static_on_a_year_that_is_bent() {
    for slot_min in [15, 30] {
        let Some(counts) = bank_of_1999(slot_min) else { return };
        // Rows of thirds of a bin are no counts: whole contacts, as they would have been counted.
        let whole = each(&counts.days, |_, slots| slots.iter().map(|n| n.round()).collect());
        // Quarters of an hour take four times as long: some of the years will do.
        let some = if slot_min == 15 { 6 } else { usize::MAX };
        for (what, days) in years(&whole).into_iter().take(some) {
            let scores = judge(&days, slot_min, &CUTS, |day| day >= date(1999, 7, 1));
            for cut in CUTS {
                let of = |method| wape(&scores, cut, method);
                let (default, fixed) = (of(Method::CalibratedSlope), of(Method::Static));
                assert!(
                    default <= fixed,
                    "{what}, {slot_min} min, {cut}: {default:.2} and {fixed:.2}"
                );
            }
        }
    }
}

#[test]
fn mornings_that_mislead_cost_little() {
    let Some(counts) = bank_of_1999(30) else { return };
    let days = mornings_that_mislead(&counts.days);
    let scores = judge(&days, 30, &CUTS, |day| day >= date(1999, 7, 1));
    for cut in CUTS {
        let of = |method| wape(&scores, cut, method);
        let (default, fixed, ratio) =
            (of(Method::CalibratedSlope), of(Method::Static), of(Method::Ratio));
        assert!(
            default <= 1.02 * fixed && default < ratio,
            "{cut}: {default:.2}, static {fixed:.2}"
        );
    }
}

/// The first weeks of a new queue: the default is Gamma-Poisson until there is enough to learn from.
#[test]
fn little_history_costs_nothing() {
    let Some(counts) = bank_of_1999(30) else { return };
    let (mut default, mut fixed) = ([0.0; 4], [0.0; 4]);
    // A start in every month: two weeks of nothing but counting, then a month that is judged.
    for month in 1..=11 {
        let first = date(1999, month, 1);
        let (from, to) =
            (first.checked_add(14.days()).unwrap(), first.checked_add(42.days()).unwrap());
        let days: Days = counts.days.range(first..to).map(|(d, s)| (*d, s.clone())).collect();
        let scores = judge(&days, 30, &CUTS, |day| day >= from);
        for (n, cut) in CUTS.into_iter().enumerate() {
            default[n] += scores[&(cut, Method::CalibratedSlope)].absolute;
            fixed[n] += scores[&(cut, Method::Static)].absolute;
        }
    }
    assert!(
        default.iter().zip(fixed).all(|(default, fixed)| *default <= fixed),
        "{default:?} {fixed:?}"
    );
}
