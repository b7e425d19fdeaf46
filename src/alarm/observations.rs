//! What alarms are judged by, read from the store in one go.

use std::collections::BTreeMap;

use super::hours::{Hours, hour_of};
use crate::domain::Timestamp;
use crate::store::{Error, HourlyTally, Store, UpstreamView};

/// So many days make what is usual.
pub(super) const DAYS: i64 = 14;
/// The hours of a day.
pub(super) const DAY_HOURS: i64 = 24;
/// Hours before the present one whose counts may still change; older ones are read once an hour.
const FRESH_HOURS: i64 = 3;

/// Everything that alarms are judged by.
#[derive(Debug, Clone, Default)]
pub struct Observations {
    /// The configured sources.
    pub sources: Vec<SourceSeen>,
    /// The configured upstreams.
    pub upstreams: Vec<UpstreamSeen>,
    /// When the first request that is not settled was received.
    pub unsettled_since: Option<Timestamp>,
    /// When this process began to serve: before, nobody may have listened.
    pub serving_since: Timestamp,
}

/// A source, hour by hour of the last fourteen days and of the present, unfinished hour.
#[derive(Debug, Clone, Default)]
pub struct SourceSeen {
    /// Its name.
    pub name: String,
    /// Requests that were accepted.
    pub requests: Hours,
    /// When the last of them came.
    pub last_seen: Option<Timestamp>,
    /// Requests that were refused, by the code of the refusal.
    pub refused: BTreeMap<String, Hours>,
    /// Live sales that were given a click.
    pub with_click: Hours,
    /// Live sales that were not.
    pub without_click: Hours,
}

/// An upstream's queue.
#[derive(Debug, Clone, Default)]
pub struct UpstreamSeen {
    /// Its name.
    pub name: String,
    /// Why it stands still, where it does.
    pub paused: Option<Paused>,
    /// Its dead letters.
    pub dead: u64,
    /// Since when the first of its deliveries has been due.
    pub due_since: Option<Timestamp>,
}

/// A queue that stands still.
#[derive(Debug, Clone, Default)]
pub struct Paused {
    /// Why.
    pub reason: String,
    /// True where a person stopped it.
    pub by_hand: bool,
}

/// The counts of hours that are over, so that not all of them are read at every look.
#[derive(Debug, Default)]
pub struct History {
    read_in: Option<i64>,
    old: Vec<HourlyTally>,
}

/// Reads all of it from the store, for these sources and upstreams.
///
/// # Errors
/// The store's.
pub fn gather(
    store: &dyn Store,
    history: &mut History,
    sources: &[String],
    upstreams: &[String],
    serving_since: Timestamp,
    now: Timestamp,
) -> Result<Observations, Error> {
    let hour = hour_of(now);
    let fresh_from = hour - FRESH_HOURS;
    if history.read_in != Some(hour) {
        history.old = store.hourly(hour - DAYS * DAY_HOURS)?;
        history.old.retain(|tally| tally.hour < fresh_from);
        history.read_in = Some(hour);
    }
    let fresh = store.hourly(fresh_from)?;
    let tallies = || history.old.iter().chain(&fresh);
    let (oldest, queues) = (store.oldest()?, store.upstreams()?);
    let upstream = |name: &String| {
        let due_since = oldest.due.iter().find(|(due, _)| due == name).map(|(_, since)| *since);
        let queue = queues.iter().find(|queue| queue.name == *name);
        UpstreamSeen { name: name.clone(), due_since, dead: queue.map_or(0, |queue| queue.dead), paused: queue.and_then(paused) }
    };
    Ok(Observations {
        sources: sources.iter().map(|name| source(name, tallies().filter(|tally| tally.source == *name))).collect(),
        upstreams: upstreams.iter().map(upstream).collect(),
        unsettled_since: oldest.unsettled,
        serving_since,
    })
}

fn paused(queue: &UpstreamView) -> Option<Paused> {
    queue.paused.then(|| Paused { reason: queue.reason.clone().unwrap_or_default(), by_hand: queue.by_hand })
}

fn source<'a>(name: &str, tallies: impl Iterator<Item = &'a HourlyTally>) -> SourceSeen {
    let mut seen = SourceSeen { name: name.to_owned(), ..SourceSeen::default() };
    for tally in tallies {
        let (hour, count) = (tally.hour, tally.count);
        match (tally.what.as_str(), tally.label.as_str()) {
            ("request", _) => {
                seen.requests.add(hour, count);
                seen.last_seen = seen.last_seen.max(tally.last_at);
            }
            ("refused", code) => seen.refused.entry(code.to_owned()).or_default().add(hour, count),
            ("sale", "attributed" | "remembered") => seen.with_click.add(hour, count),
            ("sale", label) if label.starts_with("unattributed") => seen.without_click.add(hour, count),
            _ => {} // what is no question of alarms
        }
    }
    seen
}
