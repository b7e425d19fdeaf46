//! The signature doctor: what a refused request comes from, what is kept of it, and how it is judged again.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use salebridge::doctor;
use salebridge::domain::{DeliveryState, Headers, Request, Secret, Timestamp};
use salebridge::pack::{Expected, Registry, Source, scenarios};
use salebridge::rejudge::Judged;
use salebridge::store::{Prune, RefusedView, WhichRefused};
use salebridge::verify::Secrets;
use serde_json::{Value, json};

use crate::harness::process::{Served, Sink, free_address, post, run, wait_until};
use crate::harness::webhooks::{self, SECRET, request, signed, stripe_checkout, who};
use crate::harness::{Bridge, Reply, configuration};

const TOKEN: &str = "token-0123456789abcdef";
const SOURCES: &str = r#"
[[sources]]
name = "stripe-test"
pack = "stripe"
secrets = ["whsec_of_the_test_mode"]
accept = "test"
[[sources]]
name = "second"
pack = "stripe"
secrets = ["whsec_of_the_second_shop"]
[[sources]]
name = "guarded"
pack = "stripe"
secrets = ["whsec_of_the_guarded"]
path_token = "token-0123456789abcdef"
[[sources]]
name = "other-guarded"
pack = "stripe"
secrets = ["whsec_of_the_other_guarded"]
path_token = "another-token-0123456789"
[[sources]]
name = "square"
pack = "square"
secrets = ["square-signature-key"]
[[sources]]
name = "maxio"
pack = "maxio"
secrets = ["maxio-shared-key"]
[[sources]]
name = "networked"
pack = "stripe"
secrets = ["whsec_of_the_networked"]
allow_ips = ["203.0.113.0/24"]
"#;

async fn bridge() -> Bridge {
    Bridge::with_server("public_url = \"https://hooks.example.com\"\n", SOURCES).await
}

fn all() -> WhichRefused {
    WhichRefused { source: None, before: None, limit: 1000 }
}

fn listed(bridge: &Bridge) -> Vec<RefusedView> {
    bridge.store.refused(&all()).unwrap()
}

/// The only refused request, after it was examined.
async fn only(bridge: &mut Bridge) -> RefusedView {
    bridge.keeps().await;
    let mut listed = listed(bridge);
    assert_eq!(listed.len(), 1, "{listed:#?}");
    listed.remove(0)
}

/// The newest refused request: its first finding and its words.
async fn newest(bridge: &mut Bridge) -> (String, String) {
    bridge.keeps().await;
    let first = listed(bridge).remove(0);
    let finding = &first.diagnosis[0];
    assert_eq!(finding["code"], first.finding);
    (first.finding.clone(), format!("{} {}", finding["text"].as_str().unwrap(), finding["advice"].as_str().unwrap()))
}

/// The same source with another secret.
fn with_secret(source: &Source, secret: &str) -> Source {
    source.with_secrets(Secrets { path_token: source.path_token.clone(), ..Secrets::of(&[Secret::new(secret)]) }).unwrap()
}

/// What its provider sends now to this source.
fn headers(bridge: &Bridge, source: &str, body: &[u8]) -> Vec<(String, String)> {
    signed(&bridge.sources[source], body, &[], bridge.now())
}

/// Sends to a source what was signed with another secret.
async fn sends_with(bridge: &Bridge, source: &str, secret: &str, body: &[u8]) -> Reply {
    let headers = signed(&with_secret(&bridge.sources[source], secret), body, &[], bridge.now());
    bridge.posts(&bridge.sources[source].path(), body, &headers).await
}

fn sale(number: u32) -> Value {
    stripe_checkout(number, &who("c-1", "user_1"))
}

fn has(words: &str, parts: &[&str]) {
    for part in parts {
        assert!(words.contains(part), "{part:?} is missing in: {words}");
    }
}

#[actix_web::test]
async fn a_request_is_accepted_once_its_secret_is_mended() {
    let mut bridge = bridge().await;
    let body = sale(1).to_string();
    let refused = sends_with(&bridge, "stripe", "whsec_of_the_provider", body.as_bytes()).await;
    assert_eq!((refused.status, refused.body["code"].as_str()), (401, Some("signature_mismatch")));
    let view = only(&mut bridge).await;
    assert_eq!(
        (view.source.as_str(), view.code.as_str(), view.finding.as_str()),
        ("stripe", "signature_mismatch", "secret_wrong")
    );
    assert_eq!((view.body_bytes, view.body_kept, view.count), (body.len(), true, 1));
    has(view.diagnosis[0]["advice"].as_str().unwrap(), &["`secrets` of [[sources]] stripe"]);
    let received_at = bridge.now();

    let still = bridge.judges_again(view.id).await;
    let Judged::Refused { code, diagnosis, .. } = still else { panic!("{still:?}") };
    assert_eq!((code.as_str(), diagnosis.findings[0].code.as_str()), ("signature_mismatch", "secret_wrong"));
    bridge.settles().await;
    assert!(bridge.sales().is_empty() && listed(&bridge).len() == 1, "what stays wrong stays refused");

    bridge.passes(Duration::from_secs(3 * 86_400)).await;
    let secret = format!("name = \"stripe\"\npack = \"stripe\"\nsecrets = [\"{SECRET}\"]");
    bridge.mends(|text| text.replacen(&secret, &secret.replace(SECRET, "whsec_of_the_provider"), 1));
    let accepted = bridge.judges_again(view.id).await;
    let Judged::Accepted { request, duplicate: false, .. } = accepted else { panic!("{accepted:?}") };
    assert!(listed(&bridge).is_empty());
    assert_eq!(bridge.judges_again(view.id).await, Judged::Gone { id: view.id });
    bridge.forwards().await;
    let (stored, exact) = bridge.store.request(request).unwrap().unwrap();
    assert_eq!((stored.received_at, exact.body), (received_at.to_string(), body.clone().into_bytes()), "as of its receipt");
    assert_eq!(bridge.sale().event["invoiceId"], "pi_1");
    assert_eq!(bridge.delivery_states(), [DeliveryState::Delivered]);

    // The provider comes back with a new signature: it is the same request, and one sale.
    let again = sends_with(&bridge, "stripe", "whsec_of_the_provider", body.as_bytes()).await;
    assert_eq!(again.body, json!({"status": "duplicate", "request": request}));
    bridge.forwards().await;
    assert_eq!((bridge.sales().len(), bridge.deliveries().len()), (1, 1));
}

