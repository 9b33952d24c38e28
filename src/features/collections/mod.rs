//! Collections: the kinds of records that people make for themselves.
//!
//! A collection has fields, indexes and rules, all in one row; its records are in a
//! table of their own. What the server knows of all collections is the [`Catalogue`]:
//! read once, numbered, and compared in every transaction with the number in the
//! database, so that no request works with fields or rules that were changed meanwhile.
//!
//! A change travels `api.rs` → `check.rs` (is it one that can be?) → `plan.rs` (which
//! steps lead there?) → one transaction that nothing else shares. Nothing is guessed:
//! a field is renamed only if the change says so, and values that do not fit refuse it.
//!
//! A view (`view.rs`) is a collection without a table: what its records are read from is a query, made anew with each
//! catalogue. Nothing leads there but a request that reads it, so no rule and no write ever waits for one.
mod api;
mod bound;
mod canonical;
mod catalogue;
mod check;
mod counts;
mod error;
mod grants_store;
mod history;
mod history_store;
mod indexes;
mod member;
mod model;
mod names;
mod openings;
mod options;
mod perform;
mod plan;
mod rule;
mod schema_api;
mod searched;
mod set;
mod set_apply;
mod set_plan;
mod several;
mod sight;
mod store;
mod terms;
mod value;
mod view;
mod view_ids;
mod view_plan;

pub use api::CollectionsApi;
pub use bound::Bound;
pub use canonical::{canonical, of_text as canonical_of, text as canonical_text};
pub use catalogue::{
    Catalogue, Catalogues, CompiledRules, Entry, Follower, IsOutdated, OfCallers, Rule, faults_with, outdate,
    target_table,
};
pub use check::{LIVE_USERS, USERS, fields as judges_of};
pub use error::{Error, PROBLEMS, READ_ONLY, VIEW_BROKEN};
pub use history::{Author, in_words};
pub use member::{MEMBERS_OF_USERS, Member, OWN_MEMBERS, OWN_OF_DELETED, Shape};
pub use model::{COLLECTIONS_READ, Collection, CollectionId, Field, FieldType, OnDelete, Rules};
pub use openings::openings;
pub use rule::fault as expression_fault;
pub use schema_api::{Ledger, SchemaApi, SetOptions};
pub use searched::{Searched, SearchedColumn};
pub use set::{CollectionSet, SetDeed, SetReport};
pub use sight::{Access, Narrow, Sight};
pub use terms::TERMS;
pub use value::{Judge, Stored, Unfit};
pub use view::{View, Viewed};
pub use view_ids::{ViewIds, doubled as doubled_id, must_be_one as must_be_id};
