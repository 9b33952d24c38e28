//! The SQL of lists of accounts.
use super::model::User;
use super::people::{People, Position};
use super::store::{USER, read_user};
use crate::db::{self, Tx, Value};

/// One page of people, after the position `after`.
pub(super) fn list(
    tx: &mut Tx<'_>,
    people: &People,
    after: Option<&Position>,
    skip: u64,
    limit: u64,
) -> Result<Vec<User>, db::Error> {
    let mut values: Vec<Value<'_>> = vec![limit.cast_signed().into(), skip.cast_signed().into()];
    let (condition, mut own) = people.condition(values.len() + 1);
    values.append(&mut own);
    let (rest, mut own) = people.after(after, values.len() + 1);
    values.append(&mut own);
    let sql =
        format!("SELECT {USER} FROM users WHERE {condition} AND {rest} ORDER BY {} LIMIT $1 OFFSET $2", people.order());
    tx.query(&sql, &values, read_user)
}

pub(super) fn count(tx: &mut Tx<'_>, people: &People) -> Result<u64, db::Error> {
    let (condition, values) = people.condition(1);
    let sql = format!("SELECT count(*) FROM users WHERE {condition}");
    Ok(tx.find(&sql, &values, |row| row.integer(0))?.unwrap_or(0).unsigned_abs())
}
