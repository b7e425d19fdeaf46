//! The queue of deliveries: claimed under a lease, recorded, paused.

use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};

use super::adjustments;
use super::row::{damaged, scope_from};
use crate::domain::{
    AdjustmentStep, Currency, DeliveryId, EventName, Key, Money, Outgoing, SaleEvent, SaleId, Scope, Timestamp, from_millis,
    invoice_id_of,
};
use crate::store::{Attempt, Claimed, Error, Lease};

/// What happened to an attempt whose process died.
const CUT_OFF: &str = "salebridge ended before the answer came; it may or may not have been accepted";
/// What a person can do about it where the upstream counts what it is told twice.
const LOOK: &str = "look for it in the upstream's dashboard before it is sent again, because the upstream would count it twice";

/// On SQLite there is one server, so at its start every lease is a dead process's.
pub(super) fn void_leases(connection: &Connection) -> Result<(), Error> {
    end_leases(connection, "state = 'sending'", &[])
}

/// Leases that ran out belong to processes that died: the attempt is noted, and what it was about is due again, unless the upstream
/// would count it twice.
fn end_leases(connection: &Connection, which: &str, values: &[&dyn ToSql]) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO attempts SELECT id, (SELECT COALESCE(MAX(number), 0) + 1 FROM attempts WHERE delivery = deliveries.id),
         updated_at, updated_at, 'unknown', NULL, '{CUT_OFF}', '', '' FROM deliveries WHERE {which}"
    );
    if connection.prepare_cached(&sql)?.execute(values)? == 0 {
        return Ok(());
    }
    let sql = format!(
        "UPDATE deliveries SET state = CASE WHEN counts_repeats THEN 'dead' ELSE 'due' END, leased_until = NULL,
         tried_since = COALESCE(tried_since, updated_at),
         last_status = NULL, last_reason = '{CUT_OFF}' || CASE WHEN counts_repeats THEN '; {}' ELSE '' END WHERE {which}",
        LOOK.replace('\'', "''")
    );
    connection.prepare_cached(&sql)?.execute(values)?;
    Ok(())
}

