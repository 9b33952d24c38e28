//! From files, environment and flags to one checked [`Config`], or to all complaints at once.
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::complaint::place;
use super::{Config, DEFAULT, Error, Flags};
use crate::base::text::nearest;

const PREFIX: &str = "STEADING__";
/// Short names for what is mostly set from outside.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("STEADING_ADMIN_EMAIL", "STEADING__SETUP__ADMIN_EMAIL"),
    ("STEADING_ADMIN_PASSWORD", "STEADING__SETUP__ADMIN_PASSWORD"),
    ("STEADING_ADMIN_PASSWORD_FILE", "STEADING__SETUP__ADMIN_PASSWORD_FILE"),
];

/// Where settings come from, in rising order of weight.
#[derive(Clone, Default)]
pub struct Sources {
    pub file: Option<PathBuf>,
    pub environment: Vec<(String, String)>,
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
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|it| it.starts_with("STEADING"))?;
            Some((name, value.to_string_lossy().into_owned()))
        })
        .collect()
}

/// Sections with their keys and defaults, read from the commented file.
pub(super) fn known(commented: &str) -> BTreeMap<String, BTreeMap<String, Value>> {
    let is_setting = |line: &str| {
        let name = line.split(" = ").next().unwrap_or_default();
        line.contains(" = ") && !name.is_empty() && name.bytes().all(|it| it.is_ascii_lowercase() || it == b'_')
    };
    let text: String = commented
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|it| is_setting(it)).unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let table: Table = text.parse().unwrap_or_default();
    table
        .into_iter()
        .filter_map(|(section, keys)| match keys {
            Value::Table(keys) => Some((section, keys.into_iter().collect())),
            _ => None,
        })
        .collect()
}

/// A value with the place that it was read from.
struct Given {
    value: Value,
    place: String,
}

/// What was given, by section and key; later sources replace earlier ones.
#[derive(Default)]
struct Merge {
    given: BTreeMap<(String, String), Given>,
    error: Error,
}

impl Sources {
    /// Reads and checks everything.
    pub(super) fn load(&self) -> Result<Config, Error> {
        let known = known(DEFAULT);
        let mut merge = Merge::default();
        for file in self.files(&mut merge.error) {
            merge.add_file(&file, &known);
        }
        for (name, value) in &self.environment {
            merge.add_variable(name, value, &known);
        }
        let mut config = merge.build();
        self.flags.apply(&mut config, &mut merge.error);
        for (section, faults) in config.check() {
            for (key, text) in faults {
                let given = merge.given.get(&(section.to_owned(), key.to_owned()));
                let place = given.map_or_else(|| "the default".to_owned(), |it| it.place.clone());
                merge.error.add(place, format!("`{section}.{key}` {text}"));
            }
        }
        if merge.error.complaints.is_empty() { Ok(config) } else { Err(merge.error.sorted()) }
    }

