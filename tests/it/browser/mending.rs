//! What went wrong is mended by a person, in the browser from the first look to the proof that it is well.

use serde_json::Value;
use thirtyfour::Key;

use super::dashboard::{TOKEN, sign_in};
use super::page::Page;
use super::{Look, Site, visit};
use crate::harness::process::wait_until;
use crate::harness::webhooks::{SECRET, stripe_checkout, who};

fn sale(number: u32) -> Value {
    stripe_checkout(number, &who(&format!("c-{number}"), "user_1"))
}

/// Goes to one of the rooms by the navigation.
async fn enter(page: &Page, room: &str, heading: &str) {
    page.click(&format!("nav[aria-label=Rooms] a[href='{room}']")).await;
    page.wait_for_text("main h1", heading).await;
    page.can_be_used_by_all().await;
}

fn wait_for_delivery(site: &Site, state: &str) {
    wait_until(&format!("the delivery is {state}"), || site.served.json(&["deliveries", "list"])[0]["state"] == state);
}

#[actix_web::test]
#[ignore = "needs scripts/with-browser"]
async fn a_dead_letter_is_sent_again_after_a_look_at_it() {
    for look in [Look::DESKTOP, Look::PHONE.dark()] {
        let site = Site::start(&format!("token = \"{TOKEN}\""));
        site.upstream.refuses(true);
        site.receives("stripe", &sale(1));
        wait_for_delivery(&site, "dead");
        visit(look, async |page| {
            sign_in(page, &site).await;
            enter(page, "/deliveries", "Deliveries").await;
            page.click("nav[aria-label='Usual filters'] a[href='/deliveries?state=dead']").await;
            page.wait_for_text("main tbody", "dead letter").await;
            page.can_be_used_by_all().await;
            page.click("main tbody input[name=id]").await;
            page.click("form[action='/deliveries/retry'] p.actions button").await;
            page.wait_for_text("main h1", "Send again").await;
            page.wait_for_text("main", "1 would be sent again").await;
            page.wait_for_text("main pre", "\"amount\":49.99").await;
            page.wait_for_text("main pre", "[redacted]").await;
            page.can_be_used_by_all().await;
            assert_eq!(site.upstream.bodies().len(), 1, "to look at it sends nothing");

            site.upstream.refuses(false);
            page.click("form[action='/deliveries/retry/confirm'] button").await;
            page.wait_for_text("main", "1 will be sent again at once").await;
            page.can_be_used_by_all().await;
            wait_for_delivery(&site, "delivered");
            page.go(&format!("{}/deliveries/1", site.admin)).await;
            page.wait_for_text("main .head", "delivered").await;
            page.wait_for_text("main", "HTTP 422, rejected").await;
            page.wait_for_text("main", "HTTP 200, delivered").await;
            page.can_be_used_by_all().await;
        })
        .await;
        let bodies = site.upstream.bodies();
        assert!(bodies.len() == 2 && bodies[0] == bodies[1], "the same again: {bodies:?}");
    }
}

