//! The admin API: everything that an operator can see, explain and mend, for programs.

mod adjustments;
mod deliveries;
mod openapi;
mod query;
mod refused;
mod reload;
mod requests;
mod sales;
mod sources;
mod upstreams;

use std::sync::{Arc, OnceLock};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::{JsonPayloadError, PathError, QueryPayloadError};
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{Data, Json, Query};
use actix_web::{Error, HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use self::openapi::{Operation, document, json_of, routes as routes_of};
pub(super) use self::requests::{shown_headers, shown_query};
pub(super) use self::sources::shown_url;
use super::State;
use super::problem::Problem;
use crate::overview::{Overview, overview};
use crate::store::{Period, QueueView, Report, Store};

/// A body of the API is small.
const BODY_LIMIT_BYTES: usize = 64 * 1024;

/// The answer of a handler.
type Answered<T> = Result<Json<T>, Problem>;

/// Every operation, in the order of the document.
fn operations() -> Vec<Operation> {
    let mut operations = vec![
        Operation::get("/api/v1/overview", "getOverview", "How it goes, at a glance.", json_of::<Overview>(), || {
            web::get().to(get_overview)
        })
        .with_query::<OverviewQuery>(),
        Operation::get("/api/v1/queues", "getQueues", "How much waits where.", json_of::<QueueView>(), || {
            web::get().to(get_queues)
        }),
        Operation::get("/api/v1/report", "getReport", "The ledger over a period, added up exactly.", json_of::<Report>(), || {
            web::get().to(get_report)
        })
        .with_query::<ReportQuery>()
        .may_be_missing(),
    ];
    operations.extend(sources::operations());
    operations.extend(requests::operations());
    operations.extend(refused::operations());
    operations.extend(sales::operations());
    operations.extend(adjustments::operations());
    operations.extend(deliveries::operations());
    operations.extend(upstreams::operations());
    operations.extend(reload::operations());
    operations
}

/// The document of the API (OpenAPI 3.1).
pub(super) fn description() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| document(&operations()))
}

/// The table of contents.
pub(super) fn routes(service: &mut web::ServiceConfig) {
    let invalid = |what: &str, error: &dyn std::fmt::Display| Error::from(Problem::Invalid(format!("{what}: {error}")));
    let query = web::QueryConfig::default().error_handler(move |error, _| match error {
        QueryPayloadError::Deserialize(error) => invalid("the query", &error),
        error => invalid("the query", &error),
    });
    let path = web::PathConfig::default().error_handler(move |error, _| match error {
        PathError::Deserialize(error) => invalid("the path", &error),
        error => invalid("the path", &error),
    });
    let json = web::JsonConfig::default().limit(BODY_LIMIT_BYTES).content_type(|kind| kind.subtype() == "json");
    let json = json.error_handler(move |error, _| {
        if matches!(error, JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. }) {
            return Problem::TooLarge.into();
        }
        if matches!(error, JsonPayloadError::ContentType) { Problem::NotJson.into() } else { invalid("the body", &error) }
    });
    service.service(
        web::scope("")
            .app_data(query)
            .app_data(path)
            .app_data(json)
            .wrap(from_fn(guard))
            .configure(|service| routes_of(&operations(), service))
            .route("/api/v1/openapi.json", web::get().to(get_document))
            .route("/api/{rest:.*}", web::to(not_found)),
    );
}

/// Nobody gets further without being let in; what changes something must have been meant.
async fn guard(request: ServiceRequest, next: Next<impl MessageBody>) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if let Some(state) = request.app_data::<Data<State>>().cloned().filter(|_| request.path().starts_with("/api/")) {
        let http = request.request();
        state.door.admit(http, state.clock.now()).map_err(Problem::from)?;
        if http.method() != Method::GET {
            state.door.is_meant(http).map_err(Problem::from)?;
        }
    }
    let mut response = next.call(request).await?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Reads the store on a thread where that stands in nobody's way.
async fn read<T: Send + 'static>(
    state: &Data<State>,
    job: impl FnOnce(&dyn Store) -> Result<T, crate::store::Error> + Send + 'static,
) -> Result<T, Problem> {
    let store = Arc::clone(&state.store);
    Ok(web::block(move || job(&*store)).await.map_err(|_| Problem::Unavailable)??)
}

async fn not_found(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::NotFound(format!("there is no {} here; /api/v1/openapi.json lists what there is", request.path())))
}

async fn get_document() -> Json<&'static Value> {
    Json(description())
}

/// How long to look back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OverviewQuery {
    /// So many days (UTC), today included; 30 if it is left out.
    #[schemars(range(min = 1, max = 366))]
    days: Option<u16>,
}

async fn get_overview(state: Data<State>, query: Query<OverviewQuery>) -> Answered<Overview> {
    let days = query.days.unwrap_or(30);
    if !(1..=366).contains(&days) {
        return Err(Problem::Invalid("days: must be between 1 and 366".to_owned()));
    }
    let now = state.clock.now();
    Ok(Json(read(&state, move |store| overview(store, days, now)).await?))
}

async fn get_queues(state: Data<State>) -> Answered<QueueView> {
    Ok(Json(read(&state, |store| store.queues()).await?))
}

/// A period.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReportQuery {
    /// From this instant on, by the provider's word (RFC 3339); 30 days ago if it is left out.
    #[schemars(extend("format" = "date-time"))]
    since: Option<String>,
    /// Before this instant (RFC 3339); now if it is left out.
    #[schemars(extend("format" = "date-time"))]
    until: Option<String>,
    /// Only of this source.
    source: Option<String>,
}

async fn get_report(state: Data<State>, query: Query<ReportQuery>) -> Answered<Report> {
    let ReportQuery { since, until, source } = query.into_inner();
    if let Some(unknown) = source.as_ref().filter(|source| !state.sources.contains_key(*source)) {
        return Err(Problem::NotFound(format!("source: {unknown} is not a configured source")));
    }
    let until = query::instant("until", until.as_deref())?.unwrap_or_else(|| state.clock.now());
    let month = std::time::Duration::from_secs(30 * 24 * 60 * 60);
    let since = query::instant("since", since.as_deref())?.unwrap_or_else(|| until.checked_sub(month).unwrap_or(until));
    Ok(Json(read(&state, move |store| store.report(&Period { since, until, source })).await?))
}
