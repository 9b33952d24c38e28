//! From a text to a tree, remembered.
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use cel::IdedExpr;
use cel::common::ast::SourceInfo;
use cel::parser::Parser;

use super::bounds;
use super::error::Error;
use super::escapes;

/// The parser recurses; this much stack is enough for whatever [`bounds`] let through, several times over.
const STACK_BYTES: usize = 8 << 20;
/// Deepest recursion of the grammar's rules.
const RECURSION_MAX: u16 = 500;
/// Texts whose trees are remembered. Those of rules are kept by their collections besides.
const REMEMBERED_MAX: usize = 1_000;
/// Longest text that is remembered: a client can make up many, and a tree takes some fifty times as much.
const REMEMBERED_BYTES_MAX: usize = 400;

/// A text that was understood. Cheap to clone.
#[derive(Clone)]
pub struct Expression(Arc<Parsed>);

struct Parsed {
    text: String,
    /// The same as the parser read it.
    read: String,
    tree: IdedExpr,
    source: SourceInfo,
}

impl Expression {
    pub fn text(&self) -> &str {
        &self.0.text
    }

    pub(super) fn tree(&self) -> &IdedExpr {
        &self.0.tree
    }

    /// Where a part of the tree begins: characters from the beginning of the text.
    pub(super) fn position(&self, id: u64) -> Option<usize> {
        let (start, _) = self.0.source.offset_for(id)?;
        // The parser counts bytes here.
        let before = self.0.read.get(..usize::try_from(start).ok()?)?;
        Some(before.chars().count())
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Expression").field(&self.0.text).finish()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Expression {}

/// Expressions by their text, in two halves: when the young one is full it becomes the old one.
#[derive(Default)]
struct Remembered {
    young: HashMap<String, Expression>,
    old: HashMap<String, Expression>,
}

static REMEMBERED: LazyLock<Mutex<Remembered>> = LazyLock::new(Mutex::default);

/// Understands a text, or says why not.
pub fn parse(text: &str) -> Result<Expression, Error> {
    if let Some(known) = look_up(text) {
        return Ok(known);
    }
    bounds::check(text)?;
    let (owned, read) = (text.to_owned(), escapes::as_the_parser_knows_them(text)?);
    // A thread of its own has a stack of known size, whoever calls.
    let thread = std::thread::Builder::new().name("expression".to_owned()).stack_size(STACK_BYTES);
    let parsed = thread.spawn(move || tree(owned, read)).map(std::thread::JoinHandle::join);
    let expression = match parsed {
        Ok(Ok(outcome)) => outcome?,
        Ok(Err(_)) => return Err(Error::malformed("the expression cannot be understood")),
        Err(cause) => return Err(Error::malformed(format!("there is no thread to parse it now: {cause}"))),
    };
    remember(expression.clone());
    Ok(expression)
}

fn tree(text: String, read: String) -> Result<Expression, Error> {
    let parser = Parser::new().max_recursion_depth(RECURSION_MAX).error_recovery_limit(1);
    match parser.parse_with_source_info(&read) {
        Ok((tree, source)) => Ok(Expression(Arc::new(Parsed { text, read, tree, source }))),
        Err(errors) => {
            let place = errors.errors.first().and_then(|it| place(&read, it.pos));
            // The parser's own words name what it expected by the names of its grammar.
            Err(Error::malformed("the expression cannot be understood from here").at(place))
        }
    }
}

/// Characters from the beginning of a text to a line and column, both counted from 1.
fn place(text: &str, (line, column): (isize, isize)) -> Option<usize> {
    let (line, column) = (usize::try_from(line).ok()?.checked_sub(1)?, usize::try_from(column).ok()?.checked_sub(1)?);
    let before: usize = text.split_inclusive('\n').take(line).map(|it| it.chars().count()).sum();
    Some(before + column)
}

fn look_up(text: &str) -> Option<Expression> {
    let remembered = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    remembered.young.get(text).or_else(|| remembered.old.get(text)).cloned()
}

fn remember(expression: Expression) {
    if REMEMBERED_BYTES_MAX < expression.text().len() {
        return;
    }
    let mut remembered = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    if REMEMBERED_MAX <= remembered.young.len() {
        remembered.old = std::mem::take(&mut remembered.young);
    }
    remembered.young.insert(expression.text().to_owned(), expression);
}
