//! The connection to a mail server, which is read from only so far.
use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes of what a server says before it is told something again. The longest line of an answer has 512
/// (RFC 5321 section 4.5.3.1.5), and no server says more than some dozens of them.
pub(super) const SAID_BYTES_MAX: usize = 64 << 10;

/// A connection, secret or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection to someone who is to answer, and not to go on without end.
pub(super) struct Bounded {
    stream: Box<dyn Stream>,
    /// Bytes that may still come before something is written.
    left: usize,
}

impl Bounded {
    pub fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), left: SAID_BYTES_MAX }
    }

    /// What is beneath, to make it secret.
    pub fn into_inner(self) -> Box<dyn Stream> {
        self.stream
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Error>> {
        if self.left == 0 {
            return Poll::Ready(Err(Error::new(ErrorKind::InvalidData, "its answer has no end")));
        }
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
        self.left = self.left.saturating_sub(into.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Error>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        if 0 < written {
            self.left = SAID_BYTES_MAX;
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_said_has_an_end_that_moves_when_something_is_answered() {
        let (ours, mut theirs) = duplex(3 * SAID_BYTES_MAX);
        theirs.write_all(&vec![b'2'; 2 * SAID_BYTES_MAX]).await.expect("room");
        let mut ours = Bounded::new(ours);
        let mut read = vec![0; SAID_BYTES_MAX];

        ours.read_exact(&mut read).await.expect("the most");
        assert_eq!(ours.read(&mut read).await.map_err(|it| it.kind()), Err(ErrorKind::InvalidData));
        ours.write_all(b"NOOP\r\n").await.expect("room");
        ours.read_exact(&mut read).await.expect("as much again");
    }
}
