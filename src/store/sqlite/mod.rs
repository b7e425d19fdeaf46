//! The embedded store: one SQLite file in WAL mode with `synchronous = FULL`, written by one thread.
//!
//! Every write of the process goes through the [`writer`], which puts all that waits into one transaction (group commit). Only what follows
//! from stored requests does not wait for the disk: a loss of power undoes it whole, and it is made anew.
//! Reads use connections of their own. Checkpoints run beside the commits, not inside them. What is found by ids that come in no order is
//! found by [`names`], because an index over such ids costs a page of the file for each row.

mod backup;
mod check;
mod checkpoint;
mod db;
mod fresh;
mod inbox;
mod migrations;
mod names;
#[cfg(test)]
mod tests;
mod upgrade;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use self::db::File;
use self::fresh::Fresh;
use self::names::Cache;
use self::writer::{Upkeep, Writer};
use super::packing::{self, Packing};
use super::sql::{
    alarms, deliveries, dictionaries, fetches, following, ledger, listing, past, prune, refused, report, retry, search, slice,
    tallies, views,
};
use super::{
    Access, AdjustmentFilter, AlarmRecord, Appended, Attempt, AttemptLines, AttentionView, BackupView, CheckView, Claimed,
    Claims, DeliveryFilter, DeliveryView, Error, EventLine, Fetched, Fetching, Fingerprint, Fold, HourlyTally, IdentityView,
    Lease, LeaseNumber, ListedAdjustmentView, OldestView, Page, Paging, Past, PastRequest, Period, Prune, Pruned, QueueView,
    RefusedCountView, RefusedId, RefusedRequest, RefusedTally, RefusedView, Report, RequestFilter, RequestView, Retry, RetryView,
    SaleFilter, SaleView, Store, StoredRequest, TallyLine, UpgradeView, UpstreamView, Watched, WhichRefused,
};
use crate::attribute::{Ledger, Slice, Wanted};
use crate::domain::{DeliveryId, Request, RequestId, SaleId, Tallied, Timestamp};
use crate::verify::Verified;

/// So long a write waits for another process that writes, such as `deliveries retry`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Who holds leases in a file: its only server.
const ONLY_HOLDER: i64 = 0;

/// The embedded store.
pub struct Sqlite {
    // Dropped first: it holds a way to the writer, which ends when the last way is gone.
    _checkpointer: Option<checkpoint::Checkpointer>,
    writer: Writer,
    packing: Arc<Packing>,
    fresh: Fresh,
    /// For the fold and the senders.
    reader: Mutex<File>,
    /// For people, who must not make the fold wait.
    visitor: Mutex<File>,
    _lock: Option<std::fs::File>,
}

impl Sqlite {
    /// Opens a file. At most `queue_limit` requests wait for the disk; one more is refused.
    ///
    /// # Errors
    /// [`Error::Unusable`] with what to do: no such file, another server has it, or it is of a newer version.
    pub fn open(path: &Path, access: Access, queue_limit: usize) -> Result<Self, Error> {
        let lock = match access {
            Access::Serve | Access::ServeUncopied | Access::Scratch => Some(lock(path)?),
            Access::Visit if !path.exists() => {
                let text = format!("{}: there is no such store yet; `salebridge serve` makes it", path.display());
                return Err(Error::Unusable(text));
            }
            Access::Visit => None,
        };
        let mut connection = connect(path, access)?;
        match access {
            Access::Serve | Access::ServeUncopied | Access::Scratch => {
                if access == Access::Serve {
                    upgrade::keep_copy(path, &connection)?;
                }
                migrations::run(&mut connection, path)?;
            }
            Access::Visit => {
                migrations::check(&connection, path)?;
                names::check(&connection)?;
            }
        }
        let (cache, packing) = (Cache::default(), Arc::new(Packing::default()));
        let reader = connect(path, access)?;
        // The fold reads each request once, just after it was written: there is little to remember.
        reader.pragma_update(None, "cache_size", -1024)?;
        let file = File::new(connection, &cache, &packing);
        let upkeep = match access {
            Access::Serve | Access::ServeUncopied | Access::Scratch => {
                deliveries::void_leases(&file)?;
                names::prepare(&file)?;
                dictionaries::load(&file, &packing)?;
                Upkeep::Ours
            }
            Access::Visit => Upkeep::Theirs,
        };
        let reader = Mutex::new(File::new(reader, &cache, &packing));
        let writer = Writer::start(file, upkeep, queue_limit)?;
        let checkpointer = match access {
            Access::Serve | Access::ServeUncopied => {
                Some(checkpoint::Checkpointer::start(connect(path, access)?, writer.handle())?)
            }
            Access::Visit | Access::Scratch => None,
        };
        let visitor = Mutex::new(File::new(connect(path, access)?, &cache, &packing));
        Ok(Self { _checkpointer: checkpointer, writer, packing, fresh: Fresh::default(), reader, visitor, _lock: lock })
    }

