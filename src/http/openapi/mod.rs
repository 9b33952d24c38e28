//! The OpenAPI document, as 3.0 and as 3.1.
//!
//! poem-openapi describes the endpoints as 3.0.0. Added here: the second names of paths,
//! that bodies take no unknown members, that what may be left out may be null, and who may
//! and what can go wrong ([`Terms`]). The 3.1 document is a conversion of ours.
mod schemas;
mod terms;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use arc_swap::ArcSwapOption;
use poem::endpoint::make;
use poem::http::{HeaderValue, Method};
use poem::{Endpoint, Request, Route};
use poem_openapi::Tags;
use serde_json::{Map, Value, json};

use super::alias;
use super::allow::{self, Allow};
use super::asset::{Asset, Caching};
use super::caller::{caller_of, shows_something};
use super::health;
use super::paging;
use super::problem::Problem;

pub use self::schemas::as_json_schema;
pub use self::terms::{Terms, Told, Who};

/// The chapters of the document.
#[derive(Clone, Copy, Debug, Tags)]
pub enum Tag {
    /// Registering, signing in and out, one's own profile.
    Accounts,
    /// Everyone's accounts, for admins.
    Users,
    /// How programs, as opposed to people, are let in.
    Keys,
    /// The keys of other services that people give to this one.
    Secrets,
    /// Who did what, for admins.
    Audit,
    /// The kinds of records, for admins.
    Collections,
    /// What is in the collections.
    Records,
    /// Changes while they happen.
    Realtime,
    /// Mails: their words and looks, and where they land without a mail server.
    Mail,
    /// Work that is done after the request that asked for it.
    Jobs,
}

/// The second names that are part of the product's promise. Others work, but are not in the document.
const PROMISED_ALIASES: &[(&str, &str)] = &[
    ("post", "/api/auth/register"),
    ("post", "/api/auth/login"),
    ("post", "/api/auth/logout"),
    ("post", "/api/auth/logout-all"),
    ("post", "/api/auth/refresh"),
    ("post", "/api/auth/refresh-token"),
    ("get", "/api/auth/profile"),
    ("get", "/api/v1/admin/users"),
    ("get", "/api/admin/users"),
    ("get", "/api/users/search"),
    ("post", "/api/v1/admin/keys/create"),
];

/// An operation, as a request would reach it.
#[derive(Clone, Debug)]
pub struct Operation {
    parts: Vec<(String, String)>,
    /// Who may; absent where nothing is said of it.
    pub who: Option<Who>,
}

impl Operation {
    /// What stands in the path at a place that has a name.
    pub fn part(&self, name: &str) -> Option<&str> {
        self.parts.iter().find(|(it, _)| it == name).map(|(_, given)| given.as_str())
    }
}

/// Both documents. Cheap to clone; all clones serve the same.
#[derive(Clone, Debug)]
pub struct Documents(Arc<Held>);

/// The same for whoever is part of what the documents hold until they are made: they would keep each other for ever.
#[derive(Clone, Debug)]
pub struct WeakDocuments(Weak<Held>);

impl WeakDocuments {
    pub fn upgrade(&self) -> Option<Documents> {
        self.0.upgrade().map(Documents)
    }
}

#[derive(Debug)]
struct Held {
    fixed: LazyLock<serde_json::Result<Fixed>, Box<dyn FnOnce() -> serde_json::Result<Fixed> + Send>>,
    told: Told,
    /// What each audience is served. Absent until one of it asks: for hundreds of collections it takes a good part of a
    /// second to write.
    served: [ArcSwapOption<Served>; 2],
    /// Held while the documents are written, so that it is done once.
    added: Mutex<Added>,
    /// Held by whoever has them written.
    writing: tokio::sync::Mutex<()>,
}

/// What the program itself offers; it does not change while it runs.
#[derive(Debug)]
struct Fixed {
    document: Value,
    /// The paths of collections are among those of any collection.
    allow: Allow,
}

