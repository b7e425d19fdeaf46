//! A store with so many sales that are due, and what becomes of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use salebridge::app;
use salebridge::domain::{Clock as _, Headers, Request, SystemClock};
use salebridge::pipeline::{Pipeline, Step};
use salebridge::store::{Access, Place, Sqlite, Store};
use serde_json::json;

use crate::Failure;
use crate::process::pause;

const SECRET: &str = "whsec_bench";

/// The configuration of the bridge.
pub(crate) fn configuration(address: &str, upstream: &str, limits: &str) -> String {
    format!(
        "[server]\nlisten = \"{address}\"\n[store]\nurl = \"sqlite:bench.db\"\n\
         [[sources]]\nname = \"stripe\"\npack = \"stripe\"\nsecrets = [\"{SECRET}\"]\n\
         [[upstreams]]\nname = \"cutmeshort\"\ntemplate = \"cutmeshort\"\ntoken = \"bench-token\"\n\
         base_url = \"http://{upstream}\"\n{limits}\n"
    )
}

/// A request as the bridge sends it, ready for the wire.
pub(crate) fn request(address: &str) -> Vec<u8> {
    let body = r#"{"clickId":"5e6e1650-0f1b-4c6e-9a51-3c1d7f0b2a94","eventName":"checkout_completed","customerExternalId":"user_42","invoiceId":"pi_1000000","amount":49.99,"currency":"USD","customerName":"Jane Doe","customerEmail":"jane@example.com"}"#;
    format!(
        "POST /track/sale HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\nAuthorization: Bearer bench-token\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A store in which one sale was counted by the bridge's own stages, and then copied under other ids.
pub(crate) fn filled(folder: &Path, sales: usize) -> Result<PathBuf, Failure> {
    let config = folder.join("config.toml");
    std::fs::write(&config, configuration("127.0.0.1:0", "127.0.0.1:9", ""))?;
    let checked = app::load(&config).map_err(|faults| faults.to_string())?;
    let Place::Sqlite(path) = checked.store.clone() else { return Err("the benchmark fills a file".into()) };
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&path, Access::Scratch, 16)?);
    let now = SystemClock.now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let source = &checked.sources["stripe"];
        let mut headers = Headers::default();
        headers.add("content-type", "application/json");
        let mut request = Request {
            source: "stripe".to_owned(),
            headers,
            body: checkout(now.as_second()).into_bytes(),
            query: None,
            url: None,
            path_token: None,
            peer: None,
            received_at: now,
        };
        source.pack.scheme.sign(&source.keys, &mut request).map_err(|error| format!("{error:?}"))?;
        let verified = source.pack.scheme.verify(&source.keys, request, None).map_err(|error| format!("{error:?}"))?;
        store.append(verified, None).await?;
        let pipeline = Pipeline::new(Arc::clone(&store), Arc::clone(&checked.sources), checked.rules.clone());
        while pipeline.step(now).await? != Step::default() {}
        Ok::<_, Failure>(())
    })?;
    drop(store);
    let mut connection = Connection::open(&path)?;
    let transaction = connection.transaction()?;
    copy(&transaction, "sales", sales)?;
    copy(&transaction, "deliveries", sales)?;
    transaction.commit()?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(path)
}

/// Copies the first row of a table so often that there are `count`, with ids of their own.
fn copy(connection: &Connection, table: &str, count: usize) -> Result<(), Failure> {
    let mut select = connection.prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?;
    let columns: Vec<String> = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let values = columns.iter().map(|column| match column.as_str() {
        "id" => "n".to_owned(),
        "sale" => "n".to_owned(),
        "keys" => "REPLACE(keys, 'pi_0', 'pi_' || n)".to_owned(),
        other => format!("\"{other}\""),
    });
    let values = values.collect::<Vec<_>>().join(", ");
    connection.execute(
        &format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
             INSERT INTO {table} SELECT {values} FROM numbers, {table} WHERE {table}.id = 1"
        ),
        [count],
    )?;
    Ok(())
}

fn checkout(now: i64) -> String {
    json!({
        "id": "evt_0", "object": "event", "api_version": "2025-09-30.clover", "created": now, "livemode": true,
        "type": "checkout.session.completed", "data": {"object": {
            "id": "cs_0", "object": "checkout.session", "mode": "payment", "payment_status": "paid", "amount_total": 4999,
            "currency": "usd", "customer": "cus_0", "payment_intent": "pi_0", "invoice": null,
            "customer_details": {"email": "jane@example.com", "name": "Jane Doe"},
            "metadata": {"clickId": "5e6e1650-0f1b-4c6e-9a51-3c1d7f0b2a94", "customerExternalId": "user_42"},
            "total_details": {"amount_tax": 0, "amount_shipping": 0}
        }}
    })
    .to_string()
}

/// Waits until nothing is due or being sent any more.
pub(crate) fn wait_until_empty(store: &Path, patience: Duration) -> Result<(), Failure> {
    let connection = visit(store)?;
    let sql = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE upstream = 'cutmeshort' AND state = 'due')
               OR EXISTS (SELECT 1 FROM deliveries WHERE upstream = 'cutmeshort' AND state = 'sending')";
    wait(patience, || Ok(!connection.query_row(sql, [], |row| row.get::<_, bool>(0))?))
}

/// Waits until so many were tried; answers with how many.
pub(crate) fn wait_until_taken(store: &Path, count: usize, patience: Duration) -> Result<usize, Failure> {
    let connection = visit(store)?;
    let mut taken = 0;
    wait(patience, || {
        taken = connection.query_row("SELECT COUNT(*) FROM attempts", [], |row| row.get(0))?;
        Ok(taken >= count)
    })?;
    Ok(taken)
}

/// Makes sure that every sale was delivered, at the first try.
pub(crate) fn all_delivered(store: &Path, sales: usize) -> Result<(), Failure> {
    let connection = visit(store)?;
    let sql = "SELECT COUNT(*) FROM deliveries WHERE state = 'delivered' AND attempts = 1";
    let delivered: usize = connection.query_row(sql, [], |row| row.get(0))?;
    if delivered == sales { Ok(()) } else { Err(format!("{delivered} of {sales} were delivered").into()) }
}

fn visit(store: &Path) -> Result<Connection, Failure> {
    let connection = Connection::open(store)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

fn wait(patience: Duration, mut is_over: impl FnMut() -> Result<bool, Failure>) -> Result<(), Failure> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if is_over()? {
            return Ok(());
        }
        pause(Duration::from_millis(5));
    }
    Err("it was not over in time".into())
}
