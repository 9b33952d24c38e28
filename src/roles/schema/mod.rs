//! `schema`: collections as files in a folder, one for each, for a repository.
//!
//! `pull` writes them as the server has them, `diff` says what `push` would do, `push` does it: all in one transaction,
//! and only what was looked at. The same files are applied by `serve` at its start ([`start`]), and with `--dev` they
//! follow what is changed through the API ([`follow`]).
mod catch_up;
mod examine;
mod files;
mod follow;
mod line;
mod remote;
mod start;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use poem::http::Method;
use serde_json::Value;

use self::files::{Faults, SchemaFile};
use self::remote::Remote;
use super::operator::{Operator, Reply, Request};
use super::{Context, advice, fail, say};
use crate::features::collections::canonical;

pub(super) use self::examine::examine;
pub(super) use self::follow::follow;
pub(super) use self::start::apply;

const EXPORT: &str = "/api/v1/collections/export";
const IMPORT: &str = "/api/v1/collections/import";
/// Exit code of all three when it could not be done, as `diff` itself has it: 1 is for a difference.
const TROUBLE: u8 = 2;

/// From so many records on a change takes a good part of a second.
const REWRITTEN_MIN: u64 = 50_000;

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Write a file for each collection of the server: exit code 0 when it is done, 2 for trouble.
    Pull {
        #[command(flatten)]
        place: Place,
        /// Delete files of collections that the server does not have.
        #[arg(long)]
        delete_others: bool,
    },
    /// Say what `push` would do, and whether it would be refused: exit code 0 for nothing, 1 for something, 2 for
    /// trouble.
    Diff {
        #[command(flatten)]
        place: Place,
        /// As `push` with it.
        #[arg(long)]
        drop_others: bool,
    },
    /// Make the collections of the server as the files say, all in one go or not at all: exit code 0 when it is done or
    /// there was nothing to do, 2 for trouble.
    Push {
        #[command(flatten)]
        place: Place,
        /// Let values go that some record has.
        #[arg(long)]
        allow_loss: bool,
        /// Drop collections that have no file, with all their records.
        #[arg(long)]
        drop_others: bool,
    },
}

/// Which files, and which server.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The folder with the files.
    #[arg(long, value_name = "DIR", default_value = "schema")]
    folder: PathBuf,
    /// The address of a server elsewhere, such as `https://api.example.com`; with the access token of an admin in
    /// STEADING_TOKEN. `http://` only for this machine. Without it, the server of the data folder.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The certificate of the authority that signed that of the server, in PEM, if it is one of your own. Then no other
    /// is believed.
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
}

/// The server that is asked.
enum Server {
    Here(Operator),
    Elsewhere(Remote),
}

impl Server {
    async fn find(context: &Context, place: &Place) -> anyhow::Result<Self> {
        match &place.url {
            Some(url) => Ok(Self::Elsewhere(Remote::new(url, place.ca.as_deref())?)),
            None => Operator::find_existing(context).await.map(Self::Here),
        }
    }

