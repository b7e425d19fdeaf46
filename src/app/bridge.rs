//! A running bridge: the public listener, the fold over the inbox, one sender for each upstream, the operator's listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::runtime::Handle;

use super::config::Checked;
use super::{index, metrics, retention};
use crate::admin::Door;
use crate::alarm::{self, Watch};
use crate::domain::Clock;
use crate::enrich::{Enricher, HttpFetcher};
use crate::forward::Sender;
use crate::pipeline::{Bell, Pipeline};
use crate::rejudge::Rejudge;
use crate::store::{Access, Store};
use crate::{admin, receive, trace};

/// A sender looks at its queue at least so often, even if nobody rings.
const IDLE: Duration = Duration::from_secs(1);

/// A running bridge. It runs on the current actix system until [`Bridge::stop`].
pub struct Bridge {
    /// Where webhooks are taken.
    pub addresses: Vec<SocketAddr>,
    /// Everything that is kept.
    pub store: Arc<dyn Store>,
    servers: Vec<ServerHandle>,
    fold_bell: Arc<Bell>,
    fold: Option<JoinHandle<()>>,
    enricher_bells: Vec<Arc<Bell>>,
    sender_bells: Vec<Arc<Bell>>,
    /// Of what is done beside everything else: retention, the index, alarms.
    upkeep_bells: [Arc<Bell>; 3],
    /// Of the ring of refused requests, which ends after the door is closed.
    ring_bell: Arc<Bell>,
    /// Those that are waited for: senders and enrichers, which call out, and retention.
    callers: Vec<actix_web::rt::task::JoinHandle<()>>,
    /// Dropped last: by then nothing is under way.
    _attempts: Attempts,
}

