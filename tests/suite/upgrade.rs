//! What a release has promised to the data of the one before.
use steading::db::migrate::{SYSTEM, TENANT};

/// Migrations as they were released. A line is added with a migration, and never changed.
const RELEASED: &[(&str, &str)] = &[("0001_system", "SYSTEM1"), ("0001_accounts", "TENANT1")];

/// An edited migration would leave old and new servers with different tables under one number.
#[test]
fn a_released_migration_is_never_edited() {
    let found: Vec<_> = SYSTEM.iter().chain(TENANT).map(|it| (it.name, it.digest())).collect();
    let released: Vec<_> = RELEASED.iter().map(|(name, digest)| (*name, (*digest).to_owned())).collect();

    assert_eq!(found, released);
}
