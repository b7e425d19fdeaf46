//! How it goes, at a glance: what needs a person first, then the way of what came in, what it amounts to, and what waits.

use actix_web::HttpRequest;
use askama::Template;

use super::chart;
use super::html::{Html, Tone, badge, code, number, percent, span, when, words};
use super::layout::{Layout, Room};
use super::paging::{Asked, Choice, choices};
use super::visitor::{Answer, Visitor, page};
use crate::overview::{Attention, Overview, overview};
use crate::store::{QueueView, UpstreamView};

/// So many currencies are drawn; the others have their tables.
const DRAWN: usize = 4;
/// The periods that can be chosen, in days.
const PERIODS: [&str; 4] = ["1", "7", "30", "90"];

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    layout: Layout,
    days: Vec<Choice>,
    period: String,
    attention: Vec<Matter>,
    funnel: Vec<Step>,
    beside: Vec<(Html, &'static str, &'static str)>,
    revenue: Vec<Currency>,
    attribution: Vec<Way>,
    unattributed: Option<String>,
    queues: QueueView,
    upstreams: Vec<Queue>,
    sources: Vec<(String, Html)>,
    refused: Vec<(String, String, i64)>,
}

struct Matter {
    href: String,
    text: Html,
    tone: Html,
}

struct Step {
    name: &'static str,
    about: &'static str,
    number: String,
    share: String,
    bar: Html,
}

struct Currency {
    code: String,
    sales: i64,
    amount: String,
    taken_back: String,
    left: String,
    chart: Option<Html>,
    days: Vec<(String, i64, String, String)>,
}

struct Way {
    sales: i64,
    share: String,
    bar: Html,
    about: Html,
    code: Option<Html>,
}

struct Queue {
    name: String,
    state: Html,
    due: u64,
    dead: u64,
    lag: String,
}

/// `GET /`.
pub(super) async fn show(visitor: Visitor, request: HttpRequest) -> Answer {
    let asked = Asked::of(&request);
    let days = asked.one_of("days", &PERIODS)?.unwrap_or("30");
    let (count, now) = (days.parse().unwrap_or(30), visitor.now);
    let found = visitor.read(move |store| overview(store, count, now)).await?;
    let mut upstreams = Vec::new();
    for upstream in &found.upstreams {
        let due = visitor.state.store.next_due(&upstream.name).await?;
        let late = due.filter(|due| *due < now).map(|due| now.duration_since(due).unsigned_abs());
        upstreams.push(Queue {
            name: upstream.name.clone(),
            state: standing(upstream),
            due: upstream.due,
            dead: upstream.dead,
            lag: late.map_or_else(|| "on time".to_owned(), |late| format!("{} behind", span(late))),
        });
    }
    let texts = [("1", "today"), ("7", "7 days"), ("30", "30 days"), ("90", "90 days")];
    let mut sources: Vec<(String, Html)> = visitor.state.sources.keys().map(|name| (name.clone(), words("not yet"))).collect();
    sources.sort_by(|one, other| one.0.cmp(&other.0));
    for (name, at) in &mut sources {
        if let Some(seen) = found.sources.iter().find(|seen| seen.source == *name) {
            *at = when(&seen.last_seen, now);
        }
    }
    page(&Page {
        layout: visitor.layout(Room::Overview, "Overview"),
        days: choices(Some(days), "", texts).split_off(1),
        period: if days == "1" { "today".to_owned() } else { format!("the last {days} days") },
        attention: found.attention.iter().map(matter).collect(),
        funnel: funnel(&found),
        beside: beside(&found),
        attribution: ways(&found),
        unattributed: unattributed(&found),
        revenue: found.revenue.iter().enumerate().map(currency).collect(),
        refused: found.refused.into_iter().map(|line| (line.source, super::terms::refusal(&line.code), line.requests)).collect(),
        queues: found.queues,
        upstreams,
        sources,
    })
}

