//! Requests take little room, and come out of it as they came.

use salebridge::domain::Secret;
use salebridge::store::{Access, Appended, Store};
use serde_json::{Value, json};

use crate::harness::database;
use crate::harness::desk::{Desk, configured};
use crate::harness::webhooks::{stripe, stripe_checkout, who};

/// More than a source's first dictionary takes.
const MANY: u32 = 300;

fn checkout(number: u32) -> Value {
    let mut checkout = stripe_checkout(number, &who(&format!("click-{number}"), &format!("user_{number}")));
    checkout["data"]["object"]["custom_text"] = json!({"after_submit": null, "shipping_address": null, "submit": null});
    checkout
}

/// As many webhooks, with their numbers.
async fn receives(desk: &Desk, numbers: std::ops::Range<u32>) -> Vec<(i64, String)> {
    let mut received = Vec::new();
    for number in numbers {
        let body = checkout(number);
        let Appended::New(id) = desk.receives("stripe", &body, &[("authorization", "Basic c2VjcmV0")]).await else {
            panic!("{number} is new")
        };
        received.push((id, body.to_string()));
    }
    desk.settles().await;
    received
}

fn comes_out(store: &dyn Store, received: &[(i64, String)]) {
    for (id, body) in received {
        let (view, request) = store.request(*id).unwrap().unwrap();
        assert_eq!((String::from_utf8_lossy(&request.body).as_ref(), view.body_bytes), (body.as_str(), body.len()));
        assert!(request.headers.one("stripe-signature").is_some_and(|value| value.contains("v1=")));
        assert_eq!(request.headers.one("authorization"), Some("[redacted]"));
    }
}

/// How many bytes a file keeps of a request, and by which dictionary.
fn kept(desk: &Desk, id: i64) -> (usize, i64) {
    let sql = "SELECT length(body) + length(headers), dictionary FROM inbox WHERE id = ?1";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    rusqlite::Connection::open(&desk.path).unwrap().query_row(sql, [id], row).unwrap()
}

#[actix_web::test]
async fn what_requests_have_in_common_is_kept_once() {
    let mut desk = Desk::new(configured(""));
    let mut received = receives(&desk, 0..MANY).await;
    assert_eq!(desk.store().learn(desk.now).await.unwrap(), 1);
    assert_eq!(desk.store().learn(desk.now).await.unwrap(), 0, "enough is known until there are many more");
    received.extend(receives(&desk, MANY..MANY + 3).await);
    comes_out(&**desk.store(), &received);
    if !database::is_shared() {
        let (first, last) = (&received[0], received.last().unwrap());
        let (before, after) = (kept(&desk, first.0), kept(&desk, last.0));
        assert_eq!((before.1, after.1), (0, 1));
        assert!(before.0 < first.1.len() && after.0 * 4 < last.1.len(), "{before:?} {after:?} of {}", last.1.len());
    }
    assert!(desk.store().check().unwrap().findings.is_empty());

    desk.restart();
    comes_out(&**desk.store(), &received);
    assert_eq!(desk.store().learn(desk.now).await.unwrap(), 0, "what was learned is known after a start");
    received.extend(receives(&desk, MANY + 3..MANY + 5).await);
    let visitor = desk.place.open(Access::Visit, 16).unwrap();
    comes_out(&*visitor, &received);
    assert_eq!(desk.sales().len(), received.len());
    assert!(desk.remaps().await.changes.is_empty(), "all of it can be read again");
}

#[actix_web::test]
async fn of_few_requests_nothing_is_learned_nor_of_such_as_retention_removes() {
    let desk = Desk::new(configured(""));
    let received = receives(&desk, 0..100).await;
    assert_eq!(desk.store().learn(desk.now).await.unwrap(), 0);
    for number in 0..MANY {
        desk.receives("stripe", &stripe(&format!("evt_{number}"), "customer.updated", &json!({"id": "cus_1"})), &[]).await;
    }
    desk.settles().await;
    assert_eq!(desk.store().learn(desk.now).await.unwrap(), 1);
    comes_out(&**desk.store(), &received);
    if !database::is_shared() {
        let pieces = dictionary(&desk);
        assert!(pieces.contains("checkout.session.completed") && !pieces.contains("customer.updated"), "{pieces}");
    }
}

#[actix_web::test]
async fn it_is_learned_from_what_is_settled_however_many_wait() {
    let desk = Desk::in_a_file(configured(""));
    receives(&desk, 0..MANY).await;
    // As if many more had come that are not settled yet.
    let late = "CREATE TEMP TABLE late AS SELECT * FROM inbox ORDER BY id DESC LIMIT 1; UPDATE late SET id = id + 1000000;
        INSERT INTO inbox SELECT * FROM late;";
    rusqlite::Connection::open(&desk.path).unwrap().execute_batch(late).unwrap();
    assert_eq!(desk.store().learn(desk.now).await.unwrap(), 1);
    assert!(dictionary(&desk).contains("checkout.session.completed"));
}

/// What a file's only dictionary holds.
fn dictionary(desk: &Desk) -> String {
    let file = rusqlite::Connection::open(&desk.path).unwrap();
    let bytes: Vec<u8> = file.query_row("SELECT bytes FROM dictionaries", [], |row| row.get(0)).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// scripts/with-postgres cargo nextest run --run-ignored all packed
#[actix_web::test]
#[ignore = "needs scripts/with-postgres"]
async fn dictionaries_move_into_a_database_with_what_is_packed_by_them() {
    let url = database::url().expect("scripts/with-postgres names a server");
    let mut desk = Desk::in_a_file(configured(""));
    let mut received = receives(&desk, 0..MANY).await;
    assert_eq!(desk.store().learn(desk.now).await.unwrap(), 1);
    received.extend(receives(&desk, MANY..MANY + 3).await);
    desk.closes();
    salebridge::store::copy(&desk.path, &Secret::new(&url), |_, _| {}).unwrap();
    desk.moves_to(&url);
    comes_out(&**desk.store(), &received);
    received.extend(receives(&desk, MANY + 3..MANY + 5).await);
    comes_out(&**desk.store(), &received);
    assert_eq!(desk.store().learn(desk.now).await.unwrap(), 0);
}
