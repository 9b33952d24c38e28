//! How large a text may be, decided before the parser, which recurses, sees it.
use super::error::Error;

/// Longest text, in bytes.
const BYTES_MAX: usize = 2_000;
/// Most words, numbers, texts and signs.
const TOKENS_MAX: usize = 200;
/// Most dots in a row of names.
const DOTS_MAX: usize = 8;
/// Most brackets within one another.
const NESTING_MAX: usize = 24;

const PAIRS: [&str; 6] = ["&&", "||", "==", "!=", "<=", ">="];

/// Refuses a text that is too long, too deep, or uses what no rule needs.
pub(super) fn check(text: &str) -> Result<(), Error> {
    if BYTES_MAX < text.len() {
        return Err(Error::too_long(format!("an expression has at most {BYTES_MAX} bytes")));
    }
    if let Some((position, _)) = text.chars().enumerate().find(|(_, it)| it.is_control() && !['\n', '\t'].contains(it))
    {
        return Err(Error::malformed("an expression has no control characters").at(Some(position)));
    }
    let mut rest = text;
    let (mut tokens, mut nesting, mut dots, mut after_word) = (0, 0_usize, 0, false);
    while let Some(first) = rest.chars().next() {
        let at = Some(text[..text.len() - rest.len()].chars().count());
        let token = token(rest, after_word).map_err(|it| it.at(at))?;
        if first.is_ascii_digit() && !after_word {
            let before = &text[..text.len() - rest.len()];
            number(token, before, &rest[token.len()..]).map_err(|it| it.at(at))?;
        }
        after_word = is_of_word(first);
        if !first.is_whitespace() {
            tokens += 1;
            match first {
                '.' => dots += 1,
                '(' | '[' | '{' => nesting += 1,
                ')' | ']' | '}' => nesting = nesting.saturating_sub(1),
                _ => {}
            }
            if first != '.' && !after_word {
                dots = 0;
            }
            if let Some(hint) = hint(token, &rest[token.len()..]) {
                return Err(Error::malformed(hint).at(at));
            }
        }
        if TOKENS_MAX < tokens || NESTING_MAX < nesting || DOTS_MAX < dots {
            let detail = format!(
                "at most {TOKENS_MAX} words and signs, {NESTING_MAX} brackets within one another, and {DOTS_MAX} dots \
                 in a name"
            );
            return Err(Error::too_long(detail).at(at));
        }
        rest = &rest[token.len()..];
    }
    if tokens == 0 {
        return Err(Error::malformed("the expression is empty"));
    }
    Ok(())
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The first word, number, text, sign or blank of what is left.
fn token(rest: &str, after_word: bool) -> Result<&str, Error> {
    let Some(first) = rest.chars().next() else { return Ok(rest) };
    let length = match first {
        '\'' | '"' if after_word => return Err(Error::not_supported("a text has no letter before its quote")),
        '\'' | '"' => string(rest, first).ok_or_else(|| Error::malformed("a text has no end"))?,
        '`' => return Err(Error::not_supported("names are written without quotes")),
        '/' if rest.starts_with("//") => return Err(Error::not_supported("comments are not taken")),
        it if is_of_word(it) => rest.find(|it: char| !is_of_word(it)).unwrap_or(rest.len()),
        _ if PAIRS.iter().any(|it| rest.starts_with(it)) => 2,
        it => it.len_utf8(),
    };
    Ok(&rest[..length])
}

/// Refuses what looks like a number and is none that there can be.
fn number(token: &str, before: &str, after: &str) -> Result<(), Error> {
    if token.contains('_') && token.bytes().all(|it| it.is_ascii_digit() || it == b'_') {
        return Err(Error::malformed("a number is written without `_`"));
    }
    let is_whole = token.bytes().all(|it| it.is_ascii_digit()) && !before.ends_with('.') && !after.starts_with('.');
    // The least one has no counterpart above 0.
    let is_least = before.ends_with('-') && token.trim_start_matches('0') == "9223372036854775808";
    if is_whole && token.parse::<i64>().is_err() && !is_least {
        return Err(Error::malformed(
            "a whole number has at most 64 bits: write it with `.0` to compare it as a fraction",
        ));
    }
    Ok(())
}

/// Bytes of a text from its opening to its closing quote.
fn string(rest: &str, quote: char) -> Option<usize> {
    if rest.starts_with("'''") || rest.starts_with("\"\"\"") {
        return None;
    }
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => return None,
            it if it == quote => return Some(at + it.len_utf8()),
            _ => {}
        }
    }
    None
}

/// What people write who know other languages, told in the words of this one.
fn hint(token: &str, after: &str) -> Option<&'static str> {
    let is_name = after
        .trim_start()
        .starts_with(['=', '!', '<', '>', '.', '(', ')', ',', '&', '|', '?', ':', '+', '-', '*', '/']);
    Some(match token.to_ascii_lowercase().as_str() {
        "&" => "write `&&`; in an address, encode & as %26",
        "|" => "write `||`",
        "=" => "write `==`",
        "~" => "write `name.contains('x')`, or `name.icontains('x')` whatever the case",
        "and" if !is_name => "write `&&` instead of `and`",
        "or" if !is_name => "write `||` instead of `or`",
        "not" if !is_name => "write `!` instead of `not`",
        "like" if !is_name => "write `name.contains('x')` instead of `like`",
        _ => return None,
    })
}
