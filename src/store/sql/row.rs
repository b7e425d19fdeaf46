//! Between a sale and its row.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Db, Row, Unchanged, values};
use crate::domain::{
    Adjustment, AdjustmentKind, Buyer, Currency, EventName, Found, Key, Mode, Money, Origin, Proof, Reason, Sale, SaleState,
    Scope, Statement, Teller, from_millis, invoice_id_of,
};
use crate::store::{Error, shorthand};

/// Selects sales whole. The columns come in the order of the table, which [`sale`] follows; after them, whether a delivery of the sale was
/// ever claimed.
pub(in crate::store) const SALES: &str =
    "SELECT sales.*, EXISTS (SELECT 1 FROM deliveries WHERE deliveries.sale = sales.id AND deliveries.lease > 0) FROM sales";

/// The columns of a statement, which [`statement`] follows.
pub(super) const STATEMENT_COLUMNS: &str = "request, position, kind, provider_id, amount_minor, currency, cumulative, at";

/// Runs an INSERT or UPDATE of one row, whose places are the columns of the table but for those that are empty since layout 15.
pub(super) fn write_sale(db: &dyn Db, sql: &str, sale: &Sale) -> Result<(), Error> {
    let value = |found: &Option<Found>| found.as_ref().map(|found| found.value.clone());
    let (state, until, merged_into, parked) = match &sale.state {
        SaleState::Waiting(until) => ("waiting", Some(until.as_millisecond()), None, None),
        SaleState::Ready => ("ready", None, None, None),
        SaleState::Parked(reason) => ("parked", None, None, Some(reason)),
        SaleState::Merged(into) => ("merged", None, Some(*into), None),
    };
    db.put_row(
        sql,
        1,
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
            sale.renewal,
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
            sale.paid_at.as_millisecond(),
            sale.taken_back,
            sale.adjustments,
            shorthand::write_json(&Notes::of(sale))?,
            sale.buyer.click_id.as_ref().map(|found| found.origin.as_str()),
        ],
        Some(Unchanged::Damage("a sale that is gone")),
    )
}

/// Reads a sale from a row of [`SALES`].
pub(in crate::store) fn sale(row: &Row<'_>) -> Result<Sale, Error> {
    let Notes { trail, keys, awaits, seen, proof, teller } = notes(row)?;
    let found = |column: usize, origin: Option<Cow<'_, Origin>>| -> Result<Option<Found>, Error> {
        let Some(value) = row.get(column)? else { return Ok(None) };
        let origin = origin.ok_or_else(|| damaged("the origin of a value"))?.into_owned();
        Ok(Some(Found { value, origin }))
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
            customer_external_id: found(9, trail.customer_external_id)?,
            click_id: found(10, trail.click_id)?,
            email: found(11, trail.email)?,
            name: found(12, trail.name)?,
        },
        sent_as: sent_as(row.get(27)?, row.get(35)?, &keys),
        keys: keys.into_owned(),
        renewal: row.get(15)?,
        awaits: awaits.into_owned(),
        seen: seen.into_owned(),
        state,
        without_click: reason(row, 23)?,
        request: row.get(25)?,
        counted_at: from_millis(row.get(26)?),
        proof: proof.into_owned(),
        teller: teller.into_owned(),
        paid_at: from_millis(row.get(30)?),
        taken_back: row.get(31)?,
        adjustments: row.get(32)?,
    })
}

/// What is noted of a sale beside its columns.
#[derive(Serialize, Deserialize)]
pub(super) struct Notes<'a> {
    /// They come first, so that whoever wants nothing else reads no further: see [`keys_of`].
    keys: Cow<'a, [Key]>,
    trail: Trail<'a>,
    awaits: Cow<'a, [Arc<str>]>,
    seen: Cow<'a, [Arc<str>]>,
    proof: Cow<'a, Proof>,
    teller: Cow<'a, Teller>,
}

/// Where what is known of the buyer came from.
#[derive(Serialize, Deserialize)]
struct Trail<'a> {
    customer_external_id: Option<Cow<'a, Origin>>,
    click_id: Option<Cow<'a, Origin>>,
    email: Option<Cow<'a, Origin>>,
    name: Option<Cow<'a, Origin>>,
}

impl<'a> Notes<'a> {
    fn of(sale: &'a Sale) -> Self {
        let origin = |found: &'a Option<Found>| found.as_ref().map(|found| Cow::Borrowed(&found.origin));
        let Buyer { customer_external_id, click_id, email, name, .. } = &sale.buyer;
        Self {
            trail: Trail {
                customer_external_id: origin(customer_external_id),
                click_id: origin(click_id),
                email: origin(email),
                name: origin(name),
            },
            keys: Cow::Borrowed(&sale.keys),
            awaits: Cow::Borrowed(&sale.awaits),
            seen: Cow::Borrowed(&sale.seen),
            proof: Cow::Borrowed(&sale.proof),
            teller: Cow::Borrowed(&sale.teller),
        }
    }
}

/// The notes in a column, where it holds any.
pub(super) fn notes_of(row: &Row<'_>, column: usize) -> Result<Option<Notes<'static>>, Error> {
    Ok(row.shorthand(column)?.map(|notes| serde_json::from_str(&notes)).transpose()?)
}

/// The notes of a row of [`SALES`]; before layout 15 of a file, 7 of a database, they stood in columns of their own.
fn notes(row: &Row<'_>) -> Result<Notes<'static>, Error> {
    if let Some(notes) = notes_of(row, 33)? {
        return Ok(notes);
    }
    let trail: Value = json(row, 13)?;
    let origin = |name: &str| -> Result<Option<Cow<'static, Origin>>, Error> {
        trail.get(name).map(|origin| Ok(Cow::Owned(origin_from(origin)?))).transpose()
    };
    Ok(Notes {
        trail: Trail {
            customer_external_id: origin("customerExternalId")?,
            click_id: origin("clickId")?,
            email: origin("email")?,
            name: origin("name")?,
        },
        keys: Cow::Owned(json(row, 14)?),
        awaits: Cow::Owned(json(row, 16)?),
        seen: Cow::Owned(json(row, 17)?),
        proof: Cow::Owned(json(row, 28)?),
        teller: Cow::Owned(json(row, 29)?),
    })
}

/// The columns of a sale, called `s`, that tell its invoice id; [`invoice_id`] reads them.
pub(super) const INVOICE_ID: &str = "s.sent_as, s.notes, s.keys";

/// The invoice id of a sale, from the columns of [`INVOICE_ID`], of which the first is this one: the one under which it was sent, else what
/// its keys give.
pub(super) fn invoice_id(row: &Row<'_>, first: usize) -> Result<Option<String>, Error> {
    let sent_as: Option<String> = row.get(first)?;
    if sent_as.is_some() {
        return Ok(sent_as);
    }
    let keys = match row.shorthand(first + 1)? {
        Some(notes) => keys_of(&notes)?,
        None => json(row, first + 2)?,
    };
    Ok(invoice_id_of(&keys))
}

/// The keys that are noted of a sale. A sender asks for them with every delivery.
fn keys_of(notes: &str) -> Result<Vec<Key>, Error> {
    #[derive(Deserialize)]
    struct OnlyKeys {
        keys: Vec<Key>,
    }
    let first = notes.strip_prefix("{\"keys\":").and_then(|keys| serde_json::Deserializer::from_str(keys).into_iter().next());
    // Before, they stood among the others.
    Ok(first.unwrap_or_else(|| serde_json::from_str::<OnlyKeys>(notes).map(|notes| notes.keys))?)
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

/// Where a value came from, as it was stored before layout 15.
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
