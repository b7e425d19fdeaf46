//! Thin webhooks: what they refer to is fetched after the answer; until then the event waits, and what cannot be had parks it.

use std::time::Duration;

use salebridge::domain::{Headers, Timestamp};
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::harness::{Bridge, Reply};

const TOKEN: &str = "a-token-nobody-guesses";

/// A bridge with Mollie's classic webhooks, whose API is a server of the test.
async fn bridge(api: &MockServer) -> Bridge {
    Bridge::with(&format!(
        "[[sources]]\nname = \"mollie\"\npack = \"mollie-classic\"\npath_token = \"{TOKEN}\"\napi_url = \"{}\"\n\
         named_secrets = {{ api_key = \"live_key_of_the_test\" }}\n",
        api.uri()
    ))
    .await
}

async fn calls(bridge: &Bridge, id: &str) -> Reply {
    let form = vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
    bridge.posts(&format!("/webhooks/mollie/{TOKEN}"), format!("id={id}").as_bytes(), &form).await
}

fn payment(id: &str, status: &str) -> Value {
    json!({
        "resource": "payment", "id": id, "mode": "live", "status": status, "createdAt": "2026-11-22T05:10:00+00:00",
        "paidAt": "2026-11-22T05:10:40+00:00", "amount": {"value": "49.99", "currency": "EUR"}, "sequenceType": "oneoff",
        "metadata": {"clickId": "c-1", "customerExternalId": "user_42"}
    })
}

async fn answers(api: &MockServer, id: &str, answer: ResponseTemplate) {
    api.reset().await;
    Mock::given(method("GET"))
        .and(path(format!("/v2/payments/{id}")))
        .and(header("authorization", "Bearer live_key_of_the_test"))
        .respond_with(answer)
        .mount(api)
        .await;
}

#[actix_web::test]
async fn a_payment_is_fetched_after_the_answer_and_counted_once() {
    let api = MockServer::start().await;
    let mut bridge = bridge(&api).await;
    answers(&api, "tr_1", ResponseTemplate::new(200).set_body_json(payment("tr_1", "paid"))).await;
    assert_eq!(calls(&bridge, "tr_1").await.status, 200);
    bridge.settles().await;
    assert_eq!(bridge.last_request().outcome, "fetching", "nothing is known before it is fetched");
    assert!(bridge.sales().is_empty());
    bridge.fetches().await;
    let sale = bridge.sale();
    assert_eq!(
        (sale.event["amount"].to_string(), sale.event["customerExternalId"].as_str()),
        ("49.99".to_owned(), Some("user_42"))
    );
    // Mollie calls again whenever the payment changes: the same bytes, which are looked at anew, and the same sale.
    assert_eq!(calls(&bridge, "tr_1").await.body["status"], "accepted");
    bridge.fetches().await;
    assert_eq!(bridge.sales().len(), 1);
    bridge.forwards().await;
    assert_eq!(bridge.upstream_bodies().await.len(), 1);
}

#[actix_web::test]
async fn an_open_payment_is_no_sale_until_a_later_call_says_that_it_is_paid() {
    let api = MockServer::start().await;
    let mut bridge = bridge(&api).await;
    answers(&api, "tr_1", ResponseTemplate::new(200).set_body_json(payment("tr_1", "open"))).await;
    calls(&bridge, "tr_1").await;
    bridge.fetches().await;
    assert!(bridge.sales().is_empty());
    answers(&api, "tr_1", ResponseTemplate::new(200).set_body_json(payment("tr_1", "paid"))).await;
    calls(&bridge, "tr_1").await;
    bridge.fetches().await;
    assert_eq!(bridge.sales().len(), 1);
    bridge.forwards().await;
}

#[actix_web::test]
async fn an_api_that_is_down_is_asked_again_and_nothing_is_lost() {
    let api = MockServer::start().await;
    let mut bridge = bridge(&api).await;
    answers(&api, "tr_1", ResponseTemplate::new(503).insert_header("Retry-After", "60")).await;
    calls(&bridge, "tr_1").await;
    bridge.fetches().await;
    let request = bridge.last_request();
    assert_eq!(request.outcome, "fetching");
    assert!(request.events[0].reason.as_deref().unwrap().contains("503"), "{request:?}");
    answers(&api, "tr_1", ResponseTemplate::new(200).set_body_json(payment("tr_1", "paid"))).await;
    bridge.fetches().await;
    assert!(bridge.sales().is_empty(), "the API asked to wait for a minute");
    bridge.passes(Duration::from_secs(61)).await;
    bridge.fetches().await;
    assert_eq!(bridge.sales().len(), 1);
    bridge.forwards().await;
}

