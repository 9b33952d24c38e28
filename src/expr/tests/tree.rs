//! Expressions as trees of our own, and how they are written.
use super::*;

/// What is true or false.
#[derive(Clone, Debug)]
pub(super) enum Is {
    Literal(bool),
    /// A field that is true or false.
    Field(&'static str),
    Not(Box<Is>),
    And(Box<Is>, Box<Is>),
    Or(Box<Is>, Box<Is>),
    Choice(Box<Is>, Box<Is>, Box<Is>),
    Compared(Of, &'static str, Of),
    Among(Of, Vec<Of>),
    /// Whether a list has a text.
    Has(Of, &'static str),
    /// `contains` and its like.
    Part(Of, &'static str, Of),
    There(&'static str),
    /// Whether there is a comment, called `c`, in that list, or back along that relation, of which that is true.
    Exists(&'static str, Box<Is>),
}

/// What has a value.
#[derive(Clone, Debug)]
pub(super) enum Of {
    Null,
    Text(String),
    Integer(i64),
    Number(f64),
    /// As a text beside another moment, or told to be one.
    Moment(&'static str, bool),
    /// A field of that kind.
    Field(&'static str, Kind),
    Truth(Box<Is>),
    Sum(Box<Of>, &'static str, Box<Of>),
    Minus(Box<Of>),
    Size(Box<Of>),
    Choice(Box<Is>, Box<Of>, Box<Of>),
    /// So many hours after a moment.
    Later(Box<Of>, i64),
}

impl Is {
    fn level(&self) -> u8 {
        match self {
            Self::Choice(..) => 0,
            Self::Or(..) => 1,
            Self::And(..) => 2,
            Self::Compared(..) | Self::Among(..) | Self::Has(..) => 3,
            Self::Not(_) => 6,
            _ => 7,
        }
    }

    /// Whether it compares something of the caller that a stranger has not.
    pub fn asks(&self) -> bool {
        match self {
            Self::Literal(_) | Self::Field(_) | Self::There(_) => false,
            Self::Not(inner) | Self::Exists(_, inner) => inner.asks(),
            Self::And(left, right) | Self::Or(left, right) => left.asks() || right.asks(),
            Self::Choice(test, yes, no) => test.asks() || yes.asks() || no.asks(),
            Self::Compared(left, _, right) | Self::Part(left, _, right) => left.asks() || right.asks(),
            Self::Among(item, all) => item.asks() || all.iter().any(Of::asks),
            Self::Has(item, _) => item.asks(),
        }
    }

    /// In the words of the language, with no more brackets than it needs at a place of that level.
    pub fn text(&self, level: u8) -> String {
        let text = match self {
            Self::Literal(flag) => flag.to_string(),
            Self::Field(name) => (*name).to_owned(),
            Self::Not(inner) => format!("!{}", inner.text(7)),
            Self::And(left, right) => format!("{} && {}", left.text(2), right.text(2)),
            Self::Or(left, right) => format!("{} || {}", left.text(1), right.text(1)),
            Self::Choice(test, yes, no) => format!("{} ? {} : {}", test.text(1), yes.text(1), no.text(0)),
            Self::Compared(left, sign, right) => format!("{} {sign} {}", left.text(3), right.text(4)),
            Self::Among(item, all) => {
                let all: Vec<_> = all.iter().map(|it| it.text(0)).collect();
                format!("{} in [{}]", item.text(3), all.join(", "))
            }
            Self::Has(item, list) => format!("{} in {list}", item.text(3)),
            Self::Part(text, function, part) => format!("{}.{function}({})", text.text(7), part.text(0)),
            Self::There(name) => format!("has({name})"),
            Self::Exists(range, inner) => format!("{range}.exists(c, {})", inner.text(0)),
        };
        if self.level() < level { format!("({text})") } else { text }
    }
}

impl Of {
    fn level(&self) -> u8 {
        match self {
            Self::Choice(..) => 0,
            Self::Truth(inner) => inner.level(),
            Self::Sum(_, "+" | "-", _) | Self::Later(..) => 4,
            Self::Sum(..) => 5,
            Self::Minus(_) => 6,
            Self::Integer(number) if *number < 0 => 6,
            Self::Number(number) if number.is_sign_negative() => 6,
            _ => 7,
        }
    }

    pub fn text(&self, level: u8) -> String {
        let text = match self {
            Self::Null => "null".to_owned(),
            Self::Text(text) => literal(text),
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => format!("{number:?}"),
            Self::Moment(text, true) => literal(text),
            Self::Moment(text, false) => format!("timestamp('{text}')"),
            Self::Field(name, _) => (*name).to_owned(),
            Self::Truth(inner) => inner.text(0),
            Self::Sum(left, sign @ ("+" | "-"), right) => format!("{} {sign} {}", left.text(4), right.text(5)),
            Self::Sum(left, sign, right) => format!("{} {sign} {}", left.text(5), right.text(6)),
            // Without brackets that would be one literal.
            Self::Minus(inner) if matches!(**inner, Self::Integer(_) | Self::Number(_)) => {
                format!("-({})", inner.text(0))
            }
            Self::Minus(inner) => format!("-{}", inner.text(7)),
            Self::Size(inner) => format!("size({})", inner.text(0)),
            Self::Choice(test, yes, no) => format!("{} ? {} : {}", test.text(1), yes.text(1), no.text(0)),
            Self::Later(moment, hours) if *hours < 0 => format!("{} - duration('{}h')", moment.text(4), -hours),
            Self::Later(moment, hours) => format!("{} + duration('{hours}h')", moment.text(4)),
        };
        if self.level() < level { format!("({text})") } else { text }
    }

    /// Whether it is a fraction by its kind, whatever it turns out to be.
    pub fn is_number(&self) -> bool {
        match self {
            Self::Number(_) | Self::Field(_, Kind::Number) => true,
            Self::Sum(left, _, right) => left.is_number() || right.is_number(),
            Self::Minus(inner) | Self::Choice(_, inner, _) => inner.is_number(),
            _ => false,
        }
    }

    pub fn is_json(&self) -> bool {
        matches!(self, Self::Field(_, Kind::Json))
    }

    fn asks(&self) -> bool {
        match self {
            Self::Field(name, Kind::Text) => name.starts_with("auth."),
            Self::Sum(left, _, right) => left.asks() || right.asks(),
            Self::Choice(test, yes, no) => test.asks() || yes.asks() || no.asks(),
            Self::Minus(inner) | Self::Size(inner) | Self::Later(inner, _) => inner.asks(),
            Self::Truth(inner) => inner.asks(),
            _ => false,
        }
    }

    /// Whether it hangs on who asks: null then means a stranger.
    pub fn is_callers(&self) -> bool {
        match self {
            Self::Field(name, Kind::Text) => name.starts_with("auth."),
            Self::Sum(left, _, right) => left.is_callers() || right.is_callers(),
            Self::Choice(test, left, right) => test.asks() || left.is_callers() || right.is_callers(),
            Self::Minus(inner) | Self::Size(inner) => inner.is_callers(),
            Self::Truth(inner) => truth_is_callers(inner),
            _ => false,
        }
    }
}

fn truth_is_callers(it: &Is) -> bool {
    match it {
        Is::Choice(test, yes, no) => test.asks() || truth_is_callers(yes) || truth_is_callers(no),
        it => it.asks(),
    }
}
