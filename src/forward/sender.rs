//! Works through the queue of one upstream: claims what is due, sends it, records what came of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::limiter::Limiter;
use super::schedule::Schedule;
use super::upstream::Upstream;
use crate::domain::{AttemptOutcome, Clock, DeliveryState, Timestamp};
use crate::outbound::{Answer, Client};
use crate::store::{Attempt, Claimed, Error, Store};

/// So much of an answer is kept.
const KEPT_ANSWER_CHARS: usize = 2_000;
/// Longer than any attempt takes; a lease that runs out belongs to a process that died.
const LEASE_MARGIN: Duration = Duration::from_secs(60);

/// Works through the queue of one upstream.
pub struct Sender {
    upstream: Arc<Upstream>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Box<dyn FnMut() -> u64 + Send>,
    schedule: Schedule,
    client: Client,
    limiter: Limiter,
    pause: Option<Pause>,
    in_flight: JoinSet<Tried>,
    over: Vec<Tried>,
    judged: Vec<Attempt>,
}

/// Why, and until when, the queue stands still.
#[derive(Debug)]
struct Pause {
    until: Timestamp,
}

/// An attempt that is over.
struct Tried {
    claimed: Claimed,
    started_at: Timestamp,
    request: String,
    result: Result<Answer, Failed>,
}

enum Failed {
    /// The sale cannot be written in the upstream's form.
    Unrenderable(String),
    /// No answer came: perhaps the upstream has the sale, perhaps not.
    Unanswered(String),
}

impl Sender {
    /// A sender for this upstream. `random` spreads retries.
    ///
    /// # Errors
    /// The client cannot be made (no certificates on this machine).
    pub fn new(
        upstream: Arc<Upstream>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        random: Box<dyn FnMut() -> u64 + Send>,
    ) -> Result<Self, String> {
        let client =
            Client::new(upstream.limits()).map_err(|cause| format!("{}: no client can be made: {cause}", upstream.name))?;
        let limiter = Limiter::new(upstream.requests_per_minute, clock.now());
        let in_flight = JoinSet::new();
        Ok(Self {
            upstream,
            store,
            clock,
            random,
            schedule: Schedule::default(),
            client,
            limiter,
            pause: None,
            in_flight,
            over: Vec::new(),
            judged: Vec::new(),
        })
    }

    /// The upstream's name.
    pub fn name(&self) -> &str {
        &self.upstream.name
    }

    /// Records what is over and begins what may be begun, without waiting for either. Answers with how many were begun.
    ///
    /// # Errors
    /// The store's; what was tried but not recorded is recorded with the next step.
    pub async fn step(&mut self) -> Result<usize, Error> {
        while let Some(Ok(attempt)) = self.in_flight.try_join_next() {
            self.over.push(attempt);
        }
        self.record().await?;
        self.begin().await
    }

    /// Waits until an attempt is over, something may be due, or `limit` has passed. May be cancelled at any point.
    pub async fn wait(&mut self, limit: Duration) {
        let limit = self.time_to_next(limit).await.unwrap_or(limit);
        if self.in_flight.is_empty() {
            tokio::time::sleep(limit).await;
        } else if let Ok(Some(Ok(attempt))) = tokio::time::timeout(limit, self.in_flight.join_next()).await {
            self.over.push(attempt);
        }
    }

    /// Ends: waits for the attempts that are under way, at most for `limit`, and records them.
    ///
    /// # Errors
    /// The store's.
    pub async fn finish(&mut self, limit: Duration) -> Result<(), Error> {
        let deadline = tokio::time::Instant::now() + limit;
        while let Ok(Some(Ok(attempt))) = tokio::time::timeout_at(deadline, self.in_flight.join_next()).await {
            self.over.push(attempt);
        }
        self.record().await
    }

    async fn begin(&mut self) -> Result<usize, Error> {
        let now = self.clock.now();
        if self.pause.is_some() && !self.store.is_paused(&self.upstream.name).await? {
            self.pause = None; // a person resumed the queue by hand
        }
        let count = self.limiter.available(now).min(self.free_slots(now));
        if count == 0 {
            return Ok(0);
        }
        let lease = Duration::from_secs(self.upstream.template.limits.timeout_secs) + LEASE_MARGIN;
        let claimed = self.store.claim(&self.upstream.name, now, now + lease, count).await?;
        self.limiter.take(claimed.len(), now);
        let begun = claimed.len();
        for claimed in claimed {
            let (upstream, client) = (Arc::clone(&self.upstream), self.client.clone());
            self.in_flight.spawn(attempt(upstream, client, claimed, now));
        }
        Ok(begun)
    }

    /// How many more attempts may be under way at once.
    fn free_slots(&self, now: Timestamp) -> usize {
        match &self.pause {
            Some(pause) if now < pause.until => 0,
            Some(_) => usize::from(self.in_flight.is_empty()),
            None => self.upstream.template.limits.max_in_flight.saturating_sub(self.in_flight.len()),
        }
    }

