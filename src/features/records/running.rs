//! The exports that run: how many at once, and how many of one client.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::ClientAddress;

/// Exports that run at once. Each has a page in memory.
const EXPORTS_MAX: usize = 64;
/// Exports of one address that run at once.
const OF_ONE_ADDRESS_MAX: usize = 8;

/// Counts what runs. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct Running(Arc<Mutex<HashMap<Option<IpAddr>, usize>>>);

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    running: Running,
    client: Option<IpAddr>,
}

impl Running {
    /// A place for one more; nothing if there is none. The operator has no share, but counts in all.
    pub(super) fn begin(&self, address: ClientAddress) -> Option<Place> {
        let client = address.throttle_key();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = counts.get(&client).copied().unwrap_or_default();
        let is_full = EXPORTS_MAX <= counts.values().sum() || (client.is_some() && OF_ONE_ADDRESS_MAX <= of_client);
        if is_full {
            return None;
        }
        counts.insert(client, of_client + 1);
        Some(Place { running: self.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.running.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn one_address_leaves_places_for_others_and_all_together_have_an_end() {
        let running = Running::default();
        let client = |last: u8| ClientAddress(Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))));
        let begin = |last: u8| std::iter::from_fn(|| running.begin(client(last))).collect::<Vec<_>>();

        let first = begin(1);
        assert_eq!(first.len(), OF_ONE_ADDRESS_MAX);
        let rest: Vec<_> = (2..=8).flat_map(begin).collect();
        assert_eq!(first.len() + rest.len(), EXPORTS_MAX);
        assert!(running.begin(client(9)).is_none());
        drop(first);
        assert!(running.begin(client(9)).is_some());
        drop(rest);
        assert!(running.0.lock().expect("not poisoned").is_empty(), "nobody who has none is remembered");
    }
}
