//! Sign-ins that were refused, in the audit trail.
//!
//! Not each of them: a flood of guesses must fill neither the trail nor the disk. The first wrong guess for an account
//! within the window leaves an entry, for ten accounts of one address; and so does the first attempt that is beyond the
//! limit of an account or an address. Besides, there are no more than [`ENTRIES_MAX`] an hour, and the last of these says
//! that it is. Whether there is an account makes no difference, not even to the time that it takes.
use std::time::Duration;

use super::error::{ADDRESS_BLOCKED, Error, WRONG_CREDENTIALS};
use super::stuffing::Block;
use super::throttle::Attempt;
use crate::base::text::{chain, normalize_email};
use crate::base::{TenantId, Timestamp};
use crate::db::Db;
use crate::features::audit::{Action, Entry, Trail};
use crate::http::problem::TOO_MANY_REQUESTS;
use crate::kv::Kv;

/// Accounts that one address guessed at, of which the trail tells.
const ACCOUNTS_MAX: u32 = 10;
/// Entries about refused sign-ins in all, within an hour.
pub(super) const ENTRIES_MAX: u32 = 1_000;
const WINDOW: Duration = Duration::from_secs(3_600);

/// What telling of a refused sign-in needs.
pub(super) struct Refusals<'a> {
    pub db: &'a Db,
    pub kv: &'a Kv,
    pub tenant: &'a TenantId,
    pub trail: &'a Trail,
    pub now: Timestamp,
}

impl Refusals<'_> {
    /// A password was wrong, or there is no such account.
    pub async fn tell_of_guess(&self, email: &str, attempt: &Attempt) {
        if attempt.nth_of_guesser == 1 && attempt.nth_of_address <= ACCOUNTS_MAX {
            self.tell(email, WRONG_CREDENTIALS.code).await;
        }
    }

    /// There were too many attempts.
    pub async fn tell_of_limit(&self, email: &str, error: &Error) {
        if matches!(error, Error::TooManyAttempts { is_first: true, .. }) {
            self.tell(email, TOO_MANY_REQUESTS.code).await;
        }
    }

    /// A place signs nobody in any more. There are no more of these than there are places that try for long.
    pub async fn tell_of_block(&self, Block { place, until }: Block) {
        tracing::warn!(client.address = %place, %until, "many passwords were tried from an address; it is blocked");
        let after = serde_json::json!({ "until": until.to_string() });
        let entry =
            Entry::new(Action::AddressBlock).about("address", &place).after(after).refused(ADDRESS_BLOCKED.code);
        self.append(entry).await;
    }

    async fn tell(&self, email: &str, reason: &'static str) {
        let counted = self.kv.count_up("audit/sign-in", WINDOW, self.now).count;
        if ENTRIES_MAX < counted {
            return;
        }
        let mut entry = Entry::new(Action::SignIn).refused(reason);
        // What is no address may be a password that was typed into the wrong field.
        if let Ok(email) = normalize_email(email) {
            entry = entry.about("email", &email);
        }
        if counted == ENTRIES_MAX {
            entry = entry.after(serde_json::json!({ "noMoreWithinHours": 1 }));
        }
        self.append(entry).await;
    }

    async fn append(&self, entry: Entry) {
        let (actor, now) = (self.trail.of_stranger(), self.now);
        let told = self.db.free(self.tenant, move |tx| actor.append(tx, now, &entry)).await;
        // Whoever guesses is refused either way.
        if let Err(cause) = told {
            tracing::error!(cause = %chain(&cause), "a refused sign-in is missing in the audit trail");
        }
    }
}
