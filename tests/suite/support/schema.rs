//! Whether a value fits a schema of the OpenAPI document, in the words of 3.0 that it uses.
use serde_json::{Map, Value};

/// Words that say nothing about which values fit.
const REMARKS: &[&str] =
    &["description", "example", "title", "readOnly", "writeOnly", "default", "deprecated", "format"];

/// Everything in `value` that does not fit, with where it is. A word that is not known here is a fault too:
/// what is not looked at must not pass for true.
pub fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    Check { document, faults: &mut faults }.value(schema, value, "");
    faults
}

struct Check<'a> {
    document: &'a Value,
    faults: &'a mut Vec<String>,
}

impl Check<'_> {
    fn value(&mut self, schema: &Value, value: &Value, at: &str) {
        let Some(schema) = schema.as_object() else { return self.fault(at, &format!("no schema: {schema}")) };
        if value.is_null() && schema.get("nullable") == Some(&Value::Bool(true)) {
            return;
        }
        for (word, told) in schema {
            match word.as_str() {
                "$ref" => {
                    let pointer = told.as_str().unwrap_or_default().trim_start_matches('#');
                    let document = self.document;
                    self.value(document.pointer(pointer).unwrap_or(&Value::Null), value, at);
                }
                "type" => self.is_of_type(told, value, at),
                "enum" => {
                    self.must(told.as_array().is_some_and(|it| it.contains(value)), at, || {
                        format!("not one of {told}")
                    });
                }
                "properties" => self.members(told, schema, value, at),
                "required" => self.required(told, value, at),
                "items" => {
                    for (index, it) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(told, it, &format!("{at}/{index}"));
                    }
                }
                "allOf" => told.as_array().into_iter().flatten().for_each(|it| self.value(it, value, at)),
                "anyOf" | "oneOf" => {
                    let document = self.document;
                    let mut variants = told.as_array().into_iter().flatten();
                    let fits = variants.any(|it| faults(document, it, value).is_empty());
                    self.must(fits, at, || "fits none of the variants".to_owned());
                }
                "additionalProperties" if !schema.contains_key("properties") => {
                    self.members(&Value::Null, schema, value, at);
                }
                "pattern" => {
                    let pattern = regex::Regex::new(told.as_str().unwrap_or_default()).expect("a pattern");
                    let fits = value.as_str().is_some_and(|it| pattern.is_match(it));
                    self.must(fits, at, || format!("does not match {told}"));
                }
                "minimum" => self.must(value.as_f64() >= told.as_f64(), at, || format!("less than {told}")),
                "maximum" => self.must(value.as_f64() <= told.as_f64(), at, || format!("more than {told}")),
                "minLength" | "maxLength" | "minItems" | "maxItems" => self.length(word, told, value, at),
                "uniqueItems" | "nullable" | "additionalProperties" => {}
                remark if REMARKS.contains(&remark) => {}
                unknown => self.fault(at, &format!("the word `{unknown}` is not known")),
            }
        }
        self.format(schema, value, at);
    }

    fn is_of_type(&mut self, told: &Value, value: &Value, at: &str) {
        let fits = match told.as_str().unwrap_or_default() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            _ => false,
        };
        self.must(fits, at, || format!("{value} is not of type {told}"));
    }

    fn members(&mut self, known: &Value, schema: &Map<String, Value>, value: &Value, at: &str) {
        for (name, it) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            match (known.get(name), schema.get("additionalProperties")) {
                (Some(schema), _) => self.value(schema, it, &at),
                (None, Some(Value::Bool(false))) => self.fault(&at, "is not in the schema"),
                (None, Some(others @ Value::Object(_))) => self.value(others, it, &at),
                (None, _) => {}
            }
        }
    }

    fn required(&mut self, told: &Value, value: &Value, at: &str) {
        for name in told.as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.must(value.get(name).is_some(), at, || format!("has no `{name}`"));
        }
    }

    fn length(&mut self, word: &str, told: &Value, value: &Value, at: &str) {
        let length = value.as_array().map(Vec::len).or_else(|| value.as_str().map(|it| it.chars().count()));
        let (Some(length), Some(bound)) = (length, told.as_u64()) else { return };
        let fits = if word.starts_with("min") { bound <= length as u64 } else { length as u64 <= bound };
        self.must(fits, at, || format!("{length} breaks `{word}` {told}"));
    }

    fn format(&mut self, schema: &Map<String, Value>, value: &Value, at: &str) {
        let Some(text) = value.as_str() else { return };
        let fits = match schema.get("format").and_then(Value::as_str) {
            Some("uuid") => text.len() == 36 && text.bytes().all(|it| it == b'-' || it.is_ascii_hexdigit()),
            Some("date-time") => text.len() == 24 && text.parse::<steading::base::Timestamp>().is_ok(),
            Some("email") => text.contains('@'),
            Some("uri") => text.contains("://"),
            _ => true,
        };
        self.must(fits, at, || format!("{text:?} is not of format {:?}", schema.get("format")));
    }

    fn must(&mut self, fits: bool, at: &str, why: impl FnOnce() -> String) {
        if !fits {
            self.fault(at, &why());
        }
    }

    fn fault(&mut self, at: &str, why: &str) {
        self.faults.push(format!("{at}: {why}"));
    }
}

/// The checker itself must see what it is there to see.
#[test]
fn what_does_not_fit_a_schema_is_seen() {
    let document = serde_json::json!({ "components": { "schemas": { "User": {
        "type": "object", "required": ["id"], "additionalProperties": false,
        "properties": { "id": { "type": "string", "format": "uuid" }, "age": { "type": "integer", "nullable": true } },
    } } } });
    let schema = serde_json::json!({ "type": "array", "items": { "$ref": "#/components/schemas/User" } });
    let fits = serde_json::json!([{ "id": "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80", "age": null }]);
    assert_eq!(faults(&document, &schema, &fits), Vec::<String>::new());

    for wrong in [
        serde_json::json!({}),
        serde_json::json!([{}]),
        serde_json::json!([{ "id": "x" }]),
        serde_json::json!([{ "id": null }]),
        serde_json::json!([{ "id": "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80", "age": 1.5 }]),
        serde_json::json!([{ "id": "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80", "other": 1 }]),
    ] {
        assert_eq!(faults(&document, &schema, &wrong).len(), 1, "{wrong}");
    }
}
