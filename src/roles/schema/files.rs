//! The files of a folder, one for each collection: read with suspicion, written whole or not at all.
//!
//! Nothing is followed out of the folder, and nothing is read that is larger than a collection can be.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::line;
use crate::features::collections::{canonical_of, canonical_text};

/// Largest file: a hundred fields with as many values to select as there may be.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Most that all files take together.
const ALL_BYTES_MAX: u64 = 16 << 20;
/// Most files: as many as there may be collections.
const FILES_MAX: usize = 500;
/// Faults that are told at once.
const FAULTS_MAX: usize = 20;
/// What a file is called until all of it is there.
const UNFINISHED: &str = ".unfinished";
/// Readable by those who read the folder: it is no secret what is in a repository.
const MODE: u32 = 0o644;

/// What a file says of a collection.
#[derive(Clone, Debug)]
pub(super) struct SchemaFile {
    pub path: PathBuf,
    pub text: String,
}

/// What is wrong with files, each with the file and, if it is known, the line.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<String>);

impl Faults {
    pub fn add(&mut self, path: &Path, line: Option<usize>, what: &str) {
        let line = line.map_or_else(String::new, |it| format!(":{it}"));
        self.0.push(format!("{}{line}: {what}", path.display()));
    }

    /// An error with all of them, if there are any.
    pub fn into_result(self) -> anyhow::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut text = String::from("the files of collections have mistakes:");
        for it in self.0.iter().take(FAULTS_MAX) {
            let _ = write!(text, "\n  {it}");
        }
        if FAULTS_MAX < self.0.len() {
            let _ = write!(text, "\n  and {} more", self.0.len() - FAULTS_MAX);
        }
        anyhow::bail!(text)
    }
}

/// The files of a folder, by the names of their collections.
pub(super) fn read(folder: &Path) -> anyhow::Result<BTreeMap<String, SchemaFile>> {
    is_there(folder)?;
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read the folder {}", folder.display()))?.path();
        if is_of_collection(&path) {
            anyhow::ensure!(paths.len() < FILES_MAX, "{} has more than {FILES_MAX} files", folder.display());
            paths.push(path);
        }
    }
    paths.sort();
    let (mut files, mut faults, mut bytes) = (BTreeMap::new(), Faults::default(), 0);
    for path in paths {
        let text = match text_of(&path) {
            Ok(text) => text,
            Err(why) => {
                faults.add(&path, None, &why);
                continue;
            }
        };
        bytes += text.len() as u64;
        anyhow::ensure!(bytes <= ALL_BYTES_MAX, "the files in {} are larger than 16 MiB together", folder.display());
        match parse(&path, text) {
            Ok((name, file)) => drop(files.insert(name, file)),
            Err((line, why)) => faults.add(&path, line, &why),
        }
    }
    faults.into_result()?;
    Ok(files)
}

/// The names that the files of a folder have, whatever is in them.
pub(super) fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let paths = entries.filter_map(|it| Some(it.ok()?.path())).filter(|it| is_of_collection(it) && it.is_file());
    let mut names: Vec<String> = paths.filter_map(|it| Some(it.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// One file; nothing if there is none.
pub(super) fn read_one(path: &Path) -> Result<Option<SchemaFile>, String> {
    match std::fs::symlink_metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => parse(path, text_of(path)?).map(|(_, file)| Some(file)).map_err(|(_, why)| why),
    }
}

/// Whether a file counts: what an editor or a version control hides in the folder does not, and other files neither.
fn is_of_collection(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"."));
    !is_hidden && path.extension().is_some_and(|it| it == "json")
}

