//! Numbered, forward-only changes of the file's layout; `user_version` says how far a file has come.

use std::path::Path;

use rusqlite::Connection;

use super::upgrade::copies;
use crate::store::Error;
use crate::store::upgrade::{newer, older};

/// All migrations, oldest first. A released one is never edited.
const MIGRATIONS: [&str; 15] = [
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
    include_str!("migrations/0012_packed.sql"),
    include_str!("migrations/0013_log.sql"),
    include_str!("migrations/0014_claims.sql"),
    include_str!("migrations/0015_shorthand.sql"),
];

/// The layout that this program writes.
pub(super) const fn newest() -> usize {
    MIGRATIONS.len()
}

/// Brings the file to the newest layout, in one transaction: what fails leaves it as it was.
pub(super) fn run(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let version = version(connection, path)?;
    if version == newest() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for sql in MIGRATIONS.iter().skip(version) {
        transaction.execute_batch(sql)?;
    }
    transaction.pragma_update(None, "user_version", newest())?;
    transaction.commit()?;
    if version > 0 {
        tracing::info!(from = version, to = newest(), "the layout of the store was changed");
    }
    Ok(())
}

/// Makes sure that the file is of the newest layout, without changing it.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), Error> {
    let version = version(connection, path)?;
    if version < newest() { Err(Error::Unusable(older(version))) } else { Ok(()) }
}

/// The layout of a file that this program understands.
///
/// # Errors
/// [`Error::Unusable`] where a newer program wrote it.
pub(super) fn version(connection: &Connection, path: &Path) -> Result<usize, Error> {
    let version = stored(connection)?;
    if version > newest() {
        let copies: Vec<String> = copies(path).iter().map(|copy| copy.display().to_string()).collect();
        return Err(Error::Unusable(newer(version, newest(), &copies)));
    }
    Ok(version)
}

/// The layout that a file says it has, whether it is known or not.
pub(super) fn stored(connection: &Connection) -> Result<usize, Error> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}
