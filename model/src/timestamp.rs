//! Instants as text: RFC 3339 to and from milliseconds since the Unix epoch, UTC.

use jiff::Timestamp;

const DAY_MS: i64 = 86_400_000;

/// Reads an RFC 3339 instant of any offset, with or without a fraction; `None` if it is not one.
///
/// Digits finer than a millisecond are cut off, before 1970 too, and a leap second is the second before it.
/// Offsets without a colon (`+0000`), which Java's formatters write, are read as well.
pub fn parse_ms(text: &str) -> Option<i64> {
    parse_utc(text.as_bytes()).or_else(|| {
        let instant: Timestamp = text.parse().ok()?;
        i64::try_from(instant.as_nanosecond().div_euclid(1_000_000)).ok()
    })
}

/// Writes `2026-05-15T14:32:07.123Z`.
///
/// Years outside 0 to 9999, which RFC 3339 cannot express, are written with a sign and six or more digits.
pub fn format_ms(ms: i64) -> String {
    let mut out = String::with_capacity(24);
    push_ms(&mut out, ms);
    out
}

/// [`format_ms`] at the end of `out`.
pub(crate) fn push_ms(out: &mut String, ms: i64) {
    let (days, of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = civil_from_days(days);
    if (0..=9999).contains(&year) {
        push_digits(out, year, 1000);
    } else {
        out.push(if year < 0 { '-' } else { '+' });
        push_digits(out, year.abs(), if year.abs() < 1_000_000 { 100_000 } else { 100_000_000 });
    }
    for (mark, value, first) in [
        ('-', month, 10),
        ('-', day, 10),
        ('T', of_day / 3_600_000, 10),
        (':', of_day / 60_000 % 60, 10),
        (':', of_day / 1000 % 60, 10),
        ('.', of_day % 1000, 100),
    ] {
        out.push(mark);
        push_digits(out, value, first);
    }
    out.push('Z');
}

/// Writes `value` in as many digits as `place`, a power of ten, has.
fn push_digits(out: &mut String, value: i64, mut place: i64) {
    while place > 0 {
        out.push(char::from(b'0' + (value / place % 10) as u8));
        place /= 10;
    }
}

/// The two spellings nearly every sender uses, `…SSZ` and `…SS.mmmZ`: ten times faster than the general reader.
/// `None` sends all others there, to be read or refused.
fn parse_utc(text: &[u8]) -> Option<i64> {
    let (head, tail) = text.split_first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1] =
        *head
    else {
        return None;
    };
    let ms = match *tail {
        [b'.', a, b, c, b'Z'] => number([b'0', a, b, c])?,
        [b'Z'] => 0,
        _ => return None,
    };
    let year = number([y0, y1, y2, y3])?;
    let (month, day) = (number([b'0', b'0', m0, m1])?, number([b'0', b'0', d0, d1])?);
    let (hour, minute) = (number([b'0', b'0', h0, h1])?, number([b'0', b'0', n0, n1])?);
    let second = number([b'0', b'0', s0, s1])?;
    let valid = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    valid.then(|| {
        let minutes = (days_from_civil(year, month, day) * 24 + hour) * 60 + minute;
        (minutes * 60 + second) * 1000 + ms
    })
}

#[inline]
fn number(digits: [u8; 4]) -> Option<i64> {
    let mut value = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
    }
    Some(value)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that the leap day is
/// a year's last and a month's first day is linear in the month.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rfc_3339() {
        for (text, ms) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("1970-01-01T00:00:00Z", 0),
            ("2026-05-15T14:32:07.123Z", 1_778_855_527_123),
            ("2026-05-15T14:32:07Z", 1_778_855_527_000),
            ("2026-05-15t14:32:07.123z", 1_778_855_527_123),
            ("2026-05-15 14:32:07.123Z", 1_778_855_527_123),
            ("2026-05-15T16:32:07.123+02:00", 1_778_855_527_123),
            ("2026-05-15T10:02:07.123-04:30", 1_778_855_527_123),
            ("2026-05-15T14:32:07.123+0000", 1_778_855_527_123),
            ("2026-05-15T14:32:07.1Z", 1_778_855_527_100),
            ("2026-05-15T14:32:07.12Z", 1_778_855_527_120),
            ("2026-05-15T14:32:07.123999Z", 1_778_855_527_123),
            ("2026-05-15T14:32:07.123999999+00:00", 1_778_855_527_123),
            ("2024-02-29T23:59:59.999Z", 1_709_251_199_999),
            ("2000-02-29T00:00:00.000Z", 951_782_400_000),
            ("2024-03-01T00:00:00+14:00", 1_709_200_800_000),
            ("1999-02-01T08:00:00.000Z", 917_856_000_000),
            ("1999-12-31T23:59:59.999Z", 946_684_799_999),
            ("1969-12-31T23:59:59.999Z", -1),
            ("1969-12-31T23:59:59.9999Z", -1),
            ("1969-12-31T23:59:59.0001Z", -1000),
            ("1900-03-01T00:00:00Z", -2_203_891_200_000),
            ("0000-01-01T00:00:00.000Z", -62_167_219_200_000),
            ("9999-12-30T21:59:59.999Z", 253_402_207_199_999),
            ("2016-12-31T23:59:60.000Z", 1_483_228_799_000),
        ] {
            assert_eq!(parse_ms(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_instant() {
        for text in [
            "",
            "now",
            "2021-04-2T",
            "2021-04-2T10:00:00.000Z",
            "2021-04-02",
            "2021-04-02T10:00:00.000",
            "2021-04-02T10:00:00",
            "2023-02-29T10:00:00.000Z",
            "1900-02-29T10:00:00.000Z",
            "2021-04-31T10:00:00.000Z",
            "2021-00-02T10:00:00.000Z",
            "2021-13-02T10:00:00.000Z",
            "2021-04-00T10:00:00.000Z",
            "2021-04-02T24:00:00.000Z",
            "2021-04-02T10:60:00.000Z",
            "2021-04-02T10:00:61.000Z",
            "2021-04-02T10:00:00.000+25:99",
            "2021-04-02T10:00:00.00-Z",
            "2021-04-02T10:00:00.Z",
            "2021-04-02T1O:00:00.000Z",
            "2021/04/02T10:00:00.000Z",
            "1617357600000",
            "2021-04-02T10:00:00.000Z ",
            "２０21-04-02T10:00:00Z",
        ] {
            assert_eq!(parse_ms(text), None, "{text}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (917_856_000_000, "1999-02-01T08:00:00.000Z"),
            (1_778_855_527_123, "2026-05-15T14:32:07.123Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
            (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"),
            (i64::MAX, "+292278994-08-17T07:12:55.807Z"),
            (i64::MIN, "-292275055-05-16T16:47:04.192Z"),
        ] {
            assert_eq!(format_ms(ms), text);
        }
    }

    /// Every day of 800 years, against a library's calendar.
    #[test]
    fn agrees_with_jiff_on_every_day() {
        let first = -135_140; // 1600-01-01
        for day in first..first + 2 * 146_097 {
            let ms = day * DAY_MS + 43_200_123;
            let text = format_ms(ms);
            let instant = Timestamp::from_millisecond(ms).expect("within range");
            assert_eq!(text, format!("{instant:.3}"));
            assert_eq!(parse_utc(text.as_bytes()), Some(ms), "{text}");
        }
    }
}
