//! One sale: what an event adds to it, and whether it may go.

use std::sync::Arc;

use super::Rules;
use crate::domain::{Claim, Event, Found, Identity, Origin, Reason, Sale, SaleId, SaleState, Timestamp};

impl Rules {
    /// The last moment for which a sale counted at `counted_at` is held.
    pub(super) fn deadline(&self, counted_at: Timestamp) -> Timestamp {
        counted_at.checked_add(self.waiting_room).unwrap_or(Timestamp::MAX)
    }
}

/// A new sale from the first event that claims it.
pub(super) fn open(id: SaleId, event: &Event, claim: &Claim, now: Timestamp) -> Sale {
    Sale {
        id,
        source: Arc::clone(&event.source),
        scope: event.scope.clone(),
        event: claim.event,
        rank: claim.rank,
        money: claim.money,
        at: event.at,
        buyer: event.buyer.clone(),
        keys: Vec::new(),
        renewal: event.renewal,
        awaits: claim.awaits.clone(),
        seen: vec![event.kind.as_str().into()],
        state: SaleState::Waiting(now),
        without_click: None,
        request: event.request,
        counted_at: now,
        sent_as: None,
    }
}

/// Takes over what the event knows and the sale lacks. The event with the highest rank gives name, amount and time.
/// Returns a note where the event contradicts what the sale says.
pub(super) fn fill(sale: &mut Sale, event: &Event, claim: Option<&Claim>) -> Option<Reason> {
    if !sale.seen.iter().any(|kind| **kind == *event.kind) {
        sale.seen.push(event.kind.as_str().into());
    }
    let contradiction = claim.filter(|claim| claim.money != sale.money).map(|claim| {
        let standing = if sale.is_sent() { "was sent already" } else { "was said before; the event of the higher rank counts" };
        Reason::new("amount_differs", format!("this event says {}, but {} {standing}", claim.money, sale.money))
    });
    if sale.is_sent() {
        return contradiction;
    }
    sale.buyer.take(&event.buyer);
    if let Some(claim) = claim {
        add_kinds(&mut sale.awaits, &claim.awaits);
        sale.renewal &= event.renewal;
        if claim.rank > sale.rank {
            (sale.rank, sale.event, sale.money, sale.at) = (claim.rank, claim.event, claim.money, event.at);
        }
    }
    contradiction
}

fn add_kinds(known: &mut Vec<Arc<str>>, more: &[Arc<str>]) {
    for kind in more {
        if !known.contains(kind) {
            known.push(Arc::clone(kind));
        }
    }
}

/// What a merged sale knew goes to the one that stays.
pub(super) fn absorb(stays: &mut Sale, goes: &Sale) {
    if stays.is_sent() {
        return;
    }
    stays.buyer.take(&goes.buyer);
    add_kinds(&mut stays.seen, &goes.seen);
    add_kinds(&mut stays.awaits, &goes.awaits);
    stays.renewal &= goes.renewal;
    if goes.rank > stays.rank {
        (stays.rank, stays.event, stays.money, stays.at) = (goes.rank, goes.event, goes.money, goes.at);
    }
}

/// Where a sale stands now, given what is remembered of its customer. Memory answers at once for a renewal, otherwise
/// only when nothing is awaited any more, so that a new purchase is not credited to an old click.
pub(super) fn settle(sale: &mut Sale, memory: Option<&Identity>, rules: &Rules, now: Timestamp) {
    let until = rules.deadline(sale.counted_at);
    let is_awaited = sale.awaits.iter().any(|kind| !sale.seen.contains(kind)) && now < until;
    if !sale.buyer.is_complete() && (sale.renewal || !is_awaited) {
        remember(sale, memory, rules);
    }
    sale.state = if !sale.buyer.is_complete() && is_awaited {
        SaleState::Waiting(until)
    } else if sale.buyer.customer_external_id.is_none() {
        SaleState::Parked(customer_unknown(sale, memory))
    } else {
        SaleState::Ready
    };
    sale.without_click = match (&sale.buyer.click_id, &sale.state) {
        (None, SaleState::Ready | SaleState::Parked(_)) => Some(click_unknown(sale, memory)),
        (Some(_), _) | (None, SaleState::Waiting(_) | SaleState::Merged(_)) => None,
    };
}

/// Fills what is missing from memory. A click is taken only from the same customer and, for a new purchase, only one that was
/// known when it was made (give or take the waiting room, since events of one purchase come in any order).
pub(super) fn remember(sale: &mut Sale, memory: Option<&Identity>, rules: &Rules) {
    let Some(memory) = memory else { return };
    let from_memory =
        |found: &Found| Found { value: found.value.clone(), origin: Origin::Memory { request: found.origin.request() } };
    if sale.buyer.customer_external_id.is_none() {
        sale.buyer.customer_external_id = memory.customer_external_id.as_ref().map(from_memory);
    }
    if sale.buyer.click_id.is_none() && is_same_customer(sale, memory) {
        let is_in_time = |learned_at: Timestamp| sale.renewal || learned_at <= rules.deadline(sale.at);
        let known = memory.click_id.as_ref().filter(|(_, learned_at)| is_in_time(*learned_at));
        sale.buyer.click_id = known.map(|(found, _)| from_memory(found));
    }
}

fn is_same_customer(sale: &Sale, memory: &Identity) -> bool {
    match (&sale.buyer.customer_external_id, &memory.customer_external_id) {
        (Some(own), Some(remembered)) => own.value == remembered.value,
        (Some(_) | None, None) | (None, Some(_)) => true,
    }
}

fn customer_unknown(sale: &Sale, memory: Option<&Identity>) -> Reason {
    let why = match (&sale.buyer.customer, memory) {
        (None, _) => "and the provider names no customer by which one could be remembered",
        (Some(_), None) => "and nothing is remembered about the provider's customer",
        (Some(_), Some(_)) => "and no event of the provider's customer carried one either",
    };
    Reason::new("customer_unknown", format!("no event of this sale carried a customerExternalId, {why}"))
}

fn click_unknown(sale: &Sale, memory: Option<&Identity>) -> Reason {
    let none = "no event of this sale carried a clickId";
    match (&sale.buyer.customer, memory) {
        (None, _) => {
            Reason::new("click_unknown", format!("{none}, and the provider names no customer by which one could be remembered"))
        }
        (Some(_), Some(memory)) if !is_same_customer(sale, memory) => Reason::new(
            "click_of_another_customer",
            format!("{none}; one is remembered for the provider's customer, but for another customerExternalId"),
        ),
        (Some(_), Some(Identity { click_id: Some(_), .. })) => {
            Reason::new("click_too_late", format!("{none}; the one that is remembered came after the purchase"))
        }
        (Some(_), Some(_) | None) => {
            Reason::new("click_unknown", format!("{none}, and none is remembered for the provider's customer"))
        }
    }
}
