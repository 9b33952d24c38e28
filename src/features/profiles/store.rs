//! The SQL of the fields of profiles.
use poem_openapi::types::{ParseFromJSON, ToJSON};

use super::model::{ProfileField, ProfileFields};
use crate::base::Timestamp;
use crate::db::{self, Tx, dialect};
use crate::expr::{CallerFields, Field};

/// The fields that there are, and how often they were changed.
pub(super) fn find(tx: &mut Tx<'_>) -> Result<(ProfileFields, i64), db::Error> {
    let found = tx.find("SELECT content, version FROM settings WHERE name = 'profile-fields'", &[], |row| {
        let fields = ProfileFields::parse_from_json_string(row.text(0)?);
        Ok((fields.map_err(|_| db::Error::Column { column: 0, expected: "fields" })?, row.integer(1)?))
    })?;
    Ok(found.unwrap_or_default())
}

/// What rules may ask of callers if these are the fields.
pub(super) fn known_of_callers(fields: &ProfileFields) -> CallerFields {
    let field = |it: &ProfileField| Field { name: it.name.clone(), kind: it.field_type.kind(), hidden: false };
    CallerFields {
        sql_name: "profile_values".to_owned(),
        owner: "user_id".to_owned(),
        content: "content".to_owned(),
        fields: fields.fields.iter().map(field).collect(),
    }
}

/// What rules may ask of callers.
pub fn of_callers(tx: &mut Tx<'_>) -> Result<CallerFields, db::Error> {
    Ok(known_of_callers(&find(tx)?.0))
}

pub(super) fn set(tx: &mut Tx<'_>, fields: &ProfileFields, now: Timestamp) -> Result<i64, db::Error> {
    let version = tx.find(
        "INSERT INTO settings (name, content, version, updated_at) VALUES ('profile-fields', $1, 1, $2)
         ON CONFLICT (name) DO UPDATE SET content = $1, version = version + 1, updated_at = $2
         RETURNING version",
        &[fields.to_json_string().into(), now.into()],
        |row| row.integer(0),
    )?;
    Ok(version.unwrap_or(1))
}

/// In how many accounts a field has a value.
pub(super) fn count_values(tx: &mut Tx<'_>, name: &str) -> Result<u64, db::Error> {
    let kind = dialect::json_type("content", &[name]);
    let sql = format!("SELECT count(*) FROM profile_values WHERE {kind} IS NOT NULL");
    Ok(tx.find(&sql, &[], |row| row.integer(0))?.unwrap_or(0).unsigned_abs())
}

/// Removes the values of a field from all accounts.
pub(super) fn delete_values(tx: &mut Tx<'_>, name: &str) -> Result<(), db::Error> {
    let (kind, rest) = (dialect::json_type("content", &[name]), dialect::json_without("content", &[name]));
    tx.execute(&format!("UPDATE profile_values SET content = {rest} WHERE {kind} IS NOT NULL"), &[]).map(drop)
}
