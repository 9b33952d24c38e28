//! What was given where, put together. Later sources replace earlier ones.
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::complaint::{cut, place, shown};
use super::mail::FALLBACKS_MAX;
use super::{Config, Error, read};
use crate::base::text::nearest;

const PREFIX: &str = "STEADING__";
/// Short names for what is mostly set from outside.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("STEADING_ADMIN_EMAIL", "STEADING__SETUP__ADMIN_EMAIL"),
    ("STEADING_ADMIN_PASSWORD", "STEADING__SETUP__ADMIN_PASSWORD"),
    ("STEADING_ADMIN_PASSWORD_FILE", "STEADING__SETUP__ADMIN_PASSWORD_FILE"),
];

/// Sections that there may be several of, and how many. One is called such as `mail.fallback.1`.
const LISTS: &[(&str, usize)] = &[("mail.fallback", FALLBACKS_MAX)];

/// Sections with their keys and defaults.
pub(super) type Known = BTreeMap<String, BTreeMap<String, Value>>;

/// Whether a variable of the environment is a setting. Others may begin alike: Kubernetes makes `STEADING_PORT`.
pub(super) fn concerns_us(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
        || SHORT_NAMES.iter().any(|(short, _)| *short == name)
        || name.to_str().is_some_and(|it| miswritten(it).is_some())
}

/// A value with the place that it was read from.
struct Given {
    value: Value,
    place: String,
    way: Way,
}

/// How a value was given.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Way {
    is_by_file: bool,
    is_variable: bool,
}

/// A setting as it was typed.
struct Typed<'a> {
    section: &'a str,
    /// The key, or the key of a file that holds its value.
    key: &'a str,
    /// The value, or why there is none.
    value: Result<Value, String>,
    place: String,
    is_variable: bool,
    /// What the path of a file with the value is relative to.
    folder: &'a Path,
}

/// What was given, by section and key, and what is wrong with it.
pub(super) struct Merge {
    known: Known,
    given: BTreeMap<(String, String), Given>,
    /// Settings of which a value was refused already.
    refused: BTreeSet<(String, String)>,
    pub error: Error,
}

impl Merge {
    pub fn new(known: Known) -> Self {
        Self { known, given: BTreeMap::new(), refused: BTreeSet::new(), error: Error::default() }
    }

    /// Where a setting was given.
    pub fn place(&self, section: &str, key: &str) -> &str {
        self.given.get(&(section.to_owned(), key.to_owned())).map_or("the default", |it| it.place.as_str())
    }

    /// Adds what is wrong with a setting's value once all is put together.
    pub fn add_fault(&mut self, section: &str, key: &str, text: &str) {
        let name = (section.to_owned(), key.to_owned());
        // That a refused value is missing now is no mistake of its own.
        if !self.refused.contains(&name) {
            // What is missing is told where the setting stands that needs it.
            let needed_by = || self.given.get(&(section.to_owned(), text.split('`').nth(1)?.to_owned()));
            let beside = || self.given.iter().find(|((it, _), _)| it == section).map(|(_, given)| given);
            let listed = || {
                let list = list_of(section)?;
                self.given.iter().find(|((it, _), _)| list_of(it) == Some(list)).map(|(_, given)| given)
            };
            let given = self.given.get(&name).or_else(needed_by);
            let given = given.or_else(|| list_of(section).and_then(|_| beside().or_else(listed)));
            let place = given.map_or("the default", |it| it.place.as_str());
            self.error.add(place, format!("`{section}.{key}` {text}"));
        }
    }

    pub fn add_file(&mut self, file: &Path) {
        let name = file.display().to_string();
        let text = match read::settings(file) {
            Ok(text) => text,
            Err(why) => return self.error.add(name, why),
        };
        let (table, errors) = DeTable::parse_recoverable(&text);
        let mut lines = BTreeSet::new();
        for cause in errors {
            if self.error.is_full() {
                break;
            }
            let span = cause.span().unwrap_or_default();
            let line = Lines::around(&text, span.start);
            // One mistake makes several of what follows it on its line.
            if lines.insert(line.start) {
                let there = text.get(span.clone()).unwrap_or_default();
                self.error.add(place(&name, &text, span.start), syntax_fault(cause.message(), there, &line));
            }
        }
        // What is left of a line that is no TOML is not what was meant.
        let is_broken = |at: usize| lines.contains(&Lines::around(&text, at).start);
        for (section, keys) in table.get_ref() {
            if is_broken(section.span().start) {
                continue;
            }
            let at = place(&name, &text, section.span().start);
            let section = section.get_ref().as_ref();
            if section.contains('.') || !self.known.contains_key(section) {
                let home = self.known.iter().find(|(_, keys)| keys.contains_key(section)).map(|(home, _)| home);
                let hint = home.map_or_else(
                    || meant(section, self.known.keys()),
                    |home| format!("; the setting of that name stands under `[{home}]`"),
                );
                self.error.add(at, format!("`{}` is not a section{hint}", shown(section)));
            } else if let Some(keys) = keys.get_ref().as_table() {
                self.add_section(section, keys, file, &text, &is_broken);
            } else {
                self.error.add(at, format!("`{section}` is a section: write `[{section}]` on a line of its own"));
            }
            if self.error.is_full() {
                return;
            }
        }
    }

