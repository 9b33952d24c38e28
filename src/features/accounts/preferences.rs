//! The things: what someone's apps remember of them, in whatever shape these like.
use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::{Map, Value, json};

use crate::http::Fault;

/// Longest preferences, as JSON without spaces. They are read and written whole.
const BYTES_MAX: usize = 16 << 10;
/// Most members: more is data, which belongs into a collection.
const MEMBERS_MAX: usize = 100;
/// How deep objects and lists may stand in one another.
const DEPTH_MAX: usize = 8;

/// An object with any members.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preferences(pub Map<String, Value>);

impl Preferences {
    pub(super) fn text(&self) -> String {
        Value::from(self.0.clone()).to_string()
    }

    /// The same after a JSON Merge Patch (RFC 7396).
    pub(super) fn patched(mut self, patch: &Map<String, Value>) -> Self {
        merge(&mut self.0, patch);
        self
    }

    /// What is wrong with preferences: their size, and how they are built.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |code, detail: String| faults.push(Fault::new("", code, detail));
        if MEMBERS_MAX < self.0.len() {
            fault("too-many", format!("must have at most {MEMBERS_MAX} members"));
        }
        if BYTES_MAX < self.text().len() {
            fault("too-long", format!("must be at most {BYTES_MAX} bytes of JSON"));
        }
        if self.0.values().any(|it| DEPTH_MAX <= depth(it)) {
            fault("too-deep", format!("must have at most {DEPTH_MAX} objects and lists in one another"));
        }
        faults
    }
}

/// Lays a patch over an object: null removes, an object is laid over what is there, all else takes its place.
fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => drop(target.remove(name)),
            Value::Object(members) => {
                let inner = target.entry(name).or_insert_with(|| json!({}));
                if !inner.is_object() {
                    *inner = json!({});
                }
                if let Value::Object(inner) = inner {
                    merge(inner, members);
                }
            }
            value => drop(target.insert(name.clone(), value.clone())),
        }
    }
}

/// How many objects and lists stand in one another. What is read is never deep enough for the stack to matter.
fn depth(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

impl Type for Preferences {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "Preferences".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let any = MetaSchemaRef::Inline(Box::new(MetaSchema::ANY));
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            description: Some("Any members, at most 100 and 16 KiB."),
            additional_properties: Some(Box::new(any)),
            example: Some(json!({ "theme": "dark", "editor": { "tabSize": 4 } })),
            ..MetaSchema::new("object")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl ParseFromJSON for Preferences {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::Object(members)) => Ok(Self(members)),
            _ => Err(ParseError::custom("must be an object")),
        }
    }
}

impl ToJSON for Preferences {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.clone().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &Value) -> Preferences {
        Preferences(value.as_object().cloned().unwrap_or_default())
    }

    /// The examples of RFC 7396, appendix A, that are about objects.
    #[test]
    fn a_patch_is_laid_over_what_is_there() {
        for (before, patch, after) in [
            (json!({ "a": "b" }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "b" }), json!({ "b": "c" }), json!({ "a": "b", "b": "c" })),
            (json!({ "a": "b" }), json!({ "a": null }), json!({})),
            (json!({ "a": "b", "b": "c" }), json!({ "a": null }), json!({ "b": "c" })),
            (json!({ "a": ["b"] }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "c" }), json!({ "a": ["b"] }), json!({ "a": ["b"] })),
            (json!({ "a": { "b": "c" } }), json!({ "a": { "b": "d", "c": null } }), json!({ "a": { "b": "d" } })),
            (json!({ "a": [{ "b": "c" }] }), json!({ "a": [1] }), json!({ "a": [1] })),
            (json!({ "e": null }), json!({ "a": 1 }), json!({ "e": null, "a": 1 })),
            (json!({}), json!({ "a": { "bb": { "ccc": null } } }), json!({ "a": { "bb": {} } })),
        ] {
            let patched = of(&before).patched(patch.as_object().expect("an object"));
            assert_eq!(patched, of(&after), "{before} {patch}");
        }
    }

    #[test]
    fn each_limit_holds_from_both_sides() {
        let codes = |value: &Value| of(value).faults().into_iter().map(|it| it.code).collect::<Vec<_>>();
        let many = |count: usize| (0..count).map(|it| (it.to_string(), json!(1))).collect::<Map<_, _>>().into();
        let long = |bytes: usize| json!({ "a": "x".repeat(bytes - r#"{"a":""}"#.len()) });
        let deep = |count: usize| (1..count).fold(json!({}), |inner, _| json!({ "a": inner }));

        assert_eq!((codes(&many(100)), codes(&many(101))), (vec![], vec!["too-many".to_owned()]));
        assert_eq!((codes(&long(BYTES_MAX)), codes(&long(BYTES_MAX + 1))), (vec![], vec!["too-long".to_owned()]));
        assert_eq!((codes(&deep(8)), codes(&deep(9))), (vec![], vec!["too-deep".to_owned()]));
    }
}
