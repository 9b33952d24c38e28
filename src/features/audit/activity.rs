//! What an account did, and what was done to it: a part of the trail that people see who do not read the whole.
use super::action::Action;
use super::model::{AuditEntry, Kept};
use super::store;
use crate::db::{self, Tx};

/// Which part of an account's activity is asked for.
#[derive(Clone, Debug)]
pub struct Part {
    /// The id of the account.
    pub user: String,
    /// Only entries before this number.
    pub before: i64,
    pub skip: u64,
    pub limit: u64,
}

/// Entries of what someone did as themselves and of what was done to their account, newest first.
pub fn activity(tx: &mut Tx<'_>, part: &Part) -> Result<Vec<AuditEntry>, db::Error> {
    Ok(store::activity(tx, part)?.into_iter().map(Kept::shown).collect())
}

/// How many such entries there are.
pub fn count_activity(tx: &mut Tx<'_>, user: &str) -> Result<u64, db::Error> {
    store::count_activity(tx, user)
}

/// What an action means, for people. Of one that a later version wrote nothing is known here.
pub fn sentence(action: &str) -> &'static str {
    Action::named(action).map_or("", Action::sentence)
}