#[actix_web::test]
async fn what_the_provider_sent_again_meanwhile_is_accepted_as_a_duplicate() {
    let mut bridge = bridge().await;
    let body = sale(1).to_string();
    for _ in 0..2 {
        sends_with(&bridge, "stripe", "whsec_of_the_provider", body.as_bytes()).await;
    }
    bridge.keeps().await;
    let ids: Vec<i64> = listed(&bridge).iter().map(|view| view.id).collect();
    bridge.mends(|text| text.replace(SECRET, "whsec_of_the_provider"));
    assert!(matches!(bridge.judges_again(ids[1]).await, Judged::Accepted { duplicate: false, request: 1, .. }));
    assert!(matches!(bridge.judges_again(ids[0]).await, Judged::Accepted { duplicate: true, request: 1, .. }));
    bridge.forwards().await;
    assert_eq!((bridge.sales().len(), listed(&bridge).len()), (1, 0));
}

#[actix_web::test]
async fn a_missing_signature_says_where_it_is_expected_and_what_came_instead() {
    let mut bridge = bridge().await;
    let body = sale(1).to_string();
    bridge.posts("/webhooks/stripe", body.as_bytes(), &[]).await;
    let (code, words) = newest(&mut bridge).await;
    assert_eq!(code, "signature_missing");
    has(&words, &["the header stripe-signature", "Nothing like it came", "proxy"]);
    let odd = [("X-Webhook-Signature".to_owned(), "sha256=00".to_owned()), ("X-Trace".to_owned(), "1".to_owned())];
    bridge.posts("/webhooks/stripe", body.as_bytes(), &odd).await;
    let (_, words) = newest(&mut bridge).await;
    has(&words, &["What came instead: x-webhook-signature.", "salebridge pack show stripe"]);
    // Shopify's webhook at Stripe's URL.
    let foreign = headers(&bridge, "shopify", body.as_bytes());
    bridge.posts("/webhooks/stripe", body.as_bytes(), &foreign).await;
    let (code, words) = newest(&mut bridge).await;
    assert_eq!(code, "signed_for_other");
    has(&words, &["the source shopify (Shopify)", "ends in /webhooks/shopify"]);
}

#[actix_web::test]
async fn a_signature_that_is_none_is_told_from_a_wrong_one() {
    let mut bridge = bridge().await;
    let odd = [("Stripe-Signature".to_owned(), "t=1795324260,v0=00".to_owned())];
    bridge.posts("/webhooks/stripe", b"{}", &odd).await;
    let (code, words) = newest(&mut bridge).await;
    assert_eq!(code, "signature_malformed");
    has(&words, &["the header stripe-signature", "Stripe"]);
    assert!(!words.contains("v0=00"), "{words}");
}

#[actix_web::test]
async fn a_path_token_is_missing_wrong_or_another_sources() {
    let mut bridge = bridge().await;
    let body = sale(1).to_string();
    let genuine = headers(&bridge, "guarded", body.as_bytes());
    for (path, code, part) in [
        ("/webhooks/guarded".to_owned(), "path_token_missing", "without the path token"),
        ("/webhooks/guarded/token-0123456789abcdeX".to_owned(), "path_token_wrong", "another text"),
        ("/webhooks/guarded/another-token-0123456789".to_owned(), "path_token_of_other", "the source other-guarded"),
    ] {
        assert_eq!(bridge.posts(&path, body.as_bytes(), &genuine).await.status, 401);
        let (found, words) = newest(&mut bridge).await;
        assert_eq!(found, code);
        has(&words, &[part, "Its signature is right, so it comes from the provider.", "`path_token` of [[sources]] guarded"]);
        assert!(!words.contains("0123456789"), "{words}");
    }
    bridge.posts("/webhooks/guarded", b"{}", &genuine).await;
    bridge.keeps().await;
    let codes: Vec<Value> =
        listed(&bridge)[0].diagnosis.as_array().unwrap().iter().map(|finding| finding["code"].clone()).collect();
    assert_eq!(codes, ["path_token_missing", "secret_wrong"], "what would have been found behind the door");
}

