//! Judges the reforecast methods on a file of counts: rest-of-day WAPE and bias per method and cut, as tables.
//!
//! ```text
//! cargo run --example reforecast -- FILE [--interval MINUTES] [--from YYYY-MM-DD] [--until YYYY-MM-DD]
//!                                        [--skip DAYS] [--cuts 09:00,10:00] [--weekdays mon,tue]
//! ```
//!
//! FILE holds counts (`date,start,count` or `timestamp,count`), single calls (the same without a count) or days side by
//! side; see `queries/src/forecast/counts.rs`. Without `--from` or `--skip`, the days of the first half year (by the
//! calendar; of a shorter file, the first third) only train, and the rest is judged.
#![allow(clippy::print_stdout, reason = "a program that prints tables")]

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use highwater_queries::forecast::judge::{Score, Scores, judge};
use highwater_queries::forecast::{Counts, Method, read};
use jiff::ToSpan;
use jiff::civil::Date;

struct Options {
    file: String,
    interval_min: Option<usize>,
    from: Option<Date>,
    until: Option<Date>,
    skip: Option<usize>,
    cuts_min: Vec<usize>,
    /// Bit 0 is Monday.
    weekdays: u8,
}

fn main() -> anyhow::Result<()> {
    let options = options()?;
    let text = std::fs::read_to_string(&options.file)
        .with_context(|| format!("cannot read {}", options.file))?;
    let counts = read(&text, options.interval_min)?;
    describe(&counts);
    let from = first_judged(&counts.days, &options)?;
    let until = options.until.unwrap_or(Date::MAX);
    let judged = |date: Date| {
        let weekday = date.weekday().to_monday_zero_offset();
        from <= date && date <= until && options.weekdays >> weekday & 1 == 1
    };
    let scores = judge(&counts.days, counts.slot_min, &options.cuts_min, judged);
    let days = scores.values().map(|score| score.days).max().unwrap_or(0);
    println!("judged: {days} days from {from} on\n");
    let tables: [(&str, fn(&Score) -> f64); 3] = [
        ("WAPE of the rest of the day by interval, sum|e| / sum a, %", Score::wape_pct),
        ("WAPE of the rest of the day as one number, sum|e| / sum a, %", Score::day_wape_pct),
        ("bias, sum e / sum a, %", Score::bias_pct),
    ];
    for (title, figure) in tables {
        table(title, &scores, &options.cuts_min, figure);
    }
    Ok(())
}

fn describe(counts: &Counts) {
    let total: f64 = counts.days.values().flatten().sum();
    let (first, last) = (counts.days.keys().next(), counts.days.keys().next_back());
    if let (Some(first), Some(last)) = (first, last) {
        println!("{total:.0} contacts on {} days, {first} to {last}", counts.days.len());
    }
    match counts.bin_min {
        0 => println!("single calls, in intervals of {} min", counts.slot_min),
        bin if counts.slot_min.is_multiple_of(bin) => {
            println!("bins of {bin} min, in intervals of {} min", counts.slot_min);
        }
        bin => println!("bins of {bin} min, divided over intervals of {} min", counts.slot_min),
    }
    if let Some(line) = counts.first_unread {
        println!(
            "{} rows could not be read and are left out, the first in line {line}",
            counts.unread
        );
    }
}

fn first_judged(days: &BTreeMap<Date, Vec<f64>>, options: &Options) -> anyhow::Result<Date> {
    let (Some(first), Some(last)) = (days.keys().next(), days.keys().next_back()) else {
        bail!("the file holds no days");
    };
    if let Some(from) = options.from {
        return Ok(from);
    }
    let nth = |n: usize| days.keys().nth(n).copied().context("--skip leaves no day to judge");
    if let Some(skip) = options.skip {
        return nth(skip);
    }
    let half_year = first.checked_add(6.months())?;
    if half_year < *last { Ok(half_year) } else { nth(days.len() / 3) }
}

fn table(title: &str, scores: &Scores, cuts_min: &[usize], figure: fn(&Score) -> f64) {
    println!("{title}\n");
    print!("| cut |");
    for method in Method::ALL {
        print!(" {} |", method.as_str());
    }
    println!("\n|---|{}", "---|".repeat(Method::ALL.len()));
    for &cut in cuts_min {
        print!("| {:02}:{:02} |", cut / 60, cut % 60);
        for method in Method::ALL {
            match scores.get(&(cut, method)) {
                Some(score) => print!(" {:.2} |", figure(score)),
                None => print!(" - |"),
            }
        }
        println!();
    }
    println!();
}

fn options() -> anyhow::Result<Options> {
    let mut options = Options {
        file: String::new(),
        interval_min: None,
        from: None,
        until: None,
        skip: None,
        cuts_min: vec![9 * 60, 10 * 60, 12 * 60, 15 * 60],
        weekdays: 0b111_1111,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--interval" => options.interval_min = Some(value()?.parse()?),
            "--from" => options.from = Some(value()?.parse()?),
            "--until" => options.until = Some(value()?.parse()?),
            "--skip" => options.skip = Some(value()?.parse()?),
            "--cuts" => {
                options.cuts_min = value()?.split(',').map(clock).collect::<Result<_, _>>()?;
            }
            "--weekdays" => {
                options.weekdays = value()?
                    .split(',')
                    .map(weekday)
                    .try_fold(0, |all, day| day.map(|day| all | day))?;
            }
            flag if flag.starts_with("--") => {
                bail!("{flag} is unknown; the file's head lists what is known")
            }
            file => file.clone_into(&mut options.file),
        }
    }
    ensure!(
        !options.file.is_empty(),
        "name a file of counts: cargo run --example reforecast -- FILE"
    );
    Ok(options)
}

fn clock(text: &str) -> anyhow::Result<usize> {
    let (hour, minute) = text.split_once(':').with_context(|| format!("{text} is not HH:MM"))?;
    let minutes = hour.parse::<usize>()? * 60 + minute.parse::<usize>()?;
    ensure!(minutes < 24 * 60, "{text} is not within a day");
    Ok(minutes)
}

fn weekday(text: &str) -> anyhow::Result<u8> {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let nth = days.iter().position(|day| text.eq_ignore_ascii_case(day));
    nth.map(|nth| 1 << nth).with_context(|| format!("{text} is none of {days:?}"))
}
