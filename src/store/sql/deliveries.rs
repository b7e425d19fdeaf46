//! The queue of deliveries: claimed under a lease, recorded, paused.

use super::row::{INVOICE_ID, damaged, invoice_id, scope_from};
use super::{Db, Row, Value, adjustments, fetches, question, tallies, values};
use crate::domain::{
    AdjustmentStep, AttemptOutcome, Currency, DeliveryId, EventName, Limiter, Money, Outgoing, SaleEvent, SaleId, Scope, Tallied,
    Tallies, Tally, Timestamp, from_millis,
};
use crate::store::{Attempt, Claimed, Claims, Error, Lease, LeaseNumber, shorthand};

/// What happened to an attempt whose process died.
const CUT_OFF: &str = "salebridge ended before the answer came; it may or may not have been accepted";
/// What a person can do about it where the upstream counts what it is told twice.
const LOOK: &str = "look for it in the upstream's dashboard before it is sent again, because the upstream would count it twice";
/// Why a delivery is not sent again by itself.
const FORGOTTEN: &str = "an earlier attempt may have been accepted, so long ago that the upstream has forgotten it and would count it \
     twice: look for it in the upstream's dashboard, and only if it is not there, `deliveries retry --past-window`";

/// Ends every lease: at the start of the only server of a store each is a dead process's.
pub(in crate::store) fn void_leases(db: &dyn Db) -> Result<(), Error> {
    db.write("DELETE FROM watch", &[])?;
    end_leases(db, "state = 'sending'", &[], |_, _| true)
}

