//! Works through the queue of one upstream: claims what is due, sends it, records what came of it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::attempt::{Failed, Tried, attempt};
use super::note::{About, Meters};
use super::schedule::Tries;
use super::upstream::Upstream;
use crate::domain::{AttemptOutcome, Clock, DeliveryId, LatestSeen, Limiter, Timestamp};
use crate::outbound::Client;
use crate::store::{Attempt, Claimed, Claims, Error, Lease, LeaseNumber, Store};

/// So much of an answer is kept.
const KEPT_ANSWER_CHARS: usize = 2_000;
/// Longer than any attempt takes; a lease that runs out belongs to a process that died, or stood still.
const LEASE_MARGIN: Duration = Duration::from_secs(20);
/// An upstream that takes so many has work waiting in memory.
const FAST_PER_MINUTE: u32 = 6_000;
/// So long a commit waits for more to record, while enough is leased.
const LINGER: Duration = Duration::from_millis(20);
/// Steps for a fast upstream are so long apart: a commit costs much the same for one delivery as for ten.
const GATHER: Duration = Duration::from_millis(10);
/// Of a fast upstream so many times as many deliveries are leased ahead as may be under way, so that few commits serve many.
const AHEAD: usize = 8;
/// But never more than this: after a crash all of them may have been sent.
const AHEAD_LIMIT: usize = 1024;
/// Once so many of them are begun, or half of what there may be, more is leased: what is left lasts until that is done.
const PORTION: usize = 256;
/// After so long the upstream's name is looked up anew, whatever connections there are.
const CLIENT_AGE: Duration = Duration::from_secs(60);

/// Works through the queue of one upstream.
pub struct Sender {
    upstream: Arc<Upstream>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Box<dyn FnMut() -> u64 + Send>,
    client: Client,
    client_since: Timestamp,
    seen: LatestSeen,
    /// The clock was set back, and the store was not told yet.
    is_set_back: bool,
    /// Before this no further step of a fast upstream is made.
    next_step: tokio::time::Instant,
    limiter: Limiter,
    meters: Meters,
    pause: Option<Pause>,
    in_flight: JoinSet<Tried>,
    /// Leased, and not yet recorded or given back.
    held: HashSet<DeliveryId>,
    /// Leased and about to be begun, so that a fast upstream does not wait for the disk.
    ahead: VecDeque<Claimed>,
    /// Leased and to be given back.
    unwanted: Vec<(DeliveryId, LeaseNumber)>,
    over: Vec<Tried>,
    judged: Vec<Attempt>,
    /// What the store was not told yet: the pause began (with the reason), or ended.
    news: Option<Option<String>>,
}

