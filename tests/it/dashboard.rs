//! The dashboard as a browser without scripts meets it: who comes in, what each page shows, what its forms change and what they do not.

use std::time::Duration;

use actix_web::http::Method;
use actix_web::{App, test, web};
use salebridge::admin;
use salebridge::domain::DeliveryState::{Dead, Delivered, Due};
use salebridge::domain::Secret;
use salebridge::verify::Secrets;
use serde_json::{Value, json};

use crate::harness::webhooks::{SECRET, signed, stripe, stripe_checkout, stripe_invoice, who};
use crate::harness::{Bridge, configuration};

const TOKEN: &str = "a token that nobody can guess";
const HOST: &str = "127.0.0.1:8081";
const ORIGIN: &str = "http://127.0.0.1:8081";

/// Every page that is there whatever is stored.
const PAGES: [&str; 9] =
    ["/", "/sales", "/requests", "/requests/refused", "/deliveries", "/sources", "/sources/stripe", "/upstreams", "/api"];

/// A person's browser.
struct Browser<'a> {
    bridge: &'a Bridge,
    cookie: Option<String>,
}

/// What it is shown.
#[derive(Debug)]
struct Seen {
    status: u16,
    location: String,
    cookie: String,
    text: String,
}

impl<'a> Browser<'a> {
    fn new(bridge: &'a Bridge) -> Self {
        Self { bridge, cookie: None }
    }

    /// One that has signed in.
    async fn known(bridge: &'a Bridge) -> Self {
        let mut browser = Self::new(bridge);
        let seen = browser.sends("/sign-in", "/sign-in", &[("token", TOKEN)]).await;
        assert_eq!((seen.status, seen.location.as_str()), (303, "/"), "{seen:?}");
        browser.cookie = Some(seen.cookie.split(';').next().unwrap().to_owned());
        browser
    }

    async fn asks(&self, method: Method, path: &str, body: &[u8], more: &[(&str, &str)]) -> Seen {
        let mut headers = vec![("Host", HOST)];
        headers.extend(self.cookie.as_deref().map(|cookie| ("Cookie", cookie)));
        headers.extend(more);
        let response = self.bridge.asks_admin(method, path, body, &headers).await;
        let header = |name: &str| {
            let value = response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            value.unwrap_or_default()
        };
        let policy = header("content-security-policy");
        for part in
            ["default-src 'none'", "style-src 'self'", "script-src 'self'", "form-action 'self'", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
        if !path.starts_with("/static/") {
            assert_eq!(header("cache-control"), "no-store", "{path}");
        }
        let is_html = header("content-type").starts_with("text/html");
        let (status, location, cookie) = (response.status().as_u16(), header("location"), header("set-cookie"));
        let text = String::from_utf8_lossy(&test::read_body(response).await).into_owned();
        if is_html {
            let lower = text.to_lowercase();
            assert!(!lower.contains(" style=") && !lower.contains("<style") && !lower.contains(" onclick="), "{path}: inline");
            assert_eq!(lower.matches("<script").count(), lower.matches("<script src=\"/static/").count(), "{path}: inline");
            assert_eq!(text.matches("<h1").count(), 1, "{path}: one heading of the first rank");
        }
        Seen { status, location, cookie, text }
    }

    async fn gets(&self, path: &str) -> Seen {
        self.asks(Method::GET, path, b"", &[]).await
    }

    /// A page that is there.
    async fn sees(&self, path: &str) -> String {
        let seen = self.gets(path).await;
        assert_eq!(seen.status, 200, "{path}: {}", seen.text);
        seen.text
    }

    /// Sends a form of the page at `from`.
    async fn sends(&self, from: &str, path: &str, fields: &[(&str, &str)]) -> Seen {
        let word = word(&self.gets(from).await.text);
        self.posts(path, &[&[("word", word.as_str())], fields].concat(), &[("Origin", ORIGIN)]).await
    }

    /// Sends just these fields, with these headers.
    async fn posts(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Seen {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        self.asks(Method::POST, path, body.as_bytes(), &[&kind, headers].concat()).await
    }
}

/// The hidden word of the first form of a page.
fn word(html: &str) -> String {
    let (_, rest) = html.split_once("name=\"word\" value=\"").unwrap_or_else(|| panic!("no form: {html}"));
    rest.split('"').next().unwrap().to_owned()
}

/// All values of an attribute.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    html.split(&format!("{name}=\"")).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

fn sales_of(number: u32, customer: &str) -> Value {
    stripe_checkout(number, &who(&format!("click-{number}"), customer))
}

#[actix_web::test]
async fn nobody_sees_anything_without_the_token() {
    let bridge = Bridge::new().await;
    let stranger = Browser::new(&bridge);
    for path in PAGES.into_iter().chain(["/sales/1", "/requests/1/body", "/nothing"]) {
        let seen = stranger.gets(path).await;
        assert_eq!(seen.status, 303, "{path}");
        assert!(seen.location.starts_with("/sign-in"), "{path}: {}", seen.location);
        assert!(seen.text.is_empty(), "{path}: {}", seen.text);
    }
    for path in [
        "/sales/search",
        "/deliveries/retry/confirm",
        "/upstreams/cutmeshort/pause",
        "/sources/stripe/test",
        "/sales/1/park",
        "/sales/1/release",
        "/sign-out",
    ] {
        let seen = stranger.posts(path, &[("reason", "x"), ("id", "1")], &[("Origin", ORIGIN)]).await;
        assert_eq!((seen.status, seen.location.as_str()), (303, "/sign-in"), "{path}");
    }
    assert_eq!(stranger.gets("/live").await.status, 401, "a stream is no page");
    assert_eq!(stranger.gets("/sales?state=parked").await.location, "/sign-in?next=%2Fsales%3Fstate%3Dparked");

    let page = stranger.sees("/sign-in").await;
    assert!(page.contains("type=\"password\"") && !page.contains("aria-label=\"Rooms\""), "{page}");
    let wrong = stranger.sends("/sign-in", "/sign-in", &[("token", "a token that nobody can gues")]).await;
    assert_eq!((wrong.status, wrong.cookie.as_str()), (403, ""));
    assert!(wrong.text.contains("That is not the token"), "{}", wrong.text);

    let right = stranger.sends("/sign-in", "/sign-in", &[("token", TOKEN), ("next", "/sales?state=parked")]).await;
    assert_eq!((right.status, right.location.as_str()), (303, "/sales?state=parked"));
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(right.cookie.contains(part), "{}", right.cookie);
    }
    for elsewhere in ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"] {
        let seen = stranger.sends("/sign-in", "/sign-in", &[("token", TOKEN), ("next", elsewhere)]).await;
        assert_eq!(seen.location, "/", "{elsewhere}");
    }

