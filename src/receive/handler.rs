//! One webhook, from the door to its answer.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use subtle::ConstantTimeEq as _;

use super::State;
use super::body;
use super::problem::Problem;
use crate::domain::{Headers, Request};
use crate::pack::Source;
use crate::store::{Appended, Error};

/// More header bytes than this are not a webhook's.
const HEADER_LIMIT_BYTES: usize = 16 * 1024;

/// `POST /webhooks/{source}[/{token}]`.
pub(super) async fn receive(request: HttpRequest, payload: Payload, state: Data<State>) -> HttpResponse {
    let started = std::time::Instant::now();
    let name = request.match_info().get("source").unwrap_or_default();
    // The name is the sender's: only a configured one may become a label.
    let label = state.sources.get(name).map(|source| source.name.to_string());
    let result = take(&request, payload, &state).await;
    let (outcome, response) = match result {
        Ok(Appended::New(id)) => ("accepted", stored("accepted", id)),
        Ok(Appended::Duplicate(id)) => ("duplicate", stored("duplicate", id)),
        Err(problem) => (problem.code(), problem.response()),
    };
    let source = label.unwrap_or_else(|| "unknown".to_owned());
    metrics::counter!("salebridge_requests_total", "source" => source, "outcome" => outcome).increment(1);
    metrics::histogram!("salebridge_request_seconds").record(started.elapsed());
    response
}

/// `GET` and `HEAD` on a source's URL.
pub(super) async fn probe(request: HttpRequest, state: Data<State>) -> HttpResponse {
    // Whether a token is right is nobody's to probe.
    let source = state.sources.get(request.match_info().get("source").unwrap_or_default());
    let has_token = request.match_info().get("token").is_some();
    match source {
        Some(source) if source.path_token.is_some() || !has_token => status(StatusCode::OK, "ok"),
        Some(_) | None => Problem::UnknownSource.response(),
    }
}

/// The process is there.
pub(super) async fn healthy() -> HttpResponse {
    status(StatusCode::OK, "ok")
}

/// Requests can be stored.
pub(super) async fn ready(state: Data<State>) -> HttpResponse {
    if state.readiness.is_fresh(state.clock.now()) {
        return status(StatusCode::OK, "ready");
    }
    match state.store.ready().await {
        Ok(()) => {
            state.readiness.found_at(state.clock.now());
            status(StatusCode::OK, "ready")
        }
        Err(error) => {
            tracing::error!(%error, "the store is not ready");
            Problem::StoreUnavailable.response()
        }
    }
}

pub(super) async fn method_not_allowed() -> HttpResponse {
    Problem::Method.response()
}

pub(super) async fn not_found() -> HttpResponse {
    Problem::UnknownSource.response()
}

/// Limits, source, bytes, verification, append. Each step that fails ends it.
async fn take(request: &HttpRequest, payload: Payload, state: &State) -> Result<Appended, Problem> {
    let (headers, source) = match headers(request).and_then(|headers| Ok((headers, find_source(request, state)?))) {
        Ok(found) => found,
        Err(problem) => {
            body::drain(payload, state).await;
            return Err(problem);
        }
    };
    let body = body::read(request, payload, state).await?;
    let webhook = Request {
        source: source.name.to_string(),
        headers,
        body: body.bytes,
        url: source.url.clone().filter(|_| source.pack.scheme.signs_url()),
        received_at: state.clock.now(),
    };
    let fingerprint = source.fingerprint(&webhook);
    let verified = source.pack.scheme.verify(&source.keys, webhook).map_err(|refusal| {
        tracing::warn!(source = %source.name, code = refusal.code(), cause = %refusal, "a request was refused");
        Problem::Refused(refusal.code())
    })?;
    let appended = state.store.append(verified, Some(fingerprint)).await.map_err(|error| unavailable(source, &error))?;
    match appended {
        Appended::New(id) => {
            tracing::debug!(source = %source.name, request.id = id, "a request was stored");
            state.bell.ring();
        }
        Appended::Duplicate(id) => tracing::debug!(source = %source.name, request.id = id, "a request came again"),
    }
    Ok(appended)
}

/// The source whose URL was called, with the right token where it has one.
fn find_source<'a>(request: &HttpRequest, state: &'a State) -> Result<&'a Source, Problem> {
    let name = request.match_info().get("source").unwrap_or_default();
    let token = request.match_info().get("token");
    let source = state.sources.get(name).ok_or(Problem::UnknownSource)?;
    match (&source.path_token, token) {
        (None, None) => Ok(source),
        (None, Some(_)) => Err(Problem::UnknownSource),
        (Some(wanted), given) => {
            let is_right: bool = wanted.expose().as_bytes().ct_eq(given.unwrap_or_default().as_bytes()).into();
            if is_right { Ok(source) } else { Err(Problem::PathToken) }
        }
    }
}

fn headers(request: &HttpRequest) -> Result<Headers, Problem> {
    let mut headers = Headers::default();
    let mut length = 0;
    for (name, value) in request.headers() {
        length += name.as_str().len() + value.len();
        headers.add(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
    }
    if length > HEADER_LIMIT_BYTES { Err(Problem::HeadersTooLarge) } else { Ok(headers) }
}

fn unavailable(source: &Source, error: &Error) -> Problem {
    match error {
        Error::Busy => {
            tracing::warn!(source = %source.name, "the store's queue is full; the sender was asked to come back");
            Problem::Busy
        }
        Error::Unavailable(_) | Error::Unusable(_) | Error::Damaged(_) => {
            tracing::error!(source = %source.name, %error, "a request could not be stored; the sender was asked to come back");
            Problem::StoreUnavailable
        }
    }
}

fn stored(status: &str, id: i64) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(format!(r#"{{"status":"{status}","request":{id}}}"#))
}

fn status(code: StatusCode, status: &str) -> HttpResponse {
    HttpResponse::build(code).content_type("application/json").body(format!(r#"{{"status":"{status}"}}"#))
}
