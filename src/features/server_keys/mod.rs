//! The secrets that the server signs with, made at its first start.
//!
//! They are in `system.db` and nowhere else, so they survive restarts and never reach a
//! tenant's data or its exports. Each purpose has a key of its own: a signature made
//! for one can never pass for another.
mod store;

use crate::base::{Clock, Random, Secret};
use crate::db::{self, Db, Tx};

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Seed of the one Ed25519 key that access tokens had before there were several.
    AccessToken,
    RefreshToken,
    /// What a browser keeps instead of tokens.
    SessionCookie,
    Cursor,
    /// Seed of the Ed25519 key that signs where audit trails stand.
    Audit,
    /// Links and codes that are sent by mail.
    OneTimeSecret,
    /// Secrets of apps that make codes, and recovery codes.
    SecondFactor,
    /// Tokens of devices that someone signed in on before.
    KnownDevice,
    /// What marks mails as ours, so that reports about them can be told from made-up ones.
    MailReference,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "access-token",
            Self::RefreshToken => "refresh-token",
            Self::SessionCookie => "session-cookie",
            Self::Cursor => "cursor",
            Self::Audit => "audit",
            Self::OneTimeSecret => "one-time-secret",
            Self::SecondFactor => "second-factor",
            Self::KnownDevice => "known-device",
            Self::MailReference => "mail-reference",
        }
    }
}

/// 256 bits that only this server knows.
pub type ServerKey = Secret<[u8; 32]>;

/// The key for `purpose`, made now if this is the first time that it is asked for.
pub async fn load(db: &Db, purpose: Purpose, random: &Random, clock: &Clock) -> Result<ServerKey, db::Error> {
    // Looked for before it is made: a restart must not need room on a full disk.
    if let Some(kept) = db.read_system(move |tx| store::find(tx, purpose.name())).await? {
        return Ok(Secret::new(kept));
    }
    let (fresh, now) = (Secret::new(random.bytes::<32>()), clock.now());
    db.write_system(move |tx| {
        store::insert_if_missing(tx, purpose.name(), fresh.reveal(), now)?;
        // Another may have made it meanwhile; then that is the key.
        store::find(tx, purpose.name())?.ok_or(db::Error::Column { column: 0, expected: "a key" })
    })
    .await
    .map(Secret::new)
}

/// Takes a key out of its place, for a feature that keeps it itself from now on.
pub fn take(tx: &mut Tx<'_>, purpose: Purpose) -> Result<Option<ServerKey>, db::Error> {
    let found = store::find(tx, purpose.name())?;
    store::delete(tx, purpose.name())?;
    Ok(found.map(Secret::new))
}
