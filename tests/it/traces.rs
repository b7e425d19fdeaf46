//! Traces, as a collector sees them: one from a request to the acceptance of its sale, though another process sends it.

use std::collections::{BTreeMap, BTreeSet};

use salebridge::domain::{Clock as _, SystemClock};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::harness::configuration;
use crate::harness::process::{Served, Sink, free_address, post, run, wait_until};
use crate::harness::webhooks::{signed, stripe_checkout};

/// Every span that the collector was sent, each with its attributes by name.
async fn spans(collector: &MockServer) -> Vec<(Value, BTreeMap<String, String>)> {
    let mut all = Vec::new();
    for request in collector.received_requests().await.unwrap() {
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(request.headers["x-team"], "shop", "headers come from the environment");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let text = body.to_string();
        assert!(!text.contains("MARK"), "nothing of a customer: {text}");
        for resource in body["resourceSpans"].as_array().unwrap() {
            assert!(resource["resource"].to_string().contains("salebridge"), "{resource}");
            for span in resource["scopeSpans"].as_array().unwrap().iter().flat_map(|scope| scope["spans"].as_array().unwrap()) {
                let attributes = span["attributes"].as_array().unwrap().iter().map(|attribute| {
                    let value = &attribute["value"];
                    let value = value["stringValue"].as_str().or_else(|| value["intValue"].as_str());
                    (attribute["key"].as_str().unwrap().to_owned(), value.unwrap_or_else(|| panic!("{attribute}")).to_owned())
                });
                all.push((span.clone(), attributes.collect()));
            }
        }
    }
    all
}

#[actix_web::test]
async fn one_trace_leads_from_the_request_to_the_acceptance_in_another_process() {
    let collector = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/traces"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({})))
        .mount(&collector)
        .await;
    let (folder, sink, address) = (tempfile::tempdir().unwrap(), Sink::start(), free_address());
    let traces = format!("[traces]\nendpoint = \"{}\"\n", collector.uri());
    let write = |upstream: &str| {
        let text = configuration(&address, upstream, &traces);
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
    };
    let environment = [("OTEL_EXPORTER_OTLP_HEADERS", "x-team=shop")];
    write(&format!("http://{}", free_address()));
    let mut served = Served::start_with(folder.path(), &address, &environment);
    let who = json!({"clickId": "MARKclick", "customerExternalId": "MARKcustomer"});
    let mut body = stripe_checkout(1, &who);
    body["data"]["object"]["customer_details"] = json!({"name": "MARKname", "email": "MARKemail@example.com"});
    body["data"]["object"]["description"] = "MARKdescription".into();
    let body = body.to_string();
    let checked = salebridge::app::load(&folder.path().join("config.toml")).unwrap();
    let marked = [("authorization", "Bearer MARKauthorization"), ("x-note", "MARKheader"), ("user-agent", "MARKagent")];
    let headers = signed(&checked.sources["stripe"], body.as_bytes(), &marked, SystemClock.now());
    assert_eq!(post(&address, "/webhooks/stripe?note=MARKquery", &headers, body.as_bytes()).unwrap().0, 200);
    assert_eq!(post(&address, "/webhooks/MARKpath", &headers, body.as_bytes()).unwrap().0, 404);
    wait_until("an attempt has failed", || served.log().contains("an attempt failed"));
    assert!(served.stop());

    write(&format!("http://{}", sink.address));
    let mut served = Served::start_with(folder.path(), &address, &environment);
    assert!(run(Some(&folder.path().join("config.toml")), &["deliveries", "retry", "1", "--yes"]).status.success());
    wait_until("it is accepted", || served.log().contains("a sale was accepted"));
    assert!(served.stop());

    let spans = spans(&collector).await;
    let text = |span: &Value, key: &str| span[key].as_str().unwrap_or_default().to_owned();
    let ids: BTreeSet<String> = spans.iter().map(|(span, _)| text(span, "traceId")).collect();
    assert_eq!(ids.len(), 1, "one trace: {spans:#?}");
    let names: Vec<String> = spans.iter().map(|(span, _)| text(span, "name")).collect();
    let count = |name: &str| names.iter().filter(|known| *known == name).count();
    for name in ["receive", "verify", "append", "settle"] {
        assert_eq!(count(name), 1, "{name}: {names:?}");
    }
    assert!(count("attempt") >= 2, "{names:?}");
    let (root, _) = spans.iter().find(|(span, _)| span["name"] == "receive").unwrap();
    let root_id = text(root, "spanId");
    assert_eq!((text(root, "parentSpanId").as_str(), root_id.len()), ("", 16));
    let own: BTreeSet<String> = spans.iter().map(|(span, _)| text(span, "spanId")).collect();
    assert_eq!(own.len(), spans.len(), "each span has an id of its own");
    for (span, attributes) in &spans {
        assert!(span["name"] == "receive" || text(span, "parentSpanId") == root_id, "{span}");
        let nanos = |key: &str| text(span, key).parse::<u64>().unwrap();
        assert!(nanos("startTimeUnixNano") <= nanos("endTimeUnixNano"), "{span}");
        assert_eq!(attributes["request.id"], "1", "{span}");
    }
    let outcomes: Vec<&str> = spans
        .iter()
        .filter(|(span, _)| span["name"] == "attempt")
        .map(|(_, attributes)| attributes["outcome"].as_str())
        .collect();
    assert_eq!((outcomes.first(), outcomes.last()), (Some(&"retry"), Some(&"delivered")));
    let (_, last) = spans.last().unwrap();
    assert_eq!((last["sale.id"].as_str(), last["delivery.id"].as_str(), last["upstream"].as_str()), ("1", "1", "cutmeshort"));
}

#[test]
fn a_collector_that_is_not_there_delays_nothing() {
    let (folder, sink, address) = (tempfile::tempdir().unwrap(), Sink::start(), free_address());
    let traces = format!("[traces]\nendpoint = \"http://{}\"\nsample = 1.0\n", free_address());
    let text = configuration(&address, &format!("http://{}", sink.address), &traces);
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    let mut served = Served::start(folder.path(), &address);
    let body = stripe_checkout(1, &json!({"clickId": "c-1", "customerExternalId": "u-1"})).to_string();
    let checked = salebridge::app::load(&folder.path().join("config.toml")).unwrap();
    let headers = signed(&checked.sources["stripe"], body.as_bytes(), &[], SystemClock.now());
    assert_eq!(post(&address, "/webhooks/stripe", &headers, body.as_bytes()).unwrap().0, 200);
    wait_until("it is accepted", || served.log().contains("a sale was accepted"));
    assert!(served.stop());
    assert!(served.log().contains("the collector did not take spans"), "{}", served.log());
}
