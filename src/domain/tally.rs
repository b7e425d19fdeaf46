//! What is counted hour by hour as it happens, so that nobody adds up a million sales to see a day.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clock::Timestamp;

/// Milliseconds of an hour.
const HOUR_MILLIS: i64 = 3_600_000;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tallied {
    /// A genuine request, by source, in the hour in which it was settled.
    Request,
    /// An event, by source and outcome, in the hour in which it was settled.
    Event,
    /// A live sale that is counted now, by source, currency and how it came by its click, in the hour of the sale.
    Sale,
    /// The same, with what was taken back of it.
    TakenBack,
    /// An attempt of a delivery, by upstream and outcome, in the hour in which it ended.
    Attempt,
    /// A request that was refused, by source and code, in the hour in which it came.
    Refused,
}

/// Under what something is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tally {
    /// What is counted.
    pub what: Tallied,
    /// Hours since 1970 (UTC).
    pub hour: i64,
    /// The source, or the upstream of an attempt.
    pub source: Arc<str>,
    /// The outcome, the code, or how a sale came by its click.
    pub label: String,
    /// The currency of the sums; empty where there are none.
    pub currency: &'static str,
}

/// How many, and how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// How many there are more than before; negative where there are fewer.
    pub number: i64,
    /// By how many minor units the sum changes.
    pub minor: i128,
}

/// By how much counts change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tallies(BTreeMap<Tally, Count>);

impl Tallied {
    /// The word under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Event => "event",
            Self::Sale => "sale",
            Self::TakenBack => "taken_back",
            Self::Attempt => "attempt",
            Self::Refused => "refused",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Request, Self::Event, Self::Sale, Self::TakenBack, Self::Attempt, Self::Refused];
        all.into_iter().find(|what| what.as_str() == text)
    }
}

impl Tally {
    /// Something without a sum.
    pub fn new(what: Tallied, at: Timestamp, source: impl Into<Arc<str>>, label: impl Into<String>) -> Self {
        Self { what, hour: hour_of(at), source: source.into(), label: label.into(), currency: "" }
    }
}

impl Tallies {
    /// Counts `number` more, with `minor` more in all.
    pub fn add(&mut self, tally: Tally, number: i64, minor: i128) {
        let count = self.0.entry(tally).or_default();
        count.number += number;
        count.minor += minor;
    }

    /// Whatever changes, in one order: two writers that follow it never wait for each other in a circle.
    pub fn changed(&self) -> impl Iterator<Item = (&Tally, &Count)> {
        self.0.iter().filter(|(_, count)| **count != Count::default())
    }
}

/// The hour of an instant, counted from 1970.
pub fn hour_of(at: Timestamp) -> i64 {
    at.as_millisecond() / HOUR_MILLIS
}

/// The instant at which an hour begins.
pub fn start_of_hour(hour: i64) -> Timestamp {
    super::from_millis(hour.saturating_mul(HOUR_MILLIS))
}
