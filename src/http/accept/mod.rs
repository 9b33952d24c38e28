//! The accept loop: connections in, requests to the [`Shell`], answers out.
//!
//! It exists because poem's own has no timers and no caps. Each connection is one
//! task: hyper reads and writes through a `stream`, which notes in a `pulse`
//! what the client is doing, and `connection` ends what takes too long. How many
//! there may be is counted in `seats`.
//!
//! On stop: the listeners close, requests in flight are finished, idle connections
//! are closed, and what is left after the grace is cut.
mod answer;
mod connection;
mod descriptors;
mod lengths;
mod phase;
mod pulse;
mod raw;
mod seats;
mod stream;
mod turned_away;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::Peer;
use self::phase::Phase;
use self::seats::{Seat, Seats};
use self::turned_away::TurnedAway;
use super::Shell;
use super::address;
use super::policy::Policy;

/// Pause after the system could not give us a connection: usually there are no file descriptors left,
/// and asking again at once would only burn the processor.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(200);

/// Most clients that wait to be let in. The system may allow fewer.
const WAITING_MAX: u32 = 1_024;

/// Where requests come in.
#[derive(Debug)]
pub enum Door {
    Tcp(TcpListener),
    /// The operator's: whoever comes in here as us, or as root, may do everything.
    Socket(UnixListener),
}

impl Door {
    /// Opens a door at an address. Who comes while we are busy waits; with the library's room for 128 the next
    /// would try again only after a second.
    pub fn open_tcp(address: SocketAddr) -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?; // a restart need not wait for old connections to be forgotten
        socket.bind(address)?;
        socket.listen(WAITING_MAX)
    }
}

/// Serves until `stop`, then lets what is in flight finish for up to `grace`.
pub async fn serve(doors: Vec<Door>, shell: Arc<Shell>, stop: CancellationToken, grace: Duration) {
    descriptors::raise_limit();
    let (wanted, possible) = (shell.policy().limits.connections_max, descriptors::connections_max());
    if possible < wanted {
        tracing::warn!(wanted, possible, "the system's limit on open files allows fewer connections than the settings");
    }
    let house = House {
        shell,
        seats: Arc::new(Seats::new(possible)),
        phase: Arc::default(),
        tasks: TaskTracker::new(),
        turned_away: Arc::new(TurnedAway::new()),
    };
    join_all(doors.into_iter().map(|it| house.open(it, &stop))).await;

    house.phase.stop();
    house.tasks.close();
    if timeout(grace, house.tasks.wait()).await.is_err() {
        tracing::warn!(connections = house.tasks.len(), "the grace is over; connections are cut");
        house.phase.cut();
        house.tasks.wait().await;
    }
}

/// What all doors share.
struct House {
    shell: Arc<Shell>,
    seats: Arc<Seats>,
    phase: Arc<Phase>,
    tasks: TaskTracker,
    turned_away: Arc<TurnedAway>,
}

impl House {
    /// Lets clients in through one door until `stop`. The listener closes on return.
    async fn open(&self, door: Door, stop: &CancellationToken) {
        match door {
            Door::Tcp(listener) => {
                while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
                    match accepted {
                        Ok((stream, remote)) => self.let_in(stream, remote),
                        Err(error) => survive(&error).await,
                    }
                }
            }
            Door::Socket(listener) => {
                while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
                    match accepted {
                        Ok((stream, _)) => self.let_operator_in(stream),
                        Err(error) => survive(&error).await,
                    }
                }
            }
        }
    }

    fn let_in(&self, stream: TcpStream, remote: SocketAddr) {
        let policy = self.shell.policy();
        let address = remote.ip().to_canonical();
        let counted =
            Some(address::throttle_key(address)).filter(|_| !address::is_trusted(address, &policy.trusted_proxies));
        let seat = match self.seats.take(counted, &policy.limits) {
            Ok(seat) => seat,
            Err(refusal) => {
                let id = self.shell.new_id();
                self.turned_away.turn_away(stream, refusal, &id, &self.tasks);
                self.turned_away.count(address, id, refusal, &self.phase, &self.tasks);
                return;
            }
        };
        // Both may fail on a connection that is gone already, which reading from it will tell.
        let local = stream.local_addr().unwrap_or(remote);
        let _ = stream.set_nodelay(true);
        self.serve(stream, Peer::Client { local, remote }, seat, policy);
    }

    fn let_operator_in(&self, stream: UnixStream) {
        let policy = self.shell.policy();
        let ours = rustix::process::geteuid().as_raw();
        match stream.peer_cred().map(|it| it.uid()) {
            Ok(uid) if uid == ours || uid == 0 => {}
            Ok(uid) => {
                tracing::warn!(uid, "someone else came to the operator's socket; closed");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot tell who came to the operator's socket; closed");
                return;
            }
        }
        // The operator must get in when the server is full, so this seat is not counted with the others.
        self.serve(stream, Peer::Operator, Seat::spare(), policy);
    }

    fn serve<S>(&self, stream: S, peer: Peer, seat: Seat, policy: Arc<Policy>)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (shell, phase, tasks) = (self.shell.clone(), self.phase.clone(), self.tasks.clone());
        self.tasks.spawn(connection::serve(stream, peer, seat, shell, policy, phase, tasks));
    }
}

/// Goes on after `accept` failed. Only a failure of ours needs a pause; a client that is gone already does not.
async fn survive(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        return;
    }
    tracing::error!(%error, "cannot accept a connection; will try again");
    sleep(PAUSE_AFTER_FAILURE).await;
}

#[cfg(test)]
mod tests;
