//! The ledger's slice of a batch: loaded by key, written back in one go.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::fetches;
use super::row::{SALE_BY_ID, damaged, origin, origin_from, sale, scope, write_sale};
use crate::attribute::{Changes, DoubleCount, EventRecord, Ledger, Place, SaleKey, Wanted};
use crate::domain::{Buyer, Found, Identity, RequestId, Sale, SaleId, Scope, Timestamp, from_millis};
use crate::store::Error;

pub(super) fn load(connection: &Connection, wanted: &Wanted) -> Result<Ledger, Error> {
    let mut sales = BTreeMap::new();
    let mut by_key = connection.prepare_cached("SELECT sale FROM sale_keys WHERE scope = ?1 AND kind = ?2 AND value = ?3")?;
    for (place, kind, value) in &wanted.keys {
        let id: Option<SaleId> = by_key.query_row(params![scope(place), kind, value], |row| row.get(0)).optional()?;
        if let Some(id) = id {
            load_sale(connection, id, &mut sales)?;
        }
    }
    let mut hints = HashMap::new();
    let mut by_hint = connection.prepare_cached("SELECT buyer FROM hints WHERE scope = ?1 AND kind = ?2 AND value = ?3")?;
    for place in &wanted.hints {
        let buyer: Option<String> = by_hint.query_row(params![scope(&place.0), place.1, place.2], |row| row.get(0)).optional()?;
        if let Some(buyer) = buyer {
            hints.insert(place.clone(), serde_json::from_str(&buyer)?);
        }
    }
    // An event that names no customer may learn from a hint who it was.
    let hinted = hints.iter().filter_map(|(place, buyer): (&Place, &Buyer)| Some((place.0.clone(), buyer.customer.clone()?)));
    let customers: HashSet<(Scope, String)> = wanted.customers.iter().cloned().chain(hinted).collect();
    let mut identities = HashMap::new();
    for (place, customer) in &customers {
        // Every sale of a customer has taught who the customer is, so without an identity there is no sale either.
        if let Some(identity) = identity(connection, place, customer)? {
            identities.insert((place.clone(), customer.clone()), identity);
            load_open(connection, place, customer, &mut sales)?;
        }
    }
    load_missing_identities(connection, &sales, &mut identities)?;
    let mut applied = HashSet::new();
    let mut by_event = connection.prepare_cached("SELECT 1 FROM events WHERE source = ?1 AND unique_id = ?2")?;
    for (source, id) in &wanted.event_ids {
        if by_event.exists(params![source, id])? {
            applied.insert((Arc::clone(source), id.clone()));
        }
    }
    let next_sale = connection.prepare_cached("SELECT COALESCE(MAX(id), 0) + 1 FROM sales")?.query_row([], |row| row.get(0))?;
    Ok(Ledger::new(next_sale, sales.into_values().collect(), identities, applied, hints))
}

pub(super) fn expired(connection: &Connection, now: Timestamp, limit: usize) -> Result<(Ledger, usize), Error> {
    let mut select = connection
        .prepare_cached("SELECT * FROM sales WHERE state = 'waiting' AND waits_until <= ?1 ORDER BY waits_until LIMIT ?2")?;
    let mut rows = select.query(params![now.as_millisecond(), limit])?;
    let mut sales = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let sale = sale(row)?;
        sales.insert(sale.id, sale);
    }
    let count = sales.len();
    let mut identities = HashMap::new();
    load_missing_identities(connection, &sales, &mut identities)?;
    Ok((Ledger::new(SaleId::MAX, sales.into_values().collect(), identities, HashSet::new(), HashMap::new()), count))
}

pub(super) fn next_expiry(connection: &Connection) -> Result<Option<Timestamp>, Error> {
    let mut select = connection.prepare_cached("SELECT MIN(waits_until) FROM sales WHERE state = 'waiting'")?;
    let millis: Option<i64> = select.query_row([], |row| row.get(0))?;
    Ok(millis.map(from_millis))
}

