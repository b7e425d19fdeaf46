//! The one thread that writes: whatever waits is written in one transaction and answered after its commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::ffi::SQLITE_IOERR_FSYNC;
use tokio::sync::{mpsc, oneshot};

use super::db::File;
use super::{BUSY_TIMEOUT, inbox};
use crate::store::{Appended, Error, commit};

/// At most so many jobs share a commit, so that the first of them does not wait for ever.
const BATCH_LIMIT: usize = 256;
/// Where so many are written at once or wait for it, more comes than is written at leisure.
const PRESSED: usize = 32;
/// And so long after that: a burst comes in waves.
const PRESSED_FOR: Duration = Duration::from_millis(100);

/// Tells the asker how it went; called after the commit, with the commit's own result.
type Answer = Box<dyn FnOnce(Result<(), Error>) + Send>;
/// Writes inside the open transaction, or is told why there is none.
type Task = Box<dyn FnOnce(Result<&File, Error>) -> Answer + Send>;

/// Who tidies the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upkeep {
    /// This process, which serves the file.
    Ours,
    /// Another one.
    Theirs,
}

enum Job {
    Write(Task),
    /// Makes what can be made anew from what is stored, and so need not be flushed.
    Derive(Task),
    Checkpoint(oneshot::Sender<bool>),
}

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flush {
    /// It does: once it is answered, no loss of power undoes it.
    Now,
    /// It does not. A loss of power may undo it, with all that came after it; the next commit that waits takes it along.
    Later,
}

/// The writing thread. Dropping it writes what waits, then ends it.
pub(super) struct Writer {
    handle: Option<Handle>,
    thread: Option<JoinHandle<()>>,
}

/// What others may know of the writing thread, or tell it.
#[derive(Default)]
struct State {
    /// True while the disk has no room for what the log holds.
    is_full: AtomicBool,
    pressure: Pressure,
}

/// Whether more comes than is written at leisure.
struct Pressure {
    began: Instant,
    /// Milliseconds since then, up to which it lasts.
    until: AtomicU64,
}

/// A way to the writing thread.
#[derive(Clone)]
pub(super) struct Handle {
    jobs: mpsc::Sender<Job>,
    state: Arc<State>,
}

impl Writer {
    pub(super) fn start(file: File, upkeep: Upkeep, queue_limit: usize) -> Result<Self, Error> {
        let (sender, jobs) = mpsc::channel(queue_limit);
        let handle = Handle { jobs: sender, state: Arc::default() };
        let state = Arc::clone(&handle.state);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || work(&file, upkeep, jobs, &state))
            .map_err(|error| Error::Unusable(format!("the writing thread cannot be started: {error}")))?;
        Ok(Self { handle: Some(handle), thread: Some(thread) })
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone().expect("the writer is there until it is dropped")
    }

    /// Appends a request, or refuses at once where the queue is full.
    pub(super) async fn append(&self, new: inbox::New) -> Result<Appended, Error> {
        self.try_run(move |connection| new.append(connection)).await
    }

    /// Runs a write of one statement, which needs no savepoint, or refuses at once where the queue is full.
    pub(super) async fn try_run<T, F>(&self, write: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&File) -> Result<T, Error> + Send + 'static,
    {
        let (task, answered) = task(write);
        match self.jobs().try_send(Job::Write(task)) {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(gone())),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Error::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(gone()),
        }
    }

    /// Runs a write of several statements: where it fails, only its own changes are undone.
    pub(super) async fn run<T, F>(&self, write: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&File) -> Result<T, Error> + Send + 'static,
    {
        self.queue(Job::Write, write).await
    }

    /// Runs a write whose outcome follows from what is stored, as [`Writer::run`] does, but does not wait for the disk. Where a loss of
    /// power undoes it, whoever asked for it finds that it is still to be done.
    pub(super) async fn derive<T, F>(&self, write: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&File) -> Result<T, Error> + Send + 'static,
    {
        self.queue(Job::Derive, write).await
    }

    async fn queue<T, F>(&self, job: fn(Task) -> Job, write: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&File) -> Result<T, Error> + Send + 'static,
    {
        let (task, answered) = task(move |connection| in_savepoint(connection, write));
        self.jobs().send(job(task)).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Whether many writes wait for one another.
    pub(super) fn is_pressed(&self) -> bool {
        self.handle.as_ref().is_some_and(Handle::is_pressed)
    }

    fn jobs(&self) -> &mpsc::Sender<Job> {
        &self.handle.as_ref().expect("the writer is there until it is dropped").jobs
    }
}

