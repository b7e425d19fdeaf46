//! A run: entries in the order of their hashes, written once, in parts of a page each.

use rusqlite::{Connection, params};

use super::Entry;
use super::filter::Filter;
use crate::store::Error;

/// Entries of a part, so that a part fills a page of 4096 bytes.
const PART: usize = 250;
/// Bytes of an entry.
const ENTRY: usize = 16;
/// The parts of a run have the numbers from its own number times this on.
const PARTS_OF_RUN: i64 = 1 << 24;

/// What is known of a run without looking at the file.
pub(super) struct Run {
    /// Its number, which is never used again.
    pub(super) id: i64,
    /// How often what is in it was merged.
    pub(super) level: u32,
    count: usize,
    /// The first hash of each part.
    firsts: Vec<u64>,
    filter: Filter,
}

/// Writes a run, part after part. It counts only once it is [listed](Writing::list).
pub(super) struct Writing {
    run: Run,
    part: Vec<Entry>,
}

impl Run {
    /// Reads a run that is listed.
    pub(super) fn load(db: &Connection, id: i64, level: u32, count: usize) -> Result<Self, Error> {
        let mut run = Self { id, level, count, firsts: Vec::with_capacity(count.div_ceil(PART)), filter: Filter::new(count) };
        let mut select = db.prepare_cached("SELECT entries FROM name_parts WHERE id >= ?1 AND id < ?2 ORDER BY id")?;
        let mut rows = select.query([id * PARTS_OF_RUN, (id + 1) * PARTS_OF_RUN])?;
        let mut found = 0;
        while let Some(row) = rows.next()? {
            let entries = read(row.get_ref(0)?.as_blob().map_err(|_| damaged(id))?);
            for (place, entry) in entries.enumerate() {
                if place == 0 {
                    run.firsts.push(entry.hash);
                }
                run.filter.insert(entry.hash);
                found += 1;
            }
        }
        // One that is not whole would let a sale be counted twice.
        if found == count { Ok(run) } else { Err(damaged(id)) }
    }

    /// Adds what stands under this hash.
    pub(super) fn find(&self, db: &Connection, hash: u64, found: &mut Vec<Entry>) -> Result<(), Error> {
        if !self.filter.may_have(hash) {
            return Ok(());
        }
        // Equal hashes may begin in the part before the first that begins with one.
        let first = self.firsts.partition_point(|first| *first < hash).saturating_sub(1);
        for place in first..self.firsts.len() {
            if self.firsts.get(place).is_some_and(|first| *first > hash) {
                break;
            }
            self.of_part(db, place, |part| {
                let (entries, _) = part.as_chunks::<ENTRY>();
                let start = entries.partition_point(|bytes| entry(bytes).hash < hash);
                found.extend(entries.iter().skip(start).map(entry).take_while(|entry| entry.hash == hash));
            })?;
        }
        Ok(())
    }

    /// How many entries it has.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many parts it has.
    pub(super) fn parts(&self) -> usize {
        self.firsts.len()
    }

    /// The entries of a part.
    pub(super) fn part(&self, db: &Connection, place: usize) -> Result<Vec<Entry>, Error> {
        self.of_part(db, place, |part| read(part).collect())
    }

    /// What is made of a part as it was written.
    fn of_part<T>(&self, db: &Connection, place: usize, make: impl FnOnce(&[u8]) -> T) -> Result<T, Error> {
        let number = i64::try_from(place).map_err(|_| damaged(self.id))?;
        let mut select = db.prepare_cached("SELECT entries FROM name_parts WHERE id = ?1")?;
        let mut rows = select.query([self.id * PARTS_OF_RUN + number])?;
        let row = rows.next()?.ok_or_else(|| damaged(self.id))?;
        Ok(make(row.get_ref(0)?.as_blob().map_err(|_| damaged(self.id))?))
    }
}

impl Writing {
    /// A run for at most so many entries, which must come in their order.
    pub(super) fn new(id: i64, level: u32, at_most: usize) -> Self {
        let firsts = Vec::with_capacity(at_most.div_ceil(PART));
        let run = Run { id, level, count: 0, firsts, filter: Filter::new(at_most) };
        Self { run, part: Vec::with_capacity(PART) }
    }

