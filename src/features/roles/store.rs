//! The SQL of roles.
use super::error::Error;
use super::model::{Role, RoleName};
use crate::base::UserId;
use crate::db::{self, Row, Tx};
use crate::http::Permissions;

const ROLE: &str = "name, description, permissions, built_in, version, created_at, updated_at,
                    (SELECT count(*) FROM users WHERE users.role = roles.name)";

fn read_role(row: &Row<'_>) -> Result<Role, db::Error> {
    let users = row.integer(7)?;
    Ok(Role {
        name: row.text(0)?.parse().map_err(|_| db::Error::Column { column: 0, expected: "the name of a role" })?,
        description: row.text(1)?.to_owned(),
        permissions: permission_list(row, 2)?,
        built_in: row.bool(3)?,
        users: users.unsigned_abs(),
        version: row.integer(4)?,
        created_at: row.timestamp(5)?,
        updated_at: row.timestamp(6)?,
    })
}

fn permission_list(row: &Row<'_>, column: usize) -> Result<Vec<String>, db::Error> {
    let expected = "a list of permissions";
    serde_json::from_str(row.text(column)?).map_err(|_| db::Error::Column { column, expected })
}

/// Reads a column of permissions as they are kept. One that a later version gave is passed over: it lets nobody in here.
pub fn read_granted(row: &Row<'_>, column: usize) -> Result<Permissions, db::Error> {
    let list = permission_list(row, column)?;
    let known: Vec<_> = list.iter().map(String::as_str).filter(|it| Permissions::read([*it]).is_ok()).collect();
    Permissions::read(known).map_err(|_| db::Error::Column { column, expected: "permissions" })
}

/// What a role lets someone try; nothing if there is no such role.
pub fn permissions_of(tx: &mut Tx<'_>, name: &RoleName) -> Result<Option<Permissions>, db::Error> {
    tx.find("SELECT permissions FROM roles WHERE name = $1", &[name.as_str().into()], |row| read_granted(row, 0))
}

/// What the role of an account that works lets its owner try.
pub fn permissions_of_user(tx: &mut Tx<'_>, id: UserId) -> Result<Option<Permissions>, db::Error> {
    tx.find(
        "SELECT r.permissions FROM users AS u JOIN roles AS r ON r.name = u.role
         WHERE u.id = $1 AND u.disabled_at IS NULL AND u.deleted_at IS NULL",
        &[id.into()],
        |row| read_granted(row, 0),
    )
}

pub(super) fn find(tx: &mut Tx<'_>, name: &RoleName) -> Result<Option<Role>, db::Error> {
    tx.find(&format!("SELECT {ROLE} FROM roles WHERE name = $1"), &[name.as_str().into()], read_role)
}

/// All roles: those that were always there first, in their order, then by name.
pub(super) fn list(tx: &mut Tx<'_>) -> Result<Vec<Role>, db::Error> {
    tx.query(&format!("SELECT {ROLE} FROM roles ORDER BY 1 - built_in, name"), &[], read_role)
}

pub(super) fn count(tx: &mut Tx<'_>) -> Result<u64, db::Error> {
    let count = tx.find("SELECT count(*) FROM roles", &[], |row| row.integer(0))?;
    Ok(count.unwrap_or(0).unsigned_abs())
}

/// Adds a role, refusing a name that there is.
pub(super) fn insert(tx: &mut Tx<'_>, role: &Role) -> Result<(), Error> {
    let added = tx.execute(
        "INSERT INTO roles (name, description, permissions, built_in, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (name) DO NOTHING",
        &[
            role.name.as_str().into(),
            (&role.description).into(),
            (&kept(&role.permissions)).into(),
            role.built_in.into(),
            role.version.into(),
            role.created_at.into(),
            role.updated_at.into(),
        ],
    )?;
    if added == 0 { Err(Error::NameTaken { name: role.name.clone() }) } else { Ok(()) }
}

pub(super) fn update(tx: &mut Tx<'_>, role: &Role) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE roles SET description = $2, permissions = $3, version = $4, updated_at = $5 WHERE name = $1",
        &[
            role.name.as_str().into(),
            (&role.description).into(),
            (&kept(&role.permissions)).into(),
            role.version.into(),
            role.updated_at.into(),
        ],
    )
    .map(drop)
}

pub(super) fn delete(tx: &mut Tx<'_>, name: &RoleName) -> Result<(), db::Error> {
    tx.execute("DELETE FROM roles WHERE name = $1", &[name.as_str().into()]).map(drop)
}

fn kept(permissions: &[String]) -> String {
    serde_json::Value::from(permissions).to_string()
}
