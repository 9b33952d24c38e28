//! Which members of a record are shown, and how a row becomes JSON without anything in between.
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use super::lists::Gap;
use crate::base::Timestamp;
use crate::base::geo::Place;
use crate::base::text::write_json;
use crate::db::{self, Row, Value};
use crate::features::collections::{Entry, MEMBERS_OF_USERS, Member, OWN_MEMBERS, OWN_OF_DELETED, Shape, Sight};

/// Columns of a table in the order in which they are selected and written.
#[derive(Clone, Debug, Default)]
pub(super) struct Projection {
    members: Vec<Arc<Member>>,
    /// Records that this one refers to, shown under `expand`.
    pub expanded: Vec<Expanded>,
    /// Which lists of records are shown there too, by their place in [`super::lists::Lists`].
    pub lists: Option<usize>,
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
    pub fn whole(entry: &Entry, sight: &Sight) -> Self {
        let seen = entry.judges.iter().filter(|it| sight.sees(it)).map(|it| &it.member);
        let of_deleted = OWN_OF_DELETED.iter().filter(|_| entry.collection.keeps_deleted());
        let own = OWN_MEMBERS.iter().filter(|it| entry.has_own(&it.name));
        let members = own.chain(of_deleted).chain(seen).cloned().collect();
        Self { members, expanded: Vec::new(), lists: None }
    }

    /// What is shown of a record to whoever wrote it, but must not read it.
    pub fn bare() -> Self {
        Self { members: OWN_MEMBERS.to_vec(), expanded: Vec::new(), lists: None }
    }

    /// Everything that is shown of an account.
    pub fn of_users() -> Self {
        Self { members: MEMBERS_OF_USERS.to_vec(), expanded: Vec::new(), lists: None }
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
        let own = self.members.len() + usize::from(self.lists.is_some());
        own + self.expanded.iter().map(|it| 1 + it.projection.width()).sum::<usize>()
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
            let comma = if sql.is_empty() || sql.ends_with(' ') { "" } else { ", " };
            let _ = write!(sql, "{comma}{}.id", expanded.alias);
            expanded.projection.select(&expanded.alias, sql);
        }
        if self.lists.is_some() {
            let comma = if sql.is_empty() || sql.ends_with(' ') { "" } else { ", " };
            let _ = write!(sql, "{comma}{alias}.id");
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

    /// Writes the record of a row whose columns begin at `from`; of one that has no lists.
    pub fn write(&self, row: &Row<'_>, from: usize, out: &mut Vec<u8>) -> Result<(), db::Error> {
        self.write_with_gaps(row, from, out, &mut Vec::new())
    }

    /// Writes the record of a row whose columns begin at `from`, with gaps for its lists.
    pub fn write_with_gaps(
        &self,
        row: &Row<'_>,
        from: usize,
        out: &mut Vec<u8>,
        gaps: &mut Vec<Gap>,
    ) -> Result<(), db::Error> {
        out.push(b'{');
        for (position, member) in self.members.iter().enumerate() {
            if 0 < position {
                out.push(b',');
            }
            out.extend_from_slice(member.key.as_bytes());
            write_cell(row.cell(from + position)?, member.shape, from + position, out)?;
        }
        if !self.expanded.is_empty() || self.lists.is_some() {
            out.extend_from_slice(if self.members.is_empty() { b"\"expand\":{" } else { b",\"expand\":{" });
            self.write_expanded(row, from + self.members.len(), out, gaps)?;
            out.push(b'}');
        }
        out.push(b'}');
        Ok(())
    }

    /// Writes a record whose values are known by their names.
    pub fn write_values<'a>(&self, value: &dyn Fn(&str) -> Value<'a>, out: &mut Vec<u8>) -> Result<(), db::Error> {
        out.push(b'{');
        for (position, member) in self.members.iter().enumerate() {
            if 0 < position {
                out.push(b',');
            }
            out.extend_from_slice(member.key.as_bytes());
            write_cell(value(&member.name), member.shape, position, out)?;
        }
        out.push(b'}');
        Ok(())
    }

    fn write_expanded(
        &self,
        row: &Row<'_>,
        mut from: usize,
        out: &mut Vec<u8>,
        gaps: &mut Vec<Gap>,
    ) -> Result<(), db::Error> {
        let mut is_first = true;
        for expanded in &self.expanded {
            // What is not there, or must not be seen, is left out.
            if !row.is_null(from)? {
                if !is_first {
                    out.push(b',');
                }
                is_first = false;
                let _ = write!(out, "{}:", serde_json::Value::from(expanded.name.as_str()));
                expanded.projection.write_with_gaps(row, from + 1, out, gaps)?;
            }
            from += 1 + expanded.projection.width();
        }
        if let Some(lists) = self.lists {
            gaps.push(Gap { at: out.len(), lists, id: row.text(from)?.to_owned(), follows: !is_first });
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
        (Value::Integer(number), Shape::Place) => {
            let place = Place::unpacked(number);
            let _ = write!(out, "{{\"lat\":{},\"lon\":{}}}", place.latitude(), place.longitude());
        }
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
