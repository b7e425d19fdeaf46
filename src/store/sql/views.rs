//! What people and programs are shown: listings, newest first, and single rows with their story.

use super::inbox::{self, BODY_BYTES};
use super::row::{INVOICE_ID, SALES, damaged, invoice_id, sale as read_sale};
use super::story::{double_counts, sale_view};
use super::{Db, Row, Value, values};
use crate::domain::{Currency, DeliveryId, DeliveryState, Money, Request, RequestId, SaleId, Timestamp, from_millis};
use crate::store::{
    AttemptView, AttentionView, DeliveryView, Error, EventView, OldestView, QueueView, RequestView, SaleView, StepView,
    UpstreamView,
};

const DELIVERY_COLUMNS: &str = "d.id, d.sale, d.upstream, d.state, d.attempts, d.due_at, d.last_status, d.last_reason, d.number,
    d.amount_minor, d.taken_back, d.upstream_id";
pub(super) const EVENT_COLUMNS: &str = "request, kind, outcome, code, reason, sale, at";

pub(in crate::store) fn sales(db: &dyn Db, limit: usize) -> Result<Vec<SaleView>, Error> {
    let sales = db.rows(&format!("{SALES} ORDER BY id DESC LIMIT ?1"), values![limit], read_sale)?;
    sales.iter().map(|sale| sale_view(db, sale)).collect()
}

pub(in crate::store) fn sale(db: &dyn Db, id: SaleId) -> Result<Option<SaleView>, Error> {
    let Some(sale) = db.row(&format!("{SALES} WHERE id = ?1"), values![id], read_sale)? else { return Ok(None) };
    Ok(Some(SaleView { double_counts: double_counts(db, id)?, ..sale_view(db, &sale)? }))
}

/// A request without its events.
pub(super) struct Received {
    id: RequestId,
    source: String,
    received_at: i64,
    bytes: usize,
}

pub(super) fn received(row: &Row<'_>) -> Result<Received, Error> {
    Ok(Received { id: row.get(0)?, source: row.get(1)?, received_at: row.get(2)?, bytes: row.get(3)? })
}

pub(in crate::store) fn requests(db: &dyn Db, limit: usize) -> Result<Vec<RequestView>, Error> {
    let sql = format!("SELECT id, source, received_at, {BODY_BYTES} FROM inbox ORDER BY id DESC LIMIT ?1");
    let found = db.rows(&sql, values![limit], received)?;
    found.into_iter().map(|received| request_view(db, received)).collect()
}

pub(in crate::store) fn request(db: &dyn Db, id: RequestId) -> Result<Option<(RequestView, Request)>, Error> {
    let Some(request) = inbox::find(db, id)? else { return Ok(None) };
    let sql = format!("SELECT id, source, received_at, {BODY_BYTES} FROM inbox WHERE id = ?1");
    let Some(received) = db.row(&sql, values![id], received)? else { return Ok(None) };
    Ok(Some((request_view(db, received)?, request)))
}

pub(in crate::store) fn deliveries(db: &dyn Db, limit: usize) -> Result<Vec<DeliveryView>, Error> {
    select_deliveries(db, "ORDER BY d.id DESC LIMIT ?1", values![limit])
}

pub(in crate::store) fn delivery(db: &dyn Db, id: DeliveryId) -> Result<Option<DeliveryView>, Error> {
    let Some(mut view) = select_deliveries(db, "WHERE d.id = ?1", values![id])?.pop() else { return Ok(None) };
    let sql = "SELECT number, started_at, finished_at, outcome, status, reason, request, answer, sent
         FROM attempts WHERE delivery = ?1 ORDER BY number";
    view.history = db.rows(sql, values![id], |row| {
        let (started_at, finished_at): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(AttemptView {
            number: row.get(0)?,
            started_at: from_millis(started_at).to_string(),
            duration_ms: finished_at - started_at,
            outcome: row.get(3)?,
            status: row.get(4)?,
            reason: row.get(5)?,
            request: match row.shorthand(8)? {
                Some(request) => request,
                None => row.get(6)?,
            },
            answer: row.get(7)?,
        })
    })?;
    Ok(Some(view))
}

pub(in crate::store) fn upstreams(db: &dyn Db) -> Result<Vec<UpstreamView>, Error> {
    let sql = "WITH queued (name, due, dead) AS (
             SELECT upstream, COUNT(*), 0 FROM deliveries WHERE state = 'due' GROUP BY upstream
             UNION ALL SELECT upstream, COUNT(*), 0 FROM deliveries WHERE state = 'sending' GROUP BY upstream
             UNION ALL SELECT upstream, 0, COUNT(*) FROM deliveries WHERE state = 'dead' GROUP BY upstream
             UNION ALL SELECT name, 0, 0 FROM upstreams)
         SELECT queued.name, COALESCE(paused, 0), reason, since, COALESCE(by_hand, 0), CAST(SUM(due) AS BIGINT), CAST(SUM(dead) AS BIGINT)
         FROM queued LEFT JOIN upstreams ON upstreams.name = queued.name
         GROUP BY queued.name, paused, reason, since, by_hand ORDER BY queued.name";
    db.rows(sql, &[], |row| {
        let since: Option<i64> = row.get(3)?;
        Ok(UpstreamView {
            name: row.get(0)?,
            paused: row.get(1)?,
            reason: row.get(2)?,
            since: since.map(|since| from_millis(since).to_string()),
            by_hand: row.get(4)?,
            due: row.get(5)?,
            dead: row.get(6)?,
        })
    })
}

