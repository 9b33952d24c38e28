//! Relations, forwards and backwards, and what of them a client may see.
use super::*;

const ALL: &str = "apple banana empty";

fn client(world: &World, text: &str) -> String {
    world.found_in("posts", Purpose::Filter, text)
}

#[test]
fn a_path_leads_along_relations() {
    World::new().finds(&[
        ("author.name == 'Ada'", "apple"),
        ("author.name != 'Ada'", "banana empty"),
        ("author.name == null", "empty"),
        ("author.id == 'bob'", "banana"),
        ("author.name < 'B'", "apple"),
        ("author.name.contains('o')", "banana"),
        ("author.name.icontains('ADA')", "apple"),
        ("author.name.startsWith('B')", "banana"),
        ("author.name.endsWith('b')", "banana"),
        ("parent.author.name == 'Ada'", "banana"),
        ("parent.parent.author.name == 'Ada'", ""),
        ("parent.parent.author.name == null", ALL),
        ("parent.title == note", "apple banana empty"),
        ("parent.author.name != author.name", "apple banana"),
        ("author.role == author.name", "empty"),
        ("size(author.name) == 3", "apple banana"),
        ("author.name + author.role == 'Bobuser'", "banana"),
        ("'Ada Lovelace'.startsWith(author.name)", "apple"),
        ("parent.views + views == 11", "banana"),
        ("parent.published", "banana"),
        ("parent.publishedAt < now", "banana"),
        ("author.name == 'Ada' || parent.author.name == 'Ada'", "apple banana"),
        ("letter.text == 'dear'", "apple"),
        ("secretly.name == 'Ada' && secret == 's'", "apple"),
        (".title == 'Apple'", "apple"),
    ]);
}

#[test]
fn a_relation_that_leads_nowhere_is_null_at_its_end() {
    let world = World::new();
    world.add("posts", &[("lost", json!({ "author": "nobody", "parent": "gone" }))]);

    world.finds(&[
        ("author.name == null", "empty lost"),
        ("author == 'nobody'", "lost"),
        ("author.name != 'Ada'", "banana empty lost"),
        ("parent.views > 0", "banana"),
        ("!(parent.views > 0)", "apple empty lost"),
    ]);
}

#[test]
fn what_refers_to_a_record_is_asked_with_exists() {
    World::new().finds(&[
        ("comments_via_post.exists(c, true)", "apple banana"),
        ("!comments_via_post.exists(c, true)", "empty"),
        ("comments_via_post.exists(c, c.approved)", "apple"),
        ("comments_via_post.exists(c, !c.approved)", "apple banana"),
        ("comments_via_post.exists(c, c.approved == null)", "banana"),
        ("comments_via_post.exists(c, c.text == 'third')", "banana"),
        ("comments_via_post.exists(c, c.text.startsWith('t') && views == 10)", "banana"),
        ("comments_via_post.exists(c, c.text > title)", "apple banana"),
        ("comments_via_post.exists(c, c.post == id)", "apple banana"),
        ("comments_via_post.exists(c, c.post.title == title)", "apple banana"),
        ("comments_via_post.exists(title, title.text == 'first')", "apple"),
        ("comments_via_post.exists(auth, auth.text == 'first')", "apple"),
        ("comments_via_post.exists(c, c.post.comments_via_post.exists(d, d.text > c.text))", "apple"),
        ("comments_via_post.exists(c, comments_via_post.exists(c, c.approved))", "apple"),
        ("posts_via_parent.exists(p, p.author.name == 'Bob')", "apple"),
        ("parent.comments_via_post.exists(c, c.approved)", "banana"),
        ("author.posts_via_author.exists(p, p.views == 10)", "banana"),
        ("letters_via_post.exists(l, l.text == 'dear')", "apple"),
        ("comments_via_secretPost.exists(c, true)", "banana"),
        ("comments_via_post.exists(c, c.approved) == true", "apple"),
        ("comments_via_post.exists(c, c.approved) ? true : views == 10", "apple banana"),
    ]);
}

#[test]
fn what_a_list_refers_to_is_asked_with_in_size_and_exists() {
    World::new().finds(&[
        ("'first' in pinned", "apple"),
        ("'nobody' in pinned", ""),
        ("id in pinned", ""),
        ("'first' in parent.pinned", "banana"),
        ("auth.id in pinned", ""),
        ("size(pinned) == 2", "apple"),
        ("pinned.size() == 0", "empty"),
        ("size(parent.pinned) == 2", "banana"),
        ("size(parent.pinned) == size(parent.title)", "apple empty"),
        ("pinned == null", ""),
        ("parent.pinned == null", "apple empty"),
        ("pinned.exists(c, c.approved)", "apple"),
        ("pinned.exists(c, c.post == id)", "apple banana"),
        ("pinned.exists(c, c.post.title == 'Apple' && views == 1)", "apple"),
        ("parent.pinned.exists(c, c.text == 'second')", "banana"),
        ("pinned.exists(c, c.posts_via_pinned.exists(p, p.views == 10))", "banana"),
        ("comments_via_post.exists(c, c.posts_via_pinned.exists(p, p.id == id))", "apple banana"),
        ("pinned.exists(c, c.text == 'first') == comments_via_post.exists(c, c.text == 'first')", ALL),
        ("secrets.exists(u, u.name == 'Ada')", "apple"),
    ]);
}

