//! The public listener's contract: statuses, stable codes, limits.

use actix_web::http::Method;
use salebridge::domain::{Clock as _, Secret, SystemClock};
use salebridge::verify::Secrets;
use serde_json::json;

use crate::harness::process::{Served, Sink, exchange, free_address, get, post, wait_until};
use crate::harness::webhooks::{stripe_checkout, who};
use crate::harness::{Bridge, configuration};

#[actix_web::test]
async fn refusals_have_their_status_and_code() {
    let bridge = Bridge::new().await;
    let body = stripe_checkout(1, &who("c-1", "user_1")).to_string();
    let body = body.as_bytes();
    let path = "/webhooks/stripe";
    let code = |reply: crate::harness::Reply| (reply.status, reply.body["code"].as_str().unwrap().to_owned());
    let header = |value: &str| vec![("Stripe-Signature".to_owned(), value.to_owned())];
    let wrong = format!("t={},v1={}", bridge.now().as_second(), "0".repeat(64));

    assert_eq!(code(bridge.posts(path, body, &[]).await), (401, "signature_missing".into()));
    assert_eq!(code(bridge.posts(path, body, &header(&wrong)).await), (401, "signature_mismatch".into()));
    assert_eq!(code(bridge.posts(path, body, &header("t=1,v1=zz")).await), (401, "signature_malformed".into()));
    assert_eq!(code(bridge.posts(path, body, &header(&wrong[13..])).await), (401, "signed_part_missing".into()));
    assert_eq!(code(bridge.posts("/webhooks/nobody", body, &[]).await), (404, "unknown_source".into()));
    assert_eq!(code(bridge.posts("/elsewhere", body, &[]).await), (404, "unknown_source".into()));
    assert_eq!(code(bridge.posts("/webhooks/stripe/token", body, &[]).await), (404, "unknown_source".into()));
    assert_eq!(code(bridge.asks(Method::PUT, path, body, &[]).await), (405, "method_not_allowed".into()));
    assert_eq!(code(bridge.asks(Method::DELETE, path, b"", &[]).await), (405, "method_not_allowed".into()));
    assert_eq!(code(bridge.posts(path, &vec![b' '; 2_000_000], &[]).await), (413, "body_too_large".into()));
    assert_eq!(code(bridge.posts("/webhooks/nobody", &vec![b' '; 2_000_000], &[]).await), (404, "unknown_source".into()));
    let long = vec![("X-Long".to_owned(), "x".repeat(20_000))];
    assert_eq!(code(bridge.posts(path, body, &long).await), (431, "headers_too_large".into()));
    assert!(bridge.store.requests(10).unwrap().is_empty(), "nothing that was refused is stored");
}

#[actix_web::test]
async fn a_stale_signature_is_named_only_to_who_holds_the_secret() {
    let bridge = Bridge::new().await;
    let body = stripe_checkout(1, &who("c-1", "user_1")).to_string();
    let source = &bridge.sources["stripe"];
    let age = |secs: i64| jiff::Timestamp::from_second(bridge.now().as_second() - secs).unwrap();
    let signed = |secs| crate::harness::webhooks::signed(source, body.as_bytes(), &[], age(secs));
    let mut bridge_reply = bridge.posts("/webhooks/stripe", body.as_bytes(), &signed(301)).await;
    assert_eq!((bridge_reply.status, bridge_reply.body["code"].as_str()), (401, Some("timestamp_stale")));
    bridge_reply = bridge.posts("/webhooks/stripe", body.replace('1', "2").as_bytes(), &signed(301)).await;
    assert_eq!(bridge_reply.body["code"], "signature_mismatch");
    assert_eq!(bridge.posts("/webhooks/stripe", body.as_bytes(), &signed(300)).await.status, 200);
    bridge.settles().await;
    let mut bridge = bridge;
    bridge.forwards().await;
}

#[actix_web::test]
async fn dashboards_may_probe_the_url() {
    let bridge = Bridge::new().await;
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(bridge.asks(method.clone(), "/webhooks/stripe", b"", &[]).await.status, 200);
        assert_eq!(bridge.asks(method.clone(), "/webhooks/stripe/whatever", b"", &[]).await.status, 404);
        assert_eq!(bridge.asks(method.clone(), "/healthz", b"", &[]).await.status, 200);
        assert_eq!(bridge.asks(method, "/readyz", b"", &[]).await.status, 200);
    }
    assert_eq!(bridge.asks(Method::GET, "/webhooks/nobody", b"", &[]).await.status, 404);
    assert_eq!(bridge.asks(Method::POST, "/healthz", b"", &[]).await.status, 405);
}

