//! Folds the write-ahead log into the file beside the commits, so that no commit has to.
//!
//! Nothing is folded before the log is full, or nobody writes: a page that is written again and again is folded once. Passive passes on a
//! connection of its own then leave only a few pages; the writer folds those and starts the log anew.
//! Without that last step a busy log would never be started anew and would grow for ever.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::writer::Handle;
use crate::store::Error;

/// How often the log is looked at.
const INTERVAL: Duration = Duration::from_millis(500);
/// How often while a reader stands in the way of starting the log anew.
const BUSY_INTERVAL: Duration = Duration::from_secs(2);
/// A log of so many pages (of 4 KiB) is started anew: 32 MiB.
const RESTART_PAGES: i64 = 8192;
/// The writer folds so few pages quickly enough for nobody to notice.
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
                let (mut pause, mut before) = (INTERVAL, None);
                while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    let pages = pages(&connection);
                    let is_hindered = !is_filling(before, pages) && !fold(&connection, &writer);
                    (pause, before) = (if is_hindered { BUSY_INTERVAL } else { INTERVAL }, pages);
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

/// The pages in the log, where it can be looked at.
fn pages(connection: &Connection) -> Option<i64> {
    connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).ok()
}

/// Whether a log is still filling: much of what is in it will be written again, and is folded once instead of at every look.
fn is_filling(before: Option<i64>, pages: Option<i64>) -> bool {
    pages.is_some_and(|pages| pages < RESTART_PAGES) && pages != before
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
    fn a_log_is_folded_once_it_is_full_or_nobody_writes() {
        assert!(is_filling(None, Some(7)) && is_filling(Some(7), Some(8)) && is_filling(Some(RESTART_PAGES), Some(8)));
        assert!(!is_filling(Some(8), Some(8)), "nobody writes");
        assert!(!is_filling(Some(8), Some(RESTART_PAGES)), "it is full");
        assert!(!is_filling(None, None), "it cannot be looked at: the fold says why");
    }
}
