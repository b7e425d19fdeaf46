//! The queues: what waits, what is tried again, what was given up; one delivery with every attempt.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::Path;
use askama::Template;

use super::html::{Html, Tone, badge, code_or_dash, dash, sent, span, told, when, words};
use super::layout::{Layout, Room};
use super::paging::{Asked, Choice, Turns, choices};
use super::terms;
use super::visitor::{Answer, Fault, Visitor, page};
use crate::domain::{DeliveryId, DeliveryState, SaleId, Timestamp};
use crate::store::{AttemptView, DeliveryFilter, DeliveryView, UpstreamView};

#[derive(Template)]
#[template(path = "deliveries.html")]
struct List {
    layout: Layout,
    states: Vec<Choice>,
    upstreams: Vec<Choice>,
    orders: Vec<Choice>,
    paused: Vec<(String, Html)>,
    notice: Option<String>,
    is_dead: bool,
    upstream: String,
    rows: Vec<Told>,
    turns: Turns,
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct One {
    layout: Layout,
    told: Told,
}

/// A delivery as it is shown.
pub(super) struct Told {
    pub(super) id: DeliveryId,
    pub(super) sale: SaleId,
    pub(super) upstream: String,
    pub(super) what: Html,
    pub(super) invoice: Html,
    pub(super) known_as: Html,
    pub(super) stands: Html,
    pub(super) tries: String,
    pub(super) due: Html,
    pub(super) last: Html,
    pub(super) can_retry: bool,
    pub(super) attempts: Vec<Try>,
}

/// An attempt as it is shown.
pub(super) struct Try {
    pub(super) number: u32,
    pub(super) at: Html,
    pub(super) badge: Html,
    pub(super) duration: String,
    pub(super) reason: Html,
    pub(super) request: Html,
    pub(super) answer: Html,
}

/// Whether a person can send it again.
pub(super) fn can_be_sent_again(state: DeliveryState) -> bool {
    match state {
        DeliveryState::Sending | DeliveryState::Merged | DeliveryState::Withdrawn => false,
        DeliveryState::Due
        | DeliveryState::Delivered
        | DeliveryState::Duplicate
        | DeliveryState::Unattributed
        | DeliveryState::Dead
        | DeliveryState::Held
        | DeliveryState::Skipped => true,
    }
}

/// What an attempt came to.
pub(super) fn attempt_badge(outcome: &str, status: Option<u16>) -> Html {
    let tone = match outcome {
        "delivered" | "duplicate" => Tone::Good,
        "unattributed" | "retry" | "retry_limited" => Tone::Warn,
        _ => Tone::Bad,
    };
    let status = status.map_or_else(|| "no answer".to_owned(), |status| format!("HTTP {status}"));
    badge(tone, &format!("{status}, {}", outcome.replace('_', " ")))
}

impl Told {
    /// A delivery, seen now.
    pub(super) fn of(delivery: &DeliveryView, now: Timestamp) -> Self {
        let (tone, stands) = terms::delivery(delivery.state, delivery.attempts);
        let is_coming = matches!(delivery.state, DeliveryState::Due | DeliveryState::Sending);
        Self {
            id: delivery.id,
            sale: delivery.sale,
            upstream: delivery.upstream.clone(),
            what: told(&delivery.what()),
            invoice: code_or_dash(delivery.invoice_id.as_deref()),
            known_as: code_or_dash(delivery.upstream_id.as_deref()),
            stands: badge(tone, stands),
            tries: match delivery.attempts {
                0 => "not tried yet".to_owned(),
                1 => "1 try".to_owned(),
                tries => format!("{tries} tries"),
            },
            due: if is_coming { when(&delivery.due_at, now) } else { dash() },
            last: delivery.last_reason.as_deref().map(words).unwrap_or_default(),
            can_retry: can_be_sent_again(delivery.state),
            attempts: delivery.history.iter().map(|attempt| Try::of(attempt, now)).collect(),
        }
    }
}

impl Try {
    fn of(attempt: &AttemptView, now: Timestamp) -> Self {
        Self {
            number: attempt.number,
            at: when(&attempt.started_at, now),
            badge: attempt_badge(&attempt.outcome, attempt.status),
            duration: match attempt.duration_ms {
                millis @ 0..5_000 => format!("{millis} ms"),
                millis => span(Duration::from_millis(millis.unsigned_abs())),
            },
            reason: words(&attempt.reason),
            request: sent(&attempt.request),
            answer: sent(&attempt.answer),
        }
    }
}

/// `GET /deliveries`.
pub(super) async fn list(visitor: Visitor, request: HttpRequest) -> Answer {
    let asked = Asked::of(&request);
    let queues = visitor.read(|store| store.upstreams()).await?;
    let mut names: Vec<&str> = visitor.state.upstreams.iter().map(|upstream| &*upstream.name).collect();
    names.extend(queues.iter().map(|queue| queue.name.as_str()));
    names.sort_unstable();
    names.dedup();
    let state = asked.one_of("state", &DeliveryState::ALL.map(DeliveryState::as_str))?;
    let upstream = asked.one_of("upstream", &names)?;
    let filter = DeliveryFilter {
        upstream: upstream.map(str::to_owned),
        state: state.and_then(DeliveryState::parse),
        since: asked.day("since", 0)?,
        until: asked.day("until", 1)?,
    };
    let paging = asked.paging()?;
    let mut found = visitor.read(move |store| store.list_deliveries(&filter, &paging)).await?;
    let turns = asked.turns(&mut found, |delivery| delivery.id);
    let text = |state| if state == DeliveryState::Due { "waiting or retrying" } else { terms::delivery(state, 0).1 };
    let texts = DeliveryState::ALL.map(|state| (state.as_str(), text(state)));
    let order = if asked.is_oldest_first()? { "oldest" } else { "newest" };
    page(&List {
        layout: visitor.layout(Room::Deliveries, "Deliveries"),
        states: choices(state, "every state", texts),
        upstreams: choices(upstream, "every upstream", names.iter().map(|name| (*name, *name))),
        orders: choices(Some(order), "", [("newest", "newest first"), ("oldest", "oldest first")]).split_off(1),
        paused: queues.iter().filter(|queue| queue.paused).map(|queue| paused(queue, visitor.now)).collect(),
        notice: asked.get("resumed").and_then(|count| count.parse::<usize>().ok()).map(resumed),
        is_dead: state == Some("dead") && !found.rows.is_empty(),
        upstream: upstream.unwrap_or_default().to_owned(),
        rows: found.rows.iter().map(|delivery| Told::of(delivery, visitor.now)).collect(),
        turns,
    })
}

fn paused(queue: &UpstreamView, now: Timestamp) -> (String, Html) {
    let since = queue.since.as_deref().map(|since| when(since, now)).unwrap_or_default();
    let why = words(queue.reason.as_deref().unwrap_or("no reason is known"));
    (queue.name.clone(), Html::join([since, why], ": "))
}

fn resumed(count: usize) -> String {
    match count {
        0 => "None could be sent again any more: they were accepted or changed meanwhile.".to_owned(),
        count => {
            format!("{count} will be sent again at once, as fast as the upstream’s limit allows, unless it was paused by hand.")
        }
    }
}

/// `GET /deliveries/{id}`.
pub(super) async fn show(visitor: Visitor, path: Path<DeliveryId>) -> Answer {
    let id = path.into_inner();
    let found = visitor.read(move |store| store.delivery(id)).await?;
    let delivery = found.ok_or_else(|| Fault::NotFound(format!("There is no delivery {id}.")))?;
    let layout = visitor.layout(Room::Deliveries, &format!("Delivery {id}"));
    page(&One { layout, told: Told::of(&delivery, visitor.now) })
}