#[actix_web::test]
async fn a_path_token_is_compared_again_without_having_been_kept() {
    let mut bridge = bridge().await;
    let body = sale(1).to_string();
    let genuine = headers(&bridge, "guarded", body.as_bytes());
    let proxied =
        [genuine.clone(), vec![("X-Original-Uri".to_owned(), "/webhooks/guarded/mended-0123456789abcdef".to_owned())]].concat();
    bridge.posts("/webhooks/guarded/mended-0123456789abcdef", body.as_bytes(), &proxied).await;
    bridge.posts("/webhooks/guarded/mistyped-0123456789abc", body.as_bytes(), &genuine).await;
    // By the right token, but refused for its secret.
    let token = |path: &str| path.replace(TOKEN, "mended-0123456789abcdef");
    let wrong = signed(&with_secret(&bridge.sources["guarded"], "whsec_mended"), body.as_bytes(), &[], bridge.now());
    bridge.posts(&bridge.sources["guarded"].path(), body.as_bytes(), &wrong).await;
    bridge.keeps().await;
    let ids: Vec<i64> = listed(&bridge).iter().rev().map(|view| view.id).collect();
    for id in &ids {
        let kept = format!("{:?}", bridge.store.refused_request(*id).unwrap().unwrap());
        for secret in ["mended-0123456789abcdef", "mistyped-0123456789abc", TOKEN] {
            assert!(!kept.contains(secret), "{kept}");
        }
    }
    bridge.mends(token);
    assert!(matches!(bridge.judges_again(ids[1]).await, Judged::Refused { .. }), "a mistyped token opens nothing");
    assert!(matches!(bridge.judges_again(ids[2]).await, Judged::Refused { .. }), "its secret is wrong still");
    assert!(matches!(bridge.judges_again(ids[0]).await, Judged::Accepted { duplicate: false, .. }));
    bridge.mends(|text| text.replace("whsec_of_the_guarded", "whsec_mended"));
    assert!(matches!(bridge.judges_again(ids[2]).await, Judged::Accepted { duplicate: true, .. }), "it had come by the door");
    bridge.forwards().await;
    assert_eq!(bridge.sales().len(), 1);
}

#[actix_web::test]
async fn an_address_is_named_and_judged_again_with_the_proxies_of_today() {
    let mut bridge = bridge().await;
    let body = sale(1).to_string();
    let mut genuine = headers(&bridge, "networked", body.as_bytes());
    genuine.push(("X-Forwarded-For".to_owned(), "203.0.113.9".to_owned()));
    bridge.posts("/webhooks/networked", body.as_bytes(), &genuine).await;
    let (code, words) = newest(&mut bridge).await;
    assert_eq!(code, "address_not_allowed");
    has(
        &words,
        &["198.51.100.7", "`trusted_proxies` of [server]", "`allow_ips` of [[sources]] networked", "Its signature is right"],
    );
    let id = listed(&bridge)[0].id;
    assert!(matches!(bridge.judges_again(id).await, Judged::Refused { .. }));
    bridge.mends(|text| text.replace("[server]\n", "[server]\ntrusted_proxies = [\"198.51.100.0/24\"]\n"));
    assert!(matches!(bridge.judges_again(id).await, Judged::Accepted { .. }));
    bridge.forwards().await;
}

#[actix_web::test]
async fn a_secret_of_another_source_is_named() {
    let mut bridge = bridge().await;
    let live = sale(1).to_string();
    sends_with(&bridge, "stripe", "whsec_of_the_second_shop", live.as_bytes()).await;
    let (code, words) = newest(&mut bridge).await;
    assert_eq!(code, "secret_of_other");
    has(&words, &["the source second,", "ends in /webhooks/second", "`secrets` of [[sources]] stripe"]);

    let mut test = sale(2);
    test["livemode"] = false.into();
    sends_with(&bridge, "stripe", "whsec_of_the_test_mode", test.to_string().as_bytes()).await;
    let (code, words) = newest(&mut bridge).await;
    assert_eq!(code, "test_traffic");
    has(&words, &["the source stripe-test", "test traffic at a source for live events"]);
    sends_with(&bridge, "stripe-test", SECRET, live.as_bytes()).await;
    let (code, words) = newest(&mut bridge).await;
    assert_eq!(code, "live_traffic");
    has(&words, &["live traffic at a source for test events", "/webhooks/stripe."]);
    // A live event, signed with what the test source was given as its secret: the two are swapped.
    sends_with(&bridge, "stripe", "whsec_of_the_test_mode", live.as_bytes()).await;
    let (code, words) = newest(&mut bridge).await;
    assert_eq!(code, "secret_of_other_mode");
    has(&words, &["stripe was given the test secret", "swapped"]);
    assert!(!words.contains("whsec_"), "{words}");
}

#[actix_web::test]
async fn the_events_own_word_tells_test_traffic_where_no_secret_does() {
    let mut bridge = bridge().await;
    let mut test = sale(1);
    test["livemode"] = false.into();
    sends_with(&bridge, "stripe", "whsec_nobodys", test.to_string().as_bytes()).await;
    let (code, words) = newest(&mut bridge).await;
    assert_eq!(code, "test_traffic");
    has(&words, &["The event says that it is a test one", "`accept = \"test\"`"]);
    sends_with(&bridge, "stripe-test", "whsec_nobodys", sale(2).to_string().as_bytes()).await;
    assert_eq!(newest(&mut bridge).await.0, "live_traffic");
    let listed = listed(&bridge);
    let codes: Vec<&Value> = listed[0].diagnosis.as_array().unwrap().iter().map(|finding| &finding["code"]).collect();
    assert_eq!(codes, ["live_traffic", "secret_wrong"]);
}

