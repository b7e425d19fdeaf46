//! What a batch touches: what the store must load before events can be applied, and what it has loaded.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::hints::Hint;
use super::learn::person_scope;
use crate::domain::{Event, Identity, Key, Meaning, Mode, RequestId, Sale, SaleId, Scope, Statement};

/// Where a key lives: scope, kind, value.
pub type Place = (Scope, Arc<str>, String);

/// Where a key of this scope lives.
pub fn place(scope: &Scope, key: &Key) -> Place {
    (scope.clone(), Arc::clone(&key.kind), key.value.clone())
}

/// What a store must load before events can be applied.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Identifying keys: the sales that have any of them.
    pub keys: HashSet<Place>,
    /// Keys that group, by which an adjustment may find its sale: the sales that have any of them.
    pub groups: HashSet<Place>,
    /// Customers by what they are remembered under: their identities, and their sales that still lack something.
    pub customers: HashSet<(Scope, String)>,
    /// The team's own customers whose clicks may be needed: all their identities.
    pub persons: HashSet<(Mode, String)>,
    /// The team's own customers of whom a click is told: their sales that still lack one.
    pub clicked: HashSet<(Mode, String)>,
    /// Sources and providers' event ids: which event was applied under them.
    pub event_ids: HashSet<(Arc<str>, String)>,
    /// Keys of purchases about which events may have said something before they were counted. What such a hint names has to be
    /// loaded as well: its keys, its statements, its customer.
    pub hints: HashSet<Place>,
    /// Sales by their numbers.
    pub sales: HashSet<SaleId>,
    /// No more than so many sales may be new.
    pub new_sales: usize,
    /// True where a sale of the batch lacks its customer or its click, or may be credited to another click.
    has_lacking_sales: bool,
}

/// The part of the ledger that was loaded.
#[derive(Debug, Default)]
pub struct Slice {
    /// The number of the next new sale.
    pub next_sale: SaleId,
    /// The sales.
    pub sales: Vec<Sale>,
    /// For each wanted group, the numbers of its sales that are loaded.
    pub groups: HashMap<Place, Vec<SaleId>>,
    /// What is remembered of customers.
    pub identities: HashMap<(Scope, String), Identity>,
    /// By which event the listed ids were used up: its request, and its place in it.
    pub applied: HashMap<(Arc<str>, String), (RequestId, u16)>,
    /// What was said of purchases that are not counted yet.
    pub hints: HashMap<Place, Hint>,
    /// How many events are recorded of each of the sales that were wanted by their numbers.
    pub told: HashMap<SaleId, usize>,
    /// What was said of money that went back, by sale.
    pub statements: HashMap<SaleId, Vec<Statement>>,
    /// The same for purchases that are not counted yet, as far as a hint names it.
    pub pending: HashMap<(RequestId, u16), Statement>,
}

impl Wanted {
    /// What these events touch.
    pub fn by<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut wanted = Self::default();
        let events = events.into_iter();
        wanted.reserve(events.size_hint().0);
        for event in events {
            if event.accepted {
                wanted.add(event);
            }
        }
        // A sale that lacks something may learn from any event of the batch who bought, and then needs all that is remembered of them.
        if wanted.has_lacking_sales {
            wanted.persons.extend(wanted.clicked.iter().cloned());
        }
        wanted
    }

    /// Room for what so many events mostly touch.
    fn reserve(&mut self, events: usize) {
        self.event_ids.reserve(events);
        self.customers.reserve(events);
        self.keys.reserve(2 * events);
        self.hints.reserve(2 * events);
    }

    fn add(&mut self, event: &Event) {
        if let Some(id) = &event.provider_id {
            self.event_ids.insert((Arc::clone(&event.source), id.clone()));
        }
        if let Some(customer) = &event.buyer.customer {
            self.customers.insert((event.scope.clone(), customer.clone()));
        }
        if let Some(found) = &event.buyer.customer_external_id {
            let person = (event.scope.mode, found.value.clone());
            if event.buyer.customer.is_none() {
                self.customers.insert((person_scope(event.scope.mode), found.value.clone()));
            }
            if event.buyer.click_id.is_some() {
                self.clicked.insert(person.clone());
            }
            if event.buyer.click_id.is_none() || event.renewal {
                self.persons.insert(person);
            }
        }
        let is_back = match event.meaning {
            Meaning::Adjustment(_) => true,
            Meaning::Sale(_) => {
                self.new_sales += 1;
                self.has_lacking_sales |= event.renewal || !event.buyer.is_complete();
                false
            }
            Meaning::Ignored(_) => false,
            Meaning::Parked(_) | Meaning::Lacking(_) => return,
        };
        for key in event.keys.iter().filter(|key| key.identifies || key.leads) {
            let place = place(&event.scope, key);
            self.hints.insert(place.clone());
            if key.identifies {
                self.keys.insert(place);
            } else if is_back {
                self.groups.insert(place);
            }
        }
    }
}
