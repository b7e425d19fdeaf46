//! A connection to PostgreSQL, as the SQL of both stores sees it.
//!
//! What is only written waits until something is asked or the transaction ends, and then goes out in one go (pipelining), all rows of one
//! kind by one statement ([`super::many`]): a batch of the ledger takes some twenty round trips and as many statements, however many rows
//! it changes.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::BytesMut;
use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Row as PostgresRow, Statement};

use super::many::{self, Column, numbered};
use crate::domain::Timestamp;
use crate::store::Error;
use crate::store::packing::Packing;
use crate::store::sql::names::Named;
use crate::store::sql::{Db, Dialect, Field, Name, Row, Unchanged, Value};

/// So many rows wait at most, and so many questions are asked at once.
const WAITING_LIMIT: usize = 1000;
/// More names than this at once, and everything is held instead: the server's table of locks is small.
const NAMES_LIMIT: usize = 1000;
/// The two numbers of the advisory lock that every fold shares, and that one may hold alone.
const EVERYTHING: (i32, i32) = (0x5a1e, 1);

const POSTGRES: Dialect = Dialect {
    for_update: " FOR UPDATE",
    for_update_of_sale: " FOR UPDATE OF s",
    skip_locked: " FOR UPDATE SKIP LOCKED",
    skip_locked_with_sale: " FOR UPDATE OF d, s SKIP LOCKED",
    is_settled: "NOT EXISTS (SELECT 1 FROM unsettled WHERE unsettled.request = inbox.id)",
    count_unsettled: "(SELECT COUNT(*) FROM unsettled)",
    oldest_unsettled: "SELECT i.received_at FROM unsettled u JOIN inbox i ON i.id = u.request ORDER BY u.request LIMIT 1",
    click_from: "CASE WHEN notes IS NULL THEN CAST(trail AS JSONB) #>> '{clickId,from}' ELSE click_from END",
    is_shared: true,
    has_names: false,
};

/// Rows that are given are looked up one by one: a plan may be made in a moment in which a table is so small that to read all of it looks
/// cheaper.
const BEGIN: &str = "BEGIN; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_material = off";

/// Replicas write hourly counts into so many rows each.
const SHARDS: i64 = 16;

/// A statement that waits to be sent.
struct Waiting {
    sql: String,
    /// It is run once for each of them.
    rows: Vec<Vec<Value<'static>>>,
    /// Hashes of what the rows are named by, where others may join them.
    names: HashSet<u64>,
    expected: Option<Unchanged>,
}

/// A connection for the length of one transaction, or for reading.
pub(super) struct Session {
    client: Option<Object>,
    is_open: Cell<bool>,
    waiting: RefCell<Vec<Waiting>>,
    rows_waiting: Cell<usize>,
    held: RefCell<HashSet<Name>>,
    missed: RefCell<Vec<Name>>,
    is_first: Cell<bool>,
    holds_everything: Cell<bool>,
    /// In which rows of the hourly counts this replica writes.
    shard: i64,
    is_clock_given: bool,
    packing: Arc<Packing>,
}

impl Session {
    /// A session on this connection. `missed` are names that an earlier try could not hold; `alone` keeps every other replica from
    /// changing anything in the ledger. `holder` is the replica. With `is_clock_given` leases run by the caller's clock instead of the database's.
    pub(super) fn new(
        client: Object,
        missed: Vec<Name>,
        alone: bool,
        holder: i64,
        is_clock_given: bool,
        packing: &Arc<Packing>,
    ) -> Self {
        Self {
            client: Some(client),
            is_open: Cell::new(false),
            waiting: RefCell::default(),
            rows_waiting: Cell::new(0),
            held: RefCell::default(),
            missed: RefCell::new(missed),
            is_first: Cell::new(true),
            holds_everything: Cell::new(alone),
            shard: holder % SHARDS,
            is_clock_given,
            packing: Arc::clone(packing),
        }
    }

    pub(super) fn begin(&self) -> Result<(), Error> {
        self.is_open.set(true);
        wait(self.client().batch_execute(BEGIN)).map_err(failed)
    }

    pub(super) fn commit(&self) -> Result<(), Error> {
        self.flush()?;
        wait(self.client().batch_execute("COMMIT")).map_err(failed)?;
        self.is_open.set(false);
        Ok(())
    }

    /// Undoes everything, and answers with the names that the next try has to hold from the start.
    pub(super) fn roll_back(&self) -> Vec<Name> {
        self.waiting.take();
        if wait(self.client().batch_execute("ROLLBACK")).is_ok() {
            self.is_open.set(false);
        }
        self.missed.take()
    }

    fn client(&self) -> &Object {
        self.client.as_ref().expect("a session has its connection until it is dropped")
    }

