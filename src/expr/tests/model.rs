//! What an expression means: found out in memory, without SQL and without the parser.
use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::numbers::exactly;
use super::tree::{Is, Of};
use super::*;

/// A value as it turned out.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    Null,
    Truth(bool),
    Text(String),
    Integer(i64),
    Real(f64),
    Moment(i64),
    /// A list, or what of JSON has parts.
    Several(usize),
}

impl Found {
    /// How two values of one sort lie to each other. Nothing if they are of different sorts, or one is null.
    fn lies(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Truth(left), Self::Truth(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
            (Self::Integer(left), Self::Integer(right)) | (Self::Moment(left), Self::Moment(right)) => {
                Some(left.cmp(right))
            }
            (Self::Real(left), Self::Real(right)) => left.partial_cmp(right),
            (Self::Integer(left), Self::Real(right)) => Some(exactly(*left, *right)),
            (Self::Real(left), Self::Integer(right)) => Some(exactly(*right, *left).reverse()),
            _ => None,
        }
    }
}

/// All records, and who asks.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub posts: BTreeMap<String, Json>,
    pub users: BTreeMap<String, Json>,
    pub comments: BTreeMap<String, Json>,
    pub facts: Facts,
    /// Whether only what may be viewed is in sight.
    pub is_client: bool,
}

/// A record of a table by its id.
type Record<'a> = (&'static str, &'a str);

impl Scene {
    pub fn is(&self, it: &Is, post: &str, comment: Option<&str>) -> bool {
        let is = |it: &Is| self.is(it, post, comment);
        let of = |it: &Of| self.of(it, post, comment);
        match it {
            Is::Literal(flag) => *flag,
            Is::Field(name) => self.named(name, post, comment) == Found::Truth(true),
            Is::Not(inner) => !is(inner) && !self.is_unanswered(inner),
            Is::And(left, right) => is(left) && is(right),
            Is::Or(left, right) => is(left) || is(right),
            Is::Choice(test, yes, no) => {
                if self.is_unanswered(test) {
                    false
                } else if is(test) {
                    is(yes)
                } else {
                    is(no)
                }
            }
            Is::Compared(left, sign, right) => compared((left, of(left)), sign, (right, of(right))),
            Is::Among(item, all) => {
                let found = of(item);
                found != Found::Null && all.iter().any(|it| compared((item, found.clone()), "==", (it, of(it))))
            }
            Is::Has(item, list) => match (of(item), self.json(list, post, comment)) {
                (Found::Text(item), Json::Array(list)) => list.contains(&Json::String(item)),
                _ => false,
            },
            Is::Part(text, function, part) => match (of(text), of(part)) {
                (Found::Text(text), Found::Text(part)) => match *function {
                    "contains" => text.contains(&part),
                    "icontains" => small(&text).contains(&small(&part)),
                    "startsWith" => text.starts_with(&part),
                    _ => text.ends_with(&part),
                },
                _ => false,
            },
            Is::There(name) => self.named(name, post, comment) != Found::Null,
            Is::Exists(range, inner) => self.comments.iter().any(|(id, it)| {
                let is_in_sight = !self.is_client || it["approved"] == json!(true);
                let is_meant = match *range {
                    "comments_via_post" => it["post"] == json!(post),
                    list => self.json(list, post, comment).as_array().is_some_and(|it| it.contains(&json!(id))),
                };
                is_meant && is_in_sight && self.is(inner, post, Some(id))
            }),
        }
    }

    fn of(&self, it: &Of, post: &str, comment: Option<&str>) -> Found {
        let of = |it: &Of| self.of(it, post, comment);
        match it {
            Of::Null => Found::Null,
            Of::Text(text) => Found::Text(text.clone()),
            Of::Integer(number) => Found::Integer(*number),
            Of::Number(number) => Found::Real(*number),
            Of::Moment(text, _) => Found::Moment(moment(text)),
            Of::Field(name, _) => self.named(name, post, comment),
            Of::Truth(inner) => self.truth(inner, post, comment),
            Of::Sum(left, sign, right) => reckoned(&of(left), sign, &of(right)),
            Of::Minus(inner) => match of(inner) {
                Found::Integer(number) => number.checked_neg().map_or(Found::Real(-(number as f64)), Found::Integer),
                Found::Real(number) => Found::Real(-number),
                _ => Found::Null,
            },
            Of::Size(inner) => match of(inner) {
                Found::Text(text) => Found::Integer(i64::try_from(text.chars().count()).expect("short")),
                Found::Several(count) => Found::Integer(i64::try_from(count).expect("few")),
                _ => Found::Null,
            },
            Of::Choice(test, yes, no) => {
                if self.is_unanswered(test) {
                    Found::Null
                } else if self.is(test, post, comment) {
                    of(yes)
                } else {
                    of(no)
                }
            }
            Of::Later(inner, hours) => match of(inner) {
                Found::Moment(millis) => Found::Moment(millis + hours * 3_600_000),
                _ => Found::Null,
            },
        }
    }

    /// A condition as a value: a field may be null then, and everything else is true or false.
    fn truth(&self, it: &Is, post: &str, comment: Option<&str>) -> Found {
        match it {
            Is::Field(name) => self.named(name, post, comment),
            Is::Choice(test, ..) if self.is_unanswered(test) => Found::Null,
            Is::Choice(test, yes, no) => self.truth(if self.is(test, post, comment) { yes } else { no }, post, comment),
            _ if self.is_unanswered(it) => Found::Null,
            _ => Found::Truth(self.is(it, post, comment)),
        }
    }

