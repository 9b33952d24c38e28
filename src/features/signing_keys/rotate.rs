//! One key takes the place of another.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::Error;
use super::keys::SigningKeys;
use super::model::{Kept, KeyState};
use super::store;
use crate::base::text::chain;
use crate::base::{Clock, Random, TenantId, Timestamp};
use crate::config::ACCESS_TOKEN_SECS_MAX;
use crate::db::{self, Db, Tx};
use crate::features::audit::{Action, Actor, Entry};
use crate::work::Worker;
use crate::work::queue::{self, Failure, Kind, NewJob, Ticket};

const KIND: &str = "signing-keys.rotate";
/// The pauses between attempts: until there is room on the disk again.
const PAUSES: &[Duration] = &[
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(3_600),
    Duration::from_secs(4 * 3_600),
    Duration::from_secs(12 * 3_600),
];
/// How often it is looked whether a key has signed for long enough, or is over.
const INTERVAL: Duration = Duration::from_secs(3_600);
/// Most keys that verify beside the one that signs: each token that names none is a walk through all of them, and who
/// verifies elsewhere keeps them all.
const RETIRED_MAX: usize = 10;
/// For how long what a key signed may count: no setting lets a token live longer.
const VERIFIES_FOR: Duration = Duration::from_secs(ACCESS_TOKEN_SECS_MAX);

/// What a job is told: which key is to be replaced. If another has done that, there is nothing to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Asked {
    from: String,
    revoke: bool,
}

/// What replacing a key needs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rotating {
    pub db: Db,
    pub clock: Clock,
    pub random: Random,
    pub keys: SigningKeys,
}

impl Rotating {
    /// Has the next key sign from now on. With `revoke` none of those counts any more that there were.
    pub(super) async fn rotate(&self, tenant: &TenantId, actor: Actor, revoke: bool) -> Result<(), Error> {
        let asked = self.promise(tenant, actor, revoke).await?;

        // Whoever asks sees it done. If the server stops before that, the job does it at the next start.
        self.settle(asked).await
    }

