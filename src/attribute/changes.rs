//! What a batch changes in the store: written in one transaction, or not at all.

use std::sync::Arc;

use super::ledger::Place;
use crate::domain::{Buyer, DeliveryState, Event, Identity, Key, Mode, Reason, RequestId, Sale, SaleId, Scope, Timestamp};

/// Everything that a batch changes.
#[derive(Debug, Default)]
pub struct Changes {
    /// What became of each event.
    pub events: Vec<EventRecord>,
    /// Sales to be inserted.
    pub new_sales: Vec<Sale>,
    /// Sales to be updated.
    pub changed_sales: Vec<Sale>,
    /// Identifying keys that now belong to a sale.
    pub new_keys: Vec<SaleKey>,
    /// Keys that move from a merged sale to the one it was merged into.
    pub moved_keys: Vec<SaleKey>,
    /// Identities as they now are.
    pub identities: Vec<(Scope, String, Identity)>,
    /// What events said about purchases that are not counted yet, by the key of the purchase.
    pub hints: Vec<(Place, Buyer)>,
    /// Keys whose hints have reached their sale.
    pub spent_hints: Vec<Place>,
    /// Events for which something has to be fetched first.
    pub fetches: Vec<NewFetch>,
    /// Deliveries to be made.
    pub deliveries: Vec<NewDelivery>,
    /// Sales whose deliveries no longer need to be held back or skipped.
    pub released: Vec<SaleId>,
    /// Sales whose deliveries must not be sent because another sale stands for them.
    pub merged: Vec<SaleId>,
    /// Pairs of sales, both sent, that turned out to be one purchase.
    pub double_counts: Vec<DoubleCount>,
}

/// A key with the sale it belongs to.
#[derive(Debug, Clone)]
pub struct SaleKey {
    /// The sale.
    pub sale: SaleId,
    /// Where the key lives.
    pub scope: Scope,
    /// The key.
    pub key: Key,
}

/// An event for which something has to be fetched.
#[derive(Debug, Clone)]
pub struct NewFetch {
    /// The request that held it.
    pub request: RequestId,
    /// Its place in the request.
    pub position: u16,
    /// The source it came to.
    pub source: Arc<str>,
}

/// One delivery to be made.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// The sale.
    pub sale: SaleId,
    /// Where to.
    pub upstream: Arc<str>,
    /// Due, held or skipped.
    pub state: DeliveryState,
}

/// Two sent sales that an event ties together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoubleCount {
    /// The older sale.
    pub first: SaleId,
    /// The younger sale.
    pub second: SaleId,
    /// The request that ties them.
    pub request: RequestId,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOutcome {
    /// It made a new sale.
    Sale,
    /// It speaks of a sale that was counted already.
    Corroborates,
    /// It is no sale; it may have taught or completed something.
    Ignored,
    /// It cannot be mapped and waits for a mend.
    Parked,
    /// The same provider event was applied before.
    Duplicate,
    /// It only refers to what is being fetched.
    Fetching,
}

/// One event with what became of it.
#[derive(Debug, Clone)]
pub struct EventRecord {
    /// The request that held it.
    pub request: RequestId,
    /// Its place in the request.
    pub position: u16,
    /// The source.
    pub source: Arc<str>,
    /// The provider's id; `None` where this record must not stand in the way of another of the same id.
    pub unique_id: Option<String>,
    /// The provider's type.
    pub kind: String,
    /// Live or test.
    pub mode: Mode,
    /// When it happened.
    pub at: Timestamp,
    /// What became of it.
    pub outcome: EventOutcome,
    /// Why, where there is something to say.
    pub reason: Option<Reason>,
    /// The sale it belongs to.
    pub sale: Option<SaleId>,
}

impl EventOutcome {
    /// The outcome as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Corroborates => "corroborates",
            Self::Ignored => "ignored",
            Self::Parked => "parked",
            Self::Duplicate => "duplicate",
            Self::Fetching => "fetching",
        }
    }
}

impl EventRecord {
    pub(super) fn new(event: &Event, outcome: EventOutcome, reason: Option<Reason>, sale: Option<SaleId>) -> Self {
        let is_applied = match outcome {
            EventOutcome::Sale | EventOutcome::Corroborates | EventOutcome::Ignored => true,
            EventOutcome::Parked | EventOutcome::Duplicate | EventOutcome::Fetching => false,
        };
        Self {
            request: event.request,
            position: event.position,
            source: Arc::clone(&event.source),
            unique_id: event.provider_id.clone().filter(|_| is_applied && event.accepted),
            kind: event.kind.clone(),
            mode: event.scope.mode,
            at: event.at,
            outcome,
            reason,
            sale,
        }
    }
}
