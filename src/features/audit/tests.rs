//! What is found by whoever follows the chain, and what is kept of it.
use std::time::Duration;

use serde_json::json;

use super::chain::hex;
use super::model::{Flaw, FlawKind, Kept, Verification};
use super::sweep::{Keep, prune};
use super::{Action, Actor, Entry, Seal, checkpoint, store, verify};
use crate::base::{Secret, TenantId, Timestamp};
use crate::db::{self, Db, Tx};

const DAY: i64 = 24 * 3_600 * 1_000;

struct Fixture {
    db: Db,
    seal: Seal,
    main: TenantId,
}

impl Fixture {
    /// With a trail of so many entries, a day apart.
    async fn with(entries: i64) -> Self {
        let (db, main) = (Db::in_memory().expect("a database"), TenantId::main());
        db.create_tenant(&main).expect("a tenant");
        let fixture = Self { db, seal: Seal::new(&Secret::new([7; 32])).expect("a key"), main };
        fixture.append(1, entries).await;
        fixture
    }

    async fn append(&self, from: i64, to: i64) {
        let append = move |tx: &mut Tx<'_>| {
            (from..=to).try_for_each(|day| {
                let entry = Entry::new(Action::ProfileChange).after(json!({ "day": day }));
                Actor::server().append(tx, at(day), &entry)
            })
        };
        self.db.write::<_, db::Error>(&self.main, append).await.expect("appended");
    }

    async fn tamper(&self, sql: &'static [&'static str]) {
        let tamper = move |tx: &mut Tx<'_>| sql.iter().try_for_each(|it| tx.execute(it, &[]).map(drop));
        self.db.write::<_, db::Error>(&self.main, tamper).await.expect("tampered");
    }

    async fn verify(&self, expected: Option<&str>) -> Verification {
        let expected = expected.map(|it| verify::read_witness(it).expect("an entry"));
        verify::verify(&self.db, &self.seal, &self.main, None, expected).await.expect("verified")
    }

    async fn flaws(&self) -> Vec<(FlawKind, i64)> {
        let found = self.verify(None).await;
        assert_eq!(found.is_whole, found.flaws.is_empty());
        found.flaws.into_iter().map(|Flaw { kind, seq, .. }| (kind, seq)).collect()
    }

    async fn head(&self) -> String {
        let head = self.db.read::<_, db::Error>(&self.main, store::head).await.expect("read");
        head.map(|(seq, hash)| format!("{seq}:{}", hex(&hash))).unwrap_or_default()
    }

    async fn checkpoint(&self, day: i64) {
        checkpoint::note(&self.db, &self.seal, &self.main, at(day)).await.expect("noted");
    }

    async fn noted(&self) -> Vec<i64> {
        let main = self.main.clone();
        let noted = self.db.read_system::<_, db::Error>(move |tx| store::checkpoints(tx, &main, 0)).await;
        noted.expect("read").iter().map(|it| it.seq).collect()
    }

    async fn prune(&self, days: Option<u64>, bytes: u64, today: i64) {
        let keep = Keep { time: days.map(|it| Duration::from_secs(it * 24 * 3_600)), bytes };
        prune(&self.db, &self.seal, &self.main, keep, at(today)).await.expect("pruned");
    }

    async fn all(&self) -> Vec<Kept> {
        let read = |tx: &mut Tx<'_>| store::list(tx, &super::filter::Filter::default(), 0, i64::MAX, 0, 1_000);
        let mut all = self.db.read::<_, db::Error>(&self.main, read).await.expect("read");
        all.reverse();
        all
    }
}

fn at(day: i64) -> Timestamp {
    Timestamp::from_millis(day * DAY)
}

#[tokio::test]
async fn what_was_removed_from_the_beginning_the_middle_or_the_end_is_missing() {
    use FlawKind::Missing;
    for (sql, found) in [
        (&["DELETE FROM audit_entries WHERE seq = 1"], vec![(Missing, 1)]),
        (&["DELETE FROM audit_entries WHERE seq IN (4, 5)"], vec![(Missing, 4)]),
        (&["DELETE FROM audit_entries WHERE seq IN (2, 4, 6)"], vec![(Missing, 2), (Missing, 4), (Missing, 6)]),
        (&["DELETE FROM audit_entries WHERE seq = 9"], vec![(Missing, 9)]),
        (&["DELETE FROM audit_entries"], vec![(Missing, 1)]),
    ] {
        let fixture = Fixture::with(9).await;
        fixture.checkpoint(9).await;
        fixture.tamper(sql).await;

        assert_eq!(fixture.flaws().await, found, "{sql:?}");
    }
}