/// For whom a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Strangers too: what is for admins alone is not in it.
    Anyone,
    /// Those who know of everything that there is.
    Insiders,
}

/// Parts of a document in the words of 3.0.
#[derive(Clone, Debug, Default)]
pub struct Described {
    pub paths: Map<String, Value>,
    pub schemas: Map<String, Value>,
    /// What several operations take, to be referred to.
    pub parameters: Map<String, Value>,
}

/// Says what came with the data.
pub type Describe = dyn Fn(Audience) -> Described + Send + Sync;

/// What came with the data.
struct Added {
    generation: i64,
    describe: Box<Describe>,
}

impl fmt::Debug for Added {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Added").field("generation", &self.generation).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Served {
    v3_0: Asset,
    v3_1: Asset,
}

#[derive(Clone, Copy)]
enum Version {
    V3_0,
    V3_1,
}

impl Documents {
    /// Completes what poem-openapi says of a service (`OpenApiService::spec`), when it is first needed: that takes as
    /// long as the rest of a start.
    pub fn new(spec: impl FnOnce() -> String + Send + 'static, told: Told) -> Self {
        let terms = told.clone();
        let added = Mutex::new(Added { generation: i64::MIN, describe: Box::new(|_| Described::default()) });
        Self(Arc::new(Held {
            fixed: LazyLock::new(Box::new(move || Fixed::new(&spec(), &terms))),
            told,
            served: Default::default(),
            added,
            writing: tokio::sync::Mutex::default(),
        }))
    }

    pub fn downgrade(&self) -> WeakDocuments {
        WeakDocuments(Arc::downgrade(&self.0))
    }

    /// Adds paths and schemas that came with the data: those of collections. They are asked for when the next client
    /// asks for a document.
    ///
    /// They take the place of all that were added before, unless these are of a later `generation`: two changes may
    /// be told at the same time. What the program itself offers always stands.
    pub fn set_added(&self, generation: i64, describe: Box<Describe>) {
        let mut added = self.0.added.lock().unwrap_or_else(PoisonError::into_inner);
        if added.generation <= generation {
            *added = Added { generation, describe };
            self.0.served.iter().for_each(|it| it.store(None));
        }
    }

    /// The methods of a path, as the header `Allow` lists them.
    pub fn methods_of(&self, path: &str) -> HeaderValue {
        self.0.fixed.as_ref().map_or_else(|_| Allow::default().for_path(path), |it| it.allow.for_path(path))
    }

    /// The operation of the program itself that a request would reach, by any of its names.
    pub fn operation_at(&self, method: &Method, path: &str) -> Option<Operation> {
        let canonical = alias::canonical(method, path);
        let path = canonical.as_deref().unwrap_or(path);
        let paths = self.0.fixed.as_ref().ok()?.document["paths"].as_object()?;
        let its = |(template, methods): (&String, &Value)| {
            let id = methods.get(method.as_str().to_lowercase())?["operationId"].as_str()?.to_owned();
            allow::matches(template, path).then(|| (template.clone(), id))
        };
        // A path that is written out wins over one with a hole.
        let found = paths.iter().filter_map(its).min_by_key(|(template, _)| template.matches('{').count());
        let (template, id) = found?;
        let parts = template.split('/').zip(path.split('/')).filter_map(|(name, given)| {
            let name = name.strip_prefix('{')?.strip_suffix('}')?;
            Some((name.to_owned(), given.to_owned()))
        });
        let terms = self.0.told.terms.iter().copied().flatten().find(|it| it.operation == id);
        Some(Operation { parts: parts.collect(), who: terms.map(|it| it.who) })
    }

