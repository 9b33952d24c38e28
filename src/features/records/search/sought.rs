//! What someone looks for: words, phrases in quotes, and what shall not be there.
use crate::base::words::words;
use crate::http::Fault;

/// Longest search. Whoever sends more pastes a text, and does not look for it.
const BYTES_MAX: usize = 1_000;
/// Most words of one search, those of phrases and those to exclude too: each is looked up.
const WORDS_MAX: usize = 32;
/// Shortest beginning of a word that others are looked for by; what is shorter begins too many.
const BEGINNING_LETTERS_MIN: usize = 2;

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sought {
    /// All of these are there.
    pub wanted: Vec<Part>,
    /// None of these is.
    pub unwanted: Vec<Part>,
}

/// A word, or several in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// In the form that [`crate::base::words`] gives them.
    pub words: Vec<String>,
    /// Whether the last one may be the beginning of a longer one, as it is while it is being typed.
    pub is_begun: bool,
}

impl Sought {
    /// Reads what someone typed. There is nothing that it cannot be but too long, or empty.
    pub fn read(text: &str) -> Result<Self, Fault> {
        let fault = |code, detail: String| Err(Fault::new("?search", code, detail));
        if BYTES_MAX < text.len() {
            return fault("too-long", format!("must be at most {BYTES_MAX} bytes"));
        }
        let mut sought = Self::default();
        let mut rest = text;
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                break;
            }
            let (is_unwanted, after) = match rest.strip_prefix('-') {
                Some(after) if after.starts_with(|it: char| it == '"' || it.is_alphanumeric()) => (true, after),
                _ => (false, rest),
            };
            let (part, is_open);
            (part, is_open, rest) = match after.strip_prefix('"') {
                Some(quoted) => match quoted.split_once('"') {
                    Some((part, rest)) => (part, false, rest),
                    None => (quoted, true, ""),
                },
                None => {
                    let end = after.find(|it: char| it == '"' || it.is_whitespace()).unwrap_or(after.len());
                    (&after[..end], end == after.len(), &after[end..])
                }
            };
            sought.add(part, is_unwanted, is_open);
        }
        let count: usize = sought.wanted.iter().chain(&sought.unwanted).map(|it| it.words.len()).sum();
        if WORDS_MAX < count {
            return fault("too-many", format!("must be at most {WORDS_MAX} words"));
        }
        if sought.wanted.is_empty() {
            return fault("required", "must have a word to look for".to_owned());
        }
        Ok(sought)
    }

    fn add(&mut self, part: &str, is_unwanted: bool, is_open: bool) {
        let words = words(part);
        let Some(last) = words.last() else { return };
        let is_begun = is_open
            && !is_unwanted
            && (BEGINNING_LETTERS_MIN <= last.chars().count() || !last.is_ascii())
            && part.ends_with(char::is_alphanumeric);
        let list = if is_unwanted { &mut self.unwanted } else { &mut self.wanted };
        let part = Part { words, is_begun };
        if !list.contains(&part) {
            list.push(part);
        }
    }

    /// The words that are wanted, in the order in which they were typed.
    pub fn whole(&self) -> impl Iterator<Item = &str> {
        self.wanted.iter().flat_map(|it| &it.words).map(String::as_str)
    }

    pub fn is_begun(&self) -> bool {
        self.wanted.iter().any(|it| it.is_begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wanted, then unwanted; `…` after what may go on.
    fn read(text: &str) -> Vec<String> {
        let sought = Sought::read(text).expect("fits");
        let said =
            |sign: &str, it: &Part| format!("{sign}{}{}", it.words.join(" "), if it.is_begun { "…" } else { "" });
        let wanted = sought.wanted.iter().map(|it| said("", it));
        wanted.chain(sought.unwanted.iter().map(|it| said("-", it))).collect()
    }

    #[test]
    fn words_phrases_and_exclusions_are_told_apart() {
        assert_eq!(read("Red cár"), ["red", "car…"]);
        assert_eq!(read("red car "), ["red", "car"]);
        assert_eq!(read("\"Red car\" -blue -\"old one\" x"), ["red car", "x", "-blue", "-old one"]);
        assert_eq!(read("\"red ca"), ["red ca…"]);
        assert_eq!(read("e-mail"), ["e mail…"]);
        assert_eq!(read("-1 - 2 red-"), ["2", "red", "-1"]);
        assert_eq!(read("a a \"a\""), ["a"]);
        assert_eq!(read("東京"), ["東 京…"]);
    }

    #[test]
    fn what_means_something_to_the_index_is_a_word_or_nothing() {
        assert_eq!(read("a OR b NOT c NEAR(d, 2)"), ["a", "or", "b", "not", "c", "near d", "2"]);
        assert_eq!(read("f0:x* ^y {z}: + '\"; DROP TABLE \u{0}te"), ["f0 x", "y", "z", "drop table te…"]);
    }

    #[test]
    fn a_search_has_an_end() {
        let code = |text: &str| Sought::read(text).map_err(|it| it.code);
        let words = |count: usize| (0..count).map(|it| format!("w{it} ")).collect::<String>();

        assert!(code(&"x".repeat(1_000)).is_ok() && code(&words(32)).is_ok());
        assert_eq!(code(&"x".repeat(1_001)), Err("too-long".to_owned()));
        assert_eq!(code(&words(33)), Err("too-many".to_owned()));
        for none in ["", " ", "\"\"", "-a", "!?*", "\u{0}"] {
            assert_eq!(code(none), Err("required".to_owned()), "{none:?}");
        }
    }
}