    /// Whether a condition asks something of a stranger: neither it nor its negation is true then.
    fn is_unanswered(&self, it: &Is) -> bool {
        self.facts.auth_id.is_none() && it.asks()
    }

    fn named(&self, name: &str, post: &str, comment: Option<&str>) -> Found {
        let known = |it: &Option<String>| it.clone().map_or(Found::Null, Found::Text);
        match name {
            "now" => return Found::Moment(self.facts.now),
            "auth.id" => return known(&self.facts.auth_id),
            "auth.email" => return known(&self.facts.auth_email),
            "auth.verified" => return Found::Truth(self.facts.auth_verified),
            "auth.signedIn" => return Found::Truth(self.facts.auth_signed_in),
            "request.ip" => return known(&self.facts.ip),
            _ => {}
        }
        match self.json(name, post, comment) {
            Json::Null => Found::Null,
            Json::Bool(flag) => Found::Truth(flag),
            Json::String(text) if name.ends_with("At") => Found::Moment(moment(&text)),
            Json::String(text) => Found::Text(text),
            Json::Number(number) => match number.as_i64() {
                Some(whole) => Found::Integer(whole),
                None => Found::Real(number.as_f64().expect("a number")),
            },
            Json::Array(items) => Found::Several(items.len()),
            Json::Object(members) => Found::Several(members.len()),
        }
    }

    /// What a path leads to, from the post or from the comment `c`.
    fn json(&self, name: &str, post: &str, comment: Option<&str>) -> Json {
        let (start, path) = match name.strip_prefix("c.") {
            Some(path) => (("comments", comment.expect("within exists")), path),
            None => (("posts", post), name),
        };
        let mut at: Option<Record<'_>> = Some(start);
        let mut value = Json::Null;
        for name in path.split('.') {
            if let Json::Object(members) = &value {
                value = members.get(name).cloned().unwrap_or_default();
                continue;
            }
            let Some((table, id)) = at else { return Json::Null };
            let records = match table {
                "posts" => &self.posts,
                "users" => &self.users,
                _ => &self.comments,
            };
            let Some((id, record)) = records.get_key_value(id) else { return Json::Null };
            value = match name {
                "id" => json!(id),
                "createdAt" => json!("1970-01-01T00:00:00Z"),
                // A list of relations is never null.
                "pinned" => record.get(name).filter(|it| it.is_array()).cloned().unwrap_or_else(|| json!([])),
                _ => record.get(name).cloned().unwrap_or_default(),
            };
            at = match (name, record.get(name).and_then(Json::as_str)) {
                ("parent" | "post", Some(id)) => Some(("posts", id)),
                ("author", Some(id)) => Some(("users", id)),
                _ => None,
            };
        }
        value
    }
}

fn compared((left, l): (&Of, Found), sign: &str, (right, r): (&Of, Found)) -> bool {
    let is_unknown = (left.is_callers() && l == Found::Null) || (right.is_callers() && r == Found::Null);
    let is_equal = || match (left, right) {
        _ if is_unknown => false,
        (Of::Null, other) | (other, Of::Null) if other.is_callers() => false,
        _ if l == Found::Null || r == Found::Null => {
            // Nothing of JSON is equal to nothing else, unless one asks for null itself.
            let asks = matches!(left, Of::Null) || matches!(right, Of::Null);
            l == r && (asks || !(left.is_json() || right.is_json() || left.is_callers() || right.is_callers()))
        }
        _ => rounded(left, &l, right).lies(&rounded(right, &r, left)) == Some(Ordering::Equal),
    };
    match sign {
        "==" => is_equal(),
        "!=" => !is_unknown && !is_equal(),
        _ => rounded(left, &l, right).lies(&rounded(right, &r, left)).is_some_and(|it| match sign {
            "<" => it.is_lt(),
            "<=" => it.is_le(),
            ">" => it.is_gt(),
            _ => it.is_ge(),
        }),
    }
}

/// A whole number that is written beside a fraction is one too.
fn rounded(it: &Of, found: &Found, other: &Of) -> Found {
    match (it, found) {
        (Of::Integer(number), _) if other.is_number() => Found::Real(*number as f64),
        _ => found.clone(),
    }
}

fn reckoned(left: &Found, sign: &str, right: &Found) -> Found {
    let as_real = |it: &Found| match it {
        Found::Integer(number) => Some(*number as f64),
        Found::Real(number) => Some(*number),
        _ => None,
    };
    if let (Found::Text(left), Found::Text(right)) = (left, right) {
        return Found::Text(format!("{left}{right}"));
    }
    if let (Found::Integer(left), Found::Integer(right)) = (left, right) {
        let whole = match sign {
            "+" => left.checked_add(*right),
            "-" => left.checked_sub(*right),
            "*" => left.checked_mul(*right),
            _ if *right == 0 => return Found::Null,
            "/" => left.checked_div(*right),
            _ => Some(left.checked_rem(*right).unwrap_or(0)),
        };
        if let Some(whole) = whole {
            return Found::Integer(whole);
        }
    }
    let (Some(left), Some(right)) = (as_real(left), as_real(right)) else { return Found::Null };
    let real = match sign {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        _ if right == 0.0 => return Found::Null,
        "/" => left / right,
        // A whole number that grew too large is cut off at the ends.
        #[expect(clippy::cast_possible_truncation, reason = "the ends are what is meant")]
        _ => match right as i64 {
            0 => return Found::Null,
            right => (left as i64).checked_rem(right).unwrap_or(0) as f64,
        },
    };
    if real.is_nan() { Found::Null } else { Found::Real(real) }
}

fn small(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}
