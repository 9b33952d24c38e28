//! A queue in which one asker cannot keep the others waiting: each has a lane, and lanes take turns.
//!
//! Lanes lie at places, and the places take turns before the lanes of one of them do: who has many names at one place
//! gets no more turns by them.
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Whose turn it is. Work that nobody in particular asked for has a lane of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    pub place: u64,
    pub who: u64,
}

impl Asker {
    /// Someone with a place of their own.
    pub fn alone(who: u64) -> Self {
        Self { place: who, who }
    }
}

tokio::task_local! {
    static ASKER: Asker;
}

/// Lets everything that `work` has others do wait in the lane of one asker: where there are lanes, askers take turns,
/// and one thread is left to those who ask little.
pub async fn on_behalf_of<T>(asker: Asker, work: impl Future<Output = T>) -> T {
    ASKER.scope(asker, work).await
}

/// On whose behalf the present work is done.
pub fn asker() -> Asker {
    ASKER.try_with(|it| *it).unwrap_or_default()
}

/// Work that waits for one of several threads.
#[derive(Debug)]
pub struct Lanes<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    waiting_max: usize,
    /// Most that one place has running at once.
    running_max: usize,
}

#[derive(Debug)]
struct State<T> {
    places: HashMap<u64, Place<T>>,
    /// Places with something that waits, each once, the next one first.
    turns: VecDeque<u64>,
    waiting: usize,
    closed: bool,
}

#[derive(Debug)]
struct Place<T> {
    lanes: HashMap<u64, VecDeque<T>>,
    /// Its lanes, each once, the next one first. None is empty.
    turns: VecDeque<u64>,
    running: usize,
}

/// Why work was not taken.
#[derive(Debug)]
pub enum Refused<T> {
    Full(T),
    Closed(T),
}

impl<T> Lanes<T> {
    /// For `threads`, of which one is always left to others than the place that has most running.
    pub fn new(waiting_max: usize, threads: usize) -> Self {
        Self::with(waiting_max, threads.saturating_sub(1).max(1))
    }

    /// For work that is done in a moment, so that one place may have all threads.
    pub fn of_moments(waiting_max: usize) -> Self {
        Self::with(waiting_max, usize::MAX)
    }

