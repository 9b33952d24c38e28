//! `audit verify`, `audit head` and `audit export`: the audit trail from outside.
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use indicatif::ProgressBar;
use poem::Body;
use poem::http::Method;
use serde_json::{Value, json};

use super::operator::{Operator, Reply, Request};
use super::transfer::{write_file, write_to};
use super::{Context, say};

const AUDIT: &str = "/api/v1/admin/audit";

/// What `verify` ends with where it could not find out.
pub(super) const TROUBLE: u8 = 2;

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Say whether the audit trail is what it was: exit code 0 if it is, 1 if not, 2 if that cannot be found out.
    Verify {
        /// An entry that must be there, as `steading audit head` printed it once.
        #[arg(long, value_name = "SEQ:HASH")]
        expect: Option<String>,
    },
    /// Print number and hash of the newest entry, to be kept elsewhere.
    Head,
    /// Write the audit trail to a file, oldest entry first.
    Export {
        /// The file, which is replaced once all is there; standard output if none is named.
        file: Option<PathBuf>,
        #[arg(long, default_value = "ndjson")]
        format: Format,
    },
}

/// How a file is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line, from which the chain can be followed.
    Ndjson,
    /// Rows with a first one of names.
    Csv,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<ExitCode> {
    let operator = Operator::find_existing(context).await?;
    match args {
        Args::Verify { expect } => verify(&operator, expect).await,
        Args::Head => {
            let head = operator.ask(Method::GET, &format!("{AUDIT}/head"), None).await?.json()?;
            say(format!("{}:{}", head["seq"], head["hash"].as_str().unwrap_or_default()))?;
            Ok(ExitCode::SUCCESS)
        }
        Args::Export { file, format } => {
            let format = match format {
                Format::Ndjson => "ndjson",
                Format::Csv => "csv",
            };
            let path = format!("{AUDIT}/export?format={format}");
            let request = Request::new(Method::GET, path, "application/json", Body::empty());
            let save = async |status, body| match &file {
                _ if 400 <= status => Reply::read(status, body).await?.json().map(drop),
                Some(file) => write_file(file, body).await,
                None => write_to(io::stdout().lock(), body, &ProgressBar::hidden()).await,
            };
            operator.exchange(request, save).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn verify(operator: &Operator, expect: Option<String>) -> anyhow::Result<ExitCode> {
    let path = format!("{AUDIT}/verify");
    let (mut entries, mut flaws, mut after) = (0, 0, None::<i64>);
    let found = loop {
        let mut body = json!({});
        if let Some(after) = after {
            body["after"] = after.into();
        }
        if let Some(expect) = &expect {
            body["expect"] = expect.as_str().into();
        }
        let found = operator.ask(Method::POST, &path, Some(&body)).await?.json()?;
        entries += found["entries"].as_u64().unwrap_or(0);
        for flaw in found["flaws"].as_array().into_iter().flatten() {
            flaws += 1;
            let text = |name: &str| flaw[name].as_str().unwrap_or_default().to_owned();
            say(format!("BROKEN at entry {} ({}): {}", flaw["seq"], text("kind"), text("detail")))?;
        }
        if found["isComplete"] == true {
            break found;
        }
        after = found["checkedTo"].as_i64();
    };
    tell(entries, flaws, &found)
}

/// Says what was found in all.
fn tell(entries: u64, flaws: usize, found: &Value) -> anyhow::Result<ExitCode> {
    if let Some(removed) = found["removedTo"].as_i64().filter(|it| 0 < *it) {
        say(format!("the entries up to {removed} were removed by the server, for their age or their room"))?;
    }
    if found["expectedIsRemoved"] == true {
        say("the entry that was expected is one of them, so nothing can be said of it")?;
    }
    let noun = if entries == 1 { "entry" } else { "entries" };
    if 0 < flaws {
        let places = if flaws == 1 { "one place" } else { "several places" };
        say(format!("{entries} {noun}, and the chain is broken in {places}"))?;
        return Ok(ExitCode::FAILURE);
    }
    say(format!("{entries} {noun}, up to {}: the chain is whole", found["checkedTo"]))?;
    Ok(ExitCode::SUCCESS)
}
