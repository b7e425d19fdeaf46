//! Stored requests read anew by a pack that was mended: the diff names exactly what changes, and nothing is sent twice.

use serde_json::{Value, json};

use crate::harness::desk::{Desk, fixture};
use crate::harness::webhooks::who;

fn desk() -> Desk {
    Desk::new(fixture("money", "[[upstreams]]\nname = \"u\"\ntemplate = \"cutmeshort\"\ntoken = \"x\"\n"))
}

fn sale(id: &str, more: &Value) -> Value {
    let mut body = json!({"type": "minor", "eid": id, "at": 1_795_324_260, "pay": id, "amount": 1000, "net": 900, "cur": "EUR", "meta": who("c-1", "u")});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn lines(differences: &[salebridge::remap::Difference]) -> Vec<String> {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let of = |difference: &salebridge::remap::Difference| {
        let line = |change: &salebridge::remap::Change| {
            format!("{} {}: {} to {}", difference.sale, change.what, shown(&change.before), shown(&change.after))
        };
        difference.what.iter().map(line).collect::<Vec<_>>()
    };
    differences.iter().flat_map(of).collect()
}

#[actix_web::test]
async fn nothing_changes_where_nothing_was_changed() {
    let desk = desk();
    for number in 0..5 {
        desk.hears("money", &sale(&format!("p{number}"), &json!({}))).await;
        desk.hears("money", &json!({"type": "refund", "eid": format!("r{number}"), "id": format!("r{number}"), "pay": format!("p{number}"), "amount": 10, "cur": "EUR"})).await;
    }
    desk.sends().await;
    let before = format!("{:?}", desk.sales());
    for outcome in [desk.would_remap(), desk.remaps().await] {
        assert_eq!((outcome.requests, outcome.events_changed, outcome.changes.len(), outcome.kept.len()), (10, 0, 0, 0));
    }
    assert_eq!(format!("{:?}", desk.sales()), before);
}

#[actix_web::test]
async fn an_amount_from_another_path_changes_what_is_unsent_and_lists_what_was_sent() {
    let mut desk = desk();
    desk.hears("money", &sale("sent", &json!({}))).await;
    assert_eq!(desk.sends().await, [1]);
    desk.hears("money", &sale("unsent", &json!({}))).await;
    desk.hears("money", &sale("same", &json!({"net": 1000}))).await;
    desk.hears(
        "money",
        &json!({"type": "major", "eid": "m", "pay": "major", "amount": "10", "cur": "EUR", "meta": who("c-1", "u")}),
    )
    .await;
    desk.repack("money", |text| {
        text.replacen(
            "amount = { paths = [\"$.amount\"], unit = \"minor\" }\ncurrency = [\"$.cur\"]\ntax",
            "amount = { paths = [\"$.net\"], unit = \"minor\" }\ncurrency = [\"$.cur\"]\ntax",
            1,
        )
    });

    let would = desk.would_remap();
    assert_eq!(lines(&would.changes), ["2 amount: 10.00 to 9.00"]);
    assert_eq!(lines(&would.kept), ["1 amount: 10.00 to 9.00"]);
    assert_eq!(desk.sales()[1].event["amount"].to_string(), "10.00", "a dry run changes nothing");

    let did = desk.remaps().await;
    assert_eq!((lines(&did.changes), lines(&did.kept)), (lines(&would.changes), lines(&would.kept)));
    let amounts: Vec<String> = desk.sales().iter().map(|sale| sale.event["amount"].to_string()).collect();
    assert_eq!(amounts, ["10.00", "9.00", "10.00", "10.00"]);
    assert_eq!(desk.sends().await, [2, 3, 4], "what was sent is not sent again");
    let again = desk.remaps().await;
    assert_eq!((lines(&again.changes), lines(&again.kept)), (vec![], vec!["1 amount: 10.00 to 9.00".to_owned()]));
}

#[actix_web::test]
async fn sales_that_were_ignored_or_parked_appear_once() {
    let mut desk = desk();
    desk.hears("money", &sale("known", &json!({"type": "novel"}))).await;
    desk.hears("money", &sale("parked", &json!({"cur": "EURO", "cur2": "EUR"}))).await;
    // The same payment, told by an event that counted already.
    desk.hears("money", &sale("known", &json!({"eid": "other"}))).await;
    assert_eq!(desk.sends().await, [1]);
    desk.repack("money", |text| {
        text.replacen("types = [\"minor\"]", "types = [\"minor\", \"novel\"]", 1)
            .replace("currency = [\"$.cur\"]\ntax = [\"$.tax\", ", "currency = [\"$.cur2\", \"$.cur\"]\ntax = [\"$.tax\", ")
    });
    let would = desk.would_remap();
    assert_eq!(lines(&would.changes), ["2 appears: - to 10.00 EUR"]);
    let did = desk.remaps().await;
    assert_eq!(lines(&did.changes), lines(&would.changes));
    assert_eq!(desk.sends().await, [2]);
    assert!(desk.remaps().await.changes.is_empty());
    let outcomes: Vec<String> = desk.store().requests(10).unwrap().into_iter().map(|request| request.outcome).collect();
    assert_eq!(outcomes, ["sale", "sale", "corroborates"]);
}

#[actix_web::test]
async fn attribution_is_gained_and_lost_and_parked_sales_are_released() {
    let mut desk = desk();
    desk.hears("money", &sale("gains", &json!({"meta": {}, "custom": {"customerExternalId": "u-2", "clickId": "c-2"}}))).await;
    desk.hears("money", &sale("loses", &json!({}))).await;
    assert_eq!(desk.sales()[0].code.as_deref(), Some("customer_unknown"));
    desk.repack("money", |text| text.replace("metadata = [\"$.meta['{key}']\"]", "metadata = [\"$.custom['{key}']\"]"));
    let would = desk.would_remap();
    let wanted = [
        "1 customer: - to u-2",
        "1 click: - to c-2",
        "1 state: parked: customer_unknown to ready",
        "2 customer: u to -",
        "2 click: c-1 to -",
        "2 state: ready to parked: customer_unknown",
    ];
    assert_eq!(lines(&would.changes), wanted);
    assert_eq!(lines(&desk.remaps().await.changes), wanted);
    assert_eq!(desk.sends().await, [1], "what is parked now is not sent");
    // And back again: the sale is counted as before, and sent once.
    desk.repack("money", |text| {
        text.replace("metadata = [\"$.custom['{key}']\"]", "metadata = [\"$.custom['{key}']\", \"$.meta['{key}']\"]")
    });
    assert_eq!(
        lines(&desk.remaps().await.changes),
        ["2 customer: - to u", "2 click: - to c-1", "2 state: parked: customer_unknown to ready"]
    );
    assert_eq!(desk.sends().await, [2]);
}

#[actix_web::test]
async fn a_sale_that_today_s_pack_does_not_count_is_withdrawn_if_it_was_not_sent() {
    let mut desk = desk();
    desk.hears("money", &sale("sent", &json!({}))).await;
    desk.sends().await;
    desk.hears("money", &sale("unsent", &json!({}))).await;
    desk.repack("money", |text| text.replacen("types = [\"minor\"]", "types = [\"nothing\"]", 1));
    let would = desk.would_remap();
    assert_eq!(lines(&would.changes), ["2 state: ready to parked: not_a_sale_today"]);
    assert_eq!(lines(&would.kept), ["1 not_counted: 10.00 EUR to -"]);
    desk.remaps().await;
    assert!(desk.sends().await.is_empty());
    desk.repack("money", |text| text.replacen("types = [\"nothing\"]", "types = [\"minor\"]", 1));
    assert_eq!(lines(&desk.remaps().await.changes), ["2 state: parked: not_a_sale_today to ready"]);
    assert_eq!(desk.sends().await, [2]);
}

#[actix_web::test]
async fn refunds_that_an_older_pack_ignored_are_taken_back() {
    let mut desk = desk();
    desk.repack("money", |text| text.replace("types = [\"refund\"]", "types = [\"not yet\"]"));
    desk.hears("money", &sale("p", &json!({}))).await;
    desk.sends().await;
    desk.hears("money", &json!({"type": "refund", "eid": "r", "id": "r", "pay": "p", "amount": 300, "cur": "EUR"})).await;
    desk.repack("money", |text| text.replace("types = [\"not yet\"]", "types = [\"refund\"]"));
    let wanted = ["1 taken_back: 0.00 to 3.00"];
    assert_eq!(lines(&desk.would_remap().changes), wanted);
    let did = desk.remaps().await;
    assert_eq!((lines(&did.changes), did.kept.len()), (wanted.map(str::to_owned).to_vec(), 0));
    assert_eq!(desk.sale().balance.left.to_string(), "7.00");
    // And a pack that reads the refund's amount otherwise changes what was said, not what was counted.
    desk.repack("money", |text| {
        text.replace(
            "id = [\"$.id\"]\namount = { paths = [\"$.amount\"], unit = \"minor\" }\ncurrency = [\"$.cur\"]\nkeys = { invoice",
            "id = [\"$.id\"]\namount = { paths = [\"$.amount\"], unit = \"major\" }\ncurrency = [\"$.cur\"]\nkeys = { invoice",
        )
    });
    assert_eq!(lines(&desk.remaps().await.changes), ["1 taken_back: 3.00 to 300.00"]);
    assert_eq!(desk.sale().adjustments.len(), 1);
}

#[actix_web::test]
async fn what_today_s_pack_does_not_count_is_not_revived_by_an_event_that_counts_nothing() {
    let mut desk = desk();
    desk.hears("money", &sale("p", &json!({}))).await;
    desk.repack("money", |text| text.replacen("types = [\"minor\"]", "types = [\"nothing\"]", 1));
    desk.remaps().await;
    desk.hears("money", &json!({"type": "checkout", "eid": "late", "pay": "p", "meta": who("c-1", "u")})).await;
    desk.hears("money", &json!({"type": "refund", "eid": "r", "id": "r", "pay": "p", "amount": 1, "cur": "EUR"})).await;
    assert!(desk.sends().await.is_empty());
    assert_eq!(desk.sale().code.as_deref(), Some("not_a_sale_today"));
    // An event that does count it lifts it.
    desk.hears("money", &json!({"type": "major", "eid": "m", "pay": "p", "amount": "10", "cur": "EUR", "meta": who("c-1", "u")}))
        .await;
    assert_eq!(desk.sends().await, [1]);
}

#[actix_web::test]
async fn a_held_sale_that_gains_its_click_goes_and_one_that_loses_it_is_held() {
    let hold = "[[upstreams]]\nname = \"u\"\ntemplate = \"cutmeshort\"\ntoken = \"x\"\nwithout_click = \"hold\"\n";
    let mut desk = Desk::new(fixture("money", hold));
    desk.hears("money", &sale("gains", &json!({"meta": {"customerExternalId": "u-1"}, "custom": who("c-9", "u-1")}))).await;
    desk.hears("money", &sale("loses", &json!({"meta": who("c-2", "u-2"), "custom": {"customerExternalId": "u-2"}}))).await;
    desk.repack("money", |text| text.replace("metadata = [\"$.meta['{key}']\"]", "metadata = [\"$.custom['{key}']\"]"));
    // What was learned of u-2 by the former reading is still known, so nothing is lost; the other gains.
    assert_eq!(lines(&desk.remaps().await.changes), ["1 click: - to c-9"]);
    assert_eq!(desk.sends().await, [1, 2]);
}

#[actix_web::test]
async fn ids_that_the_mended_pack_reads_make_one_sale_of_two_or_show_that_two_were_sent() {
    for is_sent in [false, true] {
        let mut desk = desk();
        desk.repack("money", |text| text.replace("invoice = [\"$.inv\"], payment", "invoice = [\"$.unread\"], payment"));
        desk.hears("money", &sale("p", &json!({"inv": "i"}))).await;
        desk.hears("money", &sale("q", &json!({"inv": "i", "pay": null, "ses": "s"}))).await;
        assert_eq!(desk.sales().len(), 2);
        if is_sent {
            assert_eq!(desk.sends().await, [1, 2]);
        }
        desk.repack("money", |text| text.replace("invoice = [\"$.unread\"], payment", "invoice = [\"$.inv\"], payment"));
        desk.remaps().await;
        if is_sent {
            assert_eq!(desk.store().sale(2).unwrap().unwrap().possible_double_counts, [1]);
        } else {
            assert_eq!((desk.sale().event["invoiceId"].as_str(), desk.sends().await), (Some("i"), vec![1]));
        }
        // The id leads to it from now on.
        desk.hears("money", &sale("r", &json!({"inv": "i"}))).await;
        assert_eq!(desk.sales().len(), if is_sent { 2 } else { 1 });
    }
}

#[actix_web::test]
async fn event_ids_that_were_not_read_before_may_repeat() {
    let mut desk = desk();
    desk.repack("money", |text| text.replace("id = \"$.eid\"\n", ""));
    desk.hears("money", &sale("p", &json!({}))).await;
    desk.hears("money", &sale("p", &json!({"note": "other bytes"}))).await;
    desk.repack("money", |text| text.replace("[event]\n", "[event]\nid = \"$.eid\"\n"));
    let did = desk.remaps().await;
    assert!(did.changes.is_empty() && did.events_changed == 2, "{did:?}");
    assert_eq!(desk.sends().await, [1]);
    assert_eq!(desk.remaps().await.events_changed, 0);
}

#[actix_web::test]
async fn who_a_customer_is_releases_their_other_sales_as_well() {
    let mut desk = desk();
    desk.hears("money", &sale("p", &json!({"meta": {}, "cus": "c", "custom": who("c-1", "u")}))).await;
    desk.hears(
        "money",
        &json!({"type": "renewed", "eid": "n", "at": 1_795_324_270, "pay": "n", "amount": 1000, "cur": "EUR", "cus": "c"}),
    )
    .await;
    desk.repack("money", |text| text.replace("metadata = [\"$.meta['{key}']\"]", "metadata = [\"$.custom['{key}']\"]"));
    desk.remaps().await;
    assert_eq!(desk.sends().await, [1, 2]);
    assert_eq!(desk.sales()[1].event["clickId"], "c-1");
}

#[actix_web::test]
async fn a_setting_that_was_mended_releases_what_is_parked() {
    let mut desk = desk();
    desk.hears("money", &sale("p", &json!({"meta": {}, "email": "jane@example.com"}))).await;
    assert_eq!(desk.sale().code.as_deref(), Some("customer_unknown"));
    desk.rules.customer_fallback = vec![salebridge::domain::Fallback::Email];
    assert_eq!(
        lines(&desk.would_remap().changes),
        ["1 customer: - to jane@example.com", "1 state: parked: customer_unknown to ready"]
    );
    let did = desk.remaps().await;
    assert_eq!((did.events_changed, desk.sends().await), (0, vec![1]));
}
