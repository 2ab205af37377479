//! One line of the log: its fields, and its clock times as instants.

use highwater_dataflow::{EventTime, Millis};

const SECOND: Millis = 1_000;
const DAY: Millis = 86_400 * SECOND;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An agent took it.
    Agent,
    /// The caller hung up, in the voice menu or in the queue.
    Hang,
    /// A call of the machinery, not of a customer.
    Phantom,
}

/// One call. Instants are ms UTC, the log's local time taken as UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Date, line and call id as they stand: not unique, the log repeats call ids within a day.
    pub call: String,
    /// Customer type ("PS"): the log's queues.
    pub kind: String,
    /// Midnight of the date column.
    pub day_at: EventTime,
    pub entry_at: EventTime,
    pub vru_exit_at: EventTime,
    /// When it left the queue; `None` if it never reached it.
    pub queue_exit_at: Option<EventTime>,
    /// The log's own `q_time`, ms; 0 if it never queued.
    pub wait_ms: Millis,
    pub outcome: Outcome,
    /// Start and end of the service; `None` where the log has none, which 50 answered calls have not.
    pub service: Option<(EventTime, EventTime)>,
    /// The log's own `ser_time`, ms.
    pub service_ms: Millis,
    pub server: String,
}

/// Reads one line without its line end.
///
/// Errors: what is wrong with it, for the dead letter.
pub(super) fn parse(line: &[u8]) -> Result<Row, String> {
    let line = std::str::from_utf8(line).map_err(|_| "row is not UTF-8".to_owned())?;
    let fields: Vec<&str> = line.split('\t').collect();
    if fields.len() < 17 {
        return Err(format!("row has {} of 17 tab-separated fields", fields.len()));
    }
    let [date, entry, vru_exit] = [fields[5], fields[6], fields[7]];
    let day_at = date_at(date).ok_or_else(|| format!("date {date:?} is not yymmdd"))?;
    let clock = |name: &str, text: &str| {
        clock_ms(text).ok_or_else(|| format!("{name} {text:?} is not h:mm:ss"))
    };
    let entry_at = day_at + clock("vru_entry", entry)?;
    let vru_exit_at = nearest(entry_at, clock("vru_exit", vru_exit)?);
    let wait_s = seconds("q_time", fields[11])?;
    let service_s = seconds("ser_time", fields[15])?;

    // 0:00:00 stands for "never" as well as for midnight: only when its partner says "never" too is it one.
    let [q_start, q_exit] = [clock("q_start", fields[9])?, clock("q_exit", fields[10])?];
    let queue_exit_at =
        (q_start != 0 || q_exit != 0).then(|| nearest(nearest(vru_exit_at, q_start), q_exit));
    let [start, end] = [clock("ser_start", fields[13])?, clock("ser_exit", fields[14])?];
    let service = (start != 0 || end != 0).then(|| {
        let start_at = nearest(queue_exit_at.unwrap_or(vru_exit_at), start);
        (start_at, nearest(start_at, end))
    });

    let outcome = match fields[12] {
        "AGENT" => Outcome::Agent,
        "HANG" => Outcome::Hang,
        "PHANTOM" => Outcome::Phantom,
        other => return Err(format!("outcome {other:?} is none of AGENT, HANG, PHANTOM")),
    };
    let [vru_line, call_id, kind, server] = [fields[0], fields[1], fields[4], fields[16]];
    for (name, field) in [("vru+line", vru_line), ("type", kind), ("server", server)] {
        if field.is_empty() {
            return Err(format!("{name} is empty"));
        }
    }
    Ok(Row {
        call: format!("{date}{vru_line}-{call_id}"),
        kind: kind.to_owned(),
        day_at,
        entry_at,
        vru_exit_at,
        queue_exit_at,
        wait_ms: wait_s * SECOND,
        outcome,
        service,
        service_ms: service_s * SECOND,
        server: server.to_owned(),
    })
}

/// The instant with that time of day that lies nearest to `reference`.
///
/// The date column is that of the VRU entry: what follows may be past midnight. The steps of a call overlap by
/// seconds (a service starts before its queue is left, a clock of the voice menu runs ahead by a minute), so
/// "smaller than the entry" does not mean the next day; half a day apart does.
fn nearest(reference: EventTime, clock: Millis) -> EventTime {
    let midnight = reference.div_euclid(DAY) * DAY;
    let same_day = midnight + clock;
    if same_day - reference > DAY / 2 {
        same_day - DAY
    } else if reference - same_day > DAY / 2 {
        same_day + DAY
    } else {
        same_day
    }
}

