//! All names made anew from the rows that go by them: after a migration, and where a run is damaged.

use rusqlite::Connection;

use super::run::{Writing, newest};
use super::{Entry, TAIL_LIMIT, hash};
use crate::store::Error;
use crate::store::sql::names::Named;

/// So many entries are sorted at once and make a run, as if eight full tails had been merged.
const RUN_LIMIT: usize = 8 * TAIL_LIMIT;

/// The rows that go by names: their numbers, and their names.
pub(in crate::store::sqlite) const NAMED: [(Named, &str); 6] = [
    (Named::Request, "SELECT id, digest FROM inbox WHERE digest IS NOT NULL"),
    (Named::Event, "SELECT request, unique_id FROM events WHERE unique_id IS NOT NULL"),
    (Named::Key, "SELECT id, value FROM sale_keys"),
    (Named::Group, "SELECT id, value FROM sale_groups"),
    (Named::Customer, "SELECT id, customer FROM identities"),
    (Named::Person, "SELECT id, customer_external_id FROM identities WHERE customer_external_id IS NOT NULL"),
];

/// Makes all names anew. To be called inside a transaction.
pub(in crate::store::sqlite) fn fill(db: &Connection) -> Result<(), Error> {
    // A process may know a run by its number, so none is used again.
    let next = newest(db)? + 1;
    db.execute_batch("DELETE FROM name_log; DELETE FROM name_runs; DELETE FROM name_parts;")?;
    let mut filling = Filling { db, next, written: 0, entries: Vec::new() };
    for (named, sql) in NAMED {
        let mut select = db.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let name = row.get_ref(1)?.as_bytes().map_err(|_| Error::Damaged("a name that is none".to_owned()))?;
            filling.push(Entry::new(hash(named, name), named, row.get(0)?))?;
        }
    }
    filling.end_run()?;
    db.execute("UPDATE name_state SET is_filled = 1, changes = changes + 1", [])?;
    Ok(())
}

/// Names that are being made anew.
struct Filling<'a> {
    db: &'a Connection,
    /// The number of the next run.
    next: i64,
    /// How many were written.
    written: usize,
    entries: Vec<Entry>,
}

impl Filling<'_> {
    fn push(&mut self, entry: Entry) -> Result<(), Error> {
        self.entries.push(entry);
        if self.entries.len() == RUN_LIMIT { self.end_run() } else { Ok(()) }
    }

    fn end_run(&mut self) -> Result<(), Error> {
        if self.entries.is_empty() {
            return Ok(());
        }
        self.entries.sort_unstable();
        self.entries.dedup();
        let mut writing = Writing::new(self.next, 1, self.entries.len());
        for entry in self.entries.drain(..) {
            writing.push(self.db, entry)?;
        }
        writing.list(self.db)?;
        self.next += 1;
        self.written += 1;
        tracing::info!(runs = self.written, "the names of what is stored are made anew");
        Ok(())
    }
}
