//! What the operator's listener works with, made anew for each configuration.

use std::sync::Arc;

use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;

use super::config::Checked;
use crate::admin::{self, Door, Reloads};
use crate::domain::Clock;
use crate::pipeline::Bell;
use crate::receive::Certificates;
use crate::rejudge::Rejudge;
use crate::store::Store;

/// The operator's listener.
pub(super) struct Desk {
    /// What its handlers see.
    pub(super) state: Arc<ArcSwap<admin::State>>,
    parts: Parts,
}

/// What stays the same under every configuration.
pub(super) struct Parts {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) certificates: Arc<dyn Certificates>,
    pub(super) metrics: PrometheusHandle,
    pub(super) reloads: Option<Reloads>,
    pub(super) fold_bell: Arc<Bell>,
    /// Signs sessions and forms where there is no token.
    pub(super) chance: [u8; 32],
}

impl Desk {
    /// By this configuration. `bells` are those of its senders.
    pub(super) fn new(parts: Parts, config: &Checked, bells: Vec<Arc<Bell>>) -> Self {
        Self { state: Arc::new(ArcSwap::from_pointee(parts.state(config, bells))), parts }
    }

    /// From now on by this one.
    pub(super) fn turn(&self, config: &Checked, bells: Vec<Arc<Bell>>) {
        self.state.store(Arc::new(self.parts.state(config, bells)));
    }
}

impl Parts {
    fn state(&self, config: &Checked, mut bells: Vec<Arc<Bell>>) -> admin::State {
        bells.push(Arc::clone(&self.fold_bell));
        let (token, public_url) =
            config.admin.as_ref().map_or((None, None), |admin| (admin.token.clone(), admin.public_url.as_deref()));
        let is_secure = public_url.is_some_and(|url| url.starts_with("https://"));
        admin::State {
            store: Arc::clone(&self.store),
            metrics: self.metrics.clone(),
            door: Door::new(token, self.chance, is_secure),
            sources: Arc::clone(&config.sources),
            upstreams: config.upstreams.clone(),
            rules: config.rules.clone(),
            rejudge: Rejudge::new(
                Arc::clone(&self.store),
                Arc::clone(&config.sources),
                config.server.trusted_proxies.clone(),
                Arc::clone(&self.certificates),
            ),
            clock: Arc::clone(&self.clock),
            public_url: config.server.public_url.clone(),
            bells,
            reloads: self.reloads.clone(),
        }
    }
}