#[actix_web::test]
async fn a_fetch_that_was_put_off_by_a_clock_that_was_ahead_is_made_once_it_is_right() {
    let api = MockServer::start().await;
    let mut bridge = bridge(&api).await;
    answers(&api, "tr_1", ResponseTemplate::new(503)).await;
    let right = bridge.now();
    calls(&bridge, "tr_1").await;
    bridge.fetches().await;
    bridge.passes(Duration::from_secs(7200)).await;
    bridge.fetches().await;
    bridge.clock.set(right + Duration::from_secs(10));
    answers(&api, "tr_1", ResponseTemplate::new(200).set_body_json(payment("tr_1", "paid"))).await;
    bridge.fetches().await;
    assert_eq!(bridge.sales().len(), 1, "it has waited since before the clock was ahead");
    bridge.forwards().await;
}

#[actix_web::test]
async fn what_is_not_there_parks_the_event_with_the_reason() {
    let api = MockServer::start().await;
    let mut bridge = bridge(&api).await;
    answers(&api, "tr_gone", ResponseTemplate::new(404)).await;
    calls(&bridge, "tr_gone").await;
    for _ in 0..10 {
        bridge.fetches().await;
        bridge.passes(Duration::from_secs(3600)).await;
    }
    let request = bridge.last_request();
    assert_eq!((request.outcome.as_str(), request.events[0].code.as_deref()), ("parked", Some("enrich_failed")));
    assert!(request.events[0].reason.as_deref().unwrap().contains("404"), "{request:?}");
}

#[actix_web::test]
async fn redirects_are_not_followed_and_a_wrong_key_burns_nothing() {
    let (api, elsewhere) = (MockServer::start().await, MockServer::start().await);
    let mut bridge = bridge(&api).await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(payment("tr_1", "paid")))
        .mount(&elsewhere)
        .await;
    answers(&api, "tr_1", ResponseTemplate::new(302).insert_header("Location", elsewhere.uri())).await;
    calls(&bridge, "tr_1").await;
    bridge.fetches().await;
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
    answers(&api, "tr_1", ResponseTemplate::new(401)).await;
    for _ in 0..30 {
        bridge.passes(Duration::from_secs(3600)).await;
        bridge.fetches().await;
    }
    assert_eq!(bridge.last_request().outcome, "fetching", "a day with a wrong key gives nothing up");
    answers(&api, "tr_1", ResponseTemplate::new(200).set_body_json(payment("tr_1", "paid"))).await;
    bridge.passes(Duration::from_secs(3600)).await;
    bridge.fetches().await;
    assert_eq!(bridge.sales().len(), 1);
    bridge.forwards().await;
}

#[actix_web::test]
async fn what_a_sender_puts_into_an_id_stays_in_the_path() {
    let api = MockServer::start().await;
    let mut bridge = bridge(&api).await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(404)).mount(&api).await;
    for id in ["..%2F..%2Fadmin", "tr_1%3Fx=1", "tr_1%23", "%40evil.example.com%2F", "tr_1%0d%0aX:%201"] {
        calls(&bridge, id).await;
        bridge.fetches().await;
    }
    for request in api.received_requests().await.unwrap() {
        let url = &request.url;
        assert!(url.path().starts_with("/v2/payments/") && url.query().is_none() && url.fragment().is_none(), "{url}");
    }
    for _ in 0..10 {
        bridge.passes(Duration::from_secs(3600)).await;
        bridge.fetches().await;
    }
}

