//! `migrate`: what `serve` does before it serves, by itself.
use std::process::ExitCode;

use super::operator::Operator;
use super::{Context, say};

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    match Operator::find_existing(context).await? {
        Operator::AtTheSocket(_) => say("the server is running, so its data is at its version")?,
        Operator::InProcess(..) => {
            say(format!("{} is at version {}", context.data.display(), env!("CARGO_PKG_VERSION")))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