#[actix_web::test]
async fn a_path_token_guards_its_source() {
    let more = format!(
        "[[sources]]\nname = \"shop\"\npack = \"razorpay\"\nsecrets = [\"{}\"]\npath_token = \"0123456789abcdef\"\n",
        crate::harness::webhooks::SECRET
    );
    let mut bridge = Bridge::with(&more).await;
    let body = crate::harness::webhooks::razorpay("payment.captured", "pay_1", &who("c-1", "user_1"), None).to_string();
    let signed = crate::harness::webhooks::signed(&bridge.sources["shop"], body.as_bytes(), &[], bridge.now());
    for path in ["/webhooks/shop", "/webhooks/shop/0123456789abcdeg", "/webhooks/shop/0123456789abcde"] {
        let reply = bridge.posts(path, body.as_bytes(), &signed).await;
        assert_eq!((reply.status, reply.body["code"].as_str()), (401, Some("path_token_mismatch")), "{path}");
    }
    assert_eq!(
        bridge.asks(Method::GET, "/webhooks/shop/whatever", b"", &[]).await.status,
        200,
        "a probe learns nothing of the token"
    );
    assert_eq!(bridge.posts("/webhooks/shop/0123456789abcdef", body.as_bytes(), &signed).await.status, 200);
    bridge.forwards().await;
}

#[actix_web::test]
async fn any_of_several_signatures_and_secrets_may_match() {
    let more = "[[sources]]\nname = \"rotated\"\npack = \"stripe\"\nsecrets = [\"whsec_new\", \"whsec_old\"]\n";
    let mut bridge = Bridge::with(more).await;
    let body = stripe_checkout(1, &who("c-1", "user_1")).to_string();
    let old = bridge.sources["rotated"].with_secrets(Secrets::of(&[Secret::new("whsec_old")])).unwrap();
    let signed = crate::harness::webhooks::signed(&old, body.as_bytes(), &[], bridge.now());
    let value = &signed.iter().find(|(name, _)| name == "stripe-signature").unwrap().1;
    let many = value.replace(",v1=", &format!(",v1={},v0=ff,v1=", "a".repeat(64)));
    let header = vec![("Stripe-Signature".to_owned(), many)];
    assert_eq!(bridge.posts("/webhooks/rotated", body.as_bytes(), &header).await.status, 200);
    bridge.forwards().await;
}

#[test]
fn a_full_queue_is_answered_503_and_nothing_is_lost() {
    let (folder, sink, address) = (tempfile::tempdir().unwrap(), Sink::start(), free_address());
    let text =
        configuration(&address, &format!("http://{}", sink.address), "").replace("[server]\n", "[server]\nqueue_limit = 2\n");
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    let served = Served::start(folder.path(), &address);
    let checked = salebridge::app::load(&folder.path().join("config.toml")).unwrap();
    let source = &checked.sources["stripe"];

    // Somebody else writes for a while, so the disk answers nobody.
    let other = rusqlite::Connection::open(folder.path().join("test.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let posts: Vec<_> = (0..8)
        .map(|number| {
            let body = stripe_checkout(number, &who("c-1", "user_1")).to_string();
            let mut request =
                format!("POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
            for (name, value) in crate::harness::webhooks::signed(source, body.as_bytes(), &[], SystemClock.now()) {
                request.push_str(&format!("{name}: {value}\r\n"));
            }
            let (address, request) = (address.clone(), format!("{request}\r\n{body}"));
            std::thread::spawn(move || exchange(&address, request.as_bytes()).unwrap())
        })
        .collect();
    wait_until("some were asked to come back", || posts.iter().filter(|post| post.is_finished()).count() >= 1);
    other.execute_batch("ROLLBACK").unwrap();
    let answers: Vec<String> = posts.into_iter().map(|post| post.join().unwrap()).collect();
    let accepted = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 200")).count();
    let refused: Vec<&String> = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 503")).collect();
    assert_eq!(accepted + refused.len(), 8, "{answers:?}");
    assert!(accepted >= 1 && refused.iter().all(|answer| answer.contains("retry-after: 5")), "{answers:?}");
    assert!(refused.iter().any(|answer| answer.contains("\"code\":\"busy\"")), "{answers:?}");
    wait_until("all that was accepted is counted", || served.json(&["sales", "list"]).as_array().unwrap().len() == accepted);
}

#[test]
fn a_real_listener_keeps_its_limits_and_stops_without_losing_anything() {
    let (folder, sink, address) = (tempfile::tempdir().unwrap(), Sink::start(), free_address());
    let limits = "[server]\nbody_limit_bytes = 4096\nrequest_timeout_secs = 1\nqueue_limit = 8\n";
    let text = configuration(&address, &format!("http://{}", sink.address), "").replace("[server]\n", limits);
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    let mut served = Served::start(folder.path(), &address);

    let large = post(&address, "/webhooks/stripe", &[], &vec![b' '; 10_000]).unwrap();
    assert_eq!((large.0, large.1["code"].as_str()), (413, Some("body_too_large")));
    let slow = exchange(&address, b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this").unwrap();
    assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
    let silent = exchange(&address, b"POST /webhooks/stripe HTTP/1.1\r\nHost").unwrap();
    assert!(silent.is_empty() || silent.starts_with("HTTP/1.1 408"), "{silent}");
    assert!(get(&address, "/healthz").unwrap().starts_with("HTTP/1.1 200"));
    let broken = exchange(&address, b"NONSENSE\r\n\r\n").unwrap();
    assert!(broken.starts_with("HTTP/1.1 400"), "{broken}");

    let second = crate::harness::process::run(Some(&folder.path().join("config.toml")), &["serve"]);
    assert_eq!(second.status.code(), Some(2), "a second server on one store is refused: {second:?}");
    assert!(served.stop(), "SIGTERM ends it well");
    assert_eq!(json!([]), served.json(&["sales", "list"]));
}
