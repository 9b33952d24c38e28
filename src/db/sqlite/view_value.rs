//! The function that looks at what a view computed, see [`crate::db::views::Held`].
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Value, ValueRef};
use serde::de::IgnoredAny;

use crate::base::text::{is_web_address, normalize_email};
use crate::db::views::TEXT_BYTES_MAX;

/// The years 0 to 9999, which a text in RFC 3339 can name, in milliseconds since 1970.
const MOMENTS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

pub(super) fn add(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    for arguments in [2, 3] {
        connection.create_scalar_function("view_value", arguments, flags, move |context| {
            let held = context.get_raw(0).as_str().unwrap_or_default();
            let texts = if arguments == 3 { context.get_raw(2).as_blob().unwrap_or_default() } else { &[] };
            Ok(value(held, context.get_raw(1), texts))
        })?;
    }
    Ok(())
}

/// A value as a column holds it; null if it cannot be held without a loss. `texts` are those that it may be.
fn value(held: &str, value: ValueRef<'_>, texts: &[u8]) -> Value {
    let text = match value {
        ValueRef::Text(bytes) if bytes.len() <= TEXT_BYTES_MAX => std::str::from_utf8(bytes).ok(),
        _ => None,
    };
    let found = match (held, value) {
        ("text", ValueRef::Integer(number)) => Some(Value::Text(number.to_string())),
        ("id", ValueRef::Null) => None,
        ("id", found) => Some(match self::value("text", found, texts) {
            Value::Null => Value::Text(String::new()),
            id => id,
        }),
        // As the engine writes it.
        ("text", ValueRef::Real(number)) if number.is_finite() => Some(Value::Text(format!("{number:?}"))),
        ("text", _) => text.map(|it| Value::Text(it.to_owned())),
        ("email", _) => text.and_then(|it| normalize_email(it).ok()).map(Value::Text),
        ("url", _) => text.filter(|it| is_web_address(it)).map(|it| Value::Text(it.to_owned())),
        ("reference", _) => text.filter(|it| is_id(it)).map(|it| Value::Text(it.to_owned())),
        ("one", _) => text.filter(|it| is_among(it, texts)).map(|it| Value::Text(it.to_owned())),
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
            let items = text.and_then(|it| serde_json::from_str::<Vec<String>>(it).ok());
            let fits = items.is_some_and(|it| it.iter().all(|it| is_among(it, texts)));
            text.filter(|_| fits).map(|it| Value::Text(it.to_owned()))
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

/// Whether a text is one of several, which are put together with a zero between them.
fn is_among(text: &str, texts: &[u8]) -> bool {
    texts.split(|it| *it == 0).any(|it| it == text.as_bytes())
}

/// Whether a text is an id as records have them.
fn is_id(text: &str) -> bool {
    let is_dash = |index: usize| matches!(index, 8 | 13 | 18 | 23);
    let fits = |(index, it): (usize, u8)| match is_dash(index) {
        true => it == b'-',
        false => it.is_ascii_digit() || (b'a'..=b'f').contains(&it),
    };
    text.len() == 36 && text.bytes().enumerate().all(fits)
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
            ("email", text("x@")),
            ("url", text("javascript:alert(1)")),
            ("reference", text("zz")),
            ("one", text("c")),
            ("one", text("a\0b")),
            ("list", text("[\"a\", \"c\"]")),
            ("list", text("[1]")),
            ("list", text("{}")),
            ("list", text("[1")),
            ("list", ValueRef::Integer(1)),
        ] {
            assert_eq!(value(held, odd, b"a\0b"), Value::Null, "{held}: {odd:?}");
        }
    }

    #[test]
    fn what_fits_a_column_stays_what_it_is() {
        let text = |it: &'static str| ValueRef::Text(it.as_bytes());
        let said = |it: &str| Value::Text(it.to_owned());
        let value = |held: &str, it| value(held, it, b"a\0b");

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
        assert_eq!(value("email", text("Ada@Example.com")), said("ada@example.com"), "as it is when it is written");
        assert_eq!(value("url", text("https://example.com/x")), said("https://example.com/x"));
        let id = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80";
        assert_eq!(value("reference", text(id)), said(id));
        assert_eq!(value("one", text("b")), said("b"));
        assert_eq!(value("list", text(" [\"b\"]")), said(" [\"b\"]"));
        assert_eq!(value("moment", ValueRef::Integer(0)), Value::Integer(0));
    }
}
