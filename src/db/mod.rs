//! Where rows live, and the only room that names an SQL engine.
//!
//! [`Db`] gives each tenant a database. An endpoint owns the transaction:
//! `db.write(tenant, |tx| …)` and `db.read(tenant, |tx| …)` take a synchronous closure,
//! in which stores run portable SQL on a [`Tx`]. A write is answered after its commit is
//! on the disk; many that wait share one commit (see [`sqlite`]).
mod class;
pub mod dialect;
mod error;
mod folder;
pub mod join_tables;
pub mod migrate;
mod news;
pub mod record_tables;
pub mod search_tables;
mod reserve;
mod sqlite;
mod tenants;
#[cfg(test)]
mod tests;
mod tx;
mod value;
pub mod views;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

pub use class::Class;
pub use error::Error;
pub use folder::{Folder, free_bytes, open_to_others};
pub use news::News;
use sqlite::{ReadTask, Task};
use tenants::{Database, Home, Tenants, Told};
pub use tx::Tx;
pub use value::{Row, Value};

use crate::base::lanes::{self, Asker};
use crate::base::{Clock, TenantId, Timestamp};
use crate::config::StorageConfig;

/// How much the databases may take. The defaults are those of `config.toml`.
#[derive(Clone, Debug)]
pub struct Options {
    /// Below this much free room on the disk, only what frees room is written.
    pub free_bytes_min: u64,
    /// Most writes that wait for the writer, per database.
    pub write_queue_max: usize,
    /// Most writes in one commit.
    pub group_max: usize,
    /// How long one closure may take between its first and its last statement.
    pub write_budget: Duration,
    pub read_threads: usize,
    /// Most reads that wait for a thread, per database.
    pub read_queue_max: usize,
    /// How long a read may take. Older snapshots would keep checkpoints from finishing.
    pub read_budget: Duration,
    pub tenants_open_max: usize,
}

impl From<&StorageConfig> for Options {
    fn from(storage: &StorageConfig) -> Self {
        Self {
            free_bytes_min: storage.free_bytes_min,
            write_queue_max: storage.write_queue_max,
            group_max: storage.group_max,
            write_budget: Duration::from_millis(storage.write_budget_ms),
            read_threads: storage.read_threads,
            read_queue_max: storage.read_queue_max,
            read_budget: Duration::from_millis(storage.read_budget_ms),
            tenants_open_max: storage.tenants_open_max,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::from(&StorageConfig::default())
    }
}

/// All databases of a data folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    system: Arc<Database>,
    tenants: Arc<Tenants>,
    /// Held until the last clone is gone. Absent in memory.
    _folder: Option<Arc<Folder>>,
}

impl Db {
    /// Opens the databases in `folder`, making and migrating what is missing or older.
    pub fn open(folder: Folder, options: Options, clock: Clock) -> Result<Self, Error> {
        sqlite::keep_temporary_files_in(&folder.path().join("tmp"))?;
        let home = Home::Folder(folder.path().to_owned());
        Self::start(home, options, clock, Some(Arc::new(folder)))
    }

    /// Databases that are gone with the process, for tests.
    pub fn in_memory() -> Result<Self, Error> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("memory-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let options = Options { read_threads: 1, ..Options::default() };
        Self::start(Home::Memory(name), options, Clock::system(), None)
    }

    fn start(home: Home, options: Options, clock: Clock, folder: Option<Arc<Folder>>) -> Result<Self, Error> {
        let tenants = Tenants::new(home, options, clock);
        let system = Arc::new(tenants.open_system()?);
        Ok(Self { system, tenants: Arc::new(tenants), _folder: folder })
    }

    /// Has `listener`, the only one there is, told of every commit that holds something announced ([`Tx::announce`]).
    /// It is told on the thread that writes, so it only passes the word on.
    pub fn after_commit(&self, listener: Box<Told>) {
        let _ = self.tenants.listener.0.set(listener); // whoever was there first stays
    }

    /// Makes a tenant's database, if it is not there yet.
    pub fn create_tenant(&self, tenant: &TenantId) -> Result<(), Error> {
        self.tenants.create(tenant)
    }

