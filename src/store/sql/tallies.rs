//! The hourly counts: changed beside what they count, and read in the order of their key.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::row::damaged;
use super::{Db, values};
use crate::attribute::EventRecord;
use crate::domain::{Currency, RequestId, Tallied, Tallies, Tally, Timestamp, from_millis};
use crate::store::{Error, TallyLine};

/// Sums are kept in two parts, so that no addition is ever too large: `units` of so many minor units each, and the `rest`.
const UNIT: i128 = 1_000_000_000;

const ADD: &str = "INSERT INTO tallies (what, hour, source, label, currency, shard, number, units, rest, last_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
     ON CONFLICT (what, hour, source, label, currency, shard) DO UPDATE SET number = tallies.number + excluded.number,
     units = tallies.units + excluded.units, rest = tallies.rest + excluded.rest,
     last_at = CASE WHEN excluded.last_at > tallies.last_at THEN excluded.last_at ELSE tallies.last_at END";

/// Changes counts. Called last in a transaction: others may wait for it.
pub(in crate::store) fn add(db: &dyn Db, tallies: &Tallies, now: Timestamp) -> Result<(), Error> {
    let (shard, now) = (db.shard(), now.as_millisecond());
    for (tally, count) in tallies.changed() {
        let whole = |value: i128| i64::try_from(value).map_err(|_| damaged("a sum of amounts"));
        let (units, rest) = (whole(count.minor / UNIT)?, whole(count.minor % UNIT)?);
        let Tally { what, hour, source, label, currency } = tally;
        db.write_row(ADD, 6, values![what.as_str(), hour, source, label, currency, shard, count.number, units, rest, now])?;
    }
    Ok(())
}

/// Adds the requests that are settled with these events, and the events.
pub(in crate::store) fn note_events(tallies: &mut Tallies, events: &[EventRecord], settled: &[RequestId], now: Timestamp) {
    let mut open: HashSet<RequestId> = settled.iter().copied().collect();
    let mut counts: HashMap<(Tallied, &Arc<str>, &str), i64> = HashMap::new();
    for event in events.iter().filter(|event| !event.replaces) {
        if open.remove(&event.request) {
            *counts.entry((Tallied::Request, &event.source, "")).or_default() += 1;
        }
        *counts.entry((Tallied::Event, &event.source, event.outcome.as_str())).or_default() += 1;
    }
    for ((what, source, label), number) in counts {
        tallies.add(Tally::new(what, now, Arc::clone(source), label), number, 0);
    }
}

/// The counts of one kind from an hour on.
pub(in crate::store) fn since(db: &dyn Db, what: Tallied, hour: i64) -> Result<Vec<TallyLine>, Error> {
    let sql = "SELECT hour, source, label, currency, CAST(SUM(number) AS BIGINT), CAST(SUM(units) AS BIGINT), CAST(SUM(rest) AS BIGINT),
         MAX(last_at) FROM tallies WHERE what = ?1 AND hour >= ?2 GROUP BY hour, source, label, currency
         ORDER BY hour, source, label, currency";
    db.rows(sql, values![what.as_str(), hour], |row| {
        let (units, rest): (i64, i64) = (row.get(5)?, row.get(6)?);
        Ok(TallyLine {
            hour: row.get(0)?,
            source: row.get(1)?,
            label: row.get(2)?,
            currency: Some(row.text(3)?).filter(|code| !code.is_empty()).map(currency).transpose()?,
            number: row.get(4)?,
            minor: i128::from(units) * UNIT + i128::from(rest),
            last_at: from_millis(row.get(7)?),
        })
    })
}

/// When a request of each source was last settled.
pub(in crate::store) fn last_seen(db: &dyn Db) -> Result<Vec<(String, Timestamp)>, Error> {
    let sql = "SELECT source, MAX(last_at) FROM tallies WHERE what = 'request' GROUP BY source ORDER BY source";
    db.rows(sql, &[], |row| Ok((row.get(0)?, from_millis(row.get(1)?))))
}

fn currency(code: &str) -> Result<Currency, Error> {
    Currency::from_code(code).ok_or_else(|| damaged("the currency of a sum"))
}
