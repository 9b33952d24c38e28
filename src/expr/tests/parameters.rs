//! Conditions that come as parameters: `where[views][gte]=10`.
use super::*;

fn asked(path: &str, operator: &str, value: &str) -> Condition {
    let parameter = format!("where[{path}][{operator}]");
    Condition { parameter, path: path.to_owned(), operator: operator.to_owned(), value: value.to_owned() }
}

fn found(world: &World, conditions: &[Condition]) -> String {
    let compiled = compile_conditions(&world.schema, "posts", conditions).expect("conditions");
    world.select("posts", &compiled)
}

/// Whatever is asked so finds what the same expression finds.
#[test]
fn a_condition_means_what_its_expression_means() {
    let world = World::new();
    for (path, operator, value, expression) in [
        ("title", "eq", "Apple", "title == 'Apple'"),
        ("title", "eq", "", "title == ''"),
        ("title", "ne", "Apple", "title != 'Apple'"),
        ("title", "gt", "Z", "title > 'Z'"),
        ("title", "gte", "banana", "title >= 'banana'"),
        ("title", "lt", "Z", "title < 'Z'"),
        ("title", "lte", "Apple", "title <= 'Apple'"),
        ("title", "in", "Apple,x", "title in ['Apple', 'x']"),
        ("title", "in", "", "title in ['']"),
        ("title", "contains", "an", "title.contains('an')"),
        ("title", "contains", "%", "title.contains('%')"),
        ("title", "icontains", "APP", "title.icontains('APP')"),
        ("title", "startsWith", "Ap", "title.startsWith('Ap')"),
        ("title", "eq", "it's", "title == 'it\\'s'"),
        ("title", "isNull", "true", "title == null"),
        ("title", "isNull", "false", "title != null"),
        ("views", "eq", "10", "views == 10"),
        ("views", "ne", "10", "views != 10"),
        ("views", "gt", "1", "views > 1"),
        ("views", "lte", "1.5", "views <= 1.5"),
        ("views", "eq", "1e1", "views == 10"),
        ("views", "in", "1,2,10", "views in [1, 2, 10]"),
        ("views", "eq", "-9223372036854775808", "views == -9223372036854775808"),
        ("views", "lt", "9223372036854775808", "views < 9223372036854775808.0"),
        ("score", "eq", "0.5", "score == 0.5"),
        ("score", "lt", "0", "score < 0"),
        ("published", "eq", "true", "published == true"),
        ("published", "ne", "true", "published != true"),
        ("publishedAt", "lt", "2026-03-01T00:00:00Z", "publishedAt < '2026-03-01T00:00:00Z'"),
        ("publishedAt", "in", "2026-01-01T00:00:00Z", "publishedAt in ['2026-01-01T00:00:00Z']"),
        ("createdAt", "eq", "1970-01-01T00:00:00Z", "createdAt == '1970-01-01T00:00:00Z'"),
        ("tags", "eq", "a", "'a' in tags"),
        ("tags", "isNull", "true", "tags == null"),
        ("extra.color", "eq", "red", "extra.color == 'red'"),
        ("extra.size", "gt", "1", "extra.size > 1"),
        ("extra.flag", "eq", "true", "extra.flag == true"),
        ("extra.color", "eq", "inf", "extra.color == 'inf'"),
        ("extra.list", "isNull", "true", "extra.list == null"),
        ("extra.list", "isNull", "false", "extra.list != null"),
        ("author", "eq", "ada", "author == 'ada'"),
        ("author.name", "eq", "Ada", "author.name == 'Ada'"),
        ("author.name", "in", "Ada,Bob", "author.name in ['Ada', 'Bob']"),
        ("author.name", "isNull", "true", "author.name == null"),
        ("parent.author.name", "ne", "Ada", "parent.author.name != 'Ada'"),
        ("letter.text", "eq", "dear", "letter.text == 'dear'"),
        ("id", "in", "apple,empty", "id in ['apple', 'empty']"),
    ] {
        let expected = world.found_in("posts", Purpose::Filter, expression);
        assert_eq!(found(&world, &[asked(path, operator, value)]), expected, "{path} {operator} {value}");
    }
}

#[test]
fn all_conditions_must_hold() {
    let world = World::new();
    let (banana, true_of_all) = (asked("title", "startsWith", "b"), asked("createdAt", "lte", NOW));

    assert_eq!(found(&world, &[true_of_all.clone(), banana.clone()]), "banana");
    assert_eq!(found(&world, &[banana, asked("views", "lt", "5")]), "");
    assert_eq!(found(&world, &[true_of_all]), "apple banana empty");
    assert_eq!(found(&world, &[]), "apple banana empty");
}

