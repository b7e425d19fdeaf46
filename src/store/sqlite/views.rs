//! What people and programs are shown: listings, newest first, and single rows with their story.

use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};

use super::inbox;
use super::row::{SALE_BY_ID, damaged};
use super::story::{double_counts, sale_view};
use crate::domain::{Currency, DeliveryId, DeliveryState, Key, Money, Request, RequestId, SaleId, from_millis, invoice_id_of};
use crate::store::{AttemptView, DeliveryView, Error, EventView, QueueView, RequestView, SaleView, StepView, UpstreamView};

const DELIVERY_COLUMNS: &str = "d.id, d.sale, d.upstream, d.state, d.attempts, d.due_at, d.last_status, d.last_reason, d.number,
    d.amount_minor, d.taken_back, d.upstream_id";
pub(super) const EVENT_COLUMNS: &str = "request, kind, outcome, code, reason, sale, at";

pub(super) fn sales(connection: &Connection, limit: usize) -> Result<Vec<SaleView>, Error> {
    let mut select = connection.prepare("SELECT * FROM sales ORDER BY id DESC LIMIT ?1")?;
    let mut rows = select.query([limit])?;
    let mut views = Vec::new();
    while let Some(row) = rows.next()? {
        views.push(sale_view(connection, row)?);
    }
    Ok(views)
}

pub(super) fn sale(connection: &Connection, id: SaleId) -> Result<Option<SaleView>, Error> {
    let mut select = connection.prepare(SALE_BY_ID)?;
    let view = select.query_row([id], |row| Ok(sale_view(connection, row))).optional()?.transpose()?;
    let Some(view) = view else { return Ok(None) };
    Ok(Some(SaleView { double_counts: double_counts(connection, id)?, ..view }))
}

pub(super) fn requests(connection: &Connection, limit: usize) -> Result<Vec<RequestView>, Error> {
    let sql = "SELECT id, source, received_at, length(body) FROM inbox ORDER BY id DESC LIMIT ?1";
    let mut select = connection.prepare(sql)?;
    let mut rows = select.query([limit])?;
    let mut views = Vec::new();
    while let Some(row) = rows.next()? {
        views.push(request_view(connection, row)?);
    }
    Ok(views)
}

pub(super) fn request(connection: &Connection, id: RequestId) -> Result<Option<(RequestView, Request)>, Error> {
    let Some(request) = inbox::find(connection, id)? else { return Ok(None) };
    let sql = "SELECT id, source, received_at, length(body) FROM inbox WHERE id = ?1";
    let view = connection.query_row(sql, [id], |row| Ok(request_view(connection, row)))??;
    Ok(Some((view, request)))
}

pub(super) fn deliveries(connection: &Connection, limit: usize) -> Result<Vec<DeliveryView>, Error> {
    select_deliveries(connection, "ORDER BY d.id DESC LIMIT ?1", &[&limit])
}

pub(super) fn delivery(connection: &Connection, id: DeliveryId) -> Result<Option<DeliveryView>, Error> {
    let Some(mut view) = select_deliveries(connection, "WHERE d.id = ?1", &[&id])?.pop() else { return Ok(None) };
    let mut select = connection.prepare(
        "SELECT number, started_at, finished_at, outcome, status, reason, request, answer
         FROM attempts WHERE delivery = ?1 ORDER BY number",
    )?;
    let attempts = select.query_map([id], |row| {
        let (started_at, finished_at): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(AttemptView {
            number: row.get(0)?,
            started_at: from_millis(started_at).to_string(),
            duration_ms: finished_at - started_at,
            outcome: row.get(3)?,
            status: row.get(4)?,
            reason: row.get(5)?,
            request: row.get(6)?,
            answer: row.get(7)?,
        })
    })?;
    view.history = attempts.collect::<Result<_, _>>()?;
    Ok(Some(view))
}

