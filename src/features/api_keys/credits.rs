//! Credits: how many calls a key has left, filled up by the day or by the month.
//!
//! A request is to cost no write, so what is left is counted in memory and written every few seconds (`usage.rs`). A
//! server that is killed gives back what was spent in the last of them; one that is told to stop forgets nothing.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::civil::{Date, date};
use poem_openapi::types::{Example, MaybeUndefined};
use poem_openapi::{Enum, Object};

use super::model::ApiKey;
use super::store;
use crate::base::{ApiKeyId, TenantId, Timestamp};
use crate::db::{self, Class, Db};
use crate::http::Fault;

/// Most credits: what every client reads as a number without loss.
const CREDITS_MAX: u64 = 1_000_000_000_000;
/// Balances written in one transaction, so that others are not held up.
const BATCH: usize = 500;
/// For how long a balance that is written stays in memory after its last use. What a gate believes of a key is younger.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
const DAY_MILLIS: i64 = 86_400_000;

/// How often credits are filled up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "ApiKeyRefillInterval", rename_all = "lowercase")]
pub enum Interval {
    Daily,
    Monthly,
}

impl Interval {
    const ALL: [Self; 2] = [Self::Daily, Self::Monthly];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Monthly => "monthly",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// To what the credits of a key are filled up, and when: at midnight, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Object)]
#[oai(rename = "ApiKeyRefill", example, rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none)]
pub struct Refill {
    /// Who has more keeps it; what is left is not added.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000000000")))]
    pub amount: u64,
    pub interval: Interval,
    /// With `monthly`, the day of the month; in a shorter month its last. Absent: the first.
    #[oai(validator(minimum(value = "1"), maximum(value = "31")))]
    pub day: Option<u8>,
}

impl Example for Refill {
    fn example() -> Self {
        Self { amount: 10_000, interval: Interval::Monthly, day: Some(1) }
    }
}

impl Refill {
    /// The last time at or before `now` at which credits are filled up, and the first after it.
    fn around(self, now: Timestamp) -> (Timestamp, Timestamp) {
        let day = now.millis().div_euclid(DAY_MILLIS);
        let at = |day: i64| Timestamp::from_millis(day.saturating_mul(DAY_MILLIS));
        if self.interval == Interval::Daily {
            return (at(day), at(day + 1));
        }
        let epoch = date(1970, 1, 1);
        let days_since = |it: Date| i64::from((it - epoch).get_days());
        let Ok(today) = epoch.checked_add(jiff::Span::new().days(day)) else { return (at(day), at(day + 1)) };
        // In a shorter month its last day.
        let in_month = |first: Date| first.with().day(self.day_of(first)).build().unwrap_or(first);
        let (this, next) = (today.first_of_month(), today.last_of_month().tomorrow().unwrap_or(Date::MAX));
        let before = this.yesterday().map_or(this, Date::first_of_month);
        let due = in_month(this);
        let (last, next) = if due <= today { (due, in_month(next)) } else { (in_month(before), due) };
        (at(days_since(last)), at(days_since(next)))
    }

    fn day_of(self, month: Date) -> i8 {
        let day = i8::try_from(self.day.unwrap_or(1)).unwrap_or(i8::MAX);
        day.clamp(1, month.days_in_month())
    }
}

/// The calls that a key has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Object)]
#[oai(rename = "ApiKeyCredits", example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct Credits {
    pub remaining: u64,
    /// Absent: they are never filled up.
    pub refill: Option<Refill>,
    /// When that happens next.
    pub refills_at: Option<Timestamp>,
}

impl Credits {
    /// What they are at `now`, if they were filled up, or given, last at `refilled_at`.
    pub(super) fn at(self, refilled_at: Timestamp, now: Timestamp) -> Self {
        let Some(refill) = self.refill else { return self };
        let (last, next) = refill.around(now);
        let remaining = if refilled_at < last { self.remaining.max(refill.amount) } else { self.remaining };
        Self { remaining, refills_at: Some(next), ..self }
    }
}

