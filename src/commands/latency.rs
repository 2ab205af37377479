//! `highwater latency`: the percentiles of a running service, held against the budgets.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::print;
use crate::cli;
use crate::web::Service;

/// A line of `/v1/latency`; microseconds.
#[derive(Debug, Deserialize)]
struct Line {
    path: String,
    stage: String,
    count: u64,
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    p999_us: u64,
    max_us: u64,
    budget_us: Option<u64>,
    within: Option<bool>,
}

pub(crate) fn latency(latency: &cli::Latency) -> Result<()> {
    let service = Service::at(&latency.url, latency.token_env.as_deref())?;
    let answer = service.get("/v1/latency")?;
    if answer.status == 401 || answer.status == 403 {
        bail!(
            "{} wants a token with the role `read`; name its variable with --token-env",
            latency.url
        );
    }
    if answer.status != 200 {
        bail!("{} answered {}", latency.url, answer.status);
    }
    let lines: Vec<Line> = serde_json::from_slice(&answer.body)
        .context("that is not a latency table: is it the service?")?;
    print(&table(&lines))
}

fn table(lines: &[Line]) -> String {
    let mut text = format!(
        "{:<12}{:<17}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}  {}\n",
        "path", "stage", "events", "p50", "p90", "p99", "p99.9", "max", "budget", "p99 within"
    );
    for line in lines {
        let figures = [line.p50_us, line.p90_us, line.p99_us, line.p999_us, line.max_us];
        let times: Vec<String> = figures
            .iter()
            .map(|us| format!("{:>10}", if line.count == 0 { String::new() } else { time(*us) }))
            .collect();
        let times = times.concat();
        let within = match line.within {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        let budget = line.budget_us.map_or(String::new(), time);
        let row = format!(
            "{:<12}{:<17}{:>10}{times}{budget:>10}  {within}",
            line.path, line.stage, line.count
        );
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

/// Microseconds in three significant digits or so, with a unit.
pub(crate) fn time(us: u64) -> String {
    let us = us as f64;
    match us {
        ..1_000.0 => format!("{us:.0} us"),
        ..10_000.0 => format!("{:.2} ms", us / 1e3),
        ..100_000.0 => format!("{:.1} ms", us / 1e3),
        ..1_000_000.0 => format!("{:.0} ms", us / 1e3),
        ..100_000_000.0 => format!("{:.2} s", us / 1e6),
        _ => format!("{:.0} s", us / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let times = [(7, "7 us"), (1_234, "1.23 ms"), (56_789, "56.8 ms"), (2_000_000, "2.00 s")];
        for (us, text) in times {
            assert_eq!(time(us), text);
        }
        assert_eq!(time(300_000_000), "300 s");
    }
}
