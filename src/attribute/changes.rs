//! What a batch changes in the store: written in one transaction, or not at all.

use std::sync::Arc;

use super::hints::Hint;
use super::slice::Place;
use crate::domain::{
    AdjustmentRule, DeliveryState, Event, Identity, Key, Mode, Reason, RequestId, Sale, SaleId, Scope, Statement, Tallies,
    Timestamp,
};

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
    pub hints: Vec<(Place, Hint)>,
    /// Keys whose hints have reached their sale.
    pub spent_hints: Vec<Place>,
    /// Events for which something has to be fetched first.
    pub fetches: Vec<NewFetch>,
    /// What was said of money that went back.
    pub statements: Vec<NewStatement>,
    /// Earlier statements that have found their sale.
    pub found_sales: Vec<(RequestId, u16, SaleId)>,
    /// Statements that are no longer made, because today's pack reads their event otherwise.
    pub removed_statements: Vec<(RequestId, u16)>,
    /// Deliveries to be made.
    pub deliveries: Vec<NewDelivery>,
    /// Sales whose deliveries no longer need to be held back or skipped.
    pub released: Vec<SaleId>,
    /// Sales whose deliveries must not be sent because another sale stands for them, and takes over all that was said of them.
    pub merged: Vec<Merge>,
    /// Sales whose unsent deliveries are taken back, because today's pack does not count them or because they are decided anew; a
    /// delivery to be made for one of them takes the old one's place.
    pub withdrawn: Vec<SaleId>,
    /// Upstreams that may have to be told how much is left of a sale.
    pub tells: Vec<Tell>,
    /// Pairs of sales, both sent, that turned out to be one purchase.
    pub double_counts: Vec<DoubleCount>,
    /// By how much the hourly counts of sales change.
    pub tallies: Tallies,
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

/// A sale that was sent, and an upstream that can be told how much is left of it.
#[derive(Debug, Clone)]
pub struct Tell {
    /// The sale.
    pub sale: SaleId,
    /// The upstream.
    pub upstream: Arc<str>,
    /// What it can be told.
    pub rule: AdjustmentRule,
}

/// A statement about money that went back, with the sale that it belongs to, where that is known.
#[derive(Debug, Clone)]
pub struct NewStatement {
    /// The source it came to.
    pub source: Arc<str>,
    /// Where its keys live.
    pub scope: Scope,
    /// The sale.
    pub sale: Option<SaleId>,
    /// What was said.
    pub statement: Statement,
}

/// A sale that turned out to be part of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// The sale that is no more.
    pub goes: SaleId,
    /// The one that stands for it.
    pub stays: SaleId,
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
    /// It takes a sale back, in part or whole.
    Adjustment,
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
    /// True where the sale had been sent before, so that the event could only corroborate.
    pub is_late: bool,
    /// What the event said, as a number: equal as long as the pack reads it in the same way.
    pub digest: i64,
    /// True where it takes the place of what was recorded before.
    pub replaces: bool,
}

impl EventOutcome {
    /// Every outcome.
    pub const ALL: [Self; 7] =
        [Self::Sale, Self::Corroborates, Self::Adjustment, Self::Ignored, Self::Parked, Self::Duplicate, Self::Fetching];

    /// Reads an outcome as it is written.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }

    /// The outcome as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Corroborates => "corroborates",
            Self::Adjustment => "adjustment",
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
            EventOutcome::Sale | EventOutcome::Corroborates | EventOutcome::Adjustment | EventOutcome::Ignored => true,
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
            is_late: false,
            digest: event.digest(),
            replaces: false,
        }
    }
}
