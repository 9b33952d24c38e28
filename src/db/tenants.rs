//! Which database is open: the server's own, and one for each tenant.
//!
//! Only this file knows that a tenant is a folder with a file in it.
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::migrate::{self, Migration};
use super::news::News;
use super::reserve::Reserve;
use super::sqlite::{self, Condition, Place, Readers, Tell, Writer};
use super::{Error, Options, folder};
use crate::base::{Clock, TenantId};

/// One open database: its writer, its readers, and what state it is in.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) writer: Writer,
    pub(super) readers: Readers,
    pub(super) condition: Arc<Condition>,
    /// When it was last asked for, in counts of [`Tenants::asked`].
    last_asked: AtomicU64,
}

/// The open tenants of a data folder.
#[derive(Debug)]
pub(super) struct Tenants {
    home: Home,
    open: RwLock<HashMap<TenantId, Arc<Database>>>,
    asked: AtomicU64,
    options: Options,
    clock: Clock,
    reserve: OnceLock<Arc<Reserve>>,
    pub(super) listener: Arc<Listener>,
}

/// Hears that something was committed for a tenant which its transaction announced.
#[derive(Default)]
pub(super) struct Listener(pub(super) OnceLock<Box<Told>>);

pub type Told = dyn Fn(&TenantId, News) + Send + Sync;

impl std::fmt::Debug for Listener {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Listener")
    }
}

#[derive(Debug)]
pub(super) enum Home {
    Folder(PathBuf),
    /// Databases that are gone with the process, under a name that no other test has.
    Memory(String),
}

impl Home {
    fn system(&self) -> Place {
        match self {
            Self::Folder(folder) => Place::File(folder.join("system.db")),
            Self::Memory(name) => Place::Memory(format!("{name}-system")),
        }
    }

    fn tenant(&self, tenant: &TenantId) -> Place {
        match self {
            Self::Folder(_) => Place::File(self.tenant_folder(tenant).join("records.db")),
            Self::Memory(name) => Place::Memory(format!("{name}-tenant-{tenant}")),
        }
    }

    /// Whether there is data of any tenant.
    fn has_tenants(&self) -> bool {
        let Self::Folder(folder) = self else { return false };
        let tenants = std::fs::read_dir(folder.join("tenants")).into_iter().flatten().flatten();
        tenants.into_iter().any(|it| has_data(&it.path().join("records.db")))
    }

    fn tenant_folder(&self, tenant: &TenantId) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join("tenants").join(tenant.as_str()),
            Self::Memory(name) => PathBuf::from(name),
        }
    }
}

/// Whether a database is there with anything in it, be it only in the log beside it.
fn has_data(file: &Path) -> bool {
    let log = file.with_extension("db-wal");
    [file, &log].into_iter().any(|it| std::fs::metadata(it).is_ok_and(|it| 0 < it.len()))
}

impl Tenants {
    pub(super) fn new(home: Home, options: Options, clock: Clock) -> Self {
        Self {
            home,
            open: RwLock::default(),
            asked: AtomicU64::new(0),
            options,
            clock,
            reserve: OnceLock::new(),
            listener: Arc::default(),
        }
    }

    pub(super) fn open_system(&self) -> Result<Database, Error> {
        if let Home::Folder(folder) = &self.home {
            folder::make(folder)?;
            let file = folder.join("system.db");
            if !has_data(&file) && self.home.has_tenants() {
                return Err(Error::Missing { file });
            }
        }
        // Little is read there, and seldom.
        let options = Options { read_threads: 1, ..self.options.clone() };
        self.open_file(self.home.system(), migrate::SYSTEM, &options, Box::new(|_| ()))
    }

    /// Refuses a tenant that was there, and whose database is not any more: an empty one in its place would look like
    /// a new server.
    pub(super) fn must_have_data(&self, tenant: &TenantId) -> Result<(), Error> {
        match self.home.tenant(tenant) {
            Place::File(file) if !has_data(&file) => Err(Error::Missing { file }),
            _ => Ok(()),
        }
    }

    /// Makes the place of a new tenant and opens it. Does nothing for one that is there.
    pub(super) fn create(&self, tenant: &TenantId) -> Result<(), Error> {
        if let Home::Folder(_) = self.home {
            folder::make(&self.home.tenant_folder(tenant))?;
        }
        self.open(tenant, self.asked.fetch_add(1, Ordering::Relaxed)).map(drop)
    }

