//! How much of the bodies of all requests is in memory, and how much of it is one client's.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Up to here a body is small: most are, and they find room when large ones do not.
const SMALL_BYTES_MAX: u64 = 16 * 1024;
/// How many times as much is held when small bodies are added.
const WITH_SMALL: u64 = 2;
/// The part of it that one address may have, as one of so many.
pub(super) const ADDRESS_SHARE: u64 = 4;

/// The count. The lock is taken once for each part of a body, and once when its request is over.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    in_all: u64,
    /// An address that holds nothing has no entry.
    by_address: HashMap<IpAddr, u64>,
}

impl Memory {
    /// Holds `bytes` more of a body that will then have `body_bytes`; false if there is no room for them.
    /// Without an address it is the operator, for whom there always is.
    pub(super) fn take(&self, address: Option<IpAddr>, bytes: u64, body_bytes: u64, bytes_max: u64) -> bool {
        let bytes_max = if body_bytes <= SMALL_BYTES_MAX { bytes_max.saturating_mul(WITH_SMALL) } else { bytes_max };
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let in_all = held.in_all.saturating_add(bytes);
        if let Some(address) = address {
            let from_there = held.by_address.get(&address).copied().unwrap_or_default().saturating_add(bytes);
            if bytes_max < in_all || bytes_max / ADDRESS_SHARE < from_there {
                return false;
            }
            held.by_address.insert(address, from_there);
        }
        held.in_all = in_all;
        true
    }

    /// Whether there is room for anything more of an address.
    pub(super) fn has_room(&self, address: Option<IpAddr>, bytes_max: u64) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(address) = address else { return true };
        let from_there = held.by_address.get(&address).copied().unwrap_or_default();
        held.in_all < bytes_max && from_there < bytes_max / ADDRESS_SHARE
    }

    /// Holds `bytes` more, room or not.
    pub(super) fn take_anyway(&self, address: Option<IpAddr>, bytes: u64) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.in_all = held.in_all.saturating_add(bytes);
        if let Some(address) = address {
            let from_there = held.by_address.entry(address).or_default();
            *from_there = from_there.saturating_add(bytes);
        }
    }

    pub(super) fn give_back(&self, address: Option<IpAddr>, bytes: u64) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.in_all = held.in_all.saturating_sub(bytes);
        if let Some(address) = address
            && let Some(from_there) = held.by_address.get_mut(&address)
        {
            *from_there = from_there.saturating_sub(bytes);
            if *from_there == 0 {
                held.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const MAX: u64 = 1 << 20;
    const LARGE: u64 = SMALL_BYTES_MAX + 1;

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))
    }

    #[test]
    fn one_address_gets_a_share_and_all_together_the_whole() {
        let memory = Memory::default();

        assert!(memory.take(address(1), MAX / 4, LARGE, MAX));
        assert!(!memory.take(address(1), 1, LARGE, MAX));
        assert!((2..=4).all(|it| memory.take(address(it), MAX / 4, LARGE, MAX)));
        assert!(!memory.take(address(5), 1, LARGE, MAX));
        memory.give_back(address(1), MAX / 4);
        assert!(memory.take(address(5), 1, LARGE, MAX));
    }

    /// Who fills the room with large bodies must not keep people from signing in.
    #[test]
    fn small_bodies_find_room_when_large_ones_do_not() {
        let memory = Memory::default();
        assert!((1..=4).all(|it| memory.take(address(it), MAX / 4, LARGE, MAX)));

        assert!(memory.take(address(5), 100, 100, MAX));
        assert!(memory.take(address(1), 100, 100, MAX));
        assert!((6..=8).all(|it| memory.take(address(it), MAX / 4, SMALL_BYTES_MAX, MAX)));
        assert!(!memory.take(address(9), MAX / 4, SMALL_BYTES_MAX, MAX), "there is an end for them too");
        assert!(memory.take(None, MAX, LARGE, MAX), "the operator has no limit");
    }

    /// Otherwise every address that ever sent something would stay in memory.
    #[test]
    fn an_address_that_holds_nothing_is_forgotten() {
        let memory = Memory::default();
        assert!(memory.take(address(1), 10, 10, MAX));

        memory.give_back(address(1), 10);

        let held = memory.0.lock().expect("not poisoned");
        assert!(held.by_address.is_empty() && held.in_all == 0);
    }
}
