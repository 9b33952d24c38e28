//! `users import`: accounts from elsewhere.
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use poem::http::Method;

use super::Context;
use super::operator::{Operator, Reply, Request};
use super::transfer::{open, tell};

const IMPORT: &str = "/api/v1/admin/users/import";

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Add the accounts of a file, one JSON object a line, with the hashes of their passwords.
    Import {
        /// The file; `-` for standard input.
        file: PathBuf,
        /// Only say what would be refused.
        #[arg(long)]
        dry_run: bool,
    },
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<ExitCode> {
    let Args::Import { file, dry_run } = args;
    let (body, bar) = open(&file).await?;
    let path = format!("{IMPORT}{}", if dry_run { "?dryRun=true" } else { "" });

    let operator = Operator::find_existing(context).await?;
    let request = Request::new(Method::POST, path, "application/x-ndjson", body);
    let reply = operator.exchange(request, Reply::read).await;
    bar.finish_and_clear();

    tell(&reply?.json()?, dry_run)
}
