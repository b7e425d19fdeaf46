//! Where sales go: how each queue stands, stopped and started by hand, tried with a test sale that is shown before it is sent.

use std::sync::Arc;

use actix_web::web::Path;
use askama::Template;

use super::html::{Html, Tone, badge, sent, when, words};
use super::layout::{Layout, Room};
use super::overview::standing;
use super::visitor::{Answer, Fault, Form, Visitor, lead_to, page};
use crate::domain::{AttemptOutcome, Currency, Timestamp};
use crate::forward::{Sample, Trial, Upstream};
use crate::store::UpstreamView;

/// A click or a customer is not longer.
const TEXT_LIMIT: usize = 500;
/// A test sale that was shown is sent within so many seconds.
const SHOWN_SECS: i64 = 3_600;

#[derive(Template)]
#[template(path = "upstreams.html")]
struct List {
    layout: Layout,
    rows: Vec<Row>,
    strangers: Vec<UpstreamView>,
}

struct Row {
    name: String,
    title: String,
    template: String,
    place: String,
    takes: String,
    unit: &'static str,
    limit: String,
    stands: Html,
    why: Html,
    is_paused: bool,
    due: u64,
    dead: u64,
    beware: Option<String>,
}

#[derive(Template)]
#[template(path = "trial.html")]
struct Shown {
    layout: Layout,
    name: String,
    request: Html,
    at: i64,
    click: String,
    customer: String,
    currency: String,
}

#[derive(Template)]
#[template(path = "trial_sent.html")]
struct Sent {
    layout: Layout,
    name: String,
    request: Html,
    answer: Option<(u16, Html)>,
    stands: Html,
    advice: Html,
    compare: Option<Html>,
}

/// `GET /upstreams`.
pub(super) async fn list(visitor: Visitor) -> Answer {
    let queues = visitor.read(|store| store.upstreams()).await?;
    let upstreams = &visitor.state.upstreams;
    let is_known = |queue: &UpstreamView| upstreams.iter().any(|upstream| *upstream.name == *queue.name);
    let strangers = queues.iter().filter(|queue| !is_known(queue) && queue.due + queue.dead > 0).cloned().collect();
    page(&List {
        layout: visitor.layout(Room::Upstreams, "Upstreams"),
        rows: upstreams.iter().map(|upstream| row(upstream, &queues, visitor.now)).collect(),
        strangers,
    })
}

fn row(upstream: &Upstream, queues: &[UpstreamView], now: Timestamp) -> Row {
    let queue = queues.iter().find(|queue| queue.name == *upstream.name);
    let paused = queue.filter(|queue| queue.paused);
    let since = paused.and_then(|queue| queue.since.as_deref()).map(|since| when(since, now));
    let why = paused.and_then(|queue| queue.reason.as_deref()).map(words);
    Row {
        name: upstream.name.to_string(),
        title: upstream.template.upstream.title.clone(),
        template: upstream.template.upstream.name.clone(),
        place: upstream.place(),
        takes: upstream.takes(),
        unit: upstream.amount_unit.as_str(),
        limit: format!("{} a minute, {} at a time", upstream.requests_per_minute, upstream.max_in_flight),
        stands: queue.map_or_else(|| badge(Tone::Good, "runs"), standing),
        why: Html::join(since.into_iter().chain(why), ": "),
        is_paused: paused.is_some(),
        due: queue.map_or(0, |queue| queue.due),
        dead: queue.map_or(0, |queue| queue.dead),
        beware: upstream.template.upstream.counts_twice.clone(),
    }
}

/// `POST /upstreams/{name}/pause`.
pub(super) async fn pause(path: Path<String>, form: Form) -> Answer {
    let upstream = find(&form.visitor, &path)?;
    let reason = form.reason()?;
    set_paused(&form.visitor, &upstream, Some(reason)).await
}

/// `POST /upstreams/{name}/resume`.
pub(super) async fn resume(path: Path<String>, form: Form) -> Answer {
    let upstream = find(&form.visitor, &path)?;
    set_paused(&form.visitor, &upstream, None).await
}

