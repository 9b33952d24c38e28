//! From a tree to a condition of SQL.
//!
//! A condition is true or not: where SQL would say NULL it counts as false, so only a
//! negation, and a condition that is used as a value, ask with `IS [NOT] TRUE`. That
//! leaves plain comparisons plain, and the indexes usable.
use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, operators};

use super::bind::{Bind, Constant};
use super::budget::Spent;
use super::condition::{self, Asked};
use super::error::Error;
use super::operand::{Operand, Type};
use super::parse::Expression;
use super::path::Scope;
use super::schema::{Kind, Schema, View};
use crate::db::dialect;
use crate::db::record_tables::quoted;

/// Stands for the table that a condition is about, until a statement gives it a name. No name has it.
pub(super) const ROOT: &str = "@";

/// What an expression is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A client's question. Hidden fields are not there, and relations lead only to what may be viewed.
    Filter,
    /// A rule of an admin's, about the record that is read or deleted.
    Rule,
    /// A rule about the record that would be.
    CreateRule,
    /// A rule about the record that is, and what would change.
    UpdateRule,
    /// As `Filter` and `Rule`, about the columns of a record as an event tells of them.
    FilterOfEvent,
    RuleOfEvent,
}

impl Purpose {
    /// Whether the columns of the record stand for all of it, with what is in tables of its own otherwise.
    pub(super) fn is_of_columns(self) -> bool {
        matches!(self, Self::CreateRule | Self::FilterOfEvent | Self::RuleOfEvent)
    }
}

/// A condition, with its holes.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    sql: String,
    binds: Vec<Bind>,
}

impl Compiled {
    /// The condition about the table that the statement calls `alias`, its holes numbered from `$1`.
    pub fn sql(&self, alias: &str) -> String {
        self.sql.replace(ROOT, alias)
    }

    pub fn binds(&self) -> &[Bind] {
        &self.binds
    }

    /// Whether the condition asks what a request writes.
    pub fn asks_for_changes(&self) -> bool {
        self.binds.iter().any(|it| matches!(it, Bind::New(_) | Bind::Sent(_)))
    }
}

/// Compiles an expression about a table, or says why it cannot be.
pub fn compile(schema: &Schema, table: &str, expression: &Expression, purpose: Purpose) -> Result<Compiled, Error> {
    let mut spent = Spent::default();
    let sql = Compiler::new(schema, table, expression, purpose, &mut spent)?.condition(expression.tree())?;
    spent.add_part(&sql).map_err(|it| it.at(expression.position(expression.tree().id)))?;
    Ok(Compiled { sql, binds: spent.binds })
}

/// Conditions that are wrong of which one is told: finding out what was meant takes time.
const ERRORS_TOLD_MAX: usize = 10;

/// Compiles `where` conditions about a table, all of them joined. An error comes with the parameter's name.
pub fn compile_conditions(schema: &Schema, table: &str, asked: &[Asked]) -> Result<Compiled, Vec<(String, Error)>> {
    let mut spent = Spent::default();
    let (mut parts, mut errors) = (Vec::new(), Vec::new());
    for one in asked {
        let compiled = condition::tree(schema, table, one).and_then(|tree| {
            // It has no text that a place could be named in.
            let expression = super::parse("true")?;
            let sql = Compiler::new(schema, table, &expression, Purpose::Filter, &mut spent)?.condition(&tree)?;
            spent.add_part(&sql)?;
            Ok(sql)
        });
        match compiled {
            Ok(sql) => parts.push(sql),
            Err(error) => errors.push((one.parameter.clone(), Error { position: None, ..error })),
        }
        if ERRORS_TOLD_MAX <= errors.len() {
            break;
        }
    }
    if errors.is_empty() { Ok(Compiled { sql: all_of(parts), binds: spent.binds }) } else { Err(errors) }
}

/// Some conditions joined in pairs, and these again: in a row they would be a tree as deep as they are many.
fn all_of(mut parts: Vec<String>) -> String {
    while 1 < parts.len() {
        let pair =
            |it: &[String]| if let [left, right] = it { format!("({left}) AND ({right})") } else { it[0].clone() };
        parts = parts.chunks(2).map(pair).collect();
    }
    parts.pop().unwrap_or_else(|| "1 = 1".to_owned())
}

