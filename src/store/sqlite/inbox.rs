//! The inbox: verified requests, appended and read back in order.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::domain::{Headers, Request, RequestId, from_millis};
use crate::store::{Appended, Error, Fingerprint, StoredRequest};

/// Headers whose values are credentials; everything else is kept as it came.
const CREDENTIALS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// So many bytes of bodies are read at once, however many rows were asked for.
const READ_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// The columns that [`read`] expects.
pub(super) const COLUMNS: &str = "id, source, received_at, url, headers, body, query";

/// Appends a request inside the open transaction, or finds the one of the same fingerprint.
pub(super) fn append(connection: &Connection, request: &Request, fingerprint: Option<Fingerprint>) -> Result<Appended, Error> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO inbox (source, received_at, url, headers, body, digest, query) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (digest) DO NOTHING",
    )?;
    let inserted = insert.execute(params![
        request.source,
        request.received_at.as_millisecond(),
        request.url,
        headers_to_json(&request.headers),
        request.body,
        fingerprint,
        request.query,
    ])?;
    if inserted == 1 {
        return Ok(Appended::New(connection.last_insert_rowid()));
    }
    let mut known = connection.prepare_cached("SELECT id FROM inbox WHERE digest = ?1")?;
    Ok(Appended::Duplicate(known.query_row([fingerprint], |row| row.get(0))?))
}

pub(super) fn unsettled(connection: &Connection, after: RequestId, limit: usize) -> Result<Vec<StoredRequest>, Error> {
    let mut select = connection.prepare_cached(
        "SELECT id, source, received_at, url, headers, body, query FROM inbox
         WHERE id > MAX(?1, (SELECT settled_through FROM progress)) ORDER BY id LIMIT ?2",
    )?;
    let mut rows = select.query(params![after, limit])?;
    let mut requests = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let request = read(row)?;
        bytes += request.body.len();
        requests.push(StoredRequest { id: row.get(0)?, request });
        if bytes >= READ_LIMIT_BYTES {
            break;
        }
    }
    Ok(requests)
}

pub(super) fn find(connection: &Connection, id: RequestId) -> Result<Option<Request>, Error> {
    let mut select = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM inbox WHERE id = ?1"))?;
    select.query_row([id], |row| Ok(read(row))).optional()?.transpose()
}

pub(super) fn read(row: &Row<'_>) -> Result<Request, Error> {
    Ok(Request {
        source: row.get(1)?,
        received_at: from_millis(row.get(2)?),
        url: row.get(3)?,
        headers: headers_from_json(row.get_ref(4)?.as_str().map_err(|error| Error::Damaged(error.to_string()))?)?,
        body: row.get(5)?,
        query: row.get(6)?,
        path_token: None,
        peer: None,
    })
}

fn headers_to_json(headers: &Headers) -> String {
    let shown = |(name, value)| if CREDENTIALS.contains(&name) { (name, "[redacted]") } else { (name, value) };
    let pairs: Vec<(&str, &str)> = headers.iter().map(shown).collect();
    serde_json::to_string(&pairs).expect("pairs of texts are JSON")
}

fn headers_from_json(text: &str) -> Result<Headers, Error> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text)?;
    let mut headers = Headers::default();
    for (name, value) in pairs {
        headers.add(&name, value);
    }
    Ok(headers)
}
