//! The roles of the one binary: what each subcommand does.
//!
//! All but `serve` are clients. They ask the running server through its socket, or,
//! with the server stopped, the same router in their own process ([`operator`]).
mod admin;
mod advice;
mod audit;
mod auth;
mod completions;
mod doctor;
mod dumps;
mod health;
mod logs;
mod mail;
mod migrate;
mod openapi;
mod operator;
mod relay;
mod schema;
mod secrets;
mod seed;
mod serve;
mod transfer;
mod users;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::config::{Flags, Live, Sources, environment};

/// A complete API backend in one binary.
#[derive(Debug, Parser)]
#[command(name = "steading", version, about, long_about = None)]
pub struct Command {
    /// The folder with all data.
    #[arg(long, global = true, default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// The file with settings; `config.toml` in this folder if it is there.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Run the server.
    Serve(serve::Args),
    /// Hold the WebSockets of a server elsewhere.
    Relay(relay::Args),
    /// Make admins, links for making them, and other signing keys.
    #[command(subcommand)]
    Admin(admin::Args),
    /// Add the records of a file to a collection.
    Import(transfer::ImportArgs),
    /// Write the records of a collection to a file.
    Export(transfer::ExportArgs),
    /// Bring accounts from elsewhere.
    #[command(subcommand)]
    Users(users::Args),
    /// Look after how people sign in.
    #[command(subcommand)]
    Auth(auth::Args),
    /// Look at the audit trail: who did what.
    #[command(subcommand)]
    Audit(audit::Args),
    /// Keep collections as files in a folder, for a repository.
    #[command(subcommand)]
    Schema(schema::Args),
    /// Look at the master keys of people's secrets, and change them.
    #[command(subcommand)]
    Secrets(secrets::Args),
    /// Look after how mails are sent.
    #[command(subcommand)]
    Mail(mail::Args),
    /// Make collections, people (of `demo` one is an admin) and records to begin with.
    Seed(seed::Args),
    /// Bring the data to this version, without serving it.
    Migrate,
    /// Look for what is wrong, and say what to do about it.
    Doctor,
    /// Say whether the server is ready, by exit code: for containers.
    Health,
    /// Print the OpenAPI document.
    Openapi(openapi::Args),
    /// Print completions for a shell.
    Completions(completions::Args),
}

/// What every role is told.
#[derive(Debug)]
struct Context {
    data: PathBuf,
    sources: Sources,
}

impl Context {
    /// The settings; all their mistakes at once if there are any.
    fn settings(&self) -> anyhow::Result<Live> {
        Live::load(self.sources.clone()).map_err(|cause| anyhow::anyhow!("the settings have mistakes:\n{cause}"))
    }
}

/// Runs the role that the command line names.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    // What we write opens every account: for this user only, whatever the folder's own mode.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let default = PathBuf::from("config.toml");
    let file = command.config.or_else(|| default.is_file().then_some(default));
    let sources = Sources { file, environment: environment(), flags: Flags::default() };
    let mut context = Context { data: command.data, sources };
    // Whoever asks whether the trail is whole must not take a failure to find out for an answer.
    let is_verdict = matches!(command.role, Role::Audit(audit::Args::Verify { .. }));
    let outcome = match command.role {
        Role::Serve(args) => {
            context.sources.flags = args.flags();
            serve::run(&context).await
        }
        Role::Relay(args) => relay::run(&context, args).await,
        Role::Admin(args) => admin::run(&context, args).await,
        Role::Import(args) => transfer::import(&context, args).await,
        Role::Export(args) => transfer::export(&context, args).await,
        Role::Users(args) => users::run(&context, args).await,
        Role::Auth(args) => auth::run(&context, args).await,
        Role::Audit(args) => audit::run(&context, args).await,
        Role::Schema(args) => schema::run(&context, args).await,
        Role::Secrets(args) => secrets::run(&context, args).await,
        Role::Mail(args) => mail::run(&context, args).await,
        Role::Seed(args) => seed::run(&context, args).await,
        Role::Migrate => migrate::run(&context).await,
        Role::Doctor => doctor::run(&context).await,
        Role::Health => health::run(&context).await,
        Role::Openapi(args) => openapi::run(&context, &args).await,
        Role::Completions(args) => completions::run(&args),
    };
    let outcome = outcome.map_err(|cause| match advice::about(&cause, &context) {
        Some(advice) => anyhow::anyhow!("{cause:#}; {advice}"),
        None => cause,
    });
    match outcome {
        Err(cause) if is_verdict => {
            fail(&cause);
            Ok(ExitCode::from(audit::TROUBLE))
        }
        outcome => outcome,
    }
}

/// Tells a person why a role failed.
#[expect(clippy::print_stderr, reason = "roles talk to a person at a terminal")]
pub fn fail(cause: &anyhow::Error) -> ExitCode {
    eprintln!("steading: {cause:#}");
    ExitCode::FAILURE
}

/// Tells a person or a program what a role found or did.
///
/// That nobody reads any more (`steading openapi | head`) is no failure; what could not be
/// written to a file is one, since half a document may look like a whole one.
fn say(text: impl std::fmt::Display) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write to standard output"),
    }
}
