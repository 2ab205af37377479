//! Adherence as the trade defines it: the published examples, and what must not disturb them.

use highwater_dataflow::view::Value;
use highwater_model::format_ms;
use highwater_queries::Settings;
use highwater_queries::settings::{AdherenceSettings, Grace, SiteSettings};

use super::script::{Cells, Script, int, ms, tenths, text};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn day(hour: i64, minute: i64) -> String {
    format!("2025-06-02T{hour:02}:{minute:02}:00Z")
}

/// Scheduled 60 minutes, ten late, ten extra: 83.3 % without and 71.4 % with the time outside the shift.
#[test]
fn acceptance_1_time_outside_the_shift_counts_only_where_asked() {
    let mut script = Script::new(Settings::default());
    script.shift("late", 1, &[(&day(10, 0), &day(11, 0), "On Queue")]);
    script.state("late", &day(9, 0), "OFFLINE");
    script.state("late", &day(10, 10), "ON_QUEUE");
    script.state("late", &day(11, 10), "OFFLINE");
    // Nothing scheduled at all.
    script.state("free", &day(10, 0), "AVAILABLE");
    script.state("free", &day(10, 30), "OFFLINE");
    // Twice as long on queue as scheduled.
    script.shift("eager", 1, &[(&day(10, 0), &day(10, 30), "On Queue")]);
    script.state("eager", &day(10, 0), "INTERACTING");
    script.state("eager", &day(11, 0), "OFFLINE");
    script.watermark(&day(12, 0));
    let told = script.told();

    let late = told.row("adherence_day", &["agent", "late"]);
    assert_eq!(int(&late, "scheduled_ms"), HOUR);
    assert_eq!(int(&late, "out_ms"), 10 * MINUTE);
    assert_eq!(int(&late, "outside_ms"), 10 * MINUTE);
    assert_eq!(tenths(&late, "adherence_pct"), Some(833));
    assert_eq!(tenths(&late, "adherence_with_outside_pct"), Some(714));
    assert_eq!(tenths(&late, "adherence_connect_pct"), Some(833));
    assert_eq!(tenths(&late, "conformance_pct"), Some(1000));

    let free = told.row("adherence_day", &["agent", "free"]);
    assert_eq!(int(&free, "outside_ms"), 30 * MINUTE);
    for undefined in
        ["adherence_pct", "adherence_with_outside_pct", "adherence_connect_pct", "conformance_pct"]
    {
        assert_eq!(tenths(&free, undefined), None, "{undefined} of no schedule");
    }
    let eager = told.row("adherence_day", &["agent", "eager"]);
    assert_eq!(tenths(&eager, "conformance_pct"), Some(2000));
    assert_eq!(tenths(&eager, "adherence_pct"), Some(1000));
}

/// An exception longer than the grace counts in full, or only its excess; a shorter one not at all.
#[test]
fn grace_has_two_readings() {
    for (grace, out) in [(Grace::Whole, 10 * MINUTE), (Grace::Excess, 7 * MINUTE)] {
        let adherence = AdherenceSettings { grace_s: 180, grace, ..AdherenceSettings::default() };
        let mut script = Script::new(Settings { adherence, ..Settings::default() });
        script.shift("a", 1, &[(&day(10, 0), &day(12, 0), "on-queue")]);
        script.state("a", &day(10, 0), "available");
        // Three minutes: excused. Ten: across two quarters of an hour, and two kinds of absence.
        script.state("a", &day(10, 20), "break");
        script.state("a", &day(10, 23), "available");
        script.state("a", &day(10, 40), "break");
        script.state("a", &day(10, 44), "away");
        script.state("a", &day(10, 50), "available");
        script.watermark(&day(12, 0));
        let told = script.told();
        let row = told.row("adherence_day", &["agent", "a"]);
        assert_eq!((int(&row, "out_ms"), int(&row, "excused_ms")), (out, 13 * MINUTE - out));
        let quarters = told.rows("adherence_interval", &["agent", "a"]);
        let outs: Vec<i64> = quarters.iter().map(|row| int(row, "out_ms") / MINUTE).collect();
        let expected = match grace {
            Grace::Whole => [0, 0, 5, 5, 0, 0, 0, 0],
            Grace::Excess => [0, 0, 2, 5, 0, 0, 0, 0],
        };
        assert_eq!(outs, expected);
    }
}

