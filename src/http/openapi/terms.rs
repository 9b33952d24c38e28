//! The terms of each operation: who may, what can go wrong, and which headers the answers have.
//!
//! Most problems of an operation follow from what it is: whoever has a body may send one that is too large.
//! Only what is particular stands in a table beside the endpoints, as [`Terms`]. Failures that many
//! operations share are described once, under `components`, so that the document stays small.
use std::collections::{BTreeMap, HashMap};

use poem_openapi::types::{Example, ToJSON};
use serde_json::{Map, Value, json};

use crate::http::caller::{API_KEY, BEARER, COOKIE};
use crate::http::problem::{self, Document, Kind, MEDIA_TYPE, Problem};
use crate::http::{Permission, pages};

/// Where an operation keeps the codes of its own problems until the document is served.
const OWN: &str = "x-problems";

/// What an operation is told by beside its signature.
#[derive(Debug)]
pub struct Terms {
    /// The id of the operation.
    pub operation: &'static str,
    pub who: Who,
    /// The problems that do not follow from what the operation is.
    pub problems: &'static [&'static Kind],
}

/// Who may.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    Anyone,
    SignedIn,
    Holders(Permission),
    /// Whoever is signed in, with their own account; with those of others, those with a permission.
    Owner(Permission),
    /// Those with a permission that strangers have too.
    Visitors(Permission),
    /// As [`Who::Visitors`], as far as that rule of the collection lets them.
    Ruled(Permission, &'static str),
    /// Anyone, and each part of the request is asked for itself whether this caller may.
    Each,
}

/// Everything that the document has to know of the features.
#[derive(Clone, Debug)]
pub struct Told {
    /// Every kind of problem, in the order of the catalogue.
    pub kinds: Vec<&'static Kind>,
    /// What may be wrong with a caller.
    pub of_callers: &'static [&'static Kind],
    pub terms: &'static [&'static [Terms]],
    /// Who knows of everything that came with the data.
    pub insiders: Permission,
}

impl Who {
    fn sentence(self) -> String {
        match self {
            Self::Anyone => "Anyone may.".to_owned(),
            Self::SignedIn => "Anyone signed in may.".to_owned(),
            Self::Each => "Each operation needs what it would need alone.\n\nAnyone may.".to_owned(),
            Self::Holders(Permission(name)) => format!("Needs the permission `{name}`."),
            Self::Owner(Permission(name)) => {
                format!("Needs the permission `{name}`, unless it is one's own account and one is signed in.")
            }
            Self::Visitors(Permission(name)) => format!("Needs the permission `{name}`, which strangers have too."),
            Self::Ruled(Permission(name), rule) => format!(
                "Needs the permission `{name}`, which strangers have too; then the rule `{rule}` of the collection decides."
            ),
        }
    }

    fn security(self) -> Option<Value> {
        match self {
            Self::Anyone => None,
            // A key is nobody who could have signed in.
            Self::SignedIn => Some(json!([{ BEARER: [] }, { COOKIE: [] }])),
            Self::Holders(_) | Self::Owner(_) => Some(json!([{ BEARER: [] }, { COOKIE: [] }, { API_KEY: [] }])),
            Self::Visitors(_) | Self::Ruled(..) | Self::Each => {
                Some(json!([{}, { BEARER: [] }, { COOKIE: [] }, { API_KEY: [] }]))
            }
        }
    }
}

impl Terms {
    /// Adds the terms to what is said of an operation already.
    pub fn add_to(&self, operation: &mut Value) {
        self.add_as(self.who, operation);
    }

    /// The same for an operation that others may: one that is about a certain collection.
    pub fn add_as(&self, who: Who, operation: &mut Value) {
        let said = operation["description"].as_str().unwrap_or_default();
        let gap = if said.is_empty() { "" } else { "\n\n" };
        operation["description"] = format!("{said}{gap}{}", who.sentence()).into();
        if let Some(security) = who.security() {
            operation["security"] = security;
        }
        operation[OWN] = self.problems.iter().map(|it| it.code).collect();
    }
}

impl Told {
    /// Adds its terms to each operation of the program itself.
    pub(super) fn add_terms(&self, document: &mut Value) {
        for (_, operation) in operations(document) {
            let is_its = |it: &&Terms| operation["operationId"] == it.operation;
            if let Some(terms) = self.terms.iter().copied().flatten().find(is_its) {
                terms.add_to(operation);
            }
        }
    }

