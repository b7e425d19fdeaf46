//! The ledger's slice of a batch, loaded by key: sales, customers, hints, and what was said of money that went back.
//!
//! It is loaded in rounds, each of which asks all its questions at once. What is looked for and may not be there yet is held by its
//! name first, so that of two replicas that learn of one purchase at the same time the second sees what the first wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashSet;
use sha2::{Digest as _, Sha256};

use super::names::{self, place_values, read_identity, whose};
use super::row::{SALES, STATEMENT_COLUMNS, sale, scope, statement};
use super::{Db, Name, Value, question, values};
use crate::attribute::{Hint, Pending, Place, Slice, Wanted, person_scope};
use crate::domain::{Mode, RequestId, Sale, SaleId, SaleState, Scope, Timestamp, from_millis};
use crate::store::Error;

/// A question's values.
type Question = Vec<Value<'static>>;

/// Loads the part of the ledger that is wanted. New sales are numbered from `next_sale`.
pub(in crate::store) fn load(db: &dyn Db, wanted: &Wanted, next_sale: SaleId) -> Result<Slice, Error> {
    let mut loading = Loading::new(db, next_sale);
    let clicked_scopes = wanted.clicked.iter().map(|(mode, customer)| (person_scope(*mode), customer.clone()));
    let mut customers: BTreeSet<(Scope, String)> = wanted.customers.iter().cloned().collect();
    let mut persons: BTreeSet<(Mode, String)> = wanted.persons.iter().cloned().collect();
    let mut keys: HashSet<Place> = wanted.keys.clone();
    db.hold(&|| held_names(wanted))?;
    loading.hints(&wanted.hints, &mut keys, &mut customers, &mut persons)?;
    let mut ids: BTreeSet<SaleId> = wanted.sales.iter().copied().collect();
    loading.sales_of_keys(&keys, &mut ids)?;
    let found_by_key = ids.clone();
    loading.sales_of_groups(&wanted.groups, &mut ids)?;
    loading.customers(&customers)?;
    let open: Vec<(Scope, String)> = customers.into_iter().chain(clicked_scopes).collect();
    loading.open_sales(&open, &mut ids)?;
    loading.sales(&ids)?;
    loading.none_was_merged(&found_by_key, &wanted.sales)?;
    if loading.sales.values().any(|sale| !sale.is_sent()) {
        // They may learn from any event of the batch who bought.
        persons.extend(wanted.clicked.iter().cloned());
    }
    loading.persons(&persons)?;
    loading.told(&wanted.sales)?;
    loading.applied(&wanted.event_ids)?;
    loading.finish()
}

/// The number that a new sale of the only server of a store gets.
pub(in crate::store) fn next_sale(db: &dyn Db) -> Result<SaleId, Error> {
    db.value("SELECT COALESCE(MAX(id), 0) + 1 FROM sales", &[])
}

/// Loads sales whose waiting is over.
pub(in crate::store) fn expired(db: &dyn Db, now: Timestamp, limit: usize) -> Result<(Slice, usize), Error> {
    let mut loading = Loading::new(db, SaleId::MAX);
    // Before any sale is locked.
    db.hold(&Vec::new)?;
    let sql = format!(
        "{SALES} WHERE state = 'waiting' AND waits_until <= ?1 ORDER BY waits_until LIMIT ?2{}",
        db.dialect().skip_locked
    );
    db.query(&sql, values![now.as_millisecond(), limit], &mut |row| {
        let sale = sale(row)?;
        loading.sales.insert(sale.id, sale);
        Ok(())
    })?;
    let count = loading.sales.len();
    Ok((loading.finish()?, count))
}

pub(in crate::store) fn next_expiry(db: &dyn Db) -> Result<Option<Timestamp>, Error> {
    let millis: Option<i64> = db.value("SELECT MIN(waits_until) FROM sales WHERE state = 'waiting'", &[])?;
    Ok(millis.map(from_millis))
}

/// A slice that is being loaded.
struct Loading<'a> {
    db: &'a dyn Db,
    sales: BTreeMap<SaleId, Sale>,
    slice: Slice,
    known_customers: HashSet<(Scope, String)>,
    known_persons: HashSet<(Mode, String)>,
}

