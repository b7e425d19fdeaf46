//! A copy of the file beside a running server: whole, compact, and read again before it counts.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::BUSY_TIMEOUT;
use super::check::faults;
use crate::store::{BackupView, Error};

pub(super) fn backup(path: &Path, target: &Path) -> Result<BackupView, Error> {
    if !path.exists() {
        return Err(Error::Unusable(format!("{}: there is no such store yet", path.display())));
    }
    // Made here and empty, so that nothing is overwritten and nobody else may read it from the start.
    let made = File::options().write(true).create_new(true).mode(0o600).open(target);
    let file = made.map_err(|error| {
        let is_there = error.kind() == ErrorKind::AlreadyExists;
        let cause = if is_there { "is there already; name a new file".to_owned() } else { format!("cannot be made: {error}") };
        Error::Unusable(format!("{}: {cause}", target.display()))
    })?;
    let written = write(path, target, &file);
    if written.is_err() {
        // Half a copy is none. That it cannot be removed either is said by the first error well enough.
        drop(std::fs::remove_file(target));
    }
    written
}

fn write(path: &Path, target: &Path, file: &File) -> Result<BackupView, Error> {
    let unusable = |error: std::io::Error| Error::Unavailable(format!("{}: {error}", target.display()));
    let whole = target.canonicalize().map_err(unusable)?;
    let name = whole.to_str().ok_or_else(|| Error::Unusable(format!("{}: is not UTF-8", target.display())))?;
    // To read the log of a file that is being written, its index must be written to.
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    store.busy_timeout(BUSY_TIMEOUT)?;
    store.execute("VACUUM INTO ?1", [name])?;
    drop(store);
    file.sync_all().map_err(unusable)?;
    let copy = Connection::open_with_flags(&whole, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    if let Some(fault) = faults(&copy)?.first() {
        return Err(Error::Damaged(format!("SQLite finds the copy unsound, and so, it may be, is the file itself: {fault}")));
    }
    let count = |table: &str| copy.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get::<_, u64>(0));
    let (requests, sales) = (count("inbox")?, count("sales")?);
    let bytes = file.metadata().map_err(unusable)?.len();
    Ok(BackupView { file: target.display().to_string(), bytes, requests, sales })
}
