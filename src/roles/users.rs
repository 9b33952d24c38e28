//! `users import`: accounts from elsewhere.
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use poem::http::Method;
use serde_json::Value;

use super::dumps::{Conversion, Converted, Origin, Project};
use super::operator::{Operator, Reply, Request};
use super::transfer::{open, tell};
use super::{Context, say};
use crate::base::Clock;

const IMPORT: &str = "/api/v1/admin/users/import";

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Add the accounts of a file, one JSON object a line, with the hashes of their passwords.
    Import {
        /// The file; `-` for standard input.
        file: PathBuf,
        /// Who exported it, if it is not written as above.
        #[arg(long, value_name = "ORIGIN")]
        from: Option<Origin>,
        /// With `--from firebase`: a file with the password hash parameters of the project.
        #[arg(long, value_name = "FILE")]
        hash_config: Option<PathBuf>,
        /// Only say what would be refused.
        #[arg(long)]
        dry_run: bool,
    },
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<ExitCode> {
    let Args::Import { file, from, hash_config, dry_run } = args;
    let path = format!("{IMPORT}{}", if dry_run { "?dryRun=true" } else { "" });
    let Some(origin) = from else {
        anyhow::ensure!(hash_config.is_none(), "`--hash-config` goes with `--from firebase`");
        let (body, bar) = open(&file).await?;
        let operator = Operator::find_existing(context).await?;
        let reply =
            operator.exchange(Request::new(Method::POST, path, "application/x-ndjson", body), Reply::read).await;
        bar.finish_and_clear();
        return tell(&reply?.json()?, dry_run);
    };
    let project = project(origin, hash_config.as_deref())?;
    let conversion = Conversion { origin, project, now: Clock::system().now() };
    let Converted { body, bar, outcome } = conversion.open(&file)?;

    let operator = Operator::find_existing(context).await?;
    let reply = operator.exchange(Request::new(Method::POST, path, "application/x-ndjson", body), Reply::read).await;
    bar.finish_and_clear();

    let mut report = reply?.json()?;
    number_by_place(&mut report);
    let told = tell(&report, dry_run)?;
    match outcome.get() {
        Some(it) if 0 < it.left_out => say(format!("{} that were deleted there left out", it.left_out))?,
        _ => {}
    }
    match outcome.get().and_then(|it| it.broken.as_ref()) {
        Some(why) if report["stopped"].is_null() => anyhow::bail!("the rest of the file was not read: {why}"),
        _ => Ok(told),
    }
}

/// How passwords are hashed, where that is to be said.
fn project(origin: Origin, file: Option<&Path>) -> anyhow::Result<Option<Project>> {
    let Some(file) = file else {
        anyhow::ensure!(
            origin != Origin::Firebase,
            "passwords of Firebase need `--hash-config FILE`, with what its console shows at Authentication, Users, \
             `Password hash parameters`"
        );
        return Ok(None);
    };
    anyhow::ensure!(origin == Origin::Firebase, "`--hash-config` goes with `--from firebase`");
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Project::read(&text).map(Some).with_context(|| format!("cannot use {}", file.display()))
}

/// Has each refused account called by its place in the file, which is its line of what was sent.
fn number_by_place(report: &mut Value) {
    let refused = report.get_mut("errors").and_then(Value::as_array_mut);
    for members in refused.into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(line) = members.remove("line") {
            members.insert("record".to_owned(), line);
        }
    }
}
