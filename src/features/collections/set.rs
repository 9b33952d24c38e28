//! All collections as one thing: exported here, kept in files, imported again, here or on another server.
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::types::Example;
use poem_openapi::{ApiExtractor, Enum, ExtractParamOptions, Object};

use super::model::{COLLECTIONS_WRITE, Change, Collection, CollectionId, NewCollection};
use crate::base::Timestamp;
use crate::http::{BodyCap, Caller};

/// Largest set: 500 collections with as many fields as people give them. Of those who may change collections only.
const SET_BYTES_MAX: u64 = 16 << 20;

/// Collections as they shall be, or as they are.
#[derive(Clone, Debug, Object)]
#[oai(example, deny_unknown_fields)]
pub struct CollectionSet {
    /// In any order: they may refer to each other.
    #[oai(validator(max_items = 500))]
    pub collections: Vec<NewCollection>,
}

/// What becomes of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum SetDeed {
    Create,
    Change,
    Drop,
}

/// What becomes of one collection of a set.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
pub struct SetStep {
    pub collection: String,
    pub deed: SetDeed,
    /// In this order.
    pub changes: Vec<Change>,
}

/// What an import did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct SetReport {
    /// Counts the changes of all collections: what the report is true of, for `If-Match`.
    pub generation: i64,
    /// Whether it was done. False: it was only asked what would be.
    pub is_done: bool,
    /// Whether values are lost by it that some record has.
    pub loses_data: bool,
    /// Whether records are in the way of it, so that it would be refused.
    pub is_blocked: bool,
    /// The collections that change, by name; none if all are as they shall be.
    pub collections: Vec<SetStep>,
    /// Those that the set does not name. They stay as they are, unless `dropOthers` was asked for.
    pub others: Vec<String>,
}

/// Lets a set be larger than other bodies, if who sends it may change collections. A stranger gets no more room.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoomForSet;

impl<'a> FromRequest<'a> for RoomForSet {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let caller = <Caller as ApiExtractor>::from_request(request, body, ExtractParamOptions::default()).await?;
        if caller.may(COLLECTIONS_WRITE)
            && let Some(cap) = request.data::<BodyCap>()
        {
            cap.raise(SET_BYTES_MAX);
        }
        Ok(Self)
    }
}

impl NewCollection {
    /// The collection that is asked for.
    pub(super) fn into_collection(
        self,
        id: CollectionId,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    ) -> Collection {
        let Self { name, renamed_from: _, view, fields, indexes, search, rules, options } = self;
        let fields = fields.unwrap_or_default();
        Collection { id, name, view, fields, indexes, search, rules, options, created_at, updated_at, version }
    }
}

impl From<Collection> for NewCollection {
    fn from(collection: Collection) -> Self {
        let Collection {
            id: _,
            name,
            view,
            fields,
            indexes,
            search,
            rules,
            options,
            created_at: _,
            updated_at: _,
            version: _,
        } = collection;
        Self { name, renamed_from: None, view, fields: Some(fields), indexes, search, rules, options }
    }
}

impl Example for CollectionSet {
    fn example() -> Self {
        Self { collections: vec![NewCollection::example()] }
    }
}

impl Example for SetReport {
    fn example() -> Self {
        let change = Change::new("add the field `subtitle`".to_owned(), false);
        let step = SetStep { collection: "posts".to_owned(), deed: SetDeed::Change, changes: vec![change] };
        Self {
            generation: 12,
            is_done: true,
            loses_data: false,
            is_blocked: false,
            collections: vec![step],
            others: vec!["drafts".to_owned()],
        }
    }
}
