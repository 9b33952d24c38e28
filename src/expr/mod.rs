//! Expressions: rules and filters in CEL, checked against a schema and compiled wholly to SQL.
//!
//! A text is bounded before anything parses it ([`parse`]), and an expression becomes a
//! condition of one statement or is refused: a page of rows is never filtered afterwards. What
//! would be too large or too deep for SQLite is refused too, before SQLite sees it ([`budget`]).
//!
//! It has two values, true and false. `==` is `IS NOT DISTINCT FROM`, `!=` its negation, and
//! an order comparison with null is false; SQL's third value never leaves a condition.
//! A stranger's `auth.id` is null, and every comparison with it, `==` or `!=`, is false:
//! an empty owner opens no record to anyone.
//!
//! What people send stands in the SQL as a hole only; names are looked up in the
//! [`Schema`] and quoted. Who may not see a field is told that it is not there.
//!
//! ```text
//! let schema = Schema::new(tables);
//! let filter = expr::parse("views > 10 && author.name == 'Ada'")?;
//! let condition = expr::compile(&schema, "posts", &filter, Purpose::Filter)?;
//! condition.sql("r")      // SQL with $1 … $n about the table that the statement calls `r`
//! condition.binds()       // what goes into the holes, resolved for each request
//! ```
mod bind;
mod bounds;
mod budget;
mod caller;
mod compile;
mod condition;
mod depth;
mod error;
mod escapes;
mod operand;
mod parse;
mod path;
mod schema;
#[cfg(test)]
mod tests;
mod text;

pub use bind::{Bind, Constant, Facts};
pub use caller::CallerCondition;
pub use compile::{Compiled, Purpose, compile, compile_conditions, compile_validator};
pub use condition::{Condition, OPERATORS};
pub use error::Error;
pub use parse::{Expression, parse};
pub use schema::{CallerFields, Field, Kind, Schema, Table, View};
