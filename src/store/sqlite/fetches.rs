//! Events that wait for something to be fetched, and the answers.

use rusqlite::{Connection, Row, ToSql, params};

use super::inbox::{self, COLUMNS};
use crate::attribute::NewFetch;
use crate::domain::{Answer, RequestId, Timestamp, from_millis};
use crate::store::{Error, FetchOutcome, Fetched, Fetching, StoredRequest};

/// A listed event begins to wait.
pub(super) fn begin(connection: &Connection, fetch: &NewFetch, now_millis: i64) -> Result<(), Error> {
    let sql = "INSERT INTO fetches VALUES (?1, ?2, ?3, 0, ?4, 0, ?4) ON CONFLICT (request, position) DO NOTHING";
    connection.prepare_cached(sql)?.execute(params![fetch.request, fetch.position, fetch.source, now_millis])?;
    // What could not be had the last time is asked for again.
    let sql = "DELETE FROM answers WHERE request = ?1 AND position = ?2 AND failed";
    connection.prepare_cached(sql)?.execute(params![fetch.request, fetch.position])?;
    Ok(())
}

/// Listed events wait no more.
pub(super) fn end(connection: &Connection, events: &[(RequestId, u16)]) -> Result<(), Error> {
    let mut delete = connection.prepare_cached("DELETE FROM fetches WHERE request = ?1 AND position = ?2")?;
    for (request, position) in events {
        delete.execute(params![request, position])?;
    }
    Ok(())
}

pub(super) fn due(connection: &Connection, source: &str, now: Timestamp, limit: usize) -> Result<Vec<Fetching>, Error> {
    let rest = "f.source = ?1 AND f.ready = 0 AND f.due_at <= ?2 ORDER BY f.due_at LIMIT ?3";
    select(connection, rest, params![source, now.as_millisecond(), limit])
}

pub(super) fn next(connection: &Connection, source: &str) -> Result<Option<Timestamp>, Error> {
    let mut select = connection.prepare_cached("SELECT MIN(due_at) FROM fetches WHERE source = ?1 AND ready = 0")?;
    let millis: Option<i64> = select.query_row([source], |row| row.get(0))?;
    Ok(millis.map(from_millis))
}

pub(super) fn ready(connection: &Connection, limit: usize) -> Result<Vec<Fetching>, Error> {
    select(connection, "f.ready = 1 ORDER BY f.request, f.position LIMIT ?1", params![limit])
}

pub(super) fn record(connection: &Connection, fetched: &[Fetched], now: Timestamp) -> Result<(), Error> {
    for Fetched { request, position, outcome } in fetched {
        match outcome {
            FetchOutcome::Answered(answer) => {
                let (failed, text) = match &answer.result {
                    Ok(text) => (false, text),
                    Err(why) => (true, why),
                };
                let sql =
                    "INSERT INTO answers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (request, position, step) DO UPDATE
             SET path = ?4, failed = ?5, text = ?6, fetched_at = ?7 WHERE path <> ?4";
                let mut insert = connection.prepare_cached(sql)?;
                insert.execute(params![request, position, answer.step, answer.path, failed, text, now.as_millisecond()])?;
                let sql = "UPDATE fetches SET due_at = ?3, attempts = 0 WHERE request = ?1 AND position = ?2";
                connection.prepare_cached(sql)?.execute(params![request, position, now.as_millisecond()])?;
            }
            FetchOutcome::Ready => {
                let sql = "UPDATE fetches SET ready = 1 WHERE request = ?1 AND position = ?2";
                connection.prepare_cached(sql)?.execute(params![request, position])?;
            }
            FetchOutcome::Later { due_at, why } => {
                let sql = "UPDATE fetches SET due_at = ?3, attempts = attempts + 1 WHERE request = ?1 AND position = ?2";
                connection.prepare_cached(sql)?.execute(params![request, position, due_at.as_millisecond()])?;
                let sql = "UPDATE events SET reason = ?3 WHERE request = ?1 AND position = ?2 AND outcome = 'fetching'";
                connection.prepare_cached(sql)?.execute(params![request, position, why])?;
            }
        }
    }
    Ok(())
}

/// Events of sources that are not among these are looked at as they are.
pub(super) fn release(connection: &Connection, but: &[String]) -> Result<(), Error> {
    let sql = "UPDATE fetches SET ready = 1 WHERE ready = 0 AND source NOT IN (SELECT value FROM json_each(?1))";
    connection.prepare_cached(sql)?.execute([serde_json::to_string(but)?])?;
    Ok(())
}

fn select(connection: &Connection, rest: &str, values: &[&dyn ToSql]) -> Result<Vec<Fetching>, Error> {
    let columns = COLUMNS.split(", ").map(|name| format!("inbox.{name}")).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT {columns}, f.position, f.attempts, f.since FROM fetches f JOIN inbox ON inbox.id = f.request WHERE {rest}"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(fetching(connection, row)?);
    }
    Ok(found)
}

fn fetching(connection: &Connection, row: &Row<'_>) -> Result<Fetching, Error> {
    let (id, position): (RequestId, u16) = (row.get(0)?, row.get(7)?);
    Ok(Fetching {
        request: StoredRequest { id, request: inbox::read(row)? },
        position,
        attempts: row.get(8)?,
        since: from_millis(row.get(9)?),
        answers: answers(connection, id, position)?,
    })
}

pub(super) fn answers(connection: &Connection, request: RequestId, position: u16) -> Result<Vec<Answer>, Error> {
    let sql = "SELECT step, path, failed, text FROM answers WHERE request = ?1 AND position = ?2 ORDER BY step";
    let mut select = connection.prepare_cached(sql)?;
    let answers = select.query_map(params![request, position], |row| {
        let (failed, text): (bool, String) = (row.get(2)?, row.get(3)?);
        Ok(Answer { position, step: row.get(0)?, path: row.get(1)?, result: if failed { Err(text) } else { Ok(text) } })
    })?;
    Ok(answers.collect::<Result<_, _>>()?)
}
