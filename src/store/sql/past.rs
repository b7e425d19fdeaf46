//! Requests that were settled before, with what became of them: for reading them anew by today's packs.

use std::collections::BTreeSet;

use super::inbox::{self, COLUMNS};
use super::row::damaged;
use super::{Db, Value, fetches, question, values};
use crate::attribute::EventOutcome;
use crate::domain::{RequestId, SaleId};
use crate::store::{Error, Past, PastEvent, PastRequest};

pub(in crate::store) fn past(db: &dyn Db, which: &Past, after: RequestId, limit: usize) -> Result<Vec<PastRequest>, Error> {
    let rest = format!(
        "id > ?1 AND {} AND (CAST(?2 AS BIGINT) IS NULL OR received_at >= ?2)
        AND (CAST(?3 AS TEXT) IS NULL OR source = ?3) ORDER BY id LIMIT ?4",
        db.dialect().is_settled
    );
    select(db, &rest, values![after, which.since.map(|since| since.as_millisecond()), which.source, limit])
}

/// The requests with events of these sales.
pub(in crate::store) fn of_sales(db: &dyn Db, sales: &[SaleId]) -> Result<Vec<PastRequest>, Error> {
    let questions: Vec<Vec<Value<'_>>> = sales.iter().map(|sale| question![sale]).collect();
    let mut requests: BTreeSet<RequestId> = BTreeSet::new();
    db.query_all("SELECT DISTINCT request FROM events WHERE sale = ?1", &questions, &mut |_, row| {
        requests.insert(row.get(0)?);
        Ok(())
    })?;
    let mut found = Vec::new();
    for request in requests {
        found.extend(select(db, "id = ?1", values![request])?);
    }
    Ok(found)
}

fn select(db: &dyn Db, rest: &str, values: &[Value<'_>]) -> Result<Vec<PastRequest>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM inbox WHERE {rest}");
    let sealed = db.rows(&sql, values, inbox::read)?;
    let mut found = Vec::new();
    for sealed in sealed {
        let request = sealed.open(db)?;
        let events = events(db, request.id)?;
        let mut answers = Vec::new();
        for event in &events {
            answers.extend(fetches::answers(db, request.id, event.position)?);
        }
        found.push(PastRequest { request, answers, events });
    }
    Ok(found)
}

fn events(db: &dyn Db, request: RequestId) -> Result<Vec<PastEvent>, Error> {
    let sql = "SELECT position, outcome, sale, late, digest,
             EXISTS (SELECT 1 FROM sales WHERE id = events.sale AND state = 'parked' AND parked_code = 'customer_unknown')
         FROM events WHERE request = ?1 ORDER BY position";
    db.rows(sql, values![request], |row| {
        Ok(PastEvent {
            position: row.get(0)?,
            outcome: EventOutcome::parse(row.text(1)?).ok_or_else(|| damaged("the outcome of an event"))?,
            sale: row.get(2)?,
            is_late: row.get(3)?,
            digest: row.get(4)?,
            lacks_customer: row.get(5)?,
        })
    })
}