impl<'a> Loading<'a> {
    fn new(db: &'a dyn Db, next_sale: SaleId) -> Self {
        Self {
            db,
            sales: BTreeMap::new(),
            slice: Slice { next_sale, ..Slice::default() },
            known_customers: HashSet::new(),
            known_persons: HashSet::new(),
        }
    }

    fn sales(&mut self, ids: &BTreeSet<SaleId>) -> Result<(), Error> {
        let questions: Vec<Question> = ids.iter().map(|id| question![id]).collect();
        let sql = format!("{SALES} WHERE id = ?1{}", self.db.dialect().for_update);
        self.db.query_all(&sql, &questions, &mut |_, row| {
            let sale = sale(row)?;
            self.sales.insert(sale.id, sale);
            Ok(())
        })
    }

    /// A key leads to a merged sale only where that was merged while its lock was waited for; now the key leads to the other.
    fn none_was_merged(&self, found_by_key: &BTreeSet<SaleId>, wanted: &HashSet<SaleId>) -> Result<(), Error> {
        let is_merged = |id: &&SaleId| self.sales.get(id).is_some_and(|sale| matches!(sale.state, SaleState::Merged(_)));
        let is_late = found_by_key.iter().filter(|id| !wanted.contains(*id)).any(|id| is_merged(&id));
        if self.db.dialect().is_shared && is_late {
            return Err(Error::Conflict("a sale was merged meanwhile".to_owned()));
        }
        Ok(())
    }

    fn sales_of_keys(&mut self, keys: &HashSet<Place>, ids: &mut BTreeSet<SaleId>) -> Result<(), Error> {
        let questions: Vec<Question> = keys.iter().map(place_values).collect();
        names::SALE_OF_KEY.all(self.db, &questions, &mut |_, row| {
            ids.insert(row.get(0)?);
            Ok(())
        })
    }

    fn sales_of_groups(&mut self, groups: &HashSet<Place>, ids: &mut BTreeSet<SaleId>) -> Result<(), Error> {
        let groups: Vec<&Place> = groups.iter().collect();
        let questions: Vec<Question> = groups.iter().map(|group| place_values(group)).collect();
        self.slice.groups.extend(groups.iter().map(|group| ((*group).clone(), Vec::new())));
        names::SALES_OF_GROUP.all(self.db, &questions, &mut |place, row| {
            let id = row.get(0)?;
            ids.insert(id);
            if let Some(known) = groups.get(place).and_then(|group| self.slice.groups.get_mut(*group)) {
                known.push(id);
            }
            Ok(())
        })
    }

    /// Hints, and all that they lead to: further ids of the same purchase, and what was said of money that went back.
    fn hints(
        &mut self,
        wanted: &HashSet<Place>,
        keys: &mut HashSet<Place>,
        customers: &mut BTreeSet<(Scope, String)>,
        persons: &mut BTreeSet<(Mode, String)>,
    ) -> Result<(), Error> {
        // Most purchases are counted by their first event.
        if wanted.is_empty() || !self.db.exists("SELECT 1 FROM hints LIMIT 1", &[])? {
            return Ok(());
        }
        let mut asked: HashSet<Place> = HashSet::new();
        let mut open: Vec<Place> = wanted.iter().cloned().collect();
        let mut statements: Vec<(RequestId, u16)> = Vec::new();
        while !open.is_empty() {
            let questions: Vec<Question> = open.iter().map(place_values).collect();
            let mut found: Vec<(usize, Hint)> = Vec::new();
            let sql = "SELECT hint FROM hints WHERE scope = ?1 AND kind = ?2 AND value = ?3";
            self.db.query_all(sql, &questions, &mut |place, row| {
                found.push((place, serde_json::from_str(row.text(0)?)?));
                Ok(())
            })?;
            asked.extend(open.iter().cloned());
            let mut next: Vec<Place> = Vec::new();
            for (at, hint) in found {
                let Some(place) = open.get(at).cloned() else { continue };
                // An event that names no customer may learn from a hint who it was.
                customers.extend(hint.buyer.customer.iter().map(|customer| (place.0.clone(), customer.clone())));
                persons.extend(hint.buyer.customer_external_id.iter().map(|found| (place.0.mode, found.value.clone())));
                let tied = hint.keys.iter().filter(|key| key.identifies);
                next.extend(tied.map(|key| (place.0.clone(), Arc::clone(&key.kind), key.value.clone())));
                statements.extend(hint.statements.iter().map(|Pending { request, position, .. }| (*request, *position)));
                self.slice.hints.insert(place, hint);
            }
            keys.extend(next.iter().cloned());
            next.retain(|place| !asked.contains(place));
            next.sort_unstable();
            next.dedup();
            open = next;
            self.db.hold(&|| open.iter().map(name_of_place).collect())?;
        }
        self.db.hold(&|| customers.iter().map(|(place, customer)| name_of_customer(place, customer)).collect())?;
        let questions: Vec<Question> = statements.iter().map(|(request, position)| question![request, position]).collect();
        let sql = format!(
            "SELECT {STATEMENT_COLUMNS} FROM adjustments WHERE request = ?1 AND position = ?2 AND sale IS NULL{}",
            self.db.dialect().for_update
        );
        self.db.query_all(&sql, &questions, &mut |_, row| {
            let found = statement(row)?;
            self.slice.pending.insert((found.request, found.position), found);
            Ok(())
        })
    }

