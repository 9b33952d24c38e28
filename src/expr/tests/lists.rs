//! Lists and JSON.
use super::*;

const ALL: &str = "apple banana empty";

#[test]
fn a_value_is_among_others_or_not() {
    World::new().finds(&[
        ("views in [1, 2]", "apple"),
        ("!(views in [1, 2])", "banana empty"),
        ("views in [10.0]", "banana"),
        ("views in [0.5, 1.5]", ""),
        ("views in []", ""),
        ("!(views in [])", ALL),
        ("title in ['Apple', 'banana', 'Apple']", "apple banana"),
        ("title in ['apple']", ""),
        ("title in ['App' + 'le']", "apple"),
        ("score in [0.5, -1]", "apple"),
        ("published in [true, false]", "apple banana"),
        ("published in [false]", "banana"),
        ("author in [auth.id]", "apple"),
        ("auth.id in ['ada', 'bob']", ALL),
        ("auth.id in ['bob']", ""),
        ("1 in [1, 2]", ALL),
        ("author.name in ['Ada', 'x']", "apple"),
        ("author.name in ['Ada', 'Bob']", "apple banana"),
        ("(views + 1) in [11]", "banana"),
        ("size(title) in [5, 6]", "apple banana"),
    ]);
}

/// The relation is followed once, however many values there are.
#[test]
fn many_values_can_be_asked_of_a_relation() {
    let world = World::new();
    let values: Vec<_> = (0..60).map(|it| format!("'{it}'")).collect();

    assert_eq!(world.found(&format!("author.name in [{}, 'Bob']", values.join(", "))), "banana");
    let compiled = world.compile("posts", Purpose::Rule, "author.name in ['a', 'b', 'c']").expect("fits");
    assert_eq!(compiled.binds().len(), 3);
}

#[test]
fn a_list_is_asked_for_what_it_has() {
    World::new().finds(&[
        ("'a' in tags", "apple"),
        ("'c' in tags", ""),
        ("!('a' in tags)", "banana empty"),
        ("'' in tags", ""),
        ("title in tags", ""),
        ("auth.id in tags", ""),
        ("note in tags", ""),
        ("size(tags) == 2", "apple"),
        ("size(tags) == 0", "banana"),
        ("tags.size() > 0", "apple"),
        ("size(tags) == null", "empty"),
        ("tags == null", "empty"),
        ("parent.tags != null", "banana"),
        ("'a' in parent.tags", "banana"),
        ("size(parent.tags) == 2", "banana"),
        ("'a' in (published ? tags : parent.tags)", "apple banana"),
    ]);
}

#[test]
fn a_part_of_json_is_compared_with_what_is_of_its_sort() {
    World::new().finds(&[
        ("extra.color == 'red'", "apple"),
        ("'red' == extra.color", "apple"),
        ("extra.color != 'red'", "banana empty"),
        ("extra.color > 'blue'", "apple"),
        ("'blue' < extra.color", "apple"),
        ("extra.color == title", ""),
        ("extra.size == 1", "apple"),
        ("extra.size == 1.0", "apple"),
        ("extra.size > 1", "banana"),
        ("2.5 <= extra.size", "banana"),
        ("extra.size < views", "banana"),
        ("extra.size == '1'", ""),
        ("extra.size != '1'", ALL),
        ("extra.flag == true", "apple"),
        ("extra.flag == false", "banana"),
        ("extra.flag != true", "banana empty"),
        ("extra.flag == published", "apple banana"),
        ("extra.flag == 1", ""),
        ("extra.deep.er == 'x'", "apple"),
        ("extra.deep == 'y'", "banana"),
        ("extra.list == 1", ""),
        ("extra.list == '[1]'", ""),
        ("extra.nope == 'x'", ""),
        ("extra.color == auth.id", ""),
        ("parent.extra.color == 'red'", "banana"),
    ]);
}

/// What is null in JSON and what is not there are the same.
#[test]
fn a_part_of_json_may_be_missing() {
    World::new().finds(&[
        ("extra == null", "empty"),
        ("extra != null", "apple banana"),
        ("extra.color == null", "empty"),
        ("extra.color != null", "apple banana"),
        ("extra.nothing == null", ALL),
        ("extra.nothing != null", ""),
        ("extra.list == null", "banana empty"),
        ("extra.deep.er == null", "banana empty"),
        ("extra.deep.er.further == null", ALL),
        ("null != extra.list", "apple"),
        ("has(extra.list)", "apple"),
        ("has(extra.nothing)", ""),
        ("!has(extra.color)", "empty"),
        ("parent.extra.color == null", "apple empty"),
        ("(published ? extra.list : extra.color) == null", "empty"),
        ("extra.color < null", ""),
    ]);
}

#[test]
fn what_cannot_be_asked_of_lists_and_json_is_refused() {
    let world = World::new();
    for (text, code, position, words) in [
        ("tags == 'a'", "expression-type", 5, "`tags` is a list"),
        ("tags == tags", "expression-not-supported", 5, "'a' in tags"),
        ("tags < tags", "expression-type", 5, "`tags` has no order"),
        ("tags == []", "expression-not-supported", 8, "a list stands after `in`"),
        ("1 in tags", "expression-type", 2, "a text in a list"),
        ("'a' in title", "expression-type", 4, "a text in a list"),
        ("'a' in extra.list", "expression-type", 4, "a text in a list"),
        ("title in [null]", "expression-not-supported", 6, "no null"),
        ("title in [note]", "expression-not-supported", 6, "do not depend on the record"),
        ("title in ['a', 1]", "expression-type", 6, "cannot be compared"),
        ("title in [['a']]", "expression-not-supported", 10, "a list stands after `in`"),
        ("extra == 'x'", "expression-not-supported", 6, "a part is compared"),
        ("extra.color == extra.size", "expression-not-supported", 12, "with each other"),
        ("extra.at < now", "expression-not-supported", 9, "texts, numbers, true and false"),
        ("extra.flag < true", "expression-not-supported", 11, "texts, numbers, true and false"),
        ("extra.color in ['red']", "expression-not-supported", 12, "`==`"),
        ("extra.flag", "expression-type", 5, "`extra.flag` is JSON"),
        ("extra.color.contains('r')", "expression-type", 20, "is for texts"),
        ("extra.color + 'x' == 'redx'", "expression-type", 12, "cannot be reckoned with"),
        ("extra['color'] == 'red'", "expression-not-supported", 5, "extra.color"),
        ("tags[0] == 'a'", "expression-not-supported", 4, "[…]"),
        ("{'a': 1} == extra", "expression-not-supported", 0, "no maps"),
        ("size(extra) == 1", "expression-type", 4, "`extra` is JSON"),
    ] {
        let error = world.compile("posts", Purpose::Rule, text).expect_err(text);
        assert_eq!((error.code, error.position), (code, Some(position)), "{text}: {error:?}");
        assert!(error.detail.contains(words), "{text}: {error:?}");
    }
}
