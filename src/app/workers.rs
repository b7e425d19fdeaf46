//! What works beside the requests and the fold: senders, enrichers, the watch over alarms, retention, the index of sales, what is learned
//! of requests, the ring of refused requests, the look at the certificate. Each is a task with a bell. When the configuration is read anew,
//! only those go that it changes; the successor begins when the one before it has recorded what it had under way.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::task::JoinHandle;
use tokio::runtime::Handle;

use super::bridge::StartError;
use super::config::Checked;
use super::{index, learn, retention};
use crate::alarm::{self, Watch};
use crate::domain::{Clock, Timestamp};
use crate::enrich::{Enricher, HttpFetcher};
use crate::forward::{Sender, Upstream};
use crate::pipeline::Bell;
use crate::receive::{Certificate, Ring};
use crate::store::Store;

/// A sender looks at its queue at least so often, even if nobody rings.
const IDLE: Duration = Duration::from_secs(1);
/// The files of the certificate are looked at so often.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(60);

/// What every worker works with.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) fold_bell: Arc<Bell>,
    /// When this process began to serve.
    pub(super) since: Timestamp,
    /// A number of this process's own, under which it holds the watch.
    pub(super) holder: i64,
    pub(super) stop_timeout: Duration,
}

/// A task, and the bell that wakes and ends it.
struct Worker {
    bell: Arc<Bell>,
    task: JoinHandle<()>,
}

/// All of them, running.
pub(super) struct Workers {
    tools: Tools,
    senders: BTreeMap<String, (Arc<Upstream>, Worker)>,
    enrichers: BTreeMap<String, Worker>,
    watch: Option<Worker>,
    retention: Option<Worker>,
    ring: Option<Worker>,
    index: Worker,
    learner: Worker,
    certificate: Option<Worker>,
    /// Those that nobody follows, until they have come to their end.
    leaving: Vec<Worker>,
    /// Dropped last: by then nothing is under way.
    forwarding: Forwarding,
}

/// Workers that are made and not yet at work, so that nothing is changed where one of them cannot be made.
pub(super) struct Plan {
    senders: Vec<(Arc<Upstream>, Sender, Arc<Bell>)>,
    enrichers: Vec<(String, Enricher, Arc<Bell>)>,
    watch: Option<Watch>,
}

/// The thread on which senders work and their attempts run: both on one, because a delivery goes to and fro between them.
struct Forwarding {
    handle: Handle,
    /// Dropping it ends the thread.
    _end: tokio::sync::oneshot::Sender<()>,
}

impl Workers {
    /// Only those that no configuration changes.
    pub(super) fn start(tools: Tools, certificate: Option<Arc<Certificate>>) -> Result<Self, StartError> {
        let (store, clock) = (Arc::clone(&tools.store), Arc::clone(&tools.clock));
        let index = Worker::start(Arc::default(), None, |bell| index::run(store, clock, bell));
        let (store, clock) = (Arc::clone(&tools.store), Arc::clone(&tools.clock));
        let learner = Worker::start(Arc::default(), None, |bell| learn::run(store, clock, bell));
        let certificate =
            certificate.map(|certificate| Worker::start(Arc::default(), None, |bell| look_at_certificate(certificate, bell)));
        Ok(Self {
            tools,
            senders: BTreeMap::new(),
            enrichers: BTreeMap::new(),
            watch: None,
            retention: None,
            ring: None,
            index,
            learner,
            certificate,
            leaving: Vec::new(),
            forwarding: Forwarding::start()?,
        })
    }

    /// Makes what a configuration needs that is not at work yet. `old` is the one by which the present ones go.
    ///
    /// # Errors
    /// This machine cannot make a client.
    pub(super) fn plan(&self, old: Option<&Checked>, new: &Checked) -> Result<Plan, String> {
        let Tools { store, clock, since, holder, .. } = &self.tools;
        let mut senders = Vec::new();
        for upstream in &new.upstreams {
            if self.senders.get(&*upstream.name).is_some_and(|(present, _)| present == upstream) {
                continue;
            }
            let random = Box::new(rand::random::<u64>);
            let sender = Sender::new(Arc::clone(upstream), Arc::clone(store), Arc::clone(clock), random)?;
            senders.push((Arc::clone(upstream), sender, Arc::default()));
        }
        let mut enrichers = Vec::new();
        for source in new.sources.values() {
            let is_at_work = self.enrichers.contains_key(&*source.name) && old.is_some_and(|old| is_same(old, new, &source.name));
            let Some(access) = source.api.clone().filter(|_| !is_at_work) else { continue };
            let fetcher = Arc::new(HttpFetcher::new(access, Box::new(rand::random::<u64>))?);
            let enricher = Enricher::new(Arc::clone(source), Arc::clone(store), fetcher, Box::new(rand::random::<u64>));
            enrichers.push((source.name.to_string(), enricher, Arc::default()));
        }
        let is_watched = old.is_some_and(|old| watched(old) == watched(new));
        let watch = new.alarms.as_ref().filter(|_| !is_watched).map(|alarms| {
            let (_, bridge, sources, upstreams) = watched(new);
            Watch::new(alarms, bridge, Arc::clone(store), sources, upstreams, *holder, *since)
        });
        Ok(Plan { senders, enrichers, watch: watch.transpose()? })
    }