impl Example for Credits {
    fn example() -> Self {
        let refill = Refill::example();
        Self { remaining: 9_214, refill: Some(refill), refills_at: Some(Timestamp::example()) }
    }
}

/// What someone sends to have the calls of a key counted.
#[derive(Clone, Debug, Object)]
#[oai(rename = "NewApiKeyCredits", example, rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCredits {
    /// How many calls it has left. Absent: what it has, or what a refill gives.
    #[oai(validator(maximum(value = "1000000000000")))]
    pub remaining: Option<u64>,
    /// `null`: never filled up. Absent: as it was.
    pub refill: MaybeUndefined<Refill>,
}

impl NewCredits {
    /// What is wrong with them, for a key that has none yet if `are_first`.
    pub(super) fn check(&self, are_first: bool, faults: &mut Vec<Fault>) {
        let refill = self.refill.value();
        if are_first && self.remaining.is_none() && refill.is_none() {
            faults.push(Fault::new("/credits/remaining", "required", "is needed where there is no `refill`"));
        }
        if let Some(Refill { interval: Interval::Daily, day: Some(_), .. }) = refill {
            faults.push(Fault::new("/credits/refill/day", "not-allowed", "is for `monthly` alone"));
        }
    }

    /// What a key with these has from `now` on. Credits that are given anew begin a grant of their own: what calls spend at
    /// this moment is of the one before.
    pub(super) fn give(&self, key: &mut ApiKey, now: Timestamp) {
        let before = key.credits;
        let refill = match &self.refill {
            MaybeUndefined::Undefined => before.and_then(|it| it.refill),
            MaybeUndefined::Null => None,
            MaybeUndefined::Value(refill) => Some(*refill),
        };
        let remaining = match (self.remaining, before) {
            (None, Some(before)) => before.remaining,
            (given, _) => {
                (key.refilled_at, key.credits_grant) = (Some(now), key.credits_grant + 1);
                given.or(refill.map(|it| it.amount)).unwrap_or_default().min(CREDITS_MAX)
            }
        };
        key.credits = Some(Credits { remaining, refill, refills_at: None });
    }
}

impl Example for NewCredits {
    fn example() -> Self {
        Self { remaining: Some(10_000), refill: MaybeUndefined::Value(Refill::example()) }
    }
}

/// Has the calls of a key counted no more.
pub(super) fn take(key: &mut ApiKey) {
    (key.credits, key.refilled_at, key.credits_grant) = (None, None, key.credits_grant + 1);
}

/// The credits of a key, as the database had them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    credits: Credits,
    refilled_at: Timestamp,
    grant: i64,
}

impl Given {
    pub(super) fn of(key: &ApiKey) -> Option<Self> {
        let credits = key.credits?;
        let refilled_at = key.refilled_at.unwrap_or(key.created_at);
        Some(Self { credits, refilled_at, grant: key.credits_grant })
    }
}

/// What keys have left. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Balances {
    by_key: Arc<Mutex<HashMap<ApiKeyId, Balance>>>,
    /// Two who write at once could write the older of two balances last.
    writing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone, Copy, Debug)]
struct Balance {
    grant: i64,
    remaining: u64,
    refilled_at: Timestamp,
    used_at: Timestamp,
    is_unwritten: bool,
}

