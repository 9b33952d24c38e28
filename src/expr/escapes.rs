//! Escapes of JSON in texts that the parser does not know: `\/`, and characters in two halves (RFC 8259 section 7).
use super::error::Error;

/// The same expression with these written as the parser reads them.
pub(super) fn as_the_parser_knows_them(text: &str) -> Result<String, Error> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut quote) = (text, None);
    while let Some(letter) = rest.chars().next() {
        let at = text.len() - rest.len();
        if letter == '\\' && quote.is_some() {
            let (written, length) = escape(rest).map_err(|it| it.at(Some(text[..at].chars().count())))?;
            out.push_str(&written);
            rest = &rest[length..];
            continue;
        }
        quote = match quote {
            None if matches!(letter, '\'' | '"') => Some(letter),
            Some(it) if it == letter => None,
            as_before => as_before,
        };
        out.push(letter);
        rest = &rest[letter.len_utf8()..];
    }
    Ok(out)
}

/// The escape that a text begins with, and how long it is.
fn escape(text: &str) -> Result<(String, usize), Error> {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    if text.starts_with("\\/") {
        return Ok(("/".to_owned(), 2));
    }
    match unit(text) {
        Some(high @ 0xd800..0xdc00) => match text.get(6..).and_then(unit) {
            Some(low @ 0xdc00..0xe000) => {
                Ok((format!("\\U{:08x}", 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)), 12))
            }
            _ => Err(half()),
        },
        Some(0xdc00..0xe000) => Err(half()),
        // A backslash and what comes after it.
        _ => {
            let length = 1 + text[1..].chars().next().map_or(0, char::len_utf8);
            Ok((text[..length].to_owned(), length))
        }
    }
}

fn half() -> Error {
    Error::malformed("an escape stands for half a character (a surrogate); write both halves, or the character itself")
}
