//! The slice of the ledger that a batch touches, and the fold of events over it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::changes::{Changes, DoubleCount, EventOutcome, EventRecord, NewDelivery, NewFetch, SaleKey};
use super::settle::{absorb, fill, open, remember, settle};
use super::{Rules, WithoutClick};
use crate::domain::{
    Buyer, Claim, DeliveryState, Event, Found, Identity, Key, Meaning, Reason, Sale, SaleId, SaleState, Scope, Timestamp,
};

/// What a store must load before events can be applied.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Identifying keys: the sales that have any of them.
    pub keys: HashSet<Place>,
    /// Providers' customers: their identities, and their sales that are waiting or parked.
    pub customers: HashSet<(Scope, String)>,
    /// Sources and providers' event ids: which of them were applied.
    pub event_ids: HashSet<(Arc<str>, String)>,
    /// Identifying keys of purchases about which events that are no sales may have said something.
    pub hints: HashSet<Place>,
}

/// Where a key lives: scope, kind, value.
pub type Place = (Scope, Arc<str>, String);

/// The slice of the ledger that a batch touches.
#[derive(Debug, Default)]
pub struct Ledger {
    sales: Vec<Sale>,
    loaded: usize,
    by_key: HashMap<Place, usize>,
    identities: HashMap<(Scope, String), Identity>,
    applied: HashSet<(Arc<str>, String)>,
    hints: HashMap<Place, Buyer>,
    changed_hints: HashSet<Place>,
    next_sale: SaleId,
    changed_sales: BTreeSet<usize>,
    changed_identities: HashSet<(Scope, String)>,
    changes: Changes,
}

impl Wanted {
    /// What these events touch.
    pub fn by(events: &[Event]) -> Self {
        let mut wanted = Self::default();
        for event in events {
            if !event.accepted {
                continue;
            }
            if let Some(id) = &event.provider_id {
                wanted.event_ids.insert((Arc::clone(&event.source), id.clone()));
            }
            if let Some(customer) = &event.buyer.customer {
                wanted.customers.insert((event.scope.clone(), customer.clone()));
            }
            let lacks = !event.buyer.is_complete() || event.buyer.customer.is_none();
            for key in event.keys.iter().filter(|key| key.identifies) {
                let place = (event.scope.clone(), Arc::clone(&key.kind), key.value.clone());
                let asks = match event.meaning {
                    Meaning::Sale(_) => lacks,
                    Meaning::Ignored(_) => !event.buyer.is_empty(),
                    Meaning::Parked(_) | Meaning::Lacking(_) => false,
                };
                if asks {
                    wanted.hints.insert(place.clone());
                }
                wanted.keys.insert(place);
            }
        }
        wanted
    }
}

impl Ledger {
    /// A slice as it was loaded. New sales are numbered from `next_sale`.
    pub fn new(
        next_sale: SaleId,
        sales: Vec<Sale>,
        identities: HashMap<(Scope, String), Identity>,
        applied: HashSet<(Arc<str>, String)>,
        hints: HashMap<Place, Buyer>,
    ) -> Self {
        let mut ledger = Self { next_sale, identities, applied, hints, ..Self::default() };
        for (index, sale) in sales.iter().enumerate() {
            for key in sale.keys.iter().filter(|key| key.identifies) {
                ledger.by_key.insert((sale.scope.clone(), Arc::clone(&key.kind), key.value.clone()), index);
            }
        }
        ledger.loaded = sales.len();
        ledger.sales = sales;
        ledger
    }

    /// Applies one event by the rules of the ledger.
    pub fn apply(&mut self, event: &Event, rules: &Rules, now: Timestamp) {
        let (outcome, reason, sale) = match &event.meaning {
            _ if self.is_applied(event) => (EventOutcome::Duplicate, Some(event_repeated()), None),
            Meaning::Parked(reason) => (EventOutcome::Parked, Some(reason.clone()), None),
            Meaning::Lacking(fetch) => {
                self.changes.fetches.push(NewFetch {
                    request: event.request,
                    position: event.position,
                    source: Arc::clone(&event.source),
                });
                (EventOutcome::Fetching, Some(Reason::new("fetching", format!("waits until {} is fetched", fetch.path))), None)
            }
            Meaning::Ignored(reason) if !event.accepted => (EventOutcome::Ignored, Some(reason.clone()), None),
            Meaning::Ignored(reason) => {
                let sale = self.complete(event, None, rules, now).map(|(index, _)| self.sales[index].id);
                if sale.is_none() {
                    self.hint(event);
                }
                (EventOutcome::Ignored, Some(reason.clone()), sale)
            }
            Meaning::Sale(claim) => match self.complete(event, Some(claim), rules, now) {
                Some((index, note)) => (EventOutcome::Corroborates, note, Some(self.sales[index].id)),
                None => (EventOutcome::Sale, None, Some(self.count(event, claim, rules, now))),
            },
        };
        self.changes.events.push(EventRecord::new(event, outcome, reason, sale));
    }

