//! Makes sales fit to be searched, a block at a time, beside everything else.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Clock;
use crate::pipeline::Bell;
use crate::store::Store;

/// It looks for new blocks so often.
const INTERVAL: Duration = Duration::from_secs(10);
/// The pause after a block, so that no webhook waits for many of them.
const PAUSE: Duration = Duration::from_millis(20);

/// Goes on until the bell is closed.
pub(super) async fn run(store: Arc<dyn Store>, clock: Arc<dyn Clock>, bell: Arc<Bell>) {
    loop {
        let wait = match store.seal_sales(clock.now()).await {
            Ok(true) => PAUSE,
            Ok(false) => INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "sales could not be made fit to be searched; they are searched one by one until then");
                INTERVAL
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = bell.closed() => return,
        }
    }
}
