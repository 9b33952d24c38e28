//! Trying a query that somebody wrote, where there is nothing that it could read or break.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, Error as Cause};

use super::connection::{error, open_empty};
use crate::db::Error;
use crate::db::record_tables::quoted;
use crate::db::views::{Source, prelude};

/// Before the names of tables that a query cannot name, since it has no such character.
const HIDDEN: &str = "\u{1}";
/// How long one query may take to be understood: some are small and mean millions of tables.
const TIME_MAX: Duration = Duration::from_millis(250);
/// Steps between two looks at the time.
const STEPS_PER_LOOK: i32 = 100;
/// Most selects within one query, those of what it names too.
const SELECTS_MAX: usize = 100;

/// Functions that queries may call: they depend on nothing but what they are given and the time, and none takes the product of
/// the lengths of two texts, during which nothing could stop it.
const FUNCTIONS: &str = "\
    -> ->> abs acos asin atan atan2 avg ceil ceiling char coalesce concat concat_ws cos count cume_dist date \
    datetime degrees dense_rank exp first_value floor geo_distance group_concat hex if ifnull iif json \
    json_array json_array_length json_extract json_group_array json_group_object json_object json_quote \
    json_type json_valid julianday lag last_value lead length like ln log log10 log2 lower ltrim max min mod \
    nth_value ntile nullif octet_length percent_rank pi pow power radians rank round row_number rtrim sign sin \
    sqrt strftime string_agg substr substring sum tan text_has time timediff total trim trunc typeof unicode \
    unicode_lower unixepoch upper";
/// Names of the present time that are functions, whose texts could be compared with no time that a record has.
const NOW: &[&str] = &["current_timestamp", "current_date", "current_time"];
/// Tables that are functions, and that queries may read.
const TABLES: &[&str] = &["json_each", "json_tree"];

/// Databases without a row, and what was heard of the query that is tried there.
#[derive(Debug)]
pub(in crate::db) struct Bench {
    /// Where tables have the names that people know.
    plain: Connection,
    /// Where only a `WITH` has these names.
    hidden: Connection,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug)]
struct Heard {
    /// Whether the statements are the query's, not our own.
    is_trial: bool,
    until: Instant,
    /// Names that are not those of people's tables, in lower case.
    modules: BTreeSet<String>,
    tables: Vec<String>,
    selects: usize,
    /// How many functions the query calls, each as often as it stands there.
    calls: usize,
    used: BTreeSet<String>,
    /// The columns of people's tables that the query reads, wherever in it, and in how many places.
    read: BTreeMap<(String, String), usize>,
    /// Why the query was refused, if we did it.
    refusal: Option<String>,
}

/// The columns of a query, each with the source and the column that it shows.
type Columns = Vec<(String, Option<(usize, usize)>)>;

/// What was found out of a query.
pub(in crate::db) struct Tried {
    pub columns: Columns,
    /// The sources that it reads.
    pub used: Vec<usize>,
    /// The columns of sources that it reads, wherever in it, and in how many places.
    pub read: Vec<((usize, usize), usize)>,
    /// How many functions it calls.
    pub calls: usize,
}

impl Bench {
    pub fn new() -> Result<Self, Error> {
        let heard = Heard {
            is_trial: false,
            until: Instant::now(),
            modules: BTreeSet::new(),
            tables: Vec::new(),
            selects: 0,
            calls: 0,
            used: BTreeSet::new(),
            read: BTreeMap::new(),
            refusal: None,
        };
        let heard = Arc::new(Mutex::new(heard));
        let (plain, hidden) = (open(&heard).map_err(error)?, open(&heard).map_err(error)?);
        let mut names = plain.prepare("SELECT lower(name) FROM pragma_module_list").map_err(error)?;
        let modules = names.query_map([], |row| row.get(0)).map_err(error)?;
        let modules = modules.collect::<Result<BTreeSet<String>, _>>().map_err(error)?;
        drop(names);
        lock(&heard).modules = modules.into_iter().filter(|it| !TABLES.contains(&it.as_str())).collect();
        Ok(Self { plain, hidden, heard })
    }

