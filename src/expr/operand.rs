//! Operands: values in the words of SQL, and what is known of them.
use std::fmt;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};

use super::bind::{Bind, Constant};
use super::compile::{Compiler, unknown_function};
use super::error::Error;
use super::path::{Entries, Hop};
use crate::base::Timestamp;
use crate::base::geo::Place;
use crate::db::dialect;

/// What an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Bool,
    /// Also ids.
    Text,
    Integer,
    Number,
    Moment,
    /// Milliseconds.
    Duration,
    List,
    Json,
    Place,
}

impl fmt::Display for Type {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Moment => "a time",
            Self::Duration => "a span of time",
            Self::List => "a list",
            Self::Json => "JSON",
            Self::Place => "a place",
        })
    }
}

/// A value.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub sql: String,
    pub kind: Type,
    pub nullable: bool,
    /// Whether it is of `auth`: null there means a stranger, with whom nothing compares.
    pub is_callers: bool,
    /// Whether it may differ from record to record.
    pub is_of_row: bool,
    /// What it is, if that is known now.
    pub literal: Option<Constant>,
    /// The relations that lead to it.
    pub hops: Vec<Hop>,
    /// The column at the end of these.
    pub end: String,
    /// The table of its entries, if it is a relation to several records.
    pub entries: Option<Entries>,
    /// A place and the one that it is so far away from, of a distance.
    pub distance: Option<(String, Place)>,
    /// The column and the path within it, of a part of JSON.
    pub json: Option<(String, Vec<String>)>,
    /// The name that was written.
    pub name: Option<String>,
    /// So many milliseconds after the time of the request.
    pub now: Option<i64>,
}

impl Operand {
    pub fn of(kind: Type, sql: String) -> Self {
        Self {
            sql,
            kind,
            nullable: false,
            is_callers: false,
            is_of_row: false,
            literal: None,
            hops: Vec::new(),
            end: String::new(),
            entries: None,
            distance: None,
            json: None,
            name: None,
            now: None,
        }
    }

    /// How to speak of it.
    pub fn said(&self) -> String {
        match (&self.name, &self.literal) {
            (Some(name), _) => format!("`{name}`"),
            (_, Some(Constant::Text(text))) => format!("`'{text}'`"),
            _ => "the other side".to_owned(),
        }
    }
}