pub(super) struct Compiler<'a> {
    pub(super) schema: &'a Schema,
    pub(super) expression: &'a Expression,
    pub(super) purpose: Purpose,
    /// What names mean: the table first, then the variables of what surrounds.
    pub(super) scopes: Vec<Scope<'a>>,
    pub(super) spent: &'a mut Spent,
    /// How often the expression asked something of the caller that a stranger has not.
    pub(super) asked_of_caller: usize,
}

impl<'a> Compiler<'a> {
    fn new(
        schema: &'a Schema,
        table: &str,
        expression: &'a Expression,
        purpose: Purpose,
        spent: &'a mut Spent,
    ) -> Result<Self, Error> {
        let table = schema.table(table).ok_or_else(|| Error::unknown(format!("there is no collection `{table}`")))?;
        let scopes = vec![Scope { variable: None, alias: ROOT.to_owned(), table }];
        Ok(Self { schema, expression, purpose, scopes, spent, asked_of_caller: 0 })
    }

    pub(super) fn bind(&mut self, bind: Bind) -> String {
        self.spent.binds.push(bind);
        format!("${}", self.spent.binds.len())
    }

    /// Goes into a part and comes back with what became of it.
    pub(super) fn within<T>(
        &mut self,
        part: impl FnOnce(&mut Self) -> Result<T, Error>,
        sql: impl FnOnce(&T) -> &str,
    ) -> Result<T, Error> {
        self.spent.enter()?;
        let became = part(self);
        self.spent.leave();
        let became = became?;
        self.spent.check_size(sql(&became))?;
        Ok(became)
    }

    /// Whether the expression is a client's, who sees less than an admin.
    pub(super) fn is_clients(&self) -> bool {
        matches!(self.purpose, Purpose::Filter | Purpose::FilterOfEvent)
    }

    /// The condition that lets a client's expression reach a record, with ` AND ` before it.
    pub(super) fn and_viewed(&mut self, table: &str, alias: &str) -> Result<String, Error> {
        let schema = self.schema;
        let Some(table) = schema.table(table).filter(|_| self.is_clients()) else { return Ok(String::new()) };
        match &table.view {
            View::Anyone => Ok(String::new()),
            View::Nobody => Ok(" AND 1 = 0".to_owned()),
            View::When(rule) => {
                let scopes = vec![Scope { variable: None, alias: alias.to_owned(), table }];
                let (expression, purpose, spent) = (rule, Purpose::Rule, &mut *self.spent);
                let mut inner = Compiler { schema, expression, purpose, scopes, spent, asked_of_caller: 0 };
                let sql = inner.condition(rule.tree()).map_err(|it| Error { position: None, ..it })?;
                Ok(format!(" AND ({sql})"))
            }
        }
    }

    /// A part of the tree as a condition.
    pub(super) fn condition(&mut self, node: &IdedExpr) -> Result<String, Error> {
        let position = self.expression.position(node.id);
        self.within(|it| it.condition_here(node), |sql| sql).map_err(|it| it.at(position))
    }

    fn condition_here(&mut self, node: &IdedExpr) -> Result<String, Error> {
        match &node.expr {
            Expr::Literal(LiteralValue::Boolean(flag)) => Ok(if **flag { "1 = 1" } else { "1 = 0" }.to_owned()),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.exists(comprehension),
            Expr::Select(select) if select.test => {
                let asked_before = self.asked_of_caller;
                let operand = self.path(node)?;
                self.asked_of_caller = asked_before; // that there is nothing is an answer
                Ok(format!("{} IS NOT NULL", operand.sql))
            }
            Expr::Ident(_) | Expr::Select(_) => {
                let operand = self.path(node)?;
                match operand.kind {
                    Type::Bool => Ok(format!("{} = 1", operand.sql)),
                    other => {
                        Err(Error::wrong_type(format!("must be true or false, and {} is {other}", operand.said())))
                    }
                }
            }
            _ => Err(Error::wrong_type("must be true or false")),
        }
    }

