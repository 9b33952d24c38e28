//! Whatever is sent as an expression or as a condition becomes SQL that SQLite takes, or a refusal. Never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rusqlite::limits::Limit;
use rusqlite::{Connection, functions::FunctionFlags};
use steading::expr::{self, Compiled, Condition, Error, Field, Kind, Purpose, Schema, Table, View};

const CODES: [&str; 5] = [
    "expression-malformed",
    "expression-too-long",
    "expression-unknown-field",
    "expression-type",
    "expression-not-supported",
];

struct World {
    schema: Schema,
    database: Connection,
}

fn table(name: &str, view: View, fields: &[(&str, Kind)]) -> Table {
    let known = [("id", Kind::Text), ("createdAt", Kind::Moment), ("updatedAt", Kind::Moment)];
    let field =
        |(name, kind): &(&str, Kind)| Field { name: (*name).to_owned(), kind: kind.clone(), hidden: *name == "secret" };
    Table {
        name: name.to_owned(),
        sql_name: format!("c_{name}"),
        fields: known.iter().chain(fields).map(field).collect(),
        view,
    }
}

fn world() -> World {
    let to = |table: &str| Kind::Reference(table.to_owned());
    let rule = expr::parse("approved || author == auth.id || post.author.name == 'Ada'").expect("a rule");
    let comments = [("text", Kind::Text), ("approved", Kind::Bool), ("post", to("posts")), ("author", to("users"))];
    let posts = [
        ("title", Kind::Text),
        ("secret", Kind::Text),
        ("views", Kind::Integer),
        ("score", Kind::Number),
        ("published", Kind::Bool),
        ("publishedAt", Kind::Moment),
        ("tags", Kind::List),
        ("extra", Kind::Json),
        ("author", to("users")),
        ("parent", to("posts")),
        ("best", to("comments")),
    ];
    let tables = [
        table("users", View::Anyone, &[("name", Kind::Text)]),
        table("posts", View::Anyone, &posts),
        table("comments", View::When(rule), &comments),
        table("letters", View::Nobody, &[("post", to("posts"))]),
    ];
    let database = Connection::open_in_memory().expect("a database");
    database.create_scalar_function("unicode_lower", 1, FunctionFlags::default(), |_| Ok("")).expect("a function");
    for table in &tables {
        let columns: Vec<_> = table.fields.iter().map(|it| format!("\"{}\" ANY", it.name)).collect();
        let sql = format!("CREATE TABLE {} ({}) STRICT", table.sql_name, columns.join(", "));
        database.execute_batch(&sql).expect("a table");
    }
    // As the server sets them.
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 20),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 32),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 10_000),
    ] {
        database.set_limit(limit, most).expect("a limit");
    }
    World { schema: Schema::new(tables), database }
}

impl World {
    fn takes(&self, compiled: &Compiled) {
        let sql = format!("SELECT 1 FROM c_posts AS r WHERE ({})", compiled.sql("r"));
        let statement = self.database.prepare(&sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        assert!(statement.parameter_count() <= compiled.binds().len());
    }
}

fn refuses(text: &str, error: &Error) {
    assert!(CODES.contains(&error.code) && !error.detail.is_empty(), "{error:?}");
    assert!(error.position.is_none_or(|it| it <= text.chars().count()), "{error:?}");
}

thread_local! {
    static WORLD: World = world();
}

fuzz_target!(|text: &str| {
    WORLD.with(|world| {
        match expr::parse(text) {
            Ok(expression) => {
                for purpose in [Purpose::Filter, Purpose::Rule, Purpose::CreateRule, Purpose::UpdateRule] {
                    match expr::compile(&world.schema, "posts", &expression, purpose) {
                        Ok(compiled) => world.takes(&compiled),
                        Err(error) => refuses(text, &error),
                    }
                }
            }
            Err(error) => refuses(text, &error),
        }
        let mut asked = Vec::new();
        for line in text.lines() {
            let mut parts = line.splitn(3, ' ').map(ToOwned::to_owned);
            if let (Some(path), Some(operator), Some(value)) = (parts.next(), parts.next(), parts.next()) {
                asked.push(Condition { parameter: String::new(), path, operator, value });
            }
        }
        match expr::compile_conditions(&world.schema, "posts", &asked) {
            Ok(compiled) => world.takes(&compiled),
            Err(errors) => errors.iter().for_each(|(_, error)| refuses("", error)),
        }
    });
});
