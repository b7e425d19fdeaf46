//! The thread on which the fold runs, because its reads block, and how it goes on by another configuration between two steps.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::bridge::StartError;
use crate::attribute::Rules;
use crate::domain::Clock;
use crate::pack::Source;
use crate::pipeline::{Bell, Pipeline};
use crate::store::Store;

/// A step is over within this, unless the store hardly answers any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// By what the fold goes.
#[derive(Clone)]
pub(super) struct Turn {
    /// The sources, by name.
    pub(super) sources: Arc<HashMap<String, Arc<Source>>>,
    /// What the ledger needs to know.
    pub(super) rules: Rules,
    /// Rung after each step that did something: of the senders and the enrichers.
    pub(super) bells: Vec<Arc<Bell>>,
}

/// The fold, running.
pub(super) struct Fold {
    bell: Arc<Bell>,
    turns: watch::Sender<Arc<(u64, Turn)>>,
    /// The number of the turn by which it goes now.
    taken: watch::Receiver<u64>,
    thread: JoinHandle<()>,
}

impl Fold {
    /// Starts it. It is woken and ended by the bell.
    pub(super) fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, bell: Arc<Bell>, turn: Turn) -> Result<Self, StartError> {
        let failed = |error: std::io::Error| StartError::Machine(format!("the fold cannot be started: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let (turns, mut next) = watch::channel(Arc::new((0, turn)));
        let (took, taken) = watch::channel(0);
        let own = Arc::clone(&bell);
        let run = async move {
            while !own.is_closing() {
                let turn = Arc::clone(&next.borrow_and_update());
                let (number, Turn { sources, rules, bells }) = &*turn;
                let pipeline = Pipeline::new(Arc::clone(&store), Arc::clone(sources), rules.clone());
                took.send_replace(*number);
                let is_next = || next.has_changed().unwrap_or(false);
                pipeline.run(&*clock, &own, |_| bells.iter().for_each(|bell| bell.ring()), is_next).await;
            }
        };
        let thread = std::thread::Builder::new().name("fold".to_owned()).spawn(move || runtime.block_on(run)).map_err(failed)?;
        Ok(Self { bell, turns, taken, thread })
    }

    /// Lets it go on by another turn, and waits until it does. Where its step does not come to its end in time, it stays with the
    /// present one.
    ///
    /// # Errors
    /// What holds it up.
    pub(super) async fn turn(&self, turn: Turn) -> Result<(), String> {
        let before = Arc::clone(&self.turns.borrow());
        let number = before.0 + 1;
        self.turns.send_replace(Arc::new((number, turn)));
        self.bell.ring();
        let mut taken = self.taken.clone();
        let is_taken = tokio::time::timeout(PATIENCE, taken.wait_for(|taken| *taken == number)).await;
        if matches!(is_taken, Ok(Ok(_))) {
            return Ok(());
        }
        self.turns.send_replace(Arc::new((number + 1, before.1.clone())));
        Err(format!("the store has not answered for {} seconds; look at the log, then try again", PATIENCE.as_secs()))
    }

    /// Ends the step that is under way, and then it.
    pub(super) async fn end(self) {
        self.bell.close();
        drop(actix_web::rt::task::spawn_blocking(move || self.thread.join()).await);
    }
}