pub(in crate::store) fn attention(db: &dyn Db) -> Result<AttentionView, Error> {
    let sql =
        "SELECT (SELECT COUNT(*) FROM sales WHERE state = 'parked'), (SELECT COUNT(*) FROM events WHERE outcome = 'parked'),
         (SELECT COUNT(*) FROM double_counts)";
    let view = db.row(sql, &[], |row| {
        Ok(AttentionView { parked_sales: row.get(0)?, parked_events: row.get(1)?, double_counts: row.get(2)? })
    })?;
    view.ok_or_else(|| damaged("the counts of what a person should look at"))
}

pub(in crate::store) fn queues(db: &dyn Db) -> Result<QueueView, Error> {
    let sql = format!(
        "SELECT {},
        (SELECT COUNT(*) FROM sales WHERE state = 'waiting'),
        (SELECT COUNT(*) FROM deliveries WHERE state = 'due') + (SELECT COUNT(*) FROM deliveries WHERE state = 'sending'),
        (SELECT COUNT(*) FROM deliveries WHERE state = 'dead'), (SELECT COUNT(*) FROM fetches)",
        db.dialect().count_unsettled
    );
    let view = db.row(&sql, &[], |row| {
        Ok(QueueView { unsettled: row.get(0)?, waiting: row.get(1)?, due: row.get(2)?, dead: row.get(3)?, fetching: row.get(4)? })
    })?;
    view.ok_or_else(|| damaged("the counts of the queues"))
}

/// When the first request was received that is not settled.
pub(in crate::store) fn unsettled_since(db: &dyn Db) -> Result<Option<Timestamp>, Error> {
    db.row(db.dialect().oldest_unsettled, &[], |row| Ok(from_millis(row.get(0)?)))
}

/// Each is the first row of an index, so that nobody looks through a long queue.
pub(in crate::store) fn oldest(db: &dyn Db) -> Result<OldestView, Error> {
    let first = |sql: &str, values: &[Value<'_>]| db.row(sql, values, |row| Ok(from_millis(row.get(0)?)));
    let mut due = Vec::new();
    let mut upstream = String::new();
    // From one upstream to the next, by the index of what is due.
    let next = "SELECT upstream FROM deliveries WHERE state = 'due' AND upstream > ?1 ORDER BY upstream LIMIT 1";
    while let Some(name) = db.row(next, values![upstream], |row| row.get::<String>(0))? {
        let sql = "SELECT due_at FROM deliveries WHERE upstream = ?1 AND state = 'due' ORDER BY due_at, id LIMIT 1";
        due.extend(first(sql, values![name])?.map(|since| (name.clone(), since)));
        upstream = name;
    }
    let fetching = "SELECT since FROM fetches WHERE ready = 0 ORDER BY request, position LIMIT 1";
    Ok(OldestView {
        unsettled: unsettled_since(db)?,
        waiting: first("SELECT counted_at FROM sales WHERE state = 'waiting' ORDER BY waits_until LIMIT 1", &[])?,
        fetching: first(fetching, &[])?,
        due,
    })
}

pub(super) fn select_deliveries(db: &dyn Db, rest: &str, values: &[Value<'_>]) -> Result<Vec<DeliveryView>, Error> {
    let sql =
        format!("SELECT {DELIVERY_COLUMNS}, s.currency, {INVOICE_ID} FROM deliveries d JOIN sales s ON s.id = d.sale {rest}");
    db.rows(&sql, values, delivery_view)
}

fn delivery_view(row: &Row<'_>) -> Result<DeliveryView, Error> {
    let adjustment = adjustment(row)?;
    Ok(DeliveryView {
        kind: if adjustment.is_some() { "adjustment" } else { "sale" },
        adjustment,
        upstream_id: row.get(11)?,
        id: row.get(0)?,
        sale: row.get(1)?,
        upstream: row.get(2)?,
        state: DeliveryState::parse(row.text(3)?).ok_or_else(|| damaged("the state of a delivery"))?,
        invoice_id: invoice_id(row, 13)?,
        attempts: row.get(4)?,
        due_at: from_millis(row.get(5)?).to_string(),
        last_status: row.get(6)?,
        last_reason: row.get(7)?,
        history: Vec::new(),
    })
}

fn adjustment(row: &Row<'_>) -> Result<Option<StepView>, Error> {
    let (number, minor, taken_back): (u32, Option<i64>, Option<i64>) = (row.get(8)?, row.get(9)?, row.get(10)?);
    let Some((minor, taken_back)) = minor.zip(taken_back) else { return Ok(None) };
    let currency = Currency::from_code(row.text(12)?).ok_or_else(|| damaged("the currency of a sale"))?;
    let amount = |minor| Money { minor, currency }.to_number();
    let currency = currency.code().to_owned();
    Ok(Some(StepView { number, amount: amount(minor), taken_back: amount(taken_back), currency }))
}

pub(super) fn request_view(db: &dyn Db, Received { id, source, received_at, bytes }: Received) -> Result<RequestView, Error> {
    let sql = format!("SELECT {EVENT_COLUMNS} FROM events WHERE request = ?1 ORDER BY position");
    let events: Vec<EventView> = db.rows(&sql, values![id], event_view)?;
    let strongest = ["sale", "adjustment", "corroborates", "fetching", "parked", "ignored", "duplicate"];
    let outcome = strongest.into_iter().find(|outcome| events.iter().any(|event| event.outcome == *outcome));
    Ok(RequestView {
        id,
        source,
        received_at: from_millis(received_at).to_string(),
        body_bytes: bytes,
        outcome: outcome.unwrap_or("received").to_owned(),
        events,
    })
}

pub(super) fn event_view(row: &Row<'_>) -> Result<EventView, Error> {
    Ok(EventView {
        request: row.get(0)?,
        kind: row.get(1)?,
        outcome: row.get(2)?,
        code: row.get(3)?,
        reason: row.get(4)?,
        sale: row.get(5)?,
        at: from_millis(row.get(6)?).to_string(),
    })
}
