//! The ledger's slice of a batch, loaded by key: sales, customers, hints, and what was said of money that went back.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::row::{SALE_BY_ID, STATEMENT_COLUMNS, damaged, origin_from, sale, scope, scope_from, statement};
use crate::attribute::{Hint, Pending, Place, Slice, Wanted, person_scope};
use crate::domain::{Found, Identity, Mode, Sale, SaleId, Scope, Timestamp, from_millis};
use crate::store::Error;

/// Loads the part of the ledger that is wanted.
pub(super) fn load(connection: &Connection, wanted: &Wanted) -> Result<Slice, Error> {
    let mut loading = Loading { connection, sales: BTreeMap::new(), slice: Slice::default() };
    loading.hints(&wanted.hints)?;
    for place in &wanted.keys {
        loading.sale_of_key(place)?;
    }
    for place in &wanted.groups {
        loading.sales_of_group(place)?;
    }
    for id in &wanted.sales {
        loading.sale(*id)?;
        let mut count = connection.prepare_cached("SELECT COUNT(*) FROM events WHERE sale = ?1")?;
        loading.slice.told.insert(*id, count.query_row([id], |row| row.get(0))?);
    }
    for (place, customer) in &wanted.customers {
        loading.customer(place, customer)?;
        loading.open_sales(place, customer)?;
    }
    for (mode, customer) in &wanted.persons {
        loading.person(*mode, customer)?;
    }
    for (mode, customer) in &wanted.clicked {
        loading.open_sales(&person_scope(*mode), customer)?;
    }
    if loading.sales.values().any(|sale| !sale.is_sent()) {
        // They may learn from any event of the batch who bought.
        for (mode, customer) in &wanted.clicked {
            loading.person(*mode, customer)?;
        }
    }
    let mut by_event = connection.prepare_cached("SELECT request, position FROM events WHERE source = ?1 AND unique_id = ?2")?;
    for (source, id) in &wanted.event_ids {
        let by = by_event.query_row(params![source, id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some(by) = by {
            loading.slice.applied.insert((Arc::clone(source), id.clone()), by);
        }
    }
    let mut next = connection.prepare_cached("SELECT COALESCE(MAX(id), 0) + 1 FROM sales")?;
    loading.slice.next_sale = next.query_row([], |row| row.get(0))?;
    loading.finish()
}

/// Loads sales whose waiting is over.
pub(super) fn expired(connection: &Connection, now: Timestamp, limit: usize) -> Result<(Slice, usize), Error> {
    let mut select = connection
        .prepare_cached("SELECT * FROM sales WHERE state = 'waiting' AND waits_until <= ?1 ORDER BY waits_until LIMIT ?2")?;
    let mut rows = select.query(params![now.as_millisecond(), limit])?;
    let mut sales = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let sale = sale(row)?;
        sales.insert(sale.id, sale);
    }
    let count = sales.len();
    let slice = Slice { next_sale: SaleId::MAX, ..Slice::default() };
    Ok((Loading { connection, sales, slice }.finish()?, count))
}

pub(super) fn next_expiry(connection: &Connection) -> Result<Option<Timestamp>, Error> {
    let mut select = connection.prepare_cached("SELECT MIN(waits_until) FROM sales WHERE state = 'waiting'")?;
    let millis: Option<i64> = select.query_row([], |row| row.get(0))?;
    Ok(millis.map(from_millis))
}
/// A slice that is being loaded.
struct Loading<'a> {
    connection: &'a Connection,
    sales: BTreeMap<SaleId, Sale>,
    slice: Slice,
}