impl Default for Pressure {
    fn default() -> Self {
        Self { began: Instant::now(), until: AtomicU64::new(0) }
    }
}

impl Pressure {
    /// So many were written at once, or wait.
    fn note(&self, count: usize, now: Instant) {
        if count >= PRESSED {
            self.until.store(self.millis(now + PRESSED_FOR), Ordering::Relaxed);
        }
    }

    fn is_on(&self, now: Instant) -> bool {
        self.millis(now) < self.until.load(Ordering::Relaxed)
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.handle = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was already answered to everyone who waited for it.
            drop(thread.join());
        }
    }
}

impl Handle {
    /// Whether many writes wait for one another.
    pub(super) fn is_pressed(&self) -> bool {
        self.state.pressure.is_on(Instant::now())
    }

    /// The disk has no room for what the log holds, or has it again. Without room nothing more is written: the log would take what
    /// becomes free, and what it holds could never be folded into the file.
    pub(super) fn set_full(&self, is_full: bool) {
        self.state.is_full.store(is_full, Ordering::SeqCst);
    }

    /// Lets the writer fold the rest of the log into the file, between two commits, and start the log anew. Answers whether it
    /// could: a reader that looks at the old log stands in the way.
    pub(super) fn restart_log(&self) -> bool {
        let (done, finished) = oneshot::channel();
        // An error only means that the writer ended first.
        self.jobs.blocking_send(Job::Checkpoint(done)).is_ok() && finished.blocking_recv().unwrap_or(false)
    }
}

/// A write and the place where its answer arrives. Nobody may wait there any more; what was written stays written.
fn task<T, F>(write: F) -> (Task, oneshot::Receiver<Result<T, Error>>)
where
    T: Send + 'static,
    F: FnOnce(&File) -> Result<T, Error> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let task: Task = Box::new(move |connection| {
        let written = catch_unwind(AssertUnwindSafe(|| connection.and_then(write)));
        let result = written
            .unwrap_or_else(|_| Err(Error::Unavailable("a write panicked; its own message is in the log above".to_owned())));
        Box::new(move |committed| drop(answer.send(committed.and(result))))
    });
    (task, answered)
}

fn work(file: &File, upkeep: Upkeep, mut jobs: mpsc::Receiver<Job>, state: &State) {
    let is_full = &state.is_full;
    let mut batch = Vec::with_capacity(BATCH_LIMIT);
    let (mut writes, mut derived, mut checkpoints) = (Vec::with_capacity(BATCH_LIMIT), Vec::new(), Vec::new());
    while jobs.blocking_recv_many(&mut batch, BATCH_LIMIT) > 0 {
        let written = batch.len();
        for job in batch.drain(..) {
            match job {
                Job::Write(task) => writes.push(task),
                Job::Derive(task) => derived.push(task),
                Job::Checkpoint(done) => checkpoints.push(done),
            }
        }
        // Who waits for the disk does not wait for what follows from it as well.
        write(file, Flush::Now, writes.drain(..), is_full.load(Ordering::SeqCst));
        write(file, Flush::Later, derived.drain(..), is_full.load(Ordering::SeqCst));
        for done in checkpoints.drain(..) {
            let _ = done.send(restart_log(file)); // an error says that the checkpointer has ended
        }
        state.pressure.note(written + jobs.len(), Instant::now());
        if upkeep == Upkeep::Ours && !is_full.load(Ordering::SeqCst) {
            tidy(file);
        }
    }
}

/// Writes a batch in one transaction and answers everyone after the commit.
fn write(file: &File, flush: Flush, batch: impl ExactSizeIterator<Item = Task>, is_full: bool) {
    if batch.len() == 0 {
        return;
    }
    let started = Instant::now();
    let begun = if is_full { Err(full()) } else { begin(file, flush) };
    let answers: Vec<Answer> = batch.map(|task| task(begun.clone().map(|()| file))).collect();
    let committed = begun.and_then(|()| end(file));
    commit::note(started.elapsed(), answers.len(), committed.is_ok());
    for answer in answers {
        answer(committed.clone());
    }
}

fn begin(file: &File, flush: Flush) -> Result<(), Error> {
    file.renew()?;
    file.set_flush(flush == Flush::Now)?;
    execute(file, "BEGIN IMMEDIATE")?;
    file.begin();
    Ok(())
}

