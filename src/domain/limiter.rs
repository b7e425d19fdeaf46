//! So many requests a minute and never more: in no 60 seconds, wherever they begin, as the upstream's clock sees them.

use super::clock::Timestamp;

/// Slots that were not used are kept for so long, so that a fast upstream is not slowed by a slow loop.
const BURST_MICROS: i64 = 100_000;
/// A minute, and what one request may be longer on its way than another.
const WINDOW_MICROS: i64 = 61_000_000;

/// Two requests that belong together may take one slot more than there is, so that the next is two ahead.
const MOST_AHEAD_SLOTS: i64 = 4;

/// A rate limit for one upstream.
#[derive(Debug, Clone)]
pub struct Limiter {
    interval_micros: i64,
    burst: i64,
    next_micros: i64,
}

impl Limiter {
    /// A limit of `requests_per_minute` (at least 1). Its first slot is one interval from `now` and none is kept from before, because
    /// another process may have used them just before it ended.
    pub fn new(requests_per_minute: u32, now: Timestamp) -> Self {
        let per_minute = i64::from(requests_per_minute.max(1));
        let burst = (BURST_MICROS * per_minute / 60_000_000).max(1);
        // A window holds at most `burst` kept slots and those that come due inside it.
        let interval_micros = WINDOW_MICROS / (per_minute - burst + 1).max(1) + 1;
        Self { interval_micros, burst, next_micros: now.as_microsecond() + interval_micros }
    }

    /// How many requests may be sent now.
    pub fn available(&self, now: Timestamp) -> usize {
        let waited = now.as_microsecond() - self.next_micros;
        if waited < 0 {
            return 0;
        }
        usize::try_from((waited / self.interval_micros + 1).min(self.burst)).unwrap_or(1)
    }

    /// No more than so many are ever available at once.
    pub fn most_at_once(&self) -> usize {
        usize::try_from(self.burst).unwrap_or(1)
    }

    /// Uses up so many slots.
    pub fn take(&mut self, count: usize, now: Timestamp) {
        let oldest = now.as_microsecond() - (self.burst - 1) * self.interval_micros;
        let count = i64::try_from(count).unwrap_or(self.burst);
        self.next_micros = self.next_micros.max(oldest) + count * self.interval_micros;
    }

    /// Goes on from where another limiter of the same rate stood: [`Limiter::next_at`], in microseconds since 1970.
    /// Nobody takes further ahead than a few slots: more was written by a clock that was ahead of `now`.
    pub fn resume(&mut self, next_micros: i64, now: Timestamp) {
        self.next_micros = next_micros.min(now.as_microsecond() + MOST_AHEAD_SLOTS * self.interval_micros);
    }

    /// Sends nothing before `until`: the upstream asked for it.
    pub fn hold(&mut self, until: Timestamp) {
        self.next_micros = self.next_micros.max(until.as_microsecond());
    }

    /// When the next request may be sent.
    pub fn next_at(&self) -> Timestamp {
        Timestamp::from_microsecond(self.next_micros).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_minute_holds_more_than_its_limit(
            per_minute in 1_u32..5_000,
            gaps in prop::collection::vec(0_i64..2_000_000, 1..400),
            restart_every in 1_usize..400,
        ) {
            let mut now = Timestamp::UNIX_EPOCH;
            let mut limiter = Limiter::new(per_minute, now);
            let mut sent: Vec<i64> = Vec::new();
            for (step, gap) in gaps.into_iter().enumerate() {
                if step % restart_every == restart_every - 1 {
                    limiter = Limiter::new(per_minute, now);
                }
                now = Timestamp::from_microsecond(now.as_microsecond() + gap).expect("in range");
                let count = limiter.available(now);
                limiter.take(count, now);
                sent.extend(std::iter::repeat_n(now.as_microsecond(), count));
            }
            for (first, from) in sent.iter().enumerate() {
                let within = sent[first..].iter().take_while(|at| **at < from + 60_000_000).count();
                prop_assert!(within <= per_minute as usize, "{within} requests in a minute, {per_minute} allowed");
            }
        }
    }

    #[test]
    fn a_steady_sender_gets_nearly_the_whole_rate() {
        for per_minute in [1_u32, 60, 6_000, 600_000] {
            let start = Timestamp::UNIX_EPOCH;
            let mut limiter = Limiter::new(per_minute, start);
            let mut sent = 0;
            for millis in 0..120_000 {
                let now = Timestamp::from_millisecond(millis).expect("in range");
                let count = limiter.available(now);
                limiter.take(count, now);
                sent += count;
            }
            let share = sent * 100 / (2 * per_minute as usize);
            assert!((50..=100).contains(&share) && (per_minute == 1 || share >= 97), "{per_minute}: {share} %");
        }
    }
}
