//! Money that goes back, one line a row, in every order of arrival: what is left of the sale is the same.

use std::time::Duration;

use salebridge::domain::DeliveryState;
use salebridge::store::Appended;
use serde_json::{Value, json};

use crate::harness::desk::{Desk, fixture};

/// A sale of 100.00 USD at the first second, or what else is said of it: (second, type, id, amount in cents).
type Said = (i64, &'static str, &'static str, Option<i64>);

const SALE: Said = (0, "minor", "", Some(10_000));

fn event(number: usize, (second, kind, id, amount): Said) -> Value {
    let at = 1_795_324_260 + second;
    let mut body = json!({"type": kind, "eid": format!("{number}"), "at": at, "pay": "p_1", "id": id, "cur": "USD"});
    if let Some(amount) = amount {
        body["amount"] = amount.into();
    }
    if kind == "minor" {
        body["meta"] = json!({"customerExternalId": "user_1"});
    }
    body
}

/// Every order of a few things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let rest = orders(count - 1);
    rest.iter()
        .flat_map(|order| {
            (0..count).map(move |place| {
                let mut order = order.clone();
                order.insert(place, count - 1);
                order
            })
        })
        .collect()
}

/// What is left of the only sale, with what was refunded, disputed and cancelled.
async fn left(mut desk: Desk, events: &[Value], order: &[usize], is_sent: bool) -> String {
    desk.now += Duration::from_secs(3600);
    for &place in order {
        desk.hears("money", &events[place]).await;
        if is_sent {
            desk.sends().await;
        }
        // The provider repeats itself, byte by byte, and with another id in a header that nobody signed.
        assert!(matches!(desk.receives("money", &events[place], &[("x-delivery", "again")]).await, Appended::Duplicate(_)));
    }
    desk.settles().await;
    let balance = desk.sale().balance;
    format!("{} {} {} {}", balance.left, balance.refunded, balance.disputed, balance.cancelled)
}

