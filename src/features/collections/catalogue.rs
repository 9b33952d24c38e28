//! What the server knows of its collections: read once, and again when they change.
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use poem_openapi::Object;
use poem_openapi::types::{ParseFromJSON, ToJSON};
use tokio::sync::Mutex as Turn;

use super::error::Error;
use super::model::{Collection, CollectionId, Field, Index, OnDelete, Rules, Weights};
use super::options::Options;
use super::searched::Searched;
use super::sight::{Narrow, Sight, Who};
use super::store::{self, Kept};
use super::value::{Judge, Unfit};
use super::view::{self, View, Viewed, Views};
use super::{check, rule};
use crate::base::TenantId;
use crate::db::record_tables::quoted;
use crate::db::{self, Db, Tx};
use crate::expr::{self, CallerFields, Compiled, Schema};
use crate::http::Fault;
use crate::http::asset::short_digest;

pub use super::rule::{CompiledRules, Rule};

/// How often a request is begun anew because collections changed under it.
const TRIES_MAX: usize = 5;

/// Schemas that are remembered: one for each way in which the conditions of fields were answered.
const SCHEMAS_MAX: usize = 64;

/// What a schema depends on beside the collections: how the conditions of fields were answered, and for whom.
type Seen = (Vec<bool>, Option<Arc<Narrow>>);

/// A collection, ready to serve.
#[derive(Debug)]
pub struct Entry {
    pub collection: Collection,
    /// What its records are read from, not quoted: of those that are kept in a bin nothing is in it.
    pub table: String,
    /// The table that all of them are in, which is written.
    pub rows: String,
    /// What stands after FROM to read its records.
    pub from: String,
    /// What was found out about its query, if it is a view.
    pub view: Option<Viewed>,
    /// In the order of its fields.
    pub judges: Vec<Judge>,
    pub rules: CompiledRules,
    /// What must be true of each record, by the position of the field that says so.
    pub validators: Vec<(usize, Compiled)>,
    /// What `search` looks in, if there is anything.
    pub searched: Option<Searched>,
    by_name: HashMap<String, usize>,
}

/// All collections of a tenant at one moment.
#[derive(Debug)]
pub struct Catalogue {
    pub generation: i64,
    /// What rules may ask of the caller's profile.
    pub(super) of_callers: CallerFields,
    schema: Schema,
    /// For admins, to whom nothing is hidden and whose relations lead everywhere.
    open_schema: Arc<Schema>,
    /// For all others, who see what the answers to these conditions let them.
    schemas: Mutex<HashMap<Seen, Arc<Schema>>>,
    conditions: Vec<Who>,
    entries: Vec<Arc<Entry>>,
    by_name: HashMap<String, usize>,
    /// By the collection that is referred to.
    followers: HashMap<String, Vec<Follower>>,
}

/// A relation whose records change or go when the one goes that they refer to.
#[derive(Debug)]
pub struct Follower {
    pub entry: Arc<Entry>,
    pub field: String,
    pub on_delete: OnDelete,
    /// The table of the entries, if records refer to several.
    pub join: Option<String>,
}

/// The catalogues of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct Catalogues {
    db: Db,
    of_callers: OfCallers,
    known: Arc<RwLock<HashMap<TenantId, Arc<Catalogue>>>>,
    listeners: Arc<RwLock<Vec<Box<Listener>>>>,
    /// Held while a catalogue is read: all who need it wait for one reading.
    reading: Arc<Turn<()>>,
}

