//! The mapping tables of a pack, as written: `[event]`, `[reads]`, `[keys]`, `[money]` and `[[events]]`.
//!
//! A *place* is an RFC 9535 path into the event (`$.data.id`), `header:NAME`, or another kind that providers/README.md names. Where a list of places is asked for,
//! the first that holds a value wins; null, an empty text, an object and an array hold none.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::enrich::EnrichSpec;
use crate::document::OneOrMany;

/// Everything that a pack says about mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Where an event says what it is.
    pub event: EventSpec,
    /// What has to be fetched before events can be mapped.
    pub enrich: Vec<EnrichSpec>,
    /// Where the customer stands, unless a rule says otherwise.
    pub reads: Reads,
    /// The kinds of ids that tie events to a sale.
    pub keys: KeysSpec,
    /// What is peculiar about the provider's money.
    pub money: MoneySpec,
    /// The rules, first match wins.
    pub events: Vec<Rule>,
}

/// Where an event says what it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventSpec {
    /// A path to the events, where a request holds several.
    pub foreach: Option<String>,
    /// The places of the event's type, first that holds a value.
    #[serde(rename = "type")]
    pub kind: OneOrMany<String>,
    /// Taken off the beginning of a type, where a provider has two names for one type.
    pub drop_prefix: Option<String>,
    /// The place of the provider's event id; only signed places are allowed.
    pub id: Option<String>,
    /// When it happened.
    pub at: At,
    /// Where a provider flags its sandbox. Without it every event counts as live.
    pub mode: Option<ModeSpec>,
    /// True where the body only refers to what is to be fetched, so that equal requests are not recognised as repeated.
    #[serde(default)]
    pub reference: bool,
}

/// Where and how a time is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct At {
    /// The places, first that holds a value.
    pub paths: Vec<String>,
    /// How it is written.
    pub form: TimeForm,
    /// The zone of times that name none, such as `+05:30`; left out: UTC.
    pub zone: Option<String>,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeForm {
    /// Whole seconds since 1970.
    UnixSeconds,
    /// Whole milliseconds since 1970.
    UnixMillis,
    /// RFC 3339, with a zone.
    Rfc3339,
    /// ISO 8601, with or without a zone, with `T` or a blank before the time; or a date alone.
    Datetime,
    /// Any of them, by its looks; numbers from 10^11 on are milliseconds.
    Auto,
}

/// Where a provider flags its sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeSpec {
    /// The places of the flag; one that means test is enough.
    pub paths: Vec<String>,
    /// The values that mean test, as text (`"true"`, `"false"`, `"test"`).
    pub test: Vec<String>,
}

/// Where the customer stands. What a rule leaves out is taken from the pack's `[reads]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reads {
    /// The provider's id of its customer, under which identities are remembered.
    pub customer: Option<Vec<String>>,
    /// Values of `customer` and of the team's own id that stand for nobody.
    pub nobody: Option<Vec<String>>,
    /// The places of the team's metadata, in order, with `{key}` for the name of an entry.
    pub metadata: Option<Vec<String>>,
    /// Places beyond the metadata that hold the team's own customer id.
    pub customer_external_id: Option<Vec<String>>,
    /// Reference fields, read as the customer's id only where the source says so.
    pub reference: Option<Vec<String>>,
    /// The customer's e-mail address.
    pub email: Option<Vec<String>>,
    /// The customer's name; each member is a list of places whose values are joined by a space.
    pub name: Option<Vec<Vec<String>>>,
}

/// The kinds of ids that tie events to a sale.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeysSpec {
    /// Kinds that identify one sale, strongest first: the strongest that a sale has becomes its invoice id.
    pub identifying: Vec<String>,
    /// Kinds that only group several sales.
    #[serde(default)]
    pub grouping: Vec<String>,
    /// True where the provider's ids are unique in the world, so that no source's name needs to stand before them.
    pub globally_unique: bool,
    /// Put before the ids of a kind in the invoice id, where ids of two kinds could be equal.
    #[serde(default)]
    pub invoice_prefix: BTreeMap<String, String>,
}

/// What is peculiar about the provider's money.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoneySpec {
    /// Decimal places of this provider's minor unit where they differ from ISO 4217, by currency code.
    #[serde(default)]
    pub exponents: BTreeMap<String, u8>,
}

