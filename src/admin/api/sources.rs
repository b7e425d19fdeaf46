//! Sources: where their webhooks go, how they are verified, when they were last heard; tried with a signed case.

use actix_web::web::{self, Data, Json, Path};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::openapi::{Operation, json_of};
use super::{Answered, read};
use crate::admin::State;
use crate::admin::problem::Problem;
use crate::domain::Mode;
use crate::explain::{Sampled, case_names, sample};
use crate::pack::Source;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/sources", "listSources", "Every configured source.", json_of::<Vec<Described>>(), || {
            web::get().to(list)
        }),
        Operation::post::<Test>(
            "/api/v1/sources/{name}/test",
            "testSource",
            "Signs a case of its pack with its own secret, verifies and maps it; nothing is stored.",
            json_of::<Sampled>(),
            || web::post().to(test),
        ),
    ]
}

/// A source.
#[derive(Debug, Serialize, JsonSchema)]
struct Described {
    /// Its name.
    name: String,
    /// Its pack.
    pack: String,
    /// The provider.
    title: String,
    /// The URL for the provider's dashboard; a token in it is `[token]`. Without `server.public_url` only its path.
    url: String,
    /// Whether live webhooks are counted.
    accepts_live: bool,
    /// Whether test webhooks are counted.
    accepts_test: bool,
    /// False where the provider does not sign.
    signed: bool,
    /// When a genuine request was last settled (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<String>,
    /// The cases that can be tried.
    cases: Vec<String>,
}

/// What to try.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Test {
    /// A case by its name; without one the first of which a sale comes.
    #[serde(default)]
    #[schemars(length(max = 200))]
    case: Option<String>,
}

async fn list(state: Data<State>) -> Answered<Vec<Described>> {
    let seen = read(&state, |store| store.last_seen()).await?;
    let mut sources: Vec<&Source> = state.sources.values().map(|source| &**source).collect();
    sources.sort_by(|one, other| one.name.cmp(&other.name));
    let described = sources.into_iter().map(|source| Described {
        name: source.name.to_string(),
        pack: source.pack.name().to_owned(),
        title: source.pack.about.title.clone(),
        url: shown_url(source, state.public_url.as_deref()),
        accepts_live: source.accepts(Mode::Live),
        accepts_test: source.accepts(Mode::Test),
        signed: !source.pack.scheme.is_unsigned(),
        last_seen: seen.iter().find(|(name, _)| **name == *source.name).map(|(_, at)| at.to_string()),
        cases: case_names(source).into_iter().map(str::to_owned).collect(),
    });
    Ok(Json(described.collect()))
}

/// The URL for the provider's dashboard, without its token.
pub(in crate::admin) fn shown_url(source: &Source, public_url: Option<&str>) -> String {
    let token = if source.path_token.is_some() { "/[token]" } else { "" };
    format!("{}/webhooks/{}{token}", public_url.unwrap_or_default().trim_end_matches('/'), source.name)
}

async fn test(state: Data<State>, path: Path<String>, body: Json<Test>) -> Answered<Sampled> {
    let source = state.sources.get(path.as_str()).cloned();
    let source = source.ok_or_else(|| Problem::NotFound("the configuration has no source of that name".to_owned()))?;
    sample(&source, body.case.as_deref(), state.clock.now()).map(Json).map_err(Problem::Conflict)
}
