//! Genuine signatures over bodies that make no sense: stored, parked with a stable code, answered 200, never forwarded.

use serde_json::{Value, json};

use crate::harness::Bridge;
use crate::harness::webhooks::{stripe_checkout, who};

fn checkout_with(amount: &str, currency: &str) -> Vec<u8> {
    let text = stripe_checkout(1, &who("c-1", "user_1")).to_string();
    text.replace("4999", amount).replace("\"usd\"", currency).into_bytes()
}

fn shopify_with(amount: &str) -> Vec<u8> {
    let order = json!({
        "id": 1, "total_price": "@", "currency": "USD", "financial_status": "paid", "created_at": "2026-11-22T05:11:00Z",
        "note_attributes": [{"name": "clickId", "value": "c-1"}, {"name": "customerExternalId", "value": "user_1"}]
    });
    order.to_string().replace("\"@\"", amount).into_bytes()
}

#[actix_web::test]
async fn every_senseless_body_is_stored_with_its_reason() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let whole = stripe_checkout(1, &who("c-1", "user_1")).to_string();
    let twenty = "1".repeat(20);
    let cases: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        ("an empty body", vec![], "parked", "body_empty"),
        ("white space", b" \n\t".to_vec(), "parked", "body_empty"),
        ("not UTF-8", vec![b'{', 0xff, 0xfe, b'}'], "parked", "body_not_utf8"),
        ("truncated JSON", whole.as_bytes()[..200].to_vec(), "parked", "body_malformed"),
        ("trailing bytes", format!("{whole}}}").into_bytes(), "parked", "body_malformed"),
        ("deep nesting", deep.into_bytes(), "parked", "body_too_deep"),
        ("deep objects", "{\"a\":".repeat(10_000).into_bytes(), "parked", "body_too_deep"),
        ("an array", b"[]".to_vec(), "parked", "event_type_missing"),
        ("a number", b"3".to_vec(), "parked", "event_type_missing"),
        ("null", b"null".to_vec(), "parked", "event_type_missing"),
        ("an exponent", checkout_with("1e3", "\"usd\""), "parked", "amount_malformed"),
        ("a huge exponent", checkout_with("1e999999999", "\"usd\""), "parked", "amount_malformed"),
        ("a fraction of a cent", checkout_with("19.99", "\"usd\""), "parked", "amount_too_precise"),
        ("twenty digits", checkout_with(&twenty, "\"usd\""), "parked", "amount_out_of_range"),
        ("a text that is no number", checkout_with("\"{{amount}}\"", "\"usd\""), "parked", "amount_malformed"),
        ("a negative amount", checkout_with("-4999", "\"usd\""), "parked", "negative_amount"),
        ("no amount", checkout_with("null", "\"usd\""), "parked", "amount_missing"),
        ("an amount that is an object", checkout_with("{\"value\":1}", "\"usd\""), "parked", "amount_missing"),
        ("an unknown currency", checkout_with("4999", "\"zzz\""), "parked", "unknown_currency"),
        ("no currency", checkout_with("4999", "null"), "parked", "currency_missing"),
        ("a currency that is no text", checkout_with("4999", "[\"usd\"]"), "parked", "currency_missing"),
        ("zero", checkout_with("0", "\"usd\""), "ignored", "zero_amount"),
    ];
    let mut bridge = Bridge::new().await;
    for (what, body, outcome, code) in cases {
        let reply = bridge.receives_bytes("stripe", &body, &[]).await;
        assert_eq!((reply.status, reply.body["status"].as_str()), (200, Some("accepted")), "{what}");
        bridge.forwards().await;
        let last = bridge.last_request();
        assert_eq!((last.outcome.as_str(), last.events[0].code.as_deref()), (outcome, Some(code)), "{what}");
        let (_, stored) = bridge.store.request(last.id).unwrap().unwrap();
        assert_eq!(stored.body, body, "{what}: the exact bytes are kept");
    }
    assert!(bridge.sales().is_empty());
    assert!(bridge.upstream_bodies().await.is_empty());
}

#[actix_web::test]
async fn decimal_amounts_are_exact_as_text_and_as_numbers() {
    for (amount, sent) in [
        ("\"19.99\"", "19.99"),
        ("19.99", "19.99"),
        ("\"0.10\"", "0.10"),
        ("100", "100.00"),
        ("\"92233720368547758.07\"", "92233720368547758.07"),
    ] {
        let mut bridge = Bridge::new().await;
        bridge.receives_bytes("shopify", &shopify_with(amount), &[("X-Shopify-Topic", "orders/paid")]).await;
        bridge.forwards().await;
        let bodies = bridge.upstream_bodies().await;
        assert!(bodies[0].contains(&format!("\"amount\":{sent},")), "{amount}: {bodies:?}");
    }
    for amount in ["\"1e3\"", "1e3", "\"19.999\"", "\"1,000.00\"", "\" \"", "\"92233720368547758.08\"", "NaN"] {
        let mut bridge = Bridge::new().await;
        bridge.receives_bytes("shopify", &shopify_with(amount), &[("X-Shopify-Topic", "orders/paid")]).await;
        bridge.forwards().await;
        assert_eq!(bridge.last_request().outcome, "parked", "{amount}");
    }
}

#[actix_web::test]
async fn what_looks_like_a_template_is_plain_text() {
    let mut bridge = Bridge::new().await;
    let mut checkout = stripe_checkout(1, &who("{{clickId}}", "${HOME}"));
    checkout["data"]["object"]["customer_details"]["name"] = "{{7*7}} \"quoted\" <b>é</b>".into();
    checkout["data"]["object"]["customer_details"]["email"] = "not an address".into();
    bridge.receives("stripe", &checkout).await;
    bridge.forwards().await;
    let body: Value = serde_json::from_str(&bridge.upstream_bodies().await[0]).unwrap();
    assert_eq!(body["customerName"], "{{7*7}} \"quoted\" <b>é</b>");
    assert_eq!((body["clickId"].as_str(), body["customerExternalId"].as_str()), (Some("{{clickId}}"), Some("${HOME}")));
    assert!(body.get("customerEmail").is_none(), "what is no address would only be refused: {body}");
}

#[actix_web::test]
async fn values_that_no_upstream_takes_are_passed_over() {
    let mut bridge = Bridge::new().await;
    let mut checkout = stripe_checkout(
        1,
        &json!({"clickId": "c".repeat(256), "click_id": "c\u{1b}[2J", "cms_click_id": 7, "customer_external_id": true}),
    );
    checkout["data"]["object"]["id"] = "weird id/with: signs".into();
    checkout["data"]["object"]["payment_intent"] = Value::Null;
    bridge.receives("stripe", &checkout).await;
    bridge.forwards().await;
    let body: Value = serde_json::from_str(&bridge.upstream_bodies().await[0]).unwrap();
    assert_eq!((body["clickId"].as_str(), body["customerExternalId"].as_str()), (Some("7"), Some("true")));
    let invoice = body["invoiceId"].as_str().unwrap();
    assert!(invoice.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{invoice}");
}

#[actix_web::test]
async fn a_time_from_the_far_future_harms_nothing() {
    let mut bridge = Bridge::new().await;
    for (number, created) in [(1, json!(253_402_300_799_i64)), (2, json!(i64::MAX)), (3, json!("soon")), (4, json!(-1))] {
        let mut checkout = stripe_checkout(number, &json!({"customerExternalId": "user_1"}));
        checkout["created"] = created;
        assert_eq!(bridge.receives("stripe", &checkout).await.status, 200);
        bridge.forwards().await;
    }
    assert_eq!(bridge.upstream_bodies().await.len(), 4);
}
