//! The endpoints of collections.
use std::sync::Arc;

use poem::Request;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::catalogue::{self, Catalogue, Catalogues};
use super::counts::Prospect;
use super::error::Error;
use super::history::{self, Author, Happened, SchemaSource};
use super::model::{
    COLLECTIONS_READ, COLLECTIONS_WRITE, Change, Collection, CollectionList, CollectionPatch, DryRun, Field, FieldType,
    NewCollection,
};
use super::plan::{self, Step};
use super::set_plan::COLLECTIONS_MAX;
use super::value::Judge;
use super::view::{self, VIEWS_MAX};
use super::{canonical, check, counts, grants_store, names, perform, store};
use crate::base::{Clock, Random, TenantId};
use crate::config::{SchemaConfig, View};
use crate::db::{self, Class, Db, Tx};
use crate::features::audit::Trail;
use crate::http::etag::{self, IfMatch};
use crate::http::openapi::Tag;
use crate::http::query::{NoQuery, must_be_among};
use crate::http::{Caller, Fault, Input, Problem};

/// The endpoints of collections, with what they need.
#[derive(Clone, Debug)]
pub struct CollectionsApi {
    pub db: Db,
    pub clock: Clock,
    pub random: Random,
    pub catalogues: Catalogues,
    pub config: View<SchemaConfig>,
}

