//! A WebSocket to a server elsewhere (RFC 6455).
use data_encoding::BASE64;
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::{Address, Answer, Client, Error};

/// What a server made of being asked for a socket.
#[derive(Debug)]
pub enum Asked {
    Socket(Box<Socket>),
    /// It refused.
    Refused(Answer),
}

pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

impl Client {
    /// Asks for a socket. The URI of the request is a path; `key` is what tells the answer from one that was kept.
    pub async fn open_socket(
        &self,
        to: &Address,
        request: Request<()>,
        key: [u8; 16],
        config: WebSocketConfig,
    ) -> Result<Asked, Error> {
        let asked = tokio::time::timeout(self.limits.answer_time_max, self.shake_hands(to, request, key, config));
        asked.await.unwrap_or_else(|_| Err(Error::Slow { authority: to.authority.clone() }))
    }

    async fn shake_hands(
        &self,
        to: &Address,
        request: Request<()>,
        key: [u8; 16],
        config: WebSocketConfig,
    ) -> Result<Asked, Error> {
        let key = BASE64.encode(&key);
        let (mut parts, ()) = request.into_parts();
        parts.uri = format!("{}{}", to.base, parts.uri).parse().map_err(http::Error::from)?;
        let wanted = [
            (HOST, to.authority.as_str()),
            (CONNECTION, "upgrade"),
            (UPGRADE, "websocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_KEY, key.as_str()),
        ];
        for (name, value) in wanted {
            parts.headers.insert(name, value.parse().map_err(http::Error::from)?);
        }
        let request = Request::from_parts(parts, Empty::<bytes::Bytes>::new());
        let stream = tokio::time::timeout(self.limits.connect_time_max, self.connect(to));
        let stream = stream.await.unwrap_or_else(|_| Err(Error::Silent { authority: to.authority.clone() }))?;
        let closed = |source| Error::Closed { authority: to.authority.clone(), source };
        let unreadable = |why: String| Error::Unreadable { authority: to.authority.clone(), why };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(closed)?;
        let answering = async {
            let mut response = sender.send_request(request).await.map_err(closed)?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                let status = response.status().as_u16();
                let body = Limited::new(response.into_body(), self.limits.answer_bytes_max).collect().await;
                let body = body.map_err(|cause| unreadable(cause.to_string()))?;
                return Ok(Asked::Refused(Answer { status, body: body.to_bytes().to_vec() }));
            }
            let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT).map(|it| it.as_bytes().to_vec());
            if accepted.as_deref() != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
                return Err(unreadable("it is no WebSocket".to_owned()));
            }
            let stream = hyper::upgrade::on(&mut response).await.map_err(closed)?;
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Client, Some(config)).await;
            Ok(Asked::Socket(Box::new(socket)))
        };
        let (mut answering, connection) = (std::pin::pin!(answering), std::pin::pin!(connection.with_upgrades()));
        tokio::select! {
            outcome = &mut answering => outcome,
            // What came before the end can still be read.
            _ = connection => answering.await,
        }
    }
}
