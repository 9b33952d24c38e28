//! Conditions about the caller alone, which are the same for all records: answered in memory, in the same words and
//! with the same meaning as in a rule.
use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};

use super::bind::Facts;
use super::error::Error;
use super::parse::Expression;

/// A condition about the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerCondition(Expression);

/// Parts within one another; the parser's own bounds are wider.
const NESTING_MAX: usize = 40;

/// A condition as it turned out.
#[derive(Clone, Copy, Debug)]
struct Answer {
    is_true: bool,
    /// Whether it compares something that a stranger has not.
    asks: bool,
}

/// A value as it turned out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Null,
    Bool(bool),
    Text(String),
}

#[derive(Clone, Debug)]
struct Operand {
    value: Value,
    kind: Kind,
    is_callers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    Bool,
    Text,
}

impl CallerCondition {
    /// Takes an expression that asks about `auth` alone, or says why it does not.
    pub fn new(expression: Expression) -> Result<Self, Error> {
        // What is known of a stranger shows every part, since none is passed over.
        Asked { facts: &Facts::default(), expression: &expression }.condition(expression.tree(), 0)?;
        Ok(Self(expression))
    }

    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// Whether it is true for a caller.
    pub fn holds(&self, facts: &Facts) -> bool {
        Asked { facts, expression: &self.0 }.condition(self.0.tree(), 0).is_ok_and(|it| it.is_true)
    }
}

struct Asked<'a> {
    facts: &'a Facts,
    expression: &'a Expression,
}

impl Asked<'_> {
    fn condition(&self, node: &IdedExpr, depth: usize) -> Result<Answer, Error> {
        if NESTING_MAX < depth {
            return Err(Error::too_long(format!("at most {NESTING_MAX} parts within one another")));
        }
        self.condition_here(node, depth + 1).map_err(|it| it.at(self.expression.position(node.id)))
    }

    fn condition_here(&self, node: &IdedExpr, depth: usize) -> Result<Answer, Error> {
        match &node.expr {
            Expr::Call(call) => self.call(call, depth),
            Expr::Select(select) if select.test => {
                let is_true = self.named(&select.operand, &select.field)?.value != Value::Null;
                Ok(Answer { is_true, asks: false })
            }
            _ => match self.operand(node)? {
                Operand { value, kind: Kind::Bool, .. } => Ok(plain(value == Value::Bool(true))),
                _ => Err(Error::wrong_type("must be true or false")),
            },
        }
    }

    fn call(&self, call: &CallExpr, depth: usize) -> Result<Answer, Error> {
        let condition = |node: &IdedExpr| self.condition(node, depth);
        let both = |left: &IdedExpr, right: &IdedExpr| Ok::<_, Error>((condition(left)?, condition(right)?));
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            (operators::LOGICAL_AND, _, [left, right]) => {
                let (left, right) = both(left, right)?;
                Ok(Answer { is_true: left.is_true && right.is_true, asks: left.asks || right.asks })
            }
            (operators::LOGICAL_OR, _, [left, right]) => {
                let (left, right) = both(left, right)?;
                Ok(Answer { is_true: left.is_true || right.is_true, asks: left.asks || right.asks })
            }
            (operators::LOGICAL_NOT, _, [inner]) => {
                let inner = condition(inner)?;
                // Neither a comparison with a stranger nor its negation is true.
                let is_answered = !inner.asks || self.facts.auth_id.is_some();
                Ok(Answer { is_true: is_answered && !inner.is_true, asks: inner.asks })
            }
            (sign @ (operators::EQUALS | operators::NOT_EQUALS), _, [left, right]) => {
                let (left, right) = (self.operand(left)?, self.operand(right)?);
                if left.kind != right.kind && left.kind != Kind::Null && right.kind != Kind::Null {
                    return Err(Error::wrong_type("both sides must be of one kind"));
                }
                let is_known = |it: &Operand| !it.is_callers || it.value != Value::Null;
                let is_answered = is_known(&left) && is_known(&right);
                let is_equal = left.value == right.value;
                let is_meant = if sign == operators::EQUALS { is_equal } else { !is_equal };
                Ok(Answer { is_true: is_answered && is_meant, asks: left.is_callers || right.is_callers })
            }
            (operators::IN, _, [item, list]) => {
                let Expr::List(list) = &list.expr else {
                    return Err(Error::not_supported("a list is written out: `auth.role in ['editor', 'author']`"));
                };
                let item = self.operand(item)?;
                let (mut is_true, mut asks) = (false, item.is_callers);
                for element in &list.elements {
                    let element = self.operand(element)?;
                    if element.kind != item.kind {
                        return Err(Error::wrong_type("a list has values of the kind that is looked for"));
                    }
                    is_true |= element.value == item.value && item.value != Value::Null;
                    asks |= element.is_callers;
                }
                Ok(Answer { is_true, asks })
            }
            (name @ ("contains" | "startsWith" | "endsWith"), Some(text), [part]) => {
                let (text, part) = (self.operand(text)?, self.operand(part)?);
                if text.kind != Kind::Text || part.kind != Kind::Text {
                    return Err(Error::wrong_type(format!("`{name}` is for texts")));
                }
                let asks = text.is_callers || part.is_callers;
                let is_true = match (&text.value, &part.value) {
                    (Value::Text(text), Value::Text(part)) => match name {
                        "contains" => text.contains(part),
                        "startsWith" => text.starts_with(part),
                        _ => text.ends_with(part),
                    },
                    _ => false,
                };
                Ok(Answer { is_true, asks })
            }
            _ => Err(only()),
        }
    }

    fn operand(&self, node: &IdedExpr) -> Result<Operand, Error> {
        let of = |kind, value| Ok(Operand { value, kind, is_callers: false });
        match &node.expr {
            Expr::Literal(LiteralValue::Null) => of(Kind::Null, Value::Null),
            Expr::Literal(LiteralValue::Boolean(flag)) => of(Kind::Bool, Value::Bool(**flag)),
            Expr::Literal(LiteralValue::String(text)) => of(Kind::Text, Value::Text(text.inner().to_owned())),
            Expr::Select(select) if !select.test => self.named(&select.operand, &select.field),
            _ => Err(only()),
        }
        .map_err(|it| it.at(self.expression.position(node.id)))
    }

    fn named(&self, of: &IdedExpr, name: &str) -> Result<Operand, Error> {
        match &of.expr {
            Expr::Ident(it) if it == "auth" => {}
            _ => return Err(only()),
        }
        let text = |it: &Option<String>| {
            let value = it.clone().map_or(Value::Null, Value::Text);
            Ok(Operand { value, kind: Kind::Text, is_callers: true })
        };
        let flag = |it: bool| Ok(Operand { value: Value::Bool(it), kind: Kind::Bool, is_callers: false });
        match name {
            "id" => text(&self.facts.auth_id),
            "email" => text(&self.facts.auth_email),
            "role" => text(&self.facts.auth_role),
            "tier" => text(&self.facts.auth_tier),
            "verified" => flag(self.facts.auth_verified),
            "signedIn" => flag(self.facts.auth_signed_in),
            _ => Err(Error::unknown("of `auth` there are `id`, `email`, `role`, `tier`, `verified` and `signedIn`")),
        }
    }
}

fn plain(is_true: bool) -> Answer {
    Answer { is_true, asks: false }
}

fn only() -> Error {
    Error::not_supported(
        "it is asked about `auth` alone, with `==`, `!=`, `in`, `!`, `&&`, `||`, `has`, `contains`, `startsWith` and \
         `endsWith`",
    )
}
