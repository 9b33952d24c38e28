//! The members of records as they are written, in SQL and in JSON: made once, needed by every request.
use std::sync::{Arc, LazyLock};

use super::model::{Field, FieldType};
use crate::db::join_tables;
use crate::db::record_tables::quoted;

/// A member of a record.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: String,
    /// The name of its column as SQL takes it.
    pub column: String,
    /// The name as JSON has it, with its colon: `"title":`.
    pub key: String,
    pub shape: Shape,
    /// The table of its entries, if it refers to several records. It has no column then.
    pub join: Option<String>,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Text,
    Number,
    Bool,
    Moment,
    /// JSON already.
    Json,
}

/// What every record has.
pub static OWN_MEMBERS: LazyLock<[Arc<Member>; 3]> = LazyLock::new(|| {
    [("id", Shape::Text), ("createdAt", Shape::Moment), ("updatedAt", Shape::Moment)]
        .map(|(name, shape)| member(name, shape))
});

/// What a record has besides where those that are deleted are kept.
pub static OWN_OF_DELETED: LazyLock<[Arc<Member>; 2]> = LazyLock::new(|| {
    [("isDeleted", Shape::Bool), ("deletedAt", Shape::Moment)].map(|(name, shape)| member(name, shape))
});

/// What is shown of an account.
pub static MEMBERS_OF_USERS: LazyLock<[Arc<Member>; 3]> =
    LazyLock::new(|| ["id", "name", "role"].map(|name| member(name, Shape::Text)));

impl Member {
    pub(super) fn of(field: &Field) -> Arc<Self> {
        let shape = match field.field_type {
            FieldType::Integer | FieldType::Number => Shape::Number,
            FieldType::Bool => Shape::Bool,
            FieldType::Datetime => Shape::Moment,
            FieldType::Json => Shape::Json,
            FieldType::Select | FieldType::Relation if field.is_multiple() => Shape::Json,
            _ => Shape::Text,
        };
        member(&field.name, shape)
    }

    /// The same with its values in a table of entries.
    pub(super) fn joined(&self, join: String) -> Arc<Self> {
        Arc::new(Self { join: Some(join), ..self.clone() })
    }

    /// Its value in a record of the table that the statement calls `alias`.
    pub fn select(&self, alias: &str) -> String {
        match &self.join {
            None => format!("{alias}.{}", self.column),
            Some(join) => join_tables::list(join, &format!("{alias}.id")),
        }
    }
}

fn member(name: &str, shape: Shape) -> Arc<Member> {
    let key = format!("{}:", serde_json::Value::from(name));
    Arc::new(Member { name: name.to_owned(), column: quoted(name), key, shape, join: None })
}
