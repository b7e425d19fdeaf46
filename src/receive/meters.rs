//! What is counted of webhooks: looked up once for each source, not for each webhook. What was never counted is not shown.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Histogram};

/// The meters of one source.
pub(super) struct Meters {
    source: String,
    took: OnceLock<Histogram>,
    verified: OnceLock<Histogram>,
    accepted: OnceLock<Counter>,
    duplicate: OnceLock<Counter>,
}

impl Meters {
    /// Those of a source of the configuration, or of `unknown`: what a sender writes into a URL must not become a label.
    pub(super) fn new(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            took: OnceLock::new(),
            verified: OnceLock::new(),
            accepted: OnceLock::new(),
            duplicate: OnceLock::new(),
        }
    }

    /// A request came to this, so long after its head.
    pub(super) fn ended(&self, outcome: &'static str, took: Duration) {
        let made = || metrics::histogram!("salebridge_request_seconds", "source" => self.source.clone());
        self.took.get_or_init(made).record(took);
        let made = || metrics::counter!("salebridge_requests_total", "source" => self.source.clone(), "outcome" => outcome);
        match outcome {
            "accepted" => self.accepted.get_or_init(made).increment(1),
            "duplicate" => self.duplicate.get_or_init(made).increment(1),
            _ => made().increment(1),
        }
    }

    /// A request was judged, which took so long.
    pub(super) fn verified(&self, took: Duration) {
        let made = || metrics::histogram!("salebridge_verify_seconds", "source" => self.source.clone());
        self.verified.get_or_init(made).record(took);
    }
}