#[actix_web::test]
async fn a_skewed_clock_is_told_in_seconds() {
    let mut bridge = bridge().await;
    let body = sale(1).to_string();
    let at = |secs: i64| bridge.now() + Duration::from_secs(u64::try_from(secs).unwrap());
    let early: Timestamp = bridge.now() - Duration::from_secs(812);
    let stale = signed(&bridge.sources["stripe"], body.as_bytes(), &[], early);
    let ahead = signed(&bridge.sources["polar"], body.as_bytes(), &[], at(3605));
    bridge.posts("/webhooks/stripe", body.as_bytes(), &stale).await;
    let (code, words) = newest(&mut bridge).await;
    assert_eq!(code, "timestamp_stale");
    has(&words, &["812 s before this machine's clock", "300 s are allowed", "by the provider's clock", "NTP"]);
    bridge.posts("/webhooks/polar", body.as_bytes(), &ahead).await;
    let (code, words) = newest(&mut bridge).await;
    assert_eq!(code, "timestamp_ahead");
    has(
        &words,
        &["3605 s after this machine's clock", "300 s are allowed", "whole or half hours", "This machine's clock is slow"],
    );
    // It is judged as of its receipt, however late that is done.
    bridge.passes(Duration::from_secs(3600)).await;
    for view in listed(&bridge) {
        assert!(matches!(bridge.judges_again(view.id).await, Judged::Refused { .. }));
    }
}

#[actix_web::test]
async fn a_body_that_a_proxy_wrote_anew_is_explained_and_never_accepted() {
    let mut bridge = bridge().await;
    let compact = sale(1).to_string();
    let pretty = serde_json::to_string_pretty(&sale(1)).unwrap();
    let order = webhooks::shopify_order(7, 1_795_324_260, &who("c-1", "user_1")).to_string();
    let with_newline = format!("{order}\n");
    let accents = compact.replace("Jane Doe", "J\u{e9}r\u{f4}me");
    let escaped = accents.replace('\u{e9}', "\\u00e9").replace('\u{f4}', "\\u00f4");
    let latin: Vec<u8> = accents.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect();
    let form = "id=1417650072&event=payment_success&payload[site][subdomain]=example-goods&payload[note]=two%20words";
    let plus = form.replace("%20", "+");
    let cases: [(&str, &[u8], &[u8], &str); 8] = [
        ("stripe", pretty.as_bytes(), compact.as_bytes(), "on lines indented by two spaces"),
        ("stripe", compact.as_bytes(), pretty.as_bytes(), "written as JSON without white space"),
        ("shopify", with_newline.as_bytes(), order.as_bytes(), "with a final newline"),
        ("shopify", order.as_bytes(), with_newline.as_bytes(), "without its final newline"),
        ("stripe", escaped.as_bytes(), accents.as_bytes(), "its texts with \\u escapes"),
        ("stripe", accents.as_bytes(), &latin, "read as Latin-1 and written as UTF-8"),
        ("maxio", form.as_bytes(), plus.as_bytes(), "with %20 for each +"),
        ("maxio", plus.as_bytes(), form.as_bytes(), "with + for each %20"),
    ];
    for (source, sent, came, repair) in cases {
        let signed = headers(&bridge, source, sent);
        let reply = bridge.posts(&format!("/webhooks/{source}"), came, &signed).await;
        assert_eq!(reply.body["code"], "signature_mismatch", "{repair}");
        let (code, words) = newest(&mut bridge).await;
        assert_eq!(code, "body_changed", "{repair}: {words}");
        has(&words, &[repair, "The secret is right", "The bridge does not repair bodies"]);
        let id = listed(&bridge)[0].id;
        assert!(matches!(bridge.judges_again(id).await, Judged::Refused { .. }), "a diagnosis never accepts");
    }
    bridge.settles().await;
    assert!(bridge.sales().is_empty() && bridge.store.requests(10).unwrap().is_empty());
}