    let mut browser = Browser::known(&bridge).await;
    for path in PAGES {
        assert!(browser.sees(path).await.contains("aria-current=\"page\""), "{path}");
    }
    assert_eq!(browser.gets("/nothing").await.status, 404);
    assert_eq!(browser.gets("/sales/99").await.status, 404);
    let left = browser.sends("/", "/sign-out", &[]).await;
    assert_eq!((left.status, left.location.as_str()), (303, "/sign-in"));
    assert!(left.cookie.contains("Max-Age=0"), "{}", left.cookie);
    bridge.passes(Duration::from_secs(12 * 60 * 60 + 1)).await;
    assert_eq!(browser.gets("/").await.status, 303, "a session ends");
    browser.cookie = Some("salebridge_session=9999999999.0000000000000000.00".to_owned());
    assert_eq!(browser.gets("/").await.status, 303, "a cookie that somebody made up");
}

#[actix_web::test]
async fn whoever_guesses_has_to_wait() {
    let bridge = Bridge::new().await;
    let state = web::Data::new(bridge.admin_state());
    let service = test::init_service(App::new().app_data(state.clone()).configure(admin::routes)).await;
    let tries = async |token: &str| {
        let request = || test::TestRequest::with_uri("/sign-in").append_header(("Host", HOST)).append_header(("Origin", ORIGIN));
        let page = test::call_and_read_body(&service, request().to_request()).await;
        let word = word(&String::from_utf8_lossy(&page));
        let form = [("word", word.as_str()), ("token", token)];
        let response = test::call_service(&service, request().method(Method::POST).set_form(form).to_request()).await;
        (response.status().as_u16(), String::from_utf8_lossy(&test::read_body(response).await).into_owned())
    };
    for _ in 0..10 {
        assert!(tries("wrong").await.1.contains("not the token"));
    }
    let (status, text) = tries(TOKEN).await;
    assert!(status == 403 && text.contains("Too many wrong tokens"), "{status} {text}");
    bridge.passes(Duration::from_secs(61)).await;
    assert_eq!(tries(TOKEN).await.0, 303);
}

#[actix_web::test]
async fn a_form_of_another_site_changes_nothing() {
    let mut bridge = Bridge::new().await;
    for token in [Some(TOKEN), None] {
        bridge.token = token;
        let browser = if token.is_some() { Browser::known(&bridge).await } else { Browser::new(&bridge) };
        let word = word(&browser.sees("/upstreams").await);
        let path = "/upstreams/cutmeshort/pause";
        let reason = ("reason", "mine");
        for (fields, headers) in [
            (vec![reason], vec![("Origin", ORIGIN)]),
            (vec![reason, ("word", "")], vec![("Origin", ORIGIN)]),
            (vec![reason, ("word", "00")], vec![("Origin", ORIGIN)]),
            (vec![reason, ("word", word.as_str())], vec![("Origin", "https://evil.example")]),
            (vec![reason, ("word", word.as_str())], vec![("Origin", "null")]),
            (vec![reason, ("word", word.as_str())], vec![("Sec-Fetch-Site", "cross-site")]),
            (vec![reason, ("word", word.as_str())], vec![("Sec-Fetch-Site", "same-site")]),
        ] {
            assert_eq!(browser.posts(path, &fields, &headers).await.status, 403, "{fields:?} {headers:?}");
        }
        let body = format!("reason=mine&word={word}");
        let seen = browser.asks(Method::POST, path, body.as_bytes(), &[("Origin", ORIGIN), ("Content-Type", "text/plain")]).await;
        assert_eq!(seen.status, 422, "not a form");
        assert!(bridge.store.upstreams().unwrap().iter().all(|upstream| !upstream.paused), "nothing was changed");
        assert_eq!(browser.posts(path, &[reason, ("word", word.as_str())], &[("Origin", ORIGIN)]).await.status, 303);
        assert!(bridge.store.upstreams().unwrap()[0].by_hand);
        assert_eq!(browser.sends("/upstreams", "/upstreams/cutmeshort/resume", &[]).await.status, 303);
    }
    // Without a token, only by an address of this machine.
    let response = bridge.asks_admin(Method::GET, "/", b"", &[("Host", "evil.example")]).await;
    assert_eq!(response.status().as_u16(), 403);
    // The word of one session is none of another's.
    bridge.token = Some(TOKEN);
    let (one, other) = (Browser::known(&bridge).await, Browser::known(&bridge).await);
    let word = word(&one.sees("/upstreams").await);
    let seen = other.posts("/upstreams/cutmeshort/pause", &[("reason", "x"), ("word", &word)], &[("Origin", ORIGIN)]).await;
    assert_eq!(seen.status, if one.cookie == other.cookie { 303 } else { 403 });
}

