//! How much a record has of what was looked for: one number for each.
//!
//! It is BM25F, with all that depends on other records left out: how rare a word is, and how long texts are on
//! average. By these, the order of what someone may see would tell of what they may not see. So a record has the same
//! relevance for everyone who sees the same fields of it, whatever else there is.
use super::hits::{Found, Hits};

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
}

/// From 0 to 1. Whatever is as it was looked for comes before everything that only may have been meant.
pub(super) fn relevance<'a>(hits: &Hits, texts: impl Iterator<Item = Weighed<'a>>, is_meant: bool) -> f64 {
    let mut parts = vec![0.0; hits.parts()];
    for Weighed { text, weight } in texts {
        let Found { hits, words } = hits.find(text, WORDS_MAX);
        let length = 1.0 - LENGTH + LENGTH * words as f64 / WORDS_USUAL;
        for hit in hits {
            parts[hit.part] += weight * hit.quality / length;
        }
    }
    let sum: f64 = parts.iter().map(|it| it.max(SOMEWHERE)).map(|it| it / (it + SATURATION)).sum();
    let mean = sum / parts.len().max(1) as f64;
    if is_meant { mean / 2.0 } else { 0.5 + mean / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::super::sought::Sought;
    use super::*;

    fn of(search: &str, title: &str, body: &str) -> f64 {
        let hits = Hits::new(&Sought::read(search).expect("fits"), &[]);
        relevance(&hits, [Weighed { text: title, weight: 3.0 }, Weighed { text: body, weight: 1.0 }].into_iter(), false)
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
    fn what_may_have_been_meant_comes_after_what_was_looked_for() {
        let hits = Hits::new(&Sought::read("light ").expect("fits"), &[]);
        let text = |text| [Weighed { text, weight: 3.0 }].into_iter();

        assert!(relevance(&hits, text("light"), true) < relevance(&hits, text("x"), false));
    }
}