#[actix_web::test]
async fn the_url_that_was_signed_is_found_and_named() {
    let mut bridge = bridge().await;
    let body = br#"{"merchant_id":"M","type":"payment.updated","event_id":"e1","data":{}}"#;
    let own = bridge.sources["square"].url.clone();
    assert_eq!(own.as_deref(), Some("https://hooks.example.com/webhooks/square"));
    let host = vec![("host".to_owned(), "shop.example.net:8443".to_owned())];
    let forwarded = vec![("x-forwarded-host".to_owned(), "cdn.example.org".to_owned())];
    for (url, more) in [
        ("http://hooks.example.com/webhooks/square", vec![]),
        ("https://hooks.example.com/webhooks/square/", vec![]),
        ("https://hooks.example.com:443/webhooks/square", vec![]),
        ("https://hooks.example.com/webhooks/square?shop=1", vec![]),
        ("https://shop.example.net:8443/webhooks/square", host.clone()),
        ("https://shop.example.net/webhooks/square", host),
        ("https://cdn.example.org/webhooks/square", forwarded),
    ] {
        let mut asked = request(&bridge.sources["square"], Headers::default(), body, bridge.now());
        asked.url = Some(url.to_owned());
        let source = &bridge.sources["square"];
        source.pack.scheme.sign(&source.keys, &mut asked).unwrap();
        let mut headers = more;
        headers.extend(asked.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        let query = if url.contains('?') { "?shop=1" } else { "" };
        assert_eq!(bridge.posts(&format!("/webhooks/square{query}"), body, &headers).await.status, 401);
        let (code, words) = newest(&mut bridge).await;
        assert_eq!(code, "url_differs", "{url}: {words}");
        has(
            &words,
            &[
                &format!("signed the URL {},", url.replace("shop=1", "shop=…")),
                "`url` of [[sources]] square",
                "`public_url` of [server]",
            ],
        );
    }
    // And with that URL it is genuine.
    let id = listed(&bridge)[6].id;
    bridge.mends(|text| text.replace("https://hooks.example.com", "http://hooks.example.com"));
    assert!(matches!(bridge.judges_again(id).await, Judged::Accepted { .. }));
    bridge.settles().await;
}

#[actix_web::test]
async fn a_secret_that_was_miscopied_is_recognised() {
    let mut bridge = bridge().await;
    let body = sale(1).to_string();
    for (written, part) in [
        (" whsec_of_the_second_shop", "without the white space around it"),
        ("'whsec_of_the_second_shop'", "without the quotation marks around it"),
        ("STRIPE_SECRET=whsec_of_the_second_shop", "without the name and the = before it"),
        ("of_the_second_shop", "with whsec_ before it"),
        ("d2hzZWNfb2ZfdGhlX3NlY29uZF9zaG9w", "decoded from base64"),
    ] {
        let before = bridge.sources["second"].clone();
        bridge.mends(|text| text.replacen("secrets = [\"whsec_of_the_second_shop\"]", &format!("secrets = [\"{written}\"]"), 1));
        let genuine = signed(&before, body.as_bytes(), &[], bridge.now());
        bridge.posts("/webhooks/second", body.as_bytes(), &genuine).await;
        let (code, words) = newest(&mut bridge).await;
        assert_eq!(code, "secret_form", "{written:?}: {words}");
        has(&words, &[part, "`secrets` of [[sources]] second"]);
        assert!(!words.contains("second_shop"), "{words}");
        bridge.mends(|text| text.replacen(&format!("secrets = [\"{written}\"]"), "secrets = [\"whsec_of_the_second_shop\"]", 1));
    }
}

#[actix_web::test]
async fn a_flood_fills_nothing_and_pushes_nothing_else_out() {
    let mut bridge = bridge().await;
    let order = webhooks::shopify_order(7, 1_795_324_260, &who("c-1", "user_1")).to_string();
    let changed = headers(&bridge, "shopify", format!("{order}\n").as_bytes());
    bridge.posts("/webhooks/shopify", order.as_bytes(), &changed).await;
    bridge.posts("/webhooks/shopify", order.as_bytes(), &[]).await;
    bridge.keeps().await;
    for minute in 0..4 {
        for number in 0..100 {
            let body = format!("{{\"minute\":{minute},\"number\":{number}}}");
            sends_with(&bridge, "shopify", "forged", body.as_bytes()).await;
        }
        bridge.keeps().await;
        bridge.passes(Duration::from_secs(60)).await;
    }
    let kept = |code: &str| listed(&bridge).iter().filter(|view| view.finding == code).count();
    assert_eq!((kept("secret_wrong"), kept("body_changed"), kept("signature_missing")), (20, 1, 1));
    let counts = bridge.store.refused_counts().unwrap();
    let shown: Vec<_> =
        counts.iter().map(|count| (count.source.as_str(), count.code.as_str(), count.count, count.kept)).collect();
    assert_eq!(shown, [("shopify", "signature_mismatch", 401, 21), ("shopify", "signature_missing", 1, 1)]);
    assert_eq!(listed(&bridge)[0].count, 401);
    let per_minute = listed(&bridge).iter().filter(|view| view.received_at.starts_with("2026-11-22T05:14")).count();
    assert_eq!(per_minute, 10, "of one kind so many are written in a minute");

    // Pages of a listing.
    let page = |before: Option<i64>| {
        let which = WhichRefused { source: Some("shopify".to_owned()), before, limit: 15 };
        bridge.store.refused(&which).unwrap().iter().map(|view| view.id).collect::<Vec<_>>()
    };
    let (first, second) = (page(None), page(page(None).last().copied()));
    assert_eq!((first.len(), second.len()), (15, 7));
    assert!(first.windows(2).all(|pair| pair[0] > pair[1]) && first[14] > second[0]);
    assert!(bridge.store.refused(&WhichRefused { source: Some("stripe".to_owned()), ..all() }).unwrap().is_empty());
    assert_eq!(bridge.store.remove_refused(first.clone()).await.unwrap(), 15);
    assert_eq!(bridge.store.remove_refused(first).await.unwrap(), 0);
}

#[actix_web::test]
async fn a_ring_that_stands_still_delays_nobody_and_the_count_is_exact() {
    let mut bridge = bridge().await;
    for _ in 0..10 {
        for _ in 0..10 {
            assert_eq!(sends_with(&bridge, "stripe", "forged", b"{}").await.status, 401);
        }
        bridge.passes(Duration::from_secs(60)).await;
    }
    bridge.keeps().await;
    assert_eq!((listed(&bridge).len(), listed(&bridge)[0].count), (20, 100));
    let newest = &listed(&bridge)[0].received_at;
    assert!(newest.starts_with("2026-11-22T05:17"), "64 waited, the later ones were only counted: {newest}");
}

#[actix_web::test]
async fn a_password_that_was_mistyped_is_mended_and_goes_into_no_inbox() {
    let secrets = "named_secrets = { username = \"hooks\", password = \"mistyped\" }";
    let mut bridge = Bridge::with(&format!("[[sources]]\nname = \"chargebee\"\npack = \"chargebee\"\n{secrets}\n")).await;
    let basic = [("Authorization".to_owned(), "Basic aG9va3M6cmlnaHQtcGFzc3dvcmQ=".to_owned())]; // hooks:right-password
    bridge.posts("/webhooks/chargebee", b"{}", &basic).await;
    let (code, words) = newest(&mut bridge).await;
    assert_eq!(code, "secret_wrong");
    has(&words, &["What stands in the header authorization is not", "`named_secrets` of [[sources]] chargebee"]);
    assert!(!words.contains("change of the body"), "{words}");
    let id = listed(&bridge)[0].id;
    let (view, kept) = bridge.store.refused_request(id).unwrap().unwrap();
    assert!(!kept.shown(&view).to_string().contains("aG9va3M6"));
    bridge.mends(|text| text.replace("mistyped", "right-password"));
    let judged = bridge.judges_again(id).await;
    let Judged::Accepted { request, .. } = judged else { panic!("{judged:?}") };
    assert_eq!(bridge.store.request(request).unwrap().unwrap().1.headers.one("authorization"), Some("[redacted]"));
    bridge.settles().await;
}

#[actix_web::test]
async fn as_many_as_are_configured_are_kept_or_none_at_all() {
    let mut few = Bridge::with("[refused]\nper_cause = 2\n").await;
    for number in 0..5 {
        sends_with(&few, "stripe", "forged", format!("{{\"number\":{number}}}").as_bytes()).await;
    }
    few.keeps().await;
    assert_eq!((listed(&few).len(), listed(&few)[0].count), (2, 5));
    let mut none = Bridge::with("[refused]\nkeep = false\n").await;
    assert_eq!(sends_with(&none, "stripe", "forged", b"{}").await.status, 401);
    none.keeps().await;
    assert!(listed(&none).is_empty() && none.store.refused_counts().unwrap().is_empty());
}

#[actix_web::test]
async fn a_long_body_is_not_kept_and_says_so() {
    let mut bridge = bridge().await;
    let body = json!({"long": "x".repeat(70_000)}).to_string();
    sends_with(&bridge, "stripe", "whsec_of_the_second_shop", body.as_bytes()).await;
    let view = only(&mut bridge).await;
    assert_eq!((view.body_bytes, view.body_kept), (body.len(), false));
    assert_eq!(view.diagnosis[1]["code"], "body_too_long");
    has(view.diagnosis[1]["text"].as_str().unwrap(), &[&body.len().to_string(), "65536"]);
    let judged = bridge.judges_again(view.id).await;
    let Judged::Impossible { why, .. } = judged else { panic!("{judged:?}") };
    has(&why, &["too long to be kept", "send it again"]);
}

#[actix_web::test]
async fn a_certificate_that_could_not_be_had_is_asked_for_again() {
    let packs = Registry::load(&[]).unwrap();
    let (scenarios, _) = scenarios(&packs.get("paypal").unwrap().folder);
    let step = &scenarios.iter().find(|scenario| scenario.name == "capture-completed").unwrap().steps[0];
    let secret = step.case.secrets[0].expose();
    let mut bridge =
        Bridge::with(&format!("[[sources]]\nname = \"paypal\"\npack = \"paypal\"\nsecrets = [\"{secret}\"]\n")).await;
    bridge.clock.set(step.case.at.unwrap());
    let headers: Vec<_> = step.case.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(bridge.posts("/webhooks/paypal", &step.case.body, &headers).await.status, 503);
    let view = only(&mut bridge).await;
    assert_eq!(view.finding, "certificate_unavailable");
    // The case's certificate does not lead to a root of the web.
    let url = step.case.headers.one("paypal-cert-url").unwrap().to_owned();
    let pem = step.fetched.as_ref().unwrap().text(&url).unwrap().to_owned();
    bridge.certificates.insert(url, pem);
    let judged = bridge.judges_again(view.id).await;
    let Judged::Refused { code, diagnosis, .. } = judged else { panic!("{judged:?}") };
    assert_eq!((code.as_str(), diagnosis.findings[0].code.as_str()), ("certificate_refused", "certificate_refused"));
}

#[actix_web::test]
async fn a_source_that_is_gone_judges_nothing() {
    let mut bridge = bridge().await;
    sends_with(&bridge, "second", "forged", b"{}").await;
    let id = only(&mut bridge).await.id;
    bridge.mends(|text| text.replace("name = \"second\"", "name = \"third\""));
    let judged = bridge.judges_again(id).await;
    let Judged::Impossible { why, .. } = judged else { panic!("{judged:?}") };
    has(&why, &["no source named second"]);
}

#[actix_web::test]
async fn what_was_refused_goes_in_time() {
    let mut bridge = bridge().await;
    sends_with(&bridge, "stripe", "forged", b"{}").await;
    bridge.keeps().await;
    bridge.passes(Duration::from_secs(86_400)).await;
    sends_with(&bridge, "shopify", "forged", b"{}").await;
    bridge.keeps().await;
    let before = bridge.now() - Duration::from_secs(3600);
    let pruned = bridge.store.prune(Prune::Refused { before }, 200).await.unwrap();
    assert_eq!((pruned.count, pruned.next), (1, None));
    let left: Vec<String> = bridge.store.refused_counts().unwrap().into_iter().map(|count| count.source).collect();
    assert_eq!((listed(&bridge).len(), left), (1, vec!["shopify".to_owned()]));
}

#[actix_web::test]
async fn credentials_that_the_scheme_does_not_read_are_not_kept() {
    let mut bridge = bridge().await;
    let mut forged = signed(&with_secret(&bridge.sources["stripe"], "forged"), b"{}", &[], bridge.now());
    forged.extend(["Authorization", "Cookie"].map(|name| (name.to_owned(), "MARK".to_owned())));
    bridge.posts("/webhooks/stripe?sig=MARKED&a=b", b"{}", &forged).await;
    let id = only(&mut bridge).await.id;
    let (_, kept) = bridge.store.refused_request(id).unwrap().unwrap();
    assert!(!format!("{:?}", kept.request.headers).contains("MARK"));
    let signature = forged.iter().find(|(name, _)| name == "stripe-signature").unwrap().1.clone();
    assert_eq!(kept.request.headers.one("stripe-signature"), Some(signature.as_str()), "it is needed to judge again");
    assert!(kept.shown_headers().contains(&("stripe-signature", "[redacted]")));
    assert!(kept.shown_headers().contains(&("content-type", "application/json")));
}

/// Each pack's own cases that are expected so: how its source judges them, and the request.
fn of_every_pack(is_wanted: fn(&Expected) -> bool, limit: usize) -> Vec<(String, Source, Request)> {
    let now = crate::harness::START.parse().unwrap();
    let mut all = Vec::new();
    for pack in Registry::load(&[]).unwrap().iter() {
        let (scenarios, _) = scenarios(&pack.folder);
        for scenario in scenarios.iter().filter(|scenario| is_wanted(&scenario.expected)).take(limit) {
            let case = &scenario.steps[0].case;
            let source = Source::plain(pack, case.circumstances(false).unwrap()).unwrap();
            all.push((scenario.name.clone(), source, case.request(pack.name(), now)));
        }
    }
    all
}

fn first_code(source: &Source, request: &Request) -> Option<String> {
    let refusal = source.pack.scheme.judge(&source.keys, request, None).err()?;
    let diagnosis = doctor::examine(request, &refusal, source, &HashMap::new(), None);
    Some(diagnosis.findings[0].code.as_str().to_owned())
}

#[test]
fn every_packs_refused_cases_are_explained_without_a_secret() {
    let cases = of_every_pack(|expected| matches!(expected, Expected::Refused(_)), 8);
    assert!(cases.len() > 200, "{}", cases.len());
    for (name, source, request) in cases {
        let Err(refusal) = source.pack.scheme.judge(&source.keys, &request, None) else { continue }; // it needs its certificate
        let diagnosis = doctor::examine(&request, &refusal, &source, &HashMap::new(), None);
        assert!(!diagnosis.findings.is_empty(), "{} {name}", source.name);
        let told = serde_json::to_string(&diagnosis).unwrap();
        for header in source.pack.scheme.own_headers() {
            let value = request.headers.one(header).unwrap_or_default();
            assert!(value.len() < 16 || !told.contains(value), "{} {name}: {told}", source.name);
        }
    }
}

/// A wrong secret is never taken for something else, and what else is wrong is not taken for the secret.
#[test]
fn no_pack_takes_one_cause_for_another() {
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for (name, source, request) in of_every_pack(|expected| matches!(expected, Expected::Sales(_)), 1) {
        if source.pack.scheme.judge(&source.keys, &request, None).is_err() {
            continue; // by a certificate, which is not at hand
        }
        let code = |request: &Request| first_code(&source, request).unwrap_or_else(|| "accepted".to_owned());
        let longer = code(&Request { body: [request.body.as_slice(), b"\n"].concat(), ..request.clone() });
        let is_usual = ["accepted", "body_changed", "secret_wrong"].contains(&longer.as_str());
        assert!(is_usual, "{} {name}, a body with a newline: {longer}", source.name);
        *told.entry(longer).or_default() += 1;
        // Another digit in whatever the signature stands in.
        let mut forged = request.clone();
        for header in source.pack.scheme.own_headers() {
            let Some(value) = request.headers.one(header) else { continue };
            let turned: String = value
                .chars()
                .map(|digit| match digit {
                    '0' => '1',
                    'a' => 'b',
                    'A' => 'B',
                    other => other,
                })
                .collect();
            forged.headers.set(header, turned);
        }
        if forged != request && source.pack.scheme.judge(&source.keys, &forged, None).is_err() {
            let found = code(&forged);
            assert!(
                !["body_changed", "url_differs", "secret_form", "secret_of_other"].contains(&found.as_str()),
                "{}: {found}",
                source.name
            );
        }
    }
    assert!(told["body_changed"] > 25, "{told:?}");
}

/// The whole way by the command line, beside a running bridge.
#[test]
fn the_commands_show_no_secret_and_a_running_bridge_takes_up_what_is_accepted() {
    let (folder, sink, address) = (tempfile::tempdir().unwrap(), Sink::start(), free_address());
    let config = folder.path().join("config.toml");
    let guarded =
        format!("[[sources]]\nname = \"guarded\"\npack = \"stripe\"\nsecrets = [\"{SECRET}\"]\npath_token = \"{TOKEN}\"\n");
    let text = configuration(&address, &format!("http://{}", sink.address), &guarded);
    std::fs::write(&config, &text).unwrap();
    let mut served = Served::start(folder.path(), &address);
    let checked = salebridge::app::load(&config).unwrap();
    let now = {
        use salebridge::domain::Clock as _;
        salebridge::domain::SystemClock.now()
    };
    let body = sale(1).to_string();
    let wrong = signed(&with_secret(&checked.sources["stripe"], "whsec_of_the_provider"), body.as_bytes(), &[], now);
    let signature = wrong.iter().find(|(name, _)| name == "stripe-signature").unwrap().1.clone();
    let digits = signature.split("v1=").nth(1).unwrap();
    assert_eq!(post(&address, "/webhooks/stripe", &wrong, body.as_bytes()).unwrap().0, 401);
    assert_eq!(post(&address, "/webhooks/guarded/token-0123456789abcdeX", &wrong, body.as_bytes()).unwrap().0, 401);
    wait_until("both are kept", || served.json(&["requests", "refused"]).as_array().unwrap().len() == 2);
    let list = served.json(&["requests", "refused", "--source", "stripe"]);
    let id = list[0]["id"].as_i64().unwrap().to_string();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["finding"]), (1, &json!("secret_wrong")));

    let ask = |arguments: &[&str]| {
        let output = run(Some(&config), arguments);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code(), text(&output.stdout) + text(&output.stderr).as_str())
    };
    let asked: [&[&str]; 5] = [
        &["requests", "refused"],
        &["requests", "refused", &id],
        &["requests", "refused", "--json"],
        &["requests", "refused", &id, "--json"],
        &["requests", "accept", &id],
    ];
    for (place, arguments) in asked.iter().enumerate() {
        let (code, told) = ask(arguments);
        assert_eq!(code, Some(if place == 4 { 1 } else { 0 }), "{arguments:?}: {told}");
        has(&told, &["secret_wrong", "No configured secret made this signature"]);
        for secret in [digits, SECRET, "whsec_of_the_provider", TOKEN, "token-0123456789abcdeX", "cs_live_1"] {
            assert!(!told.contains(secret), "{arguments:?} shows {secret}: {told}");
        }
    }
    assert!(ask(&["requests", "refused", &id]).1.contains("stripe-signature: [redacted]"));
    assert_eq!(ask(&["requests", "refused", "99"]).0, Some(1));
    assert_eq!(ask(&["requests", "accept", "99"]).0, Some(1));
    assert_eq!(ask(&["requests", "accept"]).0, Some(2));
    for file in ["test.db", "test.db-wal"] {
        let bytes = std::fs::read(folder.path().join(file)).unwrap_or_default();
        let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!holds(TOKEN) && !holds("token-0123456789abcdeX"), "{file} holds a path token");
    }

    // The secret is mended and the bridge started anew; what is accepted beside it is counted and delivered.
    assert!(served.stop());
    let line = format!("name = \"stripe\"\npack = \"stripe\"\nsecrets = [\"{SECRET}\"]");
    std::fs::write(&config, text.replacen(&line, &line.replace(SECRET, "whsec_of_the_provider"), 1)).unwrap();
    let served = Served::start(folder.path(), &address);
    let (code, told) = ask(&["requests", "accept", &id]);
    assert_eq!(code, Some(0), "{told}");
    has(&told, &[&format!("refused request {id} is request 1 now")]);
    wait_until("it is delivered", || served.json(&["deliveries", "list"])[0]["state"] == "delivered");
    let (code, told) = ask(&["requests", "accept", &id, "--json"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("\"outcome\": \"gone\""), "{told}");
    assert_eq!((sink.bodies().len(), served.json(&["sales", "list"]).as_array().unwrap().len()), (1, 1));
}

