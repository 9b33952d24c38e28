//! `health`: one question for containers and scripts.
use std::process::ExitCode;

use poem::http::Method;
use tokio::net::UnixStream;

use super::operator::{Operator, SOCKET};
use super::{Context, say};

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let socket = context.data.join(SOCKET);
    if UnixStream::connect(&socket).await.is_err() {
        say("stopped")?;
        return Ok(ExitCode::FAILURE);
    }
    let reply = Operator::AtTheSocket(socket).ask(Method::GET, "/health/ready", None).await?;
    say(String::from_utf8_lossy(&reply.body))?;
    Ok(if reply.status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
