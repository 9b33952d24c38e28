//! With `--dev`: what is changed through the API is written into the files, so that it can be committed.
//!
//! A file is written only if it says what the collection was before the change, or if there is none: what somebody is
//! writing into it at that moment is not overwritten. What is not written by the time the server ends is looked at by the
//! next start ([`super::catch_up`]).
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::catch_up::Collections;
use super::files;
use crate::app::App;
use crate::base::TenantId;
use crate::base::text::chain;

/// Writes files after each change of collections, until the stop.
pub(in crate::roles) async fn follow(app: App, folder: PathBuf, mut known: Collections, stop: CancellationToken) {
    let changed = Arc::new(Notify::new());
    let told = Arc::clone(&changed);
    app.collections.catalogues.tell(Box::new(move |_, _| told.notify_one()));
    let tenant = TenantId::main();
    loop {
        match app.schema.canonical(&tenant).await {
            Ok((generation, there)) => {
                let agreed = write(&folder, &known, &there);
                known = there;
                if let Err(cause) = app.schema.agree(&tenant, agreed, generation).await {
                    tracing::warn!(cause = %chain(&cause), "it was not noted that files were written");
                }
            }
            Err(cause) => tracing::warn!(cause = %chain(&cause), "collections were not written into their files"),
        }
        if stop.run_until_cancelled(changed.notified()).await.is_none() {
            return;
        }
    }
}

/// Writes the files of what changed, and returns what they say now.
fn write(folder: &Path, known: &Collections, there: &Collections) -> Vec<(String, Option<String>)> {
    let mut agreed = Vec::new();
    let names = known.keys().chain(there.keys().filter(|it| !known.contains_key(*it)));
    for name in names.filter(|it| known.get(*it) != there.get(*it)) {
        let path = files::path(folder, name);
        let says = files::read_one(&path);
        let is_own = match &says {
            Ok(None) => true,
            Ok(Some(file)) => {
                let says = file.canonical();
                says.is_some() && (says.as_ref() == known.get(name) || says.as_ref() == there.get(name))
            }
            Err(_) => false,
        };
        if !is_own {
            tracing::warn!(file = %path.display(), "the collection was changed, but its file says something else than \
                           the collection was, and is left alone; see `steading schema diff`");
            continue;
        }
        let (says, collection) = (says.ok().flatten().and_then(|it| it.canonical()), there.get(name));
        // What says the same in other words stays as it was written.
        let is_said = collection.is_some() && says.as_ref() == collection;
        let outcome = if is_said { Ok(()) } else { files::put(folder, name, collection) };
        match outcome {
            Ok(()) => agreed.push((name.clone(), there.get(name).map(ToString::to_string))),
            Err(cause) => {
                tracing::warn!(file = %path.display(), cause = format!("{cause:#}"), "the file of a collection was not written");
            }
        }
    }
    agreed
}
