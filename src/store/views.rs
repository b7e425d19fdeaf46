//! What people and programs are shown of the store. Field names are part of the `--json` output.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::attribute::Choice;
use crate::domain::{Currency, DeliveryId, DeliveryState, RequestId, SaleId, Timestamp};

/// A sale with its story.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SaleView {
    /// Its number.
    pub id: SaleId,
    /// The source.
    pub source: String,
    /// Live or test.
    pub mode: String,
    /// `waiting`, `ready`, `parked` or `merged`.
    pub state: String,
    /// Why it waits or is parked, or why it has no click.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The stable code of that reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The canonical sale event, field by field.
    #[serde(flatten)]
    pub event: Map<String, Value>,
    /// The provider's id of its customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Every id by which it may be found, as `kind:value`.
    pub keys: Vec<String>,
    /// Where each field came from, or why it is missing.
    pub trail: Map<String, Value>,
    /// How the amount was arrived at: `11900 total − 1900 tax = 10000 EUR`.
    pub proof: String,
    /// The same as data; with the payment in the other currency, where the provider told both.
    pub amounts: Value,
    /// What is left of the amount.
    pub balance: BalanceView,
    /// What was said of money that went back, oldest first.
    pub adjustments: Vec<AdjustmentView>,
    /// When the bridge counted it (RFC 3339).
    pub counted_at: String,
    /// The sale it was merged into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<SaleId>,
    /// Sales, sent as well, that turned out to be the same purchase.
    pub possible_double_counts: Vec<SaleId>,
    /// The same with both timelines; only where one sale is shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub double_counts: Vec<DoubleView>,
    /// The events that spoke of it, oldest first.
    pub events: Vec<EventView>,
    /// Its deliveries.
    pub deliveries: Vec<DeliveryView>,
    /// What a person can decide of it now, if anything. People are offered it; programs hear it when they try.
    #[serde(skip)]
    pub choice: Option<Choice>,
}

/// What is left of a sale, in major units with exact digits.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BalanceView {
    /// The amount that was counted.
    pub amount: Value,
    /// Given back, of all that was paid.
    pub refunded: Value,
    /// Held by a bank or lost to one, of all that was paid.
    pub disputed: Value,
    /// Voided or failed after all, of all that was paid.
    pub cancelled: Value,
    /// What all of that takes from the amount.
    pub taken_back: Value,
    /// What is left of it.
    pub left: Value,
    /// How many adjustments name a currency of which the sale knows nothing; they are kept, but not counted.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_counted: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What was said of money that went back.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AdjustmentView {
    /// The request that held the event.
    pub request: RequestId,
    /// The event's place in it, from 0.
    pub position: u16,
    /// What was said, in the canonical form.
    #[serde(flatten)]
    pub adjustment: Map<String, Value>,
}

/// Another sale that was sent as well and turned out to be the same purchase.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DoubleView {
    /// The other sale.
    pub sale: SaleId,
    /// Its invoice id.
    #[serde(rename = "invoiceId", skip_serializing_if = "Option::is_none")]
    pub invoice_id: Option<String>,
    /// The request that ties the two.
    pub tied_by: RequestId,
    /// The events that spoke of it, oldest first.
    pub events: Vec<EventView>,
    /// Its deliveries.
    pub deliveries: Vec<DeliveryView>,
}

/// What became of one event.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EventView {
    /// The request that held it.
    pub request: RequestId,
    /// The provider's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `sale`, `corroborates`, `adjustment`, `ignored`, `parked`, `duplicate` or `fetching`.
    pub outcome: String,
    /// The stable code, where there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The sale it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale: Option<SaleId>,
    /// When it happened (RFC 3339).
    pub at: String,
}

/// A request.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RequestView {
    /// Its number.
    pub id: RequestId,
    /// The source.
    pub source: String,
    /// When it was received (RFC 3339).
    pub received_at: String,
    /// The size of its body.
    pub body_bytes: usize,
    /// The strongest outcome of its events, or `received` while it is not settled.
    pub outcome: String,
    /// Its events.
    pub events: Vec<EventView>,
}

/// A delivery.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DeliveryView {
    /// Its number.
    pub id: DeliveryId,
    /// The sale.
    pub sale: SaleId,
    /// The upstream.
    pub upstream: String,
    /// `sale`, or `adjustment`: money of it that went back.
    pub kind: &'static str,
    /// An adjustment's number at its upstream, its amount, and what is taken back with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjustment: Option<StepView>,
    /// The id that the upstream gave to the sale.
    #[serde(rename = "upstreamId", skip_serializing_if = "Option::is_none")]
    pub upstream_id: Option<String>,
    /// Where it stands.
    pub state: DeliveryState,
    /// The sale's invoice id.
    #[serde(rename = "invoiceId", skip_serializing_if = "Option::is_none")]
    pub invoice_id: Option<String>,
    /// Tries that count.
    pub attempts: u32,
    /// When it is or was due (RFC 3339).
    pub due_at: String,
    /// The HTTP status of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<u16>,
    /// What the last try came to, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reason: Option<String>,
    /// Each try, oldest first; only where one delivery is shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<AttemptView>,
}

/// Money of a sale that went back, as an upstream is told of it; amounts in major units with exact digits.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StepView {
    /// Which step it is, from 1.
    pub number: u32,
    /// How much goes back with it.
    pub amount: Value,
    /// How much of the sale is taken back with it.
    #[serde(rename = "takenBack")]
    pub taken_back: Value,
    /// The currency of both.
    pub currency: String,
}

