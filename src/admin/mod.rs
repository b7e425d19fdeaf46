//! The operator's listener: the admin API, the dashboard and `/metrics`, behind one token. It is never the public listener.
//!
//! | path | what |
//! |---|---|
//! | `/api/v1/…` | the admin API, for programs |
//! | `/metrics` | for Prometheus |
//! | everything else | the dashboard, for people |

mod api;
mod auth;
mod by_hand;
mod metrics;
mod pages;
mod problem;
mod reload;

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::{Extensions, Server, Service as _};
use actix_web::web::Data;
use actix_web::{App, HttpServer, web};
use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use schemars::JsonSchema;
use serde::Deserialize;

pub use auth::Door;
pub use reload::{Ask, Reloaded, Reloads, reloads};

use crate::attribute::Rules;
use crate::domain::{Clock, Secret};
use crate::forward::Upstream;
use crate::pack::Source;
use crate::pipeline::Bell;
use crate::rejudge::Rejudge;
use crate::store::Store;

/// The version of the admin API, as it stands in its paths (`/api/v1/…`).
pub const API_VERSION: u32 = 1;

/// `[admin]` of the configuration. Without it there is no such listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Admin")]
pub struct Config {
    /// Where the operator's tools connect. Never the public address.
    #[serde(default = "default_listen")]
    pub listen: String,
    /// Shown as `Authorization: Bearer …`, at least 16 characters; needed wherever the address is not the machine's own.
    pub token: Option<Secret>,
    /// How people reach it, if not by that address, such as `https://sales.example.com`: for links, and to keep cookies to https.
    pub public_url: Option<String>,
}

/// What the handlers share, by one configuration. Another takes its place when the configuration is read anew; a request keeps the
/// one with which it began.
pub struct State {
    /// Everything that is kept.
    pub store: Arc<dyn Store>,
    /// What the stages have counted.
    pub metrics: PrometheusHandle,
    /// Who may come in.
    pub door: Door,
    /// The sources, by name.
    pub sources: Arc<HashMap<String, Arc<Source>>>,
    /// The upstreams, in the order of the configuration.
    pub upstreams: Vec<Arc<Upstream>>,
    /// What the ledger needs to know.
    pub rules: Rules,
    /// Judges refused requests again.
    pub rejudge: Rejudge,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// How the internet reaches the public listener.
    pub public_url: Option<String>,
    /// Rung after something was changed: the fold's, and every sender's.
    pub bells: Vec<Arc<Bell>>,
    /// Where it is asked for the configuration to be read anew; `None` where nobody can.
    pub reloads: Option<Reloads>,
}

impl State {
    /// Wakes everyone who may have something to do after a change.
    pub fn ring(&self) {
        self.bells.iter().for_each(|bell| bell.ring());
    }
}

/// Binds the operator's listener, or takes `listener`, which somebody else has bound.
///
/// # Errors
/// The address cannot be bound, or the listener not be used.
pub fn serve(listen: &str, state: Arc<ArcSwap<State>>, listener: Option<TcpListener>) -> io::Result<Server> {
    let app = move || {
        let state = Arc::clone(&state);
        let with_present = App::new().wrap_fn(move |mut request, next| {
            let mut present = Extensions::new();
            present.insert(Data::from(state.load_full()));
            request.add_data_container(Rc::new(present));
            next.call(request)
        });
        with_present.configure(routes)
    };
    let server = HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(1);
    let server = match listener {
        Some(listener) => server.listen(listener)?,
        None => server.bind(listen)?,
    };
    Ok(server.run())
}

/// The table of contents.
pub fn routes(service: &mut web::ServiceConfig) {
    service.route("/metrics", web::get().to(metrics::page)).configure(pages::routes).configure(api::routes);
}

fn default_listen() -> String {
    "127.0.0.1:8081".to_owned()
}