#[actix_web::test]
async fn what_is_left_is_the_same_in_every_order() {
    let all = None;
    // what was said, and what is left, refunded, disputed and cancelled
    let rows: [(&str, &[Said], &str); 31] = [
        ("nothing", &[SALE], "100.00 0.00 0.00 0.00"),
        ("a refund of one hundredth", &[SALE, (1, "refund", "r1", Some(100))], "99.00 1.00 0.00 0.00"),
        (
            "two partial refunds",
            &[SALE, (1, "refund", "r1", Some(100)), (2, "refund", "r2", Some(2500))],
            "74.00 26.00 0.00 0.00",
        ),
        (
            "one refund, told twice",
            &[SALE, (1, "refund", "r1", Some(100)), (2, "refund", "r1", Some(100))],
            "99.00 1.00 0.00 0.00",
        ),
        (
            "one refund that was corrected",
            &[SALE, (1, "refund", "r1", Some(100)), (2, "refund", "r1", Some(300))],
            "97.00 3.00 0.00 0.00",
        ),
        ("a refund written with a minus", &[SALE, (1, "refund", "r1", Some(-100))], "99.00 1.00 0.00 0.00"),
        ("a whole refund without an amount", &[SALE, (1, "refund_whole", "r1", all)], "0.00 100.00 0.00 0.00"),
        (
            "cumulative",
            &[SALE, (1, "refunded_so_far", "", Some(100)), (2, "refunded_so_far", "", Some(2600))],
            "74.00 26.00 0.00 0.00",
        ),
        (
            "cumulative, taken back",
            &[SALE, (1, "refunded_so_far", "", Some(100)), (2, "refunded_so_far", "", Some(0))],
            "100.00 0.00 0.00 0.00",
        ),
        (
            "one by one and together",
            &[
                SALE,
                (1, "refund", "r1", Some(100)),
                (1, "refunded_so_far", "", Some(100)),
                (2, "refund", "r2", Some(400)),
                (2, "refunded_so_far", "", Some(500)),
            ],
            "95.00 5.00 0.00 0.00",
        ),
        (
            "one is only told together",
            &[SALE, (1, "refund", "r1", Some(100)), (2, "refunded_so_far", "", Some(500))],
            "95.00 5.00 0.00 0.00",
        ),
        (
            "together a second before one by one",
            &[SALE, (1, "refunded_so_far", "", Some(100)), (2, "refund", "r1", Some(100))],
            "99.00 1.00 0.00 0.00",
        ),
        (
            "a refund that failed",
            &[SALE, (1, "refund", "r1", Some(100)), (2, "refund_failed", "r1", all)],
            "100.00 0.00 0.00 0.00",
        ),
        (
            "one of two failed",
            &[SALE, (1, "refund", "r1", Some(100)), (1, "refund", "r2", Some(200)), (2, "refund_failed", "r1", all)],
            "98.00 2.00 0.00 0.00",
        ),
        (
            "failed after it was told together",
            &[SALE, (1, "refund", "r1", Some(100)), (2, "refunded_so_far", "", Some(100)), (3, "refund_failed", "r1", all)],
            "100.00 0.00 0.00 0.00",
        ),
        ("a dispute", &[SALE, (1, "dispute_opened", "d1", Some(10_000))], "0.00 0.00 100.00 0.00"),
        (
            "a dispute that was won",
            &[SALE, (1, "dispute_opened", "d1", Some(10_000)), (9, "dispute_won", "d1", all)],
            "100.00 0.00 0.00 0.00",
        ),
        (
            "a dispute that was lost",
            &[SALE, (1, "dispute_opened", "d1", Some(4_000)), (9, "dispute_lost", "d1", all)],
            "60.00 0.00 40.00 0.00",
        ),
        (
            "won in part",
            &[SALE, (1, "dispute_opened", "d1", Some(4_000)), (9, "dispute_won", "d1", Some(1_500))],
            "75.00 0.00 25.00 0.00",
        ),
        (
            "won, and then lost after all",
            &[SALE, (1, "dispute_opened", "d1", Some(4_000)), (8, "dispute_won", "d1", all), (9, "dispute_lost", "d1", all)],
            "60.00 0.00 40.00 0.00",
        ),
        (
            "refund, then dispute",
            &[SALE, (1, "refund", "r1", Some(3_000)), (2, "dispute_opened", "d1", Some(7_000))],
            "0.00 30.00 70.00 0.00",
        ),
        (
            "refund, then dispute, then won",
            &[SALE, (1, "refund", "r1", Some(3_000)), (2, "dispute_opened", "d1", Some(7_000)), (9, "dispute_won", "d1", all)],
            "70.00 30.00 0.00 0.00",
        ),
        (
            "refunded and disputed whole",
            &[SALE, (1, "refund", "r1", Some(10_000)), (2, "dispute_opened", "d1", Some(10_000))],
            "-100.00 100.00 100.00 0.00",
        ),
        (
            "refunded in part, then disputed without an amount",
            &[SALE, (1, "refund", "r1", Some(3_000)), (2, "dispute_lost", "d1", all)],
            "0.00 30.00 70.00 0.00",
        ),
        (
            "refunded in part, then all of it",
            &[SALE, (1, "refund", "r1", Some(3_000)), (2, "refund_whole", "r2", all)],
            "0.00 100.00 0.00 0.00",
        ),
        ("a dispute of which only the end is told", &[SALE, (2, "dispute_won", "d1", Some(3_000))], "100.00 0.00 0.00 0.00"),
        ("a void", &[SALE, (1, "void", "", all)], "0.00 0.00 0.00 100.00"),
        ("a void of what is left", &[SALE, (1, "refund", "r1", Some(3_000)), (2, "void", "", all)], "0.00 30.00 0.00 70.00"),
        ("failed after all", &[SALE, (86_400, "failed_late", "", all)], "0.00 0.00 0.00 100.00"),
        ("failed, and then paid", &[(5, "minor", "", Some(10_000)), (1, "failed_late", "", all)], "100.00 0.00 0.00 0.00"),
        (
            "paid, failed, and paid again",
            &[SALE, (1, "failed_late", "", all), (2, "minor", "", Some(10_000))],
            "100.00 0.00 0.00 0.00",
        ),
    ];
    let configured = fixture("money", "[[upstreams]]\nname = \"u\"\ntemplate = \"cutmeshort\"\ntoken = \"x\"\n");
    for (what, said, wanted) in rows {
        let events: Vec<Value> = said.iter().enumerate().map(|(number, said)| event(number, *said)).collect();
        for order in orders(events.len()) {
            for is_sent in [false, true] {
                let desk = Desk::new(configured.clone());
                assert_eq!(left(desk, &events, &order, is_sent).await, wanted, "{what}, in the order {order:?}, sent: {is_sent}");
            }
        }
    }
}