#[tokio::test]
async fn what_was_exchanged_put_between_or_counted_anew_is_found() {
    use FlawKind::{Changed, Missing, Rewritten};
    let exchanged = Fixture::with(9).await;
    exchanged
        .tamper(&[
            "UPDATE audit_entries SET seq = 100 WHERE seq = 4",
            "UPDATE audit_entries SET seq = 4 WHERE seq = 6",
            "UPDATE audit_entries SET seq = 6 WHERE seq = 100",
        ])
        .await;
    assert_eq!(exchanged.flaws().await, [(Changed, 4), (Rewritten, 5), (Changed, 6), (Rewritten, 7)]);

    let closed_up = Fixture::with(9).await;
    closed_up
        .tamper(&["DELETE FROM audit_entries WHERE seq = 4", "UPDATE audit_entries SET seq = 4 WHERE seq = 5"])
        .await;
    assert_eq!(closed_up.flaws().await, [(Changed, 4), (Missing, 5)]);

    let doubled = Fixture::with(3).await;
    doubled
        .tamper(&[
            "UPDATE audit_entries SET seq = 4 WHERE seq = 3",
            "INSERT INTO audit_entries SELECT 3, created_at, actor_kind, actor_id, actor_email, action, resource_kind, resource_id,
                 value_before, value_after, address, user_agent, request_id, outcome, reason, total_bytes, previous_hash,
                 hash FROM audit_entries WHERE seq = 2",
        ])
        .await;
    assert_eq!(doubled.flaws().await, [(Changed, 3), (Changed, 4)]);

    let before_all = Fixture::with(3).await;
    before_all.tamper(&["UPDATE audit_entries SET seq = 0 WHERE seq = 1"]).await;
    assert_eq!(before_all.flaws().await[0], (FlawKind::Added, 0));

    // One entry is made anew, with a hash that is right: the next one was written after another.
    let remade = Fixture::with(9).await;
    let mut fifth = remade.all().await[4].clone();
    fifth.after = Some("{}".to_owned());
    let hash = super::chain::hash(&fifth);
    let rewrite = move |tx: &mut Tx<'_>| {
        tx.execute("UPDATE audit_entries SET value_after = '{}', hash = $1 WHERE seq = 5", &[hash.as_slice().into()])
    };
    remade.db.write::<_, db::Error>(&remade.main, rewrite).await.expect("rewritten");
    assert_eq!(remade.flaws().await, [(Rewritten, 6)]);
}

/// Whoever has the file makes the whole chain anew, so that it is whole in itself.
#[tokio::test]
async fn a_chain_that_was_made_anew_is_found_by_what_was_noted_elsewhere() {
    let fixture = Fixture::with(5).await;
    let head = fixture.head().await;
    fixture.checkpoint(5).await;
    fixture.append(6, 9).await;
    let later = fixture.head().await;
    fixture.tamper(&["DELETE FROM audit_entries"]).await;
    fixture.append(21, 29).await;

    let found = fixture.verify(Some(&later)).await;

    let told: Vec<_> = found.flaws.iter().map(|it| (it.kind, it.seq, it.detail.as_str())).collect();
    assert_eq!(
        told,
        [
            (
                FlawKind::Rewritten,
                5,
                "entry 5 is another one than the one that the checkpoint of 1970-01-06T00:00:00.000Z noted"
            ),
            (FlawKind::Rewritten, 9, "entry 9 is another one than the one that was expected"),
        ]
    );
    assert_eq!(fixture.verify(Some(&head)).await.flaws.len(), 2);
    let without_checkpoint = Fixture::with(9).await;
    assert!(without_checkpoint.verify(Some(&without_checkpoint.head().await)).await.is_whole);
}

#[tokio::test]
async fn there_is_a_checkpoint_a_day_and_none_of_what_is_broken() {
    let fixture = Fixture::with(3).await;
    fixture.checkpoint(3).await;
    fixture.append(4, 4).await;
    fixture.checkpoint(3).await;
    assert_eq!(fixture.noted().await, [3], "the same day");
    fixture.checkpoint(4).await;
    fixture.checkpoint(5).await;
    assert_eq!(fixture.noted().await, [3, 4], "nothing new");

    fixture.append(5, 6).await;
    fixture.tamper(&["UPDATE audit_entries SET action = 'auth.sign-out' WHERE seq = 5"]).await;
    fixture.checkpoint(9).await;
    assert_eq!(fixture.noted().await, [3, 4]);

    let set_back = Fixture::with(1).await;
    set_back.checkpoint(10_000).await;
    set_back.append(2, 2).await;
    set_back.checkpoint(2).await;
    assert_eq!(set_back.noted().await, [1, 2], "of a clock that was wrong once");
}

#[tokio::test]
async fn a_checkpoint_of_someone_else_counts_for_nothing_and_is_told() {
    let fixture = Fixture::with(3).await;
    let other = Fixture { seal: Seal::new(&Secret::new([8; 32])).expect("a key"), ..Fixture::with(3).await };
    let forged = other.seal.checkpoint(&other.main, 2, [1; 32], at(1));
    let main = fixture.main.clone();
    let write = move |tx: &mut Tx<'_>| store::insert_checkpoint(tx, &main, &forged);
    fixture.db.write_system::<_, db::Error>(write).await.expect("written");

    let found = fixture.verify(None).await;

    assert_eq!(found.flaws.len(), 1, "{found:?}");
    assert!(found.flaws[0].detail.contains("was not signed by this server"), "{found:?}");
}

