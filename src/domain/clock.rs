//! Time as a parameter: only the edges read a clock, and tests freeze it.

use std::sync::Mutex;
use std::time::Duration;

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

/// A clock that goes back by less was only adjusted.
pub const CLOCK_NOISE: Duration = Duration::from_secs(1);

/// The latest that a clock was seen to show, by which whoever reads it notices that it was set back.
#[derive(Debug, Clone, Copy, Default)]
pub struct LatestSeen(Timestamp);

impl LatestSeen {
    /// Remembers a reading, and hands it on.
    pub fn sees(&mut self, now: Timestamp) -> Timestamp {
        self.0 = self.0.max(now);
        now
    }

    /// By how much the clock was set back since its latest reading; `None` for less than a second.
    pub fn set_back_by(&self, now: Timestamp) -> Option<Duration> {
        let by = Duration::try_from(self.0.duration_since(now)).ok()?;
        (by > CLOCK_NOISE).then_some(by)
    }

    /// The clock is believed again: nothing waits any more for what it showed before.
    pub fn believes(&mut self, now: Timestamp) {
        self.0 = now;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_noticed_by_its_latest_reading() {
        let at = |secs: i64| Timestamp::from_second(1_800_000_000 + secs).expect("a time");
        let mut seen = LatestSeen::default();
        assert_eq!(seen.set_back_by(at(0)), None, "nothing was seen yet");
        // Ahead and back between two readings that are in order.
        for reading in [0, 7200, 1] {
            assert_eq!(seen.sees(at(reading)), at(reading));
        }
        assert_eq!(seen.set_back_by(at(7199)), None, "adjusted");
        assert_eq!(seen.set_back_by(at(1)), Some(Duration::from_secs(7199)));
        seen.believes(at(1));
        assert_eq!(seen.set_back_by(at(1)), None);
        assert_eq!(seen.set_back_by(at(-10)), Some(Duration::from_secs(11)));
    }
}
