//! By what names things are found: fingerprints of requests, ids of events, keys and groups of sales, customers.
//!
//! A unique index over ids that come in no order costs a page of the file for each row, and there are half a dozen of them. Instead a
//! name is hashed, and its entry (the hash, and the row that goes by the name) is held in memory, in the *tail*, and written to a log with the
//! commit that makes the row. A full tail is written as a *run*, sorted; eight runs of one level are merged into one of the next. Each run
//! has a filter in memory, so that what is new costs no look at the file.
//!
//! An entry only says where to look: whoever asks compares the row itself. So one too many does no harm (a transaction that was
//! rolled back leaves some behind), and one too few must never be: entries are written in the transaction that makes their rows.

mod fill;
mod filter;
mod merge;
mod run;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

pub(super) use self::fill::NAMED;
use self::fill::fill;
use self::merge::Merge;
use self::run::{Run, Writing};
use self::tail::{Hashes, Tail};
use super::db::File;
use crate::store::Error;
use crate::store::sql::names::Named;

/// A tail of so many entries is written as a run.
const TAIL_LIMIT: usize = 65_536;
/// So many parts of runs are written or swept in one step of the upkeep, a quarter of a mebibyte: what waits for the writer waits for a
/// step as well.
const STEP_PARTS: usize = 64;
/// So many rows of the log are removed in one step.
const STEP_ROWS: usize = 1024;
/// Bits of a place that say what goes by the name.
const KIND_BITS: u32 = 3;

/// A name's hash, and what goes by it: the number of a row, and of which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    hash: u64,
    place: u64,
}

/// Runs that a process has read, shared by all its connections.
#[derive(Clone, Default)]
pub(super) struct Cache(Arc<Mutex<BTreeMap<i64, Arc<Run>>>>);

impl Cache {
    fn runs(&self) -> MutexGuard<'_, BTreeMap<i64, Arc<Run>>> {
        self.0.lock().expect("nobody panics while they look at a map")
    }
}

/// All names, as one connection sees them.
pub(super) struct Names {
    runs: Vec<Arc<Run>>,
    cache: Cache,
    /// Entries that are in no run.
    tail: Tail,
    /// A full tail that is being written as a run.
    ending: Option<Ending>,
    /// Up to this row the log is in a run, and is being removed.
    spent: Option<i64>,
    /// Hashes that the open transaction has looked for in vain: whoever writes has looked first.
    absent: Hashes,
    /// Those that the open transaction added.
    added: Vec<Entry>,
    /// The last row of the log that is in the tail.
    logged: i64,
    /// How often the runs had been changed.
    changes: i64,
    /// The merge that is under way.
    merge: Option<Merge>,
    /// Runs that are not listed any more and still have parts.
    unlisted: Vec<i64>,
}

/// A full tail that is being written as a run, which is not listed before it is whole; a process that ends before starts again.
struct Ending {
    writing: Writing,
    /// In its order.
    tail: Vec<Entry>,
    /// So many of them are written.
    written: usize,
    /// The last row of the log that is in it.
    through: i64,
}

/// Makes sure, before a file is served, that all its names are there, and reads them.
pub(super) fn prepare(file: &File) -> Result<(), Error> {
    file.execute_batch("BEGIN IMMEDIATE")?;
    if !is_filled(file)? {
        fill(file)?;
    }
    if let Err(Error::Damaged(cause)) = file.names().map(drop) {
        tracing::error!(cause, "names are damaged; all of them are made anew from what is stored");
        fill(file)?;
        file.names().map(drop)?;
    }
    Ok(file.execute_batch("COMMIT")?)
}

/// Makes sure that all names are there, without changing the file.
pub(super) fn check(db: &Connection) -> Result<(), Error> {
    let cause = "the names of what is stored are not all made yet: start `salebridge serve` once, which makes them";
    if is_filled(db)? { Ok(()) } else { Err(Error::Unusable(cause.to_owned())) }
}

fn is_filled(db: &Connection) -> Result<bool, Error> {
    Ok(db.query_row("SELECT is_filled FROM name_state", [], |row| row.get(0))?)
}

