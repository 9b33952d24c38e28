//! Operators, their precedence, and null.
use super::*;

const ALL: &str = "apple banana empty";

#[test]
fn a_comparison_finds_what_is_equal_and_what_is_not() {
    World::new().finds(&[
        ("title == 'Apple'", "apple"),
        ("'Apple' == title", "apple"),
        ("title == 'apple'", ""),
        ("title != 'Apple'", "banana empty"),
        ("title == note", "empty"),
        ("title != note", "apple banana"),
        ("views == 10", "banana"),
        ("views != 10", "apple empty"),
        ("score == 0.5", "apple"),
        ("published == true", "apple"),
        ("published == false", "banana"),
        ("published != true", "banana empty"),
        ("id == 'apple'", "apple"),
        ("author == 'bob'", "banana"),
        ("author != 'bob'", "apple empty"),
        ("1 == 1", ALL),
        ("1 == 2", ""),
        ("'a' != 'b'", ALL),
        ("(title == 'Apple') == published", "apple banana"),
        ("(title == 'Apple') == (views == 10)", "empty"),
    ]);
}

#[test]
fn an_order_is_false_beside_null() {
    World::new().finds(&[
        ("views < 10", "apple"),
        ("views <= 10", "apple banana"),
        ("views > 1", "banana"),
        ("views >= 1", "apple banana"),
        ("10 > views", "apple"),
        ("1 < views", "banana"),
        ("!(views < 10)", "banana empty"),
        ("views < null", ""),
        ("null >= views", ""),
        ("!(views < null)", ALL),
        ("title < 'a'", "apple"),
        ("title >= 'a'", "banana"),
        ("title <= note", ""),
        ("title > note", "banana"),
        ("id >= 'banana'", "banana empty"),
    ]);
}

#[test]
fn null_is_a_value_that_one_can_ask_for() {
    World::new().finds(&[
        ("title == null", "empty"),
        ("null == title", "empty"),
        ("title != null", "apple banana"),
        ("note == null", "apple empty"),
        ("!(note == null)", "banana"),
        ("views == null", "empty"),
        ("score != null", "apple banana"),
        ("published == null", "empty"),
        ("publishedAt == null", "empty"),
        ("tags == null", "empty"),
        ("tags != null", "apple banana"),
        ("extra == null", "empty"),
        ("author == null", "empty"),
        ("parent != null", "banana"),
        ("id == null", ""),
        ("id != null", ALL),
        ("createdAt == null", ""),
        ("null == null", ALL),
        ("null != null", ""),
        ("null == 1", ""),
        ("null in ['a']", ""),
        ("has(author.name)", "apple banana"),
        ("!has(author.name)", "empty"),
    ]);
}

#[test]
fn what_is_neither_true_nor_false_is_false_alone_and_beside_others() {
    World::new().finds(&[
        ("published", "apple"),
        ("!published", "banana empty"),
        ("!!published", "apple"),
        ("!!!published", "banana empty"),
        ("published && true", "apple"),
        ("published || false", "apple"),
        ("!(published && true)", "banana empty"),
        ("!(published || false)", "banana empty"),
        ("views > 5 || views <= 5", "apple banana"),
        ("views > 5 && !(views > 5)", ""),
        ("published ? true : false", "apple"),
        ("published ? false : true", "banana empty"),
        ("(views > 5) == false", "apple empty"),
        ("(views > 5) != true", "apple empty"),
        ("(views > 5) == null", ""),
        ("true", ALL),
        ("false", ""),
    ]);
}

#[test]
fn operators_bind_as_in_cel() {
    World::new().finds(&[
        ("true || false && false", ALL),
        ("(true || false) && false", ""),
        ("false && false || true", ALL),
        ("published || views == 10 && title == 'x'", "apple"),
        ("(published || views == 10) && title == 'x'", ""),
        ("!published && title == 'banana'", "banana"),
        ("!(published && title == 'banana')", ALL),
        ("!published == false", "apple"),
        ("views + 1 * 2 == 3", "apple"),
        ("(views + 1) * 2 == 4", "apple"),
        ("views - 1 - 1 == 8", "banana"),
        ("views - (1 - 1) == 10", "banana"),
        ("20 / views / 2 == 1", "banana"),
        ("20 / (views / 2) == 4", "banana"),
        ("2 + 3 % 2 == 3", ALL),
        ("-views + 1 == 0", "apple"),
        ("-(views + 1) == -2", "apple"),
        ("1 + 1 == 2 == true", ALL),
        ("1 < 2 == false", ""),
        ("false ? true : false ? false : true", ALL),
        ("(false ? true : false) ? false : true", ALL),
        ("true ? false : true ? true : true", ""),
        ("true || false ? false : true", ""),
        ("true || (false ? false : true)", ALL),
        ("1 in [1] == true", ALL),
    ]);
}

#[test]
fn a_choice_is_a_condition_or_a_value() {
    World::new().finds(&[
        ("published ? views == 1 : title == 'banana'", "apple banana"),
        ("title == null ? true : views > 5", "banana empty"),
        ("(published ? 'x' : 'y') == 'y'", "banana empty"),
        ("(published ? title : note) == 'Apple'", "apple banana"),
        ("(published ? title : note) == null", "empty"),
        ("(published ? views : 7) + 1 > 2", "banana empty"),
        ("(published ? author.name : note).contains('A')", "apple banana"),
        ("'b' in (published ? tags : tags)", "apple"),
        ("(published ? publishedAt : now) < now", "apple"),
        ("(published ? 1 : 2) in [2]", "banana empty"),
    ]);
}
