//! Following the chain through the database, some entries at a time.
use data_encoding::HEXLOWER;

use super::chain::{Hash, NOTHING_BEFORE, Walk, Witness};
use super::model::{FlawKind, Verification};
use super::seal::Seal;
use super::store;
use crate::base::TenantId;
use crate::db::{self, Db, Tx};

/// Entries of one read: some milliseconds.
const PAGE: i64 = 1_000;
/// Entries of one request. Whoever follows a longer trail asks again.
const ENTRIES_MAX: u64 = 20_000;

/// Reads `SEQ:HASH`, as the head of a trail is written down.
pub(super) fn read_witness(text: &str) -> Option<Witness> {
    let (seq, hash) = text.split_once(':')?;
    let seq = seq.parse().ok().filter(|it| 0 <= *it)?;
    let hash: Hash = HEXLOWER.decode(hash.to_ascii_lowercase().as_bytes()).ok()?.try_into().ok()?;
    Some(Witness { seq, hash, who: "the one that was expected".to_owned() })
}

/// Where a walk begins, and how far it goes.
struct Begin {
    walk: Walk,
    removed_to: i64,
    newest: i64,
}

/// Follows the chain after an entry, or from its beginning.
pub(super) async fn verify(
    db: &Db,
    seal: &Seal,
    tenant: &TenantId,
    after: Option<i64>,
    expected: Option<Witness>,
) -> Result<Verification, db::Error> {
    // Before the newest entry is looked for: what was noted by then is there, or was cut.
    let of = tenant.clone();
    let noted = db.read_system(move |tx| store::checkpoints(tx, &of, after.unwrap_or(0))).await?;
    let (mut witnesses, mut forged) = (Vec::new(), Vec::new());
    for it in noted {
        if seal.is_checkpoint(tenant, &it) {
            let who = format!("the one that the checkpoint of {} noted", it.at);
            witnesses.push(Witness { seq: it.seq, hash: it.hash, who });
        } else {
            forged.push((it.seq, format!("the checkpoint of {} was not signed by this server", it.at)));
        }
    }
    let expected_seq = expected.as_ref().map(|it| it.seq);
    witnesses.extend(expected);
    let (own, of) = (seal.clone(), tenant.clone());
    let begin = db.read(tenant, move |tx| begin(tx, &own, &of, after, witnesses.clone())).await?;
    let Begin { mut walk, mut removed_to, newest } = begin;
    for (seq, detail) in forged {
        walk.note(seq, FlawKind::Changed, detail);
    }
    let mut is_complete = newest < walk.next();
    while !is_complete && walk.entries < ENTRIES_MAX {
        let (own, of, known) = (seal.clone(), tenant.clone(), walk.clone());
        (walk, removed_to) = db.read(tenant, move |tx| page(tx, &own, &of, known.clone(), newest)).await?;
        is_complete = newest < walk.next();
    }
    if is_complete {
        walk.end();
    }
    Ok(Verification {
        entries: walk.entries,
        checked_to: walk.next() - 1,
        is_complete,
        removed_to,
        is_whole: walk.flaws.is_empty(),
        expected_is_removed: expected_seq.is_some_and(|it| it < removed_to),
        flaws: walk.flaws,
    })
}

fn begin(
    tx: &mut Tx<'_>,
    seal: &Seal,
    tenant: &TenantId,
    after: Option<i64>,
    witnesses: Vec<Witness>,
) -> Result<Begin, db::Error> {
    let newest = store::head(tx)?.map_or(0, |(seq, _)| seq);
    let anchor = store::anchor(tx)?;
    let (removed_to, removed) = anchor.as_ref().map_or((0, NOTHING_BEFORE), |it| (it.seq, it.hash));
    let after = after.unwrap_or(0);
    if removed_to < after {
        let found = store::find_hash(tx, after)?;
        let mut walk = Walk::after(after, found.unwrap_or(NOTHING_BEFORE), witnesses);
        if found.is_none() {
            walk.note(after, FlawKind::Missing, format!("entry {after} is missing"));
        }
        return Ok(Begin { walk, removed_to, newest });
    }
    let met = witnesses.iter().find(|it| it.seq == removed_to && it.hash != removed).map(|it| it.who.clone());
    let mut walk = Walk::after(removed_to, removed, witnesses);
    if let Some(who) = met {
        walk.note(removed_to, FlawKind::Rewritten, format!("entry {removed_to} was another one than {who}"));
    }
    if anchor.is_some_and(|it| !seal.is_anchor(tenant, &it)) {
        let detail = format!("that the entries up to {removed_to} were removed was not signed by this server");
        walk.note(removed_to, FlawKind::Changed, detail);
    }
    if let Some(oldest) = store::oldest(tx)?.filter(|it| *it <= removed_to) {
        walk.note(oldest, FlawKind::Added, format!("entry {oldest} stands where no entry is any more"));
    }
    Ok(Begin { walk, removed_to, newest })
}

/// Follows the chain through some entries up to `newest`. Tells up to which one entries were removed by now.
fn page(
    tx: &mut Tx<'_>,
    seal: &Seal,
    tenant: &TenantId,
    mut walk: Walk,
    newest: i64,
) -> Result<(Walk, i64), db::Error> {
    // Those that are to come may have been removed meanwhile, for their age.
    let anchor = store::anchor(tx)?.filter(|it| seal.is_anchor(tenant, it));
    let removed_to = anchor.as_ref().map_or(0, |it| it.seq);
    if let Some(anchor) = anchor.filter(|it| walk.next() <= it.seq) {
        walk.skip_to(anchor.seq, anchor.hash);
    }
    let before = walk.entries;
    store::each_after(tx, walk.next() - 1, newest, PAGE, &mut |row| {
        match store::read(row) {
            Ok(kept) => walk.step(&kept),
            Err(db::Error::Column { .. }) => walk.step_unreadable(row.integer(0)?, store::hash_of(row)),
            Err(error) => return Err(error),
        }
        Ok(())
    })?;
    if walk.entries == before {
        walk.nothing_until(newest);
    }
    Ok((walk, removed_to))
}
