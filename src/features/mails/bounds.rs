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
    let mut rest = source;
    while let Some((code, is_tag, after)) = match next_code(rest) {
        Ok(found) => found,
        Err(why) => return Some(why),
    } {
        if let Some(why) = refusal_of(&code, is_tag) {
            return Some(why);
        }
        rest = after;
    }
    None
}

/// Code, what stands in its quotes left out; whether it is a tag; and what comes after it.
type Found<'s> = (String, bool, &'s str);

/// The next code of a template, ended where the engine ends it: neither in quotes nor in parentheses. Of what the two could
/// see in different ways, nothing is taken.
fn next_code(mut source: &str) -> Result<Option<Found<'_>>, String> {
    loop {
        let Some(at) = source.find('{') else { return Ok(None) };
        let rest = &source[at + 1..];
        if let Some(comment) = rest.strip_prefix('#') {
            // The engine says what is wrong with one that does not end.
            let Some((_, after)) = comment.split_once("#}") else { return Ok(None) };
            source = after;
        } else if let Some(code) = rest.strip_prefix('{') {
            return until(code, "}}").map(|(code, after)| Some((code, false, after)));
        } else if let Some(code) = rest.strip_prefix('%') {
            return until(code, "%}").map(|(code, after)| Some((code, true, after)));
        } else {
            source = rest;
        }
    }
}

/// Code up to its end, and what comes after it.
fn until<'s>(source: &'s str, closing: &str) -> Result<(String, &'s str), String> {
    let (mut quote, mut depth, mut plain) = (None, 0_i32, String::new());
    let mut characters = source.char_indices();
    while let Some((at, character)) = characters.next() {
        match quote {
            Some(_) if character == '\\' => drop(characters.next()),
            Some(open) => {
                if ["{{", "{%", "{#", "}}", "%}", "#}"].iter().any(|it| source[at..].starts_with(it)) {
                    return Err("has braces in quotes, which words of mails do not take".to_owned());
                }
                if character == open {
                    quote = None;
                    plain.push(character);
                }
            }
            None if source[at..].starts_with(closing) && depth == 0 => {
                return Ok((plain, &source[at + closing.len()..]));
            }
            None if ['{', '}'].contains(&character) => {
                return Err("has braces in its code, or an end within parentheses".to_owned());
            }
            None => {
                match character {
                    '(' | '[' => depth += 1,
                    ')' | ']' => depth -= 1,
                    '"' | '\'' => quote = Some(character),
                    _ => {}
                }
                plain.push(character);
            }
        }
    }
    // The engine says what is wrong with it.
    Ok((plain, ""))
}

fn refusal_of(code: &str, is_tag: bool) -> Option<String> {
    let word = code.split(|it: char| !is_of_name(it)).find(|it| !it.is_empty()).unwrap_or_default();
    if is_tag && !TAGS.contains(&word) {
        return Some(format!("has `{word}`, which words of mails do not take; {TAGS:?} are the tags that they do"));
    }
    // What a loop names could be made of itself twice, and again in a loop within it.
    if is_tag && word == "for" && code.contains(['(', '[', '~', '|']) {
        return Some("has a `for` that goes through something other than a variable".to_owned());
    }
    if let Some(operator) = ["*", "//", "%"].iter().find(|it| code.contains(**it)) {
        return Some(format!("calculates with `{operator}`, which words of mails do not take"));
    }
    if let Some(filter) = filters(code).find(|it| !FILTERS.contains(it)) {
        return Some(format!("has the filter `{filter}`, and words of mails take only {FILTERS:?}"));
    }
    refusal_of_calls(code)
}

/// Only parts are called, and none with what another one made: some say what they are given twice.
fn refusal_of_calls(code: &str) -> Option<String> {
    let (mut open, mut parts) = (Vec::new(), 0_usize);
    for (at, character) in code.char_indices() {
        match character {
            '(' => {
                let before = code[..at].trim_end();
                let begin = before.trim_end_matches(is_of_name).len();
                let name = &before[begin..];
                // `not (a or b)` calls nothing, but `(a)(b)` does.
                let is_call = if name.is_empty() {
                    before.ends_with([')', ']', '"', '\''])
                } else {
                    !["not", "and", "or", "if", "elif", "else", "in"].contains(&name)
                };
                let is_filter = before[..begin].trim_end().ends_with('|');
                if is_call && !is_filter && !PARTS.contains(&name) {
                    return Some(format!("calls `{name}`, and words of mails call only {PARTS:?}"));
                }
                let is_part = is_call && !is_filter;
                if is_part && 0 < parts {
                    return Some(format!("calls `{name}` within another part"));
                }
                parts += usize::from(is_part);
                open.push(is_part);
            }
            ')' => parts -= usize::from(open.pop().unwrap_or_default()),
            _ => {}
        }
    }
    None
}

/// The names that stand right after a bar.
fn filters(code: &str) -> impl Iterator<Item = &str> {
    code.split('|').skip(1).map(|it| {
        let it = it.trim_start();
        &it[..it.find(|it: char| !is_of_name(it)).unwrap_or(it.len())]
    })
}

fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
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
            "{{ (range)(100000) }}",
            "{{ [range][0](100000) }}",
            "{{ button(button(name, '', '', ''), '', '', '') }}",
            "{{ button((heading(name)), '', '', '') }}",
            "{% for a in [name ~ name] %}{% for b in [a ~ a] %}{{ b }}{% endfor %}{% endfor %}",
            "{% for a in (name ~ name, name) %}{{ a }}{% endfor %}",
            "{% from \"parts.html\" import button as default %}{{ default(default(name)) }}",
        ] {
            assert!(refusal(greedy).is_some(), "{greedy}");
        }
    }
    /// The engine does not end code in quotes or in parentheses.
    #[test]
    fn an_end_that_is_none_hides_nothing() {
        for hiding in [
            r#"{{ "}}"|indent(4000000000) }}"#,
            r#"{{ "}}" * 3 }}"#,
            r#"{{ "}}" ~ range(9) }}"#,
            r#"{% for a in ("%}" and range(9)) %}{% endfor %}"#,
            r"{{ '}}'|indent(4000000000) }}",
            r"{% if '%}' * 4000000000 %}{% endif %}",
            r#"{{ "\"}}"|indent(4000000000) }}"#,
            r#"{{ "\"" ~ "}}"|indent(4000000000) }}"#,
            r#"{{ "'" ~ "}}"|indent(4000000000) }}"#,
            r#"{{ {"a": {"b": 1}}|indent(4000000000) }}"#,
            r#"{{ ("a" }} ) |indent(4000000000) }}"#,
            r#"{{ ) }} |indent(4000000000) }}"#,
            r#"{{ name %} }}|indent(4000000000) }}"#,
            r##"{# {{ #}{{ "a"|indent(4000000000) }}"##,
            r##"{{ "{#" }}{{ "a"|indent(4000000000) }}{{ "#}" }}"##,
            r#"{% raw %}{{ "{% endraw %}{{ 'a' * 9 }}"#,
            r#"{{ "a"|indent(4000000000)"#,
        ] {
            assert!(refusal(hiding).is_some(), "{hiding}");
        }
        for harmless in [
            r#"{{ "it\"s | * range(" ~ name }}"#,
            "{{- name -}} {%- if name -%}a{%- endif -%} body { color: red; }} {# range(9) * 3 #}",
            r#"{{ heading(name|default("you")) ~ heading('x') }}"#,
            "{% for letter in name %}{{ letter }}{% endfor %}",
        ] {
            assert_eq!(refusal(harmless), None, "{harmless}");
        }
    }
}
