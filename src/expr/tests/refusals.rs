//! What cannot be: each refusal has a code, words, and a place.
use super::*;

fn refused(world: &World, purpose: Purpose, text: &str) -> Error {
    match world.compile("posts", purpose, text) {
        Ok(compiled) => panic!("{text} became {compiled:?}"),
        Err(error) => error,
    }
}

fn refuses(promises: &[(&str, &str, usize, &str)]) {
    let world = World::empty();
    for (text, code, position, words) in promises {
        for purpose in [Purpose::Filter, Purpose::Rule, Purpose::CreateRule, Purpose::UpdateRule] {
            let error = refused(&world, purpose, text);
            assert_eq!((error.code, error.position), (*code, Some(*position)), "{text}: {error:?}");
            assert!(error.detail.contains(words), "{text}: {error:?}");
        }
    }
}

#[test]
fn an_unknown_name_is_refused_with_a_suggestion() {
    refuses(&[
        ("titel == 'a'", "expression-unknown-field", 0, "did you mean `title`?"),
        ("published && titel == 'a'", "expression-unknown-field", 13, "did you mean `title`?"),
        ("'ä€😀' == title && titel == 'a'", "expression-unknown-field", 18, "`titel`"),
        ("true &&\n  titel == 'a'", "expression-unknown-field", 10, "`titel`"),
        ("nothing_like_it == 1", "expression-unknown-field", 0, "no field `nothing_like_it`"),
        ("author.nam == 'a'", "expression-unknown-field", 6, "did you mean `name`?"),
        ("title.x == 'a'", "expression-type", 5, "`title` has no parts"),
        ("author.name.x == 'a'", "expression-type", 11, "`name` has no parts"),
        ("auth == 'a'", "expression-unknown-field", 0, "of `auth` there are"),
        ("auth.name == 'a'", "expression-unknown-field", 4, "of `auth` there are"),
        ("auth.id.x == 'a'", "expression-unknown-field", 7, "of `auth` there are"),
        ("request.path == 'a'", "expression-unknown-field", 7, "of `request` there are"),
        ("now.year == 1", "expression-unknown-field", 3, "no field `now`"),
        ("c.approved", "expression-unknown-field", 1, "no field `c`"),
        ("comments_via_post.exists(c, true) && c.approved", "expression-unknown-field", 38, "no field `c`"),
        ("comments_via_post.exists(c, c.titel == 'a')", "expression-unknown-field", 29, "no field `titel`"),
        ("comments_via_author.exists(c, true)", "expression-unknown-field", 26, "`<collection>_via_<field>`"),
        ("users_via_author.exists(c, true)", "expression-unknown-field", 23, "no relation back to `posts`"),
        ("tags.exists(t, t == 'a')", "expression-type", 11, "does not refer to several"),
        ("comments_via_post.exists(c, c == 'a')", "expression-type", 28, "`c` is a record"),
    ]);
}

#[test]
fn a_condition_is_true_or_false_and_nothing_else() {
    refuses(&[
        ("title", "expression-type", 0, "`title` is a text"),
        ("views", "expression-type", 0, "`views` is a whole number"),
        ("!score", "expression-type", 1, "`score` is a number"),
        ("published && tags", "expression-type", 13, "`tags` is a list"),
        ("now", "expression-type", 0, "`now` is a time"),
        ("author", "expression-type", 0, "`author` is a text"),
        ("auth.id", "expression-type", 4, "`auth.id` is a text"),
        ("'a'", "expression-type", 0, "must be true or false"),
        ("1", "expression-type", 0, "must be true or false"),
        ("null", "expression-type", 0, "must be true or false"),
        ("views + 1", "expression-type", 6, "must be true or false"),
        ("-views", "expression-type", 0, "must be true or false"),
        ("size(title)", "expression-type", 4, "must be true or false"),
        ("timestamp('2026-01-01T00:00:00Z')", "expression-type", 9, "must be true or false"),
        ("['a']", "expression-type", 0, "must be true or false"),
        ("views ? true : false", "expression-type", 0, "`views` is a whole number"),
        ("published ? 1 : 2", "expression-type", 12, "must be true or false"),
    ]);
}

