//! The bytes of a connection on their way, noted in its [`Pulse`].
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::lengths::{self, Lengths};
use super::pulse::{Arrived, Pulse};
use super::raw::{Refuser, Seen};
use super::seats::Seat;

/// How every HTTP/2 connection begins (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How every TLS connection begins: a handshake, of version 3 (RFC 8446 section 5.1).
const TLS_HELLO: &[u8] = &[0x16, 0x03];

/// So many bytes of it begin no method of HTTP/1 that anyone uses.
const TELLING_BYTES: usize = 3;

/// A stream that tells the pulse what it sees, and closes without losing the last answer.
pub(super) struct Stream<S> {
    inner: S,
    pulse: Arc<Pulse>,
    /// How many bytes of the preface have come; nothing once it is clear which protocol is spoken.
    preface: Option<usize>,
    lengths: Lengths,
    /// Whether the head at hand is none, but the first word of TLS.
    is_tls: bool,
    shut: bool,
    /// What is left to say instead of hyper's own words about a head that it cannot read.
    instead: Option<Bytes>,
    refuser: Refuser,
    _seat: Seat,
}

impl<S> Stream<S> {
    pub(super) fn new(inner: S, pulse: Arc<Pulse>, refuser: Refuser, seat: Seat) -> Self {
        Self {
            inner,
            pulse,
            preface: Some(0),
            lengths: Lengths::default(),
            is_tls: false,
            shut: false,
            instead: None,
            refuser,
            _seat: seat,
        }
    }

    fn received(&mut self, bytes: &[u8]) {
        if let Some(seen) = self.preface {
            let expected = &PREFACE[seen..PREFACE.len().min(seen + bytes.len())];
            self.preface = Some(seen + bytes.len());
            if !bytes.starts_with(expected) {
                self.preface = None;
            } else if PREFACE.len() <= seen + bytes.len() {
                self.preface = None;
                self.pulse.is_http2();
            }
        }
        // Empty lines before a request are no beginning of one (RFC 9112 section 2.2).
        if !self.pulse.has_head() && bytes.iter().all(|it| b"\r\n".contains(it)) {
            return;
        }
        match self.pulse.received() {
            Arrived::Elsewhere => return,
            Arrived::NewHead => {
                self.lengths.begin();
                self.is_tls = bytes.starts_with(TLS_HELLO);
            }
            Arrived::MoreOfHead => {}
        }
        if self.lengths.follow(bytes) {
            self.pulse.has_length();
        }
    }
}

impl<S> Stream<S> {
    /// What was seen of the head that hyper cannot read.
    fn seen(&self) -> Seen {
        Seen {
            is_tls: self.is_tls,
            lengths_differ: self.lengths.fault() == Some(lengths::Fault::Differs),
            length_is_no_number: self.lengths.fault() == Some(lengths::Fault::NoNumber),
            first_line_bytes: self.lengths.first_line_bytes(),
        }
    }
}

impl<S: AsyncWrite + Unpin> Stream<S> {
    /// Puts a problem in the place of hyper's own words, if `bytes` are these. True once it is written whole.
    fn write_instead(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<bool>> {
        if self.instead.is_none() && self.pulse.speaks_unasked() {
            self.instead = self.refuser.instead_of(bytes, self.pulse.head_took(), &self.seen());
        }
        if self.instead.is_none() {
            return Poll::Ready(Ok(false));
        }
        self.write_refusal(cx).map_ok(|()| true)
    }

    fn write_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(left) = &mut self.instead else { return Poll::Ready(Ok(())) };
        while !left.is_empty() {
            let written = Pin::new(&mut self.inner).poll_write(cx, left);
            note_write(&self.pulse, &written);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => left.advance(count),
            }
        }
        self.instead = None;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// Tells a client that its head takes too long, and ends the connection as far as hyper sees.
    fn poll_refuse_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_http2 = self.preface.is_some_and(|it| TELLING_BYTES <= it);
        if !self.shut && !is_http2 {
            if self.instead.is_none() {
                self.instead = Some(self.refuser.too_slow(self.pulse.head_took()));
            }
            ready!(self.write_refusal(cx))?;
        }
        ready!(Pin::new(&mut *self).poll_shutdown(cx))?;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.pulse.is_head_refused() {
            return self.poll_refuse_head(cx);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let new = &buffer.filled()[before..];
        if !new.is_empty() {
            self.received(new);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if ready!(self.write_instead(cx, bytes))? {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        note_write(&self.pulse, &written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(first) = parts.iter().find(|it| !it.is_empty())
            && ready!(self.write_instead(cx, first))?
        {
            return Poll::Ready(Ok(first.len()));
        }
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        note_write(&self.pulse, &written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.pulse.flushed();
        Poll::Ready(Ok(()))
    }

    /// Closes our side, and then reads on until the client closes its own. A socket that is dropped with
    /// unread bytes is reset, and a reset takes the answer with it that said why (RFC 9112 section 9.6).
    /// The pulse bounds the wait.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            self.shut = true;
            self.pulse.closing();
        }
        if !self.pulse.may_still_send() {
            return Poll::Ready(Ok(()));
        }
        let mut space = [std::mem::MaybeUninit::uninit(); 4096];
        loop {
            let mut unread = ReadBuf::uninit(&mut space);
            let end = ready!(Pin::new(&mut self.inner).poll_read(cx, &mut unread));
            if end.is_err() || unread.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

fn note_write(pulse: &Pulse, written: &Poll<io::Result<usize>>) {
    match written {
        Poll::Pending => pulse.write_blocked(),
        Poll::Ready(written) => pulse.written(*written.as_ref().unwrap_or(&0)),
    }
}
