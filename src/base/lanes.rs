//! A queue in which one asker cannot keep the others waiting: each has a lane, and lanes take turns.
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Whose turn it is. Work that nobody in particular asked for has a lane of its own.
pub type Asker = u64;

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
    /// Most that one asker has running at once.
    running_max: usize,
}

#[derive(Debug)]
struct State<T> {
    lanes: HashMap<Asker, Lane<T>>,
    /// Lanes with something that waits, each once, the next one first.
    turns: VecDeque<Asker>,
    waiting: usize,
    closed: bool,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<T>,
    running: usize,
}

/// Why work was not taken.
#[derive(Debug)]
pub enum Refused<T> {
    Full(T),
    Closed(T),
}

impl<T> Lanes<T> {
    /// For `threads`, of which one is always left to others than the asker that has most running.
    pub fn new(waiting_max: usize, threads: usize) -> Self {
        Self::with(waiting_max, threads.saturating_sub(1).max(1))
    }

    /// For work that is done in a moment, so that one asker may have all threads.
    pub fn of_moments(waiting_max: usize) -> Self {
        Self::with(waiting_max, usize::MAX)
    }

    fn with(waiting_max: usize, running_max: usize) -> Self {
        let state = State { lanes: HashMap::new(), turns: VecDeque::new(), waiting: 0, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), waiting_max, running_max }
    }

    pub fn push(&self, asker: Asker, work: T) -> Result<(), Refused<T>> {
        let mut state = self.state();
        if state.closed {
            return Err(Refused::Closed(work));
        }
        let in_lane = state.lanes.get(&asker).map_or(0, |it| it.waiting.len());
        // The last eighth of the queue is for those who have nothing in it yet.
        let for_all = self.waiting_max - self.waiting_max / 8;
        let is_full = self.waiting_max <= state.waiting || (0 < in_lane && for_all <= state.waiting);
        if is_full {
            return Err(Refused::Full(work));
        }
        let lane = state.lanes.entry(asker).or_insert_with(|| Lane { waiting: VecDeque::new(), running: 0 });
        lane.waiting.push_back(work);
        if lane.waiting.len() == 1 {
            state.turns.push_back(asker);
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
        if let Some(lane) = state.lanes.get_mut(&asker) {
            lane.running -= 1;
            if lane.running == 0 && lane.waiting.is_empty() {
                state.lanes.remove(&asker);
            }
        }
        // Threads may wait because this asker had its fill.
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
        let turn = self.turns.iter().position(|it| self.lanes.get(it).is_some_and(|it| it.running < running_max))?;
        let asker = self.turns.remove(turn)?;
        let lane = self.lanes.get_mut(&asker)?;
        let work = lane.waiting.pop_front()?;
        lane.running += 1;
        if !lane.waiting.is_empty() {
            self.turns.push_back(asker);
        }
        self.waiting -= 1;
        Some((asker, work))
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
            lanes.push(1, work).expect("room");
        }
        lanes.push(2, 100).expect("room");
        lanes.push(3, 200).expect("room");

        let order: Vec<_> = (0..5).map(|_| taken(&lanes)).collect();

        assert_eq!(order, [0, 100, 200, 1, 2]);
    }

    #[test]
    fn one_thread_is_left_to_the_others() {
        let lanes = Lanes::new(100, 3);
        for work in 0..4 {
            lanes.push(1, work).expect("room");
        }
        assert_eq!((taken(&lanes), taken(&lanes)), (0, 1));

        lanes.push(2, 100).expect("room");

        assert_eq!(taken(&lanes), 100, "the third thread is not for the first asker");
        lanes.done(1);
        assert_eq!(taken(&lanes), 2);
    }

    #[test]
    fn a_queue_that_one_asker_filled_has_room_for_another() {
        let lanes = Lanes::new(16, 1);
        let filled = (0..16).take_while(|it| lanes.push(1, *it).is_ok()).count();

        assert_eq!(filled, 14);
        lanes.push(2, 100).expect("room");
        lanes.push(3, 200).expect("room");
        assert!(matches!(lanes.push(4, 300), Err(Refused::Full(300))), "the queue is full for everyone");
    }

    #[test]
    fn what_waits_when_the_queue_is_closed_is_still_handed_out() {
        let lanes = Lanes::new(8, 2);
        lanes.push(1, 1).expect("room");

        lanes.close();

        assert!(matches!(lanes.push(1, 2), Err(Refused::Closed(2))));
        assert_eq!(lanes.take(), Some((1, 1)));
        lanes.done(1);
        assert_eq!(lanes.take(), None);
        assert!(lanes.state().lanes.is_empty(), "nothing is kept of those who asked");
    }
}
