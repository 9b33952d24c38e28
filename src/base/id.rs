//! Ids: UUIDv7 (RFC 9562) in their canonical form, one type per kind of thing.
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{Example, ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type};
use serde_json::Value;
use uuid::Uuid;

/// The id of a `Thing`. Ids of different things do not mix: `Id<User>` is not `Id<Session>`.
pub struct Id<Thing>(Uuid, PhantomData<fn() -> Thing>);

impl<Thing> Id<Thing> {
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl<Thing> Clone for Id<Thing> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Thing> Copy for Id<Thing> {}

impl<Thing> PartialEq for Id<Thing> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<Thing> Eq for Id<Thing> {}

impl<Thing> Hash for Id<Thing> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<Thing> fmt::Debug for Id<Thing> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl<Thing> fmt::Display for Id<Thing> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl<Thing> FromStr for Id<Thing> {
    type Err = &'static str;

    /// Only the canonical form is read, so that one thing has one address.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uuid = Uuid::try_parse(text).map_err(|_| "is not an id")?;
        let mut canonical = Uuid::encode_buffer();
        if uuid.hyphenated().encode_lower(&mut canonical) != text {
            return Err("is not an id in its canonical form");
        }
        Ok(Self::from_uuid(uuid))
    }
}

impl<Thing: Send + Sync> Type for Id<Thing> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_uuid".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            example: Self::example().to_json(),
            ..MetaSchema::new_with_format("string", "uuid")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl<Thing> Example for Id<Thing> {
    fn example() -> Self {
        Self::from_uuid(uuid::uuid!("0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80"))
    }
}

impl<Thing: Send + Sync> ToJSON for Id<Thing> {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.to_string()))
    }
}

impl<Thing: Send + Sync> ParseFromJSON for Id<Thing> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) => text.parse().map_err(ParseError::custom),
            other => Err(ParseError::expected_type(other.unwrap_or_default())),
        }
    }
}

impl<Thing: Send + Sync> ParseFromParameter for Id<Thing> {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        text.parse().map_err(ParseError::custom)
    }
}

/// Marks ids of people's accounts.
#[derive(Debug)]
pub enum User {}
/// Marks ids of sessions: one sign-in on one device.
#[derive(Debug)]
pub enum Session {}

/// Marks ids of jobs: work that is done after the transaction that promised it.
#[derive(Debug)]
pub enum Job {}

/// Marks ids of API keys.
#[derive(Debug)]
pub enum ApiKey {}

pub type ApiKeyId = Id<ApiKey>;
pub type UserId = Id<User>;
pub type SessionId = Id<Session>;
pub type JobId = Id<Job>;

/// Whose data: the name of a tenant, also the name of its folder.
///
/// 1 to 36 characters of `a-z`, `0-9` and `-`, not starting or ending with `-`,
/// so that it can never climb out of `data/tenants/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// The tenant of a server that nobody asked to have several.
    pub fn main() -> Self {
        Self("main".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for TenantId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-');
        if text.is_empty() || 36 < text.len() || !plain || text.starts_with('-') || text.ends_with('-') {
            return Err("a tenant's name is 1 to 36 characters of a-z, 0-9 and -");
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One thing has one address, so caches, logs and comparisons by text agree.
    #[test]
    fn an_id_is_read_only_in_its_canonical_form() {
        let canonical = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80";

        assert_eq!(canonical.parse::<Id<()>>().expect("canonical").to_string(), canonical);
        assert!(canonical.to_uppercase().parse::<Id<()>>().is_err());
        assert!(canonical.replace('-', "").parse::<Id<()>>().is_err());
        assert!(format!("{{{canonical}}}").parse::<Id<()>>().is_err());
        assert!("".parse::<Id<()>>().is_err());
    }

    #[test]
    fn a_tenants_name_cannot_climb_out_of_its_folder() {
        assert!("acme-2".parse::<TenantId>().is_ok());
        for name in ["", "..", "../x", "a/b", "A", "a.b", "-a", "a-", "a\0", &"a".repeat(37)] {
            assert!(name.parse::<TenantId>().is_err(), "{name:?} was accepted");
        }
    }
}
