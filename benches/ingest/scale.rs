//! What a webhook costs on both stores, with one bridge and with replicas, on an empty store and on a full one: CPU of the bridge and
//! of the database, commits and bytes. `scripts/bench-scale` runs it beside a throw-away PostgreSQL.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio_postgres::NoTls;

use crate::process::{self, Running};
use crate::webhook::{self, Ids};
use crate::{Failure, PATIENCE, configuration, load, options};

/// Ticks a second of the kernel's CPU accounting (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;
/// The tables that a counted purchase has rows in.
const TABLES: [&str; 7] = ["inbox", "events", "sales", "sale_keys", "sale_groups", "identities", "deliveries"];

/// The store that is measured.
enum Store {
    Sqlite(std::path::PathBuf),
    Postgres(tokio::runtime::Runtime, tokio_postgres::Client),
}

/// One line for each store and number of replicas.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let number = |name, default| options::number(arguments, name, default);
    let (webhooks, stored, replicas) = (number("--webhooks", 20_000), number("--stored", 0), number("--replicas", 3));
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let (only_sqlite, only_postgres) = (has("--only-sqlite"), has("--only-postgres"));
    let ids = if has("--random-ids") { Ids::Random } else { Ids::Timed };
    let server = if only_sqlite { String::new() } else { std::env::var("SALEBRIDGE_TEST_POSTGRES")? };
    println!(
        "{webhooks} webhooks, {stored} sales stored before, 64 connections, {} cores",
        std::thread::available_parallelism()?
    );
    println!(
        "{:<24} {:>9} {:>10} {:>8} {:>12} {:>10} {:>9} {:>8} {:>9}",
        "", "acked/s", "settled/s", "p99 ms", "bridge µs", "store µs", "commits", "bytes", "peak MB"
    );
    let most = if only_sqlite { 1 } else { 2 + usize::from(replicas > 1) };
    for count in [0, 1, replicas].into_iter().take(most).skip(usize::from(only_postgres)) {
        measure(&server, count, webhooks, stored, ids)?;
    }
    Ok(())
}

/// With 0 replicas: one bridge on a file.
fn measure(server: &str, replicas: usize, webhooks: usize, stored: usize, ids: Ids) -> Result<(), Failure> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (url, store) = if replicas == 0 {
        ("sqlite:bench.db".to_owned(), Store::Sqlite(folder.path().join("1").join("bench.db")))
    } else {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let schema = format!("bench_{replicas}_{}", std::process::id());
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(server, NoTls).await?;
            tokio::spawn(connection);
            client.batch_execute(&format!("CREATE SCHEMA {schema}; SET search_path = {schema}")).await?;
            Ok::<_, tokio_postgres::Error>(client)
        })?;
        (format!("{server}?options=-csearch_path%3D{schema}"), Store::Postgres(runtime, client))
    };
    let mut running = Vec::new();
    for replica in 1..=replicas.max(1) {
        let folder = folder.path().join(replica.to_string());
        std::fs::create_dir(&folder)?;
        let address = process::free_address()?;
        let text = configuration(&address)
            .replace("sqlite:bench.db", &url)
            .replace("[store]", "[admin]\nlisten = \"127.0.0.1:0\"\n[store]");
        std::fs::write(folder.join("config.toml"), text)?;
        let config = folder.join("config.toml").display().to_string();
        let bridge = start(&config, &address)?;
        running.push((bridge, address, config));
    }
    // One purchase, which is copied under other ids.
    load::run(&running[0].1, 1, webhook::requests(&running[0].1, 1, ids)?)?;
    store.wait_until_settled(1)?;
    if stored > 1 {
        // A file is filled while no bridge serves it. The first start afterwards makes the names of what was copied.
        if let Store::Sqlite(_) = &store {
            let (_, address, config) = running.pop().ok_or("no bridge runs")?;
            store.fill(stored)?;
            drop(start(&config, &address)?);
            let started = Instant::now();
            running.push((start(&config, &address)?, address, config));
            println!("ready {} ms after the start, with {stored} sales stored", started.elapsed().as_millis());
        } else {
            store.fill(stored)?;
        }
    }
    let before =
        (running.iter().map(|(bridge, ..)| bridge.cpu()).sum::<Duration>(), store.cpu(), store.bytes()?, store.commits()?);
    let started = Instant::now();
    let mut loads = Vec::new();
    for (_, address, _) in &running {
        let requests = webhook::requests(address, webhooks / running.len(), ids)?;
        let (address, connections) = (address.clone(), 64 / running.len());
        loads.push(std::thread::spawn(move || load::run(&address, connections, requests).map_err(|error| error.to_string())));
    }
    let mut results = Vec::new();
    for load in loads {
        results.push(load.join().map_err(|_| "the load panicked")??);
    }
    let acked = results.iter().map(|result| result.elapsed).max().unwrap_or_default();
    let sent = webhooks / running.len() * running.len();
    store.wait_until_settled(stored.max(1) + sent)?;
    let settled = started.elapsed();
    let each = |micros: f64| micros / sent as f64;
    let bridges = running.iter().map(|(bridge, ..)| bridge.cpu()).sum::<Duration>() - before.0;
    let mut latencies: Vec<Duration> = results.into_iter().flat_map(|result| result.latencies).collect();
    latencies.sort();
    println!(
        "{:<24} {:>9.0} {:>10.0} {:>8.1} {:>12.1} {:>10.1} {:>9.3} {:>8.0} {:>9.1}",
        if replicas == 0 { "SQLite".to_owned() } else { format!("PostgreSQL, {replicas} replicas") },
        sent as f64 / acked.as_secs_f64(),
        sent as f64 / settled.as_secs_f64(),
        latencies[latencies.len() * 99 / 100].as_secs_f64() * 1e3,
        each(bridges.as_secs_f64() * 1e6),
        each((store.cpu() - before.1) * 1e6),
        each((store.commits()? - before.3) as f64),
        each((store.bytes()? - before.2) as f64),
        running.iter().map(|(bridge, ..)| bridge.peak_mb()).fold(0.0, f64::max),
    );
    Ok(())
}

