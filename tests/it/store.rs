//! The file itself: who may read it, who may serve it, and which layouts are understood.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use salebridge::store::{Access, Error, Sqlite, Store as _};

fn open(path: &Path, access: Access) -> Result<Sqlite, String> {
    Sqlite::open(path, access, 16).map_err(|error| match error {
        Error::Unusable(text) => text,
        error @ (Error::Busy | Error::Unavailable(_) | Error::Damaged(_)) => panic!("{error}"),
    })
}

#[test]
fn only_its_owner_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let _store = open(&path, Access::Serve).unwrap();
    for file in ["store.db", "store.db-wal", "store.db-shm", "store.db.lock"] {
        let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
}

#[test]
fn one_server_at_a_time_and_visitors_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    assert!(open(&path, Access::Visit).err().unwrap().contains("there is no such store yet"));
    let server = open(&path, Access::Serve).unwrap();
    assert!(open(&path, Access::Serve).err().unwrap().contains("another salebridge serves this store"));
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(open(&link, Access::Serve).err().unwrap().contains("another salebridge serves this store"), "by any name");
    assert!(open(&path, Access::Visit).unwrap().sales(10).unwrap().is_empty());
    drop(server);
    assert!(open(&path, Access::Serve).is_ok());
}

#[test]
fn a_file_of_a_newer_layout_is_refused_and_one_of_an_older_layout_is_not_changed_by_a_visitor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(open(&path, Access::Serve).unwrap());
    let set = |version: i64| rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", version).unwrap();
    set(99);
    assert!(open(&path, Access::Serve).err().unwrap().contains("newer than this program"));
    set(0);
    assert!(open(&path, Access::Visit).err().unwrap().contains("older than this program"));
}

#[test]
fn what_is_no_store_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, "this is not a database, but a long enough text to be mistaken for one".repeat(100)).unwrap();
    assert!(Sqlite::open(&path, Access::Serve, 16).is_err());
}
