//! One sale, or money of it that went back, on its way to one upstream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::event::Mode;
use super::sale_event::SaleEvent;

/// Money of a sale that went back, as an upstream is told of it: one step after another, each in terms of the amount that was
/// counted and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdjustmentStep {
    /// Which step of this sale at this upstream it is, from 1.
    pub number: u32,
    /// How much goes back with it, in minor units of the sale's currency; below zero where money came back after all.
    pub minor: i64,
    /// How much of the sale is taken back with it, in minor units.
    pub taken_back: i64,
    /// When it was counted.
    pub at: Timestamp,
}

/// What an upstream is told: a sale, or money of it that went back.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The sale.
    pub sale: SaleEvent,
    /// The source that counted it.
    pub source: String,
    /// Live or test.
    pub mode: Mode,
    /// True where it repeats an earlier purchase.
    pub is_renewal: bool,
    /// What goes back of it; `None` where the sale itself is told.
    pub adjustment: Option<AdjustmentStep>,
    /// The id that the upstream gave to the sale, where it is known.
    pub upstream_id: Option<String>,
}

/// What an upstream can be told of money that went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdjustmentRule {
    /// True where a part of a sale can be taken back, not only the whole.
    pub partial: bool,
    /// True where it can be told that money came back after all.
    pub reversible: bool,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be sent when its time has come.
    Due,
    /// Handed to a sender under a lease.
    Sending,
    /// Accepted by the upstream.
    Delivered,
    /// The upstream had it already, which is as good.
    Duplicate,
    /// Accepted but, by the upstream's own word, not counted.
    Unattributed,
    /// Refused for good, or tried for too long: a person must look.
    Dead,
    /// Kept back because the sale has no click (`without_click = "hold"`).
    Held,
    /// Not sent because the sale has no click (`without_click = "skip"`).
    Skipped,
    /// Not sent because its sale turned out to be part of another.
    Merged,
    /// Not sent because a remap found that its sale is not counted, or lacks something, as today's pack reads its events.
    Withdrawn,
}

/// What one attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// Accepted.
    Delivered,
    /// Known to the upstream already.
    Duplicate,
    /// Accepted but not counted.
    Unattributed,
    /// Not now: try again on the schedule of days.
    Retry,
    /// Perhaps never: try again a few times only.
    RetryLimited,
    /// Never: a dead letter.
    Rejected,
    /// It was sent, but no answer came: perhaps it was accepted, perhaps not.
    Unknown,
    /// The upstream is misconfigured; its whole queue stands still and nothing is burnt.
    Paused,
}

impl Outgoing {
    /// The id by which the upstream knows it: the same for every try.
    pub fn id(&self) -> Option<String> {
        let invoice_id = self.sale.invoice_id.clone()?;
        Some(match &self.adjustment {
            Some(step) => format!("{invoice_id}-adjustment-{}", step.number),
            None => invoice_id,
        })
    }
}

impl AdjustmentRule {
    /// How much is to be told now, in minor units: of a sale of `amount` of which `taken_back` is gone, and `told` was told. `None`
    /// where there is nothing to tell, or nothing that the upstream could take.
    pub fn step(self, amount: i64, taken_back: i64, told: i64) -> Option<i64> {
        let taken_back = if self.partial || taken_back >= amount { taken_back.min(amount) } else { 0 };
        match taken_back - told {
            0 => None,
            more @ 1.. => Some(more),
            less => self.reversible.then_some(less),
        }
    }
}

impl DeliveryState {
    /// All states.
    pub const ALL: [Self; 10] = [
        Self::Due,
        Self::Sending,
        Self::Delivered,
        Self::Duplicate,
        Self::Unattributed,
        Self::Dead,
        Self::Held,
        Self::Skipped,
        Self::Merged,
        Self::Withdrawn,
    ];

    /// True where the upstream has it, whether or not it counted it.
    pub fn is_accepted(self) -> bool {
        match self {
            Self::Delivered | Self::Duplicate | Self::Unattributed => true,
            Self::Due | Self::Sending | Self::Dead | Self::Held | Self::Skipped | Self::Merged | Self::Withdrawn => false,
        }
    }

    /// The state as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Duplicate => "duplicate",
            Self::Unattributed => "unattributed",
            Self::Dead => "dead",
            Self::Held => "held",
            Self::Skipped => "skipped",
            Self::Merged => "merged",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Reads a state as it is written.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl AttemptOutcome {
    /// Every outcome.
    pub const ALL: [Self; 8] = [
        Self::Delivered,
        Self::Duplicate,
        Self::Unattributed,
        Self::Retry,
        Self::RetryLimited,
        Self::Rejected,
        Self::Unknown,
        Self::Paused,
    ];

    /// Whether the upstream has or may have what was sent. A server that fails may have failed after it wrote.
    pub fn may_be_accepted(self, status: Option<u16>) -> bool {
        match self {
            Self::Delivered | Self::Duplicate | Self::Unattributed | Self::Unknown => true,
            Self::Retry | Self::RetryLimited => status.is_some_and(|status| status >= 500),
            Self::Rejected | Self::Paused => false,
        }
    }

    /// The outcome as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Duplicate => "duplicate",
            Self::Unattributed => "unattributed",
            Self::Retry => "retry",
            Self::RetryLimited => "retry_limited",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Paused => "paused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AdjustmentRule;

    #[test]
    fn what_is_told_brings_the_upstream_to_where_the_sale_stands() {
        let full = AdjustmentRule { partial: true, reversible: true };
        assert_eq!(full.step(1000, 400, 0), Some(400));
        assert_eq!(full.step(1000, 400, 400), None);
        assert_eq!(full.step(1000, 1200, 400), Some(600), "never more than the sale");
        assert_eq!(full.step(1000, 0, 400), Some(-400), "money came back");
        let one_way = AdjustmentRule { reversible: false, ..full };
        assert_eq!(one_way.step(1000, 100, 400), None);
        assert_eq!(one_way.step(1000, 500, 400), Some(100), "only what is new");
        let whole = AdjustmentRule { partial: false, reversible: false };
        assert_eq!(whole.step(1000, 999, 0), None);
        assert_eq!(whole.step(1000, 1000, 0), Some(1000));
        let back = AdjustmentRule { partial: false, reversible: true };
        assert_eq!(back.step(1000, 999, 1000), Some(-1000), "a part is not told, so the whole comes back");
    }
}
