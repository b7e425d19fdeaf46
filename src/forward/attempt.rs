//! One try: rendered, sent, answered or not.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::judge::scalar_at;
use super::render::RenderError;
use super::template::Transport;
use super::upstream::Upstream;
use crate::domain::Timestamp;
use crate::outbound::{Answer, Client, Failure};
use crate::store::Claimed;

/// An attempt that is over.
pub(super) struct Tried {
    pub(super) claimed: Claimed,
    pub(super) started_at: Timestamp,
    /// How long it took.
    pub(super) took: Duration,
    /// What was sent, without secrets.
    pub(super) request: String,
    pub(super) result: Result<Answer, Failed>,
}

/// Why there is no answer.
pub(super) enum Failed {
    /// It cannot be written in the upstream's form.
    Unrenderable(String),
    /// There was no connection: the upstream cannot have it.
    Unsent(String),
    /// No answer came: perhaps the upstream has it, perhaps not.
    Unanswered(String),
    /// The upstream was asked for its own id of the sale, and answered without one: why that may be, and the answer.
    NotFound(String, Answer),
    /// It was noted in the log, which answers nothing.
    Logged,
}

/// Tries it once.
pub(super) async fn attempt(upstream: Arc<Upstream>, client: Client, mut claimed: Claimed, started_at: Timestamp) -> Tried {
    let (mut request, started) = (String::new(), Instant::now());
    let telling = AssertUnwindSafe(tell(&upstream, &client, &mut claimed, started_at, &mut request)).catch_unwind();
    let ours = || Failed::Unanswered("salebridge itself failed over it; the log has the message, please report it".to_owned());
    let result = telling.await.unwrap_or_else(|_| Err(ours()));
    Tried { claimed, started_at, took: started.elapsed(), request, result }
}

async fn tell(
    upstream: &Upstream,
    client: &Client,
    claimed: &mut Claimed,
    now: Timestamp,
    request: &mut String,
) -> Result<Answer, Failed> {
    let unrenderable = |error: RenderError| Failed::Unrenderable(error.to_string());
    if let Some((finding, find)) = upstream.finding(&claimed.outgoing, now).map_err(unrenderable)? {
        *request = finding.shown(upstream);
        // Looking changes nothing there, so no answer is as good as no connection.
        let answer = client.ask(finding.into_request()).await.map_err(|failure| Failed::Unsent(failure.to_string()))?;
        if !(200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let Some(id) = scalar_at(&answer.body, &find.id) else { return Err(Failed::NotFound(find.advice.clone(), answer)) };
        claimed.outgoing.upstream_id = Some(id);
    }
    let rendered = upstream.render(&claimed.outgoing, now).map_err(unrenderable)?;
    *request = rendered.shown(upstream);
    match upstream.template.upstream.transport {
        Transport::Http => client.ask(rendered.into_request()).await.map_err(|failure| match failure {
            Failure::Unsent(why) => Failed::Unsent(why),
            Failure::Unanswered(why) => Failed::Unanswered(why),
        }),
        Transport::Log => {
            // Whose sale it is does not belong into a log; what would be sent is kept with the attempt.
            tracing::info!(
                upstream = &*upstream.name,
                delivery.id = claimed.id,
                "nothing is sent here; `salebridge deliveries show {}` has what would be",
                claimed.id
            );
            Err(Failed::Logged)
        }
    }
}
