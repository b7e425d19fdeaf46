//! How long what nobody needs any more is kept, and the task that removes it beside everything else.
//!
//! It takes small steps with a pause after each, so that no webhook waits for it. What counts is never removed: see [`Prune`].

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::domain::{Clock, Faults, Timestamp};
use crate::pipeline::Bell;
use crate::store::{Error, Prune, Pruned, Store};

/// The first round begins so long after the start.
const FIRST: Duration = Duration::from_secs(60);
/// Every other round begins so long after the one before.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// The pause after a step.
const PAUSE: Duration = Duration::from_millis(50);
/// At most so much is removed in a step.
const STEP_LIMIT: usize = 200;
/// Once in so many rounds all of it is looked through, else only what has become old enough: a remap may have changed the rest.
const ROUNDS_BETWEEN: u32 = 24;
/// More days than these are nobody's.
const DAYS_LIMIT: u32 = 3650;

/// `[retention]` of the configuration. Sales, their keys and the event ids that were used up are kept for ever.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Retention")]
pub struct Config {
    /// For so many days requests are kept of which nothing came: whose events were all ignored, or repeated others; and requests that
    /// were refused. From 0 (for ever) to 3650.
    pub ignored_days: u32,
    /// For so many days it is kept what exactly was sent and answered in attempts of deliveries that ended well. From 0 (for ever) to 3650.
    pub attempts_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { ignored_days: 30, attempts_days: 90 }
    }
}

impl Config {
    /// Adds a fault for each option that is out of bounds.
    pub(super) fn check(&self, file: &str, faults: &mut Faults) {
        for (name, days) in [("ignored_days", self.ignored_days), ("attempts_days", self.attempts_days)] {
            if days > DAYS_LIMIT {
                faults.add(file, format!("retention.{name}"), format!("must be between 0 (for ever) and {DAYS_LIMIT}"));
            }
        }
    }
}

/// What a round goes through.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Ignored,
    Texts,
    Refused,
}

/// One kind of what is removed, and up to where all was looked through.
#[derive(Debug)]
struct Sweep {
    kind: Kind,
    days: u32,
    after: i64,
}

/// Removes what has become old enough, round after round, until the bell is closed.
pub(super) async fn run(store: Arc<dyn Store>, clock: Arc<dyn Clock>, config: Config, bell: Arc<Bell>) {
    let kinds = [(Kind::Ignored, config.ignored_days), (Kind::Texts, config.attempts_days), (Kind::Refused, config.ignored_days)];
    let wanted = kinds.into_iter().filter(|(_, days)| *days > 0);
    let mut sweeps: Vec<Sweep> = wanted.map(|(kind, days)| Sweep { kind, days, after: 0 }).collect();
    for sweep in &sweeps {
        // So that a rate has a beginning.
        metrics::counter!("salebridge_retention_removed_total", "what" => sweep.label()).increment(0);
        metrics::counter!("salebridge_retention_failures_total", "what" => sweep.label()).increment(0);
    }
    let mut wait = FIRST;
    let mut rounds: u32 = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = bell.closed() => return,
        }
        for sweep in &mut sweeps {
            if rounds.is_multiple_of(ROUNDS_BETWEEN) {
                sweep.after = 0;
            }
            tokio::select! {
                () = sweep.round(&*store, clock.now()) => {}
                () = bell.closed() => return,
            }
        }
        (wait, rounds) = (INTERVAL, rounds.wrapping_add(1));
    }
}

impl Sweep {
    async fn round(&mut self, store: &dyn Store, now: Timestamp) {
        match self.steps(store, now).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, what = self.name(), "old data was removed"),
            Err(error) => {
                metrics::counter!("salebridge_retention_failures_total", "what" => self.label()).increment(1);
                tracing::warn!(%error, what = self.name(), "old data could not be removed; the next round tries again");
            }
        }
    }

    /// Steps until nothing is left that is old enough. The next round begins where the last step of this one did.
    async fn steps(&mut self, store: &dyn Store, now: Timestamp) -> Result<usize, Error> {
        let age = Duration::from_secs(u64::from(self.days) * 24 * 60 * 60);
        let before = now.checked_sub(age).unwrap_or(Timestamp::MIN);
        let mut removed = 0;
        loop {
            let after = self.after;
            let what = match self.kind {
                Kind::Ignored => Prune::Ignored { before, after },
                Kind::Texts => Prune::Texts { before, after },
                Kind::Refused => Prune::Refused { before },
            };
            let Pruned { count, next } = store.prune(what, STEP_LIMIT).await?;
            removed += count;
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            metrics::counter!("salebridge_retention_removed_total", "what" => self.label()).increment(count);
            let Some(next) = next else { return Ok(removed) };
            self.after = next;
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Ignored => "ignored requests",
            Kind::Texts => "texts of attempts",
            Kind::Refused => "refused requests",
        }
    }

    /// The name as a label of metrics.
    fn label(&self) -> &'static str {
        match self.kind {
            Kind::Ignored => "ignored_requests",
            Kind::Texts => "attempt_texts",
            Kind::Refused => "refused_requests",
        }
    }
}
