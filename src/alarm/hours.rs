//! Counts by the hour, and what they add up to over any span: whole hours in full, the first and the last by their share.

use std::collections::BTreeMap;

use crate::domain::Timestamp;

/// Milliseconds of an hour.
const HOUR_MILLIS: i64 = 60 * 60 * 1000;

/// Counts by whole hours since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hours(BTreeMap<i64, u64>);

/// The hour of an instant, since 1970.
pub fn hour_of(at: Timestamp) -> i64 {
    at.as_millisecond().div_euclid(HOUR_MILLIS)
}

impl Hours {
    /// Adds to what was counted in an hour.
    pub fn add(&mut self, hour: i64, count: u64) {
        let sum = self.0.entry(hour).or_default();
        *sum = sum.saturating_add(count);
    }

    /// The first hour in which anything was counted.
    pub fn first(&self) -> Option<i64> {
        self.0.keys().next().copied()
    }

    /// What was counted in these hours.
    pub fn sum(&self, hours: std::ops::Range<i64>) -> u64 {
        if hours.is_empty() { 0 } else { self.0.range(hours).map(|(_, count)| *count).sum() }
    }

    /// A thousand times what was counted between two instants, if it was spread evenly over each hour.
    pub fn thousandths(&self, from: Timestamp, to: Timestamp) -> u64 {
        let (from, to) = (from.as_millisecond(), to.as_millisecond());
        let hours = from.div_euclid(HOUR_MILLIS)..to.div_euclid(HOUR_MILLIS) + 1;
        if from >= to {
            return 0;
        }
        let share = |(hour, count): (&i64, &u64)| {
            let begin = hour * HOUR_MILLIS;
            let inside = to.min(begin + HOUR_MILLIS) - from.max(begin);
            count.saturating_mul(u64::try_from(inside).unwrap_or(0)) / (HOUR_MILLIS.unsigned_abs() / 1000)
        };
        self.0.range(hours).map(share).sum()
    }
}

impl FromIterator<(i64, u64)> for Hours {
    fn from_iter<T: IntoIterator<Item = (i64, u64)>>(counts: T) -> Self {
        let mut hours = Self::default();
        counts.into_iter().for_each(|(hour, count)| hours.add(hour, count));
        hours
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::from_millis;

    #[test]
    fn a_span_counts_hours_by_their_share() {
        let hours: Hours = [(10, 60), (11, 120), (13, 600)].into_iter().collect();
        let at = |minutes: i64| from_millis(minutes * 60_000);
        assert_eq!(hours.thousandths(at(10 * 60), at(12 * 60)), 180_000);
        assert_eq!(hours.thousandths(at(10 * 60 + 45), at(11 * 60 + 15)), 15_000 + 30_000);
        assert_eq!(hours.thousandths(at(12 * 60 + 50), at(13 * 60 + 1)), 10_000);
        assert_eq!(hours.thousandths(at(13 * 60), at(13 * 60)), 0);
        assert_eq!((hours.sum(11..14), hours.sum(14..20), hours.sum(14..14)), (720, 0, 0));
        assert_eq!((hour_of(at(-1)), hour_of(at(120))), (-1, 2));
    }
}
