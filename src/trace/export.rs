//! Spans on their way to the collector: collected on a thread of their own, sent in batches. What the collector does not take is lost,
//! because no webhook waits for a trace.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::{Config, Span, Stage, Value};
use crate::domain::{RequestId, Timestamp};
use crate::outbound;

/// More spans than these do not wait for the collector.
const WAITING_LIMIT: usize = 8192;
/// So many are sent at once.
const BATCH_LIMIT: usize = 512;
/// So long a batch waits for more.
const LINGER: Duration = Duration::from_secs(1);
/// The collector has so long for a batch.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A stop waits so long for the collector.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);
/// A share is compared with the first four bytes of an id.
const SHARES: f64 = 4_294_967_296.0;

static WAY: OnceLock<Way> = OnceLock::new();

/// The way to the thread that sends.
struct Way {
    jobs: mpsc::Sender<Job>,
    sample: f64,
}

enum Job {
    Span(Box<SpanData>),
    Flush(oneshot::Sender<()>),
}

/// Sends traces from now on, for the rest of the process's life. A second call changes nothing.
///
/// # Errors
/// What this machine lacks, in words.
pub fn start(config: &Config) -> Result<(), String> {
    let limits = outbound::Limits {
        connect_timeout: Duration::from_secs(5),
        timeout: TIMEOUT,
        idle_connections: 1,
        answer_limit_bytes: 64 * 1024,
        allow_private: true, // a collector is the operator's own
    };
    let mut exporter = OtlpExporter::builder()
        .with_http()
        .with_http_client(Client(outbound::Client::new(limits)?))
        .with_endpoint(format!("{}/v1/traces", config.endpoint.trim_end_matches('/')))
        .with_protocol(Protocol::HttpJson)
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|error| format!("traces cannot be sent: {error}"))?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    exporter.set_resource(&Resource::builder_empty().with_service_name("salebridge").with_attribute(version).build());
    let (jobs, waiting) = mpsc::channel(WAITING_LIMIT);
    if WAY.set(Way { jobs, sample: config.sample }).is_err() {
        return Ok(());
    }
    let failed = |error: std::io::Error| format!("traces cannot be sent: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let run = move || runtime.block_on(work(exporter, waiting));
    std::thread::Builder::new().name("traces".to_owned()).spawn(run).map_err(failed)?;
    Ok(())
}

/// Waits until what was noted so far is sent or lost, but not for long.
pub async fn flush() {
    let Some(way) = WAY.get() else { return };
    let (done, flushed) = oneshot::channel();
    let sent = async {
        if way.jobs.send(Job::Flush(done)).await.is_ok() {
            drop(flushed.await);
        }
    };
    // What is not sent by then is lost, as with any collector that does not answer.
    drop(tokio::time::timeout(FLUSH_LIMIT, sent).await);
}

pub(super) fn note(request: RequestId, received_at: Timestamp, spans: impl FnOnce() -> Vec<Span>) {
    let Some(way) = WAY.get() else { return };
    let trace = trace_of(request, received_at);
    if !is_sampled(trace, way.sample) {
        return;
    }
    for span in spans() {
        // Where too many wait, the newest are lost.
        drop(way.jobs.try_send(Job::Span(Box::new(data(trace, span)))));
    }
}

/// The id of a request's trace, for every process and every stage the same.
fn trace_of(request: RequestId, received_at: Timestamp) -> TraceId {
    // Kept in whole milliseconds, so every stage knows the same.
    let hash = Sha256::digest(format!("salebridge trace {request} {}", received_at.as_millisecond()));
    TraceId::from_bytes(first(&hash))
}

/// A trace is sent whole or not at all: its id decides.
#[expect(clippy::float_arithmetic, reason = "a share is no money")]
fn is_sampled(trace: TraceId, sample: f64) -> bool {
    let [one, two, three, four, ..] = trace.to_bytes();
    f64::from(u32::from_be_bytes([one, two, three, four])) < sample * SHARES
}

