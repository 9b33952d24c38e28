//! `import` and `export`: the records of a collection from and to a file.
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use form_urlencoded::Serializer;
use futures_util::TryStreamExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use poem::Body;
use poem::http::Method;
use serde_json::Value;

use super::operator::{Operator, Reply, Request};
use super::{Context, say};

/// How often a bar is drawn while nothing comes.
const TICK: Duration = Duration::from_millis(200);

/// How a file is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// One JSON object a line.
    Ndjson,
    /// One JSON array.
    Json,
    /// Rows with a first one of names.
    Csv,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }

    /// The format that a file's name tells.
    fn of(file: &Path) -> Option<Self> {
        let extension = file.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// The collection that the records are added to.
    collection: String,
    /// The file; `-` for standard input.
    file: PathBuf,
    /// How it is written; otherwise as its name ends, and NDJSON if that tells nothing.
    #[arg(long)]
    format: Option<Format>,
    /// Only say what would be refused.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// The collection whose records are written.
    collection: String,
    /// The file, which is replaced once all is there; standard output if none is named.
    file: Option<PathBuf>,
    /// How it is written; otherwise as its name ends, and NDJSON if that tells nothing.
    #[arg(long)]
    format: Option<Format>,
    /// An expression that is true for the records to write.
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
}

pub(super) async fn import(context: &Context, args: ImportArgs) -> anyhow::Result<ExitCode> {
    let format = args.format.or_else(|| Format::of(&args.file)).unwrap_or(Format::Ndjson);
    let (body, bar) = open(&args.file).await?;
    let mut query = Serializer::new(String::new());
    query.append_pair("format", format.name());
    if args.dry_run {
        query.append_pair("dryRun", "true");
    }
    let path = format!("{}/import?{}", records(&args.collection), query.finish());

    let operator = Operator::find_existing(context).await?;
    let request = Request::new(Method::POST, path, "application/octet-stream", body);
    let reply = operator.exchange(request, Reply::read).await;
    bar.finish_and_clear();

    let report = found(&args.collection, reply?)?.json()?;
    tell(&report, args.dry_run)
}

pub(super) async fn export(context: &Context, args: ExportArgs) -> anyhow::Result<ExitCode> {
    let format = args.format.or_else(|| args.file.as_deref().and_then(Format::of)).unwrap_or(Format::Ndjson);
    let mut query = Serializer::new(String::new());
    query.append_pair("format", format.name());
    if let Some(filter) = &args.filter {
        query.append_pair("filter", filter);
    }
    let path = format!("{}/export?{}", records(&args.collection), query.finish());

    let operator = Operator::find_existing(context).await?;
    let request = Request::new(Method::GET, path, "application/json", Body::empty());
    let save = async |status, body| match &args.file {
        _ if 400 <= status => found(&args.collection, Reply::read(status, body).await?)?.json().map(drop),
        Some(file) => write_file(file, body).await,
        None => write_to(io::stdout().lock(), body, &ProgressBar::hidden()).await,
    };
    operator.exchange(request, save).await?;
    Ok(ExitCode::SUCCESS)
}

fn records(collection: &str) -> String {
    let name: String = form_urlencoded::byte_serialize(collection.as_bytes()).collect();
    format!("/api/v1/collections/{name}/records")
}

/// What the API says when a collection is not there is meant for people who may not know.
fn found(collection: &str, reply: Reply) -> anyhow::Result<Reply> {
    anyhow::ensure!(reply.status != 404, "there is no collection `{collection}`");
    Ok(reply)
}

/// The file as a body that shows how far it was read.
pub(super) async fn open(file: &Path) -> anyhow::Result<(Body, ProgressBar)> {
    if file.as_os_str() == "-" {
        let bar = bar(None);
        let body = Body::from_async_read(bar.wrap_async_read(tokio::io::stdin()));
        return Ok((body, bar));
    }
    let open = tokio::fs::File::open(file).await.with_context(|| format!("cannot read {}", file.display()))?;
    let metadata = open.metadata().await?;
    anyhow::ensure!(!metadata.is_dir(), "{} is a folder", file.display());
    // What is no plain file, such as a pipe, does not know its length.
    let bar = bar(metadata.is_file().then_some(metadata.len()));
    let body = Body::from_async_read(bar.wrap_async_read(open));
    Ok((body, bar))
}

/// A bar for so many bytes, or for nobody knows how many. Shown at a terminal only.
pub(super) fn bar(bytes: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr());
    let template = match bytes {
        Some(_) => "{bar:30} {percent:>3}% {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        None => "{spinner} {bytes}, {bytes_per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

/// Says what became of a file, refused records first, so that the sum is read last.
pub(super) fn tell(report: &Value, dry_run: bool) -> anyhow::Result<ExitCode> {
    let count = |name: &str| report[name].as_u64().unwrap_or(0);
    let refused = report["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    for record in refused {
        for fault in record["errors"].as_array().into_iter().flatten() {
            let field = fault["pointer"].as_str().unwrap_or_default().trim_start_matches('/');
            let gap = if field.is_empty() { "" } else { " " };
            let line = record.get("line").map_or_else(String::new, |it| format!(", line {it}"));
            say(format!(
                "record {}{line}: {field}{gap}{}",
                record["record"],
                fault["detail"].as_str().unwrap_or_default()
            ))?;
        }
    }
    if let Some(rest) = count("refused").checked_sub(refused.len() as u64).filter(|it| 0 < *it) {
        say(format!("and {rest} more"))?;
    }
    if let Some(reason) = report["stopped"].as_str() {
        say(format!("the rest of the file was not read: {reason}"))?;
    }
    let done = if dry_run { "would be imported" } else { "imported" };
    say(format!("{} {done}, {} refused", count("imported"), count("refused")))?;
    let is_whole = count("refused") == 0 && report["stopped"].is_null();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes beside the file and swaps, so that half an export never passes for a whole one.
pub(super) async fn write_file(file: &Path, body: Body) -> anyhow::Result<()> {
    let mut name = file.file_name().context("a file to write to has a name")?.to_owned();
    name.push(".part");
    let part = file.with_file_name(name);
    let bar = bar(None);
    let write = async {
        let mut open = File::create(&part)?;
        write_to(&mut open, body, &bar).await?;
        open.sync_all()?;
        std::fs::rename(&part, file)?;
        anyhow::Ok(())
    };
    let outcome = write.await;
    bar.finish_and_clear();
    if outcome.is_err() {
        let _ = std::fs::remove_file(&part); // the reason is told, and this would say nothing new
    }
    outcome.with_context(|| format!("cannot write {}", file.display()))
}

pub(super) async fn write_to(mut out: impl Write, body: Body, bar: &ProgressBar) -> anyhow::Result<()> {
    let mut parts = body.into_bytes_stream();
    while let Some(part) = parts.try_next().await.context("the export broke off")? {
        match out.write_all(&part) {
            // As with `steading export … | head`.
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            outcome => outcome?,
        }
        bar.inc(part.len() as u64);
    }
    Ok(())
}
