//! All names made anew from the rows that go by them: after a migration, and where a run is damaged.

use std::sync::Arc;

use rusqlite::Connection;

use super::run::{Run, Writing, newest, sweep};
use super::{Entry, STEP_PARTS, TAIL_LIMIT, hash, merge};
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
    fill_by(db, RUN_LIMIT)
}

fn fill_by(db: &Connection, run_limit: usize) -> Result<(), Error> {
    // A process may know a run by its number, so none is used again.
    let next = newest(db)? + 1;
    db.execute_batch("DELETE FROM name_log; DELETE FROM name_runs; DELETE FROM name_parts;")?;
    let mut filling = Filling { db, next, run_limit, written: 0, runs: Vec::new(), entries: Vec::new() };
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
    /// So many entries make a run.
    run_limit: usize,
    /// So many names were written.
    written: usize,
    /// The runs, as far as they were not merged.
    runs: Vec<Arc<Run>>,
    entries: Vec<Entry>,
}

impl Filling<'_> {
    fn push(&mut self, entry: Entry) -> Result<(), Error> {
        self.entries.push(entry);
        if self.entries.len() == self.run_limit { self.end_run() } else { Ok(()) }
    }

    fn end_run(&mut self) -> Result<(), Error> {
        if self.entries.is_empty() {
            return Ok(());
        }
        self.entries.sort_unstable();
        self.entries.dedup();
        self.written += self.entries.len();
        let mut writing = Writing::new(self.next, 1, self.entries.len());
        for entry in self.entries.drain(..) {
            writing.push(self.db, entry)?;
        }
        self.runs.push(Arc::new(writing.list(self.db)?));
        self.next += 1;
        tracing::info!(names = self.written, "the names of what is stored are made anew");
        self.merge()
    }

    /// Merges what is due at once, so that webhooks do not have to be answered beside it.
    fn merge(&mut self) -> Result<(), Error> {
        while let Some(mut merge) = merge::begin(&self.runs, self.next) {
            self.next += 1;
            while merge.step(self.db, STEP_PARTS)? {}
            let (gone, run) = merge.end(self.db)?;
            for id in &gone {
                while sweep(self.db, *id, STEP_PARTS)? {}
            }
            self.runs.retain(|run| !gone.contains(&run.id));
            self.runs.push(Arc::new(run));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{connect, migrations};
    use super::*;
    use crate::store::Access;
    use crate::store::sqlite::db::File;
    use crate::store::sqlite::names::Cache;

    #[test]
    fn what_is_made_anew_is_merged_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.db");
        let mut connection = connect(&path, Access::Scratch).unwrap();
        migrations::run(&mut connection, &path).unwrap();
        let file = File::new(connection, &Cache::default(), &Arc::default());
        let sql = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 950)
                   INSERT INTO inbox (id, source, received_at, headers, body, digest)
                   SELECT n, 'shop', 0, '', '', CAST(n AS BLOB) FROM numbers";
        file.execute_batch(&format!("BEGIN; {sql}")).unwrap();
        fill_by(&file, 100).unwrap();
        let levels = "SELECT group_concat(level || ':' || entries) FROM (SELECT * FROM name_runs ORDER BY id)";
        let levels: String = file.query_row(levels, [], |row| row.get(0)).unwrap();
        assert_eq!(levels, "2:800,1:100,1:50");
        let parts: i64 = file.query_row("SELECT COUNT(*) FROM name_parts", [], |row| row.get(0)).unwrap();
        assert_eq!(parts, 4 + 1 + 1, "of what was merged nothing is left");
        file.execute_batch("COMMIT").unwrap();
        for (number, rows) in [(1, vec![1]), (800, vec![800]), (950, vec![950]), (951, vec![])] {
            let found = file.names().unwrap().find(&file, Named::Request, i64::to_string(&number).as_bytes()).unwrap();
            assert_eq!(found, rows);
        }
    }
}
