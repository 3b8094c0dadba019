//! A VFS between SQLite and the operating system that watches folders: it records what reaches
//! their files, in order, and can run out of space.
#![expect(
    unsafe_code,
    reason = "SQLite's VFS is an interface of C; tests alone use this module, and each block says \
              why it holds"
)]

use std::ffi::{CStr, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use rusqlite::ffi;

/// The VFS's name, for `SqliteOptions::vfs`.
pub(crate) const NAME: &str = "behalf-watched";
const C_NAME: &CStr = c"behalf-watched";

/// A file of a watched folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum File {
    /// The database.
    Database,
    /// Its write-ahead log.
    Log,
}

/// What reached a file.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Bytes were written at an offset.
    Write(File, usize, Vec<u8>),
    /// The file was cut to a length.
    Truncate(File, usize),
    /// What was written before is durable now.
    Sync(File),
    /// A note of the test's own.
    Mark(usize),
}

/// What happened to the files of one folder.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    operations: Mutex<Vec<Operation>>,
    /// Bytes that may still be written; `None` for as many as there are.
    space: Mutex<Option<usize>>,
}

impl Watch {
    /// Watches `dir` from now on.
    pub(crate) fn folder(dir: &Path) -> Arc<Self> {
        register();
        let watch = Arc::new(Self::default());
        // SQLite names files by their real path.
        let dir = dir.canonicalize().unwrap();
        lock(&FOLDERS).push((dir, Arc::clone(&watch)));
        watch
    }

    /// Notes that `number` happened.
    pub(crate) fn mark(&self, number: usize) {
        lock(&self.operations).push(Operation::Mark(number));
    }

    /// Everything so far.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        lock(&self.operations).clone()
    }

    /// How much happened so far.
    pub(crate) fn len(&self) -> usize {
        lock(&self.operations).len()
    }

    /// Leaves `bytes` of space on the disk, or all of it.
    pub(crate) fn leave_space(&self, bytes: Option<usize>) {
        *lock(&self.space) = bytes;
    }

    fn takes_space(&self, bytes: usize) -> bool {
        match &mut *lock(&self.space) {
            Some(left) if *left < bytes => false,
            Some(left) => {
                *left -= bytes;
                true
            }
            None => true,
        }
    }
}

static FOLDERS: Mutex<Vec<(PathBuf, Arc<Watch>)>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// SQLite's handle of an open file: ours, with the operating system's right behind it.
#[repr(C)]
struct Handle {
    base: ffi::sqlite3_file,
    watched: *mut Watched,
}

/// Who watches the file; made by `open`, freed by `close`.
struct Watched {
    watch: Arc<Watch>,
    file: File,
}

fn register() {
    static ONCE: Once = Once::new();
    // SAFETY: the default VFS lives as long as the process and is not changed; ours is leaked and so
    // does too. `Once` keeps two threads from registering.
    ONCE.call_once(|| unsafe {
        let real = ffi::sqlite3_vfs_find(std::ptr::null());
        let mut vfs = *real;
        vfs.szOsFile += c_int::try_from(size_of::<Handle>()).unwrap();
        vfs.zName = C_NAME.as_ptr();
        vfs.pAppData = real.cast();
        vfs.pNext = std::ptr::null_mut();
        vfs.xOpen = Some(open);
        assert_eq!(ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0), ffi::SQLITE_OK);
    });
}

/// The operating system's handle behind ours.
///
/// # Safety
/// `file` is a handle that SQLite allocated for our VFS, with `szOsFile` bytes.
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `szOsFile` counts a `Handle` and the real handle after it.
    unsafe { file.cast::<Handle>().add(1).cast() }
}

/// The watcher of an open file.
///
/// # Safety
/// As [`real`], and the file was opened by [`open`] and is not closed.
unsafe fn watched<'h>(file: *mut ffi::sqlite3_file) -> Option<&'h Watched> {
    // SAFETY: `open` wrote the pointer, null or from `Box::into_raw`; `close` frees it last.
    unsafe { (*file.cast::<Handle>()).watched.as_ref() }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls with its own pointers: our VFS, whose `pAppData` is the real one; a
    // handle of `szOsFile` bytes; a name that ends with NUL, or none for a temporary file.
    unsafe {
        let system = (*vfs).pAppData.cast::<ffi::sqlite3_vfs>();
        let handle = file.cast::<Handle>();
        (*handle).base.pMethods = std::ptr::null();
        (*handle).watched = std::ptr::null_mut();
        let Some(open) = (*system).xOpen else { return ffi::SQLITE_MISUSE };
        let opened = open(system, name, real(file), flags, out_flags);
        if (*real(file)).pMethods.is_null() {
            return opened;
        }
        (*handle).base.pMethods = &raw const METHODS;
        if !name.is_null()
            && let Some(found) = find(CStr::from_ptr(name))
        {
            (*handle).watched = Box::into_raw(Box::new(found));
        }
        opened
    }
}

