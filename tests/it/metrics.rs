//! What `/metrics` tells is what docs/metrics.md says, with help and labels, after a few webhooks of a bridge as an operator runs it.

use std::collections::{BTreeMap, BTreeSet};

use salebridge::app::{Kind, METRICS};
use salebridge::domain::{Clock as _, SystemClock};
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::harness::configuration;
use crate::harness::process::{Served, Sink, free_address, get, post, wait_until};
use crate::harness::webhooks::{signed, stripe_checkout};

/// One metric as it is exposed.
#[derive(Debug, Default)]
struct Exposed {
    help: String,
    kind: String,
    labels: BTreeSet<String>,
    samples: Vec<(String, f64)>,
}

fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Seconds(_) | Kind::Sizes(_) => "histogram",
    }
}

fn parsed(text: &str) -> BTreeMap<String, Exposed> {
    let mut all: BTreeMap<String, Exposed> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            all.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            all.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some((sample, value)) = line.rsplit_once(' ').filter(|(sample, _)| sample.starts_with("salebridge_")) {
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            let whole = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let name = whole.filter(|name| all.contains_key(*name)).unwrap_or(name);
            let metric = all.entry(name.to_owned()).or_default();
            let names = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
            metric.labels.extend(names.filter(|name| name != "le"));
            metric.samples.push((sample.to_owned(), value.parse().unwrap()));
        }
    }
    all
}