#[test]
fn explain_speaks_with_the_same_words() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    let more = "[[sources]]\nname = \"second\"\npack = \"stripe\"\nsecrets = [\"whsec_of_the_second_shop\"]\n";
    std::fs::write(&config, configuration("127.0.0.1:0", "http://127.0.0.1:9", more)).unwrap();
    let checked = salebridge::app::load(&config).unwrap();
    let body = sale(1).to_string();
    let at: Timestamp = crate::harness::START.parse().unwrap();
    let genuine = signed(&checked.sources["second"], body.as_bytes(), &[], at);
    let lines: String = genuine.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let file = folder.path().join("request.http");
    let write = |source: &str, body: &str| {
        std::fs::write(&file, format!("# at: {at}\nPOST /webhooks/{source} HTTP/1.1\n{lines}\n{body}\n")).unwrap();
    };
    let explain = |arguments: &[&str]| {
        let output = run(Some(&config), &[arguments, &[file.to_str().unwrap()]].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    write("stripe", &body);
    let (code, told) = explain(&["explain", "stripe"]);
    assert_eq!(code, Some(1));
    has(&told, &["finding   secret_of_other", "made with the secret of the source second", "`secrets` of [[sources]] stripe"]);
    write("second", &body.replace(':', ": "));
    let (_, told) = explain(&["explain", "--json", "second"]);
    let verdict: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&verdict["code"], &verdict["diagnosis"][0]["code"]), (&json!("signature_mismatch"), &json!("body_changed")));
    write("second", &body);
    let (code, told) = explain(&["explain", "--json", "second"]);
    assert_eq!((code, serde_json::from_str::<Value>(&told).unwrap().get("diagnosis")), (Some(0), None));
    let root = env!("CARGO_MANIFEST_DIR");
    let forged =
        run(None, &["explain", "--json", "--pack", "stripe", &format!("{root}/providers/stripe/cases/signature-wrong.http")]);
    let verdict: Value = serde_json::from_slice(&forged.stdout).unwrap();
    assert!(verdict["diagnosis"][0]["advice"].is_string(), "{verdict}");
}