    /// Notes that it is to be done, and has a job do it.
    async fn promise(&self, tenant: &TenantId, actor: Actor, revoke: bool) -> Result<Asked, Error> {
        let (from, now) = (self.keys.signing()?.kid, self.clock.now());
        if !revoke {
            self.must_have_room(now)?;
        }
        let entry =
            Entry::new(Action::SigningKeyRotate).about("signing-key", &from).after(json!({ "revoked": revoke }));
        let asked = Asked { from, revoke };
        let payload = serde_json::to_string(&asked).unwrap_or_default();
        let job = NewJob { id: self.random.id(&self.clock), kind: KIND, payload, due_at: now, created_at: now };
        let promise = move |tx: &mut Tx<'_>| {
            actor.append(tx, now, &entry)?;
            queue::insert(tx, &job)
        };
        self.db.free::<_, db::Error>(tenant, promise).await?;
        Ok(asked)
    }

    fn must_have_room(&self, now: Timestamp) -> Result<(), Error> {
        let ends: Vec<_> = self.keys.list().iter().filter_map(|it| it.verifies_until).filter(|it| now < *it).collect();
        match ends.iter().min() {
            Some(first) if RETIRED_MAX <= ends.len() => {
                Err(Error::TooMany { most: RETIRED_MAX, wait: now.until(*first) })
            }
            _ => Ok(()),
        }
    }

    /// Does what a job was promised to do, unless it was done.
    async fn settle(&self, asked: Asked) -> Result<(), Error> {
        let now = self.clock.now();
        let fresh = |state| Kept::fresh(&self.random, state, now);
        let (current, next) = (fresh(KeyState::Current)?, fresh(KeyState::Next)?);
        let replace = move |tx: &mut Tx<'_>| {
            if asked.revoke && store::is_kept(tx, &asked.from)? {
                store::delete_all(tx)?;
                store::insert(tx, &current)?;
                store::insert(tx, &next)?;
            } else if !asked.revoke && store::succeed(tx, &asked.from, now, now.plus(VERIFIES_FOR))? {
                store::insert(tx, &next)?;
            }
            Ok::<_, db::Error>(())
        };
        self.db.write_system(replace).await?;

        self.keys.reload().await
    }

    /// The kind of jobs that replaces keys.
    pub fn kind(self) -> Kind {
        Kind::new(KIND, 1, PAUSES, move |ticket| {
            let own = self.clone();
            async move { own.run(ticket).await }
        })
    }

    async fn run(&self, ticket: Ticket) -> Result<(), Failure> {
        let asked: Asked = serde_json::from_value(ticket.payload)
            .map_err(|cause| Failure::Permanent(format!("it is of another version: {cause}")))?;
        self.settle(asked).await.map_err(|it| Failure::Temporary(chain(&it)))
    }

    /// Replaces a key that has signed for as long as `every` says, and removes those whose last token has expired. Safe to
    /// run twice, late, or not at all.
    pub fn worker(self, tenant: TenantId, every: impl Fn() -> Option<Duration> + Send + 'static) -> Worker {
        Worker::every("signing-keys.rotate", INTERVAL, move || {
            let (own, tenant, every) = (self.clone(), tenant.clone(), every());
            async move { own.step(&tenant, every).await }
        })
    }

    async fn step(&self, tenant: &TenantId, every: Option<Duration>) -> Result<(), Error> {
        let now = self.clock.now();
        if self.keys.list().iter().any(|it| it.verifies_until.is_some_and(|it| it <= now)) {
            self.db.write_system(move |tx| store::delete_over(tx, now)).await?;
            self.keys.reload().await?;
        }
        let since = self.keys.signing()?.signs_since;
        match (since, every) {
            (Some(since), Some(every)) if since.plus(every) <= now => self.rotate(tenant, Actor::server(), false).await,
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::base::Secret;
    use crate::bus::Bus;
    use crate::features::server_keys::{self, Purpose};
    use crate::work::queue::Queue;

    const DAY: Duration = Duration::from_secs(24 * 3_600);

    async fn rotating() -> Rotating {
        let (db, clock) = (Db::in_memory().expect("a database"), Clock::stopped_at(Timestamp::from_millis(0)));
        db.create_tenant(&TenantId::main()).expect("made");
        opened(db, clock).await
    }

    async fn opened(db: Db, clock: Clock) -> Rotating {
        let random = Random::system();
        let keys = SigningKeys::open(&db, &random, &clock).await.expect("keys");
        Rotating { db, clock, random, keys }
    }

    fn states(rotating: &Rotating) -> Vec<KeyState> {
        rotating.keys.list().iter().map(|it| it.state).collect()
    }

    #[tokio::test]
    async fn the_next_key_takes_over_and_the_one_before_goes_when_its_last_token_has_expired() {
        let (own, main) = (rotating().await, TenantId::main());
        let [first, second] = own.keys.list().try_into().expect("two keys");

        own.rotate(&main, Actor::server(), false).await.expect("rotated");

        let after = own.keys.list();
        assert_eq!(states(&own), [KeyState::Current, KeyState::Next, KeyState::Retired]);
        assert_eq!((&after[0].kid, &after[2].kid), (&second.kid, &first.kid));
        own.clock.advance(DAY - Duration::from_millis(1));
        own.step(&main, None).await.expect("swept");
        assert_eq!((states(&own).len(), own.keys.published(own.clock.now()).len()), (3, 3));
        own.clock.advance(Duration::from_millis(1));
        assert_eq!(own.keys.published(own.clock.now()).len(), 2, "before it is swept");
        own.step(&main, None).await.expect("swept");
        assert_eq!(states(&own), [KeyState::Current, KeyState::Next]);
    }

    #[tokio::test]
    async fn a_key_signs_for_as_long_as_the_setting_says_and_no_longer() {
        let (own, main) = (rotating().await, TenantId::main());
        let first = own.keys.signing().expect("a key");

        own.clock.advance(DAY * 90 - Duration::from_millis(1));
        own.step(&main, Some(DAY * 90)).await.expect("looked");
        assert_eq!(own.keys.signing().expect("a key"), first);
        own.clock.advance(Duration::from_millis(1));
        own.step(&main, None).await.expect("looked");
        assert_eq!(own.keys.signing().expect("a key"), first, "never");
        own.step(&main, Some(DAY * 90)).await.expect("rotated");
        own.step(&main, Some(DAY * 90)).await.expect("looked");

        assert_eq!(states(&own), [KeyState::Current, KeyState::Next, KeyState::Retired]);
        assert_ne!(own.keys.signing().expect("a key").kid, first.kid);
    }

    /// The job runs once more after the request did it, and again after a crash.
    #[tokio::test]
    async fn a_rotation_that_is_done_twice_is_done_once() {
        let own = rotating().await;
        let from = own.keys.signing().expect("a key").kid;
        for revoke in [false, true] {
            let asked = Asked { from: from.clone(), revoke };
            own.settle(asked.clone()).await.expect("done");
            let after = own.keys.list();
            own.settle(asked).await.expect("nothing to do");
            assert_eq!(own.keys.list(), after, "{revoke}");
        }

        assert_eq!(states(&own), [KeyState::Current, KeyState::Next]);
        let other = opened(own.db.clone(), own.clock.clone()).await;
        assert_eq!(other.keys.list(), own.keys.list(), "after a restart");
    }

    /// The server was killed between the two.
    #[tokio::test]
    async fn what_was_promised_is_done_by_the_job() {
        let (own, main) = (rotating().await, TenantId::main());
        let before = own.keys.signing().expect("a key").kid;
        own.promise(&main, Actor::server(), true).await.expect("promised");
        assert_eq!(own.keys.signing().expect("a key").kid, before);
        let after = opened(own.db.clone(), own.clock.clone()).await;
        let queue = Queue::new(own.db.clone(), own.clock.clone(), main.clone(), vec![after.clone().kind()]);

        let done = async {
            while after.keys.list().iter().any(|it| it.kid == before) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let done = tokio::time::timeout(Duration::from_secs(10), done);
        tokio::select! {
            () = queue.run(Bus::default().listen(&main), CancellationToken::new()) => panic!("the queue ended"),
            done = done => done.expect("done in time"),
        }

        assert_eq!(states(&after), [KeyState::Current, KeyState::Next]);
    }

    #[tokio::test]
    async fn keys_that_verify_are_bounded() {
        let (own, main) = (rotating().await, TenantId::main());
        for _ in 0..RETIRED_MAX {
            own.rotate(&main, Actor::server(), false).await.expect("rotated");
        }

        let refused = own.rotate(&main, Actor::server(), false).await;
        assert!(matches!(refused, Err(Error::TooMany { wait: DAY, .. })), "{refused:?}");
        own.rotate(&main, Actor::server(), true).await.expect("revoked");
        assert_eq!(states(&own), [KeyState::Current, KeyState::Next]);
    }

    #[tokio::test]
    async fn the_one_key_from_before_goes_on_signing() {
        let (db, clock) = (Db::in_memory().expect("a database"), Clock::stopped_at(Timestamp::from_millis(0)));
        let before = server_keys::load(&db, Purpose::AccessToken, &Random::system(), &clock).await.expect("a key");

        let own = opened(db.clone(), clock.clone()).await;

        let expected = Kept::of(Secret::new(*before.reveal()), KeyState::Current, clock.now()).expect("a key").key;
        assert_eq!(own.keys.signing().expect("a key"), expected);
        assert_eq!(opened(db, clock).await.keys.list(), own.keys.list());
    }
}