#[test]
fn a_source_without_what_its_pack_needs_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let faults = |source: &str| {
        std::fs::write(&file, format!("[[sources]]\nname = \"x\"\n{source}\n")).unwrap();
        salebridge::app::load(&file).err().map(|faults| faults.to_string()).unwrap_or_default()
    };
    let token = format!("path_token = \"{TOKEN}\"");
    let classic = |more: &str| faults(&format!("pack = \"mollie-classic\"\n{more}"));
    assert!(classic(&token).contains("named_secrets.api_key is missing"), "{}", classic(&token));
    let no_door = classic("named_secrets = { api_key = \"k\" }");
    assert!(no_door.contains("path_token or allow_ips"), "{no_door}");
    let elsewhere = classic(&format!("{token}\nnamed_secrets = {{ api_key = \"k\" }}\napi_url = \"https://evil.example.com\""));
    assert!(elsewhere.contains("api_url: leads to a host that the pack does not allow"), "{elsewhere}");
    let plain = classic(&format!("{token}\nnamed_secrets = {{ api_key = \"k\" }}\napi_url = \"http://api.mollie.com\""));
    assert!(plain.contains("api_url: must be https"), "{plain}");
    let unused = classic(&format!("{token}\nnamed_secrets = {{ api_key = \"k\", salt = \"s\" }}"));
    assert!(unused.contains("named_secrets.salt: is not used by this pack; it uses api_key"), "{unused}");
    assert_eq!(classic(&format!("{token}\nnamed_secrets = {{ api_key = \"k\" }}")), "");
    let payu = faults("pack = \"payu\"\nsecrets = [\"key\"]");
    assert!(payu.contains("named_secrets.salt"), "{payu}");
    let currency = faults("pack = \"authorize-net\"\nsecrets = [\"key\"]");
    assert!(currency.contains("currency: is missing"), "{currency}");
}

#[actix_web::test]
async fn an_address_list_is_a_door_and_knows_trusted_proxies() {
    let more = "[[sources]]\nname = \"yookassa\"\npack = \"yookassa\"\nallow_ips = [\"185.71.76.0/27\"]\n";
    let body =
        json!({"type": "notification", "event": "payment.canceled", "object": {"id": "p", "status": "canceled"}}).to_string();
    let mut bridge = Bridge::with(more).await;
    let forwarded = |text: &str| vec![("X-Forwarded-For".to_owned(), text.to_owned())];
    let posts =
        async |bridge: &Bridge, headers: &[(String, String)]| bridge.posts("/webhooks/yookassa", body.as_bytes(), headers).await;
    assert_eq!(posts(&bridge, &[]).await.body["code"], "address_not_allowed");
    assert_eq!(posts(&bridge, &forwarded("185.71.76.1")).await.body["code"], "address_not_allowed", "nobody's word for it");
    bridge.peer = "185.71.76.1:1".parse().unwrap();
    assert_eq!(posts(&bridge, &[]).await.status, 200);
    bridge.peer = "[::ffff:185.71.76.1]:1".parse().unwrap();
    assert_eq!(posts(&bridge, &[]).await.status, 200);
    bridge.settles().await;

    let more = format!("{more}[[upstreams]]\nname = \"x\"\ntemplate = \"cutmeshort\"\ntoken = \"t\"\n");
    let mut bridge = Bridge::with_server("trusted_proxies = [\"10.0.0.0/8\"]\n", &more).await;
    bridge.peer = "10.1.2.3:1".parse().unwrap();
    assert_eq!(posts(&bridge, &forwarded("185.71.76.1")).await.status, 200);
    assert_eq!(posts(&bridge, &forwarded("185.71.76.1, 10.9.9.9")).await.status, 200);
    assert_eq!(posts(&bridge, &forwarded("185.71.76.1, 203.0.113.9")).await.body["code"], "address_not_allowed");
    assert_eq!(posts(&bridge, &forwarded("nonsense")).await.body["code"], "address_not_allowed");
    bridge.settles().await;
}

