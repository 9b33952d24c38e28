//! A moment: milliseconds since 1970 in SQL, RFC 3339 UTC in JSON.
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{Example, ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type};
use serde_json::Value;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, as JSON Web Tokens count (RFC 7519 "NumericDate").
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The moment `span` later; the end of time rather than an overflow.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The moment `span` earlier; the beginning of time rather than an overflow.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Appends it as JSON, in quotes. As `Display`, but a list has hundreds of them.
    pub fn write_json(self, out: &mut Vec<u8>) {
        out.push(b'"');
        match self.rfc3339() {
            Some(text) => out.extend_from_slice(&text),
            None => out.extend_from_slice(self.to_string().as_bytes()),
        }
        out.push(b'"');
    }

    /// The text of a moment in the years 0 to 9999.
    fn rfc3339(self) -> Option<[u8; 24]> {
        let (days, millis) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil(days)?;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (at, width, mut number) in [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, millis / 3_600_000),
            (14, 2, millis / 60_000 % 60),
            (17, 2, millis / 1_000 % 60),
            (20, 3, millis % 1_000),
        ] {
            for digit in text[at..at + width].iter_mut().rev() {
                *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
                number /= 10;
            }
        }
        Some(text)
    }

    /// How long it is from `self` until `later`; nothing if `later` is not later.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

/// Year, month and day of a count of days since 1970, for the years 0 to 9999.
///
/// The years begin in March here, so that a leap day is the last of its year (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    let days = days.checked_add(719_468)?;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year_of_era + era * 400 + carry;
    (0..=9_999).contains(&year).then_some((year, month, day))
}

/// Milliseconds of a moment on the last day of the year 9999: data sets write "for ever" so, and the library ends
/// before.
fn last_day(text: &str) -> Option<i64> {
    let date_time: jiff::civil::DateTime =
        text.strip_suffix('Z').filter(|it| it.starts_with("9999-12-3"))?.parse().ok()?;
    let since = date_time.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0));
    i64::try_from(since.as_millis()).ok()
}

/// Whether a text has the form of RFC 3339 section 5.6: others that mean a time too are read by few. A blank may stand for
/// the `T`, as its note says.
fn is_rfc3339(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    let bytes = text.as_bytes();
    let Some((whole, rest)) = bytes.split_at_checked(FORM.len()) else { return false };
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        form => byte == form,
    };
    let rest = match rest.split_first() {
        Some((b'.', digits)) => {
            let count = digits.iter().take_while(|it| it.is_ascii_digit()).count();
            if count == 0 {
                return false;
            }
            &digits[count..]
        }
        _ => rest,
    };
    let is_offset = match rest {
        b"Z" | b"z" => true,
        [b'+' | b'-', hours @ .., b':', tens, ones] => {
            let number = |it: &[u8]| std::str::from_utf8(it).ok().filter(|it| it.len() == 2)?.parse::<u8>().ok();
            number(hours).is_some_and(|it| it < 24) && number(&[*tens, *ones]).is_some_and(|it| it < 60)
        }
        _ => false,
    };
    whole.iter().zip(FORM).all(fits) && is_offset
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds: `2026-01-02T03:04:05.678Z`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.rfc3339() {
            return out.write_str(std::str::from_utf8(&text).unwrap_or_default());
        }
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        write!(out, "{moment:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = &'static str;

    /// Reads RFC 3339 with any offset, in the years 0 to 9999 as UTC has them; parts finer than a millisecond are
    /// dropped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let millis = match text.parse::<jiff::Timestamp>() {
            _ if !is_rfc3339(text) => return Err("must be a time such as 2026-01-02T03:04:05.678Z (RFC 3339)"),
            // Dropped in one direction, also before 1970.
            Ok(moment) => i64::try_from(moment.as_nanosecond().div_euclid(1_000_000)).unwrap_or(i64::MAX),
            Err(_) if text.starts_with("9999-12-31T23") && text.contains("-0") => {
                return Err("must be in the years 0 to 9999");
            }
            Err(_) => last_day(text).ok_or("must be a time such as 2026-01-02T03:04:05.678Z (RFC 3339)")?,
        };
        if civil(millis.div_euclid(86_400_000)).is_none() {
            return Err("must be in the years 0 to 9999");
        }
        Ok(Self(millis))
    }
}

