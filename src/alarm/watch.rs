//! The watch: looks, judges, tells, and remembers what was told, once a minute.

use std::sync::Arc;
use std::time::Duration;

use super::config::{Config, Thresholds};
use super::judge::{Decision, judge};
use super::observations::{History, gather};
use super::tell::Teller;
use super::{Kind, Phase};
use crate::domain::Timestamp;
use crate::store::{Error, Store};

/// From one look to the next, and from the start to the first: what the start itself mends is no alarm.
pub const INTERVAL: Duration = Duration::from_secs(60);
/// So long the others leave it to this process.
const LEASE: Duration = Duration::from_secs(150);

/// Looks after the alarms of one store. Of several processes that serve it one does, the others look whether they have to.
pub struct Watch {
    store: Arc<dyn Store>,
    teller: Teller,
    thresholds: Thresholds,
    sources: Vec<String>,
    upstreams: Vec<String>,
    history: History,
    serving_since: Timestamp,
    holder: i64,
}

impl Watch {
    /// A watch over these sources and upstreams. `bridge` is how alarms call this bridge; `holder` is a number of this process's own.
    ///
    /// # Errors
    /// This machine cannot make a client.
    pub fn new(
        config: &Config,
        bridge: &str,
        store: Arc<dyn Store>,
        sources: Vec<String>,
        upstreams: Vec<String>,
        holder: i64,
        now: Timestamp,
    ) -> Result<Self, String> {
        let (teller, thresholds) = (Teller::new(config, bridge)?, config.thresholds());
        for kind in Kind::ALL {
            metrics::gauge!("salebridge_alarms_active", "kind" => kind.as_str()).set(0);
            for outcome in ["sent", "failed"] {
                metrics::counter!("salebridge_alarms_told_total", "kind" => kind.as_str(), "outcome" => outcome).increment(0);
            }
        }
        Ok(Self { store, teller, thresholds, sources, upstreams, history: History::default(), serving_since: now, holder })
    }

    /// One look. What could not be told is told with the next one.
    ///
    /// # Errors
    /// The store's.
    pub async fn step(&mut self, now: Timestamp) -> Result<(), Error> {
        if self.store.watch(self.holder, now, now + LEASE).await? {
            for decision in self.look(now).await? {
                // Telling may take its time, and nobody else may tell the same meanwhile.
                if !self.store.watch(self.holder, now, now + LEASE).await? {
                    break;
                }
                self.follow(decision, now).await?;
            }
        }
        let store = Arc::clone(&self.store);
        let records = blocking(move || store.alarms()).await?;
        for kind in Kind::ALL {
            let is_of = |name: &str| Kind::of_name(name).is_some_and(|(known, _)| known == kind);
            let active = records.iter().filter(|record| record.since.is_some() && is_of(&record.name)).count();
            metrics::gauge!("salebridge_alarms_active", "kind" => kind.as_str()).set(u32::try_from(active).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    /// Ends: another process need not wait for the lease to run out.
    ///
    /// # Errors
    /// The store's.
    pub async fn end(&self) -> Result<(), Error> {
        self.store.end_watch(self.holder).await
    }

    async fn look(&mut self, now: Timestamp) -> Result<Vec<Decision>, Error> {
        let (store, since, thresholds) = (Arc::clone(&self.store), self.serving_since, self.thresholds);
        let (sources, upstreams) = (self.sources.clone(), self.upstreams.clone());
        let mut history = std::mem::take(&mut self.history);
        let (history, decisions) = blocking(move || {
            let seen = gather(&*store, &mut history, &sources, &upstreams, since, now)?;
            let decisions = judge(&seen, &store.alarms()?, &thresholds, now);
            Ok((history, decisions))
        })
        .await?;
        self.history = history;
        Ok(decisions)
    }

    /// Tells, then remembers: what is told twice harms less than what is not told.
    async fn follow(&self, Decision { name, alarm, record }: Decision, now: Timestamp) -> Result<(), Error> {
        if let Some(alarm) = alarm {
            let (kind, about) = (alarm.kind.as_str(), alarm.about.as_str());
            let told = self.teller.tell(&alarm, now).await;
            let outcome = if told.is_ok() { "sent" } else { "failed" };
            metrics::counter!("salebridge_alarms_told_total", "kind" => kind, "outcome" => outcome).increment(1);
            if let Err(why) = told {
                tracing::error!(kind, about, why, "an alarm could not be told; it is tried again");
                return Ok(());
            }
            match alarm.phase {
                Phase::Begins | Phase::Reminds => tracing::warn!(kind, about, what = alarm.what, "an alarm is on"),
                Phase::Ends => tracing::info!(kind, about, what = alarm.what, "an alarm is over"),
            }
        }
        self.store.put_alarm(&name, record).await
    }
}

/// Reads from the store where that stands in nobody's way.
async fn blocking<T: Send + 'static>(read: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(read).await;
    done.unwrap_or_else(|_| Err(Error::Unavailable("a read panicked; its own message is in the log above".to_owned())))
}
