//! What goes into a statement, and what comes out of it.
use std::borrow::Cow;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::Error;
use crate::base::{Id, TenantId, Timestamp};

/// A parameter of a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

/// Booleans are 0 and 1, as in every table of ours.
impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Self::Integer(flag.into())
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text.as_str().into())
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(moment: Timestamp) -> Self {
        Self::Integer(moment.millis())
    }
}

impl<Thing> From<Id<Thing>> for Value<'_> {
    fn from(id: Id<Thing>) -> Self {
        Self::Text(id.to_string().into())
    }
}

impl<'a> From<&'a TenantId> for Value<'a> {
    fn from(id: &'a TenantId) -> Self {
        Self::Text(id.as_str().into())
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of an answer; columns count from zero.
#[derive(Debug)]
pub struct Row<'a>(&'a rusqlite::Row<'a>);

impl<'a> Row<'a> {
    pub(super) fn new(row: &'a rusqlite::Row<'a>) -> Self {
        Self(row)
    }

    fn value(&self, column: usize) -> Result<ValueRef<'a>, Error> {
        self.0.get_ref(column).map_err(|_| Error::Column { column, expected: "in the row" })
    }

    /// Whatever is there, without a copy.
    pub fn cell(&self, column: usize) -> Result<Value<'a>, Error> {
        Ok(match self.value(column)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            ValueRef::Text(text) => Value::Text(utf8(text, column)?.into()),
            ValueRef::Blob(bytes) => Value::Bytes(bytes.into()),
        })
    }

    pub fn is_null(&self, column: usize) -> Result<bool, Error> {
        Ok(self.value(column)? == ValueRef::Null)
    }

    pub fn integer(&self, column: usize) -> Result<i64, Error> {
        match self.value(column)? {
            ValueRef::Integer(number) => Ok(number),
            _ => Err(Error::Column { column, expected: "an integer" }),
        }
    }

    pub fn real(&self, column: usize) -> Result<f64, Error> {
        match self.value(column)? {
            ValueRef::Real(number) => Ok(number),
            _ => Err(Error::Column { column, expected: "a real number" }),
        }
    }

    pub fn bool(&self, column: usize) -> Result<bool, Error> {
        Ok(self.integer(column)? != 0)
    }

    pub fn text(&self, column: usize) -> Result<&'a str, Error> {
        match self.value(column)? {
            ValueRef::Text(text) => utf8(text, column),
            _ => Err(Error::Column { column, expected: "text" }),
        }
    }

    pub fn bytes(&self, column: usize) -> Result<&'a [u8], Error> {
        match self.value(column)? {
            ValueRef::Blob(bytes) => Ok(bytes),
            _ => Err(Error::Column { column, expected: "bytes" }),
        }
    }

    pub fn timestamp(&self, column: usize) -> Result<Timestamp, Error> {
        self.integer(column).map(Timestamp::from_millis)
    }

    pub fn id<Thing>(&self, column: usize) -> Result<Id<Thing>, Error> {
        self.text(column)?.parse().map_err(|_| Error::Column { column, expected: "an id" })
    }

    /// Reads a column that may be NULL with one of the functions above: `row.optional(3, Row::text)?`.
    pub fn optional<T>(&self, column: usize, read: fn(&Self, usize) -> Result<T, Error>) -> Result<Option<T>, Error> {
        if self.is_null(column)? { Ok(None) } else { read(self, column).map(Some) }
    }
}

fn utf8(text: &[u8], column: usize) -> Result<&str, Error> {
    std::str::from_utf8(text).map_err(|_| Error::Column { column, expected: "UTF-8" })
}
