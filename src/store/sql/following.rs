//! Events and attempts as they happen, for those who follow the store. No index is kept for them: what is new is found by numbers,
//! and by what is about to be sent.

use super::row::damaged;
use super::{Db, Row, Value, question, values};
use crate::domain::{Currency, DeliveryId, Money, RequestId, Timestamp, from_millis};
use crate::store::{AttemptLine, AttemptLines, Error, EventLine, Watched};

/// Attempts are looked for among so many of the newest deliveries.
const NEWEST: i64 = 5000;
/// So many deliveries of each upstream are watched that are due next, and as many of all that are being sent.
const WATCHED: usize = 1000;

const EVENT: &str = "SELECT e.request, e.position, i.received_at, e.source, e.kind, e.mode, e.outcome, e.code, e.reason, e.sale,
     s.amount_minor, s.currency FROM events e JOIN inbox i ON i.id = e.request
     LEFT JOIN sales s ON s.id = e.sale AND e.outcome = 'sale'";

// In this order: attempts hold long texts, so that nobody goes through them in search of deliveries.
const ATTEMPT: &str =
    "SELECT d.id, a.number, d.sale, s.source, d.upstream, d.number, a.finished_at, a.outcome, a.status, a.reason
     FROM deliveries d CROSS JOIN attempts a CROSS JOIN sales s WHERE a.delivery = d.id AND s.id = d.sale AND";

pub(in crate::store) fn events_after(db: &dyn Db, after: (RequestId, u16), limit: usize) -> Result<Vec<EventLine>, Error> {
    let sql = format!("{EVENT} WHERE (e.request, e.position) > (?1, ?2) ORDER BY e.request, e.position LIMIT ?3");
    db.rows(&sql, values![after.0, after.1, limit], event)
}

pub(in crate::store) fn events_between(db: &dyn Db, ranges: &[(RequestId, RequestId)]) -> Result<Vec<EventLine>, Error> {
    let sql = format!("{EVENT} WHERE e.request >= ?1 AND e.request <= ?2 ORDER BY e.request, e.position");
    let questions: Vec<Vec<Value<'_>>> = ranges.iter().map(|(first, last)| question![first, last]).collect();
    let mut found = Vec::new();
    db.query_all(&sql, &questions, &mut |_, row| {
        found.push(event(row)?);
        Ok(())
    })?;
    Ok(found)
}

pub(in crate::store) fn last_settled(db: &dyn Db) -> Result<RequestId, Error> {
    db.value("SELECT COALESCE(MAX(request), 0) FROM events", &[])
}

/// The last request that was received before `at`, found by halving: numbers rise with time, but for a moment.
pub(in crate::store) fn last_before(db: &dyn Db, at: Timestamp) -> Result<RequestId, Error> {
    let next = "SELECT id, received_at FROM inbox WHERE id >= ?1 ORDER BY id LIMIT 1";
    let (mut before, mut end): (RequestId, RequestId) = (0, db.value("SELECT COALESCE(MAX(id), 0) FROM inbox", &[])?);
    while before < end {
        let middle = before + (end - before + 1) / 2;
        let found: Option<(RequestId, i64)> = db.row(next, values![middle], |row| Ok((row.get(0)?, row.get(1)?)))?;
        match found {
            Some((id, received_at)) if received_at < at.as_millisecond() => before = id,
            Some(_) | None => end = middle - 1,
        }
    }
    Ok(before)
}

/// Attempts that ended at `since` or later, of the newest deliveries, and those that are new of the `watched` ones.
pub(in crate::store) fn attempts_after(db: &dyn Db, since: Timestamp, watched: &[Watched]) -> Result<AttemptLines, Error> {
    // What is watched from now on is looked at first: what ends meanwhile is then found twice rather than never.
    let next = watch(db)?;
    let newest: DeliveryId = db.value("SELECT COALESCE(MAX(id), 0) FROM deliveries", &[])?;
    let recent = format!("{ATTEMPT} d.id > ?1 AND d.updated_at >= ?2 AND a.finished_at >= ?2");
    let mut lines = db.rows(&recent, values![newest - NEWEST, since.as_millisecond()], attempt)?;
    let questions: Vec<Vec<Value<'_>>> = watched.iter().map(|watched| question![watched.delivery, watched.attempts]).collect();
    db.query_all(&format!("{ATTEMPT} d.id = ?1 AND a.number > ?2"), &questions, &mut |_, row| {
        lines.push(attempt(row)?);
        Ok(())
    })?;
    lines.sort_by_key(|line| (line.finished_at, line.delivery, line.number));
    lines.dedup();
    Ok(AttemptLines { lines, watched: next })
}

/// Deliveries that are being sent, and those of each upstream that come next.
fn watch(db: &dyn Db) -> Result<Vec<Watched>, Error> {
    let columns = "id, (SELECT COALESCE(MAX(number), 0) FROM attempts WHERE delivery = deliveries.id)";
    let read = |row: &Row<'_>| Ok(Watched { delivery: row.get(0)?, attempts: row.get(1)? });
    let sql = format!("SELECT {columns} FROM deliveries WHERE state = 'sending' ORDER BY upstream, leased_until LIMIT ?1");
    let mut found = db.rows(&sql, values![WATCHED], read)?;
    let sql = format!("SELECT {columns} FROM deliveries WHERE upstream = ?1 AND state = 'due' ORDER BY due_at, id LIMIT ?2");
    // Upstreams with something due, each found by a step through the index.
    let step = "SELECT upstream FROM deliveries WHERE state = 'due' AND upstream > ?1 ORDER BY upstream LIMIT 1";
    let mut upstream = String::new();
    while let Some(next) = db.row(step, values![upstream], |row| row.get::<String>(0))? {
        found.extend(db.rows(&sql, values![next, WATCHED], read)?);
        upstream = next;
    }
    Ok(found)
}

fn event(row: &Row<'_>) -> Result<EventLine, Error> {
    let (minor, code): (Option<i64>, Option<String>) = (row.get(10)?, row.get(11)?);
    let currency = |code: String| Currency::from_code(&code).ok_or_else(|| damaged("the currency of a sale"));
    let money = minor.zip(code).map(|(minor, code)| Ok::<_, Error>(Money { minor, currency: currency(code)? })).transpose()?;
    Ok(EventLine {
        request: row.get(0)?,
        position: row.get(1)?,
        received_at: from_millis(row.get(2)?),
        source: row.get(3)?,
        kind: row.get(4)?,
        mode: row.get(5)?,
        outcome: row.get(6)?,
        code: row.get(7)?,
        reason: row.get(8)?,
        sale: row.get(9)?,
        money,
    })
}

fn attempt(row: &Row<'_>) -> Result<AttemptLine, Error> {
    Ok(AttemptLine {
        delivery: row.get(0)?,
        number: row.get(1)?,
        sale: row.get(2)?,
        source: row.get(3)?,
        upstream: row.get(4)?,
        is_adjustment: row.get::<i64>(5)? != 0,
        finished_at: from_millis(row.get(6)?),
        outcome: row.get(7)?,
        status: row.get(8)?,
        reason: row.get(9)?,
    })
}