    /// Copies the store in the file `path` to `target`, whole and compact, beside a server that may be running, and reads the copy
    /// again. Nobody else's account may read it.
    ///
    /// # Errors
    /// [`Error::Unusable`] with what to do: there is no such store, or `target` is there already; [`Error::Unavailable`] where the disk
    /// refuses; [`Error::Damaged`] where the copy does not hold what it should. Then nothing is left at `target`.
    pub fn backup(path: &Path, target: &Path) -> Result<BackupView, Error> {
        backup::backup(path, target)
    }

    /// The layout that this program gives a file.
    pub const fn newest_layout() -> usize {
        migrations::newest()
    }

    /// The copies that upgrades left beside the file `path`, oldest layout first. Nothing removes them by itself.
    pub fn copies(path: &Path) -> Vec<PathBuf> {
        upgrade::copies(path)
    }

    /// How the file `path` stands to this program's layout; `is_copied` says whether an upgrade would copy it first. Changes nothing,
    /// and may be asked beside a running server of any version.
    ///
    /// # Errors
    /// [`Error::Unusable`] where it cannot be opened, [`Error::Unavailable`] where it is no store or the disk refuses.
    pub fn look_ahead(path: &Path, is_copied: bool) -> Result<UpgradeView, Error> {
        upgrade::look(path, is_copied)
    }

    fn look<T>(&self, query: impl FnOnce(&File) -> Result<T, Error>) -> Result<T, Error> {
        look(&self.visitor.lock().expect("a visitor does not panic while it holds the connection"), query)
    }

    pub(super) fn read<T>(&self, query: impl FnOnce(&File) -> Result<T, Error>) -> Result<T, Error> {
        look(&self.reader.lock().expect("a reader does not panic while it holds the connection"), query)
    }
}

fn look<T>(file: &File, query: impl FnOnce(&File) -> Result<T, Error>) -> Result<T, Error> {
    let found = query(file);
    file.end_look()?;
    found
}

#[async_trait]
impl Store for Sqlite {
    async fn append(&self, request: Verified, fingerprint: Option<Fingerprint>) -> Result<Appended, Error> {
        let request = request.into_kept();
        let appended = self.writer.append(inbox::New::of(&request, self.packing.pack(&request), fingerprint)).await?;
        if let Appended::New(id) = appended {
            self.fresh.put(id, request);
        }
        Ok(appended)
    }

    fn is_pressed(&self) -> bool {
        self.writer.is_pressed()
    }

    async fn ready(&self) -> Result<(), Error> {
        self.writer.try_run(|connection| Ok(connection.execute("UPDATE progress SET only = 1", []).map(drop)?)).await
    }

    fn unsettled(&self, after: RequestId, limit: usize) -> Result<Vec<StoredRequest>, Error> {
        self.read(|connection| inbox::unsettled(connection, &self.fresh, after, limit))
    }

    fn unsettled_since(&self) -> Result<Option<Timestamp>, Error> {
        self.read(|connection| views::unsettled_since(connection))
    }

    fn next_expiry(&self) -> Result<Option<Timestamp>, Error> {
        self.read(|connection| slice::next_expiry(connection))
    }

    async fn settle(&self, wanted: Wanted, requests: Vec<RequestId>, now: Timestamp, mut rules: Fold) -> Result<(), Error> {
        let settle = move |connection: &File| {
            fold(connection, &wanted, &requests, now, &mut rules)?;
            inbox::mark(connection, &requests)
        };
        self.writer.derive(settle).await
    }

    fn due_fetches(&self, source: &str, now: Timestamp, limit: usize) -> Result<Vec<Fetching>, Error> {
        self.read(|connection| fetches::due(connection, source, now, limit))
    }

    fn next_fetch(&self, source: &str) -> Result<Option<Timestamp>, Error> {
        self.read(|connection| fetches::next(connection, source))
    }

    async fn record_fetches(&self, fetched: Vec<Fetched>, now: Timestamp) -> Result<(), Error> {
        self.writer.run(move |connection| fetches::record(connection, &fetched, now)).await
    }

