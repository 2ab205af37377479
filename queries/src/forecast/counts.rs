//! Counts per day and slot from a text: what the forecast is judged on. Reading the file is the caller's.
//!
//! Three layouts are told apart by their first line; separators are comma, semicolon or tab.
//!
//! - *counts*: a header, then a row per interval: a date and a time in one or two columns, and a count (a column that is
//!   named for it, or the only other one);
//! - *calls*: the same without a count column: each row is one call;
//! - *wide*: the header holds dates, the first column times, the cells counts.
//!
//! Dates are year first; or day or month first, whichever can be read and goes forward.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time};

/// Counts of one queue: a row of equal slots per day, from midnight on the site's clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    pub days: BTreeMap<Date, Vec<f64>>,
    pub slot_min: usize,
    /// Length of the bins in the text, minutes; 0 for calls.
    pub bin_min: usize,
    /// Rows that could not be read, with the number of the first: they are left out, not guessed.
    pub unread: usize,
    pub first_unread: Option<usize>,
}

/// Why a text cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountsError(pub String);

impl std::fmt::Display for CountsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CountsError {}

const DAY_MIN: usize = 24 * 60;

/// A count at a minute of a day.
struct Cell {
    date: Date,
    minute: usize,
    count: f64,
}

/// Reads `text` into slots of `slot_min` minutes; `None` takes 15 where the bins allow it exactly, else 30, else the bins'.
///
/// Bins that straddle a slot's border are divided in proportion, so that totals stay.
pub fn read(text: &str, slot_min: Option<usize>) -> Result<Counts, CountsError> {
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, head) = lines.next().ok_or_else(|| CountsError("the text is empty".to_owned()))?;
    let separator = ['\t', ';', ',']
        .into_iter()
        .max_by_key(|separator| head.matches(*separator).count())
        .filter(|separator| head.contains(*separator))
        .ok_or_else(|| CountsError("the first line has no comma, semicolon or tab".to_owned()))?;
    let head: Vec<&str> = head.split(separator).map(clean).collect();
    let dates = header_dates(&head);
    let layout = if dates.is_empty() { Some(Layout::of(&head)?) } else { None };
    let rows: Vec<(usize, Vec<&str>)> =
        lines.map(|(nth, line)| (nth, line.split(separator).map(clean).collect())).collect();
    let layout = layout.map(|layout| layout.counted(&rows));
    let order = layout.as_ref().map_or(ORDERS[0], |layout| layout.order(&rows));

    let (mut cells, mut unread, mut first_unread) = (Vec::new(), 0, None);
    for (nth, fields) in rows {
        let read = match &layout {
            Some(layout) => layout.cell(&fields, order).map(|cell| cells.push(cell)),
            None => wide(&dates, &fields).map(|row| cells.extend(row)),
        };
        if read.is_none() {
            unread += 1;
            first_unread = first_unread.or(Some(nth + 1));
        }
    }
    if cells.is_empty() {
        let hint = "expected a header such as date,start,count and rows below it";
        return Err(CountsError(format!("no row could be read; {hint}")));
    }
    let calls = layout.is_some_and(|layout| layout.count.is_none());
    let bin_min = if calls { 0 } else { bin(&cells) };
    let slot_min = slot_min.unwrap_or(match bin_min {
        bin if bin == 0 || 15 % bin == 0 => 15,
        bin if 30 % bin == 0 => 30,
        bin => bin,
    });
    if slot_min == 0 || !DAY_MIN.is_multiple_of(slot_min) {
        return Err(CountsError(format!("{slot_min} minutes do not divide a day")));
    }
    let mut days: BTreeMap<Date, Vec<f64>> = BTreeMap::new();
    for cell in cells {
        let slots = days.entry(cell.date).or_insert_with(|| vec![0.0; DAY_MIN / slot_min]);
        spread(slots, slot_min, cell.minute, bin_min, cell.count);
    }
    Ok(Counts { days, slot_min, bin_min, unread, first_unread })
}

fn clean(field: &str) -> &str {
    field.trim().trim_matches('"').trim()
}

/// Adds a bin's count to the slots it covers.
fn spread(slots: &mut [f64], slot_min: usize, from: usize, bin_min: usize, count: f64) {
    if bin_min == 0 {
        slots[from / slot_min] += count;
        return;
    }
    let to = (from + bin_min).min(DAY_MIN);
    let mut at = from;
    while at < to {
        let end = ((at / slot_min + 1) * slot_min).min(to);
        slots[at / slot_min] += count * (end - at) as f64 / (to - from) as f64;
        at = end;
    }
}

/// The smallest step between times of day, minutes.
fn bin(cells: &[Cell]) -> usize {
    let mut minutes: Vec<usize> = cells.iter().map(|cell| cell.minute).collect();
    minutes.sort_unstable();
    minutes.dedup();
    minutes.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(DAY_MIN)
}

/// Which column is what.
struct Layout {
    /// Date and time in one.
    instant: Option<usize>,
    date: usize,
    time: usize,
    count: Option<usize>,
}

