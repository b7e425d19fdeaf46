//! Events that wait for something to be fetched, and the answers.

use std::time::Duration;

use super::inbox::{self, COLUMNS, COLUMNS_END};
use super::{Db, Unchanged, Value, question, values};
use crate::attribute::NewFetch;
use crate::domain::{Answer, RequestId, Timestamp, from_millis};
use crate::store::{Error, FetchOutcome, Fetched, Fetching, LONGEST_FETCH_DELAY};

/// So long nobody else fetches what somebody took on.
const LEASE: Duration = Duration::from_secs(60);

/// A listed event begins to wait.
pub(super) fn begin(db: &dyn Db, fetch: &NewFetch, now_millis: i64) -> Result<(), Error> {
    let sql = "INSERT INTO fetches VALUES (?1, ?2, ?3, 0, ?4, 0, ?4) ON CONFLICT (request, position) DO NOTHING";
    db.write(sql, values![fetch.request, fetch.position, fetch.source, now_millis])?;
    // What could not be had the last time is asked for again.
    let sql = "DELETE FROM answers WHERE request = ?1 AND position = ?2 AND failed <> 0";
    db.write(sql, values![fetch.request, fetch.position])?;
    Ok(())
}

/// Listed events wait no more.
///
/// # Errors
/// [`Error::Conflict`] where another replica ended them.
pub(in crate::store) fn end(db: &dyn Db, events: &[(RequestId, u16)]) -> Result<(), Error> {
    let gone = Unchanged::Conflict("another replica settled what was fetched");
    let sql = "DELETE FROM fetches WHERE request = ?1 AND position = ?2";
    events.iter().try_for_each(|(request, position)| db.put(sql, values![request, position], Some(gone)))
}

/// Whether all of these events still wait; where they do, nobody else ends them before this transaction does.
pub(in crate::store) fn are_there(db: &dyn Db, events: &[(RequestId, u16)]) -> Result<bool, Error> {
    let questions: Vec<Vec<Value<'_>>> = events.iter().map(|(request, position)| question![request, position]).collect();
    let sql = format!("SELECT 1 FROM fetches WHERE request = ?1 AND position = ?2{}", db.dialect().for_update);
    let mut found = 0;
    db.query_all(&sql, &questions, &mut |_, _| {
        found += 1;
        Ok(())
    })?;
    Ok(found == events.len())
}

