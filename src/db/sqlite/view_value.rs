//! The function that looks at what a view computed, see [`crate::db::views::Held`].
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Value, ValueRef};
use serde::de::IgnoredAny;

use crate::db::views::TEXT_BYTES_MAX;

/// The years 0 to 9999, which a text in RFC 3339 can name, in milliseconds since 1970.
const MOMENTS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

pub(super) fn add(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("view_value", 2, flags, |context| {
        let held = context.get_raw(0).as_str().unwrap_or_default();
        Ok(value(held, context.get_raw(1)))
    })
}

/// A value as a column holds it; null if it cannot be held without a loss.
fn value(held: &str, value: ValueRef<'_>) -> Value {
    let text = match value {
        ValueRef::Text(bytes) if bytes.len() <= TEXT_BYTES_MAX => std::str::from_utf8(bytes).ok(),
        _ => None,
    };
    let found = match (held, value) {
        ("text", ValueRef::Integer(number)) => Some(Value::Text(number.to_string())),
        ("id", ValueRef::Null) => None,
        ("id", found) => Some(match self::value("text", found) {
            Value::Null => Value::Text(String::new()),
            id => id,
        }),
        // As the engine writes it.
        ("text", ValueRef::Real(number)) if number.is_finite() => Some(Value::Text(format!("{number:?}"))),
        ("text", _) => text.map(|it| Value::Text(it.to_owned())),
        ("integer", ValueRef::Integer(number)) => Some(Value::Integer(number)),
        ("integer", ValueRef::Real(number)) => whole(number).map(Value::Integer),
        ("number", ValueRef::Integer(number)) => Some(Value::Real(number as f64)),
        ("number", ValueRef::Real(number)) if number.is_finite() => Some(Value::Real(number)),
        ("bool", ValueRef::Integer(number)) => Some(Value::Integer(i64::from(number != 0))),
        ("moment", ValueRef::Integer(millis)) if MOMENTS.contains(&millis) => Some(Value::Integer(millis)),
        ("place", ValueRef::Integer(number)) if is_place(number) => Some(Value::Integer(number)),
        ("json", ValueRef::Integer(number)) => Some(Value::Text(number.to_string())),
        ("json", ValueRef::Real(number)) if number.is_finite() => Some(Value::Text(format!("{number:?}"))),
        ("json", _) => text.map(|it| Value::Text(json(it))),
        ("list", _) => {
            text.filter(|it| it.trim_start().starts_with('[') && is_json(it)).map(|it| Value::Text(it.to_owned()))
        }
        _ => None,
    };
    found.unwrap_or(Value::Null)
}

/// The whole number that a fraction is, if every whole number of that size can be one.
fn whole(number: f64) -> Option<i64> {
    let is_whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and as small as just looked at")]
    is_whole.then_some(number as i64)
}

fn is_place(number: i64) -> bool {
    (0..=1_800_000_000).contains(&(number >> 32)) && (number & 0xffff_ffff) <= 3_600_000_000
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A text that is JSON as it is, and another one as a string.
fn json(text: &str) -> String {
    if is_json(text) { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_a_column_is_null_there() {
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        let text = |it: &'static str| ValueRef::Text(it.as_bytes());
        for (held, odd) in [
            ("id", ValueRef::Null),
            ("text", ValueRef::Blob(b"x")),
            ("text", ValueRef::Real(f64::INFINITY)),
            ("text", ValueRef::Text(&[0xed, 0xa0, 0x80])),
            ("text", ValueRef::Text(long.as_bytes())),
            ("integer", text("7")),
            ("integer", ValueRef::Real(1.5)),
            ("integer", ValueRef::Real(1e300)),
            ("integer", ValueRef::Real(f64::NAN)),
            ("number", ValueRef::Real(f64::INFINITY)),
            ("number", text("1")),
            ("bool", text("true")),
            ("moment", ValueRef::Integer(i64::MAX)),
            ("moment", ValueRef::Integer(i64::MIN)),
            ("place", ValueRef::Integer(-1)),
            ("place", ValueRef::Integer(i64::MAX)),
            ("json", ValueRef::Real(f64::NEG_INFINITY)),
            ("json", ValueRef::Blob(b"1")),
            ("list", text("{}")),
            ("list", text("[1")),
            ("list", ValueRef::Integer(1)),
        ] {
            assert_eq!(value(held, odd), Value::Null, "{held}: {odd:?}");
        }
    }

    #[test]
    fn what_fits_a_column_stays_what_it_is() {
        let text = |it: &'static str| ValueRef::Text(it.as_bytes());
        let said = |it: &str| Value::Text(it.to_owned());

        assert_eq!(value("text", ValueRef::Integer(7)), said("7"));
        assert_eq!(value("id", ValueRef::Integer(7)), said("7"));
        assert_eq!(value("id", text("x")), said("x"));
        assert_eq!(value("id", ValueRef::Blob(b"x")), said(""), "what is no id is told, not left out");
        assert_eq!(value("id", ValueRef::Real(f64::INFINITY)), said(""));
        assert_eq!(value("text", ValueRef::Real(7.0)), said("7.0"));
        assert_eq!(value("integer", ValueRef::Real(7.0)), Value::Integer(7));
        assert_eq!(value("number", ValueRef::Integer(7)), Value::Real(7.0));
        assert_eq!(value("bool", ValueRef::Integer(7)), Value::Integer(1));
        assert_eq!(value("json", text("{\"a\":1}")), said("{\"a\":1}"));
        assert_eq!(value("json", text("it's")), said("\"it's\""));
        assert_eq!(value("list", text(" [1]")), said(" [1]"));
        assert_eq!(value("moment", ValueRef::Integer(0)), Value::Integer(0));
    }
}
