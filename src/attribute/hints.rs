//! Hints: what events that are no sales said about a purchase that is not counted yet.
//!
//! An authorisation often knows more than its capture, an event may tie two ids before either is counted, and a refund may come
//! before its sale. A hint is kept under each key of the purchase and spent when the sale is counted under one of them.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::ledger::Ledger;
use super::slice::place;
use crate::domain::{Buyer, Event, Key, RequestId};

/// What was said about a purchase before it was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// Who buys.
    pub buyer: Buyer,
    /// Ids that belong to the same purchase.
    pub keys: Vec<Key>,
    /// What was said of money that went back: the requests, and the events' places in them.
    pub statements: Vec<(RequestId, u16)>,
}

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
    pub(super) fn hint(&mut self, event: &Event, keys: &[Key], statement: Option<(RequestId, u16)>) {
        let ties = keys.iter().filter(|key| key.identifies).count();
        if event.buyer.is_empty() && ties < 2 && statement.is_none() {
            return;
        }
        for key in keys.iter().filter(|key| key.identifies || (key.leads && statement.is_some())) {
            let place = place(&event.scope, key);
            let mut hint = self.slice.hints.get(&place).cloned().unwrap_or_default();
            if key.identifies {
                let mut buyer = event.buyer.clone();
                buyer.take(&hint.buyer);
                hint.buyer = buyer;
                if ties > 1 {
                    let known: HashSet<_> = hint.keys.iter().map(|key| (key.kind.clone(), key.value.clone())).collect();
                    let is_new = |key: &&Key| key.identifies && !known.contains(&(key.kind.clone(), key.value.clone()));
                    hint.keys.extend(keys.iter().filter(is_new).cloned());
                }
            }
            hint.statements.extend(statement.filter(|statement| !hint.statements.contains(statement)));
            if self.slice.hints.get(&place) != Some(&hint) {
                self.slice.hints.insert(place.clone(), hint);
                self.spent_hints.remove(&place);
                self.changed_hints.insert(place);
            }
        }
    }

    /// Gives a sale what earlier events said about it under these keys, and answers with what they said of money that went back.
    /// A hint that names another buyer speaks of something else.
    pub(super) fn take_hints(&mut self, index: usize, keys: &[Key]) -> Vec<(RequestId, u16)> {
        let mut statements = Vec::new();
        if self.slice.hints.is_empty() {
            return statements;
        }
        for key in keys.iter().filter(|key| key.identifies || key.leads) {
            let sale = &mut self.slice.sales[index];
            let place = place(&sale.scope, key);
            let Some(hint) = self.slice.hints.remove(&place) else { continue };
            if !sale.is_sent() && !sale.buyer.contradicts(&hint.buyer) {
                sale.buyer.take(&hint.buyer);
            }
            statements.extend(hint.statements);
            self.changed_hints.remove(&place);
            self.spent_hints.insert(place);
        }
        statements
    }
}