    /// Lets go, or parks, every loaded sale whose waiting is over.
    pub fn expire(&mut self, rules: &Rules, now: Timestamp) {
        for index in 0..self.sales.len() {
            if matches!(self.sales[index].state, SaleState::Waiting(until) if until <= now) {
                self.settle(index, rules, now);
            }
        }
    }

    /// What the store must write.
    pub fn into_changes(mut self) -> Changes {
        for (index, sale) in self.sales.into_iter().enumerate() {
            if index >= self.loaded {
                self.changes.new_sales.push(sale);
            } else if self.changed_sales.contains(&index) {
                self.changes.changed_sales.push(sale);
            }
        }
        let hints = &mut self.hints;
        let changed = self.changed_hints.into_iter();
        self.changes.hints = changed.filter_map(|place| hints.remove(&place).map(|buyer| (place, buyer))).collect();
        let identities = &mut self.identities;
        let changed = self.changed_identities.into_iter();
        self.changes.identities =
            changed.filter_map(|key| identities.remove(&key).map(|identity| (key.0, key.1, identity))).collect();
        self.changes
    }

    /// True where the provider's event was applied before; remembers it where it is applied now.
    fn is_applied(&mut self, event: &Event) -> bool {
        // Live and test share nothing: what is not accepted uses no id up.
        let Some(id) = event.provider_id.as_ref().filter(|_| event.accepted) else { return false };
        let key = (Arc::clone(&event.source), id.clone());
        match event.meaning {
            Meaning::Parked(_) | Meaning::Lacking(_) => self.applied.contains(&key),
            Meaning::Sale(_) | Meaning::Ignored(_) => !self.applied.insert(key),
        }
    }

    /// Learns from the event and adds it to the sale that it speaks of. `None` where there is no such sale yet.
    fn complete(
        &mut self,
        event: &Event,
        claim: Option<&Claim>,
        rules: &Rules,
        now: Timestamp,
    ) -> Option<(usize, Option<Reason>)> {
        self.learn(event);
        let matching = self.matching(event);
        let found = matching.first().copied().map(|first| {
            let index = matching[1..].iter().fold(first, |stays, &other| self.join(stays, other, event));
            let note = fill(&mut self.sales[index], event, claim);
            let mut sale = self.sales[index].clone();
            if !sale.is_sent() {
                self.take_hints(&mut sale, event);
                self.sales[index] = sale;
            }
            self.add_keys(index, event);
            self.settle(index, rules, now);
            (index, note)
        });
        self.release(event, claim.is_some(), found.as_ref().map(|(index, _)| *index), rules, now);
        found
    }

    /// Counts a new sale.
    fn count(&mut self, event: &Event, claim: &Claim, rules: &Rules, now: Timestamp) -> SaleId {
        let id = self.next_sale;
        self.next_sale += 1;
        let index = self.sales.len();
        let mut sale = open(id, event, claim, now);
        self.take_hints(&mut sale, event);
        self.sales.push(sale);
        self.add_keys(index, event);
        self.settle(index, rules, now);
        id
    }

    /// What earlier events said about this purchase. One that names another buyer speaks of something else.
    fn take_hints(&mut self, sale: &mut Sale, event: &Event) {
        for key in event.keys.iter().filter(|key| key.identifies) {
            let place = (event.scope.clone(), Arc::clone(&key.kind), key.value.clone());
            if let Some(hint) = self.hints.remove(&place) {
                if !sale.buyer.contradicts(&hint) {
                    sale.buyer.take(&hint);
                }
                self.changed_hints.remove(&place);
                self.changes.spent_hints.push(place);
            }
        }
    }

    /// Remembers what an event said about a purchase that is not counted yet: an authorisation often knows more than its capture.
    fn hint(&mut self, event: &Event) {
        if event.buyer.is_empty() {
            return;
        }
        for key in event.keys.iter().filter(|key| key.identifies) {
            let place = (event.scope.clone(), Arc::clone(&key.kind), key.value.clone());
            let known = self.hints.entry(place.clone()).or_default();
            let mut newer = event.buyer.clone();
            newer.take(known);
            if newer != *known {
                *known = newer;
                self.changed_hints.insert(place);
            }
        }
    }

    /// The loaded sales that the event's keys identify, sent ones first, then by age.
    fn matching(&self, event: &Event) -> Vec<usize> {
        let of_key = |key: &Key| {
            let index = self.by_key.get(&(event.scope.clone(), Arc::clone(&key.kind), key.value.clone()))?;
            Some(*index)
        };
        let mut found: Vec<usize> = event.keys.iter().filter(|key| key.identifies).filter_map(of_key).collect();
        found.sort_by_key(|&index| (!self.sales[index].is_sent(), self.sales[index].id));
        found.dedup();
        found
    }

