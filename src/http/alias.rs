//! One table of second names for paths, applied before routing.
//!
//! An alias is rewritten, never redirected: a redirect would turn a POST into a GET.
//! Nothing else about a path is changed: `//`, `.` and `..` and percent-encoding
//! reach the router as they were sent, and lead nowhere.
use poem::http::{Method, Uri};

/// Where the default version of the API lives.
const DEFAULT_VERSION: &str = "/api/v1";

/// A path that has a second name, below [`DEFAULT_VERSION`].
struct Alias {
    method: Method,
    from: &'static str,
    to: &'static str,
}

/// Names beside the prefixes that [`canonical`] knows.
static ALIASES: [Alias; 4] = [
    Alias { method: Method::GET, from: "/admin/users", to: "/users" },
    Alias { method: Method::POST, from: "/auth/refresh", to: "/auth/refresh-token" },
    Alias { method: Method::POST, from: "/admin/keys/create", to: "/admin/keys" },
    Alias { method: Method::POST, from: "/admin/backup", to: "/admin/backups" },
];

/// The path that an alias stands for; nothing if `path` is no alias.
pub fn canonical(method: &Method, path: &str) -> Option<String> {
    let below = if let Some(rest) = path.strip_prefix("/api/") {
        if is_versioned(rest) {
            let below = path.strip_prefix(DEFAULT_VERSION)?;
            let renamed = renamed(method, below)?;
            return Some(format!("{DEFAULT_VERSION}{renamed}"));
        }
        &path["/api".len()..]
    } else if path.starts_with("/admin/") {
        path
    } else {
        return None;
    };
    if below == "/" || below == "/admin/" {
        return None;
    }
    Some(format!("{DEFAULT_VERSION}{}", renamed(method, below).unwrap_or(below)))
}

/// Rewrites the path of `uri` if it is an alias; the query stays as it is.
pub fn rewrite(method: &Method, uri: &mut Uri) {
    let Some(mut path) = canonical(method, uri.path()) else { return };
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = std::mem::take(uri).into_parts();
    // A path that was valid stays valid with another beginning.
    if let Ok(path) = path.try_into() {
        parts.path_and_query = Some(path);
    }
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

/// Every alias of a canonical path, for the OpenAPI document.
pub fn aliases_of(method: &Method, canonical: &str) -> Vec<String> {
    let Some(below) = canonical.strip_prefix(DEFAULT_VERSION).filter(|it| it.starts_with('/')) else {
        return Vec::new();
    };
    let mut aliases = Vec::new();
    let mut short = |below: &str| {
        aliases.push(format!("/api{below}"));
        if below.starts_with("/admin/") {
            aliases.push(below.to_owned());
        }
    };
    short(below);
    for alias in ALIASES.iter().filter(|it| it.to == below && it.method == *method) {
        short(alias.from);
    }
    for alias in ALIASES.iter().filter(|it| it.to == below && it.method == *method) {
        aliases.push(format!("{DEFAULT_VERSION}{}", alias.from));
    }
    aliases
}

fn renamed(method: &Method, below: &str) -> Option<&'static str> {
    ALIASES.iter().find(|it| it.from == below && it.method == *method).map(|it| it.to)
}

/// Whether a path below `/api/` starts with a version: `v1`, `v2/users`.
fn is_versioned(rest: &str) -> bool {
    let first = rest.split('/').next().unwrap_or_default();
    first.strip_prefix('v').is_some_and(|it| !it.is_empty() && it.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(method: &Method, path: &str) -> String {
        let mut uri: Uri = path.parse().expect("a path");
        rewrite(method, &mut uri);
        uri.to_string()
    }

    #[test]
    fn a_path_without_a_version_is_the_default_version() {
        assert_eq!(rewritten(&Method::GET, "/api/users"), "/api/v1/users");
        assert_eq!(rewritten(&Method::GET, "/admin/keys"), "/api/v1/admin/keys");
        assert_eq!(rewritten(&Method::POST, "/api/auth/refresh"), "/api/v1/auth/refresh-token");
        assert_eq!(rewritten(&Method::POST, "/api/v1/auth/refresh"), "/api/v1/auth/refresh-token");
        assert_eq!(rewritten(&Method::POST, "/admin/keys/create"), "/api/v1/admin/keys");
    }

    #[test]
    fn a_path_that_is_no_alias_stays_as_it_is() {
        for path in [
            "/",
            "/api",
            "/api/",
            "/api/v1",
            "/api/v1/users",
            "/api/v2/users",
            "/api/v10/x",
            "/api-docs",
            "/admin",
            "/admin/",
            "/administrator/x",
            "/health",
            "/dashboard/admin/x",
        ] {
            assert_eq!(rewritten(&Method::GET, path), path);
        }
    }

    #[test]
    fn a_rewrite_keeps_the_query_and_the_authority() {
        assert_eq!(rewritten(&Method::GET, "/api/users?q=%2Fapi%2F&n=1"), "/api/v1/users?q=%2Fapi%2F&n=1");
        assert_eq!(rewritten(&Method::GET, "http://a.example/api/users?q"), "http://a.example/api/v1/users?q");
    }

    /// A key named `create` is not the making of a key.
    #[test]
    fn an_alias_of_one_method_is_not_one_of_another() {
        assert_eq!(rewritten(&Method::GET, "/admin/keys/create"), "/api/v1/admin/keys/create");
    }

    /// Cleaning paths up is how filters in front of a server are passed by.
    #[test]
    fn a_path_is_not_tidied() {
        assert_eq!(rewritten(&Method::GET, "/api//users"), "/api/v1//users");
        assert_eq!(rewritten(&Method::GET, "/api/../etc"), "/api/v1/../etc");
        assert_eq!(rewritten(&Method::GET, "/api/%76%31/users"), "/api/v1/%76%31/users");
        assert_eq!(rewritten(&Method::GET, "//api/users"), "//api/users");
    }

    /// The document promises only paths that answer.
    #[test]
    fn every_listed_alias_leads_back_to_its_path() {
        for (method, path) in [
            (Method::GET, "/api/v1/users/{id}"),
            (Method::GET, "/api/v1/users"),
            (Method::PUT, "/api/v1/admin/keys/{id}/rotate"),
            (Method::POST, "/api/v1/auth/refresh-token"),
            (Method::POST, "/api/v1/admin/keys"),
            (Method::POST, "/api/v1/admin/backups"),
        ] {
            let aliases = aliases_of(&method, path);

            assert!(!aliases.is_empty());
            for alias in aliases {
                assert_eq!(canonical(&method, &alias).as_deref(), Some(path), "{alias}");
            }
        }
        assert!(aliases_of(&Method::GET, "/health").is_empty());
    }

    #[test]
    fn the_second_names_of_a_path_are_listed() {
        assert_eq!(
            aliases_of(&Method::POST, "/api/v1/auth/refresh-token"),
            ["/api/auth/refresh-token", "/api/auth/refresh", "/api/v1/auth/refresh"]
        );
        assert_eq!(
            aliases_of(&Method::PUT, "/api/v1/admin/keys/{id}/rotate"),
            ["/api/admin/keys/{id}/rotate", "/admin/keys/{id}/rotate"]
        );
    }
}