/// Tells which fields the profiles of callers have.
pub type OfCallers = fn(&mut Tx<'_>) -> Result<CallerFields, db::Error>;

/// Hears of every catalogue that was read anew.
type Listener = dyn Fn(&TenantId, &Arc<Catalogue>) + Send + Sync;

/// What is kept of a collection in one column.
#[derive(Object)]
struct Definition {
    #[oai(skip_serializing_if_is_none)]
    view: Option<View>,
    fields: Vec<Field>,
    indexes: Vec<Index>,
    #[oai(default)]
    search: Weights,
    rules: Rules,
    #[oai(default)]
    options: Options,
}

impl Entry {
    pub fn name(&self) -> &str {
        &self.collection.name
    }

    /// What went wrong while records were read: what a view cannot compute is the fault of its query, not ours.
    pub fn told(&self, error: db::Error) -> Error {
        match error {
            db::Error::Engine(cause) if self.view.is_some() => {
                let view = self.name().to_owned();
                tracing::warn!(collection.name = view, %cause, "the query of a view failed");
                Error::ViewBroken { view }
            }
            db::Error::Column { .. } if self.view.is_some() => Error::ViewBroken { view: self.name().to_owned() },
            db::Error::TooLarge if self.view.is_some() => {
                tracing::warn!(collection.name = self.name(), "the query of a view computes too large a value");
                Error::ViewBroken { view: self.name().to_owned() }
            }
            error => error.into(),
        }
    }

    /// Whether only admins may do anything with the records: nobody else has to know of the collection.
    pub fn is_for_admins(&self) -> bool {
        let rules = &self.rules;
        let of_reading = [&rules.list, &rules.view];
        let of_writing = [&rules.create, &rules.update, &rules.delete].into_iter().filter(|_| self.view.is_none());
        of_reading.into_iter().chain(of_writing).all(|it| *it == Rule::Admins)
    }

    /// Refuses a view whose query is not taken any more. Asked after it is known that the caller may read.
    pub fn must_be_readable(&self) -> Result<(), Error> {
        match self.view.as_ref().and_then(|it| it.fault.as_ref()) {
            Some(_) => Err(Error::ViewBroken { view: self.name().to_owned() }),
            None => Ok(()),
        }
    }

    /// Whether every record has this member beside its fields.
    pub fn has_own(&self, name: &str) -> bool {
        name == "id" || self.view.as_ref().is_none_or(|it| it.times.contains(&name))
    }

    /// The judge of a field, and the field's position.
    pub fn field(&self, name: &str) -> Option<(usize, &Judge)> {
        let position = *self.by_name.get(name)?;
        self.judges.get(position).map(|it| (position, it))
    }
}

impl Entry {
    /// Whether this is the collection that `other` was, with records of the same form; its name and rules may differ.
    pub fn is_as(&self, other: &Self) -> bool {
        let is_same = self.collection.id == other.collection.id && self.collection.fields == other.collection.fields;
        is_same && self.collection.keeps_deleted() == other.collection.keeps_deleted()
    }
}

impl Catalogue {
    /// Makes sense of a set of collections, or says which one cannot be, and why.
    pub(super) fn build(
        generation: i64,
        collections: Vec<Collection>,
        of_callers: &CallerFields,
    ) -> Result<Self, (String, Vec<Fault>)> {
        let names: Vec<String> = collections.iter().map(|it| it.name.clone()).collect();
        let mut views = view::look(&collections);
        let schema = rule::schema(&collections, &views, of_callers);
        let mut entries = Vec::new();
        for collection in collections {
            let name = collection.name.clone();
            let entry = Entry::build(collection, &schema, &mut views).map_err(|faults| (name, faults))?;
            entries.push(Arc::new(entry));
        }
        let by_name = names.into_iter().enumerate().map(|(index, name)| (name, index)).collect();
        let followers = followers(&entries);
        let mut conditions: Vec<Who> = Vec::new();
        for judge in entries.iter().flat_map(|it| &it.judges) {
            conditions.extend(
                judge.access.readable.iter().filter(|it| !conditions.contains(it)).cloned().collect::<Vec<_>>(),
            );
        }
        let mut catalogue = Self {
            generation,
            of_callers: of_callers.clone(),
            schema,
            open_schema: Arc::default(),
            schemas: Mutex::default(),
            conditions,
            entries,
            by_name,
            followers,
        };
        catalogue.open_schema = Arc::new(catalogue.seen(&Sight::new(true, Arc::default())).opened());
        Ok(catalogue)
    }

    /// What is wrong with the expressions of each of some collections, whatever else is wrong with them.
    pub(super) fn faults_of_rules(
        collections: &[Collection],
        of_callers: &CallerFields,
    ) -> HashMap<String, Vec<Fault>> {
        let views = view::look(collections);
        let schema = rule::schema(collections, &views, of_callers);
        let faults = |it: &Collection| {
            let mut faults = CompiledRules::compile(it, &schema).err().unwrap_or_default();
            faults.extend(rule::validators(it, &schema).err().unwrap_or_default());
            faults
        };
        let found = collections.iter().map(|it| (it.name.clone(), faults(it)));
        found.filter(|(_, faults)| !faults.is_empty()).collect()
    }

    /// The relations to a collection that a deletion there is felt through.
    pub fn followers(&self, name: &str) -> &[Follower] {
        self.followers.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn find(&self, name: &str) -> Option<&Arc<Entry>> {
        self.entries.get(*self.by_name.get(name)?)
    }

    /// A collection to read records of, for those who may: what they are told first is [`Entry::must_be_readable`].
    pub fn to_read(&self, name: &str) -> Result<&Arc<Entry>, Error> {
        self.find(name).ok_or(Error::NotFound)
    }

    /// A collection to write records of.
    pub fn to_write(&self, name: &str) -> Result<&Arc<Entry>, Error> {
        let entry = self.find(name).ok_or(Error::NotFound)?;
        if entry.view.is_some() { Err(Error::ReadOnly { view: name.to_owned() }) } else { Ok(entry) }
    }

    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// What a client's expressions may talk about.
    pub fn schema(&self, sight: &Sight) -> Arc<Schema> {
        if sight.is_admin {
            return Arc::clone(&self.open_schema);
        }
        let answers: Seen = (self.conditions.iter().map(|it| sight.holds(it)).collect(), sight.narrow.clone());
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = schemas.get(&answers) {
            return Arc::clone(known);
        }
        let schema = Arc::new(self.seen(sight));
        if SCHEMAS_MAX <= schemas.len() {
            schemas.clear();
        }
        schemas.insert(answers, Arc::clone(&schema));
        schema
    }

    /// The schema with the fields that a caller sees.
    fn seen(&self, sight: &Sight) -> Schema {
        let seen = self.schema.seen_by(&|table, field| {
            let judge = self.find(&table.name).and_then(|it| it.field(&field.name));
            judge.is_none_or(|(_, it)| sight.sees(it))
        });
        if sight.narrow.is_none() {
            return seen;
        }
        seen.viewed_by(&|table| match self.find(&table.name) {
            Some(_) if !sight.reads(&table.name) => Some(expr::View::Nobody),
            Some(_) if sight.rules_over(&table.name) => Some(expr::View::Anyone),
            _ => None,
        })
    }

    pub(super) fn collections(&self) -> Vec<Collection> {
        self.entries.iter().map(|it| it.collection.clone()).collect()
    }

    /// Refuses a change that a view which could be read before would not survive, or by which one that nobody asked to
    /// change would show something else.
    pub(super) fn must_keep_views(&self, before: &Self, is_changed: &dyn Fn(&str) -> bool) -> Result<(), Error> {
        for entry in &self.entries {
            let Some(after) = &entry.view else { continue };
            let was = before.entries.iter().find(|it| it.collection.id == entry.collection.id);
            // What is sent again as it was says nothing new of what the view shows.
            let is_same = |it: &Arc<Entry>| {
                it.collection.view == entry.collection.view && it.collection.fields == entry.collection.fields
            };
            if is_changed(entry.name()) && !was.is_some_and(is_same) {
                let Some(reason) = &after.fault else { continue };
                return Err(Error::Invalid(vec![Fault::new("/view/query", "query", reason.as_str())]));
            }
            if let Some(by) = was.and_then(|it| it.view.as_ref()).and_then(|it| it.refusal(after, &entry.collection)) {
                return Err(Error::InUse { collection: entry.name().to_owned(), by });
            }
        }
        Ok(())
    }

    /// Refuses to go on if collections were changed since this was read. Asked inside a request's own
    /// transaction, so what follows in it is of one piece.
    pub fn must_be_current(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        if store::generation(tx)? == self.generation { Ok(()) } else { Err(Error::Outdated) }
    }
}

impl Entry {
    // Whether it may be like this was asked when it was saved. It is not asked again, so that a version that refuses
    // more can still serve what an older one took.
    fn build(collection: Collection, schema: &Schema, views: &mut Views) -> Result<Self, Vec<Fault>> {
        let judge = |(index, field): (usize, &Field)| {
            let unfit = |it: Unfit| vec![Fault::new(format!("/fields/{index}"), it.code, it.detail)];
            Judge::new(field.clone()).map_err(unfit)
        };
        let mut judges = collection.fields.iter().enumerate().map(judge).collect::<Result<Vec<_>, _>>()?;
        let name: Arc<str> = collection.name.as_str().into();
        judges.iter_mut().for_each(|it| it.collection = Arc::clone(&name));
        for judge in judges.iter_mut().filter(|it| it.field.refers_to_many()) {
            judge.member = judge.member.joined(join_table(collection.id, &judge.field.name));
        }
        let rules = CompiledRules::compile(&collection, schema)?;
        let validators = rule::validators(&collection, schema)?;
        let by_name = judges.iter().enumerate().map(|(index, it)| (it.field.name.clone(), index)).collect();
        let searched = Searched::of(&collection);
        let (table, rows) = (live_table(&collection), table(&collection.name));
        let view = views.remove(&collection.id);
        let from = view.as_ref().map_or_else(|| quoted(&table), |it| it.from.clone());
        Ok(Self { table, rows, from, view, collection, judges, rules, validators, searched, by_name })
    }
}

impl Catalogues {
    pub fn new(db: Db, of_callers: OfCallers) -> Self {
        Self { db, of_callers, known: Arc::default(), listeners: Arc::default(), reading: Arc::default() }
    }

    /// Has every catalogue that is read anew told to `listener` too.
    pub fn tell(&self, listener: Box<Listener>) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// What is known of a tenant's collections, read if this is the first time.
    pub async fn current(&self, tenant: &TenantId) -> Result<Arc<Catalogue>, Error> {
        match self.known(tenant) {
            Some(catalogue) => Ok(catalogue),
            None => self.read(tenant, |_| true).await,
        }
    }

    /// A catalogue that is newer than one that turned out to be outdated.
    pub async fn newer_than(&self, tenant: &TenantId, outdated: &Catalogue) -> Result<Arc<Catalogue>, Error> {
        self.read(tenant, |it| outdated.generation < it.generation).await
    }

    fn known(&self, tenant: &TenantId) -> Option<Arc<Catalogue>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned()
    }

    /// Reads a tenant's collections from its database, unless somebody just did and `will_do`.
    async fn read(&self, tenant: &TenantId, will_do: impl Fn(&Catalogue) -> bool) -> Result<Arc<Catalogue>, Error> {
        let _turn = self.reading.lock().await;
        if let Some(known) = self.known(tenant).filter(|it| will_do(it)) {
            return Ok(known);
        }
        let of_callers = self.of_callers;
        let catalogue = Arc::new(self.db.read(tenant, move |tx| read(tx, of_callers)).await?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(tenant.clone(), Arc::clone(&catalogue));
        drop(known);
        for told in self.listeners.read().unwrap_or_else(PoisonError::into_inner).iter() {
            told(tenant, &catalogue);
        }
        Ok(catalogue)
    }

    /// Runs `work` with what is known, and anew as often as that was no longer true, within reason.
    pub async fn with<T, E, F>(&self, tenant: &TenantId, work: impl Fn(Arc<Catalogue>) -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
        E: From<Error> + IsOutdated,
    {
        let mut known = self.current(tenant).await?;
        for _ in 1..TRIES_MAX {
            match work(Arc::clone(&known)).await {
                Err(error) if error.is_outdated() => known = self.newer_than(tenant, &known).await?,
                outcome => return outcome,
            }
        }
        work(known).await
    }
}

/// Reads all collections and makes sense of them. Of hundreds that takes a while, so it is done where it is read.
fn read(tx: &mut Tx<'_>, of_callers: OfCallers) -> Result<Catalogue, Error> {
    let generation = store::generation(tx)?;
    let collections = list(tx)?;
    let catalogue = Catalogue::build(generation, collections, &of_callers(tx)?).map_err(|(name, faults)| {
        let reasons: Vec<_> = faults.iter().map(|it| format!("{}: {}", it.pointer, it.detail)).collect();
        Error::Unreadable { reason: format!("`{name}`: {}", reasons.join("; ")) }
    })?;
    for entry in &catalogue.entries {
        if let Some(reason) = entry.view.as_ref().and_then(|it| it.fault.as_ref()) {
            tracing::warn!(collection.name = entry.name(), %reason, "the query of a view is not taken any more");
        }
    }
    Ok(catalogue)
}

fn list(tx: &mut Tx<'_>) -> Result<Vec<Collection>, Error> {
    store::list(tx)?.into_iter().map(unpack).collect()
}

/// Which rules would not be understood any more if this were known of callers, by collection.
pub fn faults_with(tx: &mut Tx<'_>, of_callers: &CallerFields) -> Result<BTreeMap<String, Vec<Fault>>, Error> {
    Ok(Catalogue::faults_of_rules(&list(tx)?, of_callers).into_iter().collect())
}

/// Has everyone who knows the collections read them anew, once this transaction is done: what rules may ask is another.
pub fn outdate(tx: &mut Tx<'_>) -> Result<(), db::Error> {
    store::count_change(tx)
}

/// Tells whether an error means that the catalogue was no longer true.
pub trait IsOutdated {
    fn is_outdated(&self) -> bool;
}

impl IsOutdated for Error {
    fn is_outdated(&self) -> bool {
        matches!(self, Self::Outdated)
    }
}

impl std::fmt::Debug for Catalogues {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Catalogues")
    }
}

fn followers(entries: &[Arc<Entry>]) -> HashMap<String, Vec<Follower>> {
    let mut followers: HashMap<String, Vec<Follower>> = HashMap::new();
    for entry in entries {
        for field in &entry.collection.fields {
            if let (Some(target), Some(on_delete)) = (&field.collection, field.on_delete)
                && on_delete != OnDelete::Restrict
            {
                let join = field.refers_to_many().then(|| join_table(entry.collection.id, &field.name));
                let follower = Follower { entry: Arc::clone(entry), field: field.name.clone(), on_delete, join };
                followers.entry(target.clone()).or_default().push(follower);
            }
        }
    }
    followers
}

/// The table of a collection's records.
pub(super) fn table(name: &str) -> String {
    format!("c_{name}")
}

/// What the records of a collection that are not deleted are read from: their table, or a view of it.
pub(super) fn live_table(collection: &Collection) -> String {
    if collection.keeps_deleted() { live_view(&collection.name) } else { table(&collection.name) }
}

/// The view of the records of a collection that are not deleted.
pub(super) fn live_view(name: &str) -> String {
    format!("live_{name}")
}

/// The table of the entries of a relation to several records. Its name stays when the collection gets another one.
pub(super) fn join_table(collection: CollectionId, field: &str) -> String {
    format!("j_{}", short_digest(format!("{collection} {field}").as_bytes()))
}

/// The table that a relation refers to: of records, or of accounts.
pub fn target_table(name: &str) -> String {
    if name == check::USERS { name.to_owned() } else { table(name) }
}

/// A collection in the form in which it is kept.
pub(super) fn pack(collection: &Collection) -> Kept {
    let Collection { id, name, view, fields, indexes, search, rules, options, created_at, updated_at, version } =
        collection.clone();
    let fields = fields.into_iter().map(|it| Field { renamed_from: None, ..it }).collect();
    let definition = Definition { view, fields, indexes, search, rules, options }.to_json_string();
    Kept { id, name, definition, version, created_at, updated_at }
}

fn unpack(kept: Kept) -> Result<Collection, Error> {
    let unreadable = |reason: String| Error::Unreadable { reason: format!("`{}`: {reason}", kept.name) };
    let json = serde_json::from_str(&kept.definition).map_err(|cause| unreadable(cause.to_string()))?;
    let definition = Definition::parse_from_json(Some(json)).map_err(|cause| unreadable(cause.into_message()))?;
    let Definition { view, fields, indexes, search, rules, options } = definition;
    let Kept { id, name, version, created_at, updated_at, .. } = kept;
    Ok(Collection { id, name, view, fields, indexes, search, rules, options, created_at, updated_at, version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    #[test]
    fn what_an_older_version_took_is_served_although_it_would_be_refused_today() {
        let definition =
            r#"{"fields":[{"name":"_odd","type":"text","values":["a"]}],"indexes":[],"rules":{"list":"_odd == ''"}}"#;
        let moment = Timestamp::from_millis(0);
        let id = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80".parse().expect("an id");
        let kept = Kept {
            id,
            name: "Select".to_owned(),
            definition: definition.to_owned(),
            version: 1,
            created_at: moment,
            updated_at: moment,
        };

        let collection = unpack(kept).expect("readable");

        assert!(check::fields(&collection.fields, &[]).is_err(), "it would be refused today");
        assert!(
            Catalogue::build(1, vec![collection], &CallerFields::default()).is_ok_and(|it| it.find("Select").is_some())
        );
    }

    #[test]
    fn a_view_that_cannot_be_read_any_more_stops_nothing_else() {
        let kept = |number: u8, name: &str, definition: &str| Kept {
            id: format!("0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e8{number}").parse().expect("an id"),
            name: name.to_owned(),
            definition: definition.to_owned(),
            version: 1,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
        };
        let posts = r#"{"fields":[{"name":"title","type":"text"}],"indexes":[],"rules":{}}"#;
        let view = |query: &str| {
            r#"{"view":{"query":"QUERY"},"fields":[{"name":"x","type":"text"}],"indexes":[],"rules":{"list":"x == ''"}}"#
                .replace("QUERY", query)
        };
        let all = [
            kept(0, "posts", posts),
            kept(1, "sound", &view("SELECT id, title AS x FROM posts")),
            kept(2, "broken", &view("SELECT id, gone(title) AS x FROM posts")),
            kept(3, "narrow", &view("SELECT id FROM posts")),
        ];
        let all: Vec<_> = all.into_iter().map(|it| unpack(it).expect("readable")).collect();

        let catalogue = Catalogue::build(1, all.clone(), &CallerFields::default()).expect("a catalogue");

        let is_broken = |name: &str| {
            let entry = catalogue.to_read(name).expect("a collection");
            matches!(entry.must_be_readable(), Err(Error::ViewBroken { .. }))
        };
        assert!(!is_broken("posts") && !is_broken("sound"));
        assert!(is_broken("broken") && is_broken("narrow"));
        assert!(matches!(catalogue.to_write("sound"), Err(Error::ReadOnly { .. })));
        assert!(
            catalogue.must_keep_views(&catalogue, &|it| it == "posts").is_ok(),
            "what was broken before is in nobody's way"
        );
        let without: Vec<_> = all.into_iter().filter(|it| it.name != "posts").collect();
        let without = Catalogue::build(1, without, &CallerFields::default()).expect("a catalogue");
        let refused = without.must_keep_views(&catalogue, &|it| it == "posts");
        assert!(matches!(refused, Err(Error::InUse { collection, .. }) if collection == "sound"));
    }
}
