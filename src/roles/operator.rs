//! The command line as a client of the API.
//!
//! While the server runs it is asked through `steading.sock` in the data folder, where
//! whoever has its uid is the operator. While it does not, the role opens the folder
//! itself and asks the same router. So both ways have the same checks and effects.
use std::path::Path;
use std::pin::pin;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper_util::rt::TokioIo;
use poem::Body;
use poem::http::{Method, Uri};
use serde_json::Value;
use tokio::net::UnixStream;

use super::Context;
use crate::app::App;
use crate::base::{Clock, Random, TenantId};
use crate::db::Folder;
use crate::http::{Caller, Shell, etag};

/// The name of the socket in the data folder.
pub(super) const SOCKET: &str = "steading.sock";

/// What the API answered.
pub(super) struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

/// What is asked of the API.
pub(super) struct Request {
    pub method: Method,
    pub path: String,
    pub media_type: &'static str,
    pub body: Body,
    /// The tag of what the request is meant for.
    pub if_match: Option<String>,
}

impl Request {
    pub(super) fn of_json(method: Method, path: &str, body: String) -> Self {
        Self::new(method, path.to_owned(), "application/json", body.into())
    }

    pub(super) fn new(method: Method, path: String, media_type: &'static str, body: Body) -> Self {
        Self { method, path, media_type, body, if_match: None }
    }

    /// The same, meant for one version of a thing.
    pub(super) fn if_match(self, version: i64) -> Self {
        Self { if_match: Some(etag::of_version(version)), ..self }
    }

    fn of_operator(self) -> anyhow::Result<poem::Request> {
        let mut request = poem::Request::builder()
            .method(self.method)
            .uri(self.path.parse::<Uri>()?)
            .header("host", "localhost")
            .header("content-type", self.media_type)
            .extension(Caller::operator(TenantId::main()));
        if let Some(tag) = self.if_match {
            request = request.header("if-match", tag);
        }
        Ok(request.body(self.body))
    }
}

impl Reply {
    pub(super) async fn read(status: u16, body: Body) -> anyhow::Result<Self> {
        Ok(Self { status, body: body.into_bytes().await?.to_vec() })
    }

    /// The answer as JSON; a problem becomes an error with its words.
    pub(super) fn json(&self) -> anyhow::Result<Value> {
        let body: Value = serde_json::from_slice(&self.body).context("the server's answer is not JSON")?;
        if self.status < 400 {
            return Ok(body);
        }
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        let faults = self.faults();
        if faults.is_empty() {
            anyhow::bail!("{}: {}", text(&body["title"]), text(&body["detail"]));
        }
        let lines = faults
            .iter()
            .map(|(pointer, detail)| format!("{} {detail}", pointer.trim_start_matches('/')).trim_start().to_owned());
        anyhow::bail!("{}", lines.collect::<Vec<_>>().join("; "))
    }

    /// Where and what is wrong with what was sent, if the answer tells.
    pub(super) fn faults(&self) -> Vec<(String, String)> {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        let faults = body["errors"].as_array().into_iter().flatten();
        faults.map(|it| (text(&it["pointer"]), text(&it["detail"]))).collect()
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
        // The folder is ours now, so a socket in it is that of a server that died.
        let _ = std::fs::remove_file(&socket);
        let shell = app.shell(app.routes()?);
        Ok(Self::InProcess(Box::new(app), shell))
    }

    /// As [`Operator::find`], for what is there already: a folder that is not there is a mistake in its name.
    pub(super) async fn find_existing(context: &Context) -> anyhow::Result<Self> {
        let folder = context.data.display();
        anyhow::ensure!(context.data.exists(), "there is no data folder `{folder}` here; `--data` names another");
        Self::find(context).await
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

    /// As [`Operator::find`], to make something with that request. Where there is no data yet, it is tried in memory
    /// first, so that a request that is refused leaves nothing behind.
    pub(super) async fn find_to_make(context: &Context, path: &str, body: Option<&Value>) -> anyhow::Result<Self> {
        if !Folder::has_data(&context.data) {
            let app = App::in_memory(context.settings()?, Clock::system(), Random::system()).await?;
            let shell = app.shell(app.routes()?);
            let rehearsal = Self::InProcess(Box::new(app), shell);
            rehearsal.ask(Method::POST, path, body).await?.json()?;
        }
        Self::find(context).await
    }

    /// Asks with JSON, and reads the whole answer.
    pub(super) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Reply> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        self.exchange(Request::of_json(method, path, body), Reply::read).await
    }

    /// Asks, and reads the answer with `read` while it comes.
    pub(super) async fn exchange<T>(
        &self,
        request: Request,
        read: impl AsyncFnOnce(u16, Body) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        match self {
            Self::AtTheSocket(socket) => ask_socket(socket, request, read).await,
            Self::InProcess(app, shell) => {
                let response = shell.answer(request.of_operator()?).await;
                let outcome = read(response.status().as_u16(), response.into_body()).await;
                app.close().await?;
                outcome
            }
        }
    }
}

async fn ask_socket<T>(
    socket: &Path,
    request: Request,
    read: impl AsyncFnOnce(u16, Body) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let stream = UnixStream::connect(socket).await.context("the server does not answer at its socket")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut asked = http::Request::builder()
        .method(request.method)
        .uri(request.path)
        .header("host", "localhost")
        .header("content-type", request.media_type);
    if let Some(tag) = request.if_match {
        asked = asked.header("if-match", tag);
    }
    let request = asked.body(BoxBody::<Bytes, std::io::Error>::from(request.body))?;
    let answering = async {
        let response = sender.send_request(request).await.context("the server closed the connection")?;
        let status = response.status().as_u16();
        read(status, Body::from(response.into_body().map_err(std::io::Error::other).boxed())).await
    };
    let (mut answering, connection) = (pin!(answering), pin!(connection));
    tokio::select! {
        outcome = &mut answering => outcome,
        // What came before the end can still be read.
        _ = connection => answering.await,
    }
}

/// Asks as the operator, in this process.
pub(super) async fn ask_shell(shell: &Shell, request: Request) -> anyhow::Result<Reply> {
    let response = shell.answer(request.of_operator()?).await;
    Reply::read(response.status().as_u16(), response.into_body()).await
}
