//! A connection to a file, as the SQL of both stores sees it.

use std::borrow::Cow;
use std::cell::{Cell, RefCell, RefMut};
use std::ops::Deref;
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use super::names::{Cache, Names};
use crate::domain::Timestamp;
use crate::store::Error;
use crate::store::packing::Packing;
use crate::store::sql::names::Named;
use crate::store::sql::{Db, Dialect, Name, Row, Unchanged, Value};

/// One process writes, one statement after another: nothing has to be locked.
const SQLITE: Dialect = Dialect {
    for_update: "",
    for_update_of_sale: "",
    skip_locked: "",
    skip_locked_with_sale: "",
    is_settled: "id <= (SELECT settled_through FROM progress)",
    count_unsettled: "(SELECT COALESCE(MAX(id), 0) FROM inbox) - (SELECT settled_through FROM progress)",
    oldest_unsettled: "SELECT received_at FROM inbox WHERE id > (SELECT settled_through FROM progress) ORDER BY id LIMIT 1",
    click_from: "CASE WHEN notes IS NULL THEN trail ->> '$.clickId.from' ELSE click_from END",
    is_shared: false,
    has_names: true,
};

/// The values of `PRAGMA synchronous`: a commit is never flushed, when the log is folded, or at once.
const OFF: i64 = 0;
const NORMAL: i64 = 1;
const FULL: i64 = 2;

/// A connection, and by what names things are found through it.
pub(in crate::store) struct File {
    connection: Connection,
    /// How commits are flushed, once that was asked.
    synchronous: Cell<Option<i64>>,
    /// The disk refused to flush: what was committed without waiting for it may be lost, and what comes after it with it.
    is_doubtful: Cell<bool>,
    cache: Cache,
    packing: Arc<Packing>,
    names: RefCell<Known>,
}

/// What a connection knows of the names.
enum Known {
    /// Nothing yet.
    Nothing,
    /// What was true in an earlier transaction.
    Earlier(Box<Names>),
    /// What is true in this one.
    Now(Box<Names>),
}

impl File {
    pub(super) fn new(connection: Connection, cache: &Cache, packing: &Arc<Packing>) -> Self {
        let (cache, packing) = (cache.clone(), Arc::clone(packing));
        let (synchronous, is_doubtful) = (Cell::new(None), Cell::new(false));
        Self { connection, synchronous, is_doubtful, cache, packing, names: RefCell::new(Known::Nothing) }
    }

    /// The disk refused to flush what was committed.
    pub(super) fn doubt(&self) {
        self.is_doubtful.set(true);
    }

    /// Where the log is doubtful, folds all of it into the file and begins it anew, before anything is written behind what may be lost.
    pub(super) fn renew(&self) -> Result<(), Error> {
        if self.is_doubtful.get() {
            let is_busy: bool = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if is_busy {
                let text =
                    "the disk refused to flush the log, which can only be written again once nobody reads it; it is tried again";
                return Err(Error::Unavailable(text.to_owned()));
            }
            self.is_doubtful.set(false);
        }
        Ok(())
    }

    /// Whether commits wait for the disk, from the next transaction on. Those of a scratch file never do.
    pub(super) fn set_flush(&self, is_waited_for: bool) -> Result<(), Error> {
        let wanted = if is_waited_for { FULL } else { NORMAL };
        let present = match self.synchronous.take() {
            Some(present) => present,
            None => self.connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?,
        };
        let is_changed = present != OFF && present != wanted;
        if is_changed {
            self.connection.pragma_update(None, "synchronous", wanted)?;
        }
        self.synchronous.set(Some(if is_changed { wanted } else { present }));
        Ok(())
    }

    /// A transaction begins: others may have written meanwhile.
    pub(super) fn begin(&self) {
        let mut known = self.names.borrow_mut();
        *known = match std::mem::replace(&mut *known, Known::Nothing) {
            Known::Nothing => Known::Nothing,
            Known::Earlier(names) | Known::Now(names) => Known::Earlier(names),
        };
    }

