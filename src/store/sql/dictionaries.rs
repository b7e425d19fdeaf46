//! Dictionaries by which requests are packed, and what they are learned from.

use super::inbox;
use super::{Db, values};
use crate::domain::{Request, RequestId, Timestamp};
use crate::store::Error;
use crate::store::packing::{Packing, SAMPLES_LIMIT, SAMPLES_LIMIT_BYTES};

/// Samples are looked for among so many of the newest requests that are settled.
const WINDOW: RequestId = 20_000;
/// Fewer say too little about those to come.
const SAMPLES_LEAST: usize = 64;

/// Reads which dictionary is the newest of each source, and how many of its requests came.
pub(in crate::store) fn load(db: &dyn Db, packing: &Packing) -> Result<(), Error> {
    let sql = "SELECT source, CAST(SUM(number) AS BIGINT) FROM tallies WHERE what = 'request' GROUP BY source";
    let counts: Vec<(String, i64)> = db.rows(sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (source, seen) in counts {
        packing.start(&source, count(seen));
        adopt(db, packing, &source, 0)?;
    }
    Ok(())
}

/// The bytes of a dictionary.
pub(in crate::store) fn find(db: &dyn Db, id: i64) -> Result<Option<Vec<u8>>, Error> {
    db.row("SELECT bytes FROM dictionaries WHERE id = ?1", values![id], |row| row.get(0))
}

/// Begins with the newest dictionary of a source, if it was learned from more than so many requests. Answers whether there is one.
pub(in crate::store) fn adopt(db: &dyn Db, packing: &Packing, source: &str, more_than: u64) -> Result<bool, Error> {
    let sql = "SELECT id, bytes, learned_from FROM dictionaries WHERE source = ?1 AND learned_from > ?2 ORDER BY id DESC LIMIT 1";
    let more_than = i64::try_from(more_than).unwrap_or(i64::MAX);
    let newest: Option<(i64, Vec<u8>, i64)> =
        db.row(sql, values![source, more_than], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if let Some((id, bytes, learned_from)) = &newest {
        packing.begin(source, *id, bytes, count(*learned_from));
    }
    Ok(newest.is_some())
}

/// The newest requests of a source that belong to sales, enough to learn from; none where there are too few. A dictionary holds pieces of
/// what it was learned from, and retention never removes these.
pub(in crate::store) fn samples(db: &dyn Db, source: &str) -> Result<Vec<Request>, Error> {
    // In a burst the newest are not settled for a while: however many wait, there are samples.
    let sql =
        "SELECT DISTINCT request FROM events WHERE request > (SELECT COALESCE(MAX(request), 0) FROM events) - ?1 AND source = ?2
         AND sale IS NOT NULL ORDER BY request DESC LIMIT ?3";
    let ids: Vec<RequestId> = db.rows(sql, values![WINDOW, source, SAMPLES_LIMIT], |row| row.get(0))?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    for id in ids {
        found.extend(inbox::find(db, id)?);
        bytes += found.last().map_or(0, |request| request.body.len());
        if bytes > SAMPLES_LIMIT_BYTES {
            break;
        }
    }
    if found.len() < SAMPLES_LEAST {
        found.clear();
    }
    Ok(found)
}

/// Keeps a new dictionary and answers with its number.
pub(in crate::store) fn keep(db: &dyn Db, source: &str, bytes: &[u8], learned_from: u64, now: Timestamp) -> Result<i64, Error> {
    let sql = "INSERT INTO dictionaries (source, learned_from, made_at, bytes) VALUES (?1, ?2, ?3, ?4)";
    let learned_from = i64::try_from(learned_from).unwrap_or(i64::MAX);
    db.insert(sql, values![source, learned_from, now.as_millisecond(), bytes])
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
