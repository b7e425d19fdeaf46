//! What a batch changes in the ledger, written in one go.

use super::row::{scope, write_sale};
use super::{Db, adjustments, fetches, names, search, tallies, values};
use crate::attribute::{Changes, DoubleCount, Merge, NewStatement, SaleKey, Tell};
use crate::domain::{RequestId, Statement, Timestamp};
use crate::store::Error;

/// Writes the changes; `settled` are the requests that are settled with them for the first time.
pub(in crate::store) fn write(db: &dyn Db, changes: &Changes, settled: &[RequestId], now: Timestamp) -> Result<(), Error> {
    changes.new_sales.iter().try_for_each(|sale| write_sale(db, INSERT_SALE, sale))?;
    changes.changed_sales.iter().try_for_each(|sale| write_sale(db, UPDATE_SALE, sale))?;
    put_keys(db, changes)?;
    changes.identities.iter().try_for_each(|(place, customer, identity)| names::put_identity(db, place, customer, identity))?;
    changes.events.iter().try_for_each(|event| names::put_event(db, event))?;
    let millis = now.as_millisecond();
    for (place, kind, value) in &changes.spent_hints {
        let sql = "DELETE FROM hints WHERE scope = ?1 AND kind = ?2 AND value = ?3";
        db.write_row(sql, 3, values![scope(place), kind, value])?;
    }
    for ((place, kind, value), hint) in &changes.hints {
        let sql = "INSERT INTO hints VALUES (?1, ?2, ?3, ?4) ON CONFLICT (scope, kind, value) DO UPDATE SET hint = excluded.hint";
        db.write_row(sql, 3, values![scope(place), kind, value, serde_json::to_string(hint)?])?;
    }
    for (request, position) in &changes.removed_statements {
        db.write("DELETE FROM adjustments WHERE request = ?1 AND position = ?2", values![request, position])?;
    }
    changes.statements.iter().try_for_each(|new| put_statement(db, new))?;
    for (request, position, sale) in &changes.found_sales {
        db.write("UPDATE adjustments SET sale = ?3 WHERE request = ?1 AND position = ?2", values![request, position, sale])?;
        let sql = "UPDATE events SET sale = ?3, code = NULL, reason = NULL WHERE request = ?1 AND position = ?2";
        db.write(sql, values![request, position, sale])?;
    }
    changes.fetches.iter().try_for_each(|fetch| fetches::begin(db, fetch, millis))?;
    put_deliveries(db, changes, millis)?;
    for Tell { sale, upstream, rule } in &changes.tells {
        adjustments::tell(db, *sale, upstream, *rule, now)?;
    }
    for DoubleCount { first, second, request } in &changes.double_counts {
        db.write("INSERT INTO double_counts VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING", values![first, second, request])?;
        tracing::error!(sale.id = first, other = second, request.id = request, "a possible double count: both sales were sent");
    }
    search::note_changed(db, &changes.changed_sales)?;
    let mut counts = changes.tallies.clone();
    tallies::note_events(&mut counts, &changes.events, settled, now);
    tallies::add(db, &counts, now)
}

fn put_keys(db: &dyn Db, changes: &Changes) -> Result<(), Error> {
    let (of_one, of_many): (Vec<&SaleKey>, Vec<&SaleKey>) = changes.new_keys.iter().partition(|new| new.key.identifies);
    of_one.into_iter().chain(of_many).try_for_each(|new| names::put_key(db, new))?;
    changes.moved_keys.iter().try_for_each(|moved| names::move_key(db, moved))
}

fn put_deliveries(db: &dyn Db, changes: &Changes, millis: i64) -> Result<(), Error> {
    for id in &changes.withdrawn {
        let sql = "UPDATE deliveries SET state = 'withdrawn', updated_at = ?2 WHERE sale = ?1 AND number = 0 AND state IN ('due', 'held', 'skipped')";
        db.write(sql, values![id, millis])?;
    }
    for delivery in &changes.deliveries {
        let sql = "INSERT INTO deliveries (sale, upstream, number, state, due_at, counts_repeats, attempts, made_at, updated_at)
             VALUES (?1, ?2, 0, ?3, ?4, 0, 0, ?4, ?4) ON CONFLICT (sale, upstream, number)
             DO UPDATE SET state = excluded.state, due_at = excluded.due_at, updated_at = excluded.updated_at
             WHERE deliveries.state = 'withdrawn'";
        db.write_row(sql, 2, values![delivery.sale, delivery.upstream, delivery.state.as_str(), millis])?;
    }
    for id in &changes.released {
        let sql =
            "UPDATE deliveries SET state = 'due', due_at = ?2, updated_at = ?2 WHERE sale = ?1 AND state IN ('held', 'skipped')";
        db.write(sql, values![id, millis])?;
    }
    for Merge { goes, stays } in &changes.merged {
        db.write("UPDATE deliveries SET state = 'merged', updated_at = ?2 WHERE sale = ?1", values![goes, millis])?;
        for sql in ["UPDATE events SET sale = ?2 WHERE sale = ?1", "UPDATE adjustments SET sale = ?2 WHERE sale = ?1"] {
            db.write(sql, values![goes, stays])?;
        }
    }
    Ok(())
}

const INSERT_SALE: &str =
    "INSERT INTO sales VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, '', '', ?14, '', '', ?15, ?16, ?17, ?18, ?19,
     ?20, ?21, ?22, ?23, ?24, '', '', ?25, ?26, ?27, ?28, ?29)";

const UPDATE_SALE: &str =
    "UPDATE sales SET source = ?2, scope = ?3, event = ?4, rank = ?5, amount_minor = ?6, currency = ?7, at = ?8,
     customer = ?9, customer_external_id = ?10, click_id = ?11, email = ?12, name = ?13, trail = '', keys = '',
     renewal = ?14, awaits = '', seen = '', state = ?15, waits_until = ?16, merged_into = ?17, parked_code = ?18,
     parked_reason = ?19, click_code = ?20, click_reason = ?21, request = ?22, counted_at = ?23, sent_as = ?24,
     proof = '', teller = '', paid_at = ?25, taken_back = ?26, adjustments = ?27, notes = ?28, click_from = ?29 WHERE id = ?1";

fn put_statement(db: &dyn Db, new: &NewStatement) -> Result<(), Error> {
    let sql = "INSERT INTO adjustments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (request, position)
         DO UPDATE SET scope = excluded.scope, sale = excluded.sale, kind = excluded.kind, provider_id = excluded.provider_id,
         amount_minor = excluded.amount_minor, currency = excluded.currency, cumulative = excluded.cumulative, at = excluded.at";
    let Statement { request, position, at, adjustment } = &new.statement;
    db.write_row(
        sql,
        2,
        values![
            request,
            position,
            new.source,
            scope(&new.scope),
            new.sale,
            adjustment.kind.as_str(),
            adjustment.id,
            adjustment.money.map(|money| money.minor),
            adjustment.money.map(|money| money.currency.code()),
            adjustment.is_cumulative,
            at.as_millisecond(),
        ],
    )
}
