//! Migrations: numbered `.sql` files, applied in order, never edited after release.
//!
//! Each runs in a transaction of its own together with the row that remembers it, so
//! a crash leaves a database before or after a migration, never inside one.
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use rusqlite::Connection;

use super::Error;
use super::sqlite::{self, Place};
use crate::base::Clock;

/// One step of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    pub number: i64,
    pub name: &'static str,
    pub sql: &'static str,
}

impl Migration {
    /// SHA-256 of the text, in hex. A database remembers it, and so does the suite.
    pub fn digest(&self) -> String {
        HEXLOWER.encode(digest(&SHA256, self.sql.as_bytes()).as_ref())
    }
}

macro_rules! migration {
    ($kind:literal, $number:literal, $name:literal) => {
        Migration { number: $number, name: $name, sql: include_str!(concat!("migrations/", $kind, "/", $name, ".sql")) }
    };
}

/// What `system.db` has been through.
pub const SYSTEM: &[Migration] = &[
    migration!("system", 1, "0001_system"),
    migration!("system", 2, "0002_audit"),
    migration!("system", 3, "0003_signing_keys"),
    migration!("system", 4, "0004_master_keys"),
];
/// What each tenant's `records.db` has been through.
pub const TENANT: &[Migration] = &[
    migration!("tenant", 1, "0001_accounts"),
    migration!("tenant", 2, "0002_collections"),
    migration!("tenant", 3, "0003_events"),
    migration!("tenant", 4, "0004_schema_history"),
    migration!("tenant", 5, "0005_jobs_and_mail"),
    migration!("tenant", 6, "0006_roles_and_keys"),
    migration!("tenant", 7, "0007_audit"),
    migration!("tenant", 8, "0008_schema_files_behind"),
    migration!("tenant", 9, "0009_second_factors"),
    migration!("tenant", 10, "0010_users"),
    migration!("tenant", 11, "0011_cookie_sessions"),
    migration!("tenant", 12, "0012_guessing"),
    migration!("tenant", 13, "0013_secrets"),
    migration!("tenant", 14, "0014_invitations_and_impersonation"),
    migration!("tenant", 15, "0015_registered"),
    migration!("tenant", 16, "0016_inheritance_and_credits"),
    migration!("tenant", 17, "0017_mail_delivery"),
];

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS migrations (
    number     BIGINT NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    digest     TEXT   NOT NULL,
    applied_at BIGINT NOT NULL
)";

/// Brings a database to the newest schema, and tells how many steps that took.
///
/// A database that has rows gets a checked copy beside it first. One from a later
/// version, or with a different past, is refused untouched.
pub(super) fn migrate(
    connection: &Connection,
    place: &Place,
    migrations: &[Migration],
    clock: &Clock,
) -> Result<usize, Error> {
    let fresh = !has_ledger(connection)?;
    let applied = if fresh { Vec::new() } else { applied(connection)? };
    let pending = pending(migrations, &applied)?;
    if let (Some(first), Some(path), false) = (pending.first(), place.path(), fresh) {
        let copy = path.with_extension(format!("before-{:04}.db", first.number));
        take_copy(place, &copy)?;
        tracing::info!(copy = %copy.display(), "a copy was taken before the migration");
    }
    for migration in pending {
        apply(connection, migration, clock)?;
    }
    Ok(pending.len())
}

fn has_ledger(connection: &Connection) -> Result<bool, Error> {
    connection.table_exists(None, "migrations").map_err(sqlite::error)
}

fn applied(connection: &Connection) -> Result<Vec<(i64, String)>, Error> {
    let read = || -> rusqlite::Result<Vec<_>> {
        let mut statement = connection.prepare("SELECT number, digest FROM migrations ORDER BY number")?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    read().map_err(sqlite::error)
}

/// The migrations that this database has not had, after checking those that it has.
fn pending<'m>(migrations: &'m [Migration], applied: &[(i64, String)]) -> Result<&'m [Migration], Error> {
    let known = migrations.last().map_or(0, |it| it.number);
    if let Some((found, _)) = applied.last().filter(|(found, _)| known < *found) {
        return Err(Error::Newer { found: *found, known });
    }
    for (migration, (number, digest)) in migrations.iter().zip(applied) {
        if migration.number != *number || migration.digest() != *digest {
            return Err(Error::MigrationChanged { number: *number });
        }
    }
    Ok(&migrations[applied.len().min(migrations.len())..])
}

fn take_copy(place: &Place, copy: &Path) -> Result<(), Error> {
    match std::fs::remove_file(copy) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Io { what: copy.display().to_string(), cause })
        }
        _ => sqlite::snapshot(place, copy),
    }
}

fn apply(connection: &Connection, migration: &Migration, clock: &Clock) -> Result<(), Error> {
    let run = || {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        connection.execute_batch(LEDGER)?;
        connection.execute_batch(&translate(migration.sql))?;
        connection.execute(
            "INSERT INTO migrations (number, name, digest, applied_at) VALUES (?1, ?2, ?3, ?4)",
            (migration.number, migration.name, migration.digest(), clock.now().millis()),
        )?;
        connection.execute_batch("COMMIT")
    };
    run().map_err(|cause| {
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
        sqlite::error(cause)
    })
}

