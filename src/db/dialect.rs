//! The few fragments of SQL that differ between engines, as SQLite has them.
use super::record_tables::quoted;
use crate::base::geo::{LATITUDE_OFFSET, LONGITUDE_OFFSET, PARTS};

/// The time in milliseconds since 1970, where no clock of ours can be asked: in a trigger.
pub const NOW_MILLIS: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// The value at a path of members in a JSON column, as a text, a number or null.
pub fn json_value(column: &str, path: &[&str]) -> String {
    format!("json_extract({column}, {})", json_path(path))
}

/// The milliseconds since 1970 of a moment that is written as [`crate::base::Timestamp`] writes it; null if there is none.
pub fn millis_of(moment: &str) -> String {
    format!("(CAST(strftime('%s', {moment}) AS INTEGER) * 1000 + CAST(substr({moment}, 21, 3) AS INTEGER))")
}

/// The sort of value at a path: `text`, `integer`, `real`, `true`, `false`, `null`, `object`, `array`; null if
/// there is none.
pub fn json_type(column: &str, path: &[&str]) -> String {
    format!("json_type({column}, {})", json_path(path))
}

/// A JSON column without the member at a path.
pub fn json_without(column: &str, path: &[&str]) -> String {
    format!("json_remove({column}, {})", json_path(path))
}

/// A path as SQLite has it. Names are quoted in it, so they must have neither quotes nor backslashes.
fn json_path(path: &[&str]) -> String {
    let steps: String = path.iter().map(|it| format!(".{}", quoted(it))).collect();
    format!("'${}'", steps.replace('\'', "''"))
}

/// A part of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    Hour,
    Day,
    /// From Monday.
    Week,
    Month,
    Year,
}

/// When the hour, day, week, month or year of a time in milliseconds began, in UTC, in milliseconds.
pub fn time_bucket(column: &str, unit: TimeUnit) -> String {
    // Before 1970 numbers are negative, and the rest of a division too.
    let floor =
        |millis: i64, shift: i64| format!("({column} - ((({column} + {shift}) % {millis}) + {millis}) % {millis})");
    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;
    let start_of = |what: &str| {
        let day = floor(DAY, 0);
        format!("CAST(strftime('%s', {day} / 1000, 'unixepoch', 'start of {what}') AS INTEGER) * 1000")
    };
    match unit {
        TimeUnit::Hour => floor(HOUR, 0),
        TimeUnit::Day => floor(DAY, 0),
        // 1970 began on a Thursday.
        TimeUnit::Week => floor(7 * DAY, 3 * DAY),
        TimeUnit::Month => start_of("month"),
        TimeUnit::Year => start_of("year"),
    }
}

/// Whether a text is among the items of a JSON array.
pub fn list_has(list: &str, item: &str) -> String {
    format!("EXISTS (SELECT 1 FROM json_each({list}) AS item WHERE item.value = {item})")
}

/// A JSON array of one value.
pub fn json_array(value: &str) -> String {
    format!("json_array({value})")
}

/// The first item of a JSON array; null if it has none.
pub fn first_of(list: &str) -> String {
    format!("json_extract({list}, '$[0]')")
}

/// How many items a JSON array has.
pub fn list_length(list: &str) -> String {
    format!("json_array_length({list})")
}

/// The text in small letters, of every script.
pub fn lower(text: &str) -> String {
    format!("unicode_lower({text})")
}

/// Whether a text contains another.
pub fn text_has(text: &str, part: &str) -> String {
    format!("text_has({text}, {part})")
}

/// The items of a JSON array as a table called `alias`, with the columns `key` and `value`.
pub fn items(list: &str, alias: &str) -> String {
    format!("json_each({list}) AS {alias}")
}

/// The values of a group as a JSON array in an order.
pub fn json_array_of(value: &str, order: &str) -> String {
    format!("json_group_array({value} ORDER BY {order})")
}

/// Metres between two places, each of them one number.
pub fn distance(one: &str, two: &str) -> String {
    format!("geo_distance({one}, {two})")
}

/// The degrees of latitude of a place.
pub fn latitude(place: &str) -> String {
    format!("((({place} >> 32) - {LATITUDE_OFFSET}) / {PARTS:?})")
}

/// The degrees of longitude of a place.
pub fn longitude(place: &str) -> String {
    format!("((({place} & 4294967295) - {LONGITUDE_OFFSET}) / {PARTS:?})")
}
