//! The functions that triggers ask to know the words of a text, see [`crate::db::search_tables`].
use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use crate::base::words;
use crate::db::search_tables::CHARACTERS_MAX;

pub(super) fn add(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("search_text", 1, flags, |context| {
        Ok(context.get_raw(0).as_str_or_null()?.map(in_words))
    })?;
    connection.create_scalar_function("search_json", 1, flags, |context| {
        Ok(context.get_raw(0).as_str_or_null()?.map(|it| in_words(&words::texts_of_json(it))))
    })?;
    // Those of texts that are in words already, each once, as a JSON array.
    connection.create_scalar_function("search_words", -1, flags, |context| {
        let mut found = BTreeSet::new();
        for position in 0..context.len() {
            let text = context.get_raw(position).as_str_or_null()?.unwrap_or_default();
            found.extend(text.split(' ').filter(|it| words::may_be_meant(it)));
        }
        Ok(serde_json::to_string(&found).unwrap_or_default())
    })?;
    connection.create_scalar_function("search_may_be_meant", 1, flags, |context| {
        Ok(context.get_raw(0).as_str_or_null()?.is_some_and(words::may_be_meant))
    })
}

fn in_words(text: &str) -> String {
    let end = text.char_indices().nth(CHARACTERS_MAX).map_or(text.len(), |(end, _)| end);
    let mut found = String::with_capacity(end);
    words::in_words(&text[..end], &mut found);
    found
}
