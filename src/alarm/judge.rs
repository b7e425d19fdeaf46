//! Which alarms begin, end, or are told again: a pure function of what was observed and what is remembered.
//!
//! Each alarm is told once when it begins and once when it ends, and once a day as long as it is on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::config::Thresholds;
use super::observations::{Observations, SourceSeen, UpstreamSeen};
use super::usual::{refusals, share, silence};
use super::{Alarm, Kind, Phase};
use crate::domain::Timestamp;
use crate::store::AlarmRecord;

/// An alarm that is on is told again so often.
const REMINDER: Duration = Duration::from_secs(24 * 60 * 60);
/// After a start sources are given so long before their silence counts: while nobody listened nobody was heard.
const GRACE: Duration = Duration::from_secs(60 * 60);
/// Dead letters to which none is added for so long are known, and no alarm any more.
const DEAD_KNOWN_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What has to be done about one alarm: tell it, where there is something to tell, then keep the record or forget it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The alarm's name.
    pub name: String,
    /// What is told.
    pub alarm: Option<Alarm>,
    /// What is remembered from now on.
    pub record: Option<AlarmRecord>,
}

/// Where the condition of an alarm stands.
enum Standing {
    /// It holds: what happened, and what to do next.
    On { what: String, next: &'static str, level: i64 },
    /// It does not hold: how that came.
    Off { how: String, level: Option<i64> },
}

/// One condition of one source, one upstream or the whole bridge.
struct Condition {
    kind: Kind,
    about: String,
    standing: Standing,
}

/// Judges what was observed at `now`, given what is remembered of alarms. Says only what changes.
pub fn judge(seen: &Observations, records: &[AlarmRecord], limits: &Thresholds, now: Timestamp) -> Vec<Decision> {
    let mut known: BTreeMap<&str, &AlarmRecord> = records.iter().map(|record| (record.name.as_str(), record)).collect();
    let mut conditions = vec![unsettled(seen, limits, now)];
    for upstream in &seen.upstreams {
        let record = known.get(Kind::DeadLetters.name_of(&upstream.name).as_str()).copied();
        conditions.extend([paused(upstream), dead(upstream, record, now), due(upstream, limits, now)]);
    }
    for source in &seen.sources {
        let record = |kind: Kind| known.get(kind.name_of(&source.name).as_str()).copied().filter(|record| record.since.is_some());
        let silent = silent(source, record(Kind::SourceSilent), seen, limits, now);
        let refused = refused(source, record(Kind::RefusalsSurge).is_some(), limits, now);
        let unattributed = unattributed(source, record(Kind::UnattributedSurge).is_some(), limits, now);
        conditions.extend([silent, refused, unattributed]);
    }
    let mut decisions: Vec<Decision> = Vec::new();
    for condition in conditions {
        let record = known.remove(condition.kind.name_of(&condition.about).as_str());
        decisions.extend(decide(condition, record, now));
    }
    for (name, record) in known {
        // Nobody is asked about it any more.
        let Some((kind, about)) = Kind::of_name(name) else { continue };
        let standing = Standing::Off { how: "is not configured any more, so nobody looks at it".to_owned(), level: None };
        decisions.extend(decide(Condition { kind, about: about.to_owned(), standing }, Some(record), now));
    }
    decisions
}

fn decide(Condition { kind, about, standing }: Condition, record: Option<&AlarmRecord>, now: Timestamp) -> Option<Decision> {
    let name = kind.name_of(&about);
    let began = record.and_then(|record| record.since);
    match standing {
        Standing::On { what, next, level } => {
            let is_changed = record.is_none_or(|record| record.level != level);
            let is_told = |record: &AlarmRecord| record.told_at.is_some_and(|told_at| now < told_at + REMINDER);
            let phase = match (began, record) {
                (Some(_), Some(record)) if is_told(record) => None,
                (Some(_), _) => Some(Phase::Reminds),
                (None, _) => Some(Phase::Begins),
            };
            if phase.is_none() && !is_changed {
                return None;
            }
            let since = began.unwrap_or(now);
            let told_at = if phase.is_some() { Some(now) } else { record.and_then(|record| record.told_at) };
            let changed_at = record.filter(|_| !is_changed).map_or(now, |record| record.changed_at);
            let kept = AlarmRecord { name: name.clone(), since: Some(since), told_at, level, changed_at, what: what.clone() };
            let alarm = phase.map(|phase| Alarm { kind, about, phase, since, what, next: next.to_owned() });
            Some(Decision { name, alarm, record: Some(kept) })
        }
        Standing::Off { how, level } => {
            let kept = level.map(|level| AlarmRecord {
                name: name.clone(),
                since: None,
                told_at: None,
                level,
                changed_at: now,
                what: String::new(),
            });
            let same = |kept: &AlarmRecord| record.is_some_and(|record| record.since.is_none() && record.level == kept.level);
            if began.is_none() && kept.as_ref().map_or(record.is_none(), same) {
                return None;
            }
            let alarm = began.map(|since| Alarm { kind, about, phase: Phase::Ends, since, what: how, next: String::new() });
            Some(Decision { name, alarm, record: kept })
        }
    }
}

fn paused(upstream: &UpstreamSeen) -> Condition {
    let standing = match &upstream.paused {
        Some(paused) if paused.by_hand => Standing::On {
            what: format!("its queue was stopped by hand: {}", paused.reason),
            next: "when it may go on: `salebridge upstream resume NAME`",
            level: 0,
        },
        Some(paused) => Standing::On {
            what: format!("its queue stands still, nothing is lost: {}", paused.reason),
            next: "mend what the reason names; a probe every five minutes starts the queue by itself, `salebridge upstream resume NAME` \
                   at once",
            level: 0,
        },
        None => Standing::Off { how: "its queue moves again".to_owned(), level: None },
    };
    Condition { kind: Kind::UpstreamPaused, about: upstream.name.clone(), standing }
}

/// New dead letters. Its level is how many there are: those that are known already are no news.
fn dead(upstream: &UpstreamSeen, record: Option<&AlarmRecord>, now: Timestamp) -> Condition {
    let count = i64::try_from(upstream.dead).unwrap_or(i64::MAX);
    let is_on = record.is_some_and(|record| record.since.is_some());
    let level = record.map_or(0, |record| record.level);
    let is_old = record.is_some_and(|record| now.duration_since(record.changed_at).unsigned_abs() >= DEAD_KNOWN_AFTER);
    let standing = if count == 0 {
        Standing::Off { how: "no dead letter is left".to_owned(), level: None }
    } else if is_on && count <= level && is_old {
        let how = format!("no dead letter was added for a week; {count} are left, and are told of only if more come");
        Standing::Off { how, level: Some(count) }
    } else if is_on || count > level {
        Standing::On {
            what: format!("{count} deliveries were refused for good, or tried for too long: dead letters"),
            next: "`salebridge deliveries list` and `deliveries show ID` say why; then `salebridge deliveries retry --dead`",
            level: count,
        }
    } else {
        Standing::Off { how: String::new(), level: Some(count) }
    };
    Condition { kind: Kind::DeadLetters, about: upstream.name.clone(), standing }
}

/// A queue that stands still says so by its own alarm.
fn due(upstream: &UpstreamSeen, limits: &Thresholds, now: Timestamp) -> Condition {
    let since = upstream.due_since.filter(|_| upstream.paused.is_none());
    let standing = match since.and_then(|since| too_old(since, limits, now)) {
        Some(minutes) => Standing::On {
            what: format!("a delivery has been due for {minutes} minutes without being sent"),
            next: "is it more than the upstream's limit lets through? Then requests_per_minute; else the log says what stands in the way",
            level: 0,
        },
        None => Standing::Off { how: "nothing is due for long any more".to_owned(), level: None },
    };
    Condition { kind: Kind::QueueOld, about: format!("upstream {}", upstream.name), standing }
}

fn unsettled(seen: &Observations, limits: &Thresholds, now: Timestamp) -> Condition {
    let standing = match seen.unsettled_since.and_then(|since| too_old(since, limits, now)) {
        Some(minutes) => Standing::On {
            what: format!("a request was stored {minutes} minutes ago and is not settled"),
            next: "is the bridge running, and is there room on the disk? The log says why the inbox cannot be settled",
            level: 0,
        },
        None => Standing::Off { how: "the inbox is settled in time again".to_owned(), level: None },
    };
    Condition { kind: Kind::QueueOld, about: "the inbox".to_owned(), standing }
}

/// The age in whole minutes, where it is too great.
fn too_old(since: Timestamp, limits: &Thresholds, now: Timestamp) -> Option<u64> {
    let age = u64::try_from(now.duration_since(since).as_secs()).unwrap_or(0);
    (limits.queue_age_secs > 0 && age >= limits.queue_age_secs).then_some(age / 60)
}

/// Its level is when the source was last seen: the alarm ends with its next request, not with a quieter hour.
fn silent(
    source: &SourceSeen,
    record: Option<&AlarmRecord>,
    seen: &Observations,
    limits: &Thresholds,
    now: Timestamp,
) -> Condition {
    let last_seen = source.last_seen.map_or(0, Timestamp::as_millisecond);
    let is_settled_in = now.duration_since(seen.serving_since).unsigned_abs() >= GRACE;
    let is_watched = limits.silence_odds > 0;
    let found = silence(source, now, limits.silence_odds).filter(|_| is_watched && is_settled_in);
    let standing = match (record, found) {
        (Some(record), _) if is_watched && record.level >= last_seen => {
            Standing::On { what: record.what.clone(), next: LISTEN, level: record.level }
        }
        (_, Some(silence)) => {
            let usual = silence.usual.max(1);
            Standing::On {
                what: format!("no webhook came since {:.0}; about {usual} would have been usual by now", silence.since),
                next: LISTEN,
                level: last_seen,
            }
        }
        (_, None) => Standing::Off { how: "webhooks come again".to_owned(), level: None },
    };
    Condition { kind: Kind::SourceSilent, about: source.name.clone(), standing }
}

/// What to do about a silent source.
const LISTEN: &str = "look at the provider's list of webhook deliveries: is the endpoint switched off, is its URL right, does the bridge \
                      answer there?";

/// One that is on ends at half of what made it begin, so that it does not come and go.
fn refused(source: &SourceSeen, is_on: bool, limits: &Thresholds, now: Timestamp) -> Condition {
    let half = if is_on { 2 } else { 1 };
    let least = limits.refusals_least.div_ceil(half);
    let found = refusals(source, now, least, limits.refusals_factor.div_ceil(half)).filter(|_| limits.refusals_least > 0);
    let standing = match found {
        Some(found) => Standing::On {
            what: format!(
                "{} requests were refused within two hours, most as {}; usual are {}",
                found.count,
                found.code,
                found.usual_thousandths.div_ceil(1000)
            ),
            next: "was a secret changed at the provider? `salebridge explain` says what disagrees; refusals that no provider sent need \
                   nothing",
            level: 0,
        },
        None => Standing::Off { how: "no more requests are refused than usual".to_owned(), level: None },
    };
    Condition { kind: Kind::RefusalsSurge, about: source.name.clone(), standing }
}

fn unattributed(source: &SourceSeen, is_on: bool, limits: &Thresholds, now: Timestamp) -> Condition {
    let found = share(source, now).filter(|_| limits.unattributed_least > 0);
    // One that is on stays so at half the points, however few sales there are.
    let is_surge = |share: &super::usual::Share| {
        share.is_surge(limits.unattributed_least, limits.unattributed_points)
            || is_on && share.now.saturating_sub(share.usual) >= limits.unattributed_points * 5
    };
    let standing = match found.filter(is_surge) {
        Some(share) => Standing::On {
            what: format!(
                "{} of 100 sales of the last 24 hours have no click ({} sales); usual are {}",
                share.now / 10,
                share.sales,
                share.usual / 10
            ),
            next: "does the checkout still hand over clickId and customerExternalId? `salebridge sales show ID` says what each sale lacks",
            level: 0,
        },
        None => Standing::Off { how: "as many sales have a click as usual".to_owned(), level: None },
    };
    Condition { kind: Kind::UnattributedSurge, about: source.name.clone(), standing }
}
