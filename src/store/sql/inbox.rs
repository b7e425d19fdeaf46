//! Requests as they stand in the inbox.

use super::{Db, Row, question, values};
use crate::domain::{Headers, Request, RequestId, from_millis};
use crate::store::{Error, StoredRequest};

/// Headers whose values are credentials; everything else is kept as it came.
const CREDENTIALS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// So many bytes of bodies are read at once, however many rows were asked for.
const READ_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// So many bodies are asked for before it is looked at how long they are.
const READ_AT_ONCE: usize = 8;

/// The columns that [`read`] expects.
pub(in crate::store) const COLUMNS: &str = "id, source, received_at, url, headers, body, query";

pub(in crate::store) fn find(db: &dyn Db, id: RequestId) -> Result<Option<Request>, Error> {
    db.row(&format!("SELECT {COLUMNS} FROM inbox WHERE id = ?1"), values![id], read)
}

/// As many of these requests, in order, as are read at once.
pub(in crate::store) fn load(db: &dyn Db, ids: &[RequestId]) -> Result<Vec<StoredRequest>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM inbox WHERE id = ?1");
    let mut requests = Vec::new();
    let mut bytes = 0;
    for ids in ids.chunks(READ_AT_ONCE) {
        let questions: Vec<_> = ids.iter().map(|id| question![id]).collect();
        db.query_all(&sql, &questions, &mut |_, row| {
            let request = read(row)?;
            bytes += request.body.len();
            requests.push(StoredRequest { id: row.get(0)?, request });
            Ok(())
        })?;
        if bytes >= READ_LIMIT_BYTES {
            break;
        }
    }
    Ok(requests)
}

pub(in crate::store) fn read(row: &Row<'_>) -> Result<Request, Error> {
    Ok(Request {
        source: row.get(1)?,
        received_at: from_millis(row.get(2)?),
        url: row.get(3)?,
        headers: headers_from_json(row.text(4)?)?,
        body: row.get(5)?,
        query: row.get(6)?,
        path_token: None,
        peer: None,
    })
}

/// Headers as they are stored.
pub(in crate::store) fn headers_to_json(headers: &Headers) -> String {
    let shown = |(name, value)| if CREDENTIALS.contains(&name) { (name, "[redacted]") } else { (name, value) };
    let pairs: Vec<(&str, &str)> = headers.iter().map(shown).collect();
    serde_json::to_string(&pairs).expect("pairs of texts are JSON")
}

pub(super) fn headers_from_json(text: &str) -> Result<Headers, Error> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text)?;
    let mut headers = Headers::default();
    for (name, value) in pairs {
        headers.add(&name, value);
    }
    Ok(headers)
}
