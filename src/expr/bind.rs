//! What goes into the holes of a condition: known when it is compiled, or of each request.
use crate::db::Value;

/// A value that does not change.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl From<Constant> for Value<'_> {
    fn from(constant: Constant) -> Self {
        match constant {
            Constant::Null => Self::Null,
            Constant::Integer(number) => number.into(),
            Constant::Real(number) => number.into(),
            Constant::Text(text) => text.into(),
        }
    }
}

/// What stands in one hole.
#[derive(Clone, Debug, PartialEq)]
pub enum Bind {
    Constant(Constant),
    /// The caller's id; null for a stranger.
    AuthId,
    /// The caller's address; null for a stranger.
    AuthEmail,
    /// The caller's role; null for a stranger.
    AuthRole,
    /// The caller's tier; null for a stranger and for whoever has none.
    AuthTier,
    /// Whether the caller's address was shown to be theirs.
    AuthVerified,
    AuthSignedIn,
    /// The time of the request, and so many milliseconds.
    Now(i64),
    Method,
    /// The client's address; null at the operator's socket.
    Ip,
    /// The value that the request gives a field; null if it gives none.
    New(String),
    /// Whether the request gives a field a value.
    Sent(String),
}

/// What is true of one request.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Absent: a stranger.
    pub auth_id: Option<String>,
    pub auth_email: Option<String>,
    pub auth_role: Option<String>,
    pub auth_tier: Option<String>,
    pub auth_verified: bool,
    pub auth_signed_in: bool,
    /// Milliseconds since 1970.
    pub now: i64,
    pub method: String,
    pub ip: Option<String>,
    /// What the request writes, by field.
    pub new: Vec<(String, Constant)>,
}

impl Bind {
    /// The value of the hole in one request.
    pub fn resolve(&self, facts: &Facts) -> Constant {
        let text = |it: &Option<String>| it.clone().map_or(Constant::Null, Constant::Text);
        let new = |name: &String| facts.new.iter().find(|(it, _)| it == name);
        match self {
            Self::Constant(constant) => constant.clone(),
            Self::AuthId => text(&facts.auth_id),
            Self::AuthEmail => text(&facts.auth_email),
            Self::AuthRole => text(&facts.auth_role),
            Self::AuthTier => text(&facts.auth_tier),
            Self::AuthVerified => Constant::Integer(facts.auth_verified.into()),
            Self::AuthSignedIn => Constant::Integer(facts.auth_signed_in.into()),
            Self::Now(offset) => Constant::Integer(facts.now.saturating_add(*offset)),
            Self::Method => Constant::Text(facts.method.clone()),
            Self::Ip => text(&facts.ip),
            Self::New(name) => new(name).map_or(Constant::Null, |(_, value)| value.clone()),
            Self::Sent(name) => Constant::Integer(new(name).is_some().into()),
        }
    }
}