impl Balances {
    /// Takes `cost` credits, and says how many are left then; or, if there are too few, when there are more.
    pub(super) fn spend(
        &self,
        key: ApiKeyId,
        given: &Given,
        cost: u64,
        now: Timestamp,
    ) -> Result<Credits, Option<Timestamp>> {
        let mut by_key = self.lock();
        let from = |it: &Given| Balance {
            grant: it.grant,
            remaining: it.credits.remaining,
            refilled_at: it.refilled_at,
            used_at: now,
            is_unwritten: false,
        };
        let balance = by_key.entry(key).or_insert_with(|| from(given));
        // Whoever read the key before credits were given anew knows an older grant, which is over.
        if balance.grant < given.grant {
            *balance = from(given);
        }
        balance.used_at = now;
        let credits = Credits { remaining: balance.remaining, ..given.credits }.at(balance.refilled_at, now);
        // Also if there was enough: it is not to be filled up later in the same time.
        if given.credits.refill.is_some_and(|it| balance.refilled_at < it.around(now).0) {
            (balance.remaining, balance.refilled_at, balance.is_unwritten) = (credits.remaining, now, true);
        }
        let Some(remaining) = balance.remaining.checked_sub(cost) else { return Err(credits.refills_at) };
        balance.is_unwritten |= 0 < cost;
        balance.remaining = remaining;
        Ok(Credits { remaining, ..credits })
    }

    /// Gives back what a call took that was refused.
    pub(super) fn give_back(&self, key: ApiKeyId, grant_of: &Given, cost: u64) {
        if let Some(balance) = self.lock().get_mut(&key).filter(|it| it.grant == grant_of.grant) {
            balance.remaining = balance.remaining.saturating_add(cost).min(CREDITS_MAX);
            balance.is_unwritten = true;
        }
    }

    /// A key with what it has left at this moment.
    pub(super) fn shown(&self, mut key: ApiKey, now: Timestamp) -> ApiKey {
        let balance = self.lock().get(&key.id).copied().filter(|it| it.grant == key.credits_grant);
        if let (Some(credits), Some(balance)) = (&mut key.credits, balance) {
            credits.remaining = balance.remaining;
            key.refilled_at = Some(balance.refilled_at);
        }
        key.at(now)
    }

