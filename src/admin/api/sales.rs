//! Sales: listed, searched, told whole, kept back and let go.

use actix_web::web::{self, Data, Json, Path, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::openapi::{Operation, json_of};
use super::query::{Order, instant, paging, text};
use super::{Answered, read};
use crate::admin::State;
use crate::admin::problem::Problem;
use crate::domain::{Mode, SaleId};
use crate::store::{IdentityView, Page, SaleFilter, SaleView};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/sales", "listSales", "Sales, a page at a time.", json_of::<Page<SaleView>>(), || {
            web::get().to(list)
        })
        .with_query::<SalesQuery>(),
        Operation::post::<Search>(
            "/api/v1/sales/search",
            "searchSales",
            "Sales that are known by exactly this: an invoice id, an e-mail address, a customer, a click, a provider's id.",
            json_of::<Found>(),
            || web::post().to(search),
        ),
        Operation::get("/api/v1/sales/{id}", "getSale", "One sale with its whole story.", json_of::<SaleView>(), || {
            web::get().to(show)
        }),
        Operation::post::<Park>(
            "/api/v1/sales/{id}/park",
            "parkSale",
            "Keeps a sale back that was not sent yet.",
            json_of::<SaleView>(),
            || web::post().to(park),
        ),
        Operation::post::<Nothing>(
            "/api/v1/sales/{id}/release",
            "releaseSale",
            "Lets a sale go that was kept back by hand.",
            json_of::<SaleView>(),
            || web::post().to(release),
        ),
        Operation::post::<Customer>(
            "/api/v1/identities/search",
            "searchIdentities",
            "What is remembered of a customer, be it a provider's or the team's own.",
            json_of::<Vec<IdentityView>>(),
            || web::post().to(identities),
        ),
    ]
}

/// Which sales.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SalesQuery {
    /// Of this source.
    source: Option<String>,
    /// In this state.
    state: Option<StateName>,
    /// In this mode.
    mode: Option<ModeName>,
    /// In this currency (ISO 4217).
    currency: Option<String>,
    /// With a click, or without.
    clicked: Option<bool>,
    /// Of this instant by the provider's word, or later (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    since: Option<String>,
    /// Before this instant (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    until: Option<String>,
    /// Newest first, or oldest first.
    order: Option<Order>,
    /// The `next` of the page before.
    #[schemars(extend("pattern" = "^[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// At most so many; 50 if it is left out.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u16>,
}

/// Where a sale stands.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum StateName {
    /// It waits for its customer or its click.
    Waiting,
    /// It was handed to the upstreams' queues.
    Ready,
    /// It cannot be sent as it is.
    Parked,
    /// Another sale stands for it.
    Merged,
}

/// Live or test.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ModeName {
    /// Real money.
    Live,
    /// The provider's test mode.
    Test,
}

/// What is looked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    /// All of it; letters may be of either case.
    #[schemars(length(min = 1, max = 500))]
    text: String,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
struct Found {
    /// How many there are, counted up to a thousand.
    count: usize,
    /// The newest of them, at most 50.
    rows: Vec<SaleView>,
}

/// Why a sale is kept back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Park {
    /// For whoever reads it later.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// A body without anything.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Whose memory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Customer {
    /// The provider's id of its customer, or the team's own.
    #[schemars(length(min = 1, max = 500))]
    customer: String,
}

async fn list(state: Data<State>, query: Query<SalesQuery>) -> Answered<Page<SaleView>> {
    let query = query.into_inner();
    let paging = paging(query.cursor.as_deref(), query.limit, query.order)?;
    let name = |state| match state {
        StateName::Waiting => "waiting",
        StateName::Ready => "ready",
        StateName::Parked => "parked",
        StateName::Merged => "merged",
    };
    let mode = |mode| match mode {
        ModeName::Live => Mode::Live,
        ModeName::Test => Mode::Test,
    };
    let filter = SaleFilter {
        source: query.source,
        state: query.state.map(|state| name(state).to_owned()),
        mode: query.mode.map(mode),
        currency: query.currency,
        clicked: query.clicked,
        is_double: false,
        since: instant("since", query.since.as_deref())?,
        until: instant("until", query.until.as_deref())?,
    };
    Ok(Json(read(&state, move |store| store.list_sales(&filter, &paging)).await?))
}

async fn search(state: Data<State>, body: Json<Search>) -> Answered<Found> {
    let text = text("text", &body.text, 500)?;
    let (rows, count) = read(&state, move |store| store.search_sales(&text, 50)).await?;
    Ok(Json(Found { count, rows }))
}

async fn show(state: Data<State>, path: Path<SaleId>) -> Answered<SaleView> {
    sale(&state, path.into_inner()).await
}

async fn park(state: Data<State>, path: Path<SaleId>, body: Json<Park>) -> Answered<SaleView> {
    let (id, reason) = (path.into_inner(), text("reason", &body.reason, 500)?);
    state.park(id, reason).await?;
    sale(&state, id).await
}

async fn release(state: Data<State>, path: Path<SaleId>, _: Json<Nothing>) -> Answered<SaleView> {
    let id = path.into_inner();
    state.let_go(id).await?;
    sale(&state, id).await
}

async fn sale(state: &Data<State>, id: SaleId) -> Answered<SaleView> {
    let found = read(state, move |store| store.sale(id)).await?;
    found.map(Json).ok_or_else(|| Problem::NotFound(format!("there is no sale {id}")))
}

async fn identities(state: Data<State>, body: Json<Customer>) -> Answered<Vec<IdentityView>> {
    let customer = text("customer", &body.customer, 500)?;
    Ok(Json(read(&state, move |store| store.identities(&customer)).await?))
}