    async fn release_fetches(&self, but: Vec<String>) -> Result<(), Error> {
        self.writer.run(move |connection| fetches::release(connection, &but)).await
    }

    fn fetched(&self, limit: usize) -> Result<Vec<Fetching>, Error> {
        self.read(|connection| fetches::ready(connection, limit))
    }

    async fn settle_fetched(
        &self,
        wanted: Wanted,
        events: Vec<(RequestId, u16)>,
        now: Timestamp,
        mut rules: Fold,
    ) -> Result<(), Error> {
        let settle = move |connection: &File| {
            fetches::end(connection, &events)?;
            fold(connection, &wanted, &[], now, &mut rules)
        };
        self.writer.derive(settle).await
    }

    async fn expire(&self, now: Timestamp, limit: usize, mut rules: Fold) -> Result<usize, Error> {
        let expire = move |connection: &File| {
            let (loaded, count) = slice::expired(connection, now, limit)?;
            let mut slice = Ledger::new(loaded);
            rules(&mut slice);
            ledger::write(connection, &slice.into_changes(), &[], now)?;
            Ok(count)
        };
        self.writer.derive(expire).await
    }

    fn past(&self, which: &Past, after: RequestId, limit: usize) -> Result<Vec<PastRequest>, Error> {
        self.read(|connection| past::past(connection, which, after, limit))
    }

    fn past_of_sales(&self, sales: &[SaleId]) -> Result<Vec<PastRequest>, Error> {
        self.read(|connection| past::of_sales(connection, sales))
    }

    fn slice(&self, wanted: &Wanted) -> Result<Slice, Error> {
        self.read(|connection| slice::load(connection, wanted, slice::next_sale(connection)?))
    }

    async fn remap(&self, wanted: Wanted, now: Timestamp, mut rules: Fold) -> Result<(), Error> {
        self.writer.run(move |connection| fold(connection, &wanted, &[], now, &mut rules)).await
    }

    fn report(&self, period: &Period) -> Result<Report, Error> {
        self.look(|connection| report::report(connection, period))
    }

    async fn claim(&self, lease: Lease) -> Result<Claims, Error> {
        self.writer.run(move |connection| deliveries::claim(connection, &lease, ONLY_HOLDER)).await
    }

    async fn set_back(&self, now: Timestamp) -> Result<(), Error> {
        self.writer.run(move |connection| deliveries::set_back(connection, now)).await
    }

    async fn next_due(&self, upstream: &str) -> Result<Option<Timestamp>, Error> {
        let upstream = upstream.to_owned();
        self.writer.run(move |connection| deliveries::next_due(connection, &upstream)).await
    }

    async fn record(&self, attempts: Arc<Vec<Attempt>>) -> Result<(), Error> {
        self.writer.run(move |connection| deliveries::record(connection, &attempts)).await
    }

    async fn give_back(&self, given: Vec<(DeliveryId, LeaseNumber)>) -> Result<(), Error> {
        self.writer.run(move |connection| deliveries::give_back(connection, &given)).await
    }

    async fn set_paused(&self, upstream: &str, reason: Option<String>, now: Timestamp) -> Result<(), Error> {
        let upstream = upstream.to_owned();
        self.writer.run(move |connection| deliveries::set_paused(connection, &upstream, reason.as_deref(), now)).await
    }

    async fn is_paused(&self, upstream: &str) -> Result<bool, Error> {
        let upstream = upstream.to_owned();
        self.writer.run(move |connection| deliveries::is_paused(connection, &upstream)).await
    }

    async fn pause_by_hand(&self, upstream: &str, reason: Option<String>, now: Timestamp) -> Result<bool, Error> {
        let upstream = upstream.to_owned();
        self.writer.run(move |connection| deliveries::pause_by_hand(connection, &upstream, reason.as_deref(), now)).await
    }

    async fn retry(&self, which: Retry, now: Timestamp) -> Result<usize, Error> {
        self.writer.run(move |connection| retry::retry(connection, &which, now)).await
    }

    fn retryable(&self, which: &Retry, limit: usize) -> Result<RetryView, Error> {
        self.look(|connection| retry::retryable(connection, which, limit))
    }

    fn outgoing(&self, id: DeliveryId) -> Result<Option<Claimed>, Error> {
        self.look(|connection| deliveries::outgoing(connection, id))
    }

    fn list_sales(&self, filter: &SaleFilter, paging: &Paging) -> Result<Page<SaleView>, Error> {
        self.look(|connection| listing::sales(connection, filter, paging))
    }