fn seconds(name: &str, text: &str) -> Result<Millis, String> {
    match text.parse::<u32>() {
        Ok(seconds) if Millis::from(seconds) * SECOND < DAY => Ok(Millis::from(seconds)),
        _ => Err(format!("{name} {text:?} is not a number of seconds below a day")),
    }
}

/// `h:mm:ss` as ms after midnight.
fn clock_ms(text: &str) -> Option<Millis> {
    let mut parts = text.split(':');
    let [hour, minute, second] = [parts.next()?, parts.next()?, parts.next()?];
    let [hour, minute, second]: [u8; 3] =
        [hour.parse().ok()?, minute.parse().ok()?, second.parse().ok()?];
    let valid = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    let seconds = Millis::from(hour) * 3_600 + Millis::from(minute) * 60 + Millis::from(second);
    valid.then_some(seconds * SECOND)
}

/// Midnight of a `yymmdd` of the twentieth century, ms UTC.
fn date_at(text: &str) -> Option<EventTime> {
    if text.len() != 6 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().ok();
    let [year, month, day] = [1900 + number(0..2)?, number(2..4)?, number(4..6)?];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month - 1).ok().filter(|month| *month < 12)?;
    if day < 1 || day > lengths[month] {
        return None;
    }
    let leaps_since_1970 = (year - 1) / 4 - 1969 / 4 - ((year - 1) / 100 - 1969 / 100);
    let days =
        (year - 1970) * 365 + leaps_since_1970 + lengths[..month].iter().sum::<i64>() + day - 1;
    Some(days * DAY)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn row(times: [&str; 9]) -> Row {
        let [entry, vru_exit, q_start, q_exit, q_time, outcome, start, end, length] = times;
        let line = format!(
            "AA0101\t34536\t0\t2\tPS\t990228\t{entry}\t{vru_exit}\t5\t{q_start}\t{q_exit}\t{q_time}\t\
             {outcome}\t{start}\t{end}\t{length}\tAGENT07\t"
        );
        parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn times_past_midnight_are_on_the_next_day() {
        let row = row([
            "23:59:50", "23:59:54", "0:00:00", "0:00:27", "27", "AGENT", "0:00:26", "0:01:33", "67",
        ]);
        assert_eq!(row.day_at, 920_160_000_000, "1999-02-28");
        let next = row.day_at + DAY;
        assert_eq!(
            row.queue_exit_at,
            Some(next + 27_000),
            "a queue entered at midnight was entered"
        );
        assert_eq!(row.service, Some((next + 26_000, next + 93_000)));
    }

    #[test]
    fn a_voice_menu_whose_clock_runs_ahead_is_not_a_day_long() {
        let row = row([
            "9:48:14", "9:47:17", "9:47:17", "9:50:11", "174", "AGENT", "9:50:11", "9:51:28", "77",
        ]);
        assert_eq!(row.vru_exit_at - row.entry_at, -57_000);
        assert_eq!(row.queue_exit_at.unwrap() - row.entry_at, 117_000);
        assert_eq!(row.wait_ms, 174_000);
    }

    #[test]
    fn never_is_told_from_midnight() {
        let row = row([
            "9:00:00", "9:00:05", "0:00:00", "0:00:00", "0", "HANG", "0:00:00", "0:00:00", "0",
        ]);
        assert_eq!((row.queue_exit_at, row.service, row.outcome), (None, None, Outcome::Hang));
    }

    #[test]
    fn bad_rows_say_what_is_wrong() {
        let good = "AA0101\t1\t0\t0\tPS\t990201\t7:02:47\t7:02:56\t9\t0:00:00\t0:00:00\t0\tAGENT\t7:02:55\t7:05:41\t166\tAGENT07";
        assert!(parse(good.as_bytes()).is_ok());
        for (from, to, reason) in [
            ("990201", "990230", "date \"990230\" is not yymmdd"),
            ("7:02:47", "7:62:47", "vru_entry \"7:62:47\" is not h:mm:ss"),
            ("AGENT\t", "GHOST\t", "outcome \"GHOST\" is none of AGENT, HANG, PHANTOM"),
            ("166", "-1", "ser_time \"-1\" is not a number of seconds below a day"),
            ("\tAGENT07", "", "row has 16 of 17 tab-separated fields"),
        ] {
            assert_eq!(parse(good.replacen(from, to, 1).as_bytes()).unwrap_err(), reason);
        }
        assert_eq!(parse(b"\xff").unwrap_err(), "row is not UTF-8");
    }
}
