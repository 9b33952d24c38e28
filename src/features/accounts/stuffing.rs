//! Addresses that try one pair of an account and a password after another.
//!
//! Whoever has a list of what leaked elsewhere tries each pair once, and no account is guessed at often enough to be
//! locked. So the distinct pairs that were wrong are counted by where they come from, and beyond a limit that place signs
//! nobody in for a day, but from devices that their accounts know. One password that is typed again and again is one
//! pair; and whoever gets in at last has not stuffed: the pairs of that account are forgotten.
//!
//! A pair is kept as a digest under a key of this process, in memory only and within bounds. That a place is blocked
//! outlives a restart.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;

use super::error::Error;
use super::throttle::NEIGHBOURHOOD_FACTOR;
use crate::base::text::normal;
use crate::base::{Random, Secret, Timestamp};
use crate::config::AccountsConfig;
use crate::http::{ClientAddress, SentFrom};
use crate::kv::Kv;

/// Most places of which pairs are kept, with some 300 bytes each. Past it, those go that tried nothing for longest.
const PLACES_MAX: usize = 20_000;
const BLOCKED: &str = "blocked-address/";

/// Where somebody tries from: one address, or with IPv6 what a customer or a site has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub address: IpAddr,
    /// How many bits of it count.
    pub bits: u8,
    /// Whether it is only what pages of other origins send from there ([`SentFrom`]).
    pub of_pages: bool,
}

/// What marks that in the name of a place.
const OF_PAGES: &str = "/pages";

/// A place that signs nobody in for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub place: Place,
    pub until: Timestamp,
}

/// Counts distinct wrong pairs. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Stuffing {
    key: Arc<hmac::Key>,
    tried: Arc<Mutex<HashMap<Place, Vec<Pair>>>>,
}

/// A pair that was wrong.
#[derive(Clone, Copy, Debug)]
struct Pair {
    account: u64,
    pair: u64,
    at: Timestamp,
}

impl Place {
    /// Where a request comes from: the narrow place, and the wide one if there is one.
    fn of(from: SentFrom) -> Option<(Self, Option<Self>)> {
        let (own, near) = (from.client.throttle_key()?, from.client.neighbourhood_key()?);
        let place = |address, bits| Self { address, bits, of_pages: from.by_foreign_page };
        Some(match own {
            IpAddr::V4(_) => (place(own, 32), None),
            IpAddr::V6(_) => (place(own, 64), Some(place(near, 48))),
        })
    }

    fn key(self) -> String {
        format!("{BLOCKED}{self}")
    }

    fn read(text: &str) -> Option<Self> {
        let (text, of_pages) = text.strip_suffix(OF_PAGES).map_or((text, false), |it| (it, true));
        let (address, bits) = text.split_once('/')?;
        Some(Self { address: address.parse().ok()?, bits: bits.parse().ok()?, of_pages })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}{}", self.address, self.bits, if self.of_pages { OF_PAGES } else { "" })
    }
}

/// Refuses who signs in from a place that is blocked.
pub(super) fn must_not_be_blocked(kv: &Kv, from: SentFrom, now: Timestamp) -> Result<(), Error> {
    let Some((own, site)) = Place::of(from) else { return Ok(()) };
    let blocks = [Some(own), site].into_iter().flatten().filter_map(|it| kv.find(&it.key(), now));
    match blocks.map(|it| it.resets_at).max() {
        Some(until) => Err(Error::AddressBlocked { until, wait: now.until(until) }),
        None => Ok(()),
    }
}

/// All places that are blocked now, those first that are so for longest yet.
pub(super) fn blocks(kv: &Kv, now: Timestamp) -> Vec<Block> {
    let kept = kv.list(BLOCKED, now);
    let read = |(key, count): (String, crate::kv::Count)| {
        Some(Block { place: Place::read(key.strip_prefix(BLOCKED)?)?, until: count.resets_at })
    };
    let mut blocks: Vec<_> = kept.into_iter().filter_map(read).collect();
    blocks.sort_by_key(|it| (std::cmp::Reverse(it.until), it.place.address));
    blocks
}