/// Events that are due. Where several processes serve one store, nobody else gets them for so long.
pub(in crate::store) fn due(db: &dyn Db, source: &str, now: Timestamp, limit: usize) -> Result<Vec<Fetching>, Error> {
    let rest = "f.source = ?1 AND f.ready = 0 AND f.due_at <= ?2 ORDER BY f.due_at LIMIT ?3";
    if !db.dialect().is_shared {
        return select(db, rest, values![source, now.as_millisecond(), limit]);
    }
    let sql = format!("SELECT f.request, f.position FROM fetches f WHERE {rest}{}", db.dialect().skip_locked);
    let places: Vec<(RequestId, u16)> =
        db.rows(&sql, values![source, now.as_millisecond(), limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut found = Vec::new();
    for (request, position) in places {
        let until = now + LEASE;
        let sql = "UPDATE fetches SET due_at = ?3 WHERE request = ?1 AND position = ?2";
        db.write(sql, values![request, position, until.as_millisecond()])?;
        found.extend(select(db, "f.request = ?1 AND f.position = ?2", values![request, position])?);
    }
    Ok(found)
}

pub(in crate::store) fn next(db: &dyn Db, source: &str) -> Result<Option<Timestamp>, Error> {
    let millis: Option<i64> = db.value("SELECT MIN(due_at) FROM fetches WHERE source = ?1 AND ready = 0", values![source])?;
    Ok(millis.map(from_millis))
}

pub(in crate::store) fn ready(db: &dyn Db, limit: usize) -> Result<Vec<Fetching>, Error> {
    select(db, "f.ready = 1 ORDER BY f.request, f.position LIMIT ?1", values![limit])
}

pub(in crate::store) fn record(db: &dyn Db, fetched: &[Fetched], now: Timestamp) -> Result<(), Error> {
    for Fetched { request, position, outcome } in fetched {
        match outcome {
            FetchOutcome::Answered(answer) => {
                let (failed, text) = match &answer.result {
                    Ok(text) => (false, text),
                    Err(why) => (true, why),
                };
                let sql =
                    "INSERT INTO answers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (request, position, step) DO UPDATE
             SET path = ?4, failed = ?5, text = ?6, fetched_at = ?7 WHERE answers.path <> ?4";
                db.write(sql, values![request, position, answer.step, answer.path, failed, text, now.as_millisecond()])?;
                let sql = "UPDATE fetches SET due_at = ?3, attempts = 0 WHERE request = ?1 AND position = ?2";
                db.write(sql, values![request, position, now.as_millisecond()])?;
            }
            FetchOutcome::Ready => {
                let sql = "UPDATE fetches SET ready = 1 WHERE request = ?1 AND position = ?2";
                db.write(sql, values![request, position])?;
            }
            FetchOutcome::Later { delay, why } => {
                let due_at = now + *delay;
                let sql = "UPDATE fetches SET due_at = ?3, attempts = attempts + 1 WHERE request = ?1 AND position = ?2";
                db.write(sql, values![request, position, due_at.as_millisecond()])?;
                let sql = "UPDATE events SET reason = ?3 WHERE request = ?1 AND position = ?2 AND outcome = 'fetching'";
                db.write(sql, values![request, position, why])?;
            }
        }
    }
    Ok(())
}

/// Nothing waits since later than now, nor for longer than anything may: what says so was written by a clock that was ahead.
pub(super) fn set_back(db: &dyn Db, now: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE fetches SET due_at = ?1, since = CASE WHEN since > ?1 THEN ?1 ELSE since END
         WHERE ready = 0 AND (since > ?1 OR due_at > ?2)";
    db.write(sql, values![now.as_millisecond(), (now + LONGEST_FETCH_DELAY).as_millisecond()])
}

/// Events of sources that are not among these are looked at as they are.
pub(in crate::store) fn release(db: &dyn Db, but: &[String]) -> Result<(), Error> {
    let waiting: Vec<String> = db.rows("SELECT DISTINCT source FROM fetches WHERE ready = 0", &[], |row| row.get(0))?;
    for source in waiting.iter().filter(|source| !but.contains(source)) {
        db.write("UPDATE fetches SET ready = 1 WHERE ready = 0 AND source = ?1", values![source])?;
    }
    Ok(())
}

fn select(db: &dyn Db, rest: &str, values: &[Value<'_>]) -> Result<Vec<Fetching>, Error> {
    let columns = COLUMNS.split(", ").map(|name| format!("inbox.{name}")).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT {columns}, f.position, f.attempts, f.since FROM fetches f JOIN inbox ON inbox.id = f.request WHERE {rest}"
    );
    let sealed = db.rows(&sql, values, |row| {
        let [position, attempts, since] = [COLUMNS_END, COLUMNS_END + 1, COLUMNS_END + 2];
        Ok((inbox::read(row)?, row.get::<u16>(position)?, row.get::<u32>(attempts)?, row.get::<i64>(since)?))
    })?;
    let mut found = Vec::with_capacity(sealed.len());
    for (sealed, position, attempts, since) in sealed {
        let request = sealed.open(db)?;
        let answers = answers(db, request.id, position)?;
        found.push(Fetching { request, position, attempts, since: from_millis(since), answers });
    }
    Ok(found)
}

pub(super) fn answers(db: &dyn Db, request: RequestId, position: u16) -> Result<Vec<Answer>, Error> {
    let sql = "SELECT step, path, failed, text FROM answers WHERE request = ?1 AND position = ?2 ORDER BY step";
    db.rows(sql, values![request, position], |row| {
        let (failed, text): (bool, String) = (row.get(2)?, row.get(3)?);
        Ok(Answer { position, step: row.get(0)?, path: row.get(1)?, result: if failed { Err(text) } else { Ok(text) } })
    })
}
