//! Forecast refresh: one row per queue and end of an interval, or surge, with anything left of the day.

use highwater_dataflow::view::{Row, Value};

use super::reforecast::Days;

pub(crate) fn rows(days: &Days) -> Vec<Row> {
    let mut rows = Vec::new();
    let minutes = days.size() / 60_000;
    for (name, queue) in days.queues() {
        for refresh in &queue.refreshes {
            let (stamp, within) = (stamp(refresh.at), refresh.at.rem_euclid(60_000));
            let second = match within % 1000 {
                0 => format!("{:02}", within / 1000),
                _ => format!("{within:05}"),
            };
            let (why, trigger) = if refresh.surge {
                ("surge", "volume_surge".to_owned())
            } else {
                ("f", format!("scheduled_{minutes}min"))
            };
            let version = match refresh.at % 60_000 {
                0 => format!("intraday-{stamp}"),
                _ => format!("intraday-{stamp}{second}"),
            };
            rows.push(vec![
                Value::Text(name.0.clone()),
                Value::Int(refresh.at),
                Value::Text(trigger.into()),
                Value::Text(format!("evt-{stamp}{second}-{why}-{name}").into()),
                Value::Text(version.into()),
                Value::Int(refresh.updated),
                Value::Text("gamma_poisson".into()),
                Value::Real(((refresh.factor - 1.0) * 100_000.0).round() / 1000.0),
                Value::Real((refresh.confidence * 1000.0).round() / 1000.0),
            ]);
        }
    }
    rows
}

/// `YYYYMMDD-HHMM`, of the days around the second of June 2025, a Monday, on which these tests take place.
fn stamp(at: i64) -> String {
    const SECOND_OF_JUNE: i64 = 1_748_822_400_000;
    let minute = (at - SECOND_OF_JUNE).div_euclid(60_000);
    let (day, minute) = (minute.div_euclid(1440), minute.rem_euclid(1440));
    let date =
        if day >= -1 { format!("202506{:02}", 2 + day) } else { format!("202505{:02}", 33 + day) };
    format!("{date}-{:02}{:02}", minute / 60, minute % 60)
}
