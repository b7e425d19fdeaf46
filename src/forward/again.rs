//! What has to be known before something is sent again by hand.

use std::sync::Arc;
use std::time::Duration;

use super::Upstream;
use crate::domain::Timestamp;
use crate::store::{Error, Forgotten, RetryView, Store};

/// Of what was accepted before which instant each upstream knows nothing any more.
pub fn forgotten(upstreams: &[Arc<Upstream>], now: Timestamp) -> Vec<Forgotten> {
    let of = |upstream: &Arc<Upstream>| {
        let idempotency = &upstream.template.idempotency;
        let before = match (&idempotency.key, idempotency.window_secs) {
            (None, _) => Some(now),
            (Some(_), Some(secs)) => now.checked_sub(Duration::from_secs(secs)).ok(),
            (Some(_), None) => None,
        };
        let sales_only = upstream.template.adjustments.repeatable;
        before.map(|before| Forgotten { upstream: upstream.name.to_string(), before, sales_only })
    };
    upstreams.iter().filter_map(of).collect()
}

/// The first `shown` requests as they would be sent now, without secrets.
///
/// # Errors
/// The store cannot be reached.
pub fn requests(
    store: &dyn Store,
    view: &RetryView,
    upstreams: &[Arc<Upstream>],
    shown: usize,
    now: Timestamp,
) -> Result<Vec<String>, Error> {
    let mut requests = Vec::new();
    for delivery in view.first.iter().take(shown) {
        let Some(found) = store.outgoing(delivery.id)? else { continue };
        let upstream = upstreams.iter().find(|upstream| *upstream.name == *delivery.upstream);
        requests.push(match upstream {
            Some(upstream) => match upstream.first_request(&found.outgoing, now) {
                Ok(rendered) => rendered.shown(upstream),
                Err(error) => format!("(not sent: {error})"),
            },
            None => format!("(not sent: the configuration has no upstream named {})", delivery.upstream),
        });
    }
    Ok(requests)
}
