//! The queue of deliveries: claimed under a lease, recorded, resumed.

use rusqlite::{Connection, params};

use super::row::{SALE_BY_ID, sale};
use crate::domain::{DeliveryId, SaleId, Timestamp, from_millis};
use crate::store::{Attempt, Claimed, Error, Retry};

/// On SQLite there is one server, so at its start every lease is a dead process's.
pub(super) fn void_leases(connection: &Connection) -> Result<(), Error> {
    connection.execute("UPDATE deliveries SET state = 'due', leased_until = NULL WHERE state = 'sending'", [])?;
    Ok(())
}

pub(super) fn claim(
    connection: &Connection,
    upstream: &str,
    now: Timestamp,
    leased_until: Timestamp,
    limit: usize,
) -> Result<Vec<Claimed>, Error> {
    let now = now.as_millisecond();
    let sql = "UPDATE deliveries SET state = 'due', leased_until = NULL WHERE upstream = ?1 AND state = 'sending' AND leased_until <= ?2";
    connection.prepare_cached(sql)?.execute(params![upstream, now])?;
    let mut select = connection.prepare_cached(
        "SELECT id, sale, attempts, tried_since FROM deliveries
         WHERE upstream = ?1 AND state = 'due' AND due_at <= ?2 ORDER BY due_at, id LIMIT ?3",
    )?;
    let due: Vec<(DeliveryId, SaleId, u32, Option<i64>)> = select
        .query_map(params![upstream, now, limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    let mut claimed = Vec::with_capacity(due.len());
    for (id, sale_id, attempts, tried_since) in due {
        let sql = "UPDATE deliveries SET state = 'sending', leased_until = ?2, updated_at = ?3 WHERE id = ?1";
        connection.prepare_cached(sql)?.execute(params![id, leased_until.as_millisecond(), now])?;
        let mut select = connection.prepare_cached(SALE_BY_ID)?;
        let mut sale = select.query_row([sale_id], |row| Ok(sale(row)))??;
        if !sale.is_sent() {
            sale.sent_as = sale.invoice_id();
            let sql = "UPDATE sales SET sent_as = ?2 WHERE id = ?1";
            connection.prepare_cached(sql)?.execute(params![sale_id, sale.sent_as])?;
        }
        claimed.push(Claimed { id, attempts, tried_since: tried_since.map(from_millis), sale });
    }
    Ok(claimed)
}

pub(super) fn next_due(connection: &Connection, upstream: &str) -> Result<Option<Timestamp>, Error> {
    let sql = "SELECT MIN(due_at) FROM deliveries WHERE upstream = ?1 AND state = 'due'";
    let millis: Option<i64> = connection.prepare_cached(sql)?.query_row([upstream], |row| row.get(0))?;
    Ok(millis.map(from_millis))
}

pub(super) fn record(connection: &Connection, attempts: &[Attempt]) -> Result<(), Error> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO attempts VALUES (?1, (SELECT COALESCE(MAX(number), 0) + 1 FROM attempts WHERE delivery = ?1),
         ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut update = connection.prepare_cached(
        "UPDATE deliveries SET state = ?2, due_at = ?3, attempts = attempts + ?4, last_status = ?5, last_reason = ?6,
         updated_at = ?7, leased_until = NULL, tried_since = CASE WHEN ?4 THEN COALESCE(tried_since, ?8) ELSE tried_since END
         WHERE id = ?1",
    )?;
    for attempt in attempts {
        let finished_at = attempt.finished_at.as_millisecond();
        insert.execute(params![
            attempt.delivery,
            attempt.started_at.as_millisecond(),
            finished_at,
            attempt.outcome.as_str(),
            attempt.status,
            attempt.reason,
            attempt.request,
            attempt.answer,
        ])?;
        update.execute(params![
            attempt.delivery,
            attempt.state.as_str(),
            attempt.due_at.as_millisecond(),
            u32::from(attempt.counts),
            attempt.status,
            attempt.reason,
            finished_at,
            attempt.started_at.as_millisecond(),
        ])?;
    }
    Ok(())
}

pub(super) fn set_paused(connection: &Connection, upstream: &str, reason: Option<&str>, now: Timestamp) -> Result<(), Error> {
    let ends_pause = reason.is_none() && is_paused(connection, upstream)?;
    let sql = "INSERT INTO upstreams (name, paused, reason, since) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (name) DO UPDATE SET since = CASE WHEN paused = excluded.paused THEN since ELSE excluded.since END,
               paused = excluded.paused, reason = excluded.reason";
    connection.prepare_cached(sql)?.execute(params![upstream, reason.is_some(), reason, now.as_millisecond()])?;
    if ends_pause {
        // A pause burns nothing: the days of the schedule count anew for what stood still.
        let sql = "UPDATE deliveries SET tried_since = NULL WHERE upstream = ?1 AND state = 'due' AND tried_since IS NOT NULL";
        connection.prepare_cached(sql)?.execute([upstream])?;
    }
    Ok(())
}

pub(super) fn is_paused(connection: &Connection, upstream: &str) -> Result<bool, Error> {
    Ok(connection.prepare_cached("SELECT 1 FROM upstreams WHERE name = ?1 AND paused")?.exists([upstream])?)
}

pub(super) fn retry(connection: &Connection, which: &Retry, now: Timestamp) -> Result<usize, Error> {
    let now = now.as_millisecond();
    // A resumed delivery gets the days of the schedule anew.
    let set = "UPDATE deliveries SET state = 'due', due_at = ?1, tried_since = NULL, attempts = 0, updated_at = ?1";
    let changed = match which {
        Retry::One(id) => {
            let sql = format!("{set} WHERE id = ?2 AND state IN ('due', 'dead', 'held', 'skipped')");
            connection.execute(&sql, params![now, id])?
        }
        Retry::Dead(upstream) => {
            let sql = format!("{set} WHERE state = 'dead' AND (?2 IS NULL OR upstream = ?2)");
            connection.execute(&sql, params![now, upstream])?
        }
    };
    connection.execute(
        "UPDATE upstreams SET paused = 0, reason = NULL, since = ?1
         WHERE paused AND EXISTS (SELECT 1 FROM deliveries WHERE upstream = upstreams.name AND updated_at = ?1)",
        [now],
    )?;
    Ok(changed)
}
