//! How an account goes: into the bin, back out of it, and for good.
//!
//! In the bin an account lets nobody in and is shown by no list that does not ask for it; its address stays taken, so that
//! nobody else gets what is meant for its owner. What ends for good is ended at once: sessions and secrets that work once.
//! Keys and the second factor are kept, and work again if the account is restored.
use serde_json::json;

use super::error::Error;
use super::model::User;
use super::users_api::must_leave_an_admin;
use super::{leaving_store, one_time_store, store};
use crate::base::{Timestamp, UserId};
use crate::db::Tx;
use crate::features::audit::{Action, Actor, Entry};
use crate::features::{events, mails, roles};
use crate::http::Caller;

/// An account that is in the bin, for a caller who may do with it what they like.
pub fn find_in_bin(tx: &mut Tx<'_>, caller: &Caller, id: UserId) -> Result<User, Error> {
    let found = leaving_store::find_in_bin(tx, id)?.ok_or(Error::NotFound)?;
    must_reach(tx, caller, &found)?;
    Ok(found)
}

/// Refuses to touch the account of someone who may more than the caller.
pub(super) fn must_reach(tx: &mut Tx<'_>, caller: &Caller, user: &User) -> Result<(), Error> {
    match roles::permissions_of(tx, &user.role)? {
        Some(theirs) => Ok(roles::must_hold(caller, &theirs)?),
        None => Ok(()),
    }
}

/// Puts an account into the bin.
pub(super) fn discard(tx: &mut Tx<'_>, old: &User, now: Timestamp, actor: &Actor) -> Result<(), Error> {
    leaving_store::set_deleted(tx, old.id, Some(now), now)?;
    store::delete_sessions_of(tx, old.id, now)?;
    one_time_store::delete_all(tx, old.id)?;
    let before = json!({ "email": old.email, "role": old.role.as_str() });
    actor.append(tx, now, &Entry::new(Action::UserDelete).about("user", &old.id).before(before))?;
    must_leave_an_admin(tx, old)
}

/// Takes an account out of the bin, and tells what it is now.
pub(super) fn restore(tx: &mut Tx<'_>, old: &User, now: Timestamp, actor: &Actor) -> Result<User, Error> {
    leaving_store::set_deleted(tx, old.id, None, now)?;
    // What a mail was sent for a moment before does not count for the time after.
    one_time_store::delete_all(tx, old.id)?;
    events::append_about_accounts(tx, now)?;
    actor.append(tx, now, &Entry::new(Action::UserRestore).about("user", &old.id))?;
    store::find_user(tx, old.id)?.ok_or(Error::NotFound)
}

/// Removes an account that is in the bin for good, with all that is its owner's. What was done stays in the audit trail.
pub fn purge(tx: &mut Tx<'_>, id: UserId, now: Timestamp, actor: &Actor) -> Result<(), Error> {
    let old = leaving_store::find_in_bin(tx, id)?.ok_or(Error::NotFound)?;
    leaving_store::delete(tx, id)?;
    mails::delete_mails_to(tx, &old.email)?;
    let before = json!({ "email": old.email, "deletedAt": old.deleted_at.map(|it| it.to_string()) });
    Ok(actor.append(tx, now, &Entry::new(Action::UserPurge).about("user", &id).before(before))?)
}
