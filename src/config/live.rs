//! Settings that change while the server runs, swapped whole or not at all.
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use toml::{Table, Value};

use super::{Config, Error, Sources, Watch};

/// Settings that count only after a restart: where they are used, they are read once.
const AFTER_RESTART: &[&str] = &[
    "server.listen",
    "server.stop_grace_secs",
    "storage.",
    "accounts.hash_threads",
    "accounts.hash_queue_max",
    "schema.folder",
    "log.level",
    "log.format",
    "setup.",
];

/// The settings in force, and where they come from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Live {
    current: Arc<ArcSwap<Config>>,
    sources: Arc<Sources>,
}

/// One section of the settings in force. Cheap to clone.
pub struct View<T>(Source<T>);

enum Source<T> {
    Live(Arc<ArcSwap<Config>>, fn(&Config) -> &Arc<T>),
    Fixed(Arc<T>),
}

impl<T> Clone for View<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Source::Live(current, pick) => Source::Live(Arc::clone(current), *pick),
            Source::Fixed(section) => Source::Fixed(Arc::clone(section)),
        })
    }
}

impl<T: fmt::Debug> fmt::Debug for View<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(out)
    }
}

impl<T> View<T> {
    /// A section that never changes. For tests.
    pub fn fixed(section: T) -> Self {
        Self(Source::Fixed(Arc::new(section)))
    }

    /// The section as it is now. Asked for once in a request, so that the request sees one state.
    pub fn get(&self) -> Arc<T> {
        match &self.0 {
            Source::Live(current, pick) => Arc::clone(pick(&current.load())),
            Source::Fixed(section) => Arc::clone(section),
        }
    }
}

impl Live {
    /// Loads the settings for the first time.
    pub fn load(sources: Sources) -> Result<Self, Error> {
        let config = sources.load()?;
        Ok(Self { current: Arc::new(ArcSwap::from_pointee(config)), sources: Arc::new(sources) })
    }

    pub fn get(&self) -> Arc<Config> {
        self.current.load_full()
    }

    pub fn view<T>(&self, pick: fn(&Config) -> &Arc<T>) -> View<T> {
        View(Source::Live(Arc::clone(&self.current), pick))
    }

    /// Reads all sources again, and logs which settings changed. False if none did. If anything is wrong with them,
    /// the old settings stay.
    pub fn reload(&self) -> Result<bool, Error> {
        let config = self.sources.load().inspect_err(|cause| {
            tracing::error!("the settings have mistakes and were not taken up:\n{cause}");
        })?;
        let old = self.get();
        if *old == config {
            return Ok(false);
        }
        let changed = changes(&old, &config);
        self.current.store(Arc::new(config));
        let (later, now): (Vec<_>, Vec<_>) = changed.iter().partition(|it| counts_after_restart(it));
        if !now.is_empty() {
            tracing::info!(settings = list(&now), "new settings are in force");
        }
        if !later.is_empty() {
            tracing::warn!(settings = list(&later), "these settings count after a restart");
        }
        Ok(true)
    }

    /// Reloads whenever the file or its `conf.d` changes, until the guard is dropped. Without a file there is none.
    pub fn watch(&self) -> notify::Result<Option<Watch>> {
        self.file().map(|file| Watch::start(self.clone(), file)).transpose()
    }

    /// Where a setting was given, for whoever finds a mistake in it only later.
    pub fn place(&self, section: &str, key: &str) -> String {
        self.sources.place(section, key)
    }

    /// The file that the settings come from, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.sources.file.as_deref()
    }
}

/// Names in a line of the log, whose JSON has no lists.
fn list(names: &[&String]) -> String {
    names.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ")
}

/// Whether a change of `section.key` counts only after a restart.
pub(super) fn counts_after_restart(setting: &str) -> bool {
    AFTER_RESTART.iter().any(|it| *it == setting || (it.ends_with('.') && setting.starts_with(it)))
}

/// The keys whose values differ; never the values, which may be secret.
pub(super) fn changes(old: &Config, new: &Config) -> Vec<String> {
    let (before, after) = (Table::try_from(old).unwrap_or_default(), Table::try_from(new).unwrap_or_default());
    let mut changed = Vec::new();
    for (section, keys) in &after {
        compare(section, before.get(section), keys, &mut changed);
    }
    // In the tables all secrets look the same.
    for (key, old, new) in [
        ("mail.password", &old.mail.password, &new.mail.password),
        ("mail.dkim.key", &old.mail.dkim.key, &new.mail.dkim.key),
        ("secrets.master_key", &old.secrets.master_key, &new.secrets.master_key),
        ("setup.admin_password", &old.setup.admin_password, &new.setup.admin_password),
    ] {
        if old != new {
            changed.push(key.to_owned());
        }
    }
    let fallback = "mail.fallback".to_owned();
    if old.mail.fallback != new.mail.fallback && !changed.contains(&fallback) {
        changed.push(fallback);
    }
    changed
}

/// Adds the names of the values below `name` that differ. A list is one value.
fn compare(name: &str, before: Option<&Value>, after: &Value, changed: &mut Vec<String>) {
    match after {
        Value::Table(keys) => {
            for (key, value) in keys {
                compare(&format!("{name}.{key}"), before.and_then(|it| it.get(key)), value, changed);
            }
        }
        _ if before == Some(after) => {}
        _ => changed.push(name.to_owned()),
    }
}
