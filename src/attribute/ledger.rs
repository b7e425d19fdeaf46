//! The slice of the ledger that a batch touches, and the fold of events over it.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::changes::{Changes, DoubleCount, EventOutcome, EventRecord, Merge, NewDelivery, NewFetch, SaleKey, Tell};
use super::credit::{Memory, remember};
use super::settle::{absorb, fill, nothing_left, open, settle};
use super::slice::{Place, Slice, place};
use super::tally::{Counted, counted, tally};
use super::{Renewals, Rules};
use crate::domain::{Claim, Event, Key, Meaning, Mode, Reason, RequestId, SaleId, SaleState, Scope, Timestamp};

/// The slice of the ledger that a batch touches.
#[derive(Debug, Default)]
pub struct Ledger {
    pub(super) slice: Slice,
    /// How each sale was counted when it was loaded.
    before: Vec<Option<Counted>>,
    pub(super) by_id: HashMap<SaleId, usize>,
    pub(super) by_key: HashMap<Place, usize>,
    /// The identities of each of the team's own customers.
    pub(super) persons: HashMap<(Mode, String), Vec<(Scope, String)>>,
    /// The sale that each statement is about.
    pub(super) stated: HashMap<(RequestId, u16), SaleId>,
    /// Sales that were not sent and lack something.
    pub(super) open: BTreeSet<usize>,
    pub(super) changed_hints: HashSet<Place>,
    pub(super) spent_hints: HashSet<Place>,
    pub(super) changed_sales: BTreeSet<usize>,
    /// Sales of which something else is left than before.
    pub(super) rebalanced: BTreeSet<usize>,
    pub(super) changed_identities: HashSet<(Scope, String)>,
    pub(super) changes: Changes,
}

/// What became of an event, before it is recorded.
pub(super) struct Applied {
    pub(super) outcome: EventOutcome,
    pub(super) reason: Option<Reason>,
    pub(super) sale: Option<usize>,
    pub(super) is_late: bool,
}

impl Ledger {
    /// A slice as it was loaded.
    pub fn new(slice: Slice) -> Self {
        let mut ledger = Self { before: slice.sales.iter().map(counted).collect(), slice, ..Self::default() };
        for index in 0..ledger.slice.sales.len() {
            ledger.index(index);
        }
        ledger.note_statements();
        ledger.slice.identities.keys().cloned().collect::<Vec<_>>().iter().for_each(|key| ledger.note_person(key));
        ledger
    }

    /// Applies one event by the rules of the ledger.
    pub fn apply(&mut self, event: &Event, rules: &Rules, now: Timestamp) {
        let applied = self.applied(event, rules, now);
        let sale = applied.sale.map(|index| self.slice.sales[index].id);
        let record = EventRecord::new(event, applied.outcome, applied.reason, sale);
        self.changes.events.push(EventRecord { is_late: applied.is_late, ..record });
    }

    /// What became of the events so far.
    pub fn events(&self) -> &[EventRecord] {
        &self.changes.events
    }

    /// Lets go, or parks, every loaded sale whose waiting is over.
    pub fn expire(&mut self, rules: &Rules, now: Timestamp) {
        for index in 0..self.slice.sales.len() {
            if matches!(self.slice.sales[index].state, SaleState::Waiting(until) if until <= now) {
                self.settle(index, rules, now);
            }
        }
    }

    /// What the store must write.
    pub fn into_changes(mut self) -> Changes {
        let mut before = self.before.into_iter();
        for (index, sale) in self.slice.sales.into_iter().enumerate() {
            let (is_new, before) = before.next().map_or((true, None), |before| (false, before));
            if !is_new && !self.changed_sales.contains(&index) {
                continue;
            }
            for (counted, sign) in [(before, -1), (counted(&sale), 1)] {
                counted.into_iter().for_each(|counted| tally(&mut self.changes.tallies, counted, sign));
            }
            if is_new { self.changes.new_sales.push(sale) } else { self.changes.changed_sales.push(sale) }
        }
        let Changes { new_sales, changed_sales, deliveries, .. } = &mut self.changes;
        let kept_back = new_sales.iter().chain(changed_sales.iter()).filter(|sale| sale.is_parked_by_hand());
        let kept_back: HashSet<SaleId> = kept_back.map(|sale| sale.id).collect();
        deliveries.retain(|delivery| !kept_back.contains(&delivery.sale));
        let hints = &mut self.slice.hints;
        let changed = self.changed_hints.into_iter();
        self.changes.hints = changed.filter_map(|place| hints.remove(&place).map(|hint| (place, hint))).collect();
        self.changes.spent_hints = self.spent_hints.into_iter().collect();
        let identities = &mut self.slice.identities;
        let changed = self.changed_identities.into_iter();
        self.changes.identities =
            changed.filter_map(|key| identities.remove(&key).map(|identity| (key.0, key.1, identity))).collect();
        self.changes
    }

