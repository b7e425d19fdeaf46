//! How an amount was arrived at, kept as data: `11900 total − 1900 tax = 10000 EUR`.

use std::fmt::Write as _;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::money::Money;

/// What a part of an amount is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// All that was paid.
    Total,
    /// The tax inside it.
    Tax,
    /// The shipping inside it.
    Shipping,
}

/// In which of two currencies a payment is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The one that the merchant is paid in.
    Settlement,
    /// The one that the customer saw.
    Presentment,
}

/// One part of an amount.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    pub what: PartKind,
    /// Minor units by ISO 4217; what is taken away is negative.
    pub minor: i64,
    /// The number as the provider wrote it; of a part that is a sum, each number, with `+` between.
    pub written: String,
    /// Where it stood (RFC 9535 path or another place).
    pub path: Arc<str>,
}

/// The same payment told in the other currency: kept, not counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Told {
    /// Which of the two it is.
    pub side: Side,
    /// How much, gross.
    #[serde(flatten)]
    pub money: Money,
    /// Where it stood.
    pub path: Arc<str>,
}

/// How an amount was arrived at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Proof {
    /// The total first, then what was taken away. Their sum is the amount.
    pub parts: Vec<Part>,
    /// What the source wants taken away, but the event does not state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unstated: Vec<PartKind>,
    /// Where the currency stood.
    pub currency_path: Arc<str>,
    /// The same payment in the other currency, where the event tells both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Told>,
}

impl PartKind {
    /// The part as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Tax => "tax",
            Self::Shipping => "shipping",
        }
    }
}

impl Side {
    /// The other of the two.
    pub fn opposite(self) -> Self {
        match self {
            Self::Settlement => Self::Presentment,
            Self::Presentment => Self::Settlement,
        }
    }

    /// The side as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settlement => "settlement",
            Self::Presentment => "presentment",
        }
    }
}

impl Proof {
    /// All that was paid, in minor units of the amount's currency: what refunds are measured against.
    pub fn total_minor(&self) -> i64 {
        self.parts.first().map_or(0, |part| part.minor)
    }

    /// The sum in words, in minor units: `11900 total − 1900 tax = 10000 EUR`.
    pub fn in_words(&self, money: Money) -> String {
        let mut text = String::new();
        for (index, part) in self.parts.iter().enumerate() {
            let sign = match (index == 0, part.minor) {
                (true, ..0) => "−",
                (true, 0..) => "",
                (false, ..1) => " − ",
                (false, 1..) => " + ",
            };
            // Writing to a text cannot fail.
            let _ = write!(text, "{sign}{} {}", part.minor.unsigned_abs(), part.what.as_str());
        }
        let _ = write!(text, " = {} {}", money.minor, money.currency.code());
        for part in &self.unstated {
            let _ = write!(text, " ({} is not stated)", part.as_str());
        }
        text
    }
}