    pub fn look(&self, query: &str, sources: &[&Source]) -> Result<Tried, String> {
        self.make_tables(sources).map_err(|cause| format!("cannot be tried: {cause}"))?;
        let (mut heard_read, mut calls) = (BTreeMap::new(), 0);
        let outcome = self.columns(query).and_then(|columns| {
            let mut heard = lock(&self.heard);
            (heard_read, calls) = (std::mem::take(&mut heard.read), heard.calls);
            drop(heard);
            // The text is one whole statement by itself, so it ends where its parentheses end.
            let wrapped = format!("{}SELECT * FROM (\n{query}\n) AS q", prelude(sources, HIDDEN));
            self.tried(&self.hidden, &wrapped, |_| Ok(())).map(|()| columns)
        });
        let used = std::mem::take(&mut lock(&self.heard).used);
        let used = (0..sources.len()).filter(|it| used.contains(&sources[*it].name)).collect();
        self.drop_tables(sources).map_err(|cause| format!("cannot be tried: {cause}"))?;
        let read = heard_read.iter().filter_map(|((table, column), places)| {
            let source = sources.iter().position(|it| it.name.eq_ignore_ascii_case(table))?;
            let column = sources[source].columns.iter().position(|(name, _)| name.eq_ignore_ascii_case(column))?;
            Some(((source, column), *places))
        });
        outcome.map(|columns| Tried { columns, used, read: read.collect(), calls })
    }

    fn columns(&self, query: &str) -> Result<Columns, String> {
        self.tried(&self.plain, query, |statement| {
            if statement.parameter_count() != 0 {
                return Err("must not have parameters".to_owned());
            }
            if !statement.readonly() || statement.is_explain() != 0 {
                return Err("must be a SELECT".to_owned());
            }
            let columns = statement.columns();
            Ok(columns.map(|it| (it.name().to_owned(), it.decl_type().and_then(place))).collect())
        })
    }

