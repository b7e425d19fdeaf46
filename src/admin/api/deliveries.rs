//! Deliveries: listed, shown with every attempt, sent again.

use actix_web::web::{self, Data, Json, Path, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::openapi::{Operation, json_of};
use super::query::{Order, instant, paging};
use super::{Answered, read};
use crate::admin::State;
use crate::admin::problem::Problem;
use crate::domain::{DeliveryId, DeliveryState};
use crate::forward::again;
use crate::store::{DeliveryFilter, DeliveryView, Page, Retry, RetryView};

/// So many deliveries are listed before they are sent.
const LISTED: usize = 50;
/// So many requests are shown as they would be sent.
const SHOWN: usize = 5;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/v1/deliveries",
            "listDeliveries",
            "Deliveries, a page at a time.",
            json_of::<Page<DeliveryView>>(),
            || web::get().to(list),
        )
        .with_query::<DeliveriesQuery>(),
        Operation::post::<Again>(
            "/api/v1/deliveries/retry",
            "retryDeliveries",
            "Sends deliveries again under the same ids: says what would be sent and what had better not be, or does it.",
            json_of::<Resumed>(),
            || web::post().to(retry),
        ),
        Operation::get(
            "/api/v1/deliveries/{id}",
            "getDelivery",
            "One delivery with every attempt.",
            json_of::<DeliveryView>(),
            || web::get().to(show),
        ),
    ]
}

/// Which deliveries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeliveriesQuery {
    /// To this upstream.
    upstream: Option<String>,
    /// In this state.
    state: Option<DeliveryState>,
    /// Made at this instant or later (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    since: Option<String>,
    /// Made before this instant (RFC 3339).
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

/// What to send again. Everything that is given must hold; at least numbers, states, an upstream, a source, a status or a time must be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Again {
    /// Their numbers.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    ids: Vec<DeliveryId>,
    /// Those in one of these states; dead letters where neither numbers nor states are given.
    #[serde(default)]
    #[schemars(length(max = 20))]
    states: Vec<Sendable>,
    /// Those to this upstream.
    #[serde(default)]
    upstream: Option<String>,
    /// Those of sales of this source.
    #[serde(default)]
    source: Option<String>,
    /// Those whose last answer had this HTTP status.
    #[serde(default, deserialize_with = "status")]
    #[schemars(range(min = 100, max = 599))]
    status: Option<u16>,
    /// Those made at this instant or later (RFC 3339).
    #[serde(default)]
    #[schemars(extend("format" = "date-time"))]
    since: Option<String>,
    /// Those made before this instant (RFC 3339).
    #[serde(default)]
    #[schemars(extend("format" = "date-time"))]
    until: Option<String>,
    /// Also what was accepted before: the upstream knows it again by its idempotency key.
    #[serde(default)]
    accepted: bool,
    /// Also what may have been accepted so long ago that the upstream would count it a second time.
    #[serde(default)]
    past_window: bool,
    /// True: only say what would be sent.
    dry_run: bool,
}

/// States from which something can be sent again.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Sendable {
    /// Dead letters.
    Dead,
    /// What waits for its time.
    Due,
    /// What is held for a click.
    Held,
    /// What was skipped for want of a click.
    Skipped,
    /// What the upstream accepted.
    Delivered,
    /// What the upstream had already.
    Duplicate,
    /// What the upstream accepted and did not count.
    Unattributed,
}

impl Sendable {
    fn state(self) -> DeliveryState {
        match self {
            Self::Dead => DeliveryState::Dead,
            Self::Due => DeliveryState::Due,
            Self::Held => DeliveryState::Held,
            Self::Skipped => DeliveryState::Skipped,
            Self::Delivered => DeliveryState::Delivered,
            Self::Duplicate => DeliveryState::Duplicate,
            Self::Unattributed => DeliveryState::Unattributed,
        }
    }
}

/// What sending again comes to.
#[derive(Debug, Serialize, JsonSchema)]
struct Resumed {
    /// What is, or would be, sent and left out.
    preview: RetryView,
    /// The first requests as they would be sent now, without secrets.
    requests: Vec<String>,
    /// How many were made due at once; 0 in a dry run.
    resumed: usize,
}

/// A status; `422.0` is the same number to JSON.
fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    let text = number.to_string();
    let whole =
        text.split_once('.').map_or(text.as_str(), |(whole, rest)| if rest.bytes().all(|b| b == b'0') { whole } else { &text });
    match whole.parse::<u16>() {
        Ok(status @ 100..=599) => Ok(Some(status)),
        Ok(_) | Err(_) => Err(serde::de::Error::custom("status: is not an HTTP status from 100 to 599")),
    }
}

async fn list(state: Data<State>, query: Query<DeliveriesQuery>) -> Answered<Page<DeliveryView>> {
    let query = query.into_inner();
    let paging = paging(query.cursor.as_deref(), query.limit, query.order)?;
    let filter = DeliveryFilter {
        upstream: query.upstream,
        state: query.state,
        since: instant("since", query.since.as_deref())?,
        until: instant("until", query.until.as_deref())?,
    };
    Ok(Json(read(&state, move |store| store.list_deliveries(&filter, &paging)).await?))
}

async fn show(state: Data<State>, path: Path<DeliveryId>) -> Answered<DeliveryView> {
    let id = path.into_inner();
    let found = read(&state, move |store| store.delivery(id)).await?;
    found.map(Json).ok_or_else(|| Problem::NotFound(format!("there is no delivery {id}")))
}

async fn retry(state: Data<State>, body: Json<Again>) -> Answered<Resumed> {
    let (body, now) = (body.into_inner(), state.clock.now());
    let (since, until) = (instant("since", body.since.as_deref())?, instant("until", body.until.as_deref())?);
    let is_wide = body.ids.is_empty() && body.states.is_empty() && since.is_none() && until.is_none();
    if is_wide && body.upstream.is_none() && body.source.is_none() && body.status.is_none() {
        let text = "say which: ids, states (\"dead\" for all dead letters), upstream, source, status, since or until";
        return Err(Problem::Conflict(text.to_owned()));
    }
    if body.ids.len() > 1000 {
        return Err(Problem::Invalid("ids: are more than 1000; pick by a filter instead".to_owned()));
    }
    let which = Retry {
        ids: body.ids,
        states: body.states.into_iter().map(Sendable::state).collect(),
        upstream: body.upstream,
        source: body.source,
        status: body.status,
        since,
        until,
        accepted: body.accepted,
        past_window: body.past_window,
        forgotten_by: again::forgotten(&state.upstreams, now),
    };
    let (upstreams, wanted) = (state.upstreams.clone(), which.clone());
    let (preview, requests) = read(&state, move |store| {
        let preview = store.retryable(&wanted, LISTED)?;
        let requests = again::requests(store, &preview, &upstreams, SHOWN, now)?;
        Ok((preview, requests))
    })
    .await?;
    let mut resumed = 0;
    if !body.dry_run && preview.count > 0 {
        resumed = state.store.retry(which, now).await?;
        state.ring();
    }
    Ok(Json(Resumed { preview, requests, resumed }))
}
