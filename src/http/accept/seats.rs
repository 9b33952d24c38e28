//! How many connections there are, in all and from one address.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::policy::Limits;

/// The count. The lock is taken once when a connection comes and once when it goes.
#[derive(Debug)]
pub(super) struct Seats {
    /// Most in all, whatever the settings say.
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: usize,
    /// An address without connections has no entry, so this is no larger than `in_all`.
    by_address: HashMap<IpAddr, usize>,
}

/// The right to be connected, given back when dropped. Kept by the stream itself, so that a
/// connection that became a WebSocket keeps its seat.
#[derive(Debug)]
pub(super) struct Seat(Option<(Arc<Seats>, Option<IpAddr>)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    TooManyFromThere,
}

impl Seats {
    /// Up to `most` seats, or fewer if the settings say so.
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: Mutex::default() }
    }

    /// Takes a seat, counted for `address` unless that is nothing.
    pub(super) fn take(self: &Arc<Self>, address: Option<IpAddr>, limits: &Limits) -> Result<Seat, Refusal> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if limits.connections_max.min(self.most) <= taken.in_all {
            return Err(Refusal::Full);
        }
        if let Some(address) = address {
            let from_there = taken.by_address.get(&address).copied().unwrap_or_default();
            if limits.connections_per_address_max <= from_there {
                return Err(Refusal::TooManyFromThere);
            }
            taken.by_address.insert(address, from_there + 1);
        }
        taken.in_all += 1;
        Ok(Seat(Some((self.clone(), address))))
    }

    fn give_back(&self, address: Option<IpAddr>) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.in_all = taken.in_all.saturating_sub(1);
        if let Some(address) = address
            && let Some(from_there) = taken.by_address.get_mut(&address)
        {
            *from_there = from_there.saturating_sub(1);
            if *from_there == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

impl Seat {
    /// A seat that is not counted.
    pub(super) fn spare() -> Self {
        Self(None)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some((seats, address)) = self.0.take() {
            seats.give_back(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    const THERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)));

    fn limits() -> Limits {
        Limits { connections_max: 3, connections_per_address_max: 2, ..Limits::default() }
    }

    #[test]
    fn one_address_cannot_take_all_seats() {
        let seats = Arc::new(Seats::new(usize::MAX));
        let (_a, _b) = (seats.take(HERE, &limits()).expect("a seat"), seats.take(HERE, &limits()).expect("a seat"));

        assert_eq!(seats.take(HERE, &limits()).err(), Some(Refusal::TooManyFromThere));
        assert!(seats.take(THERE, &limits()).is_ok());
    }

    #[test]
    fn when_all_are_taken_nobody_gets_one_and_a_seat_given_back_is_free() {
        let seats = Arc::new(Seats::new(usize::MAX));
        let held: Vec<_> = (0..3).map(|_| seats.take(None, &limits()).expect("a seat")).collect();
        assert_eq!(seats.take(THERE, &limits()).err(), Some(Refusal::Full));

        drop(held);

        let _seat = seats.take(THERE, &limits()).expect("a seat");
        assert_eq!(seats.taken.lock().expect("not poisoned").in_all, 1);
    }

    /// A setting cannot give what the system does not have.
    #[test]
    fn there_are_no_more_seats_than_the_system_has() {
        let seats = Arc::new(Seats::new(1));
        let _only = seats.take(HERE, &limits()).expect("a seat");

        assert_eq!(seats.take(THERE, &limits()).err(), Some(Refusal::Full));
    }

    /// Otherwise every address that ever connected would stay in memory.
    #[test]
    fn an_address_without_connections_is_forgotten() {
        let seats = Arc::new(Seats::new(usize::MAX));

        drop(seats.take(HERE, &limits()));

        assert!(seats.taken.lock().expect("not poisoned").by_address.is_empty());
    }
}