impl Stuffing {
    pub fn new(random: &Random) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random.bytes::<32>());
        Self { key: Arc::new(key), tried: Arc::default() }
    }

    /// A pair was wrong. Tells what is blocked by that, if anything is.
    pub(super) fn was_wrong(
        &self,
        kv: &Kv,
        config: &AccountsConfig,
        from: SentFrom,
        account: &str,
        password: &Secret<String>,
        now: Timestamp,
    ) -> Option<Block> {
        let most = usize::try_from(config.distinct_guesses_max).unwrap_or(usize::MAX);
        let (own, site) = Place::of(from).filter(|_| 0 < most)?;
        let window = Duration::from_secs(config.distinct_guesses_window_secs);
        let pair = Pair { account: self.digest(account, ""), pair: self.digest(account, password.reveal()), at: now };
        let wide = most.saturating_mul(NEIGHBOURHOOD_FACTOR as usize);
        let mut tried = self.lock();
        let is_over = |(place, most): (Place, usize)| add(&mut tried, place, pair, most, window, now).then_some(place);
        let full: Vec<_> =
            [Some((own, most)), site.map(|it| (it, wide))].into_iter().flatten().filter_map(is_over).collect();
        drop(tried);
        let lasts = Duration::from_secs(config.address_block_secs);
        let block = |place: Place| Block { place, until: kv.count_up(&place.key(), lasts, now).resets_at };
        let blocks: Vec<_> = full.into_iter().map(block).collect();
        if !blocks.is_empty() {
            kv.hurry();
        }
        blocks.last().copied()
    }

    /// Somebody got into an account: what they tried before for it was no stuffing.
    pub(super) fn was_right(&self, from: SentFrom, account: &str) {
        let Some((own, site)) = Place::of(from) else { return };
        let account = self.digest(account, "");
        let mut tried = self.lock();
        for place in [Some(own), site].into_iter().flatten() {
            if let Some(pairs) = tried.get_mut(&place) {
                pairs.retain(|it| it.account != account);
                if pairs.is_empty() {
                    tried.remove(&place);
                }
            }
        }
    }

    /// Lifts the blocks that an address is under, and forgets what was tried there. False if there was none.
    pub(super) fn lift(&self, kv: &Kv, address: IpAddr, now: Timestamp) -> bool {
        let client = ClientAddress(Some(address.to_canonical()));
        let both = [false, true].map(|by_foreign_page| Place::of(SentFrom { client, by_foreign_page }));
        let mut lifted = false;
        for place in both.into_iter().flatten().flat_map(|(own, site)| [Some(own), site]).flatten() {
            self.lock().remove(&place);
            if kv.find(&place.key(), now).is_some() {
                kv.forget(&place.key());
                lifted = true;
            }
        }
        lifted
    }

    /// So much of a keyed digest that two of one place hardly ever meet.
    fn digest(&self, account: &str, password: &str) -> u64 {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(account.as_bytes());
        context.update(b"\0");
        context.update(Secret::new(normal(password)).reveal().as_bytes());
        let mut number = [0; 8];
        number.copy_from_slice(&context.sign().as_ref()[..8]);
        u64::from_be_bytes(number)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Vec<Pair>>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds a pair to those of a place, unless it is there. True if there are `most` now: then all are forgotten, and the place
/// is to be blocked.
fn add(
    tried: &mut HashMap<Place, Vec<Pair>>,
    place: Place,
    pair: Pair,
    most: usize,
    window: Duration,
    now: Timestamp,
) -> bool {
    if PLACES_MAX <= tried.len() && !tried.contains_key(&place) {
        make_room(tried, window, now);
    }
    let pairs = tried.entry(place).or_default();
    pairs.retain(|it| now < it.at.plus(window));
    match pairs.iter_mut().find(|it| it.pair == pair.pair) {
        Some(same) => same.at = now,
        None => pairs.push(pair),
    }
    let is_over = most <= pairs.len();
    if is_over {
        tried.remove(&place);
    }
    is_over
}

/// Forgets places whose pairs are too old and, if that frees less than a quarter, the half that tried nothing for longest.
fn make_room(tried: &mut HashMap<Place, Vec<Pair>>, window: Duration, now: Timestamp) {
    let last = |pairs: &[Pair]| pairs.iter().map(|it| it.at).max();
    tried.retain(|_, pairs| last(pairs).is_some_and(|at| now < at.plus(window)));
    if tried.len() <= PLACES_MAX / 4 * 3 {
        return;
    }
    let mut moments: Vec<_> = tried.values().map(|it| last(it)).collect();
    let middle = moments.len() / 2;
    let median = *moments.select_nth_unstable(middle).1;
    let mut surplus = middle;
    tried.retain(|_, pairs| {
        let goes = last(pairs) <= median && 0 < surplus;
        surplus -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ground {
        kv: Kv,
        config: AccountsConfig,
        stuffing: Stuffing,
    }

    impl Ground {
        fn new() -> Self {
            let config = AccountsConfig { distinct_guesses_max: 3, ..AccountsConfig::default() };
            Self { kv: Kv::in_memory(), config, stuffing: Stuffing::new(&Random::system()) }
        }

        /// Whether this wrong pair blocks something, so many seconds after the beginning.
        fn try_at(&self, secs: i64, address: &str, account: &str, password: &str) -> Option<String> {
            let (from, password) = (ClientAddress(address.parse().ok()).into(), Secret::new(password.to_owned()));
            let now = Timestamp::from_millis(secs * 1_000);
            let block = self.stuffing.was_wrong(&self.kv, &self.config, from, account, &password, now);
            block.map(|it| it.place.to_string())
        }

        fn is_blocked(&self, secs: i64, address: &str) -> bool {
            let from = ClientAddress(address.parse().ok()).into();
            must_not_be_blocked(&self.kv, from, Timestamp::from_millis(secs * 1_000)).is_err()
        }
    }

    #[test]
    fn distinct_pairs_block_their_address_and_no_other_until_the_time_is_over() {
        let it = Ground::new();
        assert_eq!(it.try_at(0, "10.0.0.1", "a", "x"), None);
        assert_eq!(it.try_at(0, "10.0.0.1", "b", "x"), None);
        assert!(!it.is_blocked(0, "10.0.0.1"));

        assert_eq!(it.try_at(5, "10.0.0.1", "a", "y").as_deref(), Some("10.0.0.1/32"));

        assert!(it.is_blocked(5, "10.0.0.1") && !it.is_blocked(5, "10.0.0.2"));
        assert!(it.is_blocked(86_404, "10.0.0.1") && !it.is_blocked(86_405, "10.0.0.1"));
        let blocks = blocks(&it.kv, Timestamp::from_millis(5_000));
        assert_eq!(blocks.iter().map(|it| it.place.to_string()).collect::<Vec<_>>(), ["10.0.0.1/32"]);
    }

    /// A program that has an old password tries it for ever.
    #[test]
    fn one_pair_again_and_again_is_one_however_it_is_typed() {
        let it = Ground::new();

        for secs in 0..100 {
            let password = if secs % 2 == 0 { "j\u{fc}rgen" } else { "ju\u{308}rgen" };
            assert_eq!(it.try_at(secs, "10.0.0.1", "a", password), None);
        }
    }

    #[test]
    fn a_pair_counts_for_as_long_as_the_window_and_no_longer() {
        let it = Ground::new();
        it.try_at(0, "10.0.0.1", "a", "x");
        it.try_at(1, "10.0.0.1", "b", "x");

        assert_eq!(it.try_at(10_800, "10.0.0.1", "c", "x"), None, "the first is too old by then");
        assert!(it.try_at(10_800, "10.0.0.1", "d", "x").is_some());
    }

    #[test]
    fn who_gets_in_at_last_has_not_stuffed() {
        let it = Ground::new();
        for password in ["x", "y"] {
            it.try_at(0, "10.0.0.1", "a", password);
        }

        it.stuffing.was_right(ClientAddress("10.0.0.1".parse().ok()).into(), "a");

        assert_eq!(it.try_at(0, "10.0.0.1", "b", "x"), None);
        assert_eq!(it.try_at(0, "10.0.0.1", "b", "y"), None);
        assert!(it.try_at(0, "10.0.0.1", "c", "x").is_some(), "the pairs of others stay");
    }

    /// Their visitors know nothing of it.
    #[test]
    fn what_pages_of_other_origins_send_blocks_such_pages_alone() {
        let it = Ground::new();
        let client = ClientAddress("10.0.0.1".parse().ok());
        let (page, now) = (SentFrom { client, by_foreign_page: true }, Timestamp::from_millis(0));
        let password = Secret::new("x".to_owned());
        let send = |account: &str| it.stuffing.was_wrong(&it.kv, &it.config, page, account, &password, now);

        let blocked = ["a", "b", "c"].map(|it| send(it).map(|it| it.place.to_string()));

        assert_eq!(blocked, [None, None, Some("10.0.0.1/32/pages".to_owned())]);
        assert!(must_not_be_blocked(&it.kv, page, now).is_err() && !it.is_blocked(0, "10.0.0.1"));
        assert!(blocks(&it.kv, now)[0].place.of_pages);
        assert!(it.stuffing.lift(&it.kv, "10.0.0.1".parse().expect("an address"), now));
        assert!(must_not_be_blocked(&it.kv, page, now).is_ok());
    }

    /// One customer of a provider has 2^64 addresses, and a site has 65,536 of those.
    #[test]
    fn with_ipv6_a_customer_counts_as_one_and_a_site_has_ten_times_as_many() {
        let it = Ground::new();
        for n in 1..=2 {
            assert_eq!(it.try_at(0, &format!("2001:db8::{n}"), &format!("user{n}"), "x"), None);
        }
        assert_eq!(it.try_at(0, "2001:db8::ffff", "user3", "x").as_deref(), Some("2001:db8::/64"));
        assert!(it.is_blocked(0, "2001:db8::7") && !it.is_blocked(0, "2001:db8:0:1::1"));

        let blocked = (4..=30).find_map(|n| it.try_at(0, &format!("2001:db8:0:{n:x}::1"), &format!("user{n}"), "x"));

        assert_eq!(blocked.as_deref(), Some("2001:db8::/48"));
        assert!(it.is_blocked(0, "2001:db8:0:ffff::1") && !it.is_blocked(0, "2001:db8:1::1"));
        assert!(it.stuffing.lift(&it.kv, "2001:db8::1".parse().expect("an address"), Timestamp::from_millis(0)));
        assert!(!it.is_blocked(0, "2001:db8::7") && !it.is_blocked(0, "2001:db8:0:ffff::1"));
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_than_its_room() {
        let it = Ground::new();
        for n in 0..u32::try_from(PLACES_MAX).expect("small") * 2 {
            it.try_at(i64::from(n) / 1_000, &std::net::Ipv4Addr::from(n).to_string(), "a", "x");
        }

        assert!(it.stuffing.lock().len() <= PLACES_MAX);
    }
}
