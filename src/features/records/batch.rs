//! Several operations in one request, in one transaction: each under its own rights, one after the other.
//!
//! With `transaction` all are done or none. Without, each that fails is undone alone. Either way they are one write,
//! so nobody sees some of them before the others.
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use poem_openapi::types::{Any, Example};
use poem_openapi::{Enum, Object};
use serde_json::{Map, Value, json};

use super::access::Judge;
use super::api::{RecordsApi, location};
use super::body::{self, Meant, Sent};
use super::deed::{self, Changing, Deed, Edit, Making, Removing};
use super::error::{BATCH_FAILED, Error, NOT_DONE, VIEW_BESIDE_WRITES};
use super::list;
use super::operations::{self, Operations};
use super::projection::Projection;
use super::relations::Reach;
use super::store;
use super::upsert::{self, Upserting};
use crate::base::Timestamp;
use crate::db::Tx;
use crate::features::accounts::{RECORDS_READ, RECORDS_WRITE};
use crate::features::collections::{Catalogue, Entry, FieldType, IsOutdated};
use crate::http::etag::{self, IfMatch};
use crate::http::{Caller, Fault, Problem};

/// Bytes of records that one answer holds at most.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// What a value is called that refers to a record of an earlier operation.
const REF: &str = "$ref";

/// Several operations on records of any collections.
#[derive(Clone, Debug, Object)]
#[oai(example, deny_unknown_fields)]
pub struct Batch {
    /// Whether all are done or none. Otherwise each is done or not by itself.
    #[oai(default)]
    pub transaction: bool,
    /// One after the other, in this order; at most 200.
    // Everybody else who writes waits for them.
    #[oai(validator(min_items = 1, max_items = 200))]
    pub operations: Vec<Operation>,
}

/// What is to be done to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "UPPERCASE")]
pub enum Method {
    /// Read it.
    Get,
    /// Make it.
    Post,
    /// Replace it; make it or replace it with `?by=`.
    Put,
    /// Change it; make it or change it with `?by=`.
    Patch,
    /// Delete it.
    Delete,
}

/// One operation of a batch.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    pub method: Method,
    /// The path as it would be alone: `/collections/posts/records`, `/collections/posts/records/{id}`, or
    /// `/collections/posts/records?by=slug`. In the place of an id `$name` is the record of the operation that is
    /// called `name`.
    #[oai(validator(max_length = 1000))]
    pub path: String,
    /// The body as it would be alone; for `PATCH` of a record by its id also a list, which is a JSON Patch (RFC 6902). In the
    /// place of the id of a relation `{"$ref": "name"}` is the record of the operation that is called `name`.
    pub body: Option<Any<Value>>,
    /// The `ETag` of the record that it is meant for.
    #[oai(validator(max_length = 1000))]
    pub if_match: Option<String>,
    /// What later operations of this batch call the record.
    #[oai(validator(min_length = 1, max_length = 63, pattern = "^[A-Za-z0-9_]+$"))]
    pub name: Option<String>,
}

