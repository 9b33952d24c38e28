//! Connections: how they are opened and hardened, and how a statement is bound.
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::limits::Limit;
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, ffi};

use super::{functions, view_value};
use crate::db::{Error, Value};

/// Oldest SQLite without the WAL-reset corruption of 3.7.0 to 3.51.2.
const VERSION_MIN: i32 = 3_051_003;
/// Statements kept prepared per connection. A feature has a few dozen.
const STATEMENTS_KEPT: usize = 256;
/// Page cache of the writer, in KiB (negative by SQLite's custom), and of each reader: there are several, and what one
/// has not, the system has.
const CACHE_KIB: i64 = 4_096;
const READER_CACHE_KIB: i64 = 2_048;
/// Largest value, and largest row, in bytes.
const LENGTH_MAX: i32 = 64 << 20;
/// How long a lock of another connection is waited for. Only checkpoints and snapshots hold any.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a database lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::db) enum Place {
    File(PathBuf),
    /// Shared by the connections of this process under a name of its own. For tests.
    Memory(String),
}

impl Place {
    fn open(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        match self {
            Self::File(path) => Connection::open_with_flags(path, flags),
            Self::Memory(name) => {
                let uri = format!("file:/{name}?vfs=memdb");
                Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
            }
        }
    }

    pub(in crate::db) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Memory(_) => None,
        }
    }
}

/// Opens the one connection that writes, making the file if there is none.
pub(in crate::db) fn open_writer(place: &Place) -> Result<Connection, Error> {
    if rusqlite::version_number() < VERSION_MIN {
        return Err(Error::Engine(format!("SQLite {} can corrupt its WAL", rusqlite::version()).into()));
    }
    let connection = open(place, OpenFlags::SQLITE_OPEN_CREATE)?;
    if let Place::File(_) = place {
        let mode: String = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0)).map_err(error)?;
        if mode != "wal" {
            return Err(Error::Engine(format!("the file system allows journal mode `{mode}`, not WAL").into()));
        }
    }
    // FULL: a commit is on the disk before it is answered. 0: SQLite hides a failed
    // automatic checkpoint, so the writer checkpoints itself.
    connection.execute_batch("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;").map_err(error)?;
    Ok(connection)
}

/// Opens a connection that cannot write.
pub(in crate::db) fn open_reader(place: &Place) -> Result<Connection, Error> {
    let connection = open(place, OpenFlags::empty())?;
    let settings = format!("PRAGMA query_only=ON; PRAGMA cache_size=-{READER_CACHE_KIB};");
    connection.execute_batch(&settings).map_err(error)?;
    Ok(connection)
}

fn open(place: &Place, extra: OpenFlags) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | extra;
    let connection = place.open(flags).map_err(error)?;
    harden(&connection).map_err(error)?;
    add_functions(&connection).map_err(error)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(error)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection
        .execute_batch(&format!(
            "PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON; PRAGMA trusted_schema=OFF;
             PRAGMA cell_size_check=ON;
             PRAGMA temp_store=FILE; PRAGMA cache_size=-{CACHE_KIB};"
        ))
        .map_err(error)?;
    Ok(connection)
}

/// Opens a database of its own in memory, in which there is nothing, hardened like all others.
pub(super) fn open_empty() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    harden(&connection)?;
    add_functions(&connection)?;
    Ok(connection)
}

/// Turns off what an injected statement or a hostile file could use.
fn harden(connection: &Connection) -> rusqlite::Result<()> {
    connection.load_extension_disable()?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // A plan does not depend on what is bound. Otherwise each new value, that of a LIMIT too, has the statement
    // prepared anew, which costs more than reading a page.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LENGTH, LENGTH_MAX),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 20),
        (Limit::SQLITE_LIMIT_COLUMN, 2_000),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 32),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
        // A record that goes may take others with it, and these others.
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1_000),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 10_000),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, most)?;
    }
    Ok(())
}

/// Small letters, each by itself: the one that Greek writes at the end of a word is the same letter elsewhere.
fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).map(|it| if it == 'ς' { 'σ' } else { it }).collect()
}

/// What SQLite lacks: its own `lower` knows ASCII only.
fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("unicode_lower", 1, flags, |context| {
        let text = context.get_raw(0).as_str_or_null()?;
        Ok(text.map(lower))
    })?;
    connection.create_scalar_function("geo_distance", 2, flags, |context| {
        let number = |index| context.get_raw(index).as_i64_or_null();
        Ok(number(0)?
            .zip(number(1)?)
            .map(|(one, two)| crate::base::geo::Place::unpacked(one).distance(crate::base::geo::Place::unpacked(two))))
    })?;
    // The engine's own `instr` takes the product of both lengths.
    connection.create_scalar_function("text_has", 2, flags, |context| {
        let text = context.get_raw(0).as_str_or_null()?;
        let part = context.get_raw(1).as_str_or_null()?;
        Ok(text.zip(part).map(|(text, part)| memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some()))
    })?;
    view_value::add(connection)?;
    functions::add(connection)
}

