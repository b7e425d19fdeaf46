//! What `/metrics` tells: every metric with its kind, its labels and its help. The stages count where things happen; nothing is counted
//! that does not stand here, and docs/metrics.md shows the same (a test compares them).
//!
//! Labels are configured names and stable codes, never anything that a sender controls.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::Unit;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::bridge::StartError;
use crate::domain::Timestamp;

/// What the stages have counted is folded together so often.
const UPKEEP: Duration = Duration::from_secs(5);

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub help: &'static str,
}

/// What a metric is.
#[derive(Debug)]
pub enum Kind {
    /// Only ever rises while the process lives.
    Counter,
    /// As it is at this moment.
    Gauge,
    /// Counts in buckets, of seconds.
    Seconds(&'static [f64]),
    /// Counts in buckets, of things.
    Sizes(&'static [f64]),
}

/// For what takes microseconds.
const QUICK: &[f64] = &[0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.025, 0.1, 1.0];
/// For what is done while a sender waits.
const PROMPT: &[f64] = &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// For what is asked over a network.
const ASKED: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// For what may wait for hours or days.
const PATIENT: &[f64] =
    &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0, 345_600.0];
/// For how many share something, in powers of two.
const SHARED: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

const fn metric(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind, labels, help }
}

/// Every metric that there is, in the order of a webhook's way.
pub const METRICS: &[Metric] = &[
    metric(
        "salebridge_requests_total",
        Kind::Counter,
        &["source", "outcome"],
        "Requests to webhook URLs, by what became of them: accepted, duplicate, ping, or the code of a refusal.",
    ),
    metric("salebridge_request_seconds", Kind::Seconds(PROMPT), &["source"], "From the head of a request to its answer."),
    metric(
        "salebridge_verify_seconds",
        Kind::Seconds(QUICK),
        &["source"],
        "Judging a signature, with the fetch of a certificate where one is not known.",
    ),
    metric(
        "salebridge_store_commits_total",
        Kind::Counter,
        &["outcome"],
        "Group commits of the store, by whether they were committed or failed.",
    ),
    metric("salebridge_store_commit_seconds", Kind::Seconds(PROMPT), &[], "A group commit, from its begin to the disk."),
    metric("salebridge_store_commit_size", Kind::Sizes(SHARED), &[], "Writes that shared a group commit."),
    metric("salebridge_fold_size", Kind::Sizes(SHARED), &[], "Requests that were settled in one transaction."),
    metric("salebridge_fold_seconds", Kind::Seconds(PROMPT), &[], "Settling a batch: attribution and its transaction."),
    metric(
        "salebridge_events_total",
        Kind::Counter,
        &["source", "outcome"],
        "Settled events, by what became of them; one that is fetched for counts as fetching first, then as what it was.",
    ),
    metric(
        "salebridge_settle_lag_seconds",
        Kind::Seconds(PATIENT),
        &[],
        "From the receipt of a request to the commit that settled it.",
    ),
    metric("salebridge_sales_expired_total", Kind::Counter, &[], "Sales whose wait for their customer or click was over."),
    metric(
        "salebridge_fetches_total",
        Kind::Counter,
        &["source", "outcome"],
        "Calls of providers' APIs for what events refer to: fetched, retry or given_up.",
    ),
    metric("salebridge_fetch_seconds", Kind::Seconds(ASKED), &["source"], "A call of a provider's API, to its whole answer."),
    metric("salebridge_attempts_total", Kind::Counter, &["upstream", "outcome"], "Attempts of deliveries, by what they came to."),
    metric(
        "salebridge_attempt_seconds",
        Kind::Seconds(ASKED),
        &["upstream"],
        "An attempt of a delivery, to the upstream's whole answer.",
    ),
    metric(
        "salebridge_deliveries_total",
        Kind::Counter,
        &["upstream", "state"],
        "Deliveries that an attempt brought to an end: delivered, duplicate, unattributed or dead.",
    ),
    metric(
        "salebridge_acceptance_lag_seconds",
        Kind::Seconds(PATIENT),
        &["upstream"],
        "From the receipt of the request that made a sale to its acceptance by the upstream.",
    ),
    metric(
        "salebridge_queue_depth",
        Kind::Gauge,
        &["queue"],
        "What is in each queue: unsettled requests, waiting sales, events that are fetched for, due and dead deliveries.",
    ),
    metric(
        "salebridge_queue_age_seconds",
        Kind::Gauge,
        &["queue"],
        "For how long the first of a queue has been in it (due: has been due); 0 where it is empty.",
    ),
    metric("salebridge_upstream_due", Kind::Gauge, &["upstream"], "Deliveries to an upstream that are due or being sent."),
    metric(
        "salebridge_upstream_due_age_seconds",
        Kind::Gauge,
        &["upstream"],
        "For how long the delivery of an upstream has been due that has been due longest; 0 where none is.",
    ),
    metric("salebridge_upstream_dead", Kind::Gauge, &["upstream"], "Dead letters of an upstream."),
    metric("salebridge_upstream_paused", Kind::Gauge, &["upstream"], "1 while the queue of an upstream stands still, else 0."),
    metric(
        "salebridge_upstream_paused_by_hand",
        Kind::Gauge,
        &["upstream"],
        "1 while a person has stopped the queue of an upstream, else 0.",
    ),
    metric(
        "salebridge_retention_removed_total",
        Kind::Counter,
        &["what"],
        "What retention has removed: ignored_requests or attempt_texts.",
    ),
    metric(
        "salebridge_retention_failures_total",
        Kind::Counter,
        &["what"],
        "Rounds of retention that the store did not let come to their end.",
    ),
    metric("salebridge_alarms_active", Kind::Gauge, &["kind"], "Alarms that are on, whichever replica keeps watch."),
    metric(
        "salebridge_alarms_told_total",
        Kind::Counter,
        &["kind", "outcome"],
        "Alarms that were sent to the operator's URL when they began, ended or were repeated, by whether they were taken.",
    ),
    metric(
        "salebridge_reloads_total",
        Kind::Counter,
        &["outcome"],
        "How often the configuration was read anew, by whether it was applied or refused for its faults.",
    ),
    metric("salebridge_build_info", Kind::Gauge, &["version"], "Always 1; the label is the version that runs."),
    metric("salebridge_start_time_seconds", Kind::Gauge, &[], "When this process began to serve, in seconds since 1970 in UTC."),
];