    /// The bells that have to be rung after something was settled, once the plan is at work: of senders and enrichers, and of the
    /// senders alone.
    pub(super) fn bells(&self, plan: &Plan, new: &Checked) -> (Vec<Arc<Bell>>, Vec<Arc<Bell>>) {
        let is_new = |name: &str| plan.senders.iter().any(|(upstream, _, _)| *upstream.name == *name);
        let present = self
            .senders
            .values()
            .filter(|(upstream, _)| new.upstreams.iter().any(|kept| kept.name == upstream.name) && !is_new(&upstream.name));
        let senders = present.map(|(_, worker)| &worker.bell).chain(plan.senders.iter().map(|(_, _, bell)| bell));
        let senders: Vec<_> = senders.cloned().collect();
        let fetching = |name: &str| new.sources.get(name).is_some_and(|source| source.api.is_some());
        let is_new = |name: &str| plan.enrichers.iter().any(|(planned, _, _)| planned == name);
        let present = self.enrichers.iter().filter(|(name, _)| fetching(name) && !is_new(name)).map(|(_, worker)| &worker.bell);
        let enrichers = present.chain(plan.enrichers.iter().map(|(_, _, bell)| bell)).cloned();
        (senders.iter().cloned().chain(enrichers).collect(), senders)
    }

    /// Sets the plan to work in place of those that it follows, and lets those go that nothing is configured for any more.
    pub(super) fn follow(&mut self, plan: Plan, old: Option<&Checked>, new: &Checked, ring: Option<Ring>) {
        self.leaving.retain(|worker| !worker.task.is_finished());
        let Tools { store, clock, fold_bell, stop_timeout, .. } = self.tools.clone();
        let is_kept = |name: &str| new.upstreams.iter().any(|upstream| *upstream.name == *name);
        let gone: Vec<String> = self.senders.keys().filter(|name| !is_kept(name)).cloned().collect();
        self.leaving.extend(gone.iter().filter_map(|name| self.senders.remove(name)).map(|(_, worker)| worker.closed()));
        for (upstream, sender, bell) in plan.senders {
            let name = upstream.name.to_string();
            let before = self.senders.remove(&name).map(|(_, worker)| worker);
            let (store, clock) = (Arc::clone(&store), Arc::clone(&clock));
            let worker =
                Worker::start_on(&self.forwarding.handle, bell, before, |bell| work(sender, store, clock, bell, stop_timeout));
            self.senders.insert(name, (upstream, worker));
        }
        let fetches = |name: &str| new.sources.get(name).is_some_and(|source| source.api.is_some());
        let gone: Vec<String> = self.enrichers.keys().filter(|name| !fetches(name)).cloned().collect();
        self.leaving.extend(gone.iter().filter_map(|name| self.enrichers.remove(name)).map(Worker::closed));
        for (name, enricher, bell) in plan.enrichers {
            let before = self.enrichers.remove(&name);
            let (clock, fold_bell) = (Arc::clone(&clock), Arc::clone(&fold_bell));
            self.enrichers.insert(name, Worker::start(bell, before, |bell| fetch(enricher, clock, bell, fold_bell)));
        }
        if plan.watch.is_some() || new.alarms.is_none() {
            let before = self.watch.take();
            match plan.watch {
                Some(watch) => {
                    let clock = Arc::clone(&clock);
                    self.watch = Some(Worker::start(Arc::default(), before, |bell| keep_watch(watch, clock, bell)));
                }
                None => self.leaving.extend(before.map(Worker::closed)),
            }
        }
        if old.is_none_or(|old| old.retention != new.retention) {
            let (before, config) = (self.retention.take(), new.retention.clone());
            let run = |bell| retention::run(store, clock, config, bell);
            self.retention = Some(Worker::start(Arc::default(), before, run));
        }
        // The one before it ends by itself, once the last request that may be refused into it is answered.
        self.leaving.extend(self.ring.take());
        self.ring = ring.map(|ring| Worker::start(Arc::default(), None, |bell| ring.run(bell)));
    }

    /// Tells all but the ring to end, which waits for the door to be closed.
    pub(super) fn close(&self) {
        let senders = self.senders.values().map(|(_, worker)| worker);
        let others = [&self.watch, &self.retention, &self.certificate].into_iter().flatten();
        senders
            .chain(self.enrichers.values())
            .chain(others)
            .chain([&self.index, &self.learner])
            .for_each(|worker| worker.bell.close());
    }

