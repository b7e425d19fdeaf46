//! One webhook, from the door to its answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use arc_swap::ArcSwap;
use ipnet::IpNet;

use super::State;
use super::body;
use super::meters::Meters;
use super::problem::Problem;
use super::refused::Refused;
use crate::domain::{Headers, Request, RequestId, Secret, Timestamp};
use crate::pack::Source;
use crate::store::{Appended, Error};
use crate::trace::{self, Span, Stage};
use crate::verify::{Chain, Refusal, Verified};

/// More header bytes than this are not a webhook's.
const HEADER_LIMIT_BYTES: usize = 16 * 1024;

/// What became of a request that was not refused.
enum Taken {
    New(HttpResponse),
    Duplicate(HttpResponse),
    /// Unsigned and empty of meaning: the provider sees whether the URL is there.
    Ping,
}

/// `POST /webhooks/{source}[/{token}]`.
pub(super) async fn receive(request: HttpRequest, payload: Payload, state: Data<ArcSwap<State>>) -> HttpResponse {
    // By this configuration to the end, whatever takes its place meanwhile.
    let state = state.load_full();
    let (started, began_at) = (std::time::Instant::now(), state.clock.now());
    let name = request.match_info().get("source").unwrap_or_default();
    let meters = state.meters.get(name).unwrap_or(&state.unknown);
    let result = take(&request, payload, &state, meters, began_at).await;
    let (outcome, response) = match result {
        Ok(Taken::New(response)) => ("accepted", response),
        Ok(Taken::Duplicate(response)) => ("duplicate", response),
        Ok(Taken::Ping) => ("ping", status(StatusCode::OK, "ping")),
        Err(problem) => (problem.code(), problem.response()),
    };
    meters.ended(outcome, started.elapsed());
    response
}