    fn add_section(
        &mut self,
        section: &str,
        keys: &DeTable<'_>,
        file: &Path,
        text: &str,
        is_broken: &dyn Fn(usize) -> bool,
    ) {
        let (name, folder) = (file.display().to_string(), file.parent().unwrap_or(Path::new(".")));
        for (key, value) in keys {
            if is_broken(key.span().start) {
                self.refused.insert((section.to_owned(), key.get_ref().to_string()));
                continue;
            }
            let (place, key) = (place(&name, text, key.span().start), key.get_ref().as_ref());
            if self.known.contains_key(&format!("{section}.{key}")) {
                self.add_inner(&format!("{section}.{key}"), value.get_ref(), &place, file, text, is_broken);
                continue;
            }
            let value = read::plain(value.get_ref());
            self.add(Typed { section, key, value, place, is_variable: false, folder });
            if self.error.is_full() {
                return;
            }
        }
    }

    /// Adds a section within a section, or a list of them. A list stands for all that came before.
    fn add_inner(
        &mut self,
        section: &str,
        value: &DeValue<'_>,
        at: &str,
        file: &Path,
        text: &str,
        is_broken: &dyn Fn(usize) -> bool,
    ) {
        let Some((_, most)) = LISTS.iter().find(|(name, _)| *name == section) else {
            return match value.as_table() {
                Some(keys) => self.add_section(section, keys, file, text, is_broken),
                None => {
                    self.error.add(at, format!("`{section}` is a section: write `[{section}]` on a line of its own"));
                }
            };
        };
        let items = value.as_array().map(|it| it.iter().map(|it| it.get_ref().as_table()).collect::<Option<Vec<_>>>());
        let Some(Some(items)) = items else {
            let each =
                format!("`{section}` is a list of sections: write `[[{section}]]` on a line of its own for each");
            return self.error.add(at, each);
        };
        self.given.retain(|(name, _), _| list_of(name) != Some(section));
        if *most < items.len() {
            self.error.add(at, format!("`{section}` must be at most {most} sections, got {}", items.len()));
        }
        for (number, keys) in (1..=*most).zip(items) {
            if keys.is_empty() {
                self.error.add(at, format!("`{section}.{number}` is empty"));
            }
            self.add_section(&format!("{section}.{number}"), keys, file, text, is_broken);
        }
    }

