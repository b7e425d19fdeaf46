//! Webhooks in: limits, the raw bytes, verification, one durable append, the answer. Nothing else happens before the answer.
//!
//! | request | answer |
//! |---|---|
//! | `POST /webhooks/{source}` or `/{source}/{token}` | 200 once it is stored, or a problem (RFC 9457) with a stable code |
//! | `GET`, `HEAD` on the same | 200: some dashboards probe the URL |
//! | `GET`, `HEAD` on `/healthz`, `/readyz` | 200 or 503 |

mod body;
mod certificate;
mod handler;
mod meters;
mod problem;
mod refused;
mod tls;

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

pub use certificate::{Certificates, WebCertificates};
pub use handler::peer_of;
pub use refused::{Config as RefusedConfig, Keeper, Ring};
pub use tls::{Certificate, Pair, TlsConfig};

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};
use arc_swap::ArcSwap;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Semaphore;

use self::meters::Meters;
use crate::domain::{Clock, Timestamp};
use crate::pack::Source;
use crate::pipeline::Bell;
use crate::store::Store;

/// `[server]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Server")]
pub struct Config {
    /// Where webhooks are taken: an address and a port.
    pub listen: String,
    /// How the internet reaches this bridge, such as `https://hooks.example.com`. Needed by providers that sign the URL.
    pub public_url: Option<String>,
    /// Proxies of yours, as networks: the address that they add to `X-Forwarded-For` is believed. For `allow_ips`.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
    /// A longer body is refused with 413. From 1024 to 67108864.
    pub body_limit_bytes: usize,
    /// A request must arrive whole within this. From 1 to 600.
    pub request_timeout_secs: u64,
    /// More connections wait in the system's queue. From 1 to 1000000.
    pub max_connections: usize,
    /// More requests that wait for the disk are answered 503; their providers come back. From 1 to 1000000.
    pub queue_limit: usize,
    /// Bodies that are being read or stored take at most so much memory together; more are answered 503. At least `body_limit_bytes`.
    pub memory_limit_bytes: usize,
    /// Threads that read requests, from 1 to 256. Left out: one for each core.
    pub workers: Option<usize>,
    /// A stop waits so long for requests and deliveries that are under way. From 1 to 3600.
    pub stop_timeout_secs: u64,
    /// A certificate and its key, where no proxy in front of the bridge speaks TLS.
    pub tls: Option<TlsConfig>,
}

/// What the handlers share, by one configuration. Another takes its place when the configuration is read anew; a request keeps the
/// one with which it began.
pub struct State {
    /// The sources, by name.
    pub sources: Arc<HashMap<String, Arc<Source>>>,
    /// Where requests are stored.
    pub store: Arc<dyn Store>,
    /// The time of receipt.
    pub clock: Arc<dyn Clock>,
    /// Rung after each new request.
    pub bell: Arc<Bell>,
    /// Where certificates come from.
    pub certificates: Arc<dyn Certificates>,
    /// Where refused requests are kept, if they are.
    keeper: Option<Keeper>,
    /// What is counted of each source, and of what came to none.
    meters: HashMap<String, Meters>,
    unknown: Meters,
    trusted_proxies: Vec<IpNet>,
    body_limit_bytes: usize,
    request_timeout: Duration,
    memory: Arc<Semaphore>,
    readiness: Readiness,
}

/// When writing was last found to work: a probe writes, so not every probe may.
#[derive(Debug, Default)]
struct Readiness(AtomicI64);

impl Readiness {
    fn is_fresh(&self, now: Timestamp) -> bool {
        let age_millis = now.as_millisecond() - self.0.load(Ordering::Relaxed);
        (0..1_000).contains(&age_millis)
    }

    fn found_at(&self, now: Timestamp) {
        self.0.store(now.as_millisecond(), Ordering::Relaxed);
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            public_url: None,
            trusted_proxies: Vec::new(),
            body_limit_bytes: 1024 * 1024,
            request_timeout_secs: 10,
            max_connections: 10_000,
            queue_limit: 1024,
            memory_limit_bytes: 64 * 1024 * 1024,
            workers: None,
            stop_timeout_secs: 20,
            tls: None,
        }
    }
}