pub(super) fn write(connection: &Connection, changes: &Changes, now: Timestamp) -> Result<(), Error> {
    changes.new_sales.iter().try_for_each(|sale| insert_sale(connection, sale))?;
    changes.changed_sales.iter().try_for_each(|sale| update_sale(connection, sale))?;
    changes.new_keys.iter().try_for_each(|key| put_key(connection, key))?;
    for key in &changes.moved_keys {
        let sql = "UPDATE sale_keys SET sale = ?4 WHERE scope = ?1 AND kind = ?2 AND value = ?3";
        connection.prepare_cached(sql)?.execute(params![scope(&key.scope), key.key.kind, key.key.value, key.sale])?;
    }
    for (place, customer, identity) in &changes.identities {
        put_identity(connection, place, customer, identity)?;
    }
    changes.events.iter().try_for_each(|event| put_event(connection, event))?;
    let millis = now.as_millisecond();
    for ((place, kind, value), buyer) in &changes.hints {
        let sql = "INSERT INTO hints VALUES (?1, ?2, ?3, ?4) ON CONFLICT (scope, kind, value) DO UPDATE SET buyer = ?4";
        connection.prepare_cached(sql)?.execute(params![scope(place), kind, value, serde_json::to_string(buyer)?])?;
    }
    for (place, kind, value) in &changes.spent_hints {
        let sql = "DELETE FROM hints WHERE scope = ?1 AND kind = ?2 AND value = ?3";
        connection.prepare_cached(sql)?.execute(params![scope(place), kind, value])?;
    }
    changes.fetches.iter().try_for_each(|fetch| fetches::begin(connection, fetch, millis))?;
    for delivery in &changes.deliveries {
        let sql = "INSERT INTO deliveries (sale, upstream, state, due_at, attempts, updated_at) VALUES (?1, ?2, ?3, ?4, 0, ?4)";
        connection.prepare_cached(sql)?.execute(params![delivery.sale, delivery.upstream, delivery.state.as_str(), millis])?;
    }
    for id in &changes.released {
        let sql =
            "UPDATE deliveries SET state = 'due', due_at = ?2, updated_at = ?2 WHERE sale = ?1 AND state IN ('held', 'skipped')";
        connection.prepare_cached(sql)?.execute(params![id, millis])?;
    }
    for id in &changes.merged {
        let sql = "UPDATE deliveries SET state = 'merged', updated_at = ?2 WHERE sale = ?1";
        connection.prepare_cached(sql)?.execute(params![id, millis])?;
    }
    for pair in &changes.double_counts {
        let sql = "INSERT OR IGNORE INTO double_counts VALUES (?1, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![pair.first, pair.second, pair.request])?;
        let DoubleCount { first, second, request } = *pair;
        tracing::error!(sale.id = first, other = second, request.id = request, "a possible double count: both sales were sent");
    }
    Ok(())
}

/// Marks every request up to this one as settled.
pub(super) fn mark(connection: &Connection, through: RequestId) -> Result<(), Error> {
    let sql = "UPDATE progress SET settled_through = ?1 WHERE settled_through < ?1";
    let changed = connection.prepare_cached(sql)?.execute([through])?;
    if changed == 1 { Ok(()) } else { Err(damaged("the mark of the last settled request")) }
}

fn load_sale(connection: &Connection, id: SaleId, sales: &mut BTreeMap<SaleId, Sale>) -> Result<(), Error> {
    if let Entry::Vacant(place) = sales.entry(id) {
        let mut select = connection.prepare_cached(SALE_BY_ID)?;
        place.insert(select.query_row([id], |row| Ok(sale(row)))??);
    }
    Ok(())
}

/// The sales of a provider's customer that something learned about it may still complete.
fn load_open(connection: &Connection, place: &Scope, customer: &str, sales: &mut BTreeMap<SaleId, Sale>) -> Result<(), Error> {
    let mut select = connection.prepare_cached(
        "SELECT id FROM sales WHERE scope = ?1 AND customer = ?2 AND sent_as IS NULL AND state <> 'merged'
         AND (click_id IS NULL OR customer_external_id IS NULL) ORDER BY id DESC LIMIT 100",
    )?;
    let ids: Vec<SaleId> = select.query_map(params![scope(place), customer], |row| row.get(0))?.collect::<Result<_, _>>()?;
    ids.into_iter().try_for_each(|id| load_sale(connection, id, sales))
}

fn load_missing_identities(
    connection: &Connection,
    sales: &BTreeMap<SaleId, Sale>,
    identities: &mut HashMap<(Scope, String), Identity>,
) -> Result<(), Error> {
    for sale in sales.values() {
        let Some(customer) = &sale.buyer.customer else { continue };
        let key = (sale.scope.clone(), customer.clone());
        if !identities.contains_key(&key)
            && let Some(identity) = identity(connection, &sale.scope, customer)?
        {
            identities.insert(key, identity);
        }
    }
    Ok(())
}