    /// What is remembered of providers' customers.
    fn customers(&mut self, customers: &BTreeSet<(Scope, String)>) -> Result<(), Error> {
        let new: Vec<&(Scope, String)> = customers.iter().filter(|customer| !self.known_customers.contains(*customer)).collect();
        self.db.hold(&|| new.iter().map(|(place, customer)| name_of_customer(place, customer)).collect())?;
        let questions: Vec<Question> = new.iter().map(|(place, customer)| question![scope(place), customer]).collect();
        names::CUSTOMER.all(self.db, &questions, &mut |place, row| {
            if let Some(customer) = new.get(place) {
                self.slice.identities.insert((*customer).clone(), read_identity(row)?);
            }
            Ok(())
        })?;
        self.known_customers.extend(new.into_iter().cloned());
        Ok(())
    }

    /// What is remembered of the team's own customers, across sources.
    fn persons(&mut self, persons: &BTreeSet<(Mode, String)>) -> Result<(), Error> {
        let new: Vec<&(Mode, String)> = persons.iter().filter(|person| !self.known_persons.contains(*person)).collect();
        self.db.hold(&|| new.iter().map(|(mode, customer)| name_of_person(*mode, customer)).collect())?;
        let question = |(mode, customer): &&(Mode, String)| question![scope(&person_scope(*mode)), customer];
        let questions: Vec<Question> = new.iter().map(question).collect();
        names::PERSON.all(self.db, &questions, &mut |_, row| {
            self.slice.identities.insert(whose(row)?, read_identity(row)?);
            Ok(())
        })?;
        self.known_persons.extend(new.into_iter().cloned());
        Ok(())
    }

