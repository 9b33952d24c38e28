//! The files of collections at the start of the server, before anything is served.
use std::collections::BTreeMap;
use std::path::Path;

use super::catch_up::catch_up;
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

/// What to do when a start was refused, whatever is wrong.
const ADVICE: &str = "the server was not started. `steading schema diff` shows what the files would do; `steading schema \
                      pull` takes the files from the server, and an empty `schema.folder` leaves them alone";
/// What to do besides when values would be lost.
const ADVICE_OF_LOSS: &str = "; `steading schema push --allow-loss` lets the values go";
/// What to do about files that are no collections.
const ADVICE_OF_MISTAKES: &str =
    "the server was not started. Mend the files; an empty `schema.folder` leaves them alone";

/// Makes collections as the files of a folder say; refuses to lose values. A folder that is not there says nothing.
///
/// A file that stands as it was when server and files last agreed, while its collection was changed through the API
/// since, undoes nothing of that. With `writes_back` it is brought up to its collection.
pub(in crate::roles) async fn apply(app: &App, folder: &str, writes_back: bool) -> anyhow::Result<()> {
    let path = Path::new(folder);
    if folder.is_empty() {
        return Ok(());
    }
    let is_there = files::is_there(path).context("the server was not started")?;
    if !is_there && !writes_back {
        return Ok(());
    }
    if path.is_symlink()
        && let Ok(real) = path.canonicalize()
    {
        tracing::info!(folder, leads_to = %real.display(), "the folder of the files of collections is a link");
    }
    let mut files = if is_there { files::read(path).context("the server was not started")? } else { BTreeMap::new() };
    let tenant = TenantId::main();
    let ledger = app.schema.ledger(&tenant).await?;
    let (_, there) = app.schema.canonical(&tenant).await?;
    let found = catch_up(path, &mut files, &there, &ledger, writes_back).context("the server was not started")?;
    let without_file = ledger.agreed.keys().filter(|it| !files.contains_key(*it)).chain(&found.gone);
    // One that could not be written is still owed.
    let gone: Vec<_> = without_file.filter(|it| !found.left.contains(*it)).map(|it| (it.clone(), None)).collect();
    files.retain(|it, _| !found.left.contains(it));
    let set: CollectionSet = match input::parse(files::set(&files).as_bytes()) {
        Ok(set) => set,
        Err(problem) => return Err(refused(&files, problem)),
    };
    let rehearsal = SetOptions { dry_run: true, ..SetOptions::default() };
    let (author, any) = (Author::files(), IfMatch::Any);
    let outcome = app.schema.bring(&tenant, set.clone(), rehearsal, &any, author.clone()).await;
    let (report, mut generation) = outcome.map_err(|it| refused(&files, it.into()))?;
    let told = lines(&app.schema.shown(&report));
    if report.loses_data || report.is_blocked {
        let (what, more) =
            if report.loses_data { ("values would be lost", ADVICE_OF_LOSS) } else { ("records are in the way", "") };
        anyhow::bail!("the files in {folder} were not applied, since {what}:\n{}\n{ADVICE}{more}", told.join("\n"));
    }
    if !report.collections.is_empty() {
        // Looked at again in the transaction that does it, so nothing is lost that came meanwhile.
        let outcome = app.schema.bring(&tenant, set, SetOptions::default(), &any, author).await;
        generation = outcome.map_err(|it| refused(&files, it.into()))?.1;
        tracing::info!(folder, changes = %told.join("; "), "collections were made as the files say");
    }
    let says = files.iter().filter_map(|(name, it)| Some((name.clone(), it.canonical()?.to_string())));
    let is_news = |name: &String, says: &String| ledger.agreed.get(name) != Some(says) || ledger.behind.contains(name);
    let news = says.filter(|(name, says)| is_news(name, says)).map(|(name, says)| (name, Some(says)));
    if let Err(cause) = app.schema.agree(&tenant, news.chain(gone).collect(), generation).await {
        // A restart on a full disk, so that something can be deleted.
        tracing::warn!(cause = %chain(&cause), "it was not noted what the files of collections say");
    }
    Ok(())
}

/// Why the files were refused, with file and line where that is known.
fn refused(files: &BTreeMap<String, SchemaFile>, problem: Problem) -> anyhow::Error {
    let faults: Vec<_> = problem.errors.into_iter().map(|it| (it.pointer, it.detail)).collect();
    let (cause, advice) = match in_files(files, faults) {
        Err(cause) => (cause, ADVICE_OF_MISTAKES),
        Ok(()) => (anyhow::anyhow!("{}: {}", problem.kind.title, problem.detail), ADVICE),
    };
    anyhow::anyhow!("the files of collections were not applied: {cause}\n{advice}")
}