/// On queue and not responding is out, communicating is in, a state nobody mapped is unknown and counted.
#[test]
fn acceptance_2_routing_states_are_judged_and_unmapped_ones_counted_with_an_alert() {
    let mut script = Script::new(Settings::default());
    for (agent, state) in [
        ("missed", "NOT_RESPONDING"),
        ("talking", "COMMUNICATING"),
        ("praying", "Prayer Room"),
        ("eating", "Meal"),
    ] {
        script.shift(
            agent,
            1,
            &[(&day(10, 0), &day(12, 0), "OnQueue"), (&day(12, 0), &day(12, 30), "Meal")],
        );
        script.state(agent, &day(10, 5), state);
    }
    script.shift("working", 1, &[(&day(10, 0), &day(11, 0), "break")]);
    script.state("working", &day(10, 0), "AVAILABLE");
    script.watermark(&day(10, 30));
    let told = script.told();
    for (agent, state, status, impact) in [
        ("missed", "not-responding", "out", "negative"),
        ("talking", "on-call", "in", "neutral"),
        ("praying", "unknown", "unknown", "unknown"),
        ("eating", "lunch", "out", "negative"),
        ("working", "available", "out", "positive"),
    ] {
        let row = told.row("adherence_now", &[agent]);
        let is = [text(&row, "state"), text(&row, "status"), text(&row, "impact")];
        assert_eq!(is, [state, status, impact], "{agent}");
    }
    let missed = told.row("adherence_now", &["missed"]);
    assert_eq!(int(&missed, "out_since_ms"), ms(&day(10, 5)));
    assert_eq!(
        (text(&missed, "next_activity"), int(&missed, "next_activity_ms")),
        ("meal", ms(&day(12, 0)))
    );
    // The warning: unknown from the start of the shift, when nothing had been heard, and since the state came.
    let warned = told.row("unmapped_states", &["on-queue", "unknown"]);
    assert!(int(&warned, "agents") >= 1 && int(&warned, "last_seen_ms") <= ms(&day(10, 5)));
    // The alert: of the one in that state, and from then on.
    let alerts = told.rows("alerts", &[]);
    let alert = alerts.iter().find(|row| text(row, "rule") == "mapping_missing").unwrap();
    assert_eq!((text(alert, "scope"), text(alert, "status")), ("on-queue/unknown", "open"));
    assert_eq!((text(alert, "members"), int(alert, "from_ms")), ("praying", ms(&day(10, 5))));
    let day_row = told.row("adherence_day", &["agent", "praying"]);
    assert_eq!((int(&day_row, "out_ms"), int(&day_row, "unknown_ms")), (0, 30 * MINUTE));
}

/// What an agent did, in the order of the list.
fn morning(script: &mut Script, order: &[usize]) {
    let states = [
        (day(9, 55), "AVAILABLE"),
        (day(10, 20), "BREAK"),
        (day(10, 31), "AVAILABLE"),
        ("2025-06-02T10:30:59Z".to_owned(), "AWAY"),
        (day(10, 50), "ON_CALL"),
        (day(11, 0), "ACW"),
        (day(11, 2), "AVAILABLE"),
        (day(12, 0), "OFFLINE"),
    ];
    for &n in order {
        script.state("a", &states[n].0, states[n].1);
    }
}

const MORNING: &[(&str, &str, &str)] = &[
    ("2025-06-02T10:00:00Z", "2025-06-02T10:15:00Z", "on-queue"),
    ("2025-06-02T10:15:00Z", "2025-06-02T10:30:00Z", "break"),
    ("2025-06-02T10:30:00Z", "2025-06-02T12:00:00Z", "on-queue"),
];