#[test]
fn what_is_not_alike_is_not_compared() {
    refuses(&[
        ("title == 1", "expression-type", 6, "`title` is a text, and the other side is a whole number"),
        ("1 == title", "expression-type", 2, "`title` is a text"),
        ("views == 'a'", "expression-type", 6, "`'a'` is a text"),
        ("views < 'a'", "expression-type", 6, "cannot be compared"),
        ("published == 1", "expression-type", 10, "`published` is true or false"),
        ("published < true", "expression-type", 10, "`published` has no order"),
        ("title == published", "expression-type", 6, "cannot be compared"),
        ("author == 1", "expression-type", 7, "cannot be compared"),
        ("title + 1 == 'a1'", "expression-type", 6, "cannot be reckoned with"),
        ("title - 'a' == ''", "expression-type", 6, "cannot be reckoned with"),
        ("views % 1.5 == 1", "expression-type", 6, "cannot be reckoned with"),
        ("published + 1 == 2", "expression-type", 10, "cannot be reckoned with"),
        ("null + 1 == 2", "expression-type", 5, "cannot be reckoned with"),
        ("-title == 'a'", "expression-type", 0, "`-` is for numbers"),
        ("views.contains('a')", "expression-type", 14, "`views` is a whole number"),
        ("title.contains(1)", "expression-type", 14, "is for texts"),
        ("title.startsWith(null)", "expression-type", 16, "is for texts"),
        ("size(views) == 1", "expression-type", 4, "`views` is a whole number"),
        ("size(null) == 1", "expression-type", 4, "`size` is for texts and lists"),
        ("(published ? 1 : 'a') == 1", "expression-type", 11, "both sides of `:` must be alike"),
        ("(published ? title : null) == 'a'", "expression-type", 11, "both sides of `:` must be alike"),
    ]);
}

#[test]
fn what_this_language_lacks_is_named() {
    refuses(&[
        ("title.matches('a')", "expression-not-supported", 13, "regular expressions are not taken"),
        ("title.matches('a') == true", "expression-not-supported", 13, "regular expressions are not taken"),
        ("title.lenght() > 1", "expression-not-supported", 12, "there is no function `lenght`"),
        ("title.containz('a')", "expression-not-supported", 14, "did you mean `contains`?"),
        ("nope()", "expression-not-supported", 4, "there is no function `nope`"),
        ("nope() == 1", "expression-not-supported", 4, "there is no function `nope`"),
        ("contains(title, 'a')", "expression-not-supported", 8, "`name.contains('part')`"),
        ("title.contains('a', 'b')", "expression-not-supported", 14, "`name.contains('part')`"),
        ("title.startsWith()", "expression-not-supported", 16, "`name.startsWith('part')`"),
        ("size() == 1", "expression-not-supported", 4, "`size(name)`"),
        ("timestamp('a', 'b') == now", "expression-not-supported", 9, "`timestamp('"),
        ("now + duration() > now", "expression-not-supported", 14, "`duration('"),
        ("comments_via_post.all(c, c.approved)", "expression-not-supported", 21, "only `exists`"),
        ("comments_via_post.exists_one(c, c.approved)", "expression-not-supported", 28, "only `exists`"),
        ("comments_via_post.map(c, c.text) == ['a']", "expression-not-supported", 21, "only `exists`"),
        ("comments_via_post.filter(c, c.approved) == []", "expression-not-supported", 24, "only `exists`"),
        ("[1, 2].exists(x, x == 1)", "expression-not-supported", 13, "or of one backwards"),
        ("[1].map(x, x) == [1]", "expression-not-supported", 7, "only `exists`"),
        ("{'a': 1}.a == 1", "expression-not-supported", 8, "a dot follows a name"),
        ("size(title).x == 1", "expression-not-supported", 11, "a dot follows a name"),
        ("{'a': 1} == null", "expression-not-supported", 0, "there are no maps"),
        ("Post{title: 'a'} == null", "expression-not-supported", 4, "there are no maps"),
        ("b'a' == title", "expression-not-supported", 1, "no letter before its quote"),
        ("r'a' == title", "expression-not-supported", 1, "no letter before its quote"),
        ("`title` == 'a'", "expression-not-supported", 0, "without quotes"),
        ("title == 'a' // why", "expression-not-supported", 13, "comments"),
        ("has(title)", "expression-malformed", 4, "from here"),
    ]);
    let world = World::empty();
    let error = refused(&world, Purpose::UpdateRule, "changed(title)");
    assert_eq!((error.code, error.position), ("expression-type", Some(7)), "{error:?}");
    let error = refused(&world, Purpose::UpdateRule, "changed('titel')");
    assert_eq!((error.code, error.detail.as_str()), ("expression-unknown-field", "no field `titel`"));
    let error = refused(&world, Purpose::CreateRule, "request.body.titel == 'a'");
    assert_eq!((error.code, error.position), ("expression-unknown-field", Some(12)), "{error:?}");
    let error = refused(&world, Purpose::CreateRule, "request.body.author.name == 'a'");
    assert_eq!(error.code, "expression-not-supported", "{error:?}");
}

