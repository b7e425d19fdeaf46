//! What becomes of requests that were refused: a few of each cause are kept for the operator, with a diagnosis; all are counted.
//!
//! The door never waits for this. It hands a request over if there is room, and goes on; a flood of forged requests costs it a
//! look at a table. Forged requests are bounded three times: so many are handed over in a minute of each source and code, so many
//! wait, and of each cause only the newest are kept, so that they neither fill the disk nor push out what was refused for another
//! cause.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::doctor::{self, BODY_LIMIT_BYTES, Diagnosis};
use crate::domain::{CREDENTIAL_HEADERS, Headers, Request, Secret, Timestamp};
use crate::pack::Source;
use crate::pipeline::Bell;
use crate::store::{Error, RefusedRequest, RefusedTally, Store};
use crate::verify::{Chain, Refusal};

/// Of each source and code so many a minute are handed over; more are only counted.
const PER_MINUTE: u32 = 10;
/// So many wait to be examined; more are only counted.
const WAITING_LIMIT: usize = 64;
/// So many are examined and written together.
const BATCH_LIMIT: usize = 16;
/// What was only counted is written so often.
const TALLY_INTERVAL: Duration = Duration::from_secs(10);
/// No configured path token is shorter; what is shorter is no secret.
const TOKEN_LEAST_BYTES: usize = 16;

/// `[refused]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Refused")]
pub struct Config {
    /// False where nothing of a refused request is kept.
    pub keep: bool,
    /// Of each source and cause the newest so many are kept. From 1 to 1000.
    pub per_cause: usize,
}

/// The door's end: takes what was refused, without ever waiting.
#[derive(Clone)]
pub struct Keeper {
    tallies: Arc<Mutex<Tallies>>,
    waiting: mpsc::Sender<Refused>,
}

/// The other end: examines, writes and counts.
pub struct Ring {
    tallies: Arc<Mutex<Tallies>>,
    waiting: mpsc::Receiver<Refused>,
    store: Arc<dyn Store>,
    sources: Arc<HashMap<String, Arc<Source>>>,
    per_cause: usize,
}

/// A refused request on its way to the ring.
pub(super) struct Refused {
    pub(super) request: Request,
    pub(super) refusal: Refusal,
    /// Whose connection it was.
    pub(super) connection: Option<IpAddr>,
    /// What it was judged by, where that was a certificate.
    pub(super) certificate: Option<Arc<Chain>>,
    body_bytes: usize,
}

/// By source and code, so there are few.
type Tallies = BTreeMap<(String, &'static str), Tally>;

/// What came of one source and code.
#[derive(Debug, Clone, Copy)]
struct Tally {
    /// Since the last time it was written down.
    count: u64,
    first_at: Timestamp,
    last_at: Timestamp,
    /// The minute that is counted, from 1970.
    minute: i64,
    handed_over: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { keep: true, per_cause: 20 }
    }
}

impl Refused {
    pub(super) fn new(request: Request, refusal: Refusal, connection: Option<IpAddr>, certificate: Option<Arc<Chain>>) -> Self {
        Self { body_bytes: request.body.len(), request, refusal, connection, certificate }
    }
}

impl Keeper {
    /// Counts a refused request, and hands it over where its kind has room in this minute.
    pub(super) fn note(&self, mut refused: Refused) {
        if !self.has_room(&refused) {
            return;
        }
        if refused.body_bytes > BODY_LIMIT_BYTES {
            refused.request.body = Vec::new();
        }
        // Where too many wait already, or the bridge is ending, it is counted and no more.
        drop(self.waiting.try_send(refused));
    }

    fn has_room(&self, refused: &Refused) -> bool {
        let at = refused.request.received_at;
        let minute = at.as_second().div_euclid(60);
        let mut tallies = lock(&self.tallies);
        let key = (refused.request.source.clone(), refused.refusal.code());
        let tally = tallies.entry(key).or_insert(Tally { count: 0, first_at: at, last_at: at, minute, handed_over: 0 });
        if tally.count == 0 {
            tally.first_at = at;
        }
        tally.count += 1;
        tally.last_at = at;
        if tally.minute != minute {
            (tally.minute, tally.handed_over) = (minute, 0);
        }
        let has_room = tally.handed_over < PER_MINUTE;
        tally.handed_over += u32::from(has_room);
        has_room
    }
}

impl Ring {
    /// The two ends; `None` where nothing is to be kept.
    pub fn new(config: &Config, store: Arc<dyn Store>, sources: Arc<HashMap<String, Arc<Source>>>) -> Option<(Keeper, Self)> {
        if !config.keep {
            return None;
        }
        let tallies = Arc::<Mutex<Tallies>>::default();
        let (sender, waiting) = mpsc::channel(WAITING_LIMIT);
        let keeper = Keeper { tallies: Arc::clone(&tallies), waiting: sender };
        Some((keeper, Self { tallies, waiting, store, sources, per_cause: config.per_cause }))
    }

