//! The admin API: who may come in, what it shows, what it changes, and that its document says the same.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::harness::Bridge;
use crate::harness::webhooks::{stripe_checkout, stripe_invoice, stripe_subscription_checkout, who};

const NONE: Value = Value::Null;

async fn gets(bridge: &Bridge, path: &str) -> Value {
    let reply = bridge.operates(Method::GET, path, NONE).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    reply.body
}

async fn code(bridge: &Bridge, method: Method, path: &str, body: Value) -> (u16, String) {
    let reply = bridge.operates(method, path, body).await;
    (reply.status, reply.body["code"].as_str().unwrap_or_default().to_owned())
}

#[actix_web::test]
async fn only_who_shows_the_token_comes_in() {
    let mut bridge = Bridge::new().await;
    let asks = async |bridge: &Bridge, headers: &[(&str, &str)]| {
        bridge.asks_admin(Method::GET, "/api/v1/queues", b"", headers).await.status().as_u16()
    };
    for headers in [
        &[][..],
        &[("Authorization", "Bearer ")],
        &[("Authorization", "Bearer a token that nobody can gues")],
        &[("Authorization", "Bearer a token that nobody can guess!")],
        &[("Authorization", "Basic YTpi")],
        &[("Cookie", "salebridge_session=9999999999.0.00")],
    ] {
        assert_eq!(asks(&bridge, headers).await, 401, "{headers:?}");
    }
    assert_eq!(asks(&bridge, &[("Authorization", "Bearer a token that nobody can guess")]).await, 200);
    assert_eq!(code(&bridge, Method::GET, "/api/v1/nothing", NONE).await, (404, "not_found".to_owned()));

    // Without a token, on a machine that nobody else can reach: by its address, not by a name that was made to lead here.
    bridge.token = None;
    assert_eq!(asks(&bridge, &[("Host", "127.0.0.1:8081")]).await, 200);
    assert_eq!(asks(&bridge, &[("Host", "[::1]:8081")]).await, 200);
    assert_eq!(asks(&bridge, &[("Host", "localhost:8081")]).await, 200);
    assert_eq!(asks(&bridge, &[("Host", "evil.example:8081")]).await, 403);
    assert_eq!(asks(&bridge, &[]).await, 403);
    let pause = async |headers: &[(&str, &str)]| {
        let headers = [&[("Host", "127.0.0.1:8081"), ("Content-Type", "application/json")], headers].concat();
        let path = "/api/v1/upstreams/cutmeshort/pause";
        bridge.asks_admin(Method::POST, path, br#"{"reason":"mine"}"#, &headers).await.status().as_u16()
    };
    assert_eq!(pause(&[("Origin", "https://evil.example")]).await, 403);
    assert_eq!(pause(&[("Sec-Fetch-Site", "cross-site")]).await, 403);
    assert_eq!(pause(&[("Origin", "http://127.0.0.1:8081")]).await, 200);
}

#[actix_web::test]
async fn a_sale_is_found_by_whatever_is_known_of_it_and_told_whole() {
    let mut bridge = Bridge::new().await;
    bridge.receives("stripe", &stripe_checkout(1, &who("click-1", "user_1"))).await;
    bridge.receives("stripe", &stripe_checkout(2, &who("click-2", "user_2"))).await;
    bridge.settles().await;
    bridge.forwards().await;
    let sale = gets(&bridge, "/api/v1/sales/1").await;
    let email = sale["email"].as_str().unwrap().to_uppercase();
    for text in [sale["invoiceId"].as_str().unwrap(), "user_1", "click-1", &email, sale["customer"].as_str().unwrap()] {
        let found = bridge.operates(Method::POST, "/api/v1/sales/search", json!({"text": text})).await.body;
        let ids: Vec<i64> = found["rows"].as_array().unwrap().iter().map(|sale| sale["id"].as_i64().unwrap()).collect();
        assert!(ids.contains(&1), "{text}: {ids:?}");
        assert_eq!(found["count"].as_u64().unwrap() as usize, ids.len());
    }
    let session = sale["keys"][0].as_str().unwrap().split_once(':').unwrap().1;
    let found = bridge.operates(Method::POST, "/api/v1/sales/search", json!({"text": session})).await.body;
    assert_eq!((found["count"].clone(), found["rows"][0]["id"].clone()), (json!(1), json!(1)));
    let found = bridge.operates(Method::POST, "/api/v1/sales/search", json!({"text": "user_"})).await.body;
    assert_eq!(found["count"], 0, "only whole values are found");
    assert_eq!(sale["deliveries"][0]["state"], "delivered");
    let delivery = gets(&bridge, &format!("/api/v1/deliveries/{}", sale["deliveries"][0]["id"])).await;
    assert_eq!(delivery["history"].as_array().unwrap().len(), 1);
    let known = bridge.operates(Method::POST, "/api/v1/identities/search", json!({"customer": "user_1"})).await.body;
    assert_eq!(known[0]["clicks"][0]["clickId"], "click-1");

    let overview = gets(&bridge, "/api/v1/overview?days=7").await;
    let funnel = |step: &str| overview["funnel"][step].as_u64().unwrap();
    assert_eq!((funnel("received"), funnel("verified"), funnel("sales"), funnel("delivered")), (2, 2, 2, 2));
    assert_eq!(overview["revenue"][0]["days"].as_array().unwrap().len(), 7);
    assert_eq!(overview["revenue"][0]["days"][6]["amount"], overview["revenue"][0]["amount"]);
    assert_eq!((&overview["attribution"][0]["how"], &overview["unattributed_share"]), (&json!("attributed"), &json!(0.0)));
}

#[actix_web::test]
async fn a_search_finds_the_same_in_blocks_as_outside_of_them() {
    let bridge = {
        let mut bridge = Bridge::new().await;
        bridge.leaves_work();
        bridge
    };
    for number in 1..=1100 {
        let whose = if number == 5 { json!({}) } else { who(&format!("c-{number}"), &format!("user_{}", number % 400)) };
        bridge.receives("stripe", &stripe_checkout(number, &whose)).await;
    }
    bridge.settles().await;
    let found = async |text: &str| {
        let found = bridge.operates(Method::POST, "/api/v1/sales/search", json!({"text": text})).await.body;
        (found["count"].as_u64().unwrap(), found["rows"][0]["id"].as_i64().unwrap_or_default())
    };
    assert_eq!(found("user_7").await, (3, 807));
    assert!(!bridge.store.seal_sales(bridge.now()).await.unwrap(), "they are too young");
    bridge.passes(Duration::from_secs(700)).await;
    assert!(bridge.store.seal_sales(bridge.now()).await.unwrap());
    assert!(!bridge.store.seal_sales(bridge.now()).await.unwrap(), "the second block is not full");
    assert_eq!(found("user_7").await, (3, 807));
    assert_eq!(found("C-1").await, (1, 1));
    assert_eq!(found("c-1100").await, (1, 1100));
    assert_eq!(found("nobody").await, (0, 0));
    // What is learned after the block was written is found as well.
    assert_eq!(found("user_late").await.0, 0);
    let mut event = stripe_checkout(5, &who("c-late", "user_late"));
    event["id"] = "evt_later".into();
    bridge.receives("stripe", &event).await;
    bridge.settles().await;
    assert_eq!(found("user_late").await, (1, 5));
}

#[actix_web::test]
async fn pages_hold_what_was_asked_for_and_lead_on() {
    let mut bridge = Bridge::new().await;
    bridge.leaves_work();
    for number in 1..=5 {
        bridge.receives("stripe", &stripe_checkout(number, &who("c-1", "user_1"))).await;
    }
    bridge.receives_bytes("stripe", b"{\"type\":", &[]).await;
    bridge.receives("stripe", &stripe_invoice(9, 9, "subscription_cycle", &json!({}))).await;
    bridge.settles().await;
    bridge.passes(Duration::from_secs(70)).await;
    let ids = |page: &Value| page["rows"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect::<Vec<_>>();
    let first = gets(&bridge, "/api/v1/sales?limit=2&clicked=true").await;
    assert_eq!(ids(&first), [5, 4]);
    let second = gets(&bridge, &format!("/api/v1/sales?limit=2&clicked=true&cursor={}", first["next"].as_str().unwrap())).await;
    assert_eq!(ids(&second), [3, 2]);
    let oldest = gets(&bridge, "/api/v1/sales?limit=2&order=oldest").await;
    assert_eq!(ids(&oldest), [1, 2]);
    let parked = gets(&bridge, "/api/v1/sales?state=parked").await;
    assert_eq!((ids(&parked), &parked["next"]), (vec![6], &NONE));
    assert_eq!(ids(&gets(&bridge, "/api/v1/requests?outcome=parked").await), [6]);
    assert_eq!(ids(&gets(&bridge, "/api/v1/requests?outcome=sale&limit=1").await), [7]);
    assert_eq!(ids(&gets(&bridge, "/api/v1/sales?source=razorpay").await), [0; 0]);
    assert_eq!(ids(&gets(&bridge, "/api/v1/deliveries?state=due&limit=3").await), [5, 4, 3]);
    for query in ["limit=0", "limit=501", "cursor=x", "state=lost", "since=yesterday", "unknown=1", "order=up"] {
        assert_eq!(
            code(&bridge, Method::GET, &format!("/api/v1/sales?{query}"), NONE).await,
            (422, "invalid".to_owned()),
            "{query}"
        );
    }
    let attention = gets(&bridge, "/api/v1/overview").await["attention"].clone();
    let codes: BTreeSet<&str> = attention.as_array().unwrap().iter().map(|each| each["code"].as_str().unwrap()).collect();
    assert_eq!(codes, BTreeSet::from(["parked_events", "parked_sales"]));
    let request = gets(&bridge, "/api/v1/requests/6").await;
    assert_eq!(request["body"], "{\"type\":");
    let signature = request["headers"].as_array().unwrap().iter().find(|header| header["name"] == "stripe-signature").unwrap();
    assert_eq!(signature["value"], "[redacted]");
    assert_eq!(gets(&bridge, "/api/v1/requests/6/explanation").await["outcome"], "parked");
    assert_eq!(bridge.operates(Method::GET, "/api/v1/requests/6/body", NONE).await.text, "{\"type\":");
}

#[actix_web::test]
async fn a_sale_is_kept_back_and_let_go_by_hand() {
    let mut bridge = Bridge::new().await;
    bridge.receives("stripe", &stripe_subscription_checkout(1, &who("c-1", "user_1"))).await;
    bridge.settles().await;
    let path = "/api/v1/sales/1/park";
    let parked = bridge.operates(Method::POST, path, json!({"reason": "looks like fraud"})).await.body;
    assert_eq!(
        (&parked["state"], &parked["code"], &parked["reason"]),
        (&json!("parked"), &json!("by_hand"), &json!("looks like fraud"))
    );
    bridge.forwards().await;
    assert!(bridge.upstream_bodies().await.is_empty(), "nothing is sent of it");
    // Whatever is told of it changes nothing of that.
    bridge.receives("stripe", &stripe_invoice(1, 1, "subscription_create", &who("c-1", "user_1"))).await;
    bridge.settles().await;
    bridge.passes(Duration::from_secs(70)).await;
    bridge.forwards().await;
    assert!(bridge.upstream_bodies().await.is_empty());
    let overview = gets(&bridge, "/api/v1/overview").await;
    assert!(overview["attribution"].as_array().unwrap().iter().any(|line| line["how"] == "parked" && line["code"] == "by_hand"));

    let released = bridge.operates(Method::POST, "/api/v1/sales/1/release", json!({})).await;
    assert_eq!((released.status, &released.body["state"]), (200, &json!("ready")), "{}", released.text);
    bridge.forwards().await;
    assert_eq!(bridge.upstream_bodies().await.len(), 1, "it is sent once");
    assert_eq!(code(&bridge, Method::POST, path, json!({"reason": "too late"})).await, (409, "conflict".to_owned()));
    assert_eq!(code(&bridge, Method::POST, "/api/v1/sales/99/park", json!({"reason": "x"})).await, (404, "not_found".to_owned()));
    assert_eq!(code(&bridge, Method::POST, path, json!({"reason": " "})).await, (409, "conflict".to_owned()));
}

#[actix_web::test]
async fn dead_letters_are_sent_again_after_a_preview_and_upstreams_are_stopped() {
    let mut bridge = Bridge::with_silent_upstream("").await;
    bridge.upstream_answers(422, r#"{"status":false,"message":"no"}"#).await;
    bridge.receives("stripe", &stripe_checkout(1, &who("c-1", "user_1"))).await;
    bridge.settles().await;
    bridge.forwards().await;
    assert_eq!(gets(&bridge, "/api/v1/queues").await["dead"], 1);
    let path = "/api/v1/deliveries/retry";
    let preview = bridge.operates(Method::POST, path, json!({"states": ["dead"], "dry_run": true})).await.body;
    assert_eq!((&preview["preview"]["count"], &preview["resumed"]), (&json!(1), &json!(0)));
    assert!(preview["requests"][0].as_str().unwrap().contains("user_1"));
    assert_eq!(gets(&bridge, "/api/v1/queues").await["dead"], 1, "a preview changes nothing");
    assert_eq!(code(&bridge, Method::POST, path, json!({"dry_run": false})).await, (409, "conflict".to_owned()));
    bridge.upstream_answers(200, r#"{"status":true,"data":"Sale tracked"}"#).await;
    let done = bridge.operates(Method::POST, path, json!({"ids": [1], "dry_run": false})).await.body;
    assert_eq!(done["resumed"], 1);
    bridge.forwards().await;
    assert_eq!(gets(&bridge, "/api/v1/deliveries/1").await["state"], "delivered");

    let paused = bridge.operates(Method::POST, "/api/v1/upstreams/cutmeshort/pause", json!({"reason": "maintenance"})).await.body;
    assert_eq!((&paused["queue"]["paused"], &paused["queue"]["by_hand"]), (&json!(true), &json!(true)));
    let resumed = bridge.operates(Method::POST, "/api/v1/upstreams/cutmeshort/resume", json!({})).await.body;
    assert_eq!(resumed["queue"]["paused"], false);
    let shown = bridge.operates(Method::POST, "/api/v1/upstreams/cutmeshort/test", json!({"dry_run": true})).await.body;
    assert_eq!(shown["sent"], false);
    let sent = bridge.operates(Method::POST, "/api/v1/upstreams/cutmeshort/test", json!({"dry_run": false})).await.body;
    assert_eq!((&sent["sent"], &sent["outcome"]), (&json!(true), &json!("delivered")), "{sent}");
    assert_eq!(code(&bridge, Method::POST, "/api/v1/upstreams/nobody/resume", json!({})).await, (404, "not_found".to_owned()));
}

#[actix_web::test]
async fn a_source_is_tried_with_a_signed_case_and_nothing_is_stored() {
    let bridge = Bridge::new().await;
    let sources = gets(&bridge, "/api/v1/sources").await;
    let mut tried = 0;
    for source in sources.as_array().unwrap() {
        let name = source["name"].as_str().unwrap();
        assert!(source["url"].as_str().unwrap().starts_with("https://hooks.example.com/webhooks/"));
        let reply = bridge.operates(Method::POST, &format!("/api/v1/sources/{name}/test"), json!({})).await;
        match reply.status {
            200 => tried += 1,
            409 => {} // signed with a key that only the provider has
            status => panic!("{name}: {status} {}", reply.text),
        }
    }
    assert!(tried > 4, "{tried} of the sources can be tried");
    let stripe = bridge.operates(Method::POST, "/api/v1/sources/stripe/test", json!({})).await.body;
    assert_eq!(stripe["verdict"]["outcome"], "sale", "{stripe}");
    assert!(bridge.store.requests(1).unwrap().is_empty());
}

#[actix_web::test]
async fn the_document_describes_every_operation() {
    let bridge = Bridge::new().await;
    let document = gets(&bridge, "/api/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name} is described");
    }
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "each has its own name");
            let path = path.replace("{id}", "999999").replace("{name}", "stripe");
            let reply = bridge
                .operates(method.to_uppercase().parse().unwrap(), &path, if method == "post" { json!({}) } else { NONE })
                .await;
            assert!(operation["responses"][reply.status.to_string()].is_object(), "{method} {path} may answer {}", reply.status);
            assert_eq!(bridge.operates(Method::DELETE, &path, NONE).await.status, 405, "{path}");
        }
    }
    assert!(ids.len() >= 24, "{ids:?}");
}
