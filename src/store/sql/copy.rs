//! Tables as they are copied from one store into another: read in the order of their keys, a batch at a time.

use std::collections::BTreeMap;

use super::{Db, Value, values};
use crate::store::Error;

/// So many rows are written in one transaction.
const BATCH_LIMIT: usize = 500;
/// So many bytes of them: bodies are large.
const BATCH_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// A table that both stores have.
#[derive(Debug)]
pub(in crate::store) struct Table {
    /// Its name.
    pub(in crate::store) name: &'static str,
    /// So many of its columns, the first, are its primary key. Where it is 0, a file numbers the rows, and a database has a key of its own.
    key: usize,
    /// Its columns.
    columns: &'static str,
}

/// A row, in the order of the columns.
pub(in crate::store) type Values = Vec<Value<'static>>;

const fn table(name: &'static str, key: usize, columns: &'static str) -> Table {
    Table { name, key, columns }
}

/// Every table but those that only one of the stores has.
pub(in crate::store) const TABLES: [Table; 21] = [
    table("dictionaries", 1, "id, source, learned_from, made_at, bytes"),
    table("inbox", 1, "id, source, received_at, url, headers, body, digest, query, dictionary, body_bytes"),
    table("events", 2, "request, position, source, unique_id, kind, mode, at, outcome, code, reason, sale, late, digest"),
    table(
        "sales",
        1,
        "id, source, scope, event, rank, amount_minor, currency, at, customer, customer_external_id, click_id, email, name, trail, keys, \
         renewal, awaits, seen, state, waits_until, merged_into, parked_code, parked_reason, click_code, click_reason, request, \
         counted_at, sent_as, proof, teller, paid_at, taken_back, adjustments, notes, click_from",
    ),
    table("sale_keys", 0, "scope, kind, value, sale"),
    table("sale_groups", 0, "scope, kind, value, sale"),
    table(
        "identities",
        0,
        "scope, customer, customer_external_id, customer_origin, customer_at, clicks, first_seen, last_seen, notes",
    ),
    table("hints", 3, "scope, kind, value, hint"),
    table("adjustments", 2, "request, position, source, scope, sale, kind, provider_id, amount_minor, currency, cumulative, at"),
    table("double_counts", 2, "first, second, request"),
    table("fetches", 2, "request, position, source, ready, due_at, attempts, since"),
    table("answers", 3, "request, position, step, path, failed, text, fetched_at"),
    table(
        "deliveries",
        1,
        "id, sale, upstream, number, amount_minor, taken_back, state, due_at, tried_since, leased_until, counts_repeats, attempts, \
         last_status, last_reason, upstream_id, made_at, updated_at, lease, leased_by, limited, maybe_since",
    ),
    table("attempts", 2, "delivery, number, started_at, finished_at, outcome, status, reason, request, answer, sent"),
    table("upstreams", 1, "name, paused, reason, since, by_hand"),
    table("tallies", 6, "what, hour, source, label, currency, shard, number, units, rest, last_at"),
    table("sale_hashes", 2, "part, last, hashes"),
    table("sale_hashes_later", 2, "hash, sale"),
    table("alarms", 1, "name, since, told_at, level, changed_at, what"),
    table(
        "refused",
        1,
        "id, source, received_at, code, finding, cause, diagnosis, url, query, headers, private_headers, private_queries, body, body_bytes, \
         connection, token, token_hash",
    ),
    table("refused_counts", 2, "source, code, count, first_at, last_at"),
];

impl Table {
    fn columns(&self) -> Vec<&'static str> {
        self.columns.split(", ").collect()
    }

    /// The next rows of a file after `last`, the one that was read before; none where there are no more. A number that a file gave a row
    /// stands after its columns.
    pub(in crate::store) fn read(&self, db: &dyn Db, last: Option<&Values>) -> Result<Vec<Values>, Error> {
        let is_numbered = self.key == 0;
        let mut columns = self.columns();
        if is_numbered {
            columns.push("id");
        }
        let (skipped, length) = if is_numbered { (columns.len() - 1, 1) } else { (0, self.key) };
        let key = columns.iter().skip(skipped).take(length).copied().collect::<Vec<_>>().join(", ");
        let after: Values = last.map_or_else(Vec::new, |last| last.iter().skip(skipped).take(length).cloned().collect());
        let rest = if after.is_empty() { String::new() } else { format!(" WHERE ({key}) > ({})", places(after.len())) };
        let sql = format!("SELECT {} FROM {}{rest} ORDER BY {key} LIMIT {BATCH_LIMIT}", columns.join(", "), self.name);
        let (mut rows, mut bytes): (Vec<Values>, usize) = (Vec::new(), 0);
        db.query(&sql, &after, &mut |row| {
            if bytes < BATCH_LIMIT_BYTES {
                let read = (0..columns.len()).map(|column| row.owned(column)).collect::<Result<Values, Error>>()?;
                bytes += read.iter().map(size).sum::<usize>();
                rows.push(read);
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// Writes rows into a table that has none of them.
    pub(in crate::store) fn write(&self, db: &dyn Db, rows: &[Values]) -> Result<(), Error> {
        let sql = format!("INSERT INTO {} ({}) VALUES ({})", self.name, self.columns, places(self.columns().len()));
        let count = self.columns().len();
        rows.iter().map(|row| row.get(..count).unwrap_or(row)).try_for_each(|row| db.write_row(&sql, row.len(), row))
    }
}

/// How many rows each table has.
pub(in crate::store) fn count(db: &dyn Db) -> Result<BTreeMap<&'static str, u64>, Error> {
    let mut counts = BTreeMap::new();
    for Table { name, .. } in &TABLES {
        counts.insert(*name, db.value(&format!("SELECT COUNT(*) FROM {name}"), &[])?);
    }
    Ok(counts)
}

/// Whether any webhook was ever stored here.
pub(in crate::store) fn is_used(db: &dyn Db) -> Result<bool, Error> {
    Ok(db.exists("SELECT 1 FROM inbox LIMIT 1", &[])? || db.exists("SELECT 1 FROM sales LIMIT 1", &[])?)
}

/// Up to which request a file is settled.
pub(in crate::store) fn settled_through(file: &dyn Db) -> Result<i64, Error> {
    file.value("SELECT settled_through FROM progress", &[])
}

/// Gives a database what a file does not have: which requests it has yet to settle, and from where numbers go on. Answers with the
/// number of those requests.
pub(in crate::store) fn complete(database: &dyn Db, settled_through: i64) -> Result<u64, Error> {
    let sql = "INSERT INTO unsettled (request) SELECT id FROM inbox WHERE id > ?1";
    let unsettled = database.execute(sql, values![settled_through])?;
    let sql = "UPDATE counters SET value = (SELECT COALESCE(MAX(id), 0) + 1 FROM sales) WHERE name = 'sales'";
    database.execute(sql, &[])?;
    for table in ["dictionaries", "inbox", "deliveries", "refused"] {
        let sql = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT COALESCE(MAX(id), 0) + 1 FROM {table}), false)"
        );
        database.value::<i64>(&sql, &[])?;
    }
    Ok(u64::try_from(unsettled).unwrap_or(u64::MAX))
}

/// The places of so many values, in their order.
pub(super) fn places(count: usize) -> String {
    (1..=count).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ")
}

fn size(value: &Value<'_>) -> usize {
    match value {
        Value::Null | Value::Integer(_) => 8,
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
    }
}
