//! From a set of collections as they shall be to what has to be done, all of it thought of together.
//!
//! A set says how collections shall be, not how they become so: a name that is there is that collection, whatever the
//! set was written for. `renamedFrom` counts as long as only the old name is there; once the new one is, it says
//! nothing any more, so that a file can be applied again and again.
use std::collections::{BTreeSet, HashMap, HashSet};

use super::catalogue::Catalogue;
use super::error::Error;
use super::model::{Collection, CollectionId, Field, NewCollection};
use super::plan::{self, Step};
use super::value::Judge;
use super::view::{self, VIEWS_MAX};
use super::{canonical, check, names};
use crate::base::Timestamp;
use crate::http::Fault;

/// Most collections of a tenant: each costs memory, and a table that every backup and check goes through.
pub(super) const COLLECTIONS_MAX: usize = 500;

/// What has to be done to one collection.
#[derive(Debug)]
pub(super) struct Move {
    /// As it is.
    pub before: Option<Collection>,
    /// As it shall be, under the name that it has then; its fields still say what they were called.
    pub after: Option<Collection>,
    /// What gives its table the new name, before anything else is done to any.
    pub rename: Vec<Step>,
    pub steps: Vec<Step>,
}

/// What has to be done so that all collections are as a set says.
#[derive(Debug, Default)]
pub(super) struct SetPlan {
    /// By the names of the collections.
    pub moves: Vec<Move>,
    /// Collections that the set does not name and that stay.
    pub others: Vec<String>,
}

/// Where the new collections of a set come from: their ids and their time.
pub(super) struct Birth<'a> {
    pub id: &'a mut dyn FnMut() -> CollectionId,
    pub now: Timestamp,
}

impl Move {
    pub fn name(&self) -> &str {
        self.after.as_ref().or(self.before.as_ref()).map_or("", |it| &it.name)
    }

    pub fn all_steps(&self) -> impl Iterator<Item = &Step> {
        self.rename.iter().chain(&self.steps)
    }
}

