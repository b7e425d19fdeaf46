//! Money that went back: which sale does a statement speak of, and what is left of it?

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Rules;
use super::changes::{EventOutcome, NewStatement};
use super::hints::is_of;
use super::ledger::{Applied, Ledger};
use super::slice::place;
use crate::domain::{
    Adjustment, AdjustmentKind, Balance, Claim, Event, Key, Reason, RequestId, Sale, SaleId, SaleState, Statement, Timestamp,
};

impl Ledger {
    /// What the event of a sale itself says was refunded of it.
    pub(super) fn take_refunded(&mut self, index: usize, event: &Event, claim: &Claim, rules: &Rules, now: Timestamp) {
        let own = (event.request, event.position);
        let id = self.slice.sales[index].id;
        if self.retract(own, rules, now) {
            self.changes.removed_statements.push(own);
        }
        let Some((money, at)) = claim.refunded else { return };
        let adjustment = Adjustment { kind: AdjustmentKind::Refund, id: None, money: Some(money), is_cumulative: true };
        let statement = Statement { request: own.0, position: own.1, at, adjustment };
        let (source, scope) = (Arc::clone(&event.source), event.scope.clone());
        self.changes.statements.push(NewStatement { source, scope, sale: Some(id), statement: statement.clone() });
        self.state(id, statement);
        self.rebalance(index);
        self.settle(index, rules, now);
    }

    /// Money went back: of the sale that the event's keys identify, or of the only one of its group. Where there is none yet, the
    /// statement waits for it.
    pub(super) fn take_back(&mut self, event: &Event, adjustment: &Adjustment, rules: &Rules, now: Timestamp) -> Applied {
        let keys = self.keys_with_ties(event);
        let own = (event.request, event.position);
        let statement = Statement { request: own.0, position: own.1, at: event.at, adjustment: adjustment.clone() };
        let found = self.complete(event, None, &keys, rules, now);
        let (sale, is_late) = match found {
            Some(found) => (found.sale.ok_or("sale_unknown"), found.is_late),
            None => (self.only_one_of_group(event, &keys), false),
        };
        let (index, reason) = match sale {
            Ok(index) => (Some(index), None),
            Err("sale_ambiguous") => {
                (None, Some(Reason::new("sale_ambiguous", "several sales share the id by which it names its sale")))
            }
            Err(code) => (None, Some(Reason::new(code, "its sale was not counted yet; it is taken back as soon as it is"))),
        };
        let id = index.map(|index| self.slice.sales[index].id);
        self.retract(own, rules, now);
        let (source, scope) = (Arc::clone(&event.source), event.scope.clone());
        self.changes.statements.push(NewStatement { source, scope, sale: id, statement: statement.clone() });
        match (index, id) {
            (Some(index), Some(id)) => {
                self.state(id, statement);
                self.rebalance(index);
                self.settle(index, rules, now);
            }
            (Some(_) | None, Some(_) | None) => {
                self.slice.pending.insert(own, statement);
                // A group that is shared already would give it to whichever sale comes next.
                let is_shared = reason.as_ref().is_some_and(|reason| &*reason.code == "sale_ambiguous");
                let leading: Vec<Key> = keys.into_iter().filter(|key| key.identifies || !is_shared).collect();
                self.hint(event, &leading, true);
            }
        }
        Applied { outcome: EventOutcome::Adjustment, reason, sale: index, is_late }
    }

    /// Adds a statement to those about a sale.
    pub(super) fn state(&mut self, sale: SaleId, statement: Statement) {
        self.stated.insert((statement.request, statement.position), sale);
        self.slice.statements.entry(sale).or_default().push(statement);
    }

    /// Forgets what this event said before, since only one statement of an event counts. Answers whether it had said anything.
    pub(super) fn retract(&mut self, own: (RequestId, u16), rules: &Rules, now: Timestamp) -> bool {
        let Some(sale) = self.stated.remove(&own) else { return false };
        if let Some(statements) = self.slice.statements.get_mut(&sale) {
            statements.retain(|known| (known.request, known.position) != own);
        }
        if let Some(index) = self.by_id.get(&sale).copied() {
            self.rebalance(index);
            self.settle(index, rules, now);
        }
        true
    }

    fn only_one_of_group(&self, event: &Event, keys: &[Key]) -> Result<usize, &'static str> {
        let mut found: BTreeSet<SaleId> = BTreeSet::new();
        for key in keys.iter().filter(|key| !key.identifies) {
            found.extend(self.slice.groups.get(&place(&event.scope, key)).into_iter().flatten());
            // Sales of the same batch are not in the store yet.
            let has_key = |sale: &Sale| {
                sale.scope == event.scope && sale.keys.iter().any(|own| own.kind == key.kind && own.value == key.value)
            };
            found.extend(self.slice.sales.iter().filter(|sale| has_key(sale)).map(|sale| sale.id).collect::<Vec<_>>().iter());
        }
        let is_candidate = |index: &usize| {
            let sale = &self.slice.sales[*index];
            !matches!(sale.state, SaleState::Merged(_)) && is_of(keys, event.at, sale, &[])
        };
        let indexes: Vec<usize> = found.iter().filter_map(|id| self.by_id.get(id).copied()).filter(is_candidate).collect();
        match indexes[..] {
            [] => Err("sale_unknown"),
            [only] => Ok(only),
            [..] => Err("sale_ambiguous"),
        }
    }

    /// What is left of a sale, after something was said of it.
    pub(super) fn rebalance(&mut self, index: usize) {
        let sale = &mut self.slice.sales[index];
        let statements = self.slice.statements.get(&sale.id).map_or(&[][..], Vec::as_slice);
        let balance = Balance::of(sale.money, &sale.proof, sale.paid_at, statements);
        let count = u32::try_from(statements.len()).unwrap_or(u32::MAX);
        if (sale.taken_back, sale.adjustments) != (balance.taken_back, count) {
            (sale.taken_back, sale.adjustments) = (balance.taken_back, count);
            self.changed_sales.insert(index);
            self.rebalanced.insert(index);
        }
    }
}
