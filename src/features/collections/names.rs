//! Which names collections and fields may have.

/// Longest name: what PostgreSQL keeps of one.
const NAME_BYTES_MAX: usize = 63;

/// Words that mean something else in an expression, in a path or in a record, whatever their case.
const RESERVED: &[&str] = &[
    // CEL's own (its specification, "Syntax")
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
    // what every expression can name
    "auth",
    "changed",
    "now",
    "request",
    // what every record has
    "createdat",
    "deletedat",
    "expand",
    "id",
    "isdeleted",
    "updatedat",
    "select",
];

/// Names that no collection may have: of tables and paths that are there already.
const RESERVED_FOR_COLLECTIONS: &[&str] = &["export", "import", "users"];

/// Why a field cannot have this name.
pub(super) fn refuse_field(name: &str) -> Option<String> {
    refuse(name, RESERVED)
}

/// Why a collection cannot have this name.
pub(super) fn refuse_collection(name: &str) -> Option<String> {
    refuse(name, RESERVED).or_else(|| refuse(name, RESERVED_FOR_COLLECTIONS)).or_else(|| {
        let is_of_sqlite = name.get(..7).is_some_and(|it| it.eq_ignore_ascii_case("sqlite_"));
        is_of_sqlite.then(|| "must not begin with `sqlite_`".to_owned())
    })
}

fn refuse(name: &str, reserved: &[&str]) -> Option<String> {
    let mut letters = name.bytes();
    let is_word = letters.next().is_some_and(|it| it.is_ascii_alphabetic())
        && letters.all(|it| it.is_ascii_alphanumeric() || it == b'_')
        && name.len() <= NAME_BYTES_MAX;
    if !is_word {
        return Some("must be letters, digits and `_`, begin with a letter, and be at most 63 long".to_owned());
    }
    let key = name.to_ascii_lowercase();
    if reserved.contains(&key.as_str()) {
        return Some("is a word that the server needs for itself".to_owned());
    }
    key.contains("_via_").then(|| "must not contain `_via_`, which names relations backwards".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_mean_something_else_is_refused() {
        for name in
            ["", "_a", "1a", "a-b", "a b", "a'b", "../x", "é", "id", "ID", "createdAt", "select", "SELECT", "in"]
        {
            assert!(refuse_field(name).is_some(), "{name}");
            assert!(refuse_collection(name).is_some(), "{name}");
        }
        for name in ["users", "Users", "sqlite_master", "SQLITE_x", "posts_via_author"] {
            assert!(refuse_collection(name).is_some(), "{name}");
        }
        assert!(refuse_field(&"x".repeat(64)).is_some());
    }

    #[test]
    fn an_ordinary_name_is_taken() {
        for name in ["order", "group", "Title", "a1_b", "users", "table"] {
            assert_eq!(refuse_field(name), None, "{name}");
        }
        assert_eq!(refuse_collection("posts"), None);
    }
}
