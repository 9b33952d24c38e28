//! Where in a text the words are that were looked for: what relevance and marks are made of.
use std::ops::{ControlFlow, Range};

use super::sought::{Part, Sought};
use crate::base::words::each_word;

/// How much it counts that a word only begins as the one that was looked for.
const BEGUN: f64 = 0.6;
/// How much it counts that a word was meant, with that many typing errors.
const MEANT: [f64; 3] = [1.0, 0.5, 0.3];

/// A word that someone may have meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meant {
    pub word: String,
    pub typos: usize,
    /// Whether only its beginning is what was typed.
    pub is_longer: bool,
}

/// What is looked for in texts.
#[derive(Clone, Debug)]
pub(in super::super) struct Hits {
    parts: Vec<SoughtPart>,
    /// The words of all parts, one after the other.
    whole: Vec<String>,
}

/// Where in a text all that is looked for stands, as it was typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Not together, or further on.
    #[default]
    Elsewhere,
    /// The text begins with it.
    Beginning,
    /// It is the text.
    Whole,
}

#[derive(Clone, Debug)]
struct SoughtPart {
    part: Part,
    meant: Vec<Meant>,
}

/// A place in a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hit {
    pub part: usize,
    /// From 0 to 1: whether it is what was looked for, or only near.
    pub quality: f64,
    pub range: Range<usize>,
}

/// The hits in a text, and how many words it has as far as it was looked through.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    pub hits: Vec<Hit>,
    pub words: usize,
    pub place: Place,
}

/// A phrase that is there up to its word `next`.
struct Begun {
    part: usize,
    next: usize,
    start: usize,
}

impl Hits {
    /// `meant` has, for each part that is wanted, the words that it may stand for.
    pub(super) fn new(sought: &Sought, meant: &[Vec<Meant>]) -> Self {
        let meant = |index: usize| meant.get(index).cloned().unwrap_or_default();
        let parts = sought.wanted.iter().enumerate();
        let parts = parts.map(|(index, it)| SoughtPart { part: it.clone(), meant: meant(index) }).collect();
        Self { parts, whole: sought.whole().map(ToOwned::to_owned).collect() }
    }

    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Looks through the first `words_max` words of a text.
    pub(super) fn find(&self, text: &str, words_max: usize) -> Found {
        let mut found = Found::default();
        let mut begun: Vec<Begun> = Vec::new();
        let mut begins = true;
        each_word(text, &mut |word, range| {
            begins = begins && self.whole.get(found.words).is_none_or(|it| it == word);
            found.words += 1;
            begun.retain_mut(|it| {
                let SoughtPart { part, .. } = &self.parts[it.part];
                let Some(quality) = fits(part, it.next, word) else { return false };
                it.next += 1;
                if it.next == part.words.len() {
                    found.hits.push(Hit { part: it.part, quality, range: it.start..range.end });
                }
                it.next < part.words.len()
            });
            for (index, SoughtPart { part, meant }) in self.parts.iter().enumerate() {
                match fits(part, 0, word) {
                    Some(quality) if part.words.len() == 1 => {
                        found.hits.push(Hit { part: index, quality, range: range.clone() });
                    }
                    Some(_) => begun.push(Begun { part: index, next: 1, start: range.start }),
                    None => {
                        if let Some(it) = meant.iter().find(|it| it.word == word) {
                            let quality = MEANT[it.typos.min(2)] * if it.is_longer { BEGUN } else { 1.0 };
                            found.hits.push(Hit { part: index, quality, range: range.clone() });
                        }
                    }
                }
            }
            if found.words < words_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        found.place = match found.words {
            words if !begins || words < self.whole.len() => Place::Elsewhere,
            words if words == self.whole.len() => Place::Whole,
            _ => Place::Beginning,
        };
        found
    }
}

/// How well a word of a text fits the word `at` of a part; nothing if it does not.
fn fits(part: &Part, at: usize, word: &str) -> Option<f64> {
    let wanted = part.words.get(at)?;
    if wanted == word {
        return Some(1.0);
    }
    (part.is_begun && at + 1 == part.words.len() && word.starts_with(wanted.as_str())).then_some(BEGUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(search: &str, text: &str) -> Vec<(usize, String, f64)> {
        let hits = Hits::new(&Sought::read(search).expect("fits"), &[]);
        hits.find(text, 100).hits.into_iter().map(|it| (it.part, text[it.range].to_owned(), it.quality)).collect()
    }

    #[test]
    fn hits_are_words_beginnings_and_phrases() {
        let hit = |part, text: &str, quality| (part, text.to_owned(), quality);

        assert_eq!(found("light ", "Light, lighter: LÍGHT"), [hit(0, "Light", 1.0), hit(0, "LÍGHT", 1.0)]);
        assert_eq!(found("red li", "light red"), [hit(1, "light", BEGUN), hit(0, "red", 1.0)]);
        assert_eq!(found("\"a b\"", "a a b; a-b, b a"), [hit(0, "a b", 1.0), hit(0, "a-b", 1.0)]);
        assert_eq!(found("\"a b a b\"", "a b a b a b"), [hit(0, "a b a b", 1.0), hit(0, "a b a b", 1.0)]);
        assert_eq!(found("京都", "東京都"), [hit(0, "京都", 1.0)]);
    }

    #[test]
    fn what_may_have_been_meant_counts_for_less() {
        let sought = Sought::read("lihgt ").expect("fits");
        let meant = Meant { word: "light".to_owned(), typos: 1, is_longer: false };

        let found = Hits::new(&sought, &[vec![meant]]).find("the light", 100);

        let hit = Hit { part: 0, quality: MEANT[1], range: 4..9 };
        assert_eq!(found, Found { hits: vec![hit], words: 2, place: Place::Elsewhere });
    }

    #[test]
    fn a_text_is_what_was_looked_for_or_begins_with_it() {
        let place = |search: &str, text: &str| Hits::new(&Sought::read(search).expect("fits"), &[]).find(text, 3).place;

        for (search, text, expected) in [
            ("Dóg", "dog!", Place::Whole),
            ("dog", "Dog do", Place::Beginning),
            ("dog", "dogs", Place::Elsewhere),
            ("dog", "hot dog", Place::Elsewhere),
            ("dog", "", Place::Elsewhere),
            ("hot \"dog stand\" -cold", "Hot dog stand", Place::Whole),
            ("hot dog", "dog hot", Place::Elsewhere),
            ("hot dog", "hot", Place::Elsewhere),
        ] {
            assert_eq!(place(search, text), expected, "{search} in {text}");
        }
    }
}