impl Compiler<'_> {
    /// A part of the tree as a value.
    pub(super) fn operand(&mut self, node: &IdedExpr) -> Result<Operand, Error> {
        let position = self.expression.position(node.id);
        self.within(|it| it.operand_here(node), |it| &it.sql).map_err(|it| it.at(position))
    }

    fn operand_here(&mut self, node: &IdedExpr) -> Result<Operand, Error> {
        match &node.expr {
            Expr::Literal(literal) => self.literal(literal),
            Expr::Ident(_) => self.path(node),
            Expr::Select(select) if !select.test => self.path(node),
            Expr::Call(call) => self.value(call, node),
            Expr::List(_) => Err(Error::not_supported("a list stands after `in`")),
            Expr::Map(_) | Expr::Struct(_) => Err(Error::not_supported("there are no maps")),
            _ => self.condition_as_value(node),
        }
    }

    fn literal(&mut self, literal: &LiteralValue) -> Result<Operand, Error> {
        let (kind, constant) = match literal {
            LiteralValue::Null => return Ok(Operand { nullable: true, ..Operand::of(Type::Null, "NULL".to_owned()) }),
            LiteralValue::Boolean(flag) => (Type::Bool, Constant::Integer((**flag).into())),
            LiteralValue::Int(number) => (Type::Integer, Constant::Integer(**number)),
            LiteralValue::Double(number) if number.is_finite() => (Type::Number, Constant::Real(**number)),
            LiteralValue::String(text) if text.inner().contains('\0') => {
                return Err(Error::malformed("a text does not contain U+0000"));
            }
            LiteralValue::String(text) => (Type::Text, Constant::Text(text.inner().to_owned())),
            LiteralValue::Double(_) | LiteralValue::UInt(_) | LiteralValue::Bytes(_) => {
                return Err(Error::not_supported("numbers are written `1` or `1.5`, texts 'so'"));
            }
        };
        Ok(self.constant(kind, constant))
    }

    pub(super) fn constant(&mut self, kind: Type, constant: Constant) -> Operand {
        let sql = self.bind(Bind::Constant(constant.clone()));
        Operand { literal: Some(constant), ..Operand::of(kind, sql) }
    }

    pub(super) fn moment(&mut self, moment: Timestamp) -> Operand {
        self.constant(Type::Moment, Constant::Integer(moment.millis()))
    }

    fn value(&mut self, call: &CallExpr, node: &IdedExpr) -> Result<Operand, Error> {
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            (sign @ (operators::ADD | operators::SUBSTRACT), _, [left, right]) => {
                let (left, right) = (self.operand(left)?, self.operand(right)?);
                self.sum(sign, &left, &right)
            }
            (sign @ (operators::MULTIPLY | operators::DIVIDE | operators::MODULO), _, [left, right]) => {
                let (left, right) = (self.operand(left)?, self.operand(right)?);
                arithmetic(sign, &left, &right)
            }
            (operators::NEGATE, _, [inner]) => {
                let inner = self.operand(inner)?;
                match inner.kind {
                    Type::Integer | Type::Number => {
                        Ok(Operand { nullable: true, sql: format!("(- {})", inner.sql), ..plain(inner) })
                    }
                    other => Err(Error::wrong_type(format!("`-` is for numbers, and this is {other}"))),
                }
            }
            (operators::CONDITIONAL, _, [test, yes, no]) => {
                let (known, test) = self.about_caller(test)?;
                let (yes, no) = (self.operand(yes)?, self.operand(no)?);
                if yes.kind != no.kind {
                    return Err(Error::wrong_type(format!(
                        "both sides of `:` must be alike: {} and {}",
                        yes.kind, no.kind
                    )));
                }
                let mut sql = format!("(CASE WHEN {test} THEN {} ELSE {} END)", yes.sql, no.sql);
                if let Some(known) = &known {
                    sql = format!("(CASE WHEN {known} THEN {sql} END)");
                }
                let is_callers = known.is_some() || yes.is_callers || no.is_callers;
                Ok(Operand { nullable: true, is_callers, is_of_row: true, ..Operand::of(yes.kind, sql) })
            }
            ("size", Some(of), []) | ("size", None, [of]) => {
                let of = self.operand(of)?;
                let sql = match of.kind {
                    Type::Text => format!("length({})", of.sql),
                    Type::List => match &of.entries {
                        Some(entries) => entries.count(&of.hops),
                        None => dialect::list_length(&of.sql),
                    },
                    other => {
                        return Err(Error::wrong_type(format!(
                            "`size` is for texts and lists, and {} is {other}",
                            of.said()
                        )));
                    }
                };
                let Operand { nullable, is_of_row, is_callers, .. } = of;
                Ok(Operand { nullable, is_of_row, is_callers, ..Operand::of(Type::Integer, sql) })
            }
            ("distance", Some(place), to) => self.distance(place, to),
            ("distance", None, [place, to @ ..]) => self.distance(place, to),
            ("timestamp", None, [text]) => {
                let text = literal_text(text)
                    .ok_or_else(|| Error::wrong_type("`timestamp` takes a text such as '2026-01-02T03:04:05Z'"))?;
                let moment = text.parse().map_err(|it: &str| Error::wrong_type(format!("`{text}` {it}")))?;
                Ok(self.moment(moment))
            }
            ("duration", None, [text]) => {
                let millis = literal_text(text).and_then(duration_millis);
                let millis = millis
                    .ok_or_else(|| Error::wrong_type("`duration` takes a text such as '90s', '15m', '24h' or '7d'"))?;
                Ok(self.constant(Type::Duration, Constant::Integer(millis)))
            }
            (name, ..)
                if name.starts_with('_') || name.starts_with('!') || name.starts_with('@') || is_condition(name) =>
            {
                self.condition_as_value(node)
            }
            (name, ..) => Err(unknown_function(name)),
        }
    }

    /// `place.distance(52.52, 13.405)` or `place.distance(other)`, in metres.
    fn distance(&mut self, place: &IdedExpr, to: &[IdedExpr]) -> Result<Operand, Error> {
        let place = self.operand(place)?;
        let wrong = || Error::wrong_type("`distance` is written `place.distance(52.52, 13.405)`, with degrees");
        if place.kind != Type::Place {
            return Err(wrong());
        }
        let (other, there) = match to {
            [other] => {
                let other = self.operand(other)?;
                if other.kind != Type::Place {
                    return Err(wrong());
                }
                (other, None)
            }
            [latitude, longitude] => {
                let degrees = |it: &IdedExpr| match &it.expr {
                    Expr::Literal(LiteralValue::Int(number)) => Some(**number as f64),
                    Expr::Literal(LiteralValue::Double(number)) => Some(**number),
                    _ => None,
                };
                let there = degrees(latitude).zip(degrees(longitude)).and_then(|(it, along)| Place::at(it, along));
                let there = there.ok_or_else(wrong)?;
                (self.constant(Type::Place, Constant::Integer(there.packed())), Some(there))
            }
            _ => return Err(wrong()),
        };
        let sql = dialect::distance(&place.sql, &other.sql);
        let distance = there.map(|it| (place.sql, it));
        let is_of_row = place.is_of_row || other.is_of_row;
        Ok(Operand { nullable: true, is_of_row, distance, ..Operand::of(Type::Number, sql) })
    }

    /// A condition that is compared or chosen: 0 or 1, and null only for a stranger of whom it asks something.
    fn condition_as_value(&mut self, node: &IdedExpr) -> Result<Operand, Error> {
        let (known, condition) = self.about_caller(node)?;
        let is_callers = known.is_some();
        let sql = match known {
            Some(known) => format!("(CASE WHEN {known} THEN ({condition}) IS TRUE END)"),
            None => format!("(({condition}) IS TRUE)"),
        };
        Ok(Operand { nullable: is_callers, is_callers, is_of_row: true, ..Operand::of(Type::Bool, sql) })
    }

    fn sum(&mut self, sign: &str, left: &Operand, right: &Operand) -> Result<Operand, Error> {
        let is_minus = sign == operators::SUBSTRACT;
        match (left.kind, right.kind) {
            (Type::Text, Type::Text) if !is_minus => {
                let sql = format!("({} || {})", left.sql, right.sql);
                Ok(Operand {
                    nullable: true,
                    is_of_row: left.is_of_row || right.is_of_row,
                    is_callers: left.is_callers || right.is_callers,
                    ..Operand::of(Type::Text, sql)
                })
            }
            (Type::Moment, Type::Duration) => {
                let Some(Constant::Integer(span)) = right.literal else {
                    return Err(Error::not_supported("a span of time is written `duration('24h')`"));
                };
                let span = if is_minus { span.saturating_neg() } else { span };
                if let Some(offset) = left.now {
                    return Ok(self.now(offset.saturating_add(span)));
                }
                let span = self.bind(Bind::Constant(Constant::Integer(span)));
                let sql = format!("({} + {span})", left.sql);
                Ok(Operand { nullable: left.nullable, is_of_row: left.is_of_row, ..Operand::of(Type::Moment, sql) })
            }
            (Type::Duration, Type::Moment) if !is_minus => self.sum(sign, right, left),
            _ => arithmetic(sign, left, right),
        }
    }

    pub(super) fn now(&mut self, offset: i64) -> Operand {
        let sql = self.bind(Bind::Now(offset));
        Operand { now: Some(offset), ..Operand::of(Type::Moment, sql) }
    }
}

