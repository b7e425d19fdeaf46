//! Numbered, forward-only changes of the database's layout. Replicas may start together: one migrates, the others wait for it.

use tokio_postgres::Client;

use super::session::failed;
use crate::store::upgrade::{newer, older};
use crate::store::{Error, UpgradeView};

/// All migrations, oldest first. A released one is never edited.
const MIGRATIONS: [&str; 7] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_tallies.sql"),
    include_str!("migrations/0003_alarms.sql"),
    include_str!("migrations/0004_refused.sql"),
    include_str!("migrations/0005_found.sql"),
    include_str!("migrations/0006_packed.sql"),
    include_str!("migrations/0007_shorthand.sql"),
];

/// The advisory lock under which the layout is changed: the letters of "salebrid".
const LOCK: i64 = i64::from_be_bytes(*b"salebrid");

/// Whoever waits for another replica's migration waits as long as that takes, and a large table may take its time; but where a running
/// replica holds what is to be changed, that is said after ten seconds.
const PATIENTLY: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";
const IN_TIME: &str = "SET LOCAL lock_timeout = '10s'";

/// The layout that this program writes.
pub(super) const fn newest() -> usize {
    MIGRATIONS.len()
}

/// Brings the database to the newest layout, in one transaction: what fails leaves it as it was.
pub(super) async fn run(client: &mut Client) -> Result<(), Error> {
    let transaction = client.transaction().await.map_err(failed)?;
    transaction.batch_execute(PATIENTLY).await.map_err(failed)?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed)?;
    transaction.batch_execute(IN_TIME).await.map_err(failed)?;
    let create = "CREATE TABLE IF NOT EXISTS layout (id BIGINT PRIMARY KEY CHECK (id = 1), version BIGINT NOT NULL)";
    transaction.batch_execute(create).await.map_err(failed)?;
    let row = transaction.query_opt("SELECT version FROM layout", &[]).await.map_err(failed)?;
    let version = known(row.map_or(0, |row| row.get(0)))?;
    for sql in MIGRATIONS.iter().skip(version) {
        transaction.batch_execute(sql).await.map_err(failed)?;
    }
    let last = i64::try_from(newest()).unwrap_or(i64::MAX);
    let put = "INSERT INTO layout VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET version = $1";
    transaction.execute(put, &[&last]).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    if version > 0 && version < newest() {
        tracing::info!(from = version, to = newest(), "the layout of the store was changed");
    }
    Ok(())
}

/// Makes sure that the database is of the newest layout, without changing it.
pub(super) async fn check(client: &Client) -> Result<(), Error> {
    match known(stored(client).await?)? {
        0 => Err(Error::Unusable("the database holds no store yet; `salebridge serve` makes it".to_owned())),
        version if version < newest() => Err(Error::Unusable(older(version))),
        _ => Ok(()),
    }
}

/// How the database stands to this program's layout. Changes nothing.
pub(super) async fn look(client: &Client) -> Result<UpgradeView, Error> {
    let layout = usize::try_from(stored(client).await?).unwrap_or(usize::MAX);
    let row = client.query_one("SELECT pg_database_size(current_database())", &[]).await.map_err(failed)?;
    let bytes = u64::try_from(row.get::<_, i64>(0)).unwrap_or_default();
    let copies = Vec::new();
    Ok(UpgradeView { kind: "postgresql", layout, newest: newest(), bytes, free_bytes: None, is_copied: false, copies })
}

/// The layout that the database says it has, whether it is known or not; 0 where it holds no store.
async fn stored(client: &Client) -> Result<i64, Error> {
    let row = client.query_one("SELECT to_regclass('layout') IS NOT NULL", &[]).await.map_err(failed)?;
    if !row.get::<_, bool>(0) {
        return Ok(0);
    }
    let row = client.query_opt("SELECT version FROM layout", &[]).await.map_err(failed)?;
    Ok(row.map_or(0, |row| row.get(0)))
}

/// A layout, where this program understands it.
pub(super) fn known(version: i64) -> Result<usize, Error> {
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > newest() { Err(Error::Unusable(newer(version, newest(), &[]))) } else { Ok(version) }
}