    fn call(&mut self, call: &CallExpr) -> Result<String, Error> {
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            (operators::LOGICAL_AND, _, [left, right]) => self.joined(left, " AND ", right),
            (operators::LOGICAL_OR, _, [left, right]) => self.joined(left, " OR ", right),
            (operators::LOGICAL_NOT, _, [inner]) => {
                let (known, inner) = self.about_caller(inner)?;
                Ok(match known {
                    Some(known) => format!("({known} AND ({inner}) IS NOT TRUE)"),
                    None => format!("({inner}) IS NOT TRUE"),
                })
            }
            (operators::CONDITIONAL, _, [test, yes, no]) => {
                let (known, test) = self.about_caller(test)?;
                let (yes, no) = (self.condition(yes)?, self.condition(no)?);
                let choice = format!("CASE WHEN {test} THEN ({yes}) ELSE ({no}) END");
                Ok(known.map_or_else(|| choice.clone(), |known| format!("({known} AND {choice})")))
            }
            (operators::EQUALS, _, [left, right]) => self.equals(left, right),
            (operators::NOT_EQUALS, _, [left, right]) => self.differs(left, right),
            (operators::LESS, _, [left, right]) => self.ordered(left, "<", right),
            (operators::LESS_EQUALS, _, [left, right]) => self.ordered(left, "<=", right),
            (operators::GREATER, _, [left, right]) => self.ordered(left, ">", right),
            (operators::GREATER_EQUALS, _, [left, right]) => self.ordered(left, ">=", right),
            (operators::IN, _, [item, list]) => self.is_in(item, list),
            ("changed", None, [field]) => self.changed(field),
            (name @ ("contains" | "icontains" | "startsWith" | "endsWith"), Some(text), [part]) => {
                self.text_condition(name, text, part)
            }
            ("matches", ..) => Err(Error::not_supported(
                "regular expressions are not taken; use `contains`, `icontains`, `startsWith` or `endsWith`",
            )),
            (operators::INDEX, ..) => {
                Err(Error::not_supported("`[…]` is not taken; parts of JSON are named with dots: `extra.color`"))
            }
            (name, ..) if is_value(name) => Err(Error::wrong_type("must be true or false")),
            (name, ..) => Err(unknown_function(name)),
        }
    }

    /// A condition on whose being false something hangs, and, if it compares something of the caller, that there is
    /// one.
    ///
    /// Every comparison with a stranger is false. Its negation would be true, and open to strangers what nobody
    /// owns: so that is false as well.
    pub(super) fn about_caller(&mut self, node: &IdedExpr) -> Result<(Option<String>, String), Error> {
        let asked_before = self.asked_of_caller;
        let condition = self.condition(node)?;
        let known = (asked_before < self.asked_of_caller).then(|| format!("{} IS NOT NULL", self.bind(Bind::AuthId)));
        Ok((known, condition))
    }

    fn joined(&mut self, left: &IdedExpr, joint: &str, right: &IdedExpr) -> Result<String, Error> {
        Ok(format!("({}{joint}{})", self.condition(left)?, self.condition(right)?))
    }

    fn equals(&mut self, left: &IdedExpr, right: &IdedExpr) -> Result<String, Error> {
        let (left, right) = self.pair(left, right)?;
        self.equal(left, right)
    }

    fn differs(&mut self, left: &IdedExpr, right: &IdedExpr) -> Result<String, Error> {
        let (left, right) = self.pair(left, right)?;
        // A stranger has no id that could differ from another.
        let callers: Vec<_> = [&left, &right].iter().filter(|it| it.is_callers).map(|it| it.sql.clone()).collect();
        let equal = self.equal(left, right)?;
        let known: String = callers.iter().map(|it| format!("{it} IS NOT NULL AND ")).collect();
        Ok(format!("({known}({equal}) IS NOT TRUE)"))
    }

    fn equal(&mut self, left: Operand, right: Operand) -> Result<String, Error> {
        if left.kind == Type::Null || right.kind == Type::Null {
            let other = if left.kind == Type::Null { &right } else { &left };
            return Ok(if other.is_callers { "1 = 0".to_owned() } else { format!("{} IS NULL", other.sql) });
        }
        if left.kind == Type::Json || right.kind == Type::Json {
            return self.json_compared(left, "=", right);
        }
        if left.kind == Type::List {
            return Err(Error::not_supported("a list is asked with `in`: `'a' in tags`"));
        }
        let plain = left.is_callers || right.is_callers || !left.nullable || !right.nullable;
        if plain {
            return Ok(self.along(&left, &right, |left, right| format!("{left} = {right}")));
        }
        Ok(format!("{} IS NOT DISTINCT FROM {}", left.sql, right.sql))
    }

    fn ordered(&mut self, left: &IdedExpr, sign: &str, right: &IdedExpr) -> Result<String, Error> {
        let (left, right) = self.pair(left, right)?;
        if left.kind == Type::Null || right.kind == Type::Null {
            return Ok("1 = 0".to_owned());
        }
        if left.kind == Type::Json || right.kind == Type::Json {
            return self.json_compared(left, sign, right);
        }
        if [Type::Bool, Type::List].contains(&left.kind) {
            return Err(Error::wrong_type(format!("{} has no order", left.said())));
        }
        Ok(self.along(&left, &right, |left, right| format!("{left} {sign} {right}")))
    }

    /// Two operands of one type.
    fn pair(&mut self, left: &IdedExpr, right: &IdedExpr) -> Result<(Operand, Operand), Error> {
        let (left, right) = (self.operand(left)?, self.operand(right)?);
        self.alike(left, right)
    }

    /// Two operands, each taken for what the other one is.
    fn alike(&mut self, left: Operand, right: Operand) -> Result<(Operand, Operand), Error> {
        let left = self.like(left, &right)?;
        let right = self.like(right, &left)?;
        let is_number = |it: Type| matches!(it, Type::Integer | Type::Number);
        let fits = left.kind == right.kind
            || (is_number(left.kind) && is_number(right.kind))
            || [left.kind, right.kind].iter().any(|it| [Type::Null, Type::Json].contains(it));
        if !fits {
            let detail = format!("{} is {}, and {} is {}", left.said(), left.kind, right.said(), right.kind);
            return Err(Error::wrong_type(format!("cannot be compared: {detail}")));
        }
        Ok((left, right))
    }

    /// A text beside a moment is one too, and so is a whole number beside a fraction: otherwise it would depend on
    /// an index whether a large one is rounded.
    fn like(&mut self, operand: Operand, other: &Operand) -> Result<Operand, Error> {
        match (&operand.literal, other.kind) {
            (Some(Constant::Text(text)), Type::Moment) => {
                let moment = text.parse().map_err(|it: &str| Error::wrong_type(format!("`{text}` {it}")))?;
                Ok(self.moment(moment))
            }
            (Some(Constant::Integer(number)), Type::Number) if operand.kind == Type::Integer => {
                // What the field holds was rounded so, too.
                Ok(self.constant(Type::Number, Constant::Real(*number as f64)))
            }
            _ => Ok(operand),
        }
    }

    fn is_in(&mut self, item: &IdedExpr, list: &IdedExpr) -> Result<String, Error> {
        let Expr::List(literal) = &list.expr else {
            let (item, list) = (self.operand(item)?, self.operand(list)?);
            if list.kind != Type::List || item.kind != Type::Text {
                return Err(Error::wrong_type("`in` asks for a text in a list: `'a' in tags`, `state in ['a', 'b']`"));
            }
            return Ok(match &list.entries {
                Some(entries) if !item.is_of_row => entries.have(&list.hops, &item.sql),
                _ => dialect::list_has(&list.sql, &item.sql),
            });
        };
        let mut item = self.operand(item)?;
        if item.kind == Type::Json {
            return Err(Error::not_supported("compare parts of JSON with `==`"));
        }
        let mut holes = Vec::new();
        for element in &literal.elements {
            let element = self.operand(element)?;
            if element.is_of_row || element.kind == Type::Null {
                return Err(Error::not_supported("a list has values that do not depend on the record, and no null"));
            }
            let (left, element) = self.alike(item, element)?;
            item = left;
            holes.push(element.sql);
        }
        if holes.is_empty() {
            return Ok("1 = 0".to_owned());
        }
        let listed = format!("({})", holes.join(", "));
        let other = Operand { sql: listed, ..Operand::of(Type::Text, String::new()) };
        Ok(self.along(&item, &other, |item, listed| format!("{item} IN {listed}")))
    }

    fn changed(&mut self, field: &IdedExpr) -> Result<String, Error> {
        if self.purpose != Purpose::UpdateRule {
            return Err(Error::not_supported("`changed` is for update rules"));
        }
        let Expr::Literal(LiteralValue::String(name)) = &field.expr else {
            return Err(Error::wrong_type("`changed` takes the name of a field: `changed('title')`"));
        };
        let scope = &self.scopes[0];
        let Some(field) = scope.table.field(name.inner()) else {
            return Err(Error::unknown(format!("no field `{}`", name.inner())));
        };
        let column = match &field.kind {
            Kind::References { join, .. } => self.entries(&scope.alias, field, join),
            _ => format!("{}.{}", scope.alias, quoted(&field.name)),
        };
        let (sent, new) = (Bind::Sent(field.name.clone()), Bind::New(field.name.clone()));
        let (sent, new) = (self.bind(sent), self.bind(new));
        Ok(format!("({sent} = 1 AND {column} IS DISTINCT FROM {new})"))
    }

    /// `comments_via_post.exists(c, c.published)`, `tags.exists(t, t.name == 'a')`: the only macro, told by the shape
    /// that it was expanded to.
    fn exists(&mut self, it: &ComprehensionExpr) -> Result<String, Error> {
        let only = || {
            Error::not_supported(
                "of the macros only `exists` is taken, over a relation to several records or one backwards",
            )
        };
        let Expr::Literal(LiteralValue::Boolean(begins)) = &it.accu_init.expr else { return Err(only()) };
        let Expr::Call(step) = &it.loop_step.expr else { return Err(only()) };
        let [_, condition] = step.args.as_slice() else { return Err(only()) };
        if **begins || step.func_name != operators::LOGICAL_OR || it.iter_var2.is_some() {
            return Err(only());
        }
        let alias = format!("h{}", self.spent.step()?);
        let (table, from) = self.several(&it.iter_range, &alias)?;
        let viewed = self.and_viewed(&table.name, &alias)?;
        self.scopes.push(Scope { variable: Some(it.iter_var.clone()), alias, table });
        let condition = self.condition(condition);
        self.scopes.pop();
        Ok(format!("EXISTS (SELECT 1 FROM {from}{viewed} AND ({}))", condition?))
    }

    /// A comparison of JSON with something whose type is known.
    fn json_compared(&mut self, left: Operand, sign: &str, right: Operand) -> Result<String, Error> {
        let (json, sign, other) = match (left.kind, right.kind) {
            (Type::Json, Type::Json) => {
                return Err(Error::not_supported("parts of JSON cannot be compared with each other"));
            }
            (Type::Json, _) => (left, sign, right),
            _ => (right, turned(sign), left),
        };
        let Some((column, path)) = &json.json else {
            return Err(Error::not_supported("of JSON a part is compared: `extra.color == 'red'`"));
        };
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        let (sort, value) = (dialect::json_type(column, &path), dialect::json_value(column, &path));
        Ok(match other.kind {
            Type::Text => format!("({sort} = 'text' AND {value} {sign} {})", other.sql),
            Type::Integer | Type::Number => format!("({sort} IN ('integer', 'real') AND {value} {sign} {})", other.sql),
            Type::Bool if sign == "=" => format!("({sort} IN ('true', 'false') AND {value} = {})", other.sql),
            _ => return Err(Error::not_supported("JSON is compared with texts, numbers, true and false")),
        })
    }
}

