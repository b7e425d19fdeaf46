//! Requests that were settled before, with what became of them: for reading them anew by today's packs.

use rusqlite::{Connection, ToSql, params};

use super::fetches;
use super::inbox::{self, COLUMNS};
use super::row::damaged;
use crate::attribute::EventOutcome;
use crate::domain::{RequestId, SaleId};
use crate::store::{Error, Past, PastEvent, PastRequest, StoredRequest};

pub(super) fn past(connection: &Connection, which: &Past, after: RequestId, limit: usize) -> Result<Vec<PastRequest>, Error> {
    let rest = "id > ?1 AND id <= (SELECT settled_through FROM progress) AND (?2 IS NULL OR received_at >= ?2)
        AND (?3 IS NULL OR source = ?3) ORDER BY id LIMIT ?4";
    select(connection, rest, params![after, which.since.map(|since| since.as_millisecond()), which.source, limit])
}

/// The requests with events of these sales.
pub(super) fn of_sales(connection: &Connection, sales: &[SaleId]) -> Result<Vec<PastRequest>, Error> {
    let rest = "id IN (SELECT request FROM events WHERE sale IN (SELECT value FROM json_each(?1))) ORDER BY id";
    select(connection, rest, params![serde_json::to_string(sales)?])
}

fn select(connection: &Connection, rest: &str, values: &[&dyn ToSql]) -> Result<Vec<PastRequest>, Error> {
    let mut select = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM inbox WHERE {rest}"))?;
    let mut rows = select.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id: RequestId = row.get(0)?;
        let request = StoredRequest { id, request: inbox::read(row)? };
        let events = events(connection, id)?;
        let mut answers = Vec::new();
        for event in &events {
            answers.extend(fetches::answers(connection, id, event.position)?);
        }
        found.push(PastRequest { request, answers, events });
    }
    Ok(found)
}

fn events(connection: &Connection, request: RequestId) -> Result<Vec<PastEvent>, Error> {
    let mut select = connection.prepare_cached(
        "SELECT position, outcome, sale, late, digest,
             EXISTS (SELECT 1 FROM sales WHERE id = events.sale AND state = 'parked' AND parked_code = 'customer_unknown')
         FROM events WHERE request = ?1 ORDER BY position",
    )?;
    let mut rows = select.query([request])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let outcome: String = row.get(1)?;
        events.push(PastEvent {
            position: row.get(0)?,
            outcome: EventOutcome::parse(&outcome).ok_or_else(|| damaged("the outcome of an event"))?,
            sale: row.get(2)?,
            is_late: row.get(3)?,
            digest: row.get(4)?,
            lacks_customer: row.get(5)?,
        });
    }
    Ok(events)
}
