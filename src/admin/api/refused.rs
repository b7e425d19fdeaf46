//! Refused requests: what they come from, and judged again once that is mended.

use actix_web::web::{self, Data, Json, Path, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::openapi::{Operation, json_of};
use super::requests::Header;
use super::sales::Nothing;
use super::{Answered, read};
use crate::admin::State;
use crate::admin::problem::Problem;
use crate::rejudge::Judged;
use crate::store::{PAGE_LIMIT, Page, RefusedCountView, RefusedId, RefusedView, WhichRefused};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/v1/refused",
            "listRefused",
            "Refused requests that are kept, newest first, each with what it comes from.",
            json_of::<Page<RefusedView>>(),
            || web::get().to(list),
        )
        .with_query::<RefusedQuery>(),
        Operation::get(
            "/api/v1/refused/counts",
            "countRefused",
            "How often requests were refused, by source and code.",
            json_of::<Vec<RefusedCountView>>(),
            || web::get().to(counts),
        ),
        Operation::get("/api/v1/refused/{id}", "getRefused", "One refused request.", json_of::<WholeRefused>(), || {
            web::get().to(show)
        }),
        Operation::post::<Nothing>(
            "/api/v1/refused/{id}/judge",
            "judgeRefused",
            "Judges a refused request again, as of its receipt, by today's configuration; a genuine one is accepted.",
            json_of::<Judged>(),
            || web::post().to(judge),
        ),
    ]
}

/// Which refused requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RefusedQuery {
    /// Of this source.
    source: Option<String>,
    /// The `next` of the page before.
    #[schemars(extend("pattern" = "^[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// At most so many; 50 if it is left out.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u16>,
}

/// A refused request, but for its body and what is secret in it.
#[derive(Debug, Serialize, JsonSchema)]
struct WholeRefused {
    /// What it comes from.
    #[serde(flatten)]
    view: RefusedView,
    /// Its headers, in the order of arrival. What signs or opens something is `[redacted]`.
    headers: Vec<Header>,
    /// The query of the URL that was called; what signs or opens something is `[redacted]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
}

async fn list(state: Data<State>, query: Query<RefusedQuery>) -> Answered<Page<RefusedView>> {
    let RefusedQuery { source, cursor, limit } = query.into_inner();
    let paging = super::query::paging(cursor.as_deref(), limit, None)?;
    let before = paging.cursor.and_then(|cursor| cursor.parse().ok());
    let limit = paging.limit.min(PAGE_LIMIT);
    let rows = read(&state, move |store| store.refused(&WhichRefused { source, before, limit })).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|last| last.id.to_string());
    Ok(Json(Page { rows, next }))
}

async fn counts(state: Data<State>) -> Answered<Vec<RefusedCountView>> {
    Ok(Json(read(&state, |store| store.refused_counts()).await?))
}

async fn show(state: Data<State>, path: Path<RefusedId>) -> Answered<WholeRefused> {
    let id = path.into_inner();
    let found = read(&state, move |store| store.refused_request(id)).await?;
    let (view, refused) = found.ok_or_else(|| missing(id))?;
    let header = |(name, value): (&str, &str)| Header { name: name.to_owned(), value: value.to_owned() };
    let headers = refused.shown_headers().into_iter().map(header).collect();
    Ok(Json(WholeRefused { view, headers, query: refused.shown_query() }))
}

async fn judge(state: Data<State>, path: Path<RefusedId>, _: Json<Nothing>) -> Answered<Judged> {
    let judged = state.rejudge.judge_again(path.into_inner()).await?;
    match &judged {
        Judged::Accepted { .. } => state.ring(),
        Judged::Refused { .. } | Judged::Impossible { .. } => {}
        Judged::Gone { id } => return Err(missing(*id)),
    }
    Ok(Json(judged))
}

fn missing(id: RefusedId) -> Problem {
    Problem::NotFound(format!("there is no refused request {id}: it was accepted or removed, or newer ones took its place"))
}
