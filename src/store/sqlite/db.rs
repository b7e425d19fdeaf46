//! A connection to a file, as the SQL of both stores sees it.

use std::borrow::Cow;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::domain::Timestamp;
use crate::store::Error;
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
    click_from: "trail ->> '$.clickId.from'",
    is_shared: false,
};

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

impl Db for Connection {
    fn dialect(&self) -> &'static Dialect {
        &SQLITE
    }

    fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, Error> {
        Ok(self.prepare_cached(sql)?.execute(params_from_iter(values))?)
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

    fn shard(&self) -> i64 {
        0
    }

    fn lease_clock(&self, now: Timestamp) -> Result<Timestamp, Error> {
        Ok(now)
    }
}
