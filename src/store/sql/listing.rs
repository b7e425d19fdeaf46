//! Listings, a page at a time.
//!
//! A page goes through a bounded range of numbers, so that a filter that hardly anything meets does not read a million rows: then it
//! holds few rows, or none, and says where the next one begins. What a person has to look at has an index and no such bound.

use super::inbox::BODY_BYTES;
use super::names::{CUSTOMER_OF_SCOPE, SHOWN_IDENTITIES, read_identity, whose};
use super::row::{SALES, sale as read_sale};
use super::story::sale_view;
use super::views::{received, request_view, select_deliveries};
use super::{Db, Row, Value, question, values};
use crate::domain::{Click, Currency, DeliveryState, Identity, Money, SaleId, from_millis};
use crate::store::{
    AdjustmentFilter, ClickView, DeliveryFilter, DeliveryView, Error, IdentityView, ListedAdjustmentView, PAGE_LIMIT, Page,
    Paging, RequestFilter, RequestView, SaleFilter, SaleView,
};

/// A page looks through so many numbers at most.
const WINDOW: i64 = 20_000;

/// The conditions of a query, with their values.
#[derive(Default)]
struct Conditions {
    sql: Vec<String>,
    values: Vec<Value<'static>>,
}

impl Conditions {
    /// Adds a condition with one value, whose place is written `?`.
    fn add(&mut self, sql: &str, value: Option<Value<'static>>) {
        let Some(value) = value else { return };
        self.values.push(value);
        self.sql.push(sql.replace('?', &format!("?{}", self.values.len())));
    }

    fn text(&mut self, sql: &str, value: Option<&str>) {
        self.add(sql, value.map(|value| Value::owned(value.to_owned())));
    }

    fn integer(&mut self, sql: &str, value: Option<i64>) {
        self.add(sql, value.map(Value::Integer));
    }

    fn fixed(&mut self, sql: &str) {
        self.sql.push(sql.to_owned());
    }
}

/// One page of rows with numbers. `id` is the number's column, `table` the table; without `bounded` an index leads to all of them.
struct Numbered<'a> {
    table: &'a str,
    id: &'a str,
    bounded: bool,
}

impl Numbered<'_> {
    /// Narrows the conditions to one page. Answers with the end of the query, and where the next page begins if this one is not full.
    fn narrow(&self, db: &dyn Db, paging: &Paging, conditions: &mut Conditions) -> Result<(String, Option<i64>), Error> {
        let Self { table, id, bounded } = *self;
        let cursor: Option<i64> = paging.cursor.as_deref().map(|cursor| cursor.parse().unwrap_or(0));
        let most: i64 = db.value(&format!("SELECT COALESCE(MAX(id), 0) FROM {table}"), &[])?;
        let limit = paging.limit.clamp(1, PAGE_LIMIT);
        let (order, rest) = if paging.ascending {
            let from = cursor.unwrap_or(0);
            conditions.integer(&format!("{id} > ?"), Some(from));
            let end = from.saturating_add(WINDOW);
            if bounded {
                conditions.integer(&format!("{id} <= ?"), Some(end));
            }
            ("", Some(end).filter(|end| bounded && *end < most))
        } else {
            let from = cursor.unwrap_or(most.saturating_add(1));
            conditions.integer(&format!("{id} < ?"), Some(from));
            let end = from.saturating_sub(WINDOW);
            if bounded {
                conditions.integer(&format!("{id} >= ?"), Some(end));
            }
            (" DESC", Some(end).filter(|end| bounded && *end > 1))
        };
        Ok((format!("WHERE {} ORDER BY {id}{order} LIMIT {limit}", conditions.sql.join(" AND ")), rest))
    }
}

/// A page, and where the next one begins: after its last row where it is full, else where it stopped looking.
fn page<T>(rows: Vec<T>, paging: &Paging, rest: Option<i64>, id: impl Fn(&T) -> i64) -> Page<T> {
    let is_full = rows.len() >= paging.limit.clamp(1, PAGE_LIMIT);
    let next = if is_full { rows.last().map(id) } else { rest };
    Page { rows, next: next.map(|next| next.to_string()) }
}

