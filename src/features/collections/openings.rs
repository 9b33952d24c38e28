//! What becomes more open by a change of a collection: what nobody should have to find in a long difference.
use serde_json::Value;

/// What more people may do or see with a collection as it is in `after`, one by one in words. Both are in the form of
/// files; null where there is none.
pub fn openings(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (name, rule) in after["rules"].as_object().into_iter().flatten() {
        let was = &before["rules"][name];
        if rule.is_null() || rule == was || is_open(was) {
            continue;
        }
        let perhaps = if was.is_null() || is_open(rule) { "" } else { ", which may be more" };
        found.push(format!("the rule `{name}` lets in {} instead of {}{perhaps}", who(rule), who(was)));
    }
    for field in after["fields"].as_array().into_iter().flatten() {
        let fields = before["fields"].as_array();
        let Some(was) = fields.and_then(|it| it.iter().find(|it| it["name"] == field["name"])) else { continue };
        let name = field["name"].as_str().unwrap_or_default();
        for (member, words) in [("hidden", "is no longer hidden"), ("writeOnly", "is shown, and was only written")] {
            if was[member] == true && field[member] != true {
                found.push(format!("the field `{name}` {words}"));
            }
        }
        for (member, verb) in [("readableBy", "see"), ("writableBy", "set")] {
            if !was[member].is_null() && was[member] != field[member] {
                let now = if field[member].is_null() { "everybody".to_owned() } else { who(&field[member]) };
                found.push(format!("the field `{name}` lets {now} {verb} it instead of {}", who(&was[member])));
            }
        }
    }
    found
}

fn is_open(rule: &Value) -> bool {
    rule.as_str().is_some_and(|it| it.trim() == "true")
}

fn who(rule: &Value) -> String {
    match rule.as_str() {
        None => "admins alone".to_owned(),
        Some(_) if is_open(rule) => "everybody".to_owned(),
        Some(condition) => format!("those for whom `{condition}`"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(list: &Value, field: &Value) -> Value {
        json!({ "rules": { "list": list }, "fields": [field] })
    }

    #[test]
    fn what_lets_more_people_in_is_told_and_what_keeps_them_out_is_not() {
        let (closed, some, open) = (json!(null), json!("a == 1"), json!("true"));
        let field = json!({ "name": "x" });
        let opened = |before: &Value, after: &Value| openings(&of(before, &field), &of(after, &field)).len();

        for (before, after) in [(&closed, &some), (&closed, &open), (&some, &open), (&some, &json!("b == 1"))] {
            assert_eq!(opened(before, after), 1, "{before} {after}");
        }
        for (before, after) in [(&some, &closed), (&open, &closed), (&open, &some), (&some, &some)] {
            assert_eq!(opened(before, after), 0, "{before} {after}");
        }
        assert_eq!(openings(&Value::Null, &of(&open, &field)).len(), 1, "one that was dropped comes back open");
        assert_eq!(openings(&of(&open, &field), &Value::Null), Vec::<String>::new());
    }

    #[test]
    fn a_field_that_more_people_see_is_told() {
        for (before, after) in [
            (json!({ "name": "x", "hidden": true }), json!({ "name": "x" })),
            (json!({ "name": "x", "writeOnly": true }), json!({ "name": "x" })),
            (json!({ "name": "x", "readableBy": "a" }), json!({ "name": "x" })),
            (json!({ "name": "x", "writableBy": "a" }), json!({ "name": "x", "writableBy": "b" })),
        ] {
            let none = Value::Null;
            assert_eq!(openings(&of(&none, &before), &of(&none, &after)).len(), 1, "{before} {after}");
            assert_eq!(openings(&of(&none, &before), &of(&none, &before)), Vec::<String>::new());
        }
    }
}
