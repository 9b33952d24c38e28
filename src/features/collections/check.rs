//! Whether a collection can be as it is asked for: everything that is wrong with it, each with a pointer.
use std::collections::HashSet;

use super::model::{Field, FieldType, Index, OnDelete, Weights};
use super::names;
use super::value::{ENTRIES_MAX, Judge};
use crate::db::search_tables;
use crate::expr;
use crate::http::Fault;

/// The collection of accounts, which is always there.
pub const USERS: &str = "users";
/// What accounts are read from, wherever records refer to them: those in the bin are not in it.
pub const LIVE_USERS: &str = "live_users";
/// What a record has besides its fields, and can be indexed.
pub(super) const TIMES: [&str; 2] = ["createdAt", "updatedAt"];
/// Most fields that are searched: each is one more place to look for every word.
const SEARCHED_MAX: usize = search_tables::COLUMNS_MAX;
/// Longest value that can be selected, in bytes.
const SELECT_VALUE_BYTES_MAX: usize = 200;

/// Judges of all fields, or what is wrong. `collections` are the names that relations may refer to.
pub fn fields(fields: &[Field], collections: &[String]) -> Result<Vec<Judge>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut judges = Vec::new();
    let mut names = HashSet::new();
    for (index, field) in fields.iter().enumerate() {
        let at = format!("/fields/{index}");
        if let Some(reason) = names::refuse_field(&field.name) {
            faults.push(Fault::new(format!("{at}/name"), "name", reason));
        }
        if !names.insert(field.name.to_ascii_lowercase()) {
            faults.push(Fault::new(format!("{at}/name"), "duplicate", "is the name of another field"));
        }
        let before = faults.len();
        faults.extend(
            combination(field, collections)
                .into_iter()
                .map(|(member, code, detail)| Fault::new(format!("{at}/{member}"), code, detail)),
        );
        if faults.len() == before {
            match Judge::new(field.clone()) {
                Ok(judge) => judges.push(judge),
                Err(unfit) => {
                    let member = if unfit.code == "pattern" && unfit.detail.starts_with("`pattern`") {
                        "pattern"
                    } else {
                        "default"
                    };
                    faults.push(Fault::new(format!("{at}/{member}"), unfit.code, unfit.detail));
                }
            }
        }
    }
    if faults.is_empty() { Ok(judges) } else { Err(faults) }
}

/// What is wrong with the indexes of a collection with these fields.
pub(super) fn indexes(indexes: &[Index], fields: &[Field]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (number, index) in indexes.iter().enumerate() {
        if indexes[..number].contains(index) {
            faults.push(Fault::new(format!("/indexes/{number}"), "duplicate", "is there already"));
        }
        for (position, name) in index.fields.iter().enumerate() {
            let at = format!("/indexes/{number}/fields/{position}");
            let field = fields.iter().find(|it| it.name == *name);
            if index.fields[..position].contains(name) {
                faults.push(Fault::new(at, "duplicate", "is in this index already"));
            } else if name == "id" {
                faults.push(Fault::new(at, "conflict", "has an index of its own already"));
            } else if field.is_none() && !TIMES.contains(&name.as_str()) {
                faults.push(Fault::new(at, "unknown", "is no field of the collection"));
            } else if field.is_some_and(|it| it.field_type == FieldType::Json || it.is_multiple()) {
                faults.push(Fault::new(at, "type", "holds values that an index does not help to find"));
            }
        }
    }
    faults
}

/// What is wrong with the fields that shall be searched.
pub(super) fn search(weights: &Weights, fields: &[Field]) -> Vec<Fault> {
    let mut faults = Vec::new();
    if SEARCHED_MAX < weights.len() {
        faults.push(Fault::new("/search", "too-many", format!("at most {SEARCHED_MAX} fields")));
    }
    for (name, weight) in weights.iter().take(SEARCHED_MAX) {
        let at = format!("/search/{}", name.replace('~', "~0").replace('/', "~1"));
        match fields.iter().find(|it| it.name == *name) {
            None => faults.push(Fault::new(at, "unknown", "is no field of the collection")),
            Some(field) if !field.has_words() => faults.push(Fault::new(at, "type", "has no words to search")),
            Some(_) if !(0.01..=1_000.0).contains(&weight.0) => {
                faults.push(Fault::new(at, "out-of-range", "must be from 0.01 to 1,000"));
            }
            Some(_) => {}
        }
    }
    faults
}

type Wrong = (&'static str, &'static str, String);

