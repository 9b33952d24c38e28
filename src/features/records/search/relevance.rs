//! How much a record has of what was looked for: one number for each.
//!
//! It is BM25F, with all that depends on other records left out: how rare a word is, and how long texts are on
//! average. By these, the order of what someone may see would tell of what they may not see. So a record has the same
//! relevance for everyone who sees the same fields of it, whatever else there is.
//!
//! Whoever types a title looks for what is called so, however often others have the word: a weightiest field that is
//! just what was looked for comes before one that begins with it, and that before all others.
use super::hits::{Found, Hits, Place};

/// How soon more of the same stops to count.
const SATURATION: f64 = 1.2;
/// How much a long text counts less than a short one, and which length is neither.
const LENGTH: f64 = 0.6;
const WORDS_USUAL: f64 = 50.0;
/// Further on in a text, words count for nothing.
const WORDS_MAX: usize = 1_000;
/// What a part counts that is there, but further on than was looked.
const SOMEWHERE: f64 = 0.01;

/// A text with how much it counts.
pub(super) struct Weighed<'a> {
    pub text: &'a str,
    pub weight: f64,
    /// Whether no other field counts more.
    pub is_weightiest: bool,
}

/// From 0 to 1: the lower half is for what only may have been meant, and a third of the upper one for each place.
pub(super) fn relevance<'a>(hits: &Hits, texts: impl Iterator<Item = Weighed<'a>>, is_meant: bool) -> f64 {
    let mut parts = vec![0.0; hits.parts()];
    let mut best = Place::Elsewhere;
    for Weighed { text, weight, is_weightiest } in texts {
        let Found { hits, words, place } = hits.find(text, WORDS_MAX);
        if is_weightiest {
            best = best.max(place);
        }
        let length = 1.0 - LENGTH + LENGTH * words as f64 / WORDS_USUAL;
        for hit in hits {
            parts[hit.part] += weight * hit.quality / length;
        }
    }
    let sum: f64 = parts.iter().map(|it| it.max(SOMEWHERE)).map(|it| it / (it + SATURATION)).sum();
    let mean = sum / parts.len().max(1) as f64;
    let places = match best {
        Place::Elsewhere => 0.0,
        Place::Beginning => 1.0,
        Place::Whole => 2.0,
    };
    if is_meant { mean / 2.0 } else { 0.5 + (places + mean) / 6.0 }
}

#[cfg(test)]
mod tests {
    use super::super::sought::Sought;
    use super::*;

    fn of(search: &str, title: &str, body: &str) -> f64 {
        let hits = Hits::new(&Sought::read(search).expect("fits"), &[]);
        let title = Weighed { text: title, weight: 3.0, is_weightiest: true };
        let body = Weighed { text: body, weight: 1.0, is_weightiest: false };
        relevance(&hits, [title, body].into_iter(), false)
    }

    #[test]
    fn more_of_it_in_a_shorter_and_weightier_field_is_more_relevant() {
        let filler = "some other words ".repeat(20);
        let ordered = [
            of("light ", "light", "light and light"),
            of("light ", "light", "dark"),
            of("light ", "a light year", "dark"),
            of("light ", "dark", "light and light"),
            of("light ", "dark", "light"),
            of("light ", "dark", &format!("light {filler}")),
        ];

        assert!(ordered.is_sorted_by(|a, b| b < a), "{ordered:?}");
        assert!(of("light", "lighthouse", "") < of("light", "light", ""));
        assert!(ordered.iter().all(|it| (0.5..1.0).contains(it)));
    }

    #[test]
    fn what_is_just_that_comes_first_and_then_what_begins_with_it() {
        let often = "dog ".repeat(30);
        let ordered = [
            of("dog", "Dog", ""),
            of("dog", "dog dog dog", &often),
            of("dog", "dog do", ""),
            of("dog", "hot dog", &often),
            of("dog", "dogs", &often),
            of("dog", "cat", "dog"),
        ];

        assert!(ordered.is_sorted_by(|a, b| b < a), "{ordered:?}");
        assert!(ordered.iter().all(|it| (0.5..1.0).contains(it)));
    }

    #[test]
    fn what_may_have_been_meant_comes_after_what_was_looked_for() {
        let hits = Hits::new(&Sought::read("light ").expect("fits"), &[]);
        let text = |text| [Weighed { text, weight: 3.0, is_weightiest: true }].into_iter();

        assert!(relevance(&hits, text("light"), true) < relevance(&hits, text("x"), false));
    }
}