fn text_of(path: &Path) -> Result<String, String> {
    let unreadable = |cause: io::Error| format!("cannot be read: {cause}");
    let is_file = std::fs::symlink_metadata(path).map_err(unreadable)?.is_file();
    if !is_file {
        return Err("is no file of its own; links are not followed".to_owned());
    }
    // Between the look and the opening it may have become something else: a link, or a pipe that would be waited for.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if FILE_BYTES_MAX < bytes.len() as u64 {
        return Err("is larger than 4 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
}

/// Reads what a file says, or tells what is wrong and on which line.
fn parse(path: &Path, text: String) -> Result<(String, SchemaFile), (Option<usize>, String)> {
    let plain = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let value: Value = serde_json::from_str(&plain).map_err(|cause| {
        let words = cause.to_string();
        let words = words.split(" at line ").next().unwrap_or_default().to_owned();
        // The end of a text is in no column of its last line.
        let column = if cause.column() == 0 { String::new() } else { format!(" (column {})", cause.column()) };
        (Some(cause.line().max(1)), format!("is not JSON: {words}{column}"))
    })?;
    let stem = path.file_stem().and_then(|it| it.to_str()).unwrap_or_default();
    let Some(name) = value.get("name").and_then(Value::as_str) else {
        return Err((Some(1), "is no collection: it has no `name`".to_owned()));
    };
    if name != stem {
        let at = line::of_pointer(&plain, "/name");
        return Err((
            Some(at),
            format!("says that it is `{name}`; its name must be {name}.json, or the collection's `{stem}`"),
        ));
    }
    Ok((name.to_owned(), SchemaFile { path: path.to_owned(), text: plain }))
}

impl SchemaFile {
    /// What it says in the one form that all files have; nothing if it is no collection.
    pub fn canonical(&self) -> Option<Value> {
        canonical_of(self.text.as_bytes())
    }

    /// What is wrong at a place in it.
    pub fn fault(&self, faults: &mut Faults, pointer: &str, detail: &str) {
        let at = if pointer.is_empty() { String::new() } else { format!("{pointer} ") };
        faults.add(&self.path, Some(line::of_pointer(&self.text, pointer)), &format!("{at}{detail}"));
    }
}

/// The body of an import, with each file as it is written: what is twice in one is seen by whoever reads it.
pub(super) fn set(files: &BTreeMap<String, SchemaFile>) -> String {
    let texts: Vec<_> = files.values().map(|it| it.text.as_str()).collect();
    format!("{{\"collections\":[{}]}}", texts.join(","))
}

/// The file of a collection.
pub(super) fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.json"))
}

/// Writes what a collection is, whole or not at all. False if the file said just that.
pub(super) fn write(folder: &Path, collection: &Value) -> anyhow::Result<bool> {
    let name = collection["name"].as_str().unwrap_or_default();
    let (file, text) = (path(folder, name), canonical_text(collection));
    if std::fs::read_to_string(&file).is_ok_and(|it| it == text) {
        return Ok(false);
    }
    let cannot = || format!("cannot write {}", file.display());
    if let Ok(there) = std::fs::symlink_metadata(&file) {
        anyhow::ensure!(there.is_file(), "{} is no file of its own; links are not followed", file.display());
    }
    let unfinished = folder.join(format!(".{name}.json{UNFINISHED}"));
    let _ = std::fs::remove_file(&unfinished); // of a time that was cut short
    let written = || {
        let mut out = File::options().write(true).create_new(true).open(&unfinished)?;
        out.write_all(text.as_bytes())?;
        out.set_permissions(std::fs::Permissions::from_mode(MODE))?;
        out.sync_all()?;
        std::fs::rename(&unfinished, &file)
    };
    written().with_context(cannot)?;
    Ok(true)
}

/// Brings the file of a name up to its collection; takes it away if there is none.
pub(super) fn put(folder: &Path, name: &str, collection: Option<&Value>) -> anyhow::Result<()> {
    let Some(collection) = collection else {
        let path = path(folder, name);
        return match std::fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(cause).with_context(|| format!("cannot delete {}", path.display()))
            }
            _ => Ok(()),
        };
    };
    make_folder(folder)?;
    write(folder, collection).map(drop)
}

/// Whether the folder is there. A link to one is followed; one that leads nowhere is a mistake.
pub(super) fn is_there(folder: &Path) -> anyhow::Result<bool> {
    let Ok(found) = std::fs::symlink_metadata(folder) else { return Ok(false) };
    if found.is_symlink() && !folder.exists() {
        let target = std::fs::read_link(folder).unwrap_or_default();
        let (folder, target) = (folder.display(), target.display());
        anyhow::bail!(
            "{folder} is a link that leads nowhere, to {target}: make that folder, or remove the link; an empty \
             `schema.folder` is for none"
        );
    }
    Ok(true)
}

/// Makes the folder if it is not there.
pub(super) fn make_folder(folder: &Path) -> anyhow::Result<()> {
    if is_there(folder)? {
        return Ok(());
    }
    let make = || {
        std::fs::create_dir_all(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
    };
    make().with_context(|| format!("cannot make the folder {}", folder.display()))
}
