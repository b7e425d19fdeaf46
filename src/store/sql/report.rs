//! The ledger over a period, added up exactly.

use std::collections::BTreeMap;

use serde_json::Value;

use super::row::damaged;
use super::{Db, values};
use crate::domain::{Currency, NOT_TODAY};
use crate::store::{AdjustmentLine, AttributionLine, DoubleLine, Error, ParkedLine, Period, Report, SalesLine, TestLine};

/// A count and exact sums of minor units: many amounts may be more than one account can hold.
#[derive(Default)]
struct Sum {
    count: u64,
    amount: i128,
    taken_back: i128,
}

/// Source, kind, whether the sale was found, and currency.
type Told = (String, String, bool, Option<String>);

/// In which range of times, and of which source: the parameters ?1, ?2 and ?3 of every query.
const IN_PERIOD: &str = "at >= ?1 AND at < ?2 AND (CAST(?3 AS TEXT) IS NULL OR source = ?3)";

pub(in crate::store) fn report(db: &dyn Db, period: &Period) -> Result<Report, Error> {
    let (sales, attribution) = sales(db, period)?;
    Ok(Report {
        since: format!("{:.0}", period.since),
        until: format!("{:.0}", period.until),
        sales,
        attribution,
        parked: parked(db, period)?,
        possible_double_counts: doubles(db, period)?,
        adjustments: adjustments(db, period)?,
        test_mode: test_mode(db, period)?,
    })
}