    /// Notes which sale each loaded statement is about.
    pub(super) fn note_statements(&mut self) {
        for (sale, statements) in &self.slice.statements {
            self.stated.extend(statements.iter().map(|said| ((said.request, said.position), *sale)));
        }
    }

    fn note_open(&mut self, index: usize) {
        let sale = &self.slice.sales[index];
        let is_closed = sale.is_sent() || sale.buyer.is_complete() || matches!(sale.state, SaleState::Merged(_));
        if is_closed {
            self.open.remove(&index)
        } else {
            self.open.insert(index)
        };
    }

    pub(super) fn index(&mut self, index: usize) {
        let sale = &self.slice.sales[index];
        self.by_id.insert(sale.id, index);
        if matches!(sale.state, SaleState::Merged(_)) {
            return;
        }
        for key in sale.keys.iter().filter(|key| key.identifies) {
            // A key stays with the sale that had it first; see `add_keys`.
            self.by_key.entry(place(&sale.scope, key)).or_insert(index);
        }
        self.note_open(index);
    }

    fn applied(&mut self, event: &Event, rules: &Rules, now: Timestamp) -> Applied {
        let plain = |outcome, reason: Reason| Applied { outcome, reason: Some(reason), sale: None, is_late: false };
        match &event.meaning {
            _ if self.is_applied(event) => plain(EventOutcome::Duplicate, event_repeated()),
            Meaning::Parked(reason) => plain(EventOutcome::Parked, reason.clone()),
            Meaning::Lacking(fetch) => {
                let (request, position, source) = (event.request, event.position, Arc::clone(&event.source));
                self.changes.fetches.push(NewFetch { request, position, source });
                plain(EventOutcome::Fetching, Reason::new("fetching", format!("waits until {} is fetched", fetch.path)))
            }
            Meaning::Ignored(reason) if !event.accepted => plain(EventOutcome::Ignored, reason.clone()),
            Meaning::Ignored(reason) => {
                let keys = self.keys_with_ties(event);
                let found = self.complete(event, None, &keys, rules, now);
                if found.is_none() {
                    self.hint(event, &keys, false);
                }
                let (sale, is_late) = found.map_or((None, false), |found| (found.sale, found.is_late));
                Applied { outcome: EventOutcome::Ignored, reason: Some(reason.clone()), sale, is_late }
            }
            Meaning::Adjustment(adjustment) => self.take_back(event, adjustment, rules, now),
            Meaning::Sale(claim) => {
                let keys = self.keys_with_ties(event);
                let applied = self.complete(event, Some(claim), &keys, rules, now).unwrap_or_else(|| {
                    let sale = Some(self.count(event, claim, &keys, rules, now));
                    Applied { outcome: EventOutcome::Sale, reason: None, sale, is_late: false }
                });
                if let Some(index) = applied.sale {
                    self.take_refunded(index, event, claim, rules, now);
                }
                applied
            }
        }
    }

    /// True where the provider's event was applied before; remembers it where it is applied now.
    fn is_applied(&mut self, event: &Event) -> bool {
        // Live and test share nothing: what is not accepted uses no id up.
        let Some(id) = event.provider_id.as_ref().filter(|_| event.accepted) else { return false };
        let key = (Arc::clone(&event.source), id.clone());
        let own = (event.request, event.position);
        match event.meaning {
            Meaning::Parked(_) | Meaning::Lacking(_) => self.slice.applied.get(&key).is_some_and(|by| *by != own),
            Meaning::Sale(_) | Meaning::Adjustment(_) | Meaning::Ignored(_) => {
                *self.slice.applied.entry(key).or_insert(own) != own
            }
        }
    }

    /// Learns from the event and adds it to the sale that it speaks of. `None` where there is no such sale yet.
    pub(super) fn complete(
        &mut self,
        event: &Event,
        claim: Option<&Claim>,
        keys: &[Key],
        rules: &Rules,
        now: Timestamp,
    ) -> Option<Applied> {
        self.learn(event);
        let matching = self.matching(event, keys);
        let found = matching.first().copied().map(|first| {
            let index = matching[1..].iter().fold(first, |stays, &other| self.join(stays, other, event));
            let is_late = self.slice.sales[index].is_sent();
            if claim.is_some() && self.slice.sales[index].is_not_counted_today() {
                self.slice.sales[index].state = SaleState::Waiting(now); // it is counted again
            }
            let reason = fill(&mut self.slice.sales[index], event, claim);
            self.attach(index, event, keys);
            self.settle(index, rules, now);
            Applied { outcome: EventOutcome::Corroborates, reason, sale: Some(index), is_late }
        });
        self.release(event, claim.is_some(), found.as_ref().and_then(|found| found.sale), rules, now);
        found
    }

