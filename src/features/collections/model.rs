//! The things: collections, their fields, indexes and rules, as clients see and send them.
use std::collections::BTreeMap;

use poem_openapi::types::{Any, Example, MaybeUndefined};
use poem_openapi::{Enum, Object};
use serde_json::Value;

use super::bound::Bound;
use super::options::{Options, OptionsPatch};
use super::view::View;
use crate::base::{Id, Timestamp};
use crate::db::search_tables::Content;
use crate::http::Permission;

pub const COLLECTIONS_READ: Permission = Permission("collections:read");
pub const COLLECTIONS_WRITE: Permission = Permission("collections:write");

/// Marks ids of collections.
#[derive(Debug)]
pub enum CollectionMark {}
pub type CollectionId = Id<CollectionMark>;

/// What the values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Enum)]
#[oai(rename_all = "lowercase")]
pub enum FieldType {
    /// Any text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A number with a fraction (IEEE 754, 64 bits).
    Number,
    Bool,
    /// A moment: RFC 3339, kept to the millisecond, shown in UTC.
    Datetime,
    /// A moment that the server sets.
    Autodate,
    /// One of `values`, or several with `multiple`.
    Select,
    /// A place: `{"lat": 52.52, "lon": 13.405}`, in degrees, kept to seven decimals.
    Geo,
    /// Any JSON.
    Json,
    /// An e-mail address.
    Email,
    /// An `http` or `https` address.
    Url,
    /// The id of a record of another collection, or of a user.
    Relation,
}

/// What becomes of a record when the one that it refers to, or one of those, is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "camelCase")]
pub enum OnDelete {
    /// It cannot be deleted as long as others refer to it.
    Restrict,
    /// The record is deleted too; if it refers to several, with the last of them.
    Cascade,
    /// The field becomes null, or its list shorter.
    SetNull,
}

/// One field of the records of a collection.
#[derive(Clone, Debug, PartialEq, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none)]
pub struct Field {
    /// Letters, digits and `_`, beginning with a letter; unique in the collection, whatever the case.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: String,
    #[oai(rename = "type")]
    pub field_type: FieldType,
    /// Whether every record has a value other than null, or refers to one record at least.
    #[oai(default)]
    pub required: bool,
    /// Whether no two records may have the same value; null may be there often.
    #[oai(default)]
    pub unique: bool,
    /// Whether only admins see it. Rules may use it.
    #[oai(default)]
    pub hidden: bool,
    /// Whether it is written and never shown, not to admins either: for tokens and the like. Rules may use it.
    #[oai(default, skip_serializing_if = "is_false")]
    pub write_only: bool,
    /// For whom the field is there, as a condition about `auth`: `auth.role == 'editor'`. Absent: for everyone. For
    /// admins it always is.
    #[oai(validator(max_length = 2000))]
    pub readable_by: Option<String>,
    /// Who may set it, as a condition about `auth`. Absent: those for whom it is there. Admins always may.
    #[oai(validator(max_length = 2000))]
    pub writable_by: Option<String>,
    /// What must be true of a value other than null, or of the whole record because of it, whoever writes it:
    /// `value.size() % 2 == 0`, `value < endsAt`. Records that are there already are judged when they are changed.
    #[oai(validator(max_length = 2000))]
    pub validate: Option<String>,
    /// Of `autodate`: whether it is set when a record is made.
    pub on_create: Option<bool>,
    /// Of `autodate`: whether it is set whenever somebody changes the record.
    pub on_update: Option<bool>,
    /// The value of a new record that comes without one.
    pub default: Option<Any<Value>>,
    /// Smallest number (exact up to 2^53), fewest characters of a text, or fewest records that are referred to.
    pub min: Option<Bound>,
    /// Largest number (exact up to 2^53), most characters of a text, or most records that are referred to (500, if
    /// absent).
    pub max: Option<Bound>,
    /// A regular expression that the whole text matches or contains, as in JSON Schema. Linear: no look-around.
    #[oai(validator(max_length = 500))]
    pub pattern: Option<String>,
    /// What may be selected.
    #[oai(validator(max_items = 500))]
    pub values: Option<Vec<String>>,
    /// Whether several may be selected, or referred to.
    pub multiple: Option<bool>,
    /// The collection that a relation refers to; `users` for accounts.
    pub collection: Option<String>,
    /// Absent: `restrict`.
    pub on_delete: Option<OnDelete>,
    /// In a change: the name that the field had, so that its values stay. Never shown.
    pub renamed_from: Option<String>,
}

