//! Conditions that are sent as parameters: `where[views][gte]=10`.
//!
//! Each becomes the tree that the same condition would have in an expression, so that
//! there is one compiler, and no second idea of what a field or a comparison is.
use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, ListExpr, LiteralValue, SelectExpr, operators};

use super::error::Error;
use super::schema::{Kind, Schema};

/// What can be asked of one field.
pub const OPERATORS: [&str; 11] =
    ["eq", "ne", "gt", "gte", "lt", "lte", "in", "contains", "icontains", "startsWith", "isNull"];

/// Most dots in a name, as in an expression.
const DOTS_MAX: usize = 8;
/// Most values after `in`.
const VALUES_MAX: usize = 100;

/// One condition as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The parameter's name, for whoever has to be told what is wrong.
    pub parameter: String,
    pub path: String,
    pub operator: String,
    pub value: String,
}

pub(super) use Condition as Asked;

/// The tree of a condition.
pub(super) fn tree(schema: &Schema, table: &str, asked: &Asked) -> Result<IdedExpr, Error> {
    let path = path(&asked.path)?;
    let kind = kind(schema, table, &asked.path);
    let call = |name: &str, value: IdedExpr| node(call(name, None, vec![path.clone(), value]));
    let literal = || literal(kind, &asked.value).map(node);
    Ok(match asked.operator.as_str() {
        // Of a list one asks whether it has the value.
        "eq" if matches!(kind, Some(Kind::List | Kind::References { .. })) => {
            node(call_in(text(&asked.value), path.clone()))
        }
        "eq" => call(operators::EQUALS, literal()?),
        "ne" => call(operators::NOT_EQUALS, literal()?),
        "gt" => call(operators::GREATER, literal()?),
        "gte" => call(operators::GREATER_EQUALS, literal()?),
        "lt" => call(operators::LESS, literal()?),
        "lte" => call(operators::LESS_EQUALS, literal()?),
        "in" => {
            let values: Vec<_> = asked.value.split(',').collect();
            if VALUES_MAX < values.len() {
                return Err(Error::too_long(format!("at most {VALUES_MAX} values")));
            }
            let elements = values.into_iter().map(|it| self::literal(kind, it).map(node)).collect::<Result<_, _>>()?;
            node(call_in(path.clone(), node(Expr::List(ListExpr::new(elements)))))
        }
        name @ ("contains" | "icontains" | "startsWith") => {
            node(self::call(name, Some(path.clone()), vec![text(&asked.value)]))
        }
        "isNull" => {
            let null = node(Expr::Literal(LiteralValue::Null));
            match asked.value.as_str() {
                "true" => call(operators::EQUALS, null),
                "false" => call(operators::NOT_EQUALS, null),
                _ => return Err(Error::wrong_type("must be `true` or `false`")),
            }
        }
        other => {
            let known = OPERATORS.join("`, `");
            return Err(Error::not_supported(format!("there is no operator `{other}`; there are `{known}`")));
        }
    })
}

fn node(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

fn text(value: &str) -> IdedExpr {
    node(Expr::Literal(LiteralValue::String(value.to_owned().into())))
}

fn call(name: &str, target: Option<IdedExpr>, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr { func_name: name.to_owned(), target: target.map(Box::new), args })
}

fn call_in(item: IdedExpr, list: IdedExpr) -> Expr {
    call(operators::IN, None, vec![item, list])
}

/// The tree of `author.name`.
fn path(path: &str) -> Result<IdedExpr, Error> {
    let mut names = path.split('.');
    let is_name = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
    if DOTS_MAX < path.matches('.').count() || !names.clone().all(is_name) {
        return Err(Error::unknown("a field is named by letters, digits and `_`, with dots along relations"));
    }
    let first = names.next().unwrap_or_default();
    // Only fields: what is known of the request is for rules.
    if ["auth", "request", "now"].contains(&first) {
        return Err(Error::unknown(format!("no field `{first}`")));
    }
    let start = node(Expr::Ident(first.to_owned()));
    Ok(names.fold(start, |operand, name| {
        node(Expr::Select(SelectExpr { operand: Box::new(operand), field: name.to_owned(), test: false }))
    }))
}

/// What the values at the end of a path are; nothing if it leads nowhere, which the compiler says better.
fn kind<'s>(schema: &'s Schema, table: &str, path: &str) -> Option<&'s Kind> {
    let mut table = schema.table(table)?;
    let mut names = path.split('.').peekable();
    while let Some(name) = names.next() {
        let kind = &table.field(name)?.kind;
        match kind {
            _ if names.peek().is_none() => return Some(kind),
            Kind::Reference(target) => table = schema.table(target)?,
            _ => return Some(kind),
        }
    }
    None
}

/// A value as the field has them.
fn literal(kind: Option<&Kind>, value: &str) -> Result<Expr, Error> {
    let wrong = |what: &str| Error::wrong_type(format!("must be {what}"));
    Ok(Expr::Literal(match kind {
        Some(Kind::Integer | Kind::Number) => match value.parse::<i64>() {
            Ok(number) => LiteralValue::Int(number.into()),
            Err(_) => {
                let number: f64 = value.parse().map_err(|_| wrong("a number"))?;
                LiteralValue::Double(Some(number).filter(|it| it.is_finite()).ok_or_else(|| wrong("a number"))?.into())
            }
        },
        Some(Kind::Bool) => {
            LiteralValue::Boolean(value.parse::<bool>().map_err(|_| wrong("`true` or `false`"))?.into())
        }
        Some(Kind::Json) => match (value.parse::<bool>(), value.parse::<f64>()) {
            (Ok(flag), _) => LiteralValue::Boolean(flag.into()),
            (_, Ok(number)) if number.is_finite() => LiteralValue::Double(number.into()),
            _ => LiteralValue::String(value.to_owned().into()),
        },
        _ => LiteralValue::String(value.to_owned().into()),
    }))
}
