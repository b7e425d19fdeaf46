//! A way back from each upgrade: before the layout of a file is changed, a whole copy of it is kept beside it.
//!
//! Migrations only go forward. The copy is `FILE.before-NNNN`, where NNNN is the first migration that it has not seen. It counts once
//! it was flushed, read again and given its name; nothing overwrites or removes it.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{backup, migrations};
use crate::store::upgrade::room;
use crate::store::{Error, UpgradeView};

/// What stands between a file's name and the number of the migration.
const MARK: &str = ".before-";
/// So many different copies of one layout are kept beside each other.
const SAME_LIMIT: u32 = 99;

/// Keeps a copy of the file `path`, which this process alone serves, where its layout is about to be changed.
///
/// # Errors
/// [`Error::Unusable`] where the disk has no room; otherwise as [`backup::backup`]. The file itself is not changed.
pub(super) fn keep_copy(path: &Path, connection: &Connection) -> Result<(), Error> {
    let layout = migrations::version(connection, path)?;
    if layout == 0 || layout == migrations::newest() {
        return Ok(());
    }
    let unusable = |place: &Path, error: std::io::Error| Error::Unavailable(format!("{}: {error}", place.display()));
    let file = path.canonicalize().map_err(|error| unusable(path, error))?;
    let bytes = used_bytes(connection)?;
    room(bytes, free_bytes(&file)?).map_err(|cause| Error::Unusable(format!("{}: {cause}", file.display())))?;
    tracing::info!(layout, newest = migrations::newest(), bytes, "the store is copied before its layout is changed");
    let part = with_ending(&file, &format!("{MARK}{:04}.part", layout + 1));
    // Only the server of the file writes this name, so what stands there was left by one that died.
    if part.exists() {
        std::fs::remove_file(&part).map_err(|error| unusable(&part, error))?;
    }
    backup::backup(&file, &part)?;
    let kept = keep(&file, &part, layout);
    if kept.is_err() {
        // Half kept is not kept. That it cannot be removed either is said by the first error well enough.
        drop(std::fs::remove_file(&part));
    }
    let copy = kept.map_err(|error| unusable(&part, error))?;
    tracing::warn!(
        copy = %copy.display(),
        "the layout of the store is changed, which has no way back but this copy: to go back, stop the bridge and put it in the place of \
         the file, as docs/upgrade.md says"
    );
    Ok(())
}

/// Gives the copy its name, unless the same copy was kept before by an upgrade that then failed.
fn keep(file: &Path, part: &Path, layout: usize) -> std::io::Result<PathBuf> {
    std::fs::set_permissions(part, std::fs::metadata(file)?.permissions())?;
    let plain = format!("{MARK}{:04}", layout + 1);
    for number in 1..=SAME_LIMIT {
        let ending = if number == 1 { plain.clone() } else { format!("{plain}.{number}") };
        let copy = with_ending(file, &ending);
        if !copy.exists() {
            std::fs::rename(part, &copy)?;
            File::open(copy.parent().unwrap_or(Path::new(".")))?.sync_all()?;
            return Ok(copy);
        }
        if is_same(part, &copy)? {
            std::fs::remove_file(part)?;
            return Ok(copy);
        }
    }
    Err(std::io::Error::other(format!("there are {SAME_LIMIT} copies of this layout already; move them away")))
}

fn is_same(one: &Path, other: &Path) -> std::io::Result<bool> {
    let (one, other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    let (mut left, mut right) = ([0; 8192], [0; 8192]);
    loop {
        let count = one.read(&mut left)?;
        if count == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..count])?;
        if left[..count] != right[..count] {
            return Ok(false);
        }
    }
}

/// The copies that upgrades left beside a file, oldest layout first.
pub(super) fn copies(path: &Path) -> Vec<PathBuf> {
    // The copies stand beside the file itself, by whatever link it was named.
    let file = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else { return Vec::new() };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let start = format!("{name}{MARK}");
    let is_copy = |entry: &PathBuf| {
        let rest = entry.file_name().and_then(|name| name.to_str()?.strip_prefix(&start));
        rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_copy).collect();
    found.sort();
    found
}

/// How a file stands to this program's layout. Nothing is written to it or beside it, but for marks in the index of a log (`-shm`) that
/// a bridge has open.
pub(super) fn look(path: &Path, is_copied: bool) -> Result<UpgradeView, Error> {
    let mut view = UpgradeView {
        kind: "sqlite",
        layout: 0,
        newest: migrations::newest(),
        bytes: 0,
        free_bytes: None,
        is_copied,
        copies: copies(path).iter().map(|copy| copy.display().to_string()).collect(),
    };
    if path.metadata().is_ok_and(|metadata| metadata.len() > 0) {
        let connection = open_to_look(path)?;
        view.layout = migrations::stored(&connection)?;
        view.bytes = used_bytes(&connection)?;
        view.free_bytes = Some(free_bytes(path)?);
    }
    Ok(view)
}

/// Without a log there is nobody to agree with, and SQLite is told to read the file alone: otherwise it would make a log.
fn open_to_look(path: &Path) -> Result<Connection, Error> {
    let unusable = |cause: String| Error::Unusable(format!("{}: {cause}", path.display()));
    let file = path.canonicalize().map_err(|error| unusable(format!("cannot be found: {error}")))?;
    let has_log = with_ending(&file, "-wal").metadata().is_ok_and(|metadata| metadata.len() > 0);
    let text = file.to_str().ok_or_else(|| unusable("is not UTF-8".to_owned()))?;
    let quoted = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let url = format!("file:{quoted}?{}", if has_log { "mode=ro" } else { "immutable=1" });
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(url, flags).map_err(|error| unusable(format!("cannot be opened: {error}")))?;
    connection.busy_timeout(super::BUSY_TIMEOUT)?;
    Ok(connection)
}

/// How large a copy of the file is at most: its pages but for the free ones.
fn used_bytes(connection: &Connection) -> Result<u64, Error> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
    Ok(pages.saturating_mul(pragma("page_size")?))
}

/// How much room this process has on the file's disk.
fn free_bytes(path: &Path) -> Result<u64, Error> {
    let disk = rustix::fs::statvfs(path).map_err(|error| Error::Unavailable(format!("{}: {error}", path.display())))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
