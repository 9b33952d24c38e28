//! Whatever is sent as an expression or as a condition becomes SQL that SQLite takes, or a refusal. Never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steading::base::TenantId;
use steading::db::{self, Db, Tx, Value};
use steading::expr::{self, Compiled, Condition, Error, Facts, Field, Kind, Purpose, Schema, Table, View};
use tokio::runtime::{Builder, Runtime};

const CODES: [&str; 5] = [
    "expression-malformed",
    "expression-too-long",
    "expression-unknown-field",
    "expression-type",
    "expression-not-supported",
];

struct World {
    schema: Schema,
    database: Db,
    runtime: Runtime,
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
        is_computed: false,
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
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    // The server's own, so that its functions and its limits are those that count.
    let database = Db::in_memory().expect("a database");
    let main = TenantId::main();
    database.create_tenant(&main).expect("a tenant");
    let table = |it: &Table| {
        let columns: Vec<_> = it.fields.iter().map(|it| format!("\"{}\" ANY", it.name)).collect();
        format!("CREATE TABLE {} ({}) STRICT;", it.sql_name, columns.join(", "))
    };
    let sql: String = tables.iter().map(table).collect();
    let made = database.write_alone::<_, db::Error>(&main, move |tx| tx.batch(&sql));
    runtime.block_on(made).expect("tables");
    World { schema: Schema::new(tables), database, runtime }
}

impl World {
    fn takes(&self, compiled: &Compiled) {
        let sql = format!("SELECT 1 FROM c_posts AS r WHERE ({})", compiled.sql("r"));
        let facts = Facts::default();
        let values: Vec<Value<'static>> = compiled.binds().iter().map(|it| it.resolve(&facts).into()).collect();
        let asked = sql.clone();
        let read = move |tx: &mut Tx<'_>| tx.find(&asked, &values, |row| row.integer(0));
        let outcome = self.runtime.block_on(self.database.read::<_, db::Error>(&TenantId::main(), read));
        // A question may take too long; it may not be one that cannot be asked.
        assert!(matches!(outcome, Ok(_) | Err(db::Error::BudgetSpent)), "{outcome:?}: {sql}");
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