    pub fn add_variable(&mut self, name: &OsStr, text: &OsStr) {
        let Some(name) = name.to_str() else {
            return self.error.add(name.to_string_lossy(), "has a name that is not UTF-8");
        };
        if let Some(meant) = miswritten(name) {
            return self.error.add(name, format!("is no setting; did you mean {meant}?"));
        }
        let long = SHORT_NAMES.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| *long);
        let Some(path) = long.strip_prefix(PREFIX) else { return };
        let path = path.to_lowercase();
        let Some((section, key)) = path.split_once("__") else {
            return self.error.add(name, "must be such as STEADING__SERVER__LISTEN");
        };
        if section.contains('.') || !self.known.contains_key(section) {
            let meant = meant(section, self.known.keys());
            return self.error.add(name, format!("`{}` is not a section{meant}", shown(section)));
        }
        let (section, key) = self.inner(section, key);
        if let Some((list, most)) = LISTS.iter().find(|(list, _)| *list == section) {
            let first = format!("{PREFIX}{}__1__…", list.to_uppercase().replace('.', "__"));
            return self.error.add(name, format!("must have a number from 1 to {most}, such as {first}"));
        }
        let (section, Some(known)) = (section.as_str(), self.keys_of(&section)) else { return };
        let value = match (text.to_str(), known.get(key)) {
            (None, _) => Err("is not UTF-8".to_owned()),
            (Some(text), Some(default)) => written(text, default),
            (Some(text), None) => Ok(Value::String(text.to_owned())),
        };
        let place = name.to_owned();
        self.add(Typed { section, key, value, place, is_variable: true, folder: Path::new(".") });
    }

    /// The section within a section that a variable means, and the key there.
    fn inner<'a>(&self, section: &str, key: &'a str) -> (String, &'a str) {
        let (mut section, mut key) = (section.to_owned(), key);
        while let Some((next, rest)) = key.split_once("__") {
            let inner = format!("{section}.{next}");
            if !self.known.contains_key(&inner) && list_of(&inner).is_none() {
                break;
            }
            (section, key) = (inner, rest);
        }
        (section, key)
    }

    /// What a section may hold.
    fn keys_of(&self, section: &str) -> Option<&BTreeMap<String, Value>> {
        self.known.get(list_of(section).unwrap_or(section))
    }

    fn add(&mut self, typed: Typed<'_>) {
        let Typed { section, key, value, place, is_variable, folder } = typed;
        let Some(known) = self.keys_of(section) else { return };
        let by_file = key.strip_suffix("_file").and_then(|it| Some((it, known.get(it)?)));
        let (key, is_by_file, value) = match (known.get(key), by_file) {
            (Some(default), _) => {
                let value = value.and_then(|it| fitting(default, it));
                (key, false, value.map_err(|why| format!("`{section}.{key}` {why}")))
            }
            (None, Some((key, default))) => (key, true, in_file(&format!("{section}.{key}"), value, default, folder)),
            (None, None) => {
                let meant = meant(key, known.keys());
                return self.error.add(place, format!("`{section}.{}` is not a setting{meant}", shown(key)));
            }
        };
        match value {
            Ok(value) => self.take(section, key, Given { value, place, way: Way { is_by_file, is_variable } }),
            Err(why) => {
                self.refused.insert((section.to_owned(), key.to_owned()));
                self.error.add(place, why);
            }
        }
    }

    /// Keeps a value, unless one would have to guess which of two is meant: two that stand in the
    /// environment, which has no order, or a secret that was left behind when it moved to a file.
    fn take(&mut self, section: &str, key: &str, given: Given) {
        let name = (section.to_owned(), key.to_owned());
        match self.given.get(&name) {
            Some(earlier) if earlier.way.is_by_file != given.way.is_by_file => {
                let both = format!("`{section}.{key}` and `{section}.{key}_file` are both set");
                self.error.add(given.place, format!("{both}, the other at {}: keep one of them", earlier.place));
            }
            Some(earlier) if earlier.way.is_variable && given.way.is_variable => {
                let text = format!("`{section}.{key}` is set by {} too: keep one of them", earlier.place);
                self.error.add(given.place, text);
            }
            _ => {
                self.given.insert(name, given);
            }
        }
    }

    /// Puts together what was given. A value that its setting does not take is left out with a complaint.
    pub fn build(&mut self) -> Config {
        let mut whole = Table::new();
        for ((section, key), given) in &self.given {
            let mut one = Table::new();
            put(&mut one, section, key, given.value.clone());
            if let Err(cause) = one.try_into::<Config>() {
                let why = match given.value {
                    Value::Integer(it) if it < 0 => format!(" must not be negative, got {it}"),
                    Value::Integer(it) => format!(" is far out of range: {it}"),
                    _ => format!(" {}", in_our_words(cause.message())),
                };
                self.error.add(&given.place, format!("`{section}.{key}`{why}"));
                self.refused.insert((section.clone(), key.clone()));
                continue;
            }
            put(&mut whole, section, key, given.value.clone());
        }
        whole.try_into().unwrap_or_default()
    }
}

/// The list that a section such as `mail.fallback.1` is one of.
fn list_of(section: &str) -> Option<&'static str> {
    let (list, number) = section.rsplit_once('.')?;
    let (list, most) = LISTS.iter().find(|(name, _)| *name == list)?;
    let is_number = |it: &usize| (1..=*most).contains(it) && it.to_string() == number;
    number.parse().ok().filter(is_number).map(|_| *list)
}

/// Puts a value where its section is. Those of a list stand in the order of their numbers.
fn put(whole: &mut Table, section: &str, key: &str, value: Value) {
    let (path, number) = match list_of(section) {
        Some(list) => (list, section.get(list.len() + 1..).and_then(|it| it.parse::<usize>().ok())),
        None => (section, None),
    };
    let mut table = whole;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        let is_list = number.is_some() && parts.peek().is_none();
        let empty = || if is_list { Value::Array(Vec::new()) } else { Value::Table(Table::new()) };
        let inner = match (table.entry(part).or_insert_with(empty), number) {
            (Value::Array(items), Some(number)) => {
                // What was not given between them is told to be missing.
                let at = number.saturating_sub(1);
                items.resize_with(items.len().max(at + 1), || Value::Table(Table::new()));
                items.get_mut(at)
            }
            (inner, _) => Some(inner),
        };
        let Some(Value::Table(keys)) = inner else { return };
        table = keys;
    }
    table.insert(key.to_owned(), value);
}

