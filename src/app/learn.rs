//! Learns what the requests of each source have in common, beside everything else, so that they take less room.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Clock;
use crate::pipeline::Bell;
use crate::store::Store;

/// It looks so often whether enough has come.
const INTERVAL: Duration = Duration::from_secs(1);
/// The wait after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// Goes on until the bell is closed.
pub(super) async fn run(store: Arc<dyn Store>, clock: Arc<dyn Clock>, bell: Arc<Bell>) {
    loop {
        let wait = match store.learn(clock.now()).await {
            Ok(_) => INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "it could not be learned what requests have in common; they take more room until then");
                AFTER_FAILURE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = bell.closed() => return,
        }
    }
}