pub(super) fn claim(connection: &Connection, lease: &Lease) -> Result<Vec<Claimed>, Error> {
    let (upstream, now) = (&*lease.upstream, lease.now.as_millisecond());
    end_leases(connection, "upstream = ?1 AND state = 'sending' AND leased_until <= ?2", &[&upstream, &now])?;
    let sql = format!(
        "{OUTGOING} WHERE d.upstream = ?1 AND d.state = 'due' AND d.due_at <= ?2
         AND NOT EXISTS (SELECT 1 FROM upstreams WHERE name = ?1 AND by_hand) ORDER BY d.due_at, d.id LIMIT ?3"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![upstream, now, lease.limit])?;
    let mut claimed = Vec::new();
    while let Some(row) = rows.next()? {
        claimed.push((read(row)?, row.get::<_, Option<String>>(20)?.is_some()));
    }
    drop(rows);
    let mut update = connection.prepare_cached(
        "UPDATE deliveries SET state = 'sending', leased_until = ?2, updated_at = ?3, counts_repeats = ?4 WHERE id = ?1",
    )?;
    let mut freeze = connection.prepare_cached("UPDATE sales SET sent_as = ?2 WHERE id = ?1")?;
    for (found, is_sent) in &claimed {
        update.execute(params![found.id, lease.until.as_millisecond(), now, lease.counts_repeats])?;
        if !is_sent {
            freeze.execute(params![found.sale, found.outgoing.sale.invoice_id])?;
        }
    }
    Ok(claimed.into_iter().map(|(claimed, _)| claimed).collect())
}

/// A delivery with all that is told by it, in the columns that [`read`] follows.
const OUTGOING: &str = "SELECT d.id, d.sale, d.number, d.amount_minor, d.taken_back, d.attempts, d.tried_since, d.made_at,
     CASE WHEN d.number = 0 THEN d.upstream_id
         ELSE (SELECT o.upstream_id FROM deliveries o WHERE o.sale = d.sale AND o.upstream = d.upstream AND o.number = 0) END,
     s.source, s.scope, s.event, s.amount_minor, s.currency, s.at, s.customer_external_id, s.click_id, s.email, s.name, s.renewal,
     s.sent_as, CASE WHEN s.sent_as IS NULL THEN s.keys END
     FROM deliveries d JOIN sales s ON s.id = d.sale";

/// A delivery with all that an attempt of it would send.
pub(super) fn outgoing(connection: &Connection, id: DeliveryId) -> Result<Option<Claimed>, Error> {
    let mut select = connection.prepare_cached(&format!("{OUTGOING} WHERE d.id = ?1"))?;
    let found = select.query_row([id], |row| Ok(read(row))).optional()?;
    found.transpose()
}

fn read(row: &Row<'_>) -> Result<Claimed, Error> {
    let (number, minor, taken_back): (u32, Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?, row.get(4)?);
    let at = from_millis(row.get(7)?);
    let adjustment = minor.zip(taken_back).map(|(minor, taken_back)| AdjustmentStep { number, minor, taken_back, at });
    let Scope { mode, .. } = scope_from(row.get_ref(10)?.as_str().map_err(|error| Error::Damaged(error.to_string()))?)?;
    let text = |column| row.get::<_, String>(column);
    let currency = Currency::from_code(&text(13)?).ok_or_else(|| damaged("the currency of a sale"))?;
    let keys: Option<String> = row.get(21)?;
    let invoice_id = match keys {
        Some(keys) => invoice_id_of(&serde_json::from_str::<Vec<Key>>(&keys)?),
        None => row.get(20)?,
    };
    let sale = SaleEvent {
        event: EventName::parse(&text(11)?).ok_or_else(|| damaged("the event of a sale"))?,
        customer_external_id: row.get(15)?,
        money: Money { minor: row.get(12)?, currency },
        click_id: row.get(16)?,
        invoice_id,
        timestamp: from_millis(row.get(14)?),
        email: row.get(17)?,
        name: row.get(18)?,
    };
    let (source, is_renewal, upstream_id) = (text(9)?, row.get(19)?, row.get(8)?);
    Ok(Claimed {
        id: row.get(0)?,
        sale: row.get(1)?,
        attempts: row.get(5)?,
        tried_since: row.get::<_, Option<i64>>(6)?.map(from_millis),
        outgoing: Outgoing { sale, source, mode, is_renewal, adjustment, upstream_id },
    })
}

pub(super) fn give_back(connection: &Connection, given: &[DeliveryId]) -> Result<(), Error> {
    let sql = "UPDATE deliveries SET state = 'due', leased_until = NULL WHERE id = ?1 AND state = 'sending'";
    let mut update = connection.prepare_cached(sql)?;
    for id in given {
        update.execute([id])?;
    }
    Ok(())
}

pub(super) fn next_due(connection: &Connection, upstream: &str) -> Result<Option<Timestamp>, Error> {
    let sql = "SELECT MIN(due_at) FROM deliveries WHERE upstream = ?1 AND state = 'due'
               AND NOT EXISTS (SELECT 1 FROM upstreams WHERE name = ?1 AND by_hand)";
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
         updated_at = ?7, leased_until = NULL, tried_since = CASE WHEN ?4 THEN COALESCE(tried_since, ?8) ELSE tried_since END,
         upstream_id = COALESCE(?9, upstream_id) WHERE id = ?1",
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
            attempt.upstream_id,
        ])?;
        if let Some(rule) = attempt.adjustments.filter(|_| attempt.state.is_accepted()) {
            let sql = "SELECT sale, upstream FROM deliveries WHERE id = ?1";
            let (sale, upstream): (SaleId, String) =
                connection.prepare_cached(sql)?.query_row([attempt.delivery], |row| Ok((row.get(0)?, row.get(1)?)))?;
            adjustments::tell(connection, sale, &upstream, rule, attempt.finished_at)?;
        }
    }
    Ok(())
}

pub(super) fn set_paused(connection: &Connection, upstream: &str, reason: Option<&str>, now: Timestamp) -> Result<(), Error> {
    if connection.prepare_cached("SELECT 1 FROM upstreams WHERE name = ?1 AND by_hand")?.exists([upstream])? {
        return Ok(());
    }
    let ends_pause = reason.is_none() && is_paused(connection, upstream)?;
    let sql = "INSERT INTO upstreams (name, paused, reason, since, by_hand) VALUES (?1, ?2, ?3, ?4, 0)
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

pub(super) fn pause_by_hand(
    connection: &Connection,
    upstream: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(reason) = reason else {
        let sql = "UPDATE upstreams SET by_hand = 0 WHERE name = ?1 AND paused";
        let is_changed = connection.prepare_cached(sql)?.execute([upstream])? > 0;
        set_paused(connection, upstream, None, now)?;
        return Ok(is_changed);
    };
    let sql = "INSERT INTO upstreams (name, paused, reason, since, by_hand) VALUES (?1, 1, ?2, ?3, 1)
               ON CONFLICT (name) DO UPDATE SET paused = 1, reason = ?2, since = ?3, by_hand = 1";
    Ok(connection.prepare_cached(sql)?.execute(params![upstream, reason, now.as_millisecond()])? > 0)
}