/// Commits, with the names of what was written; or nothing of the transaction stays.
fn end(file: &File) -> Result<(), Error> {
    let written = file.names_in_use().map_or(Ok(()), |mut names| names.write(file));
    let committed = written.and_then(|()| finish(file));
    if committed.is_err() {
        // The commit failed (a full disk): nothing of the batch may stay open.
        if !file.is_autocommit() {
            drop(file.execute_batch("ROLLBACK"));
        }
        file.forget();
    }
    committed
}

fn finish(file: &File) -> Result<(), Error> {
    let committed = file.prepare_cached("COMMIT").and_then(|mut statement| statement.execute([]));
    if committed.as_ref().is_err_and(is_unflushed) {
        file.doubt();
    }
    committed?;
    Ok(())
}

/// Whether the disk refused to flush. Linux says so once to everyone who has the file open (fsync(2)), so the writer is told even where it
/// was a checkpoint that met it; afterwards pages count as written that are not.
fn is_unflushed(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_IOERR_FSYNC)
}

/// One step of tidying the names, where there is something to tidy.
fn tidy(file: &File) {
    if !file.names_in_use().is_some_and(|names| names.wants_upkeep()) {
        return;
    }
    let tidied = begin(file, Flush::Later).and_then(|()| {
        let done = file.names().and_then(|mut names| names.tidy(file));
        if done.is_err() {
            drop(file.execute_batch("ROLLBACK"));
            file.forget();
            return done;
        }
        end(file)
    });
    if let Err(error) = tidied {
        tracing::warn!(%error, "the names cannot be tidied; nothing is lost, the next step tries again");
    }
}

/// Starts the log anew, without waiting for readers: nobody's webhook waits for somebody's listing.
fn restart_log(file: &File) -> bool {
    let restart = || -> rusqlite::Result<bool> {
        file.busy_timeout(Duration::ZERO)?;
        let is_busy: bool = file.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get(0))?;
        Ok(!is_busy)
    };
    let is_done = restart().unwrap_or(false);
    file.busy_timeout(BUSY_TIMEOUT).is_ok() && is_done
}

fn in_savepoint<T>(file: &File, write: impl FnOnce(&File) -> Result<T, Error>) -> Result<T, Error> {
    execute(file, "SAVEPOINT task")?;
    let result = write(file);
    if result.is_err() {
        execute(file, "ROLLBACK TO task")?;
    }
    execute(file, "RELEASE task")?;
    result
}

fn execute(file: &File, sql: &str) -> Result<(), Error> {
    file.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn full() -> Error {
    Error::Unavailable("the disk is full: what was written last cannot be folded into the file; make room".to_owned())
}

fn gone() -> Error {
    Error::Unavailable("the writing thread has ended".to_owned())
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::super::names::Cache;
    use super::super::{connect, migrations};
    use super::*;
    use crate::store::Access;

    #[test]
    fn pressure_lasts_for_a_moment_and_a_few_make_none() {
        let pressure = Pressure::default();
        let now = pressure.began + Duration::from_secs(1);
        pressure.note(PRESSED - 1, now);
        assert!(!pressure.is_on(now));
        pressure.note(PRESSED, now);
        pressure.note(1, now);
        assert!(pressure.is_on(now + PRESSED_FOR / 2) && !pressure.is_on(now + PRESSED_FOR));
    }

    #[test]
    fn a_refused_flush_is_told_from_a_full_disk() {
        let error = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        assert!(is_unflushed(&error(SQLITE_IOERR_FSYNC)));
        assert!(!is_unflushed(&error(rusqlite::ffi::SQLITE_FULL)) && !is_unflushed(&error(rusqlite::ffi::SQLITE_IOERR_WRITE)));
    }

    #[tokio::test]
    async fn many_that_wait_for_one_another_press() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("writer.db");
        let mut connection = connect(&path, Access::Scratch).unwrap();
        migrations::run(&mut connection, &path).unwrap();
        let file = File::new(connection, &Cache::default(), &Arc::default());
        let writer = Writer::start(file, Upkeep::Theirs, 1024).unwrap();
        writer.try_run(|_| Ok(())).await.unwrap();
        assert!(!writer.is_pressed());
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let held = writer.run(move |_| Ok(wait.recv().is_ok()));
        let many = join_all((0..PRESSED).map(|_| writer.try_run(|_| Ok(()))));
        let release = async { go.send(()).unwrap() };
        // The first holds the writer until all others wait.
        let (is_held, _, ()) = tokio::join!(biased; held, many, release);
        assert!(is_held.unwrap() && writer.is_pressed());
    }
}