    /// Examines and writes all that waits, and what was counted.
    ///
    /// # Errors
    /// The store's: what waited is not kept, what was counted is counted the next time.
    pub async fn step(&mut self) -> Result<(), Error> {
        loop {
            let mut batch = Vec::new();
            while batch.len() < BATCH_LIMIT
                && let Ok(refused) = self.waiting.try_recv()
            {
                batch.push(refused);
            }
            let is_last = batch.len() < BATCH_LIMIT;
            self.keep(batch).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Steps until the bell is closed: when something was refused, and now and then for what was only counted.
    pub async fn run(mut self, bell: Arc<Bell>) {
        loop {
            let mut batch = Vec::new();
            let is_closed = tokio::select! {
                count = self.waiting.recv_many(&mut batch, BATCH_LIMIT) => count == 0,
                () = tokio::time::sleep(TALLY_INTERVAL) => false,
                () = bell.closed() => true,
            };
            let mut kept = self.keep(batch).await;
            if is_closed && kept.is_ok() {
                kept = self.step().await;
            }
            if let Err(error) = kept {
                tracing::warn!(%error, "refused requests could not be kept; nothing else is lost by that");
            }
            if is_closed {
                return;
            }
        }
    }

    async fn keep(&self, batch: Vec<Refused>) -> Result<(), Error> {
        let mut kept = Vec::with_capacity(batch.len());
        for refused in batch {
            let Some(source) = self.sources.get(&refused.request.source).cloned() else { continue };
            let sources = Arc::clone(&self.sources);
            // It computes for a while, and a fault of ours in there must not end the ring.
            let examined = tokio::task::spawn_blocking(move || examine(refused, &source, &sources)).await;
            kept.extend(examined.ok());
        }
        let tallies = self.take_tallies();
        if kept.is_empty() && tallies.is_empty() {
            return Ok(());
        }
        let written = self.store.keep_refused(kept, tallies.clone(), self.per_cause).await;
        if written.is_err() {
            self.give_back(tallies);
        }
        written
    }

    fn take_tallies(&self) -> Vec<RefusedTally> {
        let mut taken = Vec::new();
        for ((source, code), tally) in lock(&self.tallies).iter_mut().filter(|(_, tally)| tally.count > 0) {
            let Tally { count, first_at, last_at, .. } = *tally;
            taken.push(RefusedTally { source: source.clone(), code: (*code).to_owned(), count, first_at, last_at });
            tally.count = 0;
        }
        taken
    }

    fn give_back(&self, taken: Vec<RefusedTally>) {
        let mut tallies = lock(&self.tallies);
        for back in taken {
            let found = tallies.iter_mut().find(|((source, code), _)| *source == back.source && *code == back.code);
            if let Some((_, tally)) = found {
                tally.count += back.count;
                tally.first_at = back.first_at;
            }
        }
    }
}

/// A request as it is kept, with its diagnosis.
fn examine(refused: Refused, source: &Source, sources: &HashMap<String, Arc<Source>>) -> RefusedRequest {
    let Refused { mut request, refusal, connection, certificate, body_bytes } = refused;
    let has_body = request.body.len() == body_bytes;
    let Diagnosis { findings } = if has_body {
        doctor::examine(&request, &refusal, source, sources, certificate.as_deref())
    } else {
        doctor::examine_without_body(&request, &refusal, source, sources, body_bytes)
    };
    let scheme = &source.pack.scheme;
    let private = scheme.private_headers();
    // Kept only where the provider's scheme reads them.
    for name in CREDENTIAL_HEADERS.into_iter().filter(|name| !private.contains(name)) {
        if request.headers.all(name).next().is_some() {
            request.headers.set(name, "[redacted]");
        }
    }
    let token = source.keys.mark_token(&request);
    let shown = request.path_token.take();
    let tokens: Vec<&Secret> =
        [&shown, &source.path_token].into_iter().flatten().filter(|token| token.expose().len() >= TOKEN_LEAST_BYTES).collect();
    let without_tokens =
        |text: &str| tokens.iter().fold(text.to_owned(), |text, token| text.replace(token.expose(), "[redacted]"));
    request.url = request.url.as_deref().map(without_tokens);
    // Proxies like to repeat the path in a header.
    let mut headers = Headers::default();
    request.headers.iter().for_each(|(name, value)| headers.add(name, without_tokens(value)));
    request.headers = headers;
    request.peer = None;
    RefusedRequest {
        body_bytes,
        has_body,
        connection,
        token,
        code: refusal.code().to_owned(),
        cause: refusal.to_string(),
        finding: findings.first().map_or(refusal.code(), |finding| finding.code.as_str()).to_owned(),
        diagnosis: serde_json::to_value(&findings).expect("findings are JSON"),
        private_headers: private.into_iter().map(str::to_owned).collect(),
        private_queries: scheme.own_queries().into_iter().map(str::to_owned).collect(),
        request,
    }
}

fn lock(tallies: &Mutex<Tallies>) -> MutexGuard<'_, Tallies> {
    tallies.lock().expect("nobody panics while they count")
}
