//! One connection from its first byte to its last.
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use poem::Addr;
use poem::http::StatusCode;
use poem::http::header::TRANSFER_ENCODING;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::task::TaskTracker;

use super::super::policy::{Limits, Policy};
use super::super::shell::TwoLengths;
use super::super::{Caller, Entrance, Shell, websocket};
use super::answer::{AnswerBody, Streams};
use super::phase::{CUT, Phase, SERVING};
use super::pulse::{Overdue, Pulse};
use super::raw::Refuser;
use super::seats::Seat;
use super::stream::Stream;
use crate::base::TenantId;

/// hyper refuses to work with less.
const HEADER_BYTES_MIN: usize = 8 * 1024;
/// How often, and how long, a silent HTTP/2 client is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// What HTTP/2 clients may send ahead of us reading it: hyper's megabyte a connection would be 4 GiB in all.
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// What one HTTP/2 stream keeps of an answer that its client does not take yet.
const SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Streams that a client opened and reset at once, or broke, before the connection is closed (CVE-2023-44487).
const RESET_STREAMS_MAX: usize = 32;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    Client {
        local: SocketAddr,
        remote: SocketAddr,
    },
    /// Someone at the Unix socket whose user id was checked.
    Operator,
}

/// Serves a connection until its client, its pulse or the phase ends it.
pub(super) async fn serve<S>(
    stream: S,
    peer: Peer,
    seat: Seat,
    shell: Arc<Shell>,
    policy: Arc<Policy>,
    phase: Arc<Phase>,
    tasks: TaskTracker,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &policy.limits;
    let pulse = Arc::new(Pulse::new(limits));
    let refuser = Refuser { shell: shell.clone(), peer: peer.ip() };
    let stream = TokioIo::new(Stream::new(stream, pulse.clone(), refuser, seat));
    let builder = builder(limits, Streams { tasks, write_timeout: limits.write_timeout });

    let (local, remote) = peer.addresses();
    // INVARIANT: the one place that makes an operator of a request. A request from the network
    // has no extensions but hyper's, so it cannot bring a caller along.
    let operator = matches!(peer, Peer::Operator).then(|| Caller::operator(TenantId::main()));
    let service = service_fn(|request: http::Request<Incoming>| {
        let in_flight = pulse.begin(!request.body().is_end_stream());
        let mut request = poem::Request::from((request, local.clone(), remote.clone(), Scheme::HTTP));
        if pulse.take_length() && request.headers().contains_key(TRANSFER_ENCODING) {
            request.extensions_mut().insert(TwoLengths);
        }
        if let Some(operator) = &operator {
            request.extensions_mut().insert(operator.clone());
        }
        if websocket::is_wanted(request.headers()) {
            request.extensions_mut().insert(Entrance::new(shell.clone()));
        }
        let (shell, pulse) = (shell.clone(), pulse.clone());
        async move {
            let answer: hyper::Response<_> = shell.answer(request).await.into();
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                pulse.is_upgraded();
            }
            Ok::<_, Infallible>(answer.map(|body| AnswerBody::new(body, in_flight)))
        }
    });

    let mut connection = pin!(builder.serve_connection_with_upgrades(stream, service));
    let mut alarm = pin!(sleep_until(pulse.due().0));
    let mut changed = pin!(phase.changed());
    let mut seen = SERVING;
    let mut is_registered = false;
    poll_fn(|cx| {
        // The phase changes at most twice, but this runs at every step, and waiting for a change takes a lock
        // that all connections share: so it is waited for once, and then only looked at.
        if !is_registered {
            let _ = changed.as_mut().poll(cx);
            is_registered = true;
        }
        if phase.now() != seen {
            // The next change is waited for before the phase is looked at: one in between would wake nobody.
            changed.set(phase.changed());
            let _ = changed.as_mut().poll(cx);
            seen = phase.now();
            if seen == CUT {
                return Poll::Ready(());
            }
            pulse.closing();
            connection.as_mut().graceful_shutdown();
        }
        loop {
            if let Poll::Ready(end) = connection.as_mut().poll(cx) {
                if let Err(error) = end {
                    tracing::debug!(%error, "a connection ended early");
                }
                return Poll::Ready(());
            }
            match ready!(overdue(&pulse, alarm.as_mut(), cx)) {
                Overdue::Idle => {
                    pulse.closing();
                    connection.as_mut().graceful_shutdown();
                }
                // hyper reads on for the rest of the head; the stream answers and ends it there.
                Overdue::Head if pulse.refuse_head() => pulse.closing(),
                _ => return Poll::Ready(()),
            }
        }
    })
    .await;
}

/// Waits until something is overdue. The alarm is moved only when it rings too late; when it
/// rings too early it is set again, which is rare and cheap.
fn overdue(pulse: &Pulse, mut alarm: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<Overdue> {
    loop {
        let (due, overdue) = pulse.due();
        if due < alarm.deadline() {
            alarm.as_mut().reset(due);
        }
        ready!(alarm.as_mut().poll(cx));
        if due <= Instant::now() {
            tracing::debug!(?overdue, "a connection is closed");
            return Poll::Ready(overdue);
        }
        alarm.as_mut().reset(due.min(pulse.look_again()));
    }
}

fn builder(limits: &Limits, streams: Streams) -> auto::Builder<Streams> {
    let header_bytes_max = limits.header_bytes_max.max(HEADER_BYTES_MIN);
    let mut builder = auto::Builder::new(streams);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(header_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection_max)
        .max_header_list_size(u32::try_from(header_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .max_local_error_reset_streams(RESET_STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

impl Peer {
    fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Client { remote, .. } => Some(remote.ip()),
            Self::Operator => None,
        }
    }

    fn addresses(&self) -> (LocalAddr, RemoteAddr) {
        match self {
            Self::Client { local, remote } => (LocalAddr((*local).into()), RemoteAddr((*remote).into())),
            Self::Operator => {
                let socket = || Addr::custom("unix", "operator");
                (LocalAddr(socket()), RemoteAddr(socket()))
            }
        }
    }
}
