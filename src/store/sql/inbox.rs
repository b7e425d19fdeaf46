//! Requests as they stand in the inbox.

use super::{Db, Row, dictionaries, question, values};
use crate::domain::{Headers, Request, RequestId, from_millis};
use crate::store::packing::headers_from_json;
use crate::store::{Error, StoredRequest};

/// So many bytes of bodies are read at once, however many rows were asked for.
const READ_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// So many bodies are asked for before it is looked at how long they are.
const READ_AT_ONCE: usize = 8;

/// The columns that [`read`] expects.
pub(in crate::store) const COLUMNS: &str = "id, source, received_at, url, headers, body, query, dictionary";
/// So many they are: the next one is somebody else's.
pub(in crate::store) const COLUMNS_END: usize = 8;
/// How long the body of a request is.
pub(in crate::store) const BODY_BYTES: &str = "COALESCE(body_bytes, length(body))";

/// A request as its row has it.
pub(in crate::store) struct Sealed {
    id: RequestId,
    /// Where it is packed without headers, and with the frame as its body.
    request: Request,
    /// By which dictionary it is packed; `None` where it is not.
    dictionary: Option<i64>,
}

pub(in crate::store) fn find(db: &dyn Db, id: RequestId) -> Result<Option<Request>, Error> {
    let found = db.row(&format!("SELECT {COLUMNS} FROM inbox WHERE id = ?1"), values![id], read)?;
    found.map(|sealed| sealed.open(db).map(|stored| stored.request)).transpose()
}

/// As many of these requests, in order, as are read at once.
pub(in crate::store) fn load(db: &dyn Db, ids: &[RequestId]) -> Result<Vec<StoredRequest>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM inbox WHERE id = ?1");
    let mut requests = Vec::new();
    let mut bytes = 0;
    for ids in ids.chunks(READ_AT_ONCE) {
        let questions: Vec<_> = ids.iter().map(|id| question![id]).collect();
        let mut found = Vec::with_capacity(questions.len());
        db.query_all(&sql, &questions, &mut |_, row| {
            found.push(read(row)?);
            Ok(())
        })?;
        for sealed in found {
            let stored = sealed.open(db)?;
            bytes += stored.request.body.len();
            requests.push(stored);
        }
        if bytes >= READ_LIMIT_BYTES {
            break;
        }
    }
    Ok(requests)
}

/// Reads a row of [`COLUMNS`].
pub(in crate::store) fn read(row: &Row<'_>) -> Result<Sealed, Error> {
    let dictionary: Option<i64> = row.get(7)?;
    let headers = if dictionary.is_some() { Headers::default() } else { headers_from_json(row.text(4)?)? };
    let request = Request {
        source: row.get(1)?,
        received_at: from_millis(row.get(2)?),
        url: row.get(3)?,
        headers,
        body: row.get(5)?,
        query: row.get(6)?,
        path_token: None,
        peer: None,
    };
    Ok(Sealed { id: row.get(0)?, request, dictionary })
}

impl Sealed {
    /// The request as it came.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it cannot be unpacked.
    pub(in crate::store) fn open(self, db: &dyn Db) -> Result<StoredRequest, Error> {
        let Self { id, mut request, dictionary } = self;
        if let Some(dictionary) = dictionary {
            let find = |id| dictionaries::find(db, id);
            let (headers, body) = db.packing().unpack(&request.body, dictionary, find)?;
            (request.headers, request.body) = (headers, body);
        }
        Ok(StoredRequest { id, request })
    }
}