impl Example for Batch {
    fn example() -> Self {
        // A reference in the body would be taken for one of the document's own.
        let operation = |method: Method, path: &str, body: Value, name: Option<&str>| Operation {
            method,
            path: path.to_owned(),
            body: Some(Any(body)),
            if_match: None,
            name: name.map(ToOwned::to_owned),
        };
        Self {
            transaction: true,
            operations: vec![
                operation(
                    Method::Post,
                    "/collections/posts/records",
                    json!({ "title": "The Analytical Engine" }),
                    Some("post"),
                ),
                operation(Method::Patch, "/collections/posts/records/$post", json!({ "published": true }), None),
            ],
        }
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct BatchReport {
    /// One for each operation, in their order.
    pub results: Vec<OperationResult>,
}

/// What an operation would have answered alone.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct OperationResult {
    pub status: u16,
    /// `ETag` and `Location`.
    pub headers: Option<BTreeMap<String, String>>,
    /// The record.
    pub body: Option<Any<Value>>,
    /// Why it was not done.
    pub problem: Option<Any<Value>>,
}

impl Example for BatchReport {
    fn example() -> Self {
        let headers =
            [("ETag", "\"2\""), ("Location", "/api/v1/collections/posts/records/0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80")];
        let made = OperationResult {
            status: 201,
            headers: Some(headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect()),
            body: Some(Any(super::payload::record())),
            problem: None,
        };
        Self { results: vec![made] }
    }
}

/// An operation whose shape was looked at.
#[derive(Debug)]
struct Step {
    method: Method,
    collection: String,
    target: Target,
    body: Option<Value>,
    expected: IfMatch,
    name: Option<String>,
    /// The id of a record that it may make.
    id: String,
    /// What judges it.
    judge: Judge,
    /// Why it is refused whatever it is about, if it is.
    refusal: Option<Problem>,
}

#[derive(Debug)]
enum Target {
    /// The collection: a record is made.
    All,
    One(String),
    /// The record of an earlier operation.
    Named(String),
    By(String),
}

/// What an operation answers.
#[derive(Debug)]
struct Done {
    status: u16,
    id: String,
    /// The record, and its version.
    found: Option<store::Found>,
    location: Option<String>,
}

/// The results of a batch, as JSON.
#[derive(Debug)]
pub(super) enum Outcome {
    Results(Vec<u8>),
    /// The operation that failed, and why.
    Failed(usize, Problem),
}

impl RecordsApi {
    /// Does the operations, and answers with their results in JSON.
    pub(super) async fn batch(
        &self,
        caller: &Caller,
        judge: &Judge,
        batch: Batch,
        request_id: &str,
    ) -> Result<Vec<u8>, Problem> {
        let count = batch.operations.len();
        let mut steps = Vec::with_capacity(count);
        let mut faults = Vec::new();
        let mut names = HashMap::new();
        for (index, operation) in batch.operations.into_iter().enumerate() {
            let id = self.random.uuid_v7(&self.clock).to_string();
            match step(index, operation, caller, judge, id, &names) {
                Ok(step) => {
                    if let Some(name) = &step.name
                        && names.insert(name.clone(), index).is_some()
                    {
                        let at = format!("/operations/{index}/name");
                        faults.push(Fault::new(at, "duplicate", "is what another operation is called"));
                    }
                    steps.push(step);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let steps = Arc::new(steps);
        let only = |method| steps.iter().all(|it| it.method == method);
        let (only_reads, only_deletes) = (only(Method::Get), only(Method::Delete));
        let run = |known: Arc<Catalogue>| {
            let (steps, transaction, now) = (Arc::clone(&steps), batch.transaction, self.clock.now());
            let request_id = request_id.to_owned();
            let work = move |tx: &mut Tx<'_>| {
                known.must_be_current(tx)?;
                let terms = Terms { transaction, only_reads, now };
                run(tx, &known, &steps, terms, &request_id)
            };
            async move {
                let outcome = if only_reads {
                    self.db.read(caller.tenant(), work).await
                } else if only_deletes {
                    self.db.free(caller.tenant(), work).await
                } else {
                    self.db.write(caller.tenant(), work).await
                };
                match outcome {
                    Ok(results) => Ok(Outcome::Results(results)),
                    Err(Failure::Operation(index, problem)) => Ok(Outcome::Failed(index, *problem)),
                    Err(Failure::Whole(error)) => Err(*error),
                }
            }
        };
        match self.catalogues.with(caller.tenant(), run).await? {
            Outcome::Results(results) => Ok(results),
            Outcome::Failed(index, problem) => Err(failed(index, &problem, count, request_id)),
        }
    }
}

/// The problem of a batch of which one operation failed, with the results of all of them.
fn failed(index: usize, problem: &Problem, count: usize, request_id: &str) -> Problem {
    let at = format!("/operations/{index}");
    let detail = format!("operation {index} failed, and the others were undone: {}", problem.detail);
    let mut results = b"[".to_vec();
    let about = |detail: String| Problem::new(&NOT_DONE, detail);
    for other in 0..count {
        let problem = match other {
            _ if other == index => problem.clone(),
            _ if other < index => about(format!("undone, since operation {index} failed")),
            _ => about(format!("not tried, since operation {index} failed")),
        };
        push(&mut results, &problem, request_id);
    }
    results.push(b']');
    let mut whole = Problem::new(&BATCH_FAILED, detail);
    let inner = problem.errors.iter().map(|it| Fault { pointer: within(&at, &it.pointer), ..it.clone() });
    whole.errors =
        [Fault::new(at.clone(), problem.kind.code, problem.detail.clone())].into_iter().chain(inner).collect();
    whole.with_member("results", String::from_utf8(results).unwrap_or_default())
}

/// Where a fault of an operation is in the batch.
fn within(at: &str, pointer: &str) -> String {
    if pointer.starts_with('?') { format!("{at}/path") } else { format!("{at}/body{pointer}") }
}

fn push(results: &mut Vec<u8>, problem: &Problem, request_id: &str) {
    if 1 < results.len() {
        results.push(b',');
    }
    let json = problem.clone().to_json(request_id);
    results.extend_from_slice(format!("{{\"status\":{},\"problem\":{json}}}", problem.kind.status).as_bytes());
}

/// Looks at the shape of an operation.
fn step(
    index: usize,
    operation: Operation,
    caller: &Caller,
    judge: &Judge,
    id: String,
    names: &HashMap<String, usize>,
) -> Result<Step, Fault> {
    let Operation { method, path, body, if_match, name } = operation;
    let fault = |member: &str, code, detail: &str| Fault::new(format!("/operations/{index}/{member}"), code, detail);
    let wrong_path = || fault("path", "path", "must be `/collections/{name}/records`, and an id or `?by=` after it");
    let (path, query) = path.split_once('?').map_or((path.as_str(), None), |(path, query)| (path, Some(query)));
    let path = ["/api/v1", "/api"].iter().find_map(|it| path.strip_prefix(it)).unwrap_or(path);
    let (collection, rest) =
        path.strip_prefix("/collections/").and_then(|it| it.split_once("/records")).ok_or_else(wrong_path)?;
    let by = match query {
        None => None,
        Some(query) => Some(
            form_urlencoded::parse(query.as_bytes())
                .find_map(|(name, value)| (name == "by").then(|| value.into_owned()))
                .filter(|_| !query.contains('&'))
                .ok_or_else(wrong_path)?,
        ),
    };
    let target = match (rest.strip_prefix('/'), by) {
        (None, Some(by)) if rest.is_empty() => Target::By(by),
        (None, None) if rest.is_empty() => Target::All,
        (Some(one), None) if !one.is_empty() && !one.contains('/') => match one.strip_prefix('$') {
            Some(name) if names.contains_key(name) => Target::Named(name.to_owned()),
            Some(_) => return Err(fault("path", "unknown", "names no earlier operation")),
            None => Target::One(one.to_owned()),
        },
        _ => return Err(wrong_path()),
    };
    let fits = match method {
        Method::Post => matches!(target, Target::All),
        Method::Get | Method::Delete => matches!(target, Target::One(_) | Target::Named(_)),
        Method::Put | Method::Patch => !matches!(target, Target::All),
    };
    if !fits {
        return Err(fault("method", "method", "does not go with this path in a batch"));
    }
    let takes_body = !matches!(method, Method::Get | Method::Delete);
    let body = body.map(|it| it.0);
    if takes_body != body.is_some() {
        let detail = if takes_body { "must be given" } else { "is not for this method" };
        return Err(fault("body", if takes_body { "required" } else { "unknown" }, detail));
    }
    let takes_list = method == Method::Patch && !matches!(target, Target::By(_));
    if body.as_ref().is_some_and(|it| !(it.is_object() || takes_list && it.is_array())) {
        return Err(fault("body", "type", "must be an object with the fields of the record"));
    }
    let expected = IfMatch::parse(if_match.as_deref());
    let expected = expected.map_err(|it| Fault::new(format!("/operations/{index}/ifMatch"), "format", it.detail))?;
    let permission = if method == Method::Get { RECORDS_READ } else { RECORDS_WRITE };
    let judge = judge.by(method.name());
    let refusal = caller.must_in(permission, collection).err();
    Ok(Step { method, collection: collection.to_owned(), target, body, expected, name, id, judge, refusal })
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    fn meant(self) -> Meant {
        match self {
            Self::Patch => Meant::Change,
            Self::Put => Meant::Whole,
            _ => Meant::New,
        }
    }
}

/// What the operations of a batch did that came before.
#[derive(Default)]
struct Earlier<'a> {
    /// The records that they made, wrote or read, by their own names.
    ids: HashMap<&'a str, String>,
    made: Vec<String>,
}

/// What ends a batch.
enum Failure {
    /// An operation failed, and none shall be done without it.
    Operation(usize, Box<Problem>),
    /// It cannot be done, or not now.
    Whole(Box<Error>),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Whole(Box::new(error.into()))
    }
}

/// How a batch is done.
#[derive(Clone, Copy)]
struct Terms {
    transaction: bool,
    /// Whether nothing is written, so that nobody waits for it.
    only_reads: bool,
    now: Timestamp,
}

fn run(tx: &mut Tx<'_>, known: &Catalogue, steps: &[Step], terms: Terms, request_id: &str) -> Result<Vec<u8>, Failure> {
    let mut out = b"{\"results\":[".to_vec();
    let mut earlier = Earlier::default();
    for (index, step) in steps.iter().enumerate() {
        if 0 < index {
            out.push(b',');
        }
        let problem = match one(tx, known, step, terms, &earlier) {
            Ok(done) => {
                if let Some(name) = &step.name {
                    earlier.ids.insert(name, done.id.clone());
                }
                if done.status == 201 {
                    earlier.made.push(done.id.clone());
                }
                done.write(&mut out);
                if ANSWER_BYTES_MAX < out.len() {
                    let fault =
                        Fault::new("/operations", "too-large", "answer with more than 8 MiB; read less at once");
                    return Err(Error::Invalid(vec![fault]).into());
                }
                continue;
            }
            // These are about the whole of it.
            Err(error @ Error::Db(_)) => return Err(error.into()),
            Err(error) if error.is_outdated() => return Err(error.into()),
            Err(error) => Problem::from(error),
        };
        if terms.transaction {
            return Err(Failure::Operation(index, Box::new(problem)));
        }
        let json = problem.clone().to_json(request_id);
        out.extend_from_slice(format!("{{\"status\":{},\"problem\":{json}}}", problem.kind.status).as_bytes());
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

impl Done {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{{\"status\":{}", self.status).as_bytes());
        if let Some(found) = &self.found {
            let mut headers = Map::new();
            // What a view computes has no version.
            if 0 < found.version {
                headers.insert("ETag".to_owned(), etag::of_version(found.version).into());
            }
            if let Some(location) = &self.location {
                headers.insert("Location".to_owned(), location.as_str().into());
            }
            if !headers.is_empty() {
                out.extend_from_slice(format!(",\"headers\":{}", Value::Object(headers)).as_bytes());
            }
            out.extend_from_slice(b",\"body\":");
            out.extend_from_slice(&found.json);
        }
        out.push(b'}');
    }
}

/// Does one operation, as a request of its own would.
fn one(tx: &mut Tx<'_>, known: &Catalogue, step: &Step, terms: Terms, earlier: &Earlier<'_>) -> Result<Done, Error> {
    if let Some(refusal) = &step.refusal {
        return Err(refusal.clone().into());
    }
    let (now, judge) = (terms.now, &step.judge);
    if step.method == Method::Get {
        let entry = known.to_read(&step.collection)?;
        return read(tx, entry, judge, named(&step.target, earlier)?, terms).map_err(|it| it.of(entry));
    }
    let entry = known.to_write(&step.collection)?;
    let reach = Reach { catalogue: known, made: &earlier.made };
    let outcome = match (&step.method, &step.target) {
        (Method::Delete, target) => {
            let id = named(target, earlier)?;
            judge.must_be_let(entry, &entry.rules.delete, "delete")?;
            let removing = Removing::new(judge, entry, id, now, step.expected.clone());
            tx.attempt(|tx| removing.run(tx, known))?;
            Ok(Done { status: 204, id: id.to_owned(), found: None, location: None })
        }
        (method, Target::All) => {
            judge.must_be_let(entry, &entry.rules.create, "make")?;
            let values = deed::set(sent(step, entry, method.meant(), earlier)?);
            let found = Making::new(judge, entry, &step.id, now, values).attempt(tx, reach)?;
            Ok(made(step, found))
        }
        (method, Target::By(by)) => {
            upsert::must_be_let_somehow(judge, entry)?;
            let by = upsert::positions(by, entry, &judge.sight)?;
            let sent = Arc::new(sent(step, entry, method.meant(), earlier)?);
            let upserting = Upserting::new(judge, entry, &step.id, now, &by, sent, step.expected.clone())?;
            let done = upserting.attempt(tx, reach)?;
            match done.is_new {
                true => Ok(made(step, done.found)),
                false => Ok(Done { status: 200, id: done.id, found: Some(done.found), location: None }),
            }
        }
        (method, target) => {
            let id = named(target, earlier)?;
            judge.must_be_let(entry, &entry.rules.update, "change")?;
            let edit = match &step.body {
                Some(Value::Array(_)) => Edit::Operations(Arc::new(operations(step, entry, earlier)?)),
                _ => Edit::Values(Arc::new(sent(step, entry, method.meant(), earlier)?)),
            };
            let found = Changing::new(judge, entry, id, now, edit, step.expected.clone()).attempt(tx, reach)?;
            Ok(Done { status: 200, id: id.to_owned(), found: Some(found), location: None })
        }
    };
    outcome.map_err(|error: Error| error.without_hidden(entry, &judge.sight))
}

fn read(tx: &mut Tx<'_>, entry: &Entry, judge: &Judge, id: &str, terms: Terms) -> Result<Done, Error> {
    judge.must_be_let(entry, &entry.rules.view, "read")?;
    entry.must_be_readable()?;
    let whole = Projection::whole(entry, &judge.sight);
    let mut statement = list::sought(&whole, entry, id, judge.rule(entry, &entry.rules.view));
    if let Some(view) = &entry.view {
        // A batch that writes holds up all others who do, so it computes nothing.
        if !terms.only_reads {
            let detail = format!("`{}` is a view; read it alone, or in a batch of nothing but GET", entry.name());
            return Err(Problem::new(&VIEW_BESIDE_WRITES, detail).into());
        }
        list::of_view(&mut statement, entry);
        tx.bound_values(Some(view.value_bytes_max))?;
        let found = store::find_all(tx, &statement, &whole);
        tx.bound_values(None)?;
        let mut found = found?;
        if !found.is_empty() {
            list::must_be_alone(entry.name(), id, found.len())?;
        }
        let found = found.pop().ok_or(Error::NotFound)?;
        return Ok(Done { status: 200, id: id.to_owned(), found: Some(found), location: None });
    }
    let found = store::find(tx, &statement, &whole)?.ok_or(Error::NotFound)?;
    Ok(Done { status: 200, id: id.to_owned(), found: Some(found), location: None })
}

fn made(step: &Step, found: store::Found) -> Done {
    let location = Some(location(&step.collection, &step.id));
    Done { status: 201, id: step.id.clone(), found: Some(found), location }
}

/// The id that a path names.
fn named<'a>(target: &'a Target, earlier: &'a Earlier<'_>) -> Result<&'a str, Error> {
    match target {
        Target::One(id) => Ok(id),
        Target::Named(name) => earlier.ids.get(name.as_str()).map(String::as_str).ok_or_else(|| not_done(name)),
        Target::All | Target::By(_) => Err(Error::NotFound),
    }
}