    /// The sales of customers that something learned about them may still complete.
    fn open_sales(&mut self, customers: &[(Scope, String)], ids: &mut BTreeSet<SaleId>) -> Result<(), Error> {
        let (persons, customers): (Vec<_>, Vec<_>) = customers.iter().partition(|(place, _)| place.account.is_empty());
        let of_person =
            "SELECT id FROM sales WHERE customer_external_id = ?2 AND sent_as IS NULL AND state <> 'merged' AND click_id IS NULL
             AND customer_external_id IS NOT NULL AND substr(scope, 1, length(CAST(?1 AS TEXT))) = ?1 ORDER BY id DESC LIMIT 100";
        let of_customer = "SELECT id FROM sales WHERE scope = ?1 AND customer = ?2 AND sent_as IS NULL AND state <> 'merged'
             AND (click_id IS NULL OR customer_external_id IS NULL) ORDER BY id DESC LIMIT 100";
        for (sql, asked) in [(of_person, persons), (of_customer, customers)] {
            let questions: Vec<Question> = asked.iter().map(|(place, customer)| question![scope(place), customer]).collect();
            self.db.query_all(sql, &questions, &mut |_, row| {
                ids.insert(row.get(0)?);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// How many events are recorded of sales that were asked for by their numbers.
    fn told(&mut self, sales: &HashSet<SaleId>) -> Result<(), Error> {
        let sales: Vec<SaleId> = sales.iter().copied().collect();
        let questions: Vec<Question> = sales.iter().map(|id| question![id]).collect();
        self.db.query_all("SELECT COUNT(*) FROM events WHERE sale = ?1", &questions, &mut |place, row| {
            if let Some(id) = sales.get(place) {
                self.slice.told.insert(*id, row.get(0)?);
            }
            Ok(())
        })
    }

    /// Which events were applied under providers' event ids.
    fn applied(&mut self, event_ids: &HashSet<(Arc<str>, String)>) -> Result<(), Error> {
        let event_ids: Vec<&(Arc<str>, String)> = event_ids.iter().collect();
        let questions: Vec<Question> = event_ids.iter().map(|(source, id)| question![source, id]).collect();
        names::EVENT_OF_ID.all(self.db, &questions, &mut |place, row| {
            if let Some(event_id) = event_ids.get(place) {
                self.slice.applied.insert((*event_id).clone(), (row.get(0)?, row.get(1)?));
            }
            Ok(())
        })
    }

    /// Adds what is remembered of the customers of all loaded sales, and what was said of money that went back.
    fn finish(mut self) -> Result<Slice, Error> {
        let mut customers: BTreeSet<(Scope, String)> = BTreeSet::new();
        let mut persons: BTreeSet<(Mode, String)> = BTreeSet::new();
        for sale in self.sales.values().filter(|sale| !sale.is_sent()) {
            customers.extend(sale.buyer.customer.iter().map(|customer| (sale.scope.clone(), customer.clone())));
            persons.extend(sale.buyer.customer_external_id.iter().map(|found| (sale.scope.mode, found.value.clone())));
        }
        self.customers(&customers)?;
        // Who a provider's customer is, leads to what other providers told of the same.
        persons.extend(self.slice.identities.iter().filter_map(|((place, _), identity)| {
            let (found, _) = identity.customer_external_id.as_ref()?;
            Some((place.mode, found.value.clone()))
        }));
        self.persons(&persons)?;
        let adjusted: Vec<SaleId> = self.sales.values().filter(|sale| sale.adjustments > 0).map(|sale| sale.id).collect();
        self.slice.statements.extend(adjusted.iter().map(|id| (*id, Vec::new())));
        let questions: Vec<Question> = adjusted.iter().map(|id| question![id]).collect();
        let sql = format!("SELECT {STATEMENT_COLUMNS} FROM adjustments WHERE sale = ?1 ORDER BY request, position");
        self.db.query_all(&sql, &questions, &mut |place, row| {
            let known = adjusted.get(place).and_then(|id| self.slice.statements.get_mut(id));
            if let Some(known) = known {
                known.push(statement(row)?);
            }
            Ok(())
        })?;
        self.slice.sales = self.sales.into_values().collect();
        Ok(self.slice)
    }
}

/// The names of all that a batch may learn of for the first time.
fn held_names(wanted: &Wanted) -> Vec<Name> {
    let places = wanted.keys.iter().chain(&wanted.groups).chain(&wanted.hints).map(name_of_place);
    let customers = wanted.customers.iter().map(|(place, customer)| name_of_customer(place, customer));
    let persons = wanted.persons.iter().chain(&wanted.clicked).map(|(mode, customer)| name_of_person(*mode, customer));
    places.chain(customers).chain(persons).collect()
}

fn name_of_place((place, kind, value): &Place) -> Name {
    name(&["key", &scope(place), kind, value])
}

fn name_of_customer(place: &Scope, customer: &str) -> Name {
    if place.account.is_empty() { name_of_person(place.mode, customer) } else { name(&["customer", &scope(place), customer]) }
}

fn name_of_person(mode: Mode, customer: &str) -> Name {
    name(&["person", mode.as_str(), customer])
}

/// The same on every replica, whatever version it runs.
fn name(parts: &[&str]) -> Name {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    Name::from_be_bytes(first)
}
