//! Promises of expressions, on real SQLite: what is found, and what is refused.
mod callers;
mod indexes;
mod limits;
mod lists;
mod model;
mod numbers;
mod operators;
mod parameters;
mod property;
mod refusals;
mod relations;
mod seeds;
mod texts;
mod times;
mod tree;

use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;

use super::*;
use crate::base::geo::Place;
use crate::base::{TenantId, Timestamp};
use crate::db::join_tables;
use crate::db::record_tables::{self, ColumnType};
use crate::db::{self, Db, Tx, Value};

/// When the requests of these tests are made.
const NOW: &str = "2026-03-01T00:00:00Z";

/// The fields of each table besides `id`, `createdAt` and `updatedAt`; what is hidden begins with `secret`.
fn fields() -> Vec<(&'static str, Vec<(&'static str, Kind)>)> {
    let to = |table: &str| Kind::Reference(table.to_owned());
    vec![
        ("users", vec![("name", Kind::Text), ("role", Kind::Text)]),
        ("letters", vec![("text", Kind::Text), ("post", to("posts"))]),
        (
            "posts",
            vec![
                ("title", Kind::Text),
                ("note", Kind::Text),
                ("views", Kind::Integer),
                ("score", Kind::Number),
                ("published", Kind::Bool),
                ("publishedAt", Kind::Moment),
                ("tags", Kind::List),
                ("extra", Kind::Json),
                ("author", to("users")),
                ("parent", to("posts")),
                ("letter", to("letters")),
                ("place", Kind::Place),
                ("pinned", Kind::References { target: "comments".to_owned(), join: "j_pinned".to_owned() }),
                ("secret", Kind::Text),
                ("secretly", to("users")),
                ("secrets", Kind::References { target: "users".to_owned(), join: "j_secrets".to_owned() }),
            ],
        ),
        (
            "comments",
            vec![("text", Kind::Text), ("post", to("posts")), ("approved", Kind::Bool), ("secretPost", to("posts"))],
        ),
    ]
}

/// Of comments those that are approved may be viewed, of letters none, of everything else all.
fn schema() -> Schema {
    Schema::new(fields().into_iter().map(|(table, own)| {
        let times = ["createdAt", "updatedAt"].map(|it| (it, Kind::Moment));
        let all = [("id", Kind::Text)].into_iter().chain(times).chain(own);
        let field =
            |(name, kind): (&str, Kind)| Field { name: name.to_owned(), kind, hidden: name.starts_with("secret") };
        Table {
            name: table.to_owned(),
            sql_name: format!("c_{table}"),
            fields: all.map(field).collect(),
            view: match table {
                "letters" => View::Nobody,
                "comments" => View::When(parse("approved").expect("a rule")),
                _ => View::Anyone,
            },
            is_computed: false,
        }
    }))
}

fn moment(text: &str) -> i64 {
    text.parse::<Timestamp>().expect("a moment").millis()
}

/// A request of Ada's.
fn facts() -> Facts {
    let text = |it: &str| Some(it.to_owned());
    Facts {
        auth_id: text("ada"),
        auth_email: text("ada@example.com"),
        auth_role: text("user"),
        auth_tier: None,
        auth_verified: true,
        auth_signed_in: true,
        now: moment(NOW),
        method: "GET".to_owned(),
        ip: text("192.0.2.1"),
        new: Vec::new(),
    }
}

/// A request of nobody's.
fn stranger() -> Facts {
    Facts { now: moment(NOW), method: "GET".to_owned(), ..Facts::default() }
}

/// A value as its column keeps it.
fn stored(kind: &Kind, json: &Json) -> Value<'static> {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Integer((*flag).into()),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Real(number.as_f64().expect("a number")),
        },
        Json::String(text) if *kind == Kind::Moment => Value::Integer(moment(text)),
        Json::String(text) => Value::Text(text.clone().into()),
        Json::Object(place) if *kind == Kind::Place => {
            let degrees = |name: &str| place[name].as_f64().expect("degrees");
            Value::Integer(Place::at(degrees("lat"), degrees("lon")).expect("a place").packed())
        }
        Json::Array(_) | Json::Object(_) => Value::Text(json.to_string().into()),
    }
}

