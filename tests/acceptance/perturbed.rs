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

/// Years whose first half does not tell what the second is like, or of which parts are wanting.
fn years_that_turn(days: &Days) -> Vec<(&'static str, Days)> {
    let through =
        |day: Date| f64::from(day.duration_since(date(1999, 1, 1)).as_hours() as i32) / 8_760.0;
    let scaled = |level: &dyn Fn(Date) -> f64| {
        each(days, |day, slots| slots.iter().map(|count| (count * level(day)).round()).collect())
    };
    let later = |from: Date, bend: &dyn Fn(&[f64]) -> Vec<f64>| {
        each(days, |day, slots| if day < from { slots.to_vec() } else { bend(slots) })
    };
    let from_to = |slots: &[f64], from: usize, to: usize| {
        let hour = slots.len() / 24;
        let kept = from * hour..to * hour;
        let open = |(n, count): (usize, &f64)| if kept.contains(&n) { *count } else { 0.0 };
        slots.iter().enumerate().map(open).collect::<Vec<f64>>()
    };
    let mut outages = Random::new(14);
    let (mut gap, mut exchanged) = (days.clone(), days.clone());
    gap.retain(|day, _| !(date(1999, 6, 10)..date(1999, 7, 20)).contains(day));
    for (day, slots) in exchanged.range_mut(date(1999, 9, 1)..date(1999, 12, 30)) {
        slots.clone_from(&days[&day.checked_add(2.days()).unwrap()]);
    }
    vec![
        ("three times the calls by the end", scaled(&|day| 3f64.powf(through(day)))),
        ("a third of the calls by the end", scaled(&|day| 3f64.powf(-through(day)))),
        (
            "two and a half times the calls since October",
            scaled(&|day| if day < date(1999, 10, 4) { 1.0 } else { 2.5 }),
        ),
        (
            "two seasons",
            scaled(&|day| 1.0 + 0.5 * (through(day) * 4.0 * std::f64::consts::PI).sin()),
        ),
        (
            "more on the days of pay",
            scaled(&|day| if [1, 2, 15].contains(&day.day()) { 1.7 } else { 1.0 }),
        ),
        ("shorter hours since mid-August", later(date(1999, 8, 15), &|s| from_to(s, 9, 18))),
        (
            "longer hours since mid-August",
            each(days, |day, slots| {
                if day < date(1999, 8, 15) { from_to(slots, 9, 18) } else { slots.to_vec() }
            }),
        ),
        (
            "an hour earlier since September",
            later(date(1999, 9, 1), &|slots| {
                let (mut slots, hour) = (slots.to_vec(), slots.len() / 24);
                slots.rotate_left(hour);
                slots
            }),
        ),
        ("the days of the week are exchanged in September", exchanged),
        ("six weeks are missing", gap),
        (
            "two hours of outage on one day in twenty",
            each(days, |_, slots| {
                let (mut slots, hour) = (slots.to_vec(), slots.len() / 24);
                if outages.chance(5) {
                    let from = outages.within(7, 19) as usize * hour;
                    slots[from..from + 2 * hour].fill(0.0);
                }
                slots
            }),
        ),
    ]
}

/// Every day of the week is the same but for chance: mornings tell nothing at all.
fn chance_alone(seed: u64) -> Days {
    let mut random = Random::new(seed);
    let day = |n: i64| {
        let count = |slot: usize| {
            let open = (16..42).contains(&slot);
            let mean = 115.0 * (0.4 + ((slot as f64 - 16.0) / 8.3).sin().abs());
            if open { (mean + mean.sqrt() * normal(&mut random)).round().max(0.0) } else { 0.0 }
        };
        (date(2003, 1, 1).checked_add(n.days()).unwrap(), (0..48).map(count).collect())
    };
    (0..365).map(day).collect()
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
fn the_default_never_loses_to_static_on_a_year_that_turns() {
    let Some(counts) = bank_of_1999(30) else { return };
    for (what, days) in years_that_turn(&counts.days) {
        let scores = judge(&days, 30, &CUTS, |day| day >= date(1999, 7, 1));
        for cut in CUTS {
            let of = |method| wape(&scores, cut, method);
            let (default, fixed) = (of(Method::CalibratedSlope), of(Method::Static));
            assert!(default <= fixed, "{what}, {cut}: {default:.2} and static {fixed:.2}");
        }
        let of = |method| wape(&scores, CUTS[0], method);
        let (default, ratio) = (of(Method::CalibratedSlope), of(Method::Ratio));
        assert!(default < ratio, "{what}, 09:00: {default:.2} and ratio {ratio:.2}");
    }
}

#[test]
fn where_mornings_tell_nothing_the_default_is_nearly_static() {
    for seed in 1..=3 {
        let scores = judge(&chance_alone(seed), 30, &CUTS, |day| day >= date(2003, 7, 1));
        for cut in CUTS {
            let of = |method| wape(&scores, cut, method);
            let (default, fixed) = (of(Method::CalibratedSlope), of(Method::Static));
            assert!(default <= 1.01 * fixed, "{seed}, {cut}: {default:.2} and static {fixed:.2}");
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