#[actix_web::test]
async fn a_certificate_that_cannot_be_had_is_answered_503_and_one_of_another_401() {
    let packs = salebridge::pack::Registry::load(&[]).unwrap();
    let pack = packs.get("paypal").unwrap();
    let (scenarios, _) = salebridge::pack::scenarios(&pack.folder);
    let scenario = scenarios.iter().find(|scenario| scenario.name == "capture-completed").unwrap();
    let step = &scenario.steps[0];
    let secret = step.case.secrets[0].expose();
    let more = format!("[[sources]]\nname = \"paypal\"\npack = \"paypal\"\nsecrets = [\"{secret}\"]\n");
    let mut bridge = Bridge::with(&more).await;
    let at: Timestamp = step.case.at.unwrap();
    bridge.clock.set(at);
    let headers: Vec<(String, String)> =
        step.case.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let reply = bridge.posts("/webhooks/paypal", &step.case.body, &headers).await;
    assert_eq!((reply.status, reply.body["code"].as_str()), (503, Some("certificate_unavailable")));

    // The case's certificate does not lead to a root of the web.
    let url = step.case.headers.one("paypal-cert-url").unwrap().to_owned();
    let pem = step.fetched.as_ref().unwrap().text(&url).unwrap().to_owned();
    bridge.certificates.insert(url.clone(), pem);
    let reply = bridge.posts("/webhooks/paypal", &step.case.body, &headers).await;
    assert_eq!((reply.status, reply.body["code"].as_str()), (401, Some("certificate_refused")));
    bridge.certificates.insert(url, "no certificate".to_owned());
    assert_eq!(bridge.posts("/webhooks/paypal", &step.case.body, &headers).await.status, 401);

    let mut elsewhere = Headers::default();
    headers.iter().for_each(|(name, value)| elsewhere.add(name, value.as_str()));
    for url in [
        "https://paypal.com.evil.example/cert",
        "http://api.paypal.com/cert",
        "https://evilpaypal.com/cert",
        "https://api.paypal.com@evil.example/",
    ] {
        elsewhere.set("paypal-cert-url", url);
        let headers: Vec<_> = elsewhere.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let reply = bridge.posts("/webhooks/paypal", &step.case.body, &headers).await;
        assert_eq!((reply.status, reply.body["code"].as_str()), (401, Some("certificate_refused")), "{url}");
    }
    assert!(bridge.store.requests(10).unwrap().is_empty());
}

#[actix_web::test]
async fn providers_hear_what_they_insist_on_and_pings_are_forgotten() {
    let more = "[[sources]]\nname = \"woo\"\npack = \"woocommerce\"\nsecrets = [\"secret\"]\n";
    let bridge = Bridge::with(more).await;
    let ping = bridge.posts("/webhooks/woo", b"webhook_id=7", &[]).await;
    assert_eq!((ping.status, ping.body["status"].as_str()), (200, Some("ping")));
    for body in ["webhook_id=7&x=1", "{\"webhook_id\":7}", ""] {
        assert_eq!(bridge.posts("/webhooks/woo", body.as_bytes(), &[]).await.status, 401, "{body}");
    }
    assert!(bridge.store.requests(10).unwrap().is_empty());

    let packs = salebridge::pack::Registry::load(&[]).unwrap();
    let (adyen, _) = salebridge::pack::scenarios(&packs.get("adyen").unwrap().folder);
    let case = adyen.into_iter().find(|scenario| scenario.name == "authorisation").unwrap().steps.remove(0).case;
    let more = format!("[[sources]]\nname = \"adyen\"\npack = \"adyen\"\nsecrets = [\"{}\"]\n", case.secrets[0].expose());
    let mut bridge = Bridge::with(&more).await;
    for _ in 0..2 {
        let reply = bridge.posts("/webhooks/adyen", &case.body, &[]).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, "[accepted]"), "the same for a duplicate");
    }
    bridge.forwards().await;
}

/// Where a token shows that a request is genuine, the token is not kept beside it.
#[actix_web::test]
async fn what_is_a_secret_in_a_request_is_not_kept() {
    let secret = "the-token-of-xendit";
    let more = format!("[[sources]]\nname = \"xendit\"\npack = \"xendit\"\nsecrets = [\"{secret}\"]\n");
    let bridge = Bridge::with(&more).await;
    let header = vec![("x-callback-token".to_owned(), secret.to_owned())];
    assert_eq!(bridge.posts("/webhooks/xendit", br#"{"event":"ping"}"#, &header).await.status, 200);
    let (_, request) = bridge.store.request(1).unwrap().unwrap();
    assert!(!format!("{request:?}").contains(secret), "{request:?}");
    bridge.settles().await;
}