    /// What is known of the names may be wrong now: a transaction was not committed.
    pub(super) fn forget(&self) {
        *self.names.borrow_mut() = Known::Nothing;
    }

    /// The names as of this transaction. A look outside of one makes one, so that all of it sees the same.
    pub(super) fn names(&self) -> Result<RefMut<'_, Names>, Error> {
        let mut known = self.names.borrow_mut();
        if self.connection.is_autocommit() {
            self.connection.prepare_cached("BEGIN")?.execute([])?;
        }
        *known = match std::mem::replace(&mut *known, Known::Nothing) {
            Known::Now(names) => Known::Now(names),
            Known::Earlier(mut names) => {
                names.catch_up(&self.connection)?;
                Known::Now(names)
            }
            Known::Nothing => Known::Now(Box::new(Names::load(&self.connection, &self.cache)?)),
        };
        RefMut::filter_map(known, |known| match known {
            Known::Now(names) => Some(&mut **names),
            Known::Nothing | Known::Earlier(_) => None,
        })
        .map_err(|_| Error::Damaged("the names are gone".to_owned()))
    }

    /// The names, if this transaction has looked at them.
    pub(super) fn names_in_use(&self) -> Option<RefMut<'_, Names>> {
        RefMut::filter_map(self.names.borrow_mut(), |known| match known {
            Known::Now(names) => Some(&mut **names),
            Known::Nothing | Known::Earlier(_) => None,
        })
        .ok()
    }

    /// Ends the transaction of a look, if it made one.
    pub(super) fn end_look(&self) -> Result<(), Error> {
        if !self.connection.is_autocommit() {
            self.connection.prepare_cached("COMMIT")?.execute([])?;
        }
        self.begin();
        Ok(())
    }
}

impl Deref for File {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(value) => ValueRef::Integer(*value),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(Cow::Borrowed(bytes)) => ValueRef::Blob(bytes),
            Value::Blob(Cow::Owned(bytes)) => ValueRef::Blob(bytes),
        }))
    }
}

impl Db for File {
    fn dialect(&self) -> &'static Dialect {
        &SQLITE
    }

    fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, Error> {
        Ok(self.prepare_cached(sql)?.execute(params_from_iter(values))?)
    }

    fn insert(&self, sql: &str, values: &[Value<'_>]) -> Result<i64, Error> {
        Db::execute(self, sql, values)?;
        Ok(self.last_insert_rowid())
    }

    fn put(&self, sql: &str, values: &[Value<'_>], expected: Option<Unchanged>) -> Result<(), Error> {
        match (Db::execute(self, sql, values)?, expected) {
            (0, Some(unchanged)) => Err(unchanged.error()),
            _ => Ok(()),
        }
    }

    fn query(&self, sql: &str, values: &[Value<'_>], each: &mut dyn FnMut(&Row<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let mut select = self.prepare_cached(sql)?;
        let mut rows = select.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            each(&Row::Sqlite(row))?;
        }
        Ok(())
    }

    fn query_all(
        &self,
        sql: &str,
        questions: &[Vec<Value<'_>>],
        each: &mut dyn FnMut(usize, &Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut select = self.prepare_cached(sql)?;
        for (place, values) in questions.iter().enumerate() {
            let mut rows = select.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                each(place, &Row::Sqlite(row))?;
            }
        }
        Ok(())
    }

    fn hold(&self, _names: &dyn Fn() -> Vec<Name>) -> Result<(), Error> {
        Ok(())
    }

    fn named(&self, named: Named, name: &[u8]) -> Result<Option<Vec<i64>>, Error> {
        self.names()?.find(&self.connection, named, name).map(Some)
    }

    fn name(&self, named: Named, name: &[u8], row: i64) -> Result<(), Error> {
        self.names()?.add(named, name, row);
        Ok(())
    }

    fn packing(&self) -> &Packing {
        &self.packing
    }

    fn shard(&self) -> i64 {
        0
    }

    fn lease_clock(&self, now: Timestamp) -> Result<Timestamp, Error> {
        Ok(now)
    }
}
