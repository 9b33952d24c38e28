//! What a template may do, looked at before it is run.
//!
//! A template that doubles a text thirty times takes a gigabyte within sixty steps, and so does a filter that indents by a
//! billion. So words take only what mails need: values, conditions, loops, the frames, and the parts that our own mails are
//! made of. What comes out is bounded besides.

/// Tags that a template may have.
const TAGS: &[&str] =
    &["if", "elif", "else", "endif", "for", "endfor", "block", "endblock", "extends", "include", "from", "import"];
/// The parts of our own mails (`parts.html`), which can be called.
const PARTS: &[&str] = &["heading", "button", "digits", "facts"];
/// Filters whose text is about as long as what they are given.
const FILTERS: &[&str] = &["upper", "lower", "title", "capitalize", "trim", "default", "first", "last", "length"];

/// What a template must not have; nothing if it will do.
pub(super) fn refusal(source: &str) -> Option<String> {
    for (opening, closing, is_tag) in [("{{", "}}", false), ("{%", "%}", true)] {
        for part in source.split(opening).skip(1) {
            let inside = part.split(closing).next().unwrap_or_default().trim_matches('-').trim();
            let code = without_texts(inside);
            let word =
                code.split(|it: char| !it.is_alphanumeric() && it != '_').find(|it| !it.is_empty()).unwrap_or_default();
            if is_tag && !TAGS.contains(&word) {
                return Some(format!(
                    "has `{word}`, which words of mails do not take; {TAGS:?} are the tags that they do"
                ));
            }
            if let Some(operator) = ["*", "//", "%"].iter().find(|it| code.contains(**it)) {
                return Some(format!("calculates with `{operator}`, which words of mails do not take"));
            }
            if let Some(called) = calls(&code).find(|it| !PARTS.contains(it) && !FILTERS.contains(it)) {
                return Some(format!("calls `{called}`, and words of mails call only {PARTS:?}"));
            }
            if let Some(filter) = filters(&code).find(|it| !FILTERS.contains(it)) {
                return Some(format!("has the filter `{filter}`, and words of mails take only {FILTERS:?}"));
            }
        }
    }
    None
}

/// Code without what stands in quotes.
fn without_texts(code: &str) -> String {
    let mut quote = None;
    let mut plain = String::with_capacity(code.len());
    let mut characters = code.chars();
    while let Some(character) = characters.next() {
        match quote {
            Some(_) if character == '\\' => drop(characters.next()),
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if ['"', '\''].contains(&character) => quote = Some(character),
            None => plain.push(character),
        }
    }
    plain
}

/// The names that stand right before a parenthesis.
fn calls(code: &str) -> impl Iterator<Item = &str> {
    code.match_indices('(').filter_map(|(at, _)| {
        let before = code[..at].trim_end();
        let begin = before.rfind(|it: char| !it.is_alphanumeric() && it != '_').map_or(0, |it| it + 1);
        // `not (a or b)` calls nothing.
        Some(&before[begin..]).filter(|it| !it.is_empty() && !["not", "and", "or", "if", "elif", "in"].contains(it))
    })
}

/// The names that stand right after a bar.
fn filters(code: &str) -> impl Iterator<Item = &str> {
    code.split('|').skip(1).map(|it| {
        let it = it.trim_start();
        &it[..it.find(|it: char| !it.is_alphanumeric() && it != '_').unwrap_or(it.len())]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::mails::templates::TEMPLATES;

    #[test]
    fn words_take_what_mails_need_and_nothing_that_grows() {
        for template in TEMPLATES {
            let words = template.built_in();
            for part in [words.subject, words.text, words.html] {
                assert_eq!(refusal(&part), None, "{}", template.name);
            }
        }
        assert_eq!(refusal("{% if name and not (email == '%*(') %}{{ name|upper ~ \"x\" }}{% endif %}"), None);
        for greedy in [
            "{% set a = name %}{% set a = a ~ a %}",
            "{{ name|indent(1000000000) }}",
            "{{ 'x' * 1000000000 }}",
            "{% for a in range(100000) %}{% endfor %}",
            "{%- with a = name -%}{% endwith %}",
            "{% macro m() %}{% endmacro %}",
            "{% filter upper %}{% endfilter %}",
            "{{ lipsum() }}",
            "{{ name.__class__() }}",
            "{{ name|center(1000000000) }}",
            "{{ name | replace('a', 'aaaaaaaa') }}",
            "{{ 7 ** 7 ** 7 }}",
        ] {
            assert!(refusal(greedy).is_some(), "{greedy}");
        }
    }
}