/// Twice, a second out of order, late: the seconds in and out are the same.
#[test]
fn acceptance_3_duplicates_disorder_and_lateness_leave_adherent_seconds_unchanged() {
    let tell = |parts: &[(&[usize], &str)]| -> Vec<Cells> {
        let mut script = Script::new(Settings::default());
        script.profile("a", &day(0, 0), "blue", "here");
        script.shift("a", 1, MORNING);
        for (order, watermark) in parts {
            morning(&mut script, order);
            script.watermark(watermark);
        }
        let told = script.told();
        let mut rows = told.rows("adherence_interval", &["agent", "a"]);
        rows.extend(told.rows("adherence_day", &[]));
        rows.extend(told.rows("payroll_hours", &["a"]));
        rows.extend(told.rows("agent_sessions", &["a"]));
        for row in &mut rows {
            row.retain(|column, _| !column.starts_with("published_"));
        }
        rows
    };
    let once = tell(&[(&[0, 1, 3, 2, 4, 5, 6, 7], &day(13, 0))]);
    let mine = once.iter().find(|row| {
        text_or(row, "scope") == "agent" && row["end_ms"] == Value::Int(ms("2025-06-03T00:00:00Z"))
    });
    let mine = mine.unwrap();
    // Out: five minutes too long at work, then a minute less a second and a second away, and the rest of the break.
    assert_eq!(int(mine, "in_ms"), 2 * HOUR - 6 * MINUTE);
    assert_eq!(int(mine, "out_ms"), 6 * MINUTE);
    for (name, parts) in [
        (
            "twice",
            vec![(&[0, 0, 1, 3, 3, 2, 4][..], day(10, 55)), (&[4, 5, 6, 6, 7, 7, 0], day(13, 0))],
        ),
        ("out of order", vec![(&[1, 0, 2, 3, 5, 4], day(11, 1)), (&[7, 6], day(13, 0))]),
        ("late", vec![(&[0, 1], day(11, 1)), (&[4, 5, 7], day(12, 45)), (&[6, 3, 2], day(13, 0))]),
    ] {
        let parts: Vec<(&[usize], &str)> =
            parts.iter().map(|(order, watermark)| (*order, watermark.as_str())).collect();
        assert_eq!(tell(&parts), once, "{name}");
    }
}

fn text_or<'c>(cells: &'c Cells, column: &str) -> &'c str {
    cells.get(column).map_or("", |_| text(cells, column))
}

/// A schedule edited three hours back is judged anew, and what had been published stays beside it.
#[test]
fn acceptance_3_a_schedule_edit_three_hours_back_keeps_both_versions() {
    let mut script = Script::new(Settings::default());
    script.shift("a", 1, MORNING);
    morning(&mut script, &[0, 1, 3, 2, 4, 5, 6, 7]);
    script.watermark(&day(13, 15));
    // The break had been moved to when it was taken.
    let moved = [
        (&*day(10, 0), &*day(10, 20), "on-queue"),
        (&*day(10, 20), &*day(10, 31), "break"),
        (&*day(10, 31), &*day(12, 0), "on-queue"),
    ];
    script.shift("a", 2, &moved);
    script.watermark(&day(13, 20));
    let told = script.told();
    let quarters = told.rows("adherence_interval", &["agent", "a"]);
    let quarter = |minute| {
        let start = Value::Int(ms(&day(10, minute)));
        quarters.iter().find(|row| row["start_ms"] == start).unwrap()
    };
    let second = quarter(15);
    assert_eq!(text(second, "status"), "closing");
    assert_eq!(int(second, "out_ms"), 0);
    assert_eq!(int(second, "published_out_ms"), 5 * MINUTE);
    assert_eq!(tenths(second, "adherence_pct"), Some(1000));
    assert_eq!(tenths(second, "published_adherence_pct"), Some(667));
    // Away for one second, which is now within the break.
    let third = quarter(30);
    assert_eq!((int(third, "out_ms"), int(third, "published_out_ms")), (1_000, MINUTE));
}

