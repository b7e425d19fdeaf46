//! Alarms: what a person has to know without looking. Watched by one process of those that serve a store, told to a webhook.
//!
//! What is observed, how it is judged and how it is told are apart: [`gather`], [`judge`], [`Teller`]; [`Watch`] does one after another.

mod config;
mod hours;
mod judge;
mod observations;
mod tell;
#[cfg(test)]
mod tests;
mod usual;
mod watch;

pub use config::{Config, Format, Thresholds};
pub use hours::{Hours, hour_of};
pub use judge::{Decision, judge};
pub use observations::{History, Observations, Paused, SourceSeen, UpstreamSeen, gather};
pub use tell::Teller;
pub use watch::{INTERVAL, Watch};

use crate::domain::Timestamp;

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An upstream's queue stands still.
    UpstreamPaused,
    /// Deliveries were given up.
    DeadLetters,
    /// A source is silent against its own rhythm.
    SourceSilent,
    /// More requests are refused than usual.
    RefusalsSurge,
    /// More sales have no click than usual.
    UnattributedSurge,
    /// Something waits for too long.
    QueueOld,
}

/// What is told of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It begins.
    Begins,
    /// It is still on.
    Reminds,
    /// It is over.
    Ends,
}

/// An alarm to be told. It holds names of the configuration and numbers, nothing of a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What it is about.
    pub kind: Kind,
    /// The source or the upstream, or what else waits.
    pub about: String,
    /// Whether it begins or ends.
    pub phase: Phase,
    /// Since when it is on.
    pub since: Timestamp,
    /// What happened.
    pub what: String,
    /// What to do next; empty where nothing is.
    pub next: String,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::UpstreamPaused,
        Self::DeadLetters,
        Self::SourceSilent,
        Self::RefusalsSurge,
        Self::UnattributedSurge,
        Self::QueueOld,
    ];

    /// The kind as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpstreamPaused => "upstream_paused",
            Self::DeadLetters => "dead_letters",
            Self::SourceSilent => "source_silent",
            Self::RefusalsSurge => "refusals_surge",
            Self::UnattributedSurge => "unattributed_surge",
            Self::QueueOld => "queue_old",
        }
    }

    /// The name of the alarm of this kind about something.
    pub fn name_of(self, about: &str) -> String {
        format!("{}:{about}", self.as_str())
    }

    /// Kind and subject of a name.
    pub fn of_name(name: &str) -> Option<(Self, &str)> {
        let (kind, about) = name.split_once(':')?;
        Some((Self::ALL.into_iter().find(|known| known.as_str() == kind)?, about))
    }

    /// What it is, in words.
    fn title(self) -> &'static str {
        match self {
            Self::UpstreamPaused => "an upstream is paused",
            Self::DeadLetters => "there are dead letters",
            Self::SourceSilent => "a source is silent",
            Self::RefusalsSurge => "many requests are refused",
            Self::UnattributedSurge => "many sales have no click",
            Self::QueueOld => "something waits for too long",
        }
    }
}

impl Phase {
    /// The phase as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begins => "begins",
            Self::Reminds => "reminds",
            Self::Ends => "ends",
        }
    }
}