/// Finds out what has to be done, or everything that is wrong with the set.
pub(super) fn plan(
    known: &Catalogue,
    set: &[NewCollection],
    drop_others: bool,
    birth: &mut Birth<'_>,
) -> Result<SetPlan, Error> {
    let (mut faults, origins) = origins(known, set);
    let renames: HashMap<&str, &str> = (origins.iter().zip(set))
        .filter_map(|(old, new)| old.filter(|old| old.name != new.name).map(|old| (&*old.name, &*new.name)))
        .collect();
    let taken: HashSet<CollectionId> = origins.iter().flatten().map(|it| it.id).collect();
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for entry in known.entries().iter().filter(|it| !taken.contains(&it.collection.id)) {
        let own = &entry.collection;
        if drop_others { dropped.push(own.clone()) } else { kept.push((own, following(own, &renames))) }
    }

    let mut wanted: Vec<Collection> = Vec::new();
    for (index, (mut new, old)) in set.iter().cloned().zip(&origins).enumerate() {
        let (is_view, was_view) = (new.view.is_some(), old.map(|it| it.view.is_some()));
        if was_view.is_some_and(|it| it != is_view) {
            let detail = "is for views: a collection with records does not become one, nor the other way round";
            faults.extend(pointed(index, vec![Fault::new("/view", "conflict", detail)]));
        } else if !is_view && new.fields.is_none() {
            faults.extend(pointed(index, vec![Fault::new("/fields", "required", "must be there")]));
        }
        if let Some(fields) = new.fields.as_mut().filter(|_| !is_view) {
            faults.extend(pointed(index, settle_renames(fields, *old)));
        }
        let (id, version, created_at) =
            old.map_or_else(|| ((birth.id)(), 1, birth.now), |it| (it.id, it.version + 1, it.created_at));
        wanted.push(new.into_collection(id, version, created_at, birth.now));
    }
    let all_count = wanted.len() + kept.len();
    if COLLECTIONS_MAX < all_count {
        return Err(Error::TooMany { max: COLLECTIONS_MAX });
    }
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }

    let with_records: Vec<Collection> =
        wanted.iter().chain(kept.iter().map(|(_, it)| it)).filter(|it| it.view.is_none()).cloned().collect();
    if VIEWS_MAX < all_count - with_records.len() {
        return Err(Error::TooManyViews { max: VIEWS_MAX });
    }
    for (index, new) in wanted.iter_mut().enumerate().filter(|(_, it)| it.view.is_some()) {
        faults.extend(pointed(index, view::infer(new, &with_records).err().unwrap_or_default()));
    }
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    // Nothing refers to what is only computed.
    let names: Vec<String> = with_records.into_iter().map(|it| it.name).collect();
    let mut moves = Vec::new();
    for (index, (new, old)) in wanted.iter().zip(&origins).enumerate() {
        if old.is_some_and(|old| *old == in_place_of(old, new)) {
            continue; // as it is already
        }
        match planned(*old, new, &names, &renames) {
            Ok(found) => moves.push(found),
            Err(wrong) => faults.extend(pointed(index, wrong)),
        }
    }
    if !faults.is_empty() {
        // Whoever mends the one shall not meet the other only then.
        let mut of_rules = Catalogue::faults_of_rules(&all_of(&wanted, &kept), &known.of_callers);
        for (index, it) in wanted.iter().enumerate().filter(|(_, it)| check::fields(&it.fields, &names).is_ok()) {
            faults.extend(pointed(index, of_rules.remove(&it.name).unwrap_or_default()));
        }
        return Err(Error::Invalid(faults));
    }
    for (own, follows) in &kept {
        if *own != follows {
            let after = Collection { version: own.version + 1, updated_at: birth.now, ..follows.clone() };
            moves.push(Move {
                before: Some((*own).clone()),
                after: Some(after),
                rename: Vec::new(),
                steps: Vec::new(),
            });
        }
    }
    moves.extend(dropped.into_iter().map(|old| {
        let steps = plan::drop(&old);
        Move { before: Some(old), after: None, rename: Vec::new(), steps }
    }));
    let others: Vec<String> = kept.iter().map(|(_, it)| it.name.clone()).collect();
    if !moves.is_empty() {
        let is_new: Vec<String> = wanted.iter().map(|it| it.name.clone()).collect();
        whole(known, &all_of(&wanted, &kept), &is_new)?;
    }
    moves.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(SetPlan { moves, others })
}

/// All collections as they would be.
fn all_of(wanted: &[Collection], kept: &[(&Collection, Collection)]) -> Vec<Collection> {
    let wanted = wanted.iter().map(|it| Collection { fields: settled(&it.fields), ..it.clone() });
    wanted.chain(kept.iter().map(|(_, it)| it.clone())).collect()
}

