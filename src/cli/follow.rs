//! Follows a store: what is new since the last look, found by numbers, each once, however late it is committed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::domain::{DeliveryId, RequestId, Timestamp};
use crate::store::{AttemptLine, Error, EventLine, Store, Watched};

/// Events are read in pages of so many.
const PAGE: usize = 500;
/// One look reads so many pages; what is left is read by the next.
const PAGES: usize = 10;
/// So long a number that was passed over may still be settled: a lease that ran out, a transaction that took its time.
const PATIENCE: Duration = Duration::from_secs(300);
/// So many numbers that were passed over are remembered, and as many events that wait for their provider's API.
const REMEMBERED: usize = 4096;
/// So many of the newest numbers are looked at for such that were passed over before.
const BEFORE: RequestId = 200;
/// Clocks of replicas may differ by so much.
const SKEW: Duration = Duration::from_secs(5);
/// No place in a request comes after this one.
const END: u16 = u16::MAX;

/// Where a follower stands.
pub(super) struct Follower {
    /// The last event that was seen in the order of numbers.
    after: (RequestId, u16),
    /// Numbers that were passed over, and since when.
    passed: BTreeMap<RequestId, Timestamp>,
    /// Events for which something is being fetched.
    fetching: BTreeSet<(RequestId, u16)>,
    /// Attempts that ended earlier are not wanted.
    start: Timestamp,
    /// Attempts are looked for from here on.
    since: Timestamp,
    watched: Vec<Watched>,
    /// Attempts that were seen, and when they ended.
    seen: HashMap<(DeliveryId, u32), Timestamp>,
}

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) events: Vec<EventLine>,
    pub(super) attempts: Vec<AttemptLine>,
    /// True where there was more than one look reads.
    pub(super) is_more: bool,
}

impl Follower {
    /// Follows from the request `last` on, and attempts from `start` on.
    pub(super) fn new(last: RequestId, start: Timestamp) -> Self {
        Self {
            after: (last, END),
            passed: BTreeMap::new(),
            fetching: BTreeSet::new(),
            start,
            since: start,
            watched: Vec::new(),
            seen: HashMap::new(),
        }
    }

    /// Remembers which of the newest numbers are not settled yet, where several processes settle them.
    pub(super) fn look_back(&mut self, store: &dyn Store, now: Timestamp) -> Result<(), Error> {
        let (last, _) = self.after;
        let first = (last - BEFORE + 1).max(1);
        let settled: BTreeSet<RequestId> =
            store.events_between(&[(first, last)])?.into_iter().map(|event| event.request).collect();
        self.passed.extend((first..=last).filter(|id| !settled.contains(id)).map(|id| (id, now)));
        Ok(())
    }

    /// What is new.
    pub(super) fn look(&mut self, store: &dyn Store, now: Timestamp) -> Result<Found, Error> {
        let mut found = Found { events: self.late(store)?, ..Found::default() };
        for page in 1..=PAGES {
            let events = store.events_after(self.after, PAGE)?;
            let is_full = events.len() >= PAGE;
            for event in &events {
                self.pass(event.request, now);
                self.after = (event.request, event.position);
                self.note(event);
            }
            found.events.extend(events);
            found.is_more = is_full && page == PAGES;
            if !is_full {
                break;
            }
        }
        self.forget(now);
        found.attempts = self.attempts(store)?;
        Ok(found)
    }

    /// Events of requests that were passed over, and what became of those that waited for an answer.
    fn late(&mut self, store: &dyn Store) -> Result<Vec<EventLine>, Error> {
        let numbers: BTreeSet<RequestId> =
            self.passed.keys().copied().chain(self.fetching.iter().map(|(request, _)| *request)).collect();
        let mut new = Vec::new();
        let mut settled = BTreeSet::new();
        for event in store.events_between(&ranges(&numbers))? {
            let place = (event.request, event.position);
            let is_passed = self.passed.contains_key(&event.request);
            let is_answered = self.fetching.contains(&place) && event.outcome != "fetching";
            if is_passed {
                settled.insert(event.request);
            }
            if is_passed || is_answered {
                self.fetching.remove(&place);
                self.note(&event);
                new.push(event);
            }
        }
        self.passed.retain(|id, _| !settled.contains(id));
        Ok(new)
    }

    /// Notes the numbers between the last one and this.
    fn pass(&mut self, request: RequestId, now: Timestamp) {
        let first = (self.after.0 + 1).max(request - i64::try_from(REMEMBERED).unwrap_or(i64::MAX));
        self.passed.extend((first..request).map(|id| (id, now)));
    }

    fn note(&mut self, event: &EventLine) {
        if event.outcome == "fetching" {
            self.fetching.insert((event.request, event.position));
        }
    }

    fn forget(&mut self, now: Timestamp) {
        self.passed.retain(|_, since| now.duration_since(*since).unsigned_abs() < PATIENCE);
        while self.passed.len() > REMEMBERED {
            self.passed.pop_first();
        }
        while self.fetching.len() > REMEMBERED {
            self.fetching.pop_first();
        }
    }

    fn attempts(&mut self, store: &dyn Store) -> Result<Vec<AttemptLine>, Error> {
        let found = store.attempts_after(self.since, &self.watched)?;
        self.watched = found.watched;
        let mut new = found.lines;
        new.retain(|line| !self.seen.contains_key(&(line.delivery, line.number)));
        self.seen.extend(new.iter().map(|line| ((line.delivery, line.number), line.finished_at)));
        let newest = self.seen.values().max().copied().unwrap_or(self.since);
        self.since = self.since.max(newest.checked_sub(SKEW).unwrap_or(newest)).max(self.start);
        self.seen.retain(|_, finished_at| *finished_at >= self.since);
        Ok(new)
    }
}

/// Numbers as ranges of neighbours.
fn ranges(numbers: &BTreeSet<RequestId>) -> Vec<(RequestId, RequestId)> {
    let mut ranges: Vec<(RequestId, RequestId)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            Some(_) | None => ranges.push((*number, *number)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn neighbours_are_one_range() {
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10].into()), [(1, 3), (7, 7), (9, 10)]);
    }
}
