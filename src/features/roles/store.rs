//! The SQL of roles.
use super::error::Error;
use super::model::{Role, RoleName};
use crate::base::UserId;
use crate::db::{self, Row, Tx};
use crate::http::Permissions;

const ROLE: &str = "name, description, own_permissions, built_in, version, created_at, updated_at,
                    (SELECT count(*) FROM users WHERE users.role = roles.name), permissions";

fn read_role(row: &Row<'_>) -> Result<Role, db::Error> {
    let users = row.integer(7)?;
    Ok(Role {
        name: role_name(row, 0)?,
        description: row.text(1)?.to_owned(),
        permissions: permission_list(row, 2)?,
        inherits: Vec::new(),
        effective_permissions: permission_list(row, 8)?,
        built_in: row.bool(3)?,
        users: users.unsigned_abs(),
        version: row.integer(4)?,
        created_at: row.timestamp(5)?,
        updated_at: row.timestamp(6)?,
    })
}

fn role_name(row: &Row<'_>, column: usize) -> Result<RoleName, db::Error> {
    row.text(column)?.parse().map_err(|_| db::Error::Column { column, expected: "the name of a role" })
}

fn permission_list(row: &Row<'_>, column: usize) -> Result<Vec<String>, db::Error> {
    let expected = "a list of permissions";
    serde_json::from_str(row.text(column)?).map_err(|_| db::Error::Column { column, expected })
}

/// Reads a column of permissions as they are kept. One that a later version gave is passed over: it lets nobody in here.
pub fn read_granted(row: &Row<'_>, column: usize) -> Result<Permissions, db::Error> {
    Ok(understood(&permission_list(row, column)?))
}

/// Permissions as they are kept, but for those that a later version gave.
pub(super) fn understood<'a>(list: impl IntoIterator<Item = &'a String>) -> Permissions {
    let known = list.into_iter().map(String::as_str).filter(|it| Permissions::read([*it]).is_ok());
    Permissions::read(known).unwrap_or_else(|_| Permissions::none())
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
    let found = tx.find(&format!("SELECT {ROLE} FROM roles WHERE name = $1"), &[name.as_str().into()], read_role)?;
    let Some(role) = found else { return Ok(None) };
    let parents = "SELECT parent FROM role_parents WHERE role = $1 ORDER BY parent";
    let inherits = tx.query(parents, &[name.as_str().into()], |row| role_name(row, 0))?;
    Ok(Some(Role { inherits, ..role }))
}

/// All roles: those that were always there first, in their order, then by name.
pub(super) fn list(tx: &mut Tx<'_>) -> Result<Vec<Role>, db::Error> {
    let mut roles = tx.query(&format!("SELECT {ROLE} FROM roles ORDER BY 1 - built_in, name"), &[], read_role)?;
    let parents = "SELECT role, parent FROM role_parents ORDER BY role, parent";
    let parents = tx.query(parents, &[], |row| Ok((role_name(row, 0)?, role_name(row, 1)?)))?;
    for (name, parent) in parents {
        if let Some(role) = roles.iter_mut().find(|it| it.name == name) {
            role.inherits.push(parent);
        }
    }
    Ok(roles)
}

/// The roles that inherit from one directly.
pub(super) fn heirs(tx: &mut Tx<'_>, name: &RoleName) -> Result<Vec<RoleName>, db::Error> {
    let sql = "SELECT role FROM role_parents WHERE parent = $1 ORDER BY role";
    tx.query(sql, &[name.as_str().into()], |row| role_name(row, 0))
}

pub(super) fn count(tx: &mut Tx<'_>) -> Result<u64, db::Error> {
    let count = tx.find("SELECT count(*) FROM roles", &[], |row| row.integer(0))?;
    Ok(count.unwrap_or(0).unsigned_abs())
}

/// Adds a role, refusing a name that there is.
pub(super) fn insert(tx: &mut Tx<'_>, role: &Role) -> Result<(), Error> {
    let added = tx.execute(
        "INSERT INTO roles (name, description, own_permissions, built_in, version, created_at, updated_at, permissions)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (name) DO NOTHING",
        &[
            role.name.as_str().into(),
            (&role.description).into(),
            (&kept(&role.permissions)).into(),
            role.built_in.into(),
            role.version.into(),
            role.created_at.into(),
            role.updated_at.into(),
            (&kept(&role.effective_permissions)).into(),
        ],
    )?;
    if added == 0 {
        return Err(Error::NameTaken { name: role.name.clone() });
    }
    Ok(set_parents(tx, role)?)
}

fn set_parents(tx: &mut Tx<'_>, role: &Role) -> Result<(), db::Error> {
    tx.execute("DELETE FROM role_parents WHERE role = $1", &[role.name.as_str().into()])?;
    for parent in &role.inherits {
        let sql = "INSERT INTO role_parents (role, parent) VALUES ($1, $2)";
        tx.execute(sql, &[role.name.as_str().into(), parent.as_str().into()])?;
    }
    Ok(())
}

pub(super) fn update(tx: &mut Tx<'_>, role: &Role) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE roles SET description = $2, own_permissions = $3, version = $4, updated_at = $5, permissions = $6
         WHERE name = $1",
        &[
            role.name.as_str().into(),
            (&role.description).into(),
            (&kept(&role.permissions)).into(),
            role.version.into(),
            role.updated_at.into(),
            (&kept(&role.effective_permissions)).into(),
        ],
    )?;
    set_parents(tx, role)
}

pub(super) fn delete(tx: &mut Tx<'_>, name: &RoleName) -> Result<(), db::Error> {
    tx.execute("DELETE FROM roles WHERE name = $1", &[name.as_str().into()]).map(drop)
}

fn kept(permissions: &[String]) -> String {
    serde_json::Value::from(permissions).to_string()
}
