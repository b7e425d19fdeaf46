//! Money that went back is told to the upstreams that can take it: each step once, in order, and only where they have the sale.

use std::time::Duration;

use salebridge::store::{DeliveryView, Retry};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, ResponseTemplate};

use crate::harness::Bridge;
use crate::harness::webhooks::{stripe, stripe_checkout, who};

const SIGNED: &str = "template = \"webhook\"\nsigning_secrets = [\"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\"]";

/// A bridge whose only upstream is of this template, on the stand-in.
async fn bridge_to(template: &str) -> Bridge {
    Bridge::with_only(template).await
}

async fn refunds(bridge: &Bridge, number: u32, so_far: i64) {
    let charge = json!({"id": "ch_1", "object": "charge", "captured": true, "amount_refunded": so_far, "currency": "usd",
        "payment_intent": "pi_1"});
    let mut event = stripe(&format!("evt_refund_{number}"), "charge.refunded", &charge);
    event["created"] = (1_795_324_260 + i64::from(number)).into();
    assert_eq!(bridge.receives("stripe", &event).await.status, 200);
}

async fn buys(bridge: &Bridge) {
    assert_eq!(bridge.receives("stripe", &stripe_checkout(1, &who("c-1", "user_1"))).await.status, 200);
}

fn steps(bridge: &Bridge) -> Vec<String> {
    let step = |delivery: DeliveryView| {
        let step = delivery.adjustment?;
        Some(format!("{} {} of {} {}", step.number, step.amount, step.taken_back, delivery.state.as_str()))
    };
    bridge.deliveries().into_iter().filter_map(step).collect()
}

async fn told(bridge: &Bridge) -> Vec<Value> {
    bridge.upstream_bodies().await.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
}

#[actix_web::test]
async fn each_refund_is_told_once_the_sale_is_there() {
    let mut bridge = bridge_to(SIGNED).await;
    bridge.upstream_answers(503, "").await;
    buys(&bridge).await;
    bridge.forwards().await;
    refunds(&bridge, 1, 1000).await;
    bridge.forwards().await;
    assert!(steps(&bridge).is_empty(), "nothing to take back where the sale is not known");
    bridge.upstream_answers(200, "{}").await;
    bridge.passes(Duration::from_secs(60 * 60)).await;
    bridge.forwards().await;
    bridge.forwards().await;
    assert_eq!(steps(&bridge), ["1 10.00 of 10.00 delivered"]);

    refunds(&bridge, 2, 2500).await;
    refunds(&bridge, 3, 3000).await;
    bridge.forwards().await;
    assert_eq!(
        steps(&bridge),
        ["1 10.00 of 10.00 delivered", "2 20.00 of 30.00 delivered"],
        "what is not told yet is told at once"
    );
    let told = told(&bridge).await;
    let adjustments: Vec<&Value> = told.iter().filter(|body| body["event"] == "sale_adjusted").collect();
    assert_eq!(adjustments.len(), 2);
    assert_eq!(adjustments[1]["adjustmentId"], "pi_1-adjustment-2");
    assert_eq!(
        adjustments[1].to_string(),
        r#"{"event":"sale_adjusted","adjustmentId":"pi_1-adjustment-2","invoiceId":"pi_1","customerExternalId":"user_1","amount":20.00,"takenBack":30.00,"left":19.99,"currency":"USD","timestamp":"2026-11-22T06:11:04Z"}"#
    );
}

#[actix_web::test]
async fn a_step_that_is_under_way_is_ended_before_the_next_begins() {
    let mut bridge = bridge_to(SIGNED).await;
    bridge.upstream_answers(200, "{}").await;
    buys(&bridge).await;
    bridge.forwards().await;
    bridge.upstream_answers(503, "").await;
    refunds(&bridge, 1, 1000).await;
    bridge.forwards().await;
    refunds(&bridge, 2, 2500).await;
    bridge.forwards().await;
    assert_eq!(steps(&bridge), ["1 10.00 of 10.00 due"], "it was tried, so it stays as it is");
    bridge.upstream_answers(200, "{}").await;
    bridge.passes(Duration::from_secs(60 * 60)).await;
    bridge.forwards().await;
    bridge.forwards().await;
    assert_eq!(steps(&bridge), ["1 10.00 of 10.00 delivered", "2 15.00 of 25.00 delivered"]);
}

#[actix_web::test]
async fn money_that_came_back_is_told_where_that_can_be() {
    let mut bridge = bridge_to(SIGNED).await;
    bridge.upstream_answers(200, "{}").await;
    buys(&bridge).await;
    bridge.forwards().await;
    let dispute = |id: &str, kind: &str, status: &str| {
        stripe(
            id,
            kind,
            &json!({"id": "du_1", "object": "dispute", "amount": 4999, "currency": "usd", "payment_intent": "pi_1",
            "charge": "ch_1", "status": status}),
        )
    };
    bridge.receives("stripe", &dispute("evt_d1", "charge.dispute.created", "needs_response")).await;
    bridge.forwards().await;
    let mut won = dispute("evt_d2", "charge.dispute.closed", "won");
    won["created"] = 1_795_400_000.into();
    bridge.receives("stripe", &won).await;
    bridge.forwards().await;
    assert_eq!(steps(&bridge), ["1 49.99 of 49.99 delivered", "2 -49.99 of 0.00 delivered"]);
}