impl Layout {
    fn of(head: &[&str]) -> Result<Self, CountsError> {
        let named = |names: &[&str]| {
            names.iter().find_map(|name| head.iter().position(|h| h.eq_ignore_ascii_case(name)))
        };
        let instant = named(&["datetime", "timestamp", "ds", "date_time", "arrived_at"]);
        let date = named(&["date", "day", "ds"]);
        let time =
            named(&["start", "interval start", "interval_start", "time", "interval", "vru_entry"]);
        let count = named(&[
            "calls", "count", "volume", "arrivals", "offered", "contacts", "value", "y", "n",
        ]);
        let one = |at: usize| Ok(Layout { instant: Some(at), date: at, time: at, count });
        match (instant, date, time) {
            (Some(instant), _, _) => one(instant),
            (None, Some(date), Some(time)) => Ok(Layout { instant: None, date, time, count }),
            (None, Some(date), None) => one(date),
            _ => Err(CountsError(format!(
                "the header {head:?} names no date; expected date,start,count, or timestamp[,count], or dates across"
            ))),
        }
    }

    fn cell(&self, fields: &[&str], order: Order) -> Option<Cell> {
        let count = match self.count {
            Some(column) => fields.get(column)?.parse().ok().filter(|n: &f64| *n >= 0.0)?,
            None => 1.0,
        };
        let (date, time) = self.when(fields)?;
        Some(Cell { date: one_date(date, order)?, minute: minute(time)?, count })
    }

    /// Without a count by name: the only column beside the time's is one if it holds numbers.
    fn counted(mut self, rows: &[(usize, Vec<&str>)]) -> Self {
        let first = rows.first().map_or(&[][..], |(_, fields)| fields);
        let times = [self.date, self.time];
        let mut others = (0..first.len()).filter(|column| !times.contains(column));
        if let (None, Some(only), None) = (self.count, others.next(), others.next()) {
            self.count = first[only].parse::<f64>().is_ok().then_some(only);
        }
        self
    }

    /// Date and time as they are written.
    fn when<'a>(&self, fields: &[&'a str]) -> Option<(&'a str, &'a str)> {
        match self.instant {
            Some(column) => fields.get(column)?.split_once(['T', ' ']),
            None => Some((*fields.get(self.date)?, *fields.get(self.time)?)),
        }
    }

    /// How the dates of most rows can be read; of several ways the one in which they go forward.
    fn order(&self, rows: &[(usize, Vec<&str>)]) -> Order {
        let texts = || rows.iter().filter_map(|(_, fields)| Some(self.when(fields)?.0));
        let reads = |order: &Order| {
            let dates: Vec<Date> = texts().filter_map(|text| one_date(text, *order)).collect();
            (dates.len(), dates.is_sorted())
        };
        // The first of equals: `max_by_key` has the last.
        ORDERS.into_iter().rev().max_by_key(reads).unwrap_or(ORDERS[0])
    }
}

/// A date of three parts as year, month and day.
type Order = fn([i16; 3]) -> [i16; 3];

const ORDERS: [Order; 3] = [|[a, b, c]| [a, b, c], |[a, b, c]| [c, b, a], |[a, b, c]| [c, a, b]];

/// Three parts in that order, or `yymmdd` or `yyyymmdd`.
fn one_date(text: &str, order: Order) -> Option<Date> {
    let [year, month, day] = parts(text).map(order).or_else(|| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let (year, rest) = text.split_at_checked(text.len().checked_sub(4)?)?;
        let number = |text: &str| text.parse::<i16>().ok();
        let year = number(year)?;
        let century = if text.len() > 6 {
            0
        } else if year < 70 {
            2000
        } else {
            1900
        };
        digits.then_some([year + century, number(&rest[..2])?, number(&rest[2..])?])
    })?;
    date([year, month, day])
}

fn date([year, month, day]: [i16; 3]) -> Option<Date> {
    let date = |month, day| Date::new(year, month, day).ok();
    if year > 31 { date(i8::try_from(month).ok()?, i8::try_from(day).ok()?) } else { None }
}

