//! What only a file has to agree with: its own pages, and the mark up to which it is settled.

use rusqlite::Connection;

use super::db::File;
use super::names::NAMED;
use crate::store::sql::Db as _;
use crate::store::sql::check::{self, judge};
use crate::store::{CheckView, Error, FindingView};

/// So many faults of the pages are counted; one is as bad as many.
const FAULTS_LIMIT: usize = 100;

/// Requests beyond the mark are settled next, so it must not be beyond the newest: what came then would never be looked at.
const MARK: &str = "SELECT COUNT(*), MIN(settled_through) FROM progress
     WHERE settled_through > (SELECT COALESCE(MAX(id), 0) FROM inbox)";

pub(super) fn check(file: &File) -> Result<CheckView, Error> {
    let mut view = check::check(file)?;
    judge(file, &mut view, "mark", "the mark of what is settled is beyond the newest request (request)", MARK)?;
    names(file, &mut view)?;
    let faults = faults(file)?;
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

/// Whatever goes by a name must be found by it, or it could be stored or counted a second time.
fn names(file: &File, view: &mut CheckView) -> Result<(), Error> {
    view.checks += 1;
    let (mut count, mut example) = (0, None);
    for (named, sql) in NAMED {
        let mut select = file.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (id, name): (i64, Vec<u8>) = (row.get(0)?, row.get_ref(1)?.as_bytes().unwrap_or_default().to_owned());
            if !file.named(named, &name)?.is_some_and(|found| found.contains(&id)) {
                count += 1;
                example = example.or(Some(id));
            }
        }
    }
    if count > 0 {
        let wrong = "a row is not found by its name, so it could be stored or counted a second time (its number)".to_owned();
        view.findings.push(FindingView { name: "names".to_owned(), wrong, count, example });
    }
    Ok(())
}

/// What SQLite says of the file's pages and indexes; nothing where they are sound.
pub(super) fn faults(connection: &Connection) -> Result<Vec<String>, Error> {
    let mut select = connection.prepare(&format!("PRAGMA integrity_check({FAULTS_LIMIT})"))?;
    let lines = select.query_map([], |row| row.get::<_, String>(0))?;
    let lines = lines.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}
