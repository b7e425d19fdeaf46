//! The report of a period, and the commands that show the ledger's sums, as an operator runs them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::desk::{Desk, fixture};
use crate::harness::process::run;
use crate::harness::webhooks::{SECRET, who};

const UPSTREAM: &str = "[[upstreams]]\nname = \"u\"\ntemplate = \"cutmeshort\"\ntoken = \"x\"\n";

/// A ledger with one of everything that a report tells of.
pub(crate) async fn busy() -> Desk {
    fill(Desk::of_money(UPSTREAM)).await
}

/// The same, always in a file.
pub(crate) async fn busy_in_a_file() -> Desk {
    fill(Desk::in_a_file(fixture("money", UPSTREAM))).await
}

async fn fill(mut desk: Desk) -> Desk {
    let sale = |id: &str, day: i64, more: Value| {
        let mut body = json!({"type": "minor", "eid": id, "at": 1_795_324_260 + day * 86_400, "pay": id, "amount": 1000, "cur": "EUR", "meta": who("c-1", "u-1")});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    desk.now += Duration::from_secs(20 * 86_400);
    for body in [
        sale("a", 0, json!({})),
        sale("b", 1, json!({"meta": {"customerExternalId": "u-1"}})),
        sale("c", 1, json!({"meta": {"customerExternalId": "u-2"}, "cur": "KWD", "amount": 12345})),
        sale("d", 1, json!({"meta": {}})),
        sale("e", 1, json!({"cur": "EURO"})),
        sale("f", 9, json!({})),
        sale("t", 1, json!({"test": "true"})),
        json!({"type": "refund", "eid": "r", "id": "r", "pay": "a", "amount": 250, "cur": "EUR", "at": 1_795_324_260 + 3 * 86_400}),
        json!({"type": "refund", "eid": "r2", "id": "r2", "pay": "nobody's", "amount": 99, "cur": "EUR", "at": 1_795_324_260 + 3 * 86_400}),
        sale("g", 2, json!({"pay": null, "inv": "g"})),
        sale("h", 2, json!({})),
    ] {
        desk.hears("money", &body).await;
    }
    desk.sends().await;
    desk.hears("money", &json!({"type": "checkout", "eid": "tie", "inv": "g", "pay": "h"})).await;
    desk
}

/// Runs a command on the ledger, as from a configuration of its own.
pub(crate) fn salebridge(desk: &Desk, arguments: &[&str]) -> (i32, String) {
    let output = run(Some(&configured(desk)), arguments);
    assert!(output.stderr.is_empty() || !output.status.success(), "{output:?}");
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// A configuration for the ledger.
pub(crate) fn configured(desk: &Desk) -> PathBuf {
    let config = desk.path.parent().unwrap().join("config.toml");
    let packs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/money"));
    let text = format!(
        "pack_dirs = [\"{}\"]\n[store]\nurl = \"{}\"\n[[sources]]\nname = \"money\"\npack = \"money\"\nsecrets = [\"{SECRET}\"]\n",
        packs.display(),
        desk.store_url()
    );
    std::fs::write(&config, text).unwrap();
    config
}

#[actix_web::test]
async fn a_report_adds_up_a_period_exactly() {
    let desk = busy().await;
    let period = ["report", "--since", "2026-11-22", "--until", "2026-11-29"];
    let (code, text) = salebridge(&desk, &[&period[..], &["--json"]].concat());
    assert_eq!(code, 0);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        report,
        json!({
            "since": "2026-11-22T00:00:00Z",
            "until": "2026-11-29T00:00:00Z",
            "sales": [
                {"source": "money", "currency": "EUR", "event": "payment_captured", "sales": 5, "amount": amount("50.00"), "taken_back": amount("2.50"), "left": amount("47.50")},
                {"source": "money", "currency": "KWD", "event": "payment_captured", "sales": 1, "amount": amount("12.345"), "taken_back": amount("0.000"), "left": amount("12.345")},
            ],
            "attribution": [
                {"how": "attributed", "currency": "EUR", "sales": 3, "amount": amount("30.00")},
                {"how": "parked", "code": "customer_unknown", "currency": "EUR", "sales": 1, "amount": amount("10.00")},
                {"how": "remembered", "currency": "EUR", "sales": 1, "amount": amount("10.00")},
                {"how": "unattributed", "code": "click_unknown", "currency": "KWD", "sales": 1, "amount": amount("12.345")},
            ],
            "parked": [
                {"what": "sale", "source": "money", "code": "customer_unknown", "count": 1, "example": 4},
                {"what": "event", "source": "money", "code": "unknown_currency", "count": 1, "example": 5},
            ],
            "possible_double_counts": [{"first": 6, "second": 7, "tied_by": 12, "currency": "EUR", "amount": amount("10.00")}],
            "adjustments": [
                {"source": "money", "kind": "refund", "has_sale": false, "currency": "EUR", "events": 1, "amount": amount("0.99")},
                {"source": "money", "kind": "refund", "has_sale": true, "currency": "EUR", "events": 1, "amount": amount("2.50")},
            ],
            "test_mode": [{"source": "money", "outcome": "ignored", "events": 1}],
        })
    );

    let (_, csv) = salebridge(&desk, &[&period[..], &["--csv"]].concat());
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "part,source,event,currency,sales,amount,taken_back,left,how,code,what,count,example,first,second,tied_by,kind,has_sale,events,outcome"
    );
    assert_eq!(lines[1], "sales,money,payment_captured,EUR,5,50.00,2.50,47.50,,,,,,,,,,,,");
    assert_eq!(lines.len(), 1 + 2 + 4 + 2 + 1 + 2 + 1);
    let (_, text) = salebridge(&desk, &period);
    assert!(
        text.contains("possible double counts:") && text.contains("from 2026-11-22T00:00:00Z to 2026-11-29T00:00:00Z"),
        "{text}"
    );
}

