//! Between a sale and its row.

use std::sync::Arc;

use serde_json::Value;

use super::{Db, Row, Unchanged, values};
use crate::domain::{
    Adjustment, AdjustmentKind, Buyer, Currency, EventName, Found, Key, Mode, Money, Origin, Reason, Sale, SaleState, Scope,
    Statement, from_millis, invoice_id_of,
};
use crate::store::Error;

/// Selects sales whole. The columns come in the order of the table, which [`sale`] and [`write_sale`] follow; after them, whether a
/// delivery of the sale was ever claimed.
pub(in crate::store) const SALES: &str =
    "SELECT sales.*, EXISTS (SELECT 1 FROM deliveries WHERE deliveries.sale = sales.id AND deliveries.lease > 0) FROM sales";

/// The columns of a statement, which [`statement`] follows.
pub(super) const STATEMENT_COLUMNS: &str = "request, position, kind, provider_id, amount_minor, currency, cumulative, at";

/// Runs an INSERT or UPDATE of one row whose places are numbered as the table's columns.
pub(super) fn write_sale(db: &dyn Db, sql: &str, sale: &Sale) -> Result<(), Error> {
    let value = |found: &Option<Found>| found.as_ref().map(|found| found.value.clone());
    let (state, until, merged_into, parked) = match &sale.state {
        SaleState::Waiting(until) => ("waiting", Some(until.as_millisecond()), None, None),
        SaleState::Ready => ("ready", None, None, None),
        SaleState::Parked(reason) => ("parked", None, None, Some(reason)),
        SaleState::Merged(into) => ("merged", None, Some(*into), None),
    };
    db.put(
        sql,
        values![
            sale.id,
            sale.source,
            scope(&sale.scope),
            sale.event.as_str(),
            sale.rank,
            sale.money.minor,
            sale.money.currency.code(),
            sale.at.as_millisecond(),
            sale.buyer.customer,
            value(&sale.buyer.customer_external_id),
            value(&sale.buyer.click_id),
            value(&sale.buyer.email),
            value(&sale.buyer.name),
            trail(sale),
            serde_json::to_string(&sale.keys)?,
            sale.renewal,
            serde_json::to_string(&sale.awaits)?,
            serde_json::to_string(&sale.seen)?,
            state,
            until,
            merged_into,
            parked.map(|reason| &*reason.code),
            parked.map(|reason| &*reason.text),
            sale.without_click.as_ref().map(|reason| &*reason.code),
            sale.without_click.as_ref().map(|reason| &*reason.text),
            sale.request,
            sale.counted_at.as_millisecond(),
            sale.sent_as,
            serde_json::to_string(&sale.proof)?,
            serde_json::to_string(&sale.teller)?,
            sale.paid_at.as_millisecond(),
            sale.taken_back,
            sale.adjustments,
        ],
        Some(Unchanged::Damage("a sale that is gone")),
    )
}

/// Reads a sale from a row of [`SALES`].
pub(in crate::store) fn sale(row: &Row<'_>) -> Result<Sale, Error> {
    let trail: Value = serde_json::from_str(row.text(13)?)?;
    let found = |column: usize, name: &str| -> Result<Option<Found>, Error> {
        let value: Option<String> = row.get(column)?;
        value.map(|value| Ok(Found { value, origin: origin_from(&trail[name])? })).transpose()
    };
    let state: String = row.get(18)?;
    let state = match state.as_str() {
        "waiting" => SaleState::Waiting(from_millis(row.get(19)?)),
        "ready" => SaleState::Ready,
        "parked" => SaleState::Parked(reason(row, 21)?.ok_or_else(|| damaged("a parked sale without a reason"))?),
        "merged" => SaleState::Merged(row.get(20)?),
        _ => return Err(damaged("the state of a sale")),
    };
    let currency = Currency::from_code(row.text(6)?).ok_or_else(|| damaged("the currency of a sale"))?;
    let keys: Vec<Key> = serde_json::from_str(row.text(14)?)?;
    Ok(Sale {
        id: row.get(0)?,
        source: text(row, 1)?,
        scope: scope_from(row.text(2)?)?,
        event: EventName::parse(row.text(3)?).ok_or_else(|| damaged("the event of a sale"))?,
        rank: row.get(4)?,
        money: Money { minor: row.get(5)?, currency },
        at: from_millis(row.get(7)?),
        buyer: Buyer {
            customer: row.get(8)?,
            customer_external_id: found(9, "customerExternalId")?,
            click_id: found(10, "clickId")?,
            email: found(11, "email")?,
            name: found(12, "name")?,
        },
        sent_as: sent_as(row.get(27)?, row.get(33)?, &keys),
        keys,
        renewal: row.get(15)?,
        awaits: serde_json::from_str(row.text(16)?)?,
        seen: serde_json::from_str(row.text(17)?)?,
        state,
        without_click: reason(row, 23)?,
        request: row.get(25)?,
        counted_at: from_millis(row.get(26)?),
        proof: json(row, 28)?,
        teller: json(row, 29)?,
        paid_at: from_millis(row.get(30)?),
        taken_back: row.get(31)?,
        adjustments: row.get(32)?,
    })
}