#[tokio::test]
async fn what_is_too_old_goes_and_the_rest_can_still_be_verified() {
    let fixture = Fixture::with(9).await;
    let old = fixture.head().await.replace("9:", "2:");
    let (fourth, eighth) = (fixture.all().await[3].clone(), fixture.all().await[7].clone());
    fixture.checkpoint(9).await;

    fixture.prune(Some(5), u64::MAX, 10).await;

    let found = fixture.verify(Some(&format!("8:{}", hex(&eighth.hash)))).await;
    assert_eq!((found.entries, found.removed_to, found.is_whole, found.expected_is_removed), (5, 4, true, false));
    assert!(fixture.verify(Some(&old)).await.expected_is_removed);
    assert!(fixture.verify(Some(&format!("4:{}", hex(&fourth.hash)))).await.is_whole, "the last that was removed");
    let wrong = fixture.verify(Some(&format!("4:{}", hex(&eighth.hash)))).await;
    assert_eq!(wrong.flaws[0].kind, FlawKind::Rewritten);
    fixture.prune(Some(1), u64::MAX, 100).await;
    let found = fixture.verify(None).await;
    assert_eq!((found.entries, found.removed_to, found.is_whole), (1, 8, true), "the newest stays");
    fixture.append(101, 102).await;
    assert_eq!(fixture.flaws().await, []);
    fixture.prune(None, u64::MAX, 10_000).await;
    assert_eq!(fixture.verify(None).await.entries, 3, "for ever");
}

#[tokio::test]
async fn the_trail_takes_no_more_room_than_it_may() {
    let fixture = Fixture::with(9).await;
    let all = fixture.all().await;
    let of_five = all[8].total_bytes - all[3].total_bytes;

    fixture.prune(None, of_five.unsigned_abs(), 10).await;

    let found = fixture.verify(None).await;
    assert_eq!((found.entries, found.removed_to, found.is_whole), (5, 4, true));
}

#[tokio::test]
async fn a_beginning_that_was_cut_off_is_told_from_one_that_was_removed() {
    use FlawKind::{Added, Changed, Missing};
    for (sql, found) in [
        (&["DELETE FROM audit_entries WHERE seq = 5"][..], vec![(Missing, 5)]),
        (&["DELETE FROM audit_anchor"], vec![(Missing, 1)]),
        (
            &[
                "DELETE FROM audit_entries WHERE seq = 5",
                "UPDATE audit_anchor SET seq = 5, hash = (SELECT previous_hash FROM audit_entries WHERE seq = 6)",
            ],
            vec![(Changed, 5)],
        ),
        (
            &[
                "INSERT INTO audit_entries SELECT 2, created_at, actor_kind, actor_id, actor_email, action, resource_kind, resource_id,
                 value_before, value_after, address, user_agent, request_id, outcome, reason, total_bytes, previous_hash,
                 hash FROM audit_entries WHERE seq = 5",
            ],
            vec![(Added, 2)],
        ),
    ] {
        let fixture = Fixture::with(9).await;
        fixture.prune(Some(5), u64::MAX, 10).await;
        fixture.tamper(sql).await;

        assert_eq!(fixture.flaws().await, found, "{sql:?}");
    }
}

#[tokio::test]
async fn what_was_never_written_is_told_and_not_tripped_over() {
    let fixture = Fixture::with(5).await;
    fixture
        .tamper(&[
            "UPDATE audit_entries SET action = CAST(x'ff' AS TEXT) WHERE seq = 2",
            "UPDATE audit_entries SET hash = x'00' WHERE seq = 4",
        ])
        .await;

    let flaws = fixture.flaws().await;

    assert!(flaws.contains(&(FlawKind::Changed, 2)) && flaws.contains(&(FlawKind::Changed, 4)), "{flaws:?}");
}

#[tokio::test]
async fn a_long_trail_is_followed_piece_by_piece() {
    let fixture = Fixture::with(20_500).await;
    let expected = Some(verify::read_witness(&fixture.head().await).expect("an entry"));
    let verify = async |after| {
        verify::verify(&fixture.db, &fixture.seal, &fixture.main, after, expected.clone()).await.expect("verified")
    };

    let first = verify(None).await;
    let rest = verify(Some(first.checked_to)).await;

    assert_eq!((first.entries, first.checked_to, first.is_complete, first.is_whole), (20_000, 20_000, false, true));
    assert_eq!((rest.entries, rest.checked_to, rest.is_complete, rest.is_whole), (500, 20_500, true, true));
    let beyond = verify(Some(20_501)).await;
    assert_eq!(beyond.flaws[0].kind, FlawKind::Missing);
}