fn sales(db: &dyn Db, period: &Period) -> Result<(Vec<SalesLine>, Vec<AttributionLine>), Error> {
    let sql = format!(
        "SELECT source, currency, event, amount_minor, taken_back, {}, click_code, parked_code FROM sales
         WHERE {IN_PERIOD} AND state <> 'merged' AND COALESCE(parked_code, '') <> '{NOT_TODAY}' AND scope LIKE 'live:%'",
        db.dialect().click_from
    );
    let mut by_kind: BTreeMap<(String, String, String), Sum> = BTreeMap::new();
    let mut by_click: BTreeMap<(&str, Option<String>, String), Sum> = BTreeMap::new();
    db.query(&sql, values![period.since.as_millisecond(), period.until.as_millisecond(), period.source], &mut |row| {
        let (currency, amount, taken_back): (String, i64, i64) = (row.get(1)?, row.get(3)?, row.get(4)?);
        let (from, code): (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
        let parked: Option<String> = row.get(7)?;
        let how = match (from.as_deref(), &code) {
            _ if parked.is_some() => "parked",
            (Some("request"), _) => "attributed",
            (Some(_), _) => "remembered",
            (None, Some(_)) => "unattributed",
            (None, None) => "waiting",
        };
        for sum in [
            by_kind.entry((row.get(0)?, currency.clone(), row.get(2)?)).or_default(),
            by_click.entry((how, parked.or(code).filter(|_| how == "unattributed" || how == "parked"), currency)).or_default(),
        ] {
            sum.count += 1;
            sum.amount += i128::from(amount);
            sum.taken_back += i128::from(taken_back);
        }
        Ok(())
    })?;
    let kinds = by_kind.into_iter().map(|((source, currency, event), sum)| {
        let (amount, taken_back) = (number(&currency, sum.amount)?, number(&currency, sum.taken_back)?);
        let left = number(&currency, sum.amount - sum.taken_back)?;
        Ok(SalesLine { source, event, sales: sum.count, amount, taken_back, left, currency })
    });
    let clicks = by_click.into_iter().map(|((how, code, currency), sum)| {
        let amount = number(&currency, sum.amount)?;
        Ok(AttributionLine { how: how.to_owned(), code, sales: sum.count, amount, currency })
    });
    Ok((kinds.collect::<Result<_, Error>>()?, clicks.collect::<Result<_, Error>>()?))
}

fn parked(db: &dyn Db, period: &Period) -> Result<Vec<ParkedLine>, Error> {
    let sql = format!(
        "SELECT 'sale', source, parked_code, COUNT(*), MAX(id) FROM sales
             WHERE {IN_PERIOD} AND state = 'parked' AND scope LIKE 'live:%' GROUP BY 2, 3
         UNION ALL SELECT 'event', source, COALESCE(code, ''), COUNT(*), MAX(request) FROM events
             WHERE {IN_PERIOD} AND outcome = 'parked' AND mode = 'live' GROUP BY 2, 3
         ORDER BY 1 DESC, 2, 3"
    );
    db.rows(&sql, values![period.since.as_millisecond(), period.until.as_millisecond(), period.source], |row| {
        let (what, source, code) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(ParkedLine { what, source, code, count: row.get(3)?, example: row.get(4)? })
    })
}

fn doubles(db: &dyn Db, period: &Period) -> Result<Vec<DoubleLine>, Error> {
    let sql =
        "SELECT d.first, d.second, d.request, s.currency, s.amount_minor FROM double_counts d JOIN sales s ON s.id = d.second
         WHERE s.at >= ?1 AND s.at < ?2 AND (CAST(?3 AS TEXT) IS NULL OR s.source = ?3) AND s.scope LIKE 'live:%' ORDER BY 1, 2";
    db.rows(sql, values![period.since.as_millisecond(), period.until.as_millisecond(), period.source], |row| {
        let amount = number(row.text(3)?, row.get::<i64>(4)?.into())?;
        Ok(DoubleLine { first: row.get(0)?, second: row.get(1)?, tied_by: row.get(2)?, currency: row.get(3)?, amount })
    })
}

fn adjustments(db: &dyn Db, period: &Period) -> Result<Vec<AdjustmentLine>, Error> {
    let sql = format!(
        "SELECT source, kind, sale IS NOT NULL, currency, amount_minor, COALESCE(provider_id, 'sale ' || sale, 'request ' || request)
         FROM adjustments WHERE {IN_PERIOD} AND scope LIKE 'live:%' ORDER BY at, request, position"
    );
    // Several events about one refund are one refund, and of a running total the newest counts.
    let mut newest: BTreeMap<(Told, String), (u64, i64)> = BTreeMap::new();
    db.query(&sql, values![period.since.as_millisecond(), period.until.as_millisecond(), period.source], &mut |row| {
        let told: Told = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let (events, amount) = newest.entry((told, row.get(5)?)).or_default();
        *events += 1;
        *amount = row.get::<Option<i64>>(4)?.unwrap_or_default();
        Ok(())
    })?;
    let mut sums: BTreeMap<Told, Sum> = BTreeMap::new();
    for ((told, _), (events, amount)) in newest {
        let sum = sums.entry(told).or_default();
        sum.count += events;
        sum.amount += i128::from(amount);
    }
    let lines = sums.into_iter().map(|((source, kind, has_sale, currency), sum)| {
        let amount = currency.as_deref().map(|currency| number(currency, sum.amount)).transpose()?;
        Ok(AdjustmentLine { source, kind, has_sale, currency, events: sum.count, amount })
    });
    lines.collect()
}

fn test_mode(db: &dyn Db, period: &Period) -> Result<Vec<TestLine>, Error> {
    let sql =
        format!("SELECT source, outcome, COUNT(*) FROM events WHERE {IN_PERIOD} AND mode = 'test' GROUP BY 1, 2 ORDER BY 1, 2");
    db.rows(&sql, values![period.since.as_millisecond(), period.until.as_millisecond(), period.source], |row| {
        Ok(TestLine { source: row.get(0)?, outcome: row.get(1)?, events: row.get(2)? })
    })
}

fn number(currency: &str, minor: i128) -> Result<Value, Error> {
    let currency = Currency::from_code(currency).ok_or_else(|| damaged("the currency of a sale"))?;
    Ok(serde_json::from_str(&currency.major(minor))?)
}
