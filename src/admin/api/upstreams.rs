//! Upstreams: how they stand, stopped and started by hand, tried with a test sale.

use std::sync::Arc;

use actix_web::web::{self, Data, Json, Path};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::openapi::{Operation, json_of};
use super::query::text;
use super::sales::Nothing;
use super::{Answered, read};
use crate::admin::State;
use crate::admin::problem::Problem;
use crate::domain::Currency;
use crate::forward::{Sample, Trial, Upstream};
use crate::store::UpstreamView;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/v1/upstreams",
            "listUpstreams",
            "Every upstream, and how it stands.",
            json_of::<Vec<Described>>(),
            || web::get().to(list),
        ),
        Operation::post::<Pause>(
            "/api/v1/upstreams/{name}/pause",
            "pauseUpstream",
            "Stops an upstream's queue until a person starts it again, also over a restart.",
            json_of::<Described>(),
            || web::post().to(pause),
        ),
        Operation::post::<Nothing>(
            "/api/v1/upstreams/{name}/resume",
            "resumeUpstream",
            "Starts an upstream's queue.",
            json_of::<Described>(),
            || web::post().to(resume),
        ),
        Operation::post::<Test>(
            "/api/v1/upstreams/{name}/test",
            "testUpstream",
            "Sends one marked test sale, or only shows it.",
            json_of::<Tested>(),
            || web::post().to(test),
        ),
    ]
}

/// An upstream.
#[derive(Debug, Serialize, JsonSchema)]
struct Described {
    /// Its name.
    name: String,
    /// True where the configuration has it; what is queued for another goes nowhere.
    configured: bool,
    /// Its template.
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    /// Where requests go.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    /// Which sales go there, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    takes: Option<String>,
    /// At most so many requests in any 60 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_minute: Option<u32>,
    /// At most so many requests at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_in_flight: Option<usize>,
    /// Its queue.
    queue: UpstreamView,
}

/// Why an upstream is stopped.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pause {
    /// For whoever reads it later.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

/// A test sale.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Test {
    /// A click that the upstream knows.
    #[serde(default)]
    #[schemars(length(max = 500))]
    click: Option<String>,
    /// A customer that the upstream knows.
    #[serde(default)]
    #[schemars(length(max = 500))]
    customer: Option<String>,
    /// The currency (ISO 4217), where it is not the upstream's only one, or US dollars.
    #[serde(default)]
    #[schemars(length(min = 3, max = 3))]
    currency: Option<String>,
    /// True: only show the request.
    dry_run: bool,
}

/// What came of a test sale.
#[derive(Debug, Serialize, JsonSchema)]
struct Tested {
    /// The request, without secrets.
    request: String,
    /// The sale.
    sale: Map<String, Value>,
    /// Whether it was sent and answered.
    sent: bool,
    /// Why it was not, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// The HTTP status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// The start of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// What it came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// What happened and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

async fn list(state: Data<State>) -> Answered<Vec<Described>> {
    let queues = read(&state, |store| store.upstreams()).await?;
    let mut described: Vec<Described> = state.upstreams.iter().map(|upstream| describe(upstream, &queues)).collect();
    let is_known = |queue: &UpstreamView| state.upstreams.iter().any(|upstream| *upstream.name == *queue.name);
    described.extend(queues.iter().filter(|queue| !is_known(queue)).map(|queue| Described {
        name: queue.name.clone(),
        configured: false,
        template: None,
        place: None,
        takes: None,
        requests_per_minute: None,
        max_in_flight: None,
        queue: queue.clone(),
    }));
    Ok(Json(described))
}

fn describe(upstream: &Upstream, queues: &[UpstreamView]) -> Described {
    let empty = || UpstreamView {
        name: upstream.name.to_string(),
        paused: false,
        reason: None,
        since: None,
        by_hand: false,
        due: 0,
        dead: 0,
    };
    Described {
        name: upstream.name.to_string(),
        configured: true,
        template: Some(upstream.template.upstream.name.clone()),
        place: Some(upstream.place()),
        takes: Some(upstream.takes()),
        requests_per_minute: Some(upstream.requests_per_minute),
        max_in_flight: Some(upstream.max_in_flight),
        queue: queues.iter().find(|queue| *queue.name == *upstream.name).cloned().unwrap_or_else(empty),
    }
}

fn find(state: &Data<State>, name: &str) -> Result<Arc<Upstream>, Problem> {
    let found = state.upstreams.iter().find(|upstream| *upstream.name == *name).cloned();
    found.ok_or_else(|| Problem::NotFound("the configuration has no upstream of that name".to_owned()))
}

async fn pause(state: Data<State>, path: Path<String>, body: Json<Pause>) -> Answered<Described> {
    let (upstream, reason) = (find(&state, &path)?, text("reason", &body.reason, 500)?);
    set_paused(&state, &upstream, Some(reason)).await
}

async fn resume(state: Data<State>, path: Path<String>, _: Json<Nothing>) -> Answered<Described> {
    let upstream = find(&state, &path)?;
    set_paused(&state, &upstream, None).await
}

async fn set_paused(state: &Data<State>, upstream: &Upstream, reason: Option<String>) -> Answered<Described> {
    state.store.pause_by_hand(&upstream.name, reason, state.clock.now()).await?;
    state.ring();
    let queues = read(state, |store| store.upstreams()).await?;
    Ok(Json(describe(upstream, &queues)))
}

async fn test(state: Data<State>, path: Path<String>, body: Json<Test>) -> Answered<Tested> {
    let (upstream, body) = (find(&state, &path)?, body.into_inner());
    let given = |name, value: Option<String>| value.map(|value| text(name, &value, 500)).transpose();
    let currency = body.currency.map(|code| {
        if code.chars().count() != 3 {
            return Err(Problem::Invalid("currency: has three letters".to_owned()));
        }
        Currency::from_code(&code).ok_or_else(|| Problem::Conflict("currency: is not one of ISO 4217, such as USD".to_owned()))
    });
    let sample = Sample {
        click_id: given("click", body.click)?,
        customer_external_id: given("customer", body.customer)?,
        currency: currency.transpose()?,
    };
    let trial = Trial::new(&upstream, sample, state.clock.now())
        .map_err(|error| Problem::Conflict(format!("{error}; click, customer and currency give the test sale what it lacks")))?;
    let mut tested = Tested {
        request: trial.request.clone(),
        sale: trial.sale.to_json(),
        sent: false,
        failure: None,
        status: None,
        answer: None,
        outcome: None,
        advice: None,
    };
    if !body.dry_run {
        match trial.send(&upstream).await {
            Ok(verdict) => {
                tested.sent = true;
                tested.status = verdict.answer.as_ref().map(|answer| answer.status);
                tested.answer = verdict.answer.map(|answer| answer.body);
                tested.outcome = Some(verdict.judgement.outcome.as_str().to_owned());
                tested.advice = Some(verdict.judgement.advice);
            }
            Err(why) => tested.failure = Some(why),
        }
    }
    Ok(Json(tested))
}
