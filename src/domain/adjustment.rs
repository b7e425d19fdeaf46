//! What takes a sale back, in part or whole: refunds, disputes, voids, payments that failed after all.
//!
//! Each event is one statement; what is left of a sale is a pure function of all statements, in whichever order they came.

use serde::{Deserialize, Serialize};

use super::RequestId;
use super::clock::Timestamp;
use super::money::Money;

/// What an event says about money that went, or came, back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdjustmentKind {
    /// Money was given back.
    Refund,
    /// A refund did not come to pass after all.
    RefundFailed,
    /// The customer's bank holds the money.
    DisputeOpened,
    /// The bank gave the money back to the merchant.
    DisputeWon,
    /// The money is gone for good.
    DisputeLost,
    /// The payment was cancelled after it had been counted.
    Void,
    /// A payment that had been confirmed failed after all.
    PaymentFailed,
}

/// An event's word about money that went back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Adjustment {
    /// What it says.
    pub kind: AdjustmentKind,
    /// The provider's id of the refund or dispute, where there is one: several statements about it are one adjustment.
    pub id: Option<String>,
    /// How much; `None` for the whole payment.
    pub money: Option<Money>,
    /// True where the amount is all that was refunded of the sale so far, not this refund alone.
    pub is_cumulative: bool,
}

/// An adjustment as the ledger keeps it: who said it, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The request that held the event.
    pub request: RequestId,
    /// The event's place in it.
    pub position: u16,
    /// When it happened, by the provider's word.
    pub at: Timestamp,
    /// What was said.
    pub adjustment: Adjustment,
}

impl AdjustmentKind {
    /// All kinds, in the order of the documents.
    pub const ALL: [Self; 7] = [
        Self::Refund,
        Self::RefundFailed,
        Self::DisputeOpened,
        Self::DisputeWon,
        Self::DisputeLost,
        Self::Void,
        Self::PaymentFailed,
    ];

    /// The kind as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refund => "refund",
            Self::RefundFailed => "refund_failed",
            Self::DisputeOpened => "dispute_opened",
            Self::DisputeWon => "dispute_won",
            Self::DisputeLost => "dispute_lost",
            Self::Void => "void",
            Self::PaymentFailed => "payment_failed",
        }
    }

    /// Reads a kind as it is written.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// True where money goes back, false where it comes back.
    pub fn takes_back(self) -> bool {
        match self {
            Self::Refund | Self::DisputeOpened | Self::DisputeLost | Self::Void | Self::PaymentFailed => true,
            Self::RefundFailed | Self::DisputeWon => false,
        }
    }

    /// True where one adjustment is told from another by its id.
    pub fn needs_id(self) -> bool {
        match self {
            Self::Refund | Self::RefundFailed | Self::DisputeOpened | Self::DisputeWon | Self::DisputeLost => true,
            Self::Void | Self::PaymentFailed => false,
        }
    }
}

impl Adjustment {
    /// The canonical JSON object, as cases and `explain` show it.
    pub fn to_json(&self, at: Timestamp) -> serde_json::Map<String, serde_json::Value> {
        let mut object = serde_json::Map::new();
        object.insert("adjustment".to_owned(), self.kind.as_str().into());
        if let Some(id) = &self.id {
            object.insert("id".to_owned(), id.clone().into());
        }
        if let Some(money) = self.money {
            object.insert("amount".to_owned(), money.to_number());
            object.insert("currency".to_owned(), money.currency.code().into());
        }
        if self.is_cumulative {
            object.insert("cumulative".to_owned(), true.into());
        }
        object.insert("timestamp".to_owned(), format!("{at:.0}").into());
        object
    }
}
