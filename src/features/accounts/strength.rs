//! Whether a password is easy to guess: by its frequency among leaked ones, and by its pattern.
//!
//! What leaked most often is told by [`leaked`]. Beside that, the `zxcvbn` library knows some 30,000 of the most frequent leaked passwords, common words and
//! names, keyboard rows, sequences, repeats and dates, and sees through capitals, reversal and `@`
//! for `a`. Its tables take some 8 MB from the first new password on. The parts of a password that
//! it copies are not wiped from memory afterwards.
use super::leaked;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use zxcvbn::matching::patterns::MatchPattern;
use zxcvbn::{Entropy, zxcvbn};

/// Guesses below which a password is refused: ten million.
///
/// - With a stolen database, a guess costs a hash: at the default cost some 25 ms of a core and 19 MiB, so ten million
///   are three days of a core for a single account. Without one, the throttle lets through a thousand a day.
/// - More would hurt honest people: eight characters at random, the least that is accepted, are
///   estimated at a hundred million, and no composition rule may come in by the back door.
const GUESSES_MIN: u64 = 10_000_000;

/// Characters that are looked at. Finding `@` for `a` takes time that grows faster than their number: 100 of the worst
/// take half a second, 32 take 35 ms, which is about what hashing takes. What is hard to guess is so by its beginning.
const CHARS_MAX: usize = 32;

/// Words that are in no dictionary, and the first thing that one tries here.
const HOUSE_WORDS: &[&str] = &["steading"];

/// Why a password is too easy to guess, in plain words; nothing if it is not. `known` is what others
/// know of its owner.
pub(super) fn weakness(password: &str, known: &[String]) -> Option<String> {
    let known: Vec<&str> = known.iter().map(String::as_str).chain(HOUSE_WORDS.iter().copied()).collect();
    let judge = |text: &str| zxcvbn(&text.chars().take(CHARS_MAX).collect::<String>(), &known);
    let plain = without_marks(password);
    // A sign before or after words, names and years is the first thing that is tried with them.
    let bare = plain.trim_matches(|it: char| !it.is_alphanumeric());
    let mut judged = judge(password);
    if !is_weak(&judged) && plain != password {
        judged = judge(&plain);
    }
    if !is_weak(&judged) && bare != plain && !bare.is_empty() {
        judged = Some(judge(bare)).filter(is_all_known).unwrap_or(judged);
    }
    if !is_weak(&judged) {
        let has_leaked = [password, &plain, bare].into_iter().any(leaked::contains);
        let reason =
            "must be harder to guess. It is among those that leaked most often elsewhere. Add another word or two";
        return has_leaked.then(|| reason.to_owned());
    }
    let advice = judged.feedback().map(ToString::to_string).unwrap_or_default();
    let advice = advice.trim().trim_end_matches('.');
    let advice = if advice.is_empty() { "It is a common word or password. Add another word or two" } else { advice };
    Some(format!("must be harder to guess. {advice}"))
}

fn is_weak(judged: &Entropy) -> bool {
    judged.guesses() < GUESSES_MIN || is_one_entry(judged)
}

/// The same letters without accents and dots: the tables have `password`, and not `pässwörd`.
fn without_marks(password: &str) -> String {
    password.nfd().filter(|it| !is_combining_mark(*it)).nfc().collect()
}

/// Whether no part of it had to be tried letter by letter.
fn is_all_known(judged: &Entropy) -> bool {
    !judged.sequence().iter().any(|it| matches!(it.pattern, MatchPattern::BruteForce))
}

/// Whether all of it is a single entry of a dictionary, in whatever disguise.
fn is_one_entry(judged: &Entropy) -> bool {
    matches!(judged.sequence(), [only] if matches!(only.pattern, MatchPattern::Dictionary(_)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known() -> Vec<String> {
        ["ada@example.com", "ada", "example.com", "Ada Lovelace", "Lovelace"].map(ToOwned::to_owned).to_vec()
    }

    #[test]
    fn a_common_password_is_refused_in_every_disguise() {
        for password in [
            "password123",
            "Password123!",
            "PASSWORD",
            "drowssap",
            "P@ssw0rd",
            "pAsSwOrD",
            "12345678",
            "123456789012345",
            "qwertyuiop",
            "1q2w3e4r5t",
            "iloveyou",
            "Monkey1!",
            "hunter2hunter2",
            "passwordpassword",
            "abcdefghijklmno",
            "aaaaaaaaaaaaaaa",
            "Winter2025",
            "Summer2024!",
            "!!Monkey2024??",
            "pässwörd",
            "Pässwörd123",
            "international",
            "steading",
            "Steading2026",
            "lovelaceada",
            "Lovelace2001",
        ] {
            assert!(weakness(password, &known()).is_some(), "{password} was accepted");
        }
    }

    /// Length counts, composition does not; the least length filled at random is enough.
    #[test]
    fn what_leaked_often_is_refused_however_hard_it_looks() {
        for password in ["zn87x54mxma", "cpe1704t", "CPE1704T", "vbhjplfntkm", "dybvfybt!", "pumpitup", "zooyork1"] {
            let reason = weakness(password, &[]).expect("refused");
            assert!(reason.contains("leaked most often"), "{password}: {reason}");
        }
    }

    #[test]
    fn what_is_hard_to_guess_is_accepted() {
        for password in [
            "x7Kq!m2P",
            "~k%z)q;&",
            "x7Kqm2P!",
            "jzqxwvkp",
            "93047162",
            "correct horse",
            "a few words are easiest",
            "lovelace and eleven more",
            "gänsefüßchen im hof",
            "小鳥が朝に歌う",
        ] {
            assert_eq!(weakness(password, &known()), None, "{password}");
        }
    }

    #[test]
    fn the_reason_is_told_in_plain_words() {
        let common = weakness("password123", &[]).expect("a reason");
        let row = weakness("zxcvbnm,./", &[]).expect("a reason");

        assert!(common.contains("common password") && common.contains("Add another word"), "{common}");
        assert!(row.contains("rows of keys"), "{row}");
        assert!(!common.ends_with('.'), "it stands in a sentence of somebody else");
    }

    /// The beginning decides, so that the time that it takes is bounded however long the rest is.
    #[test]
    fn only_the_beginning_of_a_long_password_is_looked_at() {
        let hard = "x7Kq!m2P und noch ein Wort dazu.";
        assert_eq!(hard.chars().count(), CHARS_MAX);

        assert_eq!(weakness(&format!("{hard}{}", "4@8({[<369&#!1/|0$5+7%2".repeat(40)), &[]), None);
        assert!(weakness(&format!("{}{hard}", "a".repeat(CHARS_MAX)), &[]).is_some());
    }

    proptest! {
        /// A panic of the library would be a 500 for whoever wants a good password.
        #[test]
        fn no_text_makes_it_panic(password in "\\PC{0,40}", digits in "[0-9٠-٩/.@!1iIİßſ\u{300}-]{0,40}", name in "\\PC{0,20}") {
            weakness(&password, std::slice::from_ref(&name));
            weakness(&digits, &[name]);
        }
    }
}
