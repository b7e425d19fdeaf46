//! One statement for many rows.
//!
//! To run a statement costs the server and this process some tens of microseconds, whatever it does. So what is to be said once for each
//! of many rows is said once for all of them: its values are sent as arrays, column by column, and the server makes rows of them
//! ([UNNEST](https://www.postgresql.org/docs/current/functions-array.html)). Places are `?1`, `?2`, … as everywhere in the SQL of both
//! stores.

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::store::sql::Value;

/// What stands in one place of a statement.
#[derive(Debug)]
pub(super) enum Column<'a> {
    /// Its value.
    One(&'a Value<'a>),
    /// The values of many rows, in their order.
    Many(Vec<&'a Value<'a>>),
}

impl<'a> Column<'a> {
    /// What stands in the places of a statement for these rows: values for one of them, arrays for more.
    pub(super) fn all(rows: &[&'a [Value<'a>]]) -> Vec<Self> {
        match rows {
            [row] => row.iter().map(Self::One).collect(),
            rows => {
                let places = rows.first().map_or(0, |row| row.len());
                (0..places).map(|place| Self::Many(rows.iter().filter_map(|row| row.get(place)).collect())).collect()
            }
        }
    }
}

impl ToSql for Column<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::One(value) => value.to_sql(kind, out),
            Self::Many(values) => values.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A query for many rows of values of these kinds. Its last column is the number of the row, from 1; what is found for one row comes in
/// the order in which the query for it alone gives it.
pub(super) fn asked(sql: &str, kinds: &[Type]) -> String {
    // An offset of none keeps the server from making one join of it, whose plan depends on how full the tables are at the moment.
    format!("SELECT found.*, given.nth FROM {} CROSS JOIN LATERAL ({} OFFSET 0) AS found", given(kinds), placed(sql, "given.v"))
}

/// An INSERT, UPDATE or DELETE for many rows of values of these kinds; `None` where it cannot be said for all of them at once: an INSERT
/// of something else than VALUES, or one whose ON CONFLICT names places instead of `excluded` columns.
pub(super) fn told(sql: &str, kinds: &[Type]) -> Option<String> {
    let given = given(kinds);
    let (head, rest) = outside(sql, "WHERE ").map_or((sql, ""), |at| sql.split_at(at));
    match sql.split_whitespace().next()? {
        "INSERT" => {
            let (into, values) = sql.split_at(outside(sql, "VALUES (")?);
            let values = values.strip_prefix("VALUES (")?;
            let (values, rest) = values.split_at(outside(values, ")")?);
            let rest = rest.strip_prefix(')').filter(|rest| !rest.contains('?'))?;
            Some(format!("{into}SELECT {} FROM {given} ORDER BY given.nth{rest}", placed(values, "given.v")))
        }
        "UPDATE" => Some(format!("{} FROM {given} {}", placed(head.trim_end(), "given.v"), placed(rest, "given.v"))),
        "DELETE" => Some(format!("{head}USING {given} {}", placed(rest, "given.v"))),
        _ => None,
    }
}

/// The statement with places as PostgreSQL has them.
pub(super) fn numbered(sql: &str) -> String {
    placed(sql, "$")
}

fn placed(sql: &str, place: &str) -> String {
    sql.replace('?', place)
}

/// The rows: `v1`, `v2`, … and their number.
fn given(kinds: &[Type]) -> String {
    let arrays: Vec<String> = (1..).zip(kinds).map(|(place, kind)| format!("CAST(${place} AS {}[])", kind.name())).collect();
    let names: Vec<String> = (1..=kinds.len()).map(|place| format!("v{place}")).collect();
    format!("UNNEST({}) WITH ORDINALITY AS given ({}, nth)", arrays.join(", "), names.join(", "))
}

/// Where a word first stands in a statement outside of brackets that are opened before it.
fn outside(sql: &str, word: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in sql.bytes().enumerate() {
        if depth == 0 && sql.as_bytes()[at..].starts_with(word.as_bytes()) {
            return Some(at);
        }
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Type; 2] = [Type::INT8, Type::TEXT];
    const GIVEN: &str = "UNNEST(CAST($1 AS int8[]), CAST($2 AS text[])) WITH ORDINALITY AS given (v1, v2, nth)";

    fn is_told(sql: &str, wanted: &str) {
        assert_eq!(told(sql, &KINDS).expect("it can be told"), wanted.replace("{}", GIVEN));
    }

    #[test]
    fn a_statement_is_told_for_all_rows_at_once() {
        is_told(
            "INSERT INTO t (a, b) VALUES (?1, (SELECT MAX(c) FROM u WHERE d = ?1), '', ?2)",
            "INSERT INTO t (a, b) SELECT given.v1, (SELECT MAX(c) FROM u WHERE d = given.v1), '', given.v2 FROM {} ORDER BY given.nth",
        );
        is_told(
            "INSERT INTO t VALUES (?1, ?2) ON CONFLICT (a) DO UPDATE SET b = excluded.b WHERE t.b > 1",
            "INSERT INTO t SELECT given.v1, given.v2 FROM {} ORDER BY given.nth ON CONFLICT (a) DO UPDATE SET b = excluded.b \
             WHERE t.b > 1",
        );
        is_told(
            "UPDATE t SET b = (SELECT MAX(c) FROM u WHERE d = 1), e = ?2 WHERE a = ?1",
            "UPDATE t SET b = (SELECT MAX(c) FROM u WHERE d = 1), e = given.v2 FROM {} WHERE a = given.v1",
        );
        is_told("DELETE FROM t WHERE a = ?1 AND b = ?2", "DELETE FROM t USING {} WHERE a = given.v1 AND b = given.v2");
    }

    #[test]
    fn what_cannot_be_told_at_once_is_not() {
        for sql in [
            "INSERT INTO t VALUES (?1, ?2) ON CONFLICT (a) DO UPDATE SET b = ?2",
            "INSERT INTO t SELECT a, ?2 FROM u WHERE a = ?1",
            "LOCK TABLE t",
        ] {
            assert_eq!(told(sql, &KINDS), None, "{sql}");
        }
    }

    #[test]
    fn one_row_has_values_and_more_have_arrays() {
        let rows = [[Value::Integer(1), Value::Null], [Value::Integer(2), Value::owned("b".to_owned())]];
        let one = Column::all(&[&rows[0]]);
        assert!(matches!(one[..], [Column::One(Value::Integer(1)), Column::One(Value::Null)]), "{one:?}");
        let both = Column::all(&[&rows[0], &rows[1]]);
        let [Column::Many(first), Column::Many(second)] = &both[..] else { panic!("{both:?}") };
        assert_eq!((first[..].to_vec(), second.len()), (vec![&Value::Integer(1), &Value::Integer(2)], 2));
    }
}
