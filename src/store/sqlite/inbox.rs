//! The inbox of one file: appended to, and settled in order up to a mark.

use rusqlite::params;

use super::db::File;
use crate::domain::{Request, RequestId};
use crate::store::packing::Packed;
use crate::store::sql::inbox;
use crate::store::sql::names::Named;
use crate::store::sql::{Db, Unchanged, values};
use crate::store::{Appended, Error, Fingerprint, StoredRequest};

/// Appends a request inside the open transaction, or finds the one of the same fingerprint.
pub(super) fn append(
    file: &File,
    request: &Request,
    packed: &Packed,
    fingerprint: Option<Fingerprint>,
) -> Result<Appended, Error> {
    if let Some(fingerprint) = &fingerprint
        && let Some(id) = known(file, fingerprint)?
    {
        return Ok(Appended::Duplicate(id));
    }
    let mut insert = file.prepare_cached(
        "INSERT INTO inbox (source, received_at, url, headers, body, digest, query, dictionary, body_bytes)
         VALUES (?1, ?2, ?3, '', ?4, ?5, ?6, ?7, ?8)",
    )?;
    insert.execute(params![
        request.source,
        request.received_at.as_millisecond(),
        request.url,
        packed.bytes,
        fingerprint,
        request.query,
        packed.dictionary,
        packed.body_bytes,
    ])?;
    let id = file.last_insert_rowid();
    if let Some(fingerprint) = &fingerprint {
        file.name(Named::Request, fingerprint, id)?;
    }
    Ok(Appended::New(id))
}

/// The request of this fingerprint.
fn known(file: &File, fingerprint: &Fingerprint) -> Result<Option<RequestId>, Error> {
    for id in file.named(Named::Request, fingerprint)?.unwrap_or_default() {
        if file.prepare_cached("SELECT 1 FROM inbox WHERE id = ?1 AND digest = ?2")?.exists(params![id, fingerprint])? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

pub(super) fn unsettled(db: &dyn Db, after: RequestId, limit: usize) -> Result<Vec<StoredRequest>, Error> {
    let sql = "SELECT id FROM inbox WHERE id > MAX(?1, (SELECT settled_through FROM progress)) ORDER BY id LIMIT ?2";
    inbox::load(db, &db.rows(sql, values![after, limit], |row| row.get(0))?)
}

/// Marks every request up to the last of these as settled.
pub(super) fn mark(db: &dyn Db, requests: &[RequestId]) -> Result<(), Error> {
    let Some(through) = requests.iter().max() else { return Ok(()) };
    let sql = "UPDATE progress SET settled_through = ?1 WHERE settled_through < ?1";
    db.put(sql, values![through], Some(Unchanged::Damage("the mark of the last settled request")))
}