    fn search_sales(&self, text: &str, limit: usize) -> Result<(Vec<SaleView>, usize), Error> {
        self.look(|db| {
            let ids = search::search(db, text)?;
            Ok((listing::sales_by_id(db, &ids[..ids.len().min(limit)])?, ids.len()))
        })
    }

    async fn seal_sales(&self, now: Timestamp) -> Result<bool, Error> {
        // A block is read beside the writer: a thousand sales would hold up whatever waits for it.
        let Some(block) = self.look(|db| search::next(db, now))? else { return Ok(false) };
        self.writer.derive(move |connection| search::begin(connection, block)).await?;
        let entries = self.look(|db| search::entries(db, block))?;
        self.writer.derive(move |connection| search::write(connection, block, &entries)).await?;
        Ok(true)
    }

    async fn learn(&self, now: Timestamp) -> Result<usize, Error> {
        let due = self.packing.due();
        for (source, seen) in &due {
            let samples = self.look(|db| dictionaries::samples(db, source))?;
            let Some(bytes) = packing::learn_aside(samples).await else {
                self.packing.put_off(source, *seen);
                continue;
            };
            let (source, seen, packing) = (source.clone(), *seen, Arc::clone(&self.packing));
            let keep = move |db: &File| Ok((dictionaries::keep(db, &source, &bytes, seen, now)?, source, bytes));
            let (id, source, bytes) = self.writer.run(keep).await?;
            packing.begin(&source, id, &bytes, seen);
        }
        Ok(due.len())
    }

    fn list_requests(&self, filter: &RequestFilter, paging: &Paging) -> Result<Page<RequestView>, Error> {
        self.look(|connection| listing::requests(connection, filter, paging))
    }

    fn list_deliveries(&self, filter: &DeliveryFilter, paging: &Paging) -> Result<Page<DeliveryView>, Error> {
        self.look(|connection| listing::deliveries(connection, filter, paging))
    }

    fn list_adjustments(&self, filter: &AdjustmentFilter, paging: &Paging) -> Result<Page<ListedAdjustmentView>, Error> {
        self.look(|connection| listing::adjustments(connection, filter, paging))
    }

    fn identities(&self, customer: &str) -> Result<Vec<IdentityView>, Error> {
        self.look(|connection| listing::identities(connection, customer))
    }

    fn events_after(&self, after: (RequestId, u16), limit: usize) -> Result<Vec<EventLine>, Error> {
        self.look(|db| following::events_after(db, after, limit))
    }

    fn events_between(&self, ranges: &[(RequestId, RequestId)]) -> Result<Vec<EventLine>, Error> {
        self.look(|db| following::events_between(db, ranges))
    }

    fn last_settled(&self) -> Result<RequestId, Error> {
        self.look(|db| following::last_settled(db))
    }

    fn last_request_before(&self, at: Timestamp) -> Result<RequestId, Error> {
        self.look(|db| following::last_before(db, at))
    }

