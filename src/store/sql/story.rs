//! The story of a sale, as people and programs are shown it.

use serde_json::{Map, Value, json};

use super::row::{INVOICE_ID, STATEMENT_COLUMNS, invoice_id as read_invoice_id, statement};
use super::views::{EVENT_COLUMNS, event_view, select_deliveries};
use super::{Db, values};
use crate::attribute::Choice;
use crate::domain::{Balance, Found, Key, Origin, Sale, SaleId, SaleState, Statement, invoice_id};
use crate::store::{AdjustmentView, BalanceView, DoubleView, Error, EventView, SaleView};

/// A sale with all that is known of it.
pub(super) fn sale_view(db: &dyn Db, sale: &Sale) -> Result<SaleView, Error> {
    let reason = match &sale.state {
        SaleState::Parked(reason) => Some(reason.clone()),
        SaleState::Waiting(_) | SaleState::Ready | SaleState::Merged(_) => sale.without_click.clone(),
    };
    let merged_into = match sale.state {
        SaleState::Merged(into) => Some(into),
        SaleState::Waiting(_) | SaleState::Ready | SaleState::Parked(_) => None,
    };
    let statements = statements(db, sale)?;
    let doubles = "SELECT first + second - ?1 FROM double_counts WHERE first = ?1 OR second = ?1 ORDER BY 1";
    Ok(SaleView {
        id: sale.id,
        source: sale.source.to_string(),
        mode: sale.scope.mode.as_str().to_owned(),
        state: sale.state.as_str().to_owned(),
        code: reason.as_ref().map(|reason| reason.code.to_string()),
        reason: reason.map(|reason| reason.text.to_string()).or_else(|| waits(sale)),
        event: sale.to_event().to_json(),
        customer: sale.buyer.customer.clone(),
        keys: sale.keys.iter().map(|key| format!("{}:{}", key.kind, key.value)).collect(),
        trail: trail(sale),
        proof: sale.proof.in_words(sale.money),
        amounts: serde_json::to_value(&sale.proof)?,
        balance: balance(sale, &statements),
        adjustments: statements.iter().map(adjustment).collect(),
        counted_at: sale.counted_at.to_string(),
        merged_into,
        possible_double_counts: db.rows(doubles, values![sale.id], |row| row.get(0))?,
        double_counts: Vec::new(),
        events: events(db, sale.id)?,
        deliveries: select_deliveries(db, "WHERE d.sale = ?1 ORDER BY d.id", values![sale.id])?,
        choice: Choice::of(sale).ok(),
    })
}

/// Sales that were sent as well and turned out to be the same purchase, with their timelines.
pub(super) fn double_counts(db: &dyn Db, id: SaleId) -> Result<Vec<DoubleView>, Error> {
    let sql = format!(
        "SELECT first + second - ?1, d.request, {INVOICE_ID} FROM double_counts d
         JOIN sales s ON s.id = first + second - ?1 WHERE first = ?1 OR second = ?1 ORDER BY 1"
    );
    let found: Vec<(SaleId, i64, Option<String>)> =
        db.rows(&sql, values![id], |row| Ok((row.get(0)?, row.get(1)?, read_invoice_id(row, 2)?)))?;
    let view = |(sale, tied_by, invoice_id)| {
        let deliveries = select_deliveries(db, "WHERE d.sale = ?1 ORDER BY d.id", values![sale])?;
        Ok(DoubleView { sale, invoice_id, tied_by, events: events(db, sale)?, deliveries })
    };
    found.into_iter().map(view).collect()
}

fn events(db: &dyn Db, sale: SaleId) -> Result<Vec<EventView>, Error> {
    let sql = format!("SELECT {EVENT_COLUMNS} FROM events WHERE sale = ?1 ORDER BY request, position");
    db.rows(&sql, values![sale], event_view)
}

fn statements(db: &dyn Db, sale: &Sale) -> Result<Vec<Statement>, Error> {
    let sql = format!("SELECT {STATEMENT_COLUMNS} FROM adjustments WHERE sale = ?1 ORDER BY at, request, position");
    db.rows(&sql, values![sale.id], statement)
}

