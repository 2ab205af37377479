//! Which views the page keeps in memory, how many of their rows, and for how long.

use highwater_dataflow::Millis;

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;

/// How the page keeps one view.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// Name of the view.
    pub view: &'static str,
    /// Rows kept. Above it the oldest go; in views without age, new ones are left out and the page says so.
    pub rows_max: usize,
    /// Event-time column that rows are aged by.
    pub aged_by: Option<&'static str>,
    /// Rows older than this, counted from the watermark, are dropped. They stay in SQLite.
    pub horizon_ms: Option<Millis>,
    /// `(column, value)`: such rows are never aged out.
    pub keeps: Option<(&'static str, &'static str)>,
    /// Counts whose change after the watermark passed the row's interval is a correction worth saying.
    pub corrections: &'static [&'static str],
}

impl Shown {
    /// A view shown whole, up to `rows_max` rows.
    pub const fn whole(view: &'static str, rows_max: usize) -> Self {
        Shown { view, rows_max, aged_by: None, horizon_ms: None, keeps: None, corrections: &[] }
    }

    /// The views of the built-in page.
    pub fn page(rows_max: usize) -> Vec<Shown> {
        let whole = |view| Shown::whole(view, rows_max);
        vec![
            Shown {
                aged_by: Some("interval_start_ms"),
                horizon_ms: Some(2 * HOUR),
                corrections: &["arrivals", "offered", "answered", "abandoned"],
                ..whole("queue_interval")
            },
            Shown {
                aged_by: Some("window_end_ms"),
                horizon_ms: Some(35 * MINUTE),
                ..whole("queue_rolling")
            },
            whole("queue_now"),
            // The business day under way, and what of the day before was not yet replaced.
            Shown {
                aged_by: Some("interval_start_ms"),
                horizon_ms: Some(24 * HOUR),
                ..whole("reforecast")
            },
            whole("reforecast_accuracy"),
            whole("adherence_now"),
            Shown {
                aged_by: Some("from_ms"),
                horizon_ms: Some(8 * HOUR),
                keeps: Some(("status", "open")),
                rows_max: rows_max.min(500),
                ..whole("alerts")
            },
            whole("dead_letters"),
            whole("late_events"),
        ]
    }
}
