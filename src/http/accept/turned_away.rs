//! Clients for whom there is no room: told so in a few prepared bytes, and counted in the log.
//!
//! A flood must cost next to nothing. So a client gets the same bytes as all others but for an id, nothing that it sends is looked
//! at, only some at a time are waited for, and the log has one line a second at most.
use std::io::Write as _;
use std::net::{IpAddr, Shutdown};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::super::request_id::RequestId;
use super::phase::{Phase, SERVING};
use super::raw;
use super::seats::Refusal;

/// Clients that are waited for at the same time, so that they can read what they are told.
const WAITED_FOR_MAX: usize = 64;
/// The same for those of addresses that have too many connections already: they must not take the places of others.
const WAITED_FOR_OF_CROWDS_MAX: usize = 16;
/// How long such a client may take to read it.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How often the log tells how many there were.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Who turns clients away.
#[derive(Debug)]
pub(super) struct TurnedAway {
    waited_for: Arc<Semaphore>,
    waited_for_of_crowds: Arc<Semaphore>,
    untold: Mutex<Untold>,
}

/// What the log does not tell yet.
#[derive(Debug, Default)]
struct Untold {
    full: u64,
    from_one_address: u64,
    last: Option<(IpAddr, RequestId)>,
    /// Whether a task waits for the moment to tell it.
    is_awaited: bool,
}

impl TurnedAway {
    pub(super) fn new() -> Self {
        Self {
            waited_for: Arc::new(Semaphore::new(WAITED_FOR_MAX)),
            waited_for_of_crowds: Arc::new(Semaphore::new(WAITED_FOR_OF_CROWDS_MAX)),
            untold: Mutex::default(),
        }
    }

    /// Says that there is no room, and waits a moment for the client to read it: closing at once, with its
    /// request unread, would make the system throw our words away. If too many are waited for, it comes to that.
    pub(super) fn turn_away(&self, mut stream: TcpStream, refusal: Refusal, id: &RequestId, tasks: &TaskTracker) {
        let words = raw::no_room(id);
        let places = match refusal {
            Refusal::Full => &self.waited_for,
            Refusal::TooManyFromThere => &self.waited_for_of_crowds,
        };
        let Ok(permit) = places.clone().try_acquire_owned() else {
            // The room for what is sent is empty on a new connection, so this does not wait.
            let _ = stream.into_std().and_then(|mut it| {
                it.write_all(&words)?;
                it.shutdown(Shutdown::Write)
            });
            return;
        };
        tasks.spawn(async move {
            let _ = timeout(TIMEOUT, async {
                stream.write_all(&words).await?;
                stream.shutdown().await?;
                let mut unread = [0; 1024];
                while 0 < stream.read(&mut unread).await? {}
                std::io::Result::Ok(())
            })
            .await;
            drop(permit);
        });
    }

    /// Counts a client, and tells of it at once unless another was told of a moment ago.
    pub(super) fn count(
        self: &Arc<Self>,
        address: IpAddr,
        id: RequestId,
        refusal: Refusal,
        phase: &Arc<Phase>,
        tasks: &TaskTracker,
    ) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        match refusal {
            Refusal::Full => untold.full += 1,
            Refusal::TooManyFromThere => untold.from_one_address += 1,
        }
        untold.last = Some((address, id));
        if untold.is_awaited {
            return;
        }
        untold.tell();
        untold.is_awaited = true;
        let (this, phase) = (self.clone(), phase.clone());
        tasks.spawn(async move {
            let mut is_serving = true;
            while is_serving {
                let stopping = phase.changed();
                is_serving = phase.now() == SERVING;
                if is_serving {
                    tokio::select! {
                        () = sleep(TOLD_EVERY) => {}
                        () = stopping => is_serving = false,
                    }
                }
                let mut untold = this.untold.lock().unwrap_or_else(PoisonError::into_inner);
                if !untold.tell() || !is_serving {
                    untold.is_awaited = false;
                    return;
                }
            }
        });
    }
}

impl Untold {
    /// False if there was nothing to tell.
    fn tell(&mut self) -> bool {
        let Some((address, id)) = self.last.take() else { return false };
        let (full, from_one_address) = (std::mem::take(&mut self.full), std::mem::take(&mut self.from_one_address));
        tracing::warn!(
            no_room = full,
            too_many_from_one_address = from_one_address,
            client.address = %address,
            request.id = id.as_str(),
            "clients were turned away since the last such line; the address and the id are those of the last"
        );
        true
    }
}
