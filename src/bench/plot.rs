//! The results as a page: percentile plots per path, drawn as SVG in one file that needs nothing else.
//!
//! Across: the percentile, so that each nine takes the same room. Up: the latency, logarithmic.

use std::fmt::Write as _;

use super::report::{Line, Report};
use crate::commands::latency::time;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 40.0;
/// Percentile marks by their number of nines.
const NINES: [(f64, &str); 6] =
    [(0.0, "0"), (1.0, "90"), (2.0, "99"), (3.0, "99.9"), (4.0, "99.99"), (5.0, "99.999")];
const COLORS: [&str; 8] =
    ["#8a8f98", "#5b8ff9", "#61a37a", "#b58b00", "#9270ca", "#e8684a", "#269a99", "#c2185b"];

/// The whole page.
pub(super) fn html(report: &Report) -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Highwater: latency</title>\n\
         <style>body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#1c1f24}\
         pre{overflow-x:auto;font-size:12px;line-height:1.45;background:#f5f6f8;padding:1em}\
         svg{max-width:100%;height:auto}h2{margin-top:2em}</style>\n<h1>Latency</h1>\n",
    );
    let paths: Vec<&str> = report.lines.iter().map(|line| line.path).collect();
    let mut done: Vec<&str> = Vec::new();
    for path in paths {
        if done.contains(&path) {
            continue;
        }
        done.push(path);
        let lines = report.lines.iter().filter(|line| line.path == path);
        let lines: Vec<&Line> = lines.filter(|line| !line.histogram.is_empty()).collect();
        if !lines.is_empty() {
            let _ = writeln!(page, "<h2>{}</h2>\n{}", path.replace('_', " "), svg(&lines));
        }
    }
    if !report.held.is_empty() {
        let lines: Vec<&Line> = report.held.iter().collect();
        let _ = writeln!(page, "<h2>waiting for event time</h2>\n{}", svg(&lines));
    }
    let _ = writeln!(page, "<h2>figures</h2>\n<pre>{}</pre>\n</html>", escape(&report.text()));
    page
}

/// One plot with a curve per line.
fn svg(lines: &[&Line]) -> String {
    let lowest = lines.iter().map(|line| line.histogram.min()).min().unwrap_or(1).max(1) as f64;
    let highest = lines.iter().map(|line| line.histogram.max()).max().unwrap_or(1) as f64;
    let (low, high) =
        (lowest.log10().floor(), highest.log10().ceil().max(lowest.log10().floor() + 1.0));
    let most = lines.iter().map(|line| line.histogram.len()).max().unwrap_or(1) as f64;
    let nines = most.log10().ceil().clamp(1.0, 5.0);
    let x = |quantile: f64| {
        let at = (-(1.0 - quantile).max(1e-9).log10()).min(nines);
        LEFT + at / nines * (WIDTH - LEFT - RIGHT)
    };
    let y = |us: f64| {
        let at = (us.max(1.0).log10() - low) / (high - low);
        HEIGHT - BOTTOM - at * (HEIGHT - TOP - BOTTOM)
    };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" font-size=\"12\" font-family=\"system-ui,sans-serif\">\n"
    );
    for (at, name) in NINES.iter().filter(|(at, _)| *at <= nines) {
        let x = LEFT + at / nines * (WIDTH - LEFT - RIGHT);
        let bottom = HEIGHT - BOTTOM;
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#e3e5e8\"/>\
             <text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{name}%</text>",
            bottom + 18.0
        );
    }
    let mut power = low;
    while power <= high {
        let y = y(10f64.powf(power));
        let name = time(10f64.powf(power) as u64);
        let right = WIDTH - RIGHT;
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#e3e5e8\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            LEFT - 8.0,
            y + 4.0
        );
        power += 1.0;
    }
    for (nth, line) in lines.iter().enumerate() {
        let color = COLORS[nth % COLORS.len()];
        let points: Vec<String> = line
            .histogram
            .iter_quantiles(10)
            .map(|step| {
                let us = step.value_iterated_to() as f64;
                format!("{:.1} {:.1}", x(step.quantile_iterated_to()), y(us))
            })
            .collect();
        let _ = writeln!(
            svg,
            "<path d=\"M{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.8\"/>",
            points.join("L")
        );
        let at = TOP + 14.0 + 18.0 * nth as f64;
        let _ = writeln!(
            svg,
            "<path d=\"M{:.0} {at}h16\" stroke=\"{color}\" stroke-width=\"3\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT + 14.0,
            WIDTH - RIGHT + 36.0,
            at + 4.0,
            line.stage.replace('_', " ")
        );
    }
    svg.push_str("</svg>");
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::join::histogram_of;
    use super::*;

    #[test]
    fn a_plot_stays_within_its_frame() {
        let histogram = histogram_of((1..2_000).map(|n| Duration::from_micros(n * n)));
        let line = Line { path: "contact", stage: "durable", histogram, budget: None };
        let svg = svg(&[&line]);
        let numbers = svg.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'));
        let numbers = numbers.filter_map(|number| number.parse::<f64>().ok());
        for number in numbers {
            assert!((-0.1..=WIDTH + 0.1).contains(&number), "{number} in {svg}");
        }
        assert!(svg.contains("99.9%") && svg.contains("durable"));
    }
}
