//! Requests that were refused: the newest of each cause, and how often each kind came.

use super::row::damaged;
use super::{Db, Row, Value, tallies, values};
use crate::domain::{Request, Tallied, Tallies, Tally, Timestamp, from_millis};
use crate::store::{Error, Pruned, RefusedCountView, RefusedId, RefusedRequest, RefusedTally, RefusedView, WhichRefused};
use crate::verify::TokenMark;

/// How a path token is marked.
const ABSENT: i64 = 0;
const RIGHT: i64 = 1;
const OTHER: i64 = 2;

const VIEW_COLUMNS: &str = "r.id, r.source, r.received_at, r.code, r.cause, r.finding, r.diagnosis, r.body_bytes,
    CASE WHEN r.body IS NULL THEN 0 ELSE 1 END, COALESCE(c.count, 0)";
const VIEW_FROM: &str = "refused r LEFT JOIN refused_counts c ON c.source = r.source AND c.code = r.code";

pub(in crate::store) fn keep(
    db: &dyn Db,
    kept: &[RefusedRequest],
    counts: &[RefusedTally],
    per_cause: usize,
) -> Result<(), Error> {
    let mut hourly = Tallies::default();
    for RefusedTally { source, code, count, first_at, last_at } in counts {
        let sql = "INSERT INTO refused_counts (source, code, count, first_at, last_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (source, code) DO UPDATE SET count = refused_counts.count + excluded.count,
                 last_at = CASE WHEN excluded.last_at > refused_counts.last_at THEN excluded.last_at ELSE refused_counts.last_at END";
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        hourly.add(Tally::new(Tallied::Refused, *last_at, source.as_str(), code.as_str()), count, 0);
        db.write(sql, values![source, code, count, first_at.as_millisecond(), last_at.as_millisecond()])?;
    }
    for refused in kept {
        insert(db, refused)?;
        let RefusedRequest { request, code, finding, .. } = refused;
        let sql = "DELETE FROM refused WHERE source = ?1 AND code = ?2 AND finding = ?3 AND id NOT IN (
             SELECT id FROM refused WHERE source = ?1 AND code = ?2 AND finding = ?3 ORDER BY id DESC LIMIT ?4)";
        db.write(sql, values![request.source, code, finding, per_cause])?;
    }
    let last = counts.iter().map(|count| count.last_at).max();
    last.map_or(Ok(()), |last| tallies::add(db, &hourly, last))
}

fn insert(db: &dyn Db, refused: &RefusedRequest) -> Result<(), Error> {
    let request = &refused.request;
    let headers: Vec<(&str, &str)> = request.headers.iter().collect();
    let (token, hash) = match &refused.token {
        TokenMark::Absent => (ABSENT, None),
        TokenMark::Right => (RIGHT, None),
        TokenMark::Other(hash) => (OTHER, Some(hash)),
    };
    let json = |list: &[String]| serde_json::to_string(list).expect("texts are JSON");
    db.write(
        "INSERT INTO refused (source, received_at, code, finding, cause, diagnosis, url, query, headers, private_headers, \
         private_queries,
             body, body_bytes, connection, token, token_hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        values![
            request.source,
            request.received_at.as_millisecond(),
            refused.code,
            refused.finding,
            refused.cause,
            refused.diagnosis.to_string(),
            request.url,
            request.query,
            serde_json::to_string(&headers).expect("pairs of texts are JSON"),
            json(&refused.private_headers),
            json(&refused.private_queries),
            refused.has_body.then_some(&request.body),
            refused.body_bytes,
            refused.connection.map(|address| address.to_string()),
            token,
            hash,
        ],
    )
}

pub(in crate::store) fn list(db: &dyn Db, which: &WhichRefused) -> Result<Vec<RefusedView>, Error> {
    let mut given: Vec<Value<'_>> = vec![Value::Integer(which.before.unwrap_or(i64::MAX))];
    let mut rest = "";
    if let Some(source) = &which.source {
        given.push(Value::owned(source.clone()));
        rest = " AND r.source = ?2";
    }
    let limit = i64::try_from(which.limit).unwrap_or(i64::MAX);
    given.push(Value::Integer(limit));
    let sql = format!("SELECT {VIEW_COLUMNS} FROM {VIEW_FROM} WHERE r.id < ?1{rest} ORDER BY r.id DESC LIMIT ?{}", given.len());
    db.rows(&sql, &given, view)
}