    /// Says of each operation which failures and which headers to expect.
    pub(super) fn describe_answers(&self, document: &mut Value) {
        let (mut shared, mut names) = (Map::new(), HashMap::<String, String>::new());
        let parameters = document["components"]["parameters"].clone();
        for methods in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            methods.get_mut("get").into_iter().for_each(add_not_modified);
        }
        for (path, operation) in operations(document) {
            let failures = self.failures(path, operation, &parameters);
            let Some(operation) = operation.as_object_mut() else { continue };
            operation.remove(OWN);
            let Some(answers) = operation.get_mut("responses").and_then(Value::as_object_mut) else { continue };
            for range in ["4XX", "5XX"] {
                answers.remove(range);
            }
            answers.values_mut().filter(|it| it.get("$ref").is_none()).for_each(refer_to_headers);
            for (status, kinds) in failures {
                if let Some(own) = answers.get_mut(&status.to_string()) {
                    // An answer that is no problem, under the same status: how the server is.
                    let failure = describe(status, &kinds);
                    own["content"][MEDIA_TYPE] = failure["content"][MEDIA_TYPE].clone();
                    for name in failure["headers"].as_object().into_iter().flat_map(Map::keys) {
                        own["headers"][name] = optional(name);
                    }
                } else {
                    let codes = kinds.iter().map(|it| it.code).collect::<Vec<_>>().join(" ");
                    let name = names.entry(codes).or_insert_with(|| {
                        let name = name(status, &kinds, &shared);
                        shared.insert(name.clone(), describe(status, &kinds));
                        name
                    });
                    answers.insert(status.to_string(), refer("responses", name));
                }
            }
        }
        let mut not_modified = json!({ "description": "It is what `If-None-Match` names.", "headers": { "ETag": {} } });
        refer_to_headers(&mut not_modified);
        shared.insert("NotModified".to_owned(), not_modified);
        document["components"]["responses"] = shared.into();
        document["components"]["parameters"]["If-None-Match"] = json!({
            "name": "If-None-Match", "in": "header", "schema": { "type": "string" },
            "description": "The `ETag` of the copy that the caller has.",
        });
        document["components"]["headers"] = headers();
        document["components"]["examples"] =
            self.kinds.iter().map(|it| (it.code.to_owned(), example(it))).collect::<Map<_, _>>().into();
    }

    /// The problems of an operation by their status, each in the order of the catalogue.
    fn failures(&self, path: &str, operation: &Value, parameters: &Value) -> BTreeMap<u16, Vec<&'static Kind>> {
        let implied = self.implied(path, operation, parameters);
        let own = operation[OWN].as_array();
        let is_own = |kind: &Kind| own.is_some_and(|it| it.iter().any(|it| it == kind.code));
        let mut failures = BTreeMap::<_, Vec<_>>::new();
        for kind in self.kinds.iter().filter(|it| implied.contains(it) || is_own(it)) {
            failures.entry(kind.status).or_default().push(*kind);
        }
        failures
    }

    /// The problems that follow from what an operation is.
    fn implied(&self, path: &str, operation: &Value, parameters: &Value) -> Vec<&'static Kind> {
        // Every request has a head and a host, and waits for its turn.
        let mut kinds = vec![
            &problem::MALFORMED,
            &problem::TARGET_TOO_LONG,
            &problem::HEAD_TOO_LARGE,
            &problem::INTERNAL,
            &problem::BUSY,
            &problem::GIVEN_UP,
        ];
        // Features keep what they know in the database, and take no parameters that they do not know.
        if path.starts_with("/api/") {
            kinds.extend([
                &problem::INVALID,
                &problem::BUDGET_SPENT,
                &problem::STORAGE_DAMAGED,
                &problem::STOPPING,
                &problem::STORAGE_FULL,
            ]);
        }
        if operation["security"].is_array() {
            kinds.extend([&problem::NOT_SIGNED_IN, &problem::NOT_ALLOWED, &problem::IMPERSONATED]);
            kinds.extend(self.of_callers);
            if !operation["security"].to_string().contains(API_KEY) {
                kinds.push(&problem::NEEDS_SESSION);
            }
        }
        if path.contains('{') {
            kinds.push(&problem::NOT_FOUND);
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let shared = parameter["$ref"].as_str().and_then(|it| it.rsplit('/').next());
            let parameter = shared.map_or(parameter, |it| &parameters[it]);
            if parameter["in"] == "query" {
                kinds.push(&problem::INVALID);
            }
            if parameter["name"] == "If-Match" {
                kinds.push(&problem::STALE);
            }
        }
        if let Some(formats) = operation["requestBody"]["content"].as_object() {
            kinds.extend([&problem::TOO_SLOW, &problem::BODY_TOO_LARGE, &problem::INVALID]);
            // Of files that may have several formats, one that is none of them is a value that is not valid.
            if formats.keys().all(|it| it.ends_with("json")) && !formats.contains_key("application/x-ndjson") {
                kinds.push(&problem::UNSUPPORTED_MEDIA_TYPE);
            }
        }
        kinds
    }
}

fn operations(document: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths.flat_map(|(path, operations)| {
        let operations = operations.as_object_mut().into_iter().flat_map(Map::values_mut);
        operations.map(move |it| (path, it))
    })
}

