//! What is usual for a source, and whether the present is far from it. Pure, in integers: thousandths where a share is meant.

use std::time::Duration;

use super::hours::{Hours, hour_of};
use super::observations::{DAY_HOURS, DAYS, SourceSeen};
use crate::domain::Timestamp;

/// A day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A week; a rhythm is known after so many days.
const WEEK_DAYS: i64 = 7;
/// No payment is told by more requests than these, in thousandths; what differs more does so for other reasons.
const CLUSTER_MOST: u64 = 8000;
/// A span is compared with at least so many others.
const WINDOWS_LEAST: usize = 4;
/// The natural logarithm of two, in thousandths, rounded up.
const LN_2_THOUSANDTHS: u64 = 694;

/// A source is silent against its own rhythm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Silence {
    /// Since when.
    pub since: Timestamp,
    /// So many requests would have been usual since then.
    pub usual: u64,
}

/// More requests are refused than usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusals {
    /// Refused in the present hour and the one before.
    pub count: u64,
    /// Usual in two hours, in thousandths.
    pub usual_thousandths: u64,
    /// The code of most of them.
    pub code: String,
}

/// How many sales had no click, now and usually; in thousandths of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// Sales of the last 24 hours.
    pub sales: u64,
    /// Their share without a click.
    pub now: u64,
    /// The share of those before.
    pub usual: u64,
    /// How many those were.
    pub usual_sales: u64,
}

/// Whether so long a silence would come about by chance on fewer than one of `odds` days.
///
/// The silent span is laid over each of the days before, at the same hours. What is usual is the smallest of the mean of all of them,
/// their median, and the mean of those of the same day of the week: neither a single burst nor a quiet weekend is mistaken for a rhythm.
/// For arrivals by chance a span without any has the probability exp(-usual), and there are as many beginnings of a span in a day as
/// arrivals; hence the logarithm. Requests come in clusters, several for one payment, so that clusters are counted.
pub(super) fn silence(source: &SourceSeen, now: Timestamp, odds: u64) -> Option<Silence> {
    let since = source.last_seen.filter(|since| *since < now)?;
    let known_from = source.requests.first()?.max(hour_of(now) - DAYS * DAY_HOURS);
    let known_hours = hour_of(since) - known_from;
    let span = Duration::try_from(now.duration_since(since)).ok()?;
    let nearest = i64::try_from(span.as_secs().div_ceil(DAY.as_secs())).ok()?.max(1);
    let laid = |days: i64| {
        let back = DAY.checked_mul(u32::try_from(days).ok()?)?;
        let (from, to) = (since.checked_sub(back).ok()?, now.checked_sub(back).ok()?);
        (hour_of(from) >= known_from).then(|| (days, source.requests.thousandths(from, to)))
    };
    let windows: Vec<(i64, u64)> = (nearest..=DAYS).filter_map(laid).collect();
    let counts: Vec<u64> = windows.iter().map(|(_, count)| *count).collect();
    let of_weekday: Vec<u64> = windows.iter().filter(|(days, _)| days % WEEK_DAYS == 0).map(|(_, count)| *count).collect();
    if counts.len() < WINDOWS_LEAST || of_weekday.is_empty() || known_hours < WEEK_DAYS * DAY_HOURS {
        return None;
    }
    let usual = mean(&counts).min(median(&counts)).min(mean(&of_weekday));
    let cluster = cluster_thousandths(&source.requests, known_from..hour_of(since));
    let all = source.requests.sum(known_from..hour_of(since));
    let clusters_a_day = all.saturating_mul(1000) / cluster / u64::try_from(known_hours / DAY_HOURS).ok()?.max(1);
    let needed = logarithm_thousandths(odds.saturating_mul(clusters_a_day.max(1)));
    (usual.saturating_mul(1000) / cluster >= needed).then_some(Silence { since, usual: usual / 1000 })
}

