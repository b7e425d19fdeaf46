//! The ledger by today's packs: events that were applied before are read anew, and what is safe is changed.
//!
//! What was sent stays as it was sent. A sale is folded anew from its own events; an event that belonged to none is applied as if
//! it had just come.

use std::sync::Arc;

use hashbrown::HashSet;

use super::Rules;
use super::changes::{EventOutcome, EventRecord};
use super::ledger::Ledger;
use super::settle::{fill, open};
use super::slice::Slice;
use crate::domain::{Event, Found, Key, Meaning, NOT_TODAY, Reason, RequestId, Sale, SaleId, SaleState, Timestamp};

/// A key that today's pack no longer reads goes on finding its sale, but gives it no name.
const RETIRED: u8 = u8::MAX;

/// An event that was applied before, as today's pack reads it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// What it says now.
    pub event: Event,
    /// What had become of it.
    pub outcome: EventOutcome,
    /// The sale that it belonged to.
    pub sale: Option<SaleId>,
    /// True where that sale had been sent before.
    pub is_late: bool,
    /// True where it says something else than it did.
    pub is_changed: bool,
}

/// A sale before and after.
#[derive(Debug, Clone)]
pub struct SaleChange {
    /// As it was; `None` where it was not counted.
    pub before: Option<Sale>,
    /// As it is.
    pub after: Sale,
}

/// A sale that was sent, and would be another one today: left as it is.
#[derive(Debug, Clone)]
pub struct Unsafe {
    /// As it was sent.
    pub sent: Sale,
    /// What today's pack makes of it; `None` where it does not count it at all.
    pub today: Option<Sale>,
}

impl Recorded {
    /// Its request, and its place in it.
    pub fn place(&self) -> (RequestId, u16) {
        (self.event.request, self.event.position)
    }
}

impl Ledger {
    /// Adds what was loaded later; what is here already stays as it has become.
    pub fn extend(&mut self, more: Slice) {
        let mine = &mut self.slice;
        mine.next_sale = mine.next_sale.max(more.next_sale);
        for sale in more.sales {
            if !self.by_id.contains_key(&sale.id) {
                let index = self.slice.sales.len();
                self.slice.sales.push(sale);
                self.index(index);
            }
        }
        for (key, identity) in more.identities {
            self.slice.identities.entry(key.clone()).or_insert(identity);
            self.note_person(&key);
        }
        let mine = &mut self.slice;
        for (place, sales) in more.groups {
            mine.groups.entry(place).or_insert(sales);
        }
        for (key, event) in more.applied {
            mine.applied.entry(key).or_insert(event);
        }
        for (place, hint) in more.hints {
            if !self.spent_hints.contains(&place) {
                mine.hints.entry(place).or_insert(hint);
            }
        }
        mine.told.extend(more.told);
        for (sale, statements) in more.statements {
            mine.statements.entry(sale).or_insert(statements);
        }
        self.note_statements();
        for (place, statement) in more.pending {
            if !self.stated.contains_key(&place) {
                self.slice.pending.entry(place).or_insert(statement);
            }
        }
    }

    /// A sale, where it was loaded.
    pub fn sale(&self, id: SaleId) -> Option<&Sale> {
        self.by_id.get(&id).map(|index| &self.slice.sales[*index])
    }

    /// Pairs of sent sales that turned out to be one purchase.
    pub fn double_counts(&self) -> impl Iterator<Item = (SaleId, SaleId)> {
        self.changes.double_counts.iter().map(|pair| (pair.first, pair.second))
    }

    /// The sales as they stand now.
    pub fn sales(&self) -> &[Sale] {
        &self.slice.sales
    }

    /// Reads events anew, as of `now`. Each comes with all other events of its sale. Answers with what must stay as it is.
    pub fn refold(&mut self, events: &[Recorded], rules: &Rules, now: Timestamp) -> Vec<Unsafe> {
        let mut sales: Vec<SaleId> = Vec::new();
        for recorded in events.iter().filter(|recorded| recorded.is_changed) {
            let told = recorded.outcome == EventOutcome::Sale || recorded.outcome == EventOutcome::Corroborates;
            let (is_back, lacks) = match recorded.event.meaning {
                Meaning::Adjustment(_) => (true, false),
                Meaning::Lacking(_) => (false, true),
                Meaning::Sale(_) | Meaning::Ignored(_) | Meaning::Parked(_) => (false, false),
            };
            match recorded.sale {
                // What counts already is not taken apart in order to fetch something.
                Some(_) if lacks => {}
                Some(_) if recorded.outcome == EventOutcome::Adjustment => self.reapply(recorded, rules, now),
                Some(sale) => {
                    if is_back {
                        self.reapply(recorded, rules, now);
                    }
                    if (told || !is_back) && !sales.contains(&sale) {
                        sales.push(sale);
                    }
                }
                None => self.reapply(recorded, rules, now),
            }
        }
        let mut kept = Vec::new();
        for id in sales {
            let own: Vec<&Recorded> = events.iter().filter(|recorded| recorded.sale == Some(id)).collect();
            kept.extend(self.refold_sale(id, &own, rules, now));
        }
        kept
    }

