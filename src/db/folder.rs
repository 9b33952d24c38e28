//! The data folder: one process at a time, and who may look into it.
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::Error;

/// A data folder that no other process uses, for as long as this value lives.
///
/// The lock is on a file of its own, never on a database: closing a database file that
/// SQLite has open would drop its locks.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the folder, making it if there is none. [`Error::InUse`] if another process has it.
    pub fn take(path: &Path) -> Result<Self, Error> {
        let io = |what: &Path| {
            let what = what.display().to_string();
            move |cause| Error::Io { what, cause }
        };
        make(path)?;
        make(&path.join("tmp"))?;
        let file = path.join("steading.lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&file).map_err(io(&file))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse { folder: path.display().to_string() }),
            Err(TryLockError::Error(cause)) => Err(io(&file)(cause)),
        }
    }

    /// Whether a folder of that path has ever been used. Looks only.
    pub fn has_data(path: &Path) -> bool {
        path.join("system.db").exists() || path.join("tenants").exists()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a folder that only its owner may enter: what is in it opens every account.
///
/// The folder above it is synced, for after a power cut a file is found only if all the folders
/// above it are. SQLite sees to the one that the file is in.
pub(super) fn make(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().filter(|it| !it.as_os_str().is_empty());
    above.map_or(Ok(()), make)?;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true); // for a folder that someone else makes at the same time
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let make = || {
        builder.create(path)?;
        match File::open(above.unwrap_or(Path::new(".")))?.sync_all() {
            // Some file systems have no folders to sync.
            Err(cause) if cause.kind() == std::io::ErrorKind::InvalidInput => Ok(()),
            outcome => outcome,
        }
    };
    make().map_err(|cause| Error::Io { what: path.display().to_string(), cause })
}

/// Which parts of a data folder others than its owner may change or read, and what to do about it, in plain words. Looks
/// at names and rights only. That the names can be seen is no harm: service managers make such folders.
pub fn open_to_others(data: &Path) -> Vec<String> {
    let tenants = data.join("tenants");
    let mut folders = vec![data.to_owned(), data.join("tmp"), tenants.clone()];
    folders.extend(fs::read_dir(tenants).into_iter().flatten().flatten().map(|it| it.path()));
    let mut found = Vec::new();
    for folder in folders {
        let inside = fs::read_dir(&folder).into_iter().flatten().flatten().map(|it| it.path());
        let readable = inside.filter(|it| it.is_file() && mode(it) & 0o077 != 0).min();
        let shown = folder.display();
        if folder.is_dir() && mode(&folder) & 0o022 != 0 {
            found.push(format!("others on this machine may change what is in {shown}: `chmod go-w {shown}`"));
        }
        if let Some(file) = readable {
            let shown = file.display();
            found.push(format!(
                "others on this machine may read or change {shown}, and the data opens every account: `chmod -R go= {}`",
                data.display()
            ));
        }
    }
    found
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).map_or(0, |it| it.permissions().mode())
}

/// Free room on the disk of a folder, in bytes. A file system that cannot tell has room
/// until it says otherwise by failing.
pub fn free_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(u64::MAX, |it| it.f_bavail.saturating_mul(it.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_refused_and_free_again_afterwards() {
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("data");
        let first = Folder::take(&path).expect("taken");

        assert!(matches!(Folder::take(&path), Err(Error::InUse { .. })));
        drop(first);
        Folder::take(&path).expect("free again");
    }

    #[cfg(unix)]
    #[test]
    fn what_others_may_change_or_read_is_told_and_what_they_may_only_see_is_not() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().expect("a folder");
        let (path, file) = (parent.path().join("data"), parent.path().join("data/system.db"));
        let _folder = Folder::take(&path).expect("taken");
        fs::write(&file, "keys").expect("written");
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        let told = || open_to_others(&path).join("\n");
        for (it, mode) in [(&path, 0o755), (&path.join("steading.lock"), 0o600), (&file, 0o600)] {
            set(it, mode);
        }
        assert_eq!(told(), "");

        set(&file, 0o640);
        assert!(told().contains("system.db") && told().contains("chmod -R go= "), "{}", told());
        set(&file, 0o600);
        set(&path, 0o777);
        assert!(told().contains("may change what is in") && told().contains("chmod go-w "), "{}", told());
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_look_into_it() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("data");
        let _folder = Folder::take(&path).expect("taken");

        assert_eq!(fs::metadata(&path).expect("made").permissions().mode() & 0o777, 0o700);
    }
}