/// Heartbeats that repeat a state from before the logoff, up to an hour later, do not revive the agent.
#[test]
fn acceptance_4_heartbeats_after_logoff_do_not_revive_the_agent() {
    let mut script = Script::new(Settings::default());
    script.state("a", &day(9, 0), "Available");
    script.watermark(&day(9, 30));
    script.state("a", &day(10, 0), "Offline");
    script.watermark(&day(10, 0));
    let heartbeat = |script: &mut Script, n: i64, state: &str, since: &str| {
        script.event(&format!(
            r#"{{"event_type": "AgentStateChange", "event_id": "heartbeat {n} {state}", "timestamp": "{since}",
            "agent_id": "a", "new_state": "{state}", "source": "connect"}}"#
        ));
    };
    for n in 1..30 {
        // The snapshot speaks of the last status it knows, with the time since when; some are behind.
        heartbeat(&mut script, n, "Available", &day(9, 0));
        heartbeat(&mut script, n, "Offline", &day(10, 0));
        script.watermark(&day(10, 2 * n));
    }
    // One that says so itself, an hour on, changes nothing either.
    heartbeat(&mut script, 30, "Offline", &day(11, 0));
    script.watermark(&day(11, 1));
    let told = script.told();
    let now = told.row("adherence_now", &["a"]);
    assert_eq!((text(&now, "state"), int(&now, "since_ms")), ("offline", ms(&day(10, 0))));
    let session = told.row("agent_sessions", &["a"]);
    assert_eq!(
        (int(&session, "login_ms"), int(&session, "logout_ms")),
        (ms(&day(9, 0)), ms(&day(10, 0)))
    );
    assert_eq!(int(&told.row("payroll_hours", &["a"]), "paid_ms"), HOUR);
}

/// Breaks close and reopen parts of a session; a late logout cuts a session in two.
#[test]
fn sessions_are_cut_by_breaks_and_by_late_logouts() {
    let mut script = Script::new(Settings::default());
    script.state("a", &day(8, 0), "Meeting");
    script.state("a", &day(9, 0), "Available");
    script.state("a", &day(10, 0), "Break");
    script.state("a", &day(10, 15), "Available");
    script.watermark(&day(11, 0));
    let told = script.told();
    let parts = |told: &super::script::Told| -> Vec<(i64, i64, String, i64)> {
        let rows = told.rows("agent_sessions", &["a"]);
        let part = |row: &Cells| {
            let hours = |at| at - ms(&day(0, 0));
            let login = hours(int(row, "login_ms")) / MINUTE;
            (
                login,
                int(row, "part"),
                text(row, "kind").to_owned(),
                int(row, "productive_ms") / MINUTE,
            )
        };
        rows.iter().map(part).collect()
    };
    let work = |login, part, minutes| (login, part, "work".to_owned(), minutes);
    let rest = |login, part| (login, part, "break".to_owned(), 0);
    assert_eq!(parts(&told), [work(480, 1, 60), rest(480, 2), work(480, 3, 0)]);
    let open = &told.rows("agent_sessions", &["a"])[2];
    assert_eq!(open["to_ms"], Value::Null);
    assert_eq!(int(open, "productive_since_ms"), ms(&day(10, 15)));
    // It had logged off for half an hour before the break.
    script.state("a", &day(9, 30), "Offline");
    script.watermark(&day(11, 5));
    let told = script.told();
    assert_eq!(parts(&told), [work(480, 1, 30), rest(600, 1), work(600, 2, 0)]);
}