/// What makes filtering and sorting by these fields fast, or keeps their values together unique.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(deny_unknown_fields)]
pub struct Index {
    /// The fields, in this order; `createdAt` and `updatedAt` too.
    #[oai(validator(min_items = 1, max_items = 8))]
    pub fields: Vec<String>,
    /// Whether no two records may have the same values in all of them; with a null among these, they may.
    #[oai(default)]
    pub unique: bool,
}

/// Who may do what with which records: expressions that are true for those that may.
///
/// `null` means admins only, `"true"` anyone, signed in or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Object)]
#[oai(deny_unknown_fields)]
pub struct Rules {
    /// Which records lists and searches show.
    pub list: Option<String>,
    /// Which record can be read by its id.
    pub view: Option<String>,
    /// Which record may be made, judged on the record as it would be.
    pub create: Option<String>,
    /// Which record may be changed, judged on the record as it was.
    pub update: Option<String>,
    /// Which record may be deleted.
    pub delete: Option<String>,
}

/// The rules that change. What is absent stays; `null` lets admins only.
#[derive(Clone, Debug, Default, Object)]
#[oai(deny_unknown_fields)]
pub struct RulesPatch {
    pub list: MaybeUndefined<String>,
    pub view: MaybeUndefined<String>,
    pub create: MaybeUndefined<String>,
    pub update: MaybeUndefined<String>,
    pub delete: MaybeUndefined<String>,
}

/// How much it says of a record that a word is in one of these fields.
pub type Weights = BTreeMap<String, Bound>;

/// A kind of record.
#[derive(Clone, Debug, PartialEq, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct Collection {
    pub id: CollectionId,
    pub name: String,
    /// What it shows, if it is a view: its records are computed, and only read.
    #[oai(skip_serializing_if_is_none)]
    pub view: Option<View>,
    pub fields: Vec<Field>,
    pub indexes: Vec<Index>,
    /// The fields that `?search=` looks in, each with its weight.
    #[oai(default)]
    pub search: Weights,
    pub rules: Rules,
    pub options: Options,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    // Counts changes, for the ETag.
    #[oai(skip)]
    pub version: i64,
}

/// What an admin sends to make a collection.
#[derive(Clone, Debug, Object)]
#[oai(example, deny_unknown_fields)]
pub struct NewCollection {
    /// Letters, digits and `_`, beginning with a letter; unique whatever the case. It is part of the paths.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: String,
    /// In an import: the name that the collection had, so that its records stay. Never shown.
    #[oai(rename = "renamedFrom", skip_serializing_if_is_none)]
    pub renamed_from: Option<String>,
    /// Makes it a view: its records are what one SELECT finds in other collections, and nobody writes to it.
    #[oai(skip_serializing_if_is_none)]
    pub view: Option<View>,
    /// Must be there, unless it is a view: of that, only the columns that are no fields of a collection have to be
    /// said, and those that shall be something else.
    #[oai(validator(max_items = 100))]
    pub fields: Option<Vec<Field>>,
    #[oai(default, validator(max_items = 20))]
    pub indexes: Vec<Index>,
    /// The fields that `?search=` looks in, at most 16, each with its weight (from 0.01 to 1,000): `{"title": 3, "body": 1}`.
    #[oai(default)]
    pub search: Weights,
    /// Absent: admins only.
    #[oai(default)]
    pub rules: Rules,
    #[oai(default)]
    pub options: Options,
}

