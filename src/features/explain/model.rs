//! The things: what is asked, and how it turns out.
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};

use crate::base::{ApiKeyId, UserId};
use crate::features::records::Deed;

/// Who would call: exactly one of these.
#[derive(Clone, Copy, Debug, Default, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct AskedCaller {
    pub user_id: Option<UserId>,
    pub key_id: Option<ApiKeyId>,
    /// `true` for someone who did not sign in.
    pub stranger: Option<bool>,
}

impl Example for AskedCaller {
    fn example() -> Self {
        Self { stranger: Some(true), ..Self::default() }
    }
}

/// What would be done with records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum Action {
    List,
    View,
    Create,
    Update,
    Delete,
}

impl From<Action> for Deed {
    fn from(action: Action) -> Self {
        match action {
            Action::List => Self::List,
            Action::View => Self::View,
            Action::Create => Self::Create,
            Action::Update => Self::Update,
            Action::Delete => Self::Delete,
        }
    }
}

/// Who would do what: a `method` and a `path`, or an `action` in a `collection`.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct Question {
    pub caller: AskedCaller,
    #[oai(validator(max_length = 10))]
    pub method: Option<String>,
    #[oai(validator(max_length = 1000))]
    pub path: Option<String>,
    #[oai(validator(max_length = 100))]
    pub collection: Option<String>,
    pub action: Option<Action>,
    /// The record that it would be done with. Needs `records:admin`, since the answer tells of it.
    #[oai(validator(max_length = 100))]
    pub record_id: Option<String>,
}

impl Example for Question {
    fn example() -> Self {
        Self {
            caller: AskedCaller::example(),
            method: Some("GET".to_owned()),
            path: Some("/api/v1/admin/users".to_owned()),
            collection: None,
            action: None,
            record_id: None,
        }
    }
}

/// How it would turn out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum Verdict {
    Allowed,
    Refused,
    /// It is for the record, or for what is sent, to say.
    Depends,
}

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "kebab-case")]
pub enum Decider {
    /// The account does not work.
    Account,
    /// The key does not work.
    Key,
    /// What the key's scopes let a program try.
    Scope,
    /// What the role lets someone try.
    Role,
    /// The rule of the collection.
    Rule,
    /// Whether someone signed in.
    SignIn,
    /// Nothing: anyone may.
    Nobody,
}

/// A rule of a collection.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct AskedRule {
    /// `list`, `view`, `create`, `update` or `delete`.
    pub name: String,
    /// Absent: admins only.
    pub text: Option<String>,
}

impl Example for AskedRule {
    fn example() -> Self {
        Self { name: "view".to_owned(), text: Some("published || author == auth.id".to_owned()) }
    }
}

/// How something would turn out, and why.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct Explanation {
    pub verdict: Verdict,
    pub decided_by: Decider,
    /// What was asked for.
    pub permission: Option<String>,
    pub rule: Option<AskedRule>,
    /// The same in words.
    pub detail: String,
    /// The role that counts; absent where there is none.
    pub role: Option<String>,
    /// Everything that the caller may try.
    pub permissions: Vec<String>,
}

impl Example for Explanation {
    fn example() -> Self {
        Self {
            verdict: Verdict::Refused,
            decided_by: Decider::SignIn,
            permission: Some("users:read".to_owned()),
            rule: None,
            detail: "someone has to sign in for this".to_owned(),
            role: None,
            permissions: vec!["records:read".to_owned(), "records:write".to_owned()],
        }
    }
}