fn start(config: &str, address: &str) -> Result<Running, Failure> {
    let bridge = Running::start(Path::new(env!("CARGO_BIN_EXE_salebridge")), &["--config", config, "serve"])?;
    bridge.wait_until_up(address)?;
    Ok(bridge)
}

impl Store {
    fn number(&self, file: &str, database: &str) -> Result<i64, Failure> {
        match self {
            Self::Sqlite(path) => {
                let connection = Connection::open(path)?;
                connection.busy_timeout(Duration::from_secs(5))?;
                Ok(connection.query_row(file, [], |row| row.get(0))?)
            }
            Self::Postgres(runtime, client) => Ok(runtime.block_on(client.query_one(database, &[]))?.try_get(0)?),
        }
    }

    fn wait_until_settled(&self, sales: usize) -> Result<(), Failure> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            // To count a million rows again and again would be most of the work.
            let counted = self.number(
                "SELECT COALESCE(MAX(id), 0) FROM deliveries",
                "SELECT CASE WHEN EXISTS (SELECT 1 FROM unsettled) THEN 0 ELSE COALESCE((SELECT MAX(id) FROM deliveries), 0) END",
            )?;
            if usize::try_from(counted)? >= sales {
                return Ok(());
            }
            process::pause(Duration::from_millis(10));
        }
        Err("the bridge did not settle in time".into())
    }

    /// Copies the only purchase so often that there are `count`, each under ids of its own.
    fn fill(&self, count: usize) -> Result<(), Failure> {
        match self {
            Self::Sqlite(path) => {
                let mut connection = Connection::open(path)?;
                connection.busy_timeout(Duration::from_secs(60))?;
                // Nobody else has it, and nobody would miss it: without a log it takes half the room and time.
                connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
                let transaction = connection.transaction()?;
                for table in TABLES {
                    let mut select = transaction.prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?;
                    let columns: Vec<String> = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
                    let id = "printf('%08x%010d', (n * 2654435761) & 4294967295, n)";
                    let values = copied(table, &columns, id, "CAST(n AS BLOB)");
                    let sql = format!(
                        "WITH RECURSIVE numbers (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
                         INSERT INTO {table} SELECT {values} FROM numbers, (SELECT * FROM {table} LIMIT 1)"
                    );
                    transaction.execute(&sql, [count])?;
                }
                transaction.execute("UPDATE progress SET settled_through = ?1", [count])?;
                transaction.execute("UPDATE name_state SET is_filled = 0", [])?;
                transaction.commit()?;
                connection.execute_batch("PRAGMA journal_mode = WAL")?;
                // What was written is not still on its way to the disk while the bridge is measured.
                std::fs::File::open(path)?.sync_all()?;
            }
            Self::Postgres(runtime, client) => runtime.block_on(async {
                for table in TABLES {
                    let sql = "SELECT column_name FROM information_schema.columns
                               WHERE table_name = $1 AND table_schema = current_schema() ORDER BY ordinal_position";
                    let columns: Vec<String> = client.query(sql, &[&table]).await?.iter().map(|row| row.get(0)).collect();
                    let id = "lpad(to_hex((n * 2654435761) & 4294967295), 8, '0') || lpad(CAST(n AS TEXT), 10, '0')";
                    let values = copied(table, &columns, id, "decode(lpad(to_hex(n), 64, '0'), 'hex')");
                    let sql = format!(
                        "INSERT INTO {table} SELECT {values} FROM generate_series(CAST(2 AS BIGINT), {count}) AS numbers (n),
                         (SELECT * FROM {table} LIMIT 1) AS one"
                    );
                    client.execute(&sql, &[]).await?;
                }
                let sql = format!(
                    "UPDATE counters SET value = {0} WHERE name = 'sales';
                     SELECT setval(pg_get_serial_sequence('inbox', 'id'), {0}), setval(pg_get_serial_sequence('deliveries', 'id'), {0})",
                    count + 1
                );
                client.batch_execute(&sql).await?;
                client.batch_execute("ANALYZE").await?;
                client.batch_execute("CHECKPOINT").await
            })?,
        }
        Ok(())
    }

    fn bytes(&self) -> Result<i64, Failure> {
        self.number(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
            "SELECT CAST(SUM(pg_total_relation_size(oid)) AS BIGINT) FROM pg_class WHERE relkind = 'r' AND relnamespace = CAST(current_schema() AS REGNAMESPACE)",
        )
    }

    /// Commits of the database; a file's are counted by its writer's own log of frames, which it does not show.
    fn commits(&self) -> Result<i64, Failure> {
        match self {
            Self::Sqlite(_) => Ok(0),
            Self::Postgres(..) => {
                process::pause(Duration::from_secs(1)); // until the server's statistics are there
                self.number("", "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
            }
        }
    }

    /// CPU seconds of all processes of the server: those that live and those that it has waited for.
    fn cpu(&self) -> f64 {
        match self {
            Self::Sqlite(_) => 0.0,
            Self::Postgres(..) => server_cpu(),
        }
    }
}