/// Of what has a tag, a reader with a copy asks whether it changed: the layer around all endpoints answers that.
fn add_not_modified(operation: &mut Value) {
    let headers = operation["responses"]["200"]["headers"].as_object();
    if !headers.is_some_and(|it| it.keys().any(|name| name.eq_ignore_ascii_case("ETag"))) {
        return;
    }
    operation["responses"]["304"] = refer("responses", "NotModified");
    let parameter = refer("parameters", "If-None-Match");
    match operation["parameters"].as_array_mut() {
        Some(parameters) => parameters.push(parameter),
        None => operation["parameters"] = json!([parameter]),
    }
}

fn refer(sort: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{sort}/{name}") })
}

/// What a failure is called under `components`. Every operation has a dozen of them, so names are short.
fn name(status: u16, kinds: &[&'static Kind], taken: &Map<String, Value>) -> String {
    let short = match kinds {
        [only] => in_one_word(only.code),
        _ => format!("Problem{status}"),
    };
    let numbered = (2..).map(|it| format!("{short}_{it}"));
    let mut names = [short.clone()].into_iter().chain(numbered);
    names.find(|it| !taken.contains_key(it)).unwrap_or(short)
}

/// Everything that a status may mean.
fn describe(status: u16, kinds: &[&'static Kind]) -> Value {
    let lines: Vec<_> = kinds.iter().map(|it| format!("- [`{0}`](/problems/{0}): {1}", it.code, it.title)).collect();
    let examples: Map<_, _> = kinds.iter().map(|it| (it.code.to_owned(), refer("examples", it.code))).collect();
    let content = json!({ "schema": refer("schemas", "Problem"), "examples": examples });
    let mut failure = json!({ "description": lines.join("\n"), "content": { MEDIA_TYPE: content } });
    match status {
        401 => failure["headers"]["WWW-Authenticate"] = refer("headers", "WWW-Authenticate"),
        426 => failure["headers"]["Upgrade"] = refer("headers", "Upgrade"),
        429 | 503 | 507 => failure["headers"]["Retry-After"] = refer("headers", "Retry-After"),
        _ => {}
    }
    failure["headers"]["X-Request-Id"] = refer("headers", "X-Request-Id");
    failure
}

/// A header that not every answer of that status has.
fn optional(name: &str) -> Value {
    let mut header = headers()[name].take();
    header["required"] = false.into();
    header
}

/// `email-taken` as `EmailTaken`, which generated code can use as a name.
fn in_one_word(code: &str) -> String {
    let mut word = String::new();
    for part in code.split('-') {
        let (first, rest) = part.split_at_checked(1).unwrap_or_default();
        word.push_str(&first.to_ascii_uppercase());
        word.push_str(rest);
    }
    word
}

/// What a client reads of that kind, with the beginning of its page for what went wrong.
fn example(kind: &'static Kind) -> Value {
    let mut shown = Document::example();
    if *kind != problem::INVALID {
        shown = Problem::new(kind, pages::beginning(kind)).document(shown.instance);
    }
    json!({ "summary": kind.title, "value": shown.to_json() })
}

/// The headers that more than one answer has.
fn headers() -> Value {
    let header = |description: &str, schema: Value, required: bool| json!({ "description": description, "required": required, "schema": schema });
    let text = |example: &str| json!({ "type": "string", "example": example });
    let link = "</api/v1/…?limit=30&page=2>; rel=\"next\"";
    let file = "attachment; filename=\"posts.ndjson\"";
    json!({
        "Content-Disposition": header("That it is a file, and what it is called.", text(file), true),
        "ETag": header("The version of the thing, and how it looks.", text("\"3-5c83a1b0d2e4f607\""), true),
        "Link": header("Other pages of the list (RFC 8288), if there are any.", text(link), false),
        "Location": header("The path of the new thing.", text("/api/v1/collections/posts"), true),
        "Retry-After": header(
            "How many seconds to wait before the next try.",
            json!({ "type": "integer", "minimum": 1, "example": 1 }),
            true
        ),
        "Upgrade": header("The protocol to change to (RFC 9110).", text("websocket"), true),
        "WWW-Authenticate": header("How to sign in (RFC 9110).", text("Bearer"), true),
        "X-Request-Id": header(
            "The name of the request in the server's log: the one that was sent, or a new one.",
            text(&Document::example().instance),
            true
        ),
    })
}

/// Headers that are described once are described the same everywhere, and under their own names: poem-openapi writes
/// them in capital letters.
fn refer_to_headers(answer: &mut Value) {
    let known = headers();
    let told = answer["headers"].take();
    let told = told.as_object().into_iter().flatten().map(|(name, header)| {
        let shared = known.as_object().into_iter().flat_map(Map::keys).find(|it| it.eq_ignore_ascii_case(name));
        match shared {
            Some(it) if header["required"] == false && known[it]["required"] == true => (it.clone(), optional(it)),
            Some(it) => (it.clone(), refer("headers", it)),
            None => (name.clone(), header.clone()),
        }
    });
    let whole: Map<_, _> = told.chain([("X-Request-Id".to_owned(), refer("headers", "X-Request-Id"))]).collect();
    answer["headers"] = whole.into();
}
