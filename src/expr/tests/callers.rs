//! Who asks, what the request is, and what it would change.
use super::*;

const ALL: &str = "apple banana empty";

#[test]
fn a_caller_is_compared_with_what_is_theirs() {
    World::new().finds(&[
        ("author == auth.id", "apple"),
        ("auth.id == author", "apple"),
        ("author != auth.id", "banana empty"),
        ("author.id == auth.id", "apple"),
        ("parent.author == auth.id", "banana"),
        ("auth.id == 'ada'", ALL),
        ("auth.id != 'ada'", ""),
        ("auth.id != null", ALL),
        ("auth.id == null", ""),
        ("auth.id == auth.id", ALL),
        ("auth.role == 'user'", ALL),
        ("author.role == auth.role", "banana"),
        ("auth.email.endsWith('@example.com')", ALL),
        ("auth.email.startsWith(author)", "apple"),
        ("auth.verified", ALL),
        ("!auth.verified", ""),
        ("auth.verified == published", "apple"),
        ("auth.signedIn && published", "apple"),
        ("size(auth.id) == 3", ALL),
        ("posts_via_parent.exists(p, p.author != auth.id)", "apple"),
        ("auth.tier == 'gold'", ""),
        ("auth.tier != 'gold'", ""),
    ]);
}

/// An empty owner opens no record to whoever is not signed in, neither by `==` nor by `!=`.
#[test]
fn with_a_stranger_nothing_compares() {
    World::new().of(stranger()).finds(&[
        ("author == auth.id", ""),
        ("author != auth.id", ""),
        ("auth.id != author", ""),
        ("auth.id == null", ""),
        ("auth.id != null", ""),
        ("null != auth.id", ""),
        ("auth.id == auth.id", ""),
        ("auth.id != auth.id", ""),
        ("auth.id == auth.email", ""),
        ("auth.id != auth.role", ""),
        ("auth.role == 'user'", ""),
        ("auth.role != 'banned'", ""),
        ("auth.id < 'x'", ""),
        ("auth.id >= ''", ""),
        ("author in [auth.id]", ""),
        ("auth.id in ['ada']", ""),
        ("auth.id in tags", ""),
        ("title.contains(auth.id)", ""),
        ("auth.email.endsWith('')", ""),
        ("''.startsWith(auth.id)", ""),
        ("author.name == auth.id", ""),
        ("author.name != auth.id", ""),
        ("parent.author == auth.id", ""),
        ("extra.color == auth.id", ""),
        ("extra.color != auth.id", ""),
        ("auth.id + '' == note", ""),
        ("auth.id + 'x' != note", ""),
        ("size(auth.id) == size(note)", ""),
        ("size(auth.id) != size(note)", ""),
        ("size(auth.id) + 1 == size(note)", ""),
        ("-size(auth.id) == size(note)", ""),
        ("size(auth.id) * 2 != 4", ""),
        ("(published ? auth.id : auth.email) != note", ""),
        ("posts_via_parent.exists(p, p.author != auth.id)", ""),
        ("auth.signedIn", ""),
        ("auth.verified", ""),
        ("!auth.signedIn", ALL),
        ("auth.verified == false", ALL),
        ("has(auth.id)", ""),
        ("published || author == auth.id", "apple"),
    ]);
}

#[test]
fn the_request_is_known() {
    let world = World::new();
    world.finds(&[
        ("request.method == 'GET'", ALL),
        ("request.method in ['PATCH', 'PUT']", ""),
        ("request.ip == '192.0.2.1'", ALL),
        ("request.ip.startsWith('192.0.2.')", ALL),
        ("request.ip != '192.0.2.1'", ""),
    ]);
    world.of(stranger()).finds(&[("request.ip == null", ALL), ("request.ip == '192.0.2.1'", "")]);
}

fn writing(new: &[(&str, Constant)]) -> World {
    let new = new.iter().map(|(name, it)| ((*name).to_owned(), it.clone())).collect();
    World::new().of(Facts { new, ..facts() })
}

fn text(it: &str) -> Constant {
    Constant::Text(it.to_owned())
}

