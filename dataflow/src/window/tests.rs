//! State is bounded: what has expired leaves memory.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::rc::Rc;

use crate::closed::{Now, Out};
use crate::time::{EventTime, Millis};

use super::operator::Operator;
use super::{
    Accumulation, Behavior, Count, FixedWindows, Plan, Sessions, SlidingWindows, TimestampCombiner,
    Trigger, WindowFn,
};

const MINUTE: Millis = 60_000;
const DAY: Millis = 24 * 60 * MINUTE;
const LATENESS: Millis = 30 * MINUTE;

fn operator<W: WindowFn>(windows: W, trigger: Trigger) -> Operator<u32, i64, W, Count> {
    let plan = Plan {
        trigger,
        allowed_lateness: LATENESS,
        accumulation: Accumulation::AccumulatingRetracting,
        closing: Behavior::FireAlways,
        on_time: Behavior::FireAlways,
        timestamps: TimestampCombiner::EndOfWindow,
        clock: Rc::new(|epoch| (epoch / 1000) as Millis),
    };
    Operator::new(windows, Count, plan)
}

/// Ten days of 40 keys that come and go, a tenth of the events late within bounds; the greatest state of each day.
fn ten_days<W: WindowFn>(mut operator: Operator<u32, i64, W, Count>) -> Vec<usize> {
    let (mut panes, mut late) = (Out::new(), Out::new());
    let mut days = Vec::new();
    for day in 0..10 {
        let mut most = 0;
        for minute in 0..24 * 60 {
            let at: EventTime = day * DAY + minute * MINUTE;
            // Keys of the day: none of yesterday's comes again.
            let key = (day * 40 + minute % 40) as u32;
            let mut rows = vec![((key, (at, 1)), 0, 1)];
            if minute % 10 == 0 && minute > 20 {
                rows.push(((key, (at - 20 * MINUTE, 1)), 0, 1));
            }
            let epoch = (at as u64 + 1) * 1000;
            let now = Now { epoch, watermark: at - MINUTE, advanced: true };
            operator.epoch(now, &mut rows, &mut panes, &mut late);
            most = most.max(operator.state_size());
        }
        days.push(most);
    }
    let end = Now { epoch: u64::MAX / 2, watermark: EventTime::MAX, advanced: true };
    operator.epoch(end, &mut Vec::new(), &mut panes, &mut late);
    assert_eq!(operator.state_size(), 0, "nothing stays when all is over");
    days
}

#[test]
fn ten_days_leave_memory_flat() {
    let every_epoch = || Trigger::repeatedly(Trigger::after_count(1));
    let lively = || Trigger::after_watermark().early(every_epoch()).late(every_epoch());
    let timed = Trigger::repeatedly(Trigger::after_processing_time(5 * MINUTE));
    let sizes = [
        ten_days(operator(FixedWindows::of(15 * MINUTE), lively())),
        ten_days(operator(FixedWindows::of(15 * MINUTE), timed)),
        ten_days(operator(SlidingWindows::of(5 * MINUTE).every(30_000), Trigger::Default)),
        ten_days(operator(SlidingWindows::of(5 * MINUTE).every(30_000), lively())),
        ten_days(operator(Sessions::with_gap(3 * MINUTE), lively())),
        ten_days(operator(Sessions::with_gap(3 * MINUTE), Trigger::after_watermark())),
    ];
    for days in sizes {
        let (second, last) = (days[1], days[9]);
        assert!(second > 0 && last <= second + second / 20, "state by day: {days:?}");
    }
}
