//! Where dice fall: the operating system, or a counter in tests.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

use super::{Clock, Id};

/// Bits of a UUIDv7 that count within its millisecond.
const COUNT_BITS: u32 = 12;

/// Throws dice. Cheap to clone; all clones of a counting one count together.
#[derive(Clone, Debug)]
pub struct Random(Source);

#[derive(Clone, Debug)]
enum Source {
    /// With the millisecond and the count within it of the last id.
    System(Arc<AtomicU64>),
    Counting(Arc<AtomicU64>),
}

impl Random {
    /// The operating system's generator.
    pub fn system() -> Self {
        Self(Source::System(Arc::default()))
    }

    /// Counts up from one, so that a test's ids and secrets are the same in every run.
    /// Never for a server: what it makes can be guessed.
    pub fn counting() -> Self {
        Self(Source::Counting(Arc::new(AtomicU64::new(0))))
    }

    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Source::System(_) => {
                #[expect(clippy::expect_used, reason = "a machine without randomness must not make secrets")]
                getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
            }
            Source::Counting(count) => {
                let count = (count.fetch_add(1, Ordering::Relaxed) + 1).to_be_bytes();
                let taken = N.min(count.len());
                bytes[N - taken..].copy_from_slice(&count[count.len() - taken..]);
            }
        }
        bytes
    }

    /// A UUIDv7: ids made later sort later. Within a millisecond they are counted (RFC 9562, section 6.2, method 1);
    /// a millisecond of more than 4,096 ids, and a clock that is set back, borrow from the time to come.
    pub fn uuid_v7(&self, clock: &Clock) -> Uuid {
        let mut bytes = self.bytes::<10>();
        let millis = match &self.0 {
            Source::Counting(_) => 0,
            Source::System(last) => {
                let now = u64::try_from(clock.now().millis()).unwrap_or(0) << COUNT_BITS;
                let next = |last: u64| now.max(last.saturating_add(1));
                let before = last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
                let moment = next(before.unwrap_or_else(|last| last));
                let [.., high, low] = (moment % (1 << COUNT_BITS)).to_be_bytes();
                (bytes[0], bytes[1]) = (high, low);
                moment >> COUNT_BITS
            }
        };
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }

    pub fn id<Thing>(&self, clock: &Clock) -> Id<Thing> {
        Id::from_uuid(self.uuid_v7(clock))
    }

    /// A secret of 256 bits for a person or program to hold: `<prefix>_<43 characters>`.
    pub fn token(&self, prefix: &str) -> String {
        format!("{prefix}_{}", BASE64URL_NOPAD.encode(&self.bytes::<32>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    /// Snapshots of answers need no redaction, because ids count up.
    #[test]
    fn counted_ids_count_up() {
        let (random, clock) = (Random::counting(), Clock::stopped_at(Timestamp::from_millis(0)));

        assert_eq!(random.uuid_v7(&clock).to_string(), "00000000-0000-7000-8000-000000000001");
        assert_eq!(random.clone().uuid_v7(&clock).to_string(), "00000000-0000-7000-8000-000000000002");
    }

    #[test]
    fn ids_of_later_milliseconds_sort_later() {
        let random = Random::system();
        let earlier = random.uuid_v7(&Clock::stopped_at(Timestamp::from_millis(1_700_000_000_000)));
        let later = random.uuid_v7(&Clock::stopped_at(Timestamp::from_millis(1_700_000_000_001)));

        assert!(earlier < later);
        assert_eq!(later.get_version_num(), 7);
    }

    /// The order of ids is that of an import's lines, and the default order of every list.
    #[test]
    fn ids_of_one_millisecond_sort_as_they_were_made() {
        let (random, clock) = (Random::system(), Clock::stopped_at(Timestamp::from_millis(1_700_000_000_000)));
        let ids: Vec<_> = (0..10_000).map(|_| random.uuid_v7(&clock)).collect();

        assert!(ids.is_sorted_by(|earlier, later| earlier < later));
        let set_back = random.uuid_v7(&Clock::stopped_at(Timestamp::from_millis(1_600_000_000_000)));
        assert!(ids.last() < Some(&set_back));
    }

    #[test]
    fn two_tokens_differ() {
        let random = Random::system();

        assert_ne!(random.token("rt"), random.token("rt"));
        assert_eq!(random.token("rt").len(), "rt_".len() + 43);
    }
}
