//! A running bridge: the public listener, the fold over the inbox, one sender for each upstream, the operator's listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use arc_swap::ArcSwap;

use super::config::Checked;
use super::desk::{Desk, Parts};
use super::fold::{Fold, Turn};
use super::metrics;
use super::sockets::Sockets;
use super::workers::{Tools, Workers};
use crate::admin::Reloads;
use crate::domain::Clock;
use crate::pipeline::Bell;
use crate::receive::Certificate;
use crate::store::Store;
use crate::{admin, receive, trace};

/// So long a connection that was accepted just before the door closes has for its request to arrive: the server drops what its
/// workers have not taken up yet.
const LAST_ACCEPTED: Duration = Duration::from_millis(150);

/// A running bridge. It runs on the current actix system until [`Bridge::stop`].
pub struct Bridge {
    /// Where webhooks are taken.
    pub addresses: Vec<SocketAddr>,
    /// Everything that is kept.
    pub store: Arc<dyn Store>,
    /// The configuration by which it goes.
    pub(super) config: Checked,
    pub(super) door: Arc<ArcSwap<receive::State>>,
    pub(super) desk: Option<Desk>,
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) fold: Fold,
    pub(super) workers: Workers,
    servers: Vec<ServerHandle>,
}

/// Why a bridge could not start. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is in use or not this machine's.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// Something else of this machine is missing.
    #[error("{0}")]
    Machine(String),
}

impl Bridge {
    /// Starts everything. Must be called on an actix system. `reloads` is where the operator's listener asks for the configuration to
    /// be read anew, where somebody answers that.
    ///
    /// # Errors
    /// What could not be started; nothing is left running.
    pub async fn start(
        config: Checked,
        clock: Arc<dyn Clock>,
        sockets: Sockets,
        reloads: Option<Reloads>,
    ) -> Result<Self, StartError> {
        if let Some(traces) = &config.traces {
            trace::start(traces).map_err(StartError::Machine)?;
        }
        // Before anything counts.
        let recorded = config.admin.as_ref().map(|_| metrics::recorder(clock.now())).transpose()?;
        let store = config.store.open(config.access, config.server.queue_limit)?;
        let fold_bell = Arc::new(Bell::default());
        let certificates: Arc<dyn receive::Certificates> =
            Arc::new(receive::WebCertificates::new().map_err(StartError::Machine)?);
        let (sources, server) = (Arc::clone(&config.sources), &config.server);
        let (keeper, ring) = receive::Ring::new(&config.refused, Arc::clone(&store), Arc::clone(&sources)).unzip();
        let state = receive::State::new(
            server,
            Arc::clone(&sources),
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::clone(&fold_bell),
            Arc::clone(&certificates),
        );
        let door = Arc::new(ArcSwap::from_pointee(state.with_keeper(keeper)));
        let certificate = config.certificate.clone().map(|pair| Arc::new(Certificate::new(pair)));
        let listen = |address: &str, cause| StartError::Listen { address: address.to_owned(), cause };
        let (public, addresses) = receive::serve(server, Arc::clone(&door), sockets.public, certificate.as_ref())
            .map_err(|cause| listen(&server.listen, cause))?;
        let mut servers = vec![public.handle()];
        store.set_back(clock.now()).await?;
        let fetching = sources.values().filter(|source| source.api.is_some()).map(|source| source.name.to_string());
        store.release_fetches(fetching.collect()).await?;
        let tools = Tools {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            fold_bell: Arc::clone(&fold_bell),
            since: clock.now(),
            holder: rand::random::<i64>(),
            stop_timeout: Duration::from_secs(server.stop_timeout_secs),
        };
        let mut workers = Workers::start(tools, certificate.clone())?;
        let plan = workers.plan(None, &config).map_err(StartError::Machine)?;
        let (bells, sender_bells) = workers.bells(&plan, &config);
        let desk = recorded.map(|metrics| {
            let (store, clock, fold_bell) = (Arc::clone(&store), Arc::clone(&clock), Arc::clone(&fold_bell));
            let parts = Parts { store, clock, certificates, metrics, reloads, fold_bell, chance: rand::random() };
            Desk::new(parts, &config, sender_bells)
        });
        if let (Some(desk), Some(admin)) = (&desk, &config.admin) {
            let server = admin::serve(&admin.listen, Arc::clone(&desk.state), sockets.admin);
            let server = server.map_err(|cause| listen(&admin.listen, cause))?;
            servers.push(server.handle());
            actix_web::rt::spawn(server);
        }
        workers.follow(plan, None, &config, ring);
        let turn = Turn { sources, rules: config.rules.clone(), bells };
        let fold = Fold::start(Arc::clone(&store), clock, fold_bell, turn)?;
        actix_web::rt::spawn(public);
        Ok(Self { addresses, store, config, door, desk, certificate, fold, workers, servers })
    }

    /// Stops: takes no new connection, answers every request that was accepted and waits for deliveries under way, both within
    /// `server.stop_timeout_secs`; then ends the step that is under way and closes the store. What is not done yet is done after the
    /// next start; it is said how much that is.
    pub async fn stop(self) {
        self.workers.close();
        for server in &self.servers {
            server.pause().await;
        }
        tokio::time::sleep(LAST_ACCEPTED).await;
        let stopping: Vec<_> = self.servers.iter().map(|server| server.stop(true)).collect();
        for server in stopping.into_iter().map(actix_web::rt::spawn).collect::<Vec<_>>() {
            drop(server.await);
        }
        // Each request under way holds the state by which it began.
        let count = Arc::strong_count(&self.door.load_full()).saturating_sub(2);
        if count > 0 {
            tracing::warn!(count, "requests were not answered in time; their senders come back");
        }
        self.workers.end().await;
        self.fold.end().await;
        let store = Arc::clone(&self.store);
        if let Ok(Ok(left)) = actix_web::rt::task::spawn_blocking(move || store.queues()).await {
            tracing::info!(unsettled = left.unsettled, waiting = left.waiting, due = left.due, "left for the next start");
        }
        trace::flush().await;
    }
}
