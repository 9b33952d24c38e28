//! Someone who is to have an account: what is wrong with their values, and how they are added.
use serde_json::json;

use super::error::Error;
use super::model::{Role, User};
use super::{password, store};
use crate::base::Secret;
use crate::base::text::{normalize_email, normalize_name};
use crate::config::AccountsConfig;
use crate::db::Tx;
use crate::features::audit::{Action, Entry};
use crate::http::Fault;
use crate::http::input::Sound;

/// Someone who wants an account, checked.
pub(super) struct Newcomer {
    pub user: User,
    pub password: Secret<String>,
}

/// Adds someone. Once there is an admin, all setup links have done their work.
pub(super) fn add(tx: &mut Tx<'_>, user: &User, password_hash: &str) -> Result<(), Error> {
    store::insert_user(tx, user, password_hash)?;
    if user.role == Role::Admin {
        store::delete_setup_links(tx)?;
    }
    Ok(())
}

/// The entry in the audit trail about someone who is there since now.
pub(super) fn about_newcomer(action: Action, user: &User) -> Entry {
    let told = json!({ "email": user.email, "name": user.name, "role": user.role.name() });
    Entry::new(action).about("user", &user.id).after(told)
}

/// What is wrong with someone's values, of a body that has other faults too.
pub(super) fn faults_of_newcomer(config: &AccountsConfig, sound: &Sound<'_>, role: Role) -> Vec<Fault> {
    let email = sound.text("email").map(checked_email).transpose();
    let name = sound.text("name").map(checked_name).transpose();
    let known = |it: &Result<Option<String>, Fault>| it.as_ref().ok().cloned().flatten().unwrap_or_default();
    let password =
        sound.text("password").and_then(|it| password::fault(config, it, role, &known(&email), &known(&name)));
    email.err().into_iter().chain(name.err()).chain(password).collect()
}

pub(super) fn checked_email(email: &str) -> Result<String, Fault> {
    normalize_email(email).map_err(|why| Fault::new("/email", "email", why))
}

pub(super) fn checked_name(name: &str) -> Result<String, Fault> {
    normalize_name(name).map_err(|why| Fault::new("/name", "name", why))
}
