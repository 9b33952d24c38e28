//! Files as they are read for settings: whole, as text, and never beyond a limit.
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use toml::Value;
use toml::de::DeValue;

use super::complaint::cut;

/// Largest file of settings. One with every setting and its comment has a hundredth of it.
const SETTINGS_BYTES_MAX: u64 = 1 << 20;
/// Largest file that holds one value.
const VALUE_BYTES_MAX: u64 = 64 << 10;

/// Reads a file of settings.
pub(super) fn settings(file: &Path) -> Result<String, String> {
    text(file, SETTINGS_BYTES_MAX)
}

/// Reads the value that a file holds. The end of its one line is no part of it; any other is.
pub(super) fn value(file: &Path) -> Result<String, String> {
    let mut text = text(file, VALUE_BYTES_MAX)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn text(file: &Path, bytes_max: u64) -> Result<String, String> {
    // Opening one would wait until somebody writes to it, and the next reload would wait again.
    if std::fs::metadata(file).is_ok_and(|it| it.file_type().is_fifo()) {
        return Err("cannot be read: it is a pipe, and settings are read more than once".to_owned());
    }
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|it| it.take(bytes_max + 1).read_to_end(&mut bytes));
    read.map_err(|cause| format!("cannot be read: {cause}"))?;
    if bytes_max < bytes.len() as u64 {
        return Err(format!("cannot be read: it has more than {bytes_max} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "cannot be read: it is not UTF-8".to_owned())
}

/// A parsed value without its places, or why it is none.
pub(super) fn plain(value: &DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(it) => Value::String(it.to_string()),
        DeValue::Integer(it) => match i64::from_str_radix(&it.as_str().replace('_', ""), it.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => return Err(format!("is far out of range: {}", cut(&it.to_string()))),
        },
        DeValue::Float(it) => match it.as_str().replace('_', "").parse() {
            Ok(number) => Value::Float(number),
            Err(_) => return Err("is no number; a text stands in quotes".to_owned()),
        },
        DeValue::Boolean(it) => Value::Boolean(*it),
        DeValue::Datetime(it) => Value::Datetime(*it),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|it| plain(it.get_ref())).collect::<Result<_, String>>()?)
        }
        DeValue::Table(keys) => {
            let members = keys.iter().map(|(key, it)| Ok((key.get_ref().to_string(), plain(it.get_ref())?)));
            Value::Table(members.collect::<Result<_, String>>()?)
        }
    })
}