/// The thread on which attempts run, so that they do not wait for one another's bookkeeping.
struct Attempts {
    handle: Handle,
    /// Dropping it ends the thread.
    _end: tokio::sync::oneshot::Sender<()>,
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
    /// Starts everything. Must be called on an actix system.
    ///
    /// # Errors
    /// What could not be started; nothing is left running.
    pub async fn start(config: Checked, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        if let Some(traces) = &config.traces {
            trace::start(traces).map_err(StartError::Machine)?;
        }
        let bridge_name = config.bridge_name().to_owned();
        let upstream_names = config.upstreams.iter().map(|upstream| upstream.name.to_string()).collect();
        // Before anything counts.
        let recorded = config.admin.as_ref().map(|_| metrics::recorder(clock.now())).transpose()?;
        let store = config.store.open(Access::Serve, config.server.queue_limit)?;
        let fold_bell = Arc::new(Bell::default());
        let certificates: Arc<dyn receive::Certificates> =
            Arc::new(receive::WebCertificates::new().map_err(StartError::Machine)?);
        let state = receive::State::new(
            &config.server,
            Arc::clone(&config.sources),
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::clone(&fold_bell),
            Arc::clone(&certificates),
        );
        let (keeper, ring) = receive::Ring::new(&config.refused, Arc::clone(&store), Arc::clone(&config.sources)).unzip();
        let state = state.with_keeper(keeper);
        let listen = |address: &str, cause| StartError::Listen { address: address.to_owned(), cause };
        let (server, addresses) = receive::serve(&config.server, state).map_err(|cause| listen(&config.server.listen, cause))?;
        let mut servers = vec![server.handle()];
        store.set_back(clock.now()).await?;
        let upstreams = config.upstreams.clone();
        let (mut sender_bells, mut enricher_bells, mut callers) = (Vec::new(), Vec::new(), Vec::new());
        let stop_timeout = Duration::from_secs(config.server.stop_timeout_secs);
        let attempts = Attempts::start()?;
        for upstream in config.upstreams {
            // A pause is the former process's finding; a new start may have mended it.
            store.set_paused(&upstream.name, None, clock.now()).await?;
            let sender = Sender::new(upstream, Arc::clone(&store), Arc::clone(&clock), Box::new(rand::random::<u64>));
            let sender = sender.map_err(StartError::Machine)?.with_attempts_on(attempts.handle.clone());
            let bell = Arc::new(Bell::default());
            callers.push(actix_web::rt::spawn(work(sender, Arc::clone(&bell), stop_timeout)));
            sender_bells.push(bell);
        }
        let fetching = config.sources.values().filter(|source| source.api.is_some()).map(|source| source.name.to_string());
        store.release_fetches(fetching.collect()).await?;
        for source in config.sources.values() {
            let Some(access) = source.api.clone() else { continue };
            let fetcher = HttpFetcher::new(access, Box::new(rand::random::<u64>)).map_err(StartError::Machine)?;
            let enricher =
                Enricher::new(Arc::clone(source), Arc::clone(&store), Arc::new(fetcher), Box::new(rand::random::<u64>));
            let bell = Arc::new(Bell::default());
            let (own, fold, clock) = (Arc::clone(&bell), Arc::clone(&fold_bell), Arc::clone(&clock));
            callers.push(actix_web::rt::spawn(fetch(enricher, clock, own, fold)));
            enricher_bells.push(bell);
        }
        let alarm_bell = Arc::new(Bell::default());
        if let Some(alarms) = &config.alarms {
            let sources = config.sources.keys().cloned().collect();
            let (now, holder) = (clock.now(), rand::random::<i64>());
            let watch = Watch::new(alarms, &bridge_name, Arc::clone(&store), sources, upstream_names, holder, now);
            let watch = watch.map_err(StartError::Machine)?;
            callers.push(actix_web::rt::spawn(keep_watch(watch, Arc::clone(&clock), Arc::clone(&alarm_bell))));
        }
        let retention_bell = Arc::new(Bell::default());
        let retention = retention::run(Arc::clone(&store), Arc::clone(&clock), config.retention, Arc::clone(&retention_bell));
        callers.push(actix_web::rt::spawn(retention));
        let ring_bell = Arc::new(Bell::default());
        callers.extend(ring.map(|ring| actix_web::rt::spawn(ring.run(Arc::clone(&ring_bell)))));
        let index_bell = Arc::new(Bell::default());
        let index = index::run(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&index_bell));
        callers.push(actix_web::rt::spawn(index));
        if let Some((admin, metrics)) = config.admin.zip(recorded) {
            let state = admin::State {
                store: Arc::clone(&store),
                metrics,
                door: Door::new(admin.token, rand::random(), admin.public_url.is_some_and(|url| url.starts_with("https://"))),
                sources: Arc::clone(&config.sources),
                upstreams,
                rules: config.rules.clone(),
                rejudge: Rejudge::new(
                    Arc::clone(&store),
                    Arc::clone(&config.sources),
                    config.server.trusted_proxies.clone(),
                    Arc::clone(&certificates),
                ),
                clock: Arc::clone(&clock),
                public_url: config.server.public_url.clone(),
                bells: sender_bells.iter().chain([&fold_bell]).cloned().collect(),
            };
            let admin_server = admin::serve(&admin.listen, state).map_err(|cause| listen(&admin.listen, cause))?;
            servers.push(admin_server.handle());
            actix_web::rt::spawn(admin_server);
        }
        let pipeline = Pipeline::new(Arc::clone(&store), config.sources, config.rules);
        let bells: Vec<_> = sender_bells.iter().chain(&enricher_bells).cloned().collect();
        let fold = Some(fold(pipeline, clock, Arc::clone(&fold_bell), bells)?);
        actix_web::rt::spawn(server);
        Ok(Self {
            addresses,
            store,
            servers,
            fold_bell,
            fold,
            enricher_bells,
            sender_bells,
            upkeep_bells: [retention_bell, index_bell, alarm_bell],
            ring_bell,
            callers,
            _attempts: attempts,
        })
    }

    /// Stops: answers every request that was accepted and waits for deliveries under way, both within one time-out; then ends
    /// the step that is under way and closes the store. What is not done yet is done after the next start.
    pub async fn stop(mut self) {
        for bell in self.sender_bells.iter().chain(&self.enricher_bells).chain(&self.upkeep_bells) {
            bell.close();
        }
        let stopping: Vec<_> = self.servers.iter().map(|server| server.stop(true)).collect();
        for server in stopping.into_iter().map(actix_web::rt::spawn).collect::<Vec<_>>() {
            drop(server.await);
        }
        self.ring_bell.close();
        for caller in self.callers.drain(..) {
            // One that panicked has logged it; what it had under way is done again.
            drop(caller.await);
        }
        self.fold_bell.close();
        if let Some(fold) = self.fold.take() {
            drop(actix_web::rt::task::spawn_blocking(move || fold.join()).await);
        }
        trace::flush().await;
    }
}

