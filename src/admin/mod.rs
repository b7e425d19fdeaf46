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

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::web::Data;
use actix_web::{App, HttpServer, web};
use metrics_exporter_prometheus::PrometheusHandle;
use schemars::JsonSchema;
use serde::Deserialize;

pub use auth::Door;

use crate::attribute::Rules;
use crate::domain::{Clock, Secret};
use crate::forward::Upstream;
use crate::pack::Source;
use crate::pipeline::Bell;
use crate::rejudge::Rejudge;
use crate::store::Store;

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

/// What the handlers share.
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
}

impl State {
    /// Wakes everyone who may have something to do after a change.
    pub fn ring(&self) {
        self.bells.iter().for_each(|bell| bell.ring());
    }
}

/// Binds the operator's listener.
///
/// # Errors
/// The address cannot be bound.
pub fn serve(listen: &str, state: State) -> io::Result<Server> {
    let state = Data::new(state);
    let app = move || App::new().app_data(state.clone()).configure(routes);
    Ok(HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(1).bind(listen)?.run())
}

/// The table of contents.
pub fn routes(service: &mut web::ServiceConfig) {
    service.route("/metrics", web::get().to(metrics::page)).configure(pages::routes).configure(api::routes);
}

fn default_listen() -> String {
    "127.0.0.1:8081".to_owned()
}