/// A comparison seen from its other side.
fn turned(sign: &str) -> &str {
    match sign {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

/// Whether a function makes something other than true or false.
fn is_value(name: &str) -> bool {
    matches!(name, "size" | "timestamp" | "duration") || name.starts_with('_') || name.starts_with('-')
}

pub(super) fn unknown_function(name: &str) -> Error {
    const PARTS: [&str; 4] = ["contains", "icontains", "startsWith", "endsWith"];
    const OTHERS: [(&str, &str); 6] = [
        ("size", "size(name)"),
        ("has", "has(author.name)"),
        ("exists", "comments_via_post.exists(c, c.approved)"),
        ("changed", "changed('title')"),
        ("timestamp", "timestamp('2026-01-02T03:04:05Z')"),
        ("duration", "duration('24h')"),
    ];
    if PARTS.contains(&name) {
        return Error::not_supported(format!("`{name}` is written `name.{name}('part')`"));
    }
    if let Some((_, form)) = OTHERS.iter().find(|(it, _)| *it == name) {
        return Error::not_supported(format!("`{name}` is written `{form}`"));
    }
    match crate::base::text::nearest(name, OTHERS.iter().map(|(it, _)| *it).chain(PARTS)) {
        Some(meant) => Error::not_supported(format!("there is no function `{name}`; did you mean `{meant}`?")),
        None => Error::not_supported(format!("there is no function `{name}`")),
    }
}
