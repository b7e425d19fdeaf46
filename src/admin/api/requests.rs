//! Requests: listed, shown to the byte, explained and read anew.

use std::collections::BTreeSet;

use actix_web::web::{self, Data, Json, Path, Query};
use actix_web::{HttpResponse, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::openapi::{Answer, Operation, json_of};
use super::query::{Order, instant, paging};
use super::{Answered, read};
use crate::admin::State;
use crate::admin::problem::Problem;
use crate::attribute::EventOutcome;
use crate::domain::{Request, RequestId};
use crate::explain::{self, Verdict};
use crate::pack::Source;
use crate::remap::{Outcome, Remapper};
use crate::store::{Page, Past, RequestFilter, RequestView};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/requests", "listRequests", "Requests, a page at a time.", json_of::<Page<RequestView>>(), || {
            web::get().to(list)
        })
        .with_query::<RequestsQuery>(),
        Operation::post::<Remap>(
            "/api/v1/requests/remap",
            "remapRequests",
            "Reads stored requests anew by today's packs: says what would change, or changes what is safe.",
            json_of::<Outcome>(),
            || web::post().to(remap),
        ),
        Operation::get("/api/v1/requests/{id}", "getRequest", "One request, as it came.", json_of::<WholeRequest>(), || {
            web::get().to(show)
        }),
        Operation::get("/api/v1/requests/{id}/body", "getRequestBody", "The exact bytes of its body.", Answer::Bytes, || {
            web::get().to(body)
        }),
        Operation::get(
            "/api/v1/requests/{id}/explanation",
            "explainRequest",
            "What today's pack makes of it, event by event.",
            json_of::<Verdict>(),
            || web::get().to(explanation),
        ),
    ]
}

/// Which requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RequestsQuery {
    /// Of this source.
    source: Option<String>,
    /// With an event of this outcome.
    outcome: Option<OutcomeName>,
    /// Received at this instant or later (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    since: Option<String>,
    /// Received before this instant (RFC 3339).
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

/// What became of an event.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum OutcomeName {
    /// It made a sale.
    Sale,
    /// It speaks of a sale that was counted already.
    Corroborates,
    /// It takes a sale back, in part or whole.
    Adjustment,
    /// It is no sale.
    Ignored,
    /// It cannot be mapped.
    Parked,
    /// The same event was applied before.
    Duplicate,
    /// Something is being fetched for it.
    Fetching,
}

/// A request, as it came.
#[derive(Debug, Serialize, JsonSchema)]
struct WholeRequest {
    /// What became of it.
    #[serde(flatten)]
    view: RequestView,
    /// Its headers, in the order of arrival. What signs or opens something is `[redacted]`.
    headers: Vec<Header>,
    /// The query of the URL that was called; what signs or opens something is `[redacted]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    /// Its body, where that is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// Its body in Base64, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// A header.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Header {
    /// Its name.
    pub(super) name: String,
    /// Its value.
    pub(super) value: String,
}

/// What to read anew.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Remap {
    /// Only requests received at this instant or later (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    since: Option<String>,
    /// Only requests of this source.
    source: Option<String>,
    /// True: only say what would change.
    dry_run: bool,
}

async fn list(state: Data<State>, query: Query<RequestsQuery>) -> Answered<Page<RequestView>> {
    let query = query.into_inner();
    let paging = paging(query.cursor.as_deref(), query.limit, query.order)?;
    let outcome = |name| match name {
        OutcomeName::Sale => EventOutcome::Sale,
        OutcomeName::Corroborates => EventOutcome::Corroborates,
        OutcomeName::Adjustment => EventOutcome::Adjustment,
        OutcomeName::Ignored => EventOutcome::Ignored,
        OutcomeName::Parked => EventOutcome::Parked,
        OutcomeName::Duplicate => EventOutcome::Duplicate,
        OutcomeName::Fetching => EventOutcome::Fetching,
    };
    let filter = RequestFilter {
        source: query.source,
        outcome: query.outcome.map(outcome),
        since: instant("since", query.since.as_deref())?,
        until: instant("until", query.until.as_deref())?,
    };
    Ok(Json(read(&state, move |store| store.list_requests(&filter, &paging)).await?))
}

async fn show(state: Data<State>, path: Path<RequestId>) -> Answered<WholeRequest> {
    let (view, request) = request(&state, path.into_inner()).await?;
    let source = state.sources.get(&request.source).map(|source| &**source);
    let (headers, query) = (shown_headers(&request, source), shown_query(&request, source));
    let headers = headers.into_iter().map(|(name, value)| Header { name, value }).collect();
    let (body, body_base64) = match String::from_utf8(request.body) {
        Ok(text) => (Some(text), None),
        Err(error) => (None, Some(BASE64_STANDARD.encode(error.as_bytes()))),
    };
    Ok(Json(WholeRequest { view, headers, query, body, body_base64 }))
}

async fn body(state: Data<State>, path: Path<RequestId>) -> Result<HttpResponse, Problem> {
    let (view, request) = request(&state, path.into_inner()).await?;
    let name = format!("attachment; filename=\"request-{}.bin\"", view.id);
    let answer = HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header(("Content-Disposition", name))
        .body(request.body);
    Ok(answer)
}

async fn explanation(state: Data<State>, path: Path<RequestId>) -> Answered<Verdict> {
    let (view, request) = request(&state, path.into_inner()).await?;
    let source = state.sources.get(&request.source).cloned();
    let missing = || Problem::Conflict(format!("{} is not a configured source any more", view.source));
    let source = source.ok_or_else(missing)?;
    Ok(Json(explain::stored(&source, &request)))
}

async fn remap(state: Data<State>, body: Json<Remap>) -> Answered<Outcome> {
    let Remap { since, source, dry_run } = body.into_inner();
    let since = instant("since", since.as_deref())?;
    if let Some(unknown) = source.as_ref().filter(|source| !state.sources.contains_key(*source)) {
        return Err(Problem::NotFound(format!("source: {unknown} is not a configured source")));
    }
    let (which, now) = (Past { since, source }, state.clock.now());
    let remapper = Remapper::new(state.store.clone(), state.sources.clone(), state.rules.clone());
    if dry_run {
        let outcome = web::block(move || remapper.dry_run(&which, now, |_| {})).await.map_err(|_| Problem::Unavailable)??;
        return Ok(Json(outcome));
    }
    let outcome = remapper.apply(&which, now, |_| {}).await?;
    state.ring();
    Ok(Json(outcome))
}

async fn request(state: &Data<State>, id: RequestId) -> Result<(RequestView, Request), Problem> {
    let found = read(state, move |store| store.request(id)).await?;
    found.ok_or_else(|| Problem::NotFound(format!("there is no request {id}")))
}

/// Headers as people may see them.
pub(in crate::admin) fn shown_headers(request: &Request, source: Option<&Source>) -> Vec<(String, String)> {
    let own: BTreeSet<&str> = source.map(|source| source.pack.scheme.own_headers()).unwrap_or_default();
    let shown = request.shown_headers(|name| own.iter().any(|known| known.eq_ignore_ascii_case(name)));
    shown.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The query as people may see it.
pub(in crate::admin) fn shown_query(request: &Request, source: Option<&Source>) -> Option<String> {
    let own: BTreeSet<&str> = source.map(|source| source.pack.scheme.own_queries()).unwrap_or_default();
    request.shown_query(|name| own.iter().any(|known| known.eq_ignore_ascii_case(name)))
}
