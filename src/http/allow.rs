//! Which methods a path takes: the `Allow` header of a 405 (RFC 9110 section 15.5.6).
//!
//! The framework knows, but does not tell; the OpenAPI document says the same.
use http::HeaderValue;
use serde_json::Value;

/// What every page and document takes; they are not in the OpenAPI document.
const OF_PAGES: HeaderValue = HeaderValue::from_static("GET, HEAD");

/// The methods of each path in the document.
#[derive(Clone, Debug, Default)]
pub struct Allow(Vec<(String, HeaderValue)>);

impl Allow {
    /// Reads the paths of an OpenAPI document.
    pub fn of(document: &Value) -> Self {
        let paths = document["paths"].as_object().into_iter().flatten();
        Self(
            paths
                .filter_map(|(path, operations)| {
                    let mut methods: Vec<_> = operations.as_object()?.keys().map(|it| it.to_uppercase()).collect();
                    if methods.iter().any(|it| it == "GET") {
                        methods.push("HEAD".to_owned());
                    }
                    methods.sort_unstable();
                    Some((path.clone(), HeaderValue::try_from(methods.join(", ")).ok()?))
                })
                .collect(),
        )
    }

    /// The methods of a path that takes at least one.
    pub fn for_path(&self, path: &str) -> HeaderValue {
        let matching = self.0.iter().filter(|(template, _)| matches(template, path));
        // A path that is written out wins over one with a hole.
        let best = matching.min_by_key(|(template, _)| template.matches('{').count());
        best.map_or(OF_PAGES, |(_, methods)| methods.clone())
    }
}

pub(super) fn matches(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(part), Some(given)) if part == given || (part.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_allows_what_the_document_says_and_a_page_can_be_read() {
        let allow = Allow::of(&json!({ "paths": {
            "/users": { "get": {}, "post": {} },
            "/users/{id}": { "patch": {}, "delete": {} },
            "/users/search": { "get": {} },
        } }));

        assert_eq!(allow.for_path("/users"), "GET, HEAD, POST");
        assert_eq!(allow.for_path("/users/7"), "DELETE, PATCH");
        assert_eq!(allow.for_path("/users/search"), "GET, HEAD");
        assert_eq!(allow.for_path("/users/7/keys"), "GET, HEAD");
    }
}
