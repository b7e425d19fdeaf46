//! What upstreams are told of money that went back: one step after another, each once the one before it was accepted.

use super::row::damaged;
use super::{Db, values};
use crate::domain::{AdjustmentRule, DeliveryState, SaleId, Timestamp};
use crate::store::Error;

/// A step that was not accepted yet.
struct Open {
    id: i64,
    is_begun: bool,
}

/// Makes, changes or withdraws the next step, so that the upstream comes to know what the ledger knows. Only an upstream that has the
/// sale is told, and only what it can take.
pub(super) fn tell(db: &dyn Db, sale: SaleId, upstream: &str, rule: AdjustmentRule, now: Timestamp) -> Result<(), Error> {
    // Locked before the steps are read: whoever comes second sees what the first has done.
    let sql = format!("SELECT amount_minor, taken_back FROM sales WHERE id = ?1{}", db.dialect().for_update);
    let sums: Option<(i64, i64)> = db.row(&sql, values![sale], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (amount, taken_back) = sums.ok_or_else(|| damaged("a sale that is gone"))?;
    let sql = "SELECT id, number, state, amount_minor, EXISTS (SELECT 1 FROM attempts WHERE delivery = deliveries.id)
               FROM deliveries WHERE sale = ?1 AND upstream = ?2 ORDER BY number";
    let (mut has_sale, mut told, mut number, mut open) = (false, 0_i64, 0_u32, None);
    db.query(sql, values![sale, upstream], &mut |row| {
        let state = DeliveryState::parse(row.text(2)?).ok_or_else(|| damaged("the state of a delivery"))?;
        number = row.get(1)?;
        if number == 0 {
            has_sale = state == DeliveryState::Delivered || state == DeliveryState::Duplicate;
        } else if state.is_accepted() {
            told = told.saturating_add(row.get::<Option<i64>>(3)?.unwrap_or_default());
        } else if state != DeliveryState::Withdrawn {
            // Also one that a person resumed may have been accepted before.
            let is_begun = state != DeliveryState::Due || row.get(4)?;
            open = Some(Open { id: row.get(0)?, is_begun });
        }
        Ok(())
    })?;
    let step = rule.step(amount, taken_back, told).filter(|_| has_sale);
    let millis = now.as_millisecond();
    match (open, step) {
        // It goes on once this one is settled.
        (Some(Open { is_begun: true, .. }), _) | (None, None) => {}
        (Some(Open { id, .. }), Some(minor)) => {
            let sql = "UPDATE deliveries SET amount_minor = ?2, taken_back = ?3, updated_at = ?4 WHERE id = ?1";
            db.write(sql, values![id, minor, told + minor, millis])?;
        }
        (Some(Open { id, .. }), None) => {
            let sql = "UPDATE deliveries SET state = 'withdrawn', updated_at = ?2 WHERE id = ?1";
            db.write(sql, values![id, millis])?;
        }
        (None, Some(minor)) => {
            let sql = "INSERT INTO deliveries (sale, upstream, number, amount_minor, taken_back, state, due_at, counts_repeats, attempts,
                       made_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, 'due', ?6, 0, 0, ?6, ?6)";
            db.write(sql, values![sale, upstream, number + 1, minor, told + minor, millis])?;
        }
    }
    Ok(())
}
