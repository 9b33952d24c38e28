//! Promises of expressions, on real SQLite.