/// The collection that each of a set is already, under its name or under the one that it had, and what is wrong with
/// the names.
fn origins<'k>(known: &'k Catalogue, set: &[NewCollection]) -> (Vec<Fault>, Vec<Option<&'k Collection>>) {
    let mut faults = Vec::new();
    let find = |name: &str| known.find(name).map(|it| &it.collection);
    let wanted: HashSet<&str> = set.iter().map(|it| it.name.as_str()).collect();
    let by_key: HashMap<String, &str> =
        known.entries().iter().map(|it| (it.name().to_ascii_lowercase(), it.name())).collect();
    let (mut keys, mut claimed) = (HashSet::new(), HashSet::new());
    let renames: HashMap<&str, &str> =
        set.iter().filter_map(|it| Some((it.name.as_str(), it.renamed_from.as_deref()?))).collect();
    let mut found = Vec::new();
    for (index, new) in set.iter().enumerate() {
        let mut fault = |member: &str, code, detail: String| {
            faults.push(Fault::new(format!("/collections/{index}/{member}"), code, detail));
        };
        if let Some(reason) = names::refuse_collection(&new.name) {
            fault("name", "name", reason);
        }
        if !keys.insert(new.name.to_ascii_lowercase()) {
            fault("name", "duplicate", "is the name of another collection of the set".to_owned());
        }
        let from = new.renamed_from.as_deref().filter(|it| *it != new.name);
        let (there, before) = (find(&new.name), from.and_then(find));
        let was = from.unwrap_or_default();
        if before.is_some() && exchanges(&new.name, &renames) {
            fault("renamedFrom", "conflict", EXCHANGE.to_owned());
        }
        let old = match (there, before) {
            (Some(there), Some(_)) => {
                if !wanted.contains(was) {
                    let detail = format!("names `{was}`, which is there beside `{}`; drop one of them first", new.name);
                    fault("renamedFrom", "conflict", detail);
                }
                Some(there)
            }
            (None, Some(before)) => {
                if wanted.contains(was) || !claimed.insert(was) {
                    let detail = format!("names `{was}`, which another collection of the set is already");
                    fault("renamedFrom", "conflict", detail);
                }
                Some(before)
            }
            (there, None) => there,
        };
        if let (None, Some(other)) = (there, by_key.get(&new.name.to_ascii_lowercase()))
            && old.is_none_or(|it| it.name != **other)
        {
            let detail = format!("differs from `{other}`, which is there, by its case alone");
            fault("name", "duplicate", detail);
        }
        found.push(old);
    }
    (faults, found)
}

/// What is said of names that are exchanged.
const EXCHANGE: &str =
    "exchanges names, and done once or twice it would look the same; go by a third name, in two steps";

/// Whether a name leads back to itself by what others were called before.
fn exchanges(name: &str, renames: &HashMap<&str, &str>) -> bool {
    let mut at = name;
    for _ in 0..renames.len() {
        match renames.get(at) {
            Some(from) if *from == at => return false,
            Some(from) if *from == name => return true,
            Some(from) => at = from,
            None => return false,
        }
    }
    false
}

/// Takes out `renamedFrom` where it was done already, or where there is nothing to rename.
fn settle_renames(fields: &mut [Field], old: Option<&Collection>) -> Vec<Fault> {
    let had: BTreeSet<&str> = old.iter().flat_map(|it| &it.fields).map(|it| it.name.as_str()).collect();
    let names: BTreeSet<String> = fields.iter().map(|it| it.name.clone()).collect();
    let renames: HashMap<String, String> =
        fields.iter().filter_map(|it| Some((it.name.clone(), it.renamed_from.clone()?))).collect();
    let renames: HashMap<&str, &str> = renames.iter().map(|(name, from)| (name.as_str(), from.as_str())).collect();
    let mut faults = Vec::new();
    for (index, field) in fields.iter_mut().enumerate() {
        let Some(from) = field.renamed_from.take() else { continue };
        if from != field.name && had.contains(from.as_str()) && exchanges(&field.name, &renames) {
            faults.push(Fault::new(format!("/fields/{index}/renamedFrom"), "conflict", EXCHANGE));
            continue;
        }
        match (had.contains(field.name.as_str()), had.contains(from.as_str())) {
            (true, true) if from != field.name && !names.contains(&from) => {
                let detail = format!("names `{from}`, which is there beside `{}`; drop one of them first", field.name);
                faults.push(Fault::new(format!("/fields/{index}/renamedFrom"), "conflict", detail));
            }
            (false, true) => field.renamed_from = Some(from),
            _ => {}
        }
    }
    faults
}

/// A collection with its relations to those that get another name.
fn following(collection: &Collection, renames: &HashMap<&str, &str>) -> Collection {
    let mut collection = collection.clone();
    for field in &mut collection.fields {
        if let Some(to) = field.collection.as_deref().and_then(|it| renames.get(it)) {
            field.collection = Some((*to).to_owned());
        }
    }
    collection
}