#[test]
fn habits_from_elsewhere_get_a_hint() {
    for (text, position, words) in [
        ("title = 'a'", 6, "write `==`"),
        ("title === 'a'", 8, "write `==`"),
        ("published & true", 10, "write `&&`"),
        ("published | true", 10, "write `||`"),
        ("title ~ 'a'", 6, "contains"),
        ("published AND true", 10, "`&&`"),
        ("published or true", 10, "`||`"),
        ("not published", 0, "`!`"),
        ("title like 'a%'", 6, "contains"),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!((error.code, error.position), ("expression-malformed", Some(position)), "{text}: {error:?}");
        assert!(error.detail.contains(words), "{text}: {error:?}");
    }
    for text in ["and == 'a'", "or.x == 'a'", "not != 'a'", "like in ['a']", "title == 'a & b | c = d ~ e and f'"] {
        let error = parse(text).err();
        assert!(error.is_none() || text.contains(" in "), "{text}: {error:?}");
    }
}

#[test]
fn what_cannot_be_understood_is_refused_where_it_ends_to_be() {
    for (text, position) in [
        ("(", Some(1)),
        (")", Some(0)),
        ("title ==", Some(8)),
        ("== 'a'", Some(0)),
        ("title == 'a')", Some(12)),
        ("title == 'a' 'b'", Some(13)),
        ("title == == 'a'", Some(9)),
        ("'äöü€😀' == title title", Some(17)),
        ("true &&\n  title title", Some(16)),
        ("published ? true", Some(16)),
        ("title..x == 'a'", Some(6)),
        ("1.5.5 == 1", Some(3)),
        ("if == 'a'", Some(0)),
        ("title == '\\q'", Some(9)),
        ("title == '\\ud800'", Some(10)),
        ("title == '\\U00110000'", Some(9)),
        ("title == 'a", Some(9)),
        ("title == \"a'", Some(9)),
        ("title == 'a\nb'", Some(9)),
        ("title == '''a'''", Some(9)),
        ("title == '\\'", Some(9)),
        ("title == #", Some(9)),
        ("title == €", Some(9)),
        ("title\r== 'a'", Some(5)),
        ("title\u{1b} == 'a'", Some(5)),
        ("\u{0}", Some(0)),
        ("", None),
        ("   ", None),
        ("\n\t", None),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!((error.code, error.position), ("expression-malformed", position), "{text:?}: {error:?}");
    }
}

#[test]
fn a_table_that_is_not_there_is_a_refusal_too() {
    let error = compile(&schema(), "nope", &parse("true").expect("fits"), Purpose::Filter).expect_err("refused");

    assert_eq!((error.code, error.detail.as_str()), ("expression-unknown-field", "there is no collection `nope`"));
}
