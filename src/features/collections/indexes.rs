//! The indexes of a collection: those that are asked for, and those that it needs besides.
use std::collections::HashSet;

use super::model::Collection;
use crate::http::asset::short_digest;

/// An index as SQL has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct IndexSpec {
    pub columns: Vec<String>,
    pub unique: bool,
}

/// The indexes of a collection: those asked for, and those that uniqueness and relations need.
pub(super) fn indexes(collection: &Collection) -> Vec<IndexSpec> {
    let mut specs: Vec<IndexSpec> =
        collection.unique_fields().into_iter().map(|columns| IndexSpec { columns, unique: true }).collect();
    for index in collection.indexes.iter().filter(|it| !it.unique) {
        // The id breaks ties in every list, so with it in the index no list has to be sorted.
        let columns = index.fields.iter().cloned().chain(["id".to_owned()]).collect();
        specs.push(IndexSpec { columns, unique: false });
    }
    // A field may be unique, and an index over it alone too.
    let mut seen = HashSet::new();
    specs.retain(|it| seen.insert(it.clone()));
    // A list that nobody sorts is in the order of the ids, and so is what one field selects of it: with only the
    // indexes that were asked for, all of that would have to be sorted for each page.
    let first = collection.indexes.iter().filter_map(|it| it.fields.first());
    // Deleting what is referred to looks for those who refer.
    let relations = collection.fields.iter().filter(|it| it.refers_to_one()).map(|it| &it.name);
    for name in first.chain(relations) {
        let spec = IndexSpec { columns: vec![name.clone(), "id".to_owned()], unique: false };
        let is_unique = collection.fields.iter().any(|it| it.name == *name && it.unique);
        if !is_unique && !specs.contains(&spec) {
            specs.push(spec);
        }
    }
    specs
}

impl IndexSpec {
    /// Indexes share one space of names, and PostgreSQL keeps 63 bytes of one.
    pub fn name(&self, collection: &str) -> String {
        let what = format!("{collection} {} {}", self.unique, self.columns.join(" "));
        format!("x_{}", short_digest(what.as_bytes()))
    }

    pub fn words(&self) -> String {
        let kind = if self.unique { "unique index" } else { "index" };
        let columns: Vec<_> = self.columns.iter().filter(|it| *it != "id").map(|it| format!("`{it}`")).collect();
        format!("{kind} over {}", columns.join(", "))
    }
}