fn adjustment(statement: &Statement) -> AdjustmentView {
    let Statement { request, position, at, adjustment } = statement;
    AdjustmentView { request: *request, position: *position, adjustment: adjustment.to_json(*at) }
}

fn balance(sale: &Sale, statements: &[Statement]) -> BalanceView {
    let Balance { refunded, disputed, cancelled, taken_back, foreign } =
        Balance::of(sale.money, &sale.proof, sale.paid_at, statements);
    let number = |minor: i64| sale.money.with(minor).to_number();
    BalanceView {
        amount: sale.money.to_number(),
        refunded: number(refunded),
        disputed: number(disputed),
        cancelled: number(cancelled),
        taken_back: number(taken_back),
        left: number(sale.money.minor.saturating_sub(taken_back)),
        not_counted: foreign,
    }
}

fn waits(sale: &Sale) -> Option<String> {
    match sale.state {
        SaleState::Waiting(until) => Some(format!("waits until {until:.0} for {}", sale.awaits.join(", "))),
        SaleState::Ready | SaleState::Parked(_) | SaleState::Merged(_) => None,
    }
}

/// Where each field of the sale event came from, or why it is missing.
fn trail(sale: &Sale) -> Map<String, Value> {
    let missing = |code: &str, reason: &str| json!({"from": "nowhere", "code": code, "reason": reason});
    let told = |found: &Option<Found>| found.as_ref().map(|found| origin(&found.origin));
    let request = sale.teller.request;
    let path = |path: &str| json!({"from": "request", "request": request, "path": path});
    let mut trail = Map::new();
    trail.insert("event".to_owned(), json!({"from": "request", "request": request, "type": &*sale.teller.kind}));
    let customer = told(&sale.buyer.customer_external_id).unwrap_or_else(|| match &sale.state {
        SaleState::Parked(reason) if sale.buyer.customer_external_id.is_none() => missing(&reason.code, &reason.text),
        SaleState::Parked(_) | SaleState::Ready | SaleState::Merged(_) | SaleState::Waiting(_) => {
            missing("not_yet_told", &waits(sale).unwrap_or_else(|| "no event of this sale carried one".to_owned()))
        }
    });
    trail.insert("customerExternalId".to_owned(), customer);
    let total = sale.proof.parts.first().map_or("", |part| &*part.path);
    trail.insert("amount".to_owned(), path(total));
    trail.insert("currency".to_owned(), path(&sale.proof.currency_path));
    let click = told(&sale.buyer.click_id).unwrap_or_else(|| match &sale.without_click {
        Some(reason) => missing(&reason.code, &reason.text),
        None => missing("not_yet_told", &waits(sale).unwrap_or_else(|| "no event of this sale carried one".to_owned())),
    });
    trail.insert("clickId".to_owned(), click);
    let sent = |key: &&Key| sale.sent_as.as_ref().is_none_or(|id| *id == invoice_id(&key.prefix, &key.value));
    let key = sale.keys.iter().filter(|key| key.identifies).filter(sent).min_by_key(|key| key.strength);
    let key = key.map(|key| json!({"from": "key", "kind": &*key.kind}));
    trail.insert("invoiceId".to_owned(), key.unwrap_or_else(|| missing("key_missing", "the sale has no identifying id")));
    let time = sale.teller.at_path.as_deref().map(path);
    trail.insert("timestamp".to_owned(), time.unwrap_or_else(|| json!({"from": "receipt", "request": request})));
    let unsaid = |what: &str| missing("not_told", &format!("no event of this sale carried {what}"));
    trail.insert("email".to_owned(), told(&sale.buyer.email).unwrap_or_else(|| unsaid("an e-mail address")));
    trail.insert("name".to_owned(), told(&sale.buyer.name).unwrap_or_else(|| unsaid("a name")));
    trail
}

/// Where a value came from, as it is shown.
fn origin(origin: &Origin) -> Value {
    let from = origin.as_str();
    match origin {
        Origin::Request { request, path } => json!({"from": from, "request": request, "path": &**path}),
        Origin::Memory { request } => json!({"from": from, "request": request}),
        Origin::Fallback { of, request } => json!({"from": from, "of": of, "request": request}),
    }
}