/// Our portable SQL in SQLite's words: strict tables, and the names it has for types.
fn translate(sql: &str) -> String {
    sql.replace("BIGINT", "INTEGER")
        .replace("DOUBLE PRECISION", "REAL")
        .replace("BYTEA", "BLOB")
        .replace("\n);", "\n) STRICT;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    const FIRST: Migration = Migration { number: 1, name: "first", sql: "CREATE TABLE a (\n    n BIGINT NOT NULL\n);" };
    const SECOND: Migration = Migration { number: 2, name: "second", sql: "ALTER TABLE a ADD COLUMN m BIGINT;" };
    const BROKEN: Migration =
        Migration { number: 2, name: "broken", sql: "CREATE TABLE b (\n    n BIGINT\n); SELECT nonsense;" };

    fn clock() -> Clock {
        Clock::stopped_at(Timestamp::from_millis(0))
    }

    fn file() -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::File(folder.path().join("records.db"));
        (folder, place)
    }

    #[test]
    fn a_migration_is_applied_once() {
        let (_folder, place) = file();
        let connection = sqlite::open_writer(&place).expect("opened");

        assert_eq!(migrate(&connection, &place, &[FIRST], &clock()).expect("first time"), 1);
        assert_eq!(migrate(&connection, &place, &[FIRST], &clock()).expect("second time"), 0);
    }

    /// What was true of the data before an upgrade can be had back.
    #[test]
    fn a_checked_copy_is_taken_before_data_is_migrated_and_none_when_there_is_no_data() {
        let (folder, place) = file();
        let connection = sqlite::open_writer(&place).expect("opened");
        migrate(&connection, &place, &[FIRST], &clock()).expect("first");
        connection.execute_batch("INSERT INTO a (n) VALUES (7)").expect("a row");
        assert_eq!(std::fs::read_dir(folder.path()).expect("folder").filter(is_copy).count(), 0);

        migrate(&connection, &place, &[FIRST, SECOND], &clock()).expect("second");

        let copy = Connection::open(folder.path().join("records.before-0002.db")).expect("the copy");
        assert_eq!(copy.query_row("SELECT n FROM a", [], |row| row.get::<_, i64>(0)), Ok(7));
        assert!(copy.prepare("SELECT m FROM a").is_err(), "the copy has the old schema");
    }

    fn is_copy(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
        entry.as_ref().is_ok_and(|it| it.file_name().to_string_lossy().contains("before"))
    }

    #[test]
    fn a_migration_that_fails_leaves_nothing_behind() {
        let (_folder, place) = file();
        let connection = sqlite::open_writer(&place).expect("opened");
        migrate(&connection, &place, &[FIRST], &clock()).expect("first");

        assert!(migrate(&connection, &place, &[FIRST, BROKEN], &clock()).is_err());

        assert!(!connection.table_exists(None, "b").expect("asked"));
        assert_eq!(applied(&connection).expect("ledger").len(), 1);
    }

    #[test]
    fn a_database_of_a_later_version_is_refused() {
        let (_folder, place) = file();
        let connection = sqlite::open_writer(&place).expect("opened");
        migrate(&connection, &place, &[FIRST, SECOND], &clock()).expect("the later version");

        let refused = migrate(&connection, &place, &[FIRST], &clock());

        assert!(matches!(refused, Err(Error::Newer { found: 2, known: 1 })), "{refused:?}");
    }

    #[test]
    fn an_edited_migration_is_refused() {
        let (_folder, place) = file();
        let connection = sqlite::open_writer(&place).expect("opened");
        migrate(&connection, &place, &[FIRST], &clock()).expect("as released");

        let edited = Migration { sql: "CREATE TABLE a (\n    n TEXT\n);", ..FIRST };
        let refused = migrate(&connection, &place, &[edited], &clock());

        assert!(matches!(refused, Err(Error::MigrationChanged { number: 1 })), "{refused:?}");
    }

    #[test]
    fn tables_are_strict() {
        let (_folder, place) = file();
        let connection = sqlite::open_writer(&place).expect("opened");
        migrate(&connection, &place, &[FIRST], &clock()).expect("first");

        assert!(connection.execute_batch("INSERT INTO a (n) VALUES ('text')").is_err());
    }

    /// What an admin wrote must outlast an upgrade.
    #[test]
    fn words_of_mails_that_an_admin_changed_are_those_for_all_languages_afterwards() {
        let (_folder, place) = file();
        let connection = sqlite::open_writer(&place).expect("opened");
        let before = TENANT.iter().position(|it| it.name.ends_with("_mail_delivery")).expect("a migration");
        migrate(&connection, &place, &TENANT[..before], &clock()).expect("before");
        let changed = "INSERT INTO mail_templates VALUES ('welcome', 'Hello', 'text', 'html', 3, 0)";
        connection.execute_batch(changed).expect("a row");

        migrate(&connection, &place, TENANT, &clock()).expect("after");

        let sql = "SELECT name || locale || subject || text_body || html_body || version FROM mail_words";
        let kept = connection.query_row(sql, [], |row| row.get::<_, String>(0));
        assert_eq!(kept, Ok("welcomeHellotexthtml3".to_owned()));
    }

    /// The lists are what a release promises: in order, without gaps, named after their number.
    #[test]
    fn the_lists_are_numbered_without_gaps() {
        for list in [SYSTEM, TENANT] {
            for (index, migration) in list.iter().enumerate() {
                assert_eq!(migration.number, i64::try_from(index).expect("small") + 1);
                assert!(migration.name.starts_with(&format!("{:04}_", migration.number)));
            }
        }
    }
}