    pub(super) fn push(&mut self, db: &Connection, entry: Entry) -> Result<(), Error> {
        self.run.filter.insert(entry.hash);
        self.part.push(entry);
        if self.part.len() == PART { self.end_part(db) } else { Ok(()) }
    }

    /// The number of the run.
    pub(super) fn id(&self) -> i64 {
        self.run.id
    }

    /// How many parts are written.
    pub(super) fn parts(&self) -> usize {
        self.run.parts()
    }

    fn end_part(&mut self, db: &Connection) -> Result<(), Error> {
        let Some(first) = self.part.first() else { return Ok(()) };
        let place = i64::try_from(self.run.firsts.len()).map_err(|_| damaged(self.run.id))?;
        let mut insert = db.prepare_cached("INSERT INTO name_parts (id, entries) VALUES (?1, ?2)")?;
        insert.execute(params![self.run.id * PARTS_OF_RUN + place, written(&self.part)])?;
        self.run.firsts.push(first.hash);
        self.run.count += self.part.len();
        self.part.clear();
        Ok(())
    }

    /// Ends the run and lists it: from the commit on it counts.
    pub(super) fn list(mut self, db: &Connection) -> Result<Run, Error> {
        self.end_part(db)?;
        let mut insert = db.prepare_cached("INSERT INTO name_runs (id, level, entries) VALUES (?1, ?2, ?3)")?;
        insert.execute(params![self.run.id, self.run.level, self.run.count])?;
        Ok(self.run)
    }
}

/// Takes a run off the list. Its parts are [swept](sweep) afterwards.
pub(super) fn unlist(db: &Connection, id: i64) -> Result<(), Error> {
    db.prepare_cached("DELETE FROM name_runs WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Removes at most so many parts of a run that is not listed. Answers whether there may be more.
pub(super) fn sweep(db: &Connection, id: i64, limit: usize) -> Result<bool, Error> {
    let sql = "DELETE FROM name_parts WHERE id IN (SELECT id FROM name_parts WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3)";
    let count = db.prepare_cached(sql)?.execute(params![id * PARTS_OF_RUN, (id + 1) * PARTS_OF_RUN, limit])?;
    Ok(count == limit)
}

/// The highest number that a run has, listed or not; 0 where there is none.
pub(super) fn newest(db: &Connection) -> Result<i64, Error> {
    let sql = "SELECT MAX(COALESCE((SELECT MAX(id) FROM name_runs), 0), COALESCE((SELECT MAX(id) FROM name_parts), 0) / ?1)";
    Ok(db.query_row(sql, [PARTS_OF_RUN], |row| row.get(0))?)
}

/// The numbers of runs that have parts and are not listed: a process ended while it wrote or swept them.
pub(super) fn unlisted(db: &Connection) -> Result<Vec<i64>, Error> {
    let mut found = Vec::new();
    let mut after: i64 = 0;
    let sql = "SELECT id FROM name_parts WHERE id >= ?1 ORDER BY id LIMIT 1";
    loop {
        let next: Option<i64> = db.prepare_cached(sql)?.query_map([after], |row| row.get(0))?.next().transpose()?;
        let Some(part) = next else { return Ok(found) };
        let run = part / PARTS_OF_RUN;
        if !db.prepare_cached("SELECT 1 FROM name_runs WHERE id = ?1")?.exists([run])? {
            found.push(run);
        }
        after = (run + 1) * PARTS_OF_RUN;
    }
}

/// Entries as they are written.
pub(super) fn written<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<u8> {
    entries.into_iter().flat_map(|entry| [entry.hash.to_be_bytes(), entry.place.to_be_bytes()]).flatten().collect()
}

/// Entries as they were written.
pub(super) fn read(bytes: &[u8]) -> impl Iterator<Item = Entry> {
    bytes.as_chunks::<ENTRY>().0.iter().map(entry)
}

fn entry([a, b, c, d, e, f, g, h, place @ ..]: &[u8; ENTRY]) -> Entry {
    Entry { hash: u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), place: u64::from_be_bytes(*place) }
}

fn damaged(id: i64) -> Error {
    Error::Damaged(format!("run {id} of the names is not as it was written; the next `salebridge serve` makes all of them anew"))
}
