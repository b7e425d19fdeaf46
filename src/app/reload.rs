//! The configuration read anew by a running bridge: all of it, or with any fault nothing.
//!
//! Everything is read, checked and made first. Then the fold goes on by it, between two steps; then the door, for the requests that come
//! from then on; then the senders and whatever else works beside them, and the operator's listener. So no request is stored that the
//! fold does not know what to do with.

use std::path::Path;
use std::sync::Arc;

use super::bridge::Bridge;
use super::config::{Checked, load};
use super::fold::Turn;
use crate::domain::Faults;
use crate::forward::Upstream;
use crate::receive::{Config, Ring};

pub use crate::admin::{Ask, Reloads, reloads};

/// Why an option is not applied.
const FIXED: &str = "is changed, which needs a restart; nothing of the new configuration is applied";

impl Bridge {
    /// Reads the file anew and goes on by it. Answers with what changed, one sentence each. Requests and attempts that are under way
    /// come to their end by the configuration with which they began.
    ///
    /// # Errors
    /// Every fault, with file and key; everything is as it was.
    pub async fn reload(&mut self, path: &Path) -> Result<Vec<String>, Faults> {
        let reloaded = self.go_by(path).await;
        let outcome = if reloaded.is_ok() { "applied" } else { "refused" };
        metrics::counter!("salebridge_reloads_total", "outcome" => outcome).increment(1);
        match &reloaded {
            Ok(changes) => {
                changes.iter().for_each(|change| tracing::info!(change, "the configuration is changed"));
                tracing::info!(changes = changes.len(), "the configuration was read anew");
            }
            Err(faults) => {
                for fault in &faults.0 {
                    tracing::error!(file = fault.file, key = fault.key, cause = fault.cause, "a fault of the new configuration");
                }
                tracing::error!("the configuration was not changed: the new one has faults; the one before it stays");
            }
        }
        reloaded
    }

    async fn go_by(&mut self, path: &Path) -> Result<Vec<String>, Faults> {
        let path = path.to_owned();
        let loaded = actix_web::rt::task::spawn_blocking(move || load(&path)).await;
        let new = loaded.unwrap_or_else(|_| Err(self.fault("reading it panicked; the message is in the log above")))?;
        needs_no_restart(&self.config, &new)?;
        let plan = self.workers.plan(Some(&self.config), &new).map_err(|cause| self.fault(&cause))?;
        let (bells, sender_bells) = self.workers.bells(&plan, &new);
        let turn = Turn { sources: Arc::clone(&new.sources), rules: new.rules.clone(), bells };
        self.fold.turn(turn).await.map_err(|cause| self.fault(&cause))?;
        // From here on nothing can fail any more.
        let mut changes = self.changes(&new).await;
        let (keeper, ring) = Ring::new(&new.refused, Arc::clone(&self.store), Arc::clone(&new.sources)).unzip();
        let state = self.door.load_full().by(&new.server, Arc::clone(&new.sources), keeper);
        self.door.store(Arc::new(state));
        self.workers.follow(plan, Some(&self.config), &new, ring);
        if let Some(desk) = &self.desk {
            desk.turn(&new, sender_bells);
        }
        if let (Some(certificate), Some(pair)) = (&self.certificate, &new.certificate)
            && certificate.replace(pair.clone())
        {
            changes.push("server.tls: another certificate".to_owned());
        }
        let fetching = new.sources.values().filter(|source| source.api.is_some()).map(|source| source.name.to_string());
        if let Err(error) = self.store.release_fetches(fetching.collect()).await {
            tracing::warn!(%error, "events of sources that fetch nothing any more still wait; the next start looks at them");
        }
        self.config = new;
        Ok(changes)
    }

    fn fault(&self, cause: &str) -> Faults {
        let mut faults = Faults::default();
        faults.add(&self.config.file, "", cause);
        faults
    }

    /// What is about to change, in words.
    async fn changes(&self, new: &Checked) -> Vec<String> {
        let old = &self.config;
        let mut changes = old.written.changes(&new.written);
        for (name, source) in new.sources.iter() {
            if old
                .sources
                .get(name)
                .is_some_and(|before| before.pack.name() == source.pack.name() && before.pack.folder != source.pack.folder)
            {
                changes.push(format!("sources.{name}: its pack {} reads otherwise", source.pack.name()));
            }
        }
        for upstream in &new.upstreams {
            let before = old.upstreams.iter().find(|before| before.name == upstream.name);
            let is_of_same = |before: &Upstream| before.template.upstream.name == upstream.template.upstream.name;
            if before.is_some_and(|before| is_of_same(before) && before.template != upstream.template) {
                let template = &upstream.template.upstream.name;
                changes.push(format!("upstreams.{}: its template {template} reads otherwise", upstream.name));
            }
        }
        changes.sort();
        let is_gone = |name: &str| new.upstreams.iter().all(|upstream| *upstream.name != *name);
        let gone: Vec<_> = old.upstreams.iter().filter(|upstream| is_gone(&upstream.name)).collect();
        if gone.is_empty() {
            return changes;
        }
        let store = Arc::clone(&self.store);
        let queues = actix_web::rt::task::spawn_blocking(move || store.upstreams()).await;
        let queues = queues.ok().and_then(Result::ok).unwrap_or_default();
        for upstream in gone {
            let due = queues.iter().find(|queue| *queue.name == *upstream.name).map_or(0, |queue| queue.due);
            changes.push(format!(
                "upstreams.{}: its queue stands still and is kept (deliveries in it: {due}); it goes on once the upstream is configured again",
                upstream.name
            ));
        }
        changes
    }
}

/// What only a start can apply must be as it was.
fn needs_no_restart(old: &Checked, new: &Checked) -> Result<(), Faults> {
    let mut faults = Faults::default();
    let mut fixed = |key: &str, is_same: bool| {
        if !is_same {
            faults.add(&new.file, key, FIXED);
        }
    };
    let (one, other): (&Config, &Config) = (&old.server, &new.server);
    fixed("server.listen", one.listen == other.listen);
    fixed("server.request_timeout_secs", one.request_timeout_secs == other.request_timeout_secs);
    fixed("server.max_connections", one.max_connections == other.max_connections);
    fixed("server.queue_limit", one.queue_limit == other.queue_limit);
    fixed("server.memory_limit_bytes", one.memory_limit_bytes == other.memory_limit_bytes);
    fixed("server.workers", one.workers == other.workers);
    fixed("server.stop_timeout_secs", one.stop_timeout_secs == other.stop_timeout_secs);
    fixed("server.tls", one.tls.is_some() == other.tls.is_some());
    let listens = |config: &Checked| config.admin.as_ref().map(|admin| admin.listen.clone());
    fixed("admin", old.admin.is_some() == new.admin.is_some());
    fixed("admin.listen", old.admin.is_none() || new.admin.is_none() || listens(old) == listens(new));
    fixed("store", old.store == new.store);
    fixed("log.format", old.log == new.log);
    fixed("traces", old.traces == new.traces);
    faults.or(())
}