/// The invoice id under which a sale was handed to a sender. A claim only writes it where others look for it (see
/// [`super::deliveries::claim`]); until something of the sale is written again, its keys still give the same.
fn sent_as(written: Option<String>, is_claimed: bool, keys: &[Key]) -> Option<String> {
    written.or_else(|| invoice_id_of(keys).filter(|_| is_claimed))
}

/// A scope as it is stored.
pub(super) fn scope(scope: &Scope) -> String {
    [scope.mode.as_str(), ":", &scope.account].concat()
}

pub(super) fn scope_from(text: &str) -> Result<Scope, Error> {
    let (mode, account) = text.split_once(':').ok_or_else(|| damaged("a scope"))?;
    let mode = match mode {
        "live" => Mode::Live,
        "test" => Mode::Test,
        _ => return Err(damaged("the mode of a scope")),
    };
    Ok(Scope { account: account.into(), mode })
}

/// Where a value came from, as it is stored and shown: JSON, written by hand because every sale has four of them.
pub(super) fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Request { request, path } => {
            let path = serde_json::to_string(&**path).expect("a text is JSON");
            [r#"{"from":"request","request":"#, &request.to_string(), r#","path":"#, &path, "}"].concat()
        }
        Origin::Memory { request } => format!(r#"{{"from":"memory","request":{request}}}"#),
        Origin::Fallback { of, request } => {
            let of = serde_json::to_string(of).expect("a name is JSON");
            format!(r#"{{"from":"fallback","of":{of},"request":{request}}}"#)
        }
    }
}

pub(super) fn origin_from(value: &Value) -> Result<Origin, Error> {
    let request = value["request"].as_i64().ok_or_else(|| damaged("the origin of a value"))?;
    match (value["path"].as_str(), value["of"].is_string()) {
        (Some(path), _) => Ok(Origin::Request { request, path: path.into() }),
        (None, true) => Ok(Origin::Fallback { of: serde_json::from_value(value["of"].clone())?, request }),
        (None, false) => Ok(Origin::Memory { request }),
    }
}

pub(super) fn damaged(what: &str) -> Error {
    Error::Damaged(what.to_owned())
}

fn trail(sale: &Sale) -> String {
    let fields = [
        ("customerExternalId", &sale.buyer.customer_external_id),
        ("clickId", &sale.buyer.click_id),
        ("email", &sale.buyer.email),
        ("name", &sale.buyer.name),
    ];
    let mut text = String::with_capacity(512);
    for (name, found) in fields {
        let Some(found) = found else { continue };
        text.push_str(if text.is_empty() { "{\"" } else { ",\"" });
        text.push_str(name);
        text.push_str("\":");
        text.push_str(&origin(&found.origin));
    }
    text.push_str(if text.is_empty() { "{}" } else { "}" });
    text
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, Error> {
    Ok(serde_json::from_str(row.text(column)?)?)
}

fn text(row: &Row<'_>, column: usize) -> Result<Arc<str>, Error> {
    Ok(row.text(column)?.into())
}

/// Reads a statement about money that went back from [`STATEMENT_COLUMNS`].
pub(super) fn statement(row: &Row<'_>) -> Result<Statement, Error> {
    let (amount, currency): (Option<i64>, Option<String>) = (row.get(4)?, row.get(5)?);
    let known = |code: String| Currency::from_code(&code).ok_or_else(|| damaged("the currency of an adjustment"));
    let money = amount.zip(currency).map(|(minor, code)| Ok::<_, Error>(Money { minor, currency: known(code)? })).transpose()?;
    let kind = AdjustmentKind::parse(row.text(2)?).ok_or_else(|| damaged("the kind of an adjustment"))?;
    Ok(Statement {
        request: row.get(0)?,
        position: row.get(1)?,
        at: from_millis(row.get(7)?),
        adjustment: Adjustment { kind, id: row.get(3)?, money, is_cumulative: row.get(6)? },
    })
}

/// A code and the sentence in the column after it.
fn reason(row: &Row<'_>, column: usize) -> Result<Option<Reason>, Error> {
    let code: Option<String> = row.get(column)?;
    let text: Option<String> = row.get(column + 1)?;
    Ok(code.zip(text).map(|(code, text)| Reason::new(code, text)))
}