impl Example for Timestamp {
    fn example() -> Self {
        Self::from_millis(1_767_323_045_678) // 2026-01-02T03:04:05.678Z
    }
}

impl Type for Timestamp {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_date-time".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            example: Self::example().to_json(),
            ..MetaSchema::new_with_format("string", "date-time")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl ToJSON for Timestamp {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.to_string()))
    }
}

impl ParseFromJSON for Timestamp {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) => text.parse().map_err(ParseError::custom),
            other => Err(ParseError::expected_type(other.unwrap_or_default())),
        }
    }
}

impl ParseFromParameter for Timestamp {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        text.parse().map_err(ParseError::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_finer_than_a_millisecond_are_dropped_in_one_direction_also_before_1970() {
        let read = |text: &str| text.parse::<Timestamp>().expect("a time").to_string();

        assert_eq!(read("2000-01-01T00:00:00.0009Z"), "2000-01-01T00:00:00.000Z");
        assert_eq!(read("1969-12-31T23:59:59.9999Z"), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn only_the_form_of_rfc_3339_is_a_time() {
        let read = |text: &str| text.parse::<Timestamp>();
        for fine in ["2026-01-02T03:04:05Z", "2026-01-02t03:04:05.1234567z", "2026-01-02 03:04:05+23:59"] {
            assert!(read(fine).is_ok(), "{fine}");
        }
        for odd in [
            "2026-01-02T00:00Z",
            "2026-01-02T00:00:00,5Z",
            "2026-01-02T00:00:00+0100",
            "2026-01-02T00:00:00+24:00",
            "2026-01-02T00:00:00.Z",
            "2026-01-02T00:00:00",
            "2026-01-02T00:00:00Z[UTC]",
            "20260102T000000Z",
            "2026-01-02T00:00:00+01:60",
        ] {
            assert!(read(odd).is_err_and(|it| it.contains("RFC 3339")), "{odd}");
        }
        assert_eq!(read("9999-12-31T23:59:59-01:00"), Err("must be in the years 0 to 9999"));
    }

    #[test]
    fn a_timestamp_is_written_in_utc_with_three_decimals() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(1_767_323_045_678).to_string(), "2026-01-02T03:04:05.678Z");
        assert_eq!(Timestamp::from_millis(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    /// Two ways to write the same must agree on every day, around leap days and at the ends.
    #[test]
    fn the_quick_way_to_write_a_moment_agrees_with_the_other() {
        let around = |days: i64| (-2..=2).map(move |it| (days + it) * 86_400_000 + 45_296_789);
        let leaps = (0..=9_999).step_by(97).flat_map(|year| around((year - 1_970) * 365 + (year - 1_969) / 4));
        let edges = [0, -1, -62_167_219_200_000, 253_402_207_200_999, 1_767_323_045_678];
        for millis in leaps.chain(edges).chain((-719_000..2_930_000).step_by(1_013).map(|it| it * 86_400_000)) {
            let moment = Timestamp::from_millis(millis);
            let mut quick = Vec::new();
            moment.write_json(&mut quick);

            assert_eq!(String::from_utf8(quick).expect("UTF-8"), format!("\"{moment}\""), "{millis}");
        }
    }

    #[test]
    fn an_offset_is_brought_to_utc() {
        let read: Timestamp = "2026-01-02T04:04:05.678+01:00".parse().expect("RFC 3339");

        assert_eq!(read.millis(), 1_767_323_045_678);
    }

    #[test]
    fn a_date_alone_is_not_a_time() {
        assert!("2026-01-02".parse::<Timestamp>().is_err());
        assert!("2026-01-02T03:04:05".parse::<Timestamp>().is_err());
    }

    /// Sums at the edges stay at the edge instead of wrapping into the past.
    #[test]
    fn sums_never_wrap() {
        let end = Timestamp::from_millis(i64::MAX);

        assert_eq!(end.plus(Duration::from_secs(1)), end);
        assert_eq!(end.until(Timestamp::from_millis(0)), Duration::ZERO);
    }
}