/// What an admin sends to change a collection. What is absent stays.
#[derive(Clone, Debug, Object)]
#[oai(example, deny_unknown_fields, skip_serializing_if_is_none)]
pub struct CollectionPatch {
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: Option<String>,
    /// Of a view: another query.
    pub view: Option<View>,
    /// All fields as they shall be: one that is not in it is dropped with its values. Of a view: those that shall be
    /// something else than what they show.
    #[oai(validator(max_items = 100))]
    pub fields: Option<Vec<Field>>,
    /// All indexes as they shall be.
    #[oai(validator(max_items = 20))]
    pub indexes: Option<Vec<Index>>,
    /// All fields to search, as they shall be, each with its weight; `{}` for none.
    pub search: Option<Weights>,
    pub rules: Option<RulesPatch>,
    pub options: Option<OptionsPatch>,
}

/// One step of a change of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase")]
pub struct Change {
    /// What happens, in a sentence.
    pub description: String,
    /// Whether values are lost by it, if there are any.
    pub loses_data: bool,
    /// In how many records it touches something. Absent: it touches none, or that was not counted.
    #[oai(skip_serializing_if_is_none)]
    pub records: Option<u64>,
    /// How many records are in the way of it: with any, the change is refused.
    #[oai(skip_serializing_if_is_none)]
    pub in_the_way: Option<u64>,
    /// How many records would not be as a `validate` asks from then on. They stay as they are until they are next
    /// written.
    #[oai(skip_serializing_if_is_none)]
    pub would_not_pass: Option<u64>,
    /// The ids of the first of those that are in the way, or would not pass.
    #[oai(default, skip_serializing_if_is_empty)]
    pub ids: Vec<String>,
    /// Whether there was no time to look at all records: there may be more than these numbers say.
    #[oai(default, skip_serializing_if = "is_false")]
    pub at_least: bool,
}

/// What a change would do.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct DryRun {
    /// In this order; none if nothing would change.
    pub changes: Vec<Change>,
}

/// All collections, by name.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct CollectionList {
    pub data: Vec<Collection>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the framework asks so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Change {
    pub(super) fn new(description: String, loses_data: bool) -> Self {
        Self {
            description,
            loses_data,
            records: None,
            in_the_way: None,
            would_not_pass: None,
            ids: Vec::new(),
            at_least: false,
        }
    }
}

impl Rules {
    /// With their names, in the order in which they are listed.
    pub fn each(&self) -> [(&'static str, &Option<String>); 5] {
        [
            ("list", &self.list),
            ("view", &self.view),
            ("create", &self.create),
            ("update", &self.update),
            ("delete", &self.delete),
        ]
    }
}

impl RulesPatch {
    pub fn apply(self, to: &mut Rules) {
        let changed = [
            (self.list, &mut to.list),
            (self.view, &mut to.view),
            (self.create, &mut to.create),
            (self.update, &mut to.update),
            (self.delete, &mut to.delete),
        ];
        for (new, rule) in changed {
            match new {
                MaybeUndefined::Undefined => {}
                MaybeUndefined::Null => *rule = None,
                MaybeUndefined::Value(text) => *rule = Some(text),
            }
        }
    }
}

impl Collection {
    /// Whether records that are deleted are kept in a bin.
    pub fn keeps_deleted(&self) -> bool {
        self.options.soft_delete
    }

    /// The fields whose values, or whose values together, no two records share.
    pub fn is_in_unique(&self, position: usize) -> bool {
        let Some(field) = self.fields.get(position) else { return false };
        field.unique || self.indexes.iter().any(|it| it.unique && it.fields.contains(&field.name))
    }

    /// The fields whose values no two records share, alone or together.
    pub fn unique_fields(&self) -> Vec<Vec<String>> {
        let alone = self.fields.iter().filter(|it| it.unique).map(|it| vec![it.name.clone()]);
        let together = self.indexes.iter().filter(|it| it.unique).map(|it| it.fields.clone());
        alone.chain(together).collect()
    }
}

impl Field {
    /// The smallest number, or the fewest characters.
    pub fn least(&self) -> Option<f64> {
        self.min.map(|it| it.0)
    }

