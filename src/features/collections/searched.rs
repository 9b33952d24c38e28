//! What of a collection is searched, and where its index is.
use super::model::Collection;
use crate::db::search_tables::{Content, index_name, names_name, words_name};

/// The index of a collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Searched {
    pub index: String,
    /// The table of words that a typing error could lead to.
    pub words: String,
    /// In the order of the columns of the index.
    pub columns: Vec<SearchedColumn>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SearchedColumn {
    /// Of the field among those of the collection.
    pub field: usize,
    pub weight: f64,
    pub content: Content,
    /// The index of its whole texts, if it has texts.
    pub names: Option<String>,
}

impl Searched {
    pub(super) fn of(collection: &Collection) -> Option<Self> {
        let id = collection.id.to_string();
        let columns = collection.search.iter().filter_map(|(name, weight)| {
            let field = collection.fields.iter().position(|it| it.name == *name)?;
            Some((field, weight.0, collection.fields[field].content()))
        });
        let columns = columns.enumerate().map(|(position, (field, weight, content))| {
            let names = (content == Content::Text).then(|| names_name(&id, position));
            SearchedColumn { field, weight, content, names }
        });
        let columns: Vec<_> = columns.collect();
        (!columns.is_empty()).then(|| Self { index: index_name(&id), words: words_name(&id), columns })
    }
}