fn insert(tx: &mut Tx<'_>, table: &str, id: &str, record: &Json) -> Result<(), db::Error> {
    let own = fields().into_iter().find(|(it, _)| *it == table).expect("a table").1;
    let (lists, own): (Vec<_>, Vec<_>) = own.into_iter().partition(|(_, kind)| matches!(kind, Kind::References { .. }));
    for (name, kind) in lists {
        if let (Kind::References { join, .. }, Some(ids @ Json::Array(_))) = (kind, record.get(name)) {
            join_tables::write(tx, &join, id, &ids.to_string(), true)?;
        }
    }
    let sent: Vec<_> = own.iter().filter_map(|(name, kind)| Some((name, stored(kind, record.get(name)?)))).collect();
    let columns: String = sent.iter().map(|(name, _)| format!(", \"{name}\"")).collect();
    let holes: String = (2..sent.len() + 2).map(|it| format!(", ${it}")).collect();
    let sql = format!(
        "INSERT INTO c_{table} (id, _version, \"createdAt\", \"updatedAt\"{columns}) VALUES ($1, 1, 0, 0{holes})"
    );
    let values: Vec<_> = [id.to_owned().into()].into_iter().chain(sent.into_iter().map(|(_, it)| it)).collect();
    tx.execute(&sql, &values).map(drop)
}

fn make_tables(tx: &mut Tx<'_>) -> Result<(), db::Error> {
    for (table, own) in fields() {
        let column = |(name, kind): &(&str, Kind)| record_tables::Column {
            name: (*name).to_owned(),
            column_type: match kind {
                Kind::Integer | Kind::Bool | Kind::Moment | Kind::Place => ColumnType::BigInt,
                Kind::Number => ColumnType::Double,
                Kind::Text | Kind::List | Kind::Json | Kind::Reference(_) | Kind::References { .. } => ColumnType::Text,
            },
            reference: None,
            default: None,
        };
        tx.batch(&format!("INSERT INTO collections VALUES ('{table}', '{table}', '{table}', '{{}}', 1, 0, 0)"))?;
        tx.batch(&format!("INSERT INTO record_counts VALUES ('{table}', 0)"))?;
        for (_, kind) in &own {
            // Without foreign keys: some of these tests have relations that lead nowhere.
            if let Kind::References { join, .. } = kind {
                tx.batch(&format!("CREATE TABLE {join} (owner, target, position, PRIMARY KEY (owner, target))"))?;
            }
        }
        let columns = own.iter().filter(|(_, kind)| !matches!(kind, Kind::References { .. })).map(column);
        record_tables::create(tx, &format!("c_{table}"), &columns.collect::<Vec<_>>(), table)?;
    }
    Ok(())
}

/// Tables in a database of their own.
struct World {
    db: Db,
    runtime: Runtime,
    schema: Schema,
    facts: Facts,
}

/// What a stranger has not.
const CALLERS: [&str; 4] = ["auth.id", "auth.email", "auth.role", "auth.tier"];

