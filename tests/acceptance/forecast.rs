//! Forecasting and staffing against a real year of calls and published figures.
//!
//! The data are read in place: `HIGHWATER_DATA`, or `../shared/data` beside the workspace. Without them a test says that
//! it skipped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use highwater_queries::forecast::erlang::{Load, erlang_a, erlang_c};
use highwater_queries::forecast::judge::{Score, Scores, judge};
use highwater_queries::forecast::{Counts, Method, read};
use jiff::civil::{Date, Weekday, date};

pub(super) const CUTS: [usize; 4] = [9 * 60, 10 * 60, 12 * 60, 15 * 60];

fn data() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    std::env::var_os("HIGHWATER_DATA").map_or(beside, PathBuf::from)
}

pub(super) fn bank_of_1999(slot_min: usize) -> Option<Counts> {
    let path = data().join("anonymous_bank_1999_6min/callcenter_6min_1999.csv");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!(
            "SKIPPED: {} is not there; set HIGHWATER_DATA to the data folder",
            path.display()
        );
        return None;
    };
    Some(read(&text, Some(slot_min)).unwrap())
}

/// Any file under `bank_calls*` in the data folder, where somebody put one.
fn bank_calls() -> Option<Counts> {
    let folder = data();
    let mut waiting: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("bank_calls") {
            waiting.push(entry.path());
        }
    }
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting
                .extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|e| e.path()));
        } else if let Ok(text) = std::fs::read_to_string(&path)
            && let Ok(counts) = read(&text, None)
        {
            return Some(counts);
        }
    }
    eprintln!(
        "SKIPPED: {} holds no bank_calls; the claim is judged on the bank of 1999",
        folder.display()
    );
    None
}

fn second_half(days: &BTreeMap<Date, Vec<f64>>, slot_min: usize) -> Scores {
    judge(days, slot_min, &CUTS, |day| day >= date(1999, 7, 1))
}

fn wapes(scores: &Scores, cut: usize, method: Method) -> [f64; 2] {
    let score: &Score = &scores[&(cut, method)];
    [score.wape_pct(), score.day_wape_pct()]
}

/// The default is no worse than static at every cut and better than the ratio at the first, by either measure.
fn default_holds(scores: &Scores, what: &str) {
    for cut in CUTS {
        let (default, fixed) =
            (wapes(scores, cut, Method::CalibratedSlope), wapes(scores, cut, Method::Static));
        assert!(
            default.iter().zip(fixed).all(|(default, fixed)| *default <= fixed),
            "{what}, {cut} min: {default:?} and static {fixed:?}"
        );
    }
    let (default, ratio) =
        (wapes(scores, CUTS[0], Method::CalibratedSlope), wapes(scores, CUTS[0], Method::Ratio));
    assert!(
        default.iter().zip(ratio).all(|(default, ratio)| *default < ratio),
        "{what}, 09:00: {default:?} and ratio {ratio:?}"
    );
}

#[test]
fn acceptance_9_the_default_reforecast_at_nine_beats_static_and_ratio() {
    if let Some(counts) = bank_of_1999(30) {
        default_holds(&second_half(&counts.days, 30), "bank of 1999");
    }
    if let Some(counts) = bank_calls() {
        let first = *counts.days.keys().nth(40).expect("eight weeks of weekdays to learn from");
        let scores = judge(&counts.days, counts.slot_min, &CUTS, |day| day >= first);
        default_holds(&scores, "bank_calls");
    }
}

#[test]
fn the_default_never_loses_to_static_on_any_part_of_the_week_or_at_any_interval() {
    if let Some(counts) = bank_of_1999(15) {
        default_holds(&second_half(&counts.days, 15), "quarters of an hour");
    }
    let Some(counts) = bank_of_1999(30) else { return };
    let parts: [(&str, fn(Weekday) -> bool); 3] = [
        ("Sunday to Thursday", |day| !matches!(day, Weekday::Friday | Weekday::Saturday)),
        ("Fridays", |day| day == Weekday::Friday),
        ("Saturdays", |day| day == Weekday::Saturday),
    ];
    for (name, part) in parts {
        let judged = |day: Date| day >= date(1999, 7, 1) && part(day.weekday());
        default_holds(&judge(&counts.days, 30, &CUTS, judged), name);
    }
    // With a quarter of the year to learn from, too.
    let judged = |day: Date| (date(1999, 4, 1)..date(1999, 7, 1)).contains(&day);
    default_holds(&judge(&counts.days, 30, &CUTS, judged), "the second quarter");
}

