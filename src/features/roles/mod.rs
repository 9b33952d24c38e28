//! Roles: what people may try, under a name.
//!
//! An account has one role, and a role has permissions ([`PERMISSIONS`] lists all that there are). What a role lets
//! someone try is decided before anything else; with records, the rules of their collection decide then.
//!
//! A role may inherit from others: it has their permissions too, also those that they get later.
//!
//! `admin` may everything and is never changed; it, `moderator`, `user` and `readonly` are there from the beginning and
//! cannot be dropped. Whoever gives a role, or changes what one may, gives no more than they have themselves. A change
//! is felt with the next request of everyone who has the role, since the gate forgets them after the commit.

mod api;
mod error;
mod inheritance;
mod model;
mod store;
mod terms;
mod vocabulary;

pub use api::{Felt, RolesApi};
pub use error::{Error, PERMISSION_NOT_HELD, PROBLEMS, must_hold};
pub use model::{Role, RoleName};
pub use store::{permissions_of, permissions_of_user, read_granted};
pub use terms::TERMS;
pub use vocabulary::{PERMISSIONS, ROLES_READ, read as read_permissions};
