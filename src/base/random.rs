//! Where dice fall: the operating system, or a counter in tests.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

use super::{Clock, Id};

/// Throws dice. Cheap to clone; all clones of a counting one count together.
#[derive(Clone, Debug)]
pub struct Random(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Counting(Arc<AtomicU64>),
}

impl Random {
    /// The operating system's generator.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Counts up from one, so that a test's ids and secrets are the same in every run.
    /// Never for a server: what it makes can be guessed.
    pub fn counting() -> Self {
        Self(Source::Counting(Arc::new(AtomicU64::new(0))))
    }

    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Source::System => {
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

    /// A UUIDv7 (RFC 9562): ids made later sort later, to the millisecond.
    pub fn uuid_v7(&self, clock: &Clock) -> Uuid {
        let millis = match &self.0 {
            Source::System => u64::try_from(clock.now().millis()).unwrap_or(0),
            Source::Counting(_) => 0,
        };
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
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

    #[test]
    fn two_tokens_differ() {
        let random = Random::system();

        assert_ne!(random.token("rt"), random.token("rt"));
        assert_eq!(random.token("rt").len(), "rt_".len() + 43);
    }
}
