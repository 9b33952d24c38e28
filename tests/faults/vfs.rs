//! A file system for SQLite that knows what a power cut would leave.
//!
//! It passes everything through to the real one, and keeps beside each file what was on
//! the disk at its last sync and every write since. [`cut`] builds from these what could
//! be there after the power failed: any of the un-synced writes, some, none, or torn ones.
#![expect(unsafe_code, reason = "SQLite's interface to file systems is one of C pointers")]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

use rusqlite::ffi;

/// What a disk loses at once, at the least.
const SECTOR: usize = 512;

/// What happens to writes that were not synced when the power fails.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    All,
    /// The disk wrote some of them, in any order, and some by half. The number chooses which.
    Some(u64),
}

enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

/// A file as it was at its last sync, and what was done since.
#[derive(Default)]
struct Tracked {
    synced: Vec<u8>,
    since: Vec<Change>,
}

static FILES: Mutex<BTreeMap<PathBuf, Tracked>> = Mutex::new(BTreeMap::new());

fn files() -> std::sync::MutexGuard<'static, BTreeMap<PathBuf, Tracked>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes into `into` what would be left of the files in `folder` if the power failed now.
/// Nothing is written meanwhile, so it is one moment for all of them.
pub fn cut(folder: &Path, into: &Path, loss: Loss) {
    let tracked = files();
    for (path, file) in tracked.iter().filter(|(path, _)| path.starts_with(folder)) {
        let mut content = file.synced.clone();
        let mut dice = match loss {
            Loss::All => 0,
            Loss::Some(seed) => seed | 1,
        };
        for change in &file.since {
            // xorshift: enough to choose by.
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            match (loss, dice % 3) {
                (Loss::All, _) | (_, 0) => {}
                (_, 1) => apply(&mut content, change, usize::MAX),
                _ => apply(&mut content, change, SECTOR * (usize::try_from(dice >> 8).unwrap_or(0) % 9)),
            }
        }
        let target = into.join(path.strip_prefix(folder).expect("below the folder"));
        std::fs::create_dir_all(target.parent().expect("a folder")).expect("made");
        std::fs::write(target, content).expect("written");
    }
}

/// Does to `content` what was done to the file, at most its first `bytes`.
fn apply(content: &mut Vec<u8>, change: &Change, bytes: usize) {
    match change {
        Change::Write(offset, data) => {
            let data = &data[..data.len().min(bytes)];
            let end = offset + data.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(data);
        }
        Change::Truncate(size) => content.resize(*size, 0),
    }
}

/// Makes it the file system of every database that this process opens from now on.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: the default file system is there and lives as long as the process; ours is a
        // copy of it that is never freed, with two functions replaced.
        unsafe {
            ffi::sqlite3_initialize();
            let real = ffi::sqlite3_vfs_find(std::ptr::null());
            let mut ours = *real;
            ours.zName = c"power-cut".as_ptr();
            ours.szOsFile = c_int::try_from(size_of::<File>()).expect("small") + (*real).szOsFile;
            ours.pNext = std::ptr::null_mut();
            ours.xOpen = Some(open);
            ours.xDelete = Some(delete);
            REAL.store(real, std::sync::atomic::Ordering::Release);
            assert_eq!(ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1), ffi::SQLITE_OK);
        }
    });
}

static REAL: std::sync::atomic::AtomicPtr<ffi::sqlite3_vfs> = std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());

fn real_vfs() -> *mut ffi::sqlite3_vfs {
    REAL.load(std::sync::atomic::Ordering::Acquire)
}

/// Our part of an open file; the real one lies directly behind it.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// Where it is, if what is written to it is kept; owned by this value.
    path: *mut PathBuf,
}

