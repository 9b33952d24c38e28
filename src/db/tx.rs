//! A transaction as a store sees it: statements in, rows out, nothing else.
use std::fmt;
use std::time::Instant;

use rusqlite::Connection;

use super::{Error, News, Row, Value, sqlite};

/// An open transaction. A store gets `&mut Tx` and never commits, waits or opens one.
pub struct Tx<'a> {
    engine: Engine<'a>,
    /// Looked at between statements; a single statement has the progress handler for that.
    deadline: Instant,
    /// Whether the engine was told to begin one; a point read goes without.
    has_begun: bool,
    /// Whether a statement found the file damaged, even if its caller swallowed the error.
    saw_damage: bool,
    saw_full_disk: bool,
    /// Whether a statement was not run, or not to its end, for want of time.
    ran_out: bool,
    /// What it holds that others wait to hear of.
    news: News,
    /// What the writer lends to it; a reader lends nothing.
    lent: Option<&'a dyn Lent>,
}

/// What the writer lends to the transactions that it runs.
pub(super) trait Lent {
    /// Whether others wait for the transaction to end.
    fn others_wait(&self) -> bool;
    /// Whether the disk is nearly full.
    fn is_short_of_room(&self) -> bool;
    /// Runs one of the writer's own statements, which a task may not.
    fn control(&self, step: Step) -> Result<(), Error>;
}

/// The steps of an attempt within a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Begin,
    Undo,
    End,
}

/// The engine behind a transaction. PostgreSQL will be the second variant.
enum Engine<'a> {
    Sqlite(&'a Connection),
}

impl Engine<'_> {
    fn is_autocommit(&self) -> bool {
        match self {
            Self::Sqlite(connection) => connection.is_autocommit(),
        }
    }
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tx").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl<'a> Tx<'a> {
    pub(super) fn sqlite(connection: &'a Connection, deadline: Instant) -> Self {
        let has_begun = !connection.is_autocommit();
        Self {
            engine: Engine::Sqlite(connection),
            deadline,
            has_begun,
            saw_damage: false,
            news: News::default(),
            saw_full_disk: false,
            ran_out: false,
            lent: None,
        }
    }

    /// The same, in the hands of the writer.
    pub(super) fn lent(self, lent: &'a dyn Lent) -> Self {
        Self { lent: Some(lent), ..self }
    }

    /// Has nothing computed from here on that is larger; or, with nothing, than what is usual. At the end of a read the
    /// bound is gone.
    pub fn bound_values(&mut self, bytes_max: Option<usize>) -> Result<(), Error> {
        match self.engine {
            Engine::Sqlite(connection) => sqlite::bound_values(connection, bytes_max),
        }
    }

    /// Whether others wait to write until this transaction ends: the word for bulk work to end it, and go on in
    /// another.
    pub fn others_wait(&self) -> bool {
        self.lent.is_some_and(Lent::others_wait)
    }

    /// Whether the disk is nearly full, so that what frees room must not take as much for its traces.
    pub fn is_short_of_room(&self) -> bool {
        self.lent.is_some_and(Lent::is_short_of_room)
    }

    /// Runs `work` so that what it changed is undone if it fails, and what was changed before stays. A failure that
    /// ended the whole transaction is told by the next statement, if there is one.
    pub fn attempt<T, E: From<Error>>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        self.step(work, Result::is_ok)
    }

    /// Runs `work` and undoes what it changed, so that it tells what it would come to.
    pub fn rehearse<T, E: From<Error>>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        self.step(work, |_| false)
    }

    fn step<T, E: From<Error>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
        stays: fn(&Result<T, E>) -> bool,
    ) -> Result<T, E> {
        // Nothing that a reader does has to be undone.
        let Some(lent) = self.lent else { return work(self) };
        self.watched(|_| lent.control(Step::Begin))?;
        let outcome = work(self);
        if self.engine.is_autocommit() {
            return outcome.and_then(|_| Err(Error::EndedTransaction.into()));
        }
        if !stays(&outcome) {
            lent.control(Step::Undo)?;
        }
        lent.control(Step::End)?;
        outcome
    }

    /// Has those told who listen ([`super::Db::after_commit`]), once what is written here is on the disk.
    pub fn announce(&mut self, news: News) {
        self.news.add(news);
    }

    pub(super) fn news(&self) -> News {
        self.news
    }

    pub(super) fn saw_damage(&self) -> bool {
        self.saw_damage
    }

    pub(super) fn saw_full_disk(&self) -> bool {
        self.saw_full_disk
    }

    pub(super) fn ran_out(&self) -> bool {
        self.ran_out
    }

    /// Runs a statement that returns no rows, and tells how many rows it changed.
    pub fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> Result<u64, Error> {
        self.watched(|engine| match engine {
            Engine::Sqlite(connection) => {
                let mut statement = sqlite::prepare(connection, sql, params)?;
                Ok(statement.raw_execute().map_err(sqlite::error)? as u64)
            }
        })
    }

    /// All rows of a statement, each read by `read`. For answers whose size has a limit.
    pub fn query<T>(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        read: fn(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        self.each(sql, params, &mut |row| {
            found.push(read(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// The first row of a statement, if there is one.
    pub fn find<T>(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        read: fn(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.watched(|engine| match engine {
            Engine::Sqlite(connection) => {
                let mut statement = sqlite::prepare(connection, sql, params)?;
                let mut rows = statement.raw_query();
                rows.next().map_err(sqlite::error)?.map(|row| read(&Row::new(row))).transpose()
            }
        })
    }

    /// Hands each row to `take` as it comes, so that an answer can be written straight into a buffer.
    pub fn each(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        take: &mut dyn FnMut(&Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.watched(|engine| match engine {
            Engine::Sqlite(connection) => {
                let mut statement = sqlite::prepare(connection, sql, params)?;
                let mut rows = statement.raw_query();
                while let Some(row) = rows.next().map_err(sqlite::error)? {
                    take(&Row::new(row))?;
                }
                Ok(())
            }
        })
    }

    /// Runs several statements without parameters, such as a migration.
    pub fn batch(&mut self, sql: &str) -> Result<(), Error> {
        self.watched(|engine| match engine {
            Engine::Sqlite(connection) => connection.execute_batch(sql).map_err(sqlite::error),
        })
    }

    /// Runs one statement, if there is time left for it, and remembers what it says of the file.
    fn watched<T>(&mut self, run: impl FnOnce(&Engine<'_>) -> Result<T, Error>) -> Result<T, Error> {
        if self.deadline < Instant::now() {
            self.ran_out = true;
            return Err(Error::BudgetSpent);
        }
        // A closure that goes on after the failure that ended its transaction would commit
        // each further statement alone, and be told that nothing was written.
        if self.has_begun && self.engine.is_autocommit() {
            return Err(Error::EndedTransaction);
        }
        let outcome = run(&self.engine);
        self.saw_damage |= matches!(outcome, Err(Error::Damaged));
        self.saw_full_disk |= matches!(outcome, Err(Error::StorageFull));
        self.ran_out |= matches!(outcome, Err(Error::BudgetSpent));
        outcome
    }
}
