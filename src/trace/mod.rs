//! One trace for each request, from its receipt to the acceptance of its sale, though the stages know each other only by the store.
//!
//! Every stage derives the trace's id from what the store keeps of the request, its number and the time of its receipt, so that whoever
//! folds it or sends its sale, today or in three days, in this process or another, adds to the same trace. Spans hold names and numbers
//! of ours, nothing of a customer. They are sent only where the feature `otlp` is built in and `[traces]` says where to.

mod config;
#[cfg(feature = "otlp")]
mod export;

pub use config::Config;
#[cfg(feature = "otlp")]
pub use export::{flush, start};

use std::time::Duration;

use crate::domain::{RequestId, Timestamp};

/// What one stage did for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Which stage.
    pub stage: Stage,
    /// When it began.
    pub began_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What is told of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// True where it did not come to a good end.
    pub is_failed: bool,
}

/// A stage that has spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From the head of the request to its answer: the trace's root.
    Receive,
    /// Judging the signature.
    Verify,
    /// The durable append.
    Append,
    /// Mapping, attribution and their transaction, for all requests of a batch together.
    Settle,
    /// Asking a provider's API.
    Fetch,
    /// One attempt of a delivery of the sale that the request made.
    Attempt,
}

/// What is told of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A configured name or a code.
    Name(String),
    /// A number.
    Number(i64),
}

impl Stage {
    /// The stage as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Verify => "verify",
            Self::Append => "append",
            Self::Settle => "settle",
            Self::Fetch => "fetch",
            Self::Attempt => "attempt",
        }
    }
}

impl From<&str> for Value {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// Adds spans to the trace of a request, if traces are sent and this one is among the sample. Never waits.
#[cfg(feature = "otlp")]
pub fn note(request: RequestId, received_at: Timestamp, spans: impl FnOnce() -> Vec<Span>) {
    export::note(request, received_at, spans);
}

/// Does nothing: this salebridge was built without traces.
#[cfg(not(feature = "otlp"))]
pub fn note(_: RequestId, _: Timestamp, _: impl FnOnce() -> Vec<Span>) {}

/// Does nothing: this salebridge was built without traces, and no configuration that wants them was found to be right.
///
/// # Errors
/// None.
#[cfg(not(feature = "otlp"))]
pub fn start(_: &Config) -> Result<(), String> {
    Ok(())
}

/// Does nothing: this salebridge was built without traces.
#[cfg(not(feature = "otlp"))]
pub async fn flush() {}