    /// The file and what lies in `conf.d` beside it, in the order in which they count.
    fn files(&self, error: &mut Error) -> Vec<PathBuf> {
        let Some(file) = &self.file else { return Vec::new() };
        let mut files = vec![file.clone()];
        let folder = more_settings(file);
        match std::fs::read_dir(&folder) {
            Ok(entries) => {
                let mut more: Vec<_> = entries.filter_map(|it| Some(it.ok()?.path())).collect();
                more.retain(|it| is_settings(it));
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

type Known = BTreeMap<String, BTreeMap<String, Value>>;

impl Merge {
    fn add_file(&mut self, file: &Path, known: &Known) {
        let name = file.display().to_string();
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(cause) => return self.error.add(name, format!("cannot be read: {cause}")),
        };
        let (table, errors) = toml::de::DeTable::parse_recoverable(&text);
        for cause in errors {
            let at = cause.span().map_or(0, |it| it.start);
            self.error.add(place(&name, &text, at), cause.message().to_owned());
        }
        for (section, keys) in table.get_ref() {
            let at = place(&name, &text, section.span().start);
            let Some(known) = known.get(section.get_ref().as_ref()) else {
                let meant = meant(section.get_ref(), known.keys());
                self.error.add(at, format!("`{}` is not a section{meant}", section.get_ref()));
                continue;
            };
            let Some(keys) = keys.get_ref().as_table() else {
                self.error
                    .add(at, format!("`{0}` is a section: write `[{0}]` on a line of its own", section.get_ref()));
                continue;
            };
            for (key, value) in keys {
                let place = place(&name, &text, key.span().start);
                let value: Value = plain(value.get_ref());
                let folder = file.parent().unwrap_or(Path::new("."));
                self.add(section.get_ref(), key.get_ref(), value, place, known, folder);
            }
        }
    }

    fn add_variable(&mut self, name: &str, text: &str, known: &Known) {
        let long = SHORT_NAMES.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| *long);
        let Some(path) = long.strip_prefix(PREFIX) else { return };
        let path = path.to_lowercase();
        let Some((section, key)) = path.split_once("__") else {
            return self.error.add(name, "must be such as STEADING__SERVER__LISTEN");
        };
        let Some(known) = known.get(section) else {
            let meant = meant(section, known.keys());
            return self.error.add(name, format!("`{section}` is not a section{meant}"));
        };
        let value = match known.get(key) {
            Some(Value::String(_)) | None => Value::String(text.to_owned()),
            Some(_) => match format!("it = {text}").parse::<Table>().ok().and_then(|mut it| it.remove("it")) {
                Some(value) => value,
                None => Value::String(text.to_owned()),
            },
        };
        self.add(section, key, value, name.to_owned(), known, Path::new("."));
    }

    fn add(
        &mut self,
        section: &str,
        key: &str,
        value: Value,
        place: String,
        known: &BTreeMap<String, Value>,
        folder: &Path,
    ) {
        if let Some(default) = known.get(key) {
            if default.same_type(&value) {
                self.given.insert((section.to_owned(), key.to_owned()), Given { value, place });
            } else {
                let (wanted, found) = (default.type_str(), value.type_str());
                self.error.add(place, format!("`{section}.{key}` must be of type {wanted}, not {found}"));
            }
            return;
        }
        let Some(default) = key.strip_suffix("_file").and_then(|it| known.get(it)) else {
            let meant = meant(key, known.keys());
            return self.error.add(place, format!("`{section}.{key}` is not a setting{meant}"));
        };
        let file = folder.join(value.as_str().unwrap_or_default());
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text.trim_end_matches(['\r', '\n']).to_owned(),
            Err(cause) => return self.error.add(place, format!("{} cannot be read: {cause}", file.display())),
        };
        let value = match default {
            Value::String(_) => Some(Value::String(text)),
            _ => format!("it = {text}").parse::<Table>().ok().and_then(|mut it| it.remove("it")),
        };
        let key = key.trim_end_matches("_file");
        match value.filter(|it| it.same_type(default)) {
            Some(value) => {
                self.given.insert((section.to_owned(), key.to_owned()), Given { value, place });
            }
            None => {
                let wanted = default.type_str();
                self.error
                    .add(place, format!("{} must hold a value of type {wanted} for `{section}.{key}`", file.display()));
            }
        }
    }

    /// Puts together what was given. A value that its setting does not take is left out with a complaint.
    fn build(&mut self) -> Config {
        let mut whole = Table::new();
        for ((section, key), given) in &self.given {
            let one = Table::from_iter([(
                section.clone(),
                Value::Table(Table::from_iter([(key.clone(), given.value.clone())])),
            )]);
            if let Err(cause) = one.try_into::<Config>() {
                self.error.add(given.place.clone(), format!("`{section}.{key}`: {}", cause.message()));
                continue;
            }
            let keys = whole.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(keys) = keys {
                keys.insert(key.clone(), given.value.clone());
            }
        }
        whole.try_into().unwrap_or_default()
    }
}

fn meant<'a>(typed: &str, known: impl Iterator<Item = &'a String>) -> String {
    nearest(typed, known.map(String::as_str)).map_or_else(String::new, |it| format!("; did you mean `{it}`?"))
}

/// A parsed value without its places.
fn plain(value: &toml::de::DeValue<'_>) -> Value {
    use toml::de::DeValue;
    match value {
        DeValue::String(it) => Value::String(it.to_string()),
        DeValue::Integer(it) => i64::from_str_radix(&it.as_str().replace('_', ""), it.radix())
            .map_or_else(|_| Value::String(it.to_string()), Value::Integer),
        DeValue::Float(it) => it.as_str().parse().map_or_else(|_| Value::String(it.to_string()), Value::Float),
        DeValue::Boolean(it) => Value::Boolean(*it),
        DeValue::Datetime(it) => Value::Datetime(*it),
        DeValue::Array(items) => Value::Array(items.iter().map(|it| plain(it.get_ref())).collect()),
        DeValue::Table(keys) => {
            Value::Table(keys.iter().map(|(key, it)| (key.get_ref().to_string(), plain(it.get_ref()))).collect())
        }
    }
}
