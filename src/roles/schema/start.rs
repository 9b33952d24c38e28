//! The files of collections at the start of the server, before anything is served.
use std::collections::BTreeMap;
use std::path::Path;

use super::files::{self, SchemaFile};
use super::{in_files, lines};
use crate::app::App;
use crate::base::TenantId;
use crate::base::text::chain;
use crate::features::collections::{Author, CollectionSet, SetOptions};
use crate::http::Problem;
use crate::http::etag::IfMatch;
use crate::http::input;
use anyhow::Context as _;

/// What to do when a start was refused.
const ADVICE: &str = "the server was not started. `steading schema diff` shows what the files would do; `steading \
                      schema push --allow-loss` lets the values go, `steading schema pull` takes the files from the \
                      server, and an empty `schema.folder` leaves them alone";

/// Makes collections as the files of a folder say; refuses to lose values. A folder that is not there says nothing.
///
/// With `writes_back`, a file that stands as it was when server and files last agreed, while its collection was changed
/// since, is behind: the change was made through the API, and the server ended before it was written.
pub(in crate::roles) async fn apply(app: &App, folder: &str, writes_back: bool) -> anyhow::Result<()> {
    let path = Path::new(folder);
    if folder.is_empty() || !path.exists() {
        return Ok(());
    }
    let mut files = files::read(path).context("the server was not started")?;
    let tenant = TenantId::main();
    let agreed = app.schema.agreed(&tenant).await?;
    if writes_back {
        catch_up(app, path, &mut files, &agreed).await?;
    }
    let set: CollectionSet = match input::parse(files::set(&files).as_bytes()) {
        Ok(set) => set,
        Err(problem) => return Err(refused(&files, problem)),
    };
    let rehearsal = SetOptions { dry_run: true, ..SetOptions::default() };
    let (author, any) = (Author::files(), IfMatch::Any);
    let outcome = app.schema.bring(&tenant, set.clone(), rehearsal, &any, author.clone()).await;
    let (report, _) = outcome.map_err(|it| refused(&files, it.into()))?;
    let told = lines(&app.schema.shown(&report));
    if report.loses_data || report.is_blocked {
        let what = if report.loses_data { "values would be lost" } else { "records are in the way" };
        anyhow::bail!("the files in {folder} were not applied, since {what}:\n{}\n{ADVICE}", told.join("\n"));
    }
    if !report.collections.is_empty() {
        // Looked at again in the transaction that does it, so nothing is lost that came meanwhile.
        let outcome = app.schema.bring(&tenant, set, SetOptions::default(), &any, author).await;
        outcome.map_err(|it| refused(&files, it.into()))?;
        tracing::info!(folder, changes = %told.join("; "), "collections were made as the files say");
    }
    let says = files.iter().filter_map(|(name, it)| Some((name.clone(), it.canonical()?.to_string())));
    let news: Vec<_> = says.filter(|(name, says)| agreed.get(name) != Some(says)).collect();
    let gone = agreed.keys().filter(|it| !files.contains_key(*it)).map(|it| (it.clone(), None));
    let news: Vec<_> = news.into_iter().map(|(name, says)| (name, Some(says))).chain(gone).collect();
    if let Err(cause) = app.schema.agree(&tenant, news).await {
        // A restart on a full disk, so that something can be deleted.
        tracing::warn!(cause = %chain(&cause), "it was not noted what the files of collections say");
    }
    Ok(())
}

/// Brings files that are behind their collections up to these.
async fn catch_up(
    app: &App,
    folder: &Path,
    files: &mut BTreeMap<String, SchemaFile>,
    agreed: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let there = app.schema.canonical(&TenantId::main()).await?;
    let is_behind = |name: &String, file: &SchemaFile| {
        let stands = file.canonical().map(|it| it.to_string());
        stands.is_some() && stands.as_ref() == agreed.get(name)
    };
    let behind: Vec<String> = (files.iter())
        .filter(|(name, file)| is_behind(name, file) && file.canonical().as_ref() != there.get(*name))
        .map(|(name, _)| name.clone())
        .collect();
    for name in behind {
        let path = files::path(folder, &name);
        match there.get(&name) {
            Some(collection) => {
                files::write(folder, collection)?;
                tracing::info!(file = %path.display(), "the file was behind its collection, and was written anew");
            }
            None => {
                std::fs::remove_file(&path).with_context(|| format!("cannot delete {}", path.display()))?;
                tracing::info!(file = %path.display(), "the collection of the file was dropped, and so was the file");
            }
        }
    }
    *files = files::read(folder).context("the server was not started")?;
    Ok(())
}

/// Why the files were refused, with file and line where that is known.
fn refused(files: &BTreeMap<String, SchemaFile>, problem: Problem) -> anyhow::Error {
    let faults: Vec<_> = problem.errors.into_iter().map(|it| (it.pointer, it.detail)).collect();
    let cause = match in_files(files, faults) {
        Err(cause) => cause,
        Ok(()) => anyhow::anyhow!("{}: {}", problem.kind.title, problem.detail),
    };
    anyhow::anyhow!("the files of collections were not applied: {cause}\n{ADVICE}")
}