    /// Does something for which a table is read by its index, in its order. The server may have made its plan in a moment in which a
    /// queue was empty, by which it would read and sort the whole of it for every batch.
    pub(super) fn by_index<T>(&self, job: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.set("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")?;
        let done = job()?;
        self.set(
            "SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL enable_bitmapscan TO DEFAULT; SET LOCAL enable_sort TO DEFAULT",
        )?;
        Ok(done)
    }

    /// Settings for the rest of the transaction.
    pub(super) fn set(&self, settings: &str) -> Result<(), Error> {
        wait(self.client().batch_execute(settings)).map_err(failed)
    }

    /// Runs a statement with values that only this database has, such as arrays. Answers with the number of rows that it changed.
    pub(super) fn change(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<usize, Error> {
        self.flush()?;
        let statement = wait(self.client().prepare_cached(sql)).map_err(failed)?;
        let changed = wait(self.client().execute(&statement, values)).map_err(failed)?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        self.prepare_numbered(&numbered(sql))
    }

    fn prepare_numbered(&self, sql: &str) -> Result<Statement, Error> {
        wait(self.client().prepare_cached(sql)).map_err(failed)
    }

    /// Sends what waits, in order, and looks at every answer.
    fn flush(&self) -> Result<(), Error> {
        self.rows_waiting.set(0);
        let waiting = self.waiting.take();
        let mut runs: Vec<Run<'_>> = Vec::with_capacity(waiting.len());
        for Waiting { sql, rows, expected, .. } in &waiting {
            let statement = self.prepare(sql)?;
            let rows: Vec<&[Value<'_>]> = rows.iter().map(Vec::as_slice).collect();
            let many = if rows.len() > 1 { many::told(sql, statement.params()) } else { None };
            if let Some(many) = many {
                runs.push(Run::new(self.prepare_numbered(&many)?, &rows, *expected));
            } else {
                runs.extend(rows.iter().map(|row| Run::new(statement.clone(), &[row], *expected)));
            }
        }
        let values: Vec<Vec<&(dyn ToSql + Sync)>> = runs.iter().map(|run| borrowed(&run.columns)).collect();
        let executions = runs.iter().zip(&values).map(|(run, values)| self.client().execute(&run.statement, values));
        for (answer, run) in wait(in_order(executions)).into_iter().zip(&runs) {
            match (answer.map_err(failed)?, run.expected) {
                (changed, Some(unchanged)) if changed < run.rows => return Err(unchanged.error()),
                _ => {}
            }
        }
        Ok(())
    }

    fn ask(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<PostgresRow>, Error> {
        self.flush()?;
        let statement = self.prepare(sql)?;
        wait(self.client().query(&statement, &borrowed(values))).map_err(failed)
    }

    /// What each of many rows finds, each with the place of its question in the last column.
    fn ask_all(&self, sql: &str, questions: &[&[Value<'_>]]) -> Result<Vec<(usize, PostgresRow)>, Error> {
        self.flush()?;
        let many = self.prepare_numbered(&many::asked(sql, self.prepare(sql)?.params()))?;
        let columns = Column::all(questions);
        let rows = wait(self.client().query(&many, &borrowed(&columns))).map_err(failed)?;
        let place = |row: &PostgresRow| row.try_get::<_, i64>(row.len() - 1).map_err(failed);
        let placed = rows.into_iter().map(|row| Ok((usize::try_from(place(&row)? - 1).unwrap_or(usize::MAX), row)));
        let mut placed = placed.collect::<Result<Vec<_>, Error>>()?;
        placed.sort_by_key(|(place, _)| *place);
        Ok(placed)
    }

    fn wait_with(&self, waiting: Waiting) -> Result<(), Error> {
        self.waiting.borrow_mut().push(waiting);
        self.one_more_waits()
    }

    fn one_more_waits(&self) -> Result<(), Error> {
        self.rows_waiting.set(self.rows_waiting.get() + 1);
        if self.rows_waiting.get() >= WAITING_LIMIT { self.flush() } else { Ok(()) }
    }
}

/// A statement that is sent, for one row or for many.
struct Run<'a> {
    statement: Statement,
    columns: Vec<Column<'a>>,
    rows: u64,
    expected: Option<Unchanged>,
}

impl<'a> Run<'a> {
    fn new(statement: Statement, rows: &[&'a [Value<'a>]], expected: Option<Unchanged>) -> Self {
        Self { statement, columns: Column::all(rows), rows: u64::try_from(rows.len()).unwrap_or(u64::MAX), expected }
    }
}

impl Drop for Session {
    /// A connection whose transaction nobody ended is closed instead of being used again.
    fn drop(&mut self) {
        if self.is_open.get()
            && let Some(client) = self.client.take()
        {
            drop(Object::take(client));
        }
    }
}

impl Db for Session {
    fn dialect(&self) -> &'static Dialect {
        &POSTGRES
    }

    fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, Error> {
        self.change(&numbered(sql), &borrowed(values))
    }

    fn insert(&self, sql: &str, values: &[Value<'_>]) -> Result<i64, Error> {
        let db: &dyn Db = self;
        db.value(&format!("{sql} RETURNING id"), values)
    }

    fn put(&self, sql: &str, values: &[Value<'_>], expected: Option<Unchanged>) -> Result<(), Error> {
        self.wait_with(Waiting { sql: sql.to_owned(), rows: vec![owned(values)], names: HashSet::new(), expected })
    }

    fn put_row(&self, sql: &str, name: usize, values: &[Value<'_>], expected: Option<Unchanged>) -> Result<(), Error> {
        let name = hash(values.get(..name).unwrap_or(values));
        let may_join = |last: &&mut Waiting| last.sql == sql && !last.names.is_empty() && !last.names.contains(&name);
        let mut waiting = self.waiting.borrow_mut();
        let joined = waiting.last_mut().filter(may_join).map(|last| {
            last.names.insert(name);
            last.rows.push(owned(values));
        });
        drop(waiting);
        if joined.is_some() {
            return self.one_more_waits();
        }
        self.wait_with(Waiting { sql: sql.to_owned(), rows: vec![owned(values)], names: HashSet::from([name]), expected })
    }

    fn query(&self, sql: &str, values: &[Value<'_>], each: &mut dyn FnMut(&Row<'_>) -> Result<(), Error>) -> Result<(), Error> {
        self.ask(sql, values)?.iter().try_for_each(|row| each(&Row::Postgres(row)))
    }

    fn query_all(
        &self,
        sql: &str,
        questions: &[Vec<Value<'_>>],
        each: &mut dyn FnMut(usize, &Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if let [question] = questions {
            return self.query(sql, question, &mut |row| each(0, row));
        }
        for (part, questions) in questions.chunks(WAITING_LIMIT).enumerate() {
            let questions: Vec<&[Value<'_>]> = questions.iter().map(Vec::as_slice).collect();
            for (place, row) in &self.ask_all(sql, &questions)? {
                each(part * WAITING_LIMIT + place, &Row::Postgres(row))?;
            }
        }
        Ok(())
    }

    /// The first names are waited for, all in one order, before anything else is locked; later ones are only tried, because to wait
    /// for them could end in two replicas that wait for each other. What could not be had is held from the start by the next try.
    fn hold(&self, names: &dyn Fn() -> Vec<Name>) -> Result<(), Error> {
        let is_first = self.is_first.replace(false);
        if self.holds_everything.get() && !is_first {
            return Ok(());
        }
        let mut new: Vec<Name> = names();
        if is_first {
            new.append(&mut self.missed.borrow_mut());
        }
        new.sort_unstable();
        new.dedup();
        new.retain(|name| !self.held.borrow().contains(name));
        let (space, number) = EVERYTHING;
        if is_first {
            self.holds_everything.set(self.holds_everything.get() || new.len() > NAMES_LIMIT);
            let how = if self.holds_everything.get() { "pg_advisory_xact_lock" } else { "pg_advisory_xact_lock_shared" };
            let statement = self.prepare(&format!("SELECT {how}(?1, ?2)"))?;
            wait(self.client().query(&statement, &[&space, &number])).map_err(failed)?;
            if self.holds_everything.get() {
                return Ok(());
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let names = "UNNEST(CAST(?1 AS BIGINT[])) AS names (name)";
        let sql = if is_first {
            format!("SELECT pg_advisory_xact_lock(name) FROM {names}")
        } else {
            format!("SELECT name FROM {names} WHERE NOT pg_try_advisory_xact_lock(name)")
        };
        let statement = self.prepare(&sql)?;
        let rows = wait(self.client().query(&statement, &[&new])).map_err(failed)?;
        if rows.is_empty() || is_first {
            self.held.borrow_mut().extend(new);
            return Ok(());
        }
        // What was held is held again, so that the next try does not miss something else.
        let mut missed = self.missed.borrow_mut();
        missed.extend(self.held.borrow().iter());
        missed.extend(new);
        Err(Error::Conflict("another replica is at the same purchase".to_owned()))
    }

    fn named(&self, _named: Named, _name: &[u8]) -> Result<Option<Vec<i64>>, Error> {
        Ok(None)
    }

    fn name(&self, _named: Named, _name: &[u8], _row: i64) -> Result<(), Error> {
        Ok(())
    }

    fn packing(&self) -> &Packing {
        &self.packing
    }

    fn shard(&self) -> i64 {
        self.shard
    }

    fn lease_clock(&self, now: Timestamp) -> Result<Timestamp, Error> {
        if self.is_clock_given {
            return Ok(now);
        }
        let statement = self.prepare(&format!("SELECT {CLOCK_MILLIS}"))?;
        let row = wait(self.client().query_one(&statement, &[])).map_err(failed)?;
        Ok(crate::domain::from_millis(row.try_get(0).map_err(failed)?))
    }
}

/// The database's clock in milliseconds since 1970: replicas' own may differ.
pub(super) const CLOCK_MILLIS: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Integer(value) => match *kind {
                Type::INT4 => i32::try_from(*value)?.to_sql(kind, out),
                Type::INT2 => i16::try_from(*value)?.to_sql(kind, out),
                Type::BOOL => (*value != 0).to_sql(kind, out),
                _ => value.to_sql(kind, out),
            },
            Value::Text(text) => written(text).to_sql(kind, out),
            Value::Blob(bytes) => bytes.as_ref().to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A field of a row, read by the type that the database says it has.
pub(in crate::store) fn field(row: &PostgresRow, column: usize) -> Result<Option<Field<'_>>, Error> {
    let kind = row.columns().get(column).map(|column| column.type_().clone());
    Ok(match kind {
        Some(Type::INT8) => row.try_get::<_, Option<i64>>(column).map_err(failed)?.map(Field::Integer),
        Some(Type::INT4) => row.try_get::<_, Option<i32>>(column).map_err(failed)?.map(|value| Field::Integer(value.into())),
        Some(Type::BOOL) => row.try_get::<_, Option<bool>>(column).map_err(failed)?.map(|value| Field::Integer(value.into())),
        Some(Type::BYTEA) => row.try_get::<_, Option<&[u8]>>(column).map_err(failed)?.map(Field::Blob),
        Some(_) => row.try_get::<_, Option<&str>>(column).map_err(failed)?.map(Field::Text),
        None => return Err(Error::Damaged(format!("there is no column {column}"))),
    })
}

/// An error in our terms. What the server says beside its message may hold customers' data and is left out.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn failed(error: tokio_postgres::Error) -> Error {
    let Some(db) = error.as_db_error() else {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        return Error::Unavailable(format!("PostgreSQL: {error}{cause}"));
    };
    let text = format!("PostgreSQL: {} ({})", db.message(), db.code().code());
    let is_conflict = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::UNIQUE_VIOLATION,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::OUT_OF_MEMORY,
    ];
    if is_conflict.contains(db.code()) { Error::Conflict(text) } else { Error::Unavailable(text) }
}

/// Waits on this thread. The connection is driven elsewhere, so that this works on any thread, inside another runtime as well. That runtime
/// must not count what is waited for here: after some hundred looks in one task it would hold back the next until the task yields, which
/// a thread that waits never does.
pub(super) fn wait<F: Future>(future: F) -> F::Output {
    pollster::block_on(tokio::task::unconstrained(future))
}

/// Begins every request in order before the first is waited for: they are sent in the order in which they are first polled.
async fn in_order<F: Future>(requests: impl Iterator<Item = F>) -> Vec<F::Output> {
    enum Begun<F: Future> {
        Done(F::Output),
        Open(Pin<Box<F>>),
    }
    let mut begun = Vec::new();
    for request in requests {
        let mut request = Box::pin(request);
        let first = std::future::poll_fn(|context| Poll::Ready(request.as_mut().poll(context))).await;
        begun.push(match first {
            Poll::Ready(answer) => Begun::Done(answer),
            Poll::Pending => Begun::Open(request),
        });
    }
    let mut answers = Vec::with_capacity(begun.len());
    for request in begun {
        answers.push(match request {
            Begun::Done(answer) => answer,
            Begun::Open(request) => request.await,
        });
    }
    answers
}

fn borrowed<T: ToSql + Sync>(values: &[T]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn owned(values: &[Value<'_>]) -> Vec<Value<'static>> {
    values.iter().map(|value| value.clone().into_owned()).collect()
}

/// PostgreSQL's texts hold no NUL; what a sender wrote stands unchanged in the inbox.
fn written(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// The same for what the server takes for the same. Two that differ may have it as well; they are told apart then, which harms nobody.
fn hash(values: &[Value<'_>]) -> u64 {
    let mut hash = DefaultHasher::new();
    for value in values {
        match value {
            Value::Text(text) => written(text).hash(&mut hash),
            Value::Null | Value::Integer(_) | Value::Blob(_) => value.hash(&mut hash),
        }
    }
    hash.finish()
}
