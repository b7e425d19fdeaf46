//! Care for what is stored: whether it agrees with itself, copies of it, the way into a database, and what is removed in time.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use salebridge::domain::Headers;
use salebridge::store::{Access, Appended, CheckView, Prune, RefusedRequest, RefusedTally, Sqlite, Store as _};
use salebridge::verify::TokenMark;
use serde_json::{Value, json};

use crate::harness::desk::{Desk, fixture};
use crate::harness::process::run;
use crate::harness::webhooks::{self, stripe_checkout, who};
use crate::harness::{Bridge, configuration, database};
use crate::reporting::{busy, busy_in_a_file, salebridge};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A sale of 10.00 EUR.
fn sale(id: &str, more: &Value) -> Value {
    let mut body = json!({"type": "minor", "eid": id, "pay": id, "amount": 1000, "cur": "EUR", "meta": who("c-1", "u-1")});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn names(view: &CheckView) -> Vec<&str> {
    view.findings.iter().map(|finding| &*finding.name).collect()
}

fn check_file(path: &Path) -> CheckView {
    Sqlite::open(path, Access::Visit, 16).unwrap().check().unwrap()
}

#[actix_web::test]
async fn a_ledger_of_every_kind_agrees_with_itself() {
    let mut desk = busy().await;
    // Two that turn out to be one before they are sent, one that waits, money that comes back, and what is not settled yet.
    desk.hears("money", &sale("m1", &json!({"pay": null, "inv": "m"}))).await;
    desk.hears("money", &sale("m2", &json!({"pay": "m", "refunded": 300}))).await;
    desk.hears("money", &json!({"type": "checkout", "eid": "tie-m", "inv": "m", "pay": "m"})).await;
    desk.hears("money", &json!({"type": "major", "eid": "w", "pay": "w", "amount": "10", "cur": "EUR", "meta": {}})).await;
    desk.hears("money", &json!({"type": "refund", "eid": "r3", "id": "r3", "pay": "b", "amount": 100, "cur": "EUR"})).await;
    desk.hears("money", &json!({"type": "refund_failed", "eid": "r4", "id": "r3", "pay": "b"})).await;
    desk.remaps().await;
    desk.receives("money", &sale("late", &json!({})), &[]).await;
    let view = desk.store().check().unwrap();
    assert!(view.findings.is_empty(), "{view:#?}");
    assert!(view.checks > 20, "{view:?}");
    let counts = (desk.store().requests(1000).unwrap().len(), desk.store().deliveries(1000).unwrap().len());
    assert_eq!((usize::try_from(view.requests), usize::try_from(view.deliveries)), (Ok(counts.0), Ok(counts.1)));
    let merged = desk.store().sales(1000).unwrap().iter().filter(|sale| sale.merged_into.is_some()).count();
    assert_eq!((usize::try_from(view.sales), merged), (Ok(desk.sales().len() + 1), 1));

    let (code, text) = salebridge(&desk, &["store", "check"]);
    assert_eq!(code, 0);
    assert!(text.contains(&format!("all {} checks hold", view.checks)) && text.contains("19 requests"), "{text}");
    desk.passes(DAY).await;
    desk.sends().await;
    assert!(desk.store().check().unwrap().findings.is_empty());
}

/// A refused request is kept.
async fn refuses(desk: &Desk) {
    let sources = Arc::clone(&desk.sources);
    let at = desk.now;
    let refused = RefusedRequest {
        request: webhooks::request(&sources["money"], Headers::default(), b"{}", at),
        body_bytes: 2,
        has_body: true,
        connection: None,
        token: TokenMark::Other([7; 32]),
        code: "signature_missing".to_owned(),
        cause: "it is missing".to_owned(),
        finding: "signature_missing".to_owned(),
        diagnosis: json!([]),
        private_headers: Vec::new(),
        private_queries: Vec::new(),
    };
    let (source, code) = ("money".to_owned(), refused.code.clone());
    let tally = RefusedTally { source, code, count: 3, first_at: at, last_at: at };
    desk.store().keep_refused(vec![refused], vec![tally], 20).await.unwrap();
}

/// What is done to a file by hand, and the rule that finds it.
const DAMAGES: [(&str, &str); 37] = [
    ("UPDATE inbox SET digest = (SELECT digest FROM inbox WHERE id = 1) WHERE id = 2", "request_once"),
    ("UPDATE events SET source = 'money', unique_id = 'one' WHERE request IN (1, 2)", "event_once"),
    ("INSERT INTO sale_keys (scope, kind, value, sale) SELECT scope, kind, value, 2 FROM sale_keys WHERE sale = 1", "key_once"),
    (
        "INSERT INTO identities (scope, customer, clicks, first_seen, last_seen) SELECT scope, customer, clicks, 1, 1 FROM identities",
        "identity_once",
    ),
    ("DELETE FROM name_log", "names"),
    ("UPDATE sale_keys SET value = value || 'x' WHERE sale = 1", "names"),
    ("DELETE FROM events WHERE request = 5", "request_settled"),
    ("DELETE FROM inbox WHERE id = 1", "event_request"),
    ("UPDATE inbox SET dictionary = 98 WHERE id = 1", "request_dictionary"),
    ("UPDATE adjustments SET request = 98 WHERE sale IS NOT NULL", "adjustment_request"),
    ("INSERT INTO fetches VALUES (98, 0, 'money', 0, 0, 0, 0)", "fetch_request"),
    ("INSERT INTO answers VALUES (98, 0, 0, '/', 0, '{}', 0)", "answer_request"),
    ("UPDATE events SET sale = 98 WHERE request = 1", "event_sale"),
    ("UPDATE adjustments SET sale = 98 WHERE sale IS NOT NULL", "adjustment_sale"),
    ("UPDATE sale_keys SET sale = 98 WHERE sale = 1", "key_sale"),
    ("INSERT INTO sale_groups (scope, kind, value, sale) VALUES ('live:money', 'order', 'o', 98)", "group_sale"),
    ("UPDATE double_counts SET second = 98", "double_count_sales"),
    ("UPDATE sales SET state = 'waiting', waits_until = NULL WHERE id = 2", "sale_state"),
    ("UPDATE sales SET state = 'merged', merged_into = 2 WHERE id = 2", "sale_merged"),
    ("UPDATE sales SET taken_back = -1 WHERE id = 1", "sale_amount"),
    ("UPDATE sales SET adjustments = 2 WHERE id = 1", "sale_adjustments"),
    ("UPDATE sales SET notes = x'28b52ffd' WHERE id = 2", "sale_notes"),
    ("UPDATE sales SET notes = (SELECT notes FROM identities LIMIT 1) WHERE id = 2", "sale_notes"),
    ("UPDATE identities SET notes = x'28b52ffd'", "identity_notes"),
    ("UPDATE attempts SET sent = substr(sent, 1, 9)", "attempt_request"),
    ("UPDATE sales SET click_from = NULL", "sale_click_from"),
    ("UPDATE deliveries SET sale = 98 WHERE id = 1", "delivery_sale"),
    ("UPDATE deliveries SET state = 'sending' WHERE id = 1", "delivery_lease"),
    ("UPDATE sales SET sent_as = NULL; UPDATE deliveries SET lease = 0", "delivery_sent"),
    ("UPDATE attempts SET outcome = 'retry' WHERE delivery = 1", "delivery_accepted"),
    ("UPDATE deliveries SET attempts = 7 WHERE id = 1", "delivery_attempts"),
    ("UPDATE deliveries SET number = 1 WHERE id = 1", "step_amount"),
    ("UPDATE deliveries SET number = 1, amount_minor = 1, taken_back = 1 WHERE id = 1", "step_sale"),
    ("DELETE FROM deliveries WHERE id = 1", "attempt_delivery"),
    ("UPDATE progress SET settled_through = 98", "mark"),
    ("UPDATE refused SET body = x'7b'", "refused_body"),
    ("DELETE FROM refused_counts", "refused_counted"),
];

#[actix_web::test]
async fn what_was_damaged_by_hand_is_found() {
    let mut desk = busy_in_a_file().await;
    refuses(&desk).await;
    desk.closes();
    let damaged = |number: usize, sql: &str| {
        let path = desk.path.with_file_name(format!("damaged-{number}.db"));
        std::fs::copy(&desk.path, &path).unwrap();
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    };
    assert_eq!(names(&check_file(&damaged(0, ""))), Vec::<&str>::new());
    for (number, (sql, name)) in DAMAGES.iter().enumerate() {
        let view = check_file(&damaged(number + 1, sql));
        assert!(names(&view).contains(name), "{sql} is not found by {name}: {view:#?}");
    }
    let schema = "PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = replace(sql, 'query       TEXT', 'query TEXT NOT NULL') WHERE name = 'inbox';";
    let view = check_file(&damaged(98, schema));
    assert_eq!(names(&view), ["integrity"]);
    assert!(view.findings[0].wrong.contains("inbox.query"), "{view:?}");
}

#[actix_web::test]
async fn a_check_that_fails_says_what_and_how_often() {
    let mut desk = busy_in_a_file().await;
    desk.closes();
    let damage = "UPDATE sales SET adjustments = 5 WHERE id IN (2, 3)";
    rusqlite::Connection::open(&desk.path).unwrap().execute_batch(damage).unwrap();
    let (code, text) = salebridge(&desk, &["store", "check"]);
    assert_eq!(code, 1);
    let line = text.lines().find(|line| line.contains("sale_adjustments")).unwrap();
    assert_eq!(line.split_whitespace().take(3).collect::<Vec<_>>(), ["sale_adjustments", "2", "2"], "{text}");
    let (code, text) = salebridge(&desk, &["store", "check", "--json"]);
    let view: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &view["findings"][0]["count"], &view["findings"][0]["example"]), (1, &json!(2), &json!(2)));
}

