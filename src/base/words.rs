//! Words as search knows them: cut out of a text, brought to one form, and told from near misses.
//!
//! What is indexed, what is looked for, what is weighed and what is marked all come from here, so that they agree.
//! Letters lose their case and their marks. Scripts that put no spaces between words give one word for each letter,
//! so that any part of a text in them can be found as a sequence.
use std::ops::{ControlFlow, Range};

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longest word, in bytes. What is longer is no word that anyone types, and only its beginning counts.
pub const WORD_BYTES_MAX: usize = 120;
/// Shortest word, in letters, in which one typing error is forgiven, and two.
const ONE_TYPO_FROM: usize = 5;
const TWO_TYPOS_FROM: usize = 9;
/// Longest word, in letters, that near misses are looked for.
const TYPOS_UP_TO: usize = 32;

/// Visits each word of a text in its one form, with its place in the text, until told to stop.
pub fn each_word(text: &str, visit: &mut dyn FnMut(&str, Range<usize>) -> ControlFlow<()>) {
    if text.is_ascii() {
        return each_plain_word(text, visit);
    }
    let mut word = String::new();
    let mut start = 0;
    let mut end_word = |word: &mut String, range: Range<usize>| {
        let outcome = if word.is_empty() { ControlFlow::Continue(()) } else { visit(word, range) };
        word.clear();
        outcome
    };
    let mut is_alone = false;
    let mut last = 0;
    for (at, letter) in text.char_indices() {
        let is_mark = !letter.is_ascii() && is_combining_mark(letter);
        let belongs = letter.is_alphanumeric() || (is_mark && !word.is_empty());
        let begins = belongs && !is_mark && !word.is_empty() && (is_alone || stands_alone(letter));
        if (!belongs || begins) && end_word(&mut word, start..last).is_break() {
            return;
        }
        if belongs {
            if word.is_empty() {
                start = at;
                is_alone = stands_alone(letter);
            }
            if word.len() < WORD_BYTES_MAX {
                fold(letter, &mut word);
            }
            last = at + letter.len_utf8();
        }
    }
    let _ = end_word(&mut word, start..last);
}

/// The same in a text of ASCII alone, where nothing has to be asked of tables: a search looks through 200 texts.
fn each_plain_word(text: &str, visit: &mut dyn FnMut(&str, Range<usize>) -> ControlFlow<()>) {
    let mut word = String::new();
    let length = |rest: &str, belongs: bool| {
        rest.bytes().position(|it| it.is_ascii_alphanumeric() != belongs).unwrap_or(rest.len())
    };
    let mut start = length(text, false);
    while start < text.len() {
        let end = start + length(&text[start..], true);
        word.clear();
        word.push_str(&text[start..end.min(start + WORD_BYTES_MAX)]);
        word.make_ascii_lowercase();
        if visit(&word, start..end).is_break() {
            return;
        }
        start = end + length(&text[end..], false);
    }
}

/// The words of a text.
pub fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    each_word(text, &mut |word, _| {
        found.push(word.to_owned());
        ControlFlow::Continue(())
    });
    found
}

/// The words of a text with one space between them: what an index that knows nothing of scripts can cut up again.
pub fn in_words(text: &str, out: &mut String) {
    each_word(text, &mut |word, _| {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        ControlFlow::Continue(())
    });
}

/// The texts and numbers within JSON, one a line; the names of members are none of them.
pub fn texts_of_json(json: &str) -> String {
    fn walk(value: &Value, out: &mut String) {
        match value {
            Value::String(text) => line(text, out),
            Value::Number(number) => line(&number.to_string(), out),
            Value::Array(items) => items.iter().for_each(|it| walk(it, out)),
            Value::Object(members) => members.values().for_each(|it| walk(it, out)),
            Value::Null | Value::Bool(_) => {}
        }
    }
    fn line(text: &str, out: &mut String) {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(text);
    }
    let mut out = String::new();
    walk(&serde_json::from_str(json).unwrap_or_default(), &mut out);
    out
}