/// Until when the queue stands still.
#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Timestamp,
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
        let client = client(&upstream)?;
        let now = clock.now();
        let limiter = Limiter::new(upstream.requests_per_minute, now);
        Ok(Self {
            meters: Meters::new(&upstream.name),
            upstream,
            store,
            clock,
            random,
            client,
            client_since: now,
            seen: LatestSeen::default(),
            is_set_back: false,
            next_step: tokio::time::Instant::now(),
            limiter,
            pause: None,
            in_flight: JoinSet::new(),
            held: HashSet::new(),
            ahead: VecDeque::new(),
            unwanted: Vec::new(),
            over: Vec::new(),
            judged: Vec::new(),
            news: None,
        })
    }

    /// The upstream's name.
    pub fn name(&self) -> &str {
        &self.upstream.name
    }

    /// How many attempts are under way.
    pub fn under_way(&self) -> usize {
        self.in_flight.len()
    }

    /// Records what is over and begins what may be begun, without waiting for either to end. Answers with how many were begun.
    ///
    /// # Errors
    /// The store's; what was tried but not recorded is recorded with the next step.
    pub async fn step(&mut self) -> Result<usize, Error> {
        self.mind_the_clock();
        self.linger().await;
        while let Some(Ok(tried)) = self.in_flight.try_join_next() {
            self.over.push(tried);
        }
        self.judge_all();
        if self.pause.is_some() && self.news.is_none() && !self.store.is_paused(&self.upstream.name).await? {
            self.pause = None; // a person started the queue again
        }
        self.send_ahead();
        let now = self.now();
        let wanted = self.limiter.available(now).min(self.free_slots(now) + self.room_ahead()).saturating_sub(self.ahead.len());
        self.give_up_waiting(now);
        let (store, lease, report) = (Arc::clone(&self.store), self.lease(now, wanted), Arc::new(self.report()));
        let told = Arc::clone(&report);
        let work = async {
            let claim = async { if lease.limit == 0 { Ok(Claims::default()) } else { store.claim(lease.clone()).await } };
            // Both share one commit.
            tokio::join!(record(&*store, &lease.upstream, &told, now), claim)
        };
        tokio::pin!(work);
        // Meanwhile what is over makes room for what is leased already.
        let (unrecorded, claimed) = loop {
            tokio::select! {
                done = &mut work => break done,
                Some(Ok(tried)) = self.in_flight.join_next(), if !self.in_flight.is_empty() => {
                    self.over.push(tried);
                    self.send_ahead();
                }
            }
        };
        let recorded = self.is_recorded(&report, unrecorded);
        let Claims { claimed, not_before } = claimed?;
        let begun = claimed.len();
        self.held.extend(claimed.iter().map(|claimed| claimed.id));
        self.ahead.extend(claimed);
        self.send_ahead();
        if let Some(at) = not_before {
            self.limiter.hold(at);
        }
        recorded?;
        if self.is_set_back {
            // What was recorded since the fold told the store of it may still wait for the time that was shown before.
            let now = self.now();
            self.store.set_back(now).await?;
            self.is_set_back = false;
        }
        Ok(begun)
    }

    /// Waits until an attempt is over, something may be due, or `limit` has passed. May be cancelled at any point.
    pub async fn wait(&mut self, limit: Duration) {
        if !self.over.is_empty() {
            return; // it came while the last step was recorded, and nothing else would wake us
        }
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
        while let Ok(Some(Ok(tried))) = tokio::time::timeout_at(deadline, self.in_flight.join_next()).await {
            self.over.push(tried);
        }
        self.judge_all();
        self.unwanted.extend(self.ahead.drain(..).map(|claimed| (claimed.id, claimed.lease)));
        let (report, now) = (self.report(), self.now());
        let unrecorded = record(&*self.store, &self.upstream.name, &report, now).await;
        self.is_recorded(&report, unrecorded)
    }

    /// What the store has to be told.
    fn report(&mut self) -> Report {
        let attempts = Arc::new(std::mem::take(&mut self.judged));
        Report { attempts, news: self.news.take(), unwanted: std::mem::take(&mut self.unwanted) }
    }

    /// What could not be recorded is recorded with the next step: an answer is never forgotten.
    fn is_recorded(&mut self, report: &Report, unrecorded: Result<(), Unrecorded>) -> Result<(), Error> {
        let (keeps_attempts, keeps_news, result) = match unrecorded {
            Err(Unrecorded::Attempts(error)) => (true, true, Err(error)),
            Err(Unrecorded::News(error)) => (false, true, Err(error)),
            Err(Unrecorded::Unwanted(error)) => (false, false, Err(error)),
            Ok(()) => (false, false, Ok(())),
        };
        if keeps_attempts {
            self.judged.extend_from_slice(&report.attempts);
        } else {
            for attempt in &*report.attempts {
                self.held.remove(&attempt.delivery);
            }
        }
        if keeps_news {
            self.news = self.news.take().or_else(|| report.news.clone());
        }
        if result.is_err() {
            self.unwanted.extend_from_slice(&report.unwanted);
        } else {
            for (id, _) in &report.unwanted {
                self.held.remove(id);
            }
        }
        result
    }

    /// Where the clock was set back, nothing waits for the time that it showed before.
    fn mind_the_clock(&mut self) {
        let now = self.now();
        if self.seen.set_back_by(now).is_some() {
            self.seen.believes(now);
            self.is_set_back = true;
            self.limiter = Limiter::new(self.upstream.requests_per_minute, now);
            self.client_since = now;
            if let Some(pause) = &mut self.pause {
                pause.until = pause.until.min(now + self.upstream.schedule.pause);
            }
        }
    }

    fn now(&mut self) -> Timestamp {
        self.seen.sees(self.clock.now())
    }

    /// More attempts are let come to their end, so that one commit serves many: for a moment after the last step, and longer while enough
    /// is leased to go on with.
    async fn linger(&mut self) {
        if self.upstream.requests_per_minute < FAST_PER_MINUTE {
            return;
        }
        let long = tokio::time::Instant::now() + LINGER;
        loop {
            let room = self.room_ahead();
            let is_stocked = self.ahead.len() + (room / 2).min(PORTION) > room && !self.in_flight.is_empty();
            let until = if is_stocked { long } else { self.next_step };
            if tokio::time::Instant::now() >= until {
                break;
            }
            if self.in_flight.is_empty() {
                tokio::time::sleep_until(until).await;
            } else if let Ok(Some(Ok(tried))) = tokio::time::timeout_at(until, self.in_flight.join_next()).await {
                self.over.push(tried);
                self.send_ahead();
            }
        }
        self.next_step = tokio::time::Instant::now() + GATHER;
    }

    /// Begins what is leased, as far as there is room and the limit allows.
    fn send_ahead(&mut self) {
        while !self.ahead.is_empty() {
            let now = self.now();
            let is_adjustment = self.ahead.front().is_some_and(|claimed| claimed.outgoing.adjustment.is_some());
            let requests = if is_adjustment { self.requests_per_adjustment() } else { 1 };
            if self.free_slots(now) == 0 || self.limiter.available(now) < requests.min(self.limiter.most_at_once()) {
                return;
            }
            let Some(claimed) = self.ahead.pop_front() else { return };
            self.limiter.take(requests, now);
            self.send(claimed, now);
        }
    }

    /// An adjustment whose sale has to be found first takes two requests.
    fn requests_per_adjustment(&self) -> usize {
        if self.upstream.template.adjustments.find.is_some() { 2 } else { 1 }
    }

    /// So many may be leased beyond those that can begin at once.
    fn room_ahead(&self) -> usize {
        let is_fast = self.upstream.requests_per_minute >= FAST_PER_MINUTE && self.pause.is_none() && !self.store.is_pressed();
        // What may not be repeated is not leased before it is begun: a crash could not tell the two apart. And what replicas share a
        // limit for is begun in the moment for which it was granted.
        let may_wait = !self.upstream.template.counts_repeats(false) && !self.store.is_shared();
        if is_fast && may_wait { (AHEAD * self.upstream.max_in_flight).min(AHEAD_LIMIT) } else { 0 }
    }

    /// What was leased and cannot begin for long, because the upstream is paused now or asked for a longer wait, is given back.
    fn give_up_waiting(&mut self, now: Timestamp) {
        if self.pause.is_some() || self.limiter.next_at() > now + LEASE_MARGIN {
            self.unwanted.extend(self.ahead.drain(..).map(|claimed| (claimed.id, claimed.lease)));
        }
    }

    fn send(&mut self, claimed: Claimed, now: Timestamp) {
        let age = Duration::try_from(now.duration_since(self.client_since)).unwrap_or_default();
        if age >= CLIENT_AGE {
            // One that cannot be made now is made later; the present one works.
            if let Ok(client) = client(&self.upstream) {
                self.client = client;
            }
            self.client_since = now;
        }
        self.in_flight.spawn(Box::pin(attempt(Arc::clone(&self.upstream), self.client.clone(), claimed, now)));
    }

    fn lease(&self, now: Timestamp, limit: usize) -> Lease {
        let upstream = Arc::clone(&self.upstream.name);
        // What is leased ahead waits for others to end; and as long as this process lives, it knows what it holds.
        let until = now + 2 * self.upstream.timeout + LEASE_MARGIN;
        let template = &self.upstream.template;
        Lease {
            upstream,
            now,
            until,
            limit,
            held: self.held.clone(),
            counts_repeats: template.counts_repeats(false),
            counts_repeated_adjustments: template.counts_repeats(true),
            window: template.idempotency.window_secs.map(Duration::from_secs),
            requests_per_minute: self.upstream.requests_per_minute,
            requests_per_adjustment: self.requests_per_adjustment(),
        }
    }

    /// How many more attempts may be under way at once.
    fn free_slots(&self, now: Timestamp) -> usize {
        match &self.pause {
            Some(pause) if now < pause.until => 0,
            Some(_) => usize::from(self.in_flight.is_empty()),
            None => self.upstream.max_in_flight.saturating_sub(self.in_flight.len()),
        }
    }

    /// Judges what is over, and finds out what that says of the upstream as a whole.
    fn judge_all(&mut self) {
        let now = self.now();
        let (mut refusal, mut is_answered) = (None, false);
        for tried in std::mem::take(&mut self.over) {
            let about = About::of(&tried);
            let attempt = self.judge(tried, now);
            about.note(&mut self.meters, &attempt);
            match attempt.outcome {
                AttemptOutcome::Paused => refusal = Some(attempt.reason.clone()),
                AttemptOutcome::Rejected if attempt.status.is_none() => {} // it was never sent
                AttemptOutcome::Delivered
                | AttemptOutcome::Duplicate
                | AttemptOutcome::Unattributed
                | AttemptOutcome::RetryLimited
                | AttemptOutcome::Rejected => is_answered = true,
                AttemptOutcome::Retry | AttemptOutcome::Unknown => {}
            }
            self.judged.push(attempt);
        }
        let upstream = &*self.upstream.name;
        match refusal {
            Some(reason) => {
                if self.pause.is_none() {
                    tracing::error!(upstream, reason, "the upstream is paused: its queue stands still, nothing is lost");
                }
                self.news = Some(Some(reason));
                self.pause = Some(Pause { until: now + self.upstream.schedule.pause });
            }
            None if is_answered && self.pause.is_some() => {
                self.news = Some(None);
                self.pause = None;
                tracing::info!(upstream, "the upstream answers again; its queue moves on");
            }
            None => {}
        }
    }

    fn judge(&mut self, tried: Tried, now: Timestamp) -> Attempt {
        let schedule = self.upstream.schedule;
        let template = &self.upstream.template;
        let is_adjustment = tried.claimed.outgoing.adjustment.is_some();
        let none = (None, None, String::new(), None);
        let (outcome, advice, (status, asked, answer, upstream_id)) = match tried.result {
            Ok(answer) => {
                let judgement = template.judge(&answer, is_adjustment);
                let asked = schedule.asked(answer.retry_after.as_deref(), now);
                let found = (Some(answer.status), asked, answer.body, judgement.upstream_id);
                (judgement.outcome, judgement.advice, found)
            }
            Err(Failed::Unrenderable(why)) => (AttemptOutcome::Rejected, why, none),
            Err(Failed::Unsent(why)) => (AttemptOutcome::Retry, format!("not sent ({why}); tried again by itself"), none),
            Err(Failed::Unanswered(why)) => {
                (AttemptOutcome::Unknown, template.in_doubt(&format!("no answer ({why})"), is_adjustment), none)
            }
            Err(Failed::NotFound(advice, answer)) => {
                (AttemptOutcome::RetryLimited, advice, (Some(answer.status), None, answer.body, None))
            }
            Err(Failed::Logged) => (AttemptOutcome::Delivered, "nothing is sent here, only noted".to_owned(), none),
        };
        if let (AttemptOutcome::Retry, Some(asked)) = (outcome, asked) {
            self.limiter.hold(now + asked);
        }
        let attempts = tried.claimed.attempts + 1;
        let limited = tried.claimed.limited + u32::from(outcome == AttemptOutcome::RetryLimited);
        let tried_since = tried.claimed.tried_since.unwrap_or(tried.started_at);
        let random = (self.random)();
        let tries = Tries { attempts, limited, since: tried_since };
        let next = schedule.next(template.counts_repeats(is_adjustment), outcome, tries, now, asked, random);
        Attempt {
            delivery: tried.claimed.id,
            upstream: self.upstream.name.clone(),
            lease: tried.claimed.lease,
            started_at: tried.started_at,
            finished_at: now,
            outcome,
            status,
            reason: advice,
            request: tried.request,
            answer: start_of(self.upstream.keepable(&answer)),
            state: next.state,
            due_at: next.due_at,
            counts: next.counts,
            upstream_id,
            adjustments: self.upstream.adjustments,
        }
    }

    /// Takes the sender for itself although it changes nothing: two could not share `random` across threads.
    async fn time_to_next(&mut self, limit: Duration) -> Result<Duration, Error> {
        let now = self.now();
        if self.free_slots(now) == 0 && !self.in_flight.is_empty() {
            return Ok(limit); // nothing can begin before something is over, which wakes us
        }
        let due = if self.ahead.is_empty() { self.store.next_due(&self.upstream.name).await? } else { Some(now) };
        let Some(due) = due else { return Ok(limit) };
        let held = self.pause.as_ref().map_or(due, |pause| pause.until.max(due));
        let next = held.max(self.limiter.next_at());
        Ok(Duration::try_from(next.duration_since(now)).unwrap_or(Duration::ZERO).clamp(Duration::from_millis(1), limit))
    }
}