impl Names {
    /// Reads what is in the file. To be called inside a transaction.
    pub(super) fn load(db: &Connection, cache: &Cache) -> Result<Self, Error> {
        let changes = db.prepare_cached("SELECT changes FROM name_state")?.query_row([], |row| row.get(0))?;
        let mut select = db.prepare_cached("SELECT id, level, entries FROM name_runs ORDER BY id")?;
        let listed = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let listed = listed.collect::<rusqlite::Result<Vec<(i64, u32, usize)>>>()?;
        let mut runs = Vec::with_capacity(listed.len());
        for (id, level, count) in listed {
            let known = cache.runs().get(&id).cloned();
            let run = match known {
                Some(run) => run,
                None => Arc::new(Run::load(db, id, level, count)?),
            };
            cache.runs().insert(id, Arc::clone(&run));
            runs.push(run);
        }
        let mut names = Self {
            runs,
            cache: cache.clone(),
            tail: Tail::default(),
            ending: None,
            spent: None,
            absent: Hashes::default(),
            added: Vec::new(),
            logged: 0,
            changes,
            merge: None,
            unlisted: run::unlisted(db)?,
        };
        names.read_log(db)?;
        Ok(names)
    }

    /// Adds what another process has written since. To be called at the beginning of a transaction.
    pub(super) fn catch_up(&mut self, db: &Connection) -> Result<(), Error> {
        self.absent.clear();
        let mut select = db.prepare_cached("SELECT COALESCE((SELECT MAX(id) FROM name_log), 0), changes FROM name_state")?;
        let (logged, changes): (i64, i64) = select.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if changes != self.changes {
            *self = Self::load(db, &self.cache)?;
        } else if logged > self.logged {
            self.read_log(db)?;
        }
        Ok(())
    }

    /// The rows that may go by this name, in their order.
    pub(super) fn find(&mut self, db: &Connection, named: Named, name: &[u8]) -> Result<Vec<i64>, Error> {
        let hash = hash(named, name);
        if self.absent.has(hash) {
            return Ok(Vec::new());
        }
        let mut found: Vec<Entry> = Vec::new();
        for run in &self.runs {
            run.find(db, hash, &mut found)?;
        }
        found.extend(self.ending.iter().flat_map(|ending| tail::find_sorted(&ending.tail, hash)));
        found.extend(self.tail.find(hash));
        if found.is_empty() {
            self.absent.put(hash);
        }
        let mut rows: Vec<i64> = found.iter().filter_map(|entry| entry.row(named)).collect();
        rows.sort_unstable();
        rows.dedup();
        Ok(rows)
    }

    /// From now on the row goes by this name, if the transaction is committed.
    pub(super) fn add(&mut self, named: Named, name: &[u8], row: i64) {
        let entry = Entry::new(hash(named, name), named, row);
        self.absent.remove(entry.hash);
        if self.tail.put(entry) {
            self.added.push(entry);
        }
    }

    /// Writes what the open transaction added.
    pub(super) fn write(&mut self, db: &Connection) -> Result<(), Error> {
        if !self.added.is_empty() {
            db.prepare_cached("INSERT INTO name_log (entries) VALUES (?1)")?.execute([run::written(&self.added)])?;
            self.added.clear();
            self.logged = db.last_insert_rowid();
        }
        Ok(())
    }

    /// Whether there is something to tidy.
    pub(super) fn wants_upkeep(&self) -> bool {
        let is_ending = self.tail.len() >= TAIL_LIMIT || self.ending.is_some() || self.spent.is_some();
        is_ending || self.merge.is_some() || !self.unlisted.is_empty() || merge::is_due(&self.runs)
    }