/// Appends a letter without its case and its marks.
fn fold(letter: char, word: &mut String) {
    if letter.is_ascii() {
        word.push(letter.to_ascii_lowercase());
        return;
    }
    // These come apart into pieces that nobody takes for letters.
    if ('\u{ac00}'..='\u{d7a3}').contains(&letter) {
        word.push(letter);
        return;
    }
    for part in std::iter::once(letter).nfkd().flat_map(char::to_lowercase) {
        match part {
            // Marks of Latin, Greek and Cyrillic, and the vowels of Hebrew and Arabic, which most leave out.
            '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{65f}' | '\u{670}' => {}
            'ß' => word.push_str("ss"),
            'æ' => word.push_str("ae"),
            'œ' => word.push_str("oe"),
            'ø' => word.push('o'),
            'ł' => word.push('l'),
            'đ' => word.push('d'),
            'ı' => word.push('i'),
            'ς' => word.push('σ'),
            part if part.is_alphanumeric() || is_combining_mark(part) => word.push(part),
            _ => {}
        }
    }
}

/// Whether a letter is a word by itself: those of scripts without spaces.
fn stands_alone(letter: char) -> bool {
    matches!(letter,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9d}' | '\u{20000}'..='\u{3ffff}')
}

/// How many typing errors are forgiven in a word. None where there is a digit: numbers are not almost right.
pub fn typos_forgiven(word: &str) -> usize {
    let letters = word.chars().count();
    match letters {
        _ if word.chars().any(char::is_numeric) || TYPOS_UP_TO < letters => 0,
        TWO_TYPOS_FROM.. => 2,
        ONE_TYPO_FROM.. => 1,
        _ => 0,
    }
}

/// Whether a word that is there could be what someone meant who made a typing error.
pub fn may_be_meant(word: &str) -> bool {
    let letters = word.chars().count();
    (ONE_TYPO_FROM - 1..=TYPOS_UP_TO + 2).contains(&letters) && !word.chars().any(char::is_numeric)
}

/// How many letters were forgotten, added, mistaken or swapped with their neighbor (Damerau-Levenshtein), in a whole
/// word or in how another one begins. Nothing if more than `most`, which is at most 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distance {
    pub whole: Option<usize>,
    pub beginning: Option<usize>,
}

