//! The command line as a client of the API.
//!
//! While the server runs it is asked through `steading.sock` in the data folder, where
//! whoever has its uid is the operator. While it does not, the role opens the folder
//! itself and asks the same router. So both ways have the same checks and effects.
use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use poem::http::{Method, Request, Uri};
use serde_json::Value;
use tokio::net::UnixStream;

use super::Context;
use crate::app::App;
use crate::base::{Clock, Random, TenantId};
use crate::http::{Caller, Shell};

/// The name of the socket in the data folder.
pub(super) const SOCKET: &str = "steading.sock";

/// What the API answered.
pub(super) struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Reply {
    /// The answer as JSON; a problem becomes an error with its words.
    pub(super) fn json(&self) -> anyhow::Result<Value> {
        let body: Value = serde_json::from_slice(&self.body).context("the server's answer is not JSON")?;
        if self.status < 400 {
            return Ok(body);
        }
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        let faults: Vec<_> = body["errors"].as_array().into_iter().flatten().collect();
        if faults.is_empty() {
            anyhow::bail!("{}: {}", text(&body["title"]), text(&body["detail"]));
        }
        let lines =
            faults.iter().map(|it| format!("{} {}", text(&it["pointer"]).trim_start_matches('/'), text(&it["detail"])));
        anyhow::bail!("{}", lines.collect::<Vec<_>>().join("; "))
    }
}

/// The operator, wherever the server is.
pub(super) enum Operator {
    AtTheSocket(std::path::PathBuf),
    InProcess(Box<App>, Shell),
}

impl Operator {
    /// Finds the running server, or takes the folder.
    pub(super) async fn find(context: &Context) -> anyhow::Result<Self> {
        let socket = context.data.join(SOCKET);
        if UnixStream::connect(&socket).await.is_ok() {
            return Ok(Self::AtTheSocket(socket));
        }
        let settings = context.settings()?;
        let app = App::open(&context.data, settings, Clock::system(), Random::system()).await?;
        let shell = app.shell(app.routes()?);
        Ok(Self::InProcess(Box::new(app), shell))
    }

    /// As [`Operator::find`], for what needs no data: where there is no folder, none is made.
    pub(super) async fn find_to_look(context: &Context) -> anyhow::Result<Self> {
        if context.data.exists() {
            return Self::find(context).await;
        }
        let app = App::in_memory(context.settings()?, Clock::system(), Random::system()).await?;
        let shell = app.shell(app.routes()?);
        Ok(Self::InProcess(Box::new(app), shell))
    }

    pub(super) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Reply> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        match self {
            Self::AtTheSocket(socket) => ask_socket(socket, method, path, body).await,
            Self::InProcess(app, shell) => {
                let reply = ask_shell(shell, method, path, body).await?;
                app.close()?;
                Ok(reply)
            }
        }
    }
}

async fn ask_socket(socket: &Path, method: Method, path: &str, body: String) -> anyhow::Result<Reply> {
    let stream = UnixStream::connect(socket).await.context("the server does not answer at its socket")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let answering = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes().to_vec();
        anyhow::Ok(Reply { status, body })
    };
    tokio::select! {
        reply = answering => reply,
        ended = connection => Err(anyhow::anyhow!("the server closed the connection: {ended:?}")),
    }
}

/// Asks as the operator, in this process.
pub(super) async fn ask_shell(shell: &Shell, method: Method, path: &str, body: String) -> anyhow::Result<Reply> {
    let request = poem::Request::builder()
        .method(method)
        .uri(path.parse::<Uri>()?)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .extension(Caller::operator(TenantId::main()))
        .body(body);
    let response = shell.answer(request).await;
    let status = response.status().as_u16();
    let body = response.into_body().into_bytes().await?.to_vec();
    Ok(Reply { status, body })
}
