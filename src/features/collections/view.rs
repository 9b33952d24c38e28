//! Views: collections whose records a query computes over those of others.
//!
//! Nothing of a view is kept but its definition: what its records are read from is put together anew whenever the
//! collections change, so the query always speaks of these as they are. Whether it still can be put is found out
//! then, too. A change that it would not survive is refused; a version that does not take it any more says so to
//! whoever reads it, and serves everything else.
use std::collections::{BTreeMap, HashMap};

use poem_openapi::Object;

use super::catalogue::{join_table, live_table};
use super::check::{LIVE_USERS, TIMES, USERS};
use super::error::Error;
use super::member::MEMBERS_OF_USERS;
use super::model::{Collection, CollectionId, Field, FieldType, Rules};
use super::names;
use super::view_ids::{doubled, must_be_one};
use crate::db::join_tables;
use crate::db::record_tables::quoted;
use crate::db::views::{self, Bench, Held, Seen, Source};
use crate::db::{self, Tx};
use crate::http::Fault;

/// Most views of a tenant: each is looked at whenever a collection changes.
pub(super) const VIEWS_MAX: usize = 50;
/// Records of a view that are computed before anything else is asked of it, to see whether any can be.
const TRIED: usize = 1_000;
/// Most columns of a view, as many as a collection has fields, beside its id and its times.
const COLUMNS_MAX: usize = 103;

/// What a collection shows instead of having records of its own.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(deny_unknown_fields)]
pub struct View {
    /// One SELECT over other collections, by the names that they and their fields have; of `users` there are `id`,
    /// `name` and `role`. It has a column `id`, and may have `createdAt` and `updatedAt`.
    #[oai(validator(min_length = 1, max_length = 10_000))]
    pub query: String,
}

/// A view, looked at.
#[derive(Clone, Debug)]
pub struct Viewed {
    /// What stands after FROM to read its records.
    pub from: String,
    /// Why it cannot be read, if it cannot.
    pub fault: Option<String>,
    /// Which times its records have.
    pub times: Vec<&'static str>,
    /// Largest value that may be computed on the way to its records, in bytes.
    pub value_bytes_max: usize,
    /// The collections that it reads.
    sources: Vec<String>,
    /// Which fields of collections its columns show unchanged.
    origins: HashMap<String, Field>,
    /// The fields of collections that the query reads beside those that it shows unchanged, by their collections and
    /// names: to compute, or to select by.
    used: BTreeMap<(String, String), Field>,
}

/// All views among some collections, by their ids.
pub(super) type Views = HashMap<CollectionId, Viewed>;

/// What queries may name, ready for several of them.
struct Ground {
    bench: Bench,
    sources: Vec<Source>,
    /// The fields behind the columns of each source; those that every record has are none.
    fields: Vec<Vec<Option<Field>>>,
    views: Vec<String>,
}

impl Ground {
    fn of(collections: &[Collection]) -> Result<Self, String> {
        let bench = Bench::new().map_err(|_| "cannot be tried".to_owned())?;
        let column = |name: &str| (name.to_owned(), format!("s.{}", quoted(name)));
        let users = Source {
            name: USERS.to_owned(),
            columns: MEMBERS_OF_USERS.iter().map(|it| column(&it.name)).collect(),
            table: LIVE_USERS.to_owned(),
        };
        let (mut sources, mut fields) = (vec![users], vec![vec![None; MEMBERS_OF_USERS.len()]]);
        for collection in collections.iter().filter(|it| it.view.is_none()) {
            let own = ["id"].into_iter().chain(TIMES);
            let mut source = Source {
                name: collection.name.clone(),
                columns: own.map(column).collect(),
                table: live_table(collection),
            };
            let mut of_source = vec![None; source.columns.len()];
            for field in collection.fields.iter().filter(|it| !it.write_only) {
                let mut shown = column(&field.name);
                if field.refers_to_many() {
                    shown.1 = join_tables::list(&join_table(collection.id, &field.name), "s.id");
                }
                source.columns.push(shown);
                of_source.push(Some(field.clone()));
            }
            sources.push(source);
            fields.push(of_source);
        }
        let views = collections.iter().filter(|it| it.view.is_some()).map(|it| it.name.clone()).collect();
        Ok(Self { bench, sources, fields, views })
    }