#[test]
fn a_rule_knows_what_would_change() {
    let world = writing(&[
        ("title", text("Apple")),
        ("views", Constant::Integer(10)),
        ("note", Constant::Null),
        ("score", Constant::Real(0.5)),
        ("secret", text("s")),
    ]);
    for (rule, expected) in [
        ("changed('title')", "banana empty"),
        ("!changed('title')", "apple"),
        ("changed('views')", "apple empty"),
        ("changed('note')", "banana"),
        ("changed('score')", "banana empty"),
        ("changed('secret')", "banana empty"),
        ("changed('author')", ""),
        ("!changed('author')", ALL),
        ("changed('title') == changed('views')", "empty"),
        ("author == auth.id && !changed('author')", "apple"),
    ] {
        assert_eq!(world.found_in("posts", Purpose::UpdateRule, rule), expected, "{rule}");
    }
    for (ids, expected) in
        [(r#"["second","first"]"#, "banana empty"), (r#"["first","second"]"#, ALL), ("[]", "apple banana")]
    {
        let world = writing(&[("pinned", text(ids))]);
        assert_eq!(world.found_in("posts", Purpose::UpdateRule, "changed('pinned')"), expected, "{ids}");
    }
    let nothing = writing(&[]);
    for field in ["title", "note", "views", "id", "createdAt"] {
        assert_eq!(nothing.found_in("posts", Purpose::UpdateRule, &format!("changed('{field}')")), "", "{field}");
    }
}

#[test]
fn a_rule_knows_what_is_sent() {
    let world = writing(&[
        ("title", text("banana")),
        ("views", Constant::Integer(10)),
        ("published", Constant::Integer(1)),
        ("publishedAt", Constant::Integer(moment(NOW))),
        ("tags", text(r#"["x"]"#)),
        ("author", text("ada")),
        ("note", Constant::Null),
    ]);
    for purpose in [Purpose::CreateRule, Purpose::UpdateRule] {
        for (rule, expected) in [
            ("request.body.title == 'banana'", ALL),
            ("request.body.title == title", "banana"),
            ("request.body.views > 9", ALL),
            ("request.body.views >= views", "apple banana"),
            ("request.body.published", ALL),
            ("request.body.publishedAt == now", ALL),
            ("request.body.publishedAt > '2026-01-01T00:00:00Z'", ALL),
            ("'x' in request.body.tags", ALL),
            ("'y' in request.body.tags", ""),
            ("size(request.body.tags) == 1", ALL),
            ("request.body.author == auth.id", ALL),
            ("request.body.author != auth.id", ""),
            ("request.body.note == null", ALL),
            ("request.body.parent == null", ALL),
            ("request.body.parent == parent", "apple empty"),
            ("has(request.body.title)", ALL),
            ("has(request.body.parent)", ""),
        ] {
            assert_eq!(world.found_in("posts", purpose, rule), expected, "{rule}");
        }
    }
}

#[test]
fn what_is_written_is_asked_for_only_where_it_is_known() {
    let world = World::new();
    for (text, purpose, words) in [
        ("changed('title')", Purpose::Filter, "for update rules"),
        ("changed('title')", Purpose::Rule, "for update rules"),
        ("changed('title')", Purpose::CreateRule, "for update rules"),
        ("request.body.title == ''", Purpose::Filter, "create and update rules"),
        ("request.body.title == ''", Purpose::Rule, "create and update rules"),
    ] {
        let error = world.compile("posts", purpose, text).expect_err(text);
        assert_eq!(error.code, "expression-not-supported", "{text}: {error:?}");
        assert!(error.detail.contains(words), "{text}: {error:?}");
    }
    let asks = |text: &str| world.compile("posts", Purpose::UpdateRule, text).expect("a rule").asks_for_changes();
    assert!(asks("changed('title')") && asks("request.body.title == 'a'") && !asks("title == 'a'"));
}

/// In memory it means what it means as a rule.
#[test]
fn a_condition_about_the_caller_alone_is_answered_alike_without_a_database() {
    let mut worlds = vec![World::new(), World::new().of(stranger())];
    let unverified = Facts { auth_verified: false, auth_role: Some("editor".to_owned()), ..facts() };
    worlds.push(World::new().of(unverified));
    let parts = [
        "true",
        "auth.signedIn",
        "auth.verified",
        "!auth.verified",
        "auth.role == 'user'",
        "auth.role != 'user'",
        "'user' == auth.role",
        "auth.id == null",
        "auth.id != null",
        "null != auth.tier",
        "auth.tier == auth.role",
        "auth.id != auth.role",
        "auth.role in ['user', 'editor']",
        "!(auth.role in [])",
        "auth.tier in ['gold']",
        "'user' in [auth.role, auth.id]",
        "has(auth.id)",
        "!has(auth.id)",
        "has(auth.tier)",
        "auth.verified == true",
        "auth.verified != auth.signedIn",
        "auth.email.endsWith('@example.com')",
        "auth.email.contains('nobody')",
        "auth.role.startsWith('e')",
        "'editors'.startsWith(auth.role)",
        "'a' == 'a'",
        "null == null",
        "!(auth.role == 'user')",
        "!!(auth.role != 'user')",
        "!(auth.tier == 'gold')",
    ];
    let joined = parts.iter().flat_map(|left| {
        let others = ["auth.role == 'user'", "!auth.signedIn", "!(auth.id == 'ada')"];
        others.into_iter().flat_map(move |right| [format!("{left} && {right}"), format!("!({left} || {right})")])
    });
    for text in parts.iter().map(|it| (*it).to_owned()).chain(joined) {
        let condition = CallerCondition::new(parse(&text).expect("parsed")).unwrap_or_else(|it| panic!("{text}: {it}"));
        for world in &worlds {
            let compiled = world.compile("posts", Purpose::Rule, &text).expect("compiled");
            let in_sql = world.select("posts", &compiled) == ALL;
            assert_eq!(condition.holds(&world.facts), in_sql, "{text} for {:?}", world.facts.auth_role);
        }
    }
}

#[test]
fn a_condition_about_the_caller_asks_about_nothing_else() {
    for text in [
        "title == 'a'",
        "now > timestamp('2026-01-02T03:04:05Z')",
        "request.method == 'GET'",
        "auth",
        "auth.id",
        "auth.name == 'a'",
        "auth.role == 1",
        "auth.role.matches('a')",
        "auth.role in tags",
        "changed('a')",
        "1 == 1",
        "auth.id.x == 'a'",
        "'a'",
    ] {
        let refused = parse(text).and_then(CallerCondition::new);
        assert!(refused.is_err(), "{text}");
    }
}
