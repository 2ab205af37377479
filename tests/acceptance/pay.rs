//! Acceptance of the payroll ledger: a reader that pays what is published of a day when it has closed, and then settles
//! every entry of the ledger as it appears, has at all times paid what is known. The sums are by hand.

use std::collections::{BTreeMap, BTreeSet};

use highwater_dataflow::view::Value;
use highwater_queries::Settings;
use highwater_queries::settings::{PayrollSettings, SiteSettings};

use super::script::{Cells, Script, int, ms, text};

const MINUTE: i64 = 60_000;

/// An instant of the second or third of June, as in `2T09:00`.
fn at(time: &str) -> String {
    format!("2025-06-0{time}:00Z")
}

/// Agent, time zone, start of the day.
type Day = (String, String, i64);

/// Payroll, as somebody else keeps it.
#[derive(Default)]
struct Books {
    published: BTreeSet<Day>,
    entries: BTreeSet<(Day, i64)>,
    paid_ms: BTreeMap<Day, i64>,
}

fn day(row: &Cells) -> Day {
    (text(row, "agent_id").into(), text(row, "time_zone").into(), int(row, "day_start_ms"))
}

impl Books {
    /// Reads both views, pays what is new, and holds itself against what is known.
    fn settle(&mut self, script: &Script) {
        let told = script.told();
        let hours = told.rows("payroll_hours", &[]);
        for row in &hours {
            let published = &row["published_paid_ms"];
            if let Value::Int(paid) = published
                && self.published.insert(day(row))
            {
                *self.paid_ms.entry(day(row)).or_default() += paid;
            }
            assert_eq!(*published == Value::Null, text(row, "status") == "open", "{row:?}");
        }
        for row in told.rows("payroll_ledger", &[]) {
            if self.entries.insert((day(&row), int(&row, "epoch_us"))) {
                *self.paid_ms.entry(day(&row)).or_default() += int(&row, "paid_change_ms");
            }
        }
        let mut known: BTreeMap<Day, i64> = BTreeMap::new();
        for row in hours.iter().filter(|row| text(row, "status") != "open") {
            known.insert(day(row), int(row, "paid_ms"));
        }
        let mut paid = self.paid_ms.clone();
        paid.retain(|_, ms| *ms != 0);
        known.retain(|_, ms| *ms != 0);
        assert_eq!(paid, known);
    }

    /// What an agent was paid for the second of June in a zone, minutes.
    fn minutes(&self, agent: &str, zone: &str, midnight: &str) -> i64 {
        let day = (agent.to_owned(), zone.to_owned(), ms(midnight));
        self.paid_ms.get(&day).copied().unwrap_or(0) / MINUTE
    }
}

/// Lunch is unpaid; the site `west` is nine hours behind UTC.
fn center() -> Script {
    let zones = [("west".into(), "Etc/GMT+9".into())];
    let mut script = Script::new(Settings {
        payroll: PayrollSettings { unpaid_states: vec!["lunch".into()] },
        correction_s: 2 * 86_400,
        dedup_s: 3 * 86_400,
        sites: SiteSettings { time_zones: zones.into_iter().collect(), ..SiteSettings::default() },
        ..Settings::default()
    });
    script.profile("a", &at("1T00:00"), "team", "home");
    script.state("a", &at("2T08:00"), "available");
    script.state("a", &at("2T16:00"), "offline");
    script
}

const UTC: (&str, &str) = ("UTC", "2025-06-02T00:00:00Z");
const WEST: (&str, &str) = ("Etc/GMT+9", "2025-06-02T09:00:00Z");

#[test]
fn what_is_published_and_the_ledger_add_up() {
    let (mut script, mut books) = (center(), Books::default());
    script.watermark(&at("2T20:00"));
    books.settle(&script);
    assert_eq!(books.minutes("a", UTC.0, UTC.1), 0, "the day is not over");
    script.watermark(&at("3T00:20"));
    books.settle(&script);
    assert_eq!(books.minutes("a", UTC.0, UTC.1), 480);
    // Half an hour's lunch, heard of late; then it was only a quarter, then two.
    script.state("a", &at("2T12:00"), "lunch");
    script.state("a", &at("2T12:30"), "available");
    script.watermark(&at("3T01:00"));
    books.settle(&script);
    assert_eq!(books.minutes("a", UTC.0, UTC.1), 450);
    script.state("a", &at("2T12:15"), "available");
    script.watermark(&at("3T01:15"));
    books.settle(&script);
    script.state("a", &at("2T13:00"), "lunch");
    script.state("a", &at("2T13:15"), "available");
    script.watermark(&at("3T01:30"));
    books.settle(&script);
    assert_eq!(books.minutes("a", UTC.0, UTC.1), 450);
    assert_eq!(books.entries.len(), 3);
    // Final: what comes later changes nothing any more.
    script.watermark("2025-06-06T00:00:00Z");
    books.settle(&script);
    assert_eq!(books.minutes("a", UTC.0, UTC.1), 450);
}

#[test]
fn a_day_that_closed_with_nothing_is_paid_from_the_ledger_alone() {
    let (mut script, mut books) = (center(), Books::default());
    script.profile("b", &at("1T00:00"), "team", "home");
    script.watermark(&at("3T00:20"));
    books.settle(&script);
    // All of the day comes late: it had been published as nothing.
    script.state("b", &at("2T10:00"), "available");
    script.state("b", &at("2T12:00"), "offline");
    script.watermark(&at("3T01:00"));
    books.settle(&script);
    assert_eq!(books.minutes("b", UTC.0, UTC.1), 120);
    let row = script.told().rows("payroll_hours", &["b"]).remove(0);
    assert_eq!((int(&row, "published_paid_ms"), int(&row, "published_productive_ms")), (0, 0));
    // None of it was paid time, it turns out: no row is left, and what was paid is taken back.
    script.state("b", &at("2T10:00"), "lunch");
    script.watermark(&at("3T01:30"));
    books.settle(&script);
    let nothing = script.told().rows("payroll_hours", &["b"]).is_empty();
    assert_eq!((books.minutes("b", UTC.0, UTC.1), nothing), (0, true));
    // And some of it was after all.
    script.state("b", &at("2T11:00"), "available");
    script.watermark(&at("3T02:00"));
    books.settle(&script);
    assert_eq!(books.minutes("b", UTC.0, UTC.1), 60);
    assert_eq!(books.entries.len(), 3);
}

#[test]
fn a_move_to_another_zone_is_settled_in_both() {
    let (mut script, mut books) = (center(), Books::default());
    script.watermark(&at("3T00:20"));
    books.settle(&script);
    // From noon on the agent belonged to the west, whose day goes on until nine in the morning.
    script.profile("a", &at("2T12:00"), "team", "west");
    script.watermark(&at("3T01:00"));
    books.settle(&script);
    assert_eq!(books.minutes("a", UTC.0, UTC.1), 240);
    assert_eq!(books.minutes("a", WEST.0, WEST.1), 0, "the day is not over there");
    script.watermark(&at("3T09:20"));
    books.settle(&script);
    assert_eq!(books.minutes("a", WEST.0, WEST.1), 240);
    // The day before there: over, and nothing of it had ever been known.
    script.profile("a", &at("2T07:30"), "team", "west");
    script.watermark(&at("3T10:00"));
    books.settle(&script);
    assert_eq!(books.minutes("a", WEST.0, "2025-06-01T09:00:00Z"), 60);
    assert_eq!(books.minutes("a", UTC.0, UTC.1), 0);
    let all: i64 = books.paid_ms.values().sum();
    assert_eq!(all / MINUTE, 480, "every minute once");
}
