//! Alarms from the store to the operator's URL, and the commands that show them.

use std::sync::Arc;
use std::time::Duration;

use salebridge::alarm::{Config, Format, History, Watch, gather, hour_of};
use salebridge::domain::{Secret, Timestamp};
use salebridge::store::Store;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::harness::desk::{Desk, configured};
use crate::harness::process::run;
use crate::harness::webhooks::stripe_checkout;
use crate::harness::{Bridge, configuration, database};

const MINUTE: Duration = Duration::from_secs(60);

async fn receiver(status: u16) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(status)).mount(&server).await;
    server
}

fn config(receiver: &MockServer, format: &str) -> Config {
    let text = format!("url = \"{}/services/T0/B0/secret\"\nformat = \"{format}\"\n", receiver.uri());
    toml::from_str(&text).unwrap()
}

fn watch(store: &Arc<dyn Store>, receiver: &MockServer, format: &str, holder: i64, now: Timestamp) -> Watch {
    let (sources, upstreams) = (vec!["stripe".to_owned()], vec!["cutmeshort".to_owned()]);
    Watch::new(&config(receiver, format), "hooks.example.com", Arc::clone(store), sources, upstreams, holder, now).unwrap()
}

async fn told(receiver: &MockServer) -> Vec<Value> {
    let requests = receiver.received_requests().await.unwrap();
    requests.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

#[actix_web::test]
async fn a_paused_upstream_is_told_to_slack_and_its_end_as_well() {
    let slack = receiver(200).await;
    let mut bridge = Bridge::with_silent_upstream("").await;
    bridge.upstream_answers(401, r#"{"error":"the token is <wrong>"}"#).await;
    let mut watch = watch(&bridge.store, &slack, "slack", 1, bridge.now());
    watch.step(bridge.now()).await.unwrap();
    assert_eq!(told(&slack).await, Vec::<Value>::new());

    let who = json!({"clickId": "c-1", "customerExternalId": "MARKcustomer"});
    assert_eq!(bridge.receives("stripe", &stripe_checkout(1, &who)).await.status, 200);
    bridge.forwards().await;
    assert!(bridge.store.upstreams().unwrap()[0].paused);
    for _ in 0..3 {
        watch.step(bridge.now()).await.unwrap();
    }
    let texts = told(&slack).await;
    assert_eq!(texts.len(), 1, "once: {texts:#?}");
    let text = texts[0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("salebridge hooks.example.com: an upstream is paused\nupstream cutmeshort: its queue stands"),
        "{text}"
    );
    assert!(text.contains("\nNext: ") && !text.contains(['<', '>']) && !text.contains("MARK"), "{text}");
    assert_eq!(bridge.store.alarms().unwrap().len(), 1);

    bridge.upstream_answers(200, r#"{"status":true,"data":"Sale tracked"}"#).await;
    bridge.passes(5 * MINUTE).await;
    bridge.forwards().await;
    watch.step(bridge.now()).await.unwrap();
    watch.step(bridge.now()).await.unwrap();
    let texts = told(&slack).await;
    assert_eq!(texts.len(), 2, "{texts:#?}");
    let text = texts[1]["text"].as_str().unwrap();
    assert!(text.contains("over: an upstream is paused") && text.contains("its queue moves again"), "{text}");
    assert!(bridge.store.alarms().unwrap().is_empty());
}

#[actix_web::test]
async fn what_could_not_be_told_is_told_later_and_a_restart_does_not_tell_it_again() {
    let broken = receiver(500).await;
    let desk = Desk::new(configured(""));
    let store = desk.store();
    store.pause_by_hand("cutmeshort", Some("a holiday".to_owned()), desk.now).await.unwrap();
    let mut first = watch(store, &broken, "json", 1, desk.now);
    first.step(desk.now).await.unwrap();
    first.step(desk.now).await.unwrap();
    assert_eq!(told(&broken).await.len(), 2, "it is tried again");
    assert!(store.alarms().unwrap().is_empty(), "and counts as told only when it was taken");
    first.end().await.unwrap();

    let mended = receiver(200).await;
    let mut second = watch(store, &mended, "json", 2, desk.now);
    second.step(desk.now).await.unwrap();
    let told_first = told(&mended).await;
    assert_eq!(
        told_first,
        [json!({
            "alarm": "upstream_paused", "about": "cutmeshort", "phase": "begins", "bridge": "hooks.example.com",
            "what": "its queue was stopped by hand: a holiday", "next": "when it may go on: `salebridge upstream resume NAME`",
            "since": desk.now.to_string(), "at": desk.now.to_string(),
        })]
    );
    drop(second);
    let mut third = watch(store, &mended, "json", 3, desk.now + 3 * MINUTE);
    third.step(desk.now + 3 * MINUTE).await.unwrap();
    assert_eq!(told(&mended).await.len(), 1, "a new process knows what was told");
}

#[actix_web::test]
async fn of_two_that_serve_one_store_only_one_tells() {
    let receiver = receiver(200).await;
    let desk = Desk::new(configured(""));
    let mut one = watch(desk.store(), &receiver, "json", 1, desk.now);
    let mut other = watch(desk.store(), &receiver, "json", 2, desk.now);
    one.step(desk.now).await.unwrap();
    desk.store().pause_by_hand("cutmeshort", Some("a holiday".to_owned()), desk.now).await.unwrap();
    other.step(desk.now).await.unwrap();
    assert_eq!(told(&receiver).await.len(), 0, "the other one keeps watch");
    one.step(desk.now).await.unwrap();
    assert_eq!(told(&receiver).await.len(), 1);
    // Whoever goes hands over; whoever died is waited for.
    one.end().await.unwrap();
    other.step(desk.now).await.unwrap();
    desk.store().pause_by_hand("cutmeshort", None, desk.now).await.unwrap();
    one.step(desk.now).await.unwrap();
    assert_eq!(told(&receiver).await.len(), 1);
    other.step(desk.now).await.unwrap();
    assert_eq!(told(&receiver).await.len(), 2);
}

#[actix_web::test]
async fn the_watch_of_a_process_that_died_is_taken_at_once_where_no_other_can_live() {
    let mut desk = Desk::new(configured(""));
    let far = desk.now + Duration::from_secs(7200); // by a clock that was ahead
    assert!(desk.store().watch(1, far, far + MINUTE).await.unwrap());
    desk.restart();
    assert_eq!(desk.store().watch(2, desk.now, desk.now + MINUTE).await.unwrap(), !database::is_shared());
}

#[actix_web::test]
async fn what_is_observed_is_what_the_store_holds() {
    let desk = Desk::new(configured(""));
    let hour = hour_of(desk.now);
    let last_at = desk.now.as_millisecond() - 1000;
    let row = |what: &str, hour: i64, source: &str, label: &str, currency: &str, shard: i64, number: i64| {
        format!(
            "INSERT INTO tallies (what, hour, source, label, currency, shard, number, units, rest, last_at)
             VALUES ('{what}', {hour}, '{source}', '{label}', '{currency}', {shard}, {number}, 0, 0, {last_at});\n"
        )
    };
    let sql = [
        row("request", hour, "stripe", "", "", 0, 3),
        row("request", hour, "stripe", "", "", 1, 4),
        row("request", hour - 300, "stripe", "", "", 0, 5),
        row("request", hour - 400, "stripe", "", "", 0, 500),
        row("request", hour, "polar", "", "", 0, 9),
        row("sale", hour, "stripe", "attributed", "EUR", 0, 1),
        row("sale", hour, "stripe", "remembered", "USD", 0, 2),
        row("sale", hour, "stripe", "unattributed:no_click", "USD", 0, 3),
        row("sale", hour, "stripe", "unattributed:other", "USD", 0, 4),
        row("refused", hour - 1, "stripe", "signature_mismatch", "", 0, 6),
        row("accepted", hour, "stripe", "", "", 0, 99),
    ]
    .concat();
    if database::is_shared() {
        database::execute(&desk.store_url(), &sql);
    } else {
        rusqlite::Connection::open(&desk.path).unwrap().execute_batch(&sql).unwrap();
    }
    desk.receives("stripe", &stripe_checkout(1, &json!({})), &[]).await;
    desk.store().set_paused("cutmeshort", Some("a wrong token".to_owned()), desk.now).await.unwrap();
    let names = |name: &str| vec![name.to_owned()];
    let mut history = History::default();
    for _ in 0..2 {
        let (sources, upstreams) = (names("stripe"), names("cutmeshort"));
        let seen = gather(&**desk.store(), &mut history, &sources, &upstreams, desk.now, desk.now).unwrap();
        let source = &seen.sources[0];
        assert_eq!((source.requests.sum(0..hour), source.requests.sum(0..hour + 1)), (5, 12), "shards are one, old hours none");
        assert_eq!((source.with_click.sum(0..hour + 1), source.without_click.sum(0..hour + 1)), (3, 7));
        assert_eq!(source.refused["signature_mismatch"].sum(hour - 1..hour), 6);
        assert_eq!(source.last_seen.unwrap().as_millisecond(), last_at);
        assert_eq!(seen.unsettled_since, Some(desk.now));
        assert_eq!(seen.upstreams[0].paused.as_ref().unwrap().reason, "a wrong token");
    }
}

#[actix_web::test]
async fn the_oldest_of_each_queue_is_known() {
    let mut bridge = Bridge::with_silent_upstream("").await;
    bridge.upstream_answers(401, "{}").await;
    let start = bridge.now();
    assert_eq!(bridge.store.oldest().unwrap(), salebridge::store::OldestView::default());
    // One that waits for its customer, one that is complete.
    bridge.receives("stripe", &stripe_checkout(1, &json!({"clickId": "c", "customerExternalId": "u"}))).await;
    assert_eq!(bridge.store.oldest().unwrap().unsettled, Some(start));
    bridge.settles().await;
    let oldest = bridge.store.oldest().unwrap();
    assert_eq!((oldest.unsettled, oldest.due), (None, vec![("cutmeshort".to_owned(), start)]));
    bridge.leaves_work();
}

#[actix_web::test]
async fn check_says_that_alarms_are_on_and_a_test_arrives() {
    let slack = receiver(200).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let alarms = format!("[alarms]\nurl = \"{}/services/secret-part\"\nformat = \"slack\"\n", slack.uri());
    let write = |more: &str| std::fs::write(&path, configuration("127.0.0.1:0", "http://127.0.0.1:9", more)).unwrap();
    write(&alarms);
    let checked = String::from_utf8(run(Some(&path), &["check"]).stdout).unwrap();
    let host = slack.uri().replace("http://", "");
    assert!(checked.contains(&format!("alarms    {host}")) && !checked.contains("secret-part"), "{checked}");
    let sent = run(Some(&path), &["alarms", "test"]);
    assert!(sent.status.success() && !format!("{sent:?}").contains("secret-part"), "{sent:?}");
    assert!(told(&slack).await[0]["text"].as_str().unwrap().contains("this is a test"));
    let listed = run(Some(&path), &["alarms", "list", "--json"]);
    assert_eq!(serde_json::from_slice::<Value>(&listed.stdout).unwrap(), json!([]));

    let broken = receiver(403).await;
    write(&format!("[alarms]\nurl = \"{}/services/secret-part\"\n", broken.uri()));
    let refused = run(Some(&path), &["alarms", "test"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("answered 403") && !said.contains("secret-part"), "{said}");
    write("");
    assert_eq!(run(Some(&path), &["alarms", "test"]).status.code(), Some(2));
}

#[test]
fn an_url_never_stands_in_what_is_printed_of_a_configuration() {
    let config: Config = toml::from_str("url = \"https://hooks.example.com/secret-part\"").unwrap();
    assert_eq!((config.format, config.url.clone()), (Format::Json, Secret::new("https://hooks.example.com/secret-part")));
    assert!(!format!("{config:?}").contains("secret-part"));
}