    /// Prepares a query, under our eyes, and asks of it what is to be known.
    fn tried<T>(
        &self,
        connection: &Connection,
        sql: &str,
        ask: impl FnOnce(&rusqlite::Statement<'_>) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut heard = lock(&self.heard);
        (heard.is_trial, heard.selects, heard.calls, heard.refusal) = (true, 0, 0, None);
        heard.until = Instant::now() + TIME_MAX;
        heard.used.clear();
        heard.read.clear();
        drop(heard);
        let prepared = connection.prepare(sql);
        let mut heard = lock(&self.heard);
        heard.is_trial = false;
        let refusal = heard.refusal.take();
        drop(heard);
        match prepared {
            Ok(statement) => ask(&statement),
            Err(cause) => Err(refusal.unwrap_or_else(|| words(&cause))),
        }
    }

    fn make_tables(&self, sources: &[&Source]) -> rusqlite::Result<()> {
        for (number, source) in sources.iter().enumerate() {
            // What a column is declared as tells later which one it was.
            let columns = source.columns.iter().enumerate();
            let columns: Vec<_> = columns.map(|(it, (name, _))| format!("{} o{number}_{it}", quoted(name))).collect();
            let table = |name: &str| format!("CREATE TABLE {} ({})", quoted(name), columns.join(", "));
            self.plain.execute_batch(&table(&source.name))?;
            self.hidden.execute_batch(&table(&format!("{HIDDEN}{}", source.name)))?;
        }
        lock(&self.heard).tables = sources.iter().map(|it| it.name.clone()).collect();
        Ok(())
    }

    fn drop_tables(&self, sources: &[&Source]) -> rusqlite::Result<()> {
        for source in sources {
            self.plain.execute_batch(&format!("DROP TABLE {}", quoted(&source.name)))?;
            self.hidden.execute_batch(&format!("DROP TABLE {}", quoted(&format!("{HIDDEN}{}", source.name))))?;
        }
        Ok(())
    }
}

fn open(heard: &Arc<Mutex<Heard>>) -> rusqlite::Result<Connection> {
    let mut connection = open_empty()?;
    let judge = Arc::clone(heard);
    connection.authorizer(Some(move |it: AuthContext<'_>| lock(&judge).authorize(&it)))?;
    let clock = Arc::clone(heard);
    let is_late = move || {
        let mut heard = lock(&clock);
        let is_late = heard.is_trial && heard.until < Instant::now();
        if is_late {
            heard.refusal = Some("is too involved".to_owned());
        }
        is_late
    };
    connection.progress_handler(STEPS_PER_LOOK, Some(is_late))?;
    Ok(connection)
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Heard {
    fn authorize(&mut self, context: &AuthContext<'_>) -> Authorization {
        if !self.is_trial {
            return Authorization::Allow;
        }
        if self.until < Instant::now() {
            return self.refuse("is too involved");
        }
        match context.action {
            AuthAction::Select => {
                self.selects += 1;
                if SELECTS_MAX < self.selects { self.refuse("has too many parts") } else { Authorization::Allow }
            }
            AuthAction::Read { table_name, column_name } => self.read(table_name, column_name),
            AuthAction::Function { function_name } if is_function(function_name) => {
                self.calls += 1;
                Authorization::Allow
            }
            AuthAction::Function { function_name } if NOW.contains(&function_name.to_ascii_lowercase().as_str()) => {
                self.refuse("calls for the time in words; write `unixepoch('now') * 1000`")
            }
            AuthAction::Function { function_name } => {
                self.refuse(&format!("calls `{function_name}`, which is no function for views"))
            }
            AuthAction::Recursive => self.refuse("must not be recursive"),
            _ => self.refuse("must be one SELECT that reads collections"),
        }
    }

    /// A table that is named without a column may be any name of a `WITH`; what the engine has of its own is known.
    fn read(&mut self, table: &str, column: &str) -> Authorization {
        if let Some(name) = table.strip_prefix(HIDDEN) {
            self.used.insert(name.to_owned());
            return Authorization::Allow;
        }
        let lower = table.to_ascii_lowercase();
        let is_engines = lower.starts_with("sqlite_") || lower.starts_with("pragma_") || self.modules.contains(&lower);
        let is_named = self.tables.iter().any(|it| it.eq_ignore_ascii_case(table)) || TABLES.contains(&lower.as_str());
        if is_named && !column.is_empty() {
            *self.read.entry((table.to_owned(), column.to_owned())).or_default() += 1;
        }
        if is_named || (column.is_empty() && !is_engines) {
            return Authorization::Allow;
        }
        self.refuse(&format!("reads `{table}`, which is no collection"))
    }

    fn refuse(&mut self, reason: &str) -> Authorization {
        self.refusal.get_or_insert_with(|| reason.to_owned());
        Authorization::Deny
    }
}

fn is_function(name: &str) -> bool {
    FUNCTIONS.split(' ').any(|it| it.eq_ignore_ascii_case(name))
}

/// The source and the column of what a column is declared as.
fn place(declared: &str) -> Option<(usize, usize)> {
    let (source, column) = declared.strip_prefix('o')?.split_once('_')?;
    Some((source.parse().ok()?, column.parse().ok()?))
}

/// What the engine says of a query that it does not take.
fn words(cause: &Cause) -> String {
    let said = match cause {
        Cause::SqliteFailure(_, Some(said)) => said.clone(),
        Cause::SqlInputError { msg, .. } => msg.clone(),
        Cause::MultipleStatement => return "must be one statement".to_owned(),
        _ => return "cannot be understood".to_owned(),
    };
    format!("cannot be understood: {}", said.replace(HIDDEN, ""))
}