/// One try of a delivery.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AttemptView {
    /// Counted from 1.
    pub number: u32,
    /// When it began (RFC 3339).
    pub started_at: String,
    /// How long it took.
    pub duration_ms: i64,
    /// What it came to.
    pub outcome: String,
    /// The HTTP status, where there was an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// In words.
    pub reason: String,
    /// What was sent.
    pub request: String,
    /// The start of the answer.
    pub answer: String,
}

/// What was said of money that went back, in a listing.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ListedAdjustmentView {
    /// The request that held the event.
    pub request: RequestId,
    /// The event's place in it, from 0.
    pub position: u16,
    /// The source.
    pub source: String,
    /// The sale; without one it waits for its sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale: Option<SaleId>,
    /// `refund`, `dispute_opened` and so on.
    pub kind: String,
    /// The provider's id of the refund or dispute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How much, in major units with exact digits; without it: all of the sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Value>,
    /// The currency of the amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// True where the amount is all that went back so far.
    pub cumulative: bool,
    /// When, by the provider's word (RFC 3339).
    pub at: String,
}

/// What is remembered of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IdentityView {
    /// The account at the provider; empty for the team's own customer across sources.
    pub account: String,
    /// Live or test.
    pub mode: String,
    /// Under which id it is remembered.
    pub customer: String,
    /// The team's own id.
    #[serde(rename = "customerExternalId", skip_serializing_if = "Option::is_none")]
    pub customer_external_id: Option<String>,
    /// The request that told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told_by: Option<RequestId>,
    /// The clicks, oldest first.
    pub clicks: Vec<ClickView>,
    /// When an event first spoke of it (RFC 3339).
    pub first_seen: String,
    /// When one last did (RFC 3339).
    pub last_seen: String,
}

/// A click that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClickView {
    /// The click.
    #[serde(rename = "clickId")]
    pub click_id: String,
    /// When it was told (RFC 3339).
    pub at: String,
    /// The request that told it.
    pub request: RequestId,
    /// True where it was only ever told by events that repeat an old purchase.
    pub repeated: bool,
}

/// An upstream's queue.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UpstreamView {
    /// Its configured name.
    pub name: String,
    /// True while its queue stands still.
    pub paused: bool,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when (RFC 3339); `None` where it was never paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// True where a person stopped it: then only a person starts it again.
    pub by_hand: bool,
    /// Deliveries that are due or being sent.
    pub due: u64,
    /// Dead letters.
    pub dead: u64,
}

/// How much waits where.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct QueueView {
    /// Requests that are stored but not settled.
    pub unsettled: u64,
    /// Sales that wait for their customer or their click.
    pub waiting: u64,
    /// Deliveries that are due or being sent.
    pub due: u64,
    /// Deliveries that a person must look at.
    pub dead: u64,
    /// Events for which something has to be fetched.
    pub fetching: u64,
}

/// One hourly count.
#[derive(Debug, Clone)]
pub struct TallyLine {
    /// Hours since 1970 (UTC).
    pub hour: i64,
    /// The source, or the upstream of an attempt.
    pub source: String,
    /// The outcome, the code, or how a sale came by its click.
    pub label: String,
    /// The currency of the sum, where there is one.
    pub currency: Option<Currency>,
    /// How many.
    pub number: i64,
    /// How many minor units.
    pub minor: i128,
    /// When it was last added to.
    pub last_at: Timestamp,
}

/// What has gathered that a person should look at.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct AttentionView {
    /// Sales that cannot be sent as they are.
    pub parked_sales: u64,
    /// Events that could not be mapped.
    pub parked_events: u64,
    /// Pairs of sales, both sent, that turned out to be one purchase.
    pub double_counts: u64,
}

/// Since when the first of each queue is there; `None` where the queue is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldestView {
    /// When the first request that is not settled was received.
    pub unsettled: Option<Timestamp>,
    /// When the sale was counted whose waiting ends next.
    pub waiting: Option<Timestamp>,
    /// When the first event for which something has to be fetched began to wait.
    pub fetching: Option<Timestamp>,
    /// Since when the first delivery of each upstream has been due, or from when on it will be.
    pub due: Vec<(String, Timestamp)>,
}

/// What a check of the store found.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct CheckView {
    /// How many rules were checked.
    pub checks: usize,
    /// Requests in the inbox.
    pub requests: u64,
    /// Sales in the ledger.
    pub sales: u64,
    /// Deliveries in the queues, whatever became of them.
    pub deliveries: u64,
    /// The rules that do not hold.
    pub findings: Vec<FindingView>,
}

/// A rule that does not hold.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FindingView {
    /// The rule's stable name.
    pub name: String,
    /// What is wrong, in words.
    pub wrong: String,
    /// How often.
    pub count: u64,
    /// The first request, sale or delivery of which it is so, by the words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<i64>,
}

/// A copy that was made beside a running server.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BackupView {
    /// Where it is.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Requests in it.
    pub requests: u64,
    /// Sales in it.
    pub sales: u64,
}

/// What was copied into another store.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct CopyView {
    /// The tables.
    pub tables: Vec<CopiedView>,
    /// Requests that the other store has yet to settle.
    pub unsettled: u64,
}

/// A table that was copied.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CopiedView {
    /// Its name.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// Its rows in the other store: the same number, or the copy is not whole.
    pub copied: u64,
}

impl CopyView {
    /// Whether the other store has as many rows of each table.
    pub fn is_whole(&self) -> bool {
        self.tables.iter().all(|table| table.rows == table.copied)
    }
}