    fn with(waiting_max: usize, running_max: usize) -> Self {
        let state = State { places: HashMap::new(), turns: VecDeque::new(), waiting: 0, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), waiting_max, running_max }
    }

    pub fn push(&self, asker: Asker, work: T) -> Result<(), Refused<T>> {
        let mut state = self.state();
        if state.closed {
            return Err(Refused::Closed(work));
        }
        let waits_already = state.places.get(&asker.place).is_some_and(|it| !it.turns.is_empty());
        // The last eighth of the queue is for those who have nothing in it yet.
        let for_all = self.waiting_max - self.waiting_max / 8;
        let is_full = self.waiting_max <= state.waiting || (waits_already && for_all <= state.waiting);
        if is_full {
            return Err(Refused::Full(work));
        }
        let place = state.places.entry(asker.place).or_insert_with(Place::new);
        place.push(asker.who, work);
        if !waits_already {
            state.turns.push_back(asker.place);
        }
        state.waiting += 1;
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for work. Nothing once the queue is closed and empty. What was taken ends with [`Lanes::done`].
    pub fn take(&self) -> Option<(Asker, T)> {
        let mut state = self.state();
        loop {
            if let Some(taken) = state.next(self.running_max) {
                return Some(taken);
            }
            if state.closed && state.waiting == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub fn done(&self, asker: Asker) {
        let mut state = self.state();
        if let Some(place) = state.places.get_mut(&asker.place) {
            place.running -= 1;
            if place.running == 0 && place.turns.is_empty() {
                state.places.remove(&asker.place);
            }
        }
        // Threads may wait because this place had its fill.
        let somebody_waits = !state.turns.is_empty();
        drop(state);
        if somebody_waits {
            self.changed.notify_all();
        }
    }

    /// Takes nothing more; what waits is still handed out.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn next(&mut self, running_max: usize) -> Option<(Asker, T)> {
        let turn = self.turns.iter().position(|it| self.places.get(it).is_some_and(|it| it.running < running_max))?;
        let place = self.turns.remove(turn)?;
        let there = self.places.get_mut(&place)?;
        let (who, work) = there.next()?;
        there.running += 1;
        if !there.turns.is_empty() {
            self.turns.push_back(place);
        }
        self.waiting -= 1;
        Some((Asker { place, who }, work))
    }
}

impl<T> Place<T> {
    fn new() -> Self {
        Self { lanes: HashMap::new(), turns: VecDeque::new(), running: 0 }
    }

    fn push(&mut self, who: u64, work: T) {
        let lane = self.lanes.entry(who).or_default();
        if lane.is_empty() {
            self.turns.push_back(who);
        }
        lane.push_back(work);
    }

    fn next(&mut self) -> Option<(u64, T)> {
        let who = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&who)?;
        let work = lane.pop_front()?;
        if lane.is_empty() {
            self.lanes.remove(&who);
        } else {
            self.turns.push_back(who);
        }
        Some((who, work))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lanes: &Lanes<u32>) -> u32 {
        lanes.take().expect("open").1
    }

    #[test]
    fn askers_take_turns_however_much_one_of_them_asks() {
        let lanes = Lanes::new(100, 100);
        for work in 0..10 {
            lanes.push(Asker::alone(1), work).expect("room");
        }
        lanes.push(Asker::alone(2), 100).expect("room");
        lanes.push(Asker::alone(3), 200).expect("room");

        let order: Vec<_> = (0..5).map(|_| taken(&lanes)).collect();

        assert_eq!(order, [0, 100, 200, 1, 2]);
    }

    /// Whoever makes up many names at one address would have as many turns.
    #[test]
    fn many_at_one_place_have_together_the_turns_of_one() {
        let lanes = Lanes::new(100, 100);
        for who in 0..10 {
            lanes.push(Asker { place: 1, who }, who as u32).expect("room");
        }
        lanes.push(Asker { place: 1, who: 0 }, 10).expect("room");
        lanes.push(Asker::alone(2), 100).expect("room");

        let order: Vec<_> = (0..12).map(|_| taken(&lanes)).collect();

        assert_eq!(order, [0, 100, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "and take turns among themselves");
    }

    #[test]
    fn one_thread_is_left_to_the_others() {
        let lanes = Lanes::new(100, 3);
        for work in 0..4 {
            lanes.push(Asker::alone(1), work).expect("room");
        }
        assert_eq!((taken(&lanes), taken(&lanes)), (0, 1));

        lanes.push(Asker::alone(2), 100).expect("room");

        assert_eq!(taken(&lanes), 100, "the third thread is not for the first asker");
        lanes.done(Asker::alone(1));
        assert_eq!(taken(&lanes), 2);
    }

    #[test]
    fn a_queue_that_one_asker_filled_has_room_for_another() {
        let lanes = Lanes::new(16, 1);
        let filled = (0..16).take_while(|it| lanes.push(Asker::alone(1), *it).is_ok()).count();

        assert_eq!(filled, 14);
        lanes.push(Asker::alone(2), 100).expect("room");
        lanes.push(Asker::alone(3), 200).expect("room");
        assert!(matches!(lanes.push(Asker::alone(4), 300), Err(Refused::Full(300))), "the queue is full for everyone");
    }

    #[test]
    fn what_waits_when_the_queue_is_closed_is_still_handed_out() {
        let lanes = Lanes::new(8, 2);
        lanes.push(Asker::alone(1), 1).expect("room");

        lanes.close();

        assert!(matches!(lanes.push(Asker::alone(1), 2), Err(Refused::Closed(2))));
        assert_eq!(lanes.take(), Some((Asker::alone(1), 1)));
        lanes.done(Asker::alone(1));
        assert_eq!(lanes.take(), None);
        assert!(lanes.state().places.is_empty(), "nothing is kept of those who asked");
    }
}
