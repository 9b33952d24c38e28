//! `openapi`: the document, for generators of clients.
use std::process::ExitCode;

use poem::http::Method;

use super::operator::Operator;
use super::{Context, say};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// OpenAPI 3.1 instead of 3.0.
    #[arg(long = "3.1")]
    newer: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let path = if args.newer { "/openapi-3.1.json" } else { "/openapi.json" };
    let document = Operator::find_to_look(context).await?.ask(Method::GET, path, None).await?.json()?;
    say(format!("{document:#}"))?;
    Ok(ExitCode::SUCCESS)
}