    /// An event that belonged to no sale, or only took one back.
    fn reapply(&mut self, recorded: &Recorded, rules: &Rules, now: Timestamp) {
        let event = &recorded.event;
        let own = (event.request, event.position);
        let is_statement = matches!(event.meaning, Meaning::Adjustment(_));
        if recorded.outcome == EventOutcome::Adjustment && !is_statement {
            self.retract(own, rules, now);
            self.slice.pending.remove(&own);
            self.changes.removed_statements.push(own);
        }
        self.apply(event, rules, now);
        if let Some(record) = self.changes.events.last_mut() {
            record.replaces = true;
        }
    }

    fn refold_sale(&mut self, id: SaleId, events: &[&Recorded], rules: &Rules, now: Timestamp) -> Option<Unsafe> {
        let index = *self.by_id.get(&id)?;
        let old = self.slice.sales[index].clone();
        // Where an event came in between, the sale is looked at again with the next remap.
        let is_whole = self.slice.told.get(&id) == Some(&events.len());
        if matches!(old.state, SaleState::Merged(_)) || !is_whole {
            return None;
        }
        let fresh = fold(&old, events, now);
        for recorded in events {
            self.learn(&recorded.event);
            match &recorded.event.meaning {
                Meaning::Sale(claim) => self.take_refunded(index, &recorded.event, claim, rules, now),
                Meaning::Ignored(_) | Meaning::Parked(_) => {
                    let own = (recorded.event.request, recorded.event.position);
                    if self.retract(own, rules, now) {
                        self.changes.removed_statements.push(own);
                    }
                }
                Meaning::Adjustment(_) | Meaning::Lacking(_) => {}
            }
        }
        if old.is_sent() {
            if differs(&old, fresh.as_ref(), events) {
                return Some(Unsafe { sent: old, today: fresh });
            }
            self.tie(index, events, rules, now);
            self.record(id, events);
            return None;
        }
        match fresh {
            Some(fresh) => {
                let keys = self.keys_of(&old, events);
                let Sale { taken_back, adjustments, .. } = self.slice.sales[index];
                self.slice.sales[index] = Sale { taken_back, adjustments, ..fresh };
                self.slice.sales[index].keys = retired(&old.keys, &keys);
            }
            None => {
                let why = "no event of it says any more that money arrived, as today's pack reads them";
                self.slice.sales[index].state = SaleState::Parked(Reason::new(NOT_TODAY, why));
                self.changed_sales.insert(index);
            }
        }
        if old.state == SaleState::Ready {
            // What was to be sent is decided anew: with a click that it lacked, or not at all.
            self.changes.withdrawn.push(id);
        }
        self.tie(index, events, rules, now);
        self.record(id, events);
        for recorded in events {
            let is_sale = matches!(recorded.event.meaning, Meaning::Sale(_));
            self.release(&recorded.event, is_sale, Some(index), rules, now);
        }
        None
    }

    /// Gives a sale the keys that its events have today. Where one of them is another sale's, the two are one.
    fn tie(&mut self, index: usize, events: &[&Recorded], rules: &Rules, now: Timestamp) {
        let mut index = index;
        for recorded in events {
            let event = &recorded.event;
            let mut matching = self.matching(event, &event.keys);
            if !matching.contains(&index) {
                matching.push(index);
                matching.sort_by_key(|&index| (!self.slice.sales[index].is_sent(), self.slice.sales[index].id));
            }
            index = matching[1..].iter().fold(matching[0], |stays, &other| self.join(stays, other, event));
            self.attach(index, event, &event.keys);
        }
        self.rebalance(index);
        self.settle(index, rules, now);
    }

    fn keys_of(&self, old: &Sale, events: &[&Recorded]) -> Vec<Key> {
        let of_events = events.iter().flat_map(|recorded| recorded.event.keys.iter());
        of_events.filter(|key| old.keys.iter().any(|known| is_same(known, key))).cloned().collect()
    }

