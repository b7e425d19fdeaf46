//! The body, byte for byte, within its limits of size, time and memory.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_LENGTH, EXPECT};
use actix_web::web::Payload;
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::State;
use super::problem::Problem;

/// A body that is too long is still read up to so many times the limit, so that its sender hears the answer instead of a
/// broken connection.
const DRAIN_FACTOR: usize = 4;

/// A body, and the memory that is set aside for it.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    _memory: Option<OwnedSemaphorePermit>,
}

/// Reads the body.
pub(super) async fn read(request: &HttpRequest, payload: Payload, state: &State) -> Result<Body, Problem> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    // A sender that asks before it sends is told at once; another one is heard out, within reason.
    let patience = if request.headers().contains_key(EXPECT) { 1 } else { DRAIN_FACTOR };
    if announced.is_some_and(|length| length > state.body_limit_bytes.saturating_mul(patience)) {
        return Err(Problem::BodyTooLarge);
    }
    let read = read_bounded(payload, announced.unwrap_or_default(), state);
    tokio::time::timeout(state.request_timeout, read).await.unwrap_or(Err(Problem::TooSlow))
}

/// Reads and forgets the body of a request that is refused anyway, up to the limit, so that its sender hears the answer
/// instead of a broken connection.
pub(super) async fn drain(mut payload: Payload, state: &State) {
    let all = async {
        let mut length = 0_usize;
        while let Some(Ok(chunk)) = payload.next().await {
            length += chunk.len();
            if length > state.body_limit_bytes.saturating_mul(DRAIN_FACTOR) {
                break;
            }
        }
    };
    // A sender that is too slow hears nothing, as everywhere.
    drop(tokio::time::timeout(state.request_timeout, all).await);
}

async fn read_bounded(mut payload: Payload, announced: usize, state: &State) -> Result<Body, Problem> {
    let mut body = Body { bytes: Vec::with_capacity(announced.min(64 * 1024)), _memory: None };
    let mut length = 0_usize;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::Broken)?;
        length += chunk.len();
        if length > state.body_limit_bytes.saturating_mul(DRAIN_FACTOR) {
            return Err(Problem::BodyTooLarge);
        }
        if length > state.body_limit_bytes {
            body.bytes = Vec::new();
            continue;
        }
        set_aside(&mut body._memory, &state.memory, chunk.len())?;
        body.bytes.extend_from_slice(&chunk);
    }
    if length > state.body_limit_bytes { Err(Problem::BodyTooLarge) } else { Ok(body) }
}

/// Memory is set aside as bytes arrive, so that an announced length alone takes nothing from others.
fn set_aside(held: &mut Option<OwnedSemaphorePermit>, memory: &Arc<Semaphore>, bytes: usize) -> Result<(), Problem> {
    let bytes = u32::try_from(bytes).map_err(|_| Problem::BodyTooLarge)?;
    let more = Arc::clone(memory).try_acquire_many_owned(bytes).map_err(|_| Problem::Busy)?;
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    Ok(())
}