#[actix_web::test]
async fn what_is_exposed_is_what_is_documented() {
    let (folder, sink, address, admin) = (tempfile::tempdir().unwrap(), Sink::start(), free_address(), free_address());
    let api = MockServer::start().await;
    let payment = json!({
        "resource": "payment", "id": "tr_1", "mode": "live", "status": "paid", "createdAt": "2026-11-22T05:10:00+00:00",
        "paidAt": "2026-11-22T05:10:40+00:00", "amount": {"value": "49.99", "currency": "EUR"}, "sequenceType": "oneoff",
        "metadata": {"clickId": "c-1", "customerExternalId": "user_42"}
    });
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(payment)).mount(&api).await;
    let more = format!(
        "[[sources]]\nname = \"mollie\"\npack = \"mollie-classic\"\npath_token = \"a-token-nobody-guesses\"\napi_url = \"{}\"\n\
         named_secrets = {{ api_key = \"live_key_of_the_test\" }}\n[admin]\nlisten = \"{admin}\"\n\
         [alarms]\nurl = \"{}\"\n",
        api.uri(),
        api.uri()
    );
    let text = configuration(&address, &format!("http://{}", sink.address), &more);
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    let _served = Served::start(folder.path(), &address);

    let body = stripe_checkout(1, &json!({"clickId": "c-1", "customerExternalId": "u-1"})).to_string();
    let checked = salebridge::app::load(&folder.path().join("config.toml")).unwrap();
    let headers = signed(&checked.sources["stripe"], body.as_bytes(), &[], SystemClock.now());
    for _ in 0..2 {
        assert_eq!(post(&address, "/webhooks/stripe", &headers, body.as_bytes()).unwrap().0, 200);
    }
    assert_eq!(post(&address, "/webhooks/stripe", &headers, b"forged").unwrap().0, 401);
    assert_eq!(post(&address, "/webhooks/of-a-stranger", &headers, b"forged").unwrap().0, 404);
    let form = [("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
    assert_eq!(post(&address, "/webhooks/mollie/a-token-nobody-guesses", &form, b"id=tr_1").unwrap().0, 200);
    let metrics = || parsed(&get(&admin, "/metrics").unwrap());
    let lag = |metrics: &BTreeMap<String, Exposed>| {
        let lag = metrics.get("salebridge_acceptance_lag_seconds")?;
        Some(lag.samples.iter().find(|(sample, _)| sample.contains("_count"))?.1)
    };
    // An answer is counted when it is judged, and recorded a moment later.
    let due = |metrics: &BTreeMap<String, Exposed>| {
        let depth = metrics.get("salebridge_queue_depth")?;
        Some(depth.samples.iter().find(|(sample, _)| sample.contains("\"due\""))?.1)
    };
    wait_until("both sales are accepted", || {
        let metrics = metrics();
        (lag(&metrics), due(&metrics)) == (Some(2.0), Some(0.0))
    });

    let found = metrics();
    let names: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, METRICS.iter().map(|metric| metric.name).collect(), "what is exposed is what there is");
    for metric in METRICS {
        let Exposed { help, kind: exposed, labels, samples } = &found[metric.name];
        assert_eq!((help.as_str(), exposed.as_str()), (metric.help, kind(&metric.kind)), "{}", metric.name);
        assert_eq!(*labels, metric.labels.iter().map(|label| (*label).to_owned()).collect(), "{}", metric.name);
        assert!(!samples.is_empty(), "{}", metric.name);
    }
    let value = |sample: &str| {
        let all: Vec<&(String, f64)> = found.values().flat_map(|metric| &metric.samples).collect();
        all.iter().find(|(known, _)| known == sample).unwrap_or_else(|| panic!("{sample} is not among {all:#?}")).1
    };
    for (sample, expected) in [
        ("salebridge_requests_total{source=\"stripe\",outcome=\"accepted\"}", 1.0),
        ("salebridge_requests_total{source=\"stripe\",outcome=\"duplicate\"}", 1.0),
        ("salebridge_requests_total{source=\"stripe\",outcome=\"signature_mismatch\"}", 1.0),
        ("salebridge_requests_total{source=\"unknown\",outcome=\"unknown_source\"}", 1.0),
        ("salebridge_verify_seconds_count{source=\"stripe\"}", 3.0),
        ("salebridge_events_total{source=\"stripe\",outcome=\"sale\"}", 1.0),
        ("salebridge_events_total{source=\"mollie\",outcome=\"fetching\"}", 1.0),
        ("salebridge_events_total{source=\"mollie\",outcome=\"sale\"}", 1.0),
        ("salebridge_fetches_total{source=\"mollie\",outcome=\"fetched\"}", 1.0),
        ("salebridge_settle_lag_seconds_count", 2.0),
        ("salebridge_attempts_total{upstream=\"cutmeshort\",outcome=\"delivered\"}", 2.0),
        ("salebridge_deliveries_total{upstream=\"cutmeshort\",state=\"delivered\"}", 2.0),
        ("salebridge_queue_depth{queue=\"due\"}", 0.0),
        ("salebridge_queue_age_seconds{queue=\"unsettled\"}", 0.0),
        ("salebridge_upstream_paused{upstream=\"cutmeshort\"}", 0.0),
    ] {
        assert_eq!(value(sample), expected, "{sample}");
    }
    let started = value("salebridge_start_time_seconds");
    let age = SystemClock.now().as_duration().as_secs_f64() - started;
    assert!((0.0..600.0).contains(&age), "{started}");
}

#[test]
fn the_document_holds_a_row_for_each_metric_and_no_other() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| `salebridge_")).collect();
    let expected: Vec<String> = METRICS
        .iter()
        .map(|metric| {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
            format!("| `{}` | {} | {labels} | {} |", metric.name, kind(&metric.kind), metric.help)
        })
        .collect();
    assert_eq!(rows, expected);
}

/// <https://prometheus.io/docs/practices/naming/>
#[test]
fn names_follow_the_conventions() {
    for metric in METRICS {
        let name = metric.name;
        match metric.kind {
            Kind::Counter => assert!(name.ends_with("_total"), "{name}"),
            Kind::Seconds(buckets) => {
                assert!(name.ends_with("_seconds") && buckets.is_sorted(), "{name}");
            }
            Kind::Sizes(buckets) => assert!(name.ends_with("_size") && buckets.is_sorted(), "{name}"),
            Kind::Gauge => assert!(!name.ends_with("_total"), "{name}"),
        }
        assert!(name.starts_with("salebridge_") && metric.help.ends_with('.'), "{name}");
    }
}