/// How an upstream's queue stands.
pub(super) fn standing(upstream: &UpstreamView) -> Html {
    match (upstream.paused, upstream.by_hand) {
        (false, _) => badge(Tone::Good, "runs"),
        (true, true) => badge(Tone::Warn, "paused by hand"),
        (true, false) => badge(Tone::Bad, "stands still"),
    }
}

fn matter(found: &Attention) -> Matter {
    let (href, tone) = match found.code.as_str() {
        "upstream_paused" => ("/upstreams", Tone::Bad),
        "dead_letters" => ("/deliveries?state=dead", Tone::Bad),
        "possible_double_counts" => ("/sales?double=yes", Tone::Bad),
        "parked_sales" => ("/sales?state=parked", Tone::Warn),
        "parked_events" => ("/requests?outcome=parked", Tone::Warn),
        _ => ("/", Tone::Warn),
    };
    let label = if tone == Tone::Bad { "urgent" } else { "look" };
    Matter { href: href.to_owned(), text: words(&found.text), tone: badge(tone, label) }
}

fn funnel(found: &Overview) -> Vec<Step> {
    let funnel = found.funnel;
    let steps = [
        ("Received", "requests that came", funnel.received),
        ("Verified", "genuine: signed with the right secret", funnel.verified),
        ("Sales", "live purchases, each counted once", funnel.sales),
        ("Delivered", "sales and refunds that an upstream accepted", funnel.delivered),
    ];
    let most = steps.iter().map(|(_, _, count)| *count).max().unwrap_or(0);
    let mut before = None;
    let mut found = Vec::new();
    for (name, about, count) in steps {
        let share = before.and_then(|before| percent(count, before)).map(|share| format!("{share} of the step before"));
        found.push(Step { name, about, number: number(count), share: share.unwrap_or_default(), bar: chart::share(count, most) });
        before = Some(count);
    }
    found
}

fn beside(found: &Overview) -> Vec<(Html, &'static str, &'static str)> {
    let funnel = found.funnel;
    vec![
        (words(&number(funnel.refused)), "refused", "/requests/refused"),
        (words(&number(funnel.ignored)), "no sales", "/requests?outcome=ignored"),
        (words(&number(funnel.parked)), "parked when they came", "/requests?outcome=parked"),
    ]
}

fn currency((index, line): (usize, &crate::overview::Revenue)) -> Currency {
    let day = |day: &crate::overview::Day| (day.day.clone(), day.sales, day.amount.to_string(), day.taken_back.to_string());
    Currency {
        code: line.currency.clone(),
        sales: line.sales,
        amount: line.amount.to_string(),
        taken_back: line.taken_back.to_string(),
        left: line.left.to_string(),
        chart: (index < DRAWN).then(|| chart::revenue(line, index)),
        days: line.days.iter().rev().map(day).collect(),
    }
}

fn ways(found: &Overview) -> Vec<Way> {
    let positive = |sales: i64| u64::try_from(sales).unwrap_or(0);
    let all: u64 = found.attribution.iter().map(|line| positive(line.sales)).sum();
    let way = |line: &crate::overview::Attribution| Way {
        sales: line.sales,
        share: percent(positive(line.sales), all).unwrap_or_default(),
        bar: chart::share(positive(line.sales), all),
        about: words(&super::terms::attribution(&line.how, line.code.as_deref())),
        code: line.code.as_deref().map(code),
    };
    found.attribution.iter().map(way).collect()
}

/// The share of sales without a click, in per cent.
fn unattributed(found: &Overview) -> Option<String> {
    let of = |is_wanted: fn(&str) -> bool| -> u64 {
        let lines = found.attribution.iter().filter(|line| is_wanted(&line.how));
        lines.map(|line| u64::try_from(line.sales).unwrap_or(0)).sum()
    };
    let without = of(|how| how == "unattributed");
    let share = percent(without, of(|how| matches!(how, "attributed" | "remembered")) + without)?;
    Some(format!("{} live sales, {share} of those that are decided, have no click.", number(without)))
}
