//! What to do about a failure that whoever started us can mend.
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, access};

use super::Context;
use crate::db;

/// What to do about `cause`, if there is more to say than it says itself.
pub(super) fn about(cause: &anyhow::Error, context: &Context) -> Option<String> {
    cause.chain().find_map(|it| about_data(it.downcast_ref()?, context))
}

fn about_data(cause: &db::Error, context: &Context) -> Option<String> {
    match cause {
        db::Error::Damaged => Some("restore a backup".to_owned()),
        db::Error::Newer { .. } => Some("use the newer Steading that wrote it, or a backup from before".to_owned()),
        db::Error::MigrationChanged { .. } => {
            Some("the file is whole, but of another build of Steading: use that one".to_owned())
        }
        db::Error::StorageFull => Some(about_room(context)),
        db::Error::Io { what, cause } => about_path(Path::new(what), cause, &context.data),
        db::Error::Opening { file, cause } => match &**cause {
            // What the engine says of a file that it may not touch names no reason.
            db::Error::Engine(_) => access(file, Access::READ_OK | Access::WRITE_OK)
                .err()
                .and_then(|it| about_path(file, &it.into(), &context.data))
                .or_else(|| Some("if the file is damaged, restore a backup".to_owned())),
            inner => about_data(inner, context),
        },
        _ => None,
    }
}

/// What to do when a file or folder of the data cannot be reached.
pub(super) fn about_path(path: &Path, cause: &io::Error, data: &Path) -> Option<String> {
    let other = "--data names another folder";
    match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            // What is not there yet could not be made in the nearest folder that is.
            let there = path.ancestors().find(|it| it.exists()).filter(|it| !it.as_os_str().is_empty());
            let there = there.unwrap_or(Path::new("."));
            let (owner, ours) = (std::fs::metadata(there).ok()?.uid(), rustix::process::geteuid().as_raw());
            let is_there = data.symlink_metadata().is_ok();
            let (there, data) = (there.display(), data.display());
            let theirs = format!("{there} belongs to user {owner}, and this runs as user {ours}");
            Some(if owner == ours {
                format!("give its owner, which this is, the right to it: `chmod u+rwX {there}`; or {other}")
            } else if is_there {
                format!("{theirs}: run it as user {owner}, or `chown -R {ours} {data}`; or {other}")
            } else {
                // What is above it may be everybody's, or the whole disk.
                format!("{theirs}: make the folder for it, `install -d -m 700 -o {ours} {data}` as root; or {other}")
            })
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            Some(format!("its file system is mounted for reading only: mount it for writing; or {other}"))
        }
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => Some(format!(
            "a folder is needed there, and something else has its name, such as a file or a link that leads nowhere: \
             move that away; or {other}"
        )),
        io::ErrorKind::StorageFull => Some("free some room on the disk".to_owned()),
        _ => None,
    }
}

/// What to do when an address cannot be listened at.
pub(super) fn about_listening(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there (`ss -ltnp` shows which): stop it, or choose another port with --listen or \
             `server.listen`"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address (`ip address` shows those it has): choose one of them, or 0.0.0.0 for all, \
             with --listen or `server.listen`"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a right (CAP_NET_BIND_SERVICE): choose a higher one with --listen or `server.listen`, \
             behind a proxy"
        }
        _ => "choose another address with --listen or `server.listen`",
    }
}

fn about_room(context: &Context) -> String {
    let kept_free = context.settings().map(|it| it.get().storage.free_bytes_min).unwrap_or_default();
    let there = context.data.ancestors().find(|it| it.exists()).filter(|it| !it.as_os_str().is_empty());
    let free = db::free_bytes(there.unwrap_or(Path::new(".")));
    format!(
        "the disk of {} has {} MiB of room left, and `storage.free_bytes_min` keeps {} MiB free: free some room, or name a \
         folder on another disk with --data",
        context.data.display(),
        free >> 20,
        kept_free >> 20
    )
}