/// As much of an answer as is kept.
fn start_of(mut answer: String) -> String {
    if let Some((end, _)) = answer.char_indices().nth(KEPT_ANSWER_CHARS) {
        answer.truncate(end);
    }
    answer
}

/// What the store has to be told.
struct Report {
    attempts: Arc<Vec<Attempt>>,
    news: Option<Option<String>>,
    unwanted: Vec<(DeliveryId, LeaseNumber)>,
}

/// From where on a report could not be recorded.
enum Unrecorded {
    Attempts(Error),
    News(Error),
    Unwanted(Error),
}

async fn record(store: &dyn Store, upstream: &str, report: &Report, now: Timestamp) -> Result<(), Unrecorded> {
    if !report.attempts.is_empty() {
        store.record(Arc::clone(&report.attempts)).await.map_err(Unrecorded::Attempts)?;
    }
    if let Some(news) = &report.news {
        store.set_paused(upstream, news.clone(), now).await.map_err(Unrecorded::News)?;
    }
    if !report.unwanted.is_empty() {
        store.give_back(report.unwanted.clone()).await.map_err(Unrecorded::Unwanted)?;
    }
    Ok(())
}

fn client(upstream: &Upstream) -> Result<Client, String> {
    Client::new(upstream.limits()).map_err(|cause| format!("{}: no client can be made: {cause}", upstream.name))
}