    /// One step of tidying, in a transaction of its own. Where it is not committed, all has to be [loaded](Names::load) anew.
    pub(super) fn tidy(&mut self, db: &Connection) -> Result<(), Error> {
        if let Some(mut ending) = self.ending.take() {
            if ending.step(db, STEP_PARTS)? {
                self.ending = Some(ending);
                return Ok(());
            }
            self.spent = Some(ending.through);
            let run = ending.writing.list(db)?;
            self.list(db, run)
        } else if let Some(through) = self.spent.take() {
            if self.shorten_log(db, through)? {
                self.spent = Some(through);
            }
            Ok(())
        } else if self.tail.len() >= TAIL_LIMIT {
            let tail = self.tail.take_sorted();
            let writing = Writing::new(self.next_run(), 0, tail.len());
            self.ending = Some(Ending { writing, tail, written: 0, through: self.logged });
            Ok(())
        } else if let Some(id) = self.unlisted.last().copied() {
            if !run::sweep(db, id, STEP_PARTS)? {
                self.unlisted.pop();
            }
            Ok(())
        } else if let Some(mut merge) = self.merge.take() {
            if merge.step(db, STEP_PARTS)? {
                self.merge = Some(merge);
                return Ok(());
            }
            let (gone, run) = merge.end(db)?;
            self.runs.retain(|run| !gone.contains(&run.id));
            self.cache.runs().retain(|id, _| !gone.contains(id));
            self.unlisted.extend(gone);
            self.list(db, run)
        } else {
            self.merge = merge::begin(&self.runs, self.next_run());
            Ok(())
        }
    }

    /// Removes some of the log, as far as it is in runs. Answers whether there may be more. The last row stays, so that no number is used
    /// again: other processes know by it how far they have read.
    fn shorten_log(&self, db: &Connection, through: i64) -> Result<bool, Error> {
        let sql = "DELETE FROM name_log WHERE id IN (SELECT id FROM name_log WHERE id < ?1 ORDER BY id LIMIT ?2)";
        Ok(db.prepare_cached(sql)?.execute(params![through, STEP_ROWS])? == STEP_ROWS)
    }

    fn list(&mut self, db: &Connection, run: Run) -> Result<(), Error> {
        db.prepare_cached("UPDATE name_state SET changes = changes + 1")?.execute([])?;
        self.changes += 1;
        let run = Arc::new(run);
        self.cache.runs().insert(run.id, Arc::clone(&run));
        self.runs.push(run);
        Ok(())
    }

    fn newest(&self) -> i64 {
        self.runs.iter().map(|run| run.id).max().unwrap_or(0)
    }

    /// A number that no run has, nor a remainder of one.
    fn next_run(&self) -> i64 {
        let merging = self.merge.as_ref().map(Merge::id);
        let ending = self.ending.as_ref().map(|ending| ending.writing.id());
        self.unlisted.iter().copied().chain(merging).chain(ending).fold(self.newest(), i64::max) + 1
    }

    fn read_log(&mut self, db: &Connection) -> Result<(), Error> {
        let mut select = db.prepare_cached("SELECT id, entries FROM name_log WHERE id > ?1 ORDER BY id")?;
        let mut rows = select.query([self.logged])?;
        while let Some(row) = rows.next()? {
            self.logged = row.get(0)?;
            let bytes = row.get_ref(1)?.as_blob().map_err(|_| Error::Damaged("the log of the names".to_owned()))?;
            for entry in run::read(bytes) {
                self.tail.put(entry);
            }
        }
        Ok(())
    }
}

impl Ending {
    /// Writes about so many parts. Answers whether there is more to write.
    fn step(&mut self, db: &Connection, parts: usize) -> Result<bool, Error> {
        let enough = self.writing.parts() + parts;
        while let Some(entry) = self.tail.get(self.written) {
            if self.writing.parts() >= enough {
                return Ok(true);
            }
            self.writing.push(db, *entry)?;
            self.written += 1;
        }
        Ok(false)
    }
}

impl Entry {
    fn new(hash: u64, named: Named, row: i64) -> Self {
        // Numbers of rows are positive.
        Self { hash, place: u64::try_from(row).unwrap_or(0) << KIND_BITS | u64::from(named.number()) }
    }

    /// The row, if it is of this kind.
    fn row(self, named: Named) -> Option<i64> {
        let is_of_kind = self.place & ((1 << KIND_BITS) - 1) == u64::from(named.number());
        is_of_kind.then(|| i64::try_from(self.place >> KIND_BITS).unwrap_or(0))
    }
}

/// Stored, so it is the same in every version.
fn hash(named: Named, name: &[u8]) -> u64 {
    let digest: [u8; 32] = Sha256::new().chain_update([named.number()]).chain_update(name).finalize().into();
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
