//! What was changed through the API while its file was not written: finished, or left as it is, and told.
//!
//! The transaction of each change notes the names that it touches ([`Ledger`]), and the note goes when the files say the
//! same. So what is noted at a start was changed after the files were last applied or written. An old file must not undo
//! it: a rule that was closed in a hurry stays closed when the server is started again. Only a file that was changed too
//! has something new to say.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::files::{self, SchemaFile};
use crate::features::collections::{Ledger, in_words, openings};

/// How to end the disagreement of a file and its collection.
const SETTLE: &str = "`steading schema diff` shows the difference; `steading schema push` makes the collection as its \
                      file says, `steading schema pull` the file as its collection is";

/// Collections as they stand in files, by their names.
pub(super) type Collections = BTreeMap<String, Value>;

/// What was found of the files that may be behind.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Those that are not applied: they would undo what was changed through the API.
    pub left: BTreeSet<String>,
    /// Names that have neither a collection nor a file any more.
    pub gone: BTreeSet<String>,
}

/// Looks at each file that may be behind its collection. With `writes_back` those that nobody else changed are written,
/// and `files` is what they say then.
pub(super) fn catch_up(
    folder: &Path,
    files: &mut BTreeMap<String, SchemaFile>,
    there: &Collections,
    ledger: &Ledger,
    writes_back: bool,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut is_written = false;
    // First those that are written: a collection that has another name now is in one file before it goes from the other.
    let behind = ledger.behind.iter().filter(|it| there.contains_key(*it));
    for name in behind.chain(ledger.behind.iter().filter(|it| !there.contains_key(*it))) {
        let (file, is) = (files.get(name), there.get(name));
        let says = file.map(SchemaFile::canonical);
        // What is wrong with a file is told when it is applied.
        let Some(says) = says.map_or(Some(None), |it| it.map(Some)) else { continue };
        if says.as_ref() == is {
            if is.is_none() {
                outcome.gone.insert(name.clone());
            }
            continue;
        }
        let was = ledger.agreed.get(name);
        let is_untouched = says.is_none() || says.as_ref().map(Value::to_string).as_ref() == was;
        let path = files::path(folder, name);
        let (none, path) = (Value::Null, path.display());
        let (before, after) = (is.unwrap_or(&none), says.as_ref().unwrap_or(&none));
        match (writes_back, is_untouched) {
            (true, true) => match files::put(folder, name, is) {
                Ok(()) => {
                    is_written = true;
                    tracing::info!(file = %path, "the file was behind its collection, and was brought up to it");
                }
                Err(cause) => {
                    outcome.left.insert(name.clone());
                    tracing::warn!(file = %path, cause = format!("{cause:#}"), "the file of a collection was not written");
                }
            },
            // A collection without a file is left alone anyway.
            (false, true) if says.is_none() => {}
            (false, true) => {
                outcome.left.insert(name.clone());
                tracing::warn!(
                    file = %path,
                    would_undo = in_words(before, after),
                    would_open = openings(before, after).join("; "),
                    "the collection was changed through the API since its file was applied, and the file was not \
                     changed: it was left alone. {SETTLE}"
                );
            }
            (true, false) => {
                outcome.left.insert(name.clone());
                tracing::warn!(
                    file = %path,
                    differs = in_words(before, after),
                    "the file was changed by hand, and its collection through the API: both were left as they are. {SETTLE}"
                );
            }
            (false, false) => tracing::warn!(
                file = %path,
                undoes = in_words(before, after),
                opens = openings(before, after).join("; "),
                "the collection was changed through the API since its file was last applied, and the file is another \
                 one now: the file counts"
            ),
        }
    }
    if is_written {
        *files = files::read(folder)?;
    }
    Ok(outcome)
}