pub(in crate::store) fn sales(db: &dyn Db, filter: &SaleFilter, paging: &Paging) -> Result<Page<SaleView>, Error> {
    let mut conditions = Conditions::default();
    conditions.text("source = ?", filter.source.as_deref());
    conditions.text("currency = ?", filter.currency.as_deref());
    conditions.text("substr(scope, 1, 4) = ?", filter.mode.map(|mode| mode.as_str()));
    conditions.integer("at >= ?", filter.since.map(|at| at.as_millisecond()));
    conditions.integer("at < ?", filter.until.map(|at| at.as_millisecond()));
    match filter.clicked {
        Some(true) => conditions.fixed("click_id IS NOT NULL"),
        Some(false) => conditions.fixed("click_id IS NULL"),
        None => {}
    }
    let is_parked = filter.state.as_deref() == Some("parked");
    match is_parked {
        // As the index says it.
        true => conditions.fixed("state = 'parked'"),
        false => conditions.text("state = ?", filter.state.as_deref()),
    }
    if filter.is_double {
        conditions.fixed("id IN (SELECT first FROM double_counts UNION SELECT second FROM double_counts)");
    }
    let numbered = Numbered { table: "sales", id: "id", bounded: !is_parked && !filter.is_double };
    let (rest, next) = numbered.narrow(db, paging, &mut conditions)?;
    let sales = db.rows(&format!("{SALES} {rest}"), &conditions.values, read_sale)?;
    let views = sales.iter().map(|sale| sale_view(db, sale)).collect::<Result<Vec<_>, Error>>()?;
    Ok(page(views, paging, next, |sale| sale.id))
}

/// These sales, in this order; those that are not there are left out.
pub(in crate::store) fn sales_by_id(db: &dyn Db, ids: &[SaleId]) -> Result<Vec<SaleView>, Error> {
    let mut found = Vec::new();
    for id in ids {
        found.extend(super::views::sale(db, *id)?);
    }
    Ok(found)
}

pub(in crate::store) fn requests(db: &dyn Db, filter: &RequestFilter, paging: &Paging) -> Result<Page<RequestView>, Error> {
    let mut conditions = Conditions::default();
    conditions.text("source = ?", filter.source.as_deref());
    conditions.integer("received_at >= ?", filter.since.map(|at| at.as_millisecond()));
    conditions.integer("received_at < ?", filter.until.map(|at| at.as_millisecond()));
    let outcome = filter.outcome.map(|outcome| outcome.as_str());
    let is_parked = outcome == Some("parked");
    match is_parked {
        true => conditions.fixed("id IN (SELECT request FROM events WHERE outcome = 'parked')"),
        false => {
            let sql = "EXISTS (SELECT 1 FROM events WHERE events.request = inbox.id AND events.outcome = ?)";
            conditions.text(sql, outcome);
        }
    }
    let numbered = Numbered { table: "inbox", id: "id", bounded: !is_parked };
    let (rest, next) = numbered.narrow(db, paging, &mut conditions)?;
    let sql = format!("SELECT id, source, received_at, {BODY_BYTES} FROM inbox {rest}");
    let found = db.rows(&sql, &conditions.values, received)?;
    let views = found.into_iter().map(|received| request_view(db, received)).collect::<Result<Vec<_>, Error>>()?;
    Ok(page(views, paging, next, |request| request.id))
}

pub(in crate::store) fn deliveries(db: &dyn Db, filter: &DeliveryFilter, paging: &Paging) -> Result<Page<DeliveryView>, Error> {
    let mut conditions = Conditions::default();
    conditions.text("d.upstream = ?", filter.upstream.as_deref());
    conditions.integer("d.made_at >= ?", filter.since.map(|at| at.as_millisecond()));
    conditions.integer("d.made_at < ?", filter.until.map(|at| at.as_millisecond()));
    // As the indexes say it. What is due may be a million rows; dead letters are what a person looks at.
    let is_dead = filter.state == Some(DeliveryState::Dead);
    match is_dead {
        true => conditions.fixed("d.state = 'dead'"),
        false => conditions.text("d.state = ?", filter.state.map(|state| state.as_str())),
    }
    let numbered = Numbered { table: "deliveries", id: "d.id", bounded: !is_dead };
    let (rest, next) = numbered.narrow(db, paging, &mut conditions)?;
    let views = select_deliveries(db, &rest, &conditions.values)?;
    Ok(page(views, paging, next, |delivery| delivery.id))
}

