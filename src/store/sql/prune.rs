//! What nobody needs any more is removed, a little at a time: ignored requests, the texts of attempts, and refused requests.
//!
//! Whatever a sale, an adjustment or a fetch refers to stays, and so do all keys and the event ids that sales used up: dedupe never
//! expires. What is removed is looked for among a bounded number of rows, so that no step lasts long.

use super::{Db, Value, question, refused, values};
use crate::domain::{DeliveryId, RequestId, Timestamp};
use crate::store::{Error, Prune, Pruned};

/// Requests, or deliveries, with so many numbers are looked through in one step.
const WINDOW: i64 = 1000;

pub(in crate::store) fn prune(db: &dyn Db, what: Prune, limit: usize) -> Result<Pruned, Error> {
    match what {
        Prune::Ignored { before, after } => ignored(db, before, after, limit),
        Prune::Texts { before, after } => texts(db, before, after, limit),
        Prune::Refused { before } => refused::prune(db, before, limit),
    }
}

/// The newest request always stays: the numbers of a file go on from it, and what is settled is known by its number.
fn ignored(db: &dyn Db, before: Timestamp, after: RequestId, limit: usize) -> Result<Pruned, Error> {
    let (before, end) = (before.as_millisecond(), after.saturating_add(WINDOW));
    // By the events alone, which are much smaller than the requests.
    let candidates = "SELECT id FROM inbox WHERE received_at < ?3 AND id IN (
             SELECT request FROM events WHERE request > ?1 AND request <= ?2 GROUP BY request
             HAVING SUM(CASE WHEN outcome IN ('ignored', 'duplicate') AND sale IS NULL THEN 0 ELSE 1 END) = 0)
         ORDER BY id LIMIT ?4";
    let found: Vec<RequestId> = db.rows(candidates, values![after, end, before, limit], |row| row.get(0))?;
    // Looked at again once it is locked: another replica may be at it.
    let sql = format!(
        "SELECT id FROM inbox WHERE id = ?1 AND {} AND id < (SELECT MAX(id) FROM inbox)
         AND NOT EXISTS (SELECT 1 FROM events WHERE events.request = inbox.id
             AND (events.outcome NOT IN ('ignored', 'duplicate') OR events.sale IS NOT NULL))
         AND NOT EXISTS (SELECT 1 FROM adjustments WHERE adjustments.request = inbox.id)
         AND NOT EXISTS (SELECT 1 FROM fetches WHERE fetches.request = inbox.id){}",
        db.dialect().is_settled,
        db.dialect().skip_locked
    );
    let questions: Vec<Vec<Value<'_>>> = found.iter().map(|id| question![id]).collect();
    let mut removed: Vec<RequestId> = Vec::new();
    db.query_all(&sql, &questions, &mut |_, row| {
        removed.push(row.get(0)?);
        Ok(())
    })?;
    for sql in
        ["DELETE FROM answers WHERE request = ?1", "DELETE FROM events WHERE request = ?1", "DELETE FROM inbox WHERE id = ?1"]
    {
        removed.iter().try_for_each(|id| db.write_row(sql, 1, values![id]))?;
    }
    let next = match found.last() {
        Some(last) if found.len() >= limit => Some(*last),
        Some(_) | None => {
            // Requests are received in the order of their numbers, but for the moments by which replicas differ.
            let sql = "SELECT received_at FROM inbox WHERE id > ?1 ORDER BY id LIMIT 1";
            let following: Option<i64> = db.row(sql, values![end], |row| row.get(0))?;
            following.is_some_and(|received_at| received_at < before).then_some(end)
        }
    };
    Ok(Pruned { count: removed.len(), next })
}

/// A dead letter waits for a person, who needs what was answered; so does one that is held back.
fn texts(db: &dyn Db, before: Timestamp, after: DeliveryId, limit: usize) -> Result<Pruned, Error> {
    let (before, end) = (before.as_millisecond(), after.saturating_add(WINDOW));
    let sql = "SELECT a.delivery, a.number FROM deliveries d JOIN attempts a ON a.delivery = d.id
         WHERE d.id > ?1 AND d.id <= ?2 AND d.state IN ('delivered', 'duplicate', 'unattributed', 'skipped', 'merged', 'withdrawn')
         AND a.finished_at < ?3 AND (a.request <> '' OR a.sent IS NOT NULL OR a.answer <> '') ORDER BY a.delivery, a.number LIMIT ?4";
    let found: Vec<(DeliveryId, u32)> = db.rows(sql, values![after, end, before, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (delivery, number) in &found {
        let sql = "UPDATE attempts SET request = '', sent = NULL, answer = '' WHERE delivery = ?1 AND number = ?2";
        db.write_row(sql, 2, values![delivery, number])?;
    }
    let next = match found.last() {
        // More of the last delivery may be left; what is empty is not found again.
        Some((last, _)) if found.len() >= limit => Some(last - 1),
        Some(_) | None => {
            let sql = "SELECT made_at FROM deliveries WHERE id > ?1 ORDER BY id LIMIT 1";
            let following: Option<i64> = db.row(sql, values![end], |row| row.get(0))?;
            following.is_some_and(|made_at| made_at < before).then_some(end)
        }
    };
    Ok(Pruned { count: found.len(), next })
}
