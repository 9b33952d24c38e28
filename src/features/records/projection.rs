//! Which members of a record are shown, and how a row becomes JSON without anything in between.
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use crate::base::Timestamp;
use crate::base::text::write_json;
use crate::db::{self, Row, Value};
use crate::features::collections::{Entry, MEMBERS_OF_USERS, Member, OWN_MEMBERS, Shape};

/// Columns of a table in the order in which they are selected and written.
#[derive(Clone, Debug, Default)]
pub(super) struct Projection {
    members: Vec<Arc<Member>>,
    /// Records that this one refers to, shown under `expand`.
    pub expanded: Vec<Expanded>,
}

/// A relation that is followed.
#[derive(Clone, Debug)]
pub(super) struct Expanded {
    pub name: String,
    /// Its table in the statement.
    pub alias: String,
    pub projection: Projection,
}

impl Projection {
    /// Everything that may be seen of the records of a collection.
    pub fn whole(entry: &Entry, with_hidden: bool) -> Self {
        let seen = entry.judges.iter().filter(|it| with_hidden || !it.field.hidden).map(|it| &it.member);
        Self { members: OWN_MEMBERS.iter().chain(seen).cloned().collect(), expanded: Vec::new() }
    }

    /// What is shown of a record to whoever wrote it, but must not read it.
    pub fn bare() -> Self {
        Self { members: OWN_MEMBERS.to_vec(), expanded: Vec::new() }
    }

    /// Everything that is shown of an account.
    pub fn of_users() -> Self {
        Self { members: MEMBERS_OF_USERS.to_vec(), expanded: Vec::new() }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|it| it.name.as_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.names().any(|it| it == name)
    }

    /// Keeps only these members, in the order of the record.
    pub fn keep(&mut self, names: &[&str]) {
        self.members.retain(|it| names.contains(&it.name.as_str()));
    }

    /// How many columns [`Projection::select`] names.
    pub fn width(&self) -> usize {
        self.members.len() + self.expanded.iter().map(|it| 1 + it.projection.width()).sum::<usize>()
    }

    /// The columns, those of what is expanded last; each of these begins with its id, to tell whether it is there.
    pub fn select(&self, alias: &str, sql: &mut String) {
        for member in &self.members {
            if !sql.is_empty() && !sql.ends_with(' ') {
                sql.push_str(", ");
            }
            sql.push_str(&member.select(alias));
        }
        for expanded in &self.expanded {
            // Writing to a string cannot fail.
            let _ = write!(sql, ", {}.id", expanded.alias);
            expanded.projection.select(&expanded.alias, sql);
        }
    }

    /// Whether a statement that writes a record can return it: what is in other tables is written only after it.
    pub fn is_of_one_row(&self) -> bool {
        self.members.iter().all(|it| it.join.is_none())
    }

    /// Has a statement that writes return the version of the record and then the columns.
    pub fn returning(&self, sql: &mut String) {
        sql.push_str(" RETURNING _version");
        for member in &self.members {
            sql.push_str(", ");
            sql.push_str(&member.column);
        }
    }

    /// Writes the record of a row whose columns begin at `from`.
    pub fn write(&self, row: &Row<'_>, from: usize, out: &mut Vec<u8>) -> Result<(), db::Error> {
        out.push(b'{');
        for (position, member) in self.members.iter().enumerate() {
            if 0 < position {
                out.push(b',');
            }
            out.extend_from_slice(member.key.as_bytes());
            write_cell(row.cell(from + position)?, member.shape, from + position, out)?;
        }
        if !self.expanded.is_empty() {
            out.extend_from_slice(if self.members.is_empty() { b"\"expand\":{" } else { b",\"expand\":{" });
            self.write_expanded(row, from + self.members.len(), out)?;
            out.push(b'}');
        }
        out.push(b'}');
        Ok(())
    }

    fn write_expanded(&self, row: &Row<'_>, mut from: usize, out: &mut Vec<u8>) -> Result<(), db::Error> {
        let mut is_first = true;
        for expanded in &self.expanded {
            // What is not there, or must not be seen, is left out.
            if !row.is_null(from)? {
                if !is_first {
                    out.push(b',');
                }
                is_first = false;
                let _ = write!(out, "{}:", serde_json::Value::from(expanded.name.as_str()));
                expanded.projection.write(row, from + 1, out)?;
            }
            from += 1 + expanded.projection.width();
        }
        Ok(())
    }
}

/// Writes a value as JSON.
pub(super) fn write_cell(cell: Value<'_>, shape: Shape, column: usize, out: &mut Vec<u8>) -> Result<(), db::Error> {
    // Writing to a vector cannot fail.
    match (cell, shape) {
        (Value::Null, _) => out.extend_from_slice(b"null"),
        (Value::Text(text), Shape::Text) => write_json(&text, out),
        (Value::Text(json), Shape::Json) => out.extend_from_slice(json.as_bytes()),
        (Value::Integer(flag), Shape::Bool) => {
            out.extend_from_slice(if flag == 0 { b"false" as &[u8] } else { b"true" });
        }
        (Value::Integer(millis), Shape::Moment) => Timestamp::from_millis(millis).write_json(out),
        (Value::Integer(number), Shape::Number) => {
            let _ = write!(out, "{number}");
        }
        (Value::Real(number), Shape::Number) => {
            let _ = serde_json::to_writer(out, &number);
        }
        _ => return Err(db::Error::Column { column, expected: "what its field holds" }),
    }
    Ok(())
}
