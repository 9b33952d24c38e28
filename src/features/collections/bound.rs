//! A limit in a definition. JSON has one kind of number, so `200` must not come back as `200.0`.
use std::borrow::Cow;

use poem_openapi::registry::MetaSchemaRef;
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

/// Above this, neighbouring whole numbers are one and the same fraction.
pub(super) const EXACT_MAX: i64 = 1 << 53;

/// A limit of numbers, or of the length of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound(pub f64);

impl Type for Bound {
    const IS_REQUIRED: bool = true;
    type RawValueType = f64;
    type RawElementValueType = f64;

    fn name() -> Cow<'static, str> {
        f64::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        f64::schema_ref()
    }

    fn as_raw_value(&self) -> Option<&f64> {
        Some(&self.0)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a f64> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl ParseFromJSON for Bound {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        f64::parse_from_json(value).map(Self).map_err(ParseError::propagate)
    }
}

impl ToJSON for Bound {
    fn to_json(&self) -> Option<Value> {
        Some(self.as_json())
    }
}

impl Bound {
    /// The number, without a fraction if it has none.
    pub fn as_json(self) -> Value {
        whole(self.0).map_or_else(|| self.0.into(), Value::from)
    }
}

/// A number that has no fraction, and is exact as one.
pub(super) fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole and small enough, as just looked at")]
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX as f64).then_some(number as i64)
}