pub(super) fn upstreams(connection: &Connection) -> Result<Vec<UpstreamView>, Error> {
    let mut select = connection.prepare(
        "WITH queued (name, due, dead) AS (
             SELECT upstream, COUNT(*), 0 FROM deliveries WHERE state = 'due' GROUP BY upstream
             UNION ALL SELECT upstream, COUNT(*), 0 FROM deliveries WHERE state = 'sending' GROUP BY upstream
             UNION ALL SELECT upstream, 0, COUNT(*) FROM deliveries WHERE state = 'dead' GROUP BY upstream
             UNION ALL SELECT name, 0, 0 FROM upstreams)
         SELECT queued.name, COALESCE(paused, 0), reason, since, COALESCE(by_hand, 0), SUM(due), SUM(dead)
         FROM queued LEFT JOIN upstreams ON upstreams.name = queued.name GROUP BY queued.name ORDER BY queued.name",
    )?;
    let views = select.query_map([], |row| {
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
    })?;
    Ok(views.collect::<Result<_, _>>()?)
}

pub(super) fn queues(connection: &Connection) -> Result<QueueView, Error> {
    let sql = "SELECT (SELECT COALESCE(MAX(id), 0) FROM inbox) - (SELECT settled_through FROM progress),
        (SELECT COUNT(*) FROM sales WHERE state = 'waiting'),
        (SELECT COUNT(*) FROM deliveries WHERE state = 'due') + (SELECT COUNT(*) FROM deliveries WHERE state = 'sending'),
        (SELECT COUNT(*) FROM deliveries WHERE state = 'dead'), (SELECT COUNT(*) FROM fetches)";
    Ok(connection.query_row(sql, [], |row| {
        Ok(QueueView { unsettled: row.get(0)?, waiting: row.get(1)?, due: row.get(2)?, dead: row.get(3)?, fetching: row.get(4)? })
    })?)
}

pub(super) fn select_deliveries(connection: &Connection, rest: &str, values: &[&dyn ToSql]) -> Result<Vec<DeliveryView>, Error> {
    let sql = format!(
        "SELECT {DELIVERY_COLUMNS}, s.keys, s.sent_as, s.currency FROM deliveries d JOIN sales s ON s.id = d.sale {rest}"
    );
    let mut select = connection.prepare(&sql)?;
    let mut rows = select.query(values)?;
    let mut views = Vec::new();
    while let Some(row) = rows.next()? {
        views.push(delivery_view(row)?);
    }
    Ok(views)
}

fn delivery_view(row: &Row<'_>) -> Result<DeliveryView, Error> {
    let keys: Vec<Key> = serde_json::from_str(&row.get::<_, String>(12)?)?;
    let adjustment = adjustment(row)?;
    Ok(DeliveryView {
        kind: if adjustment.is_some() { "adjustment" } else { "sale" },
        adjustment,
        upstream_id: row.get(11)?,
        id: row.get(0)?,
        sale: row.get(1)?,
        upstream: row.get(2)?,
        state: DeliveryState::parse(&row.get::<_, String>(3)?).ok_or_else(|| damaged("the state of a delivery"))?,
        invoice_id: row.get::<_, Option<String>>(13)?.or_else(|| invoice_id_of(&keys)),
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
    let currency = Currency::from_code(&row.get::<_, String>(14)?).ok_or_else(|| damaged("the currency of a sale"))?;
    let amount = |minor| Money { minor, currency }.to_number();
    let currency = currency.code().to_owned();
    Ok(Some(StepView { number, amount: amount(minor), taken_back: amount(taken_back), currency }))
}

fn request_view(connection: &Connection, row: &Row<'_>) -> Result<RequestView, Error> {
    let id: RequestId = row.get(0)?;
    let mut events =
        connection.prepare_cached(&format!("SELECT {EVENT_COLUMNS} FROM events WHERE request = ?1 ORDER BY position"))?;
    let events: Vec<EventView> = events.query_map(params![id], event_view)?.collect::<Result<_, _>>()?;
    let strongest = ["sale", "adjustment", "corroborates", "fetching", "parked", "ignored", "duplicate"];
    let outcome = strongest.into_iter().find(|outcome| events.iter().any(|event| event.outcome == *outcome));
    Ok(RequestView {
        id,
        source: row.get(1)?,
        received_at: from_millis(row.get(2)?).to_string(),
        body_bytes: row.get(3)?,
        outcome: outcome.unwrap_or("received").to_owned(),
        events,
    })
}

pub(super) fn event_view(row: &Row<'_>) -> rusqlite::Result<EventView> {
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
