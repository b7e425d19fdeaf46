//! What log and metrics are told of an attempt that is over: numbers and names of ours, never what was sent.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Histogram, SharedString};

use super::attempt::Tried;
use crate::domain::{AttemptOutcome, DeliveryState, RequestId, SaleId, Timestamp};
use crate::store::Attempt;
use crate::trace::{self, Span, Stage};

/// What an attempt was about.
pub(super) struct About {
    sale: SaleId,
    request: RequestId,
    received_at: Option<Timestamp>,
    is_adjustment: bool,
    took: Duration,
}

impl About {
    /// What this attempt was about.
    pub(super) fn of(tried: &Tried) -> Self {
        let claimed = &tried.claimed;
        let is_adjustment = claimed.outgoing.adjustment.is_some();
        Self { sale: claimed.sale, request: claimed.request, received_at: claimed.received_at, is_adjustment, took: tried.took }
    }

    /// Writes a line, and counts.
    pub(super) fn note(&self, meters: &mut Meters, attempt: &Attempt) {
        self.count(meters, attempt);
        let upstream = &*attempt.upstream;
        if let Some(received_at) = self.received_at {
            trace::note(self.request, received_at, || vec![self.span(upstream, attempt)]);
        }
        let (delivery, sale, request) = (attempt.delivery, self.sale, self.request);
        let (outcome, status) = (attempt.outcome.as_str(), attempt.status.unwrap_or(0));
        match attempt.state {
            DeliveryState::Dead => {
                tracing::error!(delivery.id = delivery, sale.id = sale, request.id = request, upstream, outcome, status,
                    reason = %attempt.reason, "a dead letter: a person must look");
            }
            DeliveryState::Delivered | DeliveryState::Duplicate | DeliveryState::Unattributed => {
                tracing::info!(
                    delivery.id = delivery,
                    sale.id = sale,
                    request.id = request,
                    upstream,
                    outcome,
                    status,
                    "a sale was accepted"
                );
            }
            DeliveryState::Due
            | DeliveryState::Sending
            | DeliveryState::Held
            | DeliveryState::Skipped
            | DeliveryState::Merged
            | DeliveryState::Withdrawn => {
                tracing::warn!(delivery.id = delivery, sale.id = sale, request.id = request, upstream, outcome, status,
                    reason = %attempt.reason, "an attempt failed; it is tried again");
            }
        }
    }

    fn span(&self, upstream: &str, attempt: &Attempt) -> Span {
        let attributes = vec![
            ("upstream", upstream.into()),
            ("request.id", self.request.into()),
            ("sale.id", self.sale.into()),
            ("delivery.id", attempt.delivery.into()),
            ("outcome", attempt.outcome.as_str().into()),
            ("status", i64::from(attempt.status.unwrap_or(0)).into()),
        ];
        let is_failed = !attempt.state.is_accepted();
        Span { stage: Stage::Attempt, began_at: attempt.started_at, took: self.took, attributes, is_failed }
    }

    fn count(&self, meters: &mut Meters, attempt: &Attempt) {
        let state = attempt.state;
        meters.attempt(attempt.outcome).increment(1);
        meters.took().record(self.took);
        if state.is_accepted() || state == DeliveryState::Dead {
            meters.ended(state).increment(1);
        }
        // What goes back of a sale is told long after the sale.
        let received_at = self.received_at.filter(|_| state.is_accepted() && !self.is_adjustment);
        if let Some(received_at) = received_at {
            let lag = attempt.finished_at.duration_since(received_at).as_secs_f64().max(0.0);
            meters.lag().record(lag);
        }
    }
}

/// The meters of one upstream, looked up once instead of for each attempt. What was never counted is not shown.
pub(super) struct Meters {
    upstream: Arc<str>,
    took: OnceCell<Histogram>,
    lag: OnceCell<Histogram>,
    attempts: Vec<(AttemptOutcome, Counter)>,
    ended: Vec<(DeliveryState, Counter)>,
}

impl Meters {
    pub(super) fn new(upstream: &Arc<str>) -> Self {
        let upstream = Arc::clone(upstream);
        Self { upstream, took: OnceCell::new(), lag: OnceCell::new(), attempts: Vec::new(), ended: Vec::new() }
    }

    fn name(&self) -> SharedString {
        Arc::clone(&self.upstream).into()
    }

    fn took(&self) -> &Histogram {
        self.took.get_or_init(|| metrics::histogram!("salebridge_attempt_seconds", "upstream" => self.name()))
    }

    fn lag(&self) -> &Histogram {
        self.lag.get_or_init(|| metrics::histogram!("salebridge_acceptance_lag_seconds", "upstream" => self.name()))
    }

    fn attempt(&mut self, outcome: AttemptOutcome) -> &Counter {
        let name = self.name();
        let made = || metrics::counter!("salebridge_attempts_total", "upstream" => name, "outcome" => outcome.as_str());
        known(&mut self.attempts, outcome, made)
    }

    fn ended(&mut self, state: DeliveryState) -> &Counter {
        let name = self.name();
        let made = || metrics::counter!("salebridge_deliveries_total", "upstream" => name, "state" => state.as_str());
        known(&mut self.ended, state, made)
    }
}

/// The counter of a label; there are few.
fn known<K: PartialEq>(counters: &mut Vec<(K, Counter)>, key: K, made: impl FnOnce() -> Counter) -> &Counter {
    let place = counters.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
        counters.push((key, made()));
        counters.len() - 1
    });
    &counters[place].1
}
