//! The rules of the house, as an ordinary test (DESIGN section 3).
use std::path::{Path, PathBuf};

/// Which rooms a room may not look into. Everything else is allowed.
const WALLS: &[(&str, &[&str])] = &[
    (
        "base",
        &["crate::config", "crate::db", "crate::http", "crate::features", "crate::app", "crate::work", "crate::kv"],
    ),
    ("config", &["crate::db", "crate::http", "crate::features", "crate::app", "crate::work", "crate::kv"]),
    ("db", &["crate::http", "crate::features", "crate::app", "crate::work", "crate::kv"]),
    (
        "expr",
        &["crate::config", "crate::http", "crate::features", "crate::app", "crate::work", "crate::kv", "crate::roles"],
    ),
    ("kv", &["crate::http", "crate::features", "crate::app", "crate::work", "crate::db"]),
    ("net", &["crate::http", "crate::features", "crate::app", "crate::work", "crate::kv", "crate::db", "crate::roles"]),
    ("work", &["crate::http", "crate::features", "crate::app", "crate::kv"]),
    ("http", &["crate::features", "crate::app", "crate::roles", "crate::kv"]),
    (
        "relay",
        &["crate::features", "crate::app", "crate::roles", "crate::kv", "crate::db", "crate::expr", "crate::bus"],
    ),
    ("features", &["crate::app", "crate::roles", "crate::App"]),
];

/// Words that belong to one room.
const WORDS: &[(&str, &str)] =
    &[("rusqlite", "db"), ("redb::", "kv"), ("std::env::", "config"), ("argon2::", "features")];

/// Longest file; at 400 lines one should look hard.
const LINES_MAX: usize = 600;

/// SQL that PostgreSQL does not speak, or that breaks group commit (DESIGN section 4).
const NOT_PORTABLE: &[&str] = &[
    "AUTOINCREMENT",
    "INSERT OR",
    "UPDATE OR",
    "datetime('now')",
    "IFNULL",
    "GLOB",
    "DEFERRABLE",
    "defer_foreign_keys",
    "RAISE(ROLLBACK)",
    "OR ROLLBACK",
    "WITHOUT ROWID",
    " BLOB",
    " INTEGER",
];

struct Source {
    path: String,
    /// Without what is under `#[cfg(test)]` at the end of the file.
    code: String,
    lines: usize,
}

fn sources(folder: &str, ending: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    walk(&root.join(folder), &mut |path| {
        if path.extension().is_some_and(|it| it == ending) {
            let text = std::fs::read_to_string(path).expect("text");
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            let path = path.strip_prefix(root).expect("below the root").display().to_string();
            found.push(Source { path, code, lines: text.lines().count() });
        }
    });
    assert!(!found.is_empty(), "{folder} has no .{ending}");
    found
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|it| it.expect("an entry").path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() { walk(&entry, visit) } else { visit(&entry) }
    }
}

/// The room that a file is in; its tests may look anywhere.
fn room(path: &str) -> &str {
    path.strip_prefix("src/").and_then(|it| it.split(['/', '.']).next()).unwrap_or_default()
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs")
}

#[test]
fn no_room_looks_where_it_may_not() {
    let mut broken = Vec::new();
    for source in sources("src", "rs").iter().filter(|it| !is_test(&it.path)) {
        for (_, forbidden) in WALLS.iter().filter(|(it, _)| *it == room(&source.path)) {
            broken.extend(
                forbidden.iter().filter(|it| source.code.contains(**it)).map(|it| format!("{}: {it}", source.path)),
            );
        }
        for (word, home) in WORDS.iter().filter(|(_, home)| *home != room(&source.path)) {
            if source.code.contains(word) {
                broken.push(format!("{}: `{word}` belongs to {home}/", source.path));
            }
        }
    }

    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_store_only_runs_sql() {
    for source in sources("src/features", "rs").iter().filter(|it| it.path.ends_with("store.rs")) {
        for word in ["async ", ".await", "clock", "Random", "COMMIT", "ROLLBACK", "BEGIN"] {
            assert!(!source.code.contains(word), "{}: {word}", source.path);
        }
    }
}

#[test]
fn sql_is_portable() {
    let stores = sources("src/features", "rs");
    let migrations = sources("src/db/migrations", "sql");
    for source in stores.iter().filter(|it| it.path.ends_with("store.rs")).chain(&migrations) {
        for word in NOT_PORTABLE {
            assert!(!source.code.contains(word), "{}: {word}", source.path);
        }
    }
    for source in &migrations {
        let tables = source.code.matches("CREATE TABLE").count();
        assert_eq!(
            source.code.matches("\n);").count(),
            tables,
            "{}: a table must end in a line of its own",
            source.path
        );
    }
}

#[test]
fn files_are_short_enough_to_read() {
    let long: Vec<_> =
        sources("src", "rs").into_iter().filter(|it| LINES_MAX < it.lines).map(|it| (it.path, it.lines)).collect();

    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn every_file_says_what_it_is_and_nothing_is_left_open() {
    for source in sources("src", "rs") {
        let is_one_struct = source.path.starts_with("src/config/") && !source.code.starts_with("//!");
        let is_store = source.path.ends_with("server_keys/store.rs");
        assert!(source.code.starts_with("//!") || is_one_struct || is_store, "{} has no first words", source.path);
        for word in ["todo!", "unimplemented!", "FIXME", "XXX", "#[allow("] {
            assert!(!source.code.contains(word), "{}: {word}", source.path);
        }
    }
}

#[test]
fn tasks_are_started_in_two_rooms_only() {
    for source in sources("src", "rs").iter().filter(|it| !is_test(&it.path)) {
        let may = ["work", "http", "roles"].contains(&room(&source.path));
        assert!(may || !source.code.contains("tokio::spawn"), "{}", source.path);
    }
}
