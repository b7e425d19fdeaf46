//! Folds the write-ahead log into the file beside the commits, so that no commit has to.
//!
//! A commit waits while the disk takes what was folded. So a log is folded often while it grows: what few pages came meanwhile are taken
//! in a moment. Only in a burst nothing is folded before the log is full: a page that is written again and again is folded once.
//! Passive passes on a connection of its own then leave only a few pages; the writer folds those and starts the log anew.
//! Without that last step a busy log would never be started anew and would grow for ever.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, Row};

use super::writer::Handle;
use crate::store::Error;

/// How often the log is looked at.
const INTERVAL: Duration = Duration::from_millis(500);
/// How often at the most while it grows fast.
const SHORT_INTERVAL: Duration = Duration::from_millis(50);
/// Between two folds of a log that grows fast so many times as long passes as the one took: a slow disk is left to the commits.
const REST: u32 = 4;
/// How often while a reader stands in the way of starting the log anew.
const BUSY_INTERVAL: Duration = Duration::from_secs(2);
/// A log of so many pages (of 4 KiB) is started anew: 32 MiB.
const RESTART_PAGES: i64 = 8192;
/// So few pages are folded quickly enough for nobody to notice.
const FEW_PAGES: i64 = 128;
/// A writer that is always faster than the folding is not waited for longer than this.
const PASSES_LIMIT: usize = 8;

/// The thread that folds. Dropping it ends it.
pub(super) struct Checkpointer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(connection: Connection, writer: Handle) -> Result<Self, Error> {
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || {
                let (mut pause, mut before) = (INTERVAL, 0);
                while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    let (log, started) = (Log::look(&connection), Instant::now());
                    let grown = log.map_or(0, |log| log.grown(before));
                    let is_hindered = is_due(log, grown, writer.is_pressed()) && !fold(&connection, &writer);
                    pause = rest(is_hindered, grown, started.elapsed());
                    before = log.map_or(0, |log| log.pages);
                }
            })
            .map_err(|error| Error::Unusable(format!("the checkpoint thread cannot be started: {error}")))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// What is in the log.
#[derive(Debug, Clone, Copy)]
struct Log {
    pages: i64,
    folded: i64,
}

impl Log {
    /// The log as it is, where it can be looked at.
    fn look(connection: &Connection) -> Option<Self> {
        let log = |row: &Row<'_>| Ok(Self { pages: row.get(1)?, folded: row.get(2)? });
        connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], log).ok()
    }

    /// How many pages came since it had `before`, unless it was started anew.
    const fn grown(self, before: i64) -> i64 {
        if self.pages < before { self.pages } else { self.pages - before }
    }
}

/// Whether to fold a log that has grown by so many pages since the last look. Where it cannot be looked at, the fold says why.
fn is_due(log: Option<Log>, grown: i64, is_pressed: bool) -> bool {
    let Some(Log { pages, folded }) = log else { return true };
    let is_worth_it = pages - folded >= FEW_PAGES || (pages > folded && grown == 0);
    pages >= RESTART_PAGES || (is_worth_it && !is_pressed)
}

/// So long until the next look.
fn rest(is_hindered: bool, grown: i64, took: Duration) -> Duration {
    match is_hindered {
        true => BUSY_INTERVAL,
        false if grown >= FEW_PAGES => (took * REST).clamp(SHORT_INTERVAL, INTERVAL),
        false => INTERVAL,
    }
}

/// Folds what is in the log. Answers whether nothing stood in the way.
fn fold(connection: &Connection, writer: &Handle) -> bool {
    match fold_in_passes(connection) {
        Ok(pages) => {
            writer.set_full(false);
            pages < RESTART_PAGES || writer.restart_log()
        }
        Err(error) => {
            let is_full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
            writer.set_full(is_full);
            tracing::warn!(%error, "a checkpoint failed; the next one tries again");
            is_full // there may be room again at any moment
        }
    }
}

/// Passive passes, which wait for nobody, until one finds little that is new: each leaves only what was written meanwhile.
/// Answers with the pages in the log.
fn fold_in_passes(connection: &Connection) -> rusqlite::Result<i64> {
    let mut folded_before = 0;
    let mut pages = 0;
    for _ in 0..PASSES_LIMIT {
        let folded: i64;
        (pages, folded) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?)))?;
        if pages < RESTART_PAGES || folded - folded_before < FEW_PAGES {
            break;
        }
        folded_before = folded;
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_folded_in_small_pieces_and_in_a_burst_once_it_is_full() {
        let log = |pages, folded| Some(Log { pages, folded });
        assert!(is_due(log(FEW_PAGES, 0), 1, false) && !is_due(log(FEW_PAGES, 1), 1, false), "a few are left for the next look");
        assert!(is_due(log(8, 7), 0, false) && !is_due(log(8, 8), 0, false), "unless nobody writes");
        assert!(!is_due(log(RESTART_PAGES - 1, 0), 1, true) && is_due(log(RESTART_PAGES, 0), 1, true));
        assert!(is_due(log(RESTART_PAGES, RESTART_PAGES), 0, false), "it is to be started anew");
        assert!(is_due(None, 0, true), "it cannot be looked at: the fold says why");
        let grown = |before| Log { pages: 8, folded: 0 }.grown(before);
        assert_eq!((grown(5), grown(8), grown(9)), (3, 0, 8));
    }

    #[test]
    fn a_slow_disk_is_left_to_the_commits() {
        let millis = Duration::from_millis;
        assert_eq!(rest(false, FEW_PAGES, millis(2)), SHORT_INTERVAL);
        assert_eq!(rest(false, FEW_PAGES, millis(50)), millis(200));
        assert_eq!(rest(false, FEW_PAGES, millis(5_000)), INTERVAL);
        assert_eq!((rest(false, FEW_PAGES - 1, millis(2)), rest(true, FEW_PAGES, millis(2))), (INTERVAL, BUSY_INTERVAL));
    }
}
