//! The store that several replicas share: one PostgreSQL database, version 13 or later.
//!
//! Requests are settled by whichever replica has leased them; what two of them would change at once is kept apart by locks on names
//! ([`session::Session`]) and, where even that fails, by unique keys. A transaction that another one stands in the way of is made
//! again. Leases run by the database's clock.

mod append;
mod connect;
mod many;
mod migrations;
mod session;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Pool;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub(super) use self::session::field;

use self::append::Appender;
use self::connect::unreachable;
use self::session::{CLOCK_MILLIS, Session, failed, wait};
use super::packing::{self, Packing};
use super::sql::{
    Db, alarms, check, deliveries, dictionaries, fetches, following, inbox, ledger, listing, past, prune, refused, report, retry,
    search, slice, tallies, values, views,
};
use super::{
    Access, AdjustmentFilter, AlarmRecord, Appended, Attempt, AttemptLines, AttentionView, CheckView, Claimed, Claims,
    DeliveryFilter, DeliveryView, Error, EventLine, Fetched, Fetching, Fingerprint, Fold, HourlyTally, IdentityView, Lease,
    LeaseNumber, ListedAdjustmentView, OldestView, Page, Paging, Past, PastRequest, Period, Prune, Pruned, QueueView,
    RefusedCountView, RefusedId, RefusedRequest, RefusedTally, RefusedView, Report, RequestFilter, RequestView, Retry, RetryView,
    SaleFilter, SaleView, Store, StoredRequest, TallyLine, UpgradeView, UpstreamView, Watched, WhichRefused,
};
use crate::attribute::{Ledger, Slice, Wanted};
use crate::domain::{DeliveryId, Request, RequestId, SaleId, Secret, Tallied, Timestamp};
use crate::verify::Verified;

/// A transaction that others stand in the way of is made so often; the last time everybody else waits for it.
const TRIES: u32 = 6;
/// The wait before the second try; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(2);
/// So long a replica has for the requests that it took on, before another one takes them over.
const UNSETTLED_LEASE: Duration = Duration::from_secs(30);
/// A command beside the bridge needs no more connections.
const VISIT_CONNECTIONS: usize = 2;

/// The store in a PostgreSQL database.
pub struct Postgres {
    database: Arc<Database>,
    appender: Appender,
    /// Ends the thread that drives the connections.
    _end: oneshot::Sender<()>,
}

/// The database as one replica sees it.
struct Database {
    pool: Pool,
    handle: Handle,
    /// This replica's number, by which it knows its leases.
    holder: i64,
    is_clock_given: bool,
    packing: Arc<Packing>,
}

/// Numbers for new sales: from `first`, up to but without `end`.
#[derive(Debug, Clone, Copy)]
struct Numbers {
    first: SaleId,
    end: SaleId,
}

