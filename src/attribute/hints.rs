//! Hints: what events that are no sales said about a purchase that is not counted yet.
//!
//! An authorisation often knows more than its capture, an event may tie two ids before either is counted, and a refund may come
//! before its sale. A hint is kept under each key of the purchase and spent when the sale is counted under one of them.

use std::time::Duration;

use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

use super::ledger::Ledger;
use super::slice::place;
use crate::domain::{Buyer, Event, Key, RequestId, Sale, Timestamp};

/// What was said about a purchase before it was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// Who buys.
    pub buyer: Buyer,
    /// Ids that belong to the same purchase.
    pub keys: Vec<Key>,
    /// What was said of money that went back.
    pub statements: Vec<Pending>,
}

/// Where a statement stands that waits for its sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The request.
    pub request: RequestId,
    /// The event's place in it.
    pub position: u16,
    /// The identifying ids that it names: a sale with another id of the same kind is not its own.
    pub keys: Vec<Key>,
}

/// Clocks of one provider may differ by so much; nobody pays for a group twice within it.
const CLOCKS: Duration = Duration::from_secs(60 * 60);
/// No purchase has more ids, or more refunds before it is counted: what exceeds this is not kept in a hint.
const LIMIT: usize = 64;

impl Ledger {
    /// The event's keys with all that are known to belong to the same purchase.
    pub(super) fn keys_with_ties(&self, event: &Event) -> Vec<Key> {
        let mut keys = event.keys.clone();
        if self.slice.hints.is_empty() {
            return keys;
        }
        let mut next = 0;
        while let Some(key) = keys.get(next) {
            let tied = key.identifies.then(|| self.slice.hints.get(&place(&event.scope, key))).flatten();
            let is_new = |known: &[Key], key: &Key| !known.iter().any(|known| known.kind == key.kind && known.value == key.value);
            for key in tied.into_iter().flat_map(|hint| &hint.keys) {
                if is_new(&keys, key) {
                    keys.push(key.clone());
                }
            }
            next += 1;
        }
        keys
    }

    /// Remembers what an event said about a purchase that is not counted yet.
    pub(super) fn hint(&mut self, event: &Event, keys: &[Key], is_statement: bool) {
        let ties = keys.iter().filter(|key| key.identifies).count();
        if event.buyer.is_empty() && ties < 2 && !is_statement {
            return;
        }
        let own: Vec<Key> = keys.iter().filter(|key| key.identifies).take(LIMIT).cloned().collect();
        let statement = is_statement.then(|| Pending { request: event.request, position: event.position, keys: own.clone() });
        for key in keys.iter().filter(|key| key.identifies || (key.leads && is_statement)).take(LIMIT) {
            let place = place(&event.scope, key);
            let mut hint = self.slice.hints.get(&place).cloned().unwrap_or_default();
            if key.identifies {
                let mut buyer = event.buyer.clone();
                buyer.take(&hint.buyer);
                hint.buyer = buyer;
                if ties > 1 {
                    let known: HashSet<_> = hint.keys.iter().map(|key| (key.kind.clone(), key.value.clone())).collect();
                    let is_new = |key: &&Key| key.identifies && !known.contains(&(key.kind.clone(), key.value.clone()));
                    hint.keys.extend(own.iter().filter(is_new).cloned());
                    hint.keys.truncate(LIMIT);
                }
            }
            hint.statements.extend(statement.clone().filter(|statement| !hint.statements.contains(statement)));
            hint.statements.truncate(LIMIT);
            if self.slice.hints.get(&place) != Some(&hint) {
                self.slice.hints.insert(place.clone(), hint);
                self.spent_hints.remove(&place);
                self.changed_hints.insert(place);
            }
        }
    }

    /// Gives a sale what earlier events said about it under these keys, and answers with what they said of money that went back.
    /// A hint that names another buyer speaks of something else; so does a statement that only shares a group with the sale, but
    /// names another id of a kind that the sale has, or is older than the sale.
    pub(super) fn take_hints(&mut self, index: usize, keys: &[Key]) -> Vec<(RequestId, u16)> {
        let mut statements = Vec::new();
        if self.slice.hints.is_empty() {
            return statements;
        }
        for key in keys.iter().filter(|key| key.identifies || key.leads) {
            let place = place(&self.slice.sales[index].scope, key);
            let Some(mut hint) = self.slice.hints.remove(&place) else { continue };
            let sale = &mut self.slice.sales[index];
            if key.identifies && !sale.is_sent() && !sale.buyer.contradicts(&hint.buyer) {
                sale.buyer.take(&hint.buyer);
            }
            let sale = &self.slice.sales[index];
            let is_own = |pending: &Pending| {
                let said = self.slice.pending.get(&(pending.request, pending.position));
                key.identifies || said.is_some_and(|said| is_of(&pending.keys, said.at, sale, keys))
            };
            let (own, others): (Vec<Pending>, Vec<Pending>) = hint.statements.into_iter().partition(is_own);
            statements.extend(own.into_iter().map(|pending| (pending.request, pending.position)));
            // Those that have found their sale by another key wait no more.
            let waits = |pending: &Pending| self.slice.pending.contains_key(&(pending.request, pending.position));
            let others: Vec<Pending> = others.into_iter().filter(waits).collect();
            if others.is_empty() {
                self.changed_hints.remove(&place);
                self.spent_hints.insert(place);
            } else {
                hint.statements = others;
                self.slice.hints.insert(place.clone(), hint);
                self.changed_hints.insert(place);
            }
        }
        statements
    }
}

/// True where a statement that names these ids may be about a sale with which it shares a group.
pub(super) fn is_of(named: &[Key], at: Timestamp, sale: &Sale, more: &[Key]) -> bool {
    let has_other = |named: &Key| {
        let own = || sale.keys.iter().chain(more).filter(|own| own.identifies && own.kind == named.kind);
        own().next().is_some() && own().all(|own| own.value != named.value)
    };
    at.checked_add(CLOCKS).unwrap_or(at) >= sale.at && !named.iter().any(has_other)
}
