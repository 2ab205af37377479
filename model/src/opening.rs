//! A queue's opening hours on the wire: `{"time_zone", "weekdays": ["mon", …], "opens": "08:00", "closes": "20:00"}`.

use std::fmt::Write;

use jiff::tz::TimeZoneDatabase;

use crate::decode::{Malformed, Unknown};
use crate::event::Opening;
use crate::ids::Name;
use crate::reading::Entry;

pub(crate) const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const WEEKDAY_NAMES: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Weekdays are read in English, short or long, in any case. `closes` may be `24:00`, which is the next day's 00:00.
/// The zone must be in the IANA database that the program carries, so that the answer does not depend on the host.
pub(crate) fn opening(entry: Entry<'_>, unknown: &mut Unknown) -> Result<Opening, Malformed> {
    let ([time_zone, weekdays, opens, closes], others) =
        entry.object(["time_zone", "weekdays", "opens", "closes"])?;
    unknown.fields = unknown.fields.saturating_add(others);
    let mut days = 0;
    for item in weekdays.list()? {
        days |= weekday(item)?;
    }
    let opens_min = minutes(opens)?;
    if opens_min == DAY_MIN {
        return Err(opens.because("must be before 24:00"));
    }
    Ok(Opening {
        time_zone: zone(time_zone)?,
        weekdays: days,
        opens_min,
        closes_min: minutes(closes)? % DAY_MIN,
    })
}

const DAY_MIN: i64 = 1440;

/// Writes minutes after midnight as `08:00`.
pub(crate) fn push_clock(out: &mut String, minutes: i64) {
    write!(out, "{:02}:{:02}", minutes / 60, minutes % 60)
        .expect("a string takes all that is written");
}

fn zone(entry: Entry<'_>) -> Result<Name, Malformed> {
    let name = entry.id_or_none::<Name>()?.unwrap_or(Name::const_new("UTC"));
    if TimeZoneDatabase::bundled().get(&name).is_err() {
        return Err(entry.not("an IANA time zone such as Europe/Berlin", &name));
    }
    Ok(name)
}

fn weekday(entry: Entry<'_>) -> Result<u8, Malformed> {
    let text = entry.id_text()?;
    let spelled = |name: &&str| name.eq_ignore_ascii_case(text);
    WEEKDAYS
        .iter()
        .position(spelled)
        .or_else(|| WEEKDAY_NAMES.iter().position(spelled))
        .map(|day| 1 << day)
        .ok_or_else(|| entry.not("a weekday such as mon", text))
}

fn minutes(entry: Entry<'_>) -> Result<i64, Malformed> {
    let text = entry.id_text()?;
    let &[h0, h1, b':', m0, m1] = text.as_bytes() else { return Err(entry.not(CLOCK, text)) };
    if ![h0, h1, m0, m1].iter().all(u8::is_ascii_digit) {
        return Err(entry.not(CLOCK, text));
    }
    let number = |tens: u8, ones: u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
    let (hour, minute) = (number(h0, h1), number(m0, m1));
    if minute >= 60 || hour * 60 + minute > DAY_MIN {
        return Err(entry.not(CLOCK, text));
    }
    Ok(hour * 60 + minute)
}

const CLOCK: &str = "a time of day such as 08:00";
