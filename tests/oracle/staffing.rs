//! Staffing: Erlang's formulas in their textbook form, for queues of a few agents.

use highwater_dataflow::view::{Row, Value};
use highwater_model::{Envelope, Event, QueueId};
use highwater_queries::Settings;

use super::reforecast::{Days, thousandths};

pub(crate) fn rows(known: &[Envelope], days: &Days, settings: &Settings) -> Vec<Row> {
    let mut rows = Vec::new();
    let staffing = &settings.staffing;
    for (name, queue) in days.queues() {
        let (target, threshold) = promise(known, name);
        for shown in &queue.shown {
            let mut row = vec![
                Value::Text(name.0.clone()),
                Value::Int(shown.start),
                Value::Int(shown.start + days.size()),
                Value::Real(shown.volume()),
                shown
                    .now_aht
                    .or(shown.aht)
                    .map_or(Value::Null, |aht| Value::Int(aht.round() as i64)),
                Value::Real(target * 100.0),
                Value::Int((threshold * 1000.0).round() as i64),
            ];
            let Some(load) = shown.load(days.size()) else {
                row.extend(vec![Value::Null; 11]);
                rows.push(row);
                continue;
            };
            let c = agents_c(load, target, threshold);
            let mut a = 0;
            while by_a(load, a, threshold, staffing.patience_s).0 < target {
                a += 1;
            }
            let paid = |agents: i64| {
                let paid = agents as f64 / (1.0 - staffing.shrinkage);
                Value::Int((paid - 1e-9).ceil() as i64)
            };
            row.extend([Value::Int(c), Value::Int(a), paid(c), paid(a)]);
            let (level, wait, busy) = by_c(load, c, threshold);
            let (level_a, wait_a, busy_a, lost) = by_a(load, a, threshold, staffing.patience_s);
            let percent = |x: f64| Value::Real(thousandths(x * 100.0));
            row.extend([percent(level), Value::Real(thousandths(wait)), percent(busy)]);
            row.extend([
                percent(level_a),
                Value::Real(thousandths(wait_a)),
                percent(busy_a),
                percent(lost),
            ]);
            rows.push(row);
        }
    }
    rows
}

/// Target and threshold (seconds) by the queue's latest profile.
pub(crate) fn promise(known: &[Envelope], name: &QueueId) -> (f64, f64) {
    let mut latest = None;
    for envelope in known {
        if let Event::QueueProfile(profile) = &envelope.event
            && profile.queue == *name
        {
            latest = latest.max(Some((envelope.at, profile)));
        }
    }
    latest.map_or((0.8, 20.0), |(_, p)| (p.target_ppm as f64 / 1e6, p.threshold_ms as f64 / 1000.0))
}

pub(crate) fn agents_c(load: (f64, f64), target: f64, threshold: f64) -> i64 {
    let mut agents = 0;
    while by_c(load, agents, threshold).0 < target {
        agents += 1;
    }
    agents
}

/// Service level, speed of answer (s) and occupancy: Erlang C by sums of `aᵏ/k!`.
fn by_c((a, aht): (f64, f64), agents: i64, threshold: f64) -> (f64, f64, f64) {
    if a == 0.0 {
        return (1.0, 0.0, 0.0);
    }
    let n = agents as f64;
    if n <= a {
        return (0.0, 0.0, 1.0);
    }
    let (mut term, mut below) = (1.0, 0.0);
    for k in 0..agents {
        below += term;
        term *= a / (k + 1) as f64;
    }
    let at_least = term * n / (n - a);
    let waits = at_least / (below + at_least);
    (1.0 - waits * (-(n - a) * threshold / aht).exp(), waits * aht / (n - a), a / n)
}

/// Service level, mean wait (s), occupancy and share lost: Erlang A by its states, one by one.
fn by_a((a, aht): (f64, f64), agents: i64, threshold: f64, patience: f64) -> (f64, f64, f64, f64) {
    if a == 0.0 {
        return (1.0, 0.0, 0.0, 0.0);
    }
    let (lambda, mu, theta) = (a / aht, 1.0 / aht, 1.0 / patience);
    let n = agents as usize;
    let mut states = vec![1.0];
    for k in 1..n + 400 {
        let leaves = k.min(n) as f64 * mu + k.saturating_sub(n) as f64 * theta;
        states.push(states[k - 1] * lambda / leaves);
    }
    let total: f64 = states.iter().sum();
    let queue: f64 = (n..states.len()).map(|k| (k - n) as f64 * states[k] / total).sum();
    let busy: f64 = (0..states.len()).map(|k| k.min(n) as f64 * states[k] / total).sum();
    let mut level: f64 = states[..n].iter().sum::<f64>() / total;
    for (ahead, weight) in states[n..].iter().enumerate() {
        let weight = weight / total;
        if n > 0 && weight > 1e-13 {
            level += weight * served(n as f64 * mu / theta, ahead, (-theta * threshold).exp());
        }
    }
    let occupancy = if n == 0 { 0.0 } else { busy / n as f64 };
    (level, queue / lambda, occupancy, theta * queue / lambda)
}

/// `∫ u f(u) du` from `least` to 1, f being the density of Beta(x, ahead + 1), by Simpson's rule.
fn served(x: f64, ahead: usize, least: f64) -> f64 {
    // 1 / B(x, n + 1) is x (x + 1)…(x + n) / n!.
    let scale: f64 = (1..=ahead).fold(x, |scale, i| scale * (x + i as f64) / i as f64);
    let density = |u: f64| scale * u.powf(x) * (1.0 - u).powi(ahead as i32);
    let step = (1.0 - least) / 128.0;
    let inner: f64 = (1..128)
        .map(|n| if n % 2 == 1 { 4.0 } else { 2.0 } * density(least + f64::from(n) * step))
        .sum();
    step / 3.0 * (density(least) + inner + density(1.0))
}
