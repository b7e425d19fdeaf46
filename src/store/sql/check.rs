//! What must always be true of what is stored. Each rule is one statement, so that a server that writes meanwhile does not disturb it.
//!
//! A rule stands here only if no code path breaks it. It finds damage by hand, by a disk, or by a fault of ours; it mends nothing.

use super::copy::places;
use super::row::{self, damaged};
use super::{Db, Row, Value, names};
use crate::store::{CheckView, Error, FindingView};

/// A rule: its name, what is wrong where it is broken, and the count of what breaks it with the first number.
struct Rule {
    name: &'static str,
    wrong: &'static str,
    sql: &'static str,
}

const fn rule(name: &'static str, wrong: &'static str, sql: &'static str) -> Rule {
    Rule { name, wrong, sql }
}

/// Where a rule says this, the database's own word for a settled request stands.
const IS_SETTLED: &str = "{is_settled}";

/// The same for how the click of a sale was come by.
const CLICK_FROM: &str = "{click_from}";

const RULES: [Rule; 31] = [
    rule(
        "request_once",
        "two requests have one fingerprint, so a repeat was stored (request)",
        "SELECT COUNT(*), MIN(first) FROM (SELECT MIN(id) AS first FROM inbox WHERE digest IS NOT NULL GROUP BY digest HAVING COUNT(*) > 1) AS twice",
    ),
    rule(
        "event_once",
        "two events have used up one id of the provider (request)",
        "SELECT COUNT(*), MIN(first) FROM (SELECT MIN(request) AS first FROM events WHERE unique_id IS NOT NULL
         GROUP BY source, unique_id HAVING COUNT(*) > 1) AS twice",
    ),
    rule(
        "key_once",
        "two sales have one identifying key (sale)",
        "SELECT COUNT(*), MIN(first) FROM (SELECT MIN(sale) AS first FROM sale_keys GROUP BY scope, kind, value HAVING COUNT(*) > 1) AS twice",
    ),
    rule(
        "identity_once",
        "a customer is remembered twice (when first seen)",
        "SELECT COUNT(*), MIN(first) FROM (SELECT MIN(first_seen) AS first FROM identities GROUP BY scope, customer HAVING COUNT(*) > 1) AS twice",
    ),
    rule(
        "request_settled",
        "a settled request has no event (the example is a request)",
        "SELECT COUNT(*), MIN(id) FROM inbox WHERE {is_settled} AND NOT EXISTS (SELECT 1 FROM events WHERE events.request = inbox.id)",
    ),
    rule(
        "event_request",
        "the request of an event is gone (request)",
        "SELECT COUNT(*), MIN(request) FROM events WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.id = events.request)",
    ),
    rule(
        "request_dictionary",
        "the dictionary by which a request is packed is gone (request)",
        "SELECT COUNT(*), MIN(id) FROM inbox WHERE dictionary > 0
         AND NOT EXISTS (SELECT 1 FROM dictionaries WHERE dictionaries.id = inbox.dictionary)",
    ),
    rule(
        "adjustment_request",
        "the request of an adjustment is gone (request)",
        "SELECT COUNT(*), MIN(request) FROM adjustments WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.id = adjustments.request)",
    ),
    rule(
        "fetch_request",
        "the request of something that is to be fetched is gone (request)",
        "SELECT COUNT(*), MIN(request) FROM fetches WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.id = fetches.request)",
    ),
    rule(
        "answer_request",
        "the request of something that was fetched is gone (request)",
        "SELECT COUNT(*), MIN(request) FROM answers WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.id = answers.request)",
    ),
    rule(
        "event_sale",
        "an event belongs to a sale that is gone or merged (request)",
        "SELECT COUNT(*), MIN(request) FROM events WHERE sale IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM sales WHERE sales.id = events.sale AND sales.state <> 'merged')",
    ),
    rule(
        "adjustment_sale",
        "an adjustment belongs to a sale that is gone or merged (request)",
        "SELECT COUNT(*), MIN(request) FROM adjustments WHERE sale IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM sales WHERE sales.id = adjustments.sale AND sales.state <> 'merged')",
    ),
    rule(
        "key_sale",
        "an identifying key leads to a sale that is gone or merged: its next event would be refused (sale)",
        "SELECT COUNT(*), MIN(sale) FROM sale_keys
         WHERE NOT EXISTS (SELECT 1 FROM sales WHERE sales.id = sale_keys.sale AND sales.state <> 'merged')",
    ),
    rule(
        "group_sale",
        "a key that groups leads to a sale that is gone (sale)",
        "SELECT COUNT(*), MIN(sale) FROM sale_groups WHERE NOT EXISTS (SELECT 1 FROM sales WHERE sales.id = sale_groups.sale)",
    ),
    rule(
        "tally_sales",
        "an hourly count of sales is not what the sales of that hour add up to (the hour, counted from 1970)",
        "SELECT COUNT(*), MIN(hour) FROM (
             SELECT hour FROM (
                 SELECT what, hour, source, label, currency, number, units, rest FROM tallies WHERE what IN ('sale', 'taken_back')
                 UNION ALL
                 SELECT what, at / 3600000, source, label, currency, -1, -(minor / 1000000000), -(minor % 1000000000) FROM (
                     SELECT 'sale' AS what, at, source, currency, scope, state, parked_code, amount_minor AS minor, CASE WHEN parked_code IS NOT NULL THEN 'parked:' || parked_code WHEN {click_from} = 'request' THEN 'attributed'
                         WHEN {click_from} IS NOT NULL THEN 'remembered' WHEN click_code IS NOT NULL THEN 'unattributed:' || click_code ELSE 'waiting' END AS label FROM sales
                     UNION ALL
                     SELECT 'taken_back', at, source, currency, scope, state, parked_code, taken_back, CASE WHEN parked_code IS NOT NULL THEN 'parked:' || parked_code WHEN {click_from} = 'request' THEN 'attributed'
                         WHEN {click_from} IS NOT NULL THEN 'remembered' WHEN click_code IS NOT NULL THEN 'unattributed:' || click_code ELSE 'waiting' END FROM sales WHERE taken_back <> 0
                 ) AS counted
                 WHERE scope LIKE 'live:%' AND state <> 'merged' AND COALESCE(parked_code, '') <> 'not_a_sale_today'
             ) AS lines
             GROUP BY what, hour, source, label, currency
             HAVING SUM(number) <> 0 OR SUM(units) + SUM(rest) / 1000000000 <> 0 OR SUM(rest) % 1000000000 <> 0
         ) AS differing",
    ),
    rule(
        "double_count_sales",
        "a possible double count names a sale that is gone (the first sale)",
        "SELECT COUNT(*), MIN(first) FROM double_counts WHERE NOT EXISTS (SELECT 1 FROM sales WHERE sales.id = double_counts.first)
         OR NOT EXISTS (SELECT 1 FROM sales WHERE sales.id = double_counts.second)",
    ),
    rule(
        "sale_state",
        "a sale does not say what its state needs: until when it waits, why it is parked, or into which it was merged (sale)",
        "SELECT COUNT(*), MIN(id) FROM sales WHERE NOT (state = 'ready' OR (state = 'waiting' AND waits_until IS NOT NULL)
         OR (state = 'parked' AND parked_code IS NOT NULL AND parked_reason IS NOT NULL) OR (state = 'merged' AND merged_into IS NOT NULL))",
    ),
    rule(
        "sale_merged",
        "a merged sale leads to none that stands (sale)",
        "WITH RECURSIVE chain (gone, stands) AS (
             SELECT id, merged_into FROM sales WHERE state = 'merged'
             UNION SELECT chain.gone, sales.merged_into FROM chain JOIN sales ON sales.id = chain.stands WHERE sales.state = 'merged')
         SELECT COUNT(*), MIN(id) FROM sales WHERE state = 'merged' AND id NOT IN (
             SELECT chain.gone FROM chain JOIN sales ON sales.id = chain.stands WHERE sales.state <> 'merged')",
    ),
    rule(
        "sale_amount",
        "the amount of a sale, or what is taken back of it, is no such amount (sale)",
        "SELECT COUNT(*), MIN(id) FROM sales WHERE amount_minor <= 0 OR taken_back < 0",
    ),
    rule(
        "sale_adjustments",
        "a sale counts more or fewer adjustments than there are (sale)",
        "SELECT COUNT(*), MIN(s.id) FROM sales s WHERE s.adjustments <> (SELECT COUNT(*) FROM adjustments a WHERE a.sale = s.id)",
    ),
    rule(
        "sale_click_from",
        "a sale has a click, but does not say how it was come by, or has none and says it (sale)",
        "SELECT COUNT(*), MIN(id) FROM sales WHERE (click_id IS NULL) <> ({click_from} IS NULL)",
    ),
    rule(
        "delivery_sale",
        "the sale of a delivery is gone (delivery)",
        "SELECT COUNT(*), MIN(id) FROM deliveries WHERE NOT EXISTS (SELECT 1 FROM sales WHERE sales.id = deliveries.sale)",
    ),
    rule(
        "delivery_lease",
        "a delivery is being sent without a lease (delivery)",
        "SELECT COUNT(*), MIN(id) FROM deliveries WHERE state = 'sending' AND leased_until IS NULL",
    ),
    rule(
        "delivery_sent",
        "a delivery was tried, but neither it nor its sale says so, and the sale could still change (delivery)",
        "SELECT COUNT(*), MIN(d.id) FROM deliveries d JOIN sales s ON s.id = d.sale WHERE s.sent_as IS NULL AND d.lease = 0
         AND (d.state IN ('sending', 'delivered', 'duplicate', 'unattributed') OR EXISTS (SELECT 1 FROM attempts a WHERE a.delivery = d.id))",
    ),
    rule(
        "delivery_accepted",
        "a delivery counts as accepted, but no attempt of it was (delivery)",
        "SELECT COUNT(*), MIN(d.id) FROM deliveries d WHERE d.state IN ('delivered', 'duplicate', 'unattributed')
         AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.delivery = d.id AND a.outcome IN ('delivered', 'duplicate', 'unattributed'))",
    ),
    rule(
        "delivery_attempts",
        "a delivery counts more attempts than there are (delivery)",
        "SELECT COUNT(*), MIN(d.id) FROM deliveries d WHERE d.attempts > (SELECT COUNT(*) FROM attempts a WHERE a.delivery = d.id)",
    ),
    rule(
        "step_amount",
        "a refund on its way does not say how much (delivery)",
        "SELECT COUNT(*), MIN(id) FROM deliveries WHERE number > 0 AND (amount_minor IS NULL OR taken_back IS NULL)",
    ),
    rule(
        "step_sale",
        "a refund is on its way to an upstream that was never to get the sale (delivery)",
        "SELECT COUNT(*), MIN(d.id) FROM deliveries d WHERE d.number > 0
         AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.sale = d.sale AND o.upstream = d.upstream AND o.number = 0)",
    ),
    rule(
        "attempt_delivery",
        "the delivery of an attempt is gone (delivery)",
        "SELECT COUNT(*), MIN(delivery) FROM attempts WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.id = attempts.delivery)",
    ),
    rule(
        "refused_body",
        "a refused request is not as long as it was (refused request)",
        "SELECT COUNT(*), MIN(id) FROM refused WHERE body IS NOT NULL AND length(body) <> body_bytes",
    ),
    rule(
        "refused_counted",
        "a refused request is kept, but its kind was never counted (refused request)",
        "SELECT COUNT(*), MIN(id) FROM refused WHERE NOT EXISTS (
             SELECT 1 FROM refused_counts c WHERE c.source = refused.source AND c.code = refused.code)",
    ),
];

