//! One sale event on its way to one upstream.

use serde::{Deserialize, Serialize};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// The upstream is misconfigured; its whole queue stands still and nothing is burnt.
    Paused,
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
    /// The outcome as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Duplicate => "duplicate",
            Self::Unattributed => "unattributed",
            Self::Retry => "retry",
            Self::RetryLimited => "retry_limited",
            Self::Rejected => "rejected",
            Self::Paused => "paused",
        }
    }
}
