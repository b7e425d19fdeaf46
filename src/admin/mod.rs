//! The operator's listener: `/metrics` for Prometheus, behind a bearer token. It is never on the public listener.

use std::io;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use actix_web::web::Data;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use crate::domain::Secret;
use crate::store::Store;

/// `[admin]` of the configuration. Without it there is no such listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the operator's tools connect.
    #[serde(default = "default_listen")]
    pub listen: String,
    /// Shown as `Authorization: Bearer …`; needed wherever the address is not the machine's own.
    pub token: Option<Secret>,
}

/// What the handlers share.
pub struct State {
    /// Where counts come from.
    pub store: Arc<dyn Store>,
    /// What the stages have counted.
    pub metrics: PrometheusHandle,
    /// The token, where one is set.
    pub token: Option<Secret>,
}

/// Binds the operator's listener.
///
/// # Errors
/// The address cannot be bound.
pub fn serve(listen: &str, state: State) -> io::Result<Server> {
    let state = Data::new(state);
    let app = move || App::new().app_data(state.clone()).route("/metrics", web::get().to(metrics_page));
    Ok(HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(1).bind(listen)?.run())
}

async fn metrics_page(request: HttpRequest, state: Data<State>) -> HttpResponse {
    if !is_allowed(&request, &state) {
        return HttpResponse::Unauthorized().insert_header((WWW_AUTHENTICATE, "Bearer")).finish();
    }
    let store = Arc::clone(&state.store);
    let found = web::block(move || Ok::<_, crate::store::Error>((store.queues()?, store.upstreams()?))).await;
    let Ok(Ok((queues, upstreams))) = found else {
        return HttpResponse::ServiceUnavailable().finish();
    };
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
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(state.metrics.render())
}

fn is_allowed(request: &HttpRequest, state: &State) -> bool {
    let Some(token) = &state.token else { return true };
    let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    shown.unwrap_or_default().as_bytes().ct_eq(token.expose().as_bytes()).into()
}

fn default_listen() -> String {
    "127.0.0.1:8081".to_owned()
}