    /// Writes what changed. What cannot be written waits for the next time.
    pub(super) async fn flush(&self, db: &Db, tenant: &TenantId, now: Timestamp) -> Result<(), db::Error> {
        let _alone = self.writing.lock().await;
        let changed = self.take_unwritten(now);
        for (index, batch) in changed.chunks(BATCH).enumerate() {
            let written = batch.to_vec();
            let write = move |tx: &mut db::Tx<'_>| {
                written
                    .iter()
                    .try_for_each(|(key, it)| store::set_balance(tx, *key, it.grant, it.remaining, it.refilled_at))
            };
            if let Err(cause) = db.write_as(Class::BULK, tenant, write).await {
                let mut by_key = self.lock();
                for (key, _) in changed.iter().skip(index * BATCH) {
                    if let Some(balance) = by_key.get_mut(key) {
                        balance.is_unwritten = true;
                    }
                }
                return Err(cause);
            }
        }
        Ok(())
    }

    /// What is to be written; what was written and nobody uses is forgotten.
    fn take_unwritten(&self, now: Timestamp) -> Vec<(ApiKeyId, Balance)> {
        let mut by_key = self.lock();
        by_key.retain(|_, it| it.is_unwritten || now < it.used_at.plus(REMEMBERED_FOR));
        let unwritten = by_key.iter_mut().filter(|(_, it)| it.is_unwritten);
        unwritten
            .map(|(key, balance)| {
                balance.is_unwritten = false;
                (*key, *balance)
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ApiKeyId, Balance>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn monthly(day: u8) -> Refill {
        Refill { amount: 10, interval: Interval::Monthly, day: Some(day) }
    }

    #[test]
    fn credits_are_filled_up_at_midnight_and_in_a_shorter_month_on_its_last_day() {
        let daily = Refill { amount: 10, interval: Interval::Daily, day: None };
        for (refill, now, last, next) in [
            (daily, "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
            (daily, "2026-02-28T23:59:59.999Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"),
            (monthly(1), "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            (monthly(31), "2026-02-27T12:00:00Z", "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"),
            (monthly(31), "2026-02-28T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"),
            (monthly(30), "2028-02-29T12:00:00Z", "2028-02-29T00:00:00Z", "2028-03-30T00:00:00Z"),
            (monthly(15), "2026-01-14T23:00:00Z", "2025-12-15T00:00:00Z", "2026-01-15T00:00:00Z"),
            (monthly(15), "1969-12-14T23:00:00Z", "1969-11-15T00:00:00Z", "1969-12-15T00:00:00Z"),
        ] {
            assert_eq!(refill.around(at(now)), (at(last), at(next)), "{refill:?} {now}");
        }
    }

    #[test]
    fn what_is_spent_is_gone_until_it_is_filled_up_and_a_new_grant_begins_anew() {
        let (balances, key) = (Balances::default(), ApiKeyId::example());
        let refill = Some(Refill { amount: 3, interval: Interval::Daily, day: None });
        let credits = Credits { remaining: 2, refill, refills_at: None };
        let (today, tomorrow) = (at("2026-03-01T10:00:00Z"), at("2026-03-02T00:00:00Z"));
        let given = Given { credits, refilled_at: today, grant: 1 };
        let spend = |given: &Given, cost, now| balances.spend(key, given, cost, now).map(|it| it.remaining);

        assert_eq!(spend(&given, 1, today), Ok(1));
        assert_eq!(spend(&given, 2, today), Err(Some(tomorrow)));
        assert_eq!(spend(&given, 1, today), Ok(0));
        assert_eq!(spend(&given, 1, today), Err(Some(tomorrow)));
        assert_eq!(spend(&given, 1, tomorrow), Ok(2));
        balances.give_back(key, &given, 1);
        assert_eq!(spend(&given, 0, tomorrow), Ok(3));
        let more = Given { credits: Credits { remaining: 100, ..credits }, refilled_at: tomorrow, grant: 2 };
        assert_eq!(spend(&more, 1, tomorrow), Ok(99));
        // Somebody who read the key before.
        assert_eq!(spend(&given, 1, tomorrow), Ok(98));
        balances.give_back(key, &given, 50);
        assert_eq!(spend(&more, 0, tomorrow), Ok(98));
    }

    #[test]
    fn whoever_had_more_at_the_time_of_a_refill_gets_none_later_in_the_same_day() {
        let (balances, key) = (Balances::default(), ApiKeyId::example());
        let refill = Some(Refill { amount: 3, interval: Interval::Daily, day: None });
        let credits = Credits { remaining: 5, refill, refills_at: None };
        let given = Given { credits, refilled_at: at("2026-03-01T10:00:00Z"), grant: 1 };
        let tomorrow = at("2026-03-02T00:00:00Z");
        let spend = |now| balances.spend(key, &given, 1, now).map(|it| it.remaining).ok();

        assert_eq!([(); 6].map(|()| spend(tomorrow)), [Some(4), Some(3), Some(2), Some(1), Some(0), None]);
        assert_eq!(spend(at("2026-03-03T00:00:00Z")), Some(2));
    }

    #[test]
    fn what_is_given_back_is_written() {
        let (balances, key, now) = (Balances::default(), ApiKeyId::example(), at("2026-03-01T10:00:00Z"));
        let credits = Credits { remaining: 2, refill: None, refills_at: None };
        let given = Given { credits, refilled_at: now, grant: 1 };
        let written = || balances.take_unwritten(now).into_iter().map(|(_, it)| it.remaining).collect::<Vec<_>>();

        assert!(balances.spend(key, &given, 1, now).is_ok());
        assert_eq!((written(), written()), (vec![1], vec![]));
        balances.give_back(key, &given, 1);
        assert_eq!(written(), [2]);
    }

    #[test]
    fn a_refill_takes_nothing_from_who_has_more() {
        let credits = Credits { remaining: 50, refill: Some(monthly(1)), refills_at: None };

        let filled = credits.at(at("2026-01-15T00:00:00Z"), at("2026-02-01T00:00:00Z"));

        assert_eq!((filled.remaining, filled.refills_at), (50, Some(at("2026-03-01T00:00:00Z"))));
    }
}
