//! One sale: what an event adds to it, and whether it may go.

use std::sync::Arc;

use super::credit::{Memory, click_unknown, credit_renewal, customer_unknown, fall_back, remember};
use super::{Renewals, Rules};
use crate::domain::{Claim, Event, Reason, Sale, SaleId, SaleState, Teller, Timestamp};

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
        proof: claim.proof.clone(),
        at: event.at,
        teller: teller(event),
        paid_at: event.at,
        taken_back: 0,
        adjustments: 0,
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

fn teller(event: &Event) -> Teller {
    Teller { request: event.request, kind: event.kind.as_str().into(), at_path: event.at_path.clone() }
}

/// Takes over what the event knows and the sale lacks. The event with the highest rank gives name, amount and time; of two of one
/// rank the earlier one. Returns a note where the event contradicts what the sale says.
pub(super) fn fill(sale: &mut Sale, event: &Event, claim: Option<&Claim>) -> Option<Reason> {
    if !sale.seen.iter().any(|kind| **kind == *event.kind) {
        sale.seen.push(event.kind.as_str().into());
    }
    if claim.is_some() {
        sale.paid_at = sale.paid_at.max(event.at);
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
        if (claim.rank, sale.at) > (sale.rank, event.at) {
            (sale.rank, sale.event, sale.money, sale.at) = (claim.rank, claim.event, claim.money, event.at);
            (sale.proof, sale.teller) = (claim.proof.clone(), teller(event));
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
    stays.paid_at = stays.paid_at.max(goes.paid_at);
    if stays.is_sent() {
        return;
    }
    stays.buyer.take(&goes.buyer);
    add_kinds(&mut stays.seen, &goes.seen);
    add_kinds(&mut stays.awaits, &goes.awaits);
    stays.renewal &= goes.renewal;
    if (goes.rank, stays.at) > (stays.rank, goes.at) {
        (stays.rank, stays.event, stays.money, stays.at) = (goes.rank, goes.event, goes.money, goes.at);
        (stays.proof, stays.teller) = (goes.proof.clone(), goes.teller.clone());
    }
}

/// Where a sale stands now, given what is remembered of its customer. Memory answers at once for a renewal, otherwise
/// only when nothing is awaited any more, so that a new purchase is not credited to an old click.
pub(super) fn settle(sale: &mut Sale, memory: &Memory<'_>, rules: &Rules, now: Timestamp) {
    let until = rules.deadline(sale.counted_at);
    let is_awaited = sale.awaits.iter().any(|kind| !sale.seen.contains(kind)) && now < until;
    if sale.renewal || !is_awaited {
        remember(sale, memory, rules);
    }
    if sale.renewal {
        credit_renewal(sale, memory, rules);
    }
    if !is_awaited {
        fall_back(sale, rules);
    }
    let needs_no_click = sale.renewal && rules.renewals == Renewals::None;
    let is_complete = sale.buyer.customer_external_id.is_some() && (sale.buyer.click_id.is_some() || needs_no_click);
    sale.state = if sale.is_nothing_left() {
        SaleState::Parked(nothing_left())
    } else if !is_complete && is_awaited {
        SaleState::Waiting(until)
    } else if sale.buyer.customer_external_id.is_none() {
        SaleState::Parked(customer_unknown(sale, memory))
    } else {
        SaleState::Ready
    };
    sale.without_click = match (&sale.buyer.click_id, &sale.state) {
        (None, SaleState::Ready | SaleState::Parked(_)) => Some(click_unknown(sale, memory, rules)),
        (Some(_), _) | (None, SaleState::Waiting(_) | SaleState::Merged(_)) => None,
    };
}

pub(super) fn nothing_left() -> Reason {
    Reason::new("nothing_left", "all of it was taken back before it could be sent: refunds, disputes or a void")
}
