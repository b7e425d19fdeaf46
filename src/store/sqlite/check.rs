//! What only a file has to agree with: its own pages, and the mark up to which it is settled.

use rusqlite::Connection;

use crate::store::sql::check::{self, judge};
use crate::store::{CheckView, Error, FindingView};

/// So many faults of the pages are counted; one is as bad as many.
const FAULTS_LIMIT: usize = 100;

/// Requests beyond the mark are settled next, so it must not be beyond the newest: what came then would never be looked at.
const MARK: &str = "SELECT COUNT(*), MIN(settled_through) FROM progress
     WHERE settled_through > (SELECT COALESCE(MAX(id), 0) FROM inbox)";

pub(super) fn check(connection: &Connection) -> Result<CheckView, Error> {
    let mut view = check::check(connection)?;
    judge(connection, &mut view, "mark", "the mark of what is settled is beyond the newest request (request)", MARK)?;
    let faults = faults(connection)?;
    view.checks += 1;
    if let Some(first) = faults.first() {
        view.findings.push(FindingView {
            name: "integrity".to_owned(),
            wrong: format!("SQLite finds the file damaged: {first}"),
            count: u64::try_from(faults.len()).unwrap_or(u64::MAX),
            example: None,
        });
    }
    Ok(view)
}

/// What SQLite says of the file's pages and indexes; nothing where they are sound.
pub(super) fn faults(connection: &Connection) -> Result<Vec<String>, Error> {
    let mut select = connection.prepare(&format!("PRAGMA integrity_check({FAULTS_LIMIT})"))?;
    let lines = select.query_map([], |row| row.get::<_, String>(0))?;
    let lines = lines.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}