    pub fn route(&self, route: Route) -> Route {
        let serve = |version| {
            let held = Arc::clone(&self.0);
            make(move |request: Request| {
                let held = Arc::clone(&held);
                async move {
                    let audience = held.audience(&request).await?;
                    let served = held.served_aside(audience).await?;
                    let document = match version {
                        Version::V3_0 => &served.v3_0,
                        Version::V3_1 => &served.v3_1,
                    };
                    document.call(request).await
                }
            })
        };
        route.at("/openapi.json", serve(Version::V3_0)).at("/openapi-3.1.json", serve(Version::V3_1))
    }
}

impl Held {
    /// For whom a document is that is asked for so. A token that does not work makes nobody an insider, and keeps nobody
    /// from what strangers read.
    async fn audience(&self, request: &Request) -> Result<Audience, Problem> {
        if !shows_something(request) {
            return Ok(Audience::Anyone);
        }
        match caller_of(request).await {
            Ok(caller) if caller.may(self.told.insiders) => Ok(Audience::Insiders),
            Ok(_) => Ok(Audience::Anyone),
            Err(problem) if problem.kind.status < 500 => Ok(Audience::Anyone),
            Err(problem) => Err(problem),
        }
    }

    /// What is served. Other requests do not wait for it to be written.
    #[expect(clippy::disallowed_methods, reason = "one at a time: who waits for it waits for the lock")]
    async fn served_aside(self: &Arc<Self>, audience: Audience) -> Result<Arc<Served>, Problem> {
        if let Some(served) = self.served[audience as usize].load_full() {
            return Ok(served);
        }
        let _turn = self.writing.lock().await;
        let held = Arc::clone(self);
        let served = tokio::task::spawn_blocking(move || held.served(audience)).await;
        served.map_err(|cause| Problem::internal(&cause))?
    }

    fn served(&self, audience: Audience) -> Result<Arc<Served>, Problem> {
        let kept = &self.served[audience as usize];
        if let Some(served) = kept.load_full() {
            return Ok(served);
        }
        let added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(served) = kept.load_full() {
            return Ok(served); // somebody else wrote it meanwhile
        }
        let fixed = self.fixed.as_ref().map_err(|cause| Problem::internal(cause))?;
        let mut document = fixed.document.clone();
        let Described { paths, schemas, parameters } = (added.describe)(audience);
        document["components"]["parameters"] = parameters.into();
        for (whole, added) in [("/paths", paths), ("/components/schemas", schemas)] {
            let Some(whole) = document.pointer_mut(whole).and_then(Value::as_object_mut) else { continue };
            for (name, it) in added {
                whole.entry(name).or_insert(it);
            }
        }
        self.told.describe_answers(&mut document);
        let served = Arc::new(Served::new(document));
        kept.store(Some(Arc::clone(&served)));
        Ok(served)
    }
}

impl Fixed {
    fn new(spec: &str, told: &Told) -> serde_json::Result<Self> {
        let mut document: Value = serde_json::from_str(spec)?;
        document["openapi"] = "3.0.3".into();
        schemas::each(&mut document, &mut schemas::say_it_once);
        schemas::each(&mut document, &mut schemas::say_null_is_allowed);
        close_bodies(&mut document);
        describe_answers(&mut document);
        number_pages(&mut document);
        add_health(&mut document);
        told.add_terms(&mut document);
        add_aliases(&mut document);
        let allow = Allow::of(&document);
        Ok(Self { document, allow })
    }
}

impl Served {
    fn new(mut document: Value) -> Self {
        let asset = |it: &Value| {
            Asset::packed(it.to_string().into_bytes(), "application/json", Caching::Ask)
                .that_varies_with("authorization, cookie")
        };
        let v3_0 = asset(&document);
        document["openapi"] = "3.1.0".into();
        schemas::each(&mut document, &mut schemas::as_3_1);
        Self { v3_0, v3_1: asset(&document) }
    }
}

