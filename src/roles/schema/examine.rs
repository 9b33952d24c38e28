//! What `doctor` finds out of the files of collections: whether a start could use them, and what they would open.
use std::path::Path;

use poem::http::Method;
use serde_json::Value;

use super::files::{self, SchemaFile};
use super::{EXPORT, IMPORT, lines, refusal, told};
use crate::features::collections::{canonical, openings};
use crate::roles::operator::{Operator, Reply, Request};

/// What is to be said of the files of a folder, or what is wrong with them; nothing if there is no folder.
pub(in crate::roles) async fn examine(operator: &Operator, folder: &str) -> Option<Result<String, String>> {
    let path = Path::new(folder);
    match files::is_there(path) {
        _ if folder.is_empty() => None,
        Ok(false) => None,
        Err(cause) => Some(Err(format!("{cause:#}"))),
        Ok(true) => Some(compared(operator, path).await.unwrap_or_else(|cause| Err(format!("{cause:#}")))),
    }
}

async fn compared(operator: &Operator, folder: &Path) -> anyhow::Result<Result<String, String>> {
    let files = files::read(folder)?;
    let rehearsal = Request::of_json(Method::POST, &format!("{IMPORT}?dryRun=true"), files::set(&files));
    let report = told(&operator.exchange(rehearsal, Reply::read).await?, &files)?;
    let there = operator.ask(Method::GET, EXPORT, None).await?.json()?;
    let of_server = |name: &str| {
        let found = there["collections"].as_array().into_iter().flatten().find(|it| it["name"] == name);
        found.map_or(Value::Null, |it| canonical(it.clone()))
    };
    let opened = |(name, file): (&String, &SchemaFile)| {
        let opened = openings(&of_server(name), &file.canonical()?);
        // One that is new has been closed to nobody.
        (!opened.is_empty() && !of_server(name).is_null()).then(|| format!("`{name}`: {}", opened.join(", ")))
    };
    let opened: Vec<_> = files.iter().filter_map(opened).collect();
    let settle =
        "`steading schema diff` shows the difference, `steading schema pull` makes the files as the collections are";
    if !opened.is_empty() {
        return Ok(Err(format!("the files would open what is closed on the server: {}; {settle}", opened.join("; "))));
    }
    if let Some(reason) = refusal(&report) {
        let what = lines(&report).join("; ");
        return Ok(Err(format!("the files could not be applied, since {reason}: {what}; {settle}")));
    }
    let differ: Vec<_> = report["collections"].as_array().into_iter().flatten().collect();
    let names: Vec<_> = differ.iter().filter_map(|it| it["collection"].as_str()).map(|it| format!("`{it}`")).collect();
    let count = if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
    Ok(Ok(if names.is_empty() {
        format!("{count} in {}, and the collections are as they say", folder.display())
    } else {
        format!(
            "{count} in {}; they say something else than the server of {}; {settle}",
            folder.display(),
            names.join(", ")
        )
    }))
}