    fn look(&self, query: &str) -> Result<Seen, String> {
        self.bench.look(query, &self.sources).map_err(|reason| {
            let missing = reason.rsplit_once("no such table: ").map(|(_, name)| name);
            let is_view = |name: &&str| self.views.iter().any(|it| it.eq_ignore_ascii_case(name));
            match missing.filter(is_view) {
                Some(name) => format!("reads `{name}`, which is a view itself; a view reads collections with records"),
                None => reason,
            }
        })
    }

    /// The collection and the field that a column shows unchanged.
    fn origin(&self, from: Option<(usize, usize)>) -> Option<(&str, &Field)> {
        let (source, column) = from?;
        let field = self.fields.get(source)?.get(column)?.as_ref()?;
        Some((&self.sources[source].name, field))
    }

    /// Whether a column holds the id of a collection or an account, or a time, and which.
    fn own(&self, from: Option<(usize, usize)>) -> Option<&str> {
        let (source, column) = from?;
        let field = self.fields.get(source)?.get(column)?;
        field.is_none().then(|| self.sources[source].columns[column].0.as_str())
    }
}

/// Looks at all views among some collections.
pub(super) fn look(collections: &[Collection]) -> Views {
    if collections.iter().all(|it| it.view.is_none()) {
        return Views::new();
    }
    let ground = Ground::of(collections);
    let views = collections.iter().filter_map(|it| Some((it, it.view.as_ref()?)));
    let looked = views.map(|(collection, view)| {
        let looked = ground.as_ref().map_err(Clone::clone).and_then(|it| Viewed::of(collection, view, it));
        (collection.id, looked.unwrap_or_else(|fault| Viewed::broken(collection, fault)))
    });
    looked.collect()
}

impl Viewed {
    fn of(collection: &Collection, view: &View, ground: &Ground) -> Result<Self, String> {
        let seen = ground.look(&view.query)?;
        let (mut columns, mut origins, mut times) = (Vec::new(), HashMap::new(), Vec::new());
        for (name, from) in &seen.columns {
            let own = ground.own(*from).filter(|_| seen.is_plain);
            if let Some(time) = TIMES.into_iter().find(|it| it == name) {
                let is_time = own.is_some_and(|it| TIMES.contains(&it));
                columns.push((name.clone(), if is_time { Held::AsIs } else { Held::Moment }));
                times.push(time);
            } else if name == "id" {
                let origin = ground.origin(*from).filter(|(_, it)| seen.is_plain && holds(it).is_text());
                let is_text = own == Some("id") || origin.is_some();
                columns.push((name.clone(), if is_text { Held::AsIs } else { Held::Id }));
            } else if let Some(field) = collection.fields.iter().find(|it| it.name == *name) {
                let origin = ground.origin(*from).filter(|_| seen.is_plain);
                let held = holds(field);
                let is_id = own == Some("id") && field.field_type == FieldType::Relation;
                let is_same = is_id || origin.is_some_and(|(_, it)| held.takes(&holds(it)));
                columns.push((name.clone(), if is_same { Held::AsIs } else { held }));
            } else {
                continue; // a column that came later, and that nobody asked for
            }
            if let Some((_, origin)) = ground.origin(*from) {
                origins.insert(name.clone(), origin.clone());
            }
        }
        if let Some(field) = collection.fields.iter().find(|it| !columns.iter().any(|(name, _)| *name == it.name)) {
            return Err(format!("has no column `{}` any more", field.name));
        }
        if !columns.iter().any(|(name, _)| name == "id") {
            return Err("has no column `id`".to_owned());
        }
        let used: Vec<_> = seen.used.iter().map(|it| &ground.sources[*it]).collect();
        let sources = used.iter().map(|it| it.name.clone()).collect();
        times.sort_unstable();
        let showing = |place| columns_of(&seen).filter(|it| *it == place).count();
        let beside = seen.read.iter().filter(|(place, places)| !seen.is_plain || showing(*place) < *places);
        let beside = beside.filter_map(|(place, _)| ground.origin(Some(*place)));
        let beside = beside.map(|(name, field)| ((name.to_owned(), field.name.clone()), field.clone())).collect();
        Ok(Self {
            from: views::from(&view.query, &used, &columns),
            fault: None,
            times,
            value_bytes_max: seen.value_bytes_max,
            sources,
            origins,
            used: beside,
        })
    }

    /// One that nobody can read. Whoever comes by finds nothing there.
    fn broken(collection: &Collection, fault: String) -> Self {
        let own = ["id"].into_iter().chain(TIMES).map(ToOwned::to_owned);
        let columns: Vec<_> = own.chain(collection.fields.iter().map(|it| it.name.clone())).collect();
        Self {
            from: views::nothing(&columns),
            fault: Some(fault),
            times: TIMES.to_vec(),
            value_bytes_max: 0,
            sources: Vec::new(),
            origins: HashMap::new(),
            used: BTreeMap::new(),
        }
    }