/// The values of a copy: numbers that stand for the purchase become `n`, its ids become `id`.
fn copied(table: &str, columns: &[String], id: &str, digest: &str) -> String {
    let values = columns.iter().map(|column| match (table, column.as_str()) {
        ("inbox" | "sales" | "deliveries", "id") | (_, "request" | "sale") => "n".to_owned(),
        ("sale_keys" | "sale_groups" | "identities", "id") => "NULL".to_owned(), // the file numbers them
        ("inbox", "digest") => digest.to_owned(),
        (_, "unique_id" | "value" | "customer" | "keys" | "customer_external_id" | "click_id") => {
            // Whatever the ids are, the number of the copy makes them others.
            if column == "keys" { "keys".to_owned() } else { format!("\"{column}\" || {id}") }
        }
        (_, other) => format!("\"{other}\""),
    });
    values.collect::<Vec<_>>().join(", ")
}

/// Of the throw-away server alone: another one that is about to end is not counted.
fn server_cpu() -> f64 {
    let mut ticks = 0.0;
    let folder = std::env::var("SALEBRIDGE_TEST_POSTGRES_FOLDER").unwrap_or_default();
    let first = std::fs::read_to_string(Path::new(&folder).join("data/postmaster.pid")).unwrap_or_default();
    let Some(first) = first.lines().next().and_then(|line| line.parse::<f64>().ok()) else { return 0.0 };
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0.0 };
    for process in processes.flatten() {
        let Ok(stat) = std::fs::read_to_string(process.path().join("stat")) else { continue };
        let Some((name, rest)) = stat.rsplit_once(')') else { continue };
        let id = name.split(' ').next().and_then(|id| id.parse::<f64>().ok());
        let fields: Vec<f64> = rest.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
        // The server's first process, and those that it has started.
        if id != Some(first) && fields.get(1) != Some(&first) {
            continue;
        }
        ticks += fields.get(11..13).unwrap_or_default().iter().sum::<f64>();
        // Of the postmaster also those that ended.
        ticks += fields.get(13..15).unwrap_or_default().iter().sum::<f64>();
    }
    ticks / TICKS_PER_SECOND
}
