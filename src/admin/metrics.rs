//! `/metrics`: what the stages have counted, and, asked of the store at this moment, how much waits where and for how long.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, web};

use super::State;
use super::problem::Problem;
use crate::domain::Timestamp;
use crate::store::{Error, OldestView, QueueView, Store, UpstreamView};

/// What the store is asked.
struct Found {
    queues: QueueView,
    upstreams: Vec<UpstreamView>,
    oldest: OldestView,
}

/// `GET /metrics`.
pub(super) async fn page(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    state.door.admit(&request, state.clock.now())?;
    let store = Arc::clone(&state.store);
    let found = web::block(move || ask(&*store)).await.map_err(|_| Problem::Unavailable)??;
    note(&found, state.clock.now());
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(state.metrics.render()))
}

fn ask(store: &dyn Store) -> Result<Found, Error> {
    Ok(Found { queues: store.queues()?, upstreams: store.upstreams()?, oldest: store.oldest()? })
}

fn note(Found { queues, upstreams, oldest }: &Found, now: Timestamp) {
    let first_due = oldest.due.iter().map(|(_, since)| *since).min();
    for (queue, length, since) in [
        ("unsettled", queues.unsettled, Some(oldest.unsettled)),
        ("waiting", queues.waiting, Some(oldest.waiting)),
        ("fetching", queues.fetching, Some(oldest.fetching)),
        ("due", queues.due, Some(first_due)),
        ("dead", queues.dead, None),
    ] {
        metrics::gauge!("salebridge_queue_depth", "queue" => queue).set(number(length));
        if let Some(since) = since {
            metrics::gauge!("salebridge_queue_age_seconds", "queue" => queue).set(age(since, now));
        }
    }
    for upstream in upstreams {
        let name = || upstream.name.clone();
        let since = oldest.due.iter().find(|(due, _)| *due == upstream.name).map(|(_, since)| *since);
        metrics::gauge!("salebridge_upstream_due", "upstream" => name()).set(number(upstream.due));
        metrics::gauge!("salebridge_upstream_due_age_seconds", "upstream" => name()).set(age(since, now));
        metrics::gauge!("salebridge_upstream_dead", "upstream" => name()).set(number(upstream.dead));
        metrics::gauge!("salebridge_upstream_paused", "upstream" => name()).set(u32::from(upstream.paused));
        metrics::gauge!("salebridge_upstream_paused_by_hand", "upstream" => name()).set(u32::from(upstream.by_hand));
    }
}

fn number(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Seconds since then; what lies ahead is not old.
fn age(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0))
}