async fn set_paused(visitor: &Visitor, upstream: &Upstream, reason: Option<String>) -> Answer {
    visitor.state.store.pause_by_hand(&upstream.name, reason, visitor.now).await?;
    visitor.state.ring();
    Ok(lead_to("/upstreams"))
}

/// `POST /upstreams/{name}/test`: only shows the request.
pub(super) async fn test(path: Path<String>, form: Form) -> Answer {
    let upstream = find(&form.visitor, &path)?;
    let trial = trial(&upstream, &form, form.visitor.now)?;
    let field = |name: &str| form.one(name).unwrap_or_default().to_owned();
    page(&Shown {
        layout: form.visitor.layout(Room::Upstreams, &format!("Test sale to {}", upstream.name)),
        name: upstream.name.to_string(),
        request: sent(&trial.request),
        at: form.visitor.now.as_second(),
        click: field("click"),
        customer: field("customer"),
        currency: field("currency"),
    })
}

/// `POST /upstreams/{name}/test/send`: sends what was shown.
pub(super) async fn send(path: Path<String>, form: Form) -> Answer {
    let upstream = find(&form.visitor, &path)?;
    let now = form.visitor.now;
    let shown_at =
        form.one("at").and_then(|at| at.parse::<i64>().ok()).filter(|at| (0..SHOWN_SECS).contains(&(now.as_second() - at)));
    let at = shown_at.and_then(|at| Timestamp::from_second(at).ok());
    let at = at.ok_or_else(|| Fault::Conflict("The test sale was shown too long ago: make it anew.".to_owned()))?;
    let trial = trial(&upstream, &form, at)?;
    let verdict = trial.send(&upstream).await.map_err(|why| Fault::Conflict(format!("{}: {why}.", upstream.name)))?;
    let judgement = &verdict.judgement;
    let (tone, is_taken) = match judgement.outcome {
        AttemptOutcome::Delivered | AttemptOutcome::Duplicate => (Tone::Good, true),
        AttemptOutcome::Unattributed => (Tone::Warn, true),
        AttemptOutcome::Retry
        | AttemptOutcome::RetryLimited
        | AttemptOutcome::Rejected
        | AttemptOutcome::Unknown
        | AttemptOutcome::Paused => (Tone::Bad, false),
    };
    page(&Sent {
        layout: form.visitor.layout(Room::Upstreams, &format!("Test sale to {}", upstream.name)),
        name: upstream.name.to_string(),
        request: sent(&trial.request),
        answer: verdict.answer.as_ref().map(|answer| (answer.status, sent(&answer.body))),
        stands: badge(tone, &judgement.outcome.as_str().replace('_', " ")),
        advice: words(&judgement.advice),
        compare: is_taken.then(|| words(&trial.compare(&upstream))),
    })
}

fn trial(upstream: &Upstream, form: &Form, at: Timestamp) -> Result<Trial, Fault> {
    let currency = form.one("currency").map(|code| {
        let known = Currency::from_code(&code.to_ascii_uppercase());
        known.ok_or_else(|| Fault::Invalid("The currency is not one of ISO 4217, such as USD.".to_owned()))
    });
    let sample = Sample {
        click_id: form.text("click", TEXT_LIMIT)?,
        customer_external_id: form.text("customer", TEXT_LIMIT)?,
        currency: currency.transpose()?,
    };
    let lacks = |error| {
        Fault::Conflict(format!("{}: {error}. Click, customer and currency give the test sale what it lacks.", upstream.name))
    };
    // To the second, so that what is sent is what was shown.
    let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
    Trial::new(upstream, sample, at).map_err(lacks)
}

fn find(visitor: &Visitor, name: &str) -> Result<Arc<Upstream>, Fault> {
    let found = visitor.state.upstreams.iter().find(|upstream| *upstream.name == *name).cloned();
    found.ok_or_else(|| Fault::NotFound("The configuration has no upstream of that name.".to_owned()))
}