fn find(name: &CStr) -> Option<Watched> {
    let path = Path::new(name.to_str().ok()?);
    let dir = path.parent()?;
    let name = path.file_name()?.to_str()?;
    let file = match (name.ends_with(".db"), name.ends_with("-wal")) {
        (true, _) => File::Database,
        (_, true) => File::Log,
        _ => return None,
    };
    let folders = lock(&FOLDERS);
    let (_, watch) = folders.iter().find(|(watched, _)| watched == dir)?;
    Some(Watched { watch: Arc::clone(watch), file })
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes an open handle once; nothing uses the watcher afterwards.
    unsafe {
        let watched =
            std::mem::replace(&mut (*file.cast::<Handle>()).watched, std::ptr::null_mut());
        if !watched.is_null() {
            drop(Box::from_raw(watched));
        }
        match (*(*real(file)).pMethods).xClose {
            Some(close) => close(real(file)),
            None => ffi::SQLITE_OK,
        }
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: an open handle, and `length` bytes that SQLite may read.
    unsafe {
        let Some(write) = (*(*real(file)).pMethods).xWrite else { return ffi::SQLITE_IOERR };
        let Some(watched) = watched(file) else { return write(real(file), bytes, length, offset) };
        let (size, at) = (usize::try_from(length).unwrap(), usize::try_from(offset).unwrap());
        if !watched.watch.takes_space(size) {
            return ffi::SQLITE_FULL;
        }
        let mut operations = lock(&watched.watch.operations);
        let written = write(real(file), bytes, length, offset);
        let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), size).to_vec();
        operations.push(Operation::Write(watched.file, at, bytes));
        written
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: an open handle.
    unsafe {
        let Some(truncate) = (*(*real(file)).pMethods).xTruncate else { return ffi::SQLITE_IOERR };
        let Some(watched) = watched(file) else { return truncate(real(file), size) };
        let mut operations = lock(&watched.watch.operations);
        operations.push(Operation::Truncate(watched.file, usize::try_from(size).unwrap()));
        truncate(real(file), size)
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: an open handle.
    unsafe {
        let Some(sync) = (*(*real(file)).pMethods).xSync else { return ffi::SQLITE_IOERR };
        let Some(watched) = watched(file) else { return sync(real(file), flags) };
        let mut operations = lock(&watched.watch.operations);
        let synced = sync(real(file), flags);
        operations.push(Operation::Sync(watched.file));
        synced
    }
}

/// A method that goes to the operating system as it is.
macro_rules! passed_on {
    ($name:ident => $method:ident($($arg:ident: $type:ty),*)) => {
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($arg: $type),*) -> c_int {
            // SAFETY: an open handle, and SQLite's own arguments.
            unsafe {
                match (*(*real(file)).pMethods).$method {
                    Some(method) => method(real(file), $($arg),*),
                    None => ffi::SQLITE_IOERR,
                }
            }
        }
    };
}

passed_on!(read => xRead(bytes: *mut c_void, length: c_int, offset: i64));
passed_on!(file_size => xFileSize(size: *mut i64));
passed_on!(lock_file => xLock(level: c_int));
passed_on!(unlock_file => xUnlock(level: c_int));
passed_on!(check_lock => xCheckReservedLock(found: *mut c_int));
passed_on!(file_control => xFileControl(operation: c_int, argument: *mut c_void));
passed_on!(sector_size => xSectorSize());
passed_on!(characteristics => xDeviceCharacteristics());
passed_on!(shm_map => xShmMap(page: c_int, size: c_int, extend: c_int, at: *mut *mut c_void));
passed_on!(shm_lock => xShmLock(offset: c_int, count: c_int, flags: c_int));
passed_on!(shm_unmap => xShmUnmap(delete: c_int));

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: an open handle.
    unsafe {
        if let Some(barrier) = (*(*real(file)).pMethods).xShmBarrier {
            barrier(real(file));
        }
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // With shared memory, for WAL; without memory-mapped reads.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock_file),
    xUnlock: Some(unlock_file),
    xCheckReservedLock: Some(check_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