/// Members of a field that do not go together.
fn combination(field: &Field, collections: &[String]) -> Vec<Wrong> {
    use FieldType::{Autodate, Email, Integer, Number, Relation, Select, Text, Url};
    let mut wrong = Vec::new();
    let mut only_for = |is_there: bool, member, types: &[FieldType], said: &str| {
        if is_there && !types.contains(&field.field_type) {
            wrong.push((member, "not-for-type", format!("is only for {said}")));
        }
    };
    let of_one = field.refers_to_one();
    for (limit, member) in [(field.min, "min"), (field.max, "max")] {
        let is_there = limit.is_some();
        only_for(is_there, member, &[Text, Integer, Number, Email, Url, Relation], "texts, numbers and `multiple`");
        only_for(is_there && of_one, member, &[], "a relation that is `multiple`");
    }
    only_for(field.pattern.is_some(), "pattern", &[Text, Email, Url], "texts");
    only_for(field.values.is_some(), "values", &[Select], "`select`");
    only_for(field.multiple.is_some(), "multiple", &[Select, Relation], "`select` and `relation`");
    only_for(field.collection.is_some(), "collection", &[Relation], "`relation`");
    only_for(field.on_delete.is_some(), "onDelete", &[Relation], "`relation`");
    only_for(field.on_create.is_some(), "onCreate", &[Autodate], "`autodate`");
    only_for(field.on_update.is_some(), "onUpdate", &[Autodate], "`autodate`");
    if field.unique && (field.field_type == FieldType::Json || field.is_multiple()) {
        wrong.push(("unique", "not-for-type", "is not for JSON and lists".to_owned()));
    }
    if field.unique && field.default.is_some() {
        wrong.push(("default", "conflict", "of a field that is unique could be had by one record only".to_owned()));
    }
    let is_for_some = field.hidden || field.readable_by.is_some() || field.writable_by.is_some();
    if is_for_some && field.required && field.default.is_none() {
        wrong.push(("default", "required", "must be given: those who may not set the field cannot".to_owned()));
    }
    for (text, member) in [(&field.readable_by, "readableBy"), (&field.writable_by, "writableBy")] {
        let outcome = text.as_deref().map(|it| expr::parse(it).and_then(expr::CallerCondition::new));
        if let Some(Err(error)) = outcome {
            let fault = super::rule::fault(String::new(), &error);
            wrong.push((member, error.code, fault.detail));
        }
    }
    if field.write_only && field.readable_by.is_some() {
        wrong.push(("readableBy", "conflict", "is of no use for a field that nobody reads".to_owned()));
    }
    if field.field_type == Autodate {
        if field.on_create != Some(true) && field.on_update != Some(true) {
            wrong.push(("onCreate", "required", "must be true, or `onUpdate` must".to_owned()));
        }
        for (is_there, member) in [
            (field.default.is_some(), "default"),
            (field.required, "required"),
            (field.unique, "unique"),
            (field.write_only, "writeOnly"),
            (field.writable_by.is_some(), "writableBy"),
        ] {
            if is_there {
                wrong.push((member, "not-for-type", "is not for `autodate`, which the server sets".to_owned()));
            }
        }
    }
    if [Text, Email, Url].contains(&field.field_type) {
        for (limit, member) in [(field.min, "min"), (field.max, "max")] {
            if limit.is_some_and(|it| it.0 < 0.0 || it.0.fract() != 0.0) {
                wrong.push((member, "out-of-range", "must be a whole number of characters, from 0".to_owned()));
            }
        }
    }
    let whole = field.field_type == Integer;
    let limits = (
        field.least().map(|it| if whole { it.ceil() } else { it }),
        field.most().map(|it| if whole { it.floor() } else { it }),
    );
    if let (Some(min), Some(max)) = limits
        && max < min
    {
        wrong.push(("max", "out-of-range", "must leave a value that is not less than `min`".to_owned()));
    }
    match field.field_type {
        Select => wrong.extend(values(field)),
        Relation => wrong.extend(relation(field, collections)),
        _ => {}
    }
    wrong
}

fn values(field: &Field) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let values = field.values.as_deref().unwrap_or_default();
    if values.is_empty() {
        wrong.push(("values", "required", "must name what may be selected".to_owned()));
    }
    for (index, value) in values.iter().enumerate() {
        if value.is_empty() || SELECT_VALUE_BYTES_MAX < value.len() {
            wrong.push(("values", "length", "each must have 1 to 200 bytes".to_owned()));
        } else if values[..index].contains(value) {
            wrong.push(("values", "duplicate", format!("`{value}` is there twice")));
        }
    }
    wrong
}