/// As many as a request may have, each with as many values as it may, still make one statement.
#[test]
fn a_flood_of_conditions_is_one_statement_or_refused() {
    let world = World::new();
    let many = vec![asked("title", "ne", "x"); 200];
    assert_eq!(found(&world, &many), "apple banana empty");
    let far = vec![asked("letter.text", "ne", "x"); 24];
    assert_eq!(found(&world, &far), "apple banana empty");
    let further = compile_conditions(&world.schema, "posts", &vec![asked("letter.text", "ne", "x"); 25]);
    assert_eq!(further.expect_err("refused")[0].1.code, "expression-too-long");
    let values = vec!["1"; 100].join(",");
    assert_eq!(found(&world, &[asked("views", "in", &values)]), "apple");
    assert_eq!(found(&world, &vec![asked("views", "in", &values); 40]), "apple");
    for count in [41, 110, 200] {
        let flood = compile_conditions(&world.schema, "posts", &vec![asked("views", "in", &values); count]);
        assert_eq!(flood.expect_err("refused")[0].1.code, "expression-too-long", "{count}");
    }
}

#[test]
fn each_mistake_is_told_with_its_parameter() {
    let world = World::new();
    for (path, operator, value, code, words) in [
        ("titel", "eq", "x", "expression-unknown-field", "did you mean `title`?"),
        ("secret", "eq", "s", "expression-unknown-field", "no field `secret`"),
        ("secret", "isNull", "true", "expression-unknown-field", "no field `secret`"),
        ("author.nope", "eq", "x", "expression-unknown-field", "no field `nope`"),
        ("auth.id", "eq", "x", "expression-unknown-field", "no field `auth`"),
        ("now", "eq", NOW, "expression-unknown-field", "no field `now`"),
        ("request.method", "eq", "GET", "expression-unknown-field", "no field `request`"),
        ("", "eq", "x", "expression-unknown-field", "named by letters"),
        ("title.", "eq", "x", "expression-unknown-field", "named by letters"),
        ("a b", "eq", "x", "expression-unknown-field", "named by letters"),
        ("a\"b", "eq", "x", "expression-unknown-field", "named by letters"),
        ("extra.a'b", "eq", "x", "expression-unknown-field", "named by letters"),
        ("a.b.c.d.e.f.g.h.i.j", "eq", "x", "expression-unknown-field", "named by letters"),
        ("title", "like", "x", "expression-not-supported", "there are `eq`"),
        ("title", "", "x", "expression-not-supported", "there are `eq`"),
        ("title", "isNull", "yes", "expression-type", "`true` or `false`"),
        ("title", "eq", "a\0b", "expression-malformed", "U+0000"),
        ("title", "startsWith", "\0", "expression-malformed", "U+0000"),
        ("views", "eq", "ten", "expression-type", "must be a number"),
        ("views", "eq", "1e400", "expression-type", "must be a number"),
        ("views", "eq", "NaN", "expression-type", "must be a number"),
        ("views", "eq", "", "expression-type", "must be a number"),
        ("views", "in", "1,,2", "expression-type", "must be a number"),
        ("views", "contains", "1", "expression-type", "is for texts"),
        ("published", "eq", "1", "expression-type", "`true` or `false`"),
        ("published", "gt", "true", "expression-type", "no order"),
        ("publishedAt", "eq", "2026", "expression-type", "must be a time"),
        ("tags", "contains", "a", "expression-type", "is for texts"),
        ("tags", "ne", "a", "expression-type", "`tags` is a list"),
        ("tags", "in", "a", "expression-type", "`tags` is a list"),
        ("extra.color", "in", "a", "expression-not-supported", "`==`"),
        ("extra", "eq", "a", "expression-not-supported", "a part is compared"),
        ("title.x", "eq", "a", "expression-type", "has no parts"),
    ] {
        let errors =
            compile_conditions(&world.schema, "posts", &[asked("title", "eq", "x"), asked(path, operator, value)]);
        let errors = errors.expect_err(path);
        let (parameter, error) = &errors[0];
        assert_eq!((errors.len(), error.code), (1, code), "{path} {operator}: {error:?}");
        assert_eq!((parameter.as_str(), error.position), (format!("where[{path}][{operator}]").as_str(), None));
        assert!(error.detail.contains(words), "{path} {operator}: {error:?}");
    }
    let errors = compile_conditions(&world.schema, "posts", &[asked("a", "eq", "x"), asked("b", "eq", "x")]);
    assert_eq!(errors.expect_err("refused").len(), 2, "all of them at once");
    let values = vec!["1"; 101].join(",");
    let errors = compile_conditions(&world.schema, "posts", &[asked("views", "in", &values)]).expect_err("refused");
    assert_eq!(errors[0].1.code, "expression-too-long");
}
