//! Who earned a sale: memory, across sources as well, renewals by policy, and what stands in for an unknown customer.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::desk::{Desk, configured, fixture};
use crate::harness::webhooks::{razorpay, stripe_checkout, who};

const DAY: i64 = 24 * 60 * 60;

fn desk(attribution: &str) -> Desk {
    Desk::new(fixture("money", &format!("[attribution]\n{attribution}\n")))
}

/// An event of the provider's customer `c`, on a day.
fn event(kind: &str, day: i64, id: &str, meta: &Value) -> Value {
    json!({"type": kind, "eid": format!("{kind} {day} {id}"), "at": 1_795_324_260 + day * DAY, "pay": id, "amount": 1000, "cur": "EUR", "cus": "c", "meta": meta})
}

#[actix_web::test]
async fn renewals_are_credited_as_the_team_wants_in_every_order_of_arrival() {
    let first = || event("minor", 0, "p0", &who("c-first", "u"));
    let second = || event("minor", 10, "p10", &who("c-second", "u"));
    let repeats = || event("renewed", 30, "p30", &who("c-first", "u"));
    let silent = || event("renewed", 30, "p30", &json!({}));
    // policy, the renewal, its click or the reason why there is none
    for (policy, renewal, wanted) in [
        ("as_told", repeats(), "c-first"),
        ("as_told", silent(), "c-second"),
        ("last_click", repeats(), "c-second"),
        ("last_click", silent(), "c-second"),
        ("first_click", repeats(), "c-first"),
        ("first_click", silent(), "c-first"),
        ("none", repeats(), "renewal_not_credited"),
        ("none", silent(), "renewal_not_credited"),
    ] {
        for history in [[first(), second()], [second(), first()]] {
            let mut desk = desk(&format!("renewals = \"{policy}\""));
            desk.now += Duration::from_secs(31 * DAY as u64);
            for event in history.iter().chain([&renewal]) {
                desk.hears("money", event).await;
            }
            let sale = &desk.sales()[2];
            let found = sale.event.get("clickId").and_then(Value::as_str).or(sale.code.as_deref());
            assert_eq!(found, Some(wanted), "{policy}: {renewal}");
            assert_eq!(sale.event["customerExternalId"], "u");
            assert_eq!(sale.state, "ready");
        }
    }
}

#[actix_web::test]
async fn a_click_is_remembered_across_sources_by_the_team_s_own_customer() {
    let mut desk = Desk::new(configured(""));
    desk.hears("razorpay", &razorpay("order.paid", "pay_1", &json!([]), Some(&who("c-1", "user_1")))).await;
    desk.now += Duration::from_secs(3600);
    let mut later = stripe_checkout(1, &json!({"customerExternalId": "user_1"}));
    later["created"] = desk.now.as_second().into();
    desk.hears("stripe", &later).await;
    desk.passes(Duration::from_secs(61)).await;
    let sale = &desk.sales()[1];
    assert_eq!(sale.event["clickId"], "c-1");
    assert_eq!(sale.trail["clickId"], json!({"from": "memory", "request": 1}));

    // Not to another customer, not from the future, and not from the sandbox.
    let mut other = stripe_checkout(2, &json!({"customerExternalId": "user_2"}));
    other["created"] = desk.now.as_second().into();
    desk.hears("stripe", &other).await;
    desk.passes(Duration::from_secs(61)).await;
    assert_eq!(desk.sales()[2].code.as_deref(), Some("click_unknown"));
    let mut earlier = stripe_checkout(3, &json!({"customerExternalId": "user_1"}));
    earlier["created"] = (1_795_324_260 - DAY).into();
    desk.hears("stripe", &earlier).await;
    desk.passes(Duration::from_secs(61)).await;
    assert_eq!(desk.sales()[3].code.as_deref(), Some("click_too_late"));
}

#[actix_web::test]
async fn a_click_from_another_source_releases_a_sale_that_is_held_for_one() {
    let mut desk = Desk::new(configured("without_click = \"hold\"\n"));
    desk.hears("stripe", &stripe_checkout(1, &json!({"customerExternalId": "user_1"}))).await;
    desk.passes(Duration::from_secs(61)).await;
    assert!(desk.sends().await.is_empty());
    let mut told = razorpay("payment.failed", "pay_1", &who("c-1", "user_1"), None);
    told["created_at"] = 1_795_324_255.into();
    desk.hears("razorpay", &told).await;
    assert_eq!(desk.sends().await, [1], "{:#?}", desk.sale());
    assert_eq!(desk.sale().event["clickId"], "c-1");
}

