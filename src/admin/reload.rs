//! The way in which an operator asks the running bridge to read its configuration anew. Whoever holds the bridge does it; here it is
//! only asked for.

use tokio::sync::{mpsc, oneshot};

use crate::domain::Faults;

/// So many may wait for an answer; there is rarely more than one operator.
const WAITING_LIMIT: usize = 4;

/// What came of it: what changed, one sentence each, or every fault, with everything left as it was.
pub type Reloaded = Result<Vec<String>, Faults>;

/// Somebody who waits for an answer.
pub struct Ask(oneshot::Sender<Reloaded>);

/// Where the operator's listener asks.
#[derive(Clone)]
pub struct Reloads(mpsc::Sender<Ask>);

/// Both ends: where it is asked, and what whoever holds the bridge listens to.
pub fn reloads() -> (Reloads, mpsc::Receiver<Ask>) {
    let (asks, asked) = mpsc::channel(WAITING_LIMIT);
    (Reloads(asks), asked)
}

impl Ask {
    /// Answers. Whoever asked may be gone; what was done is done.
    pub fn answer(self, reloaded: Reloaded) {
        drop(self.0.send(reloaded));
    }
}

impl Reloads {
    /// Asks, and waits for the answer; `None` where nobody answers any more, because the bridge is ending.
    pub async fn ask(&self) -> Option<Reloaded> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Ask(answer)).await.ok()?;
        answered.await.ok()
    }
}
