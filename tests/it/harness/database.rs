//! Which store the tests run against: files, or, where `SALEBRIDGE_TEST_POSTGRES` names a server, a schema of their own there.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use salebridge::domain::Secret;
use salebridge::store::Place;

const SERVER: &str = "SALEBRIDGE_TEST_POSTGRES";

/// True where the tests run against PostgreSQL.
pub(crate) fn is_shared() -> bool {
    std::env::var_os(SERVER).is_some()
}

/// A store that nobody has used: the file at `path`, or an empty schema.
pub(crate) fn fresh(path: &Path) -> Place {
    match url() {
        None => Place::Sqlite(path.to_owned()),
        Some(url) => Place::Postgres { url: Secret::new(url), connections: 4 },
    }
}

/// The URL of an empty schema, where the tests run against PostgreSQL.
pub(crate) fn url() -> Option<String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var(SERVER).ok()?;
    let schema = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    // Process ids come again.
    execute(&server, &format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"));
    Some(format!("{server}?options=-csearch_path%3D{schema}"))
}

/// Runs SQL on a server, on a thread of its own: tests have runtimes already.
pub(crate) fn execute(url: &str, sql: &str) {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute(&sql).await.unwrap();
        });
    };
    std::thread::spawn(run).join().unwrap();
}