#[actix_web::test]
async fn what_stands_in_for_an_unknown_customer_is_said_and_comes_only_at_the_deadline() {
    let hash = "8c87b489ce35cf2e2f39f80e282cb2e804932a56a213983eeeb428407d43b52d"; // sha256 of jane@example.com
    for (fallback, wanted) in [
        ("[]", None),
        ("[\"provider_customer\"]", Some("c")),
        ("[\"email\"]", Some("jane@example.com")),
        ("[\"email_hash\"]", Some(hash)),
        ("[\"email_hash\", \"provider_customer\"]", Some(hash)),
    ] {
        let mut desk = desk(&format!("customer_fallback = {fallback}"));
        let mut body = event("major", 0, "p", &json!({}));
        body["email"] = "Jane@Example.com".into();
        desk.hears("money", &body).await;
        assert_eq!(desk.sale().state, "waiting", "its checkout may still tell the customer");
        desk.passes(Duration::from_secs(61)).await;
        let sale = desk.sale();
        assert_eq!(sale.event.get("customerExternalId").and_then(Value::as_str), wanted, "{fallback}");
        match wanted {
            Some(_) => {
                assert_eq!((sale.state.as_str(), &sale.trail["customerExternalId"]["from"]), ("ready", &json!("fallback")))
            }
            None => assert_eq!(sale.code.as_deref(), Some("customer_unknown")),
        }
        // Whoever it really is takes the place of what stood in, as long as the sale was not sent.
        desk.hears("money", &json!({"type": "checkout", "pay": "p", "meta": {"customerExternalId": "u"}})).await;
        assert_eq!(desk.sale().event["customerExternalId"], "u");
    }
}

#[actix_web::test]
async fn ids_that_an_event_ties_before_anything_is_counted_make_one_sale() {
    let who = json!({"customerExternalId": "u"});
    let of_payment = json!({"type": "minor", "eid": "1", "pay": "p", "amount": 1000, "cur": "EUR", "meta": who});
    let of_invoice = json!({"type": "minor", "eid": "2", "inv": "i", "amount": 1000, "cur": "EUR", "meta": who});
    let tie = json!({"type": "checkout", "eid": "3", "inv": "i", "ses": "s", "meta": {"clickId": "c-1"}});
    let second_tie = json!({"type": "checkout", "eid": "4", "pay": "p", "ses": "s"});
    let events = [of_payment, of_invoice, tie, second_tie];
    for order in [[2, 3, 0, 1], [3, 2, 1, 0], [2, 0, 3, 1], [0, 2, 3, 1], [0, 1, 2, 3], [1, 3, 0, 2]] {
        let desk = desk("");
        for place in order {
            desk.hears("money", &events[place]).await;
        }
        let sale = desk.sale();
        assert_eq!((sale.event["invoiceId"].as_str(), sale.event["clickId"].as_str()), (Some("i"), Some("c-1")), "{order:?}");
    }
}

#[actix_web::test]
async fn two_sent_sales_that_turn_out_to_be_one_are_shown_with_both_timelines() {
    let mut desk = Desk::of_money("[[upstreams]]\nname = \"u\"\ntemplate = \"cutmeshort\"\ntoken = \"x\"\n");
    let who = json!({"customerExternalId": "u"});
    desk.hears("money", &json!({"type": "minor", "eid": "1", "pay": "p", "amount": 1000, "cur": "EUR", "meta": who})).await;
    desk.hears("money", &json!({"type": "minor", "eid": "2", "inv": "i", "amount": 1000, "cur": "EUR", "meta": who})).await;
    assert_eq!(desk.sends().await, [1, 2]);
    desk.passes(Duration::from_secs(5)).await;
    desk.hears("money", &json!({"type": "checkout", "eid": "3", "inv": "i", "pay": "p"})).await;
    let sale = desk.store().sale(2).unwrap().unwrap();
    assert_eq!(sale.possible_double_counts, [1]);
    let other = &sale.double_counts[0];
    assert_eq!((other.sale, other.invoice_id.as_deref(), other.tied_by), (1, Some("p"), 3));
    assert_eq!((other.events[0].kind.as_str(), other.deliveries.len()), ("minor", 1));
}

