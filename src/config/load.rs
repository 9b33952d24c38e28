//! From files, environment and flags to one checked [`Config`], or to all complaints at once.
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::merge::{Known, Merge, concerns_us};
use super::{Config, DEFAULT, Error, Flags};
use crate::base::Secret;

/// Most files in `conf.d`. Each is read whole at every reload.
pub(super) const MORE_FILES_MAX: usize = 100;

/// Where settings come from, in rising order of weight.
#[derive(Clone, Default)]
pub struct Sources {
    pub file: Option<PathBuf>,
    pub environment: Vec<(OsString, OsString)>,
    pub flags: Flags,
}

impl fmt::Debug for Sources {
    /// Without the environment, whose values may be secret.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sources").field("file", &self.file).field("flags", &self.flags).finish_non_exhaustive()
    }
}

/// The variables of this process that concern us.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| concerns_us(name)).collect()
}

/// The token with which the command line asks a server elsewhere. Not among the settings: it is no server's own.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn token() -> Option<Secret<String>> {
    let token = std::env::var("STEADING_TOKEN").ok()?.trim().to_owned();
    (!token.is_empty()).then(|| Secret::new(token))
}

/// Sections with their keys and defaults, read from the commented file. Of a list of sections, such as
/// `[[mail.fallback]]`, there is the one that shows what they have.
pub(super) fn known(commented: &str) -> Known {
    let is_setting = |line: &str| {
        let name = line.split(" = ").next().unwrap_or_default();
        let is_named = !name.is_empty() && name.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
        (line.contains(" = ") && is_named) || line.starts_with("[[")
    };
    let text: String = commented
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|it| is_setting(it)).unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let table: Table = text.parse().unwrap_or_default();
    let mut known = Known::new();
    table.into_iter().for_each(|(section, keys)| add_known(&mut known, section, keys));
    known
}

/// Adds a section, and those within it under names such as `mail.dkim`.
pub(super) fn add_known(known: &mut Known, section: String, keys: Value) {
    let Value::Table(keys) = keys else { return };
    let mut plain = BTreeMap::new();
    for (key, value) in keys {
        match value {
            Value::Table(_) => add_known(known, format!("{section}.{key}"), value),
            Value::Array(mut items) if items.first().is_some_and(Value::is_table) => {
                add_known(known, format!("{section}.{key}"), items.swap_remove(0));
            }
            value => drop(plain.insert(key, value)),
        }
    }
    known.insert(section, plain);
}

impl Sources {
    /// Reads and checks everything.
    pub(super) fn load(&self) -> Result<Config, Error> {
        let mut merge = self.merged();
        let mut config = merge.build();
        self.flags.apply(&mut config, &mut merge.error);
        for (section, faults) in config.check() {
            faults.into_iter().for_each(|(key, text)| merge.add_fault(&section, key, &text));
        }
        if merge.error.complaints.is_empty() { Ok(config) } else { Err(merge.error.sorted()) }
    }

    fn merged(&self) -> Merge {
        let mut merge = Merge::new(known(DEFAULT));
        for file in self.files(&mut merge.error) {
            merge.add_file(&file);
        }
        for (name, value) in &self.environment {
            merge.add_variable(name, value);
        }
        merge
    }

    /// Where a setting stands, or that it stands nowhere.
    pub(super) fn place(&self, section: &str, key: &str) -> String {
        self.merged().place(section, key).to_owned()
    }

    /// The file and what lies in `conf.d` beside it, in the order in which they count.
    fn files(&self, error: &mut Error) -> Vec<PathBuf> {
        let Some(file) = &self.file else { return Vec::new() };
        let mut files = vec![file.clone()];
        let folder = more_settings(file);
        match std::fs::read_dir(&folder) {
            Ok(entries) => {
                let paths = entries.filter_map(|it| Some(it.ok()?.path())).filter(|it| is_settings(it));
                let mut more: Vec<_> = paths.take(MORE_FILES_MAX + 1).collect();
                if MORE_FILES_MAX < more.len() {
                    error.add(folder.display().to_string(), format!("has more than {MORE_FILES_MAX} files"));
                    return files;
                }
                more.sort();
                files.extend(more);
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => error.add(folder.display().to_string(), format!("cannot be read: {cause}")),
        }
        files
    }
}

/// The folder whose files add to the settings in `file`.
pub(super) fn more_settings(file: &Path) -> PathBuf {
    file.with_file_name("conf.d")
}

/// Whether a file in there counts: what an editor or a package manager hides beside it does not.
pub(super) fn is_settings(file: &Path) -> bool {
    let is_hidden = file.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"."));
    !is_hidden && file.extension().is_some_and(|it| it == "toml")
}
