//! `completions`: what a shell needs to complete our words.
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Command, say};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    shell: Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // Written at once: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Command::command(), "steading", &mut script);
    say(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitCode::SUCCESS)
}