#[actix_web::test]
async fn a_vendor_that_takes_whole_sales_only_is_told_nothing_of_a_part() {
    let mut bridge = bridge_to("template = \"partnerstack\"\ntoken = \"t\"\nsettings = { public_key = \"pk\" }").await;
    bridge.upstream_answers(200, r#"{"data":{"key":"pi_1"}}"#).await;
    buys(&bridge).await;
    refunds(&bridge, 1, 1000).await;
    bridge.forwards().await;
    assert!(steps(&bridge).is_empty());
    refunds(&bridge, 2, 4999).await;
    bridge.forwards().await;
    assert_eq!(steps(&bridge), ["1 49.99 of 49.99 delivered"]);
    let requests = bridge.upstream.received_requests().await.unwrap();
    let last = requests.last().unwrap();
    assert_eq!((last.method.as_str(), last.url.path()), ("DELETE", "/transactions/pi_1"));
    assert_eq!(last.headers["authorization"], "Basic cGs6dA==");
}

#[actix_web::test]
async fn the_id_that_the_vendor_gave_to_the_sale_leads_its_refund() {
    let mut bridge = bridge_to("template = \"affonso\"\ntoken = \"t\"").await;
    bridge.upstream_answers(201, r#"{"success":true,"data":{"id":"com_abc 1/2"}}"#).await;
    buys(&bridge).await;
    bridge.forwards().await;
    refunds(&bridge, 1, 1000).await;
    bridge.forwards().await;
    let requests = bridge.upstream.received_requests().await.unwrap();
    assert_eq!(requests[1].url.path(), "/conversions/com_abc%201%2F2/refund");
    let body: Value = serde_json::from_slice(&requests[1].body).unwrap();
    assert_eq!(body["amount"].to_string(), "10.00");
    assert_eq!(bridge.deliveries()[0].upstream_id.as_deref(), Some("com_abc 1/2"));
}

#[actix_web::test]
async fn a_vendor_whose_answer_has_no_id_is_asked_for_it() {
    let mut bridge = bridge_to("template = \"dub\"\ntoken = \"dub_t\"").await;
    bridge.upstream_answers(200, r#"{"eventName":"x","customer":{"id":"c"},"sale":{"amount":4999}}"#).await;
    buys(&bridge).await;
    bridge.forwards().await;
    bridge.upstream.reset().await;
    let mock = |verb: &str, at: &str, answer: Value| {
        Mock::given(method(verb)).and(path(at)).respond_with(ResponseTemplate::new(200).set_body_json(answer))
    };
    mock("GET", "/commissions", json!([])).mount(&bridge.upstream).await;
    refunds(&bridge, 1, 1000).await;
    bridge.forwards().await;
    let delivery = bridge.store.delivery(2).unwrap().unwrap();
    assert_eq!(delivery.history[0].outcome, "retry_limited", "there may be none yet");
    assert!(delivery.history[0].request.contains("GET ") && delivery.history[0].request.contains("invoiceId=pi_1"));

    bridge.upstream.reset().await;
    mock("GET", "/commissions", json!([{"id": "cm_1"}])).mount(&bridge.upstream).await;
    mock("PATCH", "/commissions/cm_1", json!({"id": "cm_1", "earnings": 100})).mount(&bridge.upstream).await;
    bridge.passes(Duration::from_secs(60 * 60)).await;
    bridge.forwards().await;
    bridge.forwards().await;
    let requests = bridge.upstream.received_requests().await.unwrap();
    let told = requests.iter().find(|request| request.method.as_str() == "PATCH").unwrap();
    assert_eq!(String::from_utf8_lossy(&told.body), r#"{"saleAmount":3999,"currency":"usd"}"#);
    assert_eq!(steps(&bridge), ["1 10.00 of 10.00 delivered"]);
}

#[actix_web::test]
async fn a_team_may_keep_refunds_to_itself() {
    let mut bridge = bridge_to(&format!("{SIGNED}\nadjustments = false")).await;
    bridge.upstream_answers(200, "{}").await;
    buys(&bridge).await;
    bridge.forwards().await;
    refunds(&bridge, 1, 1000).await;
    bridge.forwards().await;
    assert!(steps(&bridge).is_empty());
    assert_eq!(bridge.sale().balance.left.to_string(), "39.99");
}

#[actix_web::test]
async fn a_step_that_was_tried_and_resumed_keeps_its_amount() {
    let mut bridge = bridge_to(SIGNED).await;
    bridge.upstream_answers(200, "{}").await;
    buys(&bridge).await;
    bridge.forwards().await;
    bridge.upstream_answers(503, "").await; // perhaps it took it all the same
    refunds(&bridge, 1, 1000).await;
    bridge.forwards().await;
    assert_eq!(bridge.store.retry(Retry { ids: vec![2], ..Retry::default() }, bridge.now()).await.unwrap(), 1);
    refunds(&bridge, 2, 2500).await;
    bridge.settles().await;
    assert_eq!(steps(&bridge), ["1 10.00 of 10.00 due"]);
    bridge.upstream_answers(200, "{}").await;
    bridge.forwards().await;
    bridge.forwards().await;
    assert_eq!(steps(&bridge), ["1 10.00 of 10.00 delivered", "2 15.00 of 25.00 delivered"]);
}