/// A number with these digits.
fn amount(digits: &str) -> Value {
    serde_json::from_str(digits).unwrap()
}

#[actix_web::test]
async fn a_period_that_makes_no_sense_is_wrong_usage() {
    let desk = Desk::of_money("");
    for arguments in [
        &["report", "--since", "yesterday"][..],
        &["report", "--since", "2026-11-29", "--until", "2026-11-22"],
        &["report", "--until", "2026-13-01"],
        &["report", "--json", "--csv"],
        &["requests", "remap", "--source", "nobody"],
        &["requests", "remap", "--since", "soon"],
    ] {
        assert_eq!(salebridge(&desk, arguments).0, 2, "{arguments:?}");
    }
    let (code, text) = salebridge(&desk, &["report"]);
    assert!(code == 0 && text.contains("sales: none"), "{text}");
}

#[actix_web::test]
async fn a_sale_is_shown_with_its_trail_its_proof_and_what_is_left() {
    let desk = busy().await;
    let (_, shown) = salebridge(&desk, &["sales", "show", "1"]);
    for part in [
        "amount               10.00  request 1 at $.amount",
        "email                -  no event of this sale carried an e-mail address",
        "proof     1000 total = 1000 EUR",
        "back      refund r: 2.50 EUR, at 2026-11-25T05:11:00Z (request 8)",
        "left      7.50 of 10.00; taken back 2.50",
    ] {
        assert!(shown.contains(part), "{part} is missing in:\n{shown}");
    }
    let (_, shown) = salebridge(&desk, &["sales", "show", "7"]);
    assert!(shown.contains("possible double count: sale 6 (g) was sent as well"), "{shown}");
}

#[actix_web::test]
async fn a_remap_is_shown_before_it_is_done() {
    let desk = busy().await;
    let (code, text) = salebridge(&desk, &["requests", "remap", "--dry-run", "--json"]);
    let outcome: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &outcome["applied"], &outcome["requests"], &outcome["events_changed"]),
        (0, &json!(false), &json!(12), &json!(0))
    );
    let (_, text) = salebridge(&desk, &["requests", "remap", "--since", "2026-12-01"]);
    assert!(text.starts_with("12 requests read anew, 0 events say something else"), "{text}");
    let (_, text) = salebridge(&desk, &["requests", "remap", "--since", "2026-12-24"]);
    assert!(text.starts_with("0 requests read anew"), "{text}");
}
