//! What the alarms remember, who keeps watch, and what they judge by: the counts of each hour.

use super::{Db, values};
use crate::domain::{Timestamp, from_millis};
use crate::store::{AlarmRecord, Error, HourlyTally};

/// Takes or renews the watch for `holder`, unless another one has it. Answers whether `holder` has it now.
pub(in crate::store) fn watch(db: &dyn Db, holder: i64, now: Timestamp, until: Timestamp) -> Result<bool, Error> {
    let clock = db.lease_clock(now)?;
    let leased_until = clock + until.duration_since(now);
    let sql = "INSERT INTO watch (id, holder, leased_until) VALUES (1, ?1, ?2)
         ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, leased_until = excluded.leased_until
         WHERE watch.holder = excluded.holder OR watch.leased_until <= ?3";
    Ok(db.execute(sql, values![holder, leased_until.as_millisecond(), clock.as_millisecond()])? > 0)
}

/// Lets go of the watch, so that another one need not wait.
pub(in crate::store) fn end_watch(db: &dyn Db, holder: i64) -> Result<(), Error> {
    db.write("DELETE FROM watch WHERE holder = ?1", values![holder])
}

pub(in crate::store) fn alarms(db: &dyn Db) -> Result<Vec<AlarmRecord>, Error> {
    let sql = "SELECT name, since, told_at, level, changed_at, what FROM alarms ORDER BY name";
    db.rows(sql, &[], |row| {
        Ok(AlarmRecord {
            name: row.get(0)?,
            since: row.get::<Option<i64>>(1)?.map(from_millis),
            told_at: row.get::<Option<i64>>(2)?.map(from_millis),
            level: row.get(3)?,
            changed_at: from_millis(row.get(4)?),
            what: row.get(5)?,
        })
    })
}

/// Keeps an alarm as it is now, or forgets it.
pub(in crate::store) fn put(db: &dyn Db, name: &str, record: Option<&AlarmRecord>) -> Result<(), Error> {
    let Some(AlarmRecord { since, told_at, level, changed_at, what, .. }) = record else {
        return db.write("DELETE FROM alarms WHERE name = ?1", values![name]);
    };
    let millis = |at: &Option<Timestamp>| at.map(Timestamp::as_millisecond);
    let sql = "INSERT INTO alarms (name, since, told_at, level, changed_at, what) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (name) DO UPDATE SET since = excluded.since, told_at = excluded.told_at, level = excluded.level,
         changed_at = excluded.changed_at, what = excluded.what";
    db.write(sql, values![name, millis(since), millis(told_at), level, changed_at.as_millisecond(), what])
}

/// What was counted in each hour from `since` on, hours since 1970, whatever currency or shard it was counted under.
pub(in crate::store) fn hourly(db: &dyn Db, since: i64) -> Result<Vec<HourlyTally>, Error> {
    let sql = "SELECT what, hour, source, label, CAST(SUM(number) AS BIGINT), MAX(last_at) FROM tallies
         WHERE what IN ('refused', 'request', 'sale') AND hour >= ?1
         GROUP BY what, hour, source, label ORDER BY what, hour, source, label";
    db.rows(sql, values![since], |row| {
        Ok(HourlyTally {
            what: row.get(0)?,
            hour: row.get(1)?,
            source: row.get(2)?,
            label: row.get(3)?,
            count: row.get(4)?,
            last_at: row.get::<Option<i64>>(5)?.map(from_millis),
        })
    })
}