    /// Counts a new sale.
    fn count(&mut self, event: &Event, claim: &Claim, keys: &[Key], rules: &Rules, now: Timestamp) -> usize {
        let id = self.slice.next_sale;
        self.slice.next_sale += 1;
        let index = self.slice.sales.len();
        self.slice.sales.push(open(id, event, claim, now));
        self.by_id.insert(id, index);
        self.attach(index, event, keys);
        self.settle(index, rules, now);
        index
    }

    /// Gives a sale its keys, and all that was said under them before.
    pub(super) fn attach(&mut self, index: usize, event: &Event, keys: &[Key]) {
        let statements = self.take_hints(index, keys);
        self.add_keys(index, event, keys);
        let id = self.slice.sales[index].id;
        for (request, position) in statements {
            // A refund that came first is kept under each of its keys: it is found by all, and taken once.
            if let Some(statement) = self.slice.pending.remove(&(request, position)) {
                self.state(id, statement);
                self.changes.found_sales.push((request, position, id));
            }
        }
        self.rebalance(index);
    }

    /// The loaded sales that these keys identify, sent ones first, then by age.
    pub(super) fn matching(&self, event: &Event, keys: &[Key]) -> Vec<usize> {
        let of_key = |key: &Key| self.by_key.get(&place(&event.scope, key)).copied();
        let mut found: Vec<usize> = keys.iter().filter(|key| key.identifies).filter_map(of_key).collect();
        found.sort_by_key(|&index| (!self.slice.sales[index].is_sent(), self.slice.sales[index].id));
        found.dedup();
        found
    }

    /// Two sales turn out to be one purchase: merged while one of them is unsent, else reported.
    pub(super) fn join(&mut self, stays: usize, goes: usize, event: &Event) -> usize {
        let sales = &mut self.slice.sales;
        let (id, gone) = (sales[stays].id, sales[goes].clone());
        if gone.is_sent() {
            let pair = DoubleCount { first: id.min(gone.id), second: id.max(gone.id), request: event.request };
            self.changes.double_counts.push(pair);
            return stays;
        }
        absorb(&mut sales[stays], &gone);
        if gone.is_parked_by_hand() && !sales[stays].is_sent() && !sales[stays].is_parked_by_hand() {
            // What a person keeps back is kept back under whatever number.
            sales[stays].state = gone.state.clone();
            self.changes.withdrawn.push(id);
        }
        for key in gone.keys {
            if key.identifies {
                self.by_key.insert(place(&gone.scope, &key), stays);
            }
            if key.identifies || key.leads {
                self.changes.moved_keys.push(SaleKey { sale: id, scope: gone.scope.clone(), key: key.clone() });
            }
            if !sales[stays].keys.iter().any(|known| known.kind == key.kind && known.value == key.value) {
                sales[stays].keys.push(key);
            }
        }
        sales[goes].state = SaleState::Merged(id);
        (sales[goes].taken_back, sales[goes].adjustments) = (0, 0);
        let statements = self.slice.statements.remove(&gone.id).unwrap_or_default();
        statements.into_iter().for_each(|statement| self.state(id, statement));
        self.changes.merged.push(Merge { goes: gone.id, stays: id });
        self.changed_sales.extend([stays, goes]);
        self.rebalance(stays);
        stays
    }

    fn add_keys(&mut self, index: usize, event: &Event, keys: &[Key]) {
        for key in keys {
            let is_known = |known: &&mut Key| known.kind == key.kind && known.value == key.value;
            // A key that is read otherwise than before is found otherwise from now on.
            let mut known = self.slice.sales[index].keys.iter_mut();
            if known.find(is_known).is_some_and(|known| (known.identifies, known.leads) == (key.identifies, key.leads)) {
                continue;
            }
            let place = place(&event.scope, key);
            if key.identifies && self.by_key.contains_key(&place) {
                continue; // it belongs to a sale that was sent as well: reported as a possible double count
            }
            let sale = self.slice.sales[index].id;
            if key.identifies {
                self.by_key.insert(place, index);
            }
            if key.identifies || key.leads {
                self.changes.new_keys.push(SaleKey { sale, scope: event.scope.clone(), key: key.clone() });
            }
            match self.slice.sales[index].keys.iter_mut().find(|known| known.kind == key.kind && known.value == key.value) {
                Some(known) => known.clone_from(key),
                None => self.slice.sales[index].keys.push(key.clone()),
            }
            self.changed_sales.insert(index);
        }
    }

