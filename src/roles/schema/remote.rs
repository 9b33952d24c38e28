//! A server elsewhere, asked over HTTP with the token of an admin.
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::Uri;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::base::Secret;
use crate::config;
use crate::roles::operator::{Reply, Request};

/// How long a server may take to answer the phone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take for everything: a push changes whole tables.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Largest answer: all collections that there can be, with room to spare.
const ANSWER_BYTES_MAX: usize = 64 << 20;

pub(super) struct Remote {
    authority: String,
    host: String,
    port: u16,
    /// What stands before the paths of the API, without a slash at its end.
    base: String,
    token: Secret<String>,
}

impl Remote {
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.trim_end_matches('/').parse().context("--url must be such as http://localhost:8088")?;
        let authority = uri.authority().context("--url must be such as http://localhost:8088")?.clone();
        anyhow::ensure!(!authority.as_str().contains('@'), "--url must not hold a name or a password");
        anyhow::ensure!(uri.query().is_none(), "--url must have no parameters");
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        anyhow::ensure!(
            uri.scheme_str() == Some("http"),
            "--url must begin with http://; reach a server behind TLS through a tunnel, such as \
             `ssh -L 8088:localhost:8088 <host>`"
        );
        let is_near = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback());
        anyhow::ensure!(
            is_near,
            "--url must be an address of this machine, since http:// sends the token so that all on the way can read \
             it; reach a server elsewhere through a tunnel, such as `ssh -L 8088:localhost:8088 {host}`"
        );
        let token = config::token().context("STEADING_TOKEN must hold the access token of an admin")?;
        let base = uri.path().trim_end_matches('/').to_owned();
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self { authority: authority.to_string(), host, port, base, token })
    }

    pub async fn ask(&self, request: Request) -> anyhow::Result<Reply> {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(request));
        answer.await.with_context(|| format!("{} takes too long to answer", self.authority))?
    }

    async fn exchange(&self, request: Request) -> anyhow::Result<Reply> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((self.host.as_str(), self.port)));
        let stream = connecting.await.map_err(|_| anyhow::anyhow!("{} does not answer", self.authority))?;
        let stream = stream.with_context(|| format!("cannot reach {}", self.authority))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut asked = http::Request::builder()
            .method(request.method)
            .uri(format!("{}{}", self.base, request.path))
            .header("host", &self.authority)
            .header("content-type", request.media_type)
            .header("authorization", format!("Bearer {}", self.token.reveal()));
        if let Some(tag) = request.if_match {
            asked = asked.header("if-match", tag);
        }
        let asked = asked.body(BoxBody::<Bytes, std::io::Error>::from(request.body))?;
        let answering = async {
            let response = sender.send_request(asked).await.context("the server closed the connection")?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|cause| anyhow::anyhow!("the answer cannot be read: {cause}"))?;
            Ok(Reply { status, body: body.to_bytes().to_vec() })
        };
        let (mut answering, connection) = (std::pin::pin!(answering), std::pin::pin!(connection));
        tokio::select! {
            outcome = &mut answering => outcome,
            // What came before the end can still be read.
            _ = connection => answering.await,
        }
    }
}