    /// Records what became of the events of a sale that was folded anew.
    fn record(&mut self, id: SaleId, events: &[&Recorded]) {
        let mut is_counted = false;
        for recorded in events.iter().filter(|recorded| recorded.outcome != EventOutcome::Duplicate) {
            let (outcome, reason, sale) = match &recorded.event.meaning {
                Meaning::Sale(_) if is_counted || recorded.is_late => (EventOutcome::Corroborates, None, Some(id)),
                Meaning::Sale(_) => (EventOutcome::Sale, None, Some(id)),
                Meaning::Ignored(reason) => (EventOutcome::Ignored, Some(reason.clone()), Some(id)),
                Meaning::Parked(reason) => (EventOutcome::Parked, Some(reason.clone()), None),
                // They keep their own way; see `reapply`.
                Meaning::Adjustment(_) | Meaning::Lacking(_) => continue,
            };
            is_counted |= outcome == EventOutcome::Sale;
            let mut record = EventRecord::new(&recorded.event, outcome, reason, sale);
            // An id that the pack did not read before may be another event's already.
            if let Some(unique) = record.unique_id.take() {
                let own = (record.request, record.position);
                let by = *self.slice.applied.entry((Arc::clone(&record.source), unique.clone())).or_insert(own);
                record.unique_id = (by == own).then_some(unique);
            }
            self.changes.events.push(EventRecord { is_late: recorded.is_late, replaces: true, ..record });
        }
    }
}

/// The sale that its events make today; `None` where none of them says that money arrived.
fn fold(old: &Sale, events: &[&Recorded], now: Timestamp) -> Option<Sale> {
    let in_time: Vec<&Event> = events.iter().filter(|recorded| !recorded.is_late).map(|recorded| &recorded.event).collect();
    let claim_of = |event: &Event| match &event.meaning {
        Meaning::Sale(claim) => Some(claim.clone()),
        Meaning::Adjustment(_) | Meaning::Ignored(_) | Meaning::Parked(_) | Meaning::Lacking(_) => None,
    };
    let (first, claim) = in_time.iter().enumerate().find_map(|(place, event)| Some((place, claim_of(event)?)))?;
    let mut sale = open(old.id, in_time[first], &claim, now);
    for (_, event) in in_time.iter().enumerate().filter(|(place, _)| *place != first) {
        // Contradictions were noted when the events came.
        let _ = fill(&mut sale, event, claim_of(event).as_ref());
    }
    let told: HashSet<i64> = events.iter().map(|recorded| recorded.event.request).collect();
    keep(&mut sale.buyer.customer_external_id, &old.buyer.customer_external_id, &told);
    keep(&mut sale.buyer.click_id, &old.buyer.click_id, &told);
    keep(&mut sale.buyer.email, &old.buyer.email, &told);
    keep(&mut sale.buyer.name, &old.buyer.name, &told);
    if sale.buyer.customer.is_none() {
        sale.buyer.customer.clone_from(&old.buyer.customer);
    }
    Some(Sale {
        request: old.request,
        counted_at: old.counted_at,
        taken_back: old.taken_back,
        adjustments: old.adjustments,
        keys: old.keys.clone(),
        ..sale
    })
}

/// What came from elsewhere (an event that was no part of the sale) stays; what its own events no longer say does not.
fn keep(field: &mut Option<Found>, old: &Option<Found>, told: &HashSet<i64>) {
    if field.is_none() {
        let is_elsewhere = |found: &&Found| !found.origin.is_borrowed() && !told.contains(&found.origin.request());
        *field = old.as_ref().filter(is_elsewhere).cloned();
    }
}

/// True where a sale that was sent would be another one today, as far as its own events say.
fn differs(sent: &Sale, today: Option<&Sale>, events: &[&Recorded]) -> bool {
    let Some(today) = today else { return true };
    let told: HashSet<i64> = events.iter().map(|recorded| recorded.event.request).collect();
    let field_differs = |sent: &Option<Found>, today: &Option<Found>| match (sent, today) {
        (Some(sent), Some(today)) => sent.value != today.value,
        (Some(sent), None) => !sent.origin.is_borrowed() && told.contains(&sent.origin.request()),
        (None, today) => today.is_some(),
    };
    sent.money != today.money
        || field_differs(&sent.buyer.customer_external_id, &today.buyer.customer_external_id)
        || field_differs(&sent.buyer.click_id, &today.buyer.click_id)
}

fn is_same(one: &Key, other: &Key) -> bool {
    one.kind == other.kind && one.value == other.value
}

/// All keys that a sale had: as today's pack reads them, or without a say in its name.
fn retired(old: &[Key], today: &[Key]) -> Vec<Key> {
    let read = |key: &Key| today.iter().find(|known| is_same(known, key));
    let as_read = |key: &Key| match read(key) {
        Some(read) => Key { strength: read.strength, prefix: Arc::clone(&read.prefix), ..key.clone() },
        None => Key { strength: RETIRED, ..key.clone() },
    };
    old.iter().map(as_read).collect()
}
