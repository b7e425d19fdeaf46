//! Time as a parameter: only the edges read a clock, and tests freeze it.

use std::sync::Mutex;

/// An instant in UTC, to the nanosecond; stored as whole milliseconds.
pub type Timestamp = jiff::Timestamp;

/// Where the edges read the time.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// A clock that stands still until it is moved; for tests, cases and `explain`.
#[derive(Debug)]
pub struct FixedClock(Mutex<Timestamp>);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl FixedClock {
    /// A clock that shows `at`.
    pub fn new(at: Timestamp) -> Self {
        Self(Mutex::new(at))
    }

    /// Moves the hands to `at`, in either direction.
    pub fn set(&self, at: Timestamp) {
        *self.0.lock().expect("no thread panics while it holds the clock") = at;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no thread panics while it holds the clock")
    }
}

/// The instant of a stored count of milliseconds since 1970; the epoch itself where it is out of range.
pub fn from_millis(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Instants in stored JSON: whole milliseconds since 1970.
pub(super) mod millis {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{Timestamp, from_millis};

    pub(in super::super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.as_millisecond())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(from_millis)
    }
}
