//! Moving house: everything that a file holds is copied into an empty PostgreSQL database, while no bridge serves the file.
//!
//! The file stays as it is. What was copied is counted on both sides; a copy that was broken off is begun anew in an empty database.

use std::path::Path;

use super::sql::copy::{TABLES, Table, Values, complete, count, is_used, settled_through};
use super::{Access, CopiedView, CopyView, Error, Postgres, Sqlite};
use crate::domain::Secret;

/// A command of its own needs few connections.
const CONNECTIONS: usize = 2;

/// Copies the store in the file `from` into the database at `to`. `progress` is told each table, and how many of its rows are copied.
/// The answer says whether the copy is whole.
///
/// # Errors
/// [`Error::Unusable`] with what to do: there is no such file, a bridge serves it, or the database holds something already.
/// [`Error::Unavailable`] where either cannot be reached.
pub fn copy(from: &Path, to: &Secret, mut progress: impl FnMut(&str, u64)) -> Result<CopyView, Error> {
    if !from.exists() {
        return Err(Error::Unusable(format!("{}: there is no such store", from.display())));
    }
    // As a server, so that no other one can start; what one that died had under way is noted.
    let file = Sqlite::open(from, Access::Serve, 16)?;
    let database = Postgres::open(to, CONNECTIONS, Access::Serve, 16)?;
    if database.transact(is_used)? {
        let text =
            "the database holds a store already: name an empty one, or empty this one (DROP SCHEMA … CASCADE; CREATE SCHEMA …)";
        return Err(Error::Unusable(text.to_owned()));
    }
    for table in &TABLES {
        copy_table(table, &file, &database, &mut progress)?;
    }
    let settled_through = file.read(|db| settled_through(db))?;
    let unsettled = database.transact(|db| complete(db, settled_through))?;
    let (before, after) = (file.read(|db| count(db))?, database.transact(count)?);
    let copied = |(table, rows): (&'static str, u64)| {
        let copied = after.get(table).copied().unwrap_or_default();
        CopiedView { table: table.to_owned(), rows, copied }
    };
    let tables = before.into_iter().map(copied).collect();
    Ok(CopyView { tables, unsettled })
}

/// A batch is read whole before its transaction begins, so that no transaction waits for the file.
fn copy_table(table: &Table, file: &Sqlite, database: &Postgres, progress: &mut impl FnMut(&str, u64)) -> Result<(), Error> {
    let mut last: Option<Values> = None;
    let mut rows = 0;
    loop {
        let mut batch = file.read(|db| table.read(db, last.as_ref()))?;
        if batch.is_empty() {
            return Ok(());
        }
        database.transact(|db| table.write(db, &batch))?;
        rows += u64::try_from(batch.len()).unwrap_or_default();
        progress(table.name, rows);
        last = batch.pop();
    }
}
