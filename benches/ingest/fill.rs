//! A store with a year of sales, made of one that came the whole way, and the pages that an operator looks at.

use std::path::Path;

use rusqlite::Connection;

use crate::Failure;

/// Sales whose fingerprints stand in one row (`store::sql::search`).
pub(crate) const BLOCK: usize = 1024;
/// Every so manieth sale has no click, another is dead at the upstream, another is parked.
const WITHOUT_CLICK: i64 = 7;
const DEAD: i64 = 1_000;
const PARKED: i64 = 5_000;
/// The counts are made as the migration made them.
const TALLIES: &str = include_str!("../../src/store/sqlite/migrations/0006_tallies.sql");

/// Copies the only sale, with all that belongs to it, until there are `count`, spread over the year before it.
pub(crate) fn a_year(store: &Path, count: usize) -> Result<(), Failure> {
    let connection = Connection::open(store)?;
    connection.execute_batch("PRAGMA synchronous = OFF; BEGIN")?;
    let step = 365 * 24 * 60 * 60 * 1000 / i64::try_from(count)?;
    // The one that is copied becomes the newest: it is moved to the end of the numbers, and the copies come before it.
    let newest = i64::try_from(count)?;
    for table in ["inbox", "events", "sales", "sale_keys", "sale_groups", "identities", "deliveries", "attempts"] {
        let mut select = connection.prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?;
        let columns: Vec<String> = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let values: Vec<String> = columns.iter().map(|column| copied(table, column, step, newest)).collect();
        connection.execute_batch(&format!("CREATE TEMP TABLE one AS SELECT * FROM {table}; DELETE FROM {table};"))?;
        let sql = format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
             INSERT INTO {table} SELECT {} FROM numbers, one",
            values.join(", ")
        );
        connection.execute(&sql, [newest])?;
        connection.execute_batch("DROP TABLE one")?;
    }
    connection.execute("UPDATE progress SET settled_through = ?1", [newest])?;
    // The next start makes the names of what was copied.
    connection.execute("UPDATE name_state SET is_filled = 0", [])?;
    connection.execute_batch("DELETE FROM tallies")?;
    for statement in TALLIES.split(';').filter(|statement| statement.trim_start().starts_with("INSERT INTO tallies")) {
        connection.execute_batch(statement)?;
    }
    connection.execute_batch("COMMIT")?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// What stands in a column of the copy with the number `n`.
fn copied(table: &str, column: &str, step: i64, newest: i64) -> String {
    let id = "printf('%08x%010d', (n * 2654435761) & 4294967295, n)";
    match (table, column) {
        ("inbox" | "sales" | "deliveries", "id") | (_, "request" | "sale" | "delivery") => "n".to_owned(),
        ("sale_keys" | "sale_groups" | "identities", "id") => "NULL".to_owned(), // the file numbers them
        ("inbox", "digest") => "CAST(n AS BLOB)".to_owned(),
        ("sales", "click_id") => format!("CASE WHEN n % {WITHOUT_CLICK} = 0 THEN NULL ELSE click_id || {id} END"),
        ("sales", "click_code") => format!("CASE WHEN n % {WITHOUT_CLICK} = 0 THEN 'no_click' END"),
        ("sales", "click_reason") => format!("CASE WHEN n % {WITHOUT_CLICK} = 0 THEN 'the request names none' END"),
        ("sales", "trail") => format!("CASE WHEN n % {WITHOUT_CLICK} = 0 THEN json_remove(trail, '$.clickId') ELSE trail END"),
        ("sales", "email") => "'buyer' || n || '@example.com'".to_owned(),
        ("sales", "amount_minor") => "100 + (n * 7919) % 100000".to_owned(),
        ("sales", "currency") => "CASE n % 4 WHEN 0 THEN 'USD' WHEN 1 THEN 'GBP' ELSE 'EUR' END".to_owned(),
        ("sales", "keys") => format!("replace(keys, 'cs_', 'cs_' || {id})"),
        ("sales", "state") => format!("CASE WHEN n % {PARKED} = 0 THEN 'parked' ELSE state END"),
        ("sales", "parked_code") => format!("CASE WHEN n % {PARKED} = 0 THEN 'by_hand' END"),
        ("sales", "parked_reason") => format!("CASE WHEN n % {PARKED} = 0 THEN 'an operator parked it' END"),
        ("deliveries", "state") => format!("CASE WHEN n % {DEAD} = 0 THEN 'dead' ELSE state END"),
        (_, "unique_id" | "value" | "customer" | "customer_external_id") => format!("\"{column}\" || {id}"),
        (
            _,
            "at" | "received_at" | "counted_at" | "paid_at" | "made_at" | "updated_at" | "due_at" | "started_at" | "finished_at",
        ) => {
            format!("\"{column}\" - ({newest} - n) * {step}")
        }
        _ => format!("\"{column}\""),
    }
}

/// A page, or a search, that is asked for again and again, each time for another sale.
pub(crate) struct Page {
    pub(crate) name: String,
    /// What is searched for.
    text: Option<&'static str>,
    stored: usize,
}

impl Page {
    /// The HTTP request of the `look`th time; `#` stands for a number that changes.
    pub(crate) fn request(&self, admin: &str, look: usize, word: &str) -> String {
        let number = 1 + (look * 7_919_777) % self.stored;
        let filled = |text: &str| text.replace('#', &number.to_string());
        match self.text {
            None => format!("GET {} HTTP/1.1\r\nHost: {admin}\r\n\r\n", filled(&self.name)),
            Some(text) => {
                let form = format!("word={word}&text={}", filled(text).replace('@', "%40"));
                let path = self.name.split(' ').next().unwrap_or_default();
                format!(
                    "POST {path} HTTP/1.1\r\nHost: {admin}\r\nOrigin: http://{admin}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                     Content-Length: {}\r\n\r\n{form}",
                    form.len()
                )
            }
        }
    }
}

/// Every page, with the filters that people use, and the API behind them.
pub(crate) fn pages(stored: usize) -> Vec<Page> {
    let get = [
        "/",
        "/?days=7",
        "/?days=90",
        "/sales",
        "/sales?clicked=no",
        "/sales?state=parked",
        "/sales?source=stripe&currency=GBP",
        "/sales?double=yes",
        "/sales?since=2026-06-01&until=2026-06-30",
        "/sales?order=oldest",
        "/sales/#",
        "/requests",
        "/requests?outcome=ignored",
        "/requests/#",
        "/requests/refused",
        "/deliveries",
        "/deliveries?state=dead",
        "/deliveries?state=due",
        "/deliveries/#",
        "/sources",
        "/sources/stripe",
        "/upstreams",
        "/api/v1/overview",
        "/api/v1/sales?limit=100",
        "/api/v1/report",
    ];
    let searched =
        [("/sales/search (an e-mail address)", "buyer#@example.com"), ("/sales/search (nothing there)", "nobody#@example.com")];
    let get = get.into_iter().map(|name| Page { name: name.to_owned(), text: None, stored });
    get.chain(searched.into_iter().map(|(name, text)| Page { name: name.to_owned(), text: Some(text), stored })).collect()
}