/// So many notes are read at once.
const PAGE: usize = 1000;

const COUNTS: &str = "SELECT (SELECT COUNT(*) FROM inbox), (SELECT COUNT(*) FROM sales), (SELECT COUNT(*) FROM deliveries)";

/// Checks every rule, and counts.
pub(in crate::store) fn check(db: &dyn Db) -> Result<CheckView, Error> {
    let counts = db.row(COUNTS, &[], |row| {
        Ok(CheckView { checks: 0, requests: row.get(0)?, sales: row.get(1)?, deliveries: row.get(2)?, findings: Vec::new() })
    })?;
    let mut view = counts.ok_or_else(|| damaged("the counts of the tables"))?;
    for Rule { name, wrong, sql } in &RULES {
        judge(
            db,
            &mut view,
            name,
            wrong,
            &sql.replace(IS_SETTLED, db.dialect().is_settled).replace(CLICK_FROM, db.dialect().click_from),
        )?;
    }
    notes(db, &mut view)?;
    Ok(view)
}

/// Checks one more rule.
pub(in crate::store) fn judge(db: &dyn Db, view: &mut CheckView, name: &str, wrong: &str, sql: &str) -> Result<(), Error> {
    let found: Option<(u64, Option<i64>)> = db.row(sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (count, example) = found.ok_or_else(|| damaged("the count of a rule"))?;
    view.checks += 1;
    if count > 0 {
        view.findings.push(FindingView { name: name.to_owned(), wrong: wrong.to_owned(), count, example });
    }
    Ok(())
}

/// A column of notes: the rule that reads it, the key by which its rows are gone through, and who reads one.
struct Noted {
    name: &'static str,
    wrong: &'static str,
    table: &'static str,
    column: &'static str,
    key: &'static str,
    is_readable: fn(&Row<'_>) -> bool,
}

/// What stands in shorthand has to be readable, and to be what its reader expects. It is read a page at a time.
fn notes(db: &dyn Db, view: &mut CheckView) -> Result<(), Error> {
    let identity = if db.has_names() { "id" } else { "scope, customer" };
    let kinds = [
        Noted {
            name: "sale_notes",
            wrong: "what is noted of a sale cannot be read (sale)",
            table: "sales",
            column: "notes",
            key: "id",
            is_readable: |row| row::notes_of(row, 0).is_ok(),
        },
        Noted {
            name: "identity_notes",
            wrong: "what is noted of a customer cannot be read",
            table: "identities",
            column: "notes",
            key: identity,
            is_readable: |row| names::notes_of(row, 0).is_ok(),
        },
        Noted {
            name: "attempt_request",
            wrong: "what an attempt sent cannot be read (delivery)",
            table: "attempts",
            column: "sent",
            key: "delivery, number",
            is_readable: |row| row.shorthand(0).is_ok(),
        },
    ];
    for Noted { name, wrong, table, column, key, is_readable } in kinds {
        view.checks += 1;
        let width = key.split(", ").count();
        let (mut count, mut example, mut last): (u64, Option<i64>, Vec<Value<'static>>) = (0, None, Vec::new());
        loop {
            let after = if last.is_empty() { String::new() } else { format!("AND ({key}) > ({})", places(width)) };
            let sql =
                format!("SELECT {column}, {key} FROM {table} WHERE {column} IS NOT NULL {after} ORDER BY {key} LIMIT {PAGE}");
            let (asked, mut found) = (std::mem::take(&mut last), 0);
            db.query(&sql, &asked, &mut |row| {
                found += 1;
                last = (1..=width).map(|place| row.owned(place)).collect::<Result<_, Error>>()?;
                if !is_readable(row) {
                    count += 1;
                    example = example.or(row.get(1).ok());
                }
                Ok(())
            })?;
            if found < PAGE {
                break;
            }
        }
        if count > 0 {
            view.findings.push(FindingView { name: name.to_owned(), wrong: wrong.to_owned(), count, example });
        }
    }
    Ok(())
}
