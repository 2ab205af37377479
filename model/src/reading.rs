//! Judging one field: each reader takes a value as it came and returns the noun's, or the reason why not.
//!
//! A reason names the field, says what it must be and what it was: whoever sends the event can mend it from that.
//! `*_or_none` readers take an absent field and `null` as "not known".

use std::borrow::Cow;
use std::fmt;

use crate::decode::Malformed;
use crate::ids::Name;
use crate::json::{Json, Value};
use crate::timestamp::parse_ms;

/// Bytes of an identifier: twice what any vendor uses, so that a runaway field cannot become a key.
const ID_BYTES_MAX: usize = 256;
/// Bytes of free text.
const TEXT_BYTES_MAX: usize = 1024;
/// Items of a list.
const ITEMS_MAX: usize = 1000;
/// Bound of every quantity in its stored unit: three years of milliseconds. Ninety million of these still add up
/// without overflow.
const QUANTITY_MAX: i64 = 100_000_000_000;
/// Largest whole number that a JSON float holds exactly.
const FLOAT_WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Where a value stands in the event: `agent_id`, `activities[2].start`, `opening.weekdays[0]`.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// The field, or item of a list in it, that holds the object `name` is in.
    within: Option<(&'static str, Option<usize>)>,
    name: &'static str,
    item: Option<usize>,
}

impl Place {
    pub(crate) fn field(name: &'static str) -> Self {
        Place { within: None, name, item: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        if let Some((name, item)) = self.within {
            f.write_str(name)?;
            item.map_or(Ok(()), |item| write!(f, "[{item}]"))?;
            f.write_str(".")?;
        }
        f.write_str(self.name)?;
        self.item.map_or(Ok(()), |item| write!(f, "[{item}]"))?;
        f.write_str("`")
    }
}

/// A value and its place.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'x> {
    pub(crate) place: Place,
    pub(crate) value: Value<'x>,
}

