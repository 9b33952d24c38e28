//! `completions`: what a shell needs to complete our words.
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::Command;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    shell: Shell,
}

pub(super) fn run(args: &Args) -> ExitCode {
    clap_complete::generate(args.shell, &mut Command::command(), "steading", &mut std::io::stdout());
    ExitCode::SUCCESS
}