    async fn ask(&self, request: Request) -> anyhow::Result<Reply> {
        match self {
            Self::Here(operator) => operator.exchange(request, Reply::read).await,
            Self::Elsewhere(remote) => remote.ask(request).await,
        }
    }
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<ExitCode> {
    let outcome = match args {
        Args::Pull { place, delete_others } => pull(context, &place, delete_others).await,
        Args::Diff { place, drop_others } => diff(context, &place, drop_others).await,
        Args::Push { place, allow_loss, drop_others } => push(context, &place, allow_loss, drop_others).await,
    };
    // The advice is added here, since nobody above us sees the failure.
    Ok(outcome.unwrap_or_else(|cause| {
        fail(&match advice::about(&cause, context) {
            Some(advice) => anyhow::anyhow!("{cause:#}; {advice}"),
            None => cause,
        });
        ExitCode::from(TROUBLE)
    }))
}

async fn pull(context: &Context, place: &Place, delete_others: bool) -> anyhow::Result<ExitCode> {
    let server = Server::find(context, place).await?;
    let set = server.ask(Request::of_json(Method::GET, EXPORT, String::new())).await?.json()?;
    let folder = &place.folder;
    files::make_folder(folder)?;
    let mut names = Vec::new();
    for collection in set["collections"].as_array().context("the server's answer is no set of collections")? {
        let collection = canonical(collection.clone());
        let name = safe_name(&collection)?;
        if files::write(folder, &collection)? {
            say(format!("wrote {}", files::path(folder, &name).display()))?;
        }
        names.push(name);
    }
    for name in files::names(folder)?.iter().filter(|it| !names.contains(it)) {
        let path = files::path(folder, name);
        if delete_others {
            std::fs::remove_file(&path).with_context(|| format!("cannot delete {}", path.display()))?;
            say(format!("deleted {}", path.display()))?;
        } else {
            say(format!("the server has no collection for {}; `--delete-others` deletes it", path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The name of a collection that a server told of. It becomes the name of a file, so it is looked at here too.
fn safe_name(collection: &Value) -> anyhow::Result<String> {
    let name = collection["name"].as_str().unwrap_or_default();
    let is_name = !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
    anyhow::ensure!(is_name, "the server told of a collection with a name that cannot be one");
    Ok(name.to_owned())
}

async fn diff(context: &Context, place: &Place, drop_others: bool) -> anyhow::Result<ExitCode> {
    let files = files::read(&place.folder)?;
    let server = Server::find(context, place).await?;
    let report = rehearse(&server, &files, drop_others).await?;
    say_all(&lines(&report))?;
    if let Some(reason) = refusal(&report) {
        say(format!("a push is refused, since {reason}"))?;
    }
    let differs = report["collections"].as_array().is_some_and(|it| !it.is_empty());
    Ok(ExitCode::from(u8::from(differs)))
}

async fn push(context: &Context, place: &Place, allow_loss: bool, drop_others: bool) -> anyhow::Result<ExitCode> {
    let files = files::read(&place.folder)?;
    let server = Server::find(context, place).await?;
    let report = rehearse(&server, &files, drop_others).await?;
    say_all(&lines(&report))?;
    if report["collections"].as_array().is_none_or(Vec::is_empty) {
        say("nothing to do")?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = format!("{IMPORT}?allowLoss={allow_loss}&dropOthers={drop_others}");
    // What was looked at, and nothing else: who changes a collection now is not overwritten.
    let generation = report["generation"].as_i64().context("the server's answer is no report")?;
    let request = Request::of_json(Method::POST, &path, files::set(&files)).if_match(generation);
    told(&server.ask(request).await?, &files)?;
    say("done")?;
    Ok(ExitCode::SUCCESS)
}

/// Asks what a push would do.
async fn rehearse(server: &Server, files: &BTreeMap<String, SchemaFile>, drop_others: bool) -> anyhow::Result<Value> {
    let path = format!("{IMPORT}?dryRun=true&dropOthers={drop_others}");
    let reply = server.ask(Request::of_json(Method::POST, &path, files::set(files))).await?;
    told(&reply, files)
}

/// What the server answered to a set that was put together from files; what is wrong with these, with file and line.
fn told(reply: &Reply, files: &BTreeMap<String, SchemaFile>) -> anyhow::Result<Value> {
    if reply.status == 422 {
        let problem: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let faults = problem["errors"].as_array().into_iter().flatten();
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        in_files(files, faults.map(|it| (text(&it["pointer"]), text(&it["detail"]))))?;
    }
    reply.json()
}

/// An error that tells faults of a set in the files that it was put together from, if there are any.
fn in_files(
    files: &BTreeMap<String, SchemaFile>,
    faults: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<()> {
    let mut told = Faults::default();
    for (pointer, detail) in faults {
        let inner = pointer.strip_prefix("/collections/").unwrap_or_default();
        let (number, rest) = inner.split_at(inner.find('/').unwrap_or(inner.len()));
        match number.parse().ok().and_then(|it: usize| files.values().nth(it)) {
            Some(file) => file.fault(&mut told, rest, &detail),
            None => told.add(&PathBuf::from("the files together"), None, &detail),
        }
    }
    told.into_result()
}

/// Why a push would be refused, with what can be done about it.
fn refusal(report: &Value) -> Option<String> {
    let loss = "values would be lost; `--allow-loss` lets them go";
    let in_the_way = "records are in the way, as told above; change these first";
    match (report["losesData"] == true, report["isBlocked"] == true) {
        (true, true) => Some(format!("{loss}; and {in_the_way}")),
        (true, false) => Some(loss.to_owned()),
        (false, true) => Some(in_the_way.to_owned()),
        (false, false) => None,
    }
}

/// What a report says, for people.
fn lines(report: &Value) -> Vec<String> {
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for step in report["collections"].as_array().into_iter().flatten() {
        lines.push(format!("{}: {}", text(&step["collection"]), text(&step["deed"])));
        for change in step["changes"].as_array().into_iter().flatten() {
            let mut line = format!("  {}", text(&change["description"]));
            let least = if change["atLeast"] == true { "at least " } else { "" };
            let of = |count: u64| if count == 1 { "1 record".to_owned() } else { format!("{count} records") };
            let ids: Vec<_> = change["ids"].as_array().into_iter().flatten().map(text).collect();
            let such = format!("such as {}", ids.join(", "));
            if let Some(count @ 1..) = change["wouldNotPass"].as_u64() {
                let (it, stay) = if count == 1 { ("it", "stays as it is") } else { ("they", "stay as they are") };
                line.push_str(&format!(
                    "; {least}{} would not pass, {such}: {it} {stay} until next written",
                    of(count)
                ));
            }
            match (change["records"].as_u64(), change["inTheWay"].as_u64()) {
                (Some(count), _) if change["losesData"] == true => {
                    let lose = if count == 1 { "loses" } else { "lose" };
                    line.push_str(&format!("; {least}{} {lose} a value", of(count)));
                }
                (Some(count), _) => line.push_str(&format!("; in {least}{}", of(count))),
                (_, Some(count)) if 0 < count => {
                    line.push_str(&format!("; {least}{} in the way, {such}", of(count)));
                }
                _ => {}
            }
            lines.push(line);
        }
    }
    if let Some(count) = rewritten(report) {
        lines.push(format!("while some {count} records are written anew, other writes wait; reading goes on"));
    }
    let others: Vec<_> = report["others"].as_array().into_iter().flatten().map(text).collect();
    if !others.is_empty() {
        lines.push(format!("without a file, and left alone: {}", others.join(", ")));
    }
    lines
}

/// How many records are written anew, if that takes so long that somebody could notice.
fn rewritten(report: &Value) -> Option<u64> {
    let changes = report["collections"].as_array().into_iter().flatten().filter_map(|it| it["changes"].as_array());
    let counts = changes.flatten().filter_map(|it| it["records"].as_u64());
    counts.max().filter(|it| REWRITTEN_MIN <= *it)
}

fn say_all(lines: &[String]) -> anyhow::Result<()> {
    if lines.is_empty() { Ok(()) } else { say(lines.join("\n")) }
}