fn data(trace: TraceId, span: Span) -> SpanData {
    let root = SpanId::from_bytes(first(&Sha256::digest([b"receive".as_slice(), &trace.to_bytes()].concat())));
    let Span { stage, began_at, took, attributes, is_failed } = span;
    let (id, parent, kind) = match stage {
        Stage::Receive => (root, SpanId::INVALID, SpanKind::Server),
        Stage::Fetch | Stage::Attempt => (id_of(trace, stage, began_at, &attributes), root, SpanKind::Client),
        Stage::Verify | Stage::Append | Stage::Settle => (id_of(trace, stage, began_at, &attributes), root, SpanKind::Internal),
    };
    let began = SystemTime::UNIX_EPOCH + began_at.as_duration().unsigned_abs();
    let attribute = |(name, value)| match value {
        Value::Name(text) => KeyValue::new(name, text),
        Value::Number(number) => KeyValue::new(name, number),
    };
    SpanData {
        span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::default()),
        parent_span_id: parent,
        parent_span_is_remote: false,
        span_kind: kind,
        name: stage.as_str().into(),
        start_time: began,
        end_time: began + took,
        attributes: attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if is_failed { Status::error("") } else { Status::Unset },
        instrumentation_scope: InstrumentationScope::builder("salebridge").build(),
    }
}

fn id_of(trace: TraceId, stage: Stage, began_at: Timestamp, attributes: &[(&'static str, Value)]) -> SpanId {
    let text = format!("{trace} {} {} {attributes:?}", stage.as_str(), began_at.as_nanosecond());
    SpanId::from_bytes(first(&Sha256::digest(text)))
}

fn first<const LENGTH: usize>(hash: &[u8]) -> [u8; LENGTH] {
    *hash.first_chunk().expect("a hash is longer than an id")
}

/// Sends batch after batch until the process ends.
async fn work(exporter: OtlpExporter, mut waiting: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(BATCH_LIMIT);
    while waiting.recv_many(&mut jobs, BATCH_LIMIT).await > 0 {
        let until = tokio::time::Instant::now() + LINGER;
        while jobs.len() < BATCH_LIMIT && jobs.iter().all(|job| matches!(job, Job::Span(_))) {
            let room = BATCH_LIMIT - jobs.len();
            if !matches!(tokio::time::timeout_at(until, waiting.recv_many(&mut jobs, room)).await, Ok(1..)) {
                break;
            }
        }
        let (mut batch, mut flushed) = (Vec::new(), Vec::new());
        for job in jobs.drain(..) {
            match job {
                Job::Span(span) => batch.push(*span),
                Job::Flush(done) => flushed.push(done),
            }
        }
        let count = batch.len();
        if count > 0
            && let Err(error) = exporter.export(batch).await
        {
            tracing::warn!(%error, count, "the collector did not take spans; they are lost");
        }
        for done in flushed {
            let _ = done.send(()); // nobody may wait any more
        }
    }
}

/// The way out of the whole bridge, for the exporter.
#[derive(Debug)]
struct Client(outbound::Client);

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let body = String::from_utf8(body.to_vec())?;
        let mut headers = head.headers;
        headers.remove("content-type");
        headers.values_mut().for_each(|value| value.set_sensitive(true));
        let asked = outbound::Request { method: "POST", url: head.uri, body: Some(("application/json", body)), headers };
        let answer = self.0.ask(asked).await?;
        Ok(Response::builder().status(answer.status).body(Bytes::from(answer.body))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_trace_whoever_adds_to_it() {
        let at: Timestamp = "2026-11-22T05:11:00.123456Z".parse().expect("a time");
        let stored = crate::domain::from_millis(at.as_millisecond());
        assert_eq!(trace_of(7, at), trace_of(7, stored), "the store keeps milliseconds");
        assert_ne!(trace_of(7, at), trace_of(8, at));
        assert_ne!(trace_of(7, at), trace_of(7, at + Duration::from_millis(1)));
    }

    #[test]
    fn a_sample_is_a_share_of_all_traces() {
        let at: Timestamp = "2026-11-22T05:11:00Z".parse().expect("a time");
        let sampled = |sample: f64| (0..2000).filter(|request| is_sampled(trace_of(*request, at), sample)).count();
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 2000));
        assert!((400..600).contains(&sampled(0.25)), "{}", sampled(0.25));
    }
}
