//! What to list: filters, and pages that take a bounded time however much is stored.

use schemars::JsonSchema;
use serde::Serialize;

use crate::attribute::EventOutcome;
use crate::domain::{DeliveryState, Mode, Timestamp};

/// A page holds at most so many rows.
pub const PAGE_LIMIT: usize = 500;

/// Which rows of a listing, from where, how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    /// Where the page before ended; `None` for the first.
    pub cursor: Option<String>,
    /// At most so many rows, from 1 to [`PAGE_LIMIT`].
    pub limit: usize,
    /// Oldest first instead of newest first.
    pub ascending: bool,
}

/// A part of a listing.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Page<T> {
    /// The rows. There may be fewer than were asked for, or none, although there are more: a page looks through a bounded number of
    /// rows.
    pub rows: Vec<T>,
    /// Where the next page begins; `None` where this is the last.
    pub next: Option<String>,
}

/// Which sales. Everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaleFilter {
    /// Of this source.
    pub source: Option<String>,
    /// In this state: `waiting`, `ready`, `parked` or `merged`.
    pub state: Option<String>,
    /// In this mode.
    pub mode: Option<Mode>,
    /// In this currency.
    pub currency: Option<String>,
    /// With a click, or without.
    pub clicked: Option<bool>,
    /// True: only those that were sent beside another that turned out to be the same purchase.
    pub is_double: bool,
    /// Of this instant by the provider's word, or later.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
}

/// Which requests. Everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// Of this source.
    pub source: Option<String>,
    /// With an event of this outcome.
    pub outcome: Option<EventOutcome>,
    /// Received at this instant or later.
    pub since: Option<Timestamp>,
    /// Received before this instant.
    pub until: Option<Timestamp>,
}

/// Which deliveries. Everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// To this upstream.
    pub upstream: Option<String>,
    /// In this state.
    pub state: Option<DeliveryState>,
    /// Made at this instant or later.
    pub since: Option<Timestamp>,
    /// Made before this instant.
    pub until: Option<Timestamp>,
}

/// Which adjustments. Everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdjustmentFilter {
    /// Of this source.
    pub source: Option<String>,
    /// True: those that have found their sale; false: those that wait for it.
    pub has_sale: Option<bool>,
}

impl Default for Paging {
    fn default() -> Self {
        Self { cursor: None, limit: 50, ascending: false }
    }
}