/// Four weeks, call by call, of which the last two are judged: hardly anything to learn from.
#[test]
fn the_default_does_not_lose_to_static_within_a_first_month() {
    let path = data().join("anonymous_bank_feb1999/calls_february.tsv");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is not there", path.display());
        return;
    };
    let counts = read(&text, None).unwrap();
    assert_eq!((counts.bin_min, counts.slot_min, counts.days.len()), (0, 15, 28));
    default_holds(&judge(&counts.days, 15, &CUTS, |day| day >= date(1999, 2, 10)), "February");
}

/// What `docs/reforecast.md` shows is what comes out.
#[test]
fn the_figures_in_the_document_are_the_real_ones() {
    let Some(counts) = bank_of_1999(30) else { return };
    let scores = second_half(&counts.days, 30);
    let document = include_str!("../../docs/reforecast.md");
    for figure in [Score::wape_pct, Score::day_wape_pct, Score::bias_pct] {
        for cut in CUTS {
            let cells =
                Method::ALL.map(|method| format!(" {:.2} |", figure(&scores[&(cut, method)])));
            let row = format!("| {:02}:{:02} |{}", cut / 60, cut % 60, cells.concat());
            assert!(document.contains(&row), "docs/reforecast.md lacks the row\n{row}");
        }
    }
}

#[test]
fn acceptance_10_erlang_table_to_the_digits_shown_and_overload_without_panic() {
    let close = |is: f64, should: f64, digits: i32| {
        assert!((is - should).abs() <= 0.5001 * 10f64.powi(-digits), "{is} should be {should}");
    };
    let load = |contacts, aht_s| Load { contacts, interval_s: 1800.0, aht_s };
    let c = [
        (100.0, 180.0, 14, 20.0, 0.174_132, 0.888_350, 7.8359, 0.714_29),
        (100.0, 180.0, 11, 20.0, 0.682_118, 0.389_614, 122.7813, 0.909_09),
        (360.0, 240.0, 55, 15.0, 0.238_701, 0.845_883, 8.1840, 0.872_73),
        (1440.0, 60.0, 50, 20.0, 0.694_456, 0.643_455, 20.8337, 0.960_00),
        (200.0, 300.0, 38, 20.0, 0.333_453, 0.755_702, 21.4362, 0.877_19),
    ];
    for (contacts, aht, agents, threshold, waits, level, wait, occupancy) in c {
        let is = erlang_c(load(contacts, aht), agents, threshold).unwrap();
        close(is.wait_probability, waits, 6);
        close(is.service_level, level, 6);
        close(is.mean_wait_s, wait, 4);
        close(is.occupancy, occupancy, 5);
    }
    let a = [
        (1440.0, 60.0, 50, 120.0, 0.467_774, 0.943_019, 3.7095, 0.930_324, 0.030_912),
        (100.0, 180.0, 14, 300.0, 0.145_260, 0.916_792, 4.1951, 0.704_297, 0.013_984),
        (100.0, 180.0, 9, 120.0, 0.613_307, 0.524_066, 23.0587, 0.897_604, 0.192_156),
    ];
    for (contacts, aht, agents, patience, waits, level, wait, occupancy, abandoned) in a {
        let is = erlang_a(load(contacts, aht), agents, 20.0, patience);
        close(is.wait_probability, waits, 6);
        close(is.service_level, level, 6);
        close(is.mean_wait_s, wait, 4);
        close(is.occupancy, occupancy, 6);
        close(is.abandon_probability, abandoned, 6);
    }
    for agents in 0..=10 {
        let overload = erlang_c(load(100.0, 180.0), agents, 20.0).unwrap_err();
        assert_eq!(overload.agents, agents);
        let is = erlang_a(load(100.0, 180.0), agents, 20.0, 120.0);
        assert!((0.0..=1.0).contains(&is.service_level), "{agents} agents: {is:?}");
    }
}