#[actix_web::test]
#[ignore = "needs scripts/with-browser"]
async fn a_wrong_secret_is_found_and_mended_and_what_was_refused_is_accepted() {
    let mut site = Site::start(&format!("token = \"{TOKEN}\""));
    site.refuses("stripe", "whsec_of_the_provider", &sale(1));
    wait_until("it is kept", || site.served.json(&["requests", "refused"]).as_array().is_some_and(|kept| kept.len() == 1));
    visit(Look::DESKTOP, async |page| {
        sign_in(page, &site).await;
        enter(page, "/requests", "Requests").await;
        page.click("main a[href='/requests/refused']").await;
        page.wait_for_text("main h1", "Refused requests").await;
        page.wait_for_text("main", "signed with another secret").await;
        page.can_be_used_by_all().await;
        page.click("main a[href='/requests/refused/1']").await;
        page.wait_for_text("main h1", "Refused request 1").await;
        page.wait_for_text("#findings + ol li", "secret_wrong").await;
        page.wait_for_text("#findings + ol li", "`secrets` of [[sources]] stripe").await;
        page.can_be_used_by_all().await;
        // As long as nothing is mended, to judge it again changes nothing.
        page.click("form[action='/requests/refused/1/judge'] button").await;
        page.wait_for_text("main [role=status]", "It is still refused").await;
        page.can_be_used_by_all().await;

        let line = |secret| format!("name = \"stripe\"\npack = \"stripe\"\nsecrets = [\"{secret}\"]");
        site.mends(|text| text.replacen(&line(SECRET), &line("whsec_of_the_provider"), 1));
        page.go(&format!("{}/requests/refused/1", site.admin)).await;
        page.wait_for_text("main h1", "Refused request 1").await;
        page.wait_for_text("main", "secret_wrong").await;
        page.click("form[action='/requests/refused/1/judge'] button").await;
        page.wait_for_text("main h1", "Request 1").await;
        page.can_be_used_by_all().await;

        wait_for_delivery(&site, "delivered");
        enter(page, "/sales", "Sales").await;
        page.click("main a[href='/sales/1']").await;
        page.wait_for_text("main h1", "Sale 1").await;
        page.wait_for_text("main .head", "cutmeshort delivered").await;
        page.can_be_used_by_all().await;
        page.go(&format!("{}/requests/refused", site.admin)).await;
        page.wait_for_text("main h1", "Refused requests").await;
        assert_eq!(page.count("main a[href='/requests/refused/1']").await, 0, "what was accepted is not refused any more");
    })
    .await;
    assert_eq!(site.upstream.bodies().len(), 1);
}

#[actix_web::test]
#[ignore = "needs scripts/with-browser"]
async fn a_sale_is_kept_back_and_let_go() {
    for look in [Look::DESKTOP, Look::PHONE.dark()] {
        let site = Site::start(&format!("token = \"{TOKEN}\""));
        visit(look, async |page| {
            sign_in(page, &site).await;
            enter(page, "/upstreams", "Upstreams").await;
            page.fill("form[action$='/pause'] input[name=reason]", "to have time to think").await;
            page.press(Key::Enter).await;
            page.wait_for_text("main", "to have time to think").await;
            site.receives("stripe", &sale(1));
            wait_for_delivery(&site, "due");

            let path = format!("{}/sales/1", site.admin);
            page.go(&path).await;
            page.click("details:has(form[action='/sales/1/park']) summary").await;
            page.wait_for_text("form[action='/sales/1/park']", "it is sent to nobody until a person lets it go").await;
            page.can_be_used_by_all().await;
            page.fill("form[action='/sales/1/park'] input[name=reason]", "looks like fraud").await;
            page.press(Key::Enter).await;
            page.wait_for_text("main .head", "parked: by_hand").await;
            page.wait_for_text("main", "looks like fraud").await;
            assert_eq!(page.count("form[action='/sales/1/park']").await, 0, "what is kept back is not offered to be");
            page.can_be_used_by_all().await;

            // What comes later is sent, and it is not.
            enter(page, "/upstreams", "Upstreams").await;
            page.click("form[action$='/resume'] button").await;
            page.find("form[action$='/pause']").await;
            site.receives("stripe", &sale(2));
            wait_for_delivery(&site, "delivered");
            assert!(site.upstream.bodies().iter().all(|body| body.contains("c-2")), "{:?}", site.upstream.bodies());

            page.go(&path).await;
            page.click("form[action='/sales/1/release'] button").await;
            page.find("main").await;
            wait_until("it is sent", || site.upstream.bodies().len() == 2);
            wait_until("it is accepted", || site.served.json(&["sales", "show", "1"])["deliveries"][0]["state"] == "delivered");
            page.go(&path).await;
            page.wait_for_text("main .head", "cutmeshort delivered").await;
            assert_eq!(page.count("form[action^='/sales/1/']").await, 0, "what was sent can be decided no more");
            page.can_be_used_by_all().await;
        })
        .await;
    }
}
