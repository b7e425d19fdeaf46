//! The inbox's door: whatever waits is written by one statement, and answered after its commit.

use std::collections::HashMap;
use std::time::Instant;

use deadpool_postgres::Pool;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::ToSql;

use super::connect::unreachable;
use super::session::failed;
use crate::domain::{Request, RequestId};
use crate::store::packing::Packed;
use crate::store::{Appended, Error, Fingerprint, commit};

/// At most so many requests share a commit, so that the first of them does not wait for ever.
const BATCH_LIMIT: usize = 256;

/// The columns of a new request.
const COLUMNS: &str = "source, received_at, url, headers, body, digest, query, dictionary, body_bytes";
/// [`Columns::values`] as rows.
const GIVEN: &str = "UNNEST(CAST($1 AS TEXT[]), CAST($2 AS BIGINT[]), CAST($3 AS TEXT[]), CAST($4 AS BYTEA[]), CAST($5 AS BYTEA[]),
     CAST($6 AS TEXT[]), CAST($7 AS BIGINT[]), CAST($8 AS BIGINT[])) AS t (source, received_at, url, body, digest, query, dictionary, body_bytes)";

/// A request that waits to be written, and the place where its answer arrives.
struct Append {
    request: Request,
    packed: Packed,
    fingerprint: Option<Fingerprint>,
    answer: oneshot::Sender<Result<Appended, Error>>,
}

/// A way to the one task that appends.
pub(super) struct Appender(mpsc::Sender<Append>);

impl Appender {
    /// Starts the task on the runtime of the pool. It ends once its last way is gone and all that waits is written.
    pub(super) fn start(pool: Pool, runtime: &tokio::runtime::Handle, queue_limit: usize) -> Self {
        let (sender, waiting) = mpsc::channel(queue_limit);
        runtime.spawn(work(pool, waiting));
        Self(sender)
    }

    /// Appends a request, or refuses at once where the queue is full.
    pub(super) async fn append(
        &self,
        request: Request,
        packed: Packed,
        fingerprint: Option<Fingerprint>,
    ) -> Result<Appended, Error> {
        let gone = || Error::Unavailable("the task that appends has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Append { request, packed, fingerprint, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

async fn work(pool: Pool, mut waiting: mpsc::Receiver<Append>) {
    let mut batch = Vec::with_capacity(BATCH_LIMIT);
    while waiting.recv_many(&mut batch, BATCH_LIMIT).await > 0 {
        // Two replicas that write the same webhooks in one order do not wait for each other.
        batch.sort_by_key(|append: &Append| append.fingerprint);
        let started = Instant::now();
        let written = match write(&pool, &batch).await {
            Err(Error::Conflict(_)) => write(&pool, &batch).await,
            written => written,
        };
        commit::note(started.elapsed(), batch.len(), written.is_ok());
        for (place, append) in batch.drain(..).enumerate() {
            let answer = written.as_ref().map_err(Error::clone).and_then(|written| {
                written.get(place).copied().flatten().ok_or_else(|| Error::Damaged("a request that was just written".to_owned()))
            });
            // Nobody may wait there any more; what was written stays written.
            drop(append.answer.send(answer));
        }
    }
}

/// Writes a batch, all that has a fingerprint by one statement. Answers, in order, what became of each.
async fn write(pool: &Pool, batch: &[Append]) -> Result<Vec<Option<Appended>>, Error> {
    let client = pool.get().await.map_err(unreachable)?;
    let (known, unknown): (Vec<usize>, Vec<usize>) = (0..batch.len()).partition(|place| batch[*place].fingerprint.is_some());
    let mut written = vec![None; batch.len()];
    if !known.is_empty() {
        let columns = Columns::of(known.iter().map(|place| &batch[*place]));
        let sql = format!(
            "WITH given AS (
                 SELECT source, received_at, url, '', body, digest, query, dictionary, body_bytes FROM {GIVEN}),
             stored AS (
                 INSERT INTO inbox ({COLUMNS}) SELECT * FROM given
                 ON CONFLICT (digest) DO NOTHING RETURNING id, digest),
             queued AS (INSERT INTO unsettled (request) SELECT id FROM stored)
             SELECT digest, id FROM stored"
        );
        let statement = client.prepare_cached(&sql).await.map_err(failed)?;
        let rows = client.query(&statement, &columns.values()).await.map_err(failed)?;
        let mut new: HashMap<Vec<u8>, RequestId> = HashMap::new();
        for row in rows {
            new.insert(row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        }
        let mut repeated: Vec<usize> = Vec::new();
        for place in known {
            let digest = batch[place].fingerprint.unwrap_or_default();
            match new.remove(digest.as_slice()) {
                Some(id) => written[place] = Some(Appended::New(id)),
                None => repeated.push(place),
            }
        }
        if !repeated.is_empty() {
            let digests: Vec<&[u8]> =
                repeated.iter().filter_map(|place| batch[*place].fingerprint.as_ref().map(<[u8; 32]>::as_slice)).collect();
            let sql = "SELECT digest, id FROM inbox WHERE digest = ANY(CAST($1 AS BYTEA[]))";
            let statement = client.prepare_cached(sql).await.map_err(failed)?;
            let rows = client.query(&statement, &[&digests]).await.map_err(failed)?;
            let mut old: HashMap<Vec<u8>, RequestId> = HashMap::new();
            for row in rows {
                old.insert(row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
            }
            for place in repeated {
                let digest = batch[place].fingerprint.unwrap_or_default();
                written[place] = old.get(digest.as_slice()).copied().map(Appended::Duplicate);
            }
        }
    }
    for place in unknown {
        let columns = Columns::of(std::iter::once(&batch[place]));
        let sql = format!(
            "WITH stored AS (
                 INSERT INTO inbox ({COLUMNS})
                 SELECT source, received_at, url, '', body, digest, query, dictionary, body_bytes FROM {GIVEN} RETURNING id),
             queued AS (INSERT INTO unsettled (request) SELECT id FROM stored)
             SELECT id FROM stored"
        );
        let statement = client.prepare_cached(&sql).await.map_err(failed)?;
        let row = client.query_one(&statement, &columns.values()).await.map_err(failed)?;
        written[place] = Some(Appended::New(row.try_get(0).map_err(failed)?));
    }
    Ok(written)
}

/// Requests column by column, as UNNEST takes them.
#[derive(Default)]
struct Columns<'a> {
    sources: Vec<&'a str>,
    received_at: Vec<i64>,
    urls: Vec<Option<&'a str>>,
    bodies: Vec<&'a [u8]>,
    dictionaries: Vec<i64>,
    body_bytes: Vec<i64>,
    digests: Vec<Option<&'a [u8]>>,
    queries: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn of(appends: impl Iterator<Item = &'a Append>) -> Self {
        let mut columns = Self::default();
        for Append { request, packed, fingerprint, .. } in appends {
            columns.sources.push(&request.source);
            columns.received_at.push(request.received_at.as_millisecond());
            columns.urls.push(request.url.as_deref());
            columns.bodies.push(&packed.bytes);
            columns.dictionaries.push(packed.dictionary);
            columns.body_bytes.push(i64::try_from(packed.body_bytes).unwrap_or(i64::MAX));
            columns.digests.push(fingerprint.as_ref().map(<[u8; 32]>::as_slice));
            columns.queries.push(request.query.as_deref());
        }
        columns
    }

    fn values(&self) -> [&(dyn ToSql + Sync); 8] {
        [
            &self.sources,
            &self.received_at,
            &self.urls,
            &self.bodies,
            &self.digests,
            &self.queries,
            &self.dictionaries,
            &self.body_bytes,
        ]
    }
}
