//! How a server that has no admin gets one: by a link, by command, or from the environment.
//!
//! There is no default account. A link is a secret of 256 bits that works once and for
//! a short time; the server keeps its digest only.
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde_json::json;

use super::error::Error;
use super::model::SetupLink;
use super::store;
use crate::base::text::normalize_email;
use crate::base::{Clock, Random, TenantId};
use crate::db::{self, Db, Tx};
use crate::features::audit::{Action, Actor, Entry};

/// Whether someone can already administer the tenant.
pub async fn admin_exists(db: &Db, tenant: &TenantId) -> Result<bool, Error> {
    db.read(tenant, |tx| Ok(0 < store::count_admins(tx)?)).await
}

/// Whether the account with that address is one of those.
pub async fn is_admin(db: &Db, tenant: &TenantId, email: &str) -> Result<bool, Error> {
    let Ok(email) = normalize_email(email) else { return Ok(false) };
    db.read(tenant, move |tx| Ok(store::find_role(tx, &email)?.is_some_and(|it| it.is_admin()))).await
}

/// Makes a link with which whoever holds it becomes an admin. Its secret is in the answer only.
pub async fn open_setup_link(
    db: &Db,
    tenant: &TenantId,
    actor: Actor,
    public_url: &str,
    lifetime: Duration,
    random: &Random,
    clock: &Clock,
) -> Result<SetupLink, Error> {
    let (secret, now) = (random.token("setup"), clock.now());
    let (kept, expires_at) = (secret_digest(&secret), now.plus(lifetime));
    let open = move |tx: &mut Tx<'_>| {
        store::insert_setup_link(tx, &kept, now, expires_at)?;
        actor.append(
            tx,
            now,
            &Entry::new(Action::SetupLinkCreate).after(json!({ "expiresAt": expires_at.to_string() })),
        )
    };
    db.free::<_, db::Error>(tenant, open).await?;
    // After `#`, it is not sent with the request for the page, and so not logged by any proxy.
    Ok(SetupLink { url: format!("{public_url}/setup#token={secret}"), expires_at })
}

pub(super) fn secret_digest(secret: &str) -> String {
    HEXLOWER.encode(digest(&SHA256, secret.as_bytes()).as_ref())
}