/// Leases that ran out, as far as `is_dead` says so of holder and delivery: the attempt is noted, and what it was about is due again,
/// unless the upstream would count it twice.
fn end_leases(
    db: &dyn Db,
    which: &str,
    values: &[Value<'_>],
    is_dead: impl Fn(Option<i64>, DeliveryId) -> bool,
) -> Result<(), Error> {
    let sql = format!("SELECT id, counts_repeats, leased_by FROM deliveries WHERE {which}{}", db.dialect().skip_locked);
    let lapsed: Vec<(DeliveryId, bool, Option<i64>)> =
        db.rows(&sql, values, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for (id, counts_repeats, _) in lapsed.into_iter().filter(|(id, _, holder)| is_dead(*holder, *id)) {
        let sql =
            "INSERT INTO attempts SELECT id, (SELECT COALESCE(MAX(number), 0) + 1 FROM attempts WHERE delivery = deliveries.id),
             updated_at, updated_at, 'unknown', NULL, CAST(?2 AS TEXT), '', '', NULL FROM deliveries WHERE id = ?1";
        db.write(sql, values![id, CUT_OFF])?;
        let (state, reason) = if counts_repeats { ("dead", format!("{CUT_OFF}; {LOOK}")) } else { ("due", CUT_OFF.to_owned()) };
        let sql = "UPDATE deliveries SET state = ?2, last_reason = ?3, leased_until = NULL, last_status = NULL,
             tried_since = COALESCE(tried_since, updated_at), maybe_since = COALESCE(maybe_since, updated_at) WHERE id = ?1";
        db.write(sql, values![id, state, reason])?;
    }
    Ok(())
}

/// Claims what is due for `holder`, whose own leases never run out as long as it knows of them.
pub(in crate::store) fn claim(db: &dyn Db, lease: &Lease, holder: i64) -> Result<Claims, Error> {
    let (upstream, now) = (&*lease.upstream, lease.now.as_millisecond());
    let clock = db.lease_clock(lease.now)?;
    let lapsed = "upstream = ?1 AND state = 'sending' AND leased_until <= ?2";
    let is_dead = |whose, id| whose != Some(holder) || !lease.held.contains(&id);
    end_leases(db, lapsed, values![upstream, clock.as_millisecond()], is_dead)?;
    if let Some(window) = lease.window {
        let sql = "UPDATE deliveries SET state = 'dead', last_reason = ?3, updated_at = ?4
             WHERE upstream = ?1 AND state = 'due' AND maybe_since <= ?2";
        db.write(sql, values![upstream, (lease.now - window).as_millisecond(), FORGOTTEN, now])?;
    }
    if is_paused_by_hand(db, upstream)? {
        return Ok(Claims::default());
    }
    let due = "d.upstream = ?1 AND d.state = 'due' AND d.due_at <= ?2 ORDER BY d.due_at, d.id LIMIT ?3";
    let sql = outgoing_where(&[due, db.dialect().skip_locked_with_sale].concat());
    let mut found: Vec<Claimed> = db.rows(&sql, values![upstream, now, lease.limit], read)?;
    let not_before = if db.dialect().is_shared && !found.is_empty() { shared_slots(db, lease, clock, &mut found)? } else { None };
    let until = clock + (lease.until.duration_since(lease.now));
    let take = "UPDATE deliveries SET state = 'sending', leased_until = ?2, updated_at = ?3, counts_repeats = ?4, lease = ?5,
         leased_by = ?6 WHERE id = ?1";
    // From now on what is sent of a sale does not change: the lease says so to whoever reads it. It is written into the sale itself where
    // that is looked for: while something may still be learned of the buyer, and where another process folds at this moment. A row of a
    // kilobyte is not written again for nothing.
    let freeze = "UPDATE sales SET sent_as = ?2 WHERE id = ?1 AND sent_as IS NULL";
    for claimed in &found {
        let counts_repeats =
            if claimed.outgoing.adjustment.is_some() { lease.counts_repeated_adjustments } else { lease.counts_repeats };
        db.write_row(take, 1, values![claimed.id, until.as_millisecond(), now, counts_repeats, claimed.lease, holder])?;
    }
    for claimed in &found {
        let sale = &claimed.outgoing.sale;
        let is_looked_for = db.dialect().is_shared || sale.click_id.is_none() || sale.customer_external_id.is_none();
        if is_looked_for && !claimed.is_frozen {
            db.write_row(freeze, 1, values![claimed.sale, sale.invoice_id])?;
        }
    }
    Ok(Claims { claimed: found, not_before })
}

/// Takes slots of the limit that all replicas share, and leaves no more deliveries than there are slots. Answers when the next slot
/// comes, where there were too few.
fn shared_slots(db: &dyn Db, lease: &Lease, now: Timestamp, found: &mut Vec<Claimed>) -> Result<Option<Timestamp>, Error> {
    let upstream = &*lease.upstream;
    let mut limiter = Limiter::new(lease.requests_per_minute, now);
    // What nobody has ever used is all there.
    db.write("INSERT INTO rates (upstream, next_micros) VALUES (?1, 0) ON CONFLICT DO NOTHING", values![upstream])?;
    let sql = format!("SELECT next_micros FROM rates WHERE upstream = ?1{}", db.dialect().for_update);
    limiter.resume(db.value(&sql, values![upstream])?, now);
    let mut slots = limiter.available(now);
    let (mut taken, mut fits) = (0, 0);
    for claimed in &*found {
        let needed = if claimed.outgoing.adjustment.is_some() { lease.requests_per_adjustment } else { 1 };
        // One that needs more than there ever is at once takes them ahead.
        if needed.min(limiter.most_at_once()) > slots {
            break;
        }
        slots = slots.saturating_sub(needed);
        taken += needed;
        fits += 1;
    }
    let has_more = fits < found.len();
    found.truncate(fits);
    limiter.take(taken, now);
    let sql = "UPDATE rates SET next_micros = ?2 WHERE upstream = ?1";
    db.write(sql, values![upstream, limiter.next_at().as_microsecond()])?;
    // By the replica's own clock, which it waits by.
    Ok(has_more.then(|| lease.now + limiter.next_at().duration_since(now)))
}

/// Selects deliveries with all that is told by them, in the columns that [`read`] follows.
fn outgoing_where(rest: &str) -> String {
    format!(
        "SELECT d.id, d.sale, d.number, d.amount_minor, d.taken_back, d.attempts, d.tried_since, d.made_at,
         CASE WHEN d.number = 0 THEN d.upstream_id
             ELSE (SELECT o.upstream_id FROM deliveries o WHERE o.sale = d.sale AND o.upstream = d.upstream AND o.number = 0) END,
         s.source, s.scope, s.event, s.amount_minor, s.currency, s.at, s.customer_external_id, s.click_id, s.email, s.name, s.renewal,
         {INVOICE_ID}, d.lease, d.limited, s.request,
         (SELECT i.received_at FROM inbox i WHERE i.id = s.request)
         FROM deliveries d JOIN sales s ON s.id = d.sale WHERE {rest}"
    )
}

/// A delivery with all that an attempt of it would send.
pub(in crate::store) fn outgoing(db: &dyn Db, id: DeliveryId) -> Result<Option<Claimed>, Error> {
    db.row(&outgoing_where("d.id = ?1"), values![id], read)
}

fn read(row: &Row<'_>) -> Result<Claimed, Error> {
    let (number, minor, taken_back): (u32, Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?, row.get(4)?);
    let at = from_millis(row.get(7)?);
    let adjustment = minor.zip(taken_back).map(|(minor, taken_back)| AdjustmentStep { number, minor, taken_back, at });
    let Scope { mode, .. } = scope_from(row.text(10)?)?;
    let currency = Currency::from_code(row.text(13)?).ok_or_else(|| damaged("the currency of a sale"))?;
    let is_frozen = row.field(20)?.is_some();
    let sale = SaleEvent {
        event: EventName::parse(row.text(11)?).ok_or_else(|| damaged("the event of a sale"))?,
        customer_external_id: row.get(15)?,
        money: Money { minor: row.get(12)?, currency },
        click_id: row.get(16)?,
        invoice_id: invoice_id(row, 20)?,
        timestamp: from_millis(row.get(14)?),
        email: row.get(17)?,
        name: row.get(18)?,
    };
    let (source, is_renewal, upstream_id) = (row.get(9)?, row.get(19)?, row.get(8)?);
    Ok(Claimed {
        id: row.get(0)?,
        lease: row.get::<LeaseNumber>(23)? + 1,
        is_frozen,
        sale: row.get(1)?,
        attempts: row.get(5)?,
        limited: row.get(24)?,
        tried_since: row.get::<Option<i64>>(6)?.map(from_millis),
        request: row.get(25)?,
        received_at: row.get::<Option<i64>>(26)?.map(from_millis),
        outgoing: Outgoing { sale, source, mode, is_renewal, adjustment, upstream_id },
    })
}

pub(in crate::store) fn give_back(db: &dyn Db, given: &[(DeliveryId, LeaseNumber)]) -> Result<(), Error> {
    let sql = "UPDATE deliveries SET state = 'due', leased_until = NULL WHERE id = ?1 AND state = 'sending' AND lease = ?2";
    given.iter().try_for_each(|(id, lease)| db.write_row(sql, 1, values![id, lease]))
}

/// Nothing was written later than now: what says so was written by a clock that was ahead. What is leased may be given back and then
/// waits too. Where several processes serve one store, the database's clock is believed; only what is due again is also brought near
/// one's own, because to be early harms nobody there.
pub(in crate::store) fn set_back(db: &dyn Db, now: Timestamp) -> Result<(), Error> {
    let clock = db.lease_clock(now)?;
    let (earlier, clock) = (clock.min(now), clock.as_millisecond());
    let sql = "UPDATE deliveries SET due_at = ?1 + (due_at - updated_at), updated_at = ?1
         WHERE state IN ('due', 'sending') AND updated_at > ?1";
    db.write(sql, values![earlier.as_millisecond()])?;
    fetches::set_back(db, earlier)?;
    let sql = "UPDATE sales SET waits_until = ?1 + (waits_until - counted_at), counted_at = ?1
         WHERE state = 'waiting' AND counted_at > ?1";
    db.write(sql, values![clock])
}

pub(in crate::store) fn next_due(db: &dyn Db, upstream: &str) -> Result<Option<Timestamp>, Error> {
    if is_paused_by_hand(db, upstream)? {
        return Ok(None);
    }
    // In the order of the index, so that nobody adds up a million of them.
    let sql = "SELECT due_at FROM deliveries WHERE upstream = ?1 AND state = 'due' ORDER BY due_at, id LIMIT 1";
    db.row(sql, values![upstream], |row| Ok(from_millis(row.get(0)?)))
}

pub(in crate::store) fn record(db: &dyn Db, attempts: &[Attempt]) -> Result<(), Error> {
    let insert = "INSERT INTO attempts VALUES (?1, (SELECT COALESCE(MAX(number), 0) + 1 FROM attempts WHERE delivery = ?1),
         ?2, ?3, ?4, ?5, ?6, '', ?7, ?8)";
    // What somebody else has leased meanwhile is theirs to judge, but what was accepted is accepted.
    let update = "UPDATE deliveries SET state = ?2, due_at = ?3, attempts = attempts + ?4, last_status = ?5, last_reason = ?6,
         updated_at = ?7, leased_until = NULL, tried_since = CASE WHEN ?4 <> 0 THEN COALESCE(tried_since, ?8) ELSE tried_since END,
         upstream_id = COALESCE(?9, upstream_id), limited = limited + ?10,
         maybe_since = CASE WHEN ?11 <> 0 THEN COALESCE(maybe_since, ?8) ELSE maybe_since END
         WHERE id = ?1 AND (state = 'sending' AND lease = ?12 OR ?13 <> 0 AND state NOT IN ('delivered', 'duplicate', 'unattributed'))";
    for attempt in attempts {
        let (started_at, finished_at) = (attempt.started_at.as_millisecond(), attempt.finished_at.as_millisecond());
        let Attempt { delivery, status, reason, request, answer, .. } = attempt;
        let (outcome, request) = (attempt.outcome.as_str(), shorthand::write(request));
        db.write_row(insert, 1, values![delivery, started_at, finished_at, outcome, status, reason, answer, request])?;
    }
    for attempt in attempts {
        let (started_at, finished_at) = (attempt.started_at.as_millisecond(), attempt.finished_at.as_millisecond());
        let Attempt { delivery, status, reason, .. } = attempt;
        db.write_row(
            update,
            1,
            values![
                delivery,
                attempt.state.as_str(),
                attempt.due_at.as_millisecond(),
                attempt.counts,
                status,
                reason,
                finished_at,
                started_at,
                attempt.upstream_id,
                attempt.outcome == AttemptOutcome::RetryLimited,
                attempt.outcome.may_be_accepted(*status),
                attempt.lease,
                attempt.state.is_accepted(),
            ],
        )?;
    }
    tell_adjustments(db, attempts)?;
    tally(db, attempts)
}

/// Counts the attempts, each in the hour in which it ended.
fn tally(db: &dyn Db, attempts: &[Attempt]) -> Result<(), Error> {
    let Some(last) = attempts.iter().map(|attempt| attempt.finished_at).max() else { return Ok(()) };
    let mut counts = Tallies::default();
    for attempt in attempts {
        let tally = Tally::new(Tallied::Attempt, attempt.finished_at, attempt.upstream.clone(), attempt.outcome.as_str());
        counts.add(tally, 1, 0);
    }
    tallies::add(db, &counts, last)
}

/// Upstreams that have a sale now may have to be told what was taken back of it.
fn tell_adjustments(db: &dyn Db, attempts: &[Attempt]) -> Result<(), Error> {
    let mut accepted: Vec<&Attempt> =
        attempts.iter().filter(|attempt| attempt.adjustments.is_some() && attempt.state.is_accepted()).collect();
    accepted.sort_by_key(|attempt| attempt.delivery);
    let questions: Vec<Vec<Value<'_>>> = accepted.iter().map(|attempt| question![attempt.delivery]).collect();
    let sql = format!(
        "SELECT d.sale, d.upstream, s.taken_back <> 0 OR d.number > 0 FROM deliveries d JOIN sales s ON s.id = d.sale
         WHERE d.id = ?1{}",
        db.dialect().for_update_of_sale
    );
    let mut found: Vec<(usize, SaleId, String)> = Vec::new();
    db.query_all(&sql, &questions, &mut |place, row| {
        if row.get(2)? {
            found.push((place, row.get(0)?, row.get(1)?));
        }
        Ok(())
    })?;
    for (place, sale, upstream) in found {
        if let Some((attempt, rule)) = accepted.get(place).and_then(|attempt| Some((attempt, attempt.adjustments?))) {
            adjustments::tell(db, sale, &upstream, rule, attempt.finished_at)?;
        }
    }
    Ok(())
}

pub(in crate::store) fn set_paused(db: &dyn Db, upstream: &str, reason: Option<&str>, now: Timestamp) -> Result<(), Error> {
    let ends_pause = reason.is_none() && is_paused(db, upstream)?;
    // A person's pause stays.
    let sql = "INSERT INTO upstreams (name, paused, reason, since, by_hand) VALUES (?1, ?2, ?3, ?4, 0)
               ON CONFLICT (name) DO UPDATE
               SET since = CASE WHEN upstreams.paused = excluded.paused THEN upstreams.since ELSE excluded.since END,
               paused = excluded.paused, reason = excluded.reason WHERE upstreams.by_hand = 0";
    if db.execute(sql, values![upstream, reason.is_some(), reason, now.as_millisecond()])? == 0 {
        return Ok(());
    }
    if ends_pause {
        // A pause burns nothing: the days of the schedule count anew for what stood still.
        let sql = "UPDATE deliveries SET tried_since = NULL WHERE upstream = ?1 AND state = 'due' AND tried_since IS NOT NULL";
        db.write(sql, values![upstream])?;
    }
    Ok(())
}

fn is_paused_by_hand(db: &dyn Db, upstream: &str) -> Result<bool, Error> {
    db.exists("SELECT 1 FROM upstreams WHERE name = ?1 AND by_hand <> 0", values![upstream])
}

pub(in crate::store) fn is_paused(db: &dyn Db, upstream: &str) -> Result<bool, Error> {
    db.exists("SELECT 1 FROM upstreams WHERE name = ?1 AND paused <> 0", values![upstream])
}

pub(in crate::store) fn pause_by_hand(db: &dyn Db, upstream: &str, reason: Option<&str>, now: Timestamp) -> Result<bool, Error> {
    let Some(reason) = reason else {
        let is_changed = db.execute("UPDATE upstreams SET by_hand = 0 WHERE name = ?1 AND paused <> 0", values![upstream])? > 0;
        set_paused(db, upstream, None, now)?;
        return Ok(is_changed);
    };
    let sql = "INSERT INTO upstreams (name, paused, reason, since, by_hand) VALUES (?1, 1, ?2, ?3, 1)
               ON CONFLICT (name) DO UPDATE SET paused = 1, reason = ?2, since = ?3, by_hand = 1";
    Ok(db.execute(sql, values![upstream, reason, now.as_millisecond()])? > 0)
}