/// Writes a consistent copy of the database behind `connection` into a new file, and checks the copy.
pub(in crate::db) fn snapshot(place: &Place, into: &Path) -> Result<(), Error> {
    let connection = open(place, OpenFlags::empty())?;
    // VACUUM INTO attaches its target and writes it: ordinary connections may not attach, readers not write.
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1).map_err(error)?;
    let target = into.to_string_lossy();
    connection.execute("VACUUM INTO ?1", [&target]).map_err(error)?;
    drop(connection);
    let copy = open_reader(&Place::File(into.to_owned()))?;
    let verdict: String = copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(error)?;
    if verdict != "ok" {
        return Err(Error::Damaged);
    }
    Ok(())
}

/// Looks through every page, index and foreign key, and tells what is wrong. Takes as long as reading the file.
pub(in crate::db) fn examine(place: &Place) -> Result<Vec<String>, Error> {
    let connection = open_reader(place).map_err(|cause| cause.about(place.path()))?;
    let look = || -> rusqlite::Result<Vec<String>> {
        let mut integrity = connection.prepare("PRAGMA integrity_check(20)")?;
        let mut found: Vec<String> = integrity.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        found.retain(|it| it != "ok");
        let mut keys = connection.prepare("PRAGMA foreign_key_check")?;
        let dangling =
            keys.query_map([], |row| Ok(format!("a row of {} refers to nothing", row.get::<_, String>(0)?)))?;
        found.extend(dangling.take(20).collect::<Result<Vec<_>, _>>()?);
        Ok(found)
    };
    let named = |it: String| match place.path() {
        Some(file) => format!("{}: {it}", file.display()),
        None => it,
    };
    look().map(|found| found.into_iter().map(named).collect()).map_err(|cause| error(cause).about(place.path()))
}

/// Where large sorts and the like go, so that memory stays bounded and `/tmp` is not filled.
/// Counts for the whole process, so the first folder wins.
pub(in crate::db) fn keep_temporary_files_in(folder: &Path) -> Result<(), Error> {
    static DONE: std::sync::Once = std::sync::Once::new();
    let mut outcome = Ok(());
    DONE.call_once(|| {
        outcome = Connection::open_in_memory()
            .and_then(|it| it.pragma_update(None, "temp_store_directory", folder.to_string_lossy()))
            .map_err(error);
    });
    outcome
}

/// How large the write-ahead log is; 0 if there is none.
pub(super) fn wal_bytes(place: &Place) -> u64 {
    let Some(path) = place.path() else { return 0 };
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    // Only asked for its size: opening it would drop SQLite's locks.
    std::fs::metadata(PathBuf::from(name)).map_or(0, |it| it.len())
}

/// Prepares a statement, or takes it from the cache, and binds `$1` … `$n`.
///
/// SQLite numbers `$n` by first appearance, so binding by position would bind
/// wrongly and silently; each parameter is bound by the number in its name.
pub(in crate::db) fn prepare<'c>(
    connection: &'c Connection,
    sql: &str,
    params: &[Value<'_>],
) -> Result<CachedStatement<'c>, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(error)?;
    for position in 1..=statement.parameter_count() {
        let number = statement.parameter_name(position).and_then(|it| it.strip_prefix('$')?.parse::<usize>().ok());
        let Some(param) = number.and_then(|it| params.get(it.checked_sub(1)?)) else {
            return Err(Error::Engine(format!("parameter {position} is not one of $1 to ${}", params.len()).into()));
        };
        statement.raw_bind_parameter(position, param).map_err(error)?;
    }
    Ok(statement)
}

/// Has nothing computed on a connection from here on that is larger; or, with nothing, than what is usual.
pub(in crate::db) fn bound_values(connection: &Connection, bytes_max: Option<usize>) -> Result<(), Error> {
    let most = bytes_max.and_then(|it| i32::try_from(it).ok()).unwrap_or(LENGTH_MAX);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, most).map(drop).map_err(error)
}

/// Sorts the engine's errors into ours.
pub(in crate::db) fn error(cause: rusqlite::Error) -> Error {
    let rusqlite::Error::SqliteFailure(failure, message) = &cause else {
        return Error::Engine(Box::new(cause));
    };
    match failure.code {
        ErrorCode::DiskFull => Error::StorageFull,
        ErrorCode::OperationInterrupted => Error::BudgetSpent,
        ErrorCode::TooBig => Error::TooLarge,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Error::Damaged,
        ErrorCode::ConstraintViolation => {
            let text = message.as_deref().unwrap_or_default();
            let constraint = text.rsplit_once(": ").map_or(text, |(_, name)| name);
            Error::Conflict { constraint: constraint.to_owned() }
        }
        _ if message.as_deref() == Some("triggers nested too deep") => Error::TooDeep,
        _ => Error::Engine(Box::new(cause)),
    }
}

/// Whether a failed fsync, write or read stands behind an error: the outcome on the disk is unknown.
pub(super) fn is_io_failure(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error().is_some_and(|it| it.extended_code & 0xff == ffi::SQLITE_IOERR)
}