fn identity(connection: &Connection, place: &Scope, customer: &str) -> Result<Option<Identity>, Error> {
    let mut select = connection.prepare_cached(
        "SELECT customer_external_id, customer_origin, click_id, click_origin, click_at, first_seen, last_seen
         FROM identities WHERE scope = ?1 AND customer = ?2",
    )?;
    select.query_row(params![scope(place), customer], |row| Ok(read_identity(row))).optional()?.transpose()
}

fn read_identity(row: &Row<'_>) -> Result<Identity, Error> {
    let found = |column: usize| -> Result<Option<Found>, Error> {
        let value: Option<String> = row.get(column)?;
        let Some(value) = value else { return Ok(None) };
        let origin: Option<String> = row.get(column + 1)?;
        let origin = serde_json::from_str(&origin.ok_or_else(|| damaged("an identity without its origin"))?)?;
        Ok(Some(Found { value, origin: origin_from(&origin)? }))
    };
    let click_at: Option<i64> = row.get(4)?;
    Ok(Identity {
        customer_external_id: found(0)?,
        click_id: found(2)?.zip(click_at.map(from_millis)),
        first_seen: from_millis(row.get(5)?),
        last_seen: from_millis(row.get(6)?),
    })
}

fn insert_sale(connection: &Connection, sale: &Sale) -> Result<(), Error> {
    let sql =
        "INSERT INTO sales VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
         ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28)";
    write_sale(&mut connection.prepare_cached(sql)?, sale)
}

fn update_sale(connection: &Connection, sale: &Sale) -> Result<(), Error> {
    let sql = "UPDATE sales SET source = ?2, scope = ?3, event = ?4, rank = ?5, amount_minor = ?6, currency = ?7, at = ?8,
         customer = ?9, customer_external_id = ?10, click_id = ?11, email = ?12, name = ?13, trail = ?14, keys = ?15,
         renewal = ?16, awaits = ?17, seen = ?18, state = ?19, waits_until = ?20, merged_into = ?21, parked_code = ?22,
         parked_reason = ?23, click_code = ?24, click_reason = ?25, request = ?26, counted_at = ?27, sent_as = ?28
         WHERE id = ?1";
    write_sale(&mut connection.prepare_cached(sql)?, sale)
}

/// An identifying key that belongs to another sale already would be a second count: the constraint refuses the whole batch.
fn put_key(connection: &Connection, key: &SaleKey) -> Result<(), Error> {
    let sql = "INSERT INTO sale_keys (scope, kind, value, sale) VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute(params![scope(&key.scope), key.key.kind, key.key.value, key.sale])?;
    Ok(())
}

fn put_identity(connection: &Connection, place: &Scope, customer: &str, identity: &Identity) -> Result<(), Error> {
    let sql = "INSERT INTO identities VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (scope, customer) DO UPDATE SET
         customer_external_id = ?3, customer_origin = ?4, click_id = ?5, click_origin = ?6, click_at = ?7, first_seen = ?8,
         last_seen = ?9";
    let external = identity.customer_external_id.as_ref();
    let click = identity.click_id.as_ref();
    connection.prepare_cached(sql)?.execute(params![
        scope(place),
        customer,
        external.map(|found| &found.value),
        external.map(|found| origin(&found.origin)),
        click.map(|(found, _)| &found.value),
        click.map(|(found, _)| origin(&found.origin)),
        click.map(|(_, at)| at.as_millisecond()),
        identity.first_seen.as_millisecond(),
        identity.last_seen.as_millisecond(),
    ])?;
    Ok(())
}

fn put_event(connection: &Connection, event: &EventRecord) -> Result<(), Error> {
    let sql = "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (request, position) DO UPDATE
         SET unique_id = ?4, kind = ?5, mode = ?6, at = ?7, outcome = ?8, code = ?9, reason = ?10, sale = ?11
         WHERE outcome = 'fetching'";
    connection.prepare_cached(sql)?.execute(params![
        event.request,
        event.position,
        event.source,
        event.unique_id,
        event.kind,
        event.mode.as_str(),
        event.at.as_millisecond(),
        event.outcome.as_str(),
        event.reason.as_ref().map(|reason| &*reason.code),
        event.reason.as_ref().map(|reason| &*reason.text),
        event.sale,
    ])?;
    Ok(())
}