/// The hours a day had, and the bins: an hour that comes twice is two bins, one that is skipped is none.
#[test]
fn acceptance_8_a_fall_back_night_has_nine_hours_and_a_spring_night_seven() {
    let eastern = || SiteSettings {
        time_zones: [("east".into(), "America/New_York".into())].into(),
        ..SiteSettings::default()
    };
    for (night, date, hours, from, to, [first, second]) in [
        ("fall", "2025-11-02", 25, "2025-11-02T03:00:00Z", "2025-11-02T12:00:00Z", [1, 8]),
        ("spring", "2026-03-08", 23, "2026-03-08T04:00:00Z", "2026-03-08T11:00:00Z", [1, 6]),
    ] {
        let settings = Settings { interval_s: 3600, sites: eastern(), ..Settings::default() };
        let mut script = Script::new(settings);
        script.profile("night", "2025-01-01T00:00:00Z", "owls", "east");
        script.profile("always", "2025-01-01T00:00:00Z", "owls", "east");
        script.state("night", from, "Available");
        script.state("night", to, "Offline");
        let at = |hours: i64| format_ms(ms(from) + hours * HOUR);
        // Somebody who never leaves shows every bin of the day.
        script.state("always", &at(-10), "Available");
        script.watermark(&at(0));
        script.watermark(&at(12));
        script.watermark(&at(27));
        let told = script.told();

        let days = told.rows("payroll_hours", &["night"]);
        let paid: Vec<i64> = days.iter().map(|row| int(row, "paid_ms") / HOUR).collect();
        assert_eq!(paid, [first, second], "{night}");
        assert_eq!(paid.iter().sum::<i64>() * HOUR, ms(to) - ms(from), "{night}: every hour once");
        let changed = &days[1];
        assert_eq!(text(changed, "business_day"), date);
        assert_eq!((int(changed, "day_end_ms") - int(changed, "day_start_ms")) / HOUR, hours);
        assert_eq!(text(changed, "status"), "closing");

        let bins = told.rows("adherence_interval", &["agent", "always"]);
        let bins: Vec<_> = bins.iter().filter(|row| text(row, "business_day") == date).collect();
        assert_eq!(bins.len() as i64, hours, "{night}");
        assert!(bins.iter().all(|row| int(row, "on_queue_actual_ms") == HOUR));
        let starts: Vec<i64> = bins.iter().map(|row| int(row, "start_ms")).collect();
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == HOUR), "none merged or missing");
        let day = told.rows("adherence_day", &["agent", "always"]);
        let day = day.iter().find(|row| text(row, "business_day") == date).unwrap();
        assert_eq!(int(day, "on_queue_actual_ms"), hours * HOUR);
    }
}

/// A day that was paid out is corrected by what comes late, and the ledger says by how much and why.
#[test]
fn corrections_of_a_published_day_are_in_the_ledger() {
    let mut script = Script::new(Settings::default());
    script.state("a", &day(8, 0), "Available");
    script.state("a", &day(12, 0), "Meal");
    script.state("a", &day(12, 30), "Available");
    script.state("a", &day(17, 0), "Offline");
    script.watermark("2025-06-03T00:00:00Z");
    // The logout of the day before had been at half past four; it comes an hour after midnight.
    script.state("a", &day(16, 30), "Offline");
    script.watermark("2025-06-03T01:00:00Z");
    script.state("a", "2025-06-04T08:00:00Z", "Available");
    script.watermark("2025-06-04T08:30:00Z");
    let told = script.told();
    let days = told.rows("payroll_hours", &["a"]);
    assert_eq!(text(&days[0], "status"), "final");
    assert_eq!(int(&days[0], "paid_ms"), 8 * HOUR);
    assert_eq!(int(&days[0], "published_paid_ms"), 8 * HOUR + 30 * MINUTE);
    let correction = told.row("payroll_ledger", &["a"]);
    assert_eq!(int(&correction, "paid_change_ms"), -30 * MINUTE);
    assert_eq!(int(&correction, "productive_change_ms"), -30 * MINUTE);
    assert_eq!((int(&correction, "epoch_us"), int(&correction, "cause_seq")), (2, 5));
}
