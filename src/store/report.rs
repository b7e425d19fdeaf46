//! What a report says. Field names are part of the `--json` output; amounts are in major units with exact digits.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::domain::{RequestId, SaleId, Timestamp};

/// Which part of the ledger is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// From this instant on, by the provider's word.
    pub since: Timestamp,
    /// Before this instant.
    pub until: Timestamp,
    /// Only of this source.
    pub source: Option<String>,
}

/// The ledger over a period.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Report {
    /// From this instant on (RFC 3339).
    pub since: String,
    /// Before this instant (RFC 3339).
    pub until: String,
    /// Live sales by source, currency and event.
    pub sales: Vec<SalesLine>,
    /// Live sales by how they came by their click.
    pub attribution: Vec<AttributionLine>,
    /// What is genuine but could not be sent: sales, and events that could not be mapped.
    pub parked: Vec<ParkedLine>,
    /// Pairs of sales, both sent, that turned out to be one purchase.
    pub possible_double_counts: Vec<DoubleLine>,
    /// Money that went back in the period, whenever its sale was.
    pub adjustments: Vec<AdjustmentLine>,
    /// What came in test mode: events, and sales where they are accepted.
    pub test_mode: Vec<TestLine>,
}

/// Live sales of one source, currency and event.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SalesLine {
    /// The source.
    pub source: String,
    /// The currency.
    pub currency: String,
    /// The canonical name.
    pub event: String,
    /// How many.
    pub sales: u64,
    /// What they amount to.
    pub amount: Value,
    /// What was taken back of them since.
    pub taken_back: Value,
    /// What is left.
    pub left: Value,
}

/// Live sales that came by their click, or did not, in one way.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AttributionLine {
    /// `attributed` (an event of the sale told the click), `remembered`, `unattributed`, `waiting` or `parked` (not sent).
    pub how: String,
    /// Why there is no click, or why it is parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The currency.
    pub currency: String,
    /// How many.
    pub sales: u64,
    /// What they amount to.
    pub amount: Value,
}

/// What is parked for one reason.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ParkedLine {
    /// `sale` or `event`.
    pub what: String,
    /// The source.
    pub source: String,
    /// The reason's stable code.
    pub code: String,
    /// How many.
    pub count: u64,
    /// One of them: a sale's number, or the request of an event.
    pub example: i64,
}

/// Two sales that may be one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DoubleLine {
    /// The older one.
    pub first: SaleId,
    /// The younger one.
    pub second: SaleId,
    /// The request that ties them.
    pub tied_by: RequestId,
    /// The currency of the younger one.
    pub currency: String,
    /// What the younger one amounts to.
    pub amount: Value,
}

/// What was said of money that went back, in one way.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AdjustmentLine {
    /// The source.
    pub source: String,
    /// The kind: `refund`, `dispute_opened` and so on.
    pub kind: String,
    /// True where the events have found their sales.
    pub has_sale: bool,
    /// The currency, where an amount was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// How many events.
    pub events: u64,
    /// What they come to: of several events about one refund or dispute the newest counts. What it takes from each sale is in its balance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Value>,
}

/// What came in test mode.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TestLine {
    /// The source.
    pub source: String,
    /// What became of it.
    pub outcome: String,
    /// How many events.
    pub events: u64,
}