/// What a variable was most likely meant to be that is named almost as ours are: otherwise it would be ignored.
fn miswritten(name: &str) -> Option<String> {
    let rest = name.strip_prefix("STEADING_").filter(|it| !it.starts_with('_'))?;
    if SHORT_NAMES.iter().any(|(short, _)| *short == name) {
        return None;
    }
    if rest.contains("__") {
        return Some(format!("{PREFIX}{rest}"));
    }
    nearest(name, SHORT_NAMES.iter().map(|(short, _)| *short)).map(str::to_owned)
}

/// What is wrong with a file that is no TOML, with what mostly is behind it.
fn syntax_fault(message: &str, there: &str, line: &Lines<'_>) -> String {
    match message {
        "duplicate key" => match line.section.filter(|_| !line.text.starts_with('[')) {
            Some(section) => format!("`{section}.{}` is there twice", shown(there)),
            None => format!("`{}` is there twice", shown(there)),
        },
        _ => match line.bare_text() {
            Some(bare) => format!("a text stands in quotes: \"{}\"", cut(bare)),
            None => message.to_owned(),
        },
    }
}

/// A line of a file, with what it stands under.
struct Lines<'a> {
    start: usize,
    text: &'a str,
    section: Option<&'a str>,
}

impl<'a> Lines<'a> {
    fn around(text: &'a str, offset: usize) -> Self {
        let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
        let start = before.rfind('\n').map_or(0, |it| it + 1);
        let end = offset.min(text.len()) + after.find('\n').unwrap_or(after.len());
        let sections = before.lines().rev().map(str::trim);
        let section = sections.filter_map(|it| it.strip_prefix('[')?.split_once(']')).map(|(it, _)| it).next();
        let section = section.map(|it| it.trim_start_matches('['));
        Self { start, text: text[start..end].trim(), section }
    }

    /// A value that is meant to be a text, and has no quotes: one word with letters, such as an address.
    fn bare_text(&self) -> Option<&'a str> {
        let value = self.text.split_once('=')?.1.trim();
        let is_one = !value.contains(['"', '\'', '[', ']', '{', '}', '#', '=']) && !value.contains(char::is_whitespace);
        let is_text =
            value.contains(|it: char| it.is_alphabetic() || it == ':' || it == '/') || 1 < value.matches('.').count();
        (is_one && is_text).then_some(value)
    }
}

/// Names of values are told with the one that is nearest, and addresses with an example.
fn in_our_words(message: &str) -> String {
    if message == "invalid socket address syntax" {
        return "must be an address with a port, such as 127.0.0.1:8088".to_owned();
    }
    let told = || {
        let (value, expected) = message.strip_prefix("unknown variant `")?.split_once("`, expected ")?;
        let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let meant = nearest(value, names.iter().copied());
        let hint = meant.map_or_else(String::new, |it| format!("; did you mean `{it}`?"));
        Some(format!("must be one of `{}`, and is `{}`{hint}", names.join("`, `"), shown(value)))
    };
    told().unwrap_or_else(|| format!("is wrong: {message}"))
}

/// A value as it stands alone, in a variable or a file. Text needs no quotes there.
fn written(text: &str, default: &Value) -> Result<Value, String> {
    if default.is_str() {
        return Ok(Value::String(text.to_owned()));
    }
    match DeValue::parse(text.trim()) {
        Ok(value) => read::plain(value.get_ref()),
        Err(_) => Ok(Value::String(text.to_owned())), // of a wrong type, and told so
    }
}

/// The value of a setting in the file that was named for it.
fn in_file(setting: &str, name: Result<Value, String>, default: &Value, folder: &Path) -> Result<Value, String> {
    let name = match name {
        Ok(Value::String(name)) if !name.is_empty() => name,
        _ => return Err(format!("`{setting}_file` must be the name of a file")),
    };
    let file = folder.join(name);
    let text = read::value(&file).map_err(|why| format!("`{setting}_file`: {} {why}", file.display()))?;
    if text.is_empty() {
        return Err(format!("`{setting}_file`: {} is empty", file.display()));
    }
    // What stands in it may be secret, so it is not repeated.
    let wrong = |_| format!("{} must hold a value of type {} for `{setting}`", file.display(), default.type_str());
    written(&text, default).and_then(|it| fitting(default, it)).map_err(wrong)
}

/// The value, if it is of the type that a setting with this default has.
fn fitting(default: &Value, value: Value) -> Result<Value, String> {
    match (default, value) {
        (default, value) if default.same_type(&value) => Ok(value),
        (Value::Integer(_), Value::Float(it)) => Err(format!("must be a whole number, got {it:?}")),
        (default, value) => Err(format!("must be of type {}, not {}", default.type_str(), value.type_str())),
    }
}

fn meant<'a>(typed: &str, known: impl Iterator<Item = &'a String>) -> String {
    nearest(typed, known.map(String::as_str)).map_or_else(String::new, |it| format!("; did you mean `{it}`?"))
}