/// `GET` and `HEAD` on a source's URL.
pub(super) async fn probe(request: HttpRequest, state: Data<ArcSwap<State>>) -> HttpResponse {
    let state = state.load_full();
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
pub(super) async fn ready(state: Data<ArcSwap<State>>) -> HttpResponse {
    let state = state.load_full();
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
async fn take(
    request: &HttpRequest,
    payload: Payload,
    state: &State,
    meters: &Meters,
    began_at: Timestamp,
) -> Result<Taken, Problem> {
    let (headers, source) = match headers(request).and_then(|headers| Ok((headers, find_source(request, state)?))) {
        Ok(found) => found,
        Err(problem) => {
            body::drain(payload, state).await;
            return Err(problem);
        }
    };
    let body = body::read(request, payload, state).await?;
    let token = request.match_info().get("token").filter(|token| !token.is_empty());
    let webhook = Request {
        source: source.name.to_string(),
        headers,
        body: body.bytes,
        query: Some(request.query_string()).filter(|query| !query.is_empty()).map(str::to_owned),
        url: source.url.clone().filter(|_| source.pack.scheme.signs_url()),
        path_token: token.map(Secret::new),
        peer: peer(request, state),
        received_at: state.clock.now(),
    };
    let fingerprint = source.fingerprint(&webhook);
    let is_ping = source.pack.is_ping(&webhook);
    let started = std::time::Instant::now();
    let judged = verify(source, webhook, state).await;
    let verified_in = started.elapsed();
    meters.verified(verified_in);
    let verified = match judged {
        Ok(verified) => verified,
        Err(refused) if is_ping && matches!(refused.refusal, Refusal::SignatureMissing { .. }) => return Ok(Taken::Ping),
        Err(Disbelieved { request: webhook, refusal, certificate }) => {
            tracing::warn!(source = %source.name, code = refusal.code(), cause = %refusal, "a request was refused");
            let is_for_later = matches!(refusal, Refusal::CertificateUnavailable { .. });
            let problem = if is_for_later { Problem::Certificate } else { Problem::Refused(refusal.code()) };
            if let Some(keeper) = &state.keeper {
                let connection = request.peer_addr().map(|address| address.ip().to_canonical());
                keeper.note(Refused::new(webhook, refusal, connection, certificate));
            }
            return Err(problem);
        }
    };
    let reply = source.pack.reply.as_ref().map(|reply| {
        let request = verified.request();
        (reply.status, reply.content_type.as_str(), reply.body(&source.pack.scheme, &source.keys, request, request.received_at))
    });
    let (received_at, started) = (verified.request().received_at, std::time::Instant::now());
    let appended = state.store.append(verified, fingerprint).await.map_err(|error| unavailable(source, &error))?;
    let answer = |status: &str, id| match reply {
        Some((code, content_type, body)) => {
            let code = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
            HttpResponse::build(code).content_type(content_type.to_owned()).body(body)
        }
        None => stored(status, id),
    };
    match appended {
        Appended::New(id) => {
            tracing::debug!(source = %source.name, request.id = id, "a request was stored");
            state.bell.ring();
            trace::note(id, received_at, || spans(source, id, began_at, received_at, verified_in, started.elapsed()));
            Ok(Taken::New(answer("accepted", id)))
        }
        Appended::Duplicate(id) => {
            tracing::debug!(source = %source.name, request.id = id, "a request came again");
            Ok(Taken::Duplicate(answer("duplicate", id)))
        }
    }
}

/// What was done for a new request, from its head to its answer.
fn spans(
    source: &Source,
    request: RequestId,
    began_at: Timestamp,
    received_at: Timestamp,
    verified_in: Duration,
    appended_in: Duration,
) -> Vec<Span> {
    let span = |stage, began_at: Timestamp, took| {
        let attributes = vec![("source", (*source.name).into()), ("request.id", request.into())];
        Span { stage, began_at, took, attributes, is_failed: false }
    };
    let appending_at = received_at + verified_in;
    let whole = Duration::try_from((appending_at + appended_in).duration_since(began_at)).unwrap_or_default();
    vec![
        span(Stage::Receive, began_at, whole),
        span(Stage::Verify, received_at, verified_in),
        span(Stage::Append, appending_at, appended_in),
    ]
}

/// A request that was refused, with what it was judged by.
struct Disbelieved {
    request: Request,
    refusal: Refusal,
    certificate: Option<Arc<Chain>>,
}

/// Judges the request; where its scheme needs a certificate, that is had first.
async fn verify(source: &Source, webhook: Request, state: &State) -> Result<Verified, Disbelieved> {
    let scheme = &source.pack.scheme;
    let url = match scheme.certificate_url(&source.keys, &webhook) {
        Ok(url) => url,
        Err(refusal) => return Err(Disbelieved { request: webhook, refusal, certificate: None }),
    };
    let certificate = match &url {
        Some(url) => match state.certificates.certificate(url).await {
            Ok(certificate) => Some(certificate),
            Err(why) => {
                let refusal = Refusal::CertificateUnavailable { why };
                return Err(Disbelieved { request: webhook, refusal, certificate: None });
            }
        },
        None => None,
    };
    match scheme.take(&source.keys, webhook, certificate.as_deref()) {
        Ok(verified) => {
            if let (Some(url), Some(certificate)) = (&url, &certificate) {
                state.certificates.proven(url, certificate);
            }
            Ok(verified)
        }
        Err(refused) => Err(Disbelieved { request: refused.request, refusal: refused.refusal, certificate }),
    }
}

/// Whose connection it is: the sender's, or, behind proxies that are trusted, the last address that no such proxy has.
fn peer(request: &HttpRequest, state: &State) -> Option<IpAddr> {
    // A line that cannot be read may hold the hop that matters.
    let forwarded: Vec<&str> =
        request.headers().get_all("x-forwarded-for").map(|value| value.to_str().ok()).collect::<Option<_>>()?;
    peer_of(request.peer_addr()?.ip(), &forwarded, &state.trusted_proxies)
}

/// The last address that no trusted proxy has, among those that `X-Forwarded-For` names, and last of all the connection's own.
pub fn peer_of(connection: IpAddr, forwarded: &[&str], trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut peer = connection.to_canonical();
    let hops: Vec<&str> = forwarded.iter().flat_map(|value| value.split(',')).collect();
    for hop in hops.iter().rev() {
        if !is_trusted(&peer) {
            break;
        }
        peer = hop.trim().parse::<IpAddr>().ok()?.to_canonical();
    }
    Some(peer)
}

/// The source whose URL was called. Whether its token is right is judged with the signature.
fn find_source<'a>(request: &HttpRequest, state: &'a State) -> Result<&'a Source, Problem> {
    let name = request.match_info().get("source").unwrap_or_default();
    let source = state.sources.get(name).ok_or(Problem::UnknownSource)?;
    let has_token = request.match_info().get("token").is_some();
    if has_token && source.path_token.is_none() { Err(Problem::UnknownSource) } else { Ok(source) }
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
        Error::Unavailable(_) | Error::Conflict(_) | Error::Unusable(_) | Error::Damaged(_) => {
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