#[actix_web::test]
async fn refunds_are_in_proportion_where_the_amount_is_net_or_the_currency_is_the_other() {
    // setting, the refund, what is left
    for (setting, refund, wanted) in [
        ("amount = \"net_of_tax\"", json!({"amount": 5950, "cur": "EUR"}), "50.00"),
        ("amount = \"net_of_tax\"", json!({"amount": 11900, "cur": "EUR"}), "0.00"),
        ("amount = \"net_of_tax\"", json!({"amount": 1, "cur": "EUR"}), "99.99"),
        ("", json!({"amount": 6000, "cur": "USD"}), "59.50"),
        ("", json!({"amount": 12000, "cur": "USD"}), "0.00"),
        ("money = \"presentment\"", json!({"amount": 5950, "cur": "EUR"}), "60.00"),
        ("", json!({"amount": 6000, "cur": "JPY"}), "119.00"), // a currency of which the sale knows nothing is not guessed at
    ] {
        let desk = Desk::of_money(setting);
        let who = json!({"customerExternalId": "u"});
        desk.hears(
            "money",
            &json!({"type": "minor", "pay": "p", "amount": 11900, "cur": "EUR", "tax": 1900, "meta": who,
            "shown": {"amount": 12000, "cur": "USD"}}),
        )
        .await;
        let mut back = json!({"type": "refund", "id": "r", "pay": "p"});
        back.as_object_mut().unwrap().extend(refund.as_object().unwrap().clone());
        desk.hears("money", &back).await;
        let balance = desk.sale().balance;
        assert_eq!(balance.left.to_string(), wanted, "{setting} {refund}");
        assert_eq!(balance.not_counted, usize::from(refund["cur"] == "JPY"), "{setting} {refund}");
    }
}

