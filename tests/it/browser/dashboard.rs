//! The dashboard as people use it: at a desk and on a phone, by day and by night, and by those who do not see it.

use thirtyfour::Key;

use super::page::Page;
use super::{Look, Site, visit};
use crate::harness::process::wait_until;
use crate::harness::webhooks::{stripe_checkout, who};

pub(super) const TOKEN: &str = "admin-0123456789abcdef";

/// Every page, with what its heading says.
const PAGES: [(&str, &str); 13] = [
    ("/", "Overview"),
    ("/sales", "Sales"),
    ("/sales/1", "Sale 1"),
    ("/requests", "Requests"),
    ("/requests/1", "Request 1"),
    ("/requests/refused", "Refused requests"),
    ("/deliveries", "Deliveries"),
    ("/deliveries/1", "Delivery 1"),
    ("/sources", "Sources"),
    ("/sources/stripe", "stripe"),
    ("/upstreams", "Upstreams"),
    ("/api", "The admin API"),
    ("/nothing/here", "Not there"),
];

fn site() -> Site {
    let site = Site::start(&format!("token = \"{TOKEN}\""));
    site.receives("stripe", &stripe_checkout(1, &who("c-1", "user_1")));
    wait_until("it is forwarded", || site.upstream.bodies().len() == 1);
    site
}

pub(super) async fn sign_in(page: &Page, site: &Site) {
    page.go(&format!("{}/sales", site.admin)).await;
    page.fill("#token", TOKEN).await;
    page.press(Key::Enter).await;
    page.wait_for_text("main h1", "Sales").await;
}

#[actix_web::test]
#[ignore = "needs scripts/with-browser"]
async fn every_page_can_be_read_and_used_by_all() {
    let site = site();
    for look in Look::ALL {
        visit(look, async |page| {
            page.go(&format!("{}/sign-in", site.admin)).await;
            page.can_be_used_by_all().await;
            page.picture(&format!("sign-in-{}", look.name())).await;
            sign_in(page, &site).await;
            for (path, heading) in PAGES {
                page.go(&format!("{}{path}", site.admin)).await;
                page.wait_for_text("main h1", heading).await;
                let is_wider = page.run("return document.documentElement.scrollWidth > innerWidth", vec![]).await;
                assert_eq!(is_wider, false, "{path} fits a window of {}", look.name());
                page.can_be_used_by_all().await;
                let name = path.trim_matches('/').replace('/', "-");
                page.picture(&format!("{}-{}", if name.is_empty() { "overview" } else { &name }, look.name())).await;
            }
            // The page that is not there is one by its status as well.
            let complaints = page.complaints().await;
            assert!(complaints.iter().all(|complaint| complaint.contains("404")), "{complaints:?}");
        })
        .await;
    }
}

#[actix_web::test]
#[ignore = "needs scripts/with-browser"]
async fn a_sale_is_seen_to_arrive_and_its_trail_is_followed() {
    let site = site();
    visit(Look::DESKTOP, async |page| {
        sign_in(page, &site).await;
        page.wait_until("one sale is listed", "document.querySelectorAll('main tbody tr').length === 1").await;
        site.receives("stripe", &stripe_checkout(2, &who("c-2", "user_2")));
        // A list that somebody reads does not move under their eyes: it says that there is more, and shows it when asked.
        page.wait_for_text("#news", "There are new sales").await;
        page.click("#news a").await;
        page.wait_until("two sales are listed", "document.querySelectorAll('main tbody tr').length === 2").await;
        page.click("a[href='/sales/2']").await;
        page.wait_for_text("main h1", "Sale 2").await;
        page.wait_for_text("main", "c-2").await;
        page.wait_for_text("main", "4999 total").await;
        page.click("main a[href='/requests/2']").await;
        page.wait_for_text("main h1", "Request 2").await;
        page.wait_for_text("main", "checkout.session.completed").await;
        // Found by what no URL may hold.
        page.go(&format!("{}/sales", site.admin)).await;
        page.fill("#text", "user_2").await;
        page.press(Key::Enter).await;
        page.wait_for_text("main", "Sale 2").await;
        assert!(!page.url().await.contains("user_2"), "{}", page.url().await);
    })
    .await;
}

#[actix_web::test]
#[ignore = "needs scripts/with-browser"]
async fn an_upstream_is_paused_and_resumed_and_one_signs_out() {
    let site = site();
    visit(Look::PHONE, async |page| {
        sign_in(page, &site).await;
        page.go(&format!("{}/upstreams", site.admin)).await;
        page.fill("form[action$='/pause'] input[name=reason]", "a test of the brake").await;
        page.press(Key::Enter).await;
        page.wait_for_text("main", "a test of the brake").await;
        page.click("form[action$='/resume'] button").await;
        page.wait_until("it runs again", "document.querySelector(\"form[action$='/pause']\") !== null").await;
        page.click("form.leave button").await;
        page.wait_for_text("main h1", "Sign in").await;
        page.go(&format!("{}/sales/1", site.admin)).await;
        page.wait_for_text("main h1", "Sign in").await;
    })
    .await;
}
