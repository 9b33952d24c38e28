//! `auth calibrate`: what a password may cost on this machine.
use std::process::ExitCode;

use clap::Subcommand;
use poem::http::Method;

use super::operator::Operator;
use super::{Context, say};

const CALIBRATE: &str = "/api/v1/admin/password-hashing/calibrate";

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Measure what checking a password may cost on this machine, from now on.
    Calibrate,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<ExitCode> {
    let Args::Calibrate = args;
    let operator = Operator::find_existing(context).await?;
    let found = operator.ask(Method::POST, CALIBRATE, None).await?.json()?;
    let mib = found["memoryKib"].as_u64().unwrap_or(0) / 1_024;
    say(format!("a password takes {mib} MiB, which are gone through {} times", found["iterations"]))?;
    if found["isMeasured"] == false {
        say("as the settings say: `accounts.hash_memory_kib` and `accounts.hash_iterations` are not 0")?;
    }
    Ok(ExitCode::SUCCESS)
}
