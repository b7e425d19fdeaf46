//! The story between the inbox and the queues: a batch of requests is mapped, attributed and stored, exactly once.
//!
//! A step may die at any point: what it settles is one transaction, and the next step starts where the last one ended.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::attribute::{EventOutcome, Ledger, Rules, Wanted};
use crate::domain::{CLOCK_NOISE, Clock, Event, LatestSeen, Meaning, Reason, RequestId, Timestamp};
use crate::map::RequestView;
use crate::pack::Source;
use crate::store::{Error, Fetching, Fold, Store, StoredRequest};
use crate::trace::{self, Span, Stage};

/// So many requests are settled in one transaction.
const BATCH_LIMIT: usize = 256;
/// And so many where several processes share a store: each name of theirs is a lock until the transaction ends, of which a database has
/// some thousands.
const SHARED_BATCH_LIMIT: usize = 96;
/// So many batches are settled before the clock is read anew and the senders are rung.
const BATCHES_LIMIT: usize = 32;
/// Why a request that cannot even be mapped is parked.
const OURS: &str = "salebridge itself failed over this request; the log has the message, please report it";
/// The inbox is looked at at least so often, even if nobody rings.
const IDLE: Duration = Duration::from_secs(1);
/// After a small batch so long is waited for more: nobody waits for the fold, and a commit costs much the same for one webhook as for ten.
const GATHER: Duration = Duration::from_millis(10);
/// While requests wait for one another to be stored, the fold leaves the machine to them, until the first has waited for so long to be
/// settled: whoever sends a burst waits for answers, nobody for the fold.
const STAND_BACK: Duration = Duration::from_secs(30);
/// So often it looks whether it may go on.
const STAND_BACK_LOOK: Duration = Duration::from_millis(10);

/// The fold over the inbox.
pub struct Pipeline {
    store: Arc<dyn Store>,
    sources: Arc<HashMap<String, Arc<Source>>>,
    rules: Arc<Rules>,
    batch_limit: usize,
}

/// Requests that were read and mapped, but not settled.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    requests: Vec<RequestId>,
    received: Vec<Timestamp>,
}

/// What became of the events of a fold, for whoever counts them once it is written.
#[derive(Clone, Default)]
struct Outcomes(Arc<Mutex<Vec<Settled>>>);

/// The source of an event, and what became of it.
type Settled = (Arc<str>, EventOutcome);

/// What one step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// Requests that were settled.
    pub settled: usize,
    /// Events that were settled once all was fetched for them.
    pub enriched: usize,
    /// Sales that were let go or parked because their waiting was over.
    pub expired: usize,
}

/// Rung when there is something to do, and when it is time to end.
#[derive(Debug, Default)]
pub struct Bell {
    notify: Notify,
    is_closing: std::sync::atomic::AtomicBool,
}

impl Bell {
    /// There is something to do.
    pub fn ring(&self) {
        self.notify.notify_one();
    }