    /// The open database of a tenant; opens and migrates it if need be.
    pub(super) fn get(&self, tenant: &TenantId) -> Result<Arc<Database>, Error> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if let Some(database) = self.open.read().unwrap_or_else(PoisonError::into_inner).get(tenant) {
            database.last_asked.store(asked, Ordering::Relaxed);
            return Ok(Arc::clone(database));
        }
        self.open(tenant, asked)
    }

    fn open(&self, tenant: &TenantId, asked: u64) -> Result<Arc<Database>, Error> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = open.get(tenant) {
            return Ok(Arc::clone(database));
        }
        let exists = match &self.home {
            Home::Folder(_) => self.home.tenant_folder(tenant).is_dir(),
            Home::Memory(_) => true,
        };
        if !exists {
            return Err(Error::NoTenant { tenant: tenant.to_string() });
        }
        if self.options.tenants_open_max <= open.len() {
            close_one(&mut open)?;
        }
        let (listener, id) = (Arc::clone(&self.listener), tenant.clone());
        let tell = Box::new(move |news| {
            if let Some(told) = listener.0.get() {
                told(&id, news);
            }
        });
        let database = self.open_file(self.home.tenant(tenant), migrate::TENANT, &self.options, tell)?;
        database.last_asked.store(asked, Ordering::Relaxed);
        let database = Arc::new(database);
        open.insert(tenant.clone(), Arc::clone(&database));
        Ok(database)
    }

    fn open_file(
        &self,
        place: Place,
        migrations: &[Migration],
        options: &Options,
        tell: Tell,
    ) -> Result<Database, Error> {
        let file = place.path().map(Path::to_owned);
        let open = || {
            let connection = sqlite::open_writer(&place)?;
            migrate::migrate(&connection, &place, migrations, &self.clock)?;
            let condition = Arc::new(Condition::default());
            let readers = Readers::start(&place, options, Arc::clone(&condition))?;
            let (reserve, known) = (self.reserve(), Arc::clone(&condition));
            let writer = Writer::start(place, connection, options, reserve, known, tell)?;
            Ok(Database { writer, readers, condition, last_asked: AtomicU64::new(0) })
        };
        open().map_err(|cause: Error| cause.about(file.as_deref()))
    }

    /// The reserve of the folder, taken when the first database is opened: before that the folder may not be there.
    fn reserve(&self) -> Arc<Reserve> {
        let take = || {
            let folder = match &self.home {
                Home::Folder(folder) => Some(folder.as_path()),
                Home::Memory(_) => None,
            };
            Arc::new(Reserve::take(folder, self.options.free_bytes_min))
        };
        Arc::clone(self.reserve.get_or_init(take))
    }

    /// Whether there is more room on the disk than is kept free.
    pub(super) fn has_room(&self) -> bool {
        match &self.home {
            Home::Folder(path) => {
                let free = folder::free_bytes(path);
                let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
                // Where a file has room to give again, its writer says so.
                let is_written = || !open.is_empty() && open.values().all(|it| !it.condition.is_full());
                (self.options.free_bytes_min <= free || is_written()) && !self.reserve().is_spent(free)
            }
            Home::Memory(_) => true,
        }
    }

    /// Looks through a whole database for damage, and tells what it finds.
    pub(super) fn examine(&self, tenant: Option<&TenantId>) -> Result<Vec<String>, Error> {
        let place = tenant.map_or_else(|| self.home.system(), |it| self.home.tenant(it));
        sqlite::examine(&place)
    }

    /// The file of an open tenant that was found damaged.
    pub(super) fn damaged_file(&self) -> Option<PathBuf> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let damaged = open.iter().find(|(_, it)| it.condition.is_damaged())?.0;
        self.home.tenant(damaged).path().map(Path::to_owned)
    }

    pub(super) fn system_file(&self) -> Option<PathBuf> {
        self.home.system().path().map(Path::to_owned)
    }

    /// Whether every open database may be written.
    pub(super) fn are_sound(&self) -> bool {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.values().all(|it| !it.condition.is_damaged())
    }
}

/// Closes the tenant that was not asked for the longest, of those that nobody uses now.
fn close_one(open: &mut HashMap<TenantId, Arc<Database>>) -> Result<(), Error> {
    let idle = open.iter().filter(|(_, it)| Arc::strong_count(it) == 1);
    let oldest = idle.min_by_key(|(_, it)| it.last_asked.load(Ordering::Relaxed)).map(|(id, _)| id.clone());
    open.remove(&oldest.ok_or(Error::TooManyTenants)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenant_that_was_not_asked_for_the_longest_is_closed_first() {
        let options = Options { tenants_open_max: 2, read_threads: 1, ..Options::default() };
        let tenants = Tenants::new(Home::Memory("closed-first".to_owned()), options, Clock::system());
        let [first, second, third] = ["first", "second", "third"].map(|it| it.parse::<TenantId>().expect("a name"));
        for tenant in [&first, &first, &second] {
            tenants.get(tenant).expect("opened");
        }

        tenants.get(&third).expect("opened");

        let open = tenants.open.read().expect("unpoisoned");
        assert!(!open.contains_key(&first) && open.contains_key(&second) && open.contains_key(&third));
    }
}