/// How much less of a busy processor attempts get than everything else (0 to 19, as `nice` counts).
const NICE: i32 = 10;

impl Attempts {
    fn start() -> Result<Self, StartError> {
        let failed = |error: std::io::Error| StartError::Machine(format!("attempts cannot be made: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (end, ended) = tokio::sync::oneshot::channel();
        let run = move || {
            // Where the processors are short, providers go first, who wait for an answer; upstreams only hear of a sale later. A system
            // that does not allow it lets both go at once.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
            drop(runtime.block_on(ended));
        };
        std::thread::Builder::new().name("forward".to_owned()).spawn(run).map_err(failed)?;
        Ok(Self { handle, _end: end })
    }
}

/// Runs the fold on a thread of its own, because its reads block.
fn fold(
    pipeline: Pipeline,
    clock: Arc<dyn Clock>,
    bell: Arc<Bell>,
    others: Vec<Arc<Bell>>,
) -> Result<JoinHandle<()>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| StartError::Machine(format!("the fold cannot be started: {error}")))?;
    let run = move || {
        runtime.block_on(pipeline.run(&*clock, &bell, |_| others.iter().for_each(|other| other.ring())));
    };
    let thread = std::thread::Builder::new().name("fold".to_owned()).spawn(run);
    thread.map_err(|error| StartError::Machine(format!("the fold cannot be started: {error}")))
}

async fn work(mut sender: Sender, bell: Arc<Bell>, stop_timeout: Duration) {
    while !bell.is_closing() {
        if let Err(error) = sender.step().await {
            tracing::error!(upstream = sender.name(), %error, "the queue cannot be worked; nothing is lost, it is tried again");
            bell.wait(IDLE).await;
            continue;
        }
        tokio::select! {
            () = sender.wait(IDLE) => {}
            () = bell.wait(IDLE) => {}
        }
    }
    if let Err(error) = sender.finish(stop_timeout).await {
        tracing::error!(upstream = sender.name(), %error, "attempts could not be recorded; they are made again after the next start");
    }
}

/// Fetches for one source until the bell is closed. What is under way then is not waited for: it is fetched again.
async fn fetch(enricher: Enricher, clock: Arc<dyn Clock>, bell: Arc<Bell>, fold: Arc<Bell>) {
    while !bell.is_closing() {
        let step = tokio::select! {
            step = enricher.step(&*clock) => step,
            () = bell.closed() => return,
        };
        match step {
            Ok(step) if step.ready > 0 => fold.ring(),
            Ok(step) if step.tried > 0 => {}
            Ok(_) => bell.wait(enricher.time_to_next(clock.now(), IDLE).await).await,
            Err(error) => {
                tracing::error!(source = enricher.name(), %error, "nothing can be fetched; nothing is lost, it is tried again");
                bell.wait(IDLE).await;
            }
        }
    }
}

/// Looks after alarms until the bell is closed.
async fn keep_watch(mut watch: Watch, clock: Arc<dyn Clock>, bell: Arc<Bell>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(alarm::INTERVAL) => {}
            () = bell.closed() => break,
        }
        tokio::select! {
            looked = watch.step(clock.now()) => if let Err(error) = looked {
                tracing::error!(%error, "alarms cannot be judged; the next look tries again");
            },
            () = bell.closed() => break,
        }
    }
    if let Err(error) = watch.end().await {
        tracing::debug!(%error, "the watch could not be handed over; its lease runs out");
    }
}