impl World {
    /// Without records.
    fn empty() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let db = Db::in_memory().expect("a database");
        db.create_tenant(&TenantId::main()).expect("a tenant");
        let world = Self { db, runtime, schema: schema(), facts: facts() };
        world.write(make_tables);
        world
    }

    /// Two posts that differ in everything, and one that has nothing.
    fn new() -> Self {
        let world = Self::empty();
        let apple = json!({
            "title": "Apple", "views": 1, "score": 0.5, "published": true, "publishedAt": "2026-01-01T00:00:00Z",
            "tags": ["a", "b"], "author": "ada", "letter": "letter", "secret": "s", "secretly": "ada",
            "pinned": ["second", "first"], "secrets": ["ada"], "place": { "lat": 52.520008, "lon": 13.404954 },
            "extra": { "color": "red", "size": 1, "flag": true, "deep": { "er": "x" }, "nothing": null, "list": [1] },
        });
        let banana = json!({
            "title": "banana", "note": "Apple", "views": 10, "score": -1.5, "published": false,
            "publishedAt": "2026-06-01T00:00:00Z", "tags": [], "author": "bob", "parent": "apple",
            "pinned": ["third"], "place": { "lat": 48.856613, "lon": 2.352222 },
            "extra": { "color": "blue", "size": 2.5, "flag": false, "deep": "y" },
        });
        world.add("posts", &[("apple", apple), ("banana", banana), ("empty", json!({}))]);
        let user = |name: &str, role: &str| json!({ "name": name, "role": role });
        world.add("users", &[("ada", user("Ada", "admin")), ("bob", user("Bob", "user")), ("eve", json!({}))]);
        let comment =
            |text: &str, post: &str, approved: bool| json!({ "text": text, "post": post, "approved": approved });
        let third = json!({ "text": "third", "post": "banana", "secretPost": "banana" });
        let (first, second) = (comment("first", "apple", true), comment("second", "apple", false));
        world.add("comments", &[("first", first), ("second", second), ("third", third)]);
        world.add("letters", &[("letter", json!({ "text": "dear", "post": "apple" }))]);
        world
    }

    fn of(self, facts: Facts) -> Self {
        Self { facts, ..self }
    }

    fn write(&self, mut work: impl FnMut(&mut Tx<'_>) -> Result<(), db::Error> + Send + 'static) {
        let tenant = TenantId::main();
        let written = self.db.write_alone::<_, db::Error>(&tenant, move |tx| work(tx));
        self.runtime.block_on(written).expect("written");
    }

    fn add(&self, table: &'static str, records: &[(&str, Json)]) {
        let records: Vec<_> = records.iter().map(|(id, record)| ((*id).to_owned(), record.clone())).collect();
        self.write(move |tx| records.iter().try_for_each(|(id, record)| insert(tx, table, id, record)));
    }

    fn texts(&self, sql: String, values: Vec<Value<'static>>) -> Vec<String> {
        let read = move |tx: &mut Tx<'_>| tx.query(&sql, &values, |row| row.text(0).map(ToOwned::to_owned));
        self.runtime.block_on(self.db.read::<_, db::Error>(&TenantId::main(), read)).expect("SQL that runs")
    }

    fn values(&self, compiled: &Compiled) -> Vec<Value<'static>> {
        compiled.binds().iter().map(|it| it.resolve(&self.facts).into()).collect()
    }

    fn select(&self, table: &str, compiled: &Compiled) -> String {
        let sql = format!("SELECT r.id FROM c_{table} AS r WHERE ({}) ORDER BY r.id", compiled.sql("r"));
        self.texts(sql, self.values(compiled)).join(" ")
    }

    fn compile(&self, table: &str, purpose: Purpose, text: &str) -> Result<Compiled, Error> {
        compile(&self.schema, table, &parse(text)?, purpose)
    }

    /// The ids of what an expression finds. Its negation must find the rest, and nothing twice; but nothing at all if
    /// something is asked of a stranger.
    fn found_in(&self, table: &str, purpose: Purpose, text: &str) -> String {
        let compiled = self.compile(table, purpose, text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        let found = self.select(table, &compiled);
        if let Ok(negated) = self.compile(table, purpose, &format!("!({text})")) {
            let rest = self.select(table, &negated);
            let asked = text.replace("has(auth.id)", "");
            if self.facts.auth_id.is_none() && CALLERS.iter().any(|it| asked.contains(it)) {
                assert_eq!(rest, "", "`!({text})` opens something to strangers");
                return found;
            }
            let mut both: Vec<_> = found.split(' ').chain(rest.split(' ')).filter(|it| !it.is_empty()).collect();
            both.sort_unstable();
            let all = self.texts(format!("SELECT id FROM c_{table} ORDER BY id"), Vec::new());
            assert_eq!(both, all, "`{text}` finds {found:?}, and its negation {rest:?}");
        }
        found
    }

    fn found(&self, text: &str) -> String {
        self.found_in("posts", Purpose::Rule, text)
    }

    /// Runs a table of expressions and what they find.
    fn finds(&self, promises: &[(&str, &str)]) {
        for (text, expected) in promises {
            assert_eq!(self.found(text), *expected, "{text}");
        }
    }
}

/// A text as an expression takes it.
fn literal(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|it| match it {
            '\'' | '\\' => format!("\\{it}"),
            '\n' => "\\n".to_owned(),
            it if it.is_control() => format!("\\u{:04x}", u32::from(it)),
            it => it.to_string(),
        })
        .collect();
    format!("'{escaped}'")
}
