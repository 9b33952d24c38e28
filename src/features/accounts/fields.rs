//! Custom fields of profiles, as accounts know them: an object that is kept with the account. What may stand in it is for
//! a later feature to say, which hands in how it judges.
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::{Map, Value, json};

use super::error::Error;
use crate::base::UserId;
use crate::db::{self, Tx};

/// The values of someone's custom fields, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Map<String, Value>);

/// A change of someone's custom fields.
#[derive(Clone, Debug)]
pub struct FieldsChange {
    pub sent: Map<String, Value>,
    /// Whether what is not sent is removed.
    pub is_whole: bool,
    /// Whether the account is the writer's own.
    pub by_owner: bool,
}

/// Says what a change makes of the fields, or everything that is wrong with it.
#[derive(Clone)]
pub struct JudgeFields(pub Arc<JudgeFn>);

type JudgeFn = dyn Fn(&mut Tx<'_>, &Fields, &FieldsChange) -> Result<Fields, Error> + Send + Sync;

impl fmt::Debug for JudgeFields {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JudgeFields")
    }
}

/// Keeps the values of someone.
pub(super) fn set(tx: &mut Tx<'_>, user: UserId, fields: Option<&Fields>) -> Result<(), db::Error> {
    let content = fields.map_or_else(|| "{}".to_owned(), |it| Value::from(it.0.clone()).to_string());
    tx.execute(
        "INSERT INTO profile_values (user_id, content) VALUES ($1, $2)
         ON CONFLICT (user_id) DO UPDATE SET content = $2",
        &[user.into(), content.into()],
    )
    .map(drop)
}

/// Values as they are kept; nothing if there are none.
pub(super) fn read(content: &str) -> Option<Fields> {
    let members: Map<String, Value> = serde_json::from_str(content).unwrap_or_default();
    (!members.is_empty()).then_some(Fields(members))
}

impl Type for Fields {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "object_fields".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let any = MetaSchemaRef::Inline(Box::new(MetaSchema::ANY));
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            additional_properties: Some(Box::new(any)),
            example: Some(json!({ "phone": "+44 20 7946 0000" })),
            ..MetaSchema::new("object")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl ParseFromJSON for Fields {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::Object(members)) => Ok(Self(members)),
            _ => Err(ParseError::custom("must be an object")),
        }
    }
}

impl ToJSON for Fields {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.clone().into())
    }
}
