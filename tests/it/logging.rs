//! Log lines, as a started process writes them.

use salebridge::domain::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::harness::configuration;
use crate::harness::process::{Served, Sink, free_address, post, run, wait_until};
use crate::harness::webhooks::{signed, stripe_checkout};

/// The log of a bridge that took one webhook and forwarded it.
fn log_of(configured: &str, environment: &[(&str, &str)]) -> String {
    let (folder, sink, address) = (tempfile::tempdir().unwrap(), Sink::start(), free_address());
    let text = configuration(&address, &format!("http://{}", sink.address), configured);
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    let mut served = Served::start_with(folder.path(), &address, environment);
    let body = stripe_checkout(1, &json!({"clickId": "c-1", "customerExternalId": "u-1"})).to_string();
    let checked = salebridge::app::load(&folder.path().join("config.toml")).unwrap();
    let headers = signed(&checked.sources["stripe"], body.as_bytes(), &[], SystemClock.now());
    assert_eq!(post(&address, "/webhooks/stripe", &headers, body.as_bytes()).unwrap().0, 200);
    assert_eq!(post(&address, "/webhooks/stripe", &headers, b"forged").unwrap().0, 401);
    wait_until("it is accepted", || served.log().contains("a sale was accepted"));
    assert!(served.stop());
    served.log()
}

#[test]
fn json_lines_hold_the_numbers_as_fields() {
    let log = log_of("[log]\nformat = \"json\"\n", &[]);
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    for line in &lines {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{line}");
        }
    }
    let line = |message: &str| lines.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("{message}: {log}"));
    let stored = line("a request was stored");
    assert_eq!((&stored["request.id"], &stored["source"], &stored["level"]), (&json!(1), &json!("stripe"), &json!("DEBUG")));
    let accepted = line("a sale was accepted");
    assert_eq!((&accepted["request.id"], &accepted["sale.id"], &accepted["delivery.id"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!((&accepted["upstream"], &accepted["status"]), (&json!("cutmeshort"), &json!(200)));
    assert_eq!(line("a request was refused")["code"], "signature_mismatch");
}

#[test]
fn a_line_is_for_people_unless_it_is_asked_for_otherwise() {
    let log = log_of("", &[]);
    assert!(log.lines().all(|line| !line.starts_with('{')), "{log}");
    assert!(log.contains("a sale was accepted delivery.id=1 sale.id=1 request.id=1"), "{log}");
    // The environment comes before the file.
    let log = log_of("[log]\nformat = \"pretty\"\n", &[("SALEBRIDGE_LOG_FORMAT", "json")]);
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
    let odd = run(None, &["serve", "--log-format", "xml"]);
    assert_eq!(odd.status.code(), Some(2), "{odd:?}");
    assert!(String::from_utf8_lossy(&odd.stderr).contains("must be pretty or json"), "{odd:?}");
}
