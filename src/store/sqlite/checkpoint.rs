//! Folds the write-ahead log into the file beside the commits, so that no commit has to.
//!
//! Passive passes on a connection of its own leave only a few pages; the writer then folds those and starts the log anew.
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
                let mut pause = INTERVAL;
                while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    pause = if fold(&connection, &writer) { INTERVAL } else { BUSY_INTERVAL };
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

/// One look at the log. Answers whether nothing stood in the way.
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