    /// The largest number, or the most characters.
    pub fn most(&self) -> Option<f64> {
        self.max.map(|it| it.0)
    }

    /// A field without any of what is optional.
    pub fn new(name: &str, field_type: FieldType) -> Self {
        Self {
            name: name.to_owned(),
            field_type,
            required: false,
            unique: false,
            hidden: false,
            write_only: false,
            readable_by: None,
            writable_by: None,
            validate: None,
            on_create: None,
            on_update: None,
            default: None,
            min: None,
            max: None,
            pattern: None,
            values: None,
            multiple: None,
            collection: None,
            on_delete: None,
            renamed_from: None,
        }
    }

    /// Whether its values can be sorted by.
    pub fn has_order(&self) -> bool {
        !matches!(self.field_type, FieldType::Json | FieldType::Geo) && !self.is_multiple()
    }

    /// Whether nobody sends its values.
    pub fn is_set_by_server(&self) -> bool {
        self.field_type == FieldType::Autodate
    }

    /// Whether there are words in it that can be searched.
    pub fn has_words(&self) -> bool {
        use FieldType::{Email, Json, Select, Text, Url};
        matches!(self.field_type, Text | Email | Url | Select | Json)
    }

    /// What its words are in.
    pub(super) fn content(&self) -> Content {
        if self.field_type == FieldType::Json || self.is_multiple() { Content::Json } else { Content::Text }
    }

    /// Whether it refers to several records, in a table of its own.
    pub fn refers_to_many(&self) -> bool {
        self.field_type == FieldType::Relation && self.is_multiple()
    }

    /// Whether it refers to one record.
    pub fn refers_to_one(&self) -> bool {
        self.field_type == FieldType::Relation && !self.is_multiple()
    }

    /// Whether its value is a list.
    pub fn is_multiple(&self) -> bool {
        self.multiple == Some(true)
    }
}

impl Example for NewCollection {
    fn example() -> Self {
        let title = Field { required: true, max: Some(Bound(200.0)), ..Field::new("title", FieldType::Text) };
        let author = Field { collection: Some("users".to_owned()), ..Field::new("author", FieldType::Relation) };
        Self {
            name: "posts".to_owned(),
            renamed_from: None,
            view: None,
            fields: Some(vec![title, Field::new("published", FieldType::Bool), author]),
            indexes: vec![Index { fields: vec!["published".to_owned(), "createdAt".to_owned()], unique: false }],
            search: Weights::from([("title".to_owned(), Bound(1.0))]),
            rules: Rules {
                list: Some("published || author == auth.id".to_owned()),
                view: Some("published || author == auth.id".to_owned()),
                create: Some("author == auth.id".to_owned()),
                update: Some("author == auth.id".to_owned()),
                delete: None,
            },
            options: Options::default(),
        }
    }
}

impl Example for CollectionPatch {
    fn example() -> Self {
        let delete = MaybeUndefined::Value("author == auth.id".to_owned());
        let rules = Some(RulesPatch { delete, ..RulesPatch::default() });
        Self { name: None, view: None, fields: None, indexes: None, search: None, rules, options: None }
    }
}

impl Example for Collection {
    fn example() -> Self {
        let NewCollection { name, view, fields, indexes, search, rules, options, .. } = NewCollection::example();
        let (id, moment, fields) = (Id::example(), Timestamp::example(), fields.unwrap_or_default());
        let (created_at, updated_at) = (moment, moment);
        Self { id, name, view, fields, indexes, search, rules, options, created_at, updated_at, version: 1 }
    }
}

impl Example for CollectionList {
    fn example() -> Self {
        Self { data: vec![Collection::example()] }
    }
}

impl Example for DryRun {
    fn example() -> Self {
        let change = |description: &str, loses_data| Change::new(description.to_owned(), loses_data);
        Self {
            changes: vec![
                change("add the field `subtitle`", false),
                change("drop the field `published` and its values", true),
            ],
        }
    }
}