/// What is said of an operation that refers to one that failed.
fn not_done(name: &str) -> Error {
    Problem::new(&NOT_DONE, format!("no earlier operation that is called `{name}` was done")).into()
}

/// The values of an operation, with the ids of those that it refers to.
fn sent(step: &Step, entry: &Entry, meant: Meant, earlier: &Earlier<'_>) -> Result<Sent, Error> {
    let Some(Value::Object(members)) = &step.body else { return Err(Error::Invalid(Vec::new())) };
    let mut members = members.clone();
    for (name, value) in &mut members {
        if entry.field(name).is_some_and(|(_, it)| it.field.field_type == FieldType::Relation) {
            refer(value, earlier)?;
        }
    }
    body::judged(&members, entry, meant, &step.judge.sight).map_err(Error::Invalid)
}

/// The same of one that is told as operations on the record.
fn operations(step: &Step, entry: &Entry, earlier: &Earlier<'_>) -> Result<Operations, Error> {
    let mut body = step.body.clone().unwrap_or_default();
    for operation in body.as_array_mut().into_iter().flatten() {
        let path = operation["path"].as_str().unwrap_or_default();
        let field = path.split('/').nth(1).and_then(|name| entry.field(name));
        if field.is_some_and(|(_, it)| it.field.field_type == FieldType::Relation)
            && let Some(value) = operation.get_mut("value")
        {
            refer(value, earlier)?;
        }
    }
    Ok(operations::judged(body, Vec::new(), entry, &step.judge.sight)?)
}

/// Puts ids in the place of the names that a value has, alone, in a list, or in one that is added or removed.
fn refer(value: &mut Value, earlier: &Earlier<'_>) -> Result<(), Error> {
    if let Some(name) = reference(value) {
        *value = earlier.ids.get(name).ok_or_else(|| not_done(name))?.as_str().into();
        return Ok(());
    }
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|it| refer(it, earlier)),
        Value::Object(members) => members.values_mut().try_for_each(|it| refer(it, earlier)),
        _ => Ok(()),
    }
}

/// The name that a value refers to.
fn reference(value: &Value) -> Option<&str> {
    value.as_object().filter(|it| it.len() == 1)?.get(REF)?.as_str()
}