/// The real file behind ours.
///
/// # Safety
/// `file` was opened by [`open`].
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: SQLite gives `szOsFile` bytes, of which the real file has those behind ours.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// Looks up the kept state of a file, if it has one.
///
/// # Safety
/// `file` was opened by [`open`].
unsafe fn tracked<T>(file: *mut ffi::sqlite3_file, act: impl FnOnce(&mut Tracked) -> T) -> Option<T> {
    // SAFETY: `open` set the pointer, and `close` is the only one to free it.
    let path = unsafe { (*file.cast::<File>()).path.as_ref() }?;
    files().get_mut(path).map(act)
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls with a place of `szOsFile` bytes and a name that is null or a C string.
    unsafe {
        let ours = file.cast::<File>();
        (*ours).base.pMethods = std::ptr::null();
        (*ours).path = std::ptr::null_mut();
        let code = (*real_vfs()).xOpen.expect("there")(real_vfs(), name, real(file), flags, out);
        if code != ffi::SQLITE_OK {
            return code;
        }
        if !name.is_null() && flags & (ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_WAL) != 0 {
            let path = PathBuf::from(CStr::from_ptr(name).to_string_lossy().into_owned());
            let content = || Tracked { synced: std::fs::read(&path).unwrap_or_default(), since: Vec::new() };
            files().entry(path.clone()).or_insert_with(content);
            (*ours).path = Box::into_raw(Box::new(path));
        }
        (*ours).base.pMethods = &raw const METHODS;
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite calls with a C string.
    unsafe {
        files().remove(Path::new(CStr::from_ptr(name).to_string_lossy().as_ref()));
        (*real_vfs()).xDelete.expect("there")(real_vfs(), name, sync)
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: called once for each file that `open` opened.
    unsafe {
        let path = std::mem::replace(&mut (*file.cast::<File>()).path, std::ptr::null_mut());
        if !path.is_null() {
            drop(Box::from_raw(path));
        }
        (*(*real(file)).pMethods).xClose.expect("there")(real(file))
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, data: *const c_void, size: c_int, offset: i64) -> c_int {
    // SAFETY: SQLite gives `size` bytes at `data`.
    unsafe {
        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), usize::try_from(size).expect("not negative"));
        let start = usize::try_from(offset).expect("not negative");
        tracked(file, |it| it.since.push(Change::Write(start, bytes.to_vec())));
        (*(*real(file)).pMethods).xWrite.expect("there")(real(file), data, size, offset)
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: as `write`.
    unsafe {
        let length = usize::try_from(size).expect("not negative");
        tracked(file, |it| it.since.push(Change::Truncate(length)));
        (*(*real(file)).pMethods).xTruncate.expect("there")(real(file), size)
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // What is synced is safe in the kept state; the real disk need not be bothered.
    // SAFETY: `file` was opened by `open`.
    unsafe {
        tracked(file, |it| {
            for change in std::mem::take(&mut it.since) {
                apply(&mut it.synced, &change, usize::MAX);
            }
        });
    }
    ffi::SQLITE_OK
}

/// Functions that only pass the call on to the real file.
macro_rules! pass_on {
    ($($ours:ident => $method:ident ($($name:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(unsafe extern "C" fn $ours(file: *mut ffi::sqlite3_file $(, $name: $kind)*) -> $answer {
            // SAFETY: the arguments are SQLite's, for a file that `open` opened.
            unsafe { (*(*real(file)).pMethods).$method.expect("there")(real(file) $(, $name)*) }
        })*
    };
}

pass_on! {
    read => xRead(data: *mut c_void, size: c_int, offset: i64) -> c_int;
    file_size => xFileSize(size: *mut i64) -> c_int;
    lock => xLock(level: c_int) -> c_int;
    unlock => xUnlock(level: c_int) -> c_int;
    check_lock => xCheckReservedLock(out: *mut c_int) -> c_int;
    control => xFileControl(op: c_int, argument: *mut c_void) -> c_int;
    sector_size => xSectorSize() -> c_int;
    shm_map => xShmMap(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int;
    shm_lock => xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int;
    shm_barrier => xShmBarrier() -> ();
    shm_unmap => xShmUnmap(delete: c_int) -> c_int;
}

/// None of the kind promises that a file system may make: a write may be torn.
unsafe extern "C" fn characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    0
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Version 2 has shared memory, and no memory-mapped reading that would pass us by.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_lock),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