#[actix_web::test]
async fn a_backup_is_made_of_a_store_that_is_written_to() {
    let desk = busy_in_a_file().await;
    assert_eq!(salebridge(&desk, &["store", "check"]).0, 0); // makes the configuration
    let (config, target) = (desk.path.with_file_name("config.toml"), desk.path.with_file_name("backup.db"));
    let (file, copy) = (config.clone(), target.clone());
    let backup = std::thread::spawn(move || run(Some(&file), &["store", "backup", copy.to_str().unwrap(), "--json"]));
    let mut number = 0;
    while !backup.is_finished() {
        number += 1;
        desk.hears("money", &sale(&format!("n{number}"), &json!({}))).await;
    }
    let output = backup.join().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told["requests"].as_u64().unwrap() >= 12 && told["sales"].as_u64().unwrap() >= 7, "{told}");
    let found = std::fs::metadata(&target).unwrap();
    assert_eq!((found.permissions().mode() & 0o777, Some(found.len())), (0o600, told["bytes"].as_u64()));

    let view = check_file(&target);
    assert!(view.findings.is_empty(), "{view:#?}");
    assert_eq!((Some(view.requests), Some(view.sales)), (told["requests"].as_u64(), told["sales"].as_u64()));
    let again = run(Some(&config), &["store", "backup", target.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"), "{again:?}");
    assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_backup_of_what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (config, target) = (folder.path().join("config.toml"), folder.path().join("backup.db"));
    let backup = |text: &str| {
        std::fs::write(&config, text).unwrap();
        let output = run(Some(&config), &["store", "backup", target.to_str().unwrap()]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, why) = backup("[store]\nurl = \"postgres://bridge:hunter2@db.example/sales\"\n");
    assert!(code == Some(2) && why.contains("pg_dump") && !why.contains("hunter2"), "{why}");
    let (code, why) = backup(&configuration("127.0.0.1:0", "http://127.0.0.1:9", ""));
    assert!(code == Some(2) && why.contains("no such store"), "{why}");
    std::fs::write(folder.path().join("test.db"), "this is no database, but it is long enough to be taken for one".repeat(99))
        .unwrap();
    let (code, why) = backup(&configuration("127.0.0.1:0", "http://127.0.0.1:9", ""));
    assert_eq!(code, Some(1), "{why}");
    assert!(!target.exists(), "half a copy is none");
    let to_a_file = run(Some(&config), &["store", "copy", "--to", "sqlite:other.db"]);
    assert_eq!(to_a_file.status.code(), Some(2));
}

/// scripts/with-postgres cargo nextest run --run-ignored all care
#[actix_web::test]
#[ignore = "needs scripts/with-postgres"]
async fn a_file_moves_into_a_database_as_it_is() {
    let url = database::url().expect("scripts/with-postgres names a server");
    let mut desk = busy_in_a_file().await;
    desk.receives("money", &sale("late", &json!({})), &[]).await;
    refuses(&desk).await;
    let refused = desk.store().refused_request(1).unwrap().unwrap().1;
    let before = serde_json::to_value(desk.sales()).unwrap();
    assert_eq!(salebridge(&desk, &["store", "copy", "--to", &url]).0, 2, "a bridge serves the file");
    desk.closes();
    let (code, text) = salebridge(&desk, &["store", "copy", "--to", &url]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("yet to be settled: 1") && text.contains("now set store.url"), "{text}");
    assert_eq!(salebridge(&desk, &["store", "copy", "--to", &url]).0, 2, "the database is not empty any more");

    desk.moves_to(&url);
    assert_eq!(serde_json::to_value(desk.sales()).unwrap(), before);
    let view = desk.store().check().unwrap();
    assert!(view.findings.is_empty(), "{view:#?}");
    assert_eq!((view.requests, view.sales), (13, 7));
    assert_eq!(desk.store().refused_request(1).unwrap().unwrap().1, refused);
    refuses(&desk).await;
    assert_eq!(desk.store().refused_counts().unwrap()[0].count, 6);
    assert!(desk.store().refused_request(2).unwrap().is_some(), "numbers go on");
    // It goes on where the file ended: the request that was not settled is, numbers rise, and dedupe holds.
    desk.settles().await;
    assert_eq!(desk.sales().last().unwrap().id, 8);
    assert_eq!(desk.receives("money", &sale("next", &json!({})), &[]).await, Appended::New(14));
    assert_eq!(desk.receives("money", &sale("late", &json!({})), &[]).await, Appended::Duplicate(13));
    desk.settles().await;
    assert_eq!(desk.sends().await, [8, 9]);
    assert!(desk.store().check().unwrap().findings.is_empty());
}

/// Removes ignored requests that are older than so many days, two at a time. Answers with how many.
async fn prunes(desk: &Desk, days: u32) -> usize {
    let before = desk.now - DAY * days;
    let (mut count, mut after) = (0, 0);
    loop {
        let pruned = desk.store().prune(Prune::Ignored { before, after }, 2).await.unwrap();
        count += pruned.count;
        match pruned.next {
            Some(next) => after = next,
            None => return count,
        }
    }
}

fn ids(desk: &Desk) -> Vec<i64> {
    desk.store().requests(1000).unwrap().iter().rev().map(|request| request.id).collect()
}

#[actix_web::test]
async fn what_was_ignored_goes_in_time_and_nothing_is_counted_because_of_it() {
    let mut desk = Desk::new(fixture("money", "[[upstreams]]\nname = \"u\"\ntemplate = \"cutmeshort\"\ntoken = \"x\"\n"));
    let customer = json!({"type": "customer", "eid": "customer", "cus": "k-1", "meta": {"customerExternalId": "u-9"}});
    let repeated = sale("a", &json!({"more": "bytes"}));
    let events = [
        sale("a", &json!({})),                                                                       // 1
        customer.clone(),                                                                            // 2: ignored
        repeated.clone(),                                                                            // 3: a duplicate
        json!({"type": "refund", "eid": "r", "id": "r", "pay": "a", "amount": 100, "cur": "EUR"}),   // 4
        json!({"type": "checkout", "eid": "c", "pay": "a"}), // 5: ignored, but of the sale
        sale("t", &json!({"test": "true"})),                 // 6: ignored
        sale("e", &json!({"cur": "EURO"})),                  // 7: parked
        json!({"type": "refund", "eid": "r2", "id": "r2", "pay": "b", "amount": 100, "cur": "EUR"}), // 8: waits for its sale
        json!({"type": "customer", "eid": "customer-2", "cus": "k-2"}), // 9: ignored, the newest
    ];
    for event in &events {
        desk.hears("money", event).await;
    }
    assert_eq!(prunes(&desk, 1).await, 0, "nothing is old enough");
    desk.now += DAY * 31;
    assert_eq!(prunes(&desk, 32).await, 0, "nothing is old enough");
    assert_eq!(prunes(&desk, 30).await, 3);
    assert_eq!(ids(&desk), [1, 4, 5, 7, 8, 9], "numbers go on from the newest, so it stays");
    assert_eq!(prunes(&desk, 30).await, 0);
    let view = desk.store().check().unwrap();
    assert!(view.findings.is_empty(), "{view:#?}");

    // All of it comes again.
    assert_eq!(desk.receives("money", &events[0], &[]).await, Appended::Duplicate(1));
    for (event, expected) in [(&customer, "ignored"), (&repeated, "duplicate"), (&events[5], "ignored")] {
        let appended = desk.receives("money", event, &[]).await;
        let Appended::New(id) = appended else { panic!("{event}: {appended:?}") };
        assert!(id > 9, "numbers are never used again: {id}");
        desk.settles().await;
        assert_eq!(desk.store().request(id).unwrap().unwrap().0.outcome, expected, "{event}");
    }
    assert_eq!((desk.sale().id, desk.sale().balance.left.to_string()), (1, "9.00".to_owned()));
    // And a sale that comes now is counted, with the refund that waited for it.
    desk.hears("money", &sale("b", &json!({}))).await;
    assert_eq!(desk.sales().iter().map(|sale| sale.balance.left.to_string()).collect::<Vec<_>>(), ["9.00", "9.00"]);
}

#[actix_web::test]
async fn what_was_said_in_attempts_goes_in_time_and_the_attempts_stay() {
    let mut bridge = Bridge::new().await;
    bridge.leaves_work();
    bridge.receives("stripe", &stripe_checkout(1, &who("c-1", "user_1"))).await;
    bridge.forwards().await;
    bridge.upstream_answers(503, "not now").await;
    bridge.receives("stripe", &stripe_checkout(2, &who("c-2", "user_2"))).await;
    bridge.forwards().await;
    let texts = |id: i64| {
        let attempt = bridge.store.delivery(id).unwrap().unwrap().history.remove(0);
        (attempt.status, attempt.request.is_empty(), attempt.answer.is_empty())
    };
    assert_eq!([texts(1), texts(2)], [(Some(200), false, false), (Some(503), false, false)]);
    let prune = |before| bridge.store.prune(Prune::Texts { before, after: 0 }, 200);
    assert_eq!(prune(bridge.now() - DAY).await.unwrap().count, 0);
    assert_eq!(prune(bridge.now() + DAY).await.unwrap().count, 1);
    assert_eq!(prune(bridge.now() + DAY).await.unwrap().count, 0);
    assert_eq!(
        [texts(1), texts(2)],
        [(Some(200), true, true), (Some(503), false, false)],
        "what is still to be sent keeps its own"
    );
    assert!(bridge.store.check().unwrap().findings.is_empty());
}