fn parts(text: &str) -> Option<[i16; 3]> {
    let mut parts = text.split(['-', '/', '.']).map(|part| part.trim().parse::<i16>().ok());
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

/// Minutes after midnight of `9:06`, `09:06:00`, `7:00AM`; an offset or fraction after the seconds is not looked at.
fn minute(text: &str) -> Option<usize> {
    let upper = text.trim().to_ascii_uppercase();
    let (clock, half) = match upper.strip_suffix("AM").or(upper.strip_suffix("PM")) {
        Some(clock) => (clock.trim_end(), Some(upper.ends_with("PM"))),
        None => (upper.as_str(), None),
    };
    let mut fields = clock.split(':');
    let hour: i8 = fields.next()?.trim().parse().ok()?;
    let minute: i8 = fields.next()?.get(..2)?.parse().ok()?;
    let hour = match half {
        Some(afternoon) => hour % 12 + if afternoon { 12 } else { 0 },
        None => hour,
    };
    let time = Time::new(hour, minute, 0, 0).ok()?;
    Some(time.hour() as usize * 60 + time.minute() as usize)
}

/// The dates of a wide header, whichever of day and month comes first: dates go forward.
fn header_dates(head: &[&str]) -> Vec<Date> {
    let cells: Option<Vec<[i16; 3]>> =
        head.iter().skip(1).filter(|h| !h.is_empty()).map(|h| parts(h)).collect();
    let Some(cells) = cells.filter(|cells| cells.len() >= 2) else { return Vec::new() };
    let read = |order: Order| {
        let dates: Option<Vec<Date>> = cells.iter().map(|cell| date(order(*cell))).collect();
        dates.filter(|dates| dates.is_sorted())
    };
    ORDERS.into_iter().find_map(read).unwrap_or_default()
}

fn wide(dates: &[Date], fields: &[&str]) -> Option<Vec<Cell>> {
    let minute = minute(fields.first()?)?;
    let cells = dates.iter().zip(&fields[1..]).filter(|(_, cell)| !cell.is_empty());
    cells
        .map(|(date, cell)| Some(Cell { date: *date, minute, count: cell.parse().ok()? }))
        .collect()
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "exact: whole numbers and small fractions")]
mod tests {
    use super::*;

    fn first_day(text: &str, slot: Option<usize>) -> (Counts, Vec<f64>) {
        let counts = read(text, slot).unwrap();
        let day = counts.days.values().next().unwrap().clone();
        (counts, day)
    }

    #[test]
    fn counts_with_date_and_start_apart() {
        let text = "date,Day,Month,u,start,calls\n1999-01-01,Friday,Jan,1,00:00,2\n1999-01-01,Friday,Jan,2,00:06,3\n\
                    1999-01-01,Friday,Jan,3,00:12,4\n1999-01-01,Friday,Jan,4,00:18,5\n";
        let (counts, day) = first_day(text, None);
        assert_eq!((counts.bin_min, counts.slot_min, day.len()), (6, 30, 48));
        assert_eq!(day[0], 14.0);
        // The bin from 00:12 to 00:18 is half in each quarter of an hour.
        let (_, day) = first_day(text, Some(15));
        assert_eq!(&day[..2], [7.0, 7.0]);
    }

    #[test]
    fn counts_with_one_instant() {
        let text = "\"DateTime\";\"Calls\"\n2003-03-03T07:00:00Z;111\n2003-03-03T07:05:00Z;113\n2003-03-03 09:55;x\n";
        let (counts, day) = first_day(text, None);
        assert_eq!((counts.bin_min, counts.slot_min, counts.unread), (5, 15, 1));
        assert_eq!(counts.first_unread, Some(4));
        assert_eq!(day[28], 224.0);
    }

    #[test]
    fn dates_as_they_are_written_elsewhere_and_a_count_by_any_name() {
        for text in [
            "\u{feff}day;time;inbound\n28/02/2003;07:00;4\n28/02/2003;07:15;5\n03/03/2003;07:00;6\n",
            "date,time,inbound\n2/28/2003,7:00AM,4\n2/28/2003,7:15AM,5\n3/3/2003,7:00AM,6\n",
            "timestamp,inbound\n20030228T07:00,4\n20030228T07:15,5\n20030303T07:00,6\n",
        ] {
            let (counts, day) = first_day(text, None);
            assert_eq!((counts.days.len(), counts.unread), (2, 0), "{text}");
            assert_eq!(counts.days.keys().next().unwrap().to_string(), "2003-02-28");
            assert_eq!((day[28], day[29]), (4.0, 5.0), "{text}");
        }
    }

    #[test]
    fn calls_one_by_one() {
        let text = "vru+line\tdate\tvru_entry\nAA\t990201\t0:14:59\nAA\t990201\t0:15:00\nAA\t990201\t23:59:59\n";
        let (counts, day) = first_day(text, None);
        assert_eq!((counts.bin_min, counts.slot_min), (0, 15));
        assert_eq!((day[0], day[1], day[95]), (1.0, 1.0, 1.0));
    }

    #[test]
    fn days_side_by_side() {
        let text = "\t3/03/2003\t4/03/2003\t13/03/2003\n7:00AM\t111\t112\t5\n7:05AM\t100\t101\t6\n8:00PM\t7\t8\t9\n";
        let (counts, day) = first_day(text, None);
        assert_eq!(counts.days.len(), 3);
        assert_eq!(counts.days.keys().next_back().unwrap().to_string(), "2003-03-13");
        assert_eq!((day[28], day[80]), (211.0, 7.0));
    }

    #[test]
    fn what_cannot_be_read_says_what_would_be() {
        assert!(read("", None).is_err());
        assert!(read("a,b\n1,2\n", None).unwrap_err().0.contains("date,start,count"));
        assert!(read("date,start,count\nx,y,z\n", None).is_err());
        assert!(read("date,start,count\n1999-01-01,00:00,1\n", Some(7)).is_err());
    }
}