/// The process's recorder of metrics, made once. `now` is when the process began to serve.
pub(super) fn recorder(now: Timestamp) -> Result<PrometheusHandle, StartError> {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = RECORDER.get() {
        return Ok(handle.clone());
    }
    let machine = |error: &dyn std::fmt::Display| StartError::Machine(format!("metrics cannot be recorded: {error}"));
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS {
        if let Kind::Seconds(buckets) | Kind::Sizes(buckets) = metric.kind {
            let matcher = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(matcher, buckets).map_err(|error| machine(&error))?;
        }
    }
    let handle = builder.install_recorder().map_err(|error| machine(&error))?;
    METRICS.iter().for_each(describe);
    metrics::gauge!("salebridge_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
    for outcome in ["applied", "refused"] {
        metrics::counter!("salebridge_reloads_total", "outcome" => outcome).increment(0);
    }
    metrics::gauge!("salebridge_start_time_seconds").set(now.as_duration().as_secs_f64());
    let upkeep = handle.clone();
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    Ok(RECORDER.get_or_init(|| handle).clone())
}

fn describe(metric: &Metric) {
    match metric.kind {
        Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
        Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
        Kind::Seconds(_) => metrics::describe_histogram!(metric.name, Unit::Seconds, metric.help),
        Kind::Sizes(_) => metrics::describe_histogram!(metric.name, Unit::Count, metric.help),
    }
}
