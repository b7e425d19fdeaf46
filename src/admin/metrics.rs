//! `/metrics`, as Prometheus reads it.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, web};

use super::State;
use super::problem::Problem;

/// `GET /metrics`.
pub(super) async fn page(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    state.door.admit(&request, state.clock.now())?;
    let store = Arc::clone(&state.store);
    let found = web::block(move || Ok::<_, crate::store::Error>((store.queues()?, store.upstreams()?))).await;
    let (queues, upstreams) = found.map_err(|_| Problem::Unavailable)??;
    for (queue, length) in [
        ("unsettled", queues.unsettled),
        ("waiting", queues.waiting),
        ("due", queues.due),
        ("dead", queues.dead),
        ("fetching", queues.fetching),
    ] {
        metrics::gauge!("salebridge_queue", "queue" => queue).set(u32::try_from(length).unwrap_or(u32::MAX));
    }
    for upstream in upstreams {
        metrics::gauge!("salebridge_upstream_paused", "upstream" => upstream.name).set(u32::from(upstream.paused));
    }
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(state.metrics.render()))
}