    fn attempts_after(&self, since: Timestamp, watched: &[Watched]) -> Result<AttemptLines, Error> {
        self.look(|db| following::attempts_after(db, since, watched))
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn sales(&self, limit: usize) -> Result<Vec<SaleView>, Error> {
        self.look(|connection| views::sales(connection, limit))
    }

    fn sale(&self, id: SaleId) -> Result<Option<SaleView>, Error> {
        self.look(|connection| views::sale(connection, id))
    }

    fn requests(&self, limit: usize) -> Result<Vec<RequestView>, Error> {
        self.look(|connection| views::requests(connection, limit))
    }

    fn request(&self, id: RequestId) -> Result<Option<(RequestView, Request)>, Error> {
        self.look(|connection| views::request(connection, id))
    }

    fn deliveries(&self, limit: usize) -> Result<Vec<DeliveryView>, Error> {
        self.look(|connection| views::deliveries(connection, limit))
    }

    fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryView>, Error> {
        self.look(|connection| views::delivery(connection, id))
    }

    fn upstreams(&self) -> Result<Vec<UpstreamView>, Error> {
        self.look(|connection| views::upstreams(connection))
    }

    fn attention(&self) -> Result<AttentionView, Error> {
        self.look(|connection| views::attention(connection))
    }

    fn queues(&self) -> Result<QueueView, Error> {
        self.look(|connection| views::queues(connection))
    }

    fn tallies(&self, what: Tallied, since: i64) -> Result<Vec<TallyLine>, Error> {
        self.look(|connection| tallies::since(connection, what, since))
    }

    fn last_seen(&self) -> Result<Vec<(String, Timestamp)>, Error> {
        self.look(|connection| tallies::last_seen(connection))
    }

    fn oldest(&self) -> Result<OldestView, Error> {
        self.read(|connection| views::oldest(connection))
    }

    fn hourly(&self, since: i64) -> Result<Vec<HourlyTally>, Error> {
        self.read(|connection| alarms::hourly(connection, since))
    }

    async fn watch(&self, holder: i64, now: Timestamp, until: Timestamp) -> Result<bool, Error> {
        self.writer.run(move |connection| alarms::watch(connection, holder, now, until)).await
    }

    async fn end_watch(&self, holder: i64) -> Result<(), Error> {
        self.writer.run(move |connection| alarms::end_watch(connection, holder)).await
    }

    fn alarms(&self) -> Result<Vec<AlarmRecord>, Error> {
        self.read(|connection| alarms::alarms(connection))
    }

    async fn put_alarm(&self, name: &str, record: Option<AlarmRecord>) -> Result<(), Error> {
        let name = name.to_owned();
        self.writer.run(move |connection| alarms::put(connection, &name, record.as_ref())).await
    }

    async fn keep_refused(&self, kept: Vec<RefusedRequest>, tallies: Vec<RefusedTally>, per_cause: usize) -> Result<(), Error> {
        self.writer.run(move |connection| refused::keep(connection, &kept, &tallies, per_cause)).await
    }

    fn refused(&self, which: &WhichRefused) -> Result<Vec<RefusedView>, Error> {
        self.read(|connection| refused::list(connection, which))
    }

    fn refused_request(&self, id: RefusedId) -> Result<Option<(RefusedView, RefusedRequest)>, Error> {
        self.read(|connection| refused::find(connection, id))
    }

    fn refused_counts(&self) -> Result<Vec<RefusedCountView>, Error> {
        self.read(|connection| refused::counts(connection))
    }

    async fn remove_refused(&self, ids: Vec<RefusedId>) -> Result<usize, Error> {
        self.writer.run(move |connection| refused::remove(connection, &ids)).await
    }

    async fn prune(&self, what: Prune, limit: usize) -> Result<Pruned, Error> {
        self.writer.run(move |connection| prune::prune(connection, what, limit)).await
    }

    fn check(&self) -> Result<CheckView, Error> {
        self.look(check::check)
    }
}

/// Loads the part of the ledger that is wanted, lets the rules change it, and writes the changes.
fn fold(connection: &File, wanted: &Wanted, settled: &[RequestId], now: Timestamp, rules: &mut Fold) -> Result<(), Error> {
    let mut slice = Ledger::new(slice::load(connection, wanted, slice::next_sale(connection)?)?);
    rules(&mut slice);
    ledger::write(connection, &slice.into_changes(), settled, now)
}

/// Keeps a second server away from the file for as long as the answer lives. The lock stands beside the file itself, by
/// whatever path or link it was named.
fn lock(path: &Path) -> Result<std::fs::File, Error> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let unusable = |path: &Path, cause: String| Error::Unusable(format!("{}: {cause}", path.display()));
    // What the files hold is the customers' business: nobody else's account may read them.
    let private = |path: &Path| {
        let made = std::fs::File::options().create(true).append(true).mode(0o600).open(path);
        made.map_err(|error| unusable(path, format!("cannot be made: {error}")))
    };
    drop(private(path)?);
    let file = path.canonicalize().map_err(|error| unusable(path, format!("cannot be found: {error}")))?;
    let mut lock_path = file.into_os_string();
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
    let lock = private(&lock_path)?;
    lock.try_lock().map_err(|_| unusable(&lock_path, "another salebridge serves this store; stop it first".to_owned()))?;
    Ok(lock)
}

fn connect(path: &Path, access: Access) -> Result<Connection, Error> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if access != Access::Visit {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| Error::Unusable(format!("{}: cannot be opened: {error}", path.display())))?;
    let synchronous = if access == Access::Scratch { "OFF" } else { "FULL" };
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = {synchronous};
         PRAGMA wal_autocheckpoint = {};
         PRAGMA cache_size = -3072;
         PRAGMA temp_store = MEMORY;",
        match access {
            Access::Serve | Access::ServeUncopied => 0,
            Access::Visit | Access::Scratch => 1000,
        },
    ))?;
    // Plans do not depend on bound values; without this, statements that use partial indexes are compiled anew at every use.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}