    /// Two sales turn out to be one purchase: merged while one of them is unsent, else reported.
    fn join(&mut self, stays: usize, goes: usize, event: &Event) -> usize {
        if self.sales[goes].is_sent() {
            let (one, other) = (self.sales[stays].id, self.sales[goes].id);
            let pair = DoubleCount { first: one.min(other), second: one.max(other), request: event.request };
            self.changes.double_counts.push(pair);
            return stays;
        }
        let gone = self.sales[goes].clone();
        absorb(&mut self.sales[stays], &gone);
        let id = self.sales[stays].id;
        for key in gone.keys {
            if key.identifies {
                self.by_key.insert((gone.scope.clone(), Arc::clone(&key.kind), key.value.clone()), stays);
                self.changes.moved_keys.push(SaleKey { sale: id, scope: gone.scope.clone(), key: key.clone() });
            }
            self.sales[stays].keys.push(key);
        }
        self.sales[goes].state = SaleState::Merged(id);
        self.changes.merged.push(gone.id);
        self.changed_sales.extend([stays, goes]);
        stays
    }

    fn add_keys(&mut self, index: usize, event: &Event) {
        for key in &event.keys {
            let is_known = |known: &Key| known.kind == key.kind && known.value == key.value;
            if self.sales[index].keys.iter().any(is_known) {
                continue;
            }
            let place = (event.scope.clone(), Arc::clone(&key.kind), key.value.clone());
            if key.identifies && self.by_key.contains_key(&place) {
                continue; // it belongs to a sale that was sent as well: reported as a possible double count
            }
            if key.identifies {
                self.by_key.insert(place, index);
                let sale = self.sales[index].id;
                self.changes.new_keys.push(SaleKey { sale, scope: event.scope.clone(), key: key.clone() });
            }
            self.sales[index].keys.push(key.clone());
            self.changed_sales.insert(index);
        }
    }

    /// Remembers what the event says about the provider's customer. A renewal repeats its first click for ever, so it
    /// never replaces a newer one.
    fn learn(&mut self, event: &Event) {
        let Some(customer) = &event.buyer.customer else { return };
        let key = (event.scope.clone(), customer.clone());
        let identity = self.identities.entry(key.clone()).or_insert_with(|| Identity {
            customer_external_id: None,
            click_id: None,
            first_seen: event.at,
            last_seen: event.at,
        });
        let is_newest = event.at >= identity.last_seen;
        let replaces = |known: &Option<Found>, value: &Option<Found>| value.is_some() && (known.is_none() || is_newest);
        if replaces(&identity.customer_external_id, &event.buyer.customer_external_id) {
            identity.customer_external_id.clone_from(&event.buyer.customer_external_id);
        }
        if let Some(click) = &event.buyer.click_id
            && identity.click_id.as_ref().is_none_or(|(_, known_at)| event.at >= *known_at && !event.renewal)
        {
            identity.click_id = Some((click.clone(), event.at));
        }
        identity.first_seen = identity.first_seen.min(event.at);
        identity.last_seen = identity.last_seen.max(event.at);
        self.changed_identities.insert(key);
    }

    /// The customer's other sales that lack something may now know enough: from memory, or from an event that they await.
    /// What any other event says may belong to another purchase.
    fn release(&mut self, event: &Event, is_sale: bool, own: Option<usize>, rules: &Rules, now: Timestamp) {
        if event.buyer.customer.is_none() || (event.buyer.click_id.is_none() && event.buyer.customer_external_id.is_none()) {
            return;
        }
        for index in 0..self.sales.len() {
            let sale = &mut self.sales[index];
            let is_closed = sale.is_sent() || sale.buyer.is_complete() || matches!(sale.state, SaleState::Merged(_));
            if Some(index) == own || is_closed || sale.scope != event.scope || sale.buyer.customer != event.buyer.customer {
                continue;
            }
            sale.buyer.take_contact(&event.buyer);
            if !is_sale && !event.renewal && sale.awaits.iter().any(|kind| **kind == *event.kind) {
                sale.buyer.take(&event.buyer);
            }
            self.settle(index, rules, now);
        }
    }

    /// Decides where the sale stands. What was handed to the queues is never taken back, but a click may still release it.
    fn settle(&mut self, index: usize, rules: &Rules, now: Timestamp) {
        self.changed_sales.insert(index);
        let sale = &mut self.sales[index];
        if sale.is_sent() {
            return;
        }
        let memory =
            sale.buyer.customer.as_ref().and_then(|customer| self.identities.get(&(sale.scope.clone(), customer.clone())));
        if sale.state == SaleState::Ready {
            remember(sale, memory, rules);
            if sale.buyer.click_id.is_some() && sale.without_click.take().is_some() {
                self.changes.released.push(sale.id);
            }
            return;
        }
        settle(sale, memory, rules, now);
        if sale.state == SaleState::Ready {
            let has_click = sale.buyer.click_id.is_some();
            for route in &rules.upstreams {
                let state = first_state(has_click, route.without_click);
                let upstream = Arc::clone(&route.upstream);
                self.changes.deliveries.push(NewDelivery { sale: sale.id, upstream, state });
            }
        }
    }
}

fn event_repeated() -> Reason {
    Reason::new("event_repeated", "an event of this id was applied before, from a request with other bytes")
}

fn first_state(has_click: bool, without_click: WithoutClick) -> DeliveryState {
    match without_click {
        _ if has_click => DeliveryState::Due,
        WithoutClick::Send => DeliveryState::Due,
        WithoutClick::Hold => DeliveryState::Held,
        WithoutClick::Skip => DeliveryState::Skipped,
    }
}