impl Loading<'_> {
    fn sale(&mut self, id: SaleId) -> Result<(), Error> {
        if let Entry::Vacant(place) = self.sales.entry(id) {
            let mut select = self.connection.prepare_cached(SALE_BY_ID)?;
            place.insert(select.query_row([id], |row| Ok(sale(row)))??);
        }
        Ok(())
    }

    fn sale_of_key(&mut self, (place, kind, value): &Place) -> Result<(), Error> {
        let sql = "SELECT sale FROM sale_keys WHERE scope = ?1 AND kind = ?2 AND value = ?3";
        let mut by_key = self.connection.prepare_cached(sql)?;
        let id: Option<SaleId> = by_key.query_row(params![scope(place), kind, value], |row| row.get(0)).optional()?;
        id.map_or(Ok(()), |id| self.sale(id))
    }

    fn sales_of_group(&mut self, group: &Place) -> Result<(), Error> {
        let (place, kind, value) = group;
        let sql = "SELECT sale FROM sale_groups WHERE scope = ?1 AND kind = ?2 AND value = ?3 LIMIT 50";
        let mut by_group = self.connection.prepare_cached(sql)?;
        let found = by_group.query_map(params![scope(place), kind, value], |row| row.get(0))?;
        let ids: Vec<SaleId> = found.collect::<Result<_, _>>()?;
        ids.iter().try_for_each(|id| self.sale(*id))?;
        self.slice.groups.insert(group.clone(), ids);
        Ok(())
    }

    /// Hints, and all that they lead to: further ids of the same purchase, and what was said of money that went back.
    fn hints(&mut self, wanted: &HashSet<Place>) -> Result<(), Error> {
        // Most purchases are counted by their first event.
        if !self.connection.prepare_cached("SELECT 1 FROM hints LIMIT 1")?.exists([])? {
            return Ok(());
        }
        let sql = "SELECT hint FROM hints WHERE scope = ?1 AND kind = ?2 AND value = ?3";
        let mut by_place = self.connection.prepare_cached(sql)?;
        let mut open: Vec<Place> = wanted.iter().cloned().collect();
        while let Some(place) = open.pop() {
            if self.slice.hints.contains_key(&place) {
                continue;
            }
            let hint: Option<String> =
                by_place.query_row(params![scope(&place.0), place.1, place.2], |row| row.get(0)).optional()?;
            let Some(hint) = hint else { continue };
            let hint: Hint = serde_json::from_str(&hint)?;
            // An event that names no customer may learn from a hint who it was.
            if let Some(customer) = &hint.buyer.customer {
                self.customer(&place.0, customer)?;
                self.open_sales(&place.0, customer)?;
            }
            if let Some(found) = &hint.buyer.customer_external_id {
                self.person(place.0.mode, &found.value)?;
            }
            for key in hint.keys.iter().filter(|key| key.identifies) {
                let tied = (place.0.clone(), Arc::clone(&key.kind), key.value.clone());
                self.sale_of_key(&tied)?;
                open.push(tied);
            }
            for Pending { request, position, .. } in &hint.statements {
                let sql =
                    format!("SELECT {STATEMENT_COLUMNS} FROM adjustments WHERE request = ?1 AND position = ?2 AND sale IS NULL");
                let mut select = self.connection.prepare_cached(&sql)?;
                let found = select.query_row(params![request, position], |row| Ok(statement(row))).optional()?.transpose()?;
                if let Some(found) = found {
                    self.slice.pending.insert((*request, *position), found);
                }
            }
            self.slice.hints.insert(place, hint);
        }
        Ok(())
    }

    /// What is remembered of a provider's customer.
    fn customer(&mut self, place: &Scope, customer: &str) -> Result<(), Error> {
        let key = (place.clone(), customer.to_owned());
        if !self.slice.identities.contains_key(&key)
            && let Some(identity) = identity(self.connection, place, customer)?
        {
            self.slice.identities.insert(key, identity);
        }
        Ok(())
    }

    /// What is remembered of one of the team's own customers, across sources.
    fn person(&mut self, mode: Mode, customer: &str) -> Result<(), Error> {
        let sql = format!(
            "SELECT {IDENTITY_COLUMNS}, scope, customer FROM identities WHERE customer_external_id = ?1
             AND substr(scope, 1, length(?2)) = ?2 LIMIT 100"
        );
        let mut select = self.connection.prepare_cached(&sql)?;
        let mut rows = select.query(params![customer, scope(&person_scope(mode))])?;
        while let Some(row) = rows.next()? {
            let key = (scope_from(&row.get::<_, String>(6)?)?, row.get(7)?);
            self.slice.identities.insert(key, read_identity(row)?);
        }
        Ok(())
    }

    /// The sales of a customer that something learned about them may still complete.
    fn open_sales(&mut self, place: &Scope, customer: &str) -> Result<(), Error> {
        let sql = if place.account.is_empty() {
            "SELECT id FROM sales WHERE customer_external_id = ?2 AND sent_as IS NULL AND state <> 'merged' AND click_id IS NULL
             AND customer_external_id IS NOT NULL AND substr(scope, 1, length(?1)) = ?1 ORDER BY id DESC LIMIT 100"
        } else {
            "SELECT id FROM sales WHERE scope = ?1 AND customer = ?2 AND sent_as IS NULL AND state <> 'merged'
             AND (click_id IS NULL OR customer_external_id IS NULL) ORDER BY id DESC LIMIT 100"
        };
        let mut select = self.connection.prepare_cached(sql)?;
        let found = select.query_map(params![scope(place), customer], |row| row.get(0))?;
        let ids: Vec<SaleId> = found.collect::<Result<_, _>>()?;
        ids.into_iter().try_for_each(|id| self.sale(id))
    }

    /// Adds what is remembered of the customers of all loaded sales, and what was said of money that went back.
    fn finish(mut self) -> Result<Slice, Error> {
        let mut customers: Vec<(Scope, String)> = Vec::new();
        let mut persons: HashSet<(Mode, String)> = HashSet::new();
        for sale in self.sales.values().filter(|sale| !sale.is_sent()) {
            customers.extend(sale.buyer.customer.iter().map(|customer| (sale.scope.clone(), customer.clone())));
            persons.extend(sale.buyer.customer_external_id.iter().map(|found| (sale.scope.mode, found.value.clone())));
        }
        for (place, customer) in customers {
            self.customer(&place, &customer)?;
        }
        // Who a provider's customer is, leads to what other providers told of the same.
        persons.extend(self.slice.identities.iter().filter_map(|((place, _), identity)| {
            let (found, _) = identity.customer_external_id.as_ref()?;
            Some((place.mode, found.value.clone()))
        }));
        for (mode, customer) in persons {
            self.person(mode, &customer)?;
        }
        let sql = format!("SELECT {STATEMENT_COLUMNS} FROM adjustments WHERE sale = ?1");
        let mut select = self.connection.prepare_cached(&sql)?;
        for sale in self.sales.values().filter(|sale| sale.adjustments > 0) {
            let statements = select.query_map([sale.id], |row| Ok(statement(row)))?;
            let statements = statements.map(|found| found?).collect::<Result<_, Error>>()?;
            self.slice.statements.insert(sale.id, statements);
        }
        self.slice.sales = self.sales.into_values().collect();
        Ok(self.slice)
    }
}