    /// It is time to end.
    pub fn close(&self) {
        self.is_closing.store(true, std::sync::atomic::Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// Whether it is time to end.
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Waits until it is time to end, through any ring.
    pub async fn closed(&self) {
        while !self.is_closing() {
            self.notify.notified().await;
        }
    }

    /// Waits for a ring, at most for `limit`.
    pub async fn wait(&self, limit: Duration) {
        // A time-out is as good as a ring.
        drop(tokio::time::timeout(limit, self.notify.notified()).await);
    }
}

impl Pipeline {
    /// A pipeline over this store, for these sources.
    pub fn new(store: Arc<dyn Store>, sources: Arc<HashMap<String, Arc<Source>>>, rules: Rules) -> Self {
        let batch_limit = if store.is_shared() { SHARED_BATCH_LIMIT } else { BATCH_LIMIT };
        Self { store, sources, rules: Arc::new(rules), batch_limit }
    }

    /// Settles what is in the inbox, up to a bound, and every sale whose waiting is over.
    ///
    /// # Errors
    /// The store's; nothing is lost, the same step can be made again.
    pub async fn step(&self, now: Timestamp) -> Result<Step, Error> {
        let mut settled = 0;
        let mut batch = self.read(0)?;
        for later in (0..BATCHES_LIMIT).rev() {
            let requests = batch.requests.len();
            let Some(last) = batch.requests.last().copied() else { break };
            // While the one batch is being written, the next one is read and mapped.
            let read = async { if later > 0 { self.read(last) } else { Ok(Batch::default()) } };
            let (written, next) = tokio::join!(self.settle(batch, now), read);
            written?;
            settled += requests;
            batch = next?;
        }
        // What stands in the way of the one must not hold up the other.
        let fetched = self.settle_fetched(now).await;
        let mut expired = 0;
        loop {
            let rules = Arc::clone(&self.rules);
            let fold = Box::new(move |ledger: &mut Ledger| ledger.expire(&rules, now));
            match self.store.expire(now, self.batch_limit, fold).await? {
                0 => break,
                count => expired += count,
            }
        }
        metrics::counter!("salebridge_sales_expired_total").increment(u64::try_from(expired).unwrap_or(u64::MAX));
        Ok(Step { settled, enriched: fetched?, expired })
    }

    /// Steps until the bell is closed: at once while there is work, else when it rings or a sale's waiting is over.
    /// `after` is called after each step that did something. It ends between two steps as well once another pipeline `is_next`.
    pub async fn run(&self, clock: &dyn Clock, bell: &Bell, after: impl Fn(Step), is_next: impl Fn() -> bool) {
        let mut seen = LatestSeen::default();
        while !bell.is_closing() && !is_next() {
            let now = seen.sees(clock.now());
            self.mind_the_clock(&mut seen, now).await;
            if self.stands_back(now) {
                tokio::time::sleep(STAND_BACK_LOOK).await;
                continue;
            }
            match self.step(now).await {
                Ok(step) if step == Step::default() => bell.wait(self.time_to_expiry(clock.now())).await,
                Ok(step) => {
                    after(step);
                    if step.settled < self.batch_limit / 2 {
                        tokio::time::sleep(GATHER).await;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the inbox cannot be settled; nothing is lost, it is tried again");
                    bell.wait(IDLE).await;
                }
            }
        }
    }

    /// Where the clock was set back, nothing waits for the time that it showed before. What the store cannot be told now, it is told next.
    async fn mind_the_clock(&self, seen: &mut LatestSeen, now: Timestamp) {
        let Some(by) = seen.set_back_by(now) else { return };
        match self.store.set_back(now).await {
            Ok(()) => {
                tracing::warn!(?by, "the clock was set back; what waits is brought nearer");
                seen.believes(now);
            }
            Err(error) => tracing::error!(%error, ?by, "the clock was set back; what waits could not be brought nearer yet"),
        }
    }

    /// Whether what is not settled yet can wait while requests are stored.
    fn stands_back(&self, now: Timestamp) -> bool {
        self.store.is_pressed() && self.store.unsettled_since().is_ok_and(|since| may_wait(since, now))
    }

    fn time_to_expiry(&self, now: Timestamp) -> Duration {
        let next = self.store.next_expiry().ok().flatten();
        next.and_then(|next| Duration::try_from(next.duration_since(now)).ok()).map_or(IDLE, |left| left.min(IDLE))
    }

    /// The next batch after this request, mapped.
    fn read(&self, after: RequestId) -> Result<Batch, Error> {
        let requests = self.store.unsettled(after, self.batch_limit)?;
        let events = requests.iter().flat_map(|stored| self.map(stored)).collect();
        let received = requests.iter().map(|stored| stored.request.received_at).collect();
        Ok(Batch { events, requests: requests.iter().map(|stored| stored.id).collect(), received })
    }

    fn map(&self, stored: &StoredRequest) -> Vec<Event> {
        let Some(source) = self.sources.get(&stored.request.source) else { return vec![without_source(stored)] };
        let view = RequestView { id: stored.id, request: &stored.request, answers: &[] };
        // A fault of ours in one request must not stand in the way of all that come after it.
        catch_unwind(AssertUnwindSafe(|| source.mapping.map(view)))
            .unwrap_or_else(|_| vec![parked(stored, "mapping_failed", OURS)])
    }

    /// Settles events for which all was fetched, up to a bound.
    async fn settle_fetched(&self, now: Timestamp) -> Result<usize, Error> {
        let ready = self.store.fetched(self.batch_limit)?;
        if ready.is_empty() {
            return Ok(0);
        }
        let mut events = Vec::new();
        for fetching in &ready {
            events.push(self.map_one(fetching));
        }
        let places: Vec<_> = ready.iter().map(|fetching| (fetching.request.id, fetching.position)).collect();
        let count = places.len();
        let wanted = Wanted::by(&events);
        let (started, outcomes) = (Instant::now(), Outcomes::default());
        self.store.settle_fetched(wanted, places, now, self.fold(events, now, &outcomes)).await?;
        outcomes.count();
        for Fetching { request, .. } in &ready {
            trace_settled(request.id, request.request.received_at, now, started.elapsed(), count);
        }
        Ok(count)
    }

    /// The event for which all was fetched. What befalls the whole request (its source is gone) befalls it as well.
    fn map_one(&self, fetching: &Fetching) -> Event {
        let (stored, position) = (&fetching.request, fetching.position);
        let Some(source) = self.sources.get(&stored.request.source) else {
            return Event { position, ..without_source(stored) };
        };
        let view = RequestView { id: stored.id, request: &stored.request, answers: &fetching.answers };
        let mapped = catch_unwind(AssertUnwindSafe(|| source.mapping.map_one(view, position))).ok().flatten();
        mapped.unwrap_or_else(|| Event { position, ..parked(stored, "mapping_failed", OURS) })
    }

    async fn settle(&self, batch: Batch, now: Timestamp) -> Result<(), Error> {
        let started = Instant::now();
        let (wanted, outcomes) = (Wanted::by(&batch.events), Outcomes::default());
        let count = batch.requests.len();
        let requests = batch.requests.clone();
        self.store.settle(wanted, batch.requests, now, self.fold(batch.events, now, &outcomes)).await?;
        outcomes.count();
        metrics::histogram!("salebridge_fold_size").record(u32::try_from(count).unwrap_or(u32::MAX));
        metrics::histogram!("salebridge_fold_seconds").record(started.elapsed());
        let lag = metrics::histogram!("salebridge_settle_lag_seconds");
        for (request, received_at) in requests.into_iter().zip(batch.received) {
            let took = started.elapsed();
            lag.record((now + took).duration_since(received_at).as_secs_f64().max(0.0));
            trace_settled(request, received_at, now, took, count);
        }
        Ok(())
    }

    /// Applies the events. It may be called again where the transaction has to be repeated, so the last time is the one that counts.
    fn fold(&self, events: Vec<Event>, now: Timestamp, outcomes: &Outcomes) -> Fold {
        let (rules, outcomes) = (Arc::clone(&self.rules), outcomes.clone());
        Box::new(move |ledger| {
            events.iter().for_each(|event| ledger.apply(event, &rules, now));
            outcomes.take(ledger);
        })
    }
}

impl Outcomes {
    fn take(&self, ledger: &Ledger) {
        let found = ledger.events().iter().map(|event| (Arc::clone(&event.source), event.outcome));
        *self.0.lock().expect("nobody panics while they copy names") = found.collect();
    }

    fn count(&self) {
        let mut counts: HashMap<(Arc<str>, &str), u64> = HashMap::new();
        for (source, outcome) in self.0.lock().expect("nobody panics while they copy names").drain(..) {
            *counts.entry((source, outcome.as_str())).or_default() += 1;
        }
        for ((source, outcome), count) in counts {
            metrics::counter!("salebridge_events_total", "source" => source, "outcome" => outcome).increment(count);
        }
    }
}

/// Whether there is something to settle, and none of it has waited for long.
fn may_wait(since: Option<Timestamp>, now: Timestamp) -> bool {
    // What seems to be of later was received by a clock that was set back since.
    since.is_some_and(|since| now < since + STAND_BACK && since < now + CLOCK_NOISE)
}

fn trace_settled(request: RequestId, received_at: Timestamp, began_at: Timestamp, took: Duration, batch: usize) {
    trace::note(request, received_at, || {
        let batch = i64::try_from(batch).unwrap_or(i64::MAX);
        let attributes = vec![("request.id", request.into()), ("batch.size", batch.into())];
        // A clock that is read once for several batches may be behind what came meanwhile.
        vec![Span { stage: Stage::Settle, began_at: began_at.max(received_at), took, attributes, is_failed: false }]
    });
}

/// A request of a source that was taken out of the configuration.
fn without_source(stored: &StoredRequest) -> Event {
    let why = format!("the configuration has no source named {} any more", stored.request.source);
    parked(stored, "source_unknown", &why)
}

fn parked(stored: &StoredRequest, code: &str, why: &str) -> Event {
    let account = stored.request.source.as_str().into();
    Event::unread(stored.id, &stored.request, account, Meaning::Parked(Reason::new(code, why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_first_is_not_put_off_for_longer_than_half_a_minute() {
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        let since = |secs: u64| Some(now - Duration::from_secs(secs));
        assert!(may_wait(since(0), now) && may_wait(since(29), now));
        assert!(!may_wait(since(30), now) && !may_wait(since(3600), now));
        assert!(!may_wait(Some(now + Duration::from_secs(60)), now), "the clock was set back");
        assert!(!may_wait(None, now), "sales whose waiting is over are let go meanwhile");
    }
}
