//! What can go wrong with roles, in words fit for the client.
use super::model::RoleName;
use crate::db;
use crate::http::problem::{self, Fault, Kind, Problem};
use crate::http::{Caller, Permissions};

pub(super) const NAME_TAKEN: Kind = Kind { status: 409, code: "role-name-taken", title: "There is such a role" };
pub(super) const IN_USE: Kind = Kind { status: 409, code: "role-in-use", title: "The role is in use" };
pub(super) const BUILT_IN: Kind = Kind { status: 409, code: "role-built-in", title: "The role has to stay as it is" };
pub(super) const TOO_MANY: Kind = Kind { status: 409, code: "role-limit-reached", title: "No room for another role" };
/// Who gives something away must have it.
pub const PERMISSION_NOT_HELD: Kind =
    Kind { status: 403, code: "permission-not-held", title: "You may not give what you do not have" };

/// Problems only this feature reports; the catalogue page lists them.
pub const PROBLEMS: &[&Kind] = &[&NAME_TAKEN, &IN_USE, &BUILT_IN, &TOO_MANY, &PERMISSION_NOT_HELD];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is a role called `{name}` already")]
    NameTaken { name: RoleName },
    #[error("{users} accounts have the role `{name}`; give them another one first")]
    InUse { name: RoleName, users: u64 },
    #[error("{} inherit from the role `{name}`; take that from them first", listed(heirs))]
    Inherited { name: RoleName, heirs: Vec<RoleName> },
    #[error("`{name}` is always there: it cannot be dropped")]
    AlwaysThere { name: RoleName },
    #[error("`admin` may everything, so that someone always can; make another role instead")]
    AdminStays,
    #[error("a server has at most {max} roles")]
    TooMany { max: u64 },
    #[error("the role is another than the one that `If-Match` names; read it again")]
    Stale,
    #[error("there is nothing here, or nothing that you may see")]
    NotFound,
    #[error("some values are not valid")]
    Invalid(Vec<Fault>),
    #[error("you do not have {missing} yourself")]
    NotHeld { missing: String },
    #[error("cannot reach the roles")]
    Db(#[from] db::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::NameTaken { .. } => &NAME_TAKEN,
            Error::InUse { users, .. } => {
                return Self::new(&IN_USE, error.to_string()).with_member("users", users.to_string());
            }
            Error::Inherited { .. } => &IN_USE,
            Error::AlwaysThere { .. } | Error::AdminStays => &BUILT_IN,
            Error::TooMany { .. } => &TOO_MANY,
            Error::NotHeld { .. } => &PERMISSION_NOT_HELD,
            Error::Stale => &problem::STALE,
            Error::NotFound => return Self::not_found(),
            Error::Invalid(faults) => return Self::invalid(faults),
            Error::Db(cause) => return cause.into(),
        };
        Self::new(kind, error.to_string())
    }
}

/// Permissions, or roles, that a refusal names.
const NAMED_MAX: usize = 5;

fn listed(names: &[RoleName]) -> String {
    let named: Vec<_> = names.iter().take(NAMED_MAX).map(|it| format!("`{it}`")).collect();
    let others = names.len().saturating_sub(NAMED_MAX);
    if others == 0 { named.join(", ") } else { format!("{} and {others} more", named.join(", ")) }
}

/// Refuses to let a caller give `given`, unless they have all of it themselves.
pub fn must_hold(caller: &Caller, given: &Permissions) -> Result<(), Error> {
    let own = &caller.principal().permissions;
    if own.hold(given) {
        return Ok(());
    }
    let missing = match given {
        Permissions::All => vec!["every permission".to_owned()],
        Permissions::Only(grants) => {
            let is_missing = |it: &&crate::http::Grant| !own.hold(&Permissions::of(vec![(*it).clone()]));
            grants.iter().filter(is_missing).take(NAMED_MAX).map(|it| format!("`{it}`")).collect()
        }
    };
    Err(Error::NotHeld { missing: missing.join(", ") })
}