impl Postgres {
    /// Opens a database with at most so many connections. At most `queue_limit` requests wait to be written; one more is refused.
    ///
    /// # Errors
    /// [`Error::Unusable`] with what to do: the URL, or a layout of another version; [`Error::Unavailable`]: it cannot be reached.
    pub fn open(url: &Secret, connections: usize, access: Access, queue_limit: usize) -> Result<Self, Error> {
        let unusable = |error: std::io::Error| Error::Unusable(format!("the connections' thread cannot be started: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unusable)?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let run = move || drop(runtime.block_on(ended));
        std::thread::Builder::new().name("store".to_owned()).spawn(run).map_err(unusable)?;
        let pool = connect::pool(url, if access == Access::Visit { VISIT_CONNECTIONS } else { connections })?;
        let holder = {
            let _context = handle.enter();
            wait(prepare(&pool, access))?
        };
        let appender = Appender::start(pool.clone(), &handle, queue_limit);
        let database =
            Arc::new(Database { pool, handle, holder, is_clock_given: access == Access::Scratch, packing: Arc::default() });
        if access != Access::Visit {
            let session: &dyn Db = &database.session(Vec::new(), false)?;
            dictionaries::load(session, &database.packing)?;
        }
        Ok(Self { database, appender, _end: end })
    }

    /// The layout that this program gives a database.
    pub const fn newest_layout() -> usize {
        migrations::newest()
    }

    /// How the database stands to this program's layout. Changes nothing, and may be asked beside running servers of any version.
    ///
    /// # Errors
    /// [`Error::Unusable`]: the URL; [`Error::Unavailable`]: it cannot be reached.
    pub fn look_ahead(url: &Secret) -> Result<UpgradeView, Error> {
        let unusable = |error: std::io::Error| Error::Unusable(format!("the connection cannot be made: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unusable)?;
        let look = move || {
            runtime.block_on(async {
                let client = connect::pool(url, 1)?.get().await.map_err(unreachable)?;
                migrations::look(&client).await
            })
        };
        // On a thread of its own: the caller's may be inside another runtime.
        let looked = std::thread::scope(|scope| scope.spawn(look).join());
        looked
            .unwrap_or_else(|_| Err(Error::Unavailable("the look at the database panicked; its own message is above".to_owned())))
    }

    /// Reads on the calling thread.
    fn read<T>(&self, query: impl FnOnce(&dyn Db) -> Result<T, Error>) -> Result<T, Error> {
        query(&self.database.session(Vec::new(), false)?)
    }

    /// Makes a transaction on the calling thread, again where another one stood in its way.
    pub(super) fn transact<T>(&self, mut job: impl FnMut(&dyn Db) -> Result<T, Error>) -> Result<T, Error> {
        self.database.transact(&mut |session| job(session))
    }

    /// Writes in a transaction, which may be made several times, on a thread where that stands in nobody's way.
    async fn write<T, F>(&self, mut job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&Session) -> Result<T, Error> + Send + 'static,
    {
        self.blocking(move |database| database.transact(&mut job)).await
    }

    async fn blocking<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Database) -> Result<T, Error> + Send + 'static,
    {
        let database = Arc::clone(&self.database);
        let done = self.database.handle.spawn_blocking(move || job(&database)).await;
        done.unwrap_or_else(|_| Err(Error::Unavailable("a write panicked; its own message is in the log above".to_owned())))
    }

    /// A change of the ledger by the rules, with whatever has to be true before it and is written beside it.
    async fn fold<F>(
        &self,
        wanted: Wanted,
        settled: Vec<RequestId>,
        now: Timestamp,
        mut rules: Fold,
        mut before: F,
    ) -> Result<(), Error>
    where
        F: FnMut(&Session) -> Result<bool, Error> + Send + 'static,
    {
        self.blocking(move |database| {
            let numbers = database.take_numbers(wanted.new_sales)?;
            let used = database.transact(&mut |session| {
                if !before(session)? {
                    return Ok(0);
                }
                let mut ledger = Ledger::new(slice::load(session, &wanted, numbers.first)?);
                rules(&mut ledger);
                let changes = ledger.into_changes();
                ledger::write(session, &changes, &settled, now)?;
                Ok(changes.new_sales.len())
            });
            // Where it is not known whether they were used, they are not.
            database.give_back_numbers(numbers, used?);
            Ok(())
        })
        .await
    }
}

/// Makes the layout, or looks at it, and answers with this replica's number.
async fn prepare(pool: &Pool, access: Access) -> Result<i64, Error> {
    let mut client = pool.get().await.map_err(unreachable)?;
    match access {
        Access::Visit => {
            migrations::check(&client).await?;
            Ok(0)
        }
        Access::Serve | Access::ServeUncopied | Access::Scratch => {
            migrations::run(&mut client).await?;
            let sql = "UPDATE counters SET value = value + 1 WHERE name = 'holders' RETURNING value";
            client.query_one(sql, &[]).await.and_then(|row| row.try_get(0)).map_err(failed)
        }
    }
}

impl Database {
    fn session(&self, missed: Vec<i64>, alone: bool) -> Result<Session, Error> {
        let _context = self.handle.enter();
        let client = wait(self.pool.get()).map_err(unreachable)?;
        Ok(Session::new(client, missed, alone, self.holder, self.is_clock_given, &self.packing))
    }

    /// Makes a transaction, again where another one stood in its way.
    fn transact<T>(&self, job: &mut dyn FnMut(&Session) -> Result<T, Error>) -> Result<T, Error> {
        let mut missed = Vec::new();
        let mut tries = 1;
        loop {
            let session = self.session(std::mem::take(&mut missed), tries == TRIES)?;
            session.begin()?;
            match job(&session).and_then(|done| session.commit().map(|()| done)) {
                Ok(done) => return Ok(done),
                Err(error @ Error::Conflict(_)) if tries < TRIES => {
                    tracing::debug!(%error, tries, "a transaction is made again");
                    missed = session.roll_back();
                }
                Err(error) => {
                    session.roll_back();
                    return Err(error);
                }
            }
            drop(session);
            // Replicas that met must not meet again: each waits for a while of its own.
            let own = u32::try_from(self.holder % 7).unwrap_or(0) + 1;
            let _context = self.handle.enter();
            wait(async { tokio::time::sleep(FIRST_WAIT * 2_u32.pow(tries - 1) * own / 4).await });
            tries += 1;
        }
    }

    /// Takes as many numbers as there may be new sales.
    fn take_numbers(&self, count: usize) -> Result<Numbers, Error> {
        if count == 0 {
            return Ok(Numbers { first: SaleId::MAX, end: SaleId::MAX });
        }
        let sql = "UPDATE counters SET value = value + ?1 WHERE name = 'sales' RETURNING value";
        let session: &dyn Db = &self.session(Vec::new(), false)?;
        let end: SaleId = session.value(sql, values![count])?;
        Ok(Numbers { first: end - SaleId::try_from(count).unwrap_or(0), end })
    }

    /// Gives back what was not used, unless somebody has taken numbers since: a gap harms nobody.
    fn give_back_numbers(&self, numbers: Numbers, used: usize) {
        let next = numbers.first.saturating_add(SaleId::try_from(used).unwrap_or(SaleId::MAX));
        if next >= numbers.end {
            return;
        }
        let sql = "UPDATE counters SET value = ?1 WHERE name = 'sales' AND value = ?2";
        let given = self.session(Vec::new(), false).and_then(|session| session.execute(sql, values![next, numbers.end]));
        if let Err(error) = given {
            tracing::debug!(%error, "numbers of sales could not be given back");
        }
    }

    /// Takes on requests for this replica: those that it has already, and those that nobody works at.
    fn take_on(&self, after: RequestId, limit: usize) -> Result<Vec<StoredRequest>, Error> {
        let select = format!(
            "SELECT request FROM unsettled
             WHERE leased_until IS NULL OR leased_until <= {CLOCK_MILLIS} OR holder = ?1 AND request > ?2
             ORDER BY request LIMIT ?3 FOR UPDATE SKIP LOCKED"
        );
        let update = format!("UPDATE unsettled SET holder = $1, leased_until = {CLOCK_MILLIS} + $2 WHERE request = ANY($3)");
        let lease = i64::try_from(UNSETTLED_LEASE.as_millis()).unwrap_or(i64::MAX);
        self.transact(&mut |session| {
            let db: &dyn Db = session;
            let ids: Vec<RequestId> = session.by_index(|| {
                let ids = db.rows(&select, values![self.holder, after, limit], |row| row.get(0))?;
                session.change(&update, &[&self.holder, &lease, &ids])?;
                Ok(ids)
            })?;
            inbox::load(db, &ids)
        })
    }
}

#[async_trait]
impl Store for Postgres {
    async fn append(&self, request: Verified, fingerprint: Option<Fingerprint>) -> Result<Appended, Error> {
        let request = request.into_kept();
        let packed = self.database.packing.pack(&request);
        self.appender.append(request, packed, fingerprint).await
    }

    fn is_pressed(&self) -> bool {
        false // the database is another machine's, and its senders lease nothing ahead
    }

    async fn ready(&self) -> Result<(), Error> {
        let sql = "UPDATE counters SET value = value WHERE name = 'holders'";
        let look = move |session: &Session| {
            session.execute(sql, &[])?;
            // A newer program may have changed the layout under this one: whoever asks must lead webhooks elsewhere.
            let db: &dyn Db = session;
            migrations::known(db.value("SELECT version FROM layout", &[])?).map(drop)
        };
        self.write(look).await
    }

    fn unsettled(&self, after: RequestId, limit: usize) -> Result<Vec<StoredRequest>, Error> {
        self.database.take_on(after, limit)
    }

    fn unsettled_since(&self) -> Result<Option<Timestamp>, Error> {
        self.read(views::unsettled_since)
    }

    fn next_expiry(&self) -> Result<Option<Timestamp>, Error> {
        self.read(slice::next_expiry)
    }

    async fn settle(&self, wanted: Wanted, requests: Vec<RequestId>, now: Timestamp, rules: Fold) -> Result<(), Error> {
        let holder = self.database.holder;
        let settled = requests.clone();
        let settle = move |session: &Session| {
            let sql = "DELETE FROM unsettled WHERE request = ANY($1) AND holder = $2";
            if session.by_index(|| session.change(sql, &[&requests, &holder]))? == requests.len() {
                return Ok(true);
            }
            Err(Error::Unavailable("this replica stood still for so long that another one settles its requests".to_owned()))
        };
        self.fold(wanted, settled, now, rules, settle).await
    }

    fn due_fetches(&self, source: &str, now: Timestamp, limit: usize) -> Result<Vec<Fetching>, Error> {
        self.database.transact(&mut |session| fetches::due(session, source, now, limit))
    }

    fn next_fetch(&self, source: &str) -> Result<Option<Timestamp>, Error> {
        self.read(|db| fetches::next(db, source))
    }

    async fn record_fetches(&self, fetched: Vec<Fetched>, now: Timestamp) -> Result<(), Error> {
        self.write(move |session| fetches::record(session, &fetched, now)).await
    }

    async fn release_fetches(&self, but: Vec<String>) -> Result<(), Error> {
        self.write(move |session| fetches::release(session, &but)).await
    }

    fn fetched(&self, limit: usize) -> Result<Vec<Fetching>, Error> {
        self.read(|db| fetches::ready(db, limit))
    }

    async fn settle_fetched(
        &self,
        wanted: Wanted,
        events: Vec<(RequestId, u16)>,
        now: Timestamp,
        rules: Fold,
    ) -> Result<(), Error> {
        let settle = move |session: &Session| {
            // Another replica may have read the same; whoever comes second finds them gone.
            if !fetches::are_there(session, &events)? {
                return Ok(false);
            }
            fetches::end(session, &events)?;
            Ok(true)
        };
        self.fold(wanted, Vec::new(), now, rules, settle).await
    }

    async fn expire(&self, now: Timestamp, limit: usize, mut rules: Fold) -> Result<usize, Error> {
        let expire = move |session: &Session| {
            let (loaded, count) = slice::expired(session, now, limit)?;
            let mut ledger = Ledger::new(loaded);
            rules(&mut ledger);
            ledger::write(session, &ledger.into_changes(), &[], now)?;
            Ok(count)
        };
        self.write(expire).await
    }

    fn past(&self, which: &Past, after: RequestId, limit: usize) -> Result<Vec<PastRequest>, Error> {
        self.read(|db| past::past(db, which, after, limit))
    }

    fn past_of_sales(&self, sales: &[SaleId]) -> Result<Vec<PastRequest>, Error> {
        self.read(|db| past::of_sales(db, sales))
    }

    fn slice(&self, wanted: &Wanted) -> Result<Slice, Error> {
        self.database.transact(&mut |session| slice::load(session, wanted, slice::next_sale(session)?))
    }

    async fn remap(&self, wanted: Wanted, now: Timestamp, rules: Fold) -> Result<(), Error> {
        self.fold(wanted, Vec::new(), now, rules, |_| Ok(true)).await
    }

    fn report(&self, period: &Period) -> Result<Report, Error> {
        self.read(|db| report::report(db, period))
    }

    async fn claim(&self, lease: Lease) -> Result<Claims, Error> {
        let holder = self.database.holder;
        self.write(move |session| deliveries::claim(session, &lease, holder)).await
    }

    async fn set_back(&self, now: Timestamp) -> Result<(), Error> {
        self.write(move |session| deliveries::set_back(session, now)).await
    }

    async fn next_due(&self, upstream: &str) -> Result<Option<Timestamp>, Error> {
        let upstream = upstream.to_owned();
        self.blocking(move |database| deliveries::next_due(&database.session(Vec::new(), false)?, &upstream)).await
    }

    async fn record(&self, attempts: Arc<Vec<Attempt>>) -> Result<(), Error> {
        self.write(move |session| deliveries::record(session, &attempts)).await
    }

    async fn give_back(&self, given: Vec<(DeliveryId, LeaseNumber)>) -> Result<(), Error> {
        self.write(move |session| deliveries::give_back(session, &given)).await
    }

    async fn set_paused(&self, upstream: &str, reason: Option<String>, now: Timestamp) -> Result<(), Error> {
        let upstream = upstream.to_owned();
        self.write(move |session| deliveries::set_paused(session, &upstream, reason.as_deref(), now)).await
    }

    async fn is_paused(&self, upstream: &str) -> Result<bool, Error> {
        let upstream = upstream.to_owned();
        self.blocking(move |database| deliveries::is_paused(&database.session(Vec::new(), false)?, &upstream)).await
    }

    async fn pause_by_hand(&self, upstream: &str, reason: Option<String>, now: Timestamp) -> Result<bool, Error> {
        let upstream = upstream.to_owned();
        self.write(move |session| deliveries::pause_by_hand(session, &upstream, reason.as_deref(), now)).await
    }

    async fn retry(&self, which: Retry, now: Timestamp) -> Result<usize, Error> {
        self.write(move |session| retry::retry(session, &which, now)).await
    }

    fn retryable(&self, which: &Retry, limit: usize) -> Result<RetryView, Error> {
        self.read(|db| retry::retryable(db, which, limit))
    }

    fn outgoing(&self, id: DeliveryId) -> Result<Option<Claimed>, Error> {
        self.read(|db| deliveries::outgoing(db, id))
    }

    fn list_sales(&self, filter: &SaleFilter, paging: &Paging) -> Result<Page<SaleView>, Error> {
        self.read(|db| listing::sales(db, filter, paging))
    }

    fn search_sales(&self, text: &str, limit: usize) -> Result<(Vec<SaleView>, usize), Error> {
        self.read(|db| {
            let ids = search::search(db, text)?;
            Ok((listing::sales_by_id(db, &ids[..ids.len().min(limit)])?, ids.len()))
        })
    }

    async fn seal_sales(&self, now: Timestamp) -> Result<bool, Error> {
        self.write(move |session| search::seal(session, now)).await
    }

    async fn learn(&self, now: Timestamp) -> Result<usize, Error> {
        let packing = &self.database.packing;
        let due = packing.due();
        for (source, seen) in &due {
            // Another replica may have learned from as many.
            if self.read(|db| dictionaries::adopt(db, packing, source, seen / 2))? {
                continue;
            }
            let samples = self.read(|db| dictionaries::samples(db, source))?;
            let Some(bytes) = packing::learn_aside(samples).await else {
                packing.put_off(source, *seen);
                continue;
            };
            let (name, seen, kept) = (source.clone(), *seen, bytes.clone());
            let id = self.write(move |session| dictionaries::keep(session, &name, &kept, seen, now)).await?;
            packing.begin(source, id, &bytes, seen);
        }
        Ok(due.len())
    }

    fn list_requests(&self, filter: &RequestFilter, paging: &Paging) -> Result<Page<RequestView>, Error> {
        self.read(|db| listing::requests(db, filter, paging))
    }

    fn list_deliveries(&self, filter: &DeliveryFilter, paging: &Paging) -> Result<Page<DeliveryView>, Error> {
        self.read(|db| listing::deliveries(db, filter, paging))
    }

    fn list_adjustments(&self, filter: &AdjustmentFilter, paging: &Paging) -> Result<Page<ListedAdjustmentView>, Error> {
        self.read(|db| listing::adjustments(db, filter, paging))
    }

    fn identities(&self, customer: &str) -> Result<Vec<IdentityView>, Error> {
        self.read(|db| listing::identities(db, customer))
    }

    fn events_after(&self, after: (RequestId, u16), limit: usize) -> Result<Vec<EventLine>, Error> {
        self.read(|db| following::events_after(db, after, limit))
    }

    fn events_between(&self, ranges: &[(RequestId, RequestId)]) -> Result<Vec<EventLine>, Error> {
        self.read(|db| following::events_between(db, ranges))
    }

    fn last_settled(&self) -> Result<RequestId, Error> {
        self.read(|db| following::last_settled(db))
    }

    fn last_request_before(&self, at: Timestamp) -> Result<RequestId, Error> {
        self.read(|db| following::last_before(db, at))
    }

    fn attempts_after(&self, since: Timestamp, watched: &[Watched]) -> Result<AttemptLines, Error> {
        self.read(|db| following::attempts_after(db, since, watched))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn sales(&self, limit: usize) -> Result<Vec<SaleView>, Error> {
        self.read(|db| views::sales(db, limit))
    }

    fn sale(&self, id: SaleId) -> Result<Option<SaleView>, Error> {
        self.read(|db| views::sale(db, id))
    }

    fn requests(&self, limit: usize) -> Result<Vec<RequestView>, Error> {
        self.read(|db| views::requests(db, limit))
    }

    fn request(&self, id: RequestId) -> Result<Option<(RequestView, Request)>, Error> {
        self.read(|db| views::request(db, id))
    }

    fn deliveries(&self, limit: usize) -> Result<Vec<DeliveryView>, Error> {
        self.read(|db| views::deliveries(db, limit))
    }

    fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryView>, Error> {
        self.read(|db| views::delivery(db, id))
    }

    fn upstreams(&self) -> Result<Vec<UpstreamView>, Error> {
        self.read(views::upstreams)
    }

    fn attention(&self) -> Result<AttentionView, Error> {
        self.read(views::attention)
    }

    fn queues(&self) -> Result<QueueView, Error> {
        self.read(views::queues)
    }

    fn tallies(&self, what: Tallied, since: i64) -> Result<Vec<TallyLine>, Error> {
        self.read(|db| tallies::since(db, what, since))
    }

    fn last_seen(&self) -> Result<Vec<(String, Timestamp)>, Error> {
        self.read(tallies::last_seen)
    }

    fn oldest(&self) -> Result<OldestView, Error> {
        self.read(views::oldest)
    }

    fn hourly(&self, since: i64) -> Result<Vec<HourlyTally>, Error> {
        self.read(|db| alarms::hourly(db, since))
    }

    async fn watch(&self, holder: i64, now: Timestamp, until: Timestamp) -> Result<bool, Error> {
        self.write(move |session| alarms::watch(session, holder, now, until)).await
    }

    async fn end_watch(&self, holder: i64) -> Result<(), Error> {
        self.write(move |session| alarms::end_watch(session, holder)).await
    }

    fn alarms(&self) -> Result<Vec<AlarmRecord>, Error> {
        self.read(alarms::alarms)
    }

    async fn put_alarm(&self, name: &str, record: Option<AlarmRecord>) -> Result<(), Error> {
        let name = name.to_owned();
        self.write(move |session| alarms::put(session, &name, record.as_ref())).await
    }

    async fn keep_refused(&self, kept: Vec<RefusedRequest>, tallies: Vec<RefusedTally>, per_cause: usize) -> Result<(), Error> {
        self.write(move |session| refused::keep(session, &kept, &tallies, per_cause)).await
    }

    fn refused(&self, which: &WhichRefused) -> Result<Vec<RefusedView>, Error> {
        self.read(|db| refused::list(db, which))
    }

    fn refused_request(&self, id: RefusedId) -> Result<Option<(RefusedView, RefusedRequest)>, Error> {
        self.read(|db| refused::find(db, id))
    }

    fn refused_counts(&self) -> Result<Vec<RefusedCountView>, Error> {
        self.read(refused::counts)
    }

    async fn remove_refused(&self, ids: Vec<RefusedId>) -> Result<usize, Error> {
        self.write(move |session| refused::remove(session, &ids)).await
    }

    async fn prune(&self, what: Prune, limit: usize) -> Result<Pruned, Error> {
        self.write(move |session| prune::prune(session, what, limit)).await
    }

    fn check(&self) -> Result<CheckView, Error> {
        let session = self.database.session(Vec::new(), false)?;
        session.begin()?;
        // It reads everything, however long that takes.
        session.set("SET LOCAL statement_timeout = 0")?;
        let view = check::check(&session)?;
        session.commit()?;
        Ok(view)
    }
}
