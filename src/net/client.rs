//! One request, one connection, one answer.
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{Address, Error, Trust};

/// How long it may take, and how much may come.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until there is a connection, made secret if it is to be.
    pub connect_time_max: Duration,
    /// For everything.
    pub answer_time_max: Duration,
    pub answer_bytes_max: usize,
}

/// Asks servers elsewhere.
#[derive(Clone, Debug)]
pub struct Client {
    pub limits: Limits,
    pub trust: Trust,
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Client {
    /// Sends a request, whose URI is a path, and reads the whole answer.
    pub async fn ask(&self, to: &Address, request: Request<BoxBody<Bytes, io::Error>>) -> Result<Answer, Error> {
        let answer = tokio::time::timeout(self.limits.answer_time_max, self.exchange(to, request));
        answer.await.unwrap_or_else(|_| Err(Error::Slow { authority: to.authority.clone() }))
    }

    async fn exchange(&self, to: &Address, mut request: Request<BoxBody<Bytes, io::Error>>) -> Result<Answer, Error> {
        let uri = format!("{}{}", to.base, request.uri());
        *request.uri_mut() = uri.parse().map_err(http::Error::from)?;
        let host = to.authority.parse().map_err(http::Error::from)?;
        request.headers_mut().insert(http::header::HOST, host);
        let stream = tokio::time::timeout(self.limits.connect_time_max, self.connect(to));
        let stream = stream.await.unwrap_or_else(|_| Err(Error::Silent { authority: to.authority.clone() }))?;
        let closed = |source| Error::Closed { authority: to.authority.clone(), source };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(closed)?;
        let answering = async {
            let response = sender.send_request(request).await.map_err(closed)?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), self.limits.answer_bytes_max).collect().await;
            let body = body.map_err(|cause| {
                let authority = to.authority.clone();
                Error::Unreadable { authority, why: cause.to_string() }
            })?;
            Ok(Answer { status, body: body.to_bytes().to_vec() })
        };
        let (mut answering, connection) = (std::pin::pin!(answering), std::pin::pin!(connection));
        tokio::select! {
            outcome = &mut answering => outcome,
            // What came before the end can still be read.
            _ = connection => answering.await,
        }
    }

    pub(super) async fn connect(&self, to: &Address) -> Result<Box<dyn Stream>, Error> {
        let unreachable = |source| Error::Unreachable { authority: to.authority.clone(), source };
        let stream = TcpStream::connect((to.host.as_str(), to.port)).await.map_err(unreachable)?;
        if !to.is_secret {
            return Ok(Box::new(stream));
        }
        let name =
            ServerName::try_from(to.host.clone()).map_err(|_| Error::Address("has a name that no certificate has"))?;
        let secret = TlsConnector::from(self.trust.0.clone()).connect(name, stream).await;
        Ok(Box::new(secret.map_err(|cause| Error::of_handshake(&to.authority, cause))?))
    }
}

/// A connection, secret or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}