#[derive(ApiResponse)]
#[expect(clippy::large_enum_variant, reason = "made once a request, and the framework takes no boxes here")]
enum Made {
    /// The collection was made.
    #[oai(status = 201)]
    Collection(Json<Collection>, #[oai(header = "ETag")] String, #[oai(header = "Location")] String),
    /// Nothing was done; this is what would be.
    #[oai(status = 200)]
    DryRun(Json<DryRun>),
}

#[derive(ApiResponse)]
enum Shown {
    /// The collection.
    #[oai(status = 200)]
    Collection(Json<Collection>, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
enum Changed {
    /// The collection as it is now.
    #[oai(status = 200)]
    Collection(Json<Collection>, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
enum Gone {
    /// It is gone, with all its records.
    #[oai(status = 204)]
    Gone,
    /// What would be done.
    #[oai(status = 200)]
    DryRun(Json<DryRun>),
}

/// A change as it is sent. What is null is refused: it would do nothing, and looks as if it emptied something.
fn patch_of(body: Input<CollectionPatch>) -> Result<CollectionPatch, Problem> {
    let bytes = body.bytes()?;
    let patch = crate::http::input::parse(&bytes)?;
    let sent: serde_json::Map<_, _> = serde_json::from_slice(&bytes).unwrap_or_default();
    let null = sent.iter().filter(|(_, it)| it.is_null());
    let faults: Vec<_> = null
        .map(|(name, _)| Fault::new(format!("/{name}"), "type", "must not be null; what is left out stays"))
        .collect();
    if faults.is_empty() { Ok(patch) } else { Err(Problem::invalid(faults)) }
}

#[OpenApi(prefix_path = "/api/v1")]
impl CollectionsApi {
    /// Make a collection
    ///
    /// Its paths are there at once, and in this document. With `dryRun=true` nothing is done, and the answer (200)
    /// says what would be.
    #[oai(path = "/collections", method = "post", operation_id = "create_collection", tag = "Tag::Collections")]
    async fn create(
        &self,
        caller: Caller,
        trail: Trail,
        /// Only says what would be done.
        #[oai(name = "dryRun")]
        dry_run: Query<Option<bool>>,
        request: &Request,
        body: Input<NewCollection>,
    ) -> Result<Made, Problem> {
        caller.must(COLLECTIONS_WRITE)?;

        must_be_among(request, &["dryRun"])?;
        let asked: NewCollection = body.read()?;
        if asked.renamed_from.is_some() {
            let detail = "is for an import; a collection that is new had no other name";
            return Err(Problem::invalid(vec![Fault::new("/renamedFrom", "conflict", detail)]));
        }
        let renamed = |(at, it): (usize, &Field)| {
            let detail = "is for a change; a field of a new collection had no other name";
            it.renamed_from.is_some().then(|| Fault::new(format!("/fields/{at}/renamedFrom"), "conflict", detail))
        };
        let renamed: Vec<_> = asked.fields.iter().flatten().enumerate().filter_map(renamed).collect();
        if !renamed.is_empty() {
            return Err(Problem::invalid(renamed));
        }
        if asked.fields.is_none() && asked.view.is_none() {
            return Err(Problem::invalid(vec![Fault::new("/fields", "required", "must be there")]));
        }
        let now = self.clock.now();
        let new = asked.into_collection(self.random.id(&self.clock), 1, now, now);
        let (tenant, author) = (caller.tenant().clone(), Author::of(&caller, &trail, SchemaSource::Api));
        let done = self
            .catalogues
            .with(&tenant, |known| self.make(&tenant, known, new.clone(), dry_run.0, author.clone()))
            .await?;

        Ok(match done {
            Done::Would(changes) => Made::DryRun(Json(DryRun { changes })),
            Done::Is(collection) => {
                let location = format!("/api/v1/collections/{}", collection.name);
                let tag = etag::of_version(collection.version);
                Made::Collection(Json(*collection), tag, location)
            }
        })
    }

    /// List collections
    ///
    /// All of them, by name.
    #[oai(path = "/collections", method = "get", operation_id = "list_collections", tag = "Tag::Collections")]
    async fn list(&self, caller: Caller, _query: NoQuery) -> Result<Json<CollectionList>, Problem> {
        caller.must(COLLECTIONS_READ)?;

        let known = self.catalogues.current(caller.tenant()).await?;

        Ok(Json(CollectionList { data: known.collections() }))
    }

    /// Read a collection
    ///
    /// Its fields, indexes and rules.
    #[oai(path = "/collections/:name", method = "get", operation_id = "show_collection", tag = "Tag::Collections")]
    async fn show(&self, caller: Caller, _query: NoQuery, name: Path<String>) -> Result<Shown, Problem> {
        caller.must(COLLECTIONS_READ)?;

        let known = self.catalogues.current(caller.tenant()).await?;
        let entry = known.find(&name.0).ok_or(Error::NotFound)?;

        Ok(Shown::Collection(Json(entry.collection.clone()), etag::of_version(entry.collection.version)))
    }

    /// Change a collection
    ///
    /// What is absent stays. `fields` and `indexes` are sent whole; a field with `renamedFrom` keeps the values of
    /// the one that it names. Records are kept, and a change that they do not fit is refused.
    #[oai(path = "/collections/:name", method = "patch", operation_id = "update_collection", tag = "Tag::Collections")]
    async fn update(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        name: Path<String>,
        /// The `ETag` of the collection that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<CollectionPatch>,
    ) -> Result<Changed, Problem> {
        caller.must(COLLECTIONS_WRITE)?;

        let (patch, expected) = (patch_of(body)?, IfMatch::parse(if_match.0.as_deref())?);
        let (tenant, author) = (caller.tenant().clone(), Author::of(&caller, &trail, SchemaSource::Api));
        let work = |known| self.change(&tenant, known, &name.0, patch.clone(), expected.clone(), author.clone());
        let collection = self.catalogues.with(&tenant, work).await?;

        let tag = etag::of_version(collection.version);
        Ok(Changed::Collection(Json(collection), tag))
    }

    /// See what a change would do
    ///
    /// Each step in words, whether values are lost by it, in how many records it touches something, and how many are in
    /// the way of it, with the ids of the first. Nothing is changed. There is a second and a half for counting: with
    /// `atLeast`, not all records were looked at.
    #[oai(
        path = "/collections/:name/preview",
        method = "post",
        operation_id = "preview_collection",
        tag = "Tag::Collections"
    )]
    async fn preview(
        &self,
        caller: Caller,
        _query: NoQuery,
        name: Path<String>,
        body: Input<CollectionPatch>,
    ) -> Result<Json<DryRun>, Problem> {
        caller.must(COLLECTIONS_WRITE)?;

        let (tenant, patch): (_, CollectionPatch) = (caller.tenant(), patch_of(body)?);
        let preview = async |known: Arc<Catalogue>| {
            let (before, named, patch) = (Arc::clone(&known), name.0.clone(), patch.clone());
            let considered = self.considered(tenant, move || {
                let old = before.find(&named).ok_or(Error::NotFound)?.collection.clone();
                let renames: Vec<_> = patch.fields.iter().flatten().map(|it| it.renamed_from.clone()).collect();
                let (mut new, others, steps) = planned(&before, &named, patch)?;
                let changed = |it: &Collection| others.iter().chain([&new]).find(|other| other.id == it.id).cloned();
                let all = before.collections().into_iter().map(|it| changed(&it).unwrap_or(it)).collect();
                // What was called how is said once, and forgotten in what is kept.
                new.fields.iter_mut().zip(renames).for_each(|(field, was)| field.renamed_from = was);
                Ok((old, new, all, steps))
            });
            let (old, new, collections, steps): (_, _, Vec<_>, Vec<_>) = considered.await?;
            self.must_be_sound(tenant, &known, &new, &[]).await?;
            let prospect = Prospect { collections, now: self.clock.now() };
            let steps = steps.iter().map(|it| (&old, &new, it)).collect();
            counts::tell(&self.db, tenant, steps, &prospect).await
        };
        let changes = self.catalogues.with(tenant, preview).await?;

        Ok(Json(DryRun { changes }))
    }

    /// Drop a collection
    ///
    /// With all its records. Refused as long as fields of other collections refer to it. With `dryRun=true` nothing
    /// is done, and the answer (200) says what would be.
    #[oai(path = "/collections/:name", method = "delete", operation_id = "delete_collection", tag = "Tag::Collections")]
    async fn delete(
        &self,
        caller: Caller,
        trail: Trail,
        name: Path<String>,
        /// Only says what would be done.
        #[oai(name = "dryRun")]
        dry_run: Query<Option<bool>>,
        /// The `ETag` of the collection that shall go.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        request: &Request,
    ) -> Result<Gone, Problem> {
        caller.must(COLLECTIONS_WRITE)?;

        must_be_among(request, &["dryRun"])?;
        let expected = IfMatch::parse(if_match.0.as_deref())?;
        let (tenant, dry_run) = (caller.tenant().clone(), dry_run.0 == Some(true));
        let author = Author::of(&caller, &trail, SchemaSource::Api);
        let drop = |known| self.drop(&tenant, known, &name.0, expected.clone(), dry_run, author.clone());
        let would = self.catalogues.with(&tenant, drop).await?;

        Ok(would.map_or(Gone::Gone, |changes| Gone::DryRun(Json(DryRun { changes }))))
    }
}

enum Done {
    Is(Box<Collection>),
    Would(Vec<Change>),
}

impl CollectionsApi {
    async fn make(
        &self,
        tenant: &TenantId,
        known: Arc<Catalogue>,
        new: Collection,
        dry_run: Option<bool>,
        author: Author,
    ) -> Result<Done, Error> {
        let (before, asked) = (Arc::clone(&known), new.clone());
        let (new, steps) = self.considered(tenant, move || planned_new(&before, asked)).await?;
        self.must_be_sound(tenant, &known, &new, &[]).await?;
        if dry_run == Some(true) {
            return Ok(Done::Would(changes(steps)));
        }

        let (made, before, keep) = (new.clone(), Arc::clone(&known), self.config.get().history_max);
        self.db
            .write_alone(tenant, move |tx| {
                known.must_be_current(tx)?;
                store::insert(tx, &catalogue::pack(&made))?;
                perform::run(tx, &steps, &made, &made.name)?;
                store::count_change(tx)?;
                let happened = [Happened { before: None, after: Some(&made) }];
                Ok::<_, Error>(history::remember(tx, &happened, &author, made.created_at, keep)?)
            })
            .await?;
        self.catalogues.newer_than(tenant, &before).await?;
        Ok(Done::Is(Box::new(new)))
    }

    async fn change(
        &self,
        tenant: &TenantId,
        known: Arc<Catalogue>,
        name: &str,
        patch: CollectionPatch,
        expected: IfMatch,
        author: Author,
    ) -> Result<Collection, Error> {
        let old = known.find(name).ok_or(Error::NotFound)?.collection.clone();
        if !expected.allows(old.version) {
            return Err(Error::Stale);
        }
        let (before, named) = (Arc::clone(&known), name.to_owned());
        let (mut new, others, steps) = self.considered(tenant, move || planned(&before, &named, patch)).await?;
        if steps.is_empty() {
            return Ok(old);
        }
        self.must_be_sound(tenant, &known, &new, &[]).await?;
        new.version += 1;
        let now = self.clock.now();
        new.updated_at = now;

        let (changed, old_name, before) = (new.clone(), old.name.clone(), Arc::clone(&known));
        let (needs_room, keep) = (plan::needs_room(&steps), self.config.get().history_max);
        let change = move |tx: &mut Tx<'_>| {
            known.must_be_current(tx)?;
            perform::run(tx, &steps, &changed, &old_name)?;
            store::update(tx, &catalogue::pack(&changed))?;
            store::announce_change(tx, changed.id, now)?;
            for other in &others {
                store::update(tx, &catalogue::pack(other))?;
                store::announce_change(tx, other.id, now)?;
            }
            store::count_change(tx)?;
            let after = std::iter::once(&changed).chain(&others);
            let was = |of: &Collection| known.entries().iter().find(|it| it.collection.id == of.id);
            let happened: Vec<_> =
                after.map(|it| Happened { before: was(it).map(|it| &it.collection), after: Some(it) }).collect();
            grants_store::follow(tx, &happened, now)?;
            Ok::<_, Error>(history::remember(tx, &happened, &author, now, keep)?)
        };
        // A rule must be closed however full the disk is.
        let class = if needs_room { Class::ALONE } else { Class::ALONE.freeing() };
        self.db.write_as(class, tenant, change).await?;
        self.catalogues.newer_than(tenant, &before).await?;
        Ok(new)
    }

    /// Refuses a query by which two records have one id, or that fails, as far as that can be found out in the time of
    /// a read; `unsettled` are collections that change with it.
    pub(super) async fn must_be_sound(
        &self,
        tenant: &TenantId,
        known: &Arc<Catalogue>,
        new: &Collection,
        unsettled: &[String],
    ) -> Result<(), Error> {
        let old = known.entries().iter().find(|it| it.collection.id == new.id);
        if new.view.is_none() || old.is_some_and(|it| it.collection.view == new.view) {
            return Ok(());
        }
        let (known, new, unsettled) = (Arc::clone(known), new.clone(), unsettled.to_vec());
        let looked = self.db.read(tenant, move |tx| {
            known.must_be_current(tx)?;
            view::must_be_sound(tx, &known.collections(), &new, &unsettled)
        });
        match looked.await {
            Err(Error::Db(db::Error::BudgetSpent)) => Ok(()),
            outcome => outcome,
        }
    }

    /// Thinks about all collections, which takes a while if there are hundreds, where no other request waits for it.
    pub(super) async fn considered<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        // No statement is run, so none is stopped, and it is not begun again.
        let mut work = Some(work);
        self.db.read(tenant, move |_| work.take().map_or(Err(Error::Outdated), |it| it())).await
    }

