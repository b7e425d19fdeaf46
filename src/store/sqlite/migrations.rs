//! Numbered, forward-only changes of the file's layout; `user_version` says how far a file has come.

use rusqlite::Connection;

use crate::store::Error;

/// All migrations, oldest first. A released one is never edited.
const MIGRATIONS: [&str; 11] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_fetches.sql"),
    include_str!("migrations/0003_ledger.sql"),
    include_str!("migrations/0004_upstreams.sql"),
    include_str!("migrations/0005_leases.sql"),
    include_str!("migrations/0006_tallies.sql"),
    include_str!("migrations/0007_alarms.sql"),
    include_str!("migrations/0008_refused.sql"),
    include_str!("migrations/0009_found.sql"),
    include_str!("migrations/0010_identities.sql"),
    include_str!("migrations/0011_names.sql"),
];

/// Brings the file to the newest layout, each step in a transaction of its own.
pub(super) fn run(connection: &mut Connection) -> Result<(), Error> {
    let version = version(connection)?;
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", index + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Makes sure that the file is of the newest layout, without changing it.
pub(super) fn check(connection: &Connection) -> Result<(), Error> {
    let version = version(connection)?;
    if version < MIGRATIONS.len() {
        let text =
            format!("the store is of layout {version}, older than this program: start `salebridge serve` once to migrate it");
        return Err(Error::Unusable(text));
    }
    Ok(())
}

fn version(connection: &Connection) -> Result<usize, Error> {
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > MIGRATIONS.len() {
        let text = format!("the store is of layout {version}, newer than this program: use the newer salebridge");
        return Err(Error::Unusable(text));
    }
    Ok(version)
}
