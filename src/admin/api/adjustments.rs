//! Money that went back, as it was said.

use actix_web::web::{self, Data, Json, Query};
use schemars::JsonSchema;
use serde::Deserialize;

use super::openapi::{Operation, json_of};
use super::query::{Order, paging};
use super::{Answered, read};
use crate::admin::State;
use crate::store::{AdjustmentFilter, ListedAdjustmentView, Page};

pub(super) fn operations() -> Vec<Operation> {
    let summary = "What was said of money that went back, a page at a time.";
    let answer = json_of::<Page<ListedAdjustmentView>>();
    vec![
        Operation::get("/api/v1/adjustments", "listAdjustments", summary, answer, || web::get().to(list))
            .with_query::<AdjustmentsQuery>(),
    ]
}

/// Which adjustments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AdjustmentsQuery {
    /// Of this source.
    source: Option<String>,
    /// Those that have found their sale, or those that wait for it.
    has_sale: Option<bool>,
    /// Newest first, or oldest first.
    order: Option<Order>,
    /// The `next` of the page before.
    #[schemars(extend("pattern" = "^[0-9]{1,18}$"))]
    cursor: Option<String>,
    /// At most so many; 50 if it is left out.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u16>,
}

async fn list(state: Data<State>, query: Query<AdjustmentsQuery>) -> Answered<Page<ListedAdjustmentView>> {
    let query = query.into_inner();
    let paging = paging(query.cursor.as_deref(), query.limit, query.order)?;
    let filter = AdjustmentFilter { source: query.source, has_sale: query.has_sale };
    Ok(Json(read(&state, move |store| store.list_adjustments(&filter, &paging)).await?))
}
