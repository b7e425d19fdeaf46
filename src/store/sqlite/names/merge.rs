//! Several runs become one, a few parts at a time.

use std::sync::Arc;

use rusqlite::Connection;

use super::Entry;
use super::run::{Run, Writing, unlist};
use crate::store::Error;

/// So many runs of one level are merged.
const RUNS: usize = 8;
/// What was merged so often stays as it is: its runs are large, and merging them would hold a second filter of all of them.
const LEVELS: u32 = 2;

/// A merge that is under way. The run that it writes is not listed before it is whole; a process that ends before starts again.
pub(super) struct Merge {
    sources: Vec<Source>,
    writing: Writing,
    last: Option<Entry>,
}

/// A run that is read from its beginning to its end.
struct Source {
    run: Arc<Run>,
    next_part: usize,
    /// The entries of the present part, last first.
    entries: Vec<Entry>,
}

/// Whether there are enough runs of a level.
pub(super) fn is_due(runs: &[Arc<Run>]) -> bool {
    level(runs).is_some()
}

/// Begins a merge, where one is due, into a run of this number.
pub(super) fn begin(runs: &[Arc<Run>], id: i64) -> Option<Merge> {
    let level = level(runs)?;
    let chosen = runs.iter().filter(|run| run.level == level).take(RUNS);
    let source = |run: &Arc<Run>| Source { run: Arc::clone(run), next_part: 0, entries: Vec::new() };
    let sources: Vec<Source> = chosen.map(source).collect();
    let at_most = sources.iter().map(|source| source.run.count()).sum();
    Some(Merge { sources, writing: Writing::new(id, level + 1, at_most), last: None })
}

/// The lowest level of which there are enough runs.
fn level(runs: &[Arc<Run>]) -> Option<u32> {
    (0..LEVELS).find(|level| runs.iter().filter(|run| run.level == *level).count() >= RUNS)
}

impl Merge {
    pub(super) fn id(&self) -> i64 {
        self.writing.id()
    }

    /// Writes about so many parts. Answers whether there is more to merge.
    pub(super) fn step(&mut self, db: &Connection, parts: usize) -> Result<bool, Error> {
        let enough = self.writing.parts() + parts;
        while self.writing.parts() < enough {
            let mut first: Option<(Entry, usize)> = None;
            for (place, source) in self.sources.iter_mut().enumerate() {
                let Some(entry) = source.peek(db)? else { continue };
                if first.is_none_or(|(least, _)| entry < least) {
                    first = Some((entry, place));
                }
            }
            let Some((entry, place)) = first else { return Ok(false) };
            self.sources[place].entries.pop();
            if self.last != Some(entry) {
                self.writing.push(db, entry)?;
                self.last = Some(entry);
            }
        }
        Ok(true)
    }

    /// Lists what was written in the place of what was read. Answers with the numbers of the runs that are gone, and the new run.
    pub(super) fn end(self, db: &Connection) -> Result<(Vec<i64>, Run), Error> {
        let gone: Vec<i64> = self.sources.iter().map(|source| source.run.id).collect();
        gone.iter().try_for_each(|id| unlist(db, *id))?;
        Ok((gone, self.writing.list(db)?))
    }
}

impl Source {
    fn peek(&mut self, db: &Connection) -> Result<Option<Entry>, Error> {
        if self.entries.is_empty() && self.next_part < self.run.parts() {
            self.entries = self.run.part(db, self.next_part)?;
            self.entries.reverse();
            self.next_part += 1;
        }
        Ok(self.entries.last().copied())
    }
}
