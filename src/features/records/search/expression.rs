//! What is looked for in the words of the index: one expression, in which everything that was typed stands in quotes.
use std::fmt::Write as _;

use super::hits::Meant;
use super::sought::{Part, Sought};
use crate::db::search_tables::column_name;

/// How near a word has to be to what was typed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Nearness<'a> {
    /// The word itself.
    Same,
    /// The last word may go on.
    Begun,
    /// It may be one of those that may have been meant: some for each part.
    Meant(&'a [Vec<Meant>]),
}

/// Everything wanted is in these columns, however near. Nothing unwanted is looked at.
pub(super) fn wanted(sought: &Sought, columns: &[usize], nearness: Nearness<'_>) -> String {
    let mut all = String::new();
    for (index, part) in sought.wanted.iter().enumerate() {
        if 0 < index {
            all.push_str(" AND ");
        }
        match nearness {
            Nearness::Same => quote(part, false, &mut all),
            Nearness::Begun => quote(part, true, &mut all),
            Nearness::Meant(meant) => {
                all.push('(');
                quote(part, true, &mut all);
                for Meant { word, .. } in meant.get(index).into_iter().flatten() {
                    // Writing to a string cannot fail.
                    let _ = write!(all, " OR \"{word}\"");
                }
                all.push(')');
            }
        }
    }
    within(columns, &all)
}

/// Everything that matches the first expression and nothing of the others.
pub(super) fn without(expression: &str, others: &[&str]) -> String {
    let others: String = others.iter().map(|it| format!(" NOT ({it})")).collect();
    if others.is_empty() { expression.to_owned() } else { format!("({expression}){others}") }
}

/// What must not be in these columns, if there is any.
pub(super) fn unwanted(sought: &Sought, columns: &[usize]) -> Option<String> {
    let mut any = String::new();
    for part in &sought.unwanted {
        if !any.is_empty() {
            any.push_str(" OR ");
        }
        quote(part, false, &mut any);
    }
    (!any.is_empty()).then(|| within(columns, &any))
}

fn within(columns: &[usize], expression: &str) -> String {
    let names: Vec<_> = columns.iter().map(|it| column_name(*it)).collect();
    format!("{{{}}} : ({expression})", names.join(" "))
}

/// Words are letters and digits, so that nothing in them ends the quotes.
fn quote(part: &Part, may_go_on: bool, out: &mut String) {
    let _ = write!(out, "\"{}\"", part.words.join(" "));
    if may_go_on && part.is_begun {
        out.push_str(" *");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_stands_in_quotes() {
        let sought = Sought::read("a\" OR f1:b* NEAR(c -\"x y\" li").expect("fits");

        let begun = wanted(&sought, &[0, 2], Nearness::Begun);

        assert_eq!(begun, "{f0 f2} : (\"a\" AND \"or f1 b near c\" AND \"x\" AND \"y\" AND \"li\" *)");
    }

    #[test]
    fn what_may_have_been_meant_stands_beside_what_was_typed() {
        let sought = Sought::read("red lihgt").expect("fits");
        let meant = Meant { word: "light".to_owned(), typos: 1, is_longer: false };

        let expression = wanted(&sought, &[0], Nearness::Meant(&[Vec::new(), vec![meant]]));

        assert_eq!(expression, "{f0} : ((\"red\") AND (\"lihgt\" * OR \"light\"))");
        assert_eq!(without("a", &["b", "c"]), "(a) NOT (b) NOT (c)");
        let sought = Sought::read("a -b -\"c d\"").expect("fits");
        assert_eq!(unwanted(&sought, &[1]).as_deref(), Some("{f1} : (\"b\" OR \"c d\")"));
    }
}
