//! Requests as they stand in the inbox.

use super::{Db, Row, Value, dictionaries, question, values};
use crate::domain::{Headers, Request, RequestId, from_millis};
use crate::store::packing::headers_from_json;
use crate::store::{Error, StoredRequest};

/// So many bytes of bodies are read at once, however many rows were asked for.
const READ_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// So many bodies are asked for before it is looked at how long they are.
const READ_AT_ONCE: usize = 8;
/// Where their lengths are asked for first, so many bytes of bodies are asked for at once.
const PORTION_BYTES: usize = 1024 * 1024;

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
    for ids in portions(db, ids)? {
        let mut found = Vec::with_capacity(ids.len());
        db.query_all(&sql, &questions(ids), &mut |_, row| {
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

/// In which portions requests are asked for: a few at once, or, where each portion is a way to a database that may be far away, as many
/// as their lengths allow.
fn portions<'a>(db: &dyn Db, ids: &'a [RequestId]) -> Result<Vec<&'a [RequestId]>, Error> {
    if !db.dialect().is_shared || ids.len() <= READ_AT_ONCE {
        return Ok(ids.chunks(READ_AT_ONCE).collect());
    }
    let mut lengths: Vec<usize> = vec![0; ids.len()];
    db.query_all(&format!("SELECT {BODY_BYTES} FROM inbox WHERE id = ?1"), &questions(ids), &mut |place, row| {
        if let Some(length) = lengths.get_mut(place) {
            *length = row.get(0)?;
        }
        Ok(())
    })?;
    Ok(by_length(ids, &lengths))
}

/// Portions of at most [`PORTION_BYTES`], or of one.
fn by_length<'a>(ids: &'a [RequestId], lengths: &[usize]) -> Vec<&'a [RequestId]> {
    let (mut portions, mut first, mut bytes) = (Vec::new(), 0, 0);
    for (place, length) in lengths.iter().enumerate() {
        if place > first && bytes + length > PORTION_BYTES {
            portions.push(&ids[first..place]);
            (first, bytes) = (place, 0);
        }
        bytes += length;
    }
    portions.push(&ids[first..]);
    portions
}

fn questions(ids: &[RequestId]) -> Vec<Vec<Value<'static>>> {
    ids.iter().map(|id| question![id]).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_is_as_many_bodies_as_fit_and_at_least_one() {
        let long = PORTION_BYTES;
        assert_eq!(by_length(&[1, 2, 3], &[10, 20, 30]), [&[1, 2, 3]]);
        assert_eq!(by_length(&[1, 2, 3, 4], &[10, long - 10, 1, 2]), [&[1, 2], &[3, 4]]);
        assert_eq!(by_length(&[1, 2, 3], &[long + 1, long + 1, 1]), [&[1], &[2], &[3]]);
        assert_eq!(by_length(&[1, 2, 3], &[1, long + 1, 1]), [&[1], &[2], &[3]]);
    }
}
