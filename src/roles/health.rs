//! `health`: one question for containers and scripts.
use std::process::ExitCode;

use anyhow::Context as _;
use poem::http::Method;
use tokio::net::UnixStream;

use super::operator::{Operator, SOCKET};
use super::{Context, say};

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let socket = context.data.join(SOCKET);
    match UnixStream::connect(&socket).await {
        Ok(_) => {}
        Err(cause) if cause.kind() == std::io::ErrorKind::PermissionDenied => {
            let words = "cannot reach the server: only whoever runs it, or root, may ask at its socket";
            return Err(cause).context(words);
        }
        Err(_) => {
            say("stopped")?;
            return Ok(ExitCode::FAILURE);
        }
    }
    let reply = Operator::AtTheSocket(socket).ask(Method::GET, "/health/ready", None).await?;
    say(String::from_utf8_lossy(&reply.body))?;
    Ok(if reply.status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
