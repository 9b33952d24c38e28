//! How deep a condition is as SQLite counts, which refuses what is too deep.
//!
//! It counts the operators that stand within one another, and of a query within a query those of the inner one
//! once more: queries in queries weigh as the square of their number.

/// SQLite takes 200 (`SQLITE_LIMIT_EXPR_DEPTH`), and a statement joins a rule, a filter and a position.
pub(super) const DEPTH_MAX: usize = 180;

/// Brackets that are open.
#[derive(Default)]
struct Open {
    operators: usize,
    /// The deepest of the brackets within.
    deepest: usize,
    /// What the heaviest of the queries within weighs.
    heaviest: usize,
    is_query: bool,
}

impl Open {
    fn depth(&self) -> usize {
        self.operators + self.deepest
    }
}

/// What SQLite counts for a condition of ours, or a little more: all operators of a bracket as if in a row.
pub(super) fn depth(sql: &str) -> usize {
    // A condition is part of a query.
    let mut open = vec![Open { is_query: true, ..Open::default() }];
    let mut rest = sql;
    let mut after_word = false;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => rest[1..].find(first).map_or(rest.len(), |it| it + 2),
            it if is_of_word(it) => rest.find(|it| !is_of_word(it)).unwrap_or(rest.len()),
            it => it.len_utf8(),
        };
        let (token, further) = rest.split_at(length);
        if first == '(' {
            // The name of a function before it is one level too.
            open.push(Open { operators: after_word.into(), ..Open::default() });
        } else if first == ')' && 1 < open.len() {
            close(&mut open);
        } else if let Some(innermost) = open.last_mut() {
            innermost.is_query |= token == "SELECT";
            innermost.operators += usize::from(is_operator(token));
        }
        after_word = is_of_word(first);
        rest = further;
    }
    while 1 < open.len() {
        close(&mut open);
    }
    open.first().map_or(0, |it| it.depth() + it.heaviest)
}

fn close(open: &mut Vec<Open>) {
    let Some(inner) = open.pop() else { return };
    let weight = if inner.is_query { inner.depth() + inner.heaviest } else { inner.heaviest };
    if let Some(outer) = open.last_mut() {
        outer.deepest = outer.deepest.max(inner.depth());
        outer.heaviest = outer.heaviest.max(weight);
    }
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || ['_', '$', '@'].contains(&letter)
}

/// A sign of two letters counts once for each, which is more than it has to be.
fn is_operator(token: &str) -> bool {
    matches!(
        token,
        "AND" | "OR" | "IS" | "IN" | "EXISTS" | "CASE" | "SELECT" | "=" | "<" | ">" | "+" | "-" | "*" | "/" | "%" | "|"
    )
}