pub(in crate::store) fn find(db: &dyn Db, id: RefusedId) -> Result<Option<(RefusedView, RefusedRequest)>, Error> {
    let sql = format!("SELECT {VIEW_COLUMNS} FROM {VIEW_FROM} WHERE r.id = ?1");
    let Some(view) = db.row(&sql, values![id], view)? else { return Ok(None) };
    let sql = "SELECT source, received_at, code, finding, cause, diagnosis, url, query, headers, private_headers, \
     private_queries, body,
             body_bytes, connection, token, token_hash
         FROM refused WHERE id = ?1";
    Ok(db.row(sql, values![id], read)?.map(|refused| (view, refused)))
}

pub(in crate::store) fn counts(db: &dyn Db) -> Result<Vec<RefusedCountView>, Error> {
    let sql = "SELECT source, code, count, first_at, last_at,
             (SELECT COUNT(*) FROM refused r WHERE r.source = refused_counts.source AND r.code = refused_counts.code)
         FROM refused_counts ORDER BY source, code";
    db.rows(sql, &[], |row| {
        let (first_at, last_at): (i64, i64) = (row.get(3)?, row.get(4)?);
        Ok(RefusedCountView {
            source: row.get(0)?,
            code: row.get(1)?,
            count: row.get(2)?,
            kept: row.get(5)?,
            first_at: from_millis(first_at).to_string(),
            last_at: from_millis(last_at).to_string(),
        })
    })
}

pub(in crate::store) fn remove(db: &dyn Db, ids: &[RefusedId]) -> Result<usize, Error> {
    ids.iter().try_fold(0, |removed, id| Ok(removed + db.execute("DELETE FROM refused WHERE id = ?1", values![id])?))
}

/// The table is small by its own bounds, so it needs no place from which to go on.
pub(in crate::store) fn prune(db: &dyn Db, before: Timestamp, limit: usize) -> Result<Pruned, Error> {
    let before = before.as_millisecond();
    let sql = "SELECT id FROM refused WHERE received_at < ?1 ORDER BY id LIMIT ?2";
    let found: Vec<RefusedId> = db.rows(sql, values![before, limit], |row| row.get(0))?;
    let count = remove(db, &found)?;
    let sql = "DELETE FROM refused_counts WHERE last_at < ?1 AND NOT EXISTS (
         SELECT 1 FROM refused r WHERE r.source = refused_counts.source AND r.code = refused_counts.code)";
    db.write(sql, values![before])?;
    Ok(Pruned { count, next: (found.len() >= limit).then_some(0) })
}

fn view(row: &Row<'_>) -> Result<RefusedView, Error> {
    let received_at: i64 = row.get(2)?;
    Ok(RefusedView {
        id: row.get(0)?,
        source: row.get(1)?,
        received_at: from_millis(received_at).to_string(),
        code: row.get(3)?,
        cause: row.get(4)?,
        finding: row.get(5)?,
        diagnosis: serde_json::from_str(row.text(6)?)?,
        body_bytes: row.get(7)?,
        body_kept: row.get(8)?,
        count: row.get(9)?,
    })
}

fn read(row: &Row<'_>) -> Result<RefusedRequest, Error> {
    let body: Option<Vec<u8>> = row.get(11)?;
    let connection: Option<String> = row.get(13)?;
    let (token, hash): (i64, Option<Vec<u8>>) = (row.get(14)?, row.get(15)?);
    let token = match (token, hash.map(|hash| hash.try_into())) {
        (ABSENT, None) => TokenMark::Absent,
        (RIGHT, None) => TokenMark::Right,
        (OTHER, Some(Ok(hash))) => TokenMark::Other(hash),
        _ => return Err(damaged("the mark of a path token")),
    };
    Ok(RefusedRequest {
        request: Request {
            source: row.get(0)?,
            received_at: from_millis(row.get(1)?),
            url: row.get(6)?,
            query: row.get(7)?,
            headers: crate::store::packing::headers_from_json(row.text(8)?)?,
            body: body.clone().unwrap_or_default(),
            path_token: None,
            peer: None,
        },
        body_bytes: row.get(12)?,
        has_body: body.is_some(),
        connection: connection.and_then(|address| address.parse().ok()),
        token,
        code: row.get(2)?,
        cause: row.get(4)?,
        finding: row.get(3)?,
        diagnosis: serde_json::from_str(row.text(5)?)?,
        private_headers: serde_json::from_str(row.text(9)?)?,
        private_queries: serde_json::from_str(row.text(10)?)?,
    })
}
