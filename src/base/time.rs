//! A moment: milliseconds since 1970 in SQL, RFC 3339 UTC in JSON.
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type};
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

    /// How long it is from `self` until `later`; nothing if `later` is not later.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds: `2026-01-02T03:04:05.678Z`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        write!(out, "{moment:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = &'static str;

    /// Reads RFC 3339 with any offset; parts finer than a millisecond are dropped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment: jiff::Timestamp =
            text.parse().map_err(|_| "must be a time such as 2026-01-02T03:04:05.678Z (RFC 3339)")?;
        Ok(Self(moment.as_millisecond()))
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
            example: Some("2026-01-02T03:04:05.678Z".into()),
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
    fn a_timestamp_is_written_in_utc_with_three_decimals() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(1_767_323_045_678).to_string(), "2026-01-02T03:04:05.678Z");
        assert_eq!(Timestamp::from_millis(-1).to_string(), "1969-12-31T23:59:59.999Z");
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