    /// Why a view must not become what `after` is by a change of the collection that it reads.
    pub(super) fn refusal(&self, after: &Self, view: &Collection) -> Option<String> {
        if self.fault.is_none() && after.fault.is_some() {
            return Some("the query".to_owned());
        }
        let changed = |(name, was): (&String, &Field)| {
            let is = after.origins.get(name)?;
            let is_retyped = !holds(was).is_kept_like(&holds(is));
            // Who does not see a value shall not see it in a view either, unless an admin says so there.
            let is_closed = (is.hidden && !was.hidden) || (is.readable_by != was.readable_by);
            let is_hidden = view.fields.iter().any(|it| it.name == *name && it.hidden);
            (is_retyped || (is_closed && !is_hidden)).then(|| format!("the field `{name}`"))
        };
        let shown = self.origins.iter().filter_map(changed).min();
        shown.or_else(|| {
            // What is computed of a value, or selected by it, tells of it too.
            let is_for_admins = view.rules.list.is_none() && view.rules.view.is_none();
            let is_closed = |is: &Field, was: &Field| !is_open(is) && is_open(was);
            let closed =
                (self.used.iter()).find(|(place, was)| after.used.get(place).is_some_and(|is| is_closed(is, was)));
            closed.filter(|_| !is_for_admins).map(|((_, name), _)| format!("the part with `{name}` in the query"))
        })
    }
}

/// The columns of sources that a query shows unchanged.
fn columns_of(seen: &Seen) -> impl Iterator<Item = (usize, usize)> {
    seen.columns.iter().filter_map(|(_, from)| *from)
}

/// Whether everyone sees a field who sees its record.
fn is_open(field: &Field) -> bool {
    !field.hidden && field.readable_by.is_none()
}

/// What is kept in the column of a field.
fn holds(field: &Field) -> Held {
    let values = || field.values.clone().unwrap_or_default();
    match field.field_type {
        FieldType::Integer => Held::Integer,
        FieldType::Number => Held::Number,
        FieldType::Bool => Held::Bool,
        FieldType::Datetime | FieldType::Autodate => Held::Moment,
        FieldType::Geo => Held::Place,
        FieldType::Json => Held::Json,
        FieldType::Select if field.is_multiple() => Held::List(values()),
        FieldType::Select => Held::OneOf(values()),
        FieldType::Relation if field.is_multiple() => Held::Json,
        FieldType::Relation => Held::Reference,
        FieldType::Email => Held::Email,
        FieldType::Url => Held::Url,
        _ => Held::Text,
    }
}