    /// Drops a collection, or says what would be done.
    async fn drop(
        &self,
        tenant: &TenantId,
        known: Arc<Catalogue>,
        name: &str,
        expected: IfMatch,
        dry_run: bool,
        author: Author,
    ) -> Result<Option<Vec<Change>>, Error> {
        let old = known.find(name).ok_or(Error::NotFound)?.collection.clone();
        if !expected.allows(old.version) {
            return Err(Error::Stale);
        }
        let mut all = known.collections();
        all.retain(|it| it.name != name);
        if let Some((other, field)) = referring(&all, name).next() {
            return Err(Error::InUse { collection: other.name.clone(), by: format!("the field `{field}`") });
        }
        let (named, before) = (name.to_owned(), Arc::clone(&known));
        self.considered(tenant, move || whole(&before, all, &named)).await?;
        let (steps, before) = (plan::drop(&old), Arc::clone(&known));
        if dry_run {
            let steps = steps.iter().map(|it| (&old, &old, it)).collect();
            let prospect = Prospect { collections: Vec::new(), now: self.clock.now() };
            return Ok(Some(counts::tell(&self.db, tenant, steps, &prospect).await?));
        }

        let (now, keep) = (self.clock.now(), self.config.get().history_max);
        self.db
            .write_as(Class::ALONE.freeing(), tenant, move |tx| {
                known.must_be_current(tx)?;
                perform::run(tx, &steps, &old, &old.name)?;
                store::delete(tx, old.id)?;
                store::announce_change(tx, old.id, now)?;
                store::count_change(tx)?;
                let happened = [Happened { before: Some(&old), after: None }];
                Ok::<_, Error>(history::remember(tx, &happened, &author, now, keep)?)
            })
            .await?;
        self.catalogues.newer_than(tenant, &before).await?;
        Ok(None)
    }
}

/// The steps that make a collection.
fn planned_new(known: &Catalogue, mut new: Collection) -> Result<(Collection, Vec<Step>), Error> {
    if COLLECTIONS_MAX <= known.entries().len() {
        return Err(Error::TooMany { max: COLLECTIONS_MAX });
    }
    let mut all = known.collections();
    if new.view.is_some() && VIEWS_MAX <= all.iter().filter(|it| it.view.is_some()).count() {
        return Err(Error::TooManyViews { max: VIEWS_MAX });
    }
    let mut faults: Vec<Fault> = name_fault(&new.name).into_iter().collect();
    if let Err(wrong) = view::infer(&mut new, &all) {
        faults.extend(wrong);
        return Err(Error::Invalid(faults));
    }
    let is_taken = all.iter().any(|it| it.name.eq_ignore_ascii_case(&new.name));
    all.push(new.clone());
    let judges = judged(known, all, &new, faults)?;
    if is_taken {
        return Err(Error::NameTaken { name: new.name.clone() });
    }
    let steps = plan::create(&new, &judges);
    Ok((new, steps))
}

/// The collection as it would be, the others that change with it, and the steps that lead there.
fn planned(
    known: &Catalogue,
    name: &str,
    patch: CollectionPatch,
) -> Result<(Collection, Vec<Collection>, Vec<Step>), Error> {
    let old = &known.find(name).ok_or(Error::NotFound)?.collection;
    let mut new = old.clone();
    let CollectionPatch { name: new_name, view, fields, indexes, search, rules, options } = patch;
    new.name = new_name.unwrap_or(new.name);
    let others = || known.collections().into_iter().filter(|it| it.id != old.id);
    match (view.is_some() || fields.is_some(), &old.view) {
        (true, Some(_)) => {
            view::change(&mut new, view, fields, &others().collect::<Vec<_>>()).map_err(Error::Invalid)?;
        }
        _ if view.is_some() => {
            let detail = "is for views: a collection with records does not become one";
            return Err(Error::Invalid(vec![Fault::new("/view", "conflict", detail)]));
        }
        _ => new.fields = fields.unwrap_or(new.fields),
    }
    let renamed = |was: &String| new.fields.iter().find(|it| it.renamed_from.as_ref() == Some(was));
    let follow = |(name, weight)| (renamed(&name).map_or(name, |it| it.name.clone()), weight);
    new.search = search.unwrap_or_else(|| new.search.into_iter().map(follow).collect());
    match indexes {
        Some(indexes) => new.indexes = indexes,
        // Indexes go with the fields that they are over, and so does search.
        None => {
            for name in new.indexes.iter_mut().flat_map(|it| &mut it.fields) {
                if let Some(field) = renamed(name) {
                    name.clone_from(&field.name);
                }
            }
        }
    }
    if let Some(rules) = rules {
        rules.apply(&mut new.rules);
    }
    if let Some(options) = options {
        options.apply(&mut new.options);
    }
    if new.name != old.name {
        if let Some(fault) = name_fault(&new.name) {
            return Err(Error::Invalid(vec![fault]));
        }
        let is_taken = |it: &Collection| it.id != old.id && it.name.eq_ignore_ascii_case(&new.name);
        if known.collections().iter().any(is_taken) {
            return Err(Error::NameTaken { name: new.name });
        }
    }

    // Whoever refers to it by its old name shall do so by its new one.
    let refer = |collection: &mut Collection| {
        let relations = collection.fields.iter_mut().filter(|it| it.collection.as_deref() == Some(name));
        relations.for_each(|it| it.collection = Some(new.name.clone()));
    };
    let mut others: Vec<Collection> = others().collect();
    let mut renamed = Vec::new();
    for other in &mut others {
        let before = other.clone();
        refer(other);
        if *other != before {
            renamed.push(other.clone());
        }
    }
    let mut itself = new.clone();
    refer(&mut itself);
    let mut before = old.clone();
    refer(&mut before);

    let mut all = others;
    all.push(Collection { fields: without_old_names(&itself), ..itself.clone() });
    let judges = judged(known, all, &itself, Vec::new())?;
    let mut steps = plan::change(&before, &itself, &judges).map_err(Error::Invalid)?;
    if steps.is_empty() && canonical::of(&before) != canonical::of(&itself) {
        steps.push(plan::note(plan::OTHER_ORDER.to_owned()));
    }
    Ok((Collection { fields: without_old_names(&itself), ..itself }, renamed, steps))
}

fn without_old_names(collection: &Collection) -> Vec<Field> {
    collection.fields.iter().map(|it| Field { renamed_from: None, ..it.clone() }).collect()
}

/// The judges of a collection's fields, or all that is wrong with it, among `all` collections as they would be, itself
/// too; `faults` are those that were found before.
fn judged(
    known: &Catalogue,
    all: Vec<Collection>,
    itself: &Collection,
    mut faults: Vec<Fault>,
) -> Result<Vec<Judge>, Error> {
    // Nothing refers to what is only computed.
    let names: Vec<String> = all.iter().filter(|it| it.view.is_none()).map(|it| it.name.clone()).collect();
    if itself.view.is_some() {
        faults.extend(view::faults(itself));
    }
    let judges = check::fields(&itself.fields, &names);
    let may_be_compiled = faults.is_empty() && judges.is_ok();
    let judges = judges.unwrap_or_else(|wrong| {
        faults.extend(wrong);
        Vec::new()
    });
    faults.extend(check::indexes(&itself.indexes, &itself.fields));
    faults.extend(itself.options.faults());
    faults.extend(check::search(&itself.search, &itself.fields));
    if may_be_compiled {
        match whole(known, all, &itself.name) {
            Err(Error::Invalid(wrong)) => faults.extend(wrong),
            outcome if faults.is_empty() => outcome?,
            _ => {}
        }
    }
    if faults.is_empty() { Ok(judges) } else { Err(Error::Invalid(faults)) }
}

/// Refuses a set of collections that does not hold together; faults of `name` are the caller's own.
fn whole(known: &Catalogue, all: Vec<Collection>, name: &str) -> Result<(), Error> {
    match Catalogue::build(0, all, &known.of_callers) {
        Ok(would_be) => would_be.must_keep_views(known, &|it| it == name),
        Err((of, faults)) if of == name => Err(Error::Invalid(faults)),
        Err((of, faults)) => Err(Error::in_use_by_rule(of, &faults)),
    }
}

/// The fields of other collections that refer to one.
fn referring<'a>(all: &'a [Collection], name: &'a str) -> impl Iterator<Item = (&'a Collection, &'a str)> {
    all.iter().flat_map(move |collection| {
        let fields = collection.fields.iter().filter(|it| it.field_type == FieldType::Relation);
        fields.filter(move |it| it.collection.as_deref() == Some(name)).map(move |it| (collection, it.name.as_str()))
    })
}

fn name_fault(name: &str) -> Option<Fault> {
    names::refuse_collection(name).map(|reason| Fault::new("/name", "name", reason))
}

fn changes(steps: Vec<Step>) -> Vec<Change> {
    steps.into_iter().map(|it| it.change).collect()
}