/// The record is not there yet, and what it would refer to stands in it.
#[test]
fn a_list_of_a_record_that_is_not_there_yet_is_asked_in_the_same_words() {
    let world = World::new();
    for (rule, expected) in [
        ("'first' in pinned", true),
        ("'second' in pinned", false),
        ("size(pinned) == 2", true),
        ("pinned.exists(c, c.approved)", true),
        ("pinned.exists(c, c.text == 'second')", false),
        ("'second' in parent.pinned", true),
        ("parent.pinned.exists(c, c.text == 'second')", true),
        ("request.body.pinned == null", true),
    ] {
        let compiled = world.compile("posts", Purpose::CreateRule, rule).expect(rule);
        let sql = format!(
            "SELECT '' FROM (SELECT 'new' AS id, '[\"first\", \"third\"]' AS \"pinned\", 'apple' AS \"parent\") AS r \
             WHERE ({})",
            compiled.sql("r")
        );
        assert_eq!(!world.texts(sql, world.values(&compiled)).is_empty(), expected, "{rule}");
    }
}

/// A filter sees what its caller may view; a rule sees everything.
#[test]
fn a_filter_reaches_only_what_may_be_viewed() {
    let world = World::new();
    for (text, as_client, as_rule) in [
        ("comments_via_post.exists(c, true)", "apple", "apple banana"),
        ("comments_via_post.exists(c, c.text == 'first')", "apple", "apple"),
        ("comments_via_post.exists(c, c.text == 'second')", "", "apple"),
        ("!comments_via_post.exists(c, c.text == 'second')", ALL, "banana empty"),
        ("letters_via_post.exists(l, true)", "", "apple"),
        ("letter.text == 'dear'", "", "apple"),
        ("letter.text != 'dear'", ALL, "banana empty"),
        ("letter.text == null", ALL, "banana empty"),
        ("has(letter.text)", "", "apple"),
        ("letter.text.endsWith('')", "", "apple"),
        ("size(letter.text) > 0", "", "apple"),
        ("letter != null", "apple", "apple"),
        ("parent.letter.text == 'dear'", "", "banana"),
        ("parent.comments_via_post.exists(c, c.text == 'second')", "", "banana"),
        ("letter.post.title == 'Apple'", "", "apple"),
        ("author.name == 'Ada'", "apple", "apple"),
        ("pinned.exists(c, true)", "apple", "apple banana"),
        ("pinned.exists(c, c.text == 'second')", "", "apple"),
        ("'second' in pinned", "apple", "apple"),
        ("comments_via_post.exists(c, c.posts_via_pinned.exists(p, p.views == 10))", "", "banana"),
    ] {
        assert_eq!(client(&world, text), as_client, "{text} as a client");
        assert_eq!(world.found(text), as_rule, "{text} as a rule");
    }
    assert_eq!(world.found_in("comments", Purpose::Filter, "post.comments_via_post.exists(c, true)"), "first second");
}

/// The rule on the way is asked about the record there, not about the one the filter is about.
#[test]
fn the_rule_on_the_way_means_the_record_that_is_reached() {
    let mut tables: Vec<Table> =
        ["users", "posts", "comments", "letters"].map(|it| schema().table(it).expect("a table").clone()).into();
    let rule = "title == 'Apple' || comments_via_post.exists(c, c.text == auth.id)";
    tables[1].view = View::When(parse(rule).expect("a rule"));
    let world = World { schema: Schema::new(tables), ..World::new() };

    assert_eq!(client(&world, "parent.views == 1"), "banana");
    assert_eq!(client(&world, "title == 'banana' && parent.views == 1"), "banana");
    assert_eq!(world.found_in("comments", Purpose::Filter, "post.views > 0"), "first second");
    assert_eq!(client(&world, "posts_via_parent.exists(p, true)"), "", "the banana is out of sight");
    world.add("comments", &[("key", json!({ "text": "ada", "post": "banana" }))]);
    assert_eq!(client(&world, "posts_via_parent.exists(p, true)"), "apple");
}

#[test]
fn to_a_client_a_hidden_field_is_not_there() {
    let world = World::new();
    for text in [
        "secret == 's'",
        "secret != null",
        "secretly == 'ada'",
        "secretly.name == 'Ada'",
        "parent.secret == 's'",
        "has(parent.secret)",
        "parent.secretly.name == 'Ada'",
        "size(secret) == 1",
        "'s'.contains(secret)",
        "(secret == null) == true",
        "posts_via_parent.exists(p, p.secret == 's')",
        "comments_via_post.exists(c, c.secretPost != null)",
        "secrets.exists(u, true)",
        "'ada' in secrets",
        "parent.secrets.size() == 1",
        "author.posts_via_secrets.exists(p, true)",
    ] {
        let hidden = world.compile("posts", Purpose::Filter, text).expect_err(text);
        let missing = world.compile("posts", Purpose::Filter, &text.replace("secret", "zzzzzz")).expect_err(text);

        assert_eq!(hidden.code, "expression-unknown-field", "{text}");
        assert_eq!(hidden.detail.replace("secret", "zzzzzz"), missing.detail, "{text}");
        assert_eq!(hidden.position, missing.position, "{text}");
        assert!(world.compile("posts", Purpose::Rule, text).is_ok(), "{text}: a rule may use it");
    }
    let hidden =
        world.compile("posts", Purpose::Filter, "comments_via_secretPost.exists(c, true)").expect_err("hidden");
    let missing = world.compile("posts", Purpose::Filter, "comments_via_zzzzzzPost.exists(c, true)").expect_err("none");
    assert_eq!(hidden.detail.replace("secret", "zzzzzz"), missing.detail);
    let near = world.compile("posts", Purpose::Filter, "secre == 's'").expect_err("unknown");
    assert_eq!(near.detail, "no field `secre`", "it is not suggested either");
    assert_eq!(
        world.schema.seen_by(&|_, _| true).table("posts").map(|it| it.fields.iter().any(|it| it.hidden)),
        Some(false)
    );
}
