//! The inbox of one file: appended to, and settled in order up to a mark.

use rusqlite::params;

use super::db::File;
use super::fresh::Fresh;
use crate::domain::{Request, RequestId, Timestamp};
use crate::store::packing::Packed;
use crate::store::sql::inbox;
use crate::store::sql::names::Named;
use crate::store::sql::{Db, Unchanged, values};
use crate::store::{Appended, Error, Fingerprint, StoredRequest};

/// A new request as its row has it.
pub(super) struct New {
    source: String,
    received_at: Timestamp,
    url: Option<String>,
    query: Option<String>,
    packed: Packed,
    fingerprint: Option<Fingerprint>,
}

impl New {
    /// The row of a request.
    pub(super) fn of(request: &Request, packed: Packed, fingerprint: Option<Fingerprint>) -> Self {
        let Request { source, received_at, url, query, .. } = request;
        let (source, url, query) = (source.clone(), url.clone(), query.clone());
        Self { source, received_at: *received_at, url, query, packed, fingerprint }
    }

    /// Appends it inside the open transaction, or finds the one of the same fingerprint.
    pub(super) fn append(&self, file: &File) -> Result<Appended, Error> {
        if let Some(fingerprint) = &self.fingerprint
            && let Some(id) = known(file, fingerprint)?
        {
            return Ok(Appended::Duplicate(id));
        }
        let mut insert = file.prepare_cached(
            "INSERT INTO inbox (source, received_at, url, headers, body, digest, query, dictionary, body_bytes)
             VALUES (?1, ?2, ?3, '', ?4, ?5, ?6, ?7, ?8)",
        )?;
        insert.execute(params![
            self.source,
            self.received_at.as_millisecond(),
            self.url,
            self.packed.bytes,
            self.fingerprint,
            self.query,
            self.packed.dictionary,
            self.packed.body_bytes,
        ])?;
        let id = file.last_insert_rowid();
        if let Some(fingerprint) = &self.fingerprint {
            file.name(Named::Request, fingerprint, id)?;
        }
        Ok(Appended::New(id))
    }
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

/// The next requests in order, from what this process holds of them, and else from the file.
pub(super) fn unsettled(db: &dyn Db, fresh: &Fresh, after: RequestId, limit: usize) -> Result<Vec<StoredRequest>, Error> {
    let sql = "SELECT id FROM inbox WHERE id > MAX(?1, (SELECT settled_through FROM progress)) ORDER BY id LIMIT ?2";
    let ids: Vec<RequestId> = db.rows(sql, values![after, limit], |row| row.get(0))?;
    let mut held = fresh.take(&ids);
    let missing: Vec<RequestId> = ids.iter().copied().filter(|id| !held.contains_key(id)).collect();
    let mut loaded = inbox::load(db, &missing)?.into_iter().peekable();
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let next = match held.remove(&id) {
            Some(request) => Some(StoredRequest { id, request }),
            None => loaded.next_if(|stored| stored.id == id),
        };
        // No more are read at once than some megabytes of them.
        let Some(next) = next else { break };
        found.push(next);
    }
    Ok(found)
}

/// Marks every request up to the last of these as settled.
pub(super) fn mark(db: &dyn Db, requests: &[RequestId]) -> Result<(), Error> {
    let Some(through) = requests.iter().max() else { return Ok(()) };
    let sql = "UPDATE progress SET settled_through = ?1 WHERE settled_through < ?1";
    db.put(sql, values![through], Some(Unchanged::Damage("the mark of the last settled request")))
}