fn relation(field: &Field, collections: &[String]) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    match &field.collection {
        None => wrong.push(("collection", "required", "must name the collection that it refers to".to_owned())),
        Some(name) if name != USERS && !collections.contains(name) => {
            wrong.push(("collection", "unknown", "is no collection".to_owned()));
        }
        Some(_) => {}
    }
    if field.default.is_some() {
        wrong.push(("default", "not-for-type", "is not for relations".to_owned()));
    }
    for (limit, member) in [(field.min, "min"), (field.max, "max")] {
        if field.is_multiple()
            && limit.is_some_and(|it| it.0.fract() != 0.0 || !(0.0..=ENTRIES_MAX as f64).contains(&it.0))
        {
            wrong.push((member, "out-of-range", format!("must be a whole number from 0 to {ENTRIES_MAX}")));
        }
    }
    if field.required && field.on_delete == Some(OnDelete::SetNull) {
        wrong.push(("onDelete", "conflict", "must not be `setNull` for a field that is required".to_owned()));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::Any;
    use serde_json::json;

    use super::*;
    use crate::features::collections::bound::Bound;

    fn pointers(field: Field) -> Vec<(String, String)> {
        let faults = fields(&[field], &["posts".to_owned()]).err().unwrap_or_default();
        faults.into_iter().map(|it| (it.pointer, it.code)).collect()
    }

    fn relation_to(name: &str) -> Field {
        Field { collection: Some(name.to_owned()), ..Field::new("x", FieldType::Relation) }
    }

    #[test]
    fn what_does_not_go_together_is_told_with_a_pointer() {
        let field = |field_type| Field::new("x", field_type);
        let some = |text: &str| Some(text.to_owned());
        for (field, member, code) in [
            (Field { min: Some(Bound(1.0)), ..field(FieldType::Bool) }, "min", "not-for-type"),
            (Field { pattern: some("a"), ..field(FieldType::Integer) }, "pattern", "not-for-type"),
            (Field { pattern: some("("), ..field(FieldType::Text) }, "pattern", "pattern"),
            (Field { default: Some(Any(json!(1))), ..field(FieldType::Text) }, "default", "type"),
            (Field { min: Some(Bound(2.0)), max: Some(Bound(1.0)), ..field(FieldType::Text) }, "max", "out-of-range"),
            (Field { max: Some(Bound(2.5)), ..field(FieldType::Text) }, "max", "out-of-range"),
            (Field { min: Some(Bound(-1.0)), ..field(FieldType::Url) }, "min", "out-of-range"),
            (
                Field { min: Some(Bound(1.2)), max: Some(Bound(1.8)), ..field(FieldType::Integer) },
                "max",
                "out-of-range",
            ),
            (Field { unique: true, ..field(FieldType::Json) }, "unique", "not-for-type"),
            (field(FieldType::Select), "values", "required"),
            (field(FieldType::Relation), "collection", "required"),
            (relation_to("nothing"), "collection", "unknown"),
            (
                Field { required: true, on_delete: Some(OnDelete::SetNull), ..relation_to("posts") },
                "onDelete",
                "conflict",
            ),
            (Field { name: "id".to_owned(), ..field(FieldType::Text) }, "name", "name"),
        ] {
            assert_eq!(pointers(field), [(format!("/fields/0/{member}"), code.to_owned())]);
        }
        assert_eq!(pointers(relation_to("users")), []);
        assert_eq!(pointers(relation_to("posts")), []);
    }

    #[test]
    fn names_differ_by_more_than_their_case() {
        let twice = [Field::new("title", FieldType::Text), Field::new("Title", FieldType::Text)];

        let faults = fields(&twice, &[]).expect_err("refused");

        assert_eq!(faults[0].pointer, "/fields/1/name");
    }

    #[test]
    fn what_is_searched_has_words_and_a_weight() {
        let all = [Field::new("a", FieldType::Text), Field::new("n", FieldType::Integer)];
        let codes = |name: &str, weight| {
            let faults = search(&Weights::from([(name.to_owned(), Bound(weight))]), &all);
            faults.into_iter().map(|it| (it.pointer, it.code)).collect::<Vec<_>>()
        };
        let told = |pointer: &str, code: &str| vec![(pointer.to_owned(), code.to_owned())];

        assert_eq!((codes("a", 0.01), codes("a", 1_000.0)), (vec![], vec![]));
        for wrong in [0.0, -1.0, 1_000.1, f64::NAN] {
            assert_eq!(codes("a", wrong), told("/search/a", "out-of-range"));
        }
        assert_eq!(codes("n", 1.0), told("/search/n", "type"));
        assert_eq!(codes("x/y", 1.0), told("/search/x~1y", "unknown"));
        let many = (0..17).map(|it| (it.to_string(), Bound(1.0))).collect();
        assert_eq!(search(&many, &[])[0].code, "too-many");
    }

    #[test]
    fn an_index_is_over_fields_that_it_helps_to_find() {
        let all = [Field::new("a", FieldType::Text), Field::new("j", FieldType::Json)];
        let index = |names: &[&str]| Index { fields: names.iter().map(|it| (*it).to_owned()).collect(), unique: false };

        assert_eq!(indexes(&[index(&["a", "createdAt"])], &all), []);
        for wrong in [index(&["b"]), index(&["j"]), index(&["a", "a"])] {
            assert_eq!(indexes(&[wrong], &all).len(), 1);
        }
        assert_eq!(indexes(&[index(&["a"]), index(&["a"])], &all)[0].code, "duplicate");
    }
}
