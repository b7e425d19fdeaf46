//! Whatever the order, the repetitions and the pauses: the ledger ends with the history that made the webhooks.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::Bridge;
use crate::harness::webhooks::{razorpay, stripe_checkout, stripe_invoice, stripe_subscription_checkout, who};

/// One purchase as its provider tells it: the source, and every event that speaks of it.
fn purchase(number: u32, kind: u8) -> (String, Vec<(&'static str, Value)>) {
    let metadata = who(&format!("c-{number}"), &format!("user_{number}"));
    let payment = format!("pay_{number}");
    match kind {
        0 => (format!("pi_{number}"), vec![("stripe", stripe_checkout(number, &metadata))]),
        1 => {
            let invoice = stripe_invoice(number, number, "subscription_create", &json!({}));
            (format!("in_{number}"), vec![("stripe", stripe_subscription_checkout(number, &metadata)), ("stripe", invoice)])
        }
        _ => {
            let captured = razorpay("payment.captured", &payment, &json!([]), None);
            let paid = razorpay("order.paid", &payment, &json!([]), Some(&metadata));
            (payment, vec![("razorpay", captured), ("razorpay", paid)])
        }
    }
}

/// Everything that happens: a webhook arrives, or the inbox is settled and some is sent.
#[derive(Debug, Clone)]
enum Happening {
    Webhook(&'static str, Value),
    Settles,
}

fn histories() -> impl Strategy<Value = (Vec<String>, Vec<Happening>)> {
    prop::collection::vec(0_u8..3, 1..6).prop_flat_map(|kinds| {
        let purchases: Vec<_> = kinds.iter().zip(1..).map(|(kind, number)| purchase(number, *kind)).collect();
        let ids: Vec<String> = purchases.iter().map(|(id, _)| id.clone()).collect();
        let once: Vec<Happening> = purchases
            .into_iter()
            .flat_map(|(_, events)| events)
            .map(|(source, event)| Happening::Webhook(source, event))
            .collect();
        let again = prop::sample::subsequence(once.clone(), 0..=once.len());
        let pauses = prop::collection::vec(Just(Happening::Settles), 0..6);
        (again, pauses).prop_flat_map(move |(again, pauses)| {
            let all: Vec<Happening> = once.iter().cloned().chain(again).chain(pauses).collect();
            (Just(ids.clone()), Just(all).prop_shuffle())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_purchase_is_one_sale_with_its_own_click((ids, happenings) in histories()) {
        actix_web::rt::System::new().block_on(async {
            let mut bridge = Bridge::new().await;
            for happening in &happenings {
                match happening {
                    Happening::Webhook(source, event) => assert_eq!(bridge.receives(source, event).await.status, 200),
                    Happening::Settles => bridge.forwards().await,
                }
            }
            bridge.forwards().await;
            bridge.passes(Duration::from_secs(61)).await;
            bridge.forwards().await;

            let mut sent: BTreeMap<String, u32> = BTreeMap::new();
            for body in bridge.upstream_bodies().await {
                let body: Value = serde_json::from_str(&body).unwrap();
                let id = body["invoiceId"].as_str().unwrap().to_owned();
                let number = id.rsplit('_').next().unwrap();
                assert_eq!(body["clickId"], format!("c-{number}"));
                assert_eq!(body["customerExternalId"], format!("user_{number}"));
                assert_eq!(body["amount"].to_string(), if id.starts_with("pay") { "1499.00" } else { "49.99" });
                *sent.entry(id).or_default() += 1;
            }
            let wanted: BTreeMap<String, u32> = ids.into_iter().map(|id| (id, 1)).collect();
            assert_eq!(sent, wanted);
        });
    }
}
