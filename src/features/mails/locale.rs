//! The language of a receiver, and whose words are taken if it has none of its own.

/// Longest language tag: more than any that is in use (RFC 5646 section 4.4.1).
const TAG_BYTES_MAX: usize = 35;
/// Most parts of one.
const PARTS_MAX: usize = 5;
const PART_BYTES_MAX: usize = 8;

/// A language tag in its usual form (RFC 5646 section 2.1.1), such as `de-AT` or `zh-Hant`; nothing if it is none.
pub(super) fn normal(tag: &str) -> Option<String> {
    let tag = tag.trim().replace('_', "-");
    let parts: Vec<_> = tag.split('-').collect();
    let is_part =
        |it: &&str| (1..=PART_BYTES_MAX).contains(&it.len()) && it.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_language = |it: &str| 2 <= it.len() && it.bytes().all(|byte| byte.is_ascii_alphabetic());
    if TAG_BYTES_MAX < tag.len() || PARTS_MAX < parts.len() || !parts.iter().all(is_part) || !is_language(parts[0]) {
        return None;
    }
    let form = |(at, part): (usize, &&str)| {
        let small = part.to_ascii_lowercase();
        let is_word = part.bytes().all(|it| it.is_ascii_alphabetic());
        match part.len() {
            2 if 0 < at && is_word => small.to_ascii_uppercase(),
            4 if 0 < at && is_word => small[..1].to_ascii_uppercase() + &small[1..],
            _ => small,
        }
    };
    Some(parts.iter().enumerate().map(form).collect::<Vec<_>>().join("-"))
}

/// Whose words are taken, the best first: `de-AT`, `de`, and last the words for all others.
pub(super) fn fallbacks(tag: Option<&str>) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = tag.and_then(normal);
    while let Some(tag) = rest {
        rest = tag.rsplit_once('-').map(|(before, _)| before.to_owned());
        found.push(tag);
    }
    found.push(String::new());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_brought_to_its_usual_form_and_what_is_none_is_no_language() {
        for (tag, expected) in [
            ("DE", Some("de")),
            ("de-at", Some("de-AT")),
            ("de_AT", Some("de-AT")),
            ("ZH-hant-tw", Some("zh-Hant-TW")),
            ("es-419", Some("es-419")),
            ("", None),
            ("d", None),
            ("de-", None),
            ("-de", None),
            ("12", None),
            ("de AT", None),
            ("de/AT", None),
            ("dé", None),
            ("language-of-somebody-who-writes-a-lot-of-it", None),
            ("a1-b2-c3-d4-e5-f6", None),
            ("aa-b-c-d-e-f", None),
        ] {
            assert_eq!(normal(tag).as_deref(), expected, "{tag}");
        }
    }

    #[test]
    fn a_language_falls_back_to_the_one_around_it_and_then_to_all_others() {
        assert_eq!(fallbacks(Some("de-at")), ["de-AT", "de", ""]);
        assert_eq!(fallbacks(Some("nonsense!")), [""]);
        assert_eq!(fallbacks(None), [""]);
    }
}