/// What to make of an event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The event types it is for; left out: all.
    pub types: Option<Vec<String>>,
    /// What else must hold, all of it.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// It is a sale of this canonical name.
    pub sale: Option<String>,
    /// It takes a sale back, in part or whole: `refund`, `refund_failed`, `dispute_opened`, `dispute_won`, `dispute_lost`, `void` or
    /// `payment_failed`.
    pub adjustment: Option<String>,
    /// It is genuine but no sale.
    pub ignore: Option<Outcome>,
    /// It is genuine but cannot be mapped.
    pub park: Option<Outcome>,
    /// Among the events of one sale the highest rank gives name, amount and time. Sales need it.
    pub rank: Option<u8>,
    /// How much; of several tables the first that holds a value counts. Sales need it; of an adjustment it is what went back, and all
    /// of the sale where it is left out.
    pub amount: Option<OneOrMany<AmountSpec>>,
    /// The places of the currency's code. Sales need it.
    pub currency: Option<Vec<String>>,
    /// The same payment in the currency that the customer saw, where the amount above is in the one that the merchant is paid in.
    pub presentment: Option<OtherSpec>,
    /// The same payment in the currency that the merchant is paid in, where the amount above is in the one that the customer saw.
    pub settlement: Option<OtherSpec>,
    /// All that was refunded of the sale so far, in the unit of its own table and the currency of the sale: for events that tell
    /// of the payment and of its refunds at once.
    pub refunded: Option<RefundedSpec>,
    /// When it happened, where that differs: the places, in the form of `[event] at`.
    pub at: Option<Vec<String>>,
    /// The tax inside the amount, in the same unit. Where the first place that holds a value holds several (`[*]`), their sum.
    pub tax: Option<Vec<String>>,
    /// The shipping inside the amount, in the same way.
    pub shipping: Option<Vec<String>>,
    /// The places of the provider's own id of the refund or the dispute. Adjustments of these kinds need it.
    pub id: Option<Vec<String>>,
    /// True where a refund's amount is all that was refunded of the sale so far.
    #[serde(default)]
    pub cumulative: bool,
    /// The places of the ids, by kind.
    #[serde(default)]
    pub keys: BTreeMap<String, Vec<String>>,
    /// True where the event repeats an earlier purchase: memory may answer at once, and the click that it carries is the old
    /// one, which never replaces a newer one in memory.
    #[serde(default)]
    pub renewal: bool,
    /// The event types that may still bring the customer or the click.
    #[serde(default)]
    pub awaits: Vec<String>,
    /// Where the customer stands in this event, where that differs.
    #[serde(default)]
    pub reads: Reads,
}

/// A code and a sentence for an event that is not counted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// A short stable code in snake case.
    pub code: String,
    /// One sentence for the operator.
    pub reason: String,
}

/// Where and in which unit an amount is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AmountSpec {
    /// The places, first that holds a value.
    pub paths: Vec<String>,
    /// Its unit.
    pub unit: Unit,
    /// True where the amount is the sum of all values at the place that counts.
    #[serde(default)]
    pub sum: bool,
}

/// All that was refunded of a sale so far.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundedSpec {
    /// The places, first that holds a value.
    pub paths: Vec<String>,
    /// Its unit.
    pub unit: Unit,
    /// True where it is the sum of all values at the place that counts.
    #[serde(default)]
    pub sum: bool,
    /// When that was so, in the form of `[event] at`; left out: the time of the event, and then nothing refunded says nothing.
    pub at: Option<Vec<String>>,
}

/// A payment in its other currency.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtherSpec {
    /// How much, as in a rule.
    pub amount: OneOrMany<AmountSpec>,
    /// The places of the currency's code.
    pub currency: Vec<String>,
    /// The tax inside the amount.
    pub tax: Option<Vec<String>>,
    /// The shipping inside the amount.
    pub shipping: Option<Vec<String>>,
}

/// The unit of an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Whole minor units (cents), as a number or a text.
    Minor,
    /// A decimal of major units (dollars), as a number or a text.
    Major,
}

/// A condition on one place. Exactly one of `is`, `is_not`, `starts_with` and `exists` must be given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The place.
    pub path: String,
    /// Its value, as text, is one of these.
    pub is: Option<Vec<String>>,
    /// Its value, as text, is none of these; an absent value is none of them.
    pub is_not: Option<Vec<String>>,
    /// Its value, as text, begins with one of these.
    pub starts_with: Option<Vec<String>>,
    /// It holds a value, or it does not.
    pub exists: Option<bool>,
}
