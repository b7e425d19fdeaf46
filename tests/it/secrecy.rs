//! Nothing that must not be logged is logged: marked values are sent everywhere, and everything that was written is searched.

use salebridge::domain::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::harness::configuration;
use crate::harness::process::{Served, Sink, free_address, get, post, wait_until};
use crate::harness::webhooks::{SECRET, signed, stripe_checkout};

const MARKS: [&str; 8] =
    ["MARKclick", "MARKcustomer", "MARKname", "MARKemail", "MARKbody", "token-of-the-test", "c2VjcmV0LW9m", "0123456789abcdef"];

#[test]
fn neither_log_nor_metrics_hold_secrets_or_people() {
    let (folder, sink, address) = (tempfile::tempdir().unwrap(), Sink::start(), free_address());
    let admin = free_address();
    let more = format!(
        "[[sources]]\nname = \"guarded\"\npack = \"stripe\"\nsecrets = [\"{SECRET}\"]\npath_token = \"0123456789abcdef\"\n\
         [admin]\nlisten = \"{admin}\"\ntoken = \"admin-0123456789abcdef\"\n"
    );
    let text = configuration(&address, &format!("http://{}", sink.address), &more);
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    let mut served = Served::start(folder.path(), &address);

    let mut body = stripe_checkout(1, &json!({"clickId": "MARKclick", "customerExternalId": "MARKcustomer"}));
    body["data"]["object"]["customer_details"] = json!({"name": "MARKname", "email": "MARKemail@example.com"});
    body["data"]["object"]["description"] = "MARKbody".into();
    let body = body.to_string();
    let checked = salebridge::app::load(&folder.path().join("config.toml")).unwrap();
    let headers = signed(&checked.sources["stripe"], body.as_bytes(), &[], SystemClock.now());
    let signature = headers.iter().find(|(name, _)| name == "stripe-signature").unwrap().1.clone();
    assert_eq!(post(&address, "/webhooks/stripe", &headers, body.as_bytes()).unwrap().0, 200);
    assert_eq!(post(&address, "/webhooks/guarded/0123456789abcdef", &headers, body.as_bytes()).unwrap().0, 200);
    assert_eq!(post(&address, "/webhooks/guarded/0123456789abcdeX", &headers, body.as_bytes()).unwrap().0, 401);
    assert_eq!(post(&address, "/webhooks/stripe", &headers, b"MARKbody").unwrap().0, 401);
    assert_eq!(post(&address, "/webhooks/MARKbody", &headers, b"MARKbody").unwrap().0, 404);
    wait_until("both are delivered", || sink.bodies().len() >= 2);

    assert!(get(&admin, "/metrics").unwrap().starts_with("HTTP/1.1 401"));
    let metrics = crate::harness::process::exchange(
        &admin,
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer admin-0123456789abcdef\r\n\r\n",
    )
    .unwrap();
    assert!(metrics.contains("salebridge_requests_total{source=\"stripe\",outcome=\"accepted\"} 1"), "{metrics}");
    assert!(served.stop());
    let log = served.log();
    assert!(log.contains("a request was stored") && log.contains("a sale was accepted"), "the log is there at all: {log}");
    let digits = signature.split("v1=").nth(1).unwrap();
    for mark in MARKS.into_iter().chain([digits]) {
        assert!(!log.contains(mark), "the log holds {mark}:\n{log}");
        assert!(!metrics.contains(mark), "the metrics hold {mark}:\n{metrics}");
    }
}

#[test]
fn credentials_among_the_headers_are_not_stored() {
    let (folder, sink, address) = (tempfile::tempdir().unwrap(), Sink::start(), free_address());
    std::fs::write(folder.path().join("config.toml"), configuration(&address, &format!("http://{}", sink.address), "")).unwrap();
    let served = Served::start(folder.path(), &address);
    let body = stripe_checkout(1, &json!({})).to_string();
    let checked = salebridge::app::load(&folder.path().join("config.toml")).unwrap();
    let mut headers = signed(&checked.sources["stripe"], body.as_bytes(), &[], SystemClock.now());
    headers.push(("Authorization".to_owned(), "Bearer MARK".to_owned()));
    headers.push(("Cookie".to_owned(), "session=MARK".to_owned()));
    assert_eq!(post(&address, "/webhooks/stripe", &headers, body.as_bytes()).unwrap().0, 200);
    let shown: Value = served.json(&["requests", "show", "1"]);
    assert_eq!(shown["body"], body, "the exact bytes");
    assert!(!shown["headers"].to_string().contains("MARK"), "{shown}");
}
