//! When a delivery that did not succeed is tried again, and when a person must look.

use std::time::Duration;

use crate::domain::{AttemptOutcome, DeliveryState, Timestamp};
use crate::outbound::{self, jittered};

/// A shorter `Retry-After` says nothing.
const SHORTEST_ASKED: Duration = Duration::from_secs(1);
/// After so many attempts the schedule's own delay holds where it is longer.
const TRUSTED_ATTEMPTS: u32 = 5;

/// The schedule of retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The bound of the first delay; it doubles with each attempt.
    pub first_delay: Duration,
    /// No delay is longer.
    pub longest_delay: Duration,
    /// After this a delivery is a dead letter.
    pub give_up_after: Duration,
    /// `retry_limited`: a dead letter after so many attempts.
    pub limited_attempts: u32,
    /// `retry_limited`: the bound of the first delay.
    pub limited_first_delay: Duration,
    /// What an upstream asks for by `Retry-After` is believed up to this.
    pub retry_after_cap: Duration,
    /// A paused upstream is tried again by a single delivery so often.
    pub pause: Duration,
}

/// Where a delivery stands after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// Its state.
    pub state: DeliveryState,
    /// When it is due, where it is.
    pub due_at: Timestamp,
    /// False where the attempt is not counted against it.
    pub counts: bool,
}

/// What was tried so far, the last attempt with it.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    /// Attempts.
    pub attempts: u32,
    /// Those that came to [`AttemptOutcome::RetryLimited`].
    pub limited: u32,
    /// When the first one began.
    pub since: Timestamp,
}

impl Default for Schedule {
    /// Full jitter between nothing and a bound that doubles from 10 s to 4 h, for four days.
    fn default() -> Self {
        Self {
            first_delay: Duration::from_secs(10),
            longest_delay: Duration::from_secs(4 * 60 * 60),
            give_up_after: Duration::from_secs(4 * 24 * 60 * 60),
            limited_attempts: 6,
            limited_first_delay: Duration::from_secs(2 * 60),
            retry_after_cap: Duration::from_secs(15 * 60),
            pause: Duration::from_secs(5 * 60),
        }
    }
}

impl Schedule {
    /// Where a delivery stands after an attempt that came to `outcome` at `now`. `random` is any number, `asked` what the upstream
    /// asked to wait. `counts_repeats`: what may have been accepted must not be sent again by itself.
    pub fn next(
        &self,
        counts_repeats: bool,
        outcome: AttemptOutcome,
        Tries { attempts, limited, since }: Tries,
        now: Timestamp,
        asked: Option<Duration>,
        random: u64,
    ) -> Next {
        let done = |state| Next { state, due_at: now, counts: true };
        let after = |delay: Duration| Next { state: DeliveryState::Due, due_at: now + delay, counts: true };
        match outcome {
            AttemptOutcome::Delivered => done(DeliveryState::Delivered),
            AttemptOutcome::Duplicate => done(DeliveryState::Duplicate),
            AttemptOutcome::Unattributed => done(DeliveryState::Unattributed),
            AttemptOutcome::Rejected => done(DeliveryState::Dead),
            AttemptOutcome::Unknown if counts_repeats => done(DeliveryState::Dead),
            AttemptOutcome::Paused => Next { state: DeliveryState::Due, due_at: now, counts: false },
            AttemptOutcome::RetryLimited if limited >= self.limited_attempts => done(DeliveryState::Dead),
            AttemptOutcome::RetryLimited => {
                after(jittered(self.limited_first_delay, self.longest_delay, limited, random).max(asked.unwrap_or_default()))
            }
            AttemptOutcome::Retry | AttemptOutcome::Unknown if now.duration_since(since).unsigned_abs() >= self.give_up_after => {
                done(DeliveryState::Dead)
            }
            AttemptOutcome::Retry | AttemptOutcome::Unknown => after(self.delay(attempts, asked, random)),
        }
    }

    /// What an upstream asked to wait, believed up to the cap.
    pub fn asked(&self, retry_after: Option<&str>, now: Timestamp) -> Option<Duration> {
        Some(outbound::retry_after(retry_after?, now)?.min(self.retry_after_cap))
    }

    /// What the upstream asks for is done, but an upstream that always asks for nothing is not hammered.
    fn delay(&self, attempts: u32, asked: Option<Duration>, random: u64) -> Duration {
        let jittered = jittered(self.first_delay, self.longest_delay, attempts, random);
        match asked {
            Some(asked) if asked >= SHORTEST_ASKED && attempts <= TRUSTED_ATTEMPTS => asked,
            Some(asked) => asked.max(jittered),
            None => jittered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    fn tries(attempts: u32, limited: u32, since: Timestamp) -> Tries {
        Tries { attempts, limited, since }
    }

    #[test]
    fn what_is_perhaps_not_known_yet_gets_its_tries_whatever_came_before() {
        let now = at("2026-11-22T05:11:00Z");
        let state = |limited| {
            Schedule::default().next(false, AttemptOutcome::RetryLimited, tries(limited + 20, limited, now), now, None, 1).state
        };
        assert_eq!((state(1), state(5), state(6)), (DeliveryState::Due, DeliveryState::Due, DeliveryState::Dead));
    }

    #[test]
    fn what_is_asked_is_capped() {
        let now = at("2026-11-22T05:11:00Z");
        let schedule = Schedule::default();
        assert_eq!(schedule.asked(Some("999999999"), now), Some(schedule.retry_after_cap));
        assert_eq!(schedule.asked(None, now), None);
    }

    #[test]
    fn retries_span_days_and_end_in_a_dead_letter() {
        let created = at("2026-11-22T05:11:00Z");
        let schedule = Schedule::default();
        let mut now = created;
        let mut attempts = 0;
        let state = loop {
            attempts += 1;
            let next = schedule.next(false, AttemptOutcome::Retry, tries(attempts, 0, created), now, None, u64::MAX / 3);
            assert!(next.due_at.duration_since(now) <= jiff::SignedDuration::from_hours(4));
            if next.state != DeliveryState::Due {
                break next.state;
            }
            now = next.due_at;
        };
        assert_eq!(state, DeliveryState::Dead);
        assert!(attempts > 20 && attempts < 500, "{attempts}");
    }

    #[test]
    fn what_may_have_been_accepted_is_sent_again_only_where_a_repeat_is_known() {
        let now = at("2026-11-22T05:11:00Z");
        let state = |counts_repeats| {
            Schedule::default().next(counts_repeats, AttemptOutcome::Unknown, tries(1, 0, now), now, None, 1).state
        };
        assert_eq!((state(false), state(true)), (DeliveryState::Due, DeliveryState::Dead));
    }

    #[test]
    fn a_paused_upstream_burns_nothing() {
        let now = at("2026-11-22T05:11:00Z");
        let next = Schedule::default().next(false, AttemptOutcome::Paused, tries(7, 0, now), now, None, 1);
        assert_eq!(next, Next { state: DeliveryState::Due, due_at: now, counts: false });
    }
}