#[actix_web::test]
async fn a_redelivery_after_eight_days_and_clocks_that_are_off_count_nothing_twice() {
    let mut desk = desk("");
    let sale = json!({"type": "minor", "eid": "e1", "at": 1_795_324_260, "pay": "p", "amount": 1000, "cur": "EUR", "meta": who("c", "u")});
    desk.hears("money", &sale).await;
    desk.passes(Duration::from_secs(8 * DAY as u64)).await;
    desk.hears("money", &sale).await;
    // The same event in other bytes, and the same payment under another event's id, from a clock that is ten minutes ahead.
    let mut again = sale.clone();
    again["note"] = "sent by hand".into();
    desk.hears("money", &again).await;
    again["eid"] = "e2".into();
    again["at"] = (desk.now.as_second() + 600).into();
    desk.hears("money", &again).await;
    again["eid"] = "e3".into();
    again["at"] = (1_795_324_260 - 600).into();
    desk.hears("money", &again).await;
    let found = desk.sale();
    let outcomes: Vec<String> = found.events.iter().map(|event| event.outcome.clone()).collect();
    assert_eq!(outcomes, ["sale", "corroborates", "corroborates"]);
    assert_eq!(found.event["amount"].to_string(), "10.00");
}

#[actix_web::test]
async fn an_unpaid_session_that_is_paid_later_is_one_sale_in_every_order() {
    let unpaid = json!({"type": "unpaid", "eid": "1", "ses": "s", "cus": "c", "meta": who("c-1", "u")});
    let paid = json!({"type": "minor", "eid": "2", "ses": "s", "pay": "p", "amount": 1000, "cur": "EUR"});
    for events in [[&unpaid, &paid], [&paid, &unpaid]] {
        let desk = desk("");
        for event in events {
            desk.hears("money", event).await;
        }
        let sale = desk.sale();
        assert_eq!((sale.state.as_str(), sale.event["clickId"].as_str()), ("ready", Some("c-1")));
    }
}

#[actix_web::test]
async fn a_guest_s_clicks_are_kept_and_a_refund_brings_no_old_click_back() {
    let mut desk = desk("renewals = \"first_click\"");
    desk.now += Duration::from_secs(40 * DAY as u64);
    let guest = |kind: &str, day: i64, id: &str, meta: &Value| {
        let mut body = event(kind, day, id, meta);
        body["cus"] = Value::Null;
        body
    };
    desk.hears("money", &guest("minor", 0, "p0", &who("c-0", "u"))).await;
    desk.hears("money", &guest("minor", 5, "p5", &who("c-5", "u"))).await;
    let mut refund = guest("refund", 20, "p0", &who("c-0", "u"));
    refund["id"] = "r".into();
    desk.hears("money", &refund).await;
    let named = json!({"customerExternalId": "u"});
    desk.hears("money", &guest("minor", 30, "p30", &named)).await;
    desk.hears("money", &guest("renewed", 31, "p31", &named)).await;
    desk.hears("money", &guest("minor", 3, "p3", &named)).await;
    let clicks: Vec<String> = desk.sales().iter().map(|sale| sale.event["clickId"].as_str().unwrap_or("-").to_owned()).collect();
    assert_eq!(clicks, ["c-0", "c-5", "c-5", "c-0", "c-0"]);
}

#[actix_web::test]
async fn a_held_sale_of_which_nothing_is_left_is_not_released() {
    let desk = Desk::new(fixture(
        "money",
        "[[upstreams]]\nname = \"u\"\ntemplate = \"cutmeshort\"\ntoken = \"x\"\nwithout_click = \"hold\"\n",
    ));
    desk.hears("money", &event("minor", 0, "p", &json!({"customerExternalId": "u"}))).await;
    desk.hears("money", &json!({"type": "refund_whole", "eid": "r", "id": "r", "pay": "p"})).await;
    desk.hears("money", &json!({"type": "checkout", "eid": "c", "pay": "p", "cus": "c", "meta": who("c-1", "u")})).await;
    assert!(desk.sends().await.is_empty());
}

#[actix_web::test]
async fn what_a_program_writes_for_nothing_is_nobody() {
    let desk = desk("");
    for (number, nobody) in ["undefined", "null", "NaN", "None", "[object Object]"].into_iter().enumerate() {
        desk.hears("money", &event("minor", 0, &format!("p{number}"), &who(nobody, nobody))).await;
        let sale = desk.sales().pop().unwrap();
        assert_eq!((sale.code.as_deref(), sale.event.get("clickId")), (Some("customer_unknown"), None), "{nobody}");
    }
}
