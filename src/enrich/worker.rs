//! Works through what has to be fetched for one source.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;

use super::fetcher::{Failure, Fetcher};
use crate::domain::{Answer, Clock, Fetch, LatestSeen, Meaning, Timestamp};
use crate::map::RequestView;
use crate::outbound::jittered;
use crate::pack::Source;
use crate::store::{Error, FetchOutcome, Fetched, Fetching, LONGEST_FETCH_DELAY, Store};
use crate::trace::{self, Span, Stage};

/// So many fetches are under way at once.
const AT_ONCE: usize = 8;
/// So many are taken up in one step.
const STEP_LIMIT: usize = 64;
/// After so long, what cannot be had is taken for gone.
const GIVE_UP_AFTER: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// What the API says is not there is asked for so often: it may only be late.
const LIMITED_ATTEMPTS: u32 = 8;
/// The bound of the first delay, which doubles with each try.
const FIRST_DELAY: Duration = Duration::from_secs(4);

/// Works through what has to be fetched for one source, so that a slow API delays no other source.
pub struct Enricher {
    source: Arc<Source>,
    store: Arc<dyn Store>,
    fetcher: Arc<dyn Fetcher>,
    random: Box<dyn Fn() -> u64 + Send + Sync>,
    seen: LatestSeen,
}

/// What one step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// Events that were looked at.
    pub tried: usize,
    /// Events for which all was fetched.
    pub ready: usize,
}

impl Enricher {
    /// A worker for this source. `random` spreads retries.
    pub fn new(
        source: Arc<Source>,
        store: Arc<dyn Store>,
        fetcher: Arc<dyn Fetcher>,
        random: Box<dyn Fn() -> u64 + Send + Sync>,
    ) -> Self {
        Self { source, store, fetcher, random, seen: LatestSeen::default() }
    }

    /// The source's name.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// Fetches what is due, and records what came of it. What is tried but not recorded is fetched again.
    ///
    /// # Errors
    /// The store's.
    pub async fn step(&mut self, clock: &dyn Clock) -> Result<Step, Error> {
        let now = self.seen.sees(clock.now());
        if self.seen.set_back_by(now).is_some() {
            // What was recorded since the fold told the store of it may still wait for the time that was shown before.
            self.store.set_back(now).await?;
            self.seen.believes(now);
        }
        let (store, source) = (Arc::clone(&self.store), Arc::clone(&self.source));
        let due = blocking(move || store.due_fetches(&source.name, now, STEP_LIMIT)).await?;
        if due.is_empty() {
            return Ok(Step::default());
        }
        let tries = due.iter().map(|fetching| self.attempt(fetching, clock));
        let fetched: Vec<Fetched> = futures_util::stream::iter(tries).buffer_unordered(AT_ONCE).collect().await;
        let ready = fetched.iter().filter(|fetched| fetched.outcome == FetchOutcome::Ready).count();
        let step = Step { tried: fetched.len(), ready };
        let now = self.seen.sees(clock.now());
        self.store.record_fetches(fetched, now).await?;
        Ok(step)
    }

    /// How long nothing is due, at most `limit`.
    pub async fn time_to_next(&self, now: Timestamp, limit: Duration) -> Duration {
        let (store, source) = (Arc::clone(&self.store), Arc::clone(&self.source));
        let next = blocking(move || store.next_fetch(&source.name)).await.ok().flatten();
        next.map_or(limit, |next| Duration::try_from(next.duration_since(now)).unwrap_or_default().min(limit))
    }

    async fn attempt(&self, fetching: &Fetching, clock: &dyn Clock) -> Fetched {
        let outcome = match self.lacks(fetching) {
            None => FetchOutcome::Ready,
            Some(fetch) => {
                let (started, began_at) = (Instant::now(), clock.now());
                let result = self.fetcher.fetch(&fetch.path, began_at).await;
                let took = started.elapsed();
                metrics::histogram!("salebridge_fetch_seconds", "source" => self.source.name.to_string()).record(took);
                let (request, is_failed) = (fetching.request.id, result.is_err());
                trace::note(request, fetching.request.request.received_at, || {
                    let attributes = vec![("source", (*self.source.name).into()), ("request.id", request.into())];
                    vec![Span { stage: Stage::Fetch, began_at, took, attributes, is_failed }]
                });
                self.judge(fetching, &fetch, result, clock.now())
            }
        };
        Fetched { request: fetching.request.id, position: fetching.position, outcome }
    }

    /// What has to be fetched next, where something has to.
    fn lacks(&self, fetching: &Fetching) -> Option<Fetch> {
        let (id, request) = (fetching.request.id, &fetching.request.request);
        let view = RequestView { id, request, answers: &fetching.answers };
        // Where even mapping fails, the pipeline parks the event and says so.
        let event = catch_unwind(AssertUnwindSafe(|| self.source.mapping.map_one(view, fetching.position))).ok()??;
        match event.meaning {
            Meaning::Lacking(fetch) => Some(fetch),
            Meaning::Sale(_) | Meaning::Adjustment(_) | Meaning::Ignored(_) | Meaning::Parked(_) => None,
        }
    }

    fn judge(&self, fetching: &Fetching, fetch: &Fetch, result: Result<String, Failure>, now: Timestamp) -> FetchOutcome {
        let (source, request) = (&*self.source.name, fetching.request.id);
        let answer = |result| Answer { position: fetching.position, step: fetch.step, path: fetch.path.clone(), result };
        let attempts = fetching.attempts + 1;
        let count = |outcome: &'static str| {
            metrics::counter!("salebridge_fetches_total", "source" => source.to_owned(), "outcome" => outcome).increment(1);
        };
        let result = result.and_then(|text| {
            let answer = answer(Ok(text));
            self.source.mapping.is_usable(&answer).map(|()| answer).map_err(Failure::Limited)
        });
        let (why, asked, is_over) = match result {
            Ok(answer) => {
                count("fetched");
                tracing::debug!(source, request.id = request, step = fetch.step, "what an event refers to was fetched");
                return FetchOutcome::Answered(answer);
            }
            Err(Failure::Later(why, asked)) => (why, asked, now.duration_since(fetching.since).unsigned_abs() >= GIVE_UP_AFTER),
            Err(Failure::Limited(why)) => (why, None, attempts >= LIMITED_ATTEMPTS),
            Err(Failure::Never(why)) => (why, None, true),
        };
        count(if is_over { "given_up" } else { "retry" });
        if is_over {
            tracing::error!(source, request.id = request, attempts, why, "what an event refers to cannot be fetched");
            return FetchOutcome::Answered(answer(Err(why)));
        }
        tracing::warn!(
            source,
            request.id = request,
            attempts,
            why,
            "what an event refers to could not be fetched; it is tried again"
        );
        let delay = jittered(FIRST_DELAY, LONGEST_FETCH_DELAY, attempts, (self.random)())
            .max(asked.unwrap_or_default().min(LONGEST_FETCH_DELAY));
        FetchOutcome::Later { delay, why: format!("waits to be fetched: {why}") }
    }
}
/// Reads from the store where that stands in nobody's way.
async fn blocking<T: Send + 'static>(read: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(read).await;
    done.unwrap_or_else(|_| Err(Error::Unavailable("a read panicked; its own message is in the log above".to_owned())))
}
