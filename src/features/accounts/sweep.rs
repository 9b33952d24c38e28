//! Removes sessions, links and accounts that were never used whose time is over, and finds the words of old accounts.
use std::time::Duration;

use super::{invitations_store, one_time_store, pending_store, store};
use crate::base::{Clock, TenantId, Timestamp};
use crate::db::{self, Class, Db, Tx};
use crate::work::Worker;

/// Rows removed in one transaction, so that a backlog never holds the writer long.
const BATCH: i64 = 500;
/// How long someone who registered may take to show that the address is theirs.
const PENDING_KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How long invitations are shown after their time.
const INVITATIONS_KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);
/// What is over is refused at once; this only tidies up.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// Removes what is over now and then. Safe to run twice, late, or not at all.
pub fn worker(db: Db, clock: Clock, tenant: TenantId) -> Worker {
    Worker::every("accounts.sweep", INTERVAL, move || {
        let (db, now, tenant) = (db.clone(), clock.now(), tenant.clone());
        async move { sweep(&db, &tenant, now).await }
    })
}

async fn sweep(db: &Db, tenant: &TenantId, now: Timestamp) -> Result<(), db::Error> {
    // Few at any time: a link is made by hand, or at a start.
    db.write_as(Class::BULK.freeing(), tenant, move |tx| store::delete_expired_setup_links(tx, now)).await?;
    in_batches(db, tenant, move |tx| store::delete_expired_sessions(tx, now, BATCH)).await?;
    in_batches(db, tenant, move |tx| one_time_store::delete_expired(tx, now, BATCH)).await?;
    let too_old = now.minus(INVITATIONS_KEPT_FOR);
    in_batches(db, tenant, move |tx| invitations_store::delete_old(tx, too_old, BATCH)).await?;
    let too_old = now.minus(PENDING_KEPT_FOR);
    in_batches(db, tenant, move |tx| pending_store::delete_pending(tx, too_old, BATCH)).await?;
    in_batches(db, tenant, |tx| store::fill_words(tx, BATCH)).await
}

/// Goes through batch after batch until there is no more.
async fn in_batches(
    db: &Db,
    tenant: &TenantId,
    step: impl Fn(&mut Tx<'_>) -> Result<u64, db::Error> + Copy + Send + 'static,
) -> Result<(), db::Error> {
    while db.write_as(Class::BULK.freeing(), tenant, step).await? == BATCH.unsigned_abs() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::Example;

    use super::super::model::User;
    use super::super::people::People;
    use super::super::people_store;
    use super::*;

    #[tokio::test]
    async fn a_setup_link_is_swept_at_its_end_and_not_before() -> Result<(), db::Error> {
        let (db, main) = (Db::in_memory()?, TenantId::main());
        db.create_tenant(&main)?;
        let at = Timestamp::from_millis;
        db.write(&main, move |tx| {
            store::insert_setup_link(tx, "over", at(0), at(1_000))?;
            store::insert_setup_link(tx, "open", at(0), at(1_001))
        })
        .await?;

        sweep(&db, &main, at(1_000)).await?;

        // Asked as of the beginning, when both counted.
        let kept = |digest| db.read(&main, move |tx| store::has_setup_link(tx, digest, at(0)));
        assert_eq!((kept("over").await?, kept("open").await?), (false, true));
        Ok(())
    }

    /// An admin may have named it in a record.
    #[tokio::test]
    async fn a_pending_account_that_a_record_holds_keeps_no_other_from_going() -> Result<(), super::super::error::Error>
    {
        let (db, main) = (Db::in_memory()?, TenantId::main());
        db.create_tenant(&main)?;
        let (held, free) = ("00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002");
        db.write_alone::<_, super::super::error::Error>(&main, move |tx| {
            for id in [held, free] {
                let id = id.parse().map_err(|_| super::super::error::Error::NotFound)?;
                store::insert_user(tx, &User { id, email: format!("{id}@example.com"), ..User::example() }, "hash")?;
                pending_store::set_pending(tx, id)?;
            }
            tx.execute("CREATE TABLE holds (user_id TEXT NOT NULL REFERENCES users (id) ON DELETE RESTRICT)", &[])?;
            Ok(tx.execute("INSERT INTO holds (user_id) VALUES ($1)", &[held.into()]).map(drop)?)
        })
        .await?;

        sweep(&db, &main, User::example().created_at.plus(PENDING_KEPT_FOR)).await?;

        let left = |tx: &mut Tx<'_>| tx.query("SELECT id FROM users", &[], |row| row.text(0).map(ToOwned::to_owned));
        assert_eq!(db.read::<_, db::Error>(&main, left).await?, [held]);
        Ok(())
    }

    /// Whoever had an account before there was a search is found by it too.
    #[tokio::test]
    async fn accounts_from_before_are_found_once_they_were_swept() -> Result<(), super::super::error::Error> {
        let (db, main) = (Db::in_memory()?, TenantId::main());
        db.create_tenant(&main)?;
        let found = |db: &Db| {
            let (db, main) = (db.clone(), TenantId::main());
            let people = People::read("q=ada").unwrap_or_default();
            async move { db.read(&main, move |tx| people_store::count(tx, &people)).await }
        };
        db.write::<_, super::super::error::Error>(&main, |tx| {
            store::insert_user(tx, &User { email: "ada@example.com".to_owned(), ..User::example() }, "hash")?;
            Ok(tx.execute("UPDATE users SET words = ''", &[]).map(drop)?)
        })
        .await?;
        assert_eq!(found(&db).await?, 0);

        sweep(&db, &main, Timestamp::from_millis(0)).await?;

        assert_eq!(found(&db).await?, 1);
        Ok(())
    }
}
