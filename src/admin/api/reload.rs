//! The configuration, read anew by the running bridge.

use actix_web::web::{self, Data, Json};
use schemars::JsonSchema;
use serde::Serialize;

use super::Answered;
use super::openapi::{Operation, json_of};
use super::sales::Nothing;
use crate::admin::State;
use crate::admin::problem::Problem;

pub(super) fn operations() -> Vec<Operation> {
    vec![Operation::post::<Nothing>(
        "/api/v1/reload",
        "reloadConfiguration",
        "Reads configuration, packs, templates, secrets and certificates anew: all of it, or with any fault nothing.",
        json_of::<Done>(),
        || web::post().to(reload),
    )]
}

/// What changed.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// What changed, one sentence each; empty where nothing did. No secret stands in it.
    changes: Vec<String>,
}

async fn reload(state: Data<State>, _: Json<Nothing>) -> Answered<Done> {
    let reloads = state.reloads.as_ref().ok_or_else(|| {
        let why = "this bridge has no configuration file that could be read anew: it was started by something else than `serve`";
        Problem::Conflict(why.to_owned())
    })?;
    match reloads.ask().await {
        Some(Ok(changes)) => Ok(Json(Done { changes })),
        Some(Err(faults)) => Err(Problem::Faulty(faults)),
        None => Err(Problem::Conflict("the bridge is ending; its next start reads the configuration anyway".to_owned())),
    }
}