pub(in crate::store) fn adjustments(
    db: &dyn Db,
    filter: &AdjustmentFilter,
    paging: &Paging,
) -> Result<Page<ListedAdjustmentView>, Error> {
    let mut conditions = Conditions::default();
    conditions.text("source = ?", filter.source.as_deref());
    match filter.has_sale {
        Some(true) => conditions.fixed("sale IS NOT NULL"),
        Some(false) => conditions.fixed("sale IS NULL"),
        None => {}
    }
    // A page ends with all adjustments of a request.
    let most: i64 = db.value("SELECT COALESCE(MAX(request), 0) FROM adjustments", &[])?;
    let cursor: Option<i64> = paging.cursor.as_deref().map(|cursor| cursor.parse().unwrap_or(0));
    let (sql, order, from) = match paging.ascending {
        true => ("request > ?", "", cursor.unwrap_or(0)),
        false => ("request < ?", " DESC", cursor.unwrap_or(most.saturating_add(1))),
    };
    conditions.integer(sql, Some(from));
    let limit = paging.limit.clamp(1, PAGE_LIMIT);
    let sql = format!(
        "SELECT request, position, source, sale, kind, provider_id, amount_minor, currency, cumulative, at FROM adjustments
         WHERE {} ORDER BY request{order}, position LIMIT {}",
        conditions.sql.join(" AND "),
        limit + 1
    );
    let mut rows = db.rows(&sql, &conditions.values, listed_adjustment)?;
    let mut next = None;
    if rows.len() > limit {
        let last = rows.pop().map(|row| row.request);
        // The last request may go on behind the end of the page: it is left to the next one, unless it is the only one.
        if rows.iter().any(|row| Some(row.request) != last) {
            rows.retain(|row| Some(row.request) != last);
        }
        next = rows.last().map(|row| row.request.to_string());
    }
    Ok(Page { rows, next })
}

fn listed_adjustment(row: &Row<'_>) -> Result<ListedAdjustmentView, Error> {
    let (minor, code): (Option<i64>, Option<String>) = (row.get(6)?, row.get(7)?);
    let currency = code.as_deref().and_then(Currency::from_code);
    Ok(ListedAdjustmentView {
        request: row.get(0)?,
        position: row.get(1)?,
        source: row.get(2)?,
        sale: row.get(3)?,
        kind: row.get(4)?,
        id: row.get(5)?,
        amount: minor.zip(currency).map(|(minor, currency)| Money { minor, currency }.to_number()),
        currency: code,
        cumulative: row.get(8)?,
        at: from_millis(row.get(9)?).to_string(),
    })
}

/// What is remembered of a customer, be it a provider's or the team's own.
pub(in crate::store) fn identities(db: &dyn Db, customer: &str) -> Result<Vec<IdentityView>, Error> {
    let mut found: Vec<IdentityView> = Vec::new();
    let mut add = |row: &Row<'_>| {
        let other = identity(row)?;
        if !found.contains(&other) {
            found.push(other);
        }
        Ok(())
    };
    let [of_provider, of_team] = &SHOWN_IDENTITIES;
    if db.has_names() {
        of_provider.all(db, &[question![customer]], &mut |_, row| add(row))?;
    } else {
        for scope in scopes(db)? {
            db.query(CUSTOMER_OF_SCOPE, values![scope, customer], &mut add)?;
        }
    }
    of_team.all(db, &[question![customer]], &mut |_, row| add(row))?;
    Ok(found)
}

/// Accounts in their modes, each found by a step through the index.
fn scopes(db: &dyn Db) -> Result<Vec<String>, Error> {
    let mut found: Vec<String> = Vec::new();
    let sql = "SELECT scope FROM identities WHERE scope > ?1 ORDER BY scope LIMIT 1";
    while let Some(next) = db.row(sql, values![found.last().cloned().unwrap_or_default()], |row| row.get(0))? {
        found.push(next);
    }
    Ok(found)
}

fn identity(row: &Row<'_>) -> Result<IdentityView, Error> {
    let (scope, customer) = whose(row)?;
    let Identity { customer_external_id, clicks, first_seen, last_seen } = read_identity(row)?;
    let (customer_external_id, told_by) = customer_external_id.map(|(found, _)| (found.value, found.origin.request())).unzip();
    Ok(IdentityView {
        account: scope.account.to_string(),
        mode: scope.mode.as_str().to_owned(),
        customer,
        customer_external_id,
        told_by,
        clicks: clicks.iter().map(click).collect(),
        first_seen: first_seen.to_string(),
        last_seen: last_seen.to_string(),
    })
}

fn click(click: &Click) -> ClickView {
    ClickView {
        click_id: click.click_id.value.clone(),
        at: click.at.to_string(),
        request: click.click_id.origin.request(),
        repeated: click.repeated,
    }
}
