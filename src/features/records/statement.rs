//! A statement that is being put together, with its values.
use std::fmt::Write as _;

use crate::db::Value;

/// SQL with holes `$1` … `$n`, and what goes into them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Statement {
    pub sql: String,
    pub values: Vec<Value<'static>>,
}

impl Statement {
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    pub fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// A hole with a value.
    pub fn bind(&mut self, value: impl Into<Value<'static>>) -> &mut Self {
        self.values.push(value.into());
        // Writing to a string cannot fail.
        let _ = write!(self.sql, "${}", self.values.len());
        self
    }
}
