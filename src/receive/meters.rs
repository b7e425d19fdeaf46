//! What is counted of webhooks: looked up once for each source, not for each webhook.

use metrics::{Counter, Histogram};

/// The meters of one source.
pub(super) struct Meters {
    source: String,
    /// From the head of a request to its answer.
    pub(super) took: Histogram,
    /// For its verification.
    pub(super) verified: Histogram,
    accepted: Counter,
    duplicate: Counter,
}

impl Meters {
    /// Those of a source of the configuration, or of `unknown`: what a sender writes into a URL must not become a label.
    pub(super) fn new(source: &str) -> Self {
        let name = || source.to_owned();
        let outcome =
            |outcome| metrics::counter!("salebridge_requests_total", "source" => source.to_owned(), "outcome" => outcome);
        Self {
            source: source.to_owned(),
            took: metrics::histogram!("salebridge_request_seconds", "source" => name()),
            verified: metrics::histogram!("salebridge_verify_seconds", "source" => name()),
            accepted: outcome("accepted"),
            duplicate: outcome("duplicate"),
        }
    }

    /// One more request came to this.
    pub(super) fn count(&self, outcome: &'static str) {
        match outcome {
            "accepted" => self.accepted.increment(1),
            "duplicate" => self.duplicate.increment(1),
            _ => {
                let source = self.source.clone();
                metrics::counter!("salebridge_requests_total", "source" => source, "outcome" => outcome).increment(1);
            }
        }
    }
}
