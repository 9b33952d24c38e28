//! The things: roles, their names, and what is sent to make or change them.
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use poem_openapi::Object;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{Example, ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

use super::vocabulary::Described;
use crate::base::Timestamp;
use crate::http::Permissions;

/// The name of a role: 1 to 40 characters of `a-z`, `0-9`, `-` and `_`, the first of them a letter. Whether there is
/// such a role is for the database to say. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(Arc<str>);

const NAME_CHARS_MAX: usize = 40;
const FORM: &str = "^[a-z][a-z0-9_-]{0,39}$";
/// What callers are called who have no role.
const RESERVED: [&str; 3] = ["operator", "stranger", "key"];

const ADMIN: &str = "admin";
const USER: &str = "user";

impl RoleName {
    /// The role that may everything, always.
    pub fn admin() -> Self {
        Self(ADMIN.into())
    }

    /// The role of those who register themselves.
    pub fn user() -> Self {
        Self(USER.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is what callers are called who have no role.
    pub(super) fn is_reserved(&self) -> bool {
        RESERVED.contains(&&*self.0)
    }

    pub fn is_admin(&self) -> bool {
        *self.0 == *ADMIN
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for RoleName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_inner = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_' || it == b'-';
        let is_sound = text.len() <= NAME_CHARS_MAX
            && text.bytes().next().is_some_and(|it| it.is_ascii_lowercase())
            && text.bytes().all(is_inner);
        if !is_sound {
            return Err("must be 1 to 40 characters of `a-z`, `0-9`, `-` and `_`, the first of them a letter");
        }
        Ok(Self(text.into()))
    }
}

impl Type for RoleName {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_role".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            example: Self::example().to_json(),
            pattern: Some(FORM.to_owned()),
            ..MetaSchema::new("string")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl Example for RoleName {
    fn example() -> Self {
        Self::user()
    }
}

impl ToJSON for RoleName {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.to_string()))
    }
}

impl ParseFromJSON for RoleName {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) => text.parse().map_err(ParseError::custom),
            other => Err(ParseError::expected_type(other.unwrap_or_default())),
        }
    }
}

/// What people may try, under a name.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct Role {
    pub name: RoleName,
    /// For people; may be empty.
    pub description: String,
    /// What it lets someone try by itself: `<resource>:<read|write|admin>`, or
    /// `records/<collection>:<read|write|admin>`; `*` is everything.
    pub permissions: Vec<String>,
    /// The roles whose permissions it has too, and those that these inherit from.
    pub inherits: Vec<RoleName>,
    /// All that it lets someone try: its own permissions, and those that it inherits.
    pub effective_permissions: Vec<String>,
    /// Whether it was there from the beginning; such a role cannot be dropped.
    pub built_in: bool,
    /// How many accounts have it.
    pub users: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    // Counts changes, for the ETag.
    #[oai(skip)]
    pub version: i64,
}

impl Role {
    /// What it lets someone try. What cannot be read lets nobody do anything.
    pub fn granted(&self) -> Permissions {
        Permissions::read(self.effective_permissions.iter().map(String::as_str)).unwrap_or_else(|_| Permissions::none())
    }
}

impl Example for Role {
    fn example() -> Self {
        let NewRole { name, description, permissions, inherits } = NewRole::example();
        Self {
            name,
            description: description.unwrap_or_default(),
            permissions,
            inherits: inherits.unwrap_or_default(),
            effective_permissions: ["records:read", "records/posts:write"].map(ToOwned::to_owned).into(),
            built_in: false,
            users: 2,
            created_at: Timestamp::example(),
            updated_at: Timestamp::example(),
            version: 1,
        }
    }
}

/// All roles.
#[derive(Debug, Object)]
#[oai(example)]
pub struct RoleList {
    pub data: Vec<Role>,
}

impl Example for RoleList {
    fn example() -> Self {
        Self { data: vec![Role::example()] }
    }
}

/// What someone sends to make a role.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRole {
    pub name: RoleName,
    #[oai(validator(max_length = 500))]
    pub description: Option<String>,
    /// What it lets someone try by itself; no more than its maker may.
    #[oai(validator(max_items = 200))]
    pub permissions: Vec<String>,
    /// Roles whose permissions it has too; no more than its maker may. Absent: none.
    #[oai(validator(max_items = 10))]
    pub inherits: Option<Vec<RoleName>>,
}

impl Example for NewRole {
    fn example() -> Self {
        Self {
            name: RoleName("editor".into()),
            description: Some("Writes posts, and reads everything.".to_owned()),
            permissions: vec!["records/posts:write".to_owned()],
            inherits: Some(vec![RoleName("readonly".into())]),
        }
    }
}

/// What someone sends to change a role. What is absent stays.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct RolePatch {
    #[oai(validator(max_length = 500))]
    pub description: Option<String>,
    /// All that it lets someone try by itself from now on.
    #[oai(validator(max_items = 200))]
    pub permissions: Option<Vec<String>>,
    /// All roles whose permissions it has too from now on.
    #[oai(validator(max_items = 10))]
    pub inherits: Option<Vec<RoleName>>,
}

impl Example for RolePatch {
    fn example() -> Self {
        Self { description: None, permissions: Some(NewRole::example().permissions), inherits: None }
    }
}

/// All permissions that there are.
#[derive(Debug, Object)]
#[oai(example)]
pub struct PermissionList {
    pub data: Vec<Described>,
}

impl Example for PermissionList {
    fn example() -> Self {
        Self { data: vec![Described::example()] }
    }
}