    /// As [`Db::create_tenant`], but refuses with [`Error::Missing`] if the tenant was there before and its data is
    /// not any more.
    pub async fn open_tenant(&self, tenant: &TenantId, now: Timestamp) -> Result<(), Error> {
        let id = tenant.clone();
        let find = move |tx: &mut Tx<'_>| {
            tx.find("SELECT created_at FROM tenants WHERE id = $1", &[(&id).into()], |row| row.timestamp(0))
        };
        if self.read_system::<_, Error>(find).await?.is_some() {
            self.tenants.must_have_data(tenant)?;
            return self.create_tenant(tenant);
        }
        self.create_tenant(tenant)?;
        let id = tenant.clone();
        let remember = move |tx: &mut Tx<'_>| {
            let sql = "INSERT INTO tenants (id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            tx.execute(sql, &[(&id).into(), now.into()]).map(drop)
        };
        match self.write_system::<_, Error>(remember).await {
            Err(Error::StorageFull) => Ok(()), // the next start does it; this one must let people make room
            outcome => outcome,
        }
    }

    /// Runs `work` in a transaction and answers when it is on the disk.
    ///
    /// `work` may run more than once, so it changes nothing but through `tx`. If it
    /// returns an error or panics, its changes are undone and those of others stay.
    /// At most [`Options::write_queue_max`] wait; beyond that [`Error::QueueFull`].
    pub async fn write<T, E>(
        &self,
        tenant: &TenantId,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.write_as(Class::SMALL, tenant, work).await
    }

    /// As [`Db::write`], and also when the disk is nearly full: for what frees room or takes rights away.
    pub async fn free<T, E>(
        &self,
        tenant: &TenantId,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.write_as(Class::SMALL.freeing(), tenant, work).await
    }

    /// As [`Db::write`], in a transaction that nothing else shares. For changes of the schema.
    pub async fn write_alone<T, E>(
        &self,
        tenant: &TenantId,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.write_as(Class::ALONE, tenant, work).await
    }

    /// As [`Db::write`], for any sort of writes.
    pub async fn write_as<T, E>(
        &self,
        class: Class,
        tenant: &TenantId,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        write(self.tenants.get(tenant)?, class, Box::new(work)).await
    }

    /// As [`Db::write`], in the server's own database.
    pub async fn write_system<T, E>(
        &self,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        write(Arc::clone(&self.system), Class::SMALL, Box::new(work)).await
    }

    /// Runs `work` on one unchanging state of the data, in the pool of readers.
    ///
    /// It may take [`Options::read_budget`]; then [`Error::BudgetSpent`]. What is not done in a moment is begun again
    /// where it holds up nobody, so `work` may run twice.
    pub async fn read<T, E>(
        &self,
        tenant: &TenantId,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        read(self.tenants.get(tenant)?, work).await
    }

    /// As [`Db::read`], in the server's own database.
    pub async fn read_system<T, E>(
        &self,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        read(Arc::clone(&self.system), work).await
    }

    /// Runs one statement that finds its row by key, on the thread that asks.
    ///
    /// Cheaper than [`Db::read`], and stopped early ([`Error::BudgetSpent`]) if it is no point read.
    pub async fn get<T, E>(
        &self,
        tenant: &TenantId,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let database = self.tenants.get(tenant)?;
        match database.readers.run_in_place(work) {
            Ok(answer) => answer,
            Err(work) => read(database, work).await,
        }
    }

    /// Whether every open database may be written: the word for health checks.
    pub fn is_sound(&self) -> bool {
        !self.system.condition.is_damaged() && self.tenants.are_sound()
    }

    /// The file that was found damaged, if one was.
    pub fn damaged_file(&self) -> Option<PathBuf> {
        let system = self.tenants.system_file().filter(|_| self.system.condition.is_damaged());
        system.or_else(|| self.tenants.damaged_file())
    }

    /// Whether there is more room on the disk than is kept free: the other word for health checks.
    pub fn has_room(&self) -> bool {
        self.tenants.has_room()
    }

    /// Looks through the server's database and a tenant's for damage, and tells what it finds.
    /// Takes as long as reading both, and waits on the calling thread.
    pub fn examine(&self, tenant: &TenantId) -> Result<Vec<String>, Error> {
        let mut found = self.tenants.examine(None)?;
        found.extend(self.tenants.examine(Some(tenant))?);
        Ok(found)
    }
}

type Work<T, E> = Box<dyn FnMut(&mut Tx<'_>) -> Result<T, E> + Send>;

async fn write<T, E>(database: Arc<Database>, class: Class, work: Work<T, E>) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (task, answer) = task(work);
    database.writer.send(class, task);
    answer.await.unwrap_or_else(|_| Err(Error::Closed.into()))
}

async fn read<T, E>(
    database: Arc<Database>,
    work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (asker, answer) = oneshot::channel();
    // One office behind one address has many people, each with a token that was checked: each has turns of their own.
    let lane = Asker::alone(lanes::asker().who);
    database.readers.send(lane, Box::new(Reading { work, asker: Some(asker) }));
    // A reader that panicked drops the asker without an answer.
    answer.await.unwrap_or_else(|_| Err(Error::Panicked { message: "see the log".to_owned() }.into()))
}

/// A closure with whoever waits for its answer, in the form that the readers take.
struct Reading<W, T, E> {
    work: W,
    asker: Option<oneshot::Sender<Result<T, E>>>,
}

impl<W, T, E> ReadTask for Reading<W, T, E>
where
    W: FnMut(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.asker.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    fn run(&mut self, tx: &mut Tx<'_>, is_last: bool) -> bool {
        let outcome = (self.work)(tx);
        if !is_last && outcome.is_err() && tx.ran_out() {
            return false;
        }
        self.answer(outcome);
        true
    }

    fn refuse(&mut self, cause: Error) {
        self.answer(Err(cause.into()));
    }
}

impl<W, T, E> Reading<W, T, E> {
    fn answer(&mut self, outcome: Result<T, E>) {
        if let Some(asker) = self.asker.take() {
            let _ = asker.send(outcome);
        }
    }
}

/// A closure with its answer, in the form that the writer takes.
struct Job<T, E> {
    work: Work<T, E>,
    answer: Option<Result<T, E>>,
    asker: oneshot::Sender<Result<T, E>>,
}

fn task<T, E>(work: Work<T, E>) -> (Box<dyn Task>, oneshot::Receiver<Result<T, E>>)
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (asker, answer) = oneshot::channel();
    (Box::new(Job { work, answer: None, asker }), answer)
}

impl<T: Send, E: From<Error> + Send> Task for Job<T, E> {
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        self.answer = None;
        let answer = (self.work)(tx);
        let keep = answer.is_ok();
        self.answer = Some(answer);
        keep
    }

    fn finish(self: Box<Self>, verdict: Result<(), Error>) {
        let answer = match (verdict, self.answer) {
            (Ok(()), Some(answer)) => answer,
            // The closure knows best why its transaction ended, if it said so itself.
            (Err(Error::EndedTransaction), Some(Err(cause))) => Err(cause),
            (Err(cause), _) => Err(cause.into()),
            (Ok(()), None) => Err(Error::Closed.into()),
        };
        let _ = self.asker.send(answer);
    }

    fn is_abandoned(&self) -> bool {
        self.asker.is_closed()
    }
}
