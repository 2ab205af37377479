//! Reforecast accuracy: WAPE and bias of every method, per queue and time of day, over everything that was forecast.
//!
//! in   errors (spoken by `intraday`): what each method said at each full hour, against what came
//! out  reforecast_accuracy   one row per queue, method and full hour; an interval counts once it is over, and late
//!      contacts correct it until its day is a correction horizon past

use highwater_dataflow::Table;
use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use serde::{Deserialize, Serialize};

use crate::intraday::{Accuracy, Spoken};

/// A row of `reforecast_accuracy`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReforecastAccuracy(pub Accuracy);

impl ViewRow for ReforecastAccuracy {
    const VIEW: &'static View = &View {
        name: "reforecast_accuracy",
        doc: "How far each method's forecasts of the rest of the day were off, by the hour they were made.",
        key: 3,
        columns: &[
            Column::text("queue_id", "the queue"),
            Column::text(
                "method",
                "static, ratio, gamma_poisson, smoothed_ratio or calibrated_slope",
            ),
            Column::int(
                "cut_min",
                "when it was forecast, minutes after midnight on the queue's clock",
            ),
            Column::int("intervals", "intervals that were forecast and are over"),
            Column::real("wape_pct", "sum |forecast - actual| / sum actual"),
            Column::real("bias_pct", "sum (forecast - actual) / sum actual; positive: too much"),
            Column::real("absolute_error", "sum |forecast - actual|, contacts"),
            Column::real("error", "sum (forecast - actual), contacts"),
            Column::int("actual", "sum actual, contacts"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        let Accuracy { queue, method, cut_min, errors } = &self.0;
        let share = |part: i64| {
            (errors.actual_milli > 0).then(|| part as f64 / errors.actual_milli as f64 * 100.0)
        };
        row.extend([
            Value::from(queue.0.clone()),
            method.as_str().into(),
            (*cut_min).into(),
            errors.intervals.into(),
            share(errors.absolute_milli).into(),
            share(errors.error_milli).into(),
            (errors.absolute_milli as f64 / 1000.0).into(),
            (errors.error_milli as f64 / 1000.0).into(),
            (errors.actual_milli / 1000).into(),
        ]);
    }
}

pub fn reforecast_accuracy(spoken: Table<'_, Spoken>) -> Table<'_, ReforecastAccuracy> {
    spoken.flat_map(|spoken| match spoken {
        Spoken::Accuracy(accuracy) => Some(ReforecastAccuracy(accuracy)),
        _ => None,
    })
}
