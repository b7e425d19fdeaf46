//! How it goes, at a glance: what came in, what became of it, what it amounts to, what needs a person. Added up from hourly counts,
//! so that it takes a moment however much is stored.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::domain::{Currency, Tallied, Timestamp, hour_of, start_of_hour};
use crate::store::{AttentionView, Error, QueueView, Store, TallyLine, UpstreamView};

/// Hours of a day.
const DAY: i64 = 24;

/// How it goes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Overview {
    /// From this instant on (RFC 3339): the start of a day in UTC.
    pub since: String,
    /// Until this instant (RFC 3339).
    pub until: String,
    /// How far what came in has come.
    pub funnel: Funnel,
    /// What live sales amount to, by currency; most sales first.
    pub revenue: Vec<Revenue>,
    /// How live sales came by their click; most sales first.
    pub attribution: Vec<Attribution>,
    /// Which share of the live sales that are decided has no click, from 0 to 1; `None` where there are none.
    pub unattributed_share: Option<f64>,
    /// What was refused, by source and code; most first.
    pub refused: Vec<Refused>,
    /// How much waits where.
    pub queues: QueueView,
    /// The upstreams' queues.
    pub upstreams: Vec<UpstreamView>,
    /// When a genuine request of each source was last settled.
    pub sources: Vec<SourceSeen>,
    /// What needs a person; the most urgent first.
    pub attention: Vec<Attention>,
}

/// How far what came in has come, each step within the period.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Funnel {
    /// Requests that came: genuine ones and refused ones.
    pub received: u64,
    /// Genuine requests.
    pub verified: u64,
    /// Live sales that were counted, by the time of the sale.
    pub sales: u64,
    /// Sales and adjustments that an upstream accepted; with several upstreams each counts.
    pub delivered: u64,
    /// Events that are no sales.
    pub ignored: u64,
    /// Events that could not be mapped when they came.
    pub parked: u64,
    /// Requests that were refused.
    pub refused: u64,
}

/// What live sales in one currency amount to; amounts in major units with exact digits.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Revenue {
    /// The currency.
    pub currency: String,
    /// How many sales.
    pub sales: i64,
    /// What they amount to.
    pub amount: Value,
    /// What was taken back of them.
    pub taken_back: Value,
    /// What is left.
    pub left: Value,
    /// Each day of the period, oldest first.
    pub days: Vec<Day>,
}

/// What live sales of one day amount to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Day {
    /// The day in UTC, such as 2026-11-29.
    pub day: String,
    /// How many sales.
    pub sales: i64,
    /// What they amount to.
    pub amount: Value,
    /// What was taken back of them.
    pub taken_back: Value,
    /// The amount in minor units, for a chart.
    #[serde(skip)]
    pub minor: i128,
    /// What was taken back in minor units, for a chart.
    #[serde(skip)]
    pub taken_back_minor: i128,
}

/// Live sales that came by their click, or did not, in one way.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Attribution {
    /// `attributed`, `remembered`, `unattributed`, `waiting` or `parked`.
    pub how: String,
    /// Why there is no click, or why it is parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How many.
    pub sales: i64,
}

/// What was refused of one source for one reason.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Refused {
    /// The source.
    pub source: String,
    /// The stable code.
    pub code: String,
    /// How many.
    pub requests: i64,
}

/// When something came from a source.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SourceSeen {
    /// The source.
    pub source: String,
    /// When a genuine request of it was last settled (RFC 3339).
    pub last_seen: String,
}

/// Something that needs a person.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Attention {
    /// `upstream_paused`, `dead_letters`, `possible_double_counts`, `parked_sales` or `parked_events`.
    pub code: String,
    /// How many there are.
    pub count: u64,
    /// What it is about: an upstream's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What happened and what to do.
    pub text: String,
}

/// The last `days` days (UTC), today included.
///
/// # Errors
/// The store cannot be reached.
pub fn overview(store: &dyn Store, days: u16, now: Timestamp) -> Result<Overview, Error> {
    let today = hour_of(now).div_euclid(DAY);
    let first = today - i64::from(days.max(1)) + 1;
    let read = |what| store.tallies(what, first * DAY);
    let (sales, taken_back) = (read(Tallied::Sale)?, read(Tallied::TakenBack)?);
    let (requests, events) = (read(Tallied::Request)?, read(Tallied::Event)?);
    let (attempts, refused) = (read(Tallied::Attempt)?, read(Tallied::Refused)?);
    let queues = store.queues()?;
    let upstreams = store.upstreams()?;
    let attribution = attribution(&sales);
    let of = |how: &str| attribution.iter().filter(|line| line.how == how).map(|line| line.sales).sum::<i64>();
    let (clicked, without) = (of("attributed") + of("remembered"), of("unattributed"));
    let events_of = |outcome: &str| positive(sum(events.iter().filter(|line| line.label == outcome)));
    let verified = positive(sum(&requests));
    let refused_count = positive(sum(&refused));
    let is_accepted = |line: &&TallyLine| matches!(line.label.as_str(), "delivered" | "duplicate" | "unattributed");
    let seen = store.last_seen()?;
    Ok(Overview {
        since: start_of_hour(first * DAY).to_string(),
        until: format!("{now:.0}"),
        funnel: Funnel {
            received: verified + refused_count,
            verified,
            sales: positive(sum(&sales)),
            delivered: positive(sum(attempts.iter().filter(is_accepted))),
            ignored: events_of("ignored"),
            parked: events_of("parked"),
            refused: refused_count,
        },
        revenue: revenue(&sales, &taken_back, first, today)?,
        unattributed_share: share(without, clicked + without),
        attribution,
        refused: refusals(&refused),
        attention: attention(&store.attention()?, queues, &upstreams),
        queues,
        upstreams,
        sources: seen.into_iter().map(|(source, at)| SourceSeen { source, last_seen: at.to_string() }).collect(),
    })
}