/// A sum that does not fit 64 bits becomes a fraction, and a division by zero null, which compares with nothing.
fn arithmetic(sign: &str, left: &Operand, right: &Operand) -> Result<Operand, Error> {
    let is_number = |it: &Operand| matches!(it.kind, Type::Integer | Type::Number);
    let whole = left.kind == Type::Integer && right.kind == Type::Integer;
    if !is_number(left) || !is_number(right) || (sign == operators::MODULO && !whole) {
        return Err(Error::wrong_type(format!("cannot be reckoned with: {} and {}", left.kind, right.kind)));
    }
    let sign = sign.trim_matches('_');
    let sql = format!("({} {sign} {})", left.sql, right.sql);
    let kind = if whole { Type::Integer } else { Type::Number };
    Ok(Operand {
        nullable: true,
        is_of_row: left.is_of_row || right.is_of_row,
        is_callers: left.is_callers || right.is_callers,
        ..Operand::of(kind, sql)
    })
}

/// What is left of an operand that something was done to.
fn plain(operand: Operand) -> Operand {
    Operand { literal: None, hops: Vec::new(), distance: None, json: None, name: None, now: None, ..operand }
}

fn is_condition(name: &str) -> bool {
    matches!(name, "contains" | "icontains" | "startsWith" | "endsWith" | "changed" | "matches")
}

pub(super) fn literal_text(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// Milliseconds of `1h30m`: numbers with `d`, `h`, `m`, `s` or `ms`.
fn duration_millis(text: &str) -> Option<i64> {
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |it| (true, it));
    let mut total = 0_i64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let unit = &unit[..unit.find(|it: char| it.is_ascii_digit()).unwrap_or(unit.len())];
        let millis = match unit {
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(millis)?)?;
        rest = &rest[digits + unit.len()..];
    }
    Some(if negative { -total } else { total })
}