#[actix_web::test]
async fn each_page_says_how_it_stands() {
    let mut bridge = Bridge::new().await;
    bridge.receives("stripe", &sales_of(1, "user-1")).await;
    bridge.receives("stripe", &stripe_checkout(2, &json!({"customerExternalId": "user-2"}))).await;
    bridge.receives("stripe", &stripe("evt_x", "customer.created", &json!({"id": "cus_1", "object": "customer"}))).await;
    bridge.receives_bytes("stripe", b"{\"id\":", &[]).await;
    let forged = [("stripe-signature".to_owned(), "t=1795324260,v1=00".to_owned())];
    bridge.posts("/webhooks/stripe", b"{}", &forged).await;
    bridge.forwards().await;
    bridge.upstream_answers(422, r#"{"error":"amount <must> be a string"}"#).await;
    bridge.receives("stripe", &sales_of(3, "user-3")).await;
    bridge.receives("stripe", &stripe_checkout(4, &json!({}))).await;
    bridge.forwards().await;
    bridge.passes(Duration::from_secs(24 * 60 * 60)).await;
    bridge.forwards().await;

    let browser = Browser::known(&bridge).await;
    let overview = browser.sees("/?days=90").await;
    for fact in [
        "What needs a person",
        "1 deliveries were given up",
        "/deliveries?state=dead",
        "/sales?state=parked",
        "/requests?outcome=parked",
        "Revenue per day in USD",
        "No click: no event of the sale carried one",
        "Sales without a click",
        "Each day in USD as a table",
    ] {
        assert!(overview.contains(fact), "{fact}: {overview}");
    }
    let sales = browser.sees("/sales").await;
    for fact in ["Sale 1", "49.99", "click-1", "nobody told one", "user-3", "cutmeshort dead"] {
        assert!(sales.contains(fact), "{fact}: {sales}");
    }
    let unclicked = browser.sees("/sales?clicked=no&source=stripe&mode=live&currency=usd").await;
    assert!(unclicked.contains("Sale 2") && !unclicked.contains("Sale 1<"), "{unclicked}");
    assert!(browser.sees("/sales?state=parked").await.contains("parked: customer_unknown"));
    assert!(browser.sees("/sales?state=merged").await.contains("No sale is like this."));
    assert!(browser.sees("/sales?until=2020-01-01").await.contains("No sale is like this."));
    for odd in [
        "/sales?state=nothing",
        "/sales?source=nobody",
        "/sales?currency=XX",
        "/sales?since=tomorrow",
        "/sales?cursor=x",
        "/?days=4",
    ] {
        assert_eq!(browser.gets(odd).await.status, 422, "{odd}");
    }

    let story = browser.sees("/sales/1").await;
    for fact in [
        "4999 total",
        "Counted as a new sale",
        "checkout.session.completed in <a href=\"/requests/1\">",
        "attempt 1 at sale to cutmeshort",
        "HMAC-SHA-256",
        "payment_intent:pi_1",
        "jane@example.com",
        "HTTP 200, delivered",
        "Send again",
    ] {
        assert!(story.contains(fact), "{fact}: {story}");
    }
    let unclicked = browser.sees("/sales/2").await;
    assert!(
        unclicked.contains("Why it has no click:") && unclicked.contains("no event of this sale carried a clickId"),
        "{unclicked}"
    );

    let requests = browser.sees("/requests").await;
    for fact in ["made a sale", "ignored: no sale", "parked: could not be read", "(unreadable)"] {
        assert!(requests.contains(fact), "{fact}: {requests}");
    }
    let parked = browser.sees("/requests?outcome=parked").await;
    assert!(parked.contains("Request 4") && !parked.contains("Request 1<"), "{parked}");
    let request = browser.sees("/requests/1").await;
    for fact in [
        "stripe-signature",
        "[redacted]",
        "What today’s pack makes of it",
        "checkout.session.completed",
        "cs_live_1",
        "arithmetic",
    ] {
        assert!(request.contains(fact), "{fact}: {request}");
    }
    assert!(!request.contains("v1="), "no signature is shown");
    let whole = bridge
        .asks_admin(Method::GET, "/requests/4/body", b"", &[("Host", HOST), ("Cookie", browser.cookie.as_deref().unwrap())])
        .await;
    let header = |name: &str| whole.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/octet-stream");
    assert!(header("content-disposition").starts_with("attachment;"));
    assert_eq!(&test::read_body(whole).await[..], b"{\"id\":");

    let dead = browser.sees("/deliveries?state=dead").await;
    assert!(dead.contains("dead letter") && dead.contains("Send all dead letters") && !dead.contains(">Delivery 1<"), "{dead}");
    let delivery = browser.sees("/deliveries/3").await;
    for fact in ["HTTP 422, rejected", "&#60;must&#62;", "[redacted]", "POST "] {
        assert!(delivery.contains(fact), "{fact}: {delivery}");
    }
    assert!(!delivery.contains("token-of-the-test"), "no secret is shown");

    let source = browser.sees("/sources/stripe").await;
    for fact in [
        "https://hooks.example.com/webhooks/stripe",
        "checkout.session.completed",
        "signed (hmac)",
        "Last genuine request",
        "made a sale",
    ] {
        assert!(source.contains(fact), "{fact}: {source}");
    }
    assert!(!source.contains("whsec_c2VjcmV0"), "no secret is shown");
    let upstreams = browser.sees("/upstreams").await;
    for fact in ["cutmeshort", "60000 a minute", "in major units", "Pause", "every sale"] {
        assert!(upstreams.contains(fact), "{fact}: {upstreams}");
    }
}

#[actix_web::test]
async fn what_was_refused_is_explained_and_judged_again_once_it_is_mended() {
    let mut bridge = Bridge::new().await;
    let body = sales_of(1, "user").to_string();
    let stranger = bridge.sources["stripe"].with_secrets(Secrets::of(&[Secret::new("whsec_mended")])).unwrap();
    let headers = signed(&stranger, body.as_bytes(), &[], bridge.now());
    assert_eq!(bridge.posts("/webhooks/stripe", body.as_bytes(), &headers).await.status, 401);
    bridge.keeps().await;
    {
        let browser = Browser::known(&bridge).await;
        let list = browser.sees("/requests/refused?source=stripe").await;
        for fact in ["signature_mismatch", "signed with another secret", "href=\"/requests/refused/1\""] {
            assert!(list.contains(fact), "{fact}: {list}");
        }
        assert!(browser.sees("/requests/refused?source=paddle").await.contains("Nothing was refused."));
        let one = browser.sees("/requests/refused/1").await;
        for fact in ["secret_wrong", "What to do:", "`secrets` of [[sources]] stripe", "[redacted]", "Judge it again"] {
            assert!(one.contains(fact), "{fact}: {one}");
        }
        assert!(!one.contains("v1="), "no signature is shown");
        assert!(browser.sees("/").await.contains("signed with another secret"));
        let judged = browser.sends("/requests/refused/1", "/requests/refused/1/judge", &[]).await;
        assert!(judged.status == 200 && judged.text.contains("It is still refused"), "{}", judged.text);
        assert_eq!(browser.gets("/requests/refused/9").await.status, 404);
    }
    bridge.mends(|text| text.replace(SECRET, "whsec_mended"));
    let browser = Browser::known(&bridge).await;
    let judged = browser.sends("/requests/refused/1", "/requests/refused/1/judge", &[]).await;
    assert_eq!((judged.status, judged.location.as_str()), (303, "/requests/1"));
    assert_eq!(browser.gets("/requests/refused/1").await.status, 404);
    drop(browser);
    bridge.forwards().await;
    assert_eq!(bridge.delivery_states(), [Delivered]);
}

#[actix_web::test]
async fn two_sales_that_may_be_one_are_shown_with_both_stories() {
    let mut bridge = Bridge::new().await;
    bridge.receives("stripe", &sales_of(1, "user")).await;
    bridge.receives("stripe", &stripe_invoice(1, 1, "subscription_cycle", &who("click-1", "user"))).await;
    bridge.receives("stripe", &sales_of(2, "user")).await;
    bridge.forwards().await;
    let tie = json!({"id": "inpay_1", "invoice": "in_1", "payment": {"payment_intent": "pi_1", "type": "payment_intent"}, "customer": "cus_1"});
    bridge.receives("stripe", &stripe("evt_tie", "invoice_payment.paid", &tie)).await;
    bridge.forwards().await;
    let browser = Browser::known(&bridge).await;
    assert!(browser.sees("/").await.contains("href=\"/sales?double=yes\""), "it needs a person");
    let list = browser.sees("/sales?double=yes").await;
    for (sale, is_there) in [(1, true), (2, true), (3, false)] {
        assert_eq!(list.contains(&format!("href=\"/sales/{sale}\"")), is_there, "{list}");
    }
    let story = browser.sees("/sales/1").await;
    for fact in [
        "Possible double count",
        "<a href=\"/sales/2\">Sale 2</a>",
        "<a href=\"/requests/4\">request 4</a> shows",
        "What happened to sale 2",
    ] {
        assert!(story.contains(fact), "{fact}: {story}");
    }
    assert_eq!(story.matches("attempt 1 at sale to cutmeshort").count(), 2, "both timelines");
}

#[actix_web::test]
async fn a_search_finds_by_each_kind_and_leaves_nothing_personal_in_a_url() {
    let mut bridge = Bridge::new().await;
    bridge.receives("stripe", &sales_of(1, "user+1@example.com")).await;
    bridge.receives("stripe", &sales_of(2, "user-2")).await;
    bridge.forwards().await;
    let browser = Browser::known(&bridge).await;
    let invoice = bridge.sales()[0].field("invoiceId");
    for text in [invoice.as_str(), "user+1@example.com", "click-1", "pi_1", "cus_1"] {
        let seen = browser.sends("/sales", "/sales/search", &[("text", text)]).await;
        assert_eq!((seen.status, seen.location.as_str()), (200, ""), "{text}");
        assert!(
            seen.text.contains("One sale.") && seen.text.contains("/sales/1\"") && !seen.text.contains("/sales/2\""),
            "{text}"
        );
    }
    let both = browser.sends("/sales", "/sales/search", &[("text", "Jane@Example.com")]).await;
    assert!(both.text.contains("2 sales."), "{}", both.text);
    let none = browser.sends("/sales", "/sales/search", &[("text", "<b>nobody</b>")]).await;
    assert!(none.text.contains("Nothing is known by exactly this.") && none.text.contains("&#60;b&#62;nobody"), "{}", none.text);
    assert_eq!(browser.sends("/sales", "/sales/search", &[("text", " ")]).await.status, 422);
    assert_eq!(browser.sends("/sales", "/sales/search", &[("text", &"x".repeat(501))]).await.status, 422);

    let mut pages = vec![both.text];
    for path in PAGES.into_iter().chain(["/sales/1", "/requests/1", "/deliveries/1"]) {
        pages.push(browser.sees(path).await);
    }
    for page in &pages {
        for url in ["href", "action", "src"].into_iter().flat_map(|name| attributes(page, name)) {
            for personal in ["jane", "Jane", "user", "click-", "pi_", "cus_", "cs_"] {
                assert!(!url.contains(personal) || url == "https://docs.stripe.com/webhooks", "{url}");
            }
        }
    }
}

#[actix_web::test]
async fn only_what_was_confirmed_is_sent_again() {
    let mut bridge = Bridge::with_silent_upstream("").await;
    bridge.upstream_answers(422, r#"{"error":"no"}"#).await;
    for number in 1..=3 {
        bridge.receives("stripe", &sales_of(number, "user")).await;
    }
    bridge.forwards().await;
    assert_eq!(bridge.delivery_states(), [Dead, Dead, Dead]);
    let browser = Browser::known(&bridge).await;
    assert_eq!(browser.sends("/deliveries", "/deliveries/retry", &[]).await.status, 422, "nothing was chosen");
    let preview = browser.sends("/deliveries", "/deliveries/retry", &[("id", "1"), ("id", "3")]).await;
    assert_eq!(preview.status, 200);
    for fact in ["2 would be sent again", "Delivery 1", "Delivery 3", "&#34;amount&#34;:49.99", "[redacted]", "Send 2 again"] {
        assert!(preview.text.contains(fact), "{fact}: {}", preview.text);
    }
    assert!(!preview.text.contains("Delivery 2"));
    assert_eq!(bridge.delivery_states(), [Dead, Dead, Dead], "a preview changes nothing");

    let (_, form) = preview.text.split_once("action=\"/deliveries/retry/confirm\"").unwrap();
    let ids: Vec<&str> = form.split("name=\"id\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(ids, ["1", "3"]);
    let done = browser.sends("/deliveries", "/deliveries/retry/confirm", &[("id", "1"), ("id", "3")]).await;
    assert_eq!((done.status, done.location.as_str()), (303, "/deliveries?resumed=2"));
    assert_eq!(bridge.delivery_states(), [Due, Dead, Due]);
    assert!(browser.sees(&done.location).await.contains("2 will be sent again at once"));
    assert_eq!(browser.sends("/deliveries", "/deliveries/retry/confirm", &[("all", "dead")]).await.status, 422);
    drop(browser);

    bridge.upstream_answers(200, r#"{"status":true,"data":"Sale tracked"}"#).await;
    bridge.forwards().await;
    assert_eq!(bridge.delivery_states(), [Delivered, Dead, Delivered]);
    let browser = Browser::known(&bridge).await;
    let all = browser.sends("/deliveries", "/deliveries/retry", &[("all", "dead"), ("upstream", "cutmeshort")]).await;
    assert!(all.text.contains("1 would be sent again") && all.text.contains("Delivery 2"), "{}", all.text);
    let accepted = browser.sends("/deliveries", "/deliveries/retry", &[("id", "1")]).await;
    assert!(
        accepted.text.contains("Nothing is sent") && accepted.text.contains("1 that the upstream accepted before"),
        "{}",
        accepted.text
    );
    let again = browser.sends("/deliveries", "/deliveries/retry", &[("id", "1"), ("accepted", "yes")]).await;
    assert!(
        again.text.contains("1 would be sent again") && again.text.contains("name=\"accepted\" value=\"yes\""),
        "{}",
        again.text
    );
    // What was accepted meanwhile is left out, although it was confirmed.
    let late = browser.sends("/deliveries", "/deliveries/retry/confirm", &[("id", "1")]).await;
    assert_eq!(late.location, "/deliveries?resumed=0");
    assert_eq!(bridge.delivery_states(), [Delivered, Dead, Delivered]);
}

#[actix_web::test]
async fn a_sale_is_kept_back_until_it_is_let_go_and_nobody_is_offered_what_cannot_be() {
    let mut bridge = Bridge::new().await;
    bridge.receives("stripe", &sales_of(1, "user")).await;
    bridge.receives("stripe", &sales_of(2, "user")).await;
    // Sale 4 turns out to be sale 3 before either is sent.
    bridge.receives("stripe", &sales_of(3, "user")).await;
    bridge.receives("stripe", &stripe_invoice(3, 3, "subscription_cycle", &who("click-3", "user"))).await;
    let tie = json!({"id": "inpay_3", "invoice": "in_3", "payment": {"payment_intent": "pi_3", "type": "payment_intent"}, "customer": "cus_3"});
    bridge.receives("stripe", &stripe("evt_tie", "invoice_payment.paid", &tie)).await;
    bridge.settles().await;
    let offered = async |browser: &Browser<'_>, sale: u32| {
        let page = browser.sees(&format!("/sales/{sale}")).await;
        ["park", "release"].map(|word| page.contains(&format!("action=\"/sales/{sale}/{word}\"")))
    };
    let (park, release) = ("/sales/1/park", "/sales/1/release");
    {
        let browser = Browser::known(&bridge).await;
        assert_eq!(offered(&browser, 1).await, [true, false]);
        for reason in [" ", &"x".repeat(501)] {
            assert_eq!(browser.sends("/sales/1", park, &[("reason", reason)]).await.status, 422, "{reason}");
        }
        let word = word(&browser.sees("/sales/1").await);
        let fields = [("reason", "mine"), ("word", word.as_str())];
        assert_eq!(browser.posts(park, &fields[..1], &[("Origin", ORIGIN)]).await.status, 403, "no form of ours");
        assert_eq!(browser.posts(park, &fields, &[("Origin", "https://evil.example")]).await.status, 403);
        assert_eq!(bridge.sales()[0].state, "ready", "nothing was changed");

        let parked = browser.sends("/sales/1", park, &[("reason", "<b>fraud</b>?")]).await;
        assert_eq!((parked.status, parked.location.as_str()), (303, "/sales/1"));
        let told = browser.sees("/sales/1").await;
        for fact in ["parked: by_hand", "&#60;b&#62;fraud&#60;/b&#62;?"] {
            assert!(told.contains(fact), "{fact}: {told}");
        }
        assert_eq!(offered(&browser, 1).await, [false, true]);
        assert_eq!(browser.sends("/sales/1", park, &[("reason", "another")]).await.status, 303, "it is so already");
        assert!(browser.sees("/sales/1").await.contains("fraud"), "the first reason stays");
    }
    bridge.forwards().await;
    assert_eq!(bridge.upstream_bodies().await.len(), 2, "the others are sent");
    {
        let browser = Browser::known(&bridge).await;
        for (sale, why) in [(2, "what was sent cannot be kept back"), (4, "sale 3 stands for sale 4")] {
            assert_eq!(offered(&browser, sale).await, [false, false], "sale {sale}");
            for word in ["park", "release"] {
                let late = browser.sends("/sales/1", &format!("/sales/{sale}/{word}"), &[("reason", "too late")]).await;
                assert!(late.status == 409 && late.text.contains(why), "{sale} {word}: {}", late.text);
                assert_eq!(browser.sends("/sales/1", &format!("/sales/99/{word}"), &[("reason", "x")]).await.status, 404);
            }
        }
        let released = browser.sends("/sales/1", release, &[]).await;
        assert_eq!((released.status, released.location.as_str()), (303, "/sales/1"));
        assert_eq!(offered(&browser, 1).await, [true, false]);
    }
    bridge.forwards().await;
    assert_eq!(bridge.upstream_bodies().await.len(), 3, "it is sent after all, once");
    assert_eq!(offered(&Browser::known(&bridge).await, 1).await, [false, false]);
}

#[actix_web::test]
async fn an_upstream_is_paused_resumed_and_tried() {
    let mut bridge = Bridge::new().await;
    let browser = Browser::known(&bridge).await;
    let path = "/upstreams/cutmeshort";
    assert_eq!(browser.sends("/upstreams", &format!("{path}/pause"), &[("reason", " ")]).await.status, 422, "why is asked for");
    let paused = browser.sends("/upstreams", &format!("{path}/pause"), &[("reason", "<i>their</i> holiday")]).await;
    assert_eq!((paused.status, paused.location.as_str()), (303, "/upstreams"));
    let shown = browser.sees("/upstreams").await;
    assert!(shown.contains("paused by hand") && shown.contains("&#60;i&#62;their&#60;/i&#62; holiday"), "{shown}");
    assert!(browser.sees("/").await.contains("stands still"));
    assert_eq!(browser.sends("/upstreams", &format!("{path}/resume"), &[]).await.status, 303);
    assert!(browser.sees("/upstreams").await.contains("runs"));
    assert_eq!(browser.sends("/upstreams", "/upstreams/nobody/pause", &[("reason", "x")]).await.status, 404);

    let trial = browser.sends("/upstreams", &format!("{path}/test"), &[("click", "click-of-theirs"), ("currency", "eur")]).await;
    assert!(trial.text.contains("click-of-theirs") && trial.text.contains("12.34"), "{}", trial.text);
    assert_eq!(bridge.upstream_bodies().await, Vec::<String>::new(), "nothing is sent before it is confirmed");
    let at = attributes(&trial.text, "name=\"at\" value")[0].to_owned();
    let fields = [("at", at.as_str()), ("click", "click-of-theirs"), ("currency", "eur")];
    let sent = browser.sends("/upstreams", &format!("{path}/test/send"), &fields).await;
    assert!(sent.text.contains("delivered") && sent.text.contains("now compare"), "{}", sent.text);
    let bodies = bridge.upstream_bodies().await;
    assert_eq!(bodies.len(), 1);
    let id = format!("salebridge-test-{at}");
    assert!(
        bodies[0].contains("click-of-theirs") && bodies[0].contains(&id) && trial.text.contains(&id),
        "what was shown is sent"
    );
    for old in ["0", "9999999999", "x"] {
        assert_eq!(browser.sends("/upstreams", &format!("{path}/test/send"), &[("at", old)]).await.status, 409, "{old}");
    }
    assert_eq!(bridge.upstream_bodies().await.len(), 1);
    drop(browser);
    bridge.forwards().await;
    assert_eq!(bridge.sales().len(), 0, "a test sale is none of the ledger's");
}

#[actix_web::test]
async fn a_source_is_tried_without_a_trace() {
    let bridge = Bridge::new().await;
    let browser = Browser::known(&bridge).await;
    for source in ["stripe", "paddle", "shopify", "polar"] {
        let page = browser.sees(&format!("/sources/{source}")).await;
        let (_, options) = page.split_once("<select name=\"case\">").unwrap();
        let case = attributes(options, "value")[0].to_owned();
        let tried = browser.sends(&format!("/sources/{source}"), &format!("/sources/{source}/test"), &[("case", &case)]).await;
        assert!(tried.text.contains("Nothing was stored") && tried.text.contains("a sale"), "{source} {case}: {}", tried.text);
        assert!(!tried.text.contains("refused"), "{source} {case}: {}", tried.text);
    }
    assert_eq!(browser.sends("/sources/stripe", "/sources/stripe/test", &[("case", "no-such-case")]).await.status, 409);
    assert_eq!(browser.sends("/sources/stripe", "/sources/nobody/test", &[]).await.status, 404);
    assert_eq!((bridge.store.requests(10).unwrap().len(), bridge.sales().len()), (0, 0));
}

#[actix_web::test]
async fn a_path_token_is_never_shown() {
    let token = "a-path-token-that-nobody-knows";
    let source = format!("[[sources]]\nname = \"shop\"\npack = \"gumroad\"\npath_token = \"{token}\"\n");
    assert!(configuration("", "", &source).contains(token));
    let bridge = Bridge::with(&source).await;
    let browser = Browser::known(&bridge).await;
    for path in ["/sources", "/sources/shop"] {
        let page = browser.sees(path).await;
        assert!(page.contains("https://hooks.example.com/webhooks/shop/[token]") && page.contains("UNSIGNED"), "{page}");
        assert!(!page.contains(token), "{path}");
    }
    let tried = browser.sends("/sources/shop", "/sources/shop/test", &[]).await;
    assert!(tried.text.contains("a sale") && !tried.text.contains(token), "{}", tried.text);
}

#[actix_web::test]
async fn what_a_sender_wrote_stays_text_and_short() {
    let mut bridge = Bridge::new().await;
    let long = "ä".repeat(64 * 1024);
    let hostile = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "\u{202e}drowssap\u{202c}\u{200b}",
        "{{7*7}}",
        &long,
    ];
    for (number, text) in (1_u32..).zip(hostile) {
        let mut body = stripe_checkout(number, &who(&format!("c{number}{text}"), &format!("u{number}{text}")));
        body["data"]["object"]["customer_details"]["name"] = text.into();
        body["data"]["object"]["customer_details"]["email"] = format!("{text}@example.com").into();
        bridge.receives("stripe", &body).await;
        let mut odd = body.clone();
        odd["id"] = format!("evt_odd_{number}").into();
        odd["type"] = text.into();
        bridge.receives("stripe", &odd).await;
    }
    bridge.forwards().await;
    let browser = Browser::known(&bridge).await;
    let mut paths: Vec<String> = PAGES.map(str::to_owned).into();
    paths.extend(bridge.sales().iter().map(|sale| format!("/sales/{}", sale.id)));
    paths.extend((1..=12).map(|id| format!("/requests/{id}")));
    paths.extend(bridge.deliveries().iter().map(|delivery| format!("/deliveries/{}", delivery.id)));
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        let page = browser.sees(&path).await;
        for raw in ["<script>alert", "<img", "onerror=alert(1)>", "' onmouseover", "\u{202e}", "\u{200b}", ">49<"] {
            assert!(!page.contains(raw), "{path} holds {raw}");
        }
        assert!(page.len() < 400_000, "{path}: {} bytes", page.len());
    }
    let list = browser.sees("/sales").await;
    assert!(list.len() < 40_000, "a long value is cut: {} bytes", list.len());
    let huge = "text=".repeat(40_000);
    let form = [("Origin", ORIGIN), ("Content-Type", "application/x-www-form-urlencoded")];
    let huge = browser.asks(Method::POST, "/sales/search", huge.as_bytes(), &form);
    assert_eq!(huge.await.status, 422, "a form that is too large is not read");
}

#[actix_web::test]
async fn one_goes_through_a_long_ledger_page_by_page_and_back() {
    let mut bridge = Bridge::new().await;
    for number in 1..=120 {
        bridge.receives("stripe", &sales_of(number, "user")).await;
    }
    bridge.settles().await;
    bridge.leaves_work();
    let browser = Browser::known(&bridge).await;
    let shown = |page: &str| -> Vec<u32> {
        let links = page.split("<a href=\"/sales/").skip(1).filter_map(|rest| rest.split('"').next().unwrap().parse().ok());
        links.collect()
    };
    let link = |page: &str, rel: &str| -> Option<String> {
        let (_, rest) = page.split_once(&format!("rel=\"{rel}\" href=\""))?;
        Some(rest.split('"').next().unwrap().replace("&#38;", "&"))
    };
    for (order, all) in [("newest", (1..=120).rev().collect::<Vec<u32>>()), ("oldest", (1..=120).collect())] {
        let mut page = browser.sees(&format!("/sales?order={order}&source=stripe")).await;
        assert_eq!(link(&page, "prev"), None);
        let mut seen = vec![shown(&page)];
        while let Some(next) = link(&page, "next") {
            assert!(next.contains("source=stripe"), "the filter stays: {next}");
            page = browser.sees(&next).await;
            seen.push(shown(&page));
        }
        assert_eq!(seen.concat(), all, "{order}");
        for expected in seen.iter().rev().skip(1).filter(|page| !page.is_empty()) {
            page = browser.sees(&link(&page, "prev").unwrap()).await;
            assert_eq!(&shown(&page), expected, "{order}, back");
        }
        assert_eq!(link(&page, "prev"), None, "the first page is the first, also from behind");
    }
}

#[actix_web::test]
async fn pages_are_made_of_files_that_browsers_may_keep() {
    let bridge = Bridge::new().await;
    let browser = Browser::new(&bridge);
    let page = browser.sees("/sign-in").await;
    let style = attributes(&page, "href").into_iter().find(|url| url.ends_with("style.css")).unwrap();
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let response = bridge.asks_admin(Method::GET, path, b"", headers).await;
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        (response.status().as_u16(), header("content-type"), header("cache-control"), header("etag"))
    };
    let (status, kind, caching, tag) = ask(style, &[]).await;
    assert_eq!(
        (status, kind.as_str(), caching.as_str()),
        (200, "text/css; charset=utf-8", "public, max-age=31536000, immutable")
    );
    assert_eq!(ask(style, &[("If-None-Match", &tag)]).await.0, 304);
    let old = ask("/static/0000000000000000/style.css", &[]).await;
    assert_eq!((old.0, old.2.as_str()), (200, "no-cache"));
    assert_eq!(ask("/static/x/config.toml", &[]).await.0, 404);
    let known = Browser::known(&bridge).await;
    let page = known.sees("/").await;
    for url in attributes(&page, "src").into_iter().chain(attributes(&page, "href")).filter(|url| url.starts_with("/static/")) {
        assert_eq!(ask(url, &[]).await.0, 200, "{url}");
    }
}

#[actix_web::test]
async fn what_changes_is_told_in_numbers_only() {
    let mut bridge = Bridge::new().await;
    bridge.receives("stripe", &sales_of(1, "user")).await;
    bridge.forwards().await;
    let authorization = format!("Bearer {TOKEN}");
    let response = bridge.asks_admin(Method::GET, "/live", b"", &[("Authorization", &authorization)]).await;
    assert_eq!(response.headers().get("content-type").unwrap(), "text/event-stream");
    let mut body = std::pin::pin!(response.into_body());
    let piece = std::future::poll_fn(|context| actix_web::body::MessageBody::poll_next(body.as_mut(), context)).await;
    let text = String::from_utf8(piece.unwrap().unwrap().to_vec()).unwrap();
    let told: Value = serde_json::from_str(text.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(
        (&told["sale"], &told["request"], &told["queues"]["dead"], &told["paused"]),
        (&json!(1), &json!(1), &json!(0), &json!(0))
    );
    fn numbers(value: &Value) -> bool {
        match value {
            Value::Number(_) => true,
            Value::Object(object) => object.values().all(numbers),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => false,
        }
    }
    assert!(numbers(&told), "{told}");
}