// The text readers are inlined where events are built, so that an identifier is made in its place and not moved there.
impl<'x> Entry<'x> {
    /// An identifier: text that is not blank, holds no control characters and is at most 256 bytes.
    #[inline]
    pub(crate) fn id_text(self) -> Result<&'x str, Malformed> {
        self.checked_text("text", ID_BYTES_MAX)
    }

    #[inline]
    pub(crate) fn id<T: From<&'x str>>(self) -> Result<T, Malformed> {
        self.id_text().map(T::from)
    }

    /// Empty text, too, means "not known": many senders have no other way to say so.
    #[inline]
    pub(crate) fn id_or_none<T: From<&'x str>>(self) -> Result<Option<T>, Malformed> {
        if self.unset() || self.value == Value::Text("") { Ok(None) } else { self.id().map(Some) }
    }

    /// Free text: as an identifier, but up to 1,024 bytes.
    pub(crate) fn name(self) -> Result<Name, Malformed> {
        self.checked_text("text", TEXT_BYTES_MAX).map(Name::from)
    }

    #[inline]
    pub(crate) fn name_or_none(self) -> Result<Option<Name>, Malformed> {
        if self.unset() || self.value == Value::Text("") { Ok(None) } else { self.name().map(Some) }
    }

    /// One of an enum's spellings; its default, counted in `unknown`, for one nobody knows.
    pub(crate) fn choice<T: Default>(
        self,
        parse: impl Fn(&str) -> Option<T>,
        unknown: &mut u32,
    ) -> Result<T, Malformed> {
        let Value::Text(text) = self.value else { return Err(self.wrong("text")) };
        Ok(parse(text).unwrap_or_else(|| {
            *unknown += 1;
            T::default()
        }))
    }

    pub(crate) fn choice_or_default<T: Default>(
        self,
        parse: impl Fn(&str) -> Option<T>,
        unknown: &mut u32,
    ) -> Result<T, Malformed> {
        if self.unset() { Ok(T::default()) } else { self.choice(parse, unknown) }
    }

    pub(crate) fn flag_or_false(self) -> Result<bool, Malformed> {
        match self.value {
            Value::Absent | Value::Null => Ok(false),
            Value::Bool(flag) => Ok(flag),
            _ => Err(self.wrong("true or false")),
        }
    }

    pub(crate) fn flag_or_none(self) -> Result<Option<bool>, Malformed> {
        if self.unset() { Ok(None) } else { self.flag_or_false().map(Some) }
    }

    /// A whole number from 0; `7.0` is one.
    pub(crate) fn count(self) -> Result<i64, Malformed> {
        self.whole(QUANTITY_MAX)
    }

    pub(crate) fn count_or_none(self) -> Result<Option<i64>, Malformed> {
        if self.unset() { Ok(None) } else { self.count().map(Some) }
    }

    /// A version: a whole number from 0 that may be as large as a time in nanoseconds. 0 if absent.
    pub(crate) fn version_or_zero(self) -> Result<i64, Malformed> {
        if self.unset() { Ok(0) } else { self.version() }
    }

    pub(crate) fn version(self) -> Result<i64, Malformed> {
        self.whole(i64::MAX)
    }

    /// A number from 0, in units of 1/`scale`: 292.4 at scale 1000 is 292,400. Finer digits are rounded.
    pub(crate) fn scaled(self, scale: i64) -> Result<i64, Malformed> {
        self.scaled_within(scale, 0, QUANTITY_MAX)
    }

    pub(crate) fn scaled_or_none(self, scale: i64) -> Result<Option<i64>, Malformed> {
        if self.unset() { Ok(None) } else { self.scaled(scale).map(Some) }
    }

    /// [`Entry::scaled`], of either sign.
    pub(crate) fn scaled_signed(self, scale: i64) -> Result<i64, Malformed> {
        self.scaled_within(scale, -QUANTITY_MAX, QUANTITY_MAX)
    }

    /// A share from 0 to 1, in millionths.
    pub(crate) fn share_ppm(self) -> Result<i64, Malformed> {
        self.scaled_within(1_000_000, 0, 1_000_000)
    }

    pub(crate) fn share_ppm_or_none(self) -> Result<Option<i64>, Malformed> {
        if self.unset() { Ok(None) } else { self.share_ppm().map(Some) }
    }

    /// An RFC 3339 instant, ms UTC.
    pub(crate) fn instant(self) -> Result<i64, Malformed> {
        const EXPECTED: &str = "an RFC 3339 instant such as 2026-05-15T14:32:07.123Z";
        let Value::Text(text) = self.value else { return Err(self.wrong(EXPECTED)) };
        parse_ms(text).ok_or_else(|| self.not(EXPECTED, text))
    }

    /// A list of at most 1,000 items; each comes with its place.
    pub(crate) fn list(self) -> Result<impl ExactSizeIterator<Item = Entry<'x>>, Malformed> {
        let Value::List(items) = self.value else { return Err(self.wrong("a list")) };
        if items.len() > ITEMS_MAX {
            return Err(self.because(&format!(
                "has {} items; split it, at most {ITEMS_MAX} are taken",
                items.len()
            )));
        }
        let place = self.place;
        Ok(items.iter().enumerate().map(move |(index, item)| Entry {
            place: Place { item: Some(index), ..place },
            value: item.value(),
        }))
    }

    /// An object's fields by name, and how many others it has.
    pub(crate) fn object<const N: usize>(
        self,
        names: [&'static str; N],
    ) -> Result<([Entry<'x>; N], u32), Malformed> {
        let Value::Object(pairs) = self.value else { return Err(self.wrong("an object")) };
        let within = Some((self.place.name, self.place.item));
        let mut found = 0;
        let mut twice = None;
        let fields = names.map(|name| {
            let mut named = pairs.iter().filter(|(other, _)| other == name);
            let first: Option<&(Cow<'_, str>, Json<'_>)> = named.next();
            let place = Place { within, name, item: None };
            found += usize::from(first.is_some());
            if named.next().is_some() {
                twice = Some(place);
            }
            Entry { place, value: first.map_or(Value::Absent, |(_, value)| value.value()) }
        });
        match twice {
            Some(place) => Err(Malformed(format!("{place} appears more than once; send it once"))),
            None => Ok((fields, (pairs.len() - found) as u32)),
        }
    }

    /// An object whose names are the sender's: at most 1,000 fields, each name once. Each value is placed by the object
    /// and counted as its item, in the order it came.
    pub(crate) fn named_values(self) -> Result<Vec<(Name, Entry<'x>)>, Malformed> {
        let Value::Object(pairs) = self.value else { return Err(self.wrong("an object")) };
        if pairs.len() > ITEMS_MAX {
            return Err(
                self.because(&format!("has {} fields, at most {ITEMS_MAX} are taken", pairs.len()))
            );
        }
        let mut values: Vec<(Name, Entry<'x>)> = Vec::with_capacity(pairs.len());
        for (index, (name, value)) in pairs.iter().enumerate() {
            let place = Place { item: Some(index), ..self.place };
            let name = Entry { place, value: Value::Text(name) }.id()?;
            if values.iter().any(|(other, _)| *other == name) {
                return Err(self.because(&format!("has {name:?} more than once; send it once")));
            }
            values.push((name, Entry { place, value: value.value() }));
        }
        Ok(values)
    }

    pub(crate) fn unset(self) -> bool {
        matches!(self.value, Value::Absent | Value::Null)
    }

    pub(crate) fn null(self) -> bool {
        self.value == Value::Null
    }

    /// The place has a value that nothing but `fault` is wrong with.
    pub(crate) fn because(self, fault: &str) -> Malformed {
        Malformed(format!("{} {fault}", self.place))
    }

    /// Text that is not what was expected; quoted, shortened.
    pub(crate) fn not(self, expected: &str, text: &str) -> Malformed {
        let quoted: String = text.chars().take(40).collect();
        self.because(&format!("must be {expected}, not {quoted:?}"))
    }

    #[cold]
    fn wrong(self, expected: &str) -> Malformed {
        let kind = match self.value {
            Value::Absent => return self.because(&format!("is missing; it must be {expected}")),
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.because(&format!("must be {expected}, not {kind}"))
    }

    fn checked_text(self, expected: &str, bytes_max: usize) -> Result<&'x str, Malformed> {
        let Value::Text(text) = self.value else { return Err(self.wrong(expected)) };
        if text.len() > bytes_max {
            return Err(
                self.because(&format!("has {} bytes, at most {bytes_max} are taken", text.len()))
            );
        }
        if text.trim_ascii().is_empty() {
            return Err(self.because("must not be empty"));
        }
        if text.bytes().min().is_some_and(|least| least < b' ') {
            return Err(self.because("must not hold control characters"));
        }
        Ok(text)
    }

    fn whole(self, max: i64) -> Result<i64, Malformed> {
        let whole = match self.value {
            Value::Int(n) => n,
            Value::Float(x) if x.fract() == 0.0 && x.abs() <= FLOAT_WHOLE_MAX => x as i64,
            Value::Float(_) => return Err(self.because("must be a whole number")),
            _ => return Err(self.wrong("a whole number")),
        };
        self.within(whole, 1, 0, max)
    }

    fn scaled_within(self, scale: i64, min: i64, max: i64) -> Result<i64, Malformed> {
        let scaled = match self.value {
            Value::Int(n) => n.saturating_mul(scale),
            // Saturates, and the bound refuses it.
            Value::Float(x) => (x * scale as f64).round() as i64,
            _ => return Err(self.wrong("a number")),
        };
        self.within(scaled, scale, min, max)
    }

    fn within(self, value: i64, scale: i64, min: i64, max: i64) -> Result<i64, Malformed> {
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        let (min, max) = (min / scale, max / scale);
        Err(self.because(&format!("must be between {min} and {max}")))
    }
}