/// What a set says of a collection, in the place of the one that is there: the same in everything else.
fn in_place_of(old: &Collection, new: &Collection) -> Collection {
    Collection { version: old.version, updated_at: old.updated_at, fields: new.fields.clone(), ..new.clone() }
}

/// What has to be done so that one collection is as the set says.
fn planned(
    old: Option<&Collection>,
    new: &Collection,
    names: &[String],
    renames: &HashMap<&str, &str>,
) -> Result<Move, Vec<Fault>> {
    let judges = judged(new, names)?;
    let Some(old) = old else {
        let steps = plan::create(new, &judges);
        return Ok(Move { before: None, after: Some(new.clone()), rename: Vec::new(), steps });
    };
    let there = following(old, renames);
    let renamed = Collection { name: new.name.clone(), ..there.clone() };
    let mut rename = Vec::new();
    if old.name != new.name {
        let judges = judges_of(&there).map_err(|it| vec![it])?;
        rename = plan::change(&there, &renamed, &judges)?;
    }
    let mut steps = plan::change(&renamed, new, &judges)?;
    if steps.is_empty() && canonical::of(&renamed) != canonical::of(new) {
        steps.push(plan::note(plan::OTHER_ORDER.to_owned()));
    }
    Ok(Move { before: Some(old.clone()), after: Some(new.clone()), rename, steps })
}

fn judges_of(collection: &Collection) -> Result<Vec<Judge>, Fault> {
    let judge = |it: &Field| Judge::new(it.clone()).map_err(|unfit| Fault::new("/fields", unfit.code, unfit.detail));
    collection.fields.iter().map(judge).collect()
}

/// The judges of a collection's fields, or all that can be seen to be wrong with it alone.
fn judged(new: &Collection, names: &[String]) -> Result<Vec<Judge>, Vec<Fault>> {
    let judges = check::fields(&new.fields, names);
    let mut faults = check::indexes(&new.indexes, &new.fields);
    if new.view.is_some() {
        faults.extend(view::faults(new));
    }
    faults.extend(new.options.faults());
    faults.extend(check::search(&new.search, &new.fields));
    match judges {
        Ok(judges) if faults.is_empty() => Ok(judges),
        Ok(_) => Err(faults),
        Err(mut wrong) => {
            wrong.extend(faults);
            Err(wrong)
        }
    }
}

/// Refuses a set that does not hold together, with the collections that it does not name.
fn whole(known: &Catalogue, all: &[Collection], named: &[String]) -> Result<(), Error> {
    match Catalogue::build(0, all.to_vec(), &known.of_callers) {
        Ok(would_be) => {
            for (index, name) in named.iter().enumerate() {
                let viewed = would_be.find(name).and_then(|it| it.view.as_ref());
                if let Some(reason) = viewed.and_then(|it| it.fault.as_ref()) {
                    let fault = Fault::new("/view/query", "query", reason.as_str());
                    return Err(Error::Invalid(pointed(index, vec![fault])));
                }
            }
            would_be.must_keep_views(known, &|it| named.iter().any(|name| name == it))
        }
        Err((of, faults)) => Err(match named.iter().position(|it| *it == of) {
            Some(first) => {
                let mut of_rules = Catalogue::faults_of_rules(all, &known.of_callers);
                let all = named.iter().enumerate().filter_map(|(index, it)| Some((index, of_rules.remove(it)?)));
                let told: Vec<Fault> = all.flat_map(|(index, it)| pointed(index, it)).collect();
                Error::Invalid(if told.is_empty() { pointed(first, faults) } else { told })
            }
            None => Error::in_use_by_rule(of, &faults),
        }),
    }
}

fn pointed(index: usize, faults: Vec<Fault>) -> Vec<Fault> {
    let at = |it: Fault| Fault { pointer: format!("/collections/{index}{}", it.pointer), ..it };
    faults.into_iter().map(at).collect()
}

fn settled(fields: &[Field]) -> Vec<Field> {
    fields.iter().map(|it| Field { renamed_from: None, ..it.clone() }).collect()
}