fn sum<'a>(lines: impl IntoIterator<Item = &'a TallyLine>) -> i64 {
    lines.into_iter().map(|line| line.number).sum()
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[expect(clippy::float_arithmetic, reason = "a share for people, not money")]
fn share(part: i64, whole: i64) -> Option<f64> {
    let as_float = |number: i64| f64::from(i32::try_from(number).unwrap_or(i32::MAX));
    (whole > 0).then(|| as_float(part) / as_float(whole))
}

fn attribution(sales: &[TallyLine]) -> Vec<Attribution> {
    let mut by_label: BTreeMap<&str, i64> = BTreeMap::new();
    for line in sales {
        *by_label.entry(&line.label).or_default() += line.number;
    }
    let mut lines: Vec<Attribution> = by_label
        .into_iter()
        .filter(|(_, sales)| *sales != 0)
        .map(|(label, sales)| {
            let (how, code) = label.split_once(':').map_or((label, None), |(how, code)| (how, Some(code.to_owned())));
            Attribution { how: how.to_owned(), code, sales }
        })
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.sales));
    lines
}

fn refusals(lines: &[TallyLine]) -> Vec<Refused> {
    let mut by_cause: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for line in lines {
        *by_cause.entry((&line.source, &line.label)).or_default() += line.number;
    }
    let refused = by_cause.into_iter();
    let mut refused: Vec<Refused> = refused
        .map(|((source, code), requests)| Refused { source: source.to_owned(), code: code.to_owned(), requests })
        .collect();
    refused.sort_by_key(|line| std::cmp::Reverse(line.requests));
    refused
}

/// Counts and exact sums, by currency and day.
#[derive(Default)]
struct Sums {
    currency: Option<Currency>,
    days: BTreeMap<i64, (i64, i128, i128)>,
}

fn revenue(sales: &[TallyLine], taken_back: &[TallyLine], first: i64, today: i64) -> Result<Vec<Revenue>, Error> {
    let mut by_currency: BTreeMap<&'static str, Sums> = BTreeMap::new();
    for (lines, is_back) in [(sales, false), (taken_back, true)] {
        for line in lines {
            let Some(currency) = line.currency else { continue };
            let sums = by_currency.entry(currency.code()).or_default();
            sums.currency = Some(currency);
            // A sale of tomorrow, by a provider's clock that is ahead, is today's.
            let day = sums.days.entry(line.hour.div_euclid(DAY).min(today)).or_default();
            if is_back {
                day.2 += line.minor;
            } else {
                day.0 += line.number;
                day.1 += line.minor;
            }
        }
    }
    let mut revenue = Vec::new();
    for (code, Sums { currency, days }) in by_currency {
        let Some(currency) = currency else { continue };
        let number = |minor: i128| Ok::<Value, Error>(serde_json::from_str(&currency.major(minor))?);
        let total = days.values().fold((0, 0, 0), |all, day| (all.0 + day.0, all.1 + day.1, all.2 + day.2));
        let each = (first..=today).map(|day| {
            let (sales, minor, back) = days.get(&day).copied().unwrap_or_default();
            let name = start_of_hour(day * DAY).to_string();
            let day = name.get(..10).unwrap_or(&name).to_owned();
            Ok(Day { day, sales, amount: number(minor)?, taken_back: number(back)?, minor, taken_back_minor: back })
        });
        revenue.push(Revenue {
            currency: code.to_owned(),
            sales: total.0,
            amount: number(total.1)?,
            taken_back: number(total.2)?,
            left: number(total.1 - total.2)?,
            days: each.collect::<Result<_, Error>>()?,
        });
    }
    revenue.sort_by_key(|line| std::cmp::Reverse(line.sales));
    Ok(revenue)
}

fn attention(found: &AttentionView, queues: QueueView, upstreams: &[UpstreamView]) -> Vec<Attention> {
    let paused = upstreams.iter().filter(|upstream| upstream.paused).map(|upstream| {
        let reason = upstream.reason.as_deref().unwrap_or("no reason is known");
        Attention {
            code: "upstream_paused".to_owned(),
            count: upstream.due,
            name: Some(upstream.name.clone()),
            text: format!("{} stands still: {reason}. {} deliveries wait; mend it, then resume it.", upstream.name, upstream.due),
        }
    });
    let rest = [
        (
            "possible_double_counts",
            found.double_counts,
            "pairs of sales were both sent and turned out to be one purchase: correct one of each at the upstream",
        ),
        ("dead_letters", queues.dead, "deliveries were given up: read why, mend it, and send them again"),
        ("parked_sales", found.parked_sales, "sales cannot be sent as they are: each says what is missing"),
        (
            "parked_events",
            found.parked_events,
            "events could not be read: each says why; mend the pack or the source, then remap",
        ),
    ];
    let rest = rest.into_iter().filter(|(_, count, _)| *count > 0).map(|(code, count, text)| Attention {
        code: code.to_owned(),
        count,
        name: None,
        text: format!("{count} {text}."),
    });
    paused.chain(rest).collect()
}