    /// Waits until all have come to their end.
    pub(super) async fn end(self) {
        let senders = self.senders.into_values().map(|(_, worker)| worker);
        let others = [self.watch, self.retention, self.certificate, self.ring].into_iter().flatten();
        let all = senders.chain(self.enrichers.into_values()).chain(others).chain(self.leaving).chain([self.index, self.learner]);
        for worker in all.map(Worker::closed).collect::<Vec<_>>() {
            // One that panicked has logged it; what it had under way is done again.
            drop(worker.task.await);
        }
    }
}

/// By what alarms are judged and told.
fn watched(config: &Checked) -> (Option<&alarm::Config>, &str, Vec<String>, Vec<String>) {
    let mut sources: Vec<String> = config.sources.keys().cloned().collect();
    sources.sort();
    let upstreams = config.upstreams.iter().map(|upstream| upstream.name.to_string()).collect();
    (config.alarms.as_ref(), config.bridge_name(), sources, upstreams)
}

/// Whether a source says the same in both, by the same pack.
pub(super) fn is_same(old: &Checked, new: &Checked, source: &str) -> bool {
    let packs = [old, new].map(|config| config.sources.get(source).map(|source| &source.pack.folder));
    packs[0] == packs[1] && old.written.is_same(&new.written, &format!("sources.{source}"))
}

impl Worker {
    /// A task that begins when the one before it, which is told to end, has ended.
    fn start<F: Future<Output = ()> + 'static>(bell: Arc<Bell>, before: Option<Self>, run: impl FnOnce(Arc<Bell>) -> F) -> Self {
        let task = actix_web::rt::spawn(Self::after(before, run(Arc::clone(&bell))));
        Self { bell, task }
    }

    /// The same on another thread.
    fn start_on<F: Future<Output = ()> + Send + 'static>(
        place: &Handle,
        bell: Arc<Bell>,
        before: Option<Self>,
        run: impl FnOnce(Arc<Bell>) -> F,
    ) -> Self {
        let task = place.spawn(Self::after(before, run(Arc::clone(&bell))));
        Self { bell, task }
    }

    fn after<F: Future<Output = ()>>(before: Option<Self>, run: F) -> impl Future<Output = ()> + use<F> {
        let before = before.map(Self::closed);
        async move {
            if let Some(before) = before {
                drop(before.task.await);
            }
            run.await;
        }
    }

    /// The same, told to end.
    fn closed(self) -> Self {
        self.bell.close();
        self
    }
}

impl Forwarding {
    fn start() -> Result<Self, StartError> {
        let failed = |error: std::io::Error| StartError::Machine(format!("nothing can be forwarded: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (end, ended) = tokio::sync::oneshot::channel();
        let run = move || drop(runtime.block_on(ended));
        std::thread::Builder::new().name("forward".to_owned()).spawn(run).map_err(failed)?;
        Ok(Self { handle, _end: end })
    }
}

async fn work(mut sender: Sender, store: Arc<dyn Store>, clock: Arc<dyn Clock>, bell: Arc<Bell>, stop_timeout: Duration) {
    // A pause is the finding of the one before; a new start, or a new configuration, may have mended it.
    if let Err(error) = store.set_paused(sender.name(), None, clock.now()).await {
        tracing::warn!(upstream = sender.name(), %error, "a pause from before could not be taken back; it is shown until the next answer");
    }
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
    let count = sender.under_way();
    if count > 0 {
        tracing::warn!(
            upstream = sender.name(),
            count,
            "attempts were not answered in time; each is noted as of unknown outcome"
        );
    }
}

/// Fetches for one source until the bell is closed. What is under way then is not waited for: it is fetched again.
async fn fetch(mut enricher: Enricher, clock: Arc<dyn Clock>, bell: Arc<Bell>, fold: Arc<Bell>) {
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

/// Looks whether another certificate stands in the files, until the bell is closed.
async fn look_at_certificate(certificate: Arc<Certificate>, bell: Arc<Bell>) {
    let mut told = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(CERTIFICATE_INTERVAL) => {}
            () = bell.closed() => return,
        }
        let own = Arc::clone(&certificate);
        let looked = actix_web::rt::task::spawn_blocking(move || own.refresh()).await;
        let fault = match looked {
            Ok(Ok(false)) => None,
            Ok(Ok(true)) => {
                tracing::info!("another certificate stands in the files; new connections are shown it");
                None
            }
            Ok(Err(cause)) => Some(cause),
            Err(_) => Some("reading it panicked; its own message is in the log above".to_owned()),
        };
        if let Some(cause) = fault.as_ref().filter(|_| fault != told) {
            tracing::error!(%cause, "the certificate in the files cannot be used; the one before it is kept");
        }
        told = fault;
    }
}
