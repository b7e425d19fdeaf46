//! What those see who follow the store: events and attempts, as they happen. Nothing of a customer is in them.

use crate::domain::{DeliveryId, Money, RequestId, SaleId, Timestamp};

/// An event with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLine {
    /// The request that held it.
    pub request: RequestId,
    /// Its place in the request, from 0.
    pub position: u16,
    /// When the request was received.
    pub received_at: Timestamp,
    /// The source.
    pub source: String,
    /// The provider's type, as the sender wrote it.
    pub kind: String,
    /// Live or test.
    pub mode: String,
    /// What became of it: the word of an [`crate::attribute::EventOutcome`].
    pub outcome: String,
    /// The stable code, where there is something to say.
    pub code: Option<String>,
    /// The sentence.
    pub reason: Option<String>,
    /// The sale it belongs to.
    pub sale: Option<SaleId>,
    /// What that sale amounts to, where this event made it.
    pub money: Option<Money>,
}

/// An attempt that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptLine {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Which attempt of it, from 1.
    pub number: u32,
    /// The sale.
    pub sale: SaleId,
    /// The source that counted it.
    pub source: String,
    /// The upstream.
    pub upstream: String,
    /// True where money that went back was told.
    pub is_adjustment: bool,
    /// When it was over.
    pub finished_at: Timestamp,
    /// What it came to: the word of an [`crate::domain::AttemptOutcome`].
    pub outcome: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// In words.
    pub reason: String,
}

/// A delivery of which an attempt may end soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// The delivery.
    pub delivery: DeliveryId,
    /// So many attempts of it were over.
    pub attempts: u32,
}

/// What was found of attempts by one look.
#[derive(Debug, Clone, Default)]
pub struct AttemptLines {
    /// The attempts, in the order in which they ended; some of them may have been found before.
    pub lines: Vec<AttemptLine>,
    /// What the next look has to be given.
    pub watched: Vec<Watched>,
}