impl State {
    /// What the handlers share, with the limits of `config`.
    pub fn new(
        config: &Config,
        sources: Arc<HashMap<String, Arc<Source>>>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        bell: Arc<Bell>,
        certificates: Arc<dyn Certificates>,
    ) -> Self {
        Self {
            meters: sources.keys().map(|source| (source.clone(), Meters::new(source))).collect(),
            unknown: Meters::new("unknown"),
            sources,
            store,
            clock,
            bell,
            certificates,
            keeper: None,
            trusted_proxies: config.trusted_proxies.clone(),
            body_limit_bytes: config.body_limit_bytes,
            request_timeout: Duration::from_secs(config.request_timeout_secs),
            memory: Arc::new(Semaphore::new(config.memory_limit_bytes.min(Semaphore::MAX_PERMITS))),
            readiness: Readiness::default(),
        }
    }

    /// The same, but refused requests are handed to the ring.
    pub fn with_keeper(self, keeper: Option<Keeper>) -> Self {
        Self { keeper, ..self }
    }

    /// What takes its place: another configuration over the same store, with the same memory.
    pub fn by(&self, config: &Config, sources: Arc<HashMap<String, Arc<Source>>>, keeper: Option<Keeper>) -> Self {
        let (store, clock, bell) = (Arc::clone(&self.store), Arc::clone(&self.clock), Arc::clone(&self.bell));
        let state = Self::new(config, sources, store, clock, bell, Arc::clone(&self.certificates));
        Self { keeper, memory: Arc::clone(&self.memory), ..state }
    }
}

/// Binds the public listener, or takes `listener`, which somebody else has bound and keeps while this process is replaced. With a
/// `certificate` it speaks TLS. The server runs when it is awaited; stopping it by its handle answers what was accepted.
///
/// # Errors
/// The address cannot be bound, or the listener not be used.
pub fn serve(
    config: &Config,
    state: Arc<ArcSwap<State>>,
    listener: Option<TcpListener>,
    certificate: Option<&Arc<Certificate>>,
) -> io::Result<(Server, Vec<SocketAddr>)> {
    let state = web::Data::from(state);
    let workers = config.workers.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let timeout = Duration::from_secs(config.request_timeout_secs);
    let server = HttpServer::new(move || App::new().app_data(state.clone()).configure(routes))
        .workers(workers)
        .max_connections(config.max_connections.div_ceil(workers))
        .client_request_timeout(timeout)
        .tls_handshake_timeout(timeout)
        .keep_alive(Duration::from_secs(75))
        .shutdown_timeout(config.stop_timeout_secs)
        .disable_signals();
    let tls = certificate.map(|certificate| Arc::clone(certificate).server()).transpose().map_err(io::Error::other)?;
    let server = match (listener, tls) {
        (Some(listener), Some(tls)) => server.listen_rustls_0_23(listener, tls)?,
        (Some(listener), None) => server.listen(listener)?,
        (None, Some(tls)) => server.bind_rustls_0_23(&config.listen, tls)?,
        (None, None) => server.bind(&config.listen)?,
    };
    let addresses = server.addrs();
    Ok((server.run(), addresses))
}

/// The table of contents.
pub fn routes(service: &mut web::ServiceConfig) {
    for path in ["/webhooks/{source}", "/webhooks/{source}/{token}"] {
        service.service(
            web::resource(path)
                .route(web::post().to(handler::receive))
                .route(web::get().to(handler::probe))
                .route(web::head().to(handler::probe))
                .default_service(web::to(handler::method_not_allowed)),
        );
    }
    for (path, get, head) in [
        ("/healthz", web::get().to(handler::healthy), web::head().to(handler::healthy)),
        ("/readyz", web::get().to(handler::ready), web::head().to(handler::ready)),
    ] {
        let other = web::to(handler::method_not_allowed);
        service.service(web::resource(path).route(get).route(head).default_service(other));
    }
    service.default_service(web::to(handler::not_found));
}