    /// The customer's other sales that lack something may now know enough: from memory, or from an event that they await.
    /// What any other event says may belong to another purchase.
    pub(super) fn release(&mut self, event: &Event, is_sale: bool, own: Option<usize>, rules: &Rules, now: Timestamp) {
        let (customer, external) = (&event.buyer.customer, &event.buyer.customer_external_id);
        if event.buyer.click_id.is_none() && (external.is_none() || customer.is_none()) {
            return;
        }
        for index in self.open.iter().copied().filter(|index| Some(*index) != own).collect::<Vec<_>>() {
            let sale = &mut self.slice.sales[index];
            let is_customers = sale.scope == event.scope && customer.is_some() && sale.buyer.customer == *customer;
            let known = sale.buyer.customer_external_id.as_ref().map(|found| &found.value);
            let is_persons =
                sale.scope.mode == event.scope.mode && known.is_some() && known == external.as_ref().map(|found| &found.value);
            if is_customers {
                sale.buyer.take_contact(&event.buyer);
                let is_timely = event.at >= sale.at.checked_sub(rules.waiting_room).unwrap_or(sale.at);
                let is_awaited = sale.awaits.iter().any(|kind| **kind == *event.kind);
                if !is_sale && !event.renewal && is_awaited && is_timely && !sale.buyer.contradicts(&event.buyer) {
                    sale.buyer.take(&event.buyer);
                }
            }
            if is_customers || is_persons {
                self.settle(index, rules, now);
            }
        }
    }

    /// Decides where the sale stands. What was handed to the queues is never taken back, but a click may still release it.
    pub(super) fn settle(&mut self, index: usize, rules: &Rules, now: Timestamp) {
        self.changed_sales.insert(index);
        self.decide(index, rules, now);
        self.note_open(index);
        self.tell(index, rules);
    }

    /// Upstreams that have the sale are told what is left of it; those that get it later are told then.
    fn tell(&mut self, index: usize, rules: &Rules) {
        let sale = &self.slice.sales[index];
        if !sale.is_sent() || !self.rebalanced.remove(&index) {
            return;
        }
        for route in &rules.upstreams {
            let Some(rule) = route.adjustments else { continue };
            self.changes.tells.push(Tell { sale: sale.id, upstream: Arc::clone(&route.upstream), rule });
        }
    }

    fn decide(&mut self, index: usize, rules: &Rules, now: Timestamp) {
        let Slice { sales, identities, .. } = &mut self.slice;
        let sale = &mut sales[index];
        if sale.is_sent() || matches!(sale.state, SaleState::Merged(_)) || sale.is_not_counted_today() || sale.is_parked_by_hand()
        {
            return;
        }
        let customer = sale.buyer.customer.as_ref();
        let customer = customer.and_then(|customer| identities.get(&(sale.scope.clone(), customer.clone())));
        let own = sale.buyer.customer_external_id.as_ref().map(|found| &found.value);
        let known = customer.and_then(|identity| identity.customer_external_id.as_ref()).map(|(found, _)| &found.value);
        let external = own.or(known).cloned();
        let person = external.and_then(|external| self.persons.get(&(sale.scope.mode, external)));
        let person = person.into_iter().flatten().filter_map(|key| identities.get(key)).collect();
        let memory = &Memory { customer, person };
        if sale.state == SaleState::Ready {
            if sale.renewal && rules.renewals == Renewals::None {
                return;
            }
            if sale.is_nothing_left() {
                // It waits in a queue; when money comes back, it is put there again.
                sale.state = SaleState::Parked(nothing_left());
                self.changes.withdrawn.push(sale.id);
                return;
            }
            remember(sale, memory, rules);
            // A click lets go what is held for one, if there is anything left to be sent; also once money has come back.
            let is_new = sale.buyer.click_id.is_some() && sale.without_click.take().is_some();
            if (is_new || sale.adjustments > 0) && sale.buyer.click_id.is_some() {
                self.changes.released.push(sale.id);
            }
            return;
        }
        settle(sale, memory, rules, now);
        if sale.state == SaleState::Ready {
            for route in &rules.upstreams {
                let Some(state) = route.first_state(sale) else { continue };
                let upstream = Arc::clone(&route.upstream);
                self.changes.deliveries.push(NewDelivery { sale: sale.id, upstream, state });
            }
        }
    }
}

fn event_repeated() -> Reason {
    Reason::new("event_repeated", "an event of this id was applied before, from a request with other bytes")
}
