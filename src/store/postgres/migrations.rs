//! Numbered, forward-only changes of the database's layout. Replicas may start together: one migrates, the others wait for it.

use tokio_postgres::Client;

use super::session::failed;
use crate::store::Error;

/// All migrations, oldest first. A released one is never edited.
const MIGRATIONS: [&str; 5] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_tallies.sql"),
    include_str!("migrations/0003_alarms.sql"),
    include_str!("migrations/0004_refused.sql"),
    include_str!("migrations/0005_found.sql"),
];

/// The advisory lock under which the layout is changed: the letters of "salebrid".
const LOCK: i64 = i64::from_be_bytes(*b"salebrid");

/// Brings the database to the newest layout.
pub(super) async fn run(client: &mut Client) -> Result<(), Error> {
    let transaction = client.transaction().await.map_err(failed)?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed)?;
    let create = "CREATE TABLE IF NOT EXISTS layout (id BIGINT PRIMARY KEY CHECK (id = 1), version BIGINT NOT NULL)";
    transaction.batch_execute(create).await.map_err(failed)?;
    let row = transaction.query_opt("SELECT version FROM layout", &[]).await.map_err(failed)?;
    let version = known(row.map_or(0, |row| row.get(0)))?;
    for sql in MIGRATIONS.iter().skip(version) {
        transaction.batch_execute(sql).await.map_err(failed)?;
    }
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let put = "INSERT INTO layout VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET version = $1";
    transaction.execute(put, &[&newest]).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

/// Makes sure that the database is of the newest layout, without changing it.
pub(super) async fn check(client: &Client) -> Result<(), Error> {
    let row = client.query_one("SELECT to_regclass('layout') IS NOT NULL", &[]).await.map_err(failed)?;
    if !row.get::<_, bool>(0) {
        let text = "the database holds no store yet; `salebridge serve` makes it".to_owned();
        return Err(Error::Unusable(text));
    }
    let row = client.query_opt("SELECT version FROM layout", &[]).await.map_err(failed)?;
    let version = known(row.map_or(0, |row| row.get(0)))?;
    if version < MIGRATIONS.len() {
        let text =
            format!("the store is of layout {version}, older than this program: start `salebridge serve` once to migrate it");
        return Err(Error::Unusable(text));
    }
    Ok(())
}

fn known(version: i64) -> Result<usize, Error> {
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > MIGRATIONS.len() {
        let text = format!("the store is of layout {version}, newer than this program: use the newer salebridge");
        return Err(Error::Unusable(text));
    }
    Ok(version)
}