/// Adds what `http/health` answers.
fn add_health(document: &mut Value) {
    let mut described = health::describe();
    for (whole, added) in [("/paths", "paths"), ("/components/schemas", "schemas")] {
        let whole = document.pointer_mut(whole).and_then(Value::as_object_mut);
        if let (Some(whole), Some(added)) = (whole, described[added].as_object_mut()) {
            whole.append(added);
        }
    }
    if let Some(tags) = document["tags"].as_array_mut() {
        tags.push(described["tag"].take());
    }
}

/// Says of every object that a body may hold that it takes no other members: the server refuses them.
///
/// Not of one that is a part of a whole (`allOf`): it would refuse the other parts' members.
fn close_bodies(document: &mut Value) {
    let mut names = Vec::new();
    for operation in operations(document) {
        schemas::reachable(document, &operation["requestBody"], &mut names);
    }
    let mut parts = Vec::new();
    schemas::each(document, &mut |schema| {
        let all = schema.get("allOf").and_then(Value::as_array).filter(|it| 1 < it.len());
        let references = all.into_iter().flatten().filter_map(|it| it["$ref"].as_str()?.rsplit('/').next());
        parts.extend(references.map(ToOwned::to_owned));
    });
    for name in names.iter().filter(|it| !parts.contains(it)) {
        let schema = &mut document["components"]["schemas"][name];
        if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
            schema["additionalProperties"] = false.into();
        }
    }
}

/// Says of the parameters of pages that they are numbers, and which: they are read as text, so that what is wrong with
/// them is told in our words.
fn number_pages(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    let operations = paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    for parameter in operations.filter_map(|it| it.get_mut("parameters")?.as_array_mut()).flatten() {
        let most = match parameter["name"].as_str() {
            Some("limit") => paging::LIMIT_MAX,
            Some("page") => paging::PAGE_MAX,
            _ => continue,
        };
        parameter["schema"] = json!({ "type": "integer", "minimum": 1, "maximum": most });
    }
}

/// An answer without a sentence of its own is what its schema is.
fn describe_answers(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    for operation in paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        for answer in operation["responses"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            let is_silent = answer["description"].as_str().is_none_or(str::is_empty);
            let content = answer["content"].as_object().and_then(|it| it.values().next());
            let name = content.and_then(|it| it["schema"]["$ref"].as_str()?.rsplit('/').next());
            if let Some(words) =
                name.map(|it| schemas[it]["description"].clone()).filter(|it| is_silent && it.is_string())
            {
                answer["description"] = words;
            }
        }
    }
}

fn operations(document: &Value) -> impl Iterator<Item = &Value> {
    let paths = document["paths"].as_object().into_iter().flat_map(Map::values);
    paths.filter_map(Value::as_object).flat_map(Map::values)
}

fn add_aliases(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    let mut taken = HashSet::new();
    for (method, path) in PROMISED_ALIASES {
        let Ok(verb) = method.to_uppercase().parse::<Method>() else { continue };
        let Some(canonical) = alias::canonical(&verb, path) else { continue };
        let Some(mut operation) = paths.get(&canonical).and_then(|it| it.get(method)).cloned() else { continue };
        // `/auth/refresh` and `/auth/refresh-token` stand for the same one, under ids of their own.
        let is_renamed = !canonical.ends_with(path.trim_start_matches("/api"));
        let suffixes = if is_renamed { ["_renamed_alias", "_alias"] } else { ["_alias", "_renamed_alias"] };
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        let ids = suffixes.map(|it| format!("{id}{it}"));
        let free = ids.iter().find(|it| taken.insert((*it).clone()));
        operation["operationId"] = free.unwrap_or(&ids[0]).as_str().into();
        let said = operation["description"].as_str().unwrap_or_default();
        let who = said.rsplit("\n\n").next().unwrap_or_default();
        operation["description"] = format!("Another name of `{canonical}`.\n\n{who}").into();
        let entry = paths.entry(*path).or_insert_with(|| json!({}));
        entry[*method] = operation;
    }
}

#[cfg(test)]
mod tests;
