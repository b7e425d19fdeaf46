//! From signed webhooks to sales: counted once, attributed, in every order of arrival.

use std::time::Duration;

use salebridge::domain::DeliveryState;
use serde_json::{Value, json};

use crate::harness::Bridge;
use crate::harness::webhooks::{razorpay, stripe, stripe_checkout, stripe_invoice, stripe_subscription_checkout, who};

const WEEKS: Duration = Duration::from_secs(3 * 7 * 24 * 60 * 60);

fn nothing() -> Value {
    json!({})
}

#[actix_web::test]
async fn a_checkout_is_forwarded_once_with_every_field() {
    let mut bridge = Bridge::new().await;
    let checkout = stripe_checkout(1, &who("c-1", "user_42"));
    assert_eq!(bridge.receives("stripe", &checkout).await.body, json!({"status": "accepted", "request": 1}));
    assert_eq!(bridge.receives("stripe", &checkout).await.body, json!({"status": "duplicate", "request": 1}));
    bridge.passes(Duration::from_secs(7)).await;
    // Stripe signs each retry anew; it is the same request all the same.
    assert_eq!(bridge.receives("stripe", &checkout).await.body, json!({"status": "duplicate", "request": 1}));
    bridge.forwards().await;

    insta::assert_snapshot!(bridge.upstream_bodies().await.join("\n"), @r#"{"clickId":"c-1","eventName":"checkout_completed","customerExternalId":"user_42","invoiceId":"pi_1","amount":49.99,"currency":"USD","timestamp":"2026-11-22T05:11:00Z","customerName":"Jane Doe","customerEmail":"jane@example.com"}"#);
    let request = &bridge.upstream.received_requests().await.unwrap()[0];
    assert_eq!((request.method.as_str(), request.url.path()), ("POST", "/track/sale"));
    assert_eq!(request.headers["authorization"], "Bearer token-of-the-test");
    assert_eq!(bridge.delivery_states(), [DeliveryState::Delivered]);
}

#[actix_web::test]
async fn invoice_and_checkout_are_one_sale_in_either_order() {
    let checkout = stripe_subscription_checkout(7, &who("c-7", "user_7"));
    let invoice = stripe_invoice(7, 7, "subscription_create", &nothing());
    for order in [[&checkout, &invoice], [&invoice, &checkout]] {
        let mut bridge = Bridge::new().await;
        for event in order {
            assert_eq!(bridge.receives("stripe", event).await.status, 200);
            bridge.forwards().await;
        }
        let sale = bridge.sale();
        assert_eq!((sale.event["clickId"].as_str(), sale.event["invoiceId"].as_str()), (Some("c-7"), Some("in_7")));
        assert_eq!(sale.event["event"], "subscription_created");
        assert_eq!(bridge.upstream_bodies().await.len(), 1);
    }
}

#[actix_web::test]
async fn a_captured_payment_and_its_paid_order_are_one_sale_in_either_order() {
    let captured = razorpay("payment.captured", "pay_1", &json!([]), None);
    let paid = razorpay("order.paid", "pay_1", &json!([]), Some(&who("c-1", "user_1")));
    for order in [[&captured, &paid], [&paid, &captured]] {
        let mut bridge = Bridge::new().await;
        for event in order {
            bridge.receives("razorpay", event).await;
            bridge.forwards().await;
        }
        bridge.passes(Duration::from_secs(61)).await;
        bridge.forwards().await;
        let sale = bridge.sale();
        assert_eq!((sale.event["clickId"].as_str(), sale.event["invoiceId"].as_str()), (Some("c-1"), Some("pay_1")));
        assert_eq!(bridge.upstream_bodies().await.len(), 1);
    }
}

#[actix_web::test]
async fn a_renewal_weeks_later_without_metadata_is_attributed_from_memory() {
    let mut bridge = Bridge::new().await;
    bridge.receives("stripe", &stripe_subscription_checkout(1, &who("c-1", "user_1"))).await;
    bridge.forwards().await;
    bridge.passes(WEEKS).await;
    let mut renewal = stripe_invoice(2, 1, "subscription_cycle", &nothing());
    renewal["created"] = bridge.now().as_second().into();
    bridge.receives("stripe", &renewal).await;
    bridge.forwards().await;

    let sales = bridge.sales();
    let renewed = &sales[1];
    assert_eq!(renewed.event["event"], "subscription_renewed");
    assert_eq!((renewed.event["clickId"].as_str(), renewed.event["customerExternalId"].as_str()), (Some("c-1"), Some("user_1")));
    assert_eq!(renewed.trail["clickId"], json!({"from": "memory", "request": 1}));
    assert_eq!(bridge.upstream_bodies().await.len(), 2);
}

#[actix_web::test]
async fn a_sale_waits_for_its_click_and_then_goes_without_it() {
    let mut bridge = Bridge::new().await;
    bridge.receives("stripe", &stripe_invoice(1, 1, "subscription_create", &json!({"customerExternalId": "user_1"}))).await;
    bridge.forwards().await;
    assert_eq!((bridge.sale().state.as_str(), bridge.upstream_bodies().await.len()), ("waiting", 0));

    bridge.passes(Duration::from_secs(60)).await;
    bridge.forwards().await;
    let sale = bridge.sale();
    assert_eq!((sale.state.as_str(), sale.code.as_deref()), ("ready", Some("click_unknown")));
    let body: Value = serde_json::from_str(&bridge.upstream_bodies().await[0]).unwrap();
    assert!(body.get("clickId").is_none(), "{body}");
}

#[actix_web::test]
async fn a_new_purchase_is_not_credited_to_an_old_click_while_its_own_may_come() {
    let mut bridge = Bridge::new().await;
    bridge.receives("stripe", &stripe_subscription_checkout(1, &who("c-old", "user_1"))).await;
    bridge.forwards().await;
    bridge.passes(WEEKS).await;

    let at = bridge.now().as_second();
    let dated = |mut event: Value| {
        event["created"] = at.into();
        event
    };
    bridge.receives("stripe", &dated(stripe_invoice(2, 1, "subscription_create", &nothing()))).await;
    // The old subscription stirs meanwhile; what it says belongs to the old purchase.
    let old = json!({"id": "sub_1", "customer": "cus_1", "metadata": who("c-old", "user_1")});
    bridge.receives("stripe", &dated(stripe("evt_old", "customer.subscription.updated", &old))).await;
    bridge.forwards().await;
    assert_eq!(bridge.sales()[1].state, "waiting");

    let mut checkout = dated(stripe_subscription_checkout(2, &who("c-new", "user_1")));
    checkout["data"]["object"]["customer"] = "cus_1".into();
    bridge.receives("stripe", &checkout).await;
    bridge.forwards().await;
    assert_eq!(bridge.sales()[1].event["clickId"], "c-new");

    // And the stirring has not put the old click back into memory either.
    bridge.receives("stripe", &dated(stripe("evt_old_2", "customer.subscription.updated", &old))).await;
    bridge.receives("stripe", &dated(stripe_invoice(3, 1, "subscription_cycle", &nothing()))).await;
    bridge.forwards().await;
    assert_eq!(bridge.sales()[2].event["clickId"], "c-new");
}

#[actix_web::test]
async fn a_sale_of_an_unknown_customer_is_parked_until_the_customer_is_known() {
    let mut bridge = Bridge::new().await;
    bridge.receives("stripe", &stripe_invoice(1, 1, "subscription_cycle", &nothing())).await;
    bridge.forwards().await;
    let sale = bridge.sale();
    assert_eq!((sale.state.as_str(), sale.code.as_deref()), ("parked", Some("customer_unknown")));

    let customer = json!({"id": "cus_1", "object": "customer", "metadata": who("c-1", "user_1")});
    bridge.receives("stripe", &stripe("evt_c", "customer.updated", &customer)).await;
    bridge.forwards().await;
    let sale = bridge.sale();
    assert_eq!((sale.state.as_str(), sale.event["customerExternalId"].as_str()), ("ready", Some("user_1")));
    assert_eq!(bridge.upstream_bodies().await.len(), 1);
}

#[actix_web::test]
async fn what_was_sent_keeps_its_invoice_id() {
    let mut bridge = Bridge::new().await;
    bridge.upstream_answers(503, "{}").await;
    bridge.receives("stripe", &stripe_checkout(1, &who("c-1", "user_1"))).await;
    bridge.forwards().await;
    // Only now a stronger id becomes known; the upstream may have the sale under the first one already.
    let tie = json!({"id": "inpay_1", "invoice": "in_1", "payment": {"payment_intent": "pi_1", "type": "payment_intent"}, "customer": "cus_1"});
    bridge.receives("stripe", &stripe("evt_tie", "invoice_payment.paid", &tie)).await;
    bridge.settles().await;
    bridge.upstream_answers(200, "{}").await;
    bridge.passes(Duration::from_secs(4 * 60 * 60)).await;
    bridge.forwards().await;
    let body: Value = serde_json::from_str(&bridge.upstream_bodies().await[0]).unwrap();
    assert_eq!(body["invoiceId"], "pi_1");
    // And an event that knows only the new id still finds the sale.
    bridge.receives("stripe", &stripe_invoice(1, 1, "manual", &nothing())).await;
    bridge.forwards().await;
    assert_eq!(bridge.sale().possible_double_counts, Vec::<i64>::new());
}

#[actix_web::test]
async fn an_event_that_ties_two_sent_sales_is_reported() {
    let mut bridge = Bridge::new().await;
    bridge.receives("stripe", &stripe_checkout(1, &who("c-1", "user_1"))).await;
    bridge.receives("stripe", &stripe_invoice(1, 1, "subscription_cycle", &who("c-1", "user_1"))).await;
    bridge.forwards().await;
    assert_eq!(bridge.upstream_bodies().await.len(), 2);
    let tie = json!({"id": "inpay_1", "invoice": "in_1", "payment": {"payment_intent": "pi_1", "type": "payment_intent"}, "customer": "cus_1"});
    bridge.receives("stripe", &stripe("evt_tie", "invoice_payment.paid", &tie)).await;
    bridge.forwards().await;
    assert_eq!(bridge.sales()[0].possible_double_counts, [2]);
    assert_eq!(bridge.sales()[1].possible_double_counts, [1]);
}

#[actix_web::test]
async fn two_unsent_sales_that_turn_out_to_be_one_are_merged() {
    let mut bridge = Bridge::new().await;
    bridge.receives("stripe", &stripe_checkout(1, &who("c-1", "user_1"))).await;
    bridge.receives("stripe", &stripe_invoice(1, 1, "subscription_cycle", &who("c-1", "user_1"))).await;
    let tie = json!({"id": "inpay_1", "invoice": "in_1", "payment": {"payment_intent": "pi_1", "type": "payment_intent"}, "customer": "cus_1"});
    bridge.receives("stripe", &stripe("evt_tie", "invoice_payment.paid", &tie)).await;
    bridge.forwards().await;
    let bodies = bridge.upstream_bodies().await;
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(bodies[0].contains(r#""invoiceId":"in_1""#), "{bodies:?}");
    assert_eq!(bridge.sales()[1].merged_into, Some(1));
}

#[actix_web::test]
async fn an_event_that_comes_again_in_other_bytes_is_counted_once() {
    let mut bridge = Bridge::new().await;
    let mut checkout = stripe_checkout(1, &who("c-1", "user_1"));
    bridge.receives("stripe", &checkout).await;
    checkout["pending_webhooks"] = 0.into();
    assert_eq!(bridge.receives("stripe", &checkout).await.body["status"], "accepted");
    bridge.forwards().await;
    assert_eq!(bridge.upstream_bodies().await.len(), 1);
    let last = bridge.last_request();
    assert_eq!((last.outcome.as_str(), last.events[0].code.as_deref()), ("duplicate", Some("event_repeated")));
}

#[actix_web::test]
async fn test_events_are_stored_and_shown_but_not_counted() {
    let mut bridge = Bridge::new().await;
    let mut checkout = stripe_checkout(1, &who("c-1", "user_1"));
    checkout["livemode"] = false.into();
    assert_eq!(bridge.receives("stripe", &checkout).await.status, 200);
    bridge.forwards().await;
    let last = bridge.last_request();
    assert_eq!((last.outcome.as_str(), last.events[0].code.as_deref()), ("ignored", Some("test_mode")));
    assert!(bridge.sales().is_empty());
    // It taught nothing either: live and test never share identities.
    bridge.receives("stripe", &stripe_invoice(1, 1, "subscription_cycle", &nothing())).await;
    bridge.forwards().await;
    assert_eq!(bridge.sale().state, "parked");
}

#[actix_web::test]
async fn a_held_sale_is_released_by_a_click_that_arrives_later() {
    let mut bridge = Bridge::with("without_click = \"hold\"").await;
    let payment = |kind: &str, notes: &Value| razorpay(kind, "pay_1", notes, None);
    bridge.receives("razorpay", &payment("payment.captured", &json!({"customerExternalId": "user_1"}))).await;
    bridge.settles().await;
    bridge.passes(Duration::from_secs(61)).await;
    bridge.forwards().await;
    assert_eq!((bridge.delivery_states(), bridge.upstream_bodies().await.len()), (vec![DeliveryState::Held], 0));
    bridge.receives("razorpay", &razorpay("order.paid", "pay_1", &json!([]), Some(&who("c-1", "user_1")))).await;
    bridge.forwards().await;
    assert_eq!(bridge.delivery_states(), [DeliveryState::Delivered]);
    assert!(bridge.upstream_bodies().await[0].contains("c-1"));
}

#[actix_web::test]
async fn a_skipped_sale_is_not_sent() {
    let mut bridge = Bridge::with("without_click = \"skip\"").await;
    bridge.receives("stripe", &stripe_checkout(1, &json!({"customerExternalId": "user_1"}))).await;
    bridge.forwards().await;
    assert_eq!((bridge.delivery_states(), bridge.upstream_bodies().await.len()), (vec![DeliveryState::Skipped], 0));
}

#[actix_web::test]
async fn events_that_contradict_each_other_are_noted() {
    let checkout = stripe_subscription_checkout(1, &who("c-1", "user_1"));
    let mut invoice = stripe_invoice(1, 1, "subscription_create", &nothing());
    invoice["data"]["object"]["amount_paid"] = 1000.into();
    for is_sent in [false, true] {
        let mut bridge = Bridge::new().await;
        bridge.receives("stripe", &checkout).await;
        if is_sent {
            bridge.forwards().await;
        }
        bridge.receives("stripe", &invoice).await;
        bridge.forwards().await;
        let amount = if is_sent { "49.99" } else { "10.00" };
        assert_eq!(
            bridge.sale().event["amount"].to_string(),
            amount,
            "the invoice is stronger, but what was sent does not change"
        );
        assert_eq!(bridge.sale().events[1].code.as_deref(), Some("amount_differs"));
    }
}

#[actix_web::test]
async fn a_payment_intent_of_ones_own_is_counted_and_joins_its_checkout() {
    let mut bridge = Bridge::new().await;
    let own = |metadata: &Value| {
        let object = json!({"id": "pi_1", "amount_received": 4999, "currency": "usd", "customer": "cus_1", "metadata": metadata});
        stripe("evt_pi_1", "payment_intent.succeeded", &object)
    };
    bridge.receives("stripe", &own(&who("c-1", "user_1"))).await;
    bridge.forwards().await;
    bridge.receives("stripe", &stripe_checkout(1, &who("c-1", "user_1"))).await;
    bridge.forwards().await;
    assert_eq!((bridge.sale().event["event"].as_str(), bridge.upstream_bodies().await.len()), (Some("payment_captured"), 1));

    let bare = Bridge::new().await;
    bare.receives("stripe", &own(&nothing())).await;
    bare.settles().await;
    assert_eq!(bare.last_request().events[0].code.as_deref(), Some("counted_elsewhere"));
}