/// Gives a view the fields that its query has: those that are declared, and those that show fields of collections.
pub(super) fn infer(collection: &mut Collection, all: &[Collection]) -> Result<(), Vec<Fault>> {
    let Some(view) = &collection.view else { return Ok(()) };
    let of_query = |code, detail: String| Fault::new("/view/query", code, detail);
    let ground = Ground::of(all).map_err(|reason| vec![of_query("query", reason)])?;
    let seen = ground.look(&view.query).map_err(|reason| vec![of_query("query", reason)])?;
    let (mut faults, mut fields, mut names) = (Vec::new(), Vec::new(), Vec::new());
    // Of what is put together, the first part alone says which fields are shown.
    let closed = seen.read.iter().filter_map(|(it, _)| ground.origin(Some(*it))).find(|(_, it)| !is_open(it));
    if let Some((source, field)) = closed.filter(|_| !seen.is_plain) {
        let detail = format!(
            "puts several queries together and reads `{}` of `{source}`, which not everyone sees; leave it out",
            field.name
        );
        faults.push(of_query("hidden", detail));
    }
    if COLUMNS_MAX < seen.columns.len() {
        faults.push(of_query("too-many", format!("has more than {COLUMNS_MAX} columns")));
    }
    for (name, from) in seen.columns.iter().take(COLUMNS_MAX) {
        let said: String = name.chars().take(63).collect();
        let lower = name.to_ascii_lowercase();
        if names.contains(&lower) {
            faults.push(of_query("duplicate", format!("has two columns `{said}`")));
            continue;
        }
        names.push(lower);
        if name == "id" || TIMES.contains(&name.as_str()) {
            let origin = ground.origin(*from).map(|(_, it)| it);
            // An expression may be made of any of them.
            let computed = (origin.is_none() && ground.own(*from).is_none()).then_some(closed).flatten();
            if let Some(field) = origin.filter(|it| !is_open(it)).or(computed.map(|(_, it)| it)) {
                let detail =
                    format!("shows `{}`, which not everyone sees, as `{name}`, which everyone does", field.name);
                faults.push(of_query("hidden", detail));
            }
            continue;
        }
        if let Some(reason) = names::refuse_field(name) {
            faults.push(of_query("name", format!("the name of the column `{said}` {reason}; write `AS` and another")));
            continue;
        }
        if let Some(declared) = collection.fields.iter().find(|it| it.name == *name) {
            fields.push(declared.clone());
            continue;
        }
        match (ground.origin(*from), ground.own(*from), from) {
            (Some((_, field)), ..) => fields.push(shown(name, field)),
            (None, Some("id"), Some((source, _))) => {
                let collection = Some(ground.sources[*source].name.clone());
                fields.push(Field { collection, ..Field::new(name, FieldType::Relation) });
            }
            (None, Some(own), _) => {
                let field_type = if TIMES.contains(&own) { FieldType::Datetime } else { FieldType::Text };
                fields.push(Field::new(name, field_type));
            }
            (None, None, _) => {
                let detail = format!("must say what the column `{said}` is, which is no field of a collection");
                faults.push(Fault::new("/fields", "required", detail));
            }
        }
    }
    if !names.iter().any(|it| it == "id") {
        faults.push(of_query("required", "must have a column `id`, which tells its records apart".to_owned()));
    }
    for (index, field) in collection.fields.iter().enumerate() {
        if !names.contains(&field.name.to_ascii_lowercase()) {
            faults.push(Fault::new(format!("/fields/{index}/name"), "unknown", "is no column of the query"));
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    collection.fields = fields;
    Ok(())
}

/// What a view shows of a field: its values, to those who see them where they are.
fn shown(name: &str, field: &Field) -> Field {
    let field_type = match field.field_type {
        FieldType::Autodate => FieldType::Datetime,
        FieldType::Relation if field.is_multiple() => FieldType::Json,
        other => other,
    };
    Field {
        hidden: field.hidden,
        readable_by: field.readable_by.clone(),
        values: field.values.clone(),
        multiple: field.multiple.filter(|_| field_type == FieldType::Select),
        collection: field.collection.clone().filter(|_| field_type == FieldType::Relation),
        ..Field::new(name, field_type)
    }
}

/// Gives a view another query or other fields. What was said of columns that are still there stays, unless it is said
/// anew.
pub(super) fn change(
    collection: &mut Collection,
    view: Option<View>,
    fields: Option<Vec<Field>>,
    others: &[Collection],
) -> Result<(), Vec<Fault>> {
    if let Some(view) = view {
        if fields.is_none() {
            must_tell_no_more(collection, &view, others)?;
        }
        collection.view = Some(view);
    }
    if let Some(fields) = fields {
        collection.fields = fields;
    } else if let Some(view) = &collection.view {
        let seen = Ground::of(others).and_then(|it| it.look(&view.query));
        let columns = seen.map(|it| it.columns).unwrap_or_default(); // what is wrong with it is told below
        collection.fields.retain(|it| columns.iter().any(|(name, _)| *name == it.name));
    }
    infer(collection, others)
}

/// Refuses a query that reads fields which not everyone sees and which the one before did not read, as long as nobody
/// says what its columns are: what was said of them was about others.
fn must_tell_no_more(collection: &Collection, view: &View, others: &[Collection]) -> Result<(), Vec<Fault>> {
    let Ok(ground) = Ground::of(others) else { return Ok(()) }; // what is wrong with it is told below
    let closed = |query: &str| -> Vec<(usize, usize)> {
        let read = ground.look(query).map(|it| it.read).unwrap_or_default();
        read.into_iter()
            .map(|(it, _)| it)
            .filter(|it| ground.origin(Some(*it)).is_some_and(|(_, field)| !is_open(field)))
            .collect()
    };
    let before = collection.view.as_ref().map(|it| closed(&it.query)).unwrap_or_default();
    let new = closed(&view.query).into_iter().find(|it| !before.contains(it));
    let Some((source, field)) = new.and_then(|it| ground.origin(Some(it))) else { return Ok(()) };
    let detail = format!("must be sent: the query reads `{}` of `{source}`, which not everyone sees", field.name);
    Err(vec![Fault::new("/fields", "required", detail)])
}

/// Refuses a view of which two records have one id now, or whose records cannot be computed. One that reads any of
/// the collections `unsettled`, which are not what they will be, is not looked at.
pub(super) fn must_be_sound(
    tx: &mut Tx<'_>,
    all: &[Collection],
    new: &Collection,
    unsettled: &[String],
) -> Result<(), Error> {
    let refused = |code, detail: String| Error::Invalid(vec![Fault::new("/view/query", code, detail)]);
    let id = new.id;
    let all: Vec<_> = all.iter().filter(|it| it.id != id && it.view.is_none()).cloned().chain([new.clone()]).collect();
    let Some(viewed) = look(&all).remove(&id) else { return Ok(()) };
    if viewed.fault.is_some() || viewed.sources.iter().any(|it| unsettled.contains(it)) {
        return Ok(());
    }
    tx.bound_values(Some(viewed.value_bytes_max))?;
    let mut wrong = None;
    // What is not looked at is not computed.
    let whole = format!("SELECT * FROM {}", viewed.from);
    let outcome = tx
        .each(&format!("{whole} LIMIT {TRIED}"), &[], &mut |_| Ok(()))
        .and_then(|()| {
            let ids = format!("SELECT id, count(*) FROM {} GROUP BY id", viewed.from);
            tx.each(&ids, &[], &mut |row| {
                let (id, count) = (row.text(0)?, row.integer(1)?);
                let reason = || if 1 < count { Some(("not-unique", doubled(id))) } else { unfit(id) };
                wrong = wrong.take().or_else(reason);
                Ok(())
            })
        })
        .and_then(|()| tx.each(&whole, &[], &mut |_| Ok(())));
    if let Some((code, detail)) = wrong {
        return Err(refused(code, detail));
    }
    match outcome {
        Ok(()) => Ok(()),
        Err(db::Error::Engine(cause)) => Err(refused("query", format!("cannot be answered: {cause}"))),
        Err(db::Error::TooLarge) => {
            let most = viewed.value_bytes_max >> 10;
            Err(refused("query", format!("cannot be answered: it computes a value of more than {most} KiB")))
        }
        Err(db::Error::Column { .. }) => Err(refused("query", "finds ids that are no text".to_owned())),
        Err(error) => Err(error.into()),
    }
}

fn unfit(id: &str) -> Option<(&'static str, String)> {
    must_be_one(id).err().map(|it| ("id", it))
}

/// What a view cannot have, since nobody writes its records.
pub(super) fn faults(view: &Collection) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut refuse = |is_there: bool, pointer: String, detail: &str| {
        if is_there {
            faults.push(Fault::new(pointer, "not-for-view", detail));
        }
    };
    for (index, field) in view.fields.iter().enumerate() {
        let is_list = field.refers_to_many();
        for (is_there, member) in [
            (field.required, "required"),
            (field.unique, "unique"),
            (field.write_only, "writeOnly"),
            (field.writable_by.is_some(), "writableBy"),
            (field.validate.is_some(), "validate"),
            (field.on_create.is_some(), "onCreate"),
            (field.on_update.is_some(), "onUpdate"),
            (field.default.is_some(), "default"),
            (field.min.is_some(), "min"),
            (field.max.is_some(), "max"),
            (field.pattern.is_some(), "pattern"),
            (field.on_delete.is_some(), "onDelete"),
            (field.renamed_from.is_some(), "renamedFrom"),
        ] {
            refuse(is_there, format!("/fields/{index}/{member}"), "is about writing, and nobody writes to a view");
        }
        let detail = "is for collections with records; a view shows such a list as `json`";
        refuse(is_list, format!("/fields/{index}/multiple"), detail);
    }
    refuse(!view.indexes.is_empty(), "/indexes".to_owned(), "a view has no indexes; those of its collections help");
    refuse(!view.search.is_empty(), "/search".to_owned(), "a view is not searched; search the collections");
    refuse(view.options.soft_delete, "/options/softDelete".to_owned(), "nothing is deleted from a view");
    refuse(view.options.presence, "/options/presence".to_owned(), "nobody listens to a view");
    let Rules { create, update, delete, .. } = &view.rules;
    for (rule, name) in [(create, "create"), (update, "update"), (delete, "delete")] {
        refuse(rule.is_some(), format!("/rules/{name}"), "nobody writes to a view");
    }
    faults
}