    async fn record(&mut self) -> Result<(), Error> {
        let now = self.clock.now();
        for tried in std::mem::take(&mut self.over) {
            let attempt = self.judge(tried, now);
            log(&self.upstream.name, &attempt);
            self.judged.push(attempt);
        }
        if self.judged.is_empty() {
            return Ok(());
        }
        // What cannot be recorded now is recorded with the next step: an answer is never forgotten.
        self.store.record(self.judged.clone()).await?;
        let mut refusal = None;
        let mut is_answered = false;
        for attempt in self.judged.drain(..) {
            match attempt.outcome {
                AttemptOutcome::Paused => refusal = Some(attempt.reason),
                AttemptOutcome::Delivered
                | AttemptOutcome::Duplicate
                | AttemptOutcome::Unattributed
                | AttemptOutcome::Rejected => {
                    is_answered = true;
                }
                AttemptOutcome::Retry | AttemptOutcome::RetryLimited => {}
            }
        }
        match refusal {
            Some(reason) => {
                if self.pause.is_none() {
                    tracing::error!(upstream = %self.upstream.name, reason, "the upstream is paused: its queue stands still, nothing is lost");
                }
                // Stored first: a pause that the store does not know is one that a person has ended.
                self.store.set_paused(&self.upstream.name, Some(reason), now).await?;
                self.pause = Some(Pause { until: now + self.schedule.pause });
            }
            None if is_answered && self.pause.is_some() => {
                self.store.set_paused(&self.upstream.name, None, now).await?;
                self.pause = None;
                tracing::info!(upstream = %self.upstream.name, "the upstream answers again; its queue moves on");
            }
            None => {}
        }
        Ok(())
    }

    fn judge(&mut self, tried: Tried, now: Timestamp) -> Attempt {
        let (outcome, status, advice, asked, answer) = match tried.result {
            Ok(answer) => {
                let judgement = self.upstream.template.judge(&answer);
                let asked = self.schedule.asked(answer.retry_after.as_deref(), now);
                (judgement.outcome, Some(answer.status), judgement.advice, asked, answer.body)
            }
            Err(Failed::Unrenderable(why)) => (AttemptOutcome::Rejected, None, why, None, String::new()),
            Err(Failed::Unanswered(why)) => {
                let advice = format!(
                    "no answer ({why}); it may or may not have been accepted, so it is sent again with the same invoiceId"
                );
                (AttemptOutcome::Retry, None, advice, None, String::new())
            }
        };
        if let (AttemptOutcome::Retry, Some(asked)) = (outcome, asked) {
            self.limiter.hold(now + asked);
        }
        let attempts = tried.claimed.attempts + 1;
        let tried_since = tried.claimed.tried_since.unwrap_or(tried.started_at);
        let next = self.schedule.next(outcome, attempts, tried_since, now, asked, (self.random)());
        Attempt {
            delivery: tried.claimed.id,
            started_at: tried.started_at,
            finished_at: now,
            outcome,
            status,
            reason: advice,
            request: tried.request,
            answer: self.redact(&answer),
            state: next.state,
            due_at: next.due_at,
            counts: next.counts,
        }
    }

    /// The start of an answer, without the token that a careless upstream repeats.
    fn redact(&self, answer: &str) -> String {
        let clean = answer.replace(self.upstream.token.expose(), "[redacted]");
        clean.chars().take(KEPT_ANSWER_CHARS).collect()
    }

    async fn time_to_next(&self, limit: Duration) -> Result<Duration, Error> {
        let now = self.clock.now();
        if self.free_slots(now) == 0 && !self.in_flight.is_empty() {
            return Ok(limit); // nothing can begin before something is over, which wakes us
        }
        let Some(due) = self.store.next_due(&self.upstream.name).await? else { return Ok(limit) };
        let held = self.pause.as_ref().map_or(due, |pause| pause.until.max(due));
        let next = held.max(self.limiter.next_at());
        Ok(Duration::try_from(next.duration_since(now)).unwrap_or(Duration::ZERO).clamp(Duration::from_millis(1), limit))
    }
}

async fn attempt(upstream: Arc<Upstream>, client: Client, claimed: Claimed, started_at: Timestamp) -> Tried {
    match upstream.render(&claimed.sale.to_event(), started_at) {
        Ok(body) => {
            let request = format!("POST {}\n\n{body}", upstream.url);
            let result = client.ask(upstream.request(body)).await.map_err(Failed::Unanswered);
            Tried { claimed, started_at, request, result }
        }
        Err(error) => Tried { claimed, started_at, request: String::new(), result: Err(Failed::Unrenderable(error.to_string())) },
    }
}

fn log(upstream: &str, attempt: &Attempt) {
    metrics::counter!("salebridge_attempts_total", "upstream" => upstream.to_owned(), "outcome" => attempt.outcome.as_str())
        .increment(1);
    let (delivery, outcome, status) = (attempt.delivery, attempt.outcome.as_str(), attempt.status.unwrap_or(0));
    match attempt.state {
        DeliveryState::Dead => {
            tracing::error!(delivery.id = delivery, upstream, outcome, status, reason = %attempt.reason, "a dead letter: a person must look");
        }
        DeliveryState::Delivered | DeliveryState::Duplicate | DeliveryState::Unattributed => {
            tracing::info!(delivery.id = delivery, upstream, outcome, status, "a sale was accepted");
        }
        DeliveryState::Due
        | DeliveryState::Sending
        | DeliveryState::Held
        | DeliveryState::Skipped
        | DeliveryState::Merged
        | DeliveryState::Withdrawn => {
            tracing::warn!(delivery.id = delivery, upstream, outcome, status, reason = %attempt.reason, "an attempt failed; it is tried again");
        }
    }
}