/// The columns of an identity, which [`read_identity`] follows.
const IDENTITY_COLUMNS: &str = "customer_external_id, customer_origin, customer_at, clicks, first_seen, last_seen";

fn identity(connection: &Connection, place: &Scope, customer: &str) -> Result<Option<Identity>, Error> {
    let sql = format!("SELECT {IDENTITY_COLUMNS} FROM identities WHERE scope = ?1 AND customer = ?2");
    let mut select = connection.prepare_cached(&sql)?;
    select.query_row(params![scope(place), customer], |row| Ok(read_identity(row))).optional()?.transpose()
}

fn read_identity(row: &Row<'_>) -> Result<Identity, Error> {
    let (value, origin, at): (Option<String>, Option<String>, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let customer_external_id = match (value, origin, at) {
        (Some(value), Some(origin), Some(at)) => {
            Some((Found { value, origin: origin_from(&serde_json::from_str(&origin)?)? }, from_millis(at)))
        }
        (None, _, _) => None,
        (Some(_), None, _) | (Some(_), Some(_), None) => return Err(damaged("an identity without its origin")),
    };
    Ok(Identity {
        customer_external_id,
        clicks: serde_json::from_str(&row.get::<_, String>(3)?)?,
        first_seen: from_millis(row.get(4)?),
        last_seen: from_millis(row.get(5)?),
    })
}