#[actix_web::test]
async fn a_refund_finds_its_sale_by_a_tie_by_a_group_and_before_it_is_there() {
    let who = json!({"customerExternalId": "u"});
    let sale = |more: Value| {
        let mut body = json!({"type": "minor", "amount": 1000, "cur": "EUR", "meta": who});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let refund = |more: Value| {
        let mut body = json!({"type": "refund", "id": "r", "amount": 300, "cur": "EUR"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    // The invoice is sold, the refund names the payment, and a third event ties the two.
    let events = [sale(json!({"inv": "i"})), refund(json!({"pay": "p"})), json!({"type": "checkout", "inv": "i", "pay": "p"})];
    for order in orders(3) {
        let desk = Desk::of_money("");
        for place in order {
            desk.hears("money", &events[place]).await;
        }
        assert_eq!(desk.sale().balance.left.to_string(), "7.00");
        let request = desk.store().requests(10).unwrap().into_iter().find(|request| request.outcome == "adjustment").unwrap();
        assert_eq!(request.events[0].sale, Some(1), "the event leads to its sale");
    }
    // By its group, as long as only one sale is in it.
    let events = [sale(json!({"inv": "i", "order": "o"})), refund(json!({"order": "o"}))];
    for order in orders(2) {
        let desk = Desk::of_money("");
        for place in order {
            desk.hears("money", &events[place]).await;
        }
        assert_eq!(desk.sale().balance.left.to_string(), "7.00");
    }
    let desk = Desk::of_money("");
    desk.hears("money", &sale(json!({"inv": "i1", "order": "o"}))).await;
    desk.hears("money", &sale(json!({"inv": "i2", "order": "o"}))).await;
    desk.hears("money", &refund(json!({"order": "o"}))).await;
    assert_eq!(desk.store().requests(1).unwrap()[0].events[0].code.as_deref(), Some("sale_ambiguous"));
    desk.hears("money", &sale(json!({"inv": "i3", "order": "o"}))).await;
    let left: Vec<String> = desk.sales().iter().map(|sale| sale.balance.left.to_string()).collect();
    assert_eq!(left, ["10.00", "10.00", "10.00"], "nobody's money is guessed away");
}

#[actix_web::test]
async fn what_is_taken_back_whole_before_it_was_sent_is_not_sent() {
    let mut desk = Desk::of_money("[[upstreams]]\nname = \"u\"\ntemplate = \"cutmeshort\"\ntoken = \"x\"\n");
    desk.now += Duration::from_secs(3600);
    desk.hears("money", &event(0, (1, "dispute_opened", "d1", Some(10_000)))).await;
    desk.hears("money", &event(1, SALE)).await;
    let sale = desk.sale();
    assert_eq!((sale.state.as_str(), sale.code.as_deref()), ("parked", Some("nothing_left")));
    assert!(desk.sends().await.is_empty());
    desk.hears("money", &event(2, (9, "dispute_won", "d1", None))).await;
    assert_eq!(desk.sends().await, [1]);
    // What was sent stays sent, whatever is left of it.
    desk.hears("money", &event(3, (10, "refund_whole", "r1", None))).await;
    let sale = desk.sale();
    assert_eq!((sale.state.as_str(), sale.balance.left.to_string().as_str()), ("ready", "0.00"));
}

#[actix_web::test]
async fn what_is_taken_back_whole_while_it_waits_in_a_queue_is_not_sent_unless_it_comes_back() {
    let mut desk = Desk::of_money("[[upstreams]]\nname = \"u\"\ntemplate = \"cutmeshort\"\ntoken = \"x\"\n");
    desk.now += Duration::from_secs(3600);
    desk.hears("money", &event(0, SALE)).await;
    assert_eq!(desk.sale().deliveries[0].state, DeliveryState::Due);
    desk.hears("money", &event(1, (1, "dispute_opened", "d1", Some(10_000)))).await;
    let sale = desk.sale();
    assert_eq!((sale.state.as_str(), sale.code.as_deref()), ("parked", Some("nothing_left")));
    assert_eq!(sale.deliveries[0].state, DeliveryState::Withdrawn);
    assert!(desk.sends().await.is_empty());
    desk.hears("money", &event(2, (9, "dispute_won", "d1", None))).await;
    assert_eq!(desk.sends().await, [1]);
}

#[actix_web::test]
async fn an_order_that_is_first_seen_when_partly_refunded_is_a_sale_and_a_refund() {
    let desk = Desk::of_money("");
    let order = |refunded: i64| {
        json!({"type": "minor", "pay": "p", "amount": 1000, "cur": "EUR", "refunded": refunded,
        "at": 1_795_324_260 + refunded, "meta": {"customerExternalId": "u"}})
    };
    desk.hears("money", &order(300)).await;
    assert_eq!(desk.sale().balance.left.to_string(), "7.00");
    desk.hears("money", &order(0)).await;
    desk.hears("money", &order(400)).await;
    let sale = desk.sale();
    assert_eq!((sale.balance.left.to_string().as_str(), sale.adjustments.len()), ("6.00", 2));
}

#[actix_web::test]
async fn a_group_leads_no_refund_to_a_sale_that_it_is_not_about() {
    let who = json!({"customerExternalId": "u"});
    let sale = |id: &str, at: i64| json!({"type": "minor", "eid": id, "pay": id, "order": "o", "amount": 1000, "cur": "EUR", "meta": who, "at": 1_795_324_260 + at});
    let refund = |pay: &str, at: i64| json!({"type": "refund", "eid": format!("r {pay}"), "id": "r", "pay": pay, "order": "o", "amount": 300, "cur": "EUR", "at": 1_795_324_260 + at});
    let left = |desk: &Desk| -> Vec<String> { desk.sales().iter().map(|sale| sale.balance.left.to_string()).collect() };
    // The refund of a payment that was never counted is nobody else's.
    let desk = Desk::of_money("");
    desk.hears("money", &refund("older", -50_000)).await;
    desk.hears("money", &sale("p1", 0)).await;
    assert_eq!(left(&desk), ["10.00"]);
    desk.hears("money", &refund("older", 500)).await;
    assert_eq!(left(&desk), ["10.00"]);
    // It waits for its own.
    for events in [
        [refund("p2", 9), sale("p1", 0), sale("p2", 5)],
        [sale("p1", 0), refund("p2", 9), sale("p2", 5)],
        [sale("p2", 5), sale("p1", 0), refund("p2", 9)],
    ] {
        let desk = Desk::of_money("");
        for event in &events {
            desk.hears("money", event).await;
        }
        let mut left = left(&desk);
        left.sort();
        assert_eq!(left, ["10.00", "7.00"], "{events:?}");
    }
    // One that names only the group is not about a sale that came after it.
    let desk = Desk::of_money("");
    desk.hears("money", &refund("", -50_000)).await;
    desk.hears("money", &sale("p1", 0)).await;
    assert_eq!(left(&desk), ["10.00"]);
}
