//! How cost per event and state per agent grow with the number of agents: a table, and the same as a plot.

use std::fmt::Write as _;

use crate::center::Center;
use crate::engine::Query;
use crate::memory;
use crate::ratio::{Scale, engine};

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 46.0;
const COLORS: [&str; 3] = ["#2f6fde", "#d9541e", "#2e8b57"];

/// A named curve: a value per number of agents.
type Curve = (&'static str, Vec<f64>);

/// Prints the table; the plot's SVG goes to `file`.
pub(crate) fn run(scale: &Scale, file: &str) {
    let agents: Vec<u32> = scale.agents.to_vec();
    let batch = scale.largest();
    println!(
        "one worker, epochs of {batch} events; ns of CPU per event, bytes of state per agent\n"
    );
    print!("{:>10}", "agents");
    for query in Query::ALL {
        print!("{:>24}", query.name());
    }
    println!("{:>18}", "bytes per agent");
    let mut costs: Vec<Curve> = Query::ALL.map(|query| (query.name(), Vec::new())).into();
    let mut bytes: Curve = ("adherence, team drift", Vec::new());
    for agents in &agents {
        print!("{agents:>10}");
        for (query, (_, curve)) in Query::ALL.into_iter().zip(&mut costs) {
            let center = Center { agents: *agents, kind: query.kind() };
            let (cost, _) = engine(query, center, &scale.stretches(center, batch), 1);
            curve.push(cost.cpu);
            print!("{:>24.0}", cost.cpu);
        }
        let state = memory::per_agent(*agents);
        println!("{:>18}", state.map_or("unknown".to_owned(), |bytes| format!("{bytes:.0}")));
        bytes.1.extend(state);
    }
    if bytes.1.len() == agents.len() {
        let svg = plot(&agents, &costs, &bytes);
        std::fs::write(file, svg).unwrap_or_else(|error| panic!("cannot write {file}: {error}"));
        println!("\nplotted in {file}");
    }
}

fn plot(agents: &[u32], costs: &[Curve], bytes: &Curve) -> String {
    let both = 2.0 * WIDTH;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {both} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"11\" fill=\"#222\">\n<rect width=\"{both}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    panel(&mut svg, 0.0, "CPU per event, ns", agents, costs);
    panel(&mut svg, WIDTH, "state per agent, bytes", agents, std::slice::from_ref(bytes));
    svg.push_str("</svg>\n");
    svg
}

/// Both axes logarithmic; marks at the powers of ten and at the measured points.
fn panel(svg: &mut String, left: f64, title: &str, agents: &[u32], curves: &[Curve]) {
    let values = || curves.iter().flat_map(|(_, curve)| curve).map(|value| value.log10());
    let low = values().fold(f64::INFINITY, f64::min).floor();
    let high = values().fold(f64::NEG_INFINITY, f64::max).ceil().max(low + 1.0);
    let count = |n: u32| f64::from(n).log10();
    let (first, last) = (count(agents[0]), count(*agents.last().expect("there are sizes")));
    let x = |n: u32| {
        let part = (count(n) - first) / (last - first).max(1e-9);
        left + LEFT + part * (WIDTH - LEFT - RIGHT)
    };
    let y = |power: f64| HEIGHT - BOTTOM - (power - low) / (high - low) * (HEIGHT - TOP - BOTTOM);
    let _ =
        writeln!(svg, "<text x=\"{}\" y=\"16\" font-weight=\"bold\">{title}</text>", left + LEFT);
    let mut power = low;
    while power <= high {
        let (y, from, to) = (y(power), left + LEFT, left + WIDTH - RIGHT);
        let _ = writeln!(
            svg,
            "<path d=\"M{from} {y:.1}H{to}\" stroke=\"#ddd\"/><text x=\"{:.0}\" y=\"{:.1}\" \
             text-anchor=\"end\">{}</text>",
            from - 6.0,
            y + 4.0,
            10f64.powf(power)
        );
        power += 1.0;
    }
    for n in agents {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{n}</text>",
            x(*n),
            HEIGHT - BOTTOM + 18.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">agents</text>",
        left + f64::midpoint(LEFT, WIDTH - RIGHT),
        HEIGHT - 8.0
    );
    for (nth, ((name, curve), color)) in curves.iter().zip(COLORS).enumerate() {
        let points: Vec<(f64, f64)> =
            agents.iter().zip(curve).map(|(n, value)| (x(*n), y(value.log10()))).collect();
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let _ = writeln!(
            svg,
            "<path d=\"M{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            line.join("L")
        );
        // Of two curves that meet, one has its figures above, the other below.
        let beside = if nth % 2 == 1 { 15.0 } else { -7.0 };
        for ((x, y), value) in points.iter().zip(curve) {
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/><text x=\"{x:.1}\" \
                 y=\"{:.1}\" text-anchor=\"middle\" font-size=\"10\" fill=\"{color}\">{value:.0}</text>",
                y + beside
            );
        }
        let from = left + LEFT + nth as f64 * 120.0;
        let _ = writeln!(svg, "<text x=\"{from:.0}\" y=\"31\" fill=\"{color}\">{name}</text>");
    }
}