/// The distance of `typed`, letter by letter, from `word`.
pub fn distance(typed: &[char], word: &str, most: usize) -> Distance {
    const WIDTH: usize = TYPOS_UP_TO + 4;
    let far = most + 1;
    let mut letters = ['\0'; WIDTH];
    let mut count = 0;
    let mut goes_on = false;
    for letter in word.chars() {
        if count == WIDTH || count == typed.len() + most {
            goes_on = true;
            break;
        }
        letters[count] = letter;
        count += 1;
    }
    if WIDTH <= typed.len() || count + most < typed.len() {
        return Distance { whole: None, beginning: None };
    }
    // Three rows of the table: what was typed goes down, the word across.
    let mut rows = [[0_usize; WIDTH + 1]; 3];
    for (column, cell) in rows[0].iter_mut().enumerate() {
        *cell = column.min(far);
    }
    for row in 1..=typed.len() {
        let (this, above, two_above) = (row % 3, (row + 2) % 3, (row + 1) % 3);
        // Further away from the diagonal every cell is too far.
        let (from, to) = (row.saturating_sub(most).max(1), (row + most).min(count));
        rows[this] = [far; WIDTH + 1];
        rows[this][0] = row.min(far);
        let mut least = rows[this][0];
        for column in from..=to {
            let differs = usize::from(typed[row - 1] != letters[column - 1]);
            let mut cell =
                (rows[above][column - 1] + differs).min(rows[above][column] + 1).min(rows[this][column - 1] + 1);
            let is_swapped =
                1 < row && 1 < column && typed[row - 1] == letters[column - 2] && typed[row - 2] == letters[column - 1];
            if is_swapped {
                cell = cell.min(rows[two_above][column - 2] + 1);
            }
            rows[this][column] = cell.min(far);
            least = least.min(cell);
        }
        if most < least {
            return Distance { whole: None, beginning: None };
        }
    }
    let last = &rows[typed.len() % 3];
    let near = |it: usize| (it <= most).then_some(it);
    let beginning = last[..=count].iter().copied().min().and_then(near);
    Distance { whole: if goes_on { None } else { near(last[count]) }, beginning }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(typed: &str, word: &str, most: usize) -> Option<usize> {
        distance(&typed.chars().collect::<Vec<_>>(), word, most).whole
    }

    fn beginning(typed: &str, word: &str, most: usize) -> Option<usize> {
        distance(&typed.chars().collect::<Vec<_>>(), word, most).beginning
    }

    #[test]
    fn words_lose_their_case_and_their_marks() {
        assert_eq!(words("Crème-brûlée, 2 ÆON's Straße!"), ["creme", "brulee", "2", "aeon", "s", "strasse"]);
        assert_eq!(words("cre\u{300}me ΣΊΣΥΦΟΣ Ёлка"), ["creme", "σισυφοσ", "елка"]);
        assert_eq!(words("ｗｉｄｅ ﬁne"), ["wide", "fine"]);
        assert_eq!(words(" \t-- \u{0} ☺ "), Vec::<String>::new());
        assert_eq!(words("한국어 हिन्दी"), ["한국어", "हिन्दी"]);
    }

    #[test]
    fn scripts_without_spaces_give_a_word_for_each_letter() {
        assert_eq!(words("日本語 and 東京tower"), ["日", "本", "語", "and", "東", "京", "tower"]);
    }

    #[test]
    fn each_word_tells_where_it_stands() {
        let text = "Ça va, Zoë?";
        let mut places = Vec::new();
        each_word(text, &mut |_, range| {
            places.push(&text[range]);
            ControlFlow::Continue(())
        });

        assert_eq!(places, ["Ça", "va", "Zoë"]);
    }

    #[test]
    fn of_json_the_values_are_texts() {
        let json = r#"{"color":"red","sizes":[1,2.5,{"name":"\u00e9"}],"new":true,"none":null}"#;

        assert_eq!(texts_of_json(json), "red\n1\n2.5\né");
        assert_eq!(texts_of_json("{"), "");
    }

    #[test]
    fn a_word_that_never_ends_is_cut_short() {
        let found = words(&"x".repeat(10_000));

        assert_eq!(found, ["x".repeat(WORD_BYTES_MAX)]);
    }

    #[test]
    fn typing_errors_are_counted_and_a_swap_is_one() {
        assert_eq!(whole("light", "light", 1), Some(0));
        for near in ["lihgt", "ligt", "lightt", "lught"] {
            assert_eq!(whole(near, "light", 1), Some(1), "{near}");
        }
        assert_eq!(whole("lgith", "light", 1), None);
        assert_eq!(whole("lgith", "light", 2), Some(2));
        assert_eq!(whole("ligth", "lighthouse", 2), None);
        assert_eq!(beginning("ligth", "lighthouse", 1), Some(1));
        assert_eq!((typos_forgiven("four"), typos_forgiven("fives")), (0, 1));
        assert_eq!((typos_forgiven("eightlet"), typos_forgiven("nineletts"), typos_forgiven("12345678")), (1, 2, 0));
    }

    proptest! {
        /// The banded table says what the whole one would.
        #[test]
        fn distances_are_those_of_the_plain_algorithm(a in "[a-c]{0,10}", b in "[a-c]{0,12}", most in 0..3_usize) {
            let plain = strsim::osa_distance(&a, &b);

            prop_assert_eq!(whole(&a, &b, most), (plain <= most).then_some(plain));
        }

        #[test]
        fn in_plain_text_the_words_are_the_same(text in "[ -~\\n]*") {
            let places = |text: &str| {
                let mut found = Vec::new();
                each_word(text, &mut |word, range| {
                    found.push((word.to_owned(), range));
                    ControlFlow::Continue(())
                });
                found
            };
            let mut among_others = places(&format!("{text} é"));
            among_others.pop();

            prop_assert_eq!(places(&text), among_others);
        }

        #[test]
        fn whoever_cuts_at_what_is_no_letter_of_ascii_finds_the_same_words(text in any::<String>()) {
            let mut form = String::new();
            in_words(&text, &mut form);

            let is_cut = |it: char| it.is_ascii() && !it.is_ascii_alphanumeric();
            let cut: Vec<_> = form.split(is_cut).filter(|it| !it.is_empty()).collect();
            prop_assert_eq!(cut, words(&text));
        }
    }
}
