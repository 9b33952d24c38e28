//! Search in the words of OpenAPI, for the collections that have something to search.
use serde_json::{Map, Value, json};

use super::super::document::{parameter, to, visible};
use crate::features::collections::Entry;

/// The fields that anyone may search.
fn searched(entry: &Entry) -> Vec<&str> {
    visible(entry).map(|it| it.name.as_str()).filter(|it| entry.collection.search.contains_key(*it)).collect()
}

/// The parameters of a list.
pub(in super::super) fn parameters(entry: &Entry) -> Vec<Value> {
    let names: Vec<_> = searched(entry).iter().map(|it| format!("`{it}`")).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let description = format!(
        "Words to look for in {}: the last one may be begun, `\"several words\"` stand in a row, and `-word` is not there. \
         By relevance, unless `sort` says otherwise.",
        names.join(", ")
    );
    vec![parameter("search", &description, &json!({ "type": "string", "maxLength": 1_000 })), to("Highlight")]
}

/// The member that shows what was found.
pub(in super::super) fn member(entry: &Entry) -> Option<(String, Value)> {
    let marked = |name: &str| (name.to_owned(), json!({ "type": "string" }));
    let highlights: Map<_, _> = searched(entry).into_iter().map(marked).collect();
    let schema = json!({
        "type": "object", "readOnly": true, "required": ["highlights"],
        "description": "What a search found, where `highlight` asked for it.",
        "properties": {
            "score": { "type": "number", "description": "How relevant it is, from 0 to 1, in a list by relevance." },
            "highlights": {
                "type": "object", "properties": highlights, "additionalProperties": { "type": "string" },
                "description": "Of each field with a hit, the text around it, escaped for HTML, with hits in `<mark>`.",
            },
        },
    });
    (!searched(entry).is_empty()).then(|| ("_search".to_owned(), schema))
}
