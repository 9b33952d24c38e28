//! Conditions that are sent as parameters: `where[views][gte]=10`.
//!
//! Each becomes the tree that the same condition would have in an expression, so that
//! there is one compiler, and no second idea of what a field or a comparison is.
use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, ListExpr, LiteralValue, SelectExpr, operators};

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

/// The tree of a condition. Where its path leads to several records, it is true if it is of one of them.
pub(super) fn tree(schema: &Schema, table: &str, asked: &Asked) -> Result<IdedExpr, Error> {
    let names = names(&asked.path)?;
    let (mut table, mut start, mut ranges) = (table, 0, Vec::new());
    while let Some((step, target)) = first_of_several(schema, table, &names[start..]) {
        ranges.push(path(ranges.len(), &names[start..=start + step]));
        table = target;
        start += step + 1;
    }
    let kind = kind(schema, table, &names[start..]);
    let inner = condition(kind, &path(ranges.len(), &names[start..]), asked)?;
    Ok((0..ranges.len())
        .rev()
        .zip(ranges.into_iter().rev())
        .fold(inner, |inner, (number, range)| exists(&variable(number + 1), range, inner)))
}

/// The condition on what a path leads to.
fn condition(kind: Option<&Kind>, path: &IdedExpr, asked: &Asked) -> Result<IdedExpr, Error> {
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

/// The names of a path.
fn names(path: &str) -> Result<Vec<&str>, Error> {
    let names: Vec<_> = path.split('.').collect();
    let is_name = |it: &&str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
    // One that begins so is a variable of ours.
    let is_ours = names[0].starts_with('_');
    if DOTS_MAX < path.matches('.').count() || !names.iter().all(is_name) || is_ours {
        return Err(Error::unknown("a field is named by letters, digits and `_`, with dots along relations"));
    }
    // Only fields: what is known of the request is for rules.
    if ["auth", "request", "now"].contains(&names[0]) {
        return Err(Error::unknown(format!("no field `{}`", names[0])));
    }
    Ok(names)
}

/// The variable of one of several records. No field begins so.
fn variable(number: usize) -> String {
    format!("_{number}")
}

/// The tree of `author.name`, from the record that the so manieth `exists` is about; from the first one without.
fn path(within: usize, names: &[&str]) -> IdedExpr {
    let variable = (0 < within).then(|| variable(within));
    let mut names = variable.iter().map(String::as_str).chain(names.iter().copied());
    let start = node(Expr::Ident(names.next().unwrap_or_default().to_owned()));
    names.fold(start, |operand, name| {
        node(Expr::Select(SelectExpr { operand: Box::new(operand), field: name.to_owned(), test: false }))
    })
}

/// `range.exists(variable, inner)`, as the parser expands it.
fn exists(variable: &str, range: IdedExpr, inner: IdedExpr) -> IdedExpr {
    const FOUND: &str = "_found";
    let found = || node(Expr::Ident(FOUND.to_owned()));
    let flag = |it: bool| node(Expr::Literal(LiteralValue::Boolean(it.into())));
    node(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: range,
        iter_var: variable.to_owned(),
        iter_var2: None,
        accu_var: FOUND.to_owned(),
        accu_init: flag(false),
        loop_cond: flag(true),
        loop_step: node(call(operators::LOGICAL_OR, None, vec![found(), inner])),
        result: found(),
    })))
}

/// How many steps lead to the first name of a path that means several records of which something more is asked, and
/// the table of these.
fn first_of_several<'s>(schema: &'s Schema, table: &str, names: &[&str]) -> Option<(usize, &'s str)> {
    let mut table = schema.table(table)?;
    for (step, name) in names.iter().enumerate().take(names.len().saturating_sub(1)) {
        if let Some((from, field)) = schema.back_relation(&table.name, name) {
            return (!field.hidden).then_some((step, from.name.as_str()));
        }
        match &table.field(name).filter(|it| !it.hidden)?.kind {
            Kind::References { target, .. } => return Some((step, target)),
            Kind::Reference(target) => table = schema.table(target)?,
            _ => return None,
        }
    }
    None
}

/// What the values at the end of a path are; nothing if it leads nowhere, which the compiler says better.
fn kind<'s>(schema: &'s Schema, table: &str, names: &[&str]) -> Option<&'s Kind> {
    let mut table = schema.table(table)?;
    for (step, name) in names.iter().enumerate() {
        let kind = &table.field(name).filter(|it| !it.hidden)?.kind;
        match kind {
            _ if step + 1 == names.len() => return Some(kind),
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
