//! Conditions leave the indexes usable: what is asked of an indexed field is looked up, not read through.
use super::*;

fn indexed() -> World {
    let world = World::new();
    world.write(|tx| {
        tx.batch(
            "CREATE INDEX by_title ON c_posts (title);
             CREATE INDEX by_views ON c_posts (views);
             CREATE INDEX by_score ON c_posts (score);
             CREATE INDEX by_publishedAt ON c_posts (\"publishedAt\");
             CREATE INDEX by_published ON c_posts (published, views);
             CREATE INDEX by_author ON c_posts (author);
             CREATE INDEX by_parent ON c_posts (parent);
             CREATE INDEX by_name ON c_users (name);
             CREATE INDEX by_post ON c_comments (post);",
        )
    });
    world
}

impl World {
    /// How SQLite goes about a condition, one step a line.
    fn plan(&self, compiled: &Compiled, order: &str) -> String {
        let sql = format!("EXPLAIN QUERY PLAN SELECT r.id FROM c_posts AS r WHERE ({}) {order}", compiled.sql("r"));
        let values = self.values(compiled);
        let read = move |tx: &mut Tx<'_>| tx.query(&sql, &values, |row| row.text(3).map(ToOwned::to_owned));
        self.runtime.block_on(self.db.read::<_, db::Error>(&TenantId::main(), read)).expect("a plan").join("\n")
    }
}

#[test]
fn what_is_asked_of_an_indexed_field_is_looked_up() {
    let world = indexed();
    for (text, index) in [
        ("title == 'a'", "by_title (title=?)"),
        ("'a' == title", "by_title (title=?)"),
        ("title == null", "by_title (title=?)"),
        ("title in ['a', 'b']", "by_title (title=?)"),
        ("title.startsWith('a')", "by_title (title>? AND title<?)"),
        ("title.startsWith('\u{10ffff}')", "by_title (title>?)"),
        ("title > 'a'", "by_title (title>?)"),
        ("title > 'a' && title < 'b'", "by_title (title>? AND title<?)"),
        ("title == auth.email", "by_title (title=?)"),
        ("title == request.ip", "by_title (title=?)"),
        ("views == 1", "by_views (views=?)"),
        ("views == 1.5", "by_views (views=?)"),
        ("views < 10", "by_views (views<?)"),
        ("views >= 1 && views <= 10", "by_views (views>? AND views<?)"),
        ("views in [1, 2, 3]", "by_views (views=?)"),
        ("score == 1", "by_score (score=?)"),
        ("score > 0.5", "by_score (score>?)"),
        ("publishedAt < now", "by_publishedAt (publishedAt<?)"),
        ("publishedAt > now - duration('1h')", "by_publishedAt (publishedAt>?)"),
        ("publishedAt == '2026-01-01T00:00:00Z'", "by_publishedAt (publishedAt=?)"),
        ("published", "by_published (published=?)"),
        ("published == false && views > 5", "by_published (published=? AND views>?)"),
        ("author == auth.id", "by_author (author=?)"),
        ("id == 'apple'", "(id=?)"),
        ("id in ['apple', 'banana']", "(id=?)"),
    ] {
        let compiled = world.compile("posts", Purpose::Rule, text).expect(text);
        let plan = world.plan(&compiled, "");

        assert!(plan.contains("SEARCH r USING") && plan.contains(index), "{text}:\n{plan}");
        assert!(!plan.contains("SCAN"), "{text}:\n{plan}");
    }
}

/// Both sides of `||` are looked up, and a condition with no index beside one with one costs nothing.
#[test]
fn conditions_that_are_joined_are_looked_up() {
    let world = indexed();
    for (text, index) in [
        ("title == 'a' || views == 1", "MULTI-INDEX OR"),
        ("note == 'x' && title == 'a'", "by_title (title=?)"),
        ("title == 'a' && !(note == 'x')", "by_title (title=?)"),
        ("title == 'a' && note != 'x'", "by_title (title=?)"),
        ("(note == 'x' || note == 'y') && title.startsWith('a')", "by_title (title>? AND title<?)"),
    ] {
        let compiled = world.compile("posts", Purpose::Filter, text).expect(text);
        let plan = world.plan(&compiled, "");

        assert!(plan.contains(index) && !plan.contains("SCAN"), "{text}:\n{plan}");
    }
}

/// A range in the order of its field needs no sorting.
#[test]
fn a_range_comes_in_order() {
    let world = indexed();
    for (text, order, index) in [
        ("views > 5", "r.views, r.id", "by_views (views>?)"),
        ("views > 5", "r.views DESC", "by_views (views>?)"),
        ("title.startsWith('a')", "r.title", "by_title (title>? AND title<?)"),
        ("publishedAt < now", "r.\"publishedAt\" DESC", "by_publishedAt (publishedAt<?)"),
        ("published && views > 5", "r.views", "by_published (published=? AND views>?)"),
        ("published", "r.views DESC", "by_published (published=?)"),
    ] {
        let compiled = world.compile("posts", Purpose::Filter, text).expect(text);
        let plan = world.plan(&compiled, &format!("ORDER BY {order}"));

        assert!(plan.contains("SEARCH r USING") && plan.contains(index), "{text}:\n{plan}");
        let sorts_all = plan.contains("USE TEMP B-TREE FOR ORDER BY");
        assert!(!sorts_all, "{text}:\n{plan}");
    }
}

/// A relation is asked from its far end, where the index is.
#[test]
fn relations_are_looked_up_from_their_far_end() {
    let world = indexed();
    for (text, steps) in [
        ("author.name == 'Ada'", vec!["SEARCH r USING INDEX by_author (author=?)", "by_name (name=?)"]),
        (
            "author.name.startsWith('A')",
            vec!["SEARCH r USING INDEX by_author (author=?)", "by_name (name>? AND name<?)"],
        ),
        ("author.name in ['Ada', 'Bob']", vec!["SEARCH r USING INDEX by_author (author=?)", "by_name (name=?)"]),
        ("parent.author.name == 'Ada'", vec!["by_parent (parent=?)", "by_author (author=?)", "by_name (name=?)"]),
        ("title == 'a' && comments_via_post.exists(c, c.approved)", vec!["by_title (title=?)", "by_post (post=?)"]),
    ] {
        for purpose in [Purpose::Rule, Purpose::Filter] {
            let compiled = world.compile("posts", purpose, text).expect(text);
            let plan = world.plan(&compiled, "");

            assert!(steps.iter().all(|it| plan.contains(it)) && !plan.contains("SCAN"), "{text}:\n{plan}");
        }
    }
}

#[test]
fn conditions_of_parameters_are_looked_up_too() {
    let world = indexed();
    for (path, operator, value, index) in [
        ("title", "eq", "a", "by_title (title=?)"),
        ("title", "startsWith", "a", "by_title (title>? AND title<?)"),
        ("views", "gte", "10", "by_views (views>?)"),
        ("views", "in", "1,2", "by_views (views=?)"),
        ("title", "isNull", "true", "by_title (title=?)"),
    ] {
        let (parameter, path) = (String::new(), path.to_owned());
        let asked = Condition { parameter, path, operator: operator.to_owned(), value: value.to_owned() };
        let compiled = compile_conditions(&world.schema, "posts", &[asked]).expect("conditions");
        let plan = world.plan(&compiled, "");

        assert!(plan.contains(index) && !plan.contains("SCAN"), "{operator}:\n{plan}");
    }
}
