//! The SQL that both stores speak, and what it is spoken to: a connection to a database of either kind.
//!
//! Statements are written for both at once: places are `?1`, `?2`, …; truth values are the integers 0 and 1; whatever else the two say
//! differently is a word of the [`Dialect`].

pub(super) mod adjustments;
pub(super) mod alarms;
pub(super) mod check;
pub(super) mod copy;
pub(super) mod deliveries;
pub(super) mod dictionaries;
pub(super) mod fetches;
pub(super) mod following;
pub(super) mod inbox;
pub(super) mod ledger;
pub(super) mod listing;
pub(super) mod names;
pub(super) mod past;
pub(super) mod prune;
pub(super) mod refused;
pub(super) mod report;
pub(super) mod retry;
pub(super) mod row;
pub(super) mod search;
pub(super) mod slice;
mod story;
pub(super) mod tallies;
mod value;
pub(super) mod views;

pub(super) use value::{Field, FromField, Row, ToValue, Value, question, values};

use self::names::Named;
use super::Error;
use super::packing::Packing;
use crate::domain::Timestamp;

/// What the two databases say differently.
#[derive(Debug)]
pub(super) struct Dialect {
    /// After a SELECT of sales that are about to be changed: keeps other replicas away from them.
    pub(super) for_update: &'static str,
    /// The same for the sale of a join, called `s`.
    pub(super) for_update_of_sale: &'static str,
    /// After a SELECT of what is claimed: passes over what another replica works at.
    pub(super) skip_locked: &'static str,
    /// The same for deliveries and their sales, called `d` and `s`.
    pub(super) skip_locked_with_sale: &'static str,
    /// True of an `inbox` row that is settled.
    pub(super) is_settled: &'static str,
    /// The number of requests that are not settled.
    pub(super) count_unsettled: &'static str,
    /// Selects when the first request was received that is not settled.
    pub(super) oldest_unsettled: &'static str,
    /// How the click of a `sales` row was come by.
    pub(super) click_from: &'static str,
    /// True where several processes may serve one store.
    pub(super) is_shared: bool,
    /// True where rows are found by [names](Db::named), not by indexes.
    pub(super) has_names: bool,
}

/// A connection to a database, inside a transaction where something is changed.
pub(super) trait Db {
    /// What this database says differently.
    fn dialect(&self) -> &'static Dialect;

    /// Runs a statement. Answers with the number of rows that it changed.
    fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, Error>;

    /// Runs an INSERT of one row into a table whose rows are numbered by its `id`, and answers with the number.
    fn insert(&self, sql: &str, values: &[Value<'_>]) -> Result<i64, Error>;

    /// Runs a statement whose effect nobody waits for: a database that is far away is told many at once. Where `expected` is given and
    /// no row is changed, the transaction fails with it.
    fn put(&self, sql: &str, values: &[Value<'_>], expected: Option<Unchanged>) -> Result<(), Error>;

    /// [`Db::put`] of one of many rows, whose first `name` values say which it is. Those that follow one another by one statement may all
    /// be told at once, which is much cheaper for a database that is far away: none of them may look at what another changes. Of two that
    /// have one name the second sees what the first has done.
    fn put_row(&self, sql: &str, name: usize, values: &[Value<'_>], expected: Option<Unchanged>) -> Result<(), Error> {
        debug_assert!(name <= values.len(), "{name} of {} values", values.len());
        self.put(sql, values, expected)
    }

    /// Runs one query once for each of `rows`, and hands over every row that comes back with the place of its question.
    fn query_all(
        &self,
        sql: &str,
        rows: &[Vec<Value<'_>>],
        each: &mut dyn FnMut(usize, &Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// Runs a query and hands over every row that comes back.
    fn query(&self, sql: &str, values: &[Value<'_>], each: &mut dyn FnMut(&Row<'_>) -> Result<(), Error>) -> Result<(), Error>;

    /// Keeps every other replica from changing what goes by these names, until the transaction ends.
    ///
    /// # Errors
    /// [`Error::Conflict`]: another replica is at it.
    fn hold(&self, names: &dyn Fn() -> Vec<Name>) -> Result<(), Error>;

    /// The numbers of rows that may go by a name, in their order; whoever asks compares the rows. None where the database has an index
    /// of such names instead.
    fn named(&self, named: Named, name: &[u8]) -> Result<Option<Vec<i64>>, Error>;

    /// From now on a row goes by this name. Of no effect where the database has an index.
    fn name(&self, named: Named, name: &[u8], row: i64) -> Result<(), Error>;

    /// The dictionaries that this process has read.
    fn packing(&self) -> &Packing;

    /// In which rows of the hourly counts this process writes, so that replicas seldom wait for each other.
    fn shard(&self) -> i64;

    /// The time by which leases run: every replica must mean the same.
    fn lease_clock(&self, now: Timestamp) -> Result<Timestamp, Error>;
}

/// The name of something that may not be there yet, such as a sale of an invoice, hashed.
pub(super) type Name = i64;

/// What it means that a statement changed no row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unchanged {
    /// Somebody else was faster.
    Conflict(&'static str),
    /// Something is not as it was written.
    Damage(&'static str),
}

impl Unchanged {
    pub(super) fn error(self) -> Error {
        match self {
            Self::Conflict(what) => Error::Conflict(what.to_owned()),
            Self::Damage(what) => Error::Damaged(what.to_owned()),
        }
    }
}

impl dyn Db + '_ {
    /// Every row of a query, read.
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        self.query(sql, values, &mut |row| {
            found.push(read(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// The first row of a query, where there is one.
    pub(super) fn row<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        Ok(self.rows(sql, values, read)?.into_iter().next())
    }

    /// The first column of the only row of a query.
    pub(super) fn value<T: FromField>(&self, sql: &str, values: &[Value<'_>]) -> Result<T, Error> {
        self.row(sql, values, |row| row.get(0))?.ok_or_else(|| row::damaged("a row that has to be there"))
    }

    /// Whether a query finds anything.
    pub(super) fn exists(&self, sql: &str, values: &[Value<'_>]) -> Result<bool, Error> {
        let mut is_there = false;
        self.query(sql, values, &mut |_| {
            is_there = true;
            Ok(())
        })?;
        Ok(is_there)
    }

    /// Whether rows are found by names here.
    pub(super) fn has_names(&self) -> bool {
        self.dialect().has_names
    }

    /// [`Db::put`], whatever it changes.
    pub(super) fn write(&self, sql: &str, values: &[Value<'_>]) -> Result<(), Error> {
        self.put(sql, values, None)
    }

    /// [`Db::put_row`], whatever it changes.
    pub(super) fn write_row(&self, sql: &str, name: usize, values: &[Value<'_>]) -> Result<(), Error> {
        self.put_row(sql, name, values, None)
    }
}