/// Whether at least `least` requests were refused in the present hour and the one before, and `factor` times as many as usual.
pub(super) fn refusals(source: &SourceSeen, now: Timestamp, least: u64, factor: u64) -> Option<Refusals> {
    let (hour, from) = (hour_of(now), hour_of(now) - 1);
    let recent = |hours: &Hours| hours.sum(from..hour + 1);
    let count: u64 = source.refused.values().map(recent).sum();
    let past = (hour - DAYS * DAY_HOURS)..from;
    let first = [source.requests.first()].into_iter().chain(source.refused.values().map(Hours::first)).flatten().min();
    let hours = u64::try_from(from - first.unwrap_or(from).max(past.start)).unwrap_or(0).max(24);
    let before: u64 = source.refused.values().map(|hours| hours.sum(past.clone())).sum();
    let usual_thousandths = before.saturating_mul(2 * 1000) / hours;
    let is_surge = count >= least && count.saturating_mul(1000) >= usual_thousandths.saturating_mul(factor);
    let most = source.refused.iter().max_by_key(|(_, hours)| recent(hours)).map(|(code, _)| code.clone());
    (is_surge && count > 0).then(|| Refusals { count, usual_thousandths, code: most.unwrap_or_default() })
}

/// The share of sales without a click over the last 24 hours and before; `None` where there were none in one of the two.
pub(super) fn share(source: &SourceSeen, now: Timestamp) -> Option<Share> {
    let (hour, from) = (hour_of(now), hour_of(now) - DAY_HOURS + 1);
    let counts = |hours: std::ops::Range<i64>| {
        let without = source.without_click.sum(hours.clone());
        (without, without + source.with_click.sum(hours))
    };
    let (without, sales) = counts(from..hour + 1);
    let (usual_without, usual_sales) = counts((hour - DAYS * DAY_HOURS)..from);
    let now = without.saturating_mul(1000).checked_div(sales)?;
    let usual = usual_without.saturating_mul(1000).checked_div(usual_sales)?;
    Some(Share { sales, now, usual, usual_sales })
}

impl Share {
    /// Whether there are at least `least` sales on both sides, the share has risen by so many points of a hundred, and by more than
    /// three standard deviations of what chance makes of so few sales.
    pub(super) fn is_surge(&self, least: u64, points: u64) -> bool {
        let Self { sales, now, usual, usual_sales } = *self;
        let Some(more) = now.checked_sub(usual).filter(|more| *more >= points * 10) else { return false };
        let (more, chance) = (u128::from(more), u128::from(usual.clamp(10, 990)));
        sales >= least && usual_sales >= least && more * more * u128::from(sales) >= 9 * chance * (1000 - chance)
    }
}

fn mean(counts: &[u64]) -> u64 {
    counts.iter().sum::<u64>() / u64::try_from(counts.len()).unwrap_or(1).max(1)
}

fn median(counts: &[u64]) -> u64 {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    match sorted.get(middle) {
        Some(upper) if sorted.len().is_multiple_of(2) => mean(&[sorted[middle - 1], *upper]),
        Some(middle) => *middle,
        None => 0,
    }
}

/// How many requests come at once, in thousandths: the variance of an hour's count over its mean, from the same hour of two weeks. Where
/// too little is known it is taken to be large.
fn cluster_thousandths(requests: &Hours, known: std::ops::Range<i64>) -> u64 {
    let week = WEEK_DAYS * DAY_HOURS;
    let (mut squares, mut sum) = (0_u64, 0_u64);
    for hour in known.start..known.end - week {
        let (one, other) = (requests.sum(hour..hour + 1), requests.sum(hour + week..hour + week + 1));
        squares = squares.saturating_add(one.abs_diff(other).saturating_pow(2));
        sum = sum.saturating_add(one).saturating_add(other);
    }
    let cluster = squares.saturating_mul(1000).checked_div(sum).unwrap_or(CLUSTER_MOST);
    cluster.clamp(1000, CLUSTER_MOST)
}

/// At least the natural logarithm, in thousandths.
fn logarithm_thousandths(value: u64) -> u64 {
    u64::from(value.max(1).next_power_of_two().ilog2()) * LN_2_THOUSANDTHS
}
